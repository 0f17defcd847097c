//! Names of every kind that MySQL accepts, from the catalogue through a plan and the whole engine and back.

use std::collections::BTreeSet;

use holdfast::mysql::catalogue::read_for_planning;
use holdfast::mysql::report::MigrationOutcome;
use holdfast::mysql::{Connection, SessionLimits};
use holdfast::mysql::{Progress, Stop};
use holdfast::plan::input::tables;
use holdfast::plan::{Plan, Section, build, script};
use serde_json::json;
use sqlx::Row;

use crate::common::{identifier as id, target};
use crate::database::{Database, PARENT_AND_CHILD, run_section};
use crate::planning::spec;

#[tokio::test]
async fn names_of_every_kind_go_through_the_whole_engine_and_back() {
    let database = Database::fresh("of`d.d 'n\"日% me", &[]).await;
    let far = id(&format!("{}_f", database.schema));
    let (parent, child, column) =
        (id("select"), id(&format!("本 `.{}", "x".repeat(60))), id("order by `x`; -- \\' \" /*é名前*/ %s ?"));
    let (far_parent, far_column, key) = (id("a.b c"), id("Ключ"), id(&format!("k`{}", "x".repeat(62))));
    let mut root = target().connect(SessionLimits::default()).await.unwrap();
    for statement in [
        format!("DROP SCHEMA IF EXISTS {}", far.quoted()),
        format!("CREATE SCHEMA {}", far.quoted()),
        format!("CREATE TABLE {}.{} ({} INT PRIMARY KEY)", far.quoted(), far_parent.quoted(), far_column.quoted()),
        format!("INSERT INTO {}.{} VALUES (1), (2)", far.quoted(), far_parent.quoted()),
    ] {
        root.run(&statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    let (q_parent, q_child, q_column, q_far) = (parent.quoted(), child.quoted(), column.quoted(), far_column.quoted());
    database
        .run(&[
            &format!("CREATE TABLE {q_parent} (id INT PRIMARY KEY, `group` INT NOT NULL)"),
            &format!("CREATE TABLE {q_child} (id INT PRIMARY KEY, {q_column} INT, {q_far} INT)"),
            &format!("INSERT INTO {q_parent} VALUES (1, 1), (2, 2), (3, 2)"),
            &format!("INSERT INTO {q_child} VALUES (1, 1, 1), (2, 99, 2), (3, 2, 77), (4, NULL, NULL)"),
        ])
        .await;
    let tables_of = [database.table(parent.as_str()), database.table(child.as_str())];
    let mut before = Vec::new();
    for table in &tables_of {
        before.push(database.definition(table).await);
    }
    let content = json!({
        "typeFixes": [{"name": "fix", "table": child.as_str(), "addColumn": {"name": "a`d\"d'e d", "type": "INT", "nullable": true}}],
        "uniqueConstraints": [{"name": "u'n`ique", "table": parent.as_str(), "columns": ["group"], "duplicates": {"policy": "KeepNewest", "orderBy": "id"}}],
        "stages": [{"name": "only", "foreignKeys": [
            {"name": key.as_str(), "table": child.as_str(), "columns": [column.as_str()],
             "references": {"table": parent.as_str(), "columns": ["id"]}, "onDelete": "Cascade", "orphans": "Delete"},
            {"name": "fk far", "table": child.as_str(), "columns": [far_column.as_str()],
             "references": {"schema": far.as_str(), "table": far_parent.as_str(), "columns": [far_column.as_str()]},
             "onDelete": "SetNull", "orphans": "SetNull"},
        ]}],
    });
    let spec = spec(&database.schema, content);
    let catalogue = read_for_planning(&mut root, &database.schema, &tables(&spec).unwrap()).await.unwrap();
    let plan = build(&spec, &catalogue).unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(plan.tables.len(), 3, "{:?}", plan.tables.keys());
    assert!(script::forward_sql(&plan).contains(&key.quoted()));
    root.run("SET GLOBAL log_output = 'TABLE', GLOBAL general_log = ON").await.unwrap();
    let session = database.engine().begin("shop/names", &plan).await.unwrap();
    for section in [Section::CleanUp, Section::FixTypes, Section::AddUniques, Section::Stage(0)] {
        run_section(&session, section).await.unwrap();
    }
    let (progress, _reading) = Progress::new();
    assert_eq!(session.prove(&progress, &Stop::default()).await.unwrap().keys.len(), 2);
    // The orphan of the first key is gone, the other's value is NULL, and the duplicate's child refers to the row that stayed.
    assert_eq!(database.number(&format!("SELECT COUNT(*) FROM {q_child}")).await, 3);
    assert_eq!(
        database.number(&format!("SELECT COUNT(*) FROM {q_child} WHERE {q_column} = 3 AND {q_far} IS NULL")).await,
        1
    );
    let versions = read_for_planning(&mut root, &database.schema, &tables_of).await.unwrap();
    assert_eq!(
        versions.table(&tables_of[1]).unwrap().row_versions,
        database.served.counts_instant_changes().then_some(1),
        "the added column, found by its table's name"
    );
    session.undo(&progress, &Stop::default()).await.unwrap();
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
    let logged = logged(&mut root, &database.schema.quoted()).await;
    root.run("SET GLOBAL general_log = OFF").await.unwrap();
    assert_only_planned(&plan, &database, &logged);
    for (table, definition) in tables_of.iter().zip(before) {
        assert_eq!(database.definition(table).await, definition);
    }
    let rows = format!(
        "SELECT GROUP_CONCAT(CONCAT_WS('/', id, {q_column}, {q_far}) ORDER BY id) = '1/1/1,2/99/2,3/2/77,4' FROM {q_child}"
    );
    assert_eq!(database.number(&rows).await, 1);
    root.run(&format!("DROP SCHEMA {}", far.quoted())).await.unwrap();
}

/// Where the server keeps names of tables in lower case, a specification may spell them as it likes; elsewhere they are other tables.
#[tokio::test]
async fn tables_in_other_letters_are_found_where_the_server_takes_them_as_the_same() {
    let database = Database::fresh("other_letters", PARENT_AND_CHILD).await;
    let content = json!({"stages": [{"name": "only", "expect": [{"referencedTable": "PARENT", "atLeast": 1}], "foreignKeys": [
        {"name": "fk", "table": "Child", "columns": ["PARENT_ID"], "references": {"table": "Parent", "columns": ["Id"]}, "onDelete": "Restrict"},
    ]}]});
    let spec = spec(&database.schema, content);
    let mut root = target().connect(SessionLimits::default()).await.unwrap();
    let catalogue = read_for_planning(&mut root, &database.schema, &tables(&spec).unwrap()).await.unwrap();
    let planned = build(&spec, &catalogue);
    if catalogue.server.lower_case_table_names == 0 {
        let problems = planned.unwrap_err();
        assert!(problems.iter().any(|problem| problem.message.contains("does not exist")), "{problems:?}");
        return;
    }
    let plan = planned.unwrap();
    let before = database.definition(&database.table("child")).await;
    let session = database.engine().begin("shop/letters", &plan).await.unwrap();
    run_section(&session, Section::Stage(0)).await.unwrap();
    let (progress, _reading) = Progress::new();
    let proof = session.prove(&progress, &Stop::default()).await.unwrap();
    assert_eq!((proof.keys.len(), proof.expectations[0].found), (1, 1));
    session.undo(&progress, &Stop::default()).await.unwrap();
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
    assert_eq!(database.definition(&database.table("child")).await, before);
}

/// The statements that the server was sent meanwhile and that name this schema.
async fn logged(connection: &mut Connection, schema: &str) -> Vec<String> {
    let rows = sqlx::query(
        "SELECT CONVERT(argument USING utf8mb4) FROM mysql.general_log WHERE command_type IN ('Query', 'Execute') \
         AND LOCATE(?, CONVERT(argument USING utf8mb4)) > 0",
    )
    .bind(schema)
    .fetch_all(connection.raw())
    .await
    .unwrap();
    rows.iter().map(|row| row.get::<String, _>(0)).collect()
}

/// Every definition that was changed was changed by a statement of the plan, each of which ran, and rows of the plan's tables and the
/// journal's are all that was written.
fn assert_only_planned(plan: &Plan, database: &Database, logged: &[String]) {
    let planned: BTreeSet<&str> =
        plan.operations.iter().flat_map(|each| [&each.forward, &each.inverse]).flatten().map(String::as_str).collect();
    let ours: Vec<String> = plan.touched().iter().map(|table| table.quoted()).collect();
    let mut ran = BTreeSet::new();
    for statement in logged {
        for (place, _) in statement.match_indices(&format!("{}.", database.schema.quoted())) {
            assert!(
                ours.iter().any(|table| statement[place..].starts_with(table.as_str())),
                "another table: {statement}"
            );
        }
        let (first, rest) = statement.split_once(' ').unwrap();
        match first {
            "SELECT" | "SHOW" | "EXPLAIN" => {}
            // The test's own sessions.
            "USE" => {}
            "INSERT" | "UPDATE" | "DELETE" => {
                let target = rest.trim_start_matches("INTO ").trim_start_matches("t FROM ");
                let may = ours.iter().any(|table| target.starts_with(table.as_str()))
                    || target.starts_with(&database.journal.quoted());
                assert!(may, "{statement}");
            }
            _ => assert!(
                ran.insert(statement.as_str()) && planned.contains(statement.as_str()),
                "not planned: {statement}"
            ),
        }
    }
    assert_eq!(ran, planned);
}
