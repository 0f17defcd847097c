//! A backup is put back: its tables, restored beside the live ones, take their place in one statement, with every key in place; what was
//! there is kept until a purge; and an interruption in the middle is settled by journal and catalogue.

use std::fs;
use std::time::Duration;

use holdfast::backup::{self, Compression, Outcome, dump, login, made, storage};
use holdfast::mysql::put_back::obstacles;
use holdfast::mysql::report::{MigrationOutcome, PutBackReport};
use holdfast::mysql::session::Session;
use holdfast::mysql::{Cause, Error, Progress, SessionLimits, Stop, loss, row_counters};
use holdfast::plan::model::OrphanPolicy;
use holdfast::plan::{Identifier, Plan, Section};

use crate::common::{identifier as id, target};
use crate::database::{Database, PARENT_AND_CHILD, PATIENCE, eventually, run_section};
use crate::programs::programs;
use crate::rows::undo;

/// The schemas beside a test's, gone at its beginning.
struct Beside {
    restored: Identifier,
    kept: Identifier,
}

impl Beside {
    async fn of(test: &str) -> Self {
        let beside =
            Self { restored: id(&format!("holdfast_restored_{test}")), kept: id(&format!("holdfast_kept_{test}")) };
        let mut connection = target().connect(SessionLimits::default()).await.unwrap();
        for schema in [&beside.restored, &beside.kept] {
            connection.run(&format!("DROP SCHEMA IF EXISTS {}", schema.quoted())).await.unwrap();
        }
        connection.close().await.unwrap();
        beside
    }

    /// Restores as the Job does: the same statements that made the tables, in a session without checks.
    async fn restore(&self, statements: &[String]) {
        let mut connection = target().connect(SessionLimits::default()).await.unwrap();
        connection.run(&format!("USE {}", self.restored.quoted())).await.unwrap();
        connection.run("SET SESSION foreign_key_checks = 0").await.unwrap();
        for statement in statements {
            connection.run(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        connection.close().await.unwrap();
    }
}

async fn prepare(session: &Session, beside: &Beside) -> Result<bool, Error> {
    session.prepare_restore(&beside.restored, &beside.kept, &Progress::new().0, &Stop::default()).await
}

async fn put_back(session: &Session) -> Result<PutBackReport, Error> {
    let (progress, _reading) = Progress::new();
    tokio::time::timeout(PATIENCE, session.put_back(&progress, &Stop::default()))
        .await
        .expect("the exchange ends in time")
}

async fn tables_in(database: &Database, schema: &Identifier) -> i64 {
    database.number(&format!("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '{schema}'")).await
}

/// Children of one parent, each with a key that is there before, some of which refer to each other and to themselves.
fn many(children: usize) -> Vec<String> {
    let mut statements = vec![
        "CREATE TABLE parent (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) NULL)".to_owned(),
        "INSERT INTO parent (name) VALUES ('a'), ('b'), ('c')".to_owned(),
    ];
    for child in 0..children {
        let more = match child {
            0 => ", CONSTRAINT fk_self FOREIGN KEY (other_id) REFERENCES child_0 (id)".to_owned(),
            other => format!(", CONSTRAINT fk_next_{other} FOREIGN KEY (other_id) REFERENCES child_{} (id)", other - 1),
        };
        statements.push(format!(
            "CREATE TABLE child_{child} (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, parent_id INT NULL, other_id INT NULL, \
             KEY by_parent (parent_id), KEY by_other (other_id){more})"
        ));
        statements.push(format!("INSERT INTO child_{child} (parent_id) VALUES (1), (2), (NULL)"));
        statements.push(format!("UPDATE child_{child} SET other_id = 1 WHERE id < 3"));
    }
    statements
}

/// A migration that has added a key to every child. `None`: the operator works on no such server.
async fn migrated(test: &str, children: usize) -> Option<(Database, Plan, Session, Vec<String>)> {
    let statements = many(children);
    let database = Database::fresh(test, &statements.iter().map(String::as_str).collect::<Vec<_>>()).await;
    if !database.served.exchanges_tables() {
        return None;
    }
    let operations = (0..children).map(|child| {
        database.add_key(&format!("child_{child}"), "parent", &format!("fk_new_{child}"), OrphanPolicy::Fail)
    });
    let mut plan = database.plan(operations.collect()).await;
    plan.digest = format!("sha256:{test}");
    let session = database.engine().begin("shop/first", &plan).await.unwrap();
    run_section(&session, Section::Stage(0)).await.unwrap();
    Some((database, plan, session, statements))
}

#[tokio::test]
async fn with_forty_five_keys_in_place_the_backup_takes_the_place_of_every_table_and_what_was_there_is_kept() {
    let Some((database, plan, session, statements)) = migrated("put_back", 23).await else { return };
    let beside = Beside::of("put_back").await;
    let schema = database.schema.to_string();
    let keys = |schema: &str| {
        format!("SELECT COUNT(*) FROM information_schema.referential_constraints WHERE constraint_schema = '{schema}'")
    };
    assert!(database.number(&keys(&schema)).await >= 45);
    // What the application wrote since is what is lost, and no id of it is given out again.
    database
        .run(&["INSERT INTO parent (name) VALUES ('later')", "UPDATE child_3 SET parent_id = 4 WHERE id = 1"])
        .await;
    database
        .run(&["CREATE TABLE made_since (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id))"])
        .await;
    database.run(&["CREATE VIEW names AS SELECT name FROM parent"]).await;

    assert!(!prepare(&session, &beside).await.unwrap());
    beside.restore(&statements).await;
    let report = put_back(&session).await.unwrap();
    assert_eq!((report.tables, report.kept_tables, &report.kept_schema), (24, 25, &beside.kept));
    assert_eq!(report.compared.undone.len(), 23);
    for (name, before) in &plan.tables {
        let table = database.table(name.rsplit('.').next().unwrap());
        assert_eq!(&database.definition(&table).await, before, "{name}");
    }
    // Every key followed its own tables: those of the backup among themselves, those that were there among themselves.
    let crossing = format!(
        "SELECT COUNT(*) FROM information_schema.referential_constraints WHERE constraint_schema <> unique_constraint_schema \
         AND constraint_schema IN ('{schema}', '{}')",
        beside.kept
    );
    assert_eq!(database.number(&crossing).await, 0);
    assert_eq!(database.number(&keys(&schema)).await, 23);
    assert_eq!(database.number(&keys(beside.kept.as_str())).await, 23 + 23 + 1);
    assert_eq!(database.number("SELECT COUNT(*) FROM parent").await, 3);
    assert_eq!(database.number("SELECT COUNT(*) FROM names").await, 3, "a view finds what has its name");
    assert_eq!(database.number(&format!("SELECT COUNT(*) FROM {}.parent", beside.kept.quoted())).await, 4);
    let mut application = database.application().await;
    let refused = application.run("DELETE FROM child_1 WHERE id = 1").await.unwrap_err();
    assert_eq!(refused.code, Some(1451), "keys of before hold: {refused}");
    application.run("INSERT INTO parent (name) VALUES ('after')").await.unwrap();
    assert_eq!(database.number("SELECT MAX(id) FROM parent").await, 5, "the id 4 was given out already");
    assert_eq!(tables_in(&database, &beside.restored).await, 0);
    assert!(!session.changed_anything().await.unwrap());
    session.finish(MigrationOutcome::RolledBack).await.unwrap();

    let engine = database.engine();
    let (progress, stop) = (Progress::new().0, Stop::default());
    let purged = engine.purge(&database.schema, &plan.digest, &progress, &stop).await.unwrap();
    assert_eq!(purged.kept_tables, 25);
    assert_eq!(tables_in(&database, &beside.kept).await, 0);
    let again = engine.purge(&database.schema, &plan.digest, &progress, &stop).await.unwrap();
    assert_eq!(again.kept_tables, 0);
    assert_eq!(database.number("SELECT COUNT(*) FROM parent").await, 4, "what is in place stays");
}

/// Waits until no table of the schema was made in the last two seconds: those are not told from tables that were made since.
async fn older(database: &Database) {
    let young = format!(
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '{}' AND create_time > NOW() - INTERVAL 3 SECOND",
        database.schema
    );
    eventually("tables to be older", || async { database.number(&young).await == 0 }).await;
}

/// What the journal says of the backup that is put back.
async fn state(database: &Database) -> Option<String> {
    database.text(&format!("SELECT state FROM {}.restores", database.journal.quoted())).await
}

/// Takes the migration over as the next process does.
async fn again(database: &Database, plan: &Plan) -> Result<Session, Error> {
    let started = std::time::Instant::now();
    loop {
        match database.engine().begin("shop/first", plan).await {
            Err(error) if error.cause == Cause::LockHeld && started.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            result => return result,
        }
    }
}

/// As if the process had died after it had announced the exchange.
async fn announce(database: &Database) {
    let journal = database.journal.quoted();
    let statement = format!(
        "UPDATE {journal}.restores SET state = 'Swapping', swapping_at = UTC_TIMESTAMP(6), live_tables = '[\"child_0\", \"parent\"]', restored_tables = '[\"child_0\", \"parent\"]'"
    );
    database.run(&[&statement]).await;
}

#[tokio::test]
async fn an_exchange_that_was_announced_and_did_not_happen_is_done() {
    let Some((database, plan, session, statements)) = migrated("put_back_before", 1).await else { return };
    let beside = Beside::of("put_back_before").await;
    prepare(&session, &beside).await.unwrap();
    beside.restore(&statements).await;
    announce(&database).await;
    drop(session);
    let session = again(&database, &plan).await.unwrap();
    assert!(session.changed_anything().await.unwrap());
    assert_eq!(put_back(&session).await.unwrap().tables, 2);
    assert_eq!(state(&database).await.as_deref(), Some("Swapped"));
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
}

#[tokio::test]
async fn an_exchange_that_happened_before_the_process_died_is_not_done_again() {
    let Some((database, plan, session, statements)) = migrated("put_back_after", 1).await else { return };
    let beside = Beside::of("put_back_after").await;
    prepare(&session, &beside).await.unwrap();
    beside.restore(&statements).await;
    announce(&database).await;
    drop(session);
    let (live, kept, restored) = (database.schema.quoted(), beside.kept.quoted(), beside.restored.quoted());
    database.run(&[&format!("CREATE SCHEMA {kept}")]).await;
    database
        .run(&[&format!(
            "RENAME TABLE {live}.child_0 TO {kept}.child_0, {live}.parent TO {kept}.parent, {restored}.child_0 TO {live}.child_0, \
             {restored}.parent TO {live}.parent"
        )])
        .await;
    let session = again(&database, &plan).await.unwrap();
    assert_eq!(state(&database).await.as_deref(), Some("Swapped"), "the catalogue says so");
    assert!(!session.changed_anything().await.unwrap(), "nothing of the migration stands any more");
    assert!(prepare(&session, &beside).await.unwrap(), "and nothing is restored over it");
    let report = put_back(&session).await.unwrap();
    assert_eq!((report.tables, report.compared.tables_compared.len()), (2, 2));
    assert_eq!(database.keys_named("fk_new_0").await, 0);
    // A person who would rather undo finds that it is as before.
    assert_eq!(undo(&session).await.unwrap().tables_compared.len(), 2);
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
    // The process dies once more, before it can tell anybody that it has ended.
    let session = again(&database, &plan).await.unwrap();
    assert!(prepare(&session, &beside).await.unwrap());
    let report = put_back(&session).await.unwrap();
    assert_eq!((report.tables, report.kept_schema), (2, beside.kept.clone()));
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
}

#[tokio::test]
async fn what_is_begun_anew_after_an_exchange_is_not_taken_for_taken_back() {
    let Some((database, plan, session, statements)) = migrated("put_back_anew", 1).await else { return };
    let beside = Beside::of("put_back_anew").await;
    prepare(&session, &beside).await.unwrap();
    beside.restore(&statements).await;
    put_back(&session).await.unwrap();
    // The process dies before it can say how that ended, and the migration is taken up once more.
    drop(session);
    let session = again(&database, &plan).await.unwrap();
    run_section(&session, Section::Stage(0)).await.unwrap();
    session.release().await.unwrap();
    let session = again(&database, &plan).await.unwrap();
    assert!(session.changed_anything().await.unwrap(), "its key stands");
    let error = prepare(&session, &beside).await.unwrap_err();
    assert!(error.message.contains("put back before") && error.message.contains(beside.kept.as_str()), "{error}");
    assert_eq!(undo(&session).await.unwrap().undone, ["add-key-fk_new_0"]);
    assert_eq!(database.keys_named("fk_new_0").await, 0);
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
}

#[tokio::test]
async fn a_second_rollout_of_a_plan_is_put_back_by_a_backup_of_its_own() {
    let Some((database, plan, session, statements)) = migrated("put_back_twice", 1).await else { return };
    let (first, second) = (Beside::of("put_back_twice").await, Beside::of("put_back_twice_more").await);
    prepare(&session, &first).await.unwrap();
    first.restore(&statements).await;
    put_back(&session).await.unwrap();
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
    // Begun anew, and one session goes all the way: nothing is taken over.
    let session = database.engine().begin("shop/first", &plan).await.unwrap();
    run_section(&session, Section::Stage(0)).await.unwrap();
    assert!(!prepare(&session, &second).await.unwrap(), "what the second rollout has made stands");
    second.restore(&statements).await;
    let report = put_back(&session).await.unwrap();
    assert_eq!((&report.kept_schema, report.compared.undone.len()), (&second.kept, 1));
    assert_eq!(database.keys_named("fk_new_0").await, 0);
    assert_eq!((tables_in(&database, &first.kept).await, tables_in(&database, &second.kept).await), (2, 2));
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
}

#[tokio::test]
async fn tables_that_somebody_moved_by_hand_are_left_alone_and_named() {
    let Some((database, plan, session, statements)) = migrated("put_back_moved", 1).await else { return };
    let beside = Beside::of("put_back_moved").await;
    prepare(&session, &beside).await.unwrap();
    beside.restore(&statements).await;
    announce(&database).await;
    drop(session);
    let (live, kept) = (database.schema.quoted(), beside.kept.quoted());
    database.run(&[&format!("CREATE SCHEMA {kept}"), &format!("RENAME TABLE {live}.child_0 TO {kept}.child_0")]).await;
    let error = again(&database, &plan).await.unwrap_err();
    assert_eq!(error.cause, Cause::RollbackIncomplete, "{error}");
    assert!(error.message.contains("1 are kept"), "{error}");
    database.run(&[&format!("RENAME TABLE {kept}.child_0 TO {live}.child_0")]).await;
    let session = again(&database, &plan).await.unwrap();
    put_back(&session).await.unwrap();
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
}

#[tokio::test]
async fn a_reader_that_holds_a_table_is_named_and_the_exchange_is_done_once_it_is_gone() {
    let Some((database, _plan, session, statements)) = migrated("put_back_blocked", 1).await else { return };
    let beside = Beside::of("put_back_blocked").await;
    prepare(&session, &beside).await.unwrap();
    beside.restore(&statements).await;
    let mut reader = database.application().await;
    reader.run("BEGIN").await.unwrap();
    reader.run("SELECT COUNT(*) FROM parent").await.unwrap();
    let error = put_back(&session).await.unwrap_err();
    assert_eq!(error.cause, Cause::RetriesExhausted, "{error}");
    assert!(error.message.contains(&format!("connection {} ", reader.id)), "{error}");
    assert_eq!(database.keys_named("fk_new_0").await, 1, "everything is where it was");
    reader.run("COMMIT").await.unwrap();
    put_back(&session).await.unwrap();
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_exchanged_is_named_beforehand_and_nothing_is_moved() {
    let Some((database, _plan, session, statements)) = migrated("put_back_refused", 1).await else { return };
    let beside = Beside::of("put_back_refused").await;
    let mut connection = database.application().await;
    assert_eq!(obstacles(&mut connection, &database.schema).await.unwrap(), [""; 0]);
    prepare(&session, &beside).await.unwrap();
    let empty = put_back(&session).await.unwrap_err();
    assert!(empty.message.contains("holds no table"), "{empty}");
    beside.restore(&statements).await;
    database.run(&["CREATE TRIGGER fires BEFORE INSERT ON parent FOR EACH ROW SET @fired = 1"]).await;
    // The reason for it, on this very server.
    let renamed = format!("RENAME TABLE parent TO {}.renamed", beside.restored.quoted());
    assert_eq!(connection.run(&renamed).await.unwrap_err().code, Some(1435));
    let error = put_back(&session).await.unwrap_err();
    assert_eq!(error.cause, Cause::RollbackIncomplete, "{error}");
    assert!(error.message.contains("fires on parent") && error.message.contains("1435"), "{error}");
    database.run(&["DROP TRIGGER fires", "CREATE TABLE weights (id INT PRIMARY KEY, w FLOAT)"]).await;
    database.run(&["CREATE TABLE old (id INT PRIMARY KEY) ENGINE = MyISAM"]).await;
    let far = id("holdfast_far_put_back");
    let far_key = format!(
        "CREATE TABLE {}.far (id INT PRIMARY KEY, p INT, CONSTRAINT fk_far FOREIGN KEY (p) REFERENCES {}.parent (id))",
        far.quoted(),
        database.schema.quoted()
    );
    database.run(&[&format!("DROP SCHEMA IF EXISTS {far}"), &format!("CREATE SCHEMA {far}"), &far_key]).await;
    let found = obstacles(&mut connection, &database.schema).await.unwrap();
    let all = found.join("\n");
    for part in ["weights.w", "old (MyISAM)", "fk_far"] {
        assert!(all.contains(part), "{part} is not in {all}");
    }
    assert_eq!(found.len(), 3, "{all}");
    assert_eq!(database.keys_named("fk_new_0").await, 1, "nothing was moved");
    database.run(&[&format!("DROP SCHEMA {far}"), "DROP TABLE weights, old"]).await;
    put_back(&session).await.unwrap();
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
}

#[tokio::test]
async fn what_was_restored_goes_where_the_changes_are_undone_instead_and_before_another_try() {
    let Some((database, _plan, session, statements)) = migrated("put_back_instead", 1).await else { return };
    let beside = Beside::of("put_back_instead").await;
    prepare(&session, &beside).await.unwrap();
    beside.restore(&statements).await;
    assert_eq!(tables_in(&database, &beside.restored).await, 2);
    assert!(!prepare(&session, &beside).await.unwrap());
    assert_eq!(tables_in(&database, &beside.restored).await, 0, "another try begins with nothing");
    beside.restore(&statements).await;
    undo(&session).await.unwrap();
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
    let schema = format!("SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = '{}'", beside.restored);
    assert_eq!(database.number(&schema).await, 0);
}

#[tokio::test]
async fn a_schema_that_is_somebody_elses_is_not_taken() {
    let Some((database, _plan, session, _)) = migrated("put_back_taken", 1).await else { return };
    let beside = Beside::of("put_back_taken").await;
    database.run(&[&format!("CREATE SCHEMA {}", beside.kept.quoted())]).await;
    let error = prepare(&session, &beside).await.unwrap_err();
    assert!(error.cause == Cause::RollbackIncomplete && error.message.contains(beside.kept.as_str()), "{error}");
    database.run(&[&format!("DROP SCHEMA {}", beside.kept.quoted())]).await;
    session.release().await.unwrap();
}

#[tokio::test]
async fn a_backup_of_other_tables_than_were_planned_for_is_not_put_in_place() {
    let Some((database, _plan, session, _)) = migrated("put_back_other", 1).await else { return };
    let beside = Beside::of("put_back_other").await;
    prepare(&session, &beside).await.unwrap();
    let mut other = many(1);
    other.push("ALTER TABLE parent ADD COLUMN more INT".to_owned());
    beside.restore(&other).await;
    let error = put_back(&session).await.unwrap_err();
    assert_eq!(error.cause, Cause::RollbackIncomplete, "{error}");
    assert!(error.message.contains("parent") && error.message.contains("`more`"), "{error}");
    assert_eq!(database.keys_named("fk_new_0").await, 1, "nothing was moved");
    undo(&session).await.unwrap();
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
}

#[tokio::test]
async fn what_would_be_lost_is_counted_and_what_was_not_counted_is_never_nothing() {
    let database = Database::fresh("put_back_loss", PARENT_AND_CHILD).await;
    let mut connection = database.application().await;
    if !database.served.exchanges_tables() {
        return;
    }
    older(&database).await;
    let baseline = row_counters::before(&mut connection, &database.schema).await.unwrap();
    let of = |loss: &loss::Loss, table: &str| loss.tables.iter().find(|each| each.table == table).unwrap().clone();
    let nothing = loss::count(&mut connection, &database.schema, Ok(&baseline)).await.unwrap();
    assert_eq!(nothing.at_most(), 0, "{nothing:?}");
    database.run(&["INSERT INTO parent (name) VALUES ('x'), ('y')", "UPDATE parent SET name = 'z' WHERE id < 4"]).await;
    database.run(&["DELETE FROM child WHERE id <= 10", "CREATE TABLE made_since (id INT PRIMARY KEY)"]).await;
    let some = loss::count(&mut connection, &database.schema, Ok(&baseline)).await.unwrap();
    assert_eq!((of(&some, "parent").at_most(), of(&some, "child").at_most()), (2 + 3, 10), "{some:?}");
    assert_eq!(of(&some, "made_since").then, None);
    database.run(&["TRUNCATE TABLE child", "INSERT INTO child (parent_id) VALUES (1)"]).await;
    let emptied = loss::count(&mut connection, &database.schema, Ok(&baseline)).await.unwrap();
    let child = of(&emptied, "child");
    assert_eq!(
        child.at_most(),
        if child.writes.is_some() { 1 + 100 } else { 100 },
        "TRUNCATE hides nothing: {emptied:?}"
    );
    let unknown = loss::count(&mut connection, &database.schema, Err("it is gone".to_owned())).await.unwrap();
    assert_eq!(unknown.uncounted.as_deref(), Some("it is gone"));
    assert_eq!(unknown.at_most(), 12 + 1, "all rows that are there: {unknown:?}");
}

#[tokio::test]
async fn what_the_migration_itself_changed_is_part_of_what_is_counted() {
    let Some((database, _plan, session, _)) = migrated("put_back_altered", 1).await else { return };
    let mut connection = database.application().await;
    session.release().await.unwrap();
    older(&database).await;
    let baseline = row_counters::before(&mut connection, &database.schema).await.unwrap();
    database.run(&["INSERT INTO child_0 (parent_id) VALUES (1), (2)"]).await;
    database.run(&["ALTER TABLE child_0 ADD COLUMN note INT NULL, ALGORITHM=INPLACE"]).await;
    let found = loss::count(&mut connection, &database.schema, Ok(&baseline)).await.unwrap();
    let child = found.tables.iter().find(|each| each.table == "child_0").unwrap();
    assert!(child.at_most() >= 2, "an ALTER in between hides nothing: {found:?}");
}

/// Values that are easily spoilt, a view, and an event that would run in the other schema, were it restored there.
const SPOILT: &[&str] = &[
    "CREATE TABLE measures (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, share DOUBLE, length INT AS (LENGTH(picture)) STORED, place POINT, \
     document JSON, picture LONGBLOB, hidden INT INVISIBLE DEFAULT 3, moment TIMESTAMP(6) NULL, bits BIT(5), kind ENUM('a', 'b''c', ''), KEY by_kind (kind))",
    "INSERT INTO measures (share, place, document, picture, moment, bits, kind) VALUES (1234567.8, ST_GeomFromText('POINT(1 2)'), '{\"a\": 1.50}', \
     x'00ff27225c0a0d1a', '2026-03-01 10:00:00.123456', b'10101', 'b''c'), (0.1, NULL, NULL, '); INSERT INTO `measures` VALUES (1', NULL, NULL, '')",
    "UPDATE measures SET id = 0 WHERE id = 2",
    // Larger than the default limits that MySQL documents for its programs: 24 MiB to be dumped, 16 to be restored.
    "INSERT INTO measures (picture) VALUES (REPEAT('x', 26 * 1024 * 1024))",
    "CREATE VIEW shares AS SELECT share FROM measures",
    "CREATE EVENT tidy ON SCHEDULE EVERY 1 DAY STARTS '2099-01-01 00:00:00' DO DELETE FROM measures",
    "CREATE PROCEDURE tidy() DELETE FROM measures",
];

/// With MySQL's own programs, as the two Jobs run them. Where the server comes without them there is nothing to see.
#[tokio::test]
async fn a_real_dump_is_restored_beside_the_live_tables_and_put_in_place() {
    let Some((database, plan, session, _)) = migrated("put_back_real", 3).await else { return };
    if !database.served.comes_with_clients() {
        return session.finish(MigrationOutcome::RolledBack).await.unwrap();
    }
    undo(&session).await.unwrap();
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
    database.run(SPOILT).await;
    let folder = std::env::temp_dir().join(format!("holdfast-put-back-real-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    for each in ["credentials", "private", "backup", "programs"] {
        fs::create_dir_all(folder.join(each)).unwrap();
    }
    let [_, mysql, mysqldump] = programs(&folder.join("programs"));
    let target = target();
    fs::write(folder.join("credentials/username"), &target.username).unwrap();
    fs::write(folder.join("credentials/password"), &target.password).unwrap();
    let server = login::Arguments {
        host: target.host,
        port: target.port,
        credentials: folder.join("credentials"),
        ssl_mode: "REQUIRED".to_owned(),
        certificate_authority: None,
        private: folder.join("private"),
    };
    let outcome = || -> Outcome { serde_json::from_slice(&fs::read(folder.join("message")).unwrap()).unwrap() };
    dump::run(&dump::Arguments {
        server: server.clone(),
        database: database.schema.to_string(),
        destination: storage::Arguments::folder(folder.join("backup")),
        compression: Compression::Zstd,
        read_back: false,
        name: "u-1".to_owned(),
        migration: "u".to_owned(),
        termination_message: folder.join("message"),
        program: mysqldump.clone(),
    })
    .unwrap();
    let Outcome::Made(summary) = outcome() else { panic!("{:?}", outcome()) };

    let before = database.text("SELECT CONCAT_WS(',', COUNT(*), SUM(id), SUM(CRC32(picture))) FROM measures").await;
    let beside = Beside::of("put_back_real").await;
    let session = database.engine().begin("shop/first", &plan).await.unwrap();
    run_section(&session, Section::Stage(0)).await.unwrap();
    database.run(&["DELETE FROM measures", "INSERT INTO measures (share) VALUES (7)"]).await;
    prepare(&session, &beside).await.unwrap();
    let arguments = backup::put_back::Arguments {
        server,
        backup: made::Arguments {
            storage: storage::Arguments::folder(folder.join("backup")),
            name: "u-1".to_owned(),
            manifest: summary.manifest,
            migration: "u".to_owned(),
        },
        schema: beside.restored.to_string(),
        termination_message: folder.join("message"),
        mysql,
        mysqldump,
    };
    backup::put_back::run(&arguments).unwrap();
    let Outcome::Restored(restored) = outcome() else { panic!("{:?}", outcome()) };
    assert_eq!((restored.tables, restored.rows), (5, 3 + 9 + 3));
    assert!(backup::put_back::run(&arguments).unwrap_err().contains("is not empty (5 tables)"));
    let others = format!(
        "SELECT (SELECT COUNT(*) FROM information_schema.views WHERE table_schema = '{0}') \
         + (SELECT COUNT(*) FROM information_schema.events WHERE event_schema = '{0}') \
         + (SELECT COUNT(*) FROM information_schema.routines WHERE routine_schema = '{0}')",
        beside.restored
    );
    assert_eq!(database.number(&others).await, 0, "nothing but tables");
    assert_eq!(put_back(&session).await.unwrap().tables, 5);
    let after = database.text("SELECT CONCAT_WS(',', COUNT(*), SUM(id), SUM(CRC32(picture))) FROM measures").await;
    assert_eq!(before, after);
    assert_eq!(database.number("SELECT COUNT(*) FROM shares").await, 3);
    session.finish(MigrationOutcome::RolledBack).await.unwrap();
    fs::remove_dir_all(folder).unwrap();
}
