//! What differs between the servers that we work on, in the text of our own statements: each difference has its name and its reason
//! here and nowhere else. `docs/servers.md` tells people about them.

use std::time::Duration;

use super::error::{Cause, Error};
use crate::plan::catalogue::{Flavour, Version};

/// CHECK constraints are enforced, and the catalogue shows them.
const CHECK_CONSTRAINTS: Version = Version { major: 8, minor: 0, patch: 16 };
/// `innodb_ddl_threads` is there: <https://dev.mysql.com/doc/relnotes/mysql/8.0/en/news-8-0-27.html>.
const BUILD_THREADS: Version = Version { major: 8, minor: 0, patch: 27 };
/// Prepared statements are in the statistics of statements: measured in this version, and that 8.0.15 lacks them; in between unknown.
const PREPARED_COUNTED: Version = Version { major: 9, minor: 7, patch: 0 };
/// Hash joins came in 8.0.18; hints that keep the optimizer from an index, which bring one about, here.
const HASH_JOINS: Version = Version { major: 8, minor: 0, patch: 20 };
/// Spatial reference systems are in the catalogue, and with them so are the other novelties of 8.0.
const SPATIAL_REFERENCES: Version = Version { major: 8, minor: 0, patch: 3 };

/// The statements that a server understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect {
    flavour: Flavour,
    version: Version,
}

impl Dialect {
    /// Learns it from `@@version` and `@@version_comment`.
    ///
    /// # Errors
    /// [`Cause::ServerUnsupported`] for a version that is no number.
    pub(crate) fn of(version: &str, comment: &str) -> Result<Self, Error> {
        let named = |text: &str| text.to_lowercase().contains("mariadb");
        let flavour = if named(version) || named(comment) { Flavour::MariaDb } else { Flavour::MySql };
        Ok(Self { flavour, version: parse_version(version)? })
    }

    pub(crate) fn flavour(self) -> Flavour {
        self.flavour
    }

    pub(crate) fn version(self) -> Version {
        self.version
    }

    fn mariadb(self) -> bool {
        self.flavour == Flavour::MariaDb
    }

    /// Whether a hint can make the server join by a hash table.
    pub(crate) fn has_hash_joins(self) -> bool {
        !self.mariadb() && self.version >= HASH_JOINS
    }

    /// The expression that tells servers apart. MariaDB has no UUID before version 11.
    pub(crate) fn identity(self) -> &'static str {
        if self.mariadb() {
            "CAST(CONCAT(@@server_id, '@', @@hostname, ':', @@port) AS CHAR)"
        } else {
            "CAST(@@server_uuid AS CHAR)"
        }
    }

    /// The transactions that the server has committed, as its replicas name them: one row, one text, empty where they have no names.
    pub(crate) fn committed_transactions(self) -> &'static str {
        if self.mariadb() {
            "SELECT CAST(@@global.gtid_current_pos AS CHAR)"
        } else {
            "SELECT CAST(@@global.gtid_executed AS CHAR)"
        }
    }

    /// What every lent connection starts with, whatever the borrower before it did: no open transaction, short waits, a SHOW CREATE
    /// TABLE that is independent of the server's settings, and statistics of now.
    pub(crate) fn standing(self) -> String {
        let mut statements = vec![
            "ROLLBACK",
            "SET SESSION autocommit = 1, foreign_key_checks = 1, lock_wait_timeout = 1, innodb_lock_wait_timeout = 1",
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            self.settled_definitions(),
        ];
        statements.extend(self.fresh_statistics());
        format!("{}; ", statements.join("; "))
    }

    /// Ends queries of the session after a time; zero: never. MariaDB ends other statements then, too.
    pub(crate) fn limit_queries(self, limit: Duration) -> String {
        if self.mariadb() {
            format!("SET SESSION max_statement_time = {}", limit.as_secs_f64())
        } else {
            format!("SET SESSION max_execution_time = {}", limit.as_millis())
        }
    }

    /// Builds an index with one thread. The server takes up to four otherwise, for the scan and for the sorting, whatever the number of its
    /// processors, and the application's statements wait for them.
    pub(crate) fn build_alone(self) -> Option<&'static str> {
        (!self.mariadb() && self.version >= BUILD_THREADS)
            .then_some("SET SESSION innodb_ddl_threads = 1, innodb_parallel_read_threads = 1")
    }

    /// Makes statistics fresh, where the catalogue keeps a copy of them.
    pub(crate) fn fresh_statistics(self) -> Option<&'static str> {
        (!self.mariadb()).then_some("SET SESSION information_schema_stats_expiry = 0")
    }

    /// Makes SHOW CREATE TABLE independent of the server's settings.
    pub(crate) fn settled_definitions(self) -> &'static str {
        if self.mariadb() {
            "SET SESSION sql_quote_show_create = 1, sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'"
        } else {
            "SET SESSION sql_quote_show_create = 1, sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION', \
             show_create_table_verbosity = 0"
        }
    }

    /// COLUMN_DEFAULT as MySQL has it: the plain value of a literal, the text of an expression, NULL for none. MariaDB writes both
    /// as SQL.
    pub(crate) fn column_default(self) -> &'static str {
        if self.mariadb() {
            "CASE WHEN COLUMN_DEFAULT = 'NULL' THEN NULL WHEN COLUMN_DEFAULT LIKE '''%''' \
             THEN REPLACE(SUBSTRING(COLUMN_DEFAULT, 2, CHAR_LENGTH(COLUMN_DEFAULT) - 2), '''''', '''') ELSE COLUMN_DEFAULT END"
        } else {
            "COLUMN_DEFAULT"
        }
    }

    /// A column's type without length and sign, for tables `c` of COLUMNS. MariaDB's JSON is a long text with a constraint.
    pub(crate) fn data_type(self) -> &'static str {
        if self.mariadb() {
            "IF(c.data_type = 'longtext' AND EXISTS (SELECT 1 FROM information_schema.check_constraints AS k \
             WHERE k.constraint_schema = c.table_schema AND k.table_name = c.table_name \
             AND k.check_clause = CONCAT('json_valid(`', REPLACE(c.column_name, '`', '``'), '`)')), 'json', c.data_type)"
        } else {
            "c.data_type"
        }
    }

    /// A column's spatial reference system, which MariaDB does not keep.
    pub(crate) fn spatial_reference(self) -> &'static str {
        if self.mariadb() || self.version < SPATIAL_REFERENCES {
            "CAST(NULL AS UNSIGNED)"
        } else {
            "CAST(srs_id AS UNSIGNED)"
        }
    }

    /// Whether the optimizer may use an index: `YES` or `NO`, a column of STATISTICS.
    pub(crate) fn index_is_visible(self) -> &'static str {
        if self.mariadb() { "IF(IGNORED = 'YES', 'NO', 'YES')" } else { "COALESCE(IS_VISIBLE, 'YES')" }
    }

    /// Table, name and clause of CHECK constraints; `None` where the server parses and forgets them.
    pub(crate) fn check_constraints(self) -> Option<&'static str> {
        if self.mariadb() {
            // Names are unique in a table only, and those of a column's own constraint are the column's.
            return Some(
                "SELECT CAST(TABLE_NAME AS CHAR), CAST(CONSTRAINT_NAME AS CHAR), CAST(CHECK_CLAUSE AS CHAR) \
                 FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = ? AND TABLE_NAME IN ({tables}) \
                 ORDER BY TABLE_NAME, CONSTRAINT_NAME",
            );
        }
        (self.version >= CHECK_CONSTRAINTS).then_some(
            "SELECT CAST(t.TABLE_NAME AS CHAR), CAST(c.CONSTRAINT_NAME AS CHAR), CAST(c.CHECK_CLAUSE AS CHAR) \
             FROM information_schema.TABLE_CONSTRAINTS AS t JOIN information_schema.CHECK_CONSTRAINTS AS c \
             ON c.CONSTRAINT_SCHEMA = t.CONSTRAINT_SCHEMA AND c.CONSTRAINT_NAME = t.CONSTRAINT_NAME \
             WHERE t.CONSTRAINT_TYPE = 'CHECK' AND t.TABLE_SCHEMA = ? AND t.TABLE_NAME IN ({tables}) \
             ORDER BY t.TABLE_NAME, c.CONSTRAINT_NAME",
        )
    }

    /// Locks the rows of these tables of a join for changes. MariaDB cannot name tables, and locks those of all.
    pub(crate) fn lock_to_write(self, tables: &str) -> String {
        if self.mariadb() { "FOR UPDATE".to_owned() } else { format!("FOR UPDATE OF {tables}") }
    }

    /// Locks the rows of one table for changes and those of another against changes; in MariaDB all for changes.
    pub(crate) fn lock_to_write_and_read(self, written: &str, read: &str) -> String {
        if self.mariadb() { "FOR UPDATE".to_owned() } else { format!("FOR UPDATE OF {written} FOR SHARE OF {read}") }
    }

    /// Locks the rows of one table of a join against changes; in MariaDB those of all.
    pub(crate) fn lock_to_read(self, read: &str) -> String {
        if self.mariadb() { "LOCK IN SHARE MODE".to_owned() } else { format!("FOR SHARE OF {read}") }
    }

    /// Locks the rows of a query on one table against changes.
    pub(crate) fn lock_row_to_read(self) -> &'static str {
        if self.mariadb() { "LOCK IN SHARE MODE" } else { "FOR SHARE" }
    }

    /// Prepared XA transactions, with their names readable in the column `data`.
    pub(crate) fn prepared_transactions(self) -> &'static str {
        if self.mariadb() { "XA RECOVER FORMAT='SQL'" } else { "XA RECOVER CONVERT XID" }
    }

    /// User, host and statement of a connection.
    pub(crate) fn session_by_id(self) -> &'static str {
        if self.mariadb() {
            "SELECT CAST(USER AS CHAR), CAST(HOST AS CHAR), CAST(LEFT(INFO, 200) AS CHAR) FROM information_schema.PROCESSLIST WHERE ID = ?"
        } else {
            "SELECT CAST(processlist_user AS CHAR), CAST(processlist_host AS CHAR), CAST(LEFT(processlist_info, 200) AS CHAR) \
             FROM performance_schema.threads WHERE processlist_id = ?"
        }
    }

    /// State of a connection's statement, and work done and to do of its stage.
    pub(crate) fn statement_progress(self) -> &'static str {
        if self.mariadb() {
            "SELECT CAST(STATE AS CHAR), IF(MAX_STAGE > 0, CAST(PROGRESS * 10 AS UNSIGNED), NULL), CAST(1000 AS UNSIGNED) \
             FROM information_schema.PROCESSLIST WHERE ID = ?"
        } else {
            "SELECT CAST(t.processlist_state AS CHAR), CAST(s.work_completed AS UNSIGNED), CAST(s.work_estimated AS UNSIGNED) \
             FROM performance_schema.threads t LEFT JOIN performance_schema.events_stages_current s ON s.thread_id = t.thread_id \
             WHERE t.processlist_id = ?"
        }
    }

    /// Where [`Self::statement_progress`] reads, for messages.
    pub(crate) fn sessions_source(self) -> &'static str {
        if self.mariadb() { "information_schema.PROCESSLIST" } else { "performance_schema.threads" }
    }

    /// What an account needs in order to see other sessions: privileges on the whole server, and a schema to SELECT from.
    pub(crate) fn watching_privileges(self) -> (&'static [&'static str], Option<&'static str>) {
        if self.mariadb() {
            // XA RECOVER needs none there.
            (&["PROCESS"], None)
        } else {
            (&["PROCESS", "XA_RECOVER_ADMIN"], Some("performance_schema"))
        }
    }

    /// Sessions that hold a metadata lock on one of the tables: connection, user, host, table, milliseconds, and the statement
    /// without its values. `{places}` becomes the list of tables.
    pub(crate) fn lock_holders(self) -> &'static str {
        if self.mariadb() {
            // The plugin does not say since when: the transaction does, and for a session without one the process list. There is
            // no statement without its values.
            "SELECT CAST(NULLIF(m.THREAD_ID, 0) AS UNSIGNED), CAST(p.USER AS CHAR), CAST(p.HOST AS CHAR), \
             CAST(CONCAT(m.TABLE_SCHEMA, '.', m.TABLE_NAME) AS CHAR), \
             CAST(COALESCE(TIMESTAMPDIFF(MICROSECOND, x.trx_started, NOW(6)) / 1000, p.TIME_MS, 0) AS UNSIGNED) AS held, \
             CAST(NULL AS CHAR) \
             FROM information_schema.METADATA_LOCK_INFO m \
             LEFT JOIN information_schema.PROCESSLIST p ON p.ID = m.THREAD_ID \
             LEFT JOIN information_schema.INNODB_TRX x ON x.trx_mysql_thread_id = m.THREAD_ID AND m.THREAD_ID <> 0 \
             WHERE m.LOCK_TYPE = 'Table metadata lock' AND (m.TABLE_SCHEMA, m.TABLE_NAME) IN ({places}) \
             AND m.THREAD_ID <> CONNECTION_ID() ORDER BY held DESC"
        } else {
            // A session without an active transaction holds its lock by LOCK TABLES, HANDLER or a running statement: its time in
            // the process list is the best that is known of its age.
            "SELECT CAST(t.processlist_id AS UNSIGNED), CAST(t.processlist_user AS CHAR), CAST(t.processlist_host AS CHAR), \
             CAST(CONCAT(m.object_schema, '.', m.object_name) AS CHAR), \
             CAST(COALESCE(x.timer_wait / 1e9, t.processlist_time * 1000, 0) AS UNSIGNED) AS held, \
             CAST(LEFT(s.digest_text, 160) AS CHAR), CAST(t.name AS CHAR) AS thread_name \
             FROM performance_schema.metadata_locks m \
             LEFT JOIN performance_schema.threads t ON t.thread_id = m.owner_thread_id \
             LEFT JOIN performance_schema.events_transactions_current x ON x.thread_id = m.owner_thread_id AND x.state = 'ACTIVE' \
             LEFT JOIN performance_schema.events_statements_current s ON s.thread_id = m.owner_thread_id AND s.nesting_event_level = 0 \
             WHERE m.object_type = 'TABLE' AND m.lock_status = 'GRANTED' AND (m.object_schema, m.object_name) IN ({places}) \
             AND (t.processlist_id IS NULL OR t.processlist_id <> CONNECTION_ID()) ORDER BY held DESC"
        }
    }

    /// What a session does: name of its thread, command, seconds since then, its user and ours, the states of its transaction, and
    /// how many metadata locks it holds that no transaction takes by reading and writing rows. `None` where the server does not show it.
    pub(crate) fn session_facts(self) -> Option<&'static str> {
        (!self.mariadb()).then_some(
            "SELECT CAST(t.name AS CHAR), CAST(t.processlist_command AS CHAR), CAST(COALESCE(t.processlist_time, 0) AS UNSIGNED), \
             CAST(t.processlist_user AS CHAR), \
             (SELECT CAST(o.processlist_user AS CHAR) FROM performance_schema.threads o WHERE o.processlist_id = CONNECTION_ID()), \
             CAST(x.state AS CHAR), CAST(x.xa_state AS CHAR), \
             (SELECT CAST(COUNT(*) AS UNSIGNED) FROM performance_schema.metadata_locks m \
              WHERE m.owner_thread_id = t.thread_id AND NOT (m.lock_duration IN ('TRANSACTION', 'STATEMENT') \
              AND m.lock_type IN ('SHARED', 'SHARED_HIGH_PRIO', 'SHARED_READ', 'SHARED_WRITE', 'SHARED_WRITE_LOW_PRIO', 'INTENTION_EXCLUSIVE'))) \
             FROM performance_schema.threads t \
             LEFT JOIN performance_schema.events_transactions_current x ON x.thread_id = t.thread_id \
             WHERE t.processlist_id = ?",
        )
    }

    /// Counts the list that [`Self::lock_holders`] reads, where that is not always there.
    pub(crate) fn lock_list(self) -> Option<&'static str> {
        self.mariadb().then_some(
            "SELECT CAST(COUNT(*) AS UNSIGNED) FROM information_schema.PLUGINS \
             WHERE PLUGIN_NAME = 'METADATA_LOCK_INFO' AND PLUGIN_STATUS = 'ACTIVE'",
        )
    }

    /// Open transactions: connection (0: none), start, user and host.
    pub(crate) fn open_transactions(self) -> &'static str {
        // trx_id changes at the first write: thread and start are what stays.
        if self.mariadb() {
            "SELECT CAST(x.trx_mysql_thread_id AS UNSIGNED), CAST(x.trx_started AS CHAR), CAST(p.USER AS CHAR), CAST(p.HOST AS CHAR) \
             FROM information_schema.INNODB_TRX x LEFT JOIN information_schema.PROCESSLIST p ON p.ID = x.trx_mysql_thread_id \
             WHERE x.trx_mysql_thread_id <> CONNECTION_ID()"
        } else {
            "SELECT CAST(x.trx_mysql_thread_id AS UNSIGNED), CAST(x.trx_started AS CHAR), CAST(t.processlist_user AS CHAR), \
             CAST(t.processlist_host AS CHAR) FROM information_schema.innodb_trx x \
             LEFT JOIN performance_schema.threads t ON t.processlist_id = x.trx_mysql_thread_id \
             WHERE x.trx_mysql_thread_id <> CONNECTION_ID()"
        }
    }

    /// Open transactions by the server's events: connection, event, user and host; `None` where there are no such events.
    pub(crate) fn transaction_events(self) -> Option<&'static str> {
        (!self.mariadb()).then_some(
            "SELECT CAST(t.processlist_id AS UNSIGNED), CAST(x.event_id AS UNSIGNED), CAST(t.processlist_user AS CHAR), \
             CAST(t.processlist_host AS CHAR) FROM performance_schema.events_transactions_current x \
             JOIN performance_schema.threads t ON t.thread_id = x.thread_id \
             WHERE x.state = 'ACTIVE' AND t.processlist_id <> CONNECTION_ID()",
        )
    }

    /// The number of client sessions beside this one.
    pub(crate) fn client_sessions(self) -> &'static str {
        if self.mariadb() {
            "SELECT CAST(COUNT(*) AS UNSIGNED) FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() \
             AND COMMAND NOT IN ('Daemon', 'Slave_IO', 'Slave_SQL', 'Slave_worker') AND COMMAND NOT LIKE 'Binlog Dump%'"
        } else {
            "SELECT CAST(COUNT(*) AS UNSIGNED) FROM performance_schema.threads WHERE TYPE = 'FOREGROUND' AND PROCESSLIST_ID IS NOT NULL \
             AND PROCESSLIST_ID <> CONNECTION_ID() AND PROCESSLIST_COMMAND NOT IN ('Daemon') AND PROCESSLIST_COMMAND NOT LIKE 'Binlog Dump%'"
        }
    }

    /// Threads_running.
    pub(crate) fn running_statements(self) -> &'static str {
        if self.mariadb() {
            "SELECT CAST(VARIABLE_VALUE AS UNSIGNED) FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'THREADS_RUNNING'"
        } else {
            "SELECT CAST(VARIABLE_VALUE AS UNSIGNED) FROM performance_schema.global_status WHERE VARIABLE_NAME = 'Threads_running'"
        }
    }

    /// The channels of a replica: name, source, and states and last errors of receiver and applier. MySQL only.
    pub(crate) fn channels(self) -> &'static str {
        "SELECT CAST(c.CHANNEL_NAME AS CHAR), CAST(c.SOURCE_UUID AS CHAR), CAST(c.SERVICE_STATE AS CHAR), \
         CAST(c.LAST_ERROR_NUMBER AS UNSIGNED), CAST(a.SERVICE_STATE AS CHAR), \
         CAST(GREATEST(COALESCE((SELECT MAX(o.LAST_ERROR_NUMBER) FROM performance_schema.replication_applier_status_by_coordinator o \
          WHERE o.CHANNEL_NAME = c.CHANNEL_NAME), 0), \
          COALESCE((SELECT MAX(w.LAST_ERROR_NUMBER) FROM performance_schema.replication_applier_status_by_worker w \
          WHERE w.CHANNEL_NAME = c.CHANNEL_NAME), 0)) AS UNSIGNED) \
         FROM performance_schema.replication_connection_status c \
         JOIN performance_schema.replication_applier_status a ON a.CHANNEL_NAME = c.CHANNEL_NAME \
         WHERE c.CHANNEL_NAME NOT LIKE 'group\\_replication\\_%'"
    }

    /// Account, address and, where it says so, server_uuid of each connected replica.
    pub(crate) fn replicas(self) -> &'static str {
        if self.mariadb() {
            "SELECT CAST(COALESCE(USER, '') AS CHAR), CAST(COALESCE(HOST, '') AS CHAR), CAST(NULL AS CHAR) \
             FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%'"
        } else {
            // A replica tells its identity to the thread that serves it, under a name that changed in 8.0.26.
            "SELECT CAST(COALESCE(t.PROCESSLIST_USER, '') AS CHAR), CAST(COALESCE(t.PROCESSLIST_HOST, '') AS CHAR), \
             (SELECT MAX(CAST(v.VARIABLE_VALUE AS CHAR)) FROM performance_schema.user_variables_by_thread v \
              WHERE v.THREAD_ID = t.THREAD_ID AND v.VARIABLE_NAME IN ('replica_uuid', 'slave_uuid')) \
             FROM performance_schema.threads t WHERE t.PROCESSLIST_COMMAND LIKE 'Binlog Dump%'"
        }
    }

    /// Connection, user and host of sessions with foreign_key_checks off; `None` where other sessions' variables cannot be read.
    pub(crate) fn unchecked_sessions(self) -> Option<&'static str> {
        (!self.mariadb()).then_some(
            "SELECT CAST(t.PROCESSLIST_ID AS UNSIGNED), CAST(COALESCE(t.PROCESSLIST_USER, '') AS CHAR), CAST(COALESCE(t.PROCESSLIST_HOST, '') AS CHAR) \
             FROM performance_schema.variables_by_thread AS v JOIN performance_schema.threads AS t ON t.THREAD_ID = v.THREAD_ID \
             WHERE v.VARIABLE_NAME = 'foreign_key_checks' AND v.VARIABLE_VALUE = 'OFF' AND t.PROCESSLIST_ID <> CONNECTION_ID()",
        )
    }

    /// Whether the statistics of statements surely hold prepared ones, too.
    pub(crate) fn counts_prepared_statements(self) -> bool {
        !self.mariadb() && self.version >= PREPARED_COUNTED
    }

    /// Whether the performance schema is there to be asked: on MariaDB it is off unless somebody switched it on, so nothing of ours
    /// relies on it there.
    pub(crate) fn has_performance_schema(self) -> bool {
        !self.mariadb()
    }
}

/// Reads `8.0.36-0ubuntu0.22.04.1` and the like: leading numbers count, what follows does not.
pub(crate) fn parse_version(text: &str) -> Result<Version, Error> {
    // Old replication compatibility: MariaDB may put 5.5.5- before its own number.
    let text = text.strip_prefix("5.5.5-").unwrap_or(text);
    let numeric: String = text.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let mut numbers = numeric.split('.').filter(|part| !part.is_empty()).map(str::parse::<u32>);
    let unknown = || {
        Error::new(
            Cause::ServerUnsupported,
            format!(
                "the server calls its version {text:?}, which is no version number; Holdfast supports MySQL 8.0.12 and MariaDB 10.11, and later"
            ),
        )
    };
    let mut next = || numbers.next().transpose().map_err(|_| unknown());
    let (major, minor, patch) = (next()?, next()?, next()?);
    Ok(Version { major: major.ok_or_else(unknown)?, minor: minor.unwrap_or(0), patch: patch.unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn versions_are_read_with_and_without_suffixes() {
        for (text, major, minor, patch) in [
            ("9.7.4-2", 9, 7, 4),
            ("8.0.36-0ubuntu0.22.04.1", 8, 0, 36),
            ("8.4", 8, 4, 0),
            ("8", 8, 0, 0),
            ("5.5.5-10.11.6-MariaDB", 10, 11, 6),
        ] {
            assert_eq!(parse_version(text).unwrap(), Version { major, minor, patch }, "{text}");
        }
        assert_eq!(parse_version("tidb").unwrap_err().cause, Cause::ServerUnsupported);
    }

    #[test]
    fn what_a_version_lacks_is_not_asked_for() {
        let dialect = |version| Dialect::of(version, "").unwrap();
        assert_eq!(dialect("8.0.26").build_alone(), None);
        assert_eq!(dialect("10.11.6-MariaDB").build_alone(), None);
        assert!(dialect("8.0.27").build_alone().is_some());
        assert_eq!(dialect("8.0.15").check_constraints(), None);
        assert!(dialect("8.0.16").check_constraints().is_some());
        assert!(dialect("10.11.18-MariaDB").check_constraints().is_some_and(|statement| !statement.contains("JOIN")));
    }
}
