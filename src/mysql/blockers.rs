//! Who stands in the way of a schema change: sessions that have held a lock on one of its tables for longer than the change may
//! wait. They are looked for before every try, because a change that waits for them makes everybody else wait too.

use std::fmt;
use std::time::Duration;

use sqlx::Row;

use super::connection::{Connection, sql};
use super::deadline::{SHORT_STATEMENT, within};
use super::error::Error;
use crate::plan::TableName;

/// A session that holds a metadata lock.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Blocker {
    /// What KILL and the process list name; `None` for a prepared XA transaction whose session is gone.
    pub(crate) connection: Option<u64>,
    user: Option<String>,
    host: Option<String>,
    table: String,
    age: Duration,
    statement: Option<String>,
}

impl fmt::Display for Blocker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.connection {
            Some(id) => write!(
                formatter,
                "connection {id} ({}@{})",
                self.user.as_deref().unwrap_or("unknown"),
                self.host.as_deref().unwrap_or("unknown")
            )?,
            None => formatter.write_str("a prepared XA transaction without a session (see XA RECOVER)")?,
        }
        write!(formatter, " has held {} for {:.1} s", self.table, self.age.as_secs_f64())?;
        if let Some(statement) = &self.statement {
            write!(formatter, ", last statement: {statement}")?;
        }
        Ok(())
    }
}

/// Names blockers for a message.
pub(crate) fn describe(blockers: &[Blocker]) -> String {
    let mut text = blockers.iter().take(3).map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if blockers.len() > 3 {
        text.push_str(&format!("; and {} more", blockers.len() - 3));
    }
    text
}

/// The sessions that have held a lock on one of the tables for at least `age`, oldest first. Statements come without their
/// values, which are the application's data.
pub(crate) async fn holders(
    connection: &mut Connection,
    tables: &[TableName],
    age: Duration,
) -> Result<Vec<Blocker>, Error> {
    let statement = connection.dialect.lock_holders();
    read(connection, statement, tables, age).await
}

/// As [`holders`], on a replica: replication itself holds what it changes, and the change comes after that.
pub(crate) async fn held_on_replica(
    connection: &mut Connection,
    tables: &[TableName],
    age: Duration,
) -> Result<Vec<Blocker>, Error> {
    let statement = format!(
        "SELECT * FROM ({}) AS holders WHERE thread_name IS NULL OR thread_name NOT REGEXP '^thread/sql/(replica|slave)_' \
         ORDER BY held DESC",
        connection.dialect.lock_holders()
    );
    read(connection, &statement, tables, age).await
}

async fn read(
    connection: &mut Connection,
    statement: &str,
    tables: &[TableName],
    age: Duration,
) -> Result<Vec<Blocker>, Error> {
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    let places = vec!["(?, ?)"; tables.len()].join(", ");
    let statement = statement.replace("{places}", &places);
    let rows = within(SHORT_STATEMENT, "looking for sessions that hold the tables", async {
        let mut query = sqlx::query(sql(statement));
        for table in tables {
            query = query.bind(table.schema.as_str()).bind(table.table.as_str());
        }
        Ok(query.fetch_all(connection.raw()).await?)
    })
    .await?;
    let mut found: Vec<Blocker> = Vec::new();
    for row in rows {
        let blocker = Blocker {
            connection: row.try_get(0)?,
            user: row.try_get(1)?,
            host: row.try_get(2)?,
            table: row.try_get(3)?,
            age: Duration::from_millis(row.try_get(4)?),
            statement: row.try_get(5)?,
        };
        // One without a session has no age that could be read; it does not go away by itself, so it always counts.
        let known = found.iter().any(|other| other.connection == blocker.connection && other.table == blocker.table);
        if !known && (blocker.age >= age || blocker.connection.is_none()) {
            found.push(blocker);
        }
    }
    Ok(found)
}
