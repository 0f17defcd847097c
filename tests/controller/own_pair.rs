//! A MySQL with a replica of a test's own, for tests that promote the replica: nobody could use the two afterwards.

use holdfast::mysql::{Connection, SessionLimits, Target};
use sqlx::{AssertSqlSafe, Row as _};

use crate::common::{parse, target};
use crate::own_script::OwnScript;
use crate::server::eventually;

/// A source and its replica, which follows by GTID and is read-only.
pub(crate) struct OwnPair {
    script: OwnScript,
    pub(crate) source: Target,
    pub(crate) replica: Target,
}

impl OwnPair {
    pub(crate) async fn start() -> Self {
        let (script, line) = OwnScript::start(
            "mysqld.sh",
            &["--server", "mysql-9.7-replicated"],
            "$HOLDFAST_TEST_MYSQL $HOLDFAST_TEST_REPLICA",
        )
        .await;
        let (source, replica) = line.split_once(' ').unwrap();
        let pair = Self { script, source: parse(source), replica: parse(replica) };
        let (ours, others) = (&pair.source, target());
        assert_eq!((&ours.username, &ours.password, ours.tls), (&others.username, &others.password, others.tls));
        pair
    }

    /// Everything that a server has carried out.
    pub(crate) async fn executed(server: &Target) -> String {
        one(server, "SELECT CAST(@@global.gtid_executed AS CHAR)").await.replace('\n', "")
    }

    /// Waits until a server has carried out these transactions.
    pub(crate) async fn has(server: &Target, transactions: &str) {
        eventually("the replica to have all", async || {
            let missing = format!("SELECT GTID_SUBTRACT('{transactions}', @@global.gtid_executed)");
            let missing = one(server, &missing).await;
            if missing.is_empty() { Ok(()) } else { Err(format!("it lacks {missing}")) }
        })
        .await;
    }

    /// The replica takes nothing more, as when its source is cut off from it.
    pub(crate) async fn stop_replicating(&self) {
        run(&self.replica, "STOP REPLICA").await;
        // It would be seen until the source next speaks to it.
        let sessions = "SELECT GROUP_CONCAT(CONCAT('KILL ', id) SEPARATOR '; ') FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'";
        let sessions = one(&self.source, sessions).await;
        if !sessions.is_empty() {
            run(&self.source, &sessions).await;
        }
    }

    /// The replica takes what it lacks of these transactions, and nothing later.
    pub(crate) async fn replicate_until(&self, transactions: &str) {
        run(&self.replica, &format!("START REPLICA UNTIL SQL_AFTER_GTIDS = '{transactions}'")).await;
        Self::has(&self.replica, transactions).await;
        self.stop_replicating().await;
    }

    /// Makes the replica the writable server, as what switches over does.
    pub(crate) async fn promote(&self) {
        run(
            &self.replica,
            "STOP REPLICA; RESET REPLICA ALL; SET GLOBAL super_read_only = OFF; SET GLOBAL read_only = OFF",
        )
        .await;
    }

    /// The old source comes back, as a replica of the new one.
    pub(crate) async fn follow_the_promoted(&self) {
        let port = self.replica.port;
        run(
            &self.source,
            &format!(
                "SET GLOBAL super_read_only = ON; CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {port}, \
                 SOURCE_USER = 'replicator', SOURCE_PASSWORD = 'throw-away', SOURCE_SSL = 1, SOURCE_AUTO_POSITION = 1; START REPLICA"
            ),
        )
        .await;
    }

    /// Ends both, and waits until nothing of them is left.
    pub(crate) async fn stop(self) {
        self.script.stop().await;
    }
}

/// A session even where the server is read-only, which the engine's own refuses.
async fn session(server: &Target) -> sqlx::MySqlConnection {
    let options = sqlx::mysql::MySqlConnectOptions::new()
        .host(&server.host)
        .port(server.port)
        .username(&server.username)
        .password(&server.password);
    <sqlx::MySqlConnection as sqlx::Connection>::connect_with(&options).await.unwrap()
}

pub(crate) async fn run(server: &Target, statements: &str) {
    let mut session = session(server).await;
    let done = sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut session).await;
    done.unwrap_or_else(|error| panic!("{statements}: {error}"));
}

pub(crate) async fn one(server: &Target, statement: &str) -> String {
    let mut session = session(server).await;
    let row = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).fetch_one(&mut session).await;
    let text = row.and_then(|row| row.try_get::<Option<String>, _>(0));
    text.unwrap_or_else(|error| panic!("{statement}: {error}")).unwrap_or_default()
}

/// A transaction of the application that has read a table and stays open.
pub(crate) async fn reader(server: &Target, schema: &str, table: &str) -> Connection {
    let mut application = server.connect(SessionLimits::default()).await.unwrap();
    application.run(&format!("USE {schema}; START TRANSACTION; SELECT COUNT(*) FROM {table}")).await.unwrap();
    application
}
