//! What an operation looks at in the server before and after it acts, each time on a fresh snapshot.

use std::time::Duration;

use super::catalogue::read_named;
use super::create_statement;
use super::deadline::{SHORT_STATEMENT, within};
use super::error::Error;
use super::orphans;
use super::session::Work;
use crate::plan::TableName;
use crate::plan::catalogue::{Catalogue, ForeignKey};

/// The catalogue of a large schema takes seconds on a busy server.
const CATALOGUE_DEADLINE: Duration = Duration::from_secs(120);

/// Reads the catalogue of some tables, and all foreign keys of the schema.
pub(crate) async fn observe(work: &Work<'_>, tables: &[TableName]) -> Result<Catalogue, Error> {
    within(CATALOGUE_DEADLINE, "reading the catalogue", async {
        let mut connection = work.lend().await?;
        let catalogue = read_named(&mut connection, &work.plan.server, &work.plan.schema, tables).await?;
        connection.give_back();
        Ok(catalogue)
    })
    .await
}

/// SHOW CREATE TABLE of a table without its AUTO_INCREMENT value.
pub(crate) async fn create_statement(work: &Work<'_>, table: &TableName) -> Result<String, Error> {
    within(SHORT_STATEMENT, "reading the definition of a table", async {
        let mut connection = work.lend().await?;
        let statement = create_statement::read(&mut connection, table).await?;
        connection.give_back();
        Ok(statement)
    })
    .await
}

/// Counts children without a parent on a snapshot of its own; the server ends the count when the work is to stop.
pub(crate) async fn orphans_of(work: &Work<'_>, key: &ForeignKey) -> Result<u64, Error> {
    let mut connection = work.lend().await?;
    let count = orphans::count(work, &mut connection, key)
        .await
        .map_err(|error| error.while_doing(format!("counting orphans of {}", key.name)))?;
    connection.give_back();
    Ok(count)
}
