//! A stop ends what the server does, not only the wait for it.

use std::time::Duration;

use holdfast::mysql::connection::Role;
use holdfast::mysql::interruption::Running;
use holdfast::mysql::{Cause, SessionLimits, Stop};

use crate::common::target;
use crate::database::{PATIENCE, eventually};
use crate::served::Served;

/// Whether a connection executes something.
async fn works(id: u64) -> bool {
    let mut observer = target().connect(SessionLimits::default()).await.unwrap();
    let statement = Served::read(&mut observer).await.at_work(id);
    let row = sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).fetch_one(observer.raw()).await.unwrap();
    sqlx::Row::get::<i64, _>(&row, 0) == 1
}

#[tokio::test]
async fn a_stop_ends_the_statement_on_the_server_and_leaves_the_connection_usable() {
    let (target, stop) = (target(), Stop::default());
    let mut connection = target.connect(SessionLimits::default()).await.unwrap();
    let (id, server_uuid) = (connection.id, connection.server_uuid.clone());
    let running = Running { target: &target, role: Role::Primary, server_uuid: &server_uuid, id, what: "sleeping" };
    let stopping = async {
        eventually("the statement to run", || works(id)).await;
        stop.0.cancel();
    };
    let statements = async {
        // Several, so that the first KILL does not end it all.
        connection.run("SELECT SLEEP(600)").await?;
        connection.run("SELECT SLEEP(600)").await
    };
    let work = running.until_stopped(&stop, PATIENCE, statements);
    let (ended, ()) = tokio::time::timeout(PATIENCE, futures::future::join(work, stopping)).await.expect("it stops");
    let error = ended.unwrap_err();
    assert_eq!(error.cause, Cause::Stopped, "{error}");
    assert!(error.message.contains("sleeping"), "{error}");
    assert!(!works(id).await, "the server goes on");
    connection.run("DO 1").await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_deadline_ends_the_statement_too_and_no_statement_of_another_server_is_touched() {
    let (target, stop) = (target(), Stop::default());
    let mut connection = target.connect(SessionLimits::default()).await.unwrap();
    let (id, server_uuid) = (connection.id, connection.server_uuid.clone());
    let running = Running { target: &target, role: Role::Primary, server_uuid: &server_uuid, id, what: "sleeping" };
    let late = running.until_stopped(&stop, Duration::from_millis(200), connection.run("SELECT SLEEP(600)")).await;
    assert_eq!(late.unwrap_err().cause, Cause::Unreachable);
    assert!(!works(id).await);
    let elsewhere = Running { server_uuid: "another", ..running };
    let stopping = async {
        eventually("the statement to run", || works(id)).await;
        stop.0.cancel();
    };
    let work = elsewhere.until_stopped(&stop, PATIENCE, connection.run("SELECT SLEEP(600)"));
    let (ended, ()) = futures::future::join(work, stopping).await;
    let error = ended.unwrap_err();
    assert_eq!(error.cause, Cause::FenceLost, "{error}");
    assert!(works(id).await, "it is not for us to end");
    let mut killer = target.connect(SessionLimits::default()).await.unwrap();
    killer.run(&format!("KILL {id}")).await.unwrap();
}
