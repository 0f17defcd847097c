//! Pictures of the whole database, and what two of them differ in.
//!
//! A picture holds every table's definition and a checksum over its generated rows. The running application changes the database
//! meanwhile, and must not count as a difference: its own rows are told by their ids (from [`FIRST_APPLICATION_ID`] on), and the
//! few columns of generated rows that it keeps up to date ([`VOLATILE`]) are left out. For both, the traffic's own report says
//! whether the database holds exactly what was written.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sqlx::mysql::MySqlConnection;
use sqlx::{Connection, Row};

use super::connection::{Server, sql};
use super::failure::{Failure, Result, WhileDoing, file};
use super::relations::{FIRST_APPLICATION_ID, VOLATILE};
use super::schema::{execute, tables};
use super::traffic::measure::Report;

/// A picture of the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    /// By table.
    pub(crate) tables: BTreeMap<String, TableSnapshot>,
}

/// A picture of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TableSnapshot {
    /// SHOW CREATE TABLE without its AUTO_INCREMENT value.
    pub(crate) definition: String,
    /// Generated rows.
    pub(crate) rows: u64,
    /// Over all their columns but the volatile ones, whatever their order.
    pub(crate) checksum: String,
}

/// What two pictures differ in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Comparison {
    /// Whether every table is there in both with the same definition.
    pub(crate) schema_identical: bool,
    /// Whether every generated row is there in both with the same values.
    pub(crate) rows_identical: bool,
    /// Generated rows before.
    pub(crate) rows_before: u64,
    /// Rows that are missing after: generated ones and, by the traffic's report, the application's.
    pub(crate) rows_lost: u64,
    /// Every difference, in words.
    pub(crate) differences: Vec<String>,
}

/// Takes a picture.
pub(crate) async fn take(server: &Server) -> Result<Snapshot> {
    let mut connection = server.connect().await?;
    // All tables at one moment, whatever is written meanwhile.
    execute(&mut connection, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
    execute(&mut connection, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").await?;
    let mut found = BTreeMap::new();
    for table in tables(&mut connection).await? {
        let picture = take_table(&mut connection, &table).await?;
        found.insert(table, picture);
    }
    connection.close().await.while_doing("closing the connection")?;
    Ok(Snapshot { tables: found })
}

async fn take_table(connection: &mut MySqlConnection, table: &str) -> Result<TableSnapshot> {
    let doing = || format!("taking a picture of {table}");
    let row = sqlx::raw_sql(sql(format!("SHOW CREATE TABLE `{table}`")))
        .fetch_one(&mut *connection)
        .await
        .while_doing(doing())?;
    let definition: String = row.try_get(1).while_doing(doing())?;
    let columns = sqlx::query(
        "SELECT CAST(column_name AS CHAR), CAST(data_type AS CHAR), CAST(column_key AS CHAR) FROM information_schema.columns \
         WHERE table_schema = DATABASE() AND table_name = ? ORDER BY ordinal_position",
    )
    .bind(table)
    .fetch_all(&mut *connection)
    .await
    .while_doing(doing())?;
    let mut values = Vec::new();
    let mut key = None;
    for column in &columns {
        let text = |place: usize| column.try_get::<String, _>(place).while_doing(doing());
        let (name, data_type) = (text(0)?, text(1)?);
        if key.is_none() && text(2)? == "PRI" {
            key = Some(name.clone());
        }
        if VOLATILE.contains(&(table, name.as_str())) {
            continue;
        }
        // A FLOAT as text is rounded; as DOUBLE it is exact.
        let value = if data_type == "float" { format!("CAST(`{name}` AS DOUBLE)") } else { format!("`{name}`") };
        values.push(format!("IFNULL(HEX(CAST({value} AS BINARY)), 'NULL')"));
    }
    let key =
        key.ok_or_else(|| Failure::Invalid(format!("{table} has no primary key: its rows cannot be told apart")))?;
    let digest = format!("SHA2(CONCAT_WS(',', {}), 256)", values.join(", "));
    let half = |from: u32| {
        format!("LPAD(HEX(BIT_XOR(CAST(CONV(SUBSTRING(digest, {from}, 16), 16, 10) AS UNSIGNED))), 16, '0')")
    };
    let query = format!(
        "SELECT COUNT(*), CONCAT({}, {}) FROM (SELECT {digest} AS digest FROM `{table}` WHERE `{key}` < {FIRST_APPLICATION_ID}) AS rows_of_table",
        half(1),
        half(17)
    );
    let row = sqlx::raw_sql(sql(query)).fetch_one(connection).await.while_doing(doing())?;
    let rows: i64 = row.try_get(0).while_doing(doing())?;
    let checksum: String = row.try_get(1).while_doing(doing())?;
    Ok(TableSnapshot { definition: without_counter(&definition), rows: rows.unsigned_abs(), checksum })
}

/// The definition without ` AUTO_INCREMENT=n`, which moves with every insertion.
fn without_counter(definition: &str) -> String {
    const COUNTER: &str = " AUTO_INCREMENT=";
    match definition.rsplit_once(COUNTER) {
        Some((before, after)) => {
            format!("{before}{}", after.trim_start_matches(|letter: char| letter.is_ascii_digit()))
        }
        None => definition.to_owned(),
    }
}

/// Compares two pictures; a report of the traffic speaks for the application's own rows.
pub(crate) fn compare(before: &Snapshot, after: &Snapshot, traffic: Option<&Report>) -> Comparison {
    let mut comparison = Comparison {
        schema_identical: true,
        rows_identical: true,
        rows_before: before.tables.values().map(|table| table.rows).sum(),
        rows_lost: 0,
        differences: Vec::new(),
    };
    for (name, old) in &before.tables {
        let Some(new) = after.tables.get(name) else {
            comparison.schema_identical = false;
            comparison.rows_identical &= old.rows == 0;
            comparison.rows_lost += old.rows;
            comparison.differences.push(format!("{name} is gone, with {} rows", old.rows));
            continue;
        };
        for (sign, one, other) in [('-', old, new), ('+', new, old)] {
            for line in one.definition.lines().filter(|line| !other.definition.lines().any(|same| same == *line)) {
                comparison.differences.push(format!("{name}: {sign} {}", line.trim()));
            }
        }
        if old.definition != new.definition {
            comparison.schema_identical = false;
            comparison.differences.push(format!("{name}: the definition differs"));
        }
        comparison.rows_lost += old.rows.saturating_sub(new.rows);
        if (old.rows, &old.checksum) != (new.rows, &new.checksum) {
            comparison.rows_identical = false;
            comparison.differences.push(format!(
                "{name}: {} rows with checksum {} before, {} with {} after",
                old.rows, old.checksum, new.rows, new.checksum
            ));
        }
    }
    for name in after.tables.keys().filter(|name| !before.tables.contains_key(*name)) {
        comparison.schema_identical = false;
        comparison.differences.push(format!("{name} is new"));
    }
    if let Some(report) = traffic {
        let ledger = report.ledger.clone().unwrap_or_default();
        comparison.rows_lost += ledger.lost_rows;
        if report.ledger.is_none() || ledger.lost_rows + ledger.changed_rows + ledger.returned_rows > 0 {
            comparison.rows_identical = false;
            comparison.differences.push(format!("the application's own rows: {ledger:?}"));
        }
    }
    comparison
}

/// Writes a picture to a file.
pub(crate) fn write(snapshot: &Snapshot, destination: &Path) -> Result<()> {
    let text = serde_json::to_string_pretty(snapshot)
        .map_err(|error| Failure::Invalid(format!("writing the picture: {error}")))?;
    std::fs::write(destination, text + "\n").map_err(file(destination))
}

/// Reads a picture, or a traffic report: the last line of a file that is one JSON document, or one of several.
pub(crate) fn read<T: for<'a> Deserialize<'a>>(source: &Path) -> Result<T> {
    let text = std::fs::read_to_string(source).map_err(file(source))?;
    let last = text.trim_end().lines().last().unwrap_or_default();
    serde_json::from_str(&text)
        .or_else(|_| serde_json::from_str(last))
        .map_err(|error| Failure::Invalid(format!("{}: {error}", source.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(rows: u64, checksum: &str, definition: &str) -> Snapshot {
        let table = TableSnapshot { definition: definition.to_owned(), rows, checksum: checksum.to_owned() };
        Snapshot { tables: [("users".to_owned(), table)].into() }
    }

    #[test]
    fn only_the_counter_is_left_out_of_a_definition() {
        assert_eq!(
            without_counter(
                "CREATE TABLE `t` (\n  `id` int AUTO_INCREMENT\n) ENGINE=InnoDB AUTO_INCREMENT=1000000042 DEFAULT CHARSET=utf8mb4"
            ),
            "CREATE TABLE `t` (\n  `id` int AUTO_INCREMENT\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"
        );
        assert_eq!(without_counter("CREATE TABLE `t` (`id` int)"), "CREATE TABLE `t` (`id` int)");
    }

    #[test]
    fn equal_pictures_are_identical_and_each_kind_of_difference_is_named() {
        let before = snapshot(5, "aa", "CREATE TABLE `users` (\n  `id` int\n)");
        assert!(compare(&before, &before, None).differences.is_empty());

        let fewer = compare(&before, &snapshot(3, "bb", "CREATE TABLE `users` (\n  `id` int\n)"), None);
        assert_eq!((fewer.schema_identical, fewer.rows_identical, fewer.rows_lost), (true, false, 2));

        let other = compare(&before, &snapshot(5, "aa", "CREATE TABLE `users` (\n  `id` bigint\n)"), None);
        assert_eq!((other.schema_identical, other.rows_identical), (false, true));
        assert!(other.differences.contains(&"users: + `id` bigint".to_owned()), "{other:?}");

        let none = Snapshot { tables: BTreeMap::new() };
        assert_eq!(compare(&before, &none, None).rows_lost, 5);
        assert!(!compare(&none, &before, None).schema_identical);
    }
}
