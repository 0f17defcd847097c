//! The journal read by somebody who changes nothing: what each operation of a migration took, for a report. It needs neither the fence nor
//! the operator, only the right to SELECT.

use jiff::Timestamp;
use sqlx::Row;

use super::OperationState;
use super::table_in;
use crate::mysql::connection::{Connection, SessionLimits, Target, sql};
use crate::mysql::deadline::{SHORT_STATEMENT, within};
use crate::mysql::error::{Cause, Error};
use crate::mysql::journal_tables;
use crate::mysql::report::OperationReport;
use crate::mysql::work::JournalLocation;
use crate::plan::Identifier;

/// An operation as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// [`crate::plan::Operation::id`], or that of an operation which the work itself found to be needed.
    pub operation: String,
    /// Whether it happened and stands. One that is announced only has no outcome yet.
    pub stands: bool,
    /// When it was announced, by the server's clock.
    pub intended_at: Timestamp,
    /// When it was done.
    pub completed_at: Option<Timestamp>,
    /// When it was taken back.
    pub undone_at: Option<Timestamp>,
    /// What it took and did, once done.
    pub report: Option<OperationReport>,
}

/// What the journal has of the latest migration with that plan, in the order in which it was done; none where there is no journal, or
/// nothing of that plan in it.
///
/// # Errors
/// When the server cannot be read, or the journal holds something that this version does not know.
pub async fn history(
    target: &Target,
    location: &JournalLocation,
    schema: &Identifier,
    plan_digest: &str,
) -> Result<Option<Vec<JournalEntry>>, Error> {
    let mut connection = target.connect_to_read(SessionLimits::default()).await?;
    let reading = read(location, schema, plan_digest, &mut connection);
    let history = within(SHORT_STATEMENT, "reading the journal", reading).await?;
    connection.close().await?;
    Ok(history)
}

async fn read(
    location: &JournalLocation,
    schema: &Identifier,
    plan_digest: &str,
    connection: &mut Connection,
) -> Result<Option<Vec<JournalEntry>>, Error> {
    let (migrations, operations) =
        (table_in(location, schema, "migrations")?, table_in(location, schema, "operations")?);
    if !journal_tables::exists(&table_in(location, schema, "journal_format")?, connection).await? {
        return Ok(None);
    }
    let found = sqlx::query(sql(format!(
        "SELECT id FROM {} WHERE target_schema = ? AND plan_digest = ? ORDER BY started_at DESC LIMIT 1",
        migrations.quoted()
    )))
    .bind(schema.as_str())
    .bind(plan_digest)
    .fetch_optional(connection.raw())
    .await?;
    let Some(found) = found else { return Ok(None) };
    let migration: String = found.try_get(0)?;
    let time = |column: &str| format!("DATE_FORMAT({column}, '%Y-%m-%dT%H:%i:%s.%fZ')");
    let rows = sqlx::query(sql(format!(
        "SELECT operation, state, {}, {}, {}, report FROM {} WHERE migration = ? ORDER BY sequence",
        time("intended_at"),
        time("completed_at"),
        time("undone_at"),
        operations.quoted()
    )))
    .bind(migration)
    .fetch_all(connection.raw())
    .await?;
    rows.iter().map(entry).collect::<Result<_, _>>().map(Some)
}

fn entry(row: &sqlx::mysql::MySqlRow) -> Result<JournalEntry, Error> {
    let operation: String = row.try_get(0)?;
    let state = OperationState::parse(&row.try_get::<String, _>(1)?)?;
    let unknown = |what: &str, error: &dyn std::fmt::Display| {
        Error::new(Cause::UnknownFormat, format!("the journal's {what} of {operation} cannot be read: {error}"))
    };
    let time = |column: usize| -> Result<Option<Timestamp>, Error> {
        let text: Option<String> = row.try_get(column)?;
        text.map(|text| text.parse().map_err(|error: jiff::Error| unknown("time", &error))).transpose()
    };
    let report: Option<String> = row.try_get(5)?;
    let report =
        report.map(|text| serde_json::from_str(&text).map_err(|error| unknown("report", &error))).transpose()?;
    let intended_at = time(2)?.ok_or_else(|| unknown("time", &"it has none"))?;
    let (completed_at, undone_at) = (time(3)?, time(4)?);
    Ok(JournalEntry { stands: state == OperationState::Done, intended_at, completed_at, undone_at, report, operation })
}
