//! One controller at a time: the fence keeps others out, and its loss stops its holder.

use std::time::Duration;

use holdfast::mysql::{Allowance, Cause, Progress, Stop};
use holdfast::plan::Section;
use holdfast::plan::model::OrphanPolicy;

use crate::database::{Database, PARENT_AND_CHILD, PATIENCE, eventually, run_section};

/// The connection in `root@localhost, connection 12`.
fn connection_of(holder: &str) -> u64 {
    holder.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_second_session_is_refused_and_told_who_holds_the_fence() {
    let database = Database::fresh("fence_second", PARENT_AND_CHILD).await;
    let engine = database.engine();
    let plan = database.plan(vec![database.add_column("child", "extra")]).await;
    assert_eq!(engine.fence_holder(&database.schema).await.unwrap(), None);
    let first = engine.begin("shop/first", &plan).await.unwrap();
    let holder = engine.fence_holder(&database.schema).await.unwrap().expect("the fence is held");
    let error = engine.begin("shop/second", &plan).await.unwrap_err();
    assert_eq!(error.cause, Cause::LockHeld, "{error}");
    assert!(error.message.contains(&holder), "{error} does not name {holder}");
    first.release().await.unwrap();
    assert_eq!(engine.fence_holder(&database.schema).await.unwrap(), None);
    engine.begin("shop/second", &plan).await.unwrap().release().await.unwrap();
}

#[tokio::test]
async fn killing_the_fences_connection_stops_running_work_and_refuses_more() {
    let database = Database::fresh("fence_killed", PARENT_AND_CHILD).await;
    let mut engine = database.engine();
    engine.settings.max_retries = 10_000;
    let plan = database.plan(vec![database.add_key("child", "parent", "fk_killed", OrphanPolicy::Fail)]).await;
    let session = engine.begin("shop/first", &plan).await.unwrap();
    let mut reader = database.application().await;
    // Of the child: MariaDB does not wait for readers of the parent.
    reader.run("BEGIN").await.unwrap();
    reader.run("SELECT COUNT(*) FROM child").await.unwrap();
    let (progress, mut reading) = Progress::new();
    let stop = Stop::default();
    let running = session.run(Section::Stage(0), Allowance::default(), &progress, &stop);
    let killing = async {
        let waits = async { reading.wait_for(|reading| reading.waiting.is_some()).await.map(|_| ()) };
        tokio::time::timeout(PATIENCE, waits).await.expect("the work waits for the reader").unwrap();
        let holder = engine.fence_holder(&database.schema).await.unwrap().expect("the fence is held");
        database.run(&[&format!("KILL CONNECTION {}", connection_of(&holder))]).await;
    };
    let (result, ()) =
        tokio::time::timeout(PATIENCE, futures::future::join(running, killing)).await.expect("the work stops");
    assert_eq!(result.unwrap_err().cause, Cause::FenceLost);
    reader.run("COMMIT").await.unwrap();
    assert_eq!(run_section(&session, Section::Stage(0)).await.unwrap_err().cause, Cause::FenceLost);
    assert_eq!(database.keys_named("fk_killed").await, 0);
    assert!(!stop.0.is_cancelled(), "the caller's own sign to stop is not touched");
}

#[tokio::test]
async fn a_session_whose_migration_was_taken_over_can_write_nothing_more() {
    let database = Database::fresh("fence_epoch", PARENT_AND_CHILD).await;
    let engine = database.engine();
    let plan = database.plan(vec![database.add_column("child", "extra")]).await;
    let session = engine.begin("shop/first", &plan).await.unwrap();
    // What a successor does, without waiting for the first one's fence to be noticed as lost.
    database.run(&[&format!("UPDATE {}.migrations SET epoch = epoch + 1", database.journal.quoted())]).await;
    let error = run_section(&session, Section::FixTypes).await.unwrap_err();
    assert_eq!(error.cause, Cause::FenceLost, "{error}");
    assert_eq!(
        database.number("SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE() AND column_name = 'extra'").await,
        0
    );
}

#[tokio::test]
async fn dropping_a_session_gives_the_fence_back() {
    let database = Database::fresh("fence_dropped", PARENT_AND_CHILD).await;
    let engine = database.engine();
    let plan = database.plan(vec![database.add_column("child", "extra")]).await;
    drop(engine.begin("shop/first", &plan).await.unwrap());
    eventually("the fence to be free", || async { engine.fence_holder(&database.schema).await.unwrap().is_none() })
        .await;
    let session = engine.begin("shop/first", &plan).await.unwrap();
    assert!(session.resumed(), "the unfinished migration of the same plan is taken over");
    tokio::time::timeout(Duration::from_secs(10), session.release()).await.unwrap().unwrap();
}
