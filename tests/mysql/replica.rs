//! A source with a replica: what the online protocol does to the replica, and what can be read of it there. Where the server of this
//! run has no replica there is nothing to test.

use holdfast::mysql::error::Cause;
use holdfast::mysql::preflight::{PreflightLimits, parse_minimum_version, preflight};
use holdfast::mysql::topology::check_one_server;
use holdfast::mysql::{JournalLocation, KillBlockers, Progress, SessionLimits, Stop, Target};
use holdfast::plan::Section;
use holdfast::plan::model::OrphanPolicy;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use std::time::Duration;

use crate::common::{replica, target};
use crate::database::{Database, PARENT_AND_CHILD, eventually, run_section};
use crate::replicas::REPLICATION;

/// A session on the replica; the engine itself refuses to work on one.
pub(crate) async fn open(replica: &Target) -> MySqlConnection {
    MySqlConnectOptions::new()
        .host(&replica.host)
        .port(replica.port)
        .username(&replica.username)
        .password(&replica.password)
        .ssl_mode(MySqlSslMode::Required)
        .connect()
        .await
        .unwrap()
}

pub(crate) async fn number(session: &mut MySqlConnection, query: &str) -> i64 {
    let row =
        sqlx::raw_sql(AssertSqlSafe(format!("SELECT CAST(({query}) AS SIGNED)"))).fetch_one(session).await.unwrap();
    row.try_get::<Option<i64>, _>(0).unwrap().unwrap_or(-1)
}

/// Waits until the replica has applied everything that the source has committed so far.
pub(crate) async fn caught_up(database: &Database, session: &mut MySqlConnection) {
    let source = database.text("SELECT CAST(@@gtid_executed AS CHAR)").await.unwrap().replace('\n', "");
    assert_eq!(number(session, &format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{source}', 60)")).await, 0, "60 s");
}

/// InnoDB's number of a table: another one after every copy.
async fn table_id(session: &mut MySqlConnection, table: &str) -> i64 {
    number(session, &format!("SELECT TABLE_ID FROM information_schema.INNODB_TABLES WHERE NAME = '{table}'")).await
}

#[tokio::test]
async fn a_key_reaches_the_replica_without_a_copy_and_holds_there() {
    let Some(replica) = replica() else { return };
    let _shared = REPLICATION.read().await;
    let database = Database::fresh("replica_key", PARENT_AND_CHILD).await;
    let mut there = open(&replica).await;
    caught_up(&database, &mut there).await;
    let before = table_id(&mut there, "holdfast_test_replica_key/child").await;
    assert!(before > 0);
    let plan = database.plan(vec![database.add_key("child", "parent", "fk_replica", OrphanPolicy::Fail)]).await;
    let session = database.engine().begin("shop/replica", &plan).await.unwrap();
    run_section(&session, Section::Stage(0)).await.unwrap();
    let before_proof = database.text("SELECT CAST(@@global.gtid_executed AS CHAR)").await.unwrap();
    let (progress, _reading) = Progress::new();
    let transactions = session.prove(&progress, &Stop::default()).await.unwrap().transactions.unwrap();
    let seen = format!("GTID_SUBSET('{}', '{transactions}')", before_proof.replace('\n', ""));
    assert_eq!(database.number(&format!("SELECT {seen}")).await, 1, "{transactions}");
    session.release().await.unwrap();
    caught_up(&database, &mut there).await;
    let keys = "SELECT COUNT(*) FROM information_schema.referential_constraints WHERE constraint_name = 'fk_replica'";
    assert_eq!(number(&mut there, keys).await, 1);
    assert_eq!(table_id(&mut there, "holdfast_test_replica_key/child").await, before, "the replica copied the table");
    // A copy on the source would have been one on the replica, too.
    database.run(&["ALTER TABLE child FORCE, ALGORITHM=COPY"]).await;
    caught_up(&database, &mut there).await;
    assert_ne!(table_id(&mut there, "holdfast_test_replica_key/child").await, before);
}

#[tokio::test]
async fn the_replica_is_named_by_preflight_and_refused_as_the_server_to_work_on() {
    let Some(replica) = replica() else { return };
    let _shared = REPLICATION.read().await;
    let error = replica.connect(SessionLimits::default()).await.unwrap_err();
    assert_eq!(error.cause, Cause::ServerUnsupported, "{error}");
    assert!(error.message.contains("read-only"), "{error}");
    let database = Database::fresh("replica_named", PARENT_AND_CHILD).await;
    let mut connection = target().connect(SessionLimits::default()).await.unwrap();
    let limits = PreflightLimits {
        minimum_server_version: parse_minimum_version("8.0").unwrap(),
        max_active_sessions: 10_000,
        max_threads_running: 10_000,
        max_transaction_age: Duration::from_secs(3600),
        schema: database.schema.clone(),
        journal: JournalLocation::Schema(database.journal.clone()),
        kill_blockers: KillBlockers::Never,
        puts_back: false,
    };
    let report = preflight(&mut connection, &limits, &[database.table("child")]).await.unwrap();
    assert_eq!(report.readers.len(), 1, "{:?}", report.readers);
    assert!(report.readers[0].place.contains("replicator"), "{:?}", report.readers);
}

/// An address that hands connections to servers in turn, as a Service over several of them does.
async fn in_turn(servers: Vec<Target>) -> Target {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let both = Target { host: "127.0.0.1".to_owned(), port, ..servers[0].clone() };
    tokio::spawn(async move {
        for server in servers.iter().cycle() {
            let (mut from, _) = listener.accept().await.unwrap();
            let mut to = tokio::net::TcpStream::connect((server.host.as_str(), server.port)).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut from, &mut to).await });
        }
    });
    both
}

#[tokio::test]
async fn an_address_behind_which_several_servers_answer_is_refused_and_they_are_named() {
    let Some(replica) = replica() else { return };
    let alone = in_turn(vec![target()]).await;
    let connection = alone.connect(SessionLimits::default()).await.unwrap();
    check_one_server(&alone, &connection).await.unwrap();
    let several = in_turn(vec![target(), replica]).await;
    let connection = several.connect(SessionLimits::default()).await.unwrap();
    let error = check_one_server(&several, &connection).await.unwrap_err();
    assert_eq!(error.cause, Cause::ServerUnsupported, "{error}");
    assert!(error.message.contains(&connection.server_uuid) && error.message.contains("2 servers"), "{error}");
    assert!(error.message.contains("spec.database.host"), "{error}");
}

#[tokio::test]
async fn lag_is_read_from_the_transaction_that_the_replica_is_at() {
    let Some(replica) = replica() else { return };
    // What others have the replica apply would be seen, too.
    let _alone = REPLICATION.write().await;
    // Age of the transaction being applied; NULL while there is none.
    let lag = "SELECT MAX(TIMESTAMPDIFF(MICROSECOND, APPLYING_TRANSACTION_ORIGINAL_COMMIT_TIMESTAMP, NOW(6)) DIV 1000) \
               FROM performance_schema.replication_applier_status_by_worker WHERE APPLYING_TRANSACTION <> ''";
    let database = Database::fresh("replica_lag", PARENT_AND_CHILD).await;
    let (mut there, mut reader) = (open(&replica).await, open(&replica).await);
    caught_up(&database, &mut there).await;
    // A reader's lock holds the applier up at the next change of the table.
    sqlx::raw_sql("BEGIN").execute(&mut reader).await.unwrap();
    sqlx::raw_sql("SELECT * FROM holdfast_test_replica_lag.child LIMIT 1").execute(&mut reader).await.unwrap();
    database.run(&["ALTER TABLE child ADD COLUMN extra INT, ALGORITHM=INSTANT"]).await;
    eventually("a lag of more than half a second", || {
        let replica = replica.clone();
        async move { number(&mut open(&replica).await, lag).await > 500 }
    })
    .await;
    sqlx::raw_sql("COMMIT").execute(&mut reader).await.unwrap();
    caught_up(&database, &mut there).await;
    eventually("nothing to be applied any more", || {
        let replica = replica.clone();
        async move { number(&mut open(&replica).await, lag).await == -1 }
    })
    .await;
}
