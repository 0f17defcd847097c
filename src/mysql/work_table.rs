//! Lists of rows that an operation is going to touch, materialised once beside the journal: looking for them costs a pass over a
//! large table, and batches must not repeat it.

use std::collections::BTreeSet;

use sqlx::Row;

use super::connection::{Connection, sql};
use super::deadline::{SHORT_STATEMENT, within};
use super::error::{Cause, Error, code};
use super::failpoints;
use super::kept_columns;
use super::quarantine::{column_definition, short_hash};
use super::row_session::interruptible;
use super::row_shape::{Shape, ShapeColumn};
use super::session::Work;
use crate::plan::Operation;
use crate::plan::identifier::{Identifier, TableName, quoted_list};
use crate::plan::model::{Action, SqlKind, SqlStep};

/// A list of rows; its columns are `n`, the row's primary key, and what the operation adds.
#[derive(Debug)]
pub(crate) struct WorkTable {
    name: TableName,
    /// Columns beside `n`.
    columns: Vec<Identifier>,
}

/// A column of a work table: its name there, and the column whose type it has.
pub(crate) type Typed<'a> = (Identifier, &'a ShapeColumn);

/// The name of an operation's list, without prefix.
pub(crate) fn name(migration: &str, operation: &str) -> String {
    format!("work_{}", short_hash(&[migration, operation]))
}

/// Removes the lists that a crash or a stop left behind of a migration's operations. `prefix` is where lists lie, and how their
/// names begin. Lists of other migrations, which may be at work on other schemas, have other names. The caller holds the fence.
pub(crate) async fn remove_leftovers(
    connection: &mut Connection,
    prefix: &TableName,
    migration: &str,
    operations: &[Operation],
) -> Result<(), Error> {
    let kept = operations.iter().flat_map(|operation| -> Vec<String> {
        match &operation.action {
            Action::AddColumn { table, column } => vec![kept_columns::operation_name(table, column)],
            Action::Sql(SqlStep { table, kind: SqlKind::Change { dropped, .. }, .. }) => {
                dropped.iter().map(|column| kept_columns::operation_name(table, column)).collect()
            }
            _ => Vec::new(),
        }
    });
    let lists: BTreeSet<String> =
        operations.iter().map(|operation| operation.id.clone()).chain(kept).map(|id| name(migration, &id)).collect();
    let there: Vec<String> = within(SHORT_STATEMENT, "looking for work tables", async {
        let found = sqlx::query(
            "SELECT CAST(TABLE_NAME AS CHAR) FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND LEFT(TABLE_NAME, ?) = ?",
        );
        let length = u64::try_from(prefix.table.as_str().chars().count()).unwrap_or(0);
        let found = found.bind(prefix.schema.as_str()).bind(length).bind(prefix.table.as_str());
        found.fetch_all(connection.raw()).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
    })
    .await?;
    for table in there {
        // Without what the journal's prefix puts before it.
        let own = table.get(prefix.table.as_str().len().saturating_sub("work_".len())..).unwrap_or_default();
        if !lists.contains(own) {
            continue;
        }
        let table = Identifier::new(table).map_err(|error| Error::new(Cause::Server, error.to_string()))?;
        let table = TableName::new(prefix.schema.clone(), table);
        let statement = format!("DROP TABLE IF EXISTS {}", table.quoted());
        within(SHORT_STATEMENT, format!("removing the work table {table}"), connection.run(&statement)).await?;
    }
    Ok(())
}

impl WorkTable {
    /// Creates an empty list for an operation, replacing one that a crash left behind.
    pub(crate) async fn create(
        work: &Work<'_>,
        connection: &mut Connection,
        operation: &str,
        columns: &[Typed<'_>],
    ) -> Result<Self, Error> {
        let name = work.journal.table(&name(work.journal.migration(), operation))?;
        let definitions: Vec<String> =
            columns.iter().map(|(name, column)| format!("{} {}", name.quoted(), column_definition(column))).collect();
        within(SHORT_STATEMENT, format!("creating the work table {name}"), async {
            let create = format!(
                "CREATE TABLE {} (n BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, {}) ENGINE = InnoDB",
                name.quoted(),
                definitions.join(", ")
            );
            match connection.run(&create).await {
                Err(error) if error.code == Some(code::TABLE_EXISTS) => {
                    connection.run(&format!("DROP TABLE {}", name.quoted())).await?;
                    connection.run(&create).await
                }
                created => created,
            }
        })
        .await?;
        Ok(Self { name, columns: columns.iter().map(|(name, _)| name.clone()).collect() })
    }

    /// Fills the list with what a SELECT finds; the session must be at READ COMMITTED, so that this locks no row.
    pub(crate) async fn fill(
        &self,
        work: &Work<'_>,
        connection: &mut Connection,
        what: &str,
        select: &str,
    ) -> Result<u64, Error> {
        let statement = format!("INSERT INTO {} ({}) {select}", self.name.quoted(), quoted_list(&self.columns));
        let id = connection.id;
        failpoints::before(what);
        let rows = interruptible(work, id, what, async { connection.run(&statement).await }).await?;
        failpoints::after(what);
        Ok(rows)
    }

    /// The list's name as SQL.
    pub(crate) fn quoted(&self) -> String {
        self.name.quoted()
    }

    /// The greatest `n`.
    pub(crate) async fn last(&self, connection: &mut Connection) -> Result<u64, Error> {
        within(SHORT_STATEMENT, "reading the work table", async {
            let statement = format!("SELECT CAST(COALESCE(MAX(n), 0) AS UNSIGNED) FROM {}", self.quoted());
            let row = sqlx::raw_sql(sql(statement)).fetch_one(connection.raw()).await?;
            Ok(row.try_get::<u64, _>(0)?)
        })
        .await
    }

    /// Primary keys of some of its rows as text, for messages.
    pub(crate) async fn sample(
        &self,
        connection: &mut Connection,
        shape: &Shape,
        condition: &str,
    ) -> Result<Vec<String>, Error> {
        let key = key_as_text("w", shape.require_primary_key()?);
        let statement = format!("SELECT {key} FROM {} w WHERE {condition} ORDER BY n LIMIT 5", self.quoted());
        within(SHORT_STATEMENT, "reading the work table", async {
            let rows = sqlx::raw_sql(sql(statement)).fetch_all(connection.raw()).await?;
            rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
        })
        .await
    }

    /// Removes the list.
    pub(crate) async fn remove(self, connection: &mut Connection) -> Result<(), Error> {
        let statement = format!("DROP TABLE {}", self.name.quoted());
        within(SHORT_STATEMENT, format!("removing the work table {}", self.name), connection.run(&statement)).await?;
        Ok(())
    }
}

/// A primary key as text, its parts separated by commas.
pub(crate) fn key_as_text(alias: &str, key: &[Identifier]) -> String {
    let parts: Vec<String> =
        key.iter().map(|column| format!("CONVERT(CAST({alias}.{} AS CHAR) USING utf8mb4)", column.quoted())).collect();
    format!("CONCAT_WS(', ', {})", parts.join(", "))
}

/// A name of ours for a column of a work table.
pub(crate) fn own_column(name: String) -> Result<Identifier, Error> {
    Identifier::new(name).map_err(|error| Error::new(Cause::Server, error.to_string()))
}
