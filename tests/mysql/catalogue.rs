//! The catalogue as it is read from a real server.

use holdfast::mysql::catalogue::read_catalogue;
use holdfast::mysql::error::Cause;
use holdfast::plan::catalogue::ReferentialAction;

use crate::common::{identifier, in_fresh_schema};

const SAMPLE: &str = include_str!("../sample/schema.sql");

#[tokio::test]
async fn columns_indexes_triggers_and_checks_are_read_as_they_are() {
    in_fresh_schema(|fresh| async move {
        fresh
            .run(
                "CREATE TABLE parent (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, code VARCHAR(20) CHARACTER SET latin1 NOT NULL \
                 COMMENT 'not an AUTO_INCREMENT=5', UNIQUE KEY uq_code (code)) AUTO_INCREMENT = 4711;
                 CREATE TABLE child (id INT NOT NULL PRIMARY KEY, parent_id BIGINT UNSIGNED NULL, note TEXT, size INT AS (id + 1) STORED, \
                 hidden INT INVISIBLE, CONSTRAINT positive CHECK (id > 0), KEY by_note (note(10) DESC), KEY unseen (parent_id, id) INVISIBLE, \
                 CONSTRAINT fk_child FOREIGN KEY (parent_id) REFERENCES parent (id) ON DELETE SET NULL ON UPDATE CASCADE);
                 CREATE TRIGGER watch BEFORE DELETE ON child FOR EACH ROW SET @x = 1",
            )
            .await;
        let mut connection = fresh.connect().await;
        let catalogue = read_catalogue(&mut connection, &fresh.schema, &[fresh.table("child"), fresh.table("absent")]).await.unwrap();
        // The parent was not named: a key connects it.
        assert_eq!(catalogue.tables.len(), 2);
        assert!(catalogue.table(&fresh.table("absent")).is_none());
        let parent = catalogue.table(&fresh.table("parent")).unwrap();
        assert_eq!(parent.engine, "InnoDB");
        assert!(!parent.create_statement.contains("=4711"), "{}", parent.create_statement);
        assert!(parent.create_statement.contains("not an AUTO_INCREMENT=5"), "{}", parent.create_statement);
        assert_eq!(parent.primary_key(), [identifier("id")]);
        let code = parent.column(&identifier("CODE")).unwrap();
        assert_eq!((code.column_type.as_str(), code.character_set.as_deref()), ("varchar(20)", Some("latin1")));
        assert_eq!((code.character_maximum_length, code.character_octet_length), (Some(20), Some(20)));
        assert_eq!(parent.column(&identifier("id")).unwrap().extra, "auto_increment");
        let child = catalogue.table(&fresh.table("child")).unwrap();
        assert_eq!(child.triggers, ["watch"]);
        if fresh.served.has_checks() {
            assert_eq!(child.checks.len(), 1);
            assert!(child.checks[0].1.contains("`id` > 0"), "{:?}", child.checks);
        } else {
            assert_eq!(child.checks, [], "the server reads the clause and forgets it");
        }
        assert!(child.column(&identifier("size")).unwrap().generation_expression.is_some());
        let hidden = child.column(&identifier("hidden")).unwrap();
        assert_eq!(hidden.extra.contains("INVISIBLE"), fresh.served.has_invisible_columns(), "{}", hidden.extra);
        let by_note = child.indexes.iter().find(|index| index.name.as_str() == "by_note").unwrap();
        assert_eq!((by_note.parts[0].prefix, by_note.parts[0].descending), (Some(10), true));
        let unseen = child.indexes.iter().find(|index| index.name.as_str() == "unseen").unwrap();
        assert_eq!((unseen.visible, unseen.parts.len()), (false, 2));
        let key = &catalogue.foreign_keys[0];
        assert_eq!(key.columns, [identifier("parent_id")]);
        assert_eq!((key.on_delete, key.on_update), (ReferentialAction::SetNull, ReferentialAction::Cascade));
    })
    .await;
}

#[tokio::test]
async fn keys_from_other_schemas_are_seen_and_reading_twice_gives_the_same() {
    in_fresh_schema(|fresh| async move {
        fresh.run("CREATE TABLE parent (a INT, b INT, PRIMARY KEY (a, b))").await;
        let other = identifier(&format!("{}_other", fresh.schema));
        let mut connection = fresh.connect().await;
        connection
            .run(&format!(
                "CREATE SCHEMA {0}; CREATE TABLE {0}.child (x INT, y INT, CONSTRAINT fk_far FOREIGN KEY (x, y) REFERENCES {1} (a, b))",
                other.quoted(),
                fresh.table("parent").quoted()
            ))
            .await
            .unwrap();
        let first = read_catalogue(&mut connection, &fresh.schema, &[fresh.table("parent")]).await;
        let second = read_catalogue(&mut connection, &fresh.schema, &[fresh.table("parent")]).await;
        connection.run(&format!("DROP SCHEMA {}", other.quoted())).await.unwrap();
        let first = first.unwrap();
        assert_eq!(first.foreign_keys.len(), 1);
        assert_eq!(first.foreign_keys[0].parent_columns, [identifier("a"), identifier("b")]);
        assert_eq!(first.foreign_keys[0].child.schema, other);
        assert_eq!(first.tables.len(), 2);
        assert_eq!(first, second.unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_schema_that_does_not_exist_is_named() {
    in_fresh_schema(|fresh| async move {
        let mut connection = fresh.connect().await;
        let error = read_catalogue(&mut connection, &identifier("no_such_schema"), &[]).await.unwrap_err();
        assert_eq!(error.cause, Cause::InvalidSpec);
        assert!(error.message.contains("no_such_schema"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn the_sample_application_is_read_whole() {
    in_fresh_schema(|fresh| async move {
        fresh.run(SAMPLE).await;
        let names: Vec<_> = SAMPLE
            .lines()
            .filter_map(|line| line.strip_prefix("CREATE TABLE "))
            .map(|line| fresh.table(line.trim_end_matches(" (")))
            .collect();
        let mut connection = fresh.connect().await;
        let catalogue = read_catalogue(&mut connection, &fresh.schema, &names).await.unwrap();
        assert!(names.len() >= 24);
        assert_eq!(catalogue.tables.len(), names.len());
        for table in catalogue.tables.values() {
            assert!(!table.columns.is_empty() && !table.indexes.is_empty(), "{}", table.name);
            assert!(!table.create_statement.contains("AUTO_INCREMENT=1000000000"), "{}", table.create_statement);
        }
    })
    .await;
}
