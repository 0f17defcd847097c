//! Putting rows back where the application has gone on meanwhile.

use holdfast::mysql::Cause;
use holdfast::plan::model::OrphanPolicy;

use crate::database::Database;
use crate::rows::{clean, key, remove_orphans, undo};

const SCHEMA: &[&str] = &[
    "CREATE TABLE parent (id INT PRIMARY KEY)",
    "CREATE TABLE child (id INT PRIMARY KEY, parent_id INT, code VARCHAR(10), UNIQUE KEY one_code (code), KEY (parent_id))",
    "INSERT INTO child VALUES (1, 9, 'a'), (2, 9, 'b'), (3, 9, 'c')",
];

#[tokio::test]
async fn a_row_whose_key_or_unique_value_was_taken_since_stays_in_quarantine_and_is_named() {
    let database = Database::fresh("restore_conflict", SCHEMA).await;
    let fk = key(&database, "fk_child", ("child", &["parent_id"]), ("parent", &["id"]));
    let session = database.session(vec![remove_orphans(fk, OrphanPolicy::Delete)]).await;
    assert_eq!(clean(&session, None).await.unwrap().rows_removed, 3);
    database.run(&["INSERT INTO child VALUES (1, NULL, 'new'), (7, NULL, 'b')"]).await;
    let error = undo(&session).await.unwrap_err();
    assert_eq!(error.cause, Cause::RollbackIncomplete);
    assert!(error.message.contains("row (1)") && error.message.contains("row (2)"), "{error}");
    assert!(!error.message.contains("row (3)"), "{error}");
    assert_eq!(database.number("SELECT COUNT(*) FROM child WHERE code IN ('new', 'b', 'c')").await, 3);
    // The way is free again: the same call goes on from there.
    database.run(&["DELETE FROM child WHERE code IN ('new', 'b')"]).await;
    undo(&session).await.unwrap();
    assert_eq!(database.number("SELECT SUM(id) * 10 + COUNT(*) FROM child WHERE parent_id = 9").await, 63);
    session.release().await.unwrap();
}

#[tokio::test]
async fn values_that_the_application_filled_since_stay_as_they_are() {
    let database = Database::fresh("restore_values", SCHEMA).await;
    let fk = key(&database, "fk_child", ("child", &["parent_id"]), ("parent", &["id"]));
    let session = database.session(vec![remove_orphans(fk, OrphanPolicy::SetNull)]).await;
    assert_eq!(clean(&session, None).await.unwrap().values_changed, 3);
    database.run(&["UPDATE child SET parent_id = 5 WHERE id = 2"]).await;
    let error = undo(&session).await.unwrap_err();
    assert!(error.message.contains("row (2)"), "{error}");
    assert_eq!(database.number("SELECT parent_id FROM child WHERE id = 2").await, 5);
    assert_eq!(database.number("SELECT COUNT(*) FROM child WHERE parent_id = 9").await, 2);
    session.release().await.unwrap();
}

#[tokio::test]
async fn a_value_whose_row_the_application_deleted_since_is_not_missed() {
    let database = Database::fresh("restore_deleted", SCHEMA).await;
    let fk = key(&database, "fk_child", ("child", &["parent_id"]), ("parent", &["id"]));
    let session = database.session(vec![remove_orphans(fk, OrphanPolicy::SetNull)]).await;
    assert_eq!(clean(&session, None).await.unwrap().values_changed, 3);
    database.run(&["DELETE FROM child WHERE id = 2"]).await;
    let undone = undo(&session).await.unwrap();
    let restored = &undone.restored["orphans-fk_child"];
    assert_eq!((restored.values_restored, restored.values_of_deleted_rows), (2, 1));
    assert_eq!(database.number("SELECT SUM(id) * 10 + COUNT(*) FROM child WHERE parent_id = 9").await, 42);
    session.release().await.unwrap();
}
