//! What the application meets, as the server counts it: errors of other accounts, and what statements on the tables take.

use std::time::Duration;

use holdfast::mysql::soak::{Sample, StatementCount, StatementKind, Statements, Tables, new_and_slow, sample};
use holdfast::mysql::{Connection, SessionLimits, Target, validation};
use holdfast::plan::TableName;
use holdfast::plan::model::OrphanPolicy;
use tokio::sync::{Mutex, MutexGuard};

use crate::common::target;
use crate::database::{Database, PARENT_AND_CHILD};

/// The application's account is the only one besides that of the tests that meets such errors, and one test at a time uses it: the
/// server counts for all schemas together.
static APPLICATION: Mutex<()> = Mutex::const_new(());

struct Shop {
    database: Database,
    login: Target,
    _alone: MutexGuard<'static, ()>,
}

impl Shop {
    async fn open(test: &str) -> Option<Self> {
        let alone = APPLICATION.lock().await;
        let database = Database::fresh(test, PARENT_AND_CHILD).await;
        if database.served.mariadb {
            return None;
        }
        let (user, schema) = ("'holdfast_shop'@'%'", database.schema.quoted());
        let password = target().password;
        database
            .run(&[
                "ALTER TABLE child ADD CONSTRAINT fk FOREIGN KEY (parent_id) REFERENCES parent (id) ON DELETE RESTRICT",
                &format!("DROP USER IF EXISTS {user}"),
                &format!("CREATE USER {user} IDENTIFIED BY '{password}'"),
                &format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.* TO {user}"),
            ])
            .await;
        let login = Target { username: "holdfast_shop".to_owned(), ..target() };
        Some(Self { database, login, _alone: alone })
    }

    async fn connect(&self) -> Connection {
        let limits = SessionLimits { row_lock_wait: Duration::from_secs(1), ..SessionLimits::default() };
        let mut connection = self.login.connect(limits).await.unwrap();
        connection.run(&format!("USE {}", self.database.schema.quoted())).await.unwrap();
        connection
    }

    fn tables(&self) -> Vec<TableName> {
        vec![self.database.table("parent"), self.database.table("child")]
    }

    async fn sample(&self) -> Sample {
        let tables = self.tables();
        let mut connection = self.database.application().await;
        let wanted = Statements::On(Tables { names: &tables, lower_case_table_names: 0 });
        sample(&mut connection, wanted).await.unwrap()
    }

    async fn sample_of(&self, known: &[StatementCount]) -> Vec<StatementCount> {
        let mut connection = self.database.application().await;
        sample(&mut connection, Statements::Known(known)).await.unwrap().statements.unwrap().statements
    }

    async fn close(self) {
        self.database.run(&["DROP USER 'holdfast_shop'@'%'"]).await;
    }
}

/// Meets an error of that number.
async fn meets(connection: &mut Connection, statement: &str, number: u16) {
    let error = connection.run(statement).await.unwrap_err();
    assert_eq!(error.code, Some(number), "{error}");
}

#[tokio::test]
async fn errors_of_the_application_are_counted_by_number_and_our_own_are_not() {
    let Some(shop) = Shop::open("soak_errors").await else { return };
    let before = shop.sample().await;
    let mut application = shop.connect().await;
    for _ in 0..3 {
        meets(&mut application, "INSERT INTO child (parent_id) VALUES (4000)", 1452).await;
    }
    meets(&mut application, "DELETE FROM parent WHERE id = 1", 1451).await;
    // The migration's own account.
    let mut own = shop.database.application().await;
    meets(&mut own, "INSERT INTO child (parent_id) VALUES (4000)", 1452).await;
    // A lock wait timeout, and a deadlock.
    let mut other = shop.connect().await;
    application.run("BEGIN; UPDATE child SET note = 1 WHERE id = 1").await.unwrap();
    meets(&mut other, "UPDATE child SET note = 2 WHERE id = 1", 1205).await;
    other.run("BEGIN; UPDATE child SET note = 2 WHERE id = 2").await.unwrap();
    let (first, second) = futures::future::join(
        application.run("UPDATE child SET note = 1 WHERE id = 2"),
        other.run("UPDATE child SET note = 2 WHERE id = 1"),
    )
    .await;
    let victim = first.err().or(second.err()).expect("one of them is the victim");
    assert_eq!(victim.code, Some(1213), "{victim}");
    let after = shop.sample().await;
    let (before, after) = (before.errors.unwrap(), after.errors.unwrap());
    assert_eq!(after.foreign_keys - before.foreign_keys, 4);
    assert_eq!(after.locks - before.locks, 2);
    drop((application, other));
    shop.close().await;
}

#[tokio::test]
async fn statements_on_the_tables_are_found_by_kind_and_followed_by_their_digest() {
    let Some(shop) = Shop::open("soak_statements").await else { return };
    shop.database.run(&["CREATE TABLE elsewhere (id INT NOT NULL PRIMARY KEY)"]).await;
    let mut application = shop.connect().await;
    for id in 0..12 {
        for statement in [
            format!("SELECT note FROM child WHERE id = {id}"),
            format!("INSERT INTO child (parent_id) VALUES ({})", 1 + id % 10),
            format!("UPDATE child SET note = {id} WHERE id = {id}"),
            format!("DELETE FROM child WHERE id = {}", 1000 + id),
            format!("SELECT id FROM elsewhere WHERE id = {id}"),
        ] {
            application.run(&statement).await.unwrap();
        }
    }
    let found = shop.sample().await.statements.unwrap().statements;
    let of = |statements: &[StatementCount], kind| -> (u64, u64) {
        let of_kind = statements.iter().filter(|each| each.kind == kind && each.count >= 12);
        of_kind.fold((0, 0), |(count, took), each| (count + each.count, took + each.microseconds))
    };
    assert_eq!(of(&found, StatementKind::Read).0, 12, "{found:?}");
    assert_eq!(of(&found, StatementKind::Write).0, 24, "{found:?}");
    assert_eq!(of(&found, StatementKind::Delete).0, 12, "{found:?}");
    assert!(
        found.iter().all(|each| each.digest.len() == 16 && each.schema == shop.database.schema.as_str()),
        "{found:?}"
    );
    // One of them becomes slow.
    for id in 0..3 {
        application.run(&format!("SELECT note FROM child WHERE id = {id}")).await.unwrap();
        application.run(&format!("DELETE FROM child WHERE id = {}", 2000 + id)).await.unwrap();
    }
    let mut holder = shop.database.application().await;
    holder.run("BEGIN; SELECT * FROM child WHERE id = 50 FOR UPDATE").await.unwrap();
    let waiting = application.run("UPDATE child SET note = 9 WHERE id = 50");
    let ending = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        holder.run("COMMIT").await.unwrap();
    };
    futures::future::join(waiting, ending).await.0.unwrap();
    let now = shop.sample_of(&found).await;
    assert_eq!(of(&now, StatementKind::Read).0, 15, "{now:?}");
    assert_eq!(of(&now, StatementKind::Delete).0, 15, "{now:?}");
    let (before, after) = (of(&found, StatementKind::Write), of(&now, StatementKind::Write));
    assert_eq!(after.0 - before.0, 1, "{now:?}");
    assert!((250_000..5_000_000).contains(&(after.1 - before.1)), "{} microseconds", after.1 - before.1);
    // Ten seconds are slow (`long_query_time`): nothing was, until that is made less.
    let tables = shop.tables();
    let tables = Tables { names: &tables, lower_case_table_names: 0 };
    let mut own = shop.database.application().await;
    assert_eq!(new_and_slow(&mut own, tables, 600).await.unwrap().unwrap(), Vec::<String>::new());
    let default = shop.database.text("SELECT CAST(@@global.long_query_time AS CHAR)").await.unwrap();
    own.run("SET GLOBAL long_query_time = 0.2").await.unwrap();
    let slow = new_and_slow(&mut own, tables, 600).await;
    own.run(&format!("SET GLOBAL long_query_time = {default}")).await.unwrap();
    let updates: Vec<&str> = now
        .iter()
        .filter(|each| each.kind == StatementKind::Write && each.microseconds >= 200_000)
        .map(|each| each.digest.as_str())
        .collect();
    assert_eq!(slow.unwrap().unwrap(), updates);
    drop((application, holder));
    shop.close().await;
}

#[tokio::test]
async fn what_is_switched_off_is_said_and_not_counted_as_nothing() {
    let Some(shop) = Shop::open("soak_switched_off").await else { return };
    let mut root = shop.database.application().await;
    let off = |kind: &str, name: &str, value: &str| {
        format!("UPDATE performance_schema.setup_{kind}s SET ENABLED = '{value}' WHERE NAME = '{name}'")
    };
    for (kind, name, concerns_errors) in [
        ("instrument", "error", true),
        ("instrument", "statement/sql/delete_multi", false),
        ("consumer", "statements_digest", false),
    ] {
        root.run(&off(kind, name, "NO")).await.unwrap();
        let blind = shop.sample().await;
        root.run(&off(kind, name, "YES")).await.unwrap();
        let (unread, read) = match concerns_errors {
            true => (blind.errors.err(), blind.statements.is_ok()),
            false => (blind.statements.err(), blind.errors.is_ok()),
        };
        let unread = unread.unwrap_or_else(|| panic!("{name} is switched off and nothing is said"));
        assert!(unread.contains(&format!("the {kind} {name}")) && unread.contains("switch it on") && read, "{unread}");
    }
    let seeing = shop.sample().await;
    assert!(seeing.errors.is_ok() && seeing.statements.is_ok(), "{seeing:?}");
    drop(root);
    shop.close().await;
}

/// Of use on a server that was started with performance_schema=OFF, as one may be after planning (`make test`).
#[tokio::test]
async fn a_server_without_its_performance_schema_is_blind_and_says_so() {
    let Some(shop) = Shop::open("soak_without").await else { return };
    let on = shop.database.text("SELECT CAST(@@global.performance_schema AS CHAR)").await.unwrap() == "1";
    let sample = shop.sample().await;
    let tables = shop.tables();
    let tables = Tables { names: &tables, lower_case_table_names: 0 };
    let slow = new_and_slow(&mut shop.database.application().await, tables, 600).await.unwrap();
    for unread in [sample.errors.map(|_| ()), sample.statements.map(|_| ()), slow.map(|_| ())] {
        assert_eq!(unread.is_ok(), on, "{unread:?}");
        let told = "started with performance_schema=OFF";
        assert!(unread.err().is_none_or(|why| why.contains(told)), "it is said what to do");
    }
    shop.close().await;
}

#[tokio::test]
async fn an_account_that_may_not_read_the_statistics_is_told_what_it_lacks() {
    let Some(shop) = Shop::open("soak_privileges").await else { return };
    let mut application = shop.connect().await;
    let tables = shop.tables();
    let wanted = Statements::On(Tables { names: &tables, lower_case_table_names: 0 });
    let blind = sample(&mut application, wanted).await.unwrap();
    for unread in [blind.errors.unwrap_err(), blind.statements.unwrap_err()] {
        assert!(
            unread.contains("1142") && unread.contains("grant the account SELECT on performance_schema.*"),
            "{unread}"
        );
    }
    drop(application);
    shop.close().await;
}

#[tokio::test]
async fn orphans_under_a_key_are_found_once_it_is_there() {
    let database = Database::fresh("soak_orphans", PARENT_AND_CHILD).await;
    let plan = database.plan(vec![database.add_key("child", "parent", "fk", OrphanPolicy::Delete)]).await;
    database.run(&["ALTER TABLE child ADD CONSTRAINT fk FOREIGN KEY (parent_id) REFERENCES parent (id)"]).await;
    let mut connection = database.application().await;
    let report = validation::orphans_of_keys(&mut connection, &plan).await.unwrap();
    assert_eq!(report.findings.iter().map(|finding| finding.count).collect::<Vec<_>>(), [0]);
    database.run(&["SET foreign_key_checks = 0", "INSERT INTO child (parent_id) VALUES (77), (78)"]).await;
    let report = validation::orphans_of_keys(&mut connection, &plan).await.unwrap();
    assert_eq!(
        (report.findings[0].count, report.findings[0].issue_type.as_str()),
        (2, "orphans: child.parent_id -> parent.id")
    );
}
