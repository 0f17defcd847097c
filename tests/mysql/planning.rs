//! Plans made from a real catalogue, and their statements run forward and back on the server that they were made for.

use holdfast::api::{SchemaMigration, SchemaMigrationSpec};
use holdfast::mysql::catalogue::read_catalogue;
use holdfast::plan::input::tables;
use holdfast::plan::model::{Action, LockClass, Section};
use holdfast::plan::{Identifier, Plan, Problem, build};
use serde_json::{Value, json};

use crate::common::{Fresh, in_fresh_schema};

const SAMPLE: &str = include_str!("../sample/schema.sql");
const MIGRATION: &str = include_str!("../../deploy/sample/migration.yaml");

/// The sample's specification with other content, for the test's schema.
pub(crate) fn spec(schema: &Identifier, content: Value) -> SchemaMigrationSpec {
    let migration: SchemaMigration = serde_yaml::from_str(MIGRATION).unwrap();
    let mut spec = serde_json::to_value(migration.spec).unwrap();
    for field in ["typeFixes", "uniqueConstraints", "stages", "acknowledge"] {
        spec[field] = content.get(field).cloned().unwrap_or_else(|| json!([]));
    }
    spec["database"]["name"] = json!(schema.as_str());
    serde_json::from_value(spec).unwrap()
}

async fn plan(fresh: &Fresh, spec: &SchemaMigrationSpec) -> Result<Plan, Vec<Problem>> {
    let mut connection = fresh.connect().await;
    let catalogue = read_catalogue(&mut connection, &fresh.schema, &tables(spec)?).await.unwrap();
    build(spec, &catalogue)
}

/// Runs the schema changes of a plan as the engine does, without its care for locks.
async fn run_forward(fresh: &Fresh, plan: &Plan) {
    let mut connection = fresh.connect().await;
    connection.run("SET SESSION foreign_key_checks = 0").await.unwrap();
    for operation in &plan.operations {
        if let Some(statement) = &operation.forward {
            connection.run(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
    }
}

async fn run_back(fresh: &Fresh, plan: &Plan) {
    let mut connection = fresh.connect().await;
    for operation in plan.operations.iter().rev() {
        if let Some(statement) = &operation.inverse {
            connection.run(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
    }
}

#[tokio::test]
async fn the_sample_migration_is_planned_and_its_statements_run_forward_and_exactly_back() {
    in_fresh_schema(|fresh| async move {
        fresh.run(SAMPLE).await;
        let migration: SchemaMigration = serde_yaml::from_str(MIGRATION).unwrap();
        let mut spec = migration.spec;
        spec.database.name = fresh.schema.to_string();
        let before = plan(&fresh, &spec).await.unwrap();
        let of = |section: Section, wanted: fn(&Action) -> bool| {
            before
                .operations
                .iter()
                .filter(|operation| operation.section == section && wanted(&operation.action))
                .count()
        };
        assert_eq!(of(Section::Stage(0), |action| matches!(action, Action::AddForeignKey { .. })), 22);
        assert_eq!(of(Section::Stage(1), |action| matches!(action, Action::AddForeignKey { .. })), 23);
        assert_eq!(of(Section::AddUniques, |action| matches!(action, Action::AddUnique { .. })), 6);
        // All keys but the one on the column that a type fix adds.
        assert_eq!(of(Section::CleanUp, |action| matches!(action, Action::RemoveOrphans { .. })), 44);
        assert_eq!(of(Section::CleanUp, |action| matches!(action, Action::RemoveDuplicates { .. })), 6);
        let copies: Vec<_> = before.operations.iter().filter(|operation| operation.lock == LockClass::Copy).collect();
        assert_eq!(copies.len(), 1);
        assert_eq!(copies[0].action.table(), &fresh.table("bookmark_folders"));
        run_forward(&fresh, &before).await;
        let during = plan(&fresh, &spec).await.unwrap_err();
        assert!(
            during.iter().any(|problem| problem.message.contains("internal_agency_id exists already")),
            "{during:?}"
        );
        run_back(&fresh, &before).await;
        let after = plan(&fresh, &spec).await.unwrap();
        assert_eq!(after.tables, before.tables);
        assert_eq!(after.digest, before.digest);
    })
    .await;
}

#[tokio::test]
async fn rows_and_counters_do_not_change_the_digest_but_a_column_does() {
    in_fresh_schema(|fresh| async move {
        fresh.run("CREATE TABLE parent (id INT AUTO_INCREMENT PRIMARY KEY); CREATE TABLE child (id INT PRIMARY KEY, parent_id INT)").await;
        let spec = spec(&fresh.schema, key("child", "parent_id", "parent", "id", "Restrict"));
        let first = plan(&fresh, &spec).await.unwrap();
        fresh.run("INSERT INTO parent VALUES (), (), (); INSERT INTO child VALUES (1, 1), (2, 2); ANALYZE TABLE parent, child").await;
        assert_eq!(plan(&fresh, &spec).await.unwrap().digest, first.digest);
        fresh.run("ALTER TABLE parent ADD COLUMN note INT").await;
        assert_ne!(plan(&fresh, &spec).await.unwrap().digest, first.digest);
    })
    .await;
}

#[tokio::test]
async fn a_changed_column_keeps_every_other_attribute_forward_and_back() {
    in_fresh_schema(|fresh| async move {
        fresh
            .run(
                "CREATE TABLE t (id INT PRIMARY KEY, \
                 a INT UNSIGNED NOT NULL DEFAULT 7 COMMENT 'it''s, a \\\\ comment' INVISIBLE, \
                 b VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_bin DEFAULT (UPPER('x''y')), \
                 d ENUM('a', 'it''s') NOT NULL DEFAULT 'it''s')",
            )
            .await;
        let modify = |name: &str, column: &str, column_type: &str| json!({"name": name, "table": "t", "modifyColumn": {"name": column, "type": column_type}});
        let spec = spec(
            &fresh.schema,
            json!({
                "typeFixes": [
                    modify("a", "a", "BIGINT UNSIGNED"),
                    modify("b", "b", "VARCHAR(40)"),
                    modify("d", "d", "ENUM('a', 'it''s', 'new')"),
                ],
                "acknowledge": [{"hazard": "OfflineInverse", "table": "t"}],
            }),
        );
        let before = plan(&fresh, &spec).await.unwrap();
        let locks: Vec<_> = before.operations.iter().map(|operation| operation.lock).collect();
        assert_eq!(locks, [LockClass::Copy, LockClass::Metadata, LockClass::Metadata]);
        run_forward(&fresh, &before).await;
        let mut connection = fresh.connect().await;
        let catalogue = read_catalogue(&mut connection, &fresh.schema, &[fresh.table("t")]).await.unwrap();
        let text = &catalogue.table(&fresh.table("t")).unwrap().create_statement;
        for part in fresh.served.definitions(&[
            "`a` bigint unsigned NOT NULL DEFAULT '7' /*!80023 INVISIBLE */ COMMENT 'it''s, a \\\\ comment'",
            "`b` varchar(40) CHARACTER SET latin1 COLLATE latin1_bin DEFAULT (upper(_utf8mb4'x\\'y'))",
            "`d` enum('a','it''s','new') NOT NULL DEFAULT 'it''s'",
        ]) {
            let part = part.as_str();
            assert!(text.contains(part), "{part} is not in {text}");
        }
        run_back(&fresh, &before).await;
        assert_eq!(plan(&fresh, &spec).await.unwrap().tables, before.tables);
    })
    .await;
}

#[tokio::test]
async fn a_key_that_exists_is_adopted_and_one_that_differs_is_a_problem() {
    in_fresh_schema(|fresh| async move {
        fresh
            .run(
                "CREATE TABLE parent (id INT PRIMARY KEY); CREATE TABLE child (id INT PRIMARY KEY, parent_id INT, \
                 CONSTRAINT other_name FOREIGN KEY (parent_id) REFERENCES parent (id))",
            )
            .await;
        let same =
            plan(&fresh, &spec(&fresh.schema, key("child", "parent_id", "parent", "id", "Restrict"))).await.unwrap();
        assert_eq!((same.adopted.len(), same.operations.len()), (1, 0));
        let problems =
            plan(&fresh, &spec(&fresh.schema, key("child", "parent_id", "parent", "id", "Cascade"))).await.unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].path, "spec.stages[0].foreignKeys[0]");
        assert!(problems[0].message.contains("other_name"), "{}", problems[0]);
    })
    .await;
}

fn key(table: &str, column: &str, parent: &str, parent_column: &str, on_delete: &str) -> Value {
    json!({"stages": [{"name": "only", "foreignKeys": [{
        "name": format!("fk_{table}_{column}"), "table": table, "columns": [column],
        "references": {"table": parent, "columns": [parent_column]}, "onDelete": on_delete,
    }]}]})
}

#[tokio::test]
async fn other_kinds_of_table_are_refused() {
    in_fresh_schema(|fresh| async move {
        if !fresh.served.mariadb {
            return;
        }
        fresh
            .run(
                "CREATE TABLE parent (id INT PRIMARY KEY); CREATE SEQUENCE numbers; \
                 CREATE TABLE child (id INT PRIMARY KEY, parent_id INT) WITH SYSTEM VERSIONING",
            )
            .await;
        for (table, kind) in [("child", "SYSTEM VERSIONED"), ("numbers", "SEQUENCE")] {
            let problems = plan(&fresh, &spec(&fresh.schema, key(table, "parent_id", "parent", "id", "Cascade")))
                .await
                .unwrap_err();
            assert!(problems.iter().any(|problem| problem.message.contains(kind)), "{problems:?}");
        }
    })
    .await;
}
