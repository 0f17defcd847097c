//! Schema changes under traffic: writers are held up only as long as allowed, blockers are named, and no orphan slips through.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use holdfast::mysql::{Allowance, Cause, Progress, Reading, Stop};
use holdfast::plan::Section;
use holdfast::plan::model::{Expectation, LockClass, OrphanPolicy};
use tokio::sync::RwLock;
use tokio::task::JoinHandle;

use crate::common::identifier as id;
use crate::database::{Database, PARENT_AND_CHILD, PATIENCE, eventually, run_section, run_stage_during_deletion};

/// Held by the test that keeps the server's list of transactions stale, and shared by those that cannot wait for a fresh one.
static FRESH_LIST: RwLock<()> = RwLock::const_new(());

/// Whether a barrier has begun to wait. Which transactions it names first depends on those of other tests.
fn waits_for_older(reading: &Reading) -> bool {
    reading.waiting.as_ref().is_some_and(|text| text.contains("older than the change"))
}

/// Inserts children without a pause and remembers the longest time that one insert took.
struct Writer {
    stop: Arc<AtomicBool>,
    task: JoinHandle<(u64, Duration)>,
}

impl Writer {
    async fn start(database: &Database) -> Self {
        let mut connection = database.application().await;
        // Long enough that a blocked insert is measured rather than refused.
        connection.run("SET SESSION lock_wait_timeout = 30").await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let (mut written, mut worst) = (0, Duration::ZERO);
            while !asked.load(Ordering::Relaxed) {
                let started = Instant::now();
                connection.run("INSERT INTO child (parent_id) VALUES (1)").await.unwrap();
                worst = worst.max(started.elapsed());
                written += 1;
            }
            (written, worst)
        });
        Self { stop, task }
    }

    /// How many rows were written, and the longest insert.
    async fn end(self) -> (u64, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        tokio::time::timeout(PATIENCE, self.task).await.expect("the writer ends").unwrap()
    }
}

#[tokio::test]
async fn a_key_is_added_and_proven_while_a_writer_runs() {
    let database = Database::fresh("key_writer", PARENT_AND_CHILD).await;
    let mut plan = database.plan(vec![database.add_key("child", "parent", "fk_writer", OrphanPolicy::Fail)]).await;
    plan.stages[0].expect = vec![Expectation { referenced_table: Some(id("parent")), at_least: 1 }];
    let session = database.engine().begin("shop/first", &plan).await.unwrap();
    let writer = Writer::start(&database).await;
    run_section(&session, Section::Stage(0)).await.unwrap();
    let (progress, _reading) = Progress::new();
    let proof = session.prove(&progress, &Stop::default()).await.unwrap();
    let (written, _) = writer.end().await;
    assert!(written > 0);
    assert_eq!((proof.keys.len(), proof.keys[0].orphans, proof.expectations[0].found), (1, 0, 1));
    let mut application = database.application().await;
    let refused = application.run("INSERT INTO child (parent_id) VALUES (99)").await.unwrap_err();
    assert_eq!(refused.code, Some(1452));
    session.release().await.unwrap();
}

#[tokio::test]
async fn a_reader_that_holds_the_parent_is_named_and_writers_of_the_child_are_not_held_up_longer_than_allowed() {
    let _fresh = FRESH_LIST.read().await;
    let database = Database::fresh("key_blocked", PARENT_AND_CHILD).await;
    let mut engine = database.engine();
    // The server's own timeout counts whole seconds, here two: less than that shows the second connection's kill.
    engine.settings.lock_timeout = Duration::from_millis(1200);
    engine.settings.max_retries = 2;
    engine.settings.barrier_timeout = Duration::from_secs(3);
    if database.served.mariadb {
        // Nothing is going to be waited for there; so the reader must not be seen as a blocker before the key is tried.
        engine.settings.lock_timeout = PATIENCE;
    }
    let plan = database.plan(vec![database.add_key("child", "parent", "fk_blocked", OrphanPolicy::Fail)]).await;
    let session = engine.begin("shop/first", &plan).await.unwrap();
    let writer = Writer::start(&database).await;
    let mut reader = database.application().await;
    let (progress, mut reading) = Progress::new();
    let (allowance, stop) = (Allowance::default(), Stop::default());
    let running = session.run(Section::Stage(0), allowance, &progress, &stop);
    let coming = async {
        // Just before the first try: one that has held the table for longer is seen before any try.
        reading.wait_for(|reading| reading.activity.starts_with("add-key-fk_blocked on ")).await.unwrap();
        reader.run("BEGIN").await.unwrap();
        reader.run("SELECT COUNT(*) FROM parent").await.unwrap();
    };
    let (result, ()) =
        tokio::time::timeout(PATIENCE, futures::future::join(running, coming)).await.expect("the work ends");
    let error = result.unwrap_err();
    let (_, worst) = writer.end().await;
    assert!(
        error.message.contains(&format!("connection {} ", reader.id)),
        "{error} does not name connection {}",
        reader.id
    );
    assert!(worst < Duration::from_millis(1900), "an insert waited {worst:?}");
    if database.served.mariadb {
        // The key does not wait for the parent's readers there, but its proof does.
        assert_eq!(error.cause, Cause::BarrierTimeout, "{error}");
        assert_eq!(database.keys_named("fk_blocked").await, 1);
    } else {
        assert_eq!(error.cause, Cause::RetriesExhausted, "{error}");
        assert!(worst > Duration::from_millis(900), "the first try did not wait for the reader: {worst:?}");
        assert_eq!(database.keys_named("fk_blocked").await, 0);
    }
    reader.run("COMMIT").await.unwrap();
    session.release().await.unwrap();
    // Other tests' transactions are waited for too, and take their time.
    let session = database.engine().begin("shop/first", &plan).await.unwrap();
    run_section(&session, Section::Stage(0)).await.unwrap();
    assert_eq!(database.keys_named("fk_blocked").await, 1);
    session.release().await.unwrap();
}

#[tokio::test]
async fn a_parent_deleted_by_a_transaction_that_commits_late_is_caught() {
    let database = Database::fresh("key_late", PARENT_AND_CHILD).await;
    let mut engine = database.engine();
    engine.settings.max_retries = 100;
    let plan = database.plan(vec![database.add_key("child", "parent", "fk_late", OrphanPolicy::Fail)]).await;
    let session = engine.begin("shop/first", &plan).await.unwrap();
    let result = run_stage_during_deletion(&database, &session).await;
    let error = result.unwrap_err();
    assert_eq!(error.cause, Cause::OrphansFound, "{error}");
    assert!(error.message.contains("10 rows"), "{error}");
    assert_eq!(database.keys_named("fk_late").await, 0, "a key that does not hold is dropped");
    session.release().await.unwrap();
}

#[tokio::test]
async fn on_mariadb_a_key_does_not_wait_for_a_deleted_parent_and_the_barrier_does() {
    let database = Database::fresh("key_overtaken", PARENT_AND_CHILD).await;
    if !database.served.mariadb {
        return;
    }
    let _fresh = FRESH_LIST.read().await;
    let mut engine = database.engine();
    // Long enough that the deletion is not seen as a blocker before the key is tried.
    engine.settings.lock_timeout = PATIENCE;
    let plan = database.plan(vec![database.add_key("child", "parent", "fk_overtaken", OrphanPolicy::Fail)]).await;
    let session = engine.begin("shop/first", &plan).await.unwrap();
    let mut deleter = database.application().await;
    deleter.run("BEGIN").await.unwrap();
    deleter.run("DELETE FROM parent WHERE id = 3").await.unwrap();
    let (progress, mut reading) = Progress::new();
    let stop = Stop::default();
    let running = session.run(Section::Stage(0), Allowance::default(), &progress, &stop);
    let committing = async {
        // Other tests' transactions may stand before this one's in the message.
        let waits =
            |reading: &Reading| reading.waiting.as_ref().is_some_and(|text| text.contains("older than the change"));
        reading.wait_for(waits).await.unwrap();
        let keys = database.keys_named("fk_overtaken").await;
        let orphans = "SELECT COUNT(*) FROM child c LEFT JOIN parent p ON p.id = c.parent_id WHERE p.id IS NULL AND c.parent_id IS NOT NULL";
        let orphans_then = database.number(orphans).await;
        deleter.run("COMMIT").await.unwrap();
        (keys, orphans_then, database.number(orphans).await)
    };
    let (result, found) =
        tokio::time::timeout(PATIENCE, futures::future::join(running, committing)).await.expect("the work ends");
    assert_eq!(
        found,
        (1, 0, 10),
        "the key is there, a count without the barrier finds nothing, and then there are orphans"
    );
    let error = result.unwrap_err();
    assert_eq!(error.cause, Cause::OrphansFound, "{error}");
    assert_eq!(database.keys_named("fk_overtaken").await, 0, "a key that does not hold is dropped");
    session.release().await.unwrap();
}

#[tokio::test]
async fn orphans_under_policy_fail_are_refused_before_the_key_is_added() {
    let database = Database::fresh("key_orphans", PARENT_AND_CHILD).await;
    database.run(&["INSERT INTO child (parent_id) VALUES (50), (51), (NULL)"]).await;
    let plan = database.plan(vec![database.add_key("child", "parent", "fk_orphans", OrphanPolicy::Fail)]).await;
    let session = database.engine().begin("shop/first", &plan).await.unwrap();
    let error = run_section(&session, Section::Stage(0)).await.unwrap_err();
    assert_eq!(error.cause, Cause::OrphansFound);
    assert!(error.message.contains("2 rows"), "{error}");
    assert!(!session.changed_anything().await.unwrap(), "nothing was announced");
    session.release().await.unwrap();
}

#[tokio::test]
async fn the_barrier_waits_for_older_transactions_and_names_the_one_that_does_not_end() {
    let _fresh = FRESH_LIST.read().await;
    let database = Database::fresh("barrier", PARENT_AND_CHILD).await;
    database.run(&["CREATE TABLE elsewhere (id INT PRIMARY KEY)", "INSERT INTO elsewhere VALUES (1)"]).await;
    let mut engine = database.engine();
    engine.settings.barrier_timeout = Duration::from_secs(3);
    let keys = ["fk_barrier", "fk_barrier_too"];
    let plan =
        database.plan(keys.map(|name| database.add_key("child", "parent", name, OrphanPolicy::Fail)).into()).await;
    let session = engine.begin("shop/first", &plan).await.unwrap();
    let mut old = database.application().await;
    old.run("BEGIN").await.unwrap();
    old.run("UPDATE elsewhere SET id = 2").await.unwrap();
    let error = run_section(&session, Section::Stage(0)).await.unwrap_err();
    assert_eq!(error.cause, Cause::BarrierTimeout, "{error}");
    assert!(error.message.contains("2 keys from fk_barrier to fk_barrier_too"), "one wait serves both keys: {error}");
    for name in keys {
        assert_eq!(database.keys_named(name).await, 1, "{name} is enforced while its proof waits");
    }
    assert!(error.message.contains(&format!("connection {} ", old.id)), "{error} does not name connection {}", old.id);
    old.run("COMMIT").await.unwrap();
    session.release().await.unwrap();
    // Other tests' transactions are waited for too, and take their time.
    let session = database.engine().begin("shop/first", &plan).await.unwrap();
    let report = run_section(&session, Section::Stage(0)).await.unwrap();
    assert_eq!(report.operations.len(), 2);
    for done in report.operations {
        assert_eq!(done.tries, 0, "{} was there already and only had to be validated", done.operation);
    }
    session.release().await.unwrap();
}

#[tokio::test]
async fn of_two_keys_added_together_only_the_one_that_does_not_hold_is_dropped() {
    let _fresh = FRESH_LIST.read().await;
    let database = Database::fresh("two_keys", PARENT_AND_CHILD).await;
    database
        .run(&[
            "CREATE TABLE other (id INT PRIMARY KEY, parent_id INT NULL, KEY (parent_id))",
            "INSERT INTO other VALUES (1, 1), (2, 2)",
        ])
        .await;
    let mut engine = database.engine();
    engine.settings.max_retries = 100;
    let keys = vec![
        database.add_key("child", "parent", "fk_lies", OrphanPolicy::Fail),
        database.add_key("other", "parent", "fk_holds", OrphanPolicy::Fail),
    ];
    let plan = database.plan(keys).await;
    let session = engine.begin("shop/first", &plan).await.unwrap();
    let result = run_stage_during_deletion(&database, &session).await;
    let error = result.unwrap_err();
    assert_eq!(error.cause, Cause::OrphansFound, "{error}");
    assert!(error.message.contains("fk_lies was dropped again"), "{error}");
    assert_eq!(database.keys_named("fk_holds").await, 1);
    assert_eq!(database.keys_named("fk_lies").await, 0, "a key that does not hold is not left there");
    session.release().await.unwrap();
}

#[tokio::test]
async fn a_change_that_the_server_cannot_make_online_is_never_made_by_a_copy() {
    let database = Database::fresh("no_copy", PARENT_AND_CHILD).await;
    let mut operation = database.add_column("child", "extra");
    let table = database.table("child");
    // With checks on, this server answers 1846; here a type change stands for every such refusal.
    operation.forward =
        Some(format!("ALTER TABLE {} MODIFY note BIGINT NULL, ALGORITHM=INPLACE, LOCK=NONE", table.quoted()));
    let plan = database.plan(vec![operation]).await;
    let before = database.definition(&table).await;
    let session = database.engine().begin("shop/first", &plan).await.unwrap();
    let error = run_section(&session, Section::FixTypes).await.unwrap_err();
    assert!(matches!(error.code, Some(1845 | 1846)), "{error}");
    assert!(error.message.contains("COPY"), "{error}");
    assert_eq!(database.definition(&table).await, before);
    session.release().await.unwrap();
}

#[tokio::test]
async fn a_copy_waits_for_an_allowance_that_says_so() {
    let database = Database::fresh("copy_gate", PARENT_AND_CHILD).await;
    let mut operation = database.add_column("child", "extra");
    operation.lock = LockClass::Copy;
    let plan = database.plan(vec![operation]).await;
    let session = database.engine().begin("shop/first", &plan).await.unwrap();
    let (progress, _reading) = Progress::new();
    let error = session.run(Section::FixTypes, Allowance::default(), &progress, &Stop::default()).await.unwrap_err();
    assert_eq!(error.cause, Cause::ApprovalExceeded, "{error}");
    assert!(!session.changed_anything().await.unwrap());
    run_section(&session, Section::FixTypes).await.unwrap();
    session.release().await.unwrap();
}

#[tokio::test]
async fn an_expectation_that_is_missed_fails_the_stage() {
    let database = Database::fresh("expectation", PARENT_AND_CHILD).await;
    let mut plan = database.plan(vec![database.add_key("child", "parent", "fk_expected", OrphanPolicy::Fail)]).await;
    plan.stages[0].expect = vec![Expectation { referenced_table: None, at_least: 2 }];
    let session = database.engine().begin("shop/first", &plan).await.unwrap();
    let error = run_section(&session, Section::Stage(0)).await.unwrap_err();
    assert_eq!(error.cause, Cause::VerificationFailed);
    assert!(error.message.contains("at least 2"), "{error}");
    session.release().await.unwrap();
}

#[tokio::test]
async fn writers_go_on_during_an_index_build() {
    let database = Database::fresh("build_writer", PARENT_AND_CHILD).await;
    let grow = "INSERT INTO child (parent_id, note) SELECT a.parent_id, a.id FROM child a JOIN child b JOIN child c LIMIT 200000";
    database.run(&[grow]).await;
    let plan = database.plan(vec![database.add_index("child", "by_note", "note")]).await;
    let session = database.engine().begin("shop/first", &plan).await.unwrap();
    let writer = Writer::start(&database).await;
    let report = run_section(&session, Section::Stage(0)).await.unwrap();
    let (written, worst) = writer.end().await;
    assert!(written > 0);
    // One that is held up waits for nearly all of the build.
    let build = Duration::from_millis(report.operations[0].milliseconds);
    assert!(worst < build / 2, "an insert waited {worst:?} of {build:?}");
    let index =
        "SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE() AND index_name = 'by_note'";
    eventually("the index", || async { database.number(index).await == 1 }).await;
    session.release().await.unwrap();
}

#[tokio::test]
async fn a_reader_that_comes_during_an_index_build_costs_the_build_and_not_the_writers() {
    let database = Database::fresh("build_reader", PARENT_AND_CHILD).await;
    let grow = "INSERT INTO child (parent_id, note) SELECT a.parent_id, a.id FROM child a JOIN child b JOIN child c LIMIT 600000";
    database.run(&[grow]).await;
    let mut engine = database.engine();
    engine.settings.lock_timeout = Duration::from_millis(400);
    engine.settings.max_retries = 2;
    let plan = database.plan(vec![database.add_index("child", "by_note", "note")]).await;
    let session = engine.begin("shop/first", &plan).await.unwrap();
    let mut reader = database.application().await;
    let reading = async {
        let building = database.served.building("ALTER TABLE `holdfast_test_build_reader`%");
        eventually("the build", || async { database.number(&building).await > 0 }).await;
        reader.run("BEGIN").await.unwrap();
        reader.run("SELECT COUNT(*) FROM child WHERE id = 1").await.unwrap();
        (Writer::start(&database).await, Instant::now())
    };
    let (result, (writer, held_since)) = futures::future::join(run_section(&session, Section::Stage(0)), reading).await;
    let (_, worst) = writer.end().await;
    let error = result.unwrap_err();
    assert_eq!(error.cause, Cause::RetriesExhausted, "{error}");
    assert!(
        error.message.contains(&format!("connection {} ", reader.id)),
        "{error} does not name connection {}",
        reader.id
    );
    assert!(worst > Duration::from_millis(300), "the build did not wait for the reader: {worst:?}");
    // Without the second connection's kill it would have waited for as long as the reader holds the table.
    let held = held_since.elapsed();
    assert!(worst < held * 3 / 4, "an insert waited {worst:?} while a reader held the table for {held:?}");
    reader.run("COMMIT").await.unwrap();
    run_section(&session, Section::Stage(0)).await.unwrap();
    session.release().await.unwrap();
}

#[tokio::test]
async fn the_barrier_holds_even_while_another_reader_keeps_the_list_of_transactions_stale() {
    let _stale = FRESH_LIST.write().await;
    let database = Database::fresh("barrier_stale", PARENT_AND_CHILD).await;
    database.run(&["CREATE TABLE elsewhere (id INT PRIMARY KEY)", "INSERT INTO elsewhere VALUES (1)"]).await;
    let mut engine = database.engine();
    engine.settings.barrier_timeout = Duration::from_secs(1);
    let plan = database.plan(vec![database.add_key("child", "parent", "fk_stale", OrphanPolicy::Fail)]).await;
    let session = engine.begin("shop/first", &plan).await.unwrap();
    let mut monitor = database.application().await;
    monitor.run("SELECT COUNT(*) FROM information_schema.innodb_trx").await.unwrap();
    let monitoring = tokio::spawn(async move {
        loop {
            // InnoDB renews the list only after 0.1 s in which nobody read it.
            monitor.run("SELECT COUNT(*) FROM information_schema.innodb_trx").await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut old = database.application().await;
    old.run("BEGIN").await.unwrap();
    old.run("UPDATE elsewhere SET id = 2").await.unwrap();
    let error = run_section(&session, Section::Stage(0)).await.unwrap_err();
    assert_eq!(error.cause, Cause::BarrierTimeout, "{error}");
    // MariaDB has no second list: the barrier does not pass, and says why, unless the other reader was too slow to keep the list stale.
    let stale = database.served.mariadb && error.message.contains("information_schema.innodb_trx has not shown");
    if database.served.mariadb {
        monitoring.abort();
    }
    let named = format!("connection {} ", old.id);
    assert!(stale || error.message.contains(&named), "{error} does not name {named}");
    old.run("COMMIT").await.unwrap();
    session.release().await.unwrap();
    // Other tests' transactions are waited for too, and take their time.
    let session = database.engine().begin("shop/first", &plan).await.unwrap();
    run_section(&session, Section::Stage(0)).await.unwrap();
    monitoring.abort();
    session.release().await.unwrap();
}

#[tokio::test]
async fn the_barrier_waits_for_a_transaction_that_is_prepared_by_xa_meanwhile() {
    let _fresh = FRESH_LIST.read().await;
    let database = Database::fresh("barrier_xa", PARENT_AND_CHILD).await;
    database.run(&["CREATE TABLE elsewhere (id INT PRIMARY KEY)", "INSERT INTO elsewhere VALUES (1)"]).await;
    let mut engine = database.engine();
    engine.settings.barrier_timeout = Duration::from_secs(2);
    let plan = database.plan(vec![database.add_key("child", "parent", "fk_xa", OrphanPolicy::Fail)]).await;
    let session = engine.begin("shop/first", &plan).await.unwrap();
    let mut old = database.application().await;
    old.run("XA START 'holdfast_barrier_xa'").await.unwrap();
    old.run("UPDATE elsewhere SET id = 2").await.unwrap();
    let (progress, mut reading) = Progress::new();
    let stop = Stop::default();
    let running = session.run(Section::Stage(0), Allowance::default(), &progress, &stop);
    let preparing = async {
        tokio::time::timeout(PATIENCE, reading.wait_for(waits_for_older)).await.expect("the barrier waits").unwrap();
        old.run("XA END 'holdfast_barrier_xa'").await.unwrap();
        old.run("XA PREPARE 'holdfast_barrier_xa'").await.unwrap();
    };
    let (result, ()) =
        tokio::time::timeout(PATIENCE, futures::future::join(running, preparing)).await.expect("the work ends");
    let error = result.unwrap_err();
    old.run("XA ROLLBACK 'holdfast_barrier_xa'").await.unwrap();
    assert_eq!(error.cause, Cause::BarrierTimeout, "{error}");
    session.release().await.unwrap();
}
