//! Probes and scenarios: they see what keys do, and leave nothing behind.

use std::time::Duration;

use holdfast::mysql::Cause;
use holdfast::mysql::probes::probe;
use holdfast::mysql::scenarios::{ExpectedError, Scenario, Step, run_scenarios};
use holdfast::plan::catalogue::{ForeignKey, ReferentialAction};

use crate::common::target;
use crate::database::Database;
use crate::rows::key;

const LIMIT: Duration = Duration::from_secs(5);

const KEYS: &[&str] = &[
    "CREATE TABLE region (code CHAR(4) NOT NULL PRIMARY KEY, size ENUM('big', 'small') NOT NULL, at POINT NOT NULL)",
    "CREATE TABLE users (id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, email VARCHAR(40) NOT NULL UNIQUE, region CHAR(4) NOT NULL, \
     CONSTRAINT fk_region FOREIGN KEY (region) REFERENCES region (code) ON DELETE RESTRICT)",
    "CREATE TABLE tree (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, up BIGINT NULL, \
     CONSTRAINT fk_up FOREIGN KEY (up) REFERENCES tree (id) ON DELETE CASCADE)",
    "CREATE TABLE pairs (a INT NOT NULL, b INT NOT NULL, made DATETIME NOT NULL, data JSON NOT NULL, PRIMARY KEY (a, b))",
    "CREATE TABLE both_of (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, a INT NULL, b INT NULL, user_id INT UNSIGNED NOT NULL, \
     CONSTRAINT fk_pair FOREIGN KEY (a, b) REFERENCES pairs (a, b) ON DELETE SET NULL, \
     CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE)",
    "INSERT INTO region VALUES ('east', 'big', POINT(1, 1))",
    "INSERT INTO users (email, region) VALUES ('a', 'east'), ('b', 'east')",
    "DELETE FROM users WHERE id = 1",
];

fn keys(database: &Database) -> Vec<ForeignKey> {
    let mut keys = vec![
        key(database, "fk_region", ("users", &["region"]), ("region", &["code"])),
        key(database, "fk_up", ("tree", &["up"]), ("tree", &["id"])),
        key(database, "fk_pair", ("both_of", &["a", "b"]), ("pairs", &["a", "b"])),
        key(database, "fk_user", ("both_of", &["user_id"]), ("users", &["id"])),
    ];
    keys[0].on_delete = ReferentialAction::Restrict;
    keys[2].on_delete = ReferentialAction::SetNull;
    keys
}

#[tokio::test]
async fn every_action_is_seen_also_of_composite_keys_and_self_references_and_nothing_is_left() {
    let database = Database::fresh("probe_all", KEYS).await;
    let report = probe(&target(), &database.schema, LIMIT, &keys(&database)).await.unwrap();
    assert_eq!(report.unprobed, []);
    assert_eq!(report.probed.len(), 4);
    for (table, rows) in [("region", 1), ("users", 1), ("tree", 0), ("pairs", 0), ("both_of", 0)] {
        assert_eq!(database.number(&format!("SELECT COUNT(*) FROM {table}")).await, rows, "{table}");
    }
    assert_eq!(database.number("SELECT COUNT(*) FROM users WHERE id = 2").await, 1);
}

#[tokio::test]
async fn a_row_that_must_refer_to_its_own_table_does_so_by_a_column_that_may_be_null() {
    let table = |name: &str, action: &str| {
        format!(
            "CREATE TABLE {name} (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, code INT NULL UNIQUE, up INT NOT NULL, \
             CONSTRAINT fk_{name} FOREIGN KEY (up) REFERENCES {name} (code) ON DELETE {action})"
        )
    };
    let tables = [table("held", "RESTRICT"), table("taken", "CASCADE")];
    // One has a row that plain values happen to refer to, the other has none.
    let rows = "INSERT INTO held VALUES (1, 1, 1)";
    let database = Database::fresh("probe_own_table", &[&tables[0], &tables[1], rows]).await;
    let mut keys = vec![
        key(&database, "fk_held", ("held", &["up"]), ("held", &["code"])),
        key(&database, "fk_taken", ("taken", &["up"]), ("taken", &["code"])),
    ];
    keys[0].on_delete = ReferentialAction::Restrict;
    let report = probe(&target(), &database.schema, LIMIT, &keys).await.unwrap();
    assert_eq!((report.probed.len(), report.unprobed), (2, vec![]));
}

#[tokio::test]
async fn probes_move_no_counter() {
    let database = Database::fresh("probe_counter", KEYS).await;
    probe(&target(), &database.schema, LIMIT, &keys(&database)).await.unwrap();
    database.run(&["INSERT INTO users (email, region) VALUES ('c', 'east')"]).await;
    assert_eq!(database.number("SELECT CAST(MAX(id) AS SIGNED) FROM users").await, 3);
}

#[tokio::test]
async fn keys_of_tables_whose_ids_have_no_gap_are_probed() {
    let numbers = |row: &str| {
        format!(
            "INSERT INTO {row} FROM (WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT i FROM n) AS numbers"
        )
    };
    let statements = [
        "SET SESSION cte_max_recursion_depth = 20000",
        "CREATE TABLE users (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(40) NOT NULL)",
        "CREATE TABLE bookmarks (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, user_id BIGINT UNSIGNED NOT NULL, \
         CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE)",
        &numbers("users SELECT i, 'name'"),
        &numbers("bookmarks SELECT i, i"),
    ];
    let database = Database::fresh("probe_dense", &statements).await;
    let keys = [key(&database, "fk_user", ("bookmarks", &["user_id"]), ("users", &["id"]))];
    let report = probe(&target(), &database.schema, LIMIT, &keys).await.unwrap();
    assert_eq!(report.unprobed, []);
    database.run(&["INSERT INTO users (name) VALUES ('next')"]).await;
    assert_eq!(database.number("SELECT CAST(MAX(id) AS SIGNED) FROM users").await, 20_001);
}

#[tokio::test]
async fn a_key_that_acts_otherwise_than_it_should_fails_the_probe() {
    let database = Database::fresh("probe_wrong", KEYS).await;
    for (index, wrong) in [
        (0, ReferentialAction::Cascade),
        (1, ReferentialAction::Restrict),
        (2, ReferentialAction::Cascade),
        (3, ReferentialAction::SetNull),
    ] {
        let mut key = keys(&database).remove(index);
        key.on_delete = wrong;
        let error = probe(&target(), &database.schema, LIMIT, &[key]).await.unwrap_err();
        assert_eq!(error.cause, Cause::TestFailed, "{error}");
    }
}

#[tokio::test]
async fn a_key_that_is_not_there_fails_the_probe() {
    let database = Database::fresh("probe_missing", KEYS).await;
    database.run(&["ALTER TABLE tree DROP FOREIGN KEY fk_up"]).await;
    let error = probe(&target(), &database.schema, LIMIT, &keys(&database)[1..2]).await.unwrap_err();
    assert_eq!(error.cause, Cause::TestFailed);
    assert!(error.message.contains("1452"), "{error}");
}

#[tokio::test]
async fn a_key_that_cannot_be_probed_is_named_with_the_reason() {
    let database = Database::fresh("probe_check", KEYS).await;
    database
        .run(&["ALTER TABLE pairs ADD COLUMN kind VARCHAR(9) NOT NULL, ADD CONSTRAINT only_good CHECK (kind = 'good')"])
        .await;
    let report = probe(&target(), &database.schema, LIMIT, &keys(&database)[2..3]).await.unwrap();
    if !database.served.has_checks() {
        assert_eq!(report.probed[0].key.as_str(), "fk_pair", "a check that the server forgets stands in nobody's way");
        return;
    }
    assert_eq!(report.probed, []);
    assert_eq!(report.unprobed[0].key.as_str(), "fk_pair");
    assert!(report.unprobed[0].reason.contains("only_good"), "{report:?}");
}

fn scenario(steps: &[(&str, Option<ExpectedError>)]) -> Vec<Scenario> {
    let steps =
        steps.iter().map(|(sql, expect_error)| Step { sql: (*sql).to_owned(), expect_error: *expect_error }).collect();
    vec![Scenario { name: "what users do".to_owned(), steps }]
}

#[tokio::test]
async fn a_scenario_sees_its_own_changes_and_leaves_none() {
    let database = Database::fresh("scenario", KEYS).await;
    let steps = scenario(&[
        ("INSERT INTO tree (id, up) VALUES (-1, NULL), (-2, -1)", None),
        ("DELETE FROM region WHERE code = 'east'", Some(ExpectedError::ForeignKeyViolation)),
        ("INSERT INTO users (id, email, region) VALUES (1, 'b', 'east')", Some(ExpectedError::UniqueViolation)),
        ("DELETE FROM tree WHERE id = -1", None),
        ("INSERT INTO tree (id, up) VALUES (-3, -2)", Some(ExpectedError::ForeignKeyViolation)),
    ]);
    let reports = run_scenarios(&target(), &database.schema, LIMIT, &steps).await.unwrap();
    assert_eq!(reports[0].steps, 5);
    assert_eq!(database.number("SELECT COUNT(*) FROM tree").await, 0);
}

#[tokio::test]
async fn a_step_that_behaves_otherwise_is_named_with_what_was_expected() {
    let database = Database::fresh("scenario_fails", KEYS).await;
    let steps =
        scenario(&[("SELECT 1", None), ("DELETE FROM users WHERE id = 2", Some(ExpectedError::ForeignKeyViolation))]);
    let error = run_scenarios(&target(), &database.schema, LIMIT, &steps).await.unwrap_err();
    assert_eq!(error.cause, Cause::TestFailed);
    assert!(error.message.contains("step 2") && error.message.contains("ForeignKeyViolation"), "{error}");
    assert_eq!(database.number("SELECT COUNT(*) FROM users").await, 1);
}

#[tokio::test]
async fn a_scenario_cannot_commit_or_change_the_schema() {
    let database = Database::fresh("scenario_cage", KEYS).await;
    for statement in ["COMMIT", "DROP TABLE tree", "XA END 'x'", "SELECT 1; COMMIT", "CALL leave()"] {
        let error =
            run_scenarios(&target(), &database.schema, LIMIT, &scenario(&[(statement, None)])).await.unwrap_err();
        assert_eq!(error.cause, Cause::TestFailed, "{statement}");
        assert!(error.message.contains("step 1"), "{error}");
    }
}

#[tokio::test]
async fn a_scenario_may_not_name_tables_that_cannot_be_rolled_back() {
    let database = Database::fresh("scenario_engine", KEYS).await;
    database.run(&["CREATE TABLE scenario_myisam (id INT) ENGINE = MyISAM"]).await;
    let steps = scenario(&[("INSERT INTO `scenario_myisam` VALUES (1)", None)]);
    let error = run_scenarios(&target(), &database.schema, LIMIT, &steps).await.unwrap_err();
    assert!(error.message.contains("MyISAM"), "{error}");
    assert_eq!(database.number("SELECT COUNT(*) FROM scenario_myisam").await, 0);
}

#[tokio::test]
async fn a_scenario_that_meets_a_lock_ends_in_time_and_says_so() {
    let database = Database::fresh("scenario_lock", KEYS).await;
    let mut application = database.application().await;
    application.run("START TRANSACTION").await.unwrap();
    application.run("UPDATE users SET email = 'z' WHERE id = 2").await.unwrap();
    let steps = scenario(&[("DELETE FROM users WHERE id = 2", None)]);
    let error = run_scenarios(&target(), &database.schema, Duration::from_millis(300), &steps).await.unwrap_err();
    assert_eq!(error.cause, Cause::LockWaitTimeout, "{error}");
    application.run("ROLLBACK").await.unwrap();
    assert_eq!(database.number("SELECT COUNT(*) FROM users").await, 1);
}

#[tokio::test]
async fn no_row_that_is_there_serves_as_the_parent_that_must_not_be() {
    let database = Database::fresh(
        "probe_unused",
        &[
            "CREATE TABLE codes (id INT NOT NULL PRIMARY KEY, code INT NULL UNIQUE, hash BINARY(16) NOT NULL, UNIQUE (hash, id))",
            "CREATE TABLE uses (id INT NOT NULL PRIMARY KEY, code INT NULL, hash BINARY(16) NOT NULL, codes_id INT NOT NULL, KEY (code), \
             KEY (hash, codes_id), CONSTRAINT fk_code FOREIGN KEY (code) REFERENCES codes (code), \
             CONSTRAINT fk_hash FOREIGN KEY (hash, codes_id) REFERENCES codes (hash, id))",
            "CREATE TABLE steps (id INT NOT NULL PRIMARY KEY, up INT NOT NULL, KEY (up), CONSTRAINT fk_up FOREIGN KEY (up) REFERENCES steps (id))",
            "INSERT INTO codes VALUES (1, 1, ''), (2, 2, '')",
        ],
    )
    .await;
    let mut keys = vec![
        key(&database, "fk_code", ("uses", &["code"]), ("codes", &["code"])),
        key(&database, "fk_hash", ("uses", &["hash", "codes_id"]), ("codes", &["hash", "id"])),
        key(&database, "fk_up", ("steps", &["up"]), ("steps", &["id"])),
    ];
    keys.iter_mut().for_each(|key| key.on_delete = ReferentialAction::Restrict);
    let report = probe(&target(), &database.schema, LIMIT, &keys).await.unwrap();
    assert_eq!(report.unprobed, []);
    assert_eq!(report.probed.len(), 3);
}
