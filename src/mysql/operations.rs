//! Carrying one operation of the plan out: intent in the journal, the change, what the catalogue says, the outcome in the journal.
//! Running an operation again finds what is done and goes on from there.

use std::time::Instant;

use super::add_keys::Unproven;
use super::ddl::{self, Applied, Change};
use super::error::{Cause, Error, code};
use super::goal::{Goal, Standing};
use super::journal::{OperationState, Record, SEQUENCE_STEP};
use super::observe::{create_statement, observe};
use super::report::{OperationReport, RowsReport};
use super::session::Work;
use super::{add_keys, drift, row_operations, sql_steps};
use crate::plan::Operation;
use crate::plan::model::{Action, InverseCost, LockClass};

/// Cleanups before one unique constraint is given up: the application makes duplicates faster than they go.
const DUPLICATE_ROUNDS: u64 = 3;

/// How far an operation has come.
pub(crate) enum Ran<'a> {
    /// It is done.
    Done(OperationReport),
    /// Its key is enforced; the proof is left to [`add_keys::prove`], once for all keys of a section.
    Added(Unproven<'a>),
}

/// Runs one operation, or verifies that it is done. A key is added, and not proven yet.
///
/// # Errors
/// [`Cause::Drifted`] when the catalogue contradicts the journal, [`Cause::ApprovalExceeded`] for a COPY that is not allowed, or
/// what the operation meets.
#[tracing::instrument(level = "error", name = "operation", skip_all, fields(operation = %operation.id))]
pub(crate) async fn run<'a>(work: &Work<'_>, operation: &'a Operation) -> Result<Ran<'a>, Error> {
    let started = Instant::now();
    let record = work.journal.read_operation(&operation.id).await?;
    let mut report = OperationReport { found_done: false, ..settled(&operation.id) };
    if let Some(record) = record.as_ref().filter(|record| record.state == OperationState::Done) {
        return Ok(Ran::Done(found_done(work, operation, record, report).await?));
    }
    work.check_time_for(operation)?;
    tracing::info!("begun");
    let sequence = match &record {
        Some(record) => record.sequence,
        None => (work.journal.greatest_sequence().await? / SEQUENCE_STEP + 1) * SEQUENCE_STEP,
    };
    match Goal::of(&operation.action) {
        None if matches!(operation.action, Action::Sql(_)) => run_sql(work, operation, sequence, &mut report).await?,
        None => report.rows = Some(run_rows(work, operation, sequence).await?),
        Some(goal) => {
            let resumed = record.is_some_and(|record| record.state == OperationState::Intended);
            let applied = match &operation.action {
                Action::AddForeignKey { key, policy } => {
                    let added = add_keys::add(work, operation, (key, *policy), sequence, resumed, report).await?;
                    return Ok(Ran::Added(added));
                }
                Action::AddUnique { .. } => {
                    let (applied, rows) = add_unique(work, operation, goal, sequence, resumed).await?;
                    report.rows = rows;
                    applied
                }
                _ if announce(work, operation, goal, sequence, resumed).await? => Applied::default(),
                _ => apply(work, operation, goal).await?,
            };
            note(&mut report, applied);
            if drift::is_column(&operation.action) {
                report.made = drift::made(&operation.action, &create_statement(work, operation.action.table()).await?);
            }
        }
    }
    report.milliseconds = milliseconds(started.elapsed());
    complete(work, &report).await?;
    tracing::info!(milliseconds = report.milliseconds, "done");
    Ok(Ran::Done(report))
}

/// Notes in a report what its statement took.
pub(crate) fn note(report: &mut OperationReport, applied: Applied) {
    report.tries = applied.tries;
    report.longest_try_milliseconds = milliseconds(applied.longest);
}

/// Records that an operation is done and verified.
pub(crate) async fn complete(work: &Work<'_>, report: &OperationReport) -> Result<(), Error> {
    work.journal.complete(&report.operation, &json(report)?).await
}

/// The report of an operation that an earlier session did and could not report.
pub(crate) fn settled(operation: &str) -> OperationReport {
    OperationReport {
        operation: operation.to_owned(),
        milliseconds: 0,
        tries: 0,
        longest_try_milliseconds: 0,
        rows: None,
        made: None,
        found_done: true,
        after_image: None,
    }
}

pub(crate) fn milliseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A report as the journal keeps it.
pub(crate) fn json<T: serde::Serialize>(report: &T) -> Result<String, Error> {
    serde_json::to_string(report)
        .map_err(|error| Error::new(Cause::UnknownFormat, format!("a report cannot be written down: {error}")))
}

async fn found_done(
    work: &Work<'_>,
    operation: &Operation,
    record: &Record,
    mut report: OperationReport,
) -> Result<OperationReport, Error> {
    if let Some(goal) = Goal::of(&operation.action) {
        match goal.standing(&observe(work, &goal.tables()).await?) {
            Standing::Reached => {}
            Standing::NotReached => {
                return Err(Error::new(
                    Cause::Drifted,
                    format!(
                        "{}: the journal says it is done, but the catalogue does not show it: somebody took it back",
                        operation.id
                    ),
                ));
            }
            Standing::Contradicted(found) => {
                return Err(Error::new(
                    Cause::Drifted,
                    format!("{}: the journal says it is done, but {found}", operation.id),
                ));
            }
        }
    }
    if let Some(text) = &record.report {
        report = serde_json::from_str(text).map_err(|error| {
            Error::new(
                Cause::UnknownFormat,
                format!("the journal's report of {} cannot be read: {error}", operation.id),
            )
        })?;
    }
    report.found_done = true;
    Ok(report)
}

/// Runs an operation on rows under its own entry in the journal.
async fn run_rows(work: &Work<'_>, operation: &Operation, sequence: u64) -> Result<RowsReport, Error> {
    work.progress.update(|reading| reading.activity.clone_from(&operation.id));
    let before = create_statement(work, operation.action.table()).await?;
    work.journal.intend(operation, sequence, Some(&before)).await?;
    Box::pin(row_operations::run(work, operation)).await
}

/// Runs a statement of the user's own under its entry in the journal.
async fn run_sql(
    work: &Work<'_>,
    operation: &Operation,
    sequence: u64,
    report: &mut OperationReport,
) -> Result<(), Error> {
    let Action::Sql(step) = &operation.action else {
        return Err(Error::new(Cause::UnknownFormat, format!("operation {} holds no statement", operation.id)));
    };
    work.progress.update(|reading| reading.activity.clone_from(&operation.id));
    check_copy(work, operation)?;
    let before = create_statement(work, &step.table).await?;
    work.journal.intend(operation, sequence, Some(&before)).await?;
    // Where it was announced before an interruption, its entry says how the table was then.
    let record = work.journal.read_operation(&operation.id).await?.ok_or_else(|| {
        Error::new(Cause::Drifted, format!("{} was announced and is gone from the journal", operation.id))
    })?;
    let ran = Box::pin(sql_steps::run(work, operation, step, &record)).await?;
    note(report, ran.applied);
    report.rows = ran.rows;
    report.after_image = ran.after_image;
    Ok(())
}

/// Refuses a copy of a table that nobody has allowed.
fn check_copy(work: &Work<'_>, operation: &Operation) -> Result<(), Error> {
    if operation.lock != LockClass::Copy || work.allowance.copy {
        return Ok(());
    }
    Err(Error::new(
        Cause::ApprovalExceeded,
        format!(
            "{} ({}) copies table {} while its writers wait, and no approval allows a COPY: approve the gate before Copy, or take it out of \
             the specification",
            operation.id,
            operation.path,
            operation.action.table()
        ),
    ))
}

/// Runs a cleanup that the plan's operation needs as a part of itself: with its own entry, so that undo finds it at its place.
pub(crate) async fn run_part(work: &Work<'_>, part: &Operation, sequence: u64) -> Result<RowsReport, Error> {
    let rows = run_rows(work, part, sequence).await?;
    work.journal.complete(&part.id, &json(&rows)?).await?;
    Ok(rows)
}

/// Writes the intent down, after looking that the catalogue is as it must be before. Returns whether the change was made already,
/// by a session that was interrupted then.
pub(crate) async fn announce(
    work: &Work<'_>,
    operation: &Operation,
    goal: Goal<'_>,
    sequence: u64,
    resumed: bool,
) -> Result<bool, Error> {
    check_copy(work, operation)?;
    let table = operation.action.table();
    let catalogue = observe(work, &goal.tables()).await?;
    let made = match goal.standing(&catalogue) {
        Standing::NotReached => false,
        Standing::Reached if resumed => true,
        Standing::Reached => {
            return Err(Error::new(
                Cause::Drifted,
                format!(
                    "{}: it exists already, although the plan says it does not: somebody made it meanwhile; plan anew",
                    operation.id
                ),
            ));
        }
        Standing::Contradicted(found) => {
            return Err(Error::new(Cause::Drifted, format!("{}: {found}; plan anew", operation.id)));
        }
    };
    let before = catalogue.table(table).map(|found| found.create_statement.as_str());
    work.journal.intend(operation, sequence, before).await?;
    Ok(made)
}

/// Executes the forward statement until the catalogue shows its goal.
pub(crate) async fn apply(work: &Work<'_>, operation: &Operation, goal: Goal<'_>) -> Result<Applied, Error> {
    let statement = operation
        .forward
        .as_deref()
        .ok_or_else(|| Error::new(Cause::UnknownFormat, format!("the plan has no statement for {}", operation.id)))?;
    let label = format!("{} on {}", operation.id, operation.action.table());
    let change = Change { label: &label, statement, lock: operation.lock, estimate: operation.estimate, goal };
    Box::pin(ddl::apply(work, &change)).await
}

/// Executes the inverse statement until the catalogue shows that the operation is taken back. The caller has just seen that it is
/// not.
///
/// # Errors
/// As [`ddl::apply`]; [`Cause::RollbackIncomplete`] for an operation without an inverse.
pub(crate) async fn take_back(work: &Work<'_>, operation: &Operation, goal: Goal<'_>) -> Result<Applied, Error> {
    let statement = operation.inverse.as_deref().ok_or_else(|| {
        Error::new(Cause::RollbackIncomplete, format!("{} has no statement that takes it back", operation.id))
    })?;
    let label = format!("taking back {} on {}", operation.id, operation.action.table());
    let InverseCost { lock, estimate } = operation.inverse_cost();
    let change = Change { label: &label, statement, lock, estimate, goal };
    Box::pin(ddl::apply(work, &change)).await
}

pub(crate) fn add_rows(sum: &mut Option<RowsReport>, more: &RowsReport) {
    sum.get_or_insert_with(RowsReport::default).add(more);
}

/// Adds a unique constraint; duplicates that came since the cleanup are cleaned up again by the plan's own policy.
async fn add_unique(
    work: &Work<'_>,
    operation: &Operation,
    goal: Goal<'_>,
    sequence: u64,
    resumed: bool,
) -> Result<(Applied, Option<RowsReport>), Error> {
    if announce(work, operation, goal, sequence, resumed).await? {
        return Ok((Applied::default(), None));
    }
    let cleanup = work.plan.operations.iter().find(|other| match (&other.action, &operation.action) {
        (Action::RemoveDuplicates { table, columns, .. }, Action::AddUnique { table: unique, columns: wanted, .. }) => {
            table == unique && columns == wanted
        }
        _ => false,
    });
    let mut rows = None;
    let mut round = 0;
    loop {
        let error = match apply(work, operation, goal).await {
            Ok(applied) => return Ok((applied, rows)),
            Err(error) if error.code == Some(code::DUPLICATE_ENTRY) => error,
            Err(error) => return Err(error),
        };
        round += 1;
        if round > DUPLICATE_ROUNDS {
            return Err(Error {
                cause: Cause::DuplicatesFound,
                ..error.while_doing(format!(
                    "{}: the application makes new duplicates faster than they are removed",
                    operation.path
                ))
            });
        }
        let Some(cleanup) = cleanup else {
            return Err(Error {
                cause: Cause::DuplicatesFound,
                ..error.while_doing(format!("{}: rows are not unique", operation.path))
            });
        };
        // Put back only after the constraint is gone: its place in the journal is before the constraint's.
        let part = Operation { id: format!("{}-duplicates-{round}", operation.id), ..cleanup.clone() };
        add_rows(&mut rows, &run_part(work, &part, sequence - SEQUENCE_STEP / 2 + round).await?);
    }
}
