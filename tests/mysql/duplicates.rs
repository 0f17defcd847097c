//! Removing duplicates: the right row stays, and nothing hangs in the air afterwards.

use holdfast::mysql::Cause;
use holdfast::mysql::report::QuarantineCounts;
use holdfast::plan::model::DuplicatePolicy;

use crate::database::Database;
use crate::rows::{clean, key, quarantined, remove_duplicates, undo};

const DUPLICATES: &[&str] = &[
    "CREATE TABLE users (id INT PRIMARY KEY, email VARCHAR(50) COLLATE utf8mb4_0900_ai_ci NULL, seen INT)",
    "CREATE TABLE notes (id INT PRIMARY KEY, user_id INT, touched TIMESTAMP NOT NULL DEFAULT '2001-01-01' ON UPDATE CURRENT_TIMESTAMP, KEY (user_id))",
    "INSERT INTO users VALUES (1, 'a@x', 5), (2, 'A@X', 9), (3, 'a@x', 9), (4, 'b@x', 1), (5, NULL, 1), (6, NULL, 2)",
    "INSERT INTO notes (id, user_id) VALUES (1, 1), (2, 2), (3, 3), (4, 4)",
];

#[tokio::test]
async fn the_newest_stays_and_children_are_pointed_to_it_until_undone() {
    let database = Database::fresh("duplicates_newest", DUPLICATES).await;
    let before = (database.checksum("users").await, database.checksum("notes").await);
    let dependent = key(&database, "fk_notes", ("notes", &["user_id"]), ("users", &["id"]));
    let operation =
        remove_duplicates(&database, "users", &["email"], DuplicatePolicy::KeepNewest, "seen", vec![dependent]);
    let session = database.session(vec![operation]).await;
    let report = clean(&session, Some(4)).await.unwrap();
    assert_eq!((report.rows_removed, report.values_changed), (2, 2));
    let counts = QuarantineCounts { orphans: 0, duplicates: 2, cascaded: 0, values: 2 };
    assert_eq!(quarantined(&session).await, counts);
    // 2 and 3 were seen equally late: the greater key decides. NULLs may repeat.
    assert_eq!(database.number("SELECT SUM(id) FROM users").await, 3 + 4 + 5 + 6);
    assert_eq!(database.number("SELECT COUNT(*) FROM notes WHERE user_id = 3 AND touched < '2002-01-01'").await, 3);
    let undone = undo(&session).await.unwrap();
    let restored = &undone.restored["duplicates-users"];
    assert_eq!((restored.rows_restored, restored.values_restored), (2, 2));
    assert_eq!((database.checksum("users").await, database.checksum("notes").await), before);
    session.release().await.unwrap();
}

#[tokio::test]
async fn the_oldest_stays_where_that_is_asked_for() {
    let database = Database::fresh("duplicates_oldest", DUPLICATES).await;
    let operation = remove_duplicates(&database, "users", &["email"], DuplicatePolicy::KeepOldest, "seen", vec![]);
    let session = database.session(vec![operation]).await;
    assert_eq!(clean(&session, None).await.unwrap().rows_removed, 2);
    assert_eq!(database.number("SELECT SUM(id) FROM users").await, 1 + 4 + 5 + 6);
    session.release().await.unwrap();
}

#[tokio::test]
async fn under_the_policy_fail_duplicates_are_named_and_stay() {
    let database = Database::fresh("duplicates_fail", DUPLICATES).await;
    let operation = remove_duplicates(&database, "users", &["email"], DuplicatePolicy::Fail, "seen", vec![]);
    let session = database.session(vec![operation]).await;
    let error = clean(&session, None).await.unwrap_err();
    assert_eq!(error.cause, Cause::DuplicatesFound);
    assert!(error.message.contains("a@x"), "{error}");
    assert_eq!(database.number("SELECT COUNT(*) FROM users").await, 6);
    session.release().await.unwrap();
}

#[tokio::test]
async fn a_child_that_the_application_pointed_elsewhere_since_is_left_alone_by_undo() {
    let database = Database::fresh("duplicates_conflict", DUPLICATES).await;
    let dependent = key(&database, "fk_notes", ("notes", &["user_id"]), ("users", &["id"]));
    let operation =
        remove_duplicates(&database, "users", &["email"], DuplicatePolicy::KeepNewest, "seen", vec![dependent]);
    let session = database.session(vec![operation]).await;
    clean(&session, None).await.unwrap();
    database.run(&["UPDATE notes SET user_id = 4 WHERE id = 1"]).await;
    let error = undo(&session).await.unwrap_err();
    assert_eq!(error.cause, Cause::RollbackIncomplete);
    assert!(error.message.contains("notes") && error.message.contains("(1)"), "{error}");
    // What goes into the status holds no value of a row.
    assert!(error.left.len() == 1 && !error.left[0].what.contains("(1)"), "{:?}", error.left);
    assert_eq!(database.number("SELECT user_id FROM notes WHERE id = 1").await, 4);
    assert_eq!(database.number("SELECT user_id FROM notes WHERE id = 2").await, 2);
    session.release().await.unwrap();
}

#[tokio::test]
async fn children_of_an_existing_key_that_sets_to_null_are_pointed_to_the_row_that_stays_and_keep_their_reference() {
    let database = Database::fresh("duplicates_set_null", DUPLICATES).await;
    database
        .run(&[
            "ALTER TABLE notes ADD CONSTRAINT fk_notes FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE SET NULL",
        ])
        .await;
    let before = (database.checksum("users").await, database.checksum("notes").await);
    let dependent = key(&database, "fk_notes", ("notes", &["user_id"]), ("users", &["id"]));
    let operation =
        remove_duplicates(&database, "users", &["email"], DuplicatePolicy::KeepNewest, "seen", vec![dependent]);
    let session = database.session(vec![operation]).await;
    let report = clean(&session, None).await.unwrap();
    assert_eq!((report.rows_removed, report.values_changed), (2, 2));
    assert_eq!(database.number("SELECT COUNT(*) FROM notes WHERE user_id = 3").await, 3);
    undo(&session).await.unwrap();
    assert_eq!((database.checksum("users").await, database.checksum("notes").await), before);
    session.release().await.unwrap();
}
