#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use crate::api::constraints::ReferentialAction;

fn read(text: &str) -> Imported {
    import(&[Source { name: "V1.sql".to_owned(), text: text.to_owned() }], Some("shop"))
}

fn matters(imported: &Imported) -> Vec<(&str, &str)> {
    imported.left.iter().filter(|left| left.matters).map(|left| (left.place.as_str(), left.why.as_str())).collect()
}

#[test]
fn keys_are_carried_over_with_their_actions() {
    let found = read(
        "ALTER TABLE `posts`\n  ADD CONSTRAINT `fk_a` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON DELETE CASCADE ON UPDATE SET NULL,\n\
         ADD CONSTRAINT fk_b FOREIGN KEY (x, y) REFERENCES other.pairs (a, b), ALGORITHM=INPLACE, LOCK=NONE;\n\
         ALTER TABLE posts ADD FOREIGN KEY (z) REFERENCES users (id) ON DELETE RESTRICT;\n\
         ALTER TABLE posts ADD FOREIGN KEY (z2) REFERENCES shop.users (id) ON DELETE SET NULL;",
    );
    assert_eq!(matters(&found), []);
    let keys: Vec<&ForeignKey> = found.keys.iter().map(|key| &key.value).collect();
    assert_eq!(
        keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(),
        ["fk_a", "fk_b", "posts_ibfk_1", "posts_ibfk_2"]
    );
    assert_eq!((keys[0].on_delete, keys[0].on_update), (ReferentialAction::Cascade, ReferentialAction::SetNull));
    assert_eq!(
        (keys[1].references.schema.as_deref(), keys[1].references.columns.join(",")),
        (Some("other"), "a,b".to_owned())
    );
    assert_eq!(keys[1].on_delete, ReferentialAction::NoAction);
    assert_eq!((keys[3].references.schema.as_deref(), keys[3].on_delete), (None, ReferentialAction::SetNull));
    assert_eq!(found.keys[2].place, "V1.sql:4");
}

#[test]
fn unique_constraints_come_from_every_statement_that_makes_them() {
    let found = read(
        "ALTER TABLE a ADD UNIQUE KEY uq_one (x, y);\nCREATE UNIQUE INDEX uq_two ON a (z);\nALTER TABLE a ADD UNIQUE (w);\n\
         ALTER TABLE a ADD CONSTRAINT uq_three UNIQUE (v);\nCREATE TABLE b (id INT PRIMARY KEY, mail VARCHAR(90) UNIQUE, code INT, UNIQUE KEY (code));",
    );
    let names: Vec<String> =
        found.uniques.iter().map(|each| format!("{}.{}", each.value.table, each.value.name)).collect();
    assert_eq!(names, ["a.uq_one", "a.uq_two", "a.w", "a.uq_three", "b.mail", "b.code"]);
    // The table itself is told of.
    assert_eq!(matters(&found).len(), 1);
}

#[test]
fn columns_become_type_fixes_and_what_those_cannot_say_a_step_by_sql() {
    let found = read(
        "ALTER TABLE a ADD COLUMN b BIGINT UNSIGNED NULL, ADD c VARCHAR(20) NOT NULL;\n\
         ALTER TABLE a ADD COLUMN d INT NOT NULL DEFAULT 3 COMMENT 'x' AFTER b;\n\
         ALTER TABLE a MODIFY e BIGINT;\nALTER TABLE a CHANGE f f BIGINT UNSIGNED NOT NULL;\nALTER TABLE a MODIFY b INT UNSIGNED;",
    );
    let fixes: Vec<&TypeFix> = found.type_fixes.iter().map(|fix| &fix.value).collect();
    assert_eq!(fixes.len(), 5);
    let added = fixes[0].add_column.as_ref().unwrap();
    assert_eq!((added.name.as_str(), added.column_type.as_str(), added.nullable), ("b", "INT UNSIGNED", true));
    assert!(!fixes[1].add_column.as_ref().unwrap().nullable);
    let sql = fixes[2].sql.as_ref().unwrap();
    assert_eq!(sql.up, "ALTER TABLE `a` ADD COLUMN `d` INT NOT NULL DEFAULT 3 COMMENT 'x' AFTER b, ALGORITHM=INSTANT");
    assert_eq!(sql.down, "ALTER TABLE `a` DROP COLUMN `d`, ALGORITHM=INSTANT");
    assert_eq!(fixes[3].modify_column.as_ref().unwrap().column_type, "BIGINT");
    // Whether e and f may be NULL is not known from the files.
    assert_eq!(matters(&found).len(), 2);
}

#[test]
fn updates_that_fill_added_columns_are_carried_over_and_others_listed() {
    let found = read(
        "ALTER TABLE logs ADD COLUMN agency_id INT NULL, ADD COLUMN short VARCHAR(20) NULL, ADD other INT NULL, ADD third INT NULL;\n\
         UPDATE logs l JOIN agencies a ON a.name = l.agency_name AND l.state = a.state SET l.agency_id = a.id WHERE l.agency_id IS NULL;\n\
         UPDATE logs SET short = LEFT(name, 20);\n\
         UPDATE logs SET other = (SELECT id FROM things WHERE things.code = logs.code);\n\
         UPDATE logs SET third = 1 WHERE third IS NULL AND name <> 'x';\n\
         UPDATE logs SET name = 'x';\nUPDATE logs l, agencies a SET l.third = a.id WHERE a.name = l.name;",
    );
    let backfill = found.type_fixes[0].value.backfill.as_ref().unwrap();
    assert_eq!((backfill.from_lookup.table.as_str(), backfill.from_lookup.take.as_str()), ("agencies", "id"));
    let pairs: Vec<(&str, &str)> =
        backfill.from_lookup.matching.iter().map(|pair| (pair.column.as_str(), pair.equals.as_str())).collect();
    assert_eq!(pairs, [("agency_name", "name"), ("state", "state")]);
    let other = found.type_fixes[2].value.backfill.as_ref().unwrap();
    assert_eq!((other.from_lookup.table.as_str(), other.from_lookup.take.as_str()), ("things", "id"));
    let ups: Vec<&str> =
        found.type_fixes.iter().filter_map(|fix| fix.value.sql.as_ref()).map(|sql| sql.up.as_str()).collect();
    assert_eq!(
        ups,
        [
            "UPDATE `logs` SET short = LEFT(name, 20) WHERE `short` IS NULL LIMIT 1000",
            "UPDATE `logs` SET third = 1 WHERE third IS NULL AND name <> 'x' LIMIT 1000"
        ]
    );
    let left: Vec<&str> = matters(&found).iter().map(|(place, _)| *place).collect();
    assert_eq!(left, ["V1.sql:6", "V1.sql:7"], "{:?}", found.left);
}

#[test]
fn nothing_is_left_out_silently() {
    let text = "SET NAMES utf8;\nBEGIN;\nDELETE FROM a;\nCREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET NEW.b = 1;\nALTER TABLE a DROP COLUMN b;\n\
         ALTER TABLE a RENAME TO b;\nALTER TABLE a ADD CHECK (x > 0);\nALTER TABLE a FROBNICATE;\nCREATE TABLE c (id INT);\nALTER TABLE a ADD PRIMARY KEY (id);\n\
         ALTER TABLE a DROP FOREIGN KEY fk;\nINSERT INTO a VALUES (1);\nDROP TABLE a;\nALTER TABLE other.a ADD b INT;\nALTER TABLE a ADD FOREIGN KEY (b) REFERENCES c (d) ON DELETE SET DEFAULT;\nCOMMIT;";
    let found = read(text);
    assert!(found.keys.is_empty() && found.uniques.is_empty() && found.type_fixes.is_empty());
    let places: Vec<&str> = found.left.iter().map(|left| left.place.as_str()).collect();
    let lines: Vec<String> = (1..=16).map(|line| format!("V1.sql:{line}")).collect();
    assert_eq!(places, lines, "{:#?}", found.left);
    assert_eq!(found.left.iter().filter(|left| !left.matters).count(), 3);
}

#[test]
fn what_a_file_takes_back_again_is_in_neither_list_of_entries() {
    let found = read(
        "ALTER TABLE a ADD CONSTRAINT fk FOREIGN KEY (b) REFERENCES c (d), ADD UNIQUE uq (b), ADD COLUMN e INT NULL, ADD INDEX ix (b);\n\
         ALTER TABLE a DROP FOREIGN KEY fk, DROP INDEX uq, DROP COLUMN e, DROP INDEX ix;",
    );
    assert_eq!((found.keys.len(), found.uniques.len(), found.type_fixes.len()), (0, 0, 0));
    assert_eq!(matters(&found), []);
    assert_eq!(found.left.len(), 4);
}

#[test]
fn the_way_back_of_a_file_is_not_read() {
    let found = read("-- +goose Up\nALTER TABLE a ADD UNIQUE uq (b);\n-- +goose Down\nALTER TABLE a DROP INDEX uq;\n");
    assert_eq!(found.uniques.len(), 1);
    assert_eq!(matters(&found), []);
}

#[test]
fn the_schema_that_files_name_is_the_migrations() {
    let found = import(
        &[Source {
            name: "a".to_owned(),
            text: "USE shop;\nALTER TABLE shop.a ADD UNIQUE u (b);\nUSE other;".to_owned(),
        }],
        None,
    );
    assert_eq!(found.schema.as_deref(), Some("shop"));
    assert_eq!((found.uniques.len(), matters(&found).len()), (1, 1));
}

#[test]
fn an_unfinished_statement_is_told_with_its_line() {
    let found = read("ALTER TABLE a ADD UNIQUE u (b);\nSELECT 'x;");
    assert_eq!(matters(&found)[0].0, "V1.sql:2");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..proptest::prelude::ProptestConfig::with_cases(500) })]

    #[test]
    fn any_text_at_all_is_read_or_listed(text in "(ALTER TABLE|CREATE|UPDATE|ADD|UNIQUE|FOREIGN KEY|REFERENCES|a|b|\\(|\\)|,|;|`|'|SET|=| |\n|DROP|INDEX|1){0,30}") {
        let found = read(&text);
        let statements = split(&text).map_or(1, |all| all.len());
        let entries = found.keys.len() + found.uniques.len() + found.type_fixes.len() + found.left.len();
        proptest::prop_assert!(entries >= usize::from(statements > 0));
    }
}
