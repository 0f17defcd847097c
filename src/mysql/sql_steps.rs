//! Runs the statements of a type fix of the user's own: one at a time, each announced in the journal before and recorded after.
//!
//! A change of a definition is atomic in the server, so the definition itself tells whether an announced one ran. An UPDATE is repeated
//! until it finds no row; one that was cut short is simply repeated further. Each statement goes by the prepared protocol, which
//! takes one statement only, whatever its text.

use std::time::Duration;

use futures::TryStreamExt as _;
use tokio::time::Instant;

use super::cascades::refuse_triggers;
use super::connection::{Connection, SessionLimits, sql};
use super::ddl::{self, Applied, Change};
use super::deadline::{SHORT_STATEMENT, within};
use super::error::{Cause, Error, code};
use super::goal::Goal;
use super::journal::Record;
use super::observe::create_statement;
use super::report::RowsReport;
use super::row_operations;
use super::row_session::{Attempts, BATCH_DEADLINE, Isolation, interruptible, isolate, wait_until_calm};
use super::row_shape;
use super::session::Work;
use crate::plan::Operation;
use crate::plan::identifier::Identifier;
use crate::plan::model::{Action, LockClass, SqlKind, SqlStep};
use crate::plan::own_statement::OWN_SQL_MODE;

/// Batches of an UPDATE that may take longer than allowed, one after the other, before it is given up.
const SLOW_BATCHES: u32 = 3;
/// How often each row of a table, by the server's estimate but not less than [`LEAST_ROWS`], may be found by an UPDATE.
const FOUND_AGAIN: u64 = 10;
const LEAST_ROWS: u64 = 10_000;
/// Rows of `verify` that are counted for the message.
const COUNTED_ROWS: usize = 1000;

/// What running a statement took.
#[derive(Debug, Default)]
pub(crate) struct Ran {
    /// Tries, for a change of a definition.
    pub(crate) applied: Applied,
    /// Rows, for an UPDATE.
    pub(crate) rows: Option<RowsReport>,
    /// The table's definition afterwards, from which later work knows what others change.
    pub(crate) after_image: Option<String>,
}

/// Runs an announced statement, or goes on with one that was interrupted. `record` is its entry in the journal.
///
/// # Errors
/// What the statement meets; [`Cause::VerificationFailed`] when `verify` returns rows.
pub(crate) async fn run(work: &Work<'_>, operation: &Operation, step: &SqlStep, record: &Record) -> Result<Ran, Error> {
    let statement = statement(operation.forward.as_deref(), operation)?;
    let mut ran = Ran::default();
    match &step.kind {
        SqlKind::Change { .. } => {
            let before = record.before_image.as_deref().unwrap_or_default();
            // Another definition than announced: it ran before an interruption.
            if create_statement(work, &step.table).await? == before {
                ran.applied = apply(work, operation, step, (statement, before), operation.lock).await?;
            }
        }
        SqlKind::Update => ran.rows = Some(Box::pin(update(work, operation, step, statement)).await?),
    }
    if let Some(query) = &step.verify {
        work.progress.update(|reading| reading.activity = format!("verifying {}", step.step));
        verify(work, step, query).await.map_err(|error| error.while_doing(&operation.path))?;
    }
    ran.after_image = Some(create_statement(work, &step.table).await?);
    Ok(ran)
}

/// Takes a statement back. Whether that restored the table is compared once everything older is taken back too.
///
/// # Errors
/// What the inverse meets.
pub(crate) async fn take_back(work: &Work<'_>, step: &SqlStep, record: &Record) -> Result<(), Error> {
    let SqlKind::Change { inverse_lock, dropped } = &step.kind else { return Ok(()) };
    let operation = &record.operation;
    let now = create_statement(work, &step.table).await?;
    if record.before_image.as_deref() == Some(now.as_str()) {
        // It never ran, or is taken back already.
        return Ok(());
    }
    for column in dropped {
        if has_column(work, step, column).await? {
            row_operations::keep_column_values(work, &step.table, column).await?;
        }
    }
    let inverse = statement(operation.inverse.as_deref(), operation)?;
    apply(work, operation, step, (inverse, &now), *inverse_lock).await?;
    Ok(())
}

async fn has_column(work: &Work<'_>, step: &SqlStep, column: &Identifier) -> Result<bool, Error> {
    let mut connection = work.lend().await?;
    let shape = row_shape::read(&mut connection, &step.table).await?;
    connection.give_back();
    Ok(shape.require(column).is_ok())
}

fn statement<'a>(text: Option<&'a str>, operation: &Operation) -> Result<&'a str, Error> {
    text.ok_or_else(|| Error::new(Cause::UnknownFormat, format!("the plan has no statement for {}", operation.id)))
}

async fn apply(
    work: &Work<'_>,
    operation: &Operation,
    step: &SqlStep,
    (statement, before): (&str, &str),
    lock: LockClass,
) -> Result<Applied, Error> {
    let label = format!("{} on {}", operation.id, step.table);
    let goal = Goal::OtherDefinition { table: &step.table, before };
    let change = Change { label: &label, statement, lock, estimate: operation.estimate, goal };
    Box::pin(ddl::apply(work, &change)).await
}

/// Sets a session up for such a statement: names without a schema are in the migrated one, and the text is read as the planner did.
///
/// # Errors
/// What the server answers.
pub(crate) async fn prepare(connection: &mut Connection, schema: &Identifier) -> Result<(), Error> {
    connection.run(&format!("USE {}", schema.quoted())).await?;
    connection.run(&format!("SET SESSION sql_mode = '{OWN_SQL_MODE}', sql_safe_updates = 0")).await?;
    Ok(())
}

/// Repeats an UPDATE until it finds no row.
async fn update(work: &Work<'_>, operation: &Operation, step: &SqlStep, statement: &str) -> Result<RowsReport, Error> {
    let lock_wait = work.settings.lock_timeout.max(Duration::from_secs(1));
    let limits = SessionLimits { metadata_lock_wait: lock_wait, row_lock_wait: lock_wait };
    let mut connection = work.connect(limits).await?;
    let shape = within(SHORT_STATEMENT, "preparing a session for rows", async {
        isolate(&mut connection, Isolation::ReadCommitted).await?;
        prepare(&mut connection, &work.plan.schema).await?;
        row_shape::read(&mut connection, &step.table).await
    })
    .await?;
    refuse_triggers(work, &shape, &["UPDATE"])?;
    let what = format!("{} on {}", operation.id, step.table);
    let mut report = RowsReport::default();
    let (mut slow, mut found_in_all) = (0, 0_u64);
    let most = operation.estimate.rows.max(LEAST_ROWS).saturating_mul(FOUND_AGAIN);
    loop {
        wait_until_calm(work, &mut connection).await?;
        work.progress.update(|reading| reading.activity = format!("{what}: {} rows so far", report.values_changed));
        let mut attempts = Attempts::new(work, &what);
        let begun = Instant::now();
        let batch = loop {
            let attempt = async {
                attempts.begin(&mut connection).await?;
                one_batch(work, &mut connection, statement).await
            };
            let outcome = Box::pin(within(BATCH_DEADLINE, &what, attempt)).await;
            if let Some(done) = attempts.end(&mut connection, outcome).await? {
                break done;
            }
        };
        report.rounds += 1;
        let Some((found, changed)) = batch else {
            slow += 1;
            if slow < SLOW_BATCHES {
                continue;
            }
            return Err(Error::new(
                Cause::RetriesExhausted,
                format!(
                    "{what}: one batch was ended after {} ms, {slow} times in a row, because its rows may be locked for {} ms only \
                     (spec.execution.lockTimeout): lower its LIMIT, or see that an index serves its WHERE",
                    begun.elapsed().as_millis(),
                    work.settings.lock_timeout.as_millis()
                ),
            ));
        };
        slow = 0;
        report.values_changed += changed;
        if found == 0 {
            break;
        }
        found_in_all = found_in_all.saturating_add(found);
        if changed == 0 || found_in_all > most {
            return Err(Error::new(
                Cause::UnmappedRows,
                format!(
                    "{what}: it finds rows again and again ({found_in_all} so far, {changed} of the last {found} changed): correct its WHERE, so that it \
                     leaves out what is done and what gets no value"
                ),
            ));
        }
    }
    connection.close().await?;
    report.total = Some(report.values_changed);
    Ok(report)
}

/// Runs an UPDATE once: how many rows it found, and how many of them it changed. `None`: it was ended, because it locked its rows for
/// as long as it may.
async fn one_batch(work: &Work<'_>, connection: &mut Connection, statement: &str) -> Result<Option<(u64, u64)>, Error> {
    let (id, before) = (connection.id, updated(connection).await?);
    let mut killed = false;
    let found = {
        let running = sqlx::query(sql(statement)).execute(connection.raw());
        tokio::pin!(running);
        tokio::select! {
            result = &mut running => Some(result?.rows_affected()),
            () = tokio::time::sleep(work.settings.lock_timeout) => {
                let killing = async {
                    let mut killer = work.connect(SessionLimits::default()).await?;
                    killer.run(&format!("KILL QUERY {id}")).await?;
                    killer.close().await
                };
                within(SHORT_STATEMENT, format!("ending the statement of connection {id}"), killing).await?;
                killed = true;
                match running.await {
                    // It was done before the server could end it.
                    Ok(done) => Some(done.rows_affected()),
                    Err(error) => {
                        let error = Error::from(error);
                        if error.code != Some(code::QUERY_INTERRUPTED) {
                            return Err(error);
                        }
                        None
                    }
                }
            }
        }
    };
    let Some(found) = found else { return Ok(None) };
    if killed {
        // A KILL QUERY that came too late meets the next statement.
        match connection.run("DO 0").await {
            Err(error) if error.code != Some(code::QUERY_INTERRUPTED) => return Err(error),
            _ => {}
        }
    }
    Ok(Some((found, updated(connection).await?.saturating_sub(before))))
}

/// Rows that the session has changed so far. The client is told how many an UPDATE found, not how many it changed.
async fn updated(connection: &mut Connection) -> Result<u64, Error> {
    use sqlx::Row as _;
    let row = sqlx::raw_sql("SHOW SESSION STATUS LIKE 'Handler_update'").fetch_one(connection.raw()).await?;
    let text: String = row.try_get(1)?;
    text.parse().map_err(|_| Error::new(Cause::Server, format!("Handler_update is {text:?}, not a number")))
}

/// Runs `verify` in a transaction that can only read.
///
/// # Errors
/// [`Cause::VerificationFailed`] when it returns rows.
pub(crate) async fn verify(work: &Work<'_>, step: &SqlStep, query: &str) -> Result<(), Error> {
    let mut connection = work.connect(SessionLimits::default()).await?;
    let id = connection.id;
    let what = format!("verify of {}", step.step);
    let rows = interruptible(work, id, &what, async {
        prepare(&mut connection, &work.plan.schema).await?;
        connection.run("START TRANSACTION READ ONLY").await?;
        let mut rows = 0;
        {
            let mut found = sqlx::query(sql(query)).fetch(connection.raw());
            while rows < COUNTED_ROWS && found.try_next().await?.is_some() {
                rows += 1;
            }
        }
        Ok(rows)
    })
    .await?;
    // Rows that were not fetched are still on their way: the connection is not used again.
    drop(connection);
    if rows == 0 {
        return Ok(());
    }
    let number = if rows < COUNTED_ROWS { rows.to_string() } else { format!("{rows} or more") };
    Err(Error::new(
        Cause::VerificationFailed,
        format!("{what} returns {number} rows, and must return none: run it by hand to see what is wrong: {query}"),
    ))
}

/// Runs every `verify` of the plan again; what does not hold.
///
/// # Errors
/// When one cannot be run.
pub(crate) async fn verify_all(work: &Work<'_>) -> Result<Vec<String>, Error> {
    let mut failures = Vec::new();
    for operation in &work.plan.operations {
        let Action::Sql(step @ SqlStep { verify: Some(query), .. }) = &operation.action else { continue };
        match verify(work, step, query).await {
            Ok(()) => {}
            Err(error) if error.cause == Cause::VerificationFailed => {
                failures.push(format!("{}: {error}", operation.path))
            }
            Err(error) => return Err(error),
        }
    }
    Ok(failures)
}
