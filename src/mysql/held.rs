//! Which quarantine tables hold what an operation took, read once for a whole way back: there is one for each definition of a table,
//! and most operations took something from one of them or nothing at all.

use std::collections::BTreeMap;

use sqlx::Row;

use super::connection::sql;
use super::error::Error;
use super::quarantine::{Registered, registered};
use super::row_session::{Isolation, interruptible, open};
use super::session::Work;
use crate::plan::identifier::TableName;

/// The quarantine of a migration, by operation. What is put back later stays listed.
#[derive(Debug)]
pub(crate) struct Held {
    all: Vec<Registered>,
    by_operation: BTreeMap<String, Vec<Registered>>,
}

impl Held {
    /// Looks through every quarantine table.
    ///
    /// # Errors
    /// What the server answers; [`super::Cause::Stopped`].
    pub(crate) async fn read(work: &Work<'_>) -> Result<Self, Error> {
        let mut connection = open(work, Isolation::ReadCommitted).await?;
        let all = registered(work, &mut connection).await?;
        let mut by_operation: BTreeMap<String, Vec<Registered>> = BTreeMap::new();
        for table in &all {
            let statement = format!(
                "SELECT DISTINCT holdfast_operation FROM {} WHERE holdfast_migration = ? AND holdfast_kind IN ('Row', 'Value') \
                 AND holdfast_restored_at IS NULL",
                table.name.quoted()
            );
            let (id, what) = (connection.id, format!("looking for what of {} is in quarantine", table.source));
            let rows = interruptible(work, id, &what, async {
                Ok(sqlx::query(sql(statement)).bind(work.journal.migration()).fetch_all(connection.raw()).await?)
            })
            .await?;
            for row in &rows {
                by_operation.entry(row.try_get(0)?).or_default().push(table.clone());
            }
        }
        connection.close().await?;
        Ok(Self { all, by_operation })
    }

    /// Tables with entries of an operation.
    pub(crate) fn of(&self, operation: &str) -> &[Registered] {
        self.by_operation.get(operation).map(Vec::as_slice).unwrap_or_default()
    }

    /// Every quarantine table that keeps rows of a table: one for each definition that it has had.
    pub(crate) fn tables_for(&self, source: &TableName) -> Vec<TableName> {
        self.all.iter().filter(|table| table.source == *source).map(|table| table.name.clone()).collect()
    }
}
