//! Filling a column: only what is certain, and only when enough of it is.

use holdfast::mysql::Cause;
use holdfast::plan::model::Action;
use holdfast::plan::{Operation, Section};

use crate::common::identifier as id;
use crate::database::Database;
use crate::rows::{rows_operation, run, undo};

const LOGS: &[&str] = &[
    "CREATE TABLE agencies (id INT PRIMARY KEY, name VARCHAR(20))",
    "CREATE TABLE logs (id INT PRIMARY KEY, agency VARCHAR(20), agency_id INT NULL)",
    "INSERT INTO agencies VALUES (1, 'one'), (2, 'two'), (3, 'twice'), (4, 'twice'), (5, NULL)",
    "INSERT INTO logs VALUES (1, 'one', NULL), (2, 'two', NULL), (3, 'twice', NULL), (4, 'none', NULL), (5, NULL, NULL), (6, 'one', 99)",
];

fn backfill(database: &Database, max_unmapped: u64) -> Operation {
    let action = Action::Backfill {
        table: database.table("logs"),
        column: id("agency_id"),
        lookup_table: database.table("agencies"),
        matches: vec![(id("agency"), id("name"))],
        take: id("id"),
        max_unmapped,
    };
    rows_operation("fill", Section::FixTypes, action)
}

#[tokio::test]
async fn ambiguous_and_missing_values_are_counted_and_never_guessed() {
    let database = Database::fresh("backfill", LOGS).await;
    let before = database.checksum("logs").await;
    let session = database.session(vec![backfill(&database, 3)]).await;
    let report = run(&session, Section::FixTypes, None).await.unwrap();
    assert_eq!(
        (report.total, report.mapped, report.unmapped, report.ambiguous, report.values_changed),
        (Some(5), Some(2), Some(3), Some(1), 2)
    );
    assert_eq!(database.number("SELECT COUNT(*) FROM logs WHERE agency_id IS NULL").await, 3);
    assert_eq!(database.number("SELECT agency_id FROM logs WHERE id = 6").await, 99);
    // The column was there before, so undo empties what was filled.
    undo(&session).await.unwrap();
    assert_eq!(database.checksum("logs").await, before);
    session.release().await.unwrap();
}

#[tokio::test]
async fn too_many_unmapped_rows_are_named_before_any_is_filled() {
    let database = Database::fresh("backfill_unmapped", LOGS).await;
    let session = database.session(vec![backfill(&database, 2)]).await;
    let error = run(&session, Section::FixTypes, None).await.unwrap_err();
    assert_eq!(error.cause, Cause::UnmappedRows);
    assert!(error.message.contains("4; 5") && error.message.contains("several (primary keys: 3)"), "{error}");
    assert_eq!(database.number("SELECT COUNT(*) FROM logs WHERE agency_id IS NULL").await, 5);
    session.release().await.unwrap();
}

#[tokio::test]
async fn a_table_can_be_filled_from_itself() {
    let database = Database::fresh(
        "backfill_itself",
        &[
            "CREATE TABLE people (id INT PRIMARY KEY, name VARCHAR(20), boss VARCHAR(20))",
            "INSERT INTO people VALUES (1, 'one', NULL), (2, 'two', 'one'), (3, 'three', 'nobody'), (4, 'four', 'two')",
        ],
    )
    .await;
    let fill = Action::Backfill {
        table: database.table("people"),
        column: id("boss_id"),
        lookup_table: database.table("people"),
        matches: vec![(id("boss"), id("name"))],
        take: id("id"),
        max_unmapped: 2,
    };
    let operations = vec![database.add_column("people", "boss_id"), rows_operation("fill", Section::FixTypes, fill)];
    let session = database.session(operations).await;
    let report = run(&session, Section::FixTypes, None).await.unwrap();
    assert_eq!((report.mapped, report.unmapped), (Some(2), Some(2)));
    assert_eq!(database.number("SELECT SUM(id * 10 + boss_id) FROM people WHERE boss_id IS NOT NULL").await, 63);
    undo(&session).await.unwrap();
    session.release().await.unwrap();
}
