//! `killBlockers`: an idle transaction that stands in the way is ended where that is asked for, and nothing else is.

use holdfast::mysql::session::Session;
use holdfast::mysql::{Allowance, Cause, Connection, Error, KillBlockers, Notice, Progress, SessionLimits, Stop};
use holdfast::plan::Section;
use holdfast::plan::model::OrphanPolicy;
use tokio::sync::mpsc;

use crate::common::target;
use crate::database::{Database, PARENT_AND_CHILD, PATIENCE, eventually};

/// A schema whose application has an account of its own.
async fn with_an_account(test: &str) -> (Database, String) {
    let database = Database::fresh(test, PARENT_AND_CHILD).await;
    let user = format!("application_{test}");
    database
        .run(&[
            &format!("DROP USER IF EXISTS {user}"),
            &format!("CREATE USER {user} IDENTIFIED BY '{}'", target().password),
            &format!("GRANT ALL ON {}.* TO {user}", database.schema.quoted()),
        ])
        .await;
    (database, user)
}

/// A session of that account.
async fn application(database: &Database, user: &str) -> Connection {
    let mut target = target();
    user.clone_into(&mut target.username);
    let mut connection = target.connect(SessionLimits::default()).await.unwrap();
    connection.run(&format!("USE {}", database.schema.quoted())).await.unwrap();
    connection
}

async fn is_there(database: &Database, id: u64) -> bool {
    database.number(&format!("SELECT COUNT(*) FROM performance_schema.threads WHERE processlist_id = {id}")).await == 1
}

/// Begins to add a key with the given setting.
async fn begin(database: &Database, kill_blockers: KillBlockers, name: &str) -> Session {
    let mut engine = database.engine();
    engine.settings.kill_blockers = kill_blockers;
    if kill_blockers == KillBlockers::Never {
        engine.settings.max_retries = 100;
    }
    let plan = database.plan(vec![database.add_key("child", "parent", name, OrphanPolicy::Fail)]).await;
    engine.begin("shop/killing", &plan).await.unwrap()
}

/// Adds the key, and gives what was told meanwhile.
async fn add_key(session: &Session) -> (Result<(), Error>, Vec<Notice>) {
    let (sender, mut notices) = mpsc::unbounded_channel();
    let progress = Progress::new().0.telling(sender);
    let (allowance, stop) = (Allowance::default(), Stop::default());
    let running = session.run(Section::Stage(0), allowance, &progress, &stop);
    let result = tokio::time::timeout(PATIENCE, running).await.expect("the work ends");
    let mut told = Vec::new();
    while let Ok(notice) = notices.try_recv() {
        told.push(notice);
    }
    (result.map(|_| ()), told)
}

#[tokio::test]
async fn an_idle_transaction_in_the_way_is_ended_and_told_without_its_values() {
    let (database, user) = with_an_account("kill_idle").await;
    if database.served.mariadb {
        return;
    }
    let session = begin(&database, KillBlockers::IdleTransactions, "fk_kill_idle").await;
    let mut idle = application(&database, &user).await;
    idle.run("BEGIN").await.unwrap();
    idle.run("UPDATE parent SET name = 'hidden' WHERE id = 1").await.unwrap();
    let (result, told) = add_key(&session).await;
    result.unwrap();
    assert_eq!(database.keys_named("fk_kill_idle").await, 1);
    assert!(!is_there(&database, idle.id).await);
    let [Notice::BlockerKilled { connection, text }] = &told[..] else { panic!("told {told:?}") };
    assert_eq!(*connection, idle.id);
    assert!(text.contains(&format!("{user}@")) && text.contains("1 rows changed"), "{text}");
    assert!(!text.contains("hidden"), "{text}");
    let renamed = database.number("SELECT COUNT(*) FROM parent WHERE name = 'hidden'").await;
    assert_eq!(renamed, 0, "what it had changed is taken back");
    session.release().await.unwrap();
}

#[tokio::test]
async fn a_heavy_transaction_is_named_and_spared() {
    let (database, user) = with_an_account("kill_heavy").await;
    if database.served.mariadb {
        return;
    }
    let session = begin(&database, KillBlockers::IdleTransactions, "fk_kill_heavy").await;
    let mut heavy = application(&database, &user).await;
    heavy.run("BEGIN").await.unwrap();
    heavy.run("UPDATE child SET note = note + 1").await.unwrap();
    heavy.run("UPDATE parent SET name = 'x'").await.unwrap();
    let (result, told) = add_key(&session).await;
    let error = result.unwrap_err();
    assert_eq!(error.cause, Cause::RetriesExhausted, "{error}");
    let named = format!("connection {}: it has changed 110 rows", heavy.id);
    assert!(error.message.contains(&named), "{error}");
    assert_eq!(told, []);
    heavy.run("COMMIT").await.unwrap();
    session.release().await.unwrap();
}

#[tokio::test]
async fn locks_that_no_transaction_takes_statements_at_work_and_our_own_account_are_spared() {
    let (database, user) = with_an_account("kill_spared").await;
    if database.served.mariadb {
        return;
    }
    let session = begin(&database, KillBlockers::IdleTransactions, "fk_kill_spared").await;
    let mut spared = Vec::new();
    for statements in [
        &["LOCK TABLES parent READ"][..],
        &["LOCK TABLES parent READ LOCAL"],
        &["HANDLER parent OPEN"],
        &["BEGIN", "SELECT COUNT(*) FROM parent", "DO GET_LOCK('holdfast_test_kill_spared', 0)"],
        &["XA START 'holdfast_test_kill_spared'", "SELECT COUNT(*) FROM parent"],
    ] {
        let mut connection = application(&database, &user).await;
        for statement in statements {
            connection.run(statement).await.unwrap();
        }
        spared.push((statements.join("; "), connection));
    }
    let mut ours = database.application().await;
    ours.run("BEGIN").await.unwrap();
    ours.run("SELECT COUNT(*) FROM parent").await.unwrap();
    spared.push(("our own account".to_owned(), ours));
    let mut working = application(&database, &user).await;
    let id = working.id;
    let at_work = tokio::spawn(async move { working.run("SELECT SLEEP(600) FROM parent LIMIT 1").await });
    eventually("the statement to run", || async { database.number(&database.served.at_work(id)).await == 1 }).await;

    let (result, told) = add_key(&session).await;
    let error = result.unwrap_err();
    assert_eq!(error.cause, Cause::RetriesExhausted, "{error}");
    assert_eq!(told, [], "{error}");
    for (what, connection) in &mut spared {
        let still = is_there(&database, connection.id).await;
        assert!(still, "{what}");
        assert!(error.message.contains(&format!("connection {}: ", connection.id)), "{what}: {error}");
    }
    assert!(error.message.contains(&format!("connection {id}: it runs a statement")), "{error}");
    database.run(&[&format!("KILL QUERY {id}")]).await;
    tokio::time::timeout(PATIENCE, at_work).await.expect("the statement ends").unwrap().unwrap();
    session.release().await.unwrap();
}

#[tokio::test]
async fn nothing_is_ended_unasked() {
    let (database, user) = with_an_account("kill_never").await;
    if database.served.mariadb {
        return;
    }
    let session = begin(&database, KillBlockers::Never, "fk_kill_never").await;
    let mut idle = application(&database, &user).await;
    idle.run("BEGIN").await.unwrap();
    idle.run("SELECT COUNT(*) FROM parent").await.unwrap();
    let id = idle.id;
    let ending = async {
        // Longer than an idle one is borne where that is asked for.
        eventually("the session to be idle for long", || async {
            let idle = "SELECT COALESCE(MAX(processlist_time), 0) FROM performance_schema.threads WHERE processlist_id";
            database.number(&format!("{idle} = {id}")).await > 11
        })
        .await;
        idle.run("COMMIT").await
    };
    let ((result, told), committed) = futures::future::join(add_key(&session), ending).await;
    committed.expect("nobody ended it");
    result.unwrap();
    assert_eq!(told, []);
    session.release().await.unwrap();
}
