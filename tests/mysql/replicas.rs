//! The replicas that a migration lists: what of them closes its gates, what its changes and its batches wait for, and the proof on
//! them. Where the server of this run has no replica there is little to test.

use std::time::Duration;

use holdfast::mysql::preflight::{PreflightLimits, parse_minimum_version};
use holdfast::mysql::replica::ReplicaTarget;
use holdfast::mysql::replica_check::{ReplicaReport, check};
use holdfast::mysql::replicas::Replicas;
use holdfast::mysql::session::{Engine, Session};
use holdfast::mysql::{
    Allowance, Cause, Error, JournalLocation, KillBlockers, Progress, Reading, SessionLimits, Stop, Target,
};
use holdfast::plan::Section;
use holdfast::plan::model::OrphanPolicy;
use sqlx::AssertSqlSafe;
use sqlx::mysql::MySqlConnection;
use tokio::sync::RwLock;
use tokio::sync::watch::Receiver;

use crate::common::{replica, target};
use crate::database::{Database, PARENT_AND_CHILD, PATIENCE, eventually, run_section};
use crate::replica::{caught_up, number, open};
use crate::rows::{key, remove_orphans};

/// Held by a test that stops replication, and shared by those that need it.
pub(crate) static REPLICATION: RwLock<()> = RwLock::const_new(());

const PATH: &str = "spec.database.replicas[0]";

fn listed(replica: &Target, password: &str, max_lag: Duration) -> Replicas {
    let primary = Target { password: password.to_owned(), ..target() };
    let one = ReplicaTarget::new(&primary, replica.host.clone(), replica.port, PATH.to_owned());
    Replicas { targets: vec![one], max_lag }
}

/// The engine with its replica, which may lag as long as other tests have it lag.
fn engine(database: &Database, replica: &Target) -> Engine {
    Engine { replicas: listed(replica, &replica.password, PATIENCE), ..database.engine() }
}

async fn statement(session: &mut MySqlConnection, text: &str) {
    sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(session).await.unwrap();
}

/// Holds a table there until its transaction is committed.
async fn hold(replica: &Target, table: &str) -> (MySqlConnection, i64) {
    let mut reader = open(replica).await;
    statement(&mut reader, "BEGIN").await;
    statement(&mut reader, &format!("SELECT * FROM {table} WHERE id = 1")).await;
    let id = number(&mut reader, "SELECT CONNECTION_ID()").await;
    (reader, id)
}

/// Looks at replicas as preflight does.
async fn look(database: &Database, replicas: &Replicas) -> Result<ReplicaReport, Error> {
    let limits = PreflightLimits {
        minimum_server_version: parse_minimum_version("8.0").unwrap(),
        max_active_sessions: 10_000,
        max_threads_running: 10_000,
        max_transaction_age: PATIENCE,
        schema: database.schema.clone(),
        journal: JournalLocation::Schema(database.journal.clone()),
        kill_blockers: KillBlockers::Never,
        puts_back: false,
    };
    let mut connection = target().connect(SessionLimits::default()).await.unwrap();
    let (progress, _reading) = Progress::new();
    let tables = [database.table("child")];
    let looking = check(&mut connection, replicas, &limits, &tables, (&progress, &Stop::default())).await;
    connection.close().await.unwrap();
    looking
}

/// Runs a section beside something that watches its progress.
async fn beside<T>(
    session: &Session,
    section: Section,
    watching: impl AsyncFnOnce(Receiver<Reading>) -> T,
) -> (Result<(), Error>, T) {
    let (progress, reading) = Progress::new();
    let stop = Stop::default();
    let running = session.run(section, Allowance::default(), &progress, &stop);
    let both = futures::future::join(running, watching(reading));
    let (result, watched) = tokio::time::timeout(PATIENCE, both).await.expect("the work ends");
    (result.map(|_| ()), watched)
}

/// What the work waits for, once that says all of these words.
async fn waits_for(reading: &mut Receiver<Reading>, words: &[&str]) -> String {
    let says = |reading: &Reading| {
        reading.waiting.as_ref().is_some_and(|waiting| words.iter().all(|word| waiting.contains(word)))
    };
    let told = reading.clone();
    match tokio::time::timeout(PATIENCE / 2, reading.wait_for(says)).await {
        Ok(found) => found.unwrap().waiting.clone().unwrap(),
        Err(_) => panic!("nothing says {words:?}, but {:?}", told.borrow()),
    }
}

#[tokio::test]
async fn a_listed_replica_is_known_and_an_unlisted_one_is_named() {
    let Some(replica) = replica() else { return };
    let _shared = REPLICATION.read().await;
    let database = Database::fresh("replicas_listed", PARENT_AND_CHILD).await;
    let report = look(&database, &listed(&replica, &replica.password, PATIENCE)).await.unwrap();
    assert_eq!(report.following, [format!("{}:{}", replica.host, replica.port)]);
    assert_eq!(report.unlisted, []);
    let report = look(&database, &Replicas::default()).await.unwrap();
    assert_eq!((report.following.len(), report.unlisted.len()), (0, 1));
    assert!(report.unlisted[0].server_uuid.is_some(), "{report:?}");
    let itself = Replicas {
        targets: vec![ReplicaTarget::new(&target(), target().host, target().port, PATH.to_owned())],
        max_lag: PATIENCE,
    };
    let error = look(&database, &itself).await.unwrap_err();
    assert_eq!(error.cause, Cause::ReplicaNotReady, "{error}");
    assert!(error.message.contains(PATH) && error.message.contains("spec.database.host itself"), "{error}");
}

/// For the servers of other runs that have no GTIDs: nothing listens at the place that is listed.
#[tokio::test]
async fn without_gtids_no_replica_can_be_listed() {
    let database = Database::fresh("replicas_without", PARENT_AND_CHILD).await;
    let mode = "SELECT CAST(@@global.gtid_mode AS CHAR)";
    if !database.served.mariadb && database.text(mode).await.as_deref() == Some("ON") {
        return;
    }
    let nowhere = ReplicaTarget::new(&target(), "127.0.0.1".to_owned(), 1, PATH.to_owned());
    let error = look(&database, &Replicas { targets: vec![nowhere], max_lag: PATIENCE }).await.unwrap_err();
    assert_eq!(error.cause, Cause::ReplicaNotReady, "{error}");
    let reason = if database.served.mariadb { "those of MySQL only" } else { "gtid_mode is OFF on the server" };
    assert!(error.message.contains(reason), "{error}");
    assert!(error.message.contains("spec.database.replicas"), "{error}");
}

#[tokio::test]
async fn a_replica_that_cannot_be_read_or_does_not_follow_closes_the_gate_by_name() {
    let Some(replica) = replica() else { return };
    let _alone = REPLICATION.write().await;
    let database = Database::fresh("replicas_gate", PARENT_AND_CHILD).await;
    let mut there = open(&replica).await;
    caught_up(&database, &mut there).await;
    let good = listed(&replica, &replica.password, PATIENCE);
    let place = format!("replica {}:{} ({PATH})", replica.host, replica.port);
    let closed = async |replicas: &Replicas, words: &[&str]| {
        let error = look(&database, replicas).await.unwrap_err();
        assert_eq!(error.cause, Cause::ReplicaNotReady, "{error}");
        for word in words {
            assert!(error.message.contains(word), "{word:?} is not in {error}");
        }
    };
    let wrong = listed(&replica, "wrong", PATIENCE);
    closed(&wrong, &[&place, "1045", "spec.database.credentialsSecretRef"]).await;
    let gone = ReplicaTarget::new(&target(), replica.host.clone(), 1, PATH.to_owned());
    let gone = Replicas { targets: vec![gone], max_lag: PATIENCE };
    closed(&gone, &[PATH, "check spec.database.replicas[0].host and port"]).await;
    for (stop, words) in [
        ("STOP REPLICA SQL_THREAD", "applier (SQL thread) does not run"),
        ("STOP REPLICA IO_THREAD", "receiver (IO thread) does not run"),
    ] {
        statement(&mut there, stop).await;
        closed(&good, &[&place, words, "START REPLICA"]).await;
        statement(&mut there, "START REPLICA").await;
        eventually("the replica to follow again", || async { look(&database, &good).await.is_ok() }).await;
    }
    // Work that goes on stops there, too.
    let plan = database.plan(vec![database.add_key("child", "parent", "fk_gate", OrphanPolicy::Fail)]).await;
    let session = engine(&database, &replica).begin("shop/replicas", &plan).await.unwrap();
    statement(&mut there, "STOP REPLICA SQL_THREAD").await;
    let error = run_section(&session, Section::Stage(0)).await.unwrap_err();
    statement(&mut there, "START REPLICA").await;
    assert_eq!(error.cause, Cause::ReplicaNotReady, "{error}");
    assert_eq!(database.keys_named("fk_gate").await, 0, "nothing is changed while a replica cannot be watched");
    eventually("the replica to follow again", || async { look(&database, &good).await.is_ok() }).await;
    run_section(&session, Section::Stage(0)).await.unwrap();
    session.release().await.unwrap();
}

#[tokio::test]
async fn a_replica_that_lags_closes_the_gate_and_holds_batches_until_it_has_caught_up() {
    let Some(replica) = replica() else { return };
    // What makes it lag is told from no other test.
    let _alone = REPLICATION.write().await;
    let database = Database::fresh("replicas_lag", PARENT_AND_CHILD).await;
    database.run(&["CREATE TABLE other (id INT PRIMARY KEY)", "INSERT INTO child (parent_id) VALUES (50), (51)"]).await;
    let mut there = open(&replica).await;
    caught_up(&database, &mut there).await;
    let fk = key(&database, "fk_lag", ("child", &["parent_id"]), ("parent", &["id"]));
    let plan = database.plan(vec![remove_orphans(fk, OrphanPolicy::Delete)]).await;
    let limit = Duration::from_millis(400);
    let engine = Engine { replicas: listed(&replica, &replica.password, limit), ..database.engine() };
    let session = engine.begin("shop/replicas", &plan).await.unwrap();

    let (mut reader, _) = hold(&replica, "holdfast_test_replicas_lag.other").await;
    database.run(&["ALTER TABLE other ADD COLUMN extra INT, ALGORITHM=INSTANT"]).await;
    let error = look(&database, &engine.replicas).await.unwrap_err();
    assert_eq!(error.cause, Cause::ReplicaNotReady, "{error}");
    assert!(error.message.contains("is not applied there, and spec.preflight.maxReplicaLag is 0.4 s"), "{error}");
    let orphans = "SELECT COUNT(*) FROM child WHERE parent_id > 10";
    let (result, left) = beside(&session, Section::CleanUp, async |mut reading| {
        waits_for(
            &mut reading,
            &["the next batch of rows waits for replica", PATH, "spec.preflight.maxReplicaLag is 0.4 s"],
        )
        .await;
        let left = database.number(orphans).await;
        statement(&mut reader, "COMMIT").await;
        left
    })
    .await;
    result.unwrap();
    assert_eq!(left, 2, "no batch is begun while it lags");
    assert_eq!(database.number(orphans).await, 0);
    session.release().await.unwrap();
}

#[tokio::test]
async fn an_open_select_on_the_replica_is_named_and_holds_the_change() {
    let Some(replica) = replica() else { return };
    let _shared = REPLICATION.read().await;
    let database = Database::fresh("replicas_select", PARENT_AND_CHILD).await;
    let mut there = open(&replica).await;
    caught_up(&database, &mut there).await;
    let plan = database.plan(vec![database.add_key("child", "parent", "fk_select", OrphanPolicy::Fail)]).await;
    let session = engine(&database, &replica).begin("shop/replicas", &plan).await.unwrap();
    // The parent's readers stall the applier as the child's do.
    let (mut reader, id) = hold(&replica, "holdfast_test_replicas_select.parent").await;
    eventually("the reader to have held the parent for longer than a change may wait", || {
        let replica = replica.clone();
        let age = format!(
            "SELECT CAST(x.timer_wait / 1e9 AS SIGNED) FROM performance_schema.events_transactions_current x \
             JOIN performance_schema.threads t USING (thread_id) WHERE t.processlist_id = {id}"
        );
        async move { number(&mut open(&replica).await, &age).await > 600 }
    })
    .await;
    let (result, keys) = beside(&session, Section::Stage(0), async |mut reading| {
        let connection = format!("connection {id} (root@");
        let text = waits_for(&mut reading, &[": on replica ", PATH, &connection]).await;
        assert!(text.contains("holdfast_test_replicas_select.parent"), "{text}");
        let keys = database.keys_named("fk_select").await;
        statement(&mut reader, "COMMIT").await;
        keys
    })
    .await;
    result.unwrap();
    assert_eq!(keys, 0, "the key waits for the reader on the replica");
    assert_eq!(database.keys_named("fk_select").await, 1);
    session.release().await.unwrap();
}

#[tokio::test]
async fn the_next_step_waits_until_the_replica_has_applied_a_change_and_the_one_in_its_way_is_named() {
    let Some(replica) = replica() else { return };
    let _shared = REPLICATION.read().await;
    let database = Database::fresh("replicas_after", PARENT_AND_CHILD).await;
    let mut there = open(&replica).await;
    caught_up(&database, &mut there).await;
    let mut engine = engine(&database, &replica);
    // So long that the reader counts as none before the change, as one that arrives just after that look.
    engine.settings.lock_timeout = PATIENCE;
    let columns = ["one", "two"].map(|name| database.add_column("child", name));
    let plan = database.plan(columns.into()).await;
    let session = engine.begin("shop/replicas", &plan).await.unwrap();
    let (mut reader, id) = hold(&replica, "holdfast_test_replicas_after.child").await;
    let columns = "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = 'holdfast_test_replicas_after' \
                   AND column_name IN ('one', 'two')";
    let (result, made) = beside(&session, Section::FixTypes, async |mut reading| {
        let connection = format!("connection {id} (root@");
        waits_for(&mut reading, &["is to apply it", PATH, &connection]).await;
        let made = database.number(columns).await;
        statement(&mut reader, "COMMIT").await;
        made
    })
    .await;
    result.unwrap();
    assert_eq!(made, 1, "the second change waits until the replica has applied the first");
    assert_eq!(database.number(columns).await, 2);
    assert_eq!(number(&mut there, columns).await, 2, "and the work ends with a replica that has applied both");
    session.release().await.unwrap();
}

#[tokio::test]
async fn the_proof_finds_what_only_the_replica_lacks_or_has() {
    let Some(replica) = replica() else { return };
    let _alone = REPLICATION.write().await;
    let database = Database::fresh("replicas_proof", PARENT_AND_CHILD).await;
    let plan = database.plan(vec![database.add_key("child", "parent", "fk_proof", OrphanPolicy::Fail)]).await;
    let session = engine(&database, &replica).begin("shop/replicas", &plan).await.unwrap();
    run_section(&session, Section::Stage(0)).await.unwrap();
    let prove = async || {
        let (progress, _reading) = Progress::new();
        tokio::time::timeout(PATIENCE, session.prove(&progress, &Stop::default())).await.expect("the proof ends")
    };
    let proof = prove().await.unwrap();
    let [on_replica] = &proof.replicas[..] else { panic!("{:?}", proof.replicas) };
    assert_eq!(on_replica.replica, format!("{}:{}", replica.host, replica.port));
    assert_eq!((on_replica.keys.len(), on_replica.keys[0].orphans), (1, 0));
    assert_ne!(on_replica.server_uuid, proof.server_uuid);
    assert!(on_replica.applied.contains(&proof.server_uuid), "{}", on_replica.applied);

    // As an error of replication, or a person, would make it.
    let mut there = open(&replica).await;
    let child = "holdfast_test_replicas_proof.child";
    statement(&mut there, "SET GLOBAL super_read_only = OFF").await;
    statement(&mut there, "SET SESSION sql_log_bin = 0, foreign_key_checks = 0").await;
    statement(&mut there, &format!("INSERT INTO {child} (id, parent_id) VALUES (1000, 99)")).await;
    let straggler = prove().await.unwrap_err();
    let at_stage = run_section(&session, Section::Stage(0)).await.unwrap_err();
    statement(&mut there, &format!("DELETE FROM {child} WHERE id = 1000")).await;
    statement(&mut there, &format!("ALTER TABLE {child} DROP FOREIGN KEY fk_proof")).await;
    let lacking = prove().await.unwrap_err();
    statement(
        &mut there,
        &format!(
            "ALTER TABLE {child} ADD CONSTRAINT fk_proof FOREIGN KEY (parent_id) REFERENCES holdfast_test_replicas_proof.parent (id) \
             ON DELETE CASCADE ON UPDATE NO ACTION"
        ),
    )
    .await;
    statement(&mut there, "SET GLOBAL super_read_only = ON").await;
    for (error, words) in [(straggler, "1 rows of"), (at_stage, "1 rows of"), (lacking, "fk_proof of")] {
        assert_eq!(error.cause, Cause::VerificationFailed, "{error}");
        let place = format!("on replica {}:{} ({PATH})", replica.host, replica.port);
        assert!(error.message.contains(&place) && error.message.contains(words), "{error}");
    }
    prove().await.unwrap();
    session.release().await.unwrap();
}
