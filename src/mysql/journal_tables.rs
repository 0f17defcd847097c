//! The journal's tables: created where they are missing, and refused where another version wrote them in a format that this one
//! does not know.

use sqlx::Row;

use super::connection::{Connection, sql};
use super::deadline::{SHORT_STATEMENT, within};
use super::error::{Cause, Error};
use super::journal::table_in;
use super::work::JournalLocation;
use crate::plan::identifier::{Identifier, TableName};

/// The format that this version writes and reads.
pub(crate) const JOURNAL_FORMAT: u32 = 1;
const OPTIONS: &str = "ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";

/// Creates the journal's schema and tables where they are missing and checks their format.
///
/// # Errors
/// [`Cause::UnknownFormat`] for a journal of another format, [`Cause::PrivilegeMissing`] when it may not be created.
pub(crate) async fn ensure(
    location: &JournalLocation,
    target: &Identifier,
    connection: &mut Connection,
) -> Result<(), Error> {
    within(SHORT_STATEMENT, "preparing the journal", create(location, target, connection)).await
}

async fn create(location: &JournalLocation, target: &Identifier, connection: &mut Connection) -> Result<(), Error> {
    if let JournalLocation::Schema(schema) = location {
        // CREATE ... IF NOT EXISTS asks for the privilege even where there is nothing to create.
        let known: i64 = sqlx::query("SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = ?")
            .bind(schema.as_str())
            .fetch_one(connection.raw())
            .await?
            .try_get(0)?;
        if known == 0 {
            connection.run(&format!("CREATE SCHEMA IF NOT EXISTS {} DEFAULT CHARACTER SET utf8mb4", schema.quoted())).await.map_err(
                |error| {
                    error.while_doing(format!(
                        "creating the journal's schema {schema} (create it, or name spec.journal.tablePrefix instead of schema)"
                    ))
                },
            )?;
        }
    }
    let format = table_in(location, target, "journal_format")?;
    if !exists(&format, connection).await? {
        create_tables(location, target, connection).await?;
    }
    // A journal of an earlier version lacks it.
    let plans = table_in(location, target, "plans")?;
    if !exists(&plans, connection).await? {
        create_plans(&plans, connection).await?;
    }
    let found: Option<u32> = sqlx::raw_sql(sql(format!("SELECT format FROM {}", format.quoted())))
        .fetch_optional(connection.raw())
        .await?
        .map(|row| row.try_get(0))
        .transpose()?;
    match found {
        Some(JOURNAL_FORMAT) => Ok(()),
        Some(other) => Err(Error::new(
            Cause::UnknownFormat,
            format!(
                "{format} says journal format {other}; this version knows {JOURNAL_FORMAT} only: run the version that wrote it, or a later one"
            ),
        )),
        None => Err(Error::new(
            Cause::UnknownFormat,
            format!(
                "{format} is empty, so the format of the journal is unknown: drop Holdfast's tables there if no migration ever ran"
            ),
        )),
    }
}

/// Whether a table is there.
pub(super) async fn exists(table: &TableName, connection: &mut Connection) -> Result<bool, Error> {
    let found: i64 =
        sqlx::query("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = ? AND table_name = ?")
            .bind(table.schema.as_str())
            .bind(table.table.as_str())
            .fetch_one(connection.raw())
            .await?
            .try_get(0)?;
    Ok(found > 0)
}

async fn create_plans(plans: &TableName, connection: &mut Connection) -> Result<(), Error> {
    let statement = format!(
        "CREATE TABLE IF NOT EXISTS {} (plan_digest VARCHAR(80) NOT NULL PRIMARY KEY, plan LONGTEXT NOT NULL, kept_at DATETIME(6) NOT NULL) \
         {OPTIONS}",
        plans.quoted()
    );
    connection.run(&statement).await.map(drop)
}

async fn create_tables(
    location: &JournalLocation,
    target: &Identifier,
    connection: &mut Connection,
) -> Result<(), Error> {
    let migrations = table_in(location, target, "migrations")?.quoted();
    let operations = table_in(location, target, "operations")?.quoted();
    let format = table_in(location, target, "journal_format")?.quoted();
    // The format's table comes last and filled at once: where it exists, the journal is whole.
    for statement in [
        format!(
            "CREATE TABLE IF NOT EXISTS {migrations} (id CHAR(36) NOT NULL PRIMARY KEY, target_schema VARCHAR(64) NOT NULL, \
             content_digest VARCHAR(80) NOT NULL, plan_digest VARCHAR(80) NOT NULL, owner VARCHAR(512) NOT NULL, state VARCHAR(20) NOT NULL, \
             epoch BIGINT UNSIGNED NOT NULL, server_uuid VARCHAR(300) NOT NULL, started_at DATETIME(6) NOT NULL, finished_at DATETIME(6) NULL, \
             KEY by_target (target_schema, state)) {OPTIONS}"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {operations} (migration CHAR(36) NOT NULL, operation VARCHAR(191) NOT NULL, \
             sequence BIGINT UNSIGNED NOT NULL, state VARCHAR(20) NOT NULL, definition LONGTEXT NOT NULL, forward_statement LONGTEXT NULL, \
             inverse_statement LONGTEXT NULL, before_image LONGTEXT NULL, report LONGTEXT NULL, intended_at DATETIME(6) NOT NULL, \
             completed_at DATETIME(6) NULL, undone_at DATETIME(6) NULL, PRIMARY KEY (migration, operation), \
             UNIQUE KEY by_sequence (migration, sequence)) {OPTIONS}"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {format} (format INT UNSIGNED NOT NULL PRIMARY KEY) {OPTIONS} AS SELECT {JOURNAL_FORMAT} AS format"
        ),
    ] {
        connection.run(&statement).await?;
    }
    Ok(())
}
