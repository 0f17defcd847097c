//! The public schemas, as statements that MySQL understands.

use std::fs;
use std::path::PathBuf;

use holdfast::plan::sql_text::split;

/// A schema and what must be found in it.
pub(crate) struct Source {
    pub(crate) name: &'static str,
    files: &'static [&'static str],
    dialect: Dialect,
    /// Whether it comes with rows.
    pub(crate) has_data: bool,
    /// Least precision and recall of what is proposed by names and types, and with the data.
    pub(crate) least_by_names: (f64, f64),
    pub(crate) least: (f64, f64),
}

enum Dialect {
    MySql,
    /// A script of HSQLDB: a statement a line.
    Hsqldb,
}

/// The rules were made with an eye on the first three. The others were measured first when they were done.
pub(crate) const SCHEMAS: &[Source] = &[
    Source {
        name: "chinook",
        files: &["chinook/chinook.script"],
        dialect: Dialect::Hsqldb,
        has_data: true,
        least_by_names: (0.95, 0.9),
        least: (0.95, 0.9),
    },
    Source {
        name: "zabbix",
        files: &["zabbix-server-mysql/schema.sql", "zabbix-server-mysql/images.sql", "zabbix-server-mysql/data.sql"],
        dialect: Dialect::MySql,
        has_data: true,
        least_by_names: (0.8, 0.8),
        least: (0.8, 0.8),
    },
    Source {
        name: "tt_rss",
        files: &["tt-rss/ttrss_schema_mysql.sql"],
        dialect: Dialect::MySql,
        has_data: false,
        least_by_names: (0.85, 0.7),
        least: (0.0, 0.0),
    },
    Source {
        name: "kea",
        files: &["kea-admin/dhcpdb_create.mysql"],
        dialect: Dialect::MySql,
        has_data: false,
        least_by_names: (0.6, 0.6),
        least: (0.0, 0.0),
    },
    Source {
        name: "quartz",
        files: &["quartz/tables_mysql_innodb.sql"],
        dialect: Dialect::MySql,
        has_data: false,
        least_by_names: (0.7, 0.95),
        least: (0.0, 0.0),
    },
    Source {
        name: "roundcube",
        files: &["roundcube-core/mysql.initial.sql"],
        dialect: Dialect::MySql,
        has_data: false,
        least_by_names: (0.9, 0.95),
        least: (0.0, 0.0),
    },
];

impl Source {
    /// What makes the schema and fills it.
    pub(crate) fn statements(&self) -> Vec<String> {
        let folder = PathBuf::from(
            std::env::var_os("HOLDFAST_DISCOVERY_SCHEMAS")
                .expect("HOLDFAST_DISCOVERY_SCHEMAS: run tests/discovery/run.sh"),
        );
        let mut statements = Vec::new();
        for file in self.files {
            let path = folder.join(file);
            let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let text = String::from_utf8_lossy(&bytes);
            match self.dialect {
                Dialect::MySql => {
                    let all = split(&text).unwrap().into_iter().map(|statement| statement.text);
                    statements.extend(all.filter(|statement| is_wanted(statement)));
                }
                Dialect::Hsqldb => {
                    statements.push("SET SESSION sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'".to_owned());
                    statements.extend(text.lines().filter_map(of_hsqldb));
                }
            }
        }
        together(statements)
    }
}

/// Tables, indexes and rows; procedures, triggers and settings say nothing of keys.
fn is_wanted(statement: &str) -> bool {
    let words: Vec<String> = statement.split_whitespace().take(2).map(str::to_uppercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    matches!(
        words.as_slice(),
        ["CREATE", "TABLE" | "INDEX" | "UNIQUE"]
            | ["ALTER", "TABLE"]
            | ["DROP", "TABLE" | "INDEX"]
            | ["INSERT" | "UPDATE" | "DELETE", _]
    )
}

/// Rows that go into the same columns in one statement: a hundred thousand round trips take minutes.
fn together(statements: Vec<String>) -> Vec<String> {
    const LONGEST: usize = 1 << 20;
    let mut all: Vec<String> = Vec::new();
    let mut into: Option<String> = None;
    for statement in statements {
        let parts = statement.starts_with("INSERT INTO").then(|| statement.split_once(" values (")).flatten();
        match (parts, all.last_mut()) {
            (Some((beginning, values)), Some(last)) if into.as_deref() == Some(beginning) && last.len() < LONGEST => {
                last.push_str(&format!(", ({values}"));
            }
            (parts, _) => {
                into = parts.map(|(beginning, _)| beginning.to_owned());
                all.push(statement);
            }
        }
    }
    all
}

/// A line of the script, where it makes a table, a row or a key.
fn of_hsqldb(line: &str) -> Option<String> {
    let wanted = ["CREATE MEMORY TABLE \"chinook\"", "ALTER TABLE \"chinook\"", "INSERT INTO \"chinook\""];
    if !wanted.iter().any(|beginning| line.starts_with(beginning)) {
        return None;
    }
    let line = line.replace("CREATE MEMORY TABLE", "CREATE TABLE").replace("\"chinook\".", "");
    // Letters outside ASCII are written by their number.
    let mut text = String::new();
    let mut rest = line.as_str();
    while let Some(place) = rest.find("\\u") {
        text.push_str(&rest[..place]);
        let letter = u32::from_str_radix(&rest[place + 2..place + 6], 16).ok().and_then(char::from_u32);
        text.push(letter.unwrap_or('?'));
        rest = &rest[place + 6..];
    }
    text.push_str(rest);
    Some(text)
}
