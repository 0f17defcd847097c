//! What the server of this run has and lacks. Tests are written for the newest MySQL; where a server lacks a word of a test's tables,
//! the nearest that it has takes its place, and what is expected is told from here. `docs/servers.md` names each difference.

use holdfast::mysql::Connection;
use holdfast::mysql::server::read_server;
use holdfast::plan::catalogue::{Flavour, Version};

/// The server's kind, as far as tests depend on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Served {
    pub(crate) mariadb: bool,
    version: Version,
}

const fn mysql(major: u32, minor: u32, patch: u32) -> Version {
    Version { major, minor, patch }
}

impl Served {
    pub(crate) async fn read(connection: &mut Connection) -> Self {
        let server = read_server(connection).await.unwrap();
        Self { mariadb: server.flavour == Flavour::MariaDb, version: server.version }
    }

    /// MySQL of this version or later.
    fn since(self, version: Version) -> bool {
        !self.mariadb && self.version >= version
    }

    pub(crate) fn has_invisible_columns(self) -> bool {
        self.mariadb || self.since(mysql(8, 0, 23))
    }

    pub(crate) fn has_checks(self) -> bool {
        self.mariadb || self.since(mysql(8, 0, 16))
    }

    /// A grant on the whole server can be taken back for one schema, and the names of schemas in grants may be no patterns.
    pub(crate) fn has_partial_revokes(self) -> bool {
        self.since(mysql(8, 0, 16))
    }

    /// INSTANT changes are counted in the catalogue, and columns are dropped by one.
    pub(crate) fn counts_instant_changes(self) -> bool {
        self.since(mysql(8, 0, 29))
    }

    /// The statistics of statements hold prepared ones, too (measured: 8.0.15 does not, 9.7 does).
    pub(crate) fn counts_prepared_statements(self) -> bool {
        self.since(mysql(9, 7, 0))
    }

    /// The server whose answers the planned algorithms of type changes were taken from.
    pub(crate) fn decides_algorithms(self) -> bool {
        self.since(mysql(9, 7, 0))
    }

    /// A RENAME TABLE of several tables happens as a whole or not at all.
    pub(crate) fn exchanges_tables(self) -> bool {
        !self.mariadb
    }

    /// Its root filesystem has MySQL's own client programs.
    pub(crate) fn comes_with_clients(self) -> bool {
        self.since(mysql(9, 7, 0))
    }

    /// How a column that was added is dropped again.
    pub(crate) fn drop_column(self) -> &'static str {
        if self.mariadb || self.counts_instant_changes() { "ALGORITHM=INSTANT" } else { "ALGORITHM=INPLACE, LOCK=NONE" }
    }

    /// A statement of a test in this server's words.
    pub(crate) fn words(self, statement: &str) -> String {
        let mut words: Vec<(&str, &str)> = Vec::new();
        if !self.has_invisible_columns() {
            words.extend([("INT INVISIBLE", "INT"), ("comment' INVISIBLE", "comment'")]);
        }
        if !self.since(mysql(9, 0, 0)) {
            words.extend([("VECTOR(3)", "VARBINARY(12)"), ("TO_VECTOR('[1.5,-2,3e10]')", "X'0000C03F000000C0'")]);
        }
        if self.drop_column() != "ALGORITHM=INSTANT" {
            words.push(("DROP COLUMN label, ALGORITHM=INSTANT", "DROP COLUMN label, ALGORITHM=INPLACE, LOCK=NONE"));
        }
        if self.mariadb {
            words.extend([
                (") INVISIBLE", ") IGNORED"),
                (" SRID 4326", ""),
                (
                    "DROP INDEX by_label ON child ALGORITHM=INPLACE LOCK=NONE",
                    "ALTER TABLE child DROP INDEX by_label, ALGORITHM=INPLACE, LOCK=NONE",
                ),
                ("utf8mb4_0900_ai_ci", "utf8mb4_general_ci"),
                ("cte_max_recursion_depth", "max_recursive_iterations"),
            ]);
        }
        words.into_iter().fold(statement.to_owned(), |text, (theirs, own)| text.replace(theirs, own))
    }

    /// Definitions of columns as this server's SHOW CREATE TABLE has them.
    pub(crate) fn definitions(self, newest: &[&str]) -> Vec<String> {
        let mut words: Vec<(&str, &str)> = Vec::new();
        if self.mariadb {
            words.extend([
                (
                    "bigint unsigned NOT NULL DEFAULT '7' /*!80023 INVISIBLE */",
                    "bigint(20) unsigned NOT NULL INVISIBLE DEFAULT 7",
                ),
                ("DEFAULT (upper(_utf8mb4'x\\'y'))", "DEFAULT ucase('x\\'y')"),
            ]);
        }
        if !self.since(mysql(8, 0, 19)) {
            words.push((" int DEFAULT", " int(11) DEFAULT"));
        }
        if !self.mariadb && !self.has_invisible_columns() {
            words.extend([(" /*!80023 INVISIBLE */", ""), ("bigint unsigned", "bigint(20) unsigned")]);
        }
        newest
            .iter()
            .map(|text| words.iter().fold((*text).to_owned(), |text, (from, to)| text.replace(from, to)))
            .collect()
    }

    /// Privileges on the whole server that seeing and ending other sessions takes.
    pub(crate) fn watching(self) -> &'static str {
        if self.mariadb { "PROCESS, CONNECTION ADMIN" } else { "PROCESS, XA_RECOVER_ADMIN, CONNECTION_ADMIN" }
    }

    /// Counts a session that executes something.
    pub(crate) fn at_work(self, id: u64) -> String {
        let (source, column) = self.sessions();
        let name = if self.mariadb { "id" } else { "processlist_id" };
        format!("SELECT CAST(COUNT(*) AS SIGNED) FROM {source} WHERE {name} = {id} AND {column}command = 'Query'")
    }

    /// Counts sessions that are at a statement of this pattern.
    pub(crate) fn sessions_at(self, statement: &str) -> String {
        let (source, column) = self.sessions();
        format!("SELECT COUNT(*) FROM {source} WHERE {column}info LIKE '{statement}'")
    }

    /// The ids of a user's sessions, with commas between them.
    pub(crate) fn sessions_of(self, user: &str) -> String {
        let (source, column) = self.sessions();
        let id = if self.mariadb { "id" } else { "processlist_id" };
        format!("SELECT COALESCE(GROUP_CONCAT({id}), '') FROM {source} WHERE {column}user = '{user}'")
    }

    /// Counts sessions that alter a table by a statement of this pattern, with their locks behind them.
    pub(crate) fn building(self, statement: &str) -> String {
        let (_, column) = self.sessions();
        format!("{} AND {column}state LIKE 'alter%'", self.sessions_at(statement))
    }

    /// Counts transactions that wait for a row.
    pub(crate) fn row_lock_waits(self) -> &'static str {
        if self.mariadb {
            "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'INNODB_ROW_LOCK_CURRENT_WAITS'"
        } else {
            "SELECT COUNT(*) FROM performance_schema.data_lock_waits"
        }
    }

    /// Where sessions are listed, and how its columns begin.
    fn sessions(self) -> (&'static str, &'static str) {
        if self.mariadb {
            ("information_schema.processlist", "")
        } else {
            ("performance_schema.threads", "processlist_")
        }
    }
}
