//! One schema on the sample's database server, looked at by plain SQL as its administrator: keys, orphans, and what every table holds.

use std::collections::BTreeMap;

use super::Outcome;
use super::kubectl::Kubectl;

/// Lines that part the answers of a snapshot.
const TABLE_MARK: &str = "--table--";
/// The same, before the number of rows.
const ROWS_MARK: &str = "--rows--";

/// The definition, the number of rows and the checksum of every table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot(pub BTreeMap<String, TableState>);

/// One table's part of a [`Snapshot`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableState {
    /// SHOW CREATE TABLE without the AUTO_INCREMENT value.
    pub definition: String,
    /// COUNT(*).
    pub rows: u64,
    /// CHECKSUM TABLE.
    pub checksum: String,
}

/// A schema on the server `mysql` of a namespace.
#[derive(Debug, Clone)]
pub struct Database {
    pub kubectl: Kubectl,
    pub name: String,
}

impl Database {
    /// Runs a statement as root and returns its rows, tab-separated.
    pub fn sql(&self, statement: &str) -> Outcome<String> {
        let client =
            "MYSQL_PWD=$(cat /etc/mysql-root/password) exec mysql --user=root --batch --skip-column-names --raw \"$0\"";
        self.kubectl.run_with_input(
            &["exec", "--stdin", "mysql-0", "--container", "mysql", "--", "sh", "-c", client, &self.name],
            Some(statement),
        )
    }

    /// Every foreign key of the database, as the catalogue has it.
    pub fn foreign_keys(&self) -> Outcome<Vec<String>> {
        let text = self.sql(
            "SELECT CONSTRAINT_NAME, TABLE_NAME, REFERENCED_TABLE_NAME, DELETE_RULE FROM information_schema.REFERENTIAL_CONSTRAINTS \
             WHERE CONSTRAINT_SCHEMA = DATABASE() ORDER BY CONSTRAINT_NAME",
        )?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Counts the children without a parent of every foreign key by plain SQL, keyed as `child.column -> parent.column`.
    pub fn orphans(&self) -> Outcome<BTreeMap<String, u64>> {
        let keys = self.sql(
            "SELECT CONSTRAINT_NAME, TABLE_NAME, REFERENCED_TABLE_NAME, \
             GROUP_CONCAT(COLUMN_NAME ORDER BY ORDINAL_POSITION), GROUP_CONCAT(REFERENCED_COLUMN_NAME ORDER BY ORDINAL_POSITION) \
             FROM information_schema.KEY_COLUMN_USAGE \
             WHERE CONSTRAINT_SCHEMA = DATABASE() AND REFERENCED_TABLE_NAME IS NOT NULL GROUP BY 1, 2, 3",
        )?;
        let mut counts = Vec::new();
        for key in keys.lines() {
            let [_, child, parent, columns, parent_columns] = key.split('\t').collect::<Vec<_>>()[..] else {
                return Err(format!("the catalogue's answer {key:?} has not five columns"));
            };
            let columns: Vec<&str> = columns.split(',').collect();
            let parent_columns: Vec<&str> = parent_columns.split(',').collect();
            let present: Vec<_> = columns.iter().map(|column| format!("c.`{column}` IS NOT NULL")).collect();
            let equal: Vec<_> = columns
                .iter()
                .zip(&parent_columns)
                .map(|(column, other)| format!("p.`{other}` = c.`{column}`"))
                .collect();
            let name = format!("{child}.{} -> {parent}.{}", together(&columns), together(&parent_columns));
            counts.push(format!(
                "SELECT '{name}', COUNT(*) FROM `{child}` AS c WHERE {} AND NOT EXISTS (SELECT 1 FROM `{parent}` AS p WHERE {})",
                present.join(" AND "),
                equal.join(" AND ")
            ));
        }
        let answers = self.sql(&counts.join(";\n"))?;
        answers
            .lines()
            .map(|line| {
                let (name, count) = line.split_once('\t').ok_or_else(|| format!("unexpected answer {line:?}"))?;
                Ok((name.to_owned(), count.parse().map_err(|error| format!("{name}: {count:?}: {error}"))?))
            })
            .collect()
    }

    /// Reads the state of every table. Nothing may write meanwhile.
    pub fn snapshot(&self) -> Outcome<Snapshot> {
        let tables = self.sql(
            "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() ORDER BY TABLE_NAME",
        )?;
        let statements: Vec<String> = tables
            .lines()
            .map(|table| {
                format!(
                    "SELECT '{TABLE_MARK}'; SHOW CREATE TABLE `{table}`; SELECT '{ROWS_MARK}'; \
                     SELECT COUNT(*) FROM `{table}`; CHECKSUM TABLE `{table}`;"
                )
            })
            .collect();
        // By two connections: one leaves most of the machine idle.
        let (one, other) = statements.split_at(statements.len() / 2);
        let (one, other) = std::thread::scope(|scope| {
            let reading = scope.spawn(|| self.sql(&other.join("\n")));
            let one = self.sql(&one.join("\n"));
            (one, reading.join().unwrap_or_else(|_| Err("reading the tables panicked".to_owned())))
        });
        let answer = one? + &other?;
        // The definitions are printed by --raw over several lines; lines of their own stand around them.
        let parts: Vec<&str> = answer.split(TABLE_MARK).skip(1).collect();
        if parts.len() != statements.len() {
            return Err(format!("asked for {} tables, {} were answered", statements.len(), parts.len()));
        }
        let states = tables.lines().zip(parts).map(|(table, text)| Ok((table.to_owned(), table_state(table, text)?)));
        Ok(Snapshot(states.collect::<Outcome<_>>()?))
    }
}

impl Snapshot {
    /// What differs, one sentence for each table; empty when all is equal.
    pub fn differences(&self, after: &Self) -> Vec<String> {
        let names: std::collections::BTreeSet<_> = self.0.keys().chain(after.0.keys()).collect();
        names
            .into_iter()
            .filter_map(|name| match (self.0.get(name), after.0.get(name)) {
                (Some(was), Some(is)) if was == is => None,
                (Some(was), Some(is)) if was.definition != is.definition => {
                    Some(format!("{name}: the definition was\n{}\nand is\n{}", was.definition, is.definition))
                }
                (Some(was), Some(is)) => Some(format!(
                    "{name}: {} rows, checksum {} became {} rows, checksum {}",
                    was.rows, was.checksum, is.rows, is.checksum
                )),
                (Some(_), None) => Some(format!("{name}: is gone")),
                (None, _) => Some(format!("{name}: was not there")),
            })
            .collect()
    }

    /// Rows of all tables.
    pub fn rows(&self) -> u64 {
        self.0.values().map(|table| table.rows).sum()
    }
}

/// `id`, or `(protocol_id, version)`.
fn together(columns: &[&str]) -> String {
    match columns {
        [column] => (*column).to_owned(),
        several => format!("({})", several.join(", ")),
    }
}

/// One table's part of the answer to a snapshot's statements.
fn table_state(table: &str, text: &str) -> Outcome<TableState> {
    let (definition, rest) =
        text.split_once(ROWS_MARK).ok_or_else(|| format!("table {table}: unexpected answer {text:?}"))?;
    let mut lines = rest.trim_start().lines();
    let rows = lines
        .next()
        .and_then(|line| line.trim().parse().ok())
        .ok_or_else(|| format!("table {table}: no count in {rest:?}"))?;
    let checksum = lines
        .next()
        .and_then(|line| line.split('\t').nth(1))
        .ok_or_else(|| format!("table {table}: no checksum in {rest:?}"))?;
    Ok(TableState { definition: without_counter(definition.trim()), rows, checksum: checksum.to_owned() })
}

/// Removes the table option AUTO_INCREMENT=n, which stands in the definition's last line.
fn without_counter(definition: &str) -> String {
    let (head, options) = definition.trim_end().rsplit_once('\n').unwrap_or(("", definition));
    let kept: Vec<&str> = options.split(' ').filter(|option| !option.starts_with("AUTO_INCREMENT=")).collect();
    format!("{head}\n{}", kept.join(" "))
}
