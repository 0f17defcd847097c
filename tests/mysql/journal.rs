//! Crashes at every place between intent and outcome settle from journal and catalogue, and contradictions are refused.

use std::time::Duration;

use holdfast::mysql::report::MigrationOutcome;
use holdfast::mysql::{Allowance, Cause, JournalLocation, Progress, Stop, history};
use holdfast::plan::Section;
use holdfast::plan::model::OrphanPolicy;

use crate::common::identifier;
use crate::database::{Database, PARENT_AND_CHILD, PATIENCE, eventually, run_section};

async fn state_of(database: &Database, operation: &str, state: &str) -> bool {
    let query = format!(
        "SELECT COUNT(*) FROM {}.operations WHERE operation = '{operation}' AND state = '{state}'",
        database.journal.quoted()
    );
    database.number(&query).await == 1
}

/// They write to the same tables of the journal, and none of them waits for another one or gives up because of it.
#[tokio::test(flavor = "multi_thread")]
async fn migrations_of_many_schemas_begin_and_end_in_one_journal_at_the_same_moment() {
    const SCHEMAS: usize = 8;
    let mut databases = Vec::new();
    for number in 0..SCHEMAS {
        databases.push(Database::fresh(&format!("together_{number}"), PARENT_AND_CHILD).await);
    }
    let journal = databases[0].journal.clone();
    for column in ["first", "second", "third"] {
        let works = databases.iter().map(|database| async {
            let mut engine = database.engine();
            engine.settings.journal = JournalLocation::Schema(journal.clone());
            let plan = database.plan(vec![database.add_column("child", column)]).await;
            let session = engine.begin("shop/any", &plan).await.unwrap();
            run_section(&session, Section::FixTypes).await.unwrap();
            session.finish(MigrationOutcome::Complete).await.unwrap();
        });
        futures::future::join_all(works).await;
    }
    let complete = format!("SELECT COUNT(*) FROM {}.migrations WHERE state = 'Complete'", journal.quoted());
    assert_eq!(databases[0].number(&complete).await, 3 * SCHEMAS as i64);
}

#[tokio::test]
async fn a_crash_between_intent_and_change_is_settled_by_making_the_change() {
    let database = Database::fresh("crash_before", PARENT_AND_CHILD).await;
    let mut engine = database.engine();
    engine.settings.max_retries = 10_000;
    let plan = database.plan(vec![database.add_column("child", "extra")]).await;
    let session = engine.begin("shop/first", &plan).await.unwrap();
    let mut reader = database.application().await;
    reader.run("BEGIN").await.unwrap();
    reader.run("SELECT COUNT(*) FROM child").await.unwrap();
    // So old that no try begins: an ALTER that was sent already would be carried out once the reader is gone.
    let held = std::time::Instant::now();
    eventually("the reader to be in the way", || async { held.elapsed() > engine.settings.lock_timeout }).await;
    let work = tokio::spawn(async move { run_section(&session, Section::FixTypes).await });
    eventually("the intent", || state_of(&database, "add-column-extra", "Intended")).await;
    work.abort();
    assert!(work.await.unwrap_err().is_cancelled());
    reader.run("COMMIT").await.unwrap();
    eventually("the fence to be free", || async { engine.fence_holder(&database.schema).await.unwrap().is_none() })
        .await;

    let session = engine.begin("shop/first", &plan).await.unwrap();
    assert!(session.resumed());
    let report = run_section(&session, Section::FixTypes).await.unwrap();
    assert!(!report.operations[0].found_done);
    assert!(state_of(&database, "add-column-extra", "Done").await);
    session.finish(MigrationOutcome::Complete).await.unwrap();
}

#[tokio::test]
async fn a_crash_during_an_index_build_is_settled_from_what_the_server_finished() {
    let database = Database::fresh("crash_during", PARENT_AND_CHILD).await;
    let grow = "INSERT INTO child (parent_id, note) SELECT a.parent_id, a.id FROM child a JOIN child b JOIN child c LIMIT 400000";
    database.run(&[grow]).await;
    let engine = database.engine();
    let plan = database.plan(vec![database.add_index("child", "by_note", "note")]).await;
    let session = engine.begin("shop/first", &plan).await.unwrap();
    let work = tokio::spawn(async move { run_section(&session, Section::Stage(0)).await });
    let building = &database.served.sessions_at("ALTER TABLE `holdfast_test_crash_during`%");
    eventually("the build", || async { database.number(building).await > 0 }).await;
    work.abort();
    assert!(work.await.unwrap_err().is_cancelled());
    // Taking over waits for the server to end the abandoned build, or is told to come again.
    let started = std::time::Instant::now();
    let session = loop {
        match engine.begin("shop/first", &plan).await {
            Ok(session) => break session,
            Err(error) => assert_eq!(error.cause, Cause::LockHeld, "{error}"),
        }
        assert!(started.elapsed() < PATIENCE, "the migration could not be taken over");
    };
    assert_eq!(database.number(building).await, 0, "a session began while the abandoned build still ran");
    run_section(&session, Section::Stage(0)).await.unwrap();
    assert!(state_of(&database, "add-index-by_note", "Done").await);
    session.release().await.unwrap();
}

#[tokio::test]
async fn a_crash_between_change_and_outcome_is_settled_as_done() {
    let database = Database::fresh("crash_after", PARENT_AND_CHILD).await;
    let engine = database.engine();
    let plan = database.plan(vec![database.add_column("child", "extra")]).await;
    let session = engine.begin("shop/first", &plan).await.unwrap();
    run_section(&session, Section::FixTypes).await.unwrap();
    session.release().await.unwrap();
    // The journal as it is when the process dies after the statement.
    database
        .run(&[&format!("UPDATE {}.operations SET state = 'Intended', report = NULL", database.journal.quoted())])
        .await;
    let session = engine.begin("shop/first", &plan).await.unwrap();
    assert!(state_of(&database, "add-column-extra", "Done").await);
    let report = run_section(&session, Section::FixTypes).await.unwrap();
    assert!(report.operations[0].found_done);
    session.release().await.unwrap();
}

#[tokio::test]
async fn a_key_announced_and_made_before_a_crash_is_still_validated() {
    let database = Database::fresh("crash_key", PARENT_AND_CHILD).await;
    let engine = database.engine();
    let plan = database.plan(vec![database.add_key("child", "parent", "fk_crash", OrphanPolicy::Fail)]).await;
    let session = engine.begin("shop/first", &plan).await.unwrap();
    run_section(&session, Section::Stage(0)).await.unwrap();
    session.release().await.unwrap();
    database
        .run(&[
            &format!("UPDATE {}.operations SET state = 'Intended', report = NULL", database.journal.quoted()),
            "SET SESSION foreign_key_checks = 0",
            "INSERT INTO child (parent_id) VALUES (77)",
        ])
        .await;
    let session = engine.begin("shop/first", &plan).await.unwrap();
    let error = run_section(&session, Section::Stage(0)).await.unwrap_err();
    assert_eq!(error.cause, Cause::OrphansFound, "{error}");
    assert_eq!(database.keys_named("fk_crash").await, 0, "a key that does not hold is dropped");
    session.release().await.unwrap();
}

#[tokio::test]
async fn a_done_operation_that_somebody_took_back_is_drift() {
    let database = Database::fresh("drift_done", PARENT_AND_CHILD).await;
    let engine = database.engine();
    let plan = database.plan(vec![database.add_column("child", "extra")]).await;
    let session = engine.begin("shop/first", &plan).await.unwrap();
    run_section(&session, Section::FixTypes).await.unwrap();
    database.run(&["ALTER TABLE child DROP COLUMN extra"]).await;
    let error = run_section(&session, Section::FixTypes).await.unwrap_err();
    assert_eq!(error.cause, Cause::Drifted, "{error}");
    session.release().await.unwrap();
}

#[tokio::test]
async fn a_table_that_changed_since_planning_is_drift_and_leaves_no_unfinished_migration() {
    let database = Database::fresh("drift_begin", PARENT_AND_CHILD).await;
    let engine = database.engine();
    let plan = database.plan(vec![database.add_column("child", "extra")]).await;
    database.run(&["ALTER TABLE child ADD COLUMN surprise INT NULL"]).await;
    let error = engine.begin("shop/first", &plan).await.unwrap_err();
    assert_eq!(error.cause, Cause::Drifted, "{error}");
    assert!(error.message.contains("surprise"), "{error}");
    let other = database.plan(vec![database.add_column("child", "other")]).await;
    engine.begin("shop/second", &other).await.unwrap().release().await.unwrap();
}

#[tokio::test]
async fn another_unfinished_migration_of_the_schema_is_named_with_the_way_to_its_end() {
    let database = Database::fresh("unfinished", PARENT_AND_CHILD).await;
    let engine = database.engine();
    let one = database.plan(vec![database.add_column("child", "one")]).await;
    let other = database.plan(vec![database.add_column("child", "other")]).await;
    engine.check_unfinished(&other).await.unwrap();
    let session = engine.begin("shop/first", &one).await.unwrap();
    let entry = session.migration().to_owned();
    run_section(&session, Section::FixTypes).await.unwrap();
    session.release().await.unwrap();
    engine.check_unfinished(&one).await.unwrap();
    for error in
        [engine.begin("shop/second", &other).await.unwrap_err(), engine.check_unfinished(&other).await.unwrap_err()]
    {
        assert_eq!(error.cause, Cause::LockHeld);
        for part in ["shop/first", &entry, &one.content_digest, &one.digest, "1 operations stand"] {
            assert!(error.message.contains(part), "{part:?} is not in {error}");
        }
        // The digests here are short ones.
        assert!(error.message.len() < 800, "{} characters: {error}", error.message.len());
    }

    // What the message says works: the way back by hand.
    let journal = database.journal.quoted();
    let inverse = format!(
        "SELECT inverse_statement FROM {journal}.`operations` WHERE migration = '{entry}' AND state <> 'Undone' ORDER BY sequence DESC"
    );
    let inverse = database.text(&inverse).await.unwrap();
    let ended = format!("UPDATE {journal}.`migrations` SET state = 'RolledBack' WHERE id = '{entry}'");
    database.run(&[&inverse, &ended]).await;
    let other = database.plan(vec![database.add_column("child", "other")]).await;
    engine.begin("shop/second", &other).await.unwrap().finish(MigrationOutcome::Complete).await.unwrap();
}

#[tokio::test]
async fn whoever_is_at_work_on_the_schema_is_named_with_its_session_and_its_entry() {
    let database = Database::fresh("turn", PARENT_AND_CHILD).await;
    let engine = database.engine();
    let one = database.plan(vec![database.add_column("child", "one")]).await;
    let other = database.plan(vec![database.add_column("child", "other")]).await;
    engine.check_turn(&other).await.unwrap();
    let session = engine.begin("shop/first", &one).await.unwrap();
    let holder = engine.fence_holder(&database.schema).await.unwrap().expect("the fence is held");
    // Before its first change, and after it.
    for _ in 0..2 {
        let error = engine.check_turn(&other).await.unwrap_err();
        assert_eq!(error.cause, Cause::LockHeld);
        for part in ["shop/first", session.migration(), &holder, "it is waited for"] {
            assert!(error.message.contains(part), "{part:?} is not in {error}");
        }
        run_section(&session, Section::FixTypes).await.unwrap();
    }
    session.finish(MigrationOutcome::Complete).await.unwrap();
    engine.check_turn(&other).await.unwrap();
}

#[tokio::test]
async fn what_another_migration_changes_is_seen_and_what_this_one_does_is_not() {
    let database = Database::fresh("changes_of_others", PARENT_AND_CHILD).await;
    let engine = database.engine();
    let one = database.plan(vec![database.add_column("child", "one")]).await;
    let other = database.plan(vec![database.add_column("child", "other")]).await;
    let before = engine.changes_of_others(&other).await.unwrap();
    let session = engine.begin("shop/first", &one).await.unwrap();
    assert_eq!(engine.changes_of_others(&other).await.unwrap(), before, "nothing is changed yet");
    run_section(&session, Section::FixTypes).await.unwrap();
    let done = engine.changes_of_others(&other).await.unwrap();
    assert_ne!(done, before);
    assert!(done.starts_with("1 changes, the last one at 20"), "{done}");
    assert_eq!(engine.changes_of_others(&one).await.unwrap(), before, "its own are none of others");
    let (progress, stop) = (Progress::new().0, Stop::default());
    session.undo(&progress, &stop).await.unwrap();
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
    let undone = engine.changes_of_others(&other).await.unwrap();
    assert_ne!(undone, done, "what it took back may have put rows back");
    assert_eq!(engine.changes_of_others(&other).await.unwrap(), undone);
}

#[tokio::test]
async fn an_unfinished_migration_of_which_nothing_stands_is_in_nobodys_way() {
    let database = Database::fresh("nothing_stands", PARENT_AND_CHILD).await;
    let engine = database.engine();
    let one = database.plan(vec![database.add_column("child", "one")]).await;
    let other = database.plan(vec![database.add_column("child", "other")]).await;
    let left = engine.begin("shop/first", &one).await.unwrap();
    let entry = left.migration().to_owned();
    left.release().await.unwrap();
    engine.check_unfinished(&other).await.unwrap();
    engine.begin("shop/second", &other).await.unwrap().finish(MigrationOutcome::RolledBack).await.unwrap();
    let state = format!("SELECT state FROM {}.migrations WHERE id = '{entry}'", database.journal.quoted());
    assert_eq!(database.text(&state).await.as_deref(), Some("RolledBack"));
    // Whoever left it begins anew.
    let session = engine.begin("shop/first", &one).await.unwrap();
    assert!(!session.resumed() && session.migration() != entry);
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
}

#[tokio::test]
async fn a_journal_of_an_unknown_format_is_refused() {
    let database = Database::fresh("format", PARENT_AND_CHILD).await;
    let engine = database.engine();
    let plan = database.plan(vec![database.add_column("child", "extra")]).await;
    engine.begin("shop/first", &plan).await.unwrap().release().await.unwrap();
    database.run(&[&format!("UPDATE {}.journal_format SET format = 99", database.journal.quoted())]).await;
    let error = engine.begin("shop/first", &plan).await.unwrap_err();
    assert_eq!(error.cause, Cause::UnknownFormat, "{error}");
}

#[tokio::test]
async fn a_stop_ends_waiting_work_and_the_next_call_goes_on() {
    let database = Database::fresh("stopped", PARENT_AND_CHILD).await;
    let mut engine = database.engine();
    engine.settings.max_retries = 10_000;
    let plan = database.plan(vec![database.add_column("child", "extra")]).await;
    let session = engine.begin("shop/first", &plan).await.unwrap();
    let mut reader = database.application().await;
    reader.run("BEGIN").await.unwrap();
    reader.run("SELECT COUNT(*) FROM child").await.unwrap();
    let (progress, mut reading) = Progress::new();
    let stop = Stop::default();
    let running = session.run(Section::FixTypes, Allowance::default(), &progress, &stop);
    let stopping = async {
        reading.wait_for(|reading| reading.waiting.is_some()).await.unwrap();
        stop.0.cancel();
    };
    let (result, ()) =
        tokio::time::timeout(PATIENCE, futures::future::join(running, stopping)).await.expect("the work stops");
    assert_eq!(result.unwrap_err().cause, Cause::Stopped);
    reader.run("COMMIT").await.unwrap();
    tokio::time::timeout(Duration::from_secs(30), run_section(&session, Section::FixTypes)).await.unwrap().unwrap();
    session.release().await.unwrap();
}

#[tokio::test]
async fn a_journal_with_a_prefix_lies_in_the_migrated_schema() {
    let database = Database::fresh("prefix", PARENT_AND_CHILD).await;
    let mut engine = database.engine();
    engine.settings.journal = JournalLocation::Prefix(identifier("_holdfast_"));
    let plan = database.plan(vec![database.add_column("child", "extra")]).await;
    let session = engine.begin("shop/first", &plan).await.unwrap();
    run_section(&session, Section::FixTypes).await.unwrap();
    assert_eq!(database.number("SELECT COUNT(*) FROM _holdfast_operations WHERE state = 'Done'").await, 1);
    let (progress, _reading) = Progress::new();
    session.undo(&progress, &Stop::default()).await.unwrap();
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
    assert_eq!(database.number("SELECT COUNT(*) FROM _holdfast_migrations WHERE state = 'RolledBack'").await, 1);
}

#[tokio::test]
async fn a_proven_migration_whose_end_nobody_was_told_is_taken_over_and_proven_again_or_undone() {
    let database = Database::fresh("crash_proven", PARENT_AND_CHILD).await;
    let engine = database.engine();
    let plan = database.plan(vec![database.add_key("child", "parent", "fk_proven", OrphanPolicy::Delete)]).await;
    let session = engine.begin("shop/first", &plan).await.unwrap();
    let first = session.migration().to_owned();
    run_section(&session, Section::Stage(0)).await.unwrap();
    session.finish(MigrationOutcome::Complete).await.unwrap();

    let (progress, _reading) = Progress::new();
    for _ in 0..2 {
        let session = engine.begin("shop/first", &plan).await.unwrap();
        assert_eq!((session.migration(), session.resumed()), (first.as_str(), true));
        assert_eq!(session.prove(&progress, &Stop::default()).await.unwrap().keys.len(), 1);
        session.finish(MigrationOutcome::Complete).await.unwrap();
    }
    let session = engine.begin("shop/first", &plan).await.unwrap();
    assert_eq!(session.undo(&progress, &Stop::default()).await.unwrap().undone, ["add-key-fk_proven"]);
    session.finish(MigrationOutcome::RolledBack).await.unwrap();

    let session = engine.begin("shop/first", &plan).await.unwrap();
    assert!(!session.resumed(), "what was taken back is begun from the start");
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
}

#[tokio::test]
async fn a_complete_migration_that_is_taken_over_stays_complete_until_something_changes() {
    let database = Database::fresh("stays_complete", PARENT_AND_CHILD).await;
    let mut engine = database.engine();
    engine.settings.max_retries = 10_000;
    let plan = database.plan(vec![database.add_key("child", "parent", "fk_stays", OrphanPolicy::Delete)]).await;
    let session = engine.begin("shop/first", &plan).await.unwrap();
    run_section(&session, Section::Stage(0)).await.unwrap();
    session.finish(MigrationOutcome::Complete).await.unwrap();
    let migrations = format!("{}.migrations", database.journal.quoted());
    let state = || async { database.text(&format!("SELECT state FROM {migrations}")).await.unwrap_or_default() };

    // A session that goes before it proved anything, one whose proof is stopped, and one that looks once more at what is done.
    let (progress, _reading) = Progress::new();
    let stopped = Stop::default();
    stopped.0.cancel();
    for what in ["nothing", "a stopped proof", "a section"] {
        let session = engine.begin("shop/first", &plan).await.unwrap();
        match what {
            "a stopped proof" => drop(session.prove(&progress, &stopped).await),
            "a section" => drop(run_section(&session, Section::Stage(0)).await.unwrap()),
            _ => {}
        }
        assert_eq!(state().await, "Complete", "after {what}");
        session.release().await.unwrap();
        assert_eq!(state().await, "Complete", "after {what}, given back");
    }

    // So nobody else has to wait for it, and whoever still holds it then has lost it.
    let late = engine.begin("shop/first", &plan).await.unwrap();
    database.run(&[&format!("UPDATE {migrations} SET epoch = epoch + 1")]).await;
    assert_eq!(late.undo(&progress, &Stop::default()).await.unwrap_err().cause, Cause::FenceLost);
    assert_eq!((state().await.as_str(), database.keys_named("fk_stays").await), ("Complete", 1));
    late.release().await.unwrap();

    // The first change says so before it is made: killed on its way back, it is not taken for complete.
    let session = engine.begin("shop/first", &plan).await.unwrap();
    let mut reader = database.application().await;
    reader.run("BEGIN").await.unwrap();
    reader.run("SELECT COUNT(*) FROM child").await.unwrap();
    let stop = Stop::default();
    let stopping = async {
        eventually("the journal to say so", || async { state().await == "Running" }).await;
        stop.0.cancel();
    };
    let (undone, ()) = futures::future::join(session.undo(&progress, &stop), stopping).await;
    assert_eq!(undone.unwrap_err().cause, Cause::Stopped);
    reader.run("COMMIT").await.unwrap();
    assert_eq!(state().await, "Running");
    session.release().await.unwrap();
    let session = engine.begin("shop/first", &plan).await.unwrap();
    session.undo(&progress, &Stop::default()).await.unwrap();
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
    assert_eq!(state().await, "RolledBack");
}

#[tokio::test]
async fn what_was_left_unfinished_is_found_by_its_content_with_its_plan() {
    let database = Database::fresh("left_unfinished", PARENT_AND_CHILD).await;
    let engine = database.engine();
    let plan = database.plan(vec![database.add_column("child", "extra")]).await;
    let left = async |content: &str| engine.left_unfinished(&database.schema, content).await.unwrap();
    assert_eq!(left(&plan.content_digest).await, None, "there is no journal yet");
    let session = engine.begin("shop/first", &plan).await.unwrap();
    assert_eq!(left(&plan.content_digest).await, None, "nothing stands");
    run_section(&session, Section::FixTypes).await.unwrap();
    session.release().await.unwrap();

    let found = left(&plan.content_digest).await.unwrap();
    assert_eq!(
        (found.owner.as_str(), found.plan_digest.as_str(), found.standing),
        ("shop/first", plan.digest.as_str(), 1)
    );
    assert_eq!(serde_json::from_str::<holdfast::plan::Plan>(&found.plan).unwrap(), plan);
    assert_eq!(left("sha256:other").await, None);

    let session = engine.begin("shop/second", &plan).await.unwrap();
    assert!(session.resumed());
    session.undo(&Progress::new().0, &Stop::default()).await.unwrap();
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
    assert_eq!(left(&plan.content_digest).await, None, "everything is taken back");
}

#[tokio::test]
async fn what_operations_took_is_read_by_somebody_who_changes_nothing() {
    let database = Database::fresh("history", PARENT_AND_CHILD).await;
    let engine = database.engine();
    let plan = database
        .plan(vec![database.add_column("child", "extra"), database.add_index("child", "by_note", "note")])
        .await;
    let read =
        async |digest: &str| history(&engine.target, &engine.settings.journal, &database.schema, digest).await.unwrap();
    assert_eq!(read(&plan.digest).await, None, "there is no journal of it yet");
    let session = engine.begin("shop/first", &plan).await.unwrap();
    assert_eq!(read(&plan.digest).await, Some(Vec::new()));
    run_section(&session, Section::FixTypes).await.unwrap();
    let entries = read(&plan.digest).await.unwrap();
    assert_eq!(entries.len(), 1);
    let entry = &entries[0];
    assert_eq!((entry.operation.as_str(), entry.stands, entry.undone_at), ("add-column-extra", true, None));
    assert!(entry.completed_at.is_some_and(|ended| ended >= entry.intended_at), "{entry:?}");
    assert_eq!(entry.report.as_ref().map(|report| report.tries), Some(1), "{entry:?}");
    let (progress, _reading) = Progress::new();
    session.undo(&progress, &Stop::default()).await.unwrap();
    let entries = read(&plan.digest).await.unwrap();
    assert!(!entries[0].stands && entries[0].undone_at.is_some(), "{entries:?}");
    assert_eq!(read("sha256:another").await, None);
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
}
