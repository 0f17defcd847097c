//! Removing orphans: exact, complete, within the approval, and never against a parent that is there.

use holdfast::mysql::Cause;
use holdfast::mysql::report::QuarantineCounts;
use holdfast::plan::model::OrphanPolicy;

use crate::database::{Database, eventually};
use crate::rows::{clean, key, quarantined, remove_orphans, undo};

/// A column of every type, values at the edges of what the server stores.
const EVERY_TYPE: &[&str] = &[
    "CREATE TABLE parent (id BIGINT UNSIGNED NOT NULL PRIMARY KEY)",
    "INSERT INTO parent VALUES (1)",
    "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'",
    "CREATE TABLE child (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, parent_id BIGINT UNSIGNED NULL, \
     a_tiny TINYINT, a_bool BOOL, a_small SMALLINT UNSIGNED, a_medium MEDIUMINT, a_int INT(5) ZEROFILL, \
     a_decimal DECIMAL(30,10), a_float FLOAT, a_double DOUBLE, a_bit BIT(17), \
     a_date DATE, a_datetime DATETIME(6), a_stamp TIMESTAMP(3) NULL, a_touched TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, \
     a_time TIME(6), a_year YEAR, a_char CHAR(10) CHARACTER SET latin1, a_varchar VARCHAR(50) COLLATE utf8mb4_bin, \
     a_binary BINARY(8), a_varbinary VARBINARY(20), a_blob BLOB, a_text MEDIUMTEXT, a_json JSON, \
     a_enum ENUM('one','t''wo','back\\\\slash'), a_set SET('x','y','z'), a_point POINT NULL SRID 4326, a_geometry GEOMETRY, a_vector VECTOR(3), \
     a_hidden INT INVISIBLE, a_virtual INT AS (a_tiny + 1) VIRTUAL, a_stored INT AS (a_tiny + 2) STORED)",
    "INSERT INTO child (id, parent_id, a_tiny, a_bool, a_small, a_medium, a_int, a_decimal, a_float, a_double, a_bit, a_date, a_datetime, \
     a_stamp, a_touched, a_time, a_year, a_char, a_varchar, a_binary, a_varbinary, a_blob, a_text, a_json, a_enum, a_set, a_point, a_geometry, \
     a_vector, a_hidden) VALUES \
     (0, 77, -128, 1, 65535, -8388608, 42, 12345678901234567890.0123456789, 1234567.8, 1.7976931348623157e308, b'10101010101010101', \
      '0000-00-00', '0000-00-00 00:00:00', '2038-01-19 03:14:07.999', '2000-02-03 04:05:06', '-838:59:59', 0, 'caf\u{e9}', 'A\u{1F600}', 0x00FF, X'', \
      0x0001FEFF, REPEAT('x', 70000), '{\"b\": 1.10, \"a\": [null, true]}', 'invalid', 'x,z', ST_GeomFromText('POINT(1 2)', 4326), \
      ST_GeomFromText('LINESTRING(0 0,1 1)'), TO_VECTOR('[1.5,-2,3e10]'), 7), \
     (5, 78, 127, 0, 0, 1, 0, NULL, NULL, NULL, NULL, '2024-02-00', '1000-01-01 00:00:00.000001', NULL, '2001-01-01', NULL, 2155, '', ' x ', \
      X'', NULL, '', NULL, 'null', 'back\\\\slash', '', NULL, NULL, NULL, NULL), \
     (6, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, '2024-01-01', '2024-01-01', NULL, '2001-01-01', NULL, 2000, 'stays', 'stays', 1, 1, 1, 1, '1', 'one', 'y', \
      NULL, NULL, NULL, 3)",
];

async fn every_type(test: &str) -> Database {
    let database = Database::fresh(test, EVERY_TYPE).await;
    assert_eq!(database.number("SELECT COUNT(*) FROM child").await, 3);
    database
}

#[tokio::test]
async fn rows_with_every_type_come_back_exactly() {
    let database = every_type("exact_rows").await;
    let before = database.checksum("child").await;
    let fk = key(&database, "fk_child", ("child", &["parent_id"]), ("parent", &["id"]));
    let session = database.session(vec![remove_orphans(fk, OrphanPolicy::Delete)]).await;
    let report = clean(&session, Some(2)).await.unwrap();
    assert_eq!((report.rows_removed, report.values_changed), (2, 0));
    assert_eq!(database.number("SELECT COUNT(*) FROM child").await, 1);
    let undone = undo(&session).await.unwrap();
    assert_eq!(undone.restored["orphans-fk_child"].rows_restored, 2);
    assert_eq!(undone.restored["orphans-fk_child"].conflicts, Vec::<String>::new());
    assert_eq!(database.checksum("child").await, before);
    session.release().await.unwrap();
}

#[tokio::test]
async fn nulled_values_come_back_and_timestamps_are_not_touched() {
    let database = every_type("exact_values").await;
    let before = database.checksum("child").await;
    let fk = key(&database, "fk_child", ("child", &["parent_id"]), ("parent", &["id"]));
    let session = database.session(vec![remove_orphans(fk, OrphanPolicy::SetNull)]).await;
    let report = clean(&session, None).await.unwrap();
    assert_eq!((report.rows_removed, report.values_changed), (0, 2));
    assert_eq!(
        database.number("SELECT COUNT(*) FROM child WHERE parent_id IS NULL AND a_touched < '2002-01-01'").await,
        2
    );
    let undone = undo(&session).await.unwrap();
    assert_eq!(undone.restored["orphans-fk_child"].values_restored, 2);
    assert_eq!(database.checksum("child").await, before);
    session.release().await.unwrap();
}

#[tokio::test]
async fn under_the_policy_fail_orphans_are_named_and_stay() {
    let database = every_type("orphans_fail").await;
    let fk = key(&database, "fk_child", ("child", &["parent_id"]), ("parent", &["id"]));
    let session = database.session(vec![remove_orphans(fk, OrphanPolicy::Fail)]).await;
    let error = clean(&session, None).await.unwrap_err();
    assert_eq!(error.cause, Cause::OrphansFound);
    assert!(error.message.contains("2 rows") && error.message.contains("77"), "{error}");
    assert_eq!(database.number("SELECT COUNT(*) FROM child").await, 3);
    session.release().await.unwrap();
}

#[tokio::test]
async fn children_of_removed_rows_are_removed_too_whatever_the_order_of_operations() {
    let database = Database::fresh(
        "fixpoint",
        &[
            "CREATE TABLE a (id INT PRIMARY KEY)",
            "CREATE TABLE b (id INT PRIMARY KEY, a_id INT, KEY (a_id))",
            "CREATE TABLE c (id INT PRIMARY KEY, b_id INT, up INT, KEY (b_id), KEY (up))",
            "INSERT INTO a VALUES (1)",
            "INSERT INTO b VALUES (1, 1), (2, 9), (3, 9)",
            // 20 is a child of b 2, which is an orphan; 21 to 23 hang on it one after the other.
            "INSERT INTO c VALUES (10, 1, NULL), (20, 2, NULL), (21, 1, 20), (22, 1, 21), (23, 1, 22)",
        ],
    )
    .await;
    let before = (database.checksum("b").await, database.checksum("c").await);
    let operations = vec![
        remove_orphans(key(&database, "fk_up", ("c", &["up"]), ("c", &["id"])), OrphanPolicy::Delete),
        remove_orphans(key(&database, "fk_b", ("c", &["b_id"]), ("b", &["id"])), OrphanPolicy::Delete),
        remove_orphans(key(&database, "fk_a", ("b", &["a_id"]), ("a", &["id"])), OrphanPolicy::Delete),
    ];
    let session = database.session(operations).await;
    let report = clean(&session, None).await.unwrap();
    assert_eq!(report.rows_removed, 6);
    assert_eq!(database.number("SELECT COUNT(*) * 100 + SUM(id) FROM c").await, 110);
    undo(&session).await.unwrap();
    assert_eq!((database.checksum("b").await, database.checksum("c").await), before);
    session.release().await.unwrap();
}

#[tokio::test]
async fn more_rows_than_approved_are_refused_before_the_first_is_taken() {
    let database = every_type("allowance").await;
    let fk = key(&database, "fk_child", ("child", &["parent_id"]), ("parent", &["id"]));
    let session = database.session(vec![remove_orphans(fk, OrphanPolicy::Delete)]).await;
    let error = clean(&session, Some(1)).await.unwrap_err();
    assert_eq!(error.cause, Cause::ApprovalExceeded);
    assert!(error.message.contains("take 2 ") && error.message.contains("allows 1"), "{error}");
    assert_eq!(database.number("SELECT COUNT(*) FROM child").await, 3);
    session.release().await.unwrap();
}

const LIVE_CASCADES: &[&str] = &[
    "CREATE TABLE parent (id INT PRIMARY KEY)",
    "CREATE TABLE child (id INT PRIMARY KEY, parent_id INT, KEY (parent_id))",
    "CREATE TABLE grandchild (id INT PRIMARY KEY, child_id INT, note VARCHAR(20), \
     CONSTRAINT live_cascade FOREIGN KEY (child_id) REFERENCES child (id) ON DELETE CASCADE)",
    "CREATE TABLE leaf (id INT PRIMARY KEY, grandchild_id INT, CONSTRAINT live_null FOREIGN KEY (grandchild_id) \
     REFERENCES grandchild (id) ON DELETE SET NULL)",
    "INSERT INTO parent VALUES (1)",
    "INSERT INTO child VALUES (1, 1), (2, 9)",
    "INSERT INTO grandchild VALUES (1, 1, 'stays'), (2, 2, 'goes'), (3, 2, 'goes')",
    "INSERT INTO leaf VALUES (1, 1), (2, 2), (3, NULL)",
];

#[tokio::test]
async fn rows_and_values_that_existing_keys_take_along_go_to_quarantine_and_come_back() {
    let database = Database::fresh("live_cascade", LIVE_CASCADES).await;
    let before =
        (database.checksum("child").await, database.checksum("grandchild").await, database.checksum("leaf").await);
    let fk = key(&database, "fk_child", ("child", &["parent_id"]), ("parent", &["id"]));
    let session = database.session(vec![remove_orphans(fk, OrphanPolicy::Delete)]).await;
    let report = clean(&session, Some(4)).await.unwrap();
    assert_eq!((report.rows_removed, report.values_changed), (3, 1));
    let counts = QuarantineCounts { orphans: 1, duplicates: 0, cascaded: 2, values: 1 };
    assert_eq!(quarantined(&session).await, counts, "counted from the tables, so another run changes nothing");
    assert_eq!(database.number("SELECT COUNT(*) FROM grandchild").await, 1);
    assert_eq!(database.number("SELECT COUNT(*) FROM leaf WHERE grandchild_id IS NULL").await, 2);
    let undone = undo(&session).await.unwrap();
    assert_eq!(undone.restored["orphans-fk_child"].conflicts, Vec::<String>::new());
    assert_eq!(undone.quarantined, QuarantineCounts::default());
    let after =
        (database.checksum("child").await, database.checksum("grandchild").await, database.checksum("leaf").await);
    assert_eq!(after, before);
    session.release().await.unwrap();
}

#[tokio::test]
async fn what_existing_keys_take_along_counts_against_the_approval() {
    let database = Database::fresh("live_cascade_allowance", LIVE_CASCADES).await;
    let fk = key(&database, "fk_child", ("child", &["parent_id"]), ("parent", &["id"]));
    let session = database.session(vec![remove_orphans(fk, OrphanPolicy::Delete)]).await;
    let error = clean(&session, Some(3)).await.unwrap_err();
    assert_eq!(error.cause, Cause::ApprovalExceeded, "{error}");
    assert_eq!(database.number("SELECT COUNT(*) FROM grandchild").await, 3);
    session.release().await.unwrap();
}

#[tokio::test]
async fn a_parent_that_is_committed_while_a_batch_waits_keeps_its_child() {
    let database = Database::fresh(
        "parent_wins",
        &[
            "CREATE TABLE parent (id INT PRIMARY KEY)",
            "CREATE TABLE child (id INT PRIMARY KEY, parent_id INT, KEY (parent_id))",
            "INSERT INTO parent VALUES (1)",
            "INSERT INTO child VALUES (1, 1), (2, 50), (3, 60)",
        ],
    )
    .await;
    let fk = key(&database, "fk_child", ("child", &["parent_id"]), ("parent", &["id"]));
    let session = database.session(vec![remove_orphans(fk, OrphanPolicy::Delete)]).await;
    let mut application = database.application().await;
    application.run("START TRANSACTION").await.unwrap();
    application.run("INSERT INTO parent VALUES (50)").await.unwrap();
    let work = tokio::spawn(async move {
        let report = clean(&session, None).await;
        (session, report)
    });
    // The batch found 50 to be an orphan and now waits for the place of its parent.
    eventually("the batch waits for the new parent's lock", || async {
        database.number(database.served.row_lock_waits()).await > 0
    })
    .await;
    application.run("COMMIT").await.unwrap();
    let (session, report) = work.await.unwrap();
    assert_eq!(report.unwrap().rows_removed, 1);
    assert_eq!(database.number("SELECT SUM(id) FROM child").await, 3);
    session.release().await.unwrap();
}

/// Comments by users who are gone, which answer each other through a key that restricts.
const ANSWERS: &[&str] = &[
    "CREATE TABLE parent (id INT PRIMARY KEY)",
    "CREATE TABLE child (id INT PRIMARY KEY, parent_id INT, up INT, KEY (parent_id), KEY (up), \
     CONSTRAINT fk_up FOREIGN KEY (up) REFERENCES child (id))",
    "INSERT INTO parent VALUES (1)",
    // A thread in order, an answer older than what it answers, and a row with a parent.
    "INSERT INTO child VALUES (1, 50, NULL), (2, 50, 1), (3, 51, 2), (4, 50, 2), (9, 50, NULL), (5, 50, 9), (8, 1, NULL)",
];

#[tokio::test]
async fn orphans_that_refer_to_each_other_through_a_restricting_key_go_in_the_order_that_it_asks_for() {
    let database = Database::fresh("restricted_order", ANSWERS).await;
    let before = database.checksum("child").await;
    let fk = key(&database, "fk_child", ("child", &["parent_id"]), ("parent", &["id"]));
    let session = database.session(vec![remove_orphans(fk, OrphanPolicy::Delete)]).await;
    let report = clean(&session, None).await.unwrap();
    assert_eq!((report.rows_removed, report.values_changed), (6, 0));
    assert_eq!(database.number("SELECT SUM(id) FROM child").await, 8);
    let undone = undo(&session).await.unwrap();
    assert_eq!(undone.restored["orphans-fk_child"].rows_restored, 6);
    assert_eq!(undone.restored["orphans-fk_child"].conflicts, Vec::<String>::new());
    assert_eq!(database.checksum("child").await, before);
    session.release().await.unwrap();
}

#[tokio::test]
async fn orphans_that_rows_refer_to_which_stay_are_named_and_stay() {
    let refers: [(&str, &[&str], &str); 3] = [
        ("restricted_by_staying", &["INSERT INTO child VALUES (10, 1, 3)"], "3 rows of"),
        ("restricted_in_a_circle", &["UPDATE child SET up = 3 WHERE id = 1"], "3 rows of"),
        ("restricted_by_itself", &["UPDATE child SET up = 1 WHERE id = 1"], "1 rows of"),
    ];
    for (test, more, left) in refers {
        let database = Database::fresh(test, &[ANSWERS, more].concat()).await;
        let before = database.checksum("child").await;
        let fk = key(&database, "fk_child", ("child", &["parent_id"]), ("parent", &["id"]));
        let session = database.session(vec![remove_orphans(fk, OrphanPolicy::Delete)]).await;
        let error = clean(&session, None).await.unwrap_err();
        assert_eq!(error.cause, Cause::InvalidSpec, "{error}");
        assert!(
            error.message.contains(left) && error.message.contains("existing key fk_up, which restricts"),
            "{error}"
        );
        undo(&session).await.unwrap();
        assert_eq!(database.checksum("child").await, before, "{test}");
        session.release().await.unwrap();
    }
}

#[tokio::test]
async fn triggers_that_nobody_acknowledged_are_not_fired() {
    let database = every_type("triggers").await;
    database.run(&["CREATE TRIGGER note_deletion BEFORE DELETE ON child FOR EACH ROW SET @noted = 1"]).await;
    let fk = key(&database, "fk_child", ("child", &["parent_id"]), ("parent", &["id"]));
    let session = database.session(vec![remove_orphans(fk, OrphanPolicy::Delete)]).await;
    let error = clean(&session, None).await.unwrap_err();
    assert!(error.message.contains("note_deletion") && error.message.contains("acknowledge"), "{error}");
    assert_eq!(database.number("SELECT COUNT(*) FROM child").await, 3);
    session.release().await.unwrap();
}
