//! Holds a ledger against the database: every row that must be there, with its values, and none that must be gone.

use std::collections::BTreeMap;

use sqlx::Row;
use sqlx::mysql::MySqlConnection;

use super::super::connection::sql;
use super::super::failure::{Result, WhileDoing};
use super::inserts::condition;
use super::ledger::{Ledger, RowKey, key_columns};
use super::measure::LedgerReport;
use super::shapes::shape_of;

/// Rows asked for in one query.
const ROWS_PER_QUERY: usize = 300;
/// Differences told in words.
const MOST_DIFFERENCES: usize = 20;

/// Adds what this ledger and the database differ in.
pub(crate) async fn check(connection: &mut MySqlConnection, ledger: &Ledger, report: &mut LedgerReport) -> Result<()> {
    report.uncertain_rows += ledger.uncertain();
    let rows: Vec<_> = ledger.rows().collect();
    for part in
        rows.chunk_by(|(one, _), (other, _)| one.table == other.table).flat_map(|part| part.chunks(ROWS_PER_QUERY))
    {
        let table = part[0].0.table;
        let columns: Vec<&str> = shape_of(table).columns.iter().map(|(column, _)| *column).collect();
        let keys: Vec<RowKey> = part.iter().map(|(row, _)| **row).collect();
        let found = read(connection, table, &keys, &columns).await?;
        for (row, values) in part {
            report.expected_rows += 1;
            match found.get(*row) {
                None => {
                    report.lost_rows += 1;
                    report.tell(format!("{row:?} is not there"));
                }
                Some(is) => {
                    let wanted: Vec<Option<String>> =
                        columns.iter().map(|column| values.get(column).cloned().flatten()).collect();
                    if *is != wanted {
                        report.changed_rows += 1;
                        report.tell(format!("{row:?} has {is:?} instead of {wanted:?}"));
                    }
                }
            }
        }
    }
    let mut gone: Vec<RowKey> = ledger.gone().copied().collect();
    gone.sort();
    for part in gone.chunk_by(|one, other| one.table == other.table).flat_map(|part| part.chunks(ROWS_PER_QUERY)) {
        for row in read(connection, part[0].table, part, &[]).await?.into_keys() {
            report.returned_rows += 1;
            report.tell(format!("{row:?} was deleted and is there"));
        }
    }
    for ((row, column), wanted) in ledger.touched_values() {
        let found = read(connection, row.table, &[*row], &[column]).await?;
        let is = found.get(row).and_then(|values| values[0].as_ref());
        if is != Some(wanted) {
            report.changed_rows += 1;
            report.tell(format!("{column} of {row:?} is {is:?} instead of {wanted:?}"));
        }
    }
    Ok(())
}

impl LedgerReport {
    fn tell(&mut self, difference: String) {
        if self.differences.len() < MOST_DIFFERENCES {
            self.differences.push(difference);
        }
    }
}

/// These columns of those of these rows that are there, as text.
async fn read(
    connection: &mut MySqlConnection,
    table: &'static str,
    rows: &[RowKey],
    columns: &[&str],
) -> Result<BTreeMap<RowKey, Vec<Option<String>>>> {
    let keys = key_columns(table);
    let conditions: Vec<String> = rows.iter().map(|row| format!("({})", condition(*row))).collect();
    let selected: Vec<String> = keys
        .iter()
        .map(|column| format!("CAST({column} AS SIGNED)"))
        .chain(columns.iter().map(|column| format!("CAST({column} AS CHAR)")))
        .collect();
    let query = format!("SELECT {} FROM {table} WHERE {}", selected.join(", "), conditions.join(" OR "));
    let doing = || format!("reading {} rows of {table}", rows.len());
    let mut found = BTreeMap::new();
    for row in sqlx::raw_sql(sql(query)).fetch_all(connection).await.while_doing(doing())? {
        let number = |place: usize| -> Result<u64> {
            let value: i64 = row.try_get(place).while_doing(doing())?;
            Ok(value.unsigned_abs())
        };
        let key = (number(0)?, if keys.len() > 1 { number(1)? } else { 0 });
        let values = (keys.len()..keys.len() + columns.len())
            .map(|place| row.try_get(place).while_doing(doing()))
            .collect::<Result<Vec<Option<String>>>>()?;
        found.insert(RowKey { table, key }, values);
    }
    Ok(found)
}
