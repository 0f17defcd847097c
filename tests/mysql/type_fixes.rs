//! Type fixes by the engine: a change is seen in all that it changes, and taken back in the time that it needs.

use std::time::Duration;

use holdfast::mysql::report::{MigrationOutcome, UndoReport};
use holdfast::mysql::session::Session;
use holdfast::mysql::{Cause, Progress, SessionLimits, Stop, catalogue::read_catalogue};
use holdfast::plan::model::LockClass;
use holdfast::plan::{Plan, Section, build, input};
use serde_json::{Value, json};

use crate::common::target;
use crate::database::{Database, PATIENCE, run_section};
use crate::planning::spec;

async fn plan(database: &Database, content: Value) -> Plan {
    let spec = spec(&database.schema, content);
    let mut connection = target().connect(SessionLimits::default()).await.unwrap();
    let tables = input::tables(&spec).unwrap();
    let catalogue = read_catalogue(&mut connection, &database.schema, &tables).await.unwrap();
    build(&spec, &catalogue).unwrap()
}

async fn undo(session: &Session) -> UndoReport {
    let (progress, _reading) = Progress::new();
    let undone = tokio::time::timeout(PATIENCE, session.undo(&progress, &Stop::default())).await;
    undone.expect("the undoing ends in time").unwrap()
}

fn modify(column: &str, column_type: &str) -> Value {
    json!({"name": column, "table": "t", "modifyColumn": {"name": column, "type": column_type}})
}

#[tokio::test]
async fn a_collation_or_the_case_of_a_member_is_changed_seen_and_taken_back() {
    let database = Database::fresh(
        "collation_alone",
        &["CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_swedish_ci NOT NULL, \
             b VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_bin NULL, \
             e ENUM('New','old') CHARACTER SET latin1 COLLATE latin1_bin NULL)"],
    )
    .await;
    let content = json!({
        "typeFixes": [
            modify("a", "VARCHAR(20) COLLATE latin1_bin"),
            modify("b", "VARCHAR(20) COLLATE utf8mb4_bin"),
            modify("e", "ENUM('new','old')"),
        ],
    });
    let plan = plan(&database, content).await;
    let before = database.definition(&database.table("t")).await;
    let session = database.engine().begin("shop/first", &plan).await.unwrap();
    let report = run_section(&session, Section::FixTypes).await.unwrap();
    assert_eq!(report.operations.len(), 3);
    let after = database.definition(&database.table("t")).await;
    for part in
        ["`a` varchar(20) CHARACTER SET latin1 COLLATE latin1_bin NOT NULL", "COLLATE utf8mb4_bin", "enum('new','old')"]
    {
        assert!(after.contains(part), "{part} is not in {after}");
    }
    let again = run_section(&session, Section::FixTypes).await.unwrap();
    assert!(again.operations.iter().all(|operation| operation.found_done), "{again:?}");
    database.run(&["ALTER TABLE t MODIFY a VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_general_ci NOT NULL"]).await;
    let error = run_section(&session, Section::FixTypes).await.unwrap_err();
    assert_eq!(error.cause, Cause::Drifted, "{error}");
    assert!(error.message.contains("latin1_general_ci"), "{error}");
    database.run(&["ALTER TABLE t MODIFY a VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_bin NOT NULL"]).await;
    assert_eq!(undo(&session).await.undone.len(), 3);
    assert_eq!(database.definition(&database.table("t")).await, before);
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
}

#[tokio::test]
async fn a_way_back_that_copies_has_the_time_that_a_copy_takes() {
    let database = Database::fresh(
        "inverse_copies",
        &[
            "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, c VARCHAR(20) NOT NULL, filling VARCHAR(200) NOT NULL)",
            "INSERT INTO t (c, filling) VALUES ('a', REPEAT('x', 200))",
        ],
    )
    .await;
    for _ in 0..16 {
        database.run(&["INSERT INTO t (c, filling) SELECT c, filling FROM t"]).await;
    }
    let content = json!({
        "typeFixes": [modify("c", "VARCHAR(30)")],
        "acknowledge": [{"hazard": "OfflineInverse", "table": "t"}],
    });
    let plan = plan(&database, content).await;
    assert_eq!(plan.operations[0].lock, LockClass::Metadata);
    assert_eq!(plan.operations[0].inverse_cost().lock, LockClass::Copy);
    let before = database.definition(&database.table("t")).await;
    let mut engine = database.engine();
    // Far less than the copy of 65,536 rows takes: no lock is waited for, so nothing may end it.
    engine.settings.lock_timeout = Duration::from_millis(20);
    let session = engine.begin("shop/first", &plan).await.unwrap();
    run_section(&session, Section::FixTypes).await.unwrap();
    undo(&session).await;
    assert_eq!(database.definition(&database.table("t")).await, before);
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
}
