//! The way back: exactly what the migration did, and nothing else.

use std::time::Duration;

use holdfast::mysql::report::MigrationOutcome;
use holdfast::mysql::report::UndoReport;
use holdfast::mysql::session::Session;
use holdfast::mysql::{Cause, Error, Progress, Stop};
use holdfast::plan::Section;
use holdfast::plan::model::{Action, OrphanPolicy};

use crate::database::{Database, PARENT_AND_CHILD, PATIENCE, run_section};
use crate::rows::{key, rows_operation};

async fn undo(session: &Session) -> Result<UndoReport, Error> {
    let (progress, _reading) = Progress::new();
    tokio::time::timeout(PATIENCE, session.undo(&progress, &Stop::default())).await.expect("the undoing ends in time")
}

const BESIDE: &[&str] = &[
    "CREATE TABLE beside (id INT NOT NULL PRIMARY KEY, parent_id INT NULL, code INT NULL, KEY by_parent (parent_id), \
     CONSTRAINT fk_before FOREIGN KEY (parent_id) REFERENCES parent (id))",
    "INSERT INTO beside VALUES (1, 1, 11), (2, 2, 12)",
];

const ALL_BACK: [&str; 4] = ["add-key-fk_new", "add-index-by_note", "add-unique-one_code", "add-column-extra"];

async fn changed(test: &str) -> (Database, holdfast::plan::Plan, Session) {
    let database = Database::fresh(test, PARENT_AND_CHILD).await;
    database.run(BESIDE).await;
    let operations = vec![
        database.add_column("beside", "extra"),
        database.add_unique("beside", "one_code", "code"),
        database.add_index("child", "by_note", "note"),
        database.add_key("child", "parent", "fk_new", OrphanPolicy::Fail),
    ];
    let plan = database.plan(operations).await;
    let session = database.engine().begin("shop/first", &plan).await.unwrap();
    for section in [Section::FixTypes, Section::AddUniques, Section::Stage(0)] {
        run_section(&session, section).await.unwrap();
    }
    (database, plan, session)
}

#[tokio::test]
async fn undo_returns_every_table_to_its_definition_and_keeps_what_was_there_before() {
    let (database, plan, session) = changed("undo_all").await;
    for (name, before) in &plan.tables {
        let table = database.table(name.rsplit('.').next().unwrap());
        if name.ends_with("parent") {
            continue;
        }
        assert_ne!(&database.definition(&table).await, before, "{name} was not changed");
    }
    let report = undo(&session).await.unwrap();
    assert_eq!(report.undone, ALL_BACK);
    assert_eq!(report.tables_compared.len(), 3);
    for (name, before) in &plan.tables {
        assert_eq!(&database.definition(&database.table(name.rsplit('.').next().unwrap())).await, before);
    }
    assert_eq!(database.keys_named("fk_before").await, 1);
    assert!(!session.changed_anything().await.unwrap());
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
}

#[tokio::test]
async fn an_interrupted_undo_goes_on_where_it_stopped() {
    let (database, plan, session) = changed("undo_resumed").await;
    drop(session);
    // As if the process had died after the first inverse statement and before its record.
    database.run(&["ALTER TABLE child DROP FOREIGN KEY fk_new"]).await;
    let session = loop {
        match database.engine().begin("shop/first", &plan).await {
            Ok(session) => break session,
            Err(error) => assert_eq!(error.cause, Cause::LockHeld, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let report = undo(&session).await.unwrap();
    assert_eq!(report.undone.len(), 4);
    assert_eq!(undo(&session).await.unwrap().undone.len(), 0, "a second undo finds nothing to take back");
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
}

#[tokio::test]
async fn what_somebody_else_changed_is_left_alone_and_listed() {
    let (database, _plan, session) = changed("undo_foreign").await;
    database.run(&["ALTER TABLE parent ADD COLUMN somebody_elses INT NULL"]).await;
    let error = undo(&session).await.unwrap_err();
    assert_eq!(error.cause, Cause::RollbackIncomplete);
    assert!(error.message.contains("parent") && error.message.contains("somebody_elses"), "{error}");
    assert!(error.left.len() == 1 && error.left[0].what.contains("somebody_elses"), "{:?}", error.left);
    assert_eq!(database.keys_named("fk_new").await, 0, "the migration's own changes are taken back");
    database.run(&["ALTER TABLE parent DROP COLUMN somebody_elses"]).await;
    undo(&session).await.unwrap();
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
}

#[tokio::test]
async fn a_reader_that_blocks_the_inverse_is_named_and_the_next_undo_succeeds() {
    let (database, _plan, session) = changed("undo_blocked").await;
    let mut reader = database.application().await;
    // Of the child: MariaDB does not wait for readers of the parent.
    reader.run("BEGIN").await.unwrap();
    reader.run("SELECT COUNT(*) FROM child").await.unwrap();
    let error = undo(&session).await.unwrap_err();
    assert_eq!(error.cause, Cause::RollbackIncomplete, "{error}");
    assert!(
        error.message.contains(&format!("connection {} ", reader.id)),
        "{error} does not name connection {}",
        reader.id
    );
    let left: Vec<_> = error.left.iter().map(|left| (left.operation.as_deref(), left.inverse.as_deref())).collect();
    assert_eq!(left.iter().map(|(id, _)| id.unwrap()).collect::<Vec<_>>(), ALL_BACK);
    assert!(left[0].1.unwrap().contains("DROP FOREIGN KEY `fk_new`"), "{left:?}");
    reader.run("COMMIT").await.unwrap();
    undo(&session).await.unwrap();
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
}

#[tokio::test]
async fn a_row_that_an_older_key_keeps_out_returns_once_that_key_is_gone() {
    let database = Database::fresh("undo_older_key", PARENT_AND_CHILD).await;
    database.run(&["UPDATE child SET note = IF(id = 7, 500, NULL)"]).await;
    let parent = database.number("SELECT parent_id FROM child WHERE id = 7").await;
    let later = key(&database, "fk_later", ("child", &["note"]), ("parent", &["id"]));
    let remove = Action::RemoveOrphans { key: later, policy: OrphanPolicy::Delete };
    let operations = vec![
        database.add_key("child", "parent", "fk_new", OrphanPolicy::Fail),
        rows_operation("orphans-fk_later", Section::Stage(0), remove),
    ];
    let plan = database.plan(operations).await;
    let session = database.engine().begin("shop/first", &plan).await.unwrap();
    run_section(&session, Section::Stage(0)).await.unwrap();
    // Its child is in quarantine, so that nothing of it is there to be taken along.
    database.run(&[&format!("DELETE FROM parent WHERE id = {parent}")]).await;
    let report = undo(&session).await.unwrap();
    assert_eq!(report.undone, ["add-key-fk_new", "orphans-fk_later"]);
    assert_eq!(database.number("SELECT parent_id FROM child WHERE id = 7").await, parent);
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
}
