//! Type fixes of the user's own statements: run one by one, settled after crashes at every place, verified, filled again, and taken back.

use std::time::Duration;

use holdfast::mysql::catalogue::read_catalogue;
use holdfast::mysql::report::{MigrationOutcome, SectionReport, UndoReport};
use holdfast::mysql::session::Session;
use holdfast::mysql::{Allowance, Cause, Error, Progress, Stop};
use holdfast::plan::input::tables;
use holdfast::plan::{Plan, Section, build};
use serde_json::{Value, json};

use crate::database::{Database, PARENT_AND_CHILD, PATIENCE, eventually, run_section};
use crate::planning::spec;

const UP: &str = "-- A copy of the note, as text; written by hand.\n\
    ALTER TABLE child ADD COLUMN label VARCHAR(20) NULL, ALGORITHM=INSTANT;\n\
    UPDATE child SET label = CONCAT('n;', note) WHERE label IS NULL AND note IS NOT NULL LIMIT 30;\n\
    CREATE INDEX by_label ON child (label) ALGORITHM=INPLACE LOCK=NONE;";
const DOWN: &str = "DROP INDEX by_label ON child ALGORITHM=INPLACE LOCK=NONE;\n\
    ALTER TABLE child DROP COLUMN label, ALGORITHM=INSTANT";
const VERIFY: &str = "SELECT id FROM child WHERE note IS NOT NULL AND (label IS NULL OR label <> CONCAT('n;', note))";

fn step(up: &str, down: &str, verify: &str) -> Value {
    json!({"typeFixes": [{"name": "label", "sql": {"up": up, "down": down, "verify": verify}}]})
}

async fn planned(database: &Database, content: Value) -> Plan {
    let content = serde_json::from_str(&database.served.words(&content.to_string())).unwrap();
    let spec = spec(&database.schema, content);
    let mut connection = database.application().await;
    let catalogue = read_catalogue(&mut connection, &database.schema, &tables(&spec).unwrap()).await.unwrap();
    build(&spec, &catalogue).unwrap_or_else(|problems| panic!("{problems:?}"))
}

async fn begun(test: &str, content: Value) -> (Database, Plan, Session) {
    let database = Database::fresh(test, PARENT_AND_CHILD).await;
    let plan = planned(&database, content).await;
    let session = database.engine().begin("shop/first", &plan).await.unwrap();
    (database, plan, session)
}

async fn undo(session: &Session) -> Result<UndoReport, Error> {
    let (progress, _reading) = Progress::new();
    tokio::time::timeout(PATIENCE, session.undo(&progress, &Stop::default())).await.expect("the undoing ends in time")
}

async fn undone(database: &Database, plan: &Plan, session: Session) -> UndoReport {
    let report = undo(&session).await.unwrap();
    let child = database.table("child");
    assert_eq!(database.definition(&child).await, plan.tables[&child.to_string()]);
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
    report
}

fn rows(report: &SectionReport) -> u64 {
    report.operations.iter().filter_map(|operation| operation.rows.as_ref()).map(|rows| rows.values_changed).sum()
}

async fn prove(session: &Session) -> Result<(), Error> {
    let (progress, _reading) = Progress::new();
    session.prove(&progress, &Stop::default()).await.map(|_| ())
}

#[tokio::test]
async fn statements_run_one_by_one_are_verified_and_taken_back() {
    let (database, plan, session) = begun("sql_whole", step(UP, DOWN, VERIFY)).await;
    let report = run_section(&session, Section::FixTypes).await.unwrap();
    let ids: Vec<_> = report.operations.iter().map(|operation| operation.operation.as_str()).collect();
    assert_eq!(ids, ["001-sql-label-1", "002-sql-label-2", "003-sql-label-3"]);
    assert_eq!(rows(&report), 100);
    // 30 at a time, and a last look that finds none.
    assert_eq!(report.operations[1].rows.as_ref().unwrap().rounds, 5);
    assert_eq!(database.number("SELECT COUNT(*) FROM child WHERE label = CONCAT('n;', note)").await, 100);
    prove(&session).await.unwrap();
    let again = run_section(&session, Section::FixTypes).await.unwrap();
    assert!(again.operations.iter().all(|operation| operation.found_done));

    let report = undone(&database, &plan, session).await;
    assert_eq!(report.undone, ["003-sql-label-3", "002-sql-label-2", "001-sql-label-1"]);
    assert_eq!(report.quarantined.values, 100, "what stood in the column is kept");
}

#[tokio::test]
async fn what_the_application_writes_afterwards_is_filled_by_the_last_pass() {
    let mut content = step(UP, DOWN, VERIFY);
    let backfill = json!({"name": "name", "table": "child", "addColumn": {"name": "parent_name", "type": "VARCHAR(20)", "nullable": true},
        "backfill": {"fromLookup": {"table": "parent", "match": [{"column": "parent_id", "equals": "id"}], "take": "name"}}});
    content["typeFixes"].as_array_mut().unwrap().push(backfill);
    let (database, plan, session) = begun("sql_again", content).await;
    run_section(&session, Section::FixTypes).await.unwrap();
    database.run(&["INSERT INTO child (parent_id, note) VALUES (1, 500), (2, 501), (3, 502)"]).await;
    let error = prove(&session).await.unwrap_err();
    assert_eq!(error.cause, Cause::VerificationFailed);
    assert!(error.message.contains("spec.typeFixes[0].sql.up") && error.message.contains("returns 3 rows"), "{error}");

    let report = run_section(&session, Section::FillAgain).await.unwrap();
    assert_eq!(report.operations.len(), 2);
    assert_eq!(rows(&report), 6);
    let counts = report.operations[1].rows.as_ref().unwrap();
    assert_eq!((counts.total, counts.mapped, counts.unmapped), (Some(3), Some(3), Some(0)));
    assert_eq!(database.number("SELECT COUNT(*) FROM child WHERE label IS NULL OR parent_name IS NULL").await, 0);
    prove(&session).await.unwrap();
    let report = undone(&database, &plan, session).await;
    assert!(report.undone[0].ends_with("-again-backfill-child-parent_name"), "{:?}", report.undone);
}

/// The journal as it is when the process dies after a statement and before its record.
async fn forget(database: &Database, operation: &str, later: &[&str]) {
    let operations = format!("{}.operations", database.journal.quoted());
    for other in later {
        database.run(&[&format!("DELETE FROM {operations} WHERE operation = '{other}'")]).await;
    }
    database
        .run(&[&format!("UPDATE {operations} SET state = 'Intended', report = NULL WHERE operation = '{operation}'")])
        .await;
}

#[tokio::test]
async fn a_crash_after_each_statement_is_settled_forward_and_back() {
    let ids = ["001-sql-label-1", "002-sql-label-2", "003-sql-label-3"];
    let statements: Vec<&str> = UP.split_inclusive('\n').skip(1).collect();
    for back in [false, true] {
        for place in 0..3 {
            let (database, plan, session) = begun(&format!("sql_crash_{place}_{back}"), step(UP, DOWN, VERIFY)).await;
            run_section(&session, Section::FixTypes).await.unwrap();
            session.release().await.unwrap();
            // Back to the moment after that statement.
            let later: &[&str] = match place {
                0 => &["DROP INDEX by_label ON child", "UPDATE child SET label = NULL"],
                1 => &["DROP INDEX by_label ON child", "UPDATE child SET label = NULL WHERE id > 40"],
                _ => &[],
            };
            database.run(later).await;
            forget(&database, ids[place], &ids[place + 1..]).await;
            let session = database.engine().begin("shop/first", &plan).await.unwrap();
            if back {
                undone(&database, &plan, session).await;
                continue;
            }
            let report = run_section(&session, Section::FixTypes).await.unwrap();
            assert_eq!(report.operations[place].tries, 0, "it was not run twice: {}", statements[place]);
            assert_eq!(database.number("SELECT COUNT(*) FROM child WHERE label IS NULL").await, 0);
            undone(&database, &plan, session).await;
        }
    }
}

#[tokio::test]
async fn a_session_lost_between_two_statements_is_resumed_and_undone() {
    for back in [false, true] {
        let database = Database::fresh(&format!("sql_lost_{back}"), PARENT_AND_CHILD).await;
        let plan = planned(&database, step(UP, DOWN, VERIFY)).await;
        let mut engine = database.engine();
        engine.settings.max_retries = 10_000;
        let session = engine.begin("shop/first", &plan).await.unwrap();
        let mut writer = database.application().await;
        let work = tokio::spawn(async move { run_section(&session, Section::FixTypes).await });
        // As soon as the column is there, a row is locked that the UPDATE will come to.
        let column =
            "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE() AND column_name = 'label'";
        eventually("the column", || async { database.number(column).await == 1 }).await;
        writer.run("BEGIN").await.unwrap();
        writer.run("UPDATE child SET parent_id = 1 WHERE id = 100").await.unwrap();
        let some = "SELECT COUNT(*) FROM child WHERE label IS NOT NULL";
        eventually("the first batches", || async { database.number(some).await >= 90 }).await;
        work.abort();
        let aborted = work.await;
        writer.run("COMMIT").await.unwrap();
        assert!(aborted.is_err_and(|error| error.is_cancelled()), "the work had not ended");
        eventually("the fence to be free", || async { engine.fence_holder(&database.schema).await.unwrap().is_none() })
            .await;
        let session = engine.begin("shop/first", &plan).await.unwrap();
        if !back {
            run_section(&session, Section::FixTypes).await.unwrap();
            assert_eq!(database.number(some).await, 100);
        }
        undone(&database, &plan, session).await;
    }
}

#[tokio::test]
async fn a_verify_that_returns_rows_fails_the_step_and_the_way_back_is_open() {
    let verify = "SELECT id FROM child WHERE label IS NOT NULL LIMIT 7";
    let (database, plan, session) = begun("sql_verify", step(UP, DOWN, verify)).await;
    let error = run_section(&session, Section::FixTypes).await.unwrap_err();
    assert_eq!(error.cause, Cause::VerificationFailed);
    assert!(error.message.contains("returns 7 rows"), "{error}");
    assert_eq!(undone(&database, &plan, session).await.undone.len(), 3);
}

#[tokio::test]
async fn a_verify_writes_nothing_even_through_a_function() {
    let function = "CREATE FUNCTION spoil() RETURNS INT MODIFIES SQL DATA BEGIN DELETE FROM child; RETURN 1; END";
    let database = Database::fresh("sql_reads", PARENT_AND_CHILD).await;
    database.run(&["SET GLOBAL log_bin_trust_function_creators = 1", function]).await;
    let plan = planned(&database, step(UP, DOWN, "SELECT 1 FROM parent WHERE spoil() = 2")).await;
    let session = database.engine().begin("shop/first", &plan).await.unwrap();
    let error = run_section(&session, Section::FixTypes).await.unwrap_err();
    assert_eq!(error.code, Some(1792), "{error}");
    assert_eq!(database.number("SELECT COUNT(*) FROM child").await, 100);
    undone(&database, &plan, session).await;
}

#[tokio::test]
async fn a_down_that_does_not_restore_is_named_and_the_rollback_is_not_complete() {
    let up = "ALTER TABLE child ALTER COLUMN note SET DEFAULT 5, ALGORITHM=INSTANT";
    let down = "ALTER TABLE child ALTER COLUMN note SET DEFAULT 6, ALGORITHM=INSTANT";
    let (database, plan, session) = begun("sql_wrong_down", step(up, down, "SELECT 1 FROM child WHERE FALSE")).await;
    run_section(&session, Section::FixTypes).await.unwrap();
    let error = undo(&session).await.unwrap_err();
    assert_eq!(error.cause, Cause::RollbackIncomplete);
    let shown = if database.served.mariadb { "DEFAULT 6" } else { "DEFAULT '6'" };
    assert!(error.message.contains(shown) && error.message.contains("child"), "{error}");
    database.run(&["ALTER TABLE child ALTER COLUMN note SET DEFAULT NULL"]).await;
    undone(&database, &plan, session).await;
}

#[tokio::test]
async fn an_update_that_comes_to_no_end_or_locks_for_too_long_is_given_up() {
    let add = "ALTER TABLE child ADD COLUMN label VARCHAR(20) NULL, ALGORITHM=INSTANT";
    let drop = "ALTER TABLE child DROP COLUMN label, ALGORITHM=INSTANT";
    for (test, update, cause, told) in [
        (
            "endless",
            "UPDATE child SET label = NULL WHERE label IS NULL LIMIT 10",
            Cause::UnmappedRows,
            "again and again (10 so far, 0 of the last 10 changed)",
        ),
        (
            "slow",
            "UPDATE child SET label = SLEEP(0.4) WHERE label IS NULL LIMIT 10",
            Cause::RetriesExhausted,
            "lower its LIMIT",
        ),
    ] {
        let content = step(&format!("{add}; {update}"), drop, "SELECT 1 FROM child WHERE FALSE");
        let (database, plan, session) = begun(&format!("sql_{test}"), content).await;
        let error = run_section(&session, Section::FixTypes).await.unwrap_err();
        assert_eq!(error.cause, cause, "{error}");
        assert!(error.message.contains(told), "{error}");
        assert_eq!(database.number("SELECT COUNT(*) FROM child WHERE label IS NOT NULL").await, 0);
        undone(&database, &plan, session).await;
    }
}

#[tokio::test]
async fn a_copy_waits_for_the_approval_that_allows_it() {
    let up = "ALTER TABLE child ADD COLUMN twice INT AS (note * 2) STORED, ALGORITHM=COPY, LOCK=SHARED";
    let down = "ALTER TABLE child DROP COLUMN twice, ALGORITHM=COPY, LOCK=SHARED";
    let (database, plan, session) = begun("sql_copy", step(up, down, "SELECT 1 FROM child WHERE FALSE")).await;
    let (progress, _reading) = Progress::new();
    let before = database.definition(&database.table("child")).await;
    let error = session.run(Section::FixTypes, Allowance::default(), &progress, &Stop::default()).await.unwrap_err();
    assert_eq!(error.cause, Cause::ApprovalExceeded, "{error}");
    assert_eq!(database.definition(&database.table("child")).await, before);
    run_section(&session, Section::FixTypes).await.unwrap();
    undone(&database, &plan, session).await;
}

#[tokio::test]
async fn a_second_statement_that_the_look_missed_is_refused_by_the_server() {
    let (database, mut plan, session) = begun("sql_second", step(UP, DOWN, VERIFY)).await;
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
    for operation in &mut plan.operations {
        operation.forward = operation.forward.as_ref().map(|statement| format!("{statement}; DROP TABLE parent"));
    }
    plan.digest.push_str("-other");
    let session = database.engine().begin("shop/first", &plan).await.unwrap();
    let error = run_section(&session, Section::FixTypes).await.unwrap_err();
    assert_eq!(error.code, Some(1064), "{error}");
    assert_eq!(database.number("SELECT COUNT(*) FROM parent").await, 10);
    undone(&database, &plan, session).await;
}

#[tokio::test]
async fn what_somebody_else_changes_after_a_statement_is_drift_and_the_statements_own_change_is_not() {
    let mut content = step(UP, DOWN, VERIFY);
    content["uniqueConstraints"] = json!([{"name": "one_name", "table": "parent", "columns": ["name"]},
        {"name": "one_label", "table": "child", "columns": ["label", "id"]}]);
    let (database, plan, session) = begun("sql_drift", content).await;
    run_section(&session, Section::FixTypes).await.unwrap();
    database.run(&["ALTER TABLE child ADD COLUMN theirs INT NULL"]).await;
    let error = run_section(&session, Section::AddUniques).await.unwrap_err();
    assert_eq!(error.cause, Cause::Drifted);
    assert!(error.message.contains("`theirs`") && !error.message.contains("`label`"), "{error}");
    database.run(&["ALTER TABLE child DROP COLUMN theirs", "ALTER TABLE child MODIFY label VARCHAR(30) NULL"]).await;
    let error = run_section(&session, Section::AddUniques).await.unwrap_err();
    assert!(error.message.contains("`label` varchar(30)"), "{error}");
    database.run(&["ALTER TABLE child MODIFY label VARCHAR(20) NULL"]).await;
    run_section(&session, Section::AddUniques).await.unwrap();
    undone(&database, &plan, session).await;
}

#[tokio::test]
async fn a_reader_in_the_way_is_named_and_waited_for_without_holding_others_up() {
    let (database, plan, session) = begun("sql_blocked", step(UP, DOWN, VERIFY)).await;
    let mut reader = database.application().await;
    reader.run("BEGIN").await.unwrap();
    reader.run("SELECT COUNT(*) FROM child").await.unwrap();
    let error = run_section(&session, Section::FixTypes).await.unwrap_err();
    assert_eq!(error.cause, Cause::RetriesExhausted);
    assert!(error.message.contains(&format!("connection {} ", reader.id)), "{error}");
    reader.run("COMMIT").await.unwrap();
    tokio::time::timeout(Duration::from_secs(60), run_section(&session, Section::FixTypes)).await.unwrap().unwrap();
    undone(&database, &plan, session).await;
}
