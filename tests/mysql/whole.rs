//! Rows and schema together: orphans and duplicates that appear while a key or constraint is added go to quarantine, and the way
//! back returns them after the key is gone.

use holdfast::mysql::report::{MigrationOutcome, UndoReport};
use holdfast::mysql::session::Session;
use holdfast::mysql::{Cause, Error, Progress, Stop};
use holdfast::plan::model::{Action, DuplicatePolicy, Estimate, LockClass, OrphanPolicy};
use holdfast::plan::{Operation, Section};

use crate::common::identifier as id;
use crate::database::{Database, PARENT_AND_CHILD, PATIENCE, run_section, run_stage_during_deletion};

async fn undo(session: &Session) -> Result<UndoReport, Error> {
    let (progress, _reading) = Progress::new();
    tokio::time::timeout(PATIENCE, session.undo(&progress, &Stop::default())).await.expect("the undoing ends in time")
}

#[tokio::test]
async fn stragglers_go_to_quarantine_and_come_back_after_the_key_is_gone() {
    let database = Database::fresh("whole_stragglers", PARENT_AND_CHILD).await;
    let mut engine = database.engine();
    engine.settings.max_retries = 100;
    let plan = database.plan(vec![database.add_key("child", "parent", "fk_whole", OrphanPolicy::Delete)]).await;
    let session = engine.begin("shop/first", &plan).await.unwrap();
    let report = run_stage_during_deletion(&database, &session).await;
    let rows = report.unwrap().operations[0].rows.clone().expect("rows were removed");
    assert_eq!(rows.rows_removed, 10);
    assert_eq!(database.number("SELECT COUNT(*) FROM child").await, 90);
    let (progress, _reading) = Progress::new();
    assert_eq!(session.prove(&progress, &Stop::default()).await.unwrap().keys.len(), 1);

    let undone = undo(&session).await.unwrap();
    assert_eq!(undone.undone, ["add-key-fk_whole", "add-key-fk_whole-stragglers"]);
    assert_eq!(undone.restored["add-key-fk_whole-stragglers"].rows_restored, 10);
    assert_eq!(database.number("SELECT COUNT(*) FROM child").await, 100);
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
}

fn remove_duplicates(database: &Database) -> Operation {
    Operation {
        id: "remove-duplicates".to_owned(),
        section: Section::CleanUp,
        action: Action::RemoveDuplicates {
            table: database.table("child"),
            columns: vec![id("note")],
            policy: DuplicatePolicy::KeepNewest,
            order_by: id("id"),
            dependents: vec![],
        },
        forward: None,
        inverse: None,
        lock: LockClass::Batched,
        estimate: Estimate::default(),
        inverse_cost: None,
        path: "spec.uniqueConstraints[0]".to_owned(),
    }
}

#[tokio::test]
async fn duplicates_that_come_after_the_cleanup_are_removed_while_the_constraint_is_added_and_come_back() {
    let database = Database::fresh("whole_duplicates", PARENT_AND_CHILD).await;
    database.run(&["UPDATE child SET note = id", "UPDATE child SET note = 1 WHERE id = 2"]).await;
    let rows = database.number("SELECT COUNT(*) FROM child").await;
    let plan =
        database.plan(vec![remove_duplicates(&database), database.add_unique("child", "one_note", "note")]).await;
    let session = database.engine().begin("shop/first", &plan).await.unwrap();
    let cleaned = run_section(&session, Section::CleanUp).await.unwrap();
    assert_eq!(cleaned.rows_touched(), 1);
    database.run(&["INSERT INTO child (parent_id, note) VALUES (1, 50)"]).await;
    let added = run_section(&session, Section::AddUniques).await.unwrap();
    assert_eq!(added.rows_touched(), 1);
    assert_eq!(database.number("SELECT COUNT(*) FROM child").await, rows - 1);

    let undone = undo(&session).await.unwrap();
    assert_eq!(undone.undone, ["add-unique-one_note", "add-unique-one_note-duplicates-1", "remove-duplicates"]);
    assert_eq!(database.number("SELECT COUNT(*) FROM child").await, rows + 1);
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
}

#[tokio::test]
async fn a_quarantined_row_whose_key_was_taken_stays_listed_until_it_can_return() {
    let database = Database::fresh("whole_conflict", PARENT_AND_CHILD).await;
    database.run(&["UPDATE child SET note = id", "UPDATE child SET note = 1 WHERE id = 2"]).await;
    let plan = database.plan(vec![remove_duplicates(&database)]).await;
    let session = database.engine().begin("shop/first", &plan).await.unwrap();
    run_section(&session, Section::CleanUp).await.unwrap();
    database.run(&["INSERT INTO child (id, parent_id, note) VALUES (1, 1, 5000)"]).await;
    for _ in 0..2 {
        let error = undo(&session).await.unwrap_err();
        assert_eq!(error.cause, Cause::RollbackIncomplete);
        assert!(error.message.contains("remove-duplicates"), "{error}");
        assert!(session.changed_anything().await.unwrap());
    }
    database.run(&["DELETE FROM child WHERE id = 1"]).await;
    undo(&session).await.unwrap();
    assert_eq!(database.number("SELECT note FROM child WHERE id = 1").await, 1);
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
}
