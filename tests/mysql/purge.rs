//! A purge deletes what an ended migration has in quarantine, and nothing else.

use holdfast::mysql::report::{MigrationOutcome, PurgeReport};
use holdfast::mysql::session::Engine;
use holdfast::mysql::{Cause, Error, Progress, Stop};
use holdfast::plan::Plan;
use holdfast::plan::model::OrphanPolicy;

use crate::database::{Database, PATIENCE};
use crate::rows::{clean, key, remove_orphans, undo};

const SCHEMA: &[&str] = &[
    "CREATE TABLE parent (id INT PRIMARY KEY)",
    "CREATE TABLE child (id INT PRIMARY KEY, parent_id INT, KEY (parent_id))",
    "CREATE TABLE other (id INT PRIMARY KEY, parent_id INT, KEY (parent_id))",
    "INSERT INTO parent VALUES (1)",
    "INSERT INTO child VALUES (1, 1), (2, 8), (3, 9)",
    "INSERT INTO other VALUES (1, 1), (2, 9)",
];

async fn purge(engine: &Engine, database: &Database, plan: &Plan) -> Result<PurgeReport, Error> {
    let (progress, _reading) = Progress::new();
    let stop = Stop::default();
    let work = engine.purge(&database.schema, &plan.digest, &progress, &stop);
    tokio::time::timeout(PATIENCE, work).await.expect("the purge ends in time")
}

/// Entries in all quarantine tables.
async fn entries(database: &Database) -> i64 {
    let journal = database.journal.quoted();
    let mut sum = 0;
    for table in ["child", "other"] {
        let names = format!(
            "SELECT CONCAT('SELECT COUNT(*) FROM {journal}.`', name, '`') FROM {journal}.quarantine_tables WHERE source_table = '{table}'"
        );
        if let Some(count) = database.text(&names).await {
            sum += database.number(&count).await;
        }
    }
    sum
}

#[tokio::test]
async fn only_the_entries_of_the_ended_migrations_of_the_plan_go_and_the_journal_tells() {
    let database = Database::fresh("purge", SCHEMA).await;
    let engine = database.engine();
    let fk = |name: &str, table| key(&database, name, (table, &["parent_id"]), ("parent", &["id"]));
    let first = database.plan(vec![remove_orphans(fk("fk_child", "child"), OrphanPolicy::Delete)]).await;
    let session = engine.begin("shop/first", &first).await.unwrap();
    assert_eq!(clean(&session, None).await.unwrap().rows_removed, 2);

    let error = purge(&engine, &database, &first).await.unwrap_err();
    assert_eq!(error.cause, Cause::LockHeld, "a migration at work is not purged: {error}");
    session.release().await.unwrap();
    let error = purge(&engine, &database, &first).await.unwrap_err();
    assert_eq!(error.cause, Cause::Drifted, "nor is one that has not ended: {error}");
    assert!(error.message.contains("Running"), "{error}");
    engine.begin("shop/first", &first).await.unwrap().finish(MigrationOutcome::Complete).await.unwrap();

    database.run(&["INSERT INTO child VALUES (4, 9)"]).await;
    let operations = vec![
        remove_orphans(fk("fk_again", "child"), OrphanPolicy::Delete),
        remove_orphans(fk("fk_other", "other"), OrphanPolicy::SetNull),
    ];
    let second = database.plan(operations).await;
    let session = engine.begin("shop/second", &second).await.unwrap();
    clean(&session, None).await.unwrap();
    session.finish(MigrationOutcome::Complete).await.unwrap();
    let before = entries(&database).await;

    let journal = database.journal.quoted();
    let report = purge(&engine, &database, &first).await.unwrap();
    assert_eq!(report, PurgeReport { entries: 2, tables: 1, kept_tables: 0 });
    assert_eq!(entries(&database).await, before - 2, "the other migration's entries stay");
    let told = format!("SELECT SUM(entries) FROM {journal}.purges WHERE purged_at IS NOT NULL");
    assert_eq!(database.number(&told).await, 2);
    assert_eq!(database.number(&format!("SELECT COUNT(*) FROM {journal}.operations")).await, 3);
    assert_eq!(database.number("SELECT COUNT(*) FROM child").await, 1);
    assert_eq!(purge(&engine, &database, &first).await.unwrap(), PurgeReport::default(), "twice does no harm");
    assert_eq!(engine.fence_holder(&database.schema).await.unwrap(), None);
}

#[tokio::test]
async fn what_may_still_have_to_go_back_stays_and_what_is_back_may_go() {
    let database = Database::fresh("purge_back", SCHEMA).await;
    let engine = database.engine();
    let fk = key(&database, "fk_child", ("child", &["parent_id"]), ("parent", &["id"]));
    let plan = database.plan(vec![remove_orphans(fk, OrphanPolicy::Delete)]).await;
    let session = engine.begin("shop/first", &plan).await.unwrap();
    clean(&session, None).await.unwrap();
    session.finish(MigrationOutcome::Failed).await.unwrap();
    let error = purge(&engine, &database, &plan).await.unwrap_err();
    assert!(error.message.contains("Failed"), "{error}");
    assert_eq!(entries(&database).await, 2);
    let session = engine.begin("shop/first", &plan).await.unwrap();
    undo(&session).await.unwrap();
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
    assert_eq!(purge(&engine, &database, &plan).await.unwrap(), PurgeReport { entries: 2, tables: 1, kept_tables: 0 });
    assert_eq!(database.number("SELECT COUNT(*) FROM child").await, 3, "the rows themselves are back");
}

#[tokio::test]
async fn a_list_of_rows_that_a_crash_left_behind_goes_too() {
    let database = Database::fresh("purge_lists", SCHEMA).await;
    let engine = database.engine();
    let fk = key(&database, "fk_child", ("child", &["parent_id"]), ("parent", &["id"]));
    let plan = database.plan(vec![remove_orphans(fk, OrphanPolicy::Delete)]).await;
    let session = engine.begin("shop/first", &plan).await.unwrap();
    clean(&session, None).await.unwrap();
    session.finish(MigrationOutcome::Complete).await.unwrap();
    let journal = database.journal.quoted();
    let migration = database.text(&format!("SELECT id FROM {journal}.migrations")).await.unwrap();
    let operation = database.text(&format!("SELECT operation FROM {journal}.operations")).await.unwrap();
    let list = format!("{journal}.`{}`", work_table(&migration, &operation));
    database.run(&[&format!("CREATE TABLE {list} (n INT PRIMARY KEY)")]).await;
    database.run(&[&format!("CREATE TABLE {journal}.work_of_somebody (n INT PRIMARY KEY)")]).await;
    purge(&engine, &database, &plan).await.unwrap();
    let left = format!(
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '{}' AND table_name LIKE 'work%'",
        database.journal
    );
    assert_eq!(database.number(&left).await, 1, "its own list goes, a table of another name stays");
}

/// The name of a list: the same reckoning as the engine's, written out.
fn work_table(migration: &str, operation: &str) -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    for part in [migration, operation] {
        hash.update(part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    format!("work_{}", hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>())
}

#[tokio::test]
async fn lists_that_a_crash_left_behind_go_when_the_migration_is_taken_over_and_when_it_ends() {
    let database = Database::fresh("lists_left", SCHEMA).await;
    let engine = database.engine();
    let fk = key(&database, "fk_child", ("child", &["parent_id"]), ("parent", &["id"]));
    let plan = database.plan(vec![remove_orphans(fk, OrphanPolicy::Delete)]).await;
    let session = engine.begin("shop/first", &plan).await.unwrap();
    clean(&session, None).await.unwrap();
    let journal = database.journal.quoted();
    let operation = database.text(&format!("SELECT operation FROM {journal}.operations")).await.unwrap();
    let own = format!("{journal}.`{}`", work_table(session.migration(), &operation));
    let others = format!("{journal}.`{}`", work_table("of a session on another schema", &operation));
    let leave = |list: &str| format!("CREATE TABLE {list} (n INT PRIMARY KEY)");
    database.run(&[&leave(&own), &leave(&others)]).await;
    let left = format!(
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '{}' AND table_name LIKE 'work%'",
        database.journal
    );
    session.release().await.unwrap();
    assert_eq!(database.number(&left).await, 2);
    let session = engine.begin("shop/first", &plan).await.unwrap();
    assert!(session.resumed());
    assert_eq!(database.number(&left).await, 1, "taken over");
    database.run(&[&leave(&own)]).await;
    session.finish(MigrationOutcome::Complete).await.unwrap();
    assert_eq!(database.number(&left).await, 1, "ended");
    database.run(&[&format!("DROP TABLE {others}")]).await;
}
