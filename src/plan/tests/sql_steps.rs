//! Statements of the user's own: what is planned of them, what is refused by name, and what later steps know of them.

use serde_json::{Value, json};

use super::*;
use crate::plan::model::{Action, LockClass, Operation, Section, SqlKind};
use crate::plan::{render, script};

const ADD: &str = "ALTER TABLE bookmarks ADD COLUMN label VARCHAR(20) NULL, ALGORITHM=INSTANT";
const DROP: &str = "ALTER TABLE bookmarks DROP COLUMN label, ALGORITHM=INSTANT";
const FILL: &str = "UPDATE bookmarks AS b SET b.label = (SELECT a.name FROM agencies a WHERE a.id = b.owner_id) WHERE label IS NULL LIMIT 500";
const NONE: &str = "SELECT 1 FROM bookmarks WHERE FALSE";

fn sql(up: &str, down: &str, verify: &str) -> Value {
    json!({"typeFixes": [{"name": "own", "sql": {"up": up, "down": down, "verify": verify}}]})
}

fn problems(content: Value) -> Vec<String> {
    match build(&spec(content), &catalogue()) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.into_iter().map(|problem| problem.to_string()).collect(),
    }
}

fn own(plan: &Plan) -> Vec<&Operation> {
    plan.operations.iter().filter(|operation| matches!(operation.action, Action::Sql(_))).collect()
}

#[test]
fn each_statement_is_an_operation_with_its_table_lock_class_and_way_back() {
    let index = "CREATE INDEX by_label ON `shop`.`bookmarks` (label) ALGORITHM=INPLACE LOCK=NONE";
    let back = "DROP INDEX by_label ON bookmarks ALGORITHM INPLACE LOCK NONE";
    let copy = "ALTER TABLE users ADD COLUMN twice INT AS (id * 2) STORED, ALGORITHM=COPY, LOCK=SHARED";
    let copy_back = "ALTER TABLE users DROP COLUMN twice, ALGORITHM=COPY, LOCK=SHARED";
    let plan = plan(sql(&format!("{ADD};\n{FILL};\n{index};{copy}"), &format!("{copy_back};{back};{DROP}"), NONE));
    let own = own(&plan);
    let found: Vec<_> = own
        .iter()
        .map(|operation| {
            (operation.forward.as_deref().unwrap(), operation.inverse.as_deref(), operation.lock, operation.section)
        })
        .collect();
    assert_eq!(
        found,
        [
            (ADD, Some(DROP), LockClass::Metadata, Section::FixTypes),
            (FILL, None, LockClass::Batched, Section::FixTypes),
            (index, Some(back), LockClass::OnlineBuild, Section::FixTypes),
            (copy, Some(copy_back), LockClass::Copy, Section::FixTypes),
            (FILL, None, LockClass::Batched, Section::FillAgain),
        ]
    );
    let Action::Sql(step) = &own[0].action else { panic!("{own:?}") };
    assert_eq!(step.kind, SqlKind::Change { inverse_lock: LockClass::Metadata, dropped: vec![id("label")] });
    let verified: Vec<bool> =
        own.iter().map(|operation| matches!(&operation.action, Action::Sql(step) if step.verify.is_some())).collect();
    assert_eq!(verified, [false, false, false, true, false], "after the last one of the fix");
    assert_eq!(plan.tables.keys().collect::<Vec<_>>(), ["shop.agencies", "shop.bookmarks", "shop.users"]);
    assert!(
        plan.warnings.iter().any(|warning| warning.contains("statements of your own on shop.bookmarks, shop.users"))
    );

    let page = render::text(&plan);
    assert!(page.contains("your own statement of \"own\" on shop.bookmarks, reading shop.agencies: UPDATE"), "{page}");
    assert!(page.contains("!!! shop.users about"), "{page}");
    let (forward, rollback) = (script::forward_sql(&plan), script::rollback_sql(&plan));
    assert!(
        forward.contains("USE `shop`;") && forward.contains(&format!("-- Repeat until it finds no row:\n{FILL};")),
        "{forward}"
    );
    assert!(forward.contains(&format!("-- Must return no rows:\n{NONE};")), "{forward}");
    assert!(
        rollback.find(copy_back).unwrap() < rollback.find(back).unwrap() && rollback.contains(&format!("{DROP};")),
        "{rollback}"
    );
    assert!(!rollback.contains("come back from quarantine"), "{rollback}");
}

#[test]
fn later_steps_know_the_columns_and_indexes_that_such_statements_make() {
    let up = "ALTER TABLE bookmarks ADD COLUMN label_id BIGINT UNSIGNED NULL, ADD INDEX by_it (label_id), ALGORITHM=INPLACE, LOCK=NONE";
    let down = "ALTER TABLE bookmarks DROP INDEX by_it, DROP COLUMN label_id, ALGORITHM=INPLACE, LOCK=NONE";
    let mut content = sql(up, down, NONE);
    content["stages"] = json!([{"name": "only", "foreignKeys": [key("label_id")]}]);
    let plan = plan(content.clone());
    assert!(
        !plan.operations.iter().any(|operation| matches!(operation.action, Action::AddIndex { .. })),
        "one is there"
    );
    assert!(plan.operations.iter().any(|operation| matches!(operation.action, Action::AddForeignKey { .. })));
    let signed = sql(&up.replace("BIGINT UNSIGNED", "BIGINT"), down, NONE);
    content["typeFixes"] = signed["typeFixes"].clone();
    assert!(problems(content).iter().any(|problem| problem.contains("label_id")), "the type is known too");
}

#[test]
fn what_could_break_a_promise_is_refused_by_name_with_the_way_out() {
    for (statement, told) in [
        ("USE other", "USE is refused"),
        ("SET GLOBAL max_connections = 1", "SET is refused"),
        ("set session foreign_key_checks = 0", "SET is refused"),
        ("GRANT ALL ON *.* TO x", "GRANT is refused"),
        ("REVOKE ALL ON *.* FROM x", "REVOKE is refused"),
        ("CREATE USER x", "CREATE USER is refused"),
        ("DROP TABLE bookmarks", "DROP TABLE is refused"),
        ("/* x */ drop /* y */ table bookmarks", "DROP TABLE is refused"),
        ("DROP DATABASE shop", "DROP DATABASE is refused"),
        ("TRUNCATE TABLE bookmarks", "TRUNCATE is refused"),
        ("RENAME TABLE bookmarks TO b", "RENAME TABLE is refused"),
        ("CREATE TABLE x (id INT)", "CREATE TABLE is refused"),
        ("LOCK TABLES bookmarks WRITE", "LOCK TABLES is refused"),
        ("BEGIN", "BEGIN is refused"),
        ("START TRANSACTION", "START TRANSACTION is refused"),
        ("COMMIT", "COMMIT is refused"),
        ("XA START 'x'", "XA is refused"),
        ("FLUSH TABLES", "FLUSH is refused"),
        ("KILL 1", "KILL is refused"),
        ("CREATE TRIGGER x BEFORE INSERT ON bookmarks FOR EACH ROW SET NEW.note = 1", "CREATE TRIGGER is refused"),
        ("CREATE PROCEDURE x() SELECT 1", "CREATE PROCEDURE is refused"),
        ("DELETE FROM bookmarks", "DELETE is refused"),
        ("REPLACE INTO bookmarks VALUES (1)", "REPLACE is refused"),
        ("INSERT INTO bookmarks VALUES (1)", "INSERT is refused"),
        ("LOAD DATA INFILE 'x' INTO TABLE bookmarks", "LOAD is refused"),
        ("CALL x()", "CALL is refused"),
        ("SELECT 1", "SELECT is refused"),
        ("SHUTDOWN", "SHUTDOWN is refused"),
        ("FROBNICATE", "FROBNICATE is refused"),
        ("ALTER TABLE bookmarks ADD COLUMN x INT", "ALGORITHM and LOCK must be stated"),
        ("ALTER TABLE bookmarks ADD COLUMN x INT, ALGORITHM=DEFAULT", "ALGORITHM and LOCK must be stated"),
        ("ALTER TABLE bookmarks ADD COLUMN x INT, ALGORITHM=INPLACE", "ALGORITHM and LOCK must be stated"),
        ("ALTER TABLE bookmarks ADD COLUMN x INT, ALGORITHM=COPY", "ALGORITHM and LOCK must be stated"),
        ("ALTER TABLE bookmarks ADD COLUMN x INT, ALGORITHM=INSTANT, ALGORITHM=COPY", "stated twice"),
        ("CREATE INDEX x ON bookmarks (note)", "ALGORITHM and LOCK must be stated"),
        ("ALTER TABLE bookmarks RENAME TO b, ALGORITHM=INSTANT", "RENAME is refused"),
        ("ALTER TABLE bookmarks RENAME COLUMN note TO n, ALGORITHM=INSTANT", "RENAME is refused"),
        ("ALTER TABLE bookmarks CHANGE note n TEXT, ALGORITHM=INSTANT", "CHANGE is refused"),
        (
            "ALTER TABLE bookmarks ADD CONSTRAINT x FOREIGN KEY (user_id) REFERENCES users (id), ALGORITHM=INPLACE, LOCK=NONE",
            "a foreign key is refused",
        ),
        (
            "ALTER TABLE bookmarks ADD COLUMN x BIGINT UNSIGNED REFERENCES users (id), ALGORITHM=INSTANT",
            "a foreign key is refused",
        ),
        ("ALTER TABLE bookmarks DROP FOREIGN KEY x, ALGORITHM=INPLACE, LOCK=NONE", "DROP FOREIGN KEY is refused"),
        ("ALTER TABLE bookmarks TRUNCATE PARTITION p, ALGORITHM=INPLACE, LOCK=NONE", "TRUNCATE PARTITION is refused"),
        ("ALTER TABLE bookmarks DISCARD TABLESPACE, ALGORITHM=INPLACE, LOCK=NONE", "DISCARD TABLESPACE is refused"),
        ("ALTER TABLE bookmarks ENGINE=MyISAM, ALGORITHM=COPY, LOCK=SHARED", "ENGINE is refused"),
        (
            "ALTER TABLE bookmarks DROP PRIMARY KEY, ADD PRIMARY KEY (id), ALGORITHM=INPLACE, LOCK=NONE",
            "a primary key is refused",
        ),
        ("ALTER TABLE bookmarks CONVERT TO CHARACTER SET utf8mb4, ALGORITHM=COPY, LOCK=SHARED", "CONVERT is refused"),
        ("ALTER TABLE bookmarks ADD COLUMN (x INT), ALGORITHM=INSTANT", "in parentheses"),
        ("ALTER TABLE other.bookmarks ADD COLUMN x INT, ALGORITHM=INSTANT", "another schema"),
        ("UPDATE bookmarks SET label = 1", "again and again"),
        ("UPDATE bookmarks SET label = 1 WHERE label IS NULL", "again and again"),
        ("UPDATE bookmarks SET label = 1 WHERE label IS NULL LIMIT 1000000", "LIMIT with a number from 1 to 10000"),
        ("UPDATE IGNORE bookmarks SET label = 1 WHERE label IS NULL LIMIT 10", "UPDATE IGNORE is refused"),
        ("UPDATE bookmarks, users SET label = 1 WHERE label IS NULL LIMIT 10", "again and again"),
        ("UPDATE bookmarks SET label = GET_LOCK('x', 1) WHERE label IS NULL LIMIT 10", "GET_LOCK is refused"),
        ("UPDATE bookmarks SET label = @x := 1 WHERE label IS NULL LIMIT 10", "the variable @x is refused"),
        (
            "UPDATE /*+ SET_VAR(foreign_key_checks=0) */ bookmarks SET label = 1 WHERE label IS NULL LIMIT 10",
            "SET_VAR is refused",
        ),
        (
            "ALTER TABLE bookmarks /*!50000 DROP COLUMN note, */ ADD COLUMN x INT, ALGORITHM=INSTANT",
            "which the server executes, is refused",
        ),
        (
            "DELIMITER //\nALTER TABLE bookmarks ADD COLUMN x INT, ALGORITHM=INSTANT; DROP TABLE users//",
            "a second statement is refused",
        ),
    ] {
        for field in ["up", "down"] {
            let content = match field {
                "up" => sql(statement, DROP, NONE),
                _ => sql(ADD, statement, NONE),
            };
            let found = problems(content);
            let path = format!("spec.typeFixes[0].sql.{field}: line ");
            assert!(
                found.iter().any(|problem| problem.starts_with(&path) && problem.contains(told)),
                "{statement}: {found:#?}"
            );
        }
    }
}

#[test]
fn a_step_whose_way_back_would_not_lead_back_is_refused() {
    let offline = "ALTER TABLE bookmarks DROP COLUMN label, ALGORITHM=COPY, LOCK=SHARED";
    for (up, down, path, told) in [
        ("", DROP, "up", "there is no statement"),
        (ADD, "", "down", "0 statements take back 1 changes"),
        (ADD, &*format!("{DROP}; {DROP}"), "down", "2 statements take back 1 changes"),
        (&*format!("{ADD}; {FILL}"), &*format!("{DROP}; {FILL}"), "down", "an UPDATE is refused"),
        (ADD, "ALTER TABLE users DROP COLUMN label, ALGORITHM=INSTANT", "down", "it changes shop.users"),
        (ADD, "ALTER TABLE bookmarks DROP COLUMN note, ALGORITHM=INSTANT", "down", "it must drop shop.bookmarks.label"),
        (
            ADD,
            "ALTER TABLE bookmarks DROP COLUMN label, DROP note, ALGORITHM=INSTANT",
            "down",
            "does not add: values that were there",
        ),
        (
            ADD,
            "ALTER TABLE bookmarks DROP COLUMN label, ADD COLUMN x INT, ALGORITHM=INSTANT",
            "down",
            "it adds a column",
        ),
        (ADD, offline, "down", "{hazard: OfflineInverse, table: bookmarks}"),
        ("ALTER TABLE bookmarks DROP COLUMN note, ALGORITHM=INSTANT", ADD, "up", "its values would be gone"),
        (
            "ALTER TABLE bookmarks MODIFY email VARCHAR(10), ALGORITHM=COPY, LOCK=SHARED",
            "ALTER TABLE bookmarks MODIFY email VARCHAR(50), ALGORITHM=COPY, LOCK=SHARED",
            "up",
            "use modifyColumn",
        ),
        (&*ADD.replace("label", "note"), &*DROP.replace("label", "note"), "up", "exists already"),
        ("UPDATE bookmarks SET note = 1 WHERE note IS NULL LIMIT 10", "", "up", "overwritten for good"),
        (
            "ALTER TABLE nowhere ADD COLUMN label INT, ALGORITHM=INSTANT",
            "ALTER TABLE nowhere DROP COLUMN label, ALGORITHM=INSTANT",
            "up",
            "does not exist",
        ),
    ] {
        let found = problems(sql(up, down, NONE));
        let path = format!("spec.typeFixes[0].sql.{path}: ");
        assert!(
            found.iter().any(|problem| problem.starts_with(&path) && problem.contains(told)),
            "{up} / {down}: {found:#?}"
        );
    }
    let mut acknowledged = sql(ADD, offline, NONE);
    acknowledged["acknowledge"] = json!([{"hazard": "OfflineInverse", "table": "bookmarks"}]);
    assert_eq!(problems(acknowledged), [] as [String; 0]);
    let mut named = sql(ADD, DROP, NONE);
    named["typeFixes"][0]["table"] = json!("users");
    assert!(problems(named).iter().any(|problem| problem.starts_with("spec.typeFixes[0].table: ")));
}

#[test]
fn an_update_keeps_what_the_server_would_move_by_itself_and_asks_about_triggers() {
    let mut moving = catalogue();
    let table = moving.tables.get_mut("shop.bookmarks").unwrap();
    table.columns.push(Column { extra: "on update CURRENT_TIMESTAMP".to_owned(), ..column("changed datetime?") });
    table.triggers.push("watch".to_owned());
    let content = |fill: &str| sql(&format!("{ADD};{fill}"), DROP, NONE);
    let told = |fill: &str| {
        build(&spec(content(fill)), &moving).unwrap_err().into_iter().map(|problem| problem.message).collect::<Vec<_>>()
    };
    let found = told(FILL);
    assert!(found.iter().any(|message| message.contains("add `changed` = `changed` to SET")), "{found:?}");
    assert!(found.iter().any(|message| message.contains("watch")), "{found:?}");
    let kept =
        told("UPDATE bookmarks SET label = 'a', bookmarks.changed = bookmarks.`changed` WHERE label IS NULL LIMIT 9");
    assert_eq!(kept.len(), 1, "{kept:?}");
}

#[test]
fn verify_is_one_statement_that_only_reads() {
    for (verify, told) in [
        ("DELETE FROM bookmarks", "must be a SELECT"),
        ("SELECT 1; SELECT 2", "holds 2 statements"),
        ("-- nothing", "holds 0 statements"),
        ("SELECT 1 INTO OUTFILE '/tmp/x'", "may not write"),
        ("SELECT 1 FROM users FOR UPDATE", "may not lock"),
        ("SELECT 1 FROM users LOCK IN SHARE MODE", "may not lock"),
        ("SELECT 'a", "line 1, column 8: what begins with ' has no end"),
    ] {
        let found = problems(sql(ADD, DROP, verify));
        assert!(
            found.iter().any(|problem| problem.starts_with("spec.typeFixes[0].sql.verify: ") && problem.contains(told)),
            "{verify}: {found:?}"
        );
    }
    assert_eq!(
        problems(sql(ADD, DROP, "WITH x AS (SELECT 1) SELECT * FROM x WHERE 'INTO' = `FOR`.`UPDATE`")),
        [] as [String; 0]
    );
}
