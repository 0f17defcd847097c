//! The connections that a session lends serve many operations: one that broke is replaced, another server behind one is noticed, and
//! a key costs few connections and readings however many tables hang together.

use holdfast::mysql::session::Engine;
use holdfast::mysql::{Progress, Stop};
use holdfast::plan::model::OrphanPolicy;
use holdfast::plan::{Plan, Section};

use crate::common::target;
use crate::database::{Database, PARENT_AND_CHILD, eventually, run_section};

/// Keys of a test's plan.
const KEYS: i64 = 12;

/// Makes a user for the engine of one test, so that its connections and statements can be told from those of other tests.
async fn engine_of(database: &Database, user: &str) -> Engine {
    database
        .run(&[
            &format!("DROP USER IF EXISTS {user}"),
            &format!("CREATE USER {user} IDENTIFIED BY '{}'", target().password),
            &format!("GRANT ALL ON *.* TO {user}"),
        ])
        .await;
    let mut engine = database.engine();
    user.clone_into(&mut engine.target.username);
    engine
}

/// The ids of a user's connections, the one that holds the fence left out.
async fn connections_of(database: &Database, engine: &Engine) -> Vec<i64> {
    let holder = engine.fence_holder(&database.schema).await.unwrap().expect("the fence is held");
    let fence: i64 = holder.rsplit(' ').next().unwrap().parse().unwrap();
    let ids = database.text(&database.served.sessions_of(&engine.target.username)).await.unwrap_or_default();
    ids.split(',').filter_map(|id| id.parse().ok()).filter(|id| *id != fence).collect()
}

/// A parent and children that all refer to it: after the first keys every table hangs together with every other.
async fn family(test: &str) -> (Database, Plan) {
    let database = Database::fresh(test, &PARENT_AND_CHILD[..1]).await;
    let mut operations = Vec::new();
    for number in 0..KEYS {
        let child = format!("child_{number}");
        database
            .run(&[&format!(
                "CREATE TABLE {child} (id INT PRIMARY KEY, parent_id INT NULL, KEY by_parent (parent_id))"
            )])
            .await;
        operations.push(database.add_key(&child, "parent", &format!("fk_{number}"), OrphanPolicy::Fail));
    }
    let mut plan = database.plan(operations).await;
    // Made of the operations' names, it would be longer than a digest.
    plan.digest = format!("sha256:{test}");
    (database, plan)
}

#[tokio::test]
async fn a_key_costs_one_connection_and_the_definitions_of_its_own_tables_twice() {
    let (database, plan) = family("lending_cost").await;
    if database.served.mariadb {
        // Nothing there counts connections and statements by user.
        return;
    }
    let engine = engine_of(&database, "holdfast_cost").await;
    let session = engine.begin("shop/first", &plan).await.unwrap();
    let connections = "SELECT total_connections FROM performance_schema.users WHERE user = 'holdfast_cost'";
    let definitions = "SELECT count_star FROM performance_schema.events_statements_summary_by_user_by_event_name \
                       WHERE user = 'holdfast_cost' AND event_name = 'statement/sql/show_create_table'";
    let before = (database.number(connections).await, database.number(definitions).await);
    run_section(&session, Section::Stage(0)).await.unwrap();
    let opened = database.number(connections).await - before.0;
    let read = database.number(definitions).await - before.1;
    // One that changes the schema; besides them the canary's of the one barrier, those that are lent, and the quarantine's count.
    assert!((KEYS..=KEYS + 5).contains(&opened), "{opened} connections for {KEYS} keys");
    // Two tables before and two after the change; beside them each table once, for what has drifted.
    assert_eq!(read, 4 * KEYS + KEYS + 1, "readings of definitions for {KEYS} keys");
    session.release().await.unwrap();
}

#[tokio::test]
async fn an_idle_connection_that_was_killed_is_replaced() {
    let (database, plan) = family("lending_killed").await;
    let engine = engine_of(&database, "holdfast_killed").await;
    let session = engine.begin("shop/first", &plan).await.unwrap();
    let idle = connections_of(&database, &engine).await;
    assert!(!idle.is_empty(), "the session keeps the connection by which it looked for drift");
    for id in &idle {
        database.run(&[&format!("KILL CONNECTION {id}")]).await;
    }
    run_section(&session, Section::Stage(0)).await.unwrap();
    let now = connections_of(&database, &engine).await;
    assert!(!now.is_empty() && now.iter().all(|id| !idle.contains(id)), "{idle:?} were killed, {now:?} are there");
    let (progress, _reading) = Progress::new();
    session.prove(&progress, &Stop::default()).await.unwrap();
    session.release().await.unwrap();
    let left = database.served.sessions_of("holdfast_killed");
    eventually("every connection to be closed", || async { database.text(&left).await.unwrap_or_default().is_empty() })
        .await;
}
