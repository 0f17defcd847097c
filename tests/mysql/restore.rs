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

/// A user and an address that refer to each other, and two rows of one table that do, all of a tenant that is not there.
const CIRCLES: &[&str] = &[
    "CREATE TABLE tenant (id INT PRIMARY KEY)",
    "CREATE TABLE city (id INT PRIMARY KEY)",
    "CREATE TABLE user (id INT PRIMARY KEY, tenant_id INT, home_id INT, KEY (tenant_id))",
    "CREATE TABLE address (id INT PRIMARY KEY, user_id INT NOT NULL, city_id INT, \
     CONSTRAINT fk_address_user FOREIGN KEY (user_id) REFERENCES user (id) ON DELETE CASCADE, \
     CONSTRAINT fk_address_city FOREIGN KEY (city_id) REFERENCES city (id))",
    "CREATE TABLE link (id INT PRIMARY KEY, user_id INT NOT NULL, next INT NOT NULL, \
     CONSTRAINT fk_link_user FOREIGN KEY (user_id) REFERENCES user (id) ON DELETE CASCADE)",
    "INSERT INTO city VALUES (3), (4)",
    "INSERT INTO user VALUES (1, 9, 5), (2, 9, 7), (3, NULL, NULL)",
    "INSERT INTO address VALUES (5, 1, 3), (6, 1, NULL), (7, 2, 4)",
    "INSERT INTO link VALUES (1, 1, 2), (2, 1, 1)",
    "ALTER TABLE user ADD CONSTRAINT fk_user_home FOREIGN KEY (home_id) REFERENCES address (id) ON DELETE SET NULL",
    "ALTER TABLE link ADD CONSTRAINT fk_link_next FOREIGN KEY (next) REFERENCES link (id) ON DELETE CASCADE",
];

async fn circles(database: &Database) -> String {
    let rows = "SELECT CONCAT_WS(' ', (SELECT GROUP_CONCAT(id, tenant_id, home_id ORDER BY id) FROM user), \
                (SELECT GROUP_CONCAT(id, user_id, IFNULL(city_id, '-') ORDER BY id) FROM address), \
                (SELECT GROUP_CONCAT(id, user_id, next ORDER BY id) FROM link))";
    database.text(rows).await.unwrap()
}

#[tokio::test]
async fn rows_that_refer_to_each_other_in_a_circle_return_together() {
    let database = Database::fresh("restore_circle", CIRCLES).await;
    let fk = key(&database, "fk_user_tenant", ("user", &["tenant_id"]), ("tenant", &["id"]));
    let before = circles(&database).await;
    let session = database.session(vec![remove_orphans(fk, OrphanPolicy::Delete)]).await;
    clean(&session, None).await.unwrap();
    assert_eq!(database.number("SELECT COUNT(*) FROM user").await, 1);
    assert_eq!(database.number("SELECT (SELECT COUNT(*) FROM address) + (SELECT COUNT(*) FROM link)").await, 0);
    undo(&session).await.unwrap();
    assert_eq!(circles(&database).await, before);
    session.release().await.unwrap();
}

#[tokio::test]
async fn of_a_circle_that_lost_a_parent_meanwhile_nothing_returns_and_another_one_does() {
    let database = Database::fresh("restore_broken_circle", CIRCLES).await;
    let fk = key(&database, "fk_user_tenant", ("user", &["tenant_id"]), ("tenant", &["id"]));
    let session = database.session(vec![remove_orphans(fk, OrphanPolicy::Delete)]).await;
    clean(&session, None).await.unwrap();
    database.run(&["DELETE FROM city WHERE id = 4"]).await;
    let error = undo(&session).await.unwrap_err();
    assert_eq!(error.cause, Cause::RollbackIncomplete);
    for stays in [
        "row (2) of holdfast_test_restore_broken_circle.user",
        "row (7) of holdfast_test_restore_broken_circle.address",
    ] {
        assert!(error.message.contains(stays), "{error}");
    }
    assert_eq!(error.message.matches("stays in quarantine").count(), 2, "{error}");
    assert_eq!(database.number("SELECT SUM(id) FROM user").await, 4);
    assert_eq!(database.number("SELECT SUM(id) FROM address").await, 11);
    assert_eq!(database.number("SELECT SUM(id) FROM link").await, 3);
    session.release().await.unwrap();
}
