//! Row counts before a backup, and the server's own counters of inserted and deleted rows before and after it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::Row as _;

use super::connection::{Connection, sql};
use super::error::{Cause, Error};
use crate::plan::Identifier;

/// Counts of one table at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct TableCount {
    /// Rows (`COUNT(*)`).
    pub rows: u64,
    /// Rows inserted since the server's start, as counted before `rows`.
    pub inserted: u64,
    /// Rows deleted since the server's start, as counted before `rows`.
    pub deleted: u64,
    /// Rows changed since the server's start, as counted before `rows`. Counts of an earlier version lack it.
    pub updated: Option<u64>,
}

/// How the counts of a table are written: short, because those of all tables have to fit into one annotation. Earlier versions named each.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    InOrder(u64, u64, u64, Option<u64>),
    Named {
        rows: u64,
        inserted: u64,
        deleted: u64,
        #[serde(default)]
        updated: Option<u64>,
    },
}

impl From<Written> for TableCount {
    fn from(written: Written) -> Self {
        match written {
            Written::InOrder(rows, inserted, deleted, updated)
            | Written::Named { rows, inserted, deleted, updated } => Self { rows, inserted, deleted, updated },
        }
    }
}

impl From<TableCount> for Written {
    fn from(count: TableCount) -> Self {
        Self::InOrder(count.rows, count.inserted, count.deleted, count.updated)
    }
}

/// What was counted before the backup.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Baseline {
    /// The server; its counters begin anew when it restarts.
    pub server_uuid: String,
    /// `Uptime` in seconds, to notice a restart.
    pub uptime: u64,
    /// Tables by name.
    pub tables: BTreeMap<String, TableCount>,
}

/// The server's counters after the backup.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Afterwards {
    /// The server.
    pub server_uuid: String,
    /// `Uptime` in seconds.
    pub uptime: u64,
    /// Rows inserted and deleted by table.
    pub tables: BTreeMap<String, (u64, u64)>,
    /// Child and parent of every key whose deletions the server does not count at the child: CASCADE.
    pub cascades: Vec<(String, String)>,
}

/// Counts every table of the schema. Each is opened first, so that the server counts for it from then on.
///
/// # Errors
/// When something cannot be read.
pub async fn before(connection: &mut Connection, schema: &Identifier) -> Result<Baseline, Error> {
    let names = tables(connection, schema).await?;
    for name in &names {
        connection.run(&format!("SELECT 1 FROM {}.{} LIMIT 1", schema.quoted(), name.quoted())).await?;
    }
    let counters = counters(connection, schema).await?;
    let uptime = uptime(connection).await?;
    let mut counted = BTreeMap::new();
    for name in names {
        let Some(&Counters { inserted, deleted, updated }) = counters.get(name.as_str()) else {
            return Err(uncounted(&name));
        };
        let statement = format!("SELECT COUNT(*) FROM {}.{}", schema.quoted(), name.quoted());
        let rows: i64 = sqlx::query(sql(statement)).fetch_one(connection.raw()).await?.try_get(0)?;
        let rows = u64::try_from(rows).unwrap_or(0);
        counted.insert(name.as_str().to_owned(), TableCount { rows, inserted, deleted, updated: Some(updated) });
    }
    Ok(Baseline { server_uuid: connection.server_uuid.clone(), uptime, tables: counted })
}

/// The server's counters after the backup.
///
/// # Errors
/// When something cannot be read.
pub async fn after(connection: &mut Connection, schema: &Identifier) -> Result<Afterwards, Error> {
    let cascades = sqlx::query(
        "SELECT CAST(TABLE_NAME AS CHAR), CAST(REFERENCED_TABLE_NAME AS CHAR) FROM information_schema.REFERENTIAL_CONSTRAINTS \
         WHERE CONSTRAINT_SCHEMA = ? AND DELETE_RULE = 'CASCADE'",
    )
    .bind(schema.as_str())
    .fetch_all(connection.raw())
    .await?
    .iter()
    .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
    .collect::<Result<Vec<(String, String)>, sqlx::Error>>()?;
    let tables = counters(connection, schema).await?;
    let tables = tables.into_iter().map(|(name, found)| (name, (found.inserted, found.deleted))).collect();
    Ok(Afterwards { server_uuid: connection.server_uuid.clone(), uptime: uptime(connection).await?, tables, cascades })
}

fn uncounted(table: &Identifier) -> Error {
    Error::new(
        Cause::VerificationFailed,
        format!(
            "performance_schema does not count the rows of the table {table}, so a dump cannot be compared with it: switch \
             performance_schema on, its instrument wait/io/table/sql/handler too, and let performance_schema_max_table_instances be large enough"
        ),
    )
}

pub(super) async fn tables(connection: &mut Connection, schema: &Identifier) -> Result<Vec<Identifier>, Error> {
    let rows = sqlx::query(
        "SELECT CAST(TABLE_NAME AS CHAR) FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_TYPE = 'BASE TABLE'",
    )
    .bind(schema.as_str())
    .fetch_all(connection.raw())
    .await?;
    rows.iter()
        .map(|row| {
            let name: String = row.try_get(0)?;
            Identifier::new(name).map_err(|error| Error::new(Cause::ServerUnsupported, error.to_string()))
        })
        .collect()
}

/// What the server has counted of a table since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) inserted: u64,
    pub(super) deleted: u64,
    pub(super) updated: u64,
}

pub(super) async fn counters(
    connection: &mut Connection,
    schema: &Identifier,
) -> Result<BTreeMap<String, Counters>, Error> {
    let rows = sqlx::query(
        "SELECT CAST(OBJECT_NAME AS CHAR), COUNT_INSERT, COUNT_DELETE, COUNT_UPDATE \
         FROM performance_schema.table_io_waits_summary_by_table WHERE OBJECT_TYPE = 'TABLE' AND OBJECT_SCHEMA = ?",
    )
    .bind(schema.as_str())
    .fetch_all(connection.raw())
    .await?;
    let mut counters = BTreeMap::new();
    for row in &rows {
        let found = Counters { inserted: row.try_get(1)?, deleted: row.try_get(2)?, updated: row.try_get(3)? };
        counters.insert(row.try_get(0)?, found);
    }
    Ok(counters)
}

pub(super) async fn uptime(connection: &mut Connection) -> Result<u64, Error> {
    let row = sqlx::query(
        "SELECT CAST(VARIABLE_VALUE AS UNSIGNED) FROM performance_schema.global_status WHERE VARIABLE_NAME = 'Uptime'",
    )
    .fetch_one(connection.raw())
    .await?;
    Ok(row.try_get(0)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn counts_are_written_short_and_those_of_earlier_versions_are_read() {
        let count = TableCount { rows: 4, inserted: 3, deleted: 2, updated: Some(1) };
        assert_eq!(serde_json::to_string(&count).unwrap(), "[4,3,2,1]");
        for (text, updated) in [
            ("[4,3,2,1]", Some(1)),
            ("[4,3,2,null]", None),
            (r#"{"rows":4,"inserted":3,"deleted":2,"updated":1}"#, Some(1)),
            (r#"{"rows":4,"inserted":3,"deleted":2}"#, None),
        ] {
            assert_eq!(serde_json::from_str::<TableCount>(text).unwrap(), TableCount { updated, ..count }, "{text}");
        }
    }
}
