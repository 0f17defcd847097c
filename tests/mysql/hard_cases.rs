//! What traffic and data do to a rollout at the edges: writes that no key is checked for, ids at the end of their type, and a server
//! that is too busy for more.

use holdfast::mysql::probes::probe;
use holdfast::mysql::{Allowance, Cause, Progress, Stop};
use holdfast::plan::Section;
use holdfast::plan::model::OrphanPolicy;

use crate::common::target;
use crate::database::{Database, PARENT_AND_CHILD, PATIENCE, run_section};
use crate::rows::{clean, key, remove_orphans, undo};

#[tokio::test]
async fn rows_that_a_session_without_checks_wrote_after_the_key_are_found_by_the_proof() {
    let database = Database::fresh("unchecked_writes", PARENT_AND_CHILD).await;
    let plan = database.plan(vec![database.add_key("child", "parent", "fk_unchecked", OrphanPolicy::Fail)]).await;
    let session = database.engine().begin("shop/first", &plan).await.unwrap();
    run_section(&session, Section::Stage(0)).await.unwrap();
    database.run(&["SET foreign_key_checks = 0", "INSERT INTO child (parent_id) VALUES (77), (78)"]).await;
    let (progress, _reading) = Progress::new();
    let error = session.prove(&progress, &Stop::default()).await.unwrap_err();
    assert_eq!(error.cause, Cause::VerificationFailed, "{error}");
    assert!(error.message.contains("fk_unchecked") && error.message.contains('2'), "{error}");
    database.run(&["DELETE FROM child WHERE parent_id IN (77, 78)"]).await;
    let proof = session.prove(&progress, &Stop::default()).await.unwrap();
    assert_eq!(proof.keys[0].orphans, 0);
    // What was asked is kept, for anybody to ask again.
    database.run(&["SET foreign_key_checks = 0", "INSERT INTO child (parent_id) VALUES (79)"]).await;
    assert_eq!(database.number(&proof.keys[0].query).await, 1, "{}", proof.keys[0].query);
    session.release().await.unwrap();
}

#[tokio::test]
async fn rows_whose_ids_end_their_type_are_cleaned_up_probed_and_come_back() {
    let types = [
        ("ids_unsigned", "BIGINT UNSIGNED", ["18446744073709551615", "18446744073709551614", "0"]),
        ("ids_signed", "BIGINT", ["9223372036854775807", "-9223372036854775808", "-1"]),
        ("ids_tiny", "TINYINT", ["127", "-128", "126"]),
    ];
    for (test, column_type, [last, orphan, other]) in types {
        let database = Database::fresh(
            test,
            &[
                "SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO,STRICT_ALL_TABLES'",
                &format!("CREATE TABLE parent (id {column_type} NOT NULL AUTO_INCREMENT PRIMARY KEY)"),
                &format!(
                    "CREATE TABLE child (id {column_type} NOT NULL AUTO_INCREMENT PRIMARY KEY, parent_id {column_type} NULL, KEY by_parent (parent_id))"
                ),
                &format!("INSERT INTO parent VALUES ({last})"),
                &format!("INSERT INTO child VALUES ({last}, {orphan}), ({orphan}, {last}), ({other}, {other})"),
            ],
        )
        .await;
        let before = database.checksum("child").await;
        let fk = key(&database, "fk_child", ("child", &["parent_id"]), ("parent", &["id"]));
        let operations = vec![
            remove_orphans(fk.clone(), OrphanPolicy::Delete),
            database.add_key("child", "parent", "fk_child", OrphanPolicy::Fail),
        ];
        let session = database.session(operations).await;
        let report = clean(&session, None).await.unwrap();
        assert_eq!(report.rows_removed, 2, "{test}");
        run_section(&session, Section::Stage(0)).await.unwrap();
        let engine = database.engine();
        let report =
            probe(&target(), &database.schema, engine.settings.lock_timeout, std::slice::from_ref(&fk)).await.unwrap();
        assert!(report.unprobed.is_empty(), "{test}: {report:?}");
        undo(&session).await.unwrap();
        assert_eq!(database.checksum("child").await, before, "{test}");
        session.release().await.unwrap();
    }
}

#[tokio::test]
async fn a_busy_server_is_waited_for_by_name_and_the_waiting_ends_when_told() {
    let database = Database::fresh("too_busy", PARENT_AND_CHILD).await;
    database.run(&["INSERT INTO child (parent_id) VALUES (50), (51)"]).await;
    let fk = key(&database, "fk", ("child", &["parent_id"]), ("parent", &["id"]));
    let plan = database.plan(vec![remove_orphans(fk, OrphanPolicy::Delete)]).await;
    let mut engine = database.engine();
    // The statement that asks runs itself.
    engine.settings.max_threads_running = 0;
    let session = engine.begin("shop/rows", &plan).await.unwrap();
    let (progress, mut reading) = Progress::new();
    let stop = Stop::default();
    let running = session.run(Section::CleanUp, Allowance::default(), &progress, &stop);
    let telling = async {
        let waits = |reading: &holdfast::mysql::Reading| {
            reading.waiting.as_ref().is_some_and(|text| text.contains("Threads_running is"))
        };
        reading.wait_for(waits).await.unwrap();
        stop.0.cancel();
    };
    let (result, ()) =
        tokio::time::timeout(PATIENCE, futures::future::join(running, telling)).await.expect("the work ends");
    assert_eq!(result.unwrap_err().cause, Cause::Stopped);
    assert_eq!(database.number("SELECT COUNT(*) FROM child WHERE parent_id > 49").await, 2, "no batch went");
    session.release().await.unwrap();
}
