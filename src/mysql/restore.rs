//! The way back: quarantined rows and values return to their tables, newest batch first, each batch in one transaction with its
//! mark. What the application has used since (a key, a unique value, a changed column) wins; what cannot return stays in quarantine
//! and is named.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::Row;

use super::cascades::refuse_triggers;
use super::connection::{Connection, sql};
use super::deadline::{SHORT_STATEMENT, within};
use super::duplicates::among;
use super::error::{Cause, Error};
use super::failpoints;
use super::held::Held;
use super::quarantine::Registered;
use super::report::RestoreReport;
use super::restore_circles::restore_together;
use super::restore_values::restore_values;
use super::row_session::{Attempts, BATCH_DEADLINE, Isolation, open, wait_until_calm};
use super::row_shape::{self, Shape};
use super::session::Work;
use super::work_table::key_as_text;
use crate::plan::Operation;
use crate::plan::identifier::{Identifier, TableName, quoted_list};

/// Conflicts that are named one by one; beyond them only their number is told.
const NAMED_CONFLICTS: usize = 50;

/// A quarantine table with entries of the operation, and the table they go back to.
pub(super) struct Source {
    pub(super) table: Registered,
    pub(super) shape: Shape,
    /// Columns that both have and that can be written.
    pub(super) columns: Vec<Identifier>,
    /// Columns of the quarantine table that the table no longer has.
    lost: Vec<Identifier>,
    /// Every quarantine table that keeps rows of the table: one for each definition that it has had.
    pub(super) all: Vec<TableName>,
}

/// An entry of a quarantine table, by its number.
pub(super) type Entry<'a> = (&'a Source, u64);

/// What tells an entry from all others.
pub(super) fn identity<'a>((source, id): &Entry<'a>) -> (&'a TableName, u64) {
    (&source.table.name, *id)
}

/// What one transaction put back.
#[derive(Default)]
pub(super) struct Outcome {
    rows: u64,
    pub(super) values: u64,
    /// Values whose row the application has deleted.
    pub(super) deleted: u64,
    pub(super) conflicts: Vec<String>,
}

/// Puts back what an operation took. Can be repeated: what is back is marked.
///
/// # Errors
/// What the server answers; conflicts are no error but listed.
pub(crate) async fn restore_rows(work: &Work<'_>, operation: &Operation, held: &Held) -> Result<RestoreReport, Error> {
    let mut report = RestoreReport::default();
    if held.of(&operation.id).is_empty() {
        return Ok(report);
    }
    let mut connection = open(work, Isolation::RepeatableRead).await?;
    let sources = sources(&mut connection, held, &operation.id).await?;
    let mut batches: BTreeSet<u64> = BTreeSet::new();
    for source in &sources {
        refuse_fired(work, source)?;
        batches.extend(open_batches(work, &mut connection, source, &operation.id).await?);
        for column in &source.lost {
            report.conflicts.push(format!(
                "table {} has no column {column} any more: its values stay in {}",
                source.shape.name, source.table.name
            ));
        }
    }
    let what = format!("putting back what {} took", operation.id);
    let (total, mut done, mut unnamed) = (batches.len(), 0, 0);
    for batch in batches.into_iter().rev() {
        wait_until_calm(work, &mut connection).await?;
        work.progress.update(|reading| reading.activity = format!("{what}: batch {done} of {total}"));
        let mut attempts = Attempts::new(work, &what);
        let outcome = loop {
            let attempt = async {
                attempts.begin(&mut connection).await?;
                restore_batch(&mut connection, &sources, batch).await
            };
            let result = within(BATCH_DEADLINE, &what, attempt).await;
            if let Some(done) = attempts.end(&mut connection, result).await? {
                break done;
            }
        };
        report.rows_restored += outcome.rows;
        report.values_restored += outcome.values;
        report.values_of_deleted_rows += outcome.deleted;
        for conflict in outcome.conflicts {
            if report.conflicts.len() < NAMED_CONFLICTS { report.conflicts.push(conflict) } else { unnamed += 1 }
        }
        done += 1;
    }
    if unnamed > 0 {
        report.conflicts.push(format!("and {unnamed} more rows and values, all still in quarantine"));
    }
    connection.close().await?;
    Ok(report)
}

fn refuse_fired(work: &Work<'_>, source: &Source) -> Result<(), Error> {
    refuse_triggers(work, &source.shape, &["INSERT", "UPDATE"])
}

/// The quarantine tables that hold entries of the operation.
async fn sources(connection: &mut Connection, held: &Held, operation: &str) -> Result<Vec<Source>, Error> {
    let mut sources = Vec::new();
    for table in held.of(operation) {
        let shape = row_shape::read(connection, &table.source).await?;
        let kept = row_shape::read(connection, &table.name).await?;
        let (mut columns, mut lost) = (Vec::new(), Vec::new());
        for column in kept.columns.iter().filter(|column| !column.name.as_str().starts_with("holdfast_")) {
            match shape.column(&column.name) {
                Some(own) if !own.generated => columns.push(own.name.clone()),
                Some(_) => {}
                None => lost.push(column.name.clone()),
            }
        }
        let all = held.tables_for(&table.source);
        sources.push(Source { table: table.clone(), shape, columns, lost, all });
    }
    Ok(sources)
}

async fn open_batches(
    work: &Work<'_>,
    connection: &mut Connection,
    source: &Source,
    operation: &str,
) -> Result<Vec<u64>, Error> {
    let statement = format!(
        "SELECT DISTINCT holdfast_batch FROM {} WHERE holdfast_migration = ? AND holdfast_operation = ? \
         AND holdfast_kind IN ('Row', 'Value') AND holdfast_restored_at IS NULL",
        source.table.name.quoted()
    );
    within(SHORT_STATEMENT, format!("reading {}", source.table.name), async {
        let query = sqlx::query(sql(statement)).bind(work.journal.migration()).bind(operation);
        query.fetch_all(connection.raw()).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
    })
    .await
}

async fn restore_batch(connection: &mut Connection, sources: &[Source], batch: u64) -> Result<Outcome, Error> {
    let mut outcome = Outcome::default();
    // Rows first, those that were meant before those that went along with them: keys that exist must find their parents.
    let mut depths: BTreeMap<u32, Vec<&Source>> = BTreeMap::new();
    for source in sources {
        let statement = format!(
            "SELECT DISTINCT holdfast_depth FROM {} WHERE holdfast_batch = ? AND holdfast_kind = 'Row' AND holdfast_restored_at IS NULL",
            source.table.name.quoted()
        );
        for row in sqlx::query(sql(statement)).bind(batch).fetch_all(connection.raw()).await? {
            depths.entry(row.try_get(0)?).or_default().push(source);
        }
    }
    let mut refused: Vec<Entry> = Vec::new();
    for (depth, sources) in depths {
        for source in sources {
            let condition = format!("holdfast_batch = {batch} AND holdfast_kind = 'Row' AND holdfast_depth = {depth}");
            connection.run("SAVEPOINT holdfast_rows").await?;
            match insert(connection, source, &condition).await {
                Ok(rows) => outcome.rows += rows,
                Err(error) if error.code.is_none() || error.is_lock_conflict() => return Err(error),
                Err(_) => {
                    connection.run("ROLLBACK TO SAVEPOINT holdfast_rows").await?;
                    refused.extend(ids(connection, source, &condition).await?.into_iter().map(|id| (source, id)));
                }
            }
        }
    }
    restore_singly(connection, refused, &mut outcome).await?;
    for source in sources {
        restore_values(connection, source, batch, &mut outcome).await?;
    }
    Ok(outcome)
}

/// Inserts and marks the entries that meet a condition.
pub(super) async fn insert(connection: &mut Connection, source: &Source, condition: &str) -> Result<u64, Error> {
    let (table, quarantine) = (source.shape.name.quoted(), source.table.name.quoted());
    let open = "AND holdfast_restored_at IS NULL";
    let rows = connection
        .run(&format!(
            "INSERT INTO {table} ({0}) SELECT {0} FROM {quarantine} WHERE {condition} {open} ORDER BY holdfast_id",
            quoted_list(&source.columns)
        ))
        .await?;
    failpoints::after("putting rows back");
    let marked = connection
        .run(&format!("UPDATE {quarantine} SET holdfast_restored_at = UTC_TIMESTAMP(6) WHERE {condition} {open}"))
        .await?;
    if rows != marked {
        return Err(Error::new(
            Cause::VerificationFailed,
            format!(
                "{rows} rows went back to {} but {marked} were marked: the batch was rolled back",
                source.shape.name
            ),
        ));
    }
    Ok(rows)
}

async fn ids(connection: &mut Connection, source: &Source, condition: &str) -> Result<Vec<u64>, Error> {
    let statement = format!(
        "SELECT holdfast_id FROM {} WHERE {condition} AND holdfast_restored_at IS NULL ORDER BY holdfast_id",
        source.table.name.quoted()
    );
    let rows = sqlx::raw_sql(sql(statement)).fetch_all(connection.raw()).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Tries rows one by one, over and over while any of them returns: a row may need another one of the same batch. What is left then may be a
/// circle.
async fn restore_singly<'a>(
    connection: &mut Connection,
    mut refused: Vec<Entry<'a>>,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let mut reasons = BTreeMap::new();
    loop {
        let mut still: Vec<Entry<'a>> = Vec::new();
        for entry in &refused {
            let (source, id) = *entry;
            connection.run("SAVEPOINT holdfast_row").await?;
            match insert(connection, source, &format!("holdfast_id = {id}")).await {
                Ok(rows) => outcome.rows += rows,
                Err(error) if error.code.is_none() || error.is_lock_conflict() => return Err(error),
                Err(error) => {
                    connection.run("ROLLBACK TO SAVEPOINT holdfast_row").await?;
                    still.push(*entry);
                    reasons.insert(identity(entry), error.to_string());
                }
            }
        }
        let stuck = still.len() == refused.len();
        refused = still;
        if refused.is_empty() {
            return Ok(());
        }
        if stuck {
            break;
        }
    }
    outcome.rows += restore_together(connection, &mut refused).await?;
    for entry in refused {
        let (row, reason) = (describe(connection, entry.0, entry.1).await?, reasons.remove(&identity(&entry)));
        outcome.conflicts.push(format!(
            "row {row} of {} stays in quarantine: {}",
            entry.0.shape.name,
            reason.unwrap_or_default()
        ));
    }
    Ok(())
}

/// A row's primary key, for messages.
pub(super) async fn describe(connection: &mut Connection, source: &Source, id: u64) -> Result<String, Error> {
    let key: Vec<Identifier> =
        source.shape.primary_key.iter().filter(|column| among(&source.columns, column)).cloned().collect();
    if key.is_empty() {
        return Ok(format!("(entry {id})"));
    }
    let statement =
        format!("SELECT {} FROM {} q WHERE holdfast_id = ?", key_as_text("q", &key), source.table.name.quoted());
    let text: String = sqlx::query(sql(statement)).bind(id).fetch_one(connection.raw()).await?.try_get(0)?;
    Ok(format!("({text})"))
}
