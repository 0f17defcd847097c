//! What somebody else changes under a migration is found before the next section, and named.

use holdfast::api::SchemaMigration;
use holdfast::mysql::catalogue::read_catalogue;
use holdfast::mysql::drift::since_planned;
use holdfast::mysql::session::Session;
use holdfast::mysql::{Allowance, Cause, Error, Progress, Stop, Target};
use holdfast::plan::input::tables;
use holdfast::plan::model::OrphanPolicy;
use holdfast::plan::{Plan, Section, build};
use jiff::{SignedDuration, Timestamp};

use crate::common::target;
use crate::database::{Database, PARENT_AND_CHILD, PATIENCE, run_section};

/// A session that has added a column; an index and a key are still to come.
async fn begun(test: &str) -> (Database, Plan, Session) {
    let database = Database::fresh(test, PARENT_AND_CHILD).await;
    let operations = vec![
        database.add_column("child", "extra"),
        database.add_index("child", "by_note", "note"),
        database.add_key("child", "parent", "fk_new", OrphanPolicy::Fail),
    ];
    let plan = database.plan(operations).await;
    let session = database.engine().begin("shop/first", &plan).await.unwrap();
    run_section(&session, Section::FixTypes).await.unwrap();
    (database, plan, session)
}

async fn drifted(session: &Session) -> Error {
    let error = run_section(session, Section::Stage(0)).await.unwrap_err();
    assert_eq!(error.cause, Cause::Drifted, "{error}");
    error
}

#[tokio::test]
async fn each_change_of_somebody_else_is_named_and_ends_when_it_is_put_right() {
    let (database, _plan, session) = begun("drift_each").await;
    for (change, back, named) in [
        (
            "ALTER TABLE child ADD CONSTRAINT fk_new FOREIGN KEY (parent_id) REFERENCES parent (id) ON DELETE SET NULL",
            "ALTER TABLE child DROP FOREIGN KEY fk_new",
            "fk_new",
        ),
        ("ALTER TABLE child DROP INDEX by_parent", "ALTER TABLE child ADD INDEX by_parent (parent_id)", "by_parent"),
        ("ALTER TABLE child MODIFY note BIGINT", "ALTER TABLE child MODIFY note INT NULL", "`note` bigint"),
        ("ALTER TABLE child MODIFY extra BIGINT NULL", "ALTER TABLE child MODIFY extra INT NULL", "`extra` bigint"),
        (
            "ALTER TABLE child MODIFY extra INT NULL DEFAULT 3",
            "ALTER TABLE child MODIFY extra INT NULL",
            "it was made as: `extra` int DEFAULT NULL",
        ),
        ("ALTER TABLE child DROP COLUMN extra", "ALTER TABLE child ADD COLUMN extra INT NULL", "somebody took it back"),
        ("ALTER TABLE child ADD INDEX by_note (note)", "ALTER TABLE child DROP INDEX by_note", "did not make it"),
        ("ALTER TABLE child ADD INDEX by_note (id)", "ALTER TABLE child DROP INDEX by_note", "by_note"),
        ("ALTER TABLE parent ADD COLUMN theirs INT", "ALTER TABLE parent DROP COLUMN theirs", "`theirs`"),
        ("ALTER TABLE parent RENAME TO elsewhere", "ALTER TABLE elsewhere RENAME TO parent", "parent"),
    ] {
        database.run(&[change]).await;
        let error = drifted(&session).await;
        assert!(error.message.contains(&database.served.definitions(&[named])[0]), "{change}: {error}");
        assert_eq!(database.keys_named("fk_new").await, i64::from(named == "fk_new"), "nothing was added: {change}");
        database.run(&[back]).await;
    }
    run_section(&session, Section::Stage(0)).await.unwrap();
    assert_eq!(database.keys_named("fk_new").await, 1);
    session.release().await.unwrap();
}

#[tokio::test]
async fn a_change_to_what_an_earlier_section_made_is_found_by_the_next_definition_that_the_journal_keeps() {
    let (database, _plan, session) = begun("drift_made").await;
    run_section(&session, Section::Stage(0)).await.unwrap();
    database.run(&["ALTER TABLE child MODIFY extra BIGINT NULL"]).await;
    let error = drifted(&session).await;
    assert!(error.message.contains("`extra` bigint"), "{error}");
    session.release().await.unwrap();
}

#[tokio::test]
async fn a_migration_does_not_begin_where_a_key_of_the_same_name_exists() {
    let database = Database::fresh("drift_name", PARENT_AND_CHILD).await;
    database.run(&["CREATE TABLE other (id INT PRIMARY KEY, parent_id INT)"]).await;
    let plan = database.plan(vec![database.add_key("child", "parent", "fk_new", OrphanPolicy::Fail)]).await;
    database.run(&["ALTER TABLE other ADD CONSTRAINT fk_new FOREIGN KEY (parent_id) REFERENCES parent (id)"]).await;
    let error = database.engine().begin("shop/first", &plan).await.unwrap_err();
    assert_eq!(error.cause, Cause::Drifted, "{error}");
    assert!(error.message.contains("fk_new") && error.message.contains("other"), "{error}");
}

#[tokio::test]
async fn a_changed_password_stops_the_session_and_the_new_one_takes_the_migration_over() {
    let (database, plan, session) = begun("drift_password").await;
    session.release().await.unwrap();
    let (user, schema, journal) = ("'holdfast_drift'@'%'", database.schema.quoted(), database.journal.quoted());
    database
        .run(&[
            &format!("DROP USER IF EXISTS {user}"),
            &format!("CREATE USER {user} IDENTIFIED BY 'first'"),
            &format!("GRANT ALL ON {schema}.* TO {user}"),
            &format!("GRANT ALL ON {journal}.* TO {user}"),
            &format!("GRANT {} ON *.* TO {user}", database.served.watching()),
            &format!("GRANT SELECT ON performance_schema.* TO {user}"),
        ])
        .await;
    let login = |password: &str| {
        let mut engine = database.engine();
        engine.target = Target { username: "holdfast_drift".to_owned(), password: password.to_owned(), ..target() };
        engine
    };
    let session = login("first").begin("shop/first", &plan).await.unwrap();
    database.run(&[&format!("ALTER USER {user} IDENTIFIED BY 'second'")]).await;
    let error = run_section(&session, Section::Stage(0)).await.unwrap_err();
    assert_eq!(error.cause, Cause::AccessDenied, "{error}");
    assert!(!error.message.contains("'first'"), "{error}");
    drop(session);
    // An administrator who stops the migration so can let it go on later.
    for (stopped, again) in [("ACCOUNT LOCK", "ACCOUNT UNLOCK"), ("PASSWORD EXPIRE", "IDENTIFIED BY 'second'")] {
        database.run(&[&format!("ALTER USER {user} {stopped}")]).await;
        let error = login("second").begin("shop/first", &plan).await.unwrap_err();
        assert_eq!(error.cause, Cause::AccessDenied, "{stopped}: {error}");
        database.run(&[&format!("ALTER USER {user} {again}")]).await;
    }
    let session = login("second").begin("shop/first", &plan).await.unwrap();
    assert!(session.resumed());
    run_section(&session, Section::Stage(0)).await.unwrap();
    session.release().await.unwrap();
    database.run(&[&format!("DROP USER {user}")]).await;
}

#[tokio::test]
async fn an_operation_that_is_expected_to_outlast_its_time_is_not_begun() {
    let database = Database::fresh("window_short", PARENT_AND_CHILD).await;
    let mut operation = database.add_column("child", "extra");
    operation.estimate.milliseconds = 3_600_000;
    let plan = database.plan(vec![operation]).await;
    let session = database.engine().begin("shop/first", &plan).await.unwrap();
    let (progress, _reading) = Progress::new();
    let until = |hours| Some(Timestamp::now().checked_add(SignedDuration::from_hours(hours)).unwrap());
    let run = |hours| Allowance { until: until(hours), ..Allowance::default() };
    let error = session.run(Section::FixTypes, run(0), &progress, &Stop::default()).await.unwrap_err();
    assert!(matches!(error.cause, Cause::TimeTooShort | Cause::Stopped), "{error}");
    let half = Allowance {
        until: Some(Timestamp::now().checked_add(SignedDuration::from_mins(30)).unwrap()),
        ..Allowance::default()
    };
    let error = session.run(Section::FixTypes, half, &progress, &Stop::default()).await.unwrap_err();
    assert_eq!(error.cause, Cause::TimeTooShort, "{error}");
    assert!(error.message.contains("3600 s"), "{error}");
    session.run(Section::FixTypes, run(2), &progress, &Stop::default()).await.unwrap();
    session.release().await.unwrap();
}

#[tokio::test]
async fn work_that_its_time_ends_upon_stops_at_a_safe_point_and_goes_on_later() {
    let database = Database::fresh("window_end", PARENT_AND_CHILD).await;
    let mut engine = database.engine();
    engine.settings.max_retries = 10_000;
    let plan = database.plan(vec![database.add_column("child", "extra")]).await;
    let session = engine.begin("shop/first", &plan).await.unwrap();
    let mut reader = database.application().await;
    reader.run("BEGIN").await.unwrap();
    reader.run("SELECT COUNT(*) FROM child").await.unwrap();
    let (progress, _reading) = Progress::new();
    let stop = Stop::default();
    let until = Timestamp::now().checked_add(SignedDuration::from_secs(2)).unwrap();
    let allowance = Allowance { until: Some(until), ..Allowance::default() };
    let work = session.run(Section::FixTypes, allowance, &progress, &stop);
    let error = tokio::time::timeout(PATIENCE, work).await.expect("the work stops").unwrap_err();
    assert_eq!(error.cause, Cause::Stopped, "{error}");
    assert!(Timestamp::now() >= until && !stop.0.is_cancelled());
    reader.run("COMMIT").await.unwrap();
    run_section(&session, Section::FixTypes).await.unwrap();
    session.release().await.unwrap();
}

#[tokio::test]
async fn a_whole_migration_finds_no_drift_in_what_it_does_itself() {
    let database = Database::fresh("drift_whole", &[include_str!("../sample/schema.sql")]).await;
    let migration: SchemaMigration = serde_yaml::from_str(include_str!("../../deploy/sample/migration.yaml")).unwrap();
    let mut spec = migration.spec;
    spec.database.name = database.schema.to_string();
    // One change of each kind says as much as all of them.
    for stage in &mut spec.stages {
        stage.foreign_keys.truncate(4);
        stage.expect.clear();
    }
    let mut connection = database.application().await;
    let catalogue = read_catalogue(&mut connection, &database.schema, &tables(&spec).unwrap()).await.unwrap();
    let plan = build(&spec, &catalogue).unwrap();
    assert_eq!(since_planned(&plan, &catalogue), None);
    let session = database.engine().begin("shop/sample", &plan).await.unwrap();
    let sections = [Section::CleanUp, Section::FixTypes, Section::AddUniques, Section::Stage(0), Section::Stage(1)];
    for section in sections {
        run_section(&session, section).await.unwrap();
    }
    // All of it done, an earlier section finds nothing either.
    run_section(&session, Section::FixTypes).await.unwrap();
    let catalogue = read_catalogue(&mut connection, &database.schema, &tables(&spec).unwrap()).await.unwrap();
    assert!(since_planned(&plan, &catalogue).is_some_and(|found| found.contains("did not make it")));
    session.release().await.unwrap();
}
