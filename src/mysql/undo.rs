//! The way back: only what the journal says this migration did, newest first, by the same online means; then every touched table
//! is compared with its before-image. Undoing again after an interruption goes on where it stopped.

use tracing::Instrument as _;

use super::drift::bare;
use super::error::{Cause, Error, Left};
use super::goal::{Goal, Standing};
use super::held::Held;
use super::journal::{OperationState, Record};
use super::observe::observe;
use super::operations::take_back;
use super::report::UndoReport;
use super::session::Work;
use super::{quarantine_counts, row_operations, sql_steps};
use crate::plan::model::Action;
use crate::plan::{Identifier, TableName};

/// What is said of an operation that another one stands before.
const NOT_TRIED: &str = "not tried, because it is older";

/// Takes everything back.
///
/// # Errors
/// [`Cause::RollbackIncomplete`] with the list of what remains.
pub(crate) async fn undo(work: &Work<'_>) -> Result<UndoReport, Error> {
    let mut records = work.journal.read_operations().await?;
    records.sort_by_key(|record| std::cmp::Reverse(record.sequence));
    records.retain(|record| record.state != OperationState::Undone);
    let held = Held::read(work).await?;
    let mut report = UndoReport::default();
    let mut unfinished: Vec<(&Record, Vec<String>)> = Vec::new();
    let total = records.len() as u64;
    for (place, record) in records.iter().enumerate() {
        work.stop.check()?;
        let id = &record.operation.id;
        work.progress.update(|reading| {
            reading.activity = format!("taking back {id}");
            (reading.operations_done, reading.operations_total) = (place as u64, total);
        });
        let one = undo_one(work, record, &held, &mut report);
        let result = one.instrument(tracing::error_span!("operation", operation = %id)).await;
        match result {
            Ok(conflicts) if conflicts.is_empty() => {}
            Ok(conflicts) => {
                unfinished.push((record, conflicts));
                continue;
            }
            Err(error) if interrupts(&error) => return Err(error.while_doing(format!("taking back {id}"))),
            Err(error) => {
                let mut left: Vec<Left> = unfinished.iter().map(|(record, _)| rows_left(record)).collect();
                let mut remains: Vec<String> = unfinished.into_iter().flat_map(|(_, conflicts)| conflicts).collect();
                // What is older may be needed by this one: going on would hide the first cause behind others.
                remains.push(format!("{id}: {}", error.message));
                left.push(left_of(record, error.without_values()));
                for older in records.iter().skip(place + 1) {
                    remains.push(format!("{}: {NOT_TRIED}", older.operation.id));
                    left.push(left_of(older, NOT_TRIED.to_owned()));
                }
                return Err(incomplete(&remains, left));
            }
        }
        work.journal.undone(id).await?;
        report.undone.push(id.clone());
    }
    let (mut remains, mut left) = (Vec::new(), Vec::new());
    for (record, conflicts) in finish_rows(work, unfinished, &held, &mut report).await? {
        remains.extend(conflicts);
        left.push(rows_left(record));
    }
    let mut differences = Vec::new();
    compare(work, &mut report, &mut differences).await?;
    left.extend(differences.iter().map(|what| Left { operation: None, what: what.clone(), inverse: None }));
    remains.extend(differences);
    report.quarantined = Box::pin(quarantine_counts::count(work)).await?;
    if remains.is_empty() { Ok(report) } else { Err(incomplete(&remains, left)) }
}

fn left_of(record: &Record, what: String) -> Left {
    let operation = &record.operation;
    Left { operation: Some(operation.id.clone()), what, inverse: operation.inverse.clone() }
}

/// Rows are named by their keys in the message only: a key may be somebody's address.
fn rows_left(record: &Record) -> Left {
    let table = record.operation.action.table();
    left_of(
        record,
        format!("rows or values of {table}, or of what went with them, could not go back and stay in quarantine"),
    )
}

/// Errors after which the same undo is simply run again.
fn interrupts(error: &Error) -> bool {
    error.is_transient() || error.shuts_out() || matches!(error.cause, Cause::Stopped | Cause::FenceLost)
}

fn incomplete(remains: &[String], left: Vec<Left>) -> Error {
    let message = format!("the rollback is not complete; what was changed and is not back: {}", remains.join("; "));
    Error { left, ..Error::new(Cause::RollbackIncomplete, message) }
}

async fn undo_one(
    work: &Work<'_>,
    record: &Record,
    held: &Held,
    report: &mut UndoReport,
) -> Result<Vec<String>, Error> {
    let result = match (Goal::of_undoing(&record.operation.action), &record.operation.action) {
        (Some(goal), _) => undo_change(work, record, goal).await.map(|()| Vec::new()),
        (None, Action::Sql(step)) => Box::pin(sql_steps::take_back(work, step, record)).await.map(|()| Vec::new()),
        (None, _) => undo_rows(work, record, held, report).await,
    };
    if matches!(&result, Ok(conflicts) if conflicts.is_empty()) {
        tracing::info!("taken back");
    }
    result
}

async fn undo_change(work: &Work<'_>, record: &Record, goal: Goal<'_>) -> Result<(), Error> {
    match goal.standing(&observe(work, &goal.tables()).await?) {
        // Never happened, or was taken back before an interruption.
        Standing::Reached => return Ok(()),
        Standing::NotReached => {}
        Standing::Contradicted(found) => {
            return Err(Error::new(
                Cause::Drifted,
                format!("{found}; it is left alone, because this migration did not make it so"),
            ));
        }
    }
    if let Action::AddColumn { table, column } = &record.operation.action {
        Box::pin(row_operations::keep_column_values(work, table, column)).await?;
    }
    take_back(work, &record.operation, goal).await?;
    Ok(())
}

/// Puts rows and values back; returns what stays in quarantine.
async fn undo_rows(
    work: &Work<'_>,
    record: &Record,
    held: &Held,
    report: &mut UndoReport,
) -> Result<Vec<String>, Error> {
    let id = &record.operation.id;
    let restored = Box::pin(row_operations::restore(work, &record.operation, held)).await?;
    let conflicts = restored.conflicts.iter().map(|conflict| format!("{id}: {conflict}")).collect();
    let sum = report.restored.entry(id.clone()).or_default();
    sum.rows_restored += restored.rows_restored;
    sum.values_restored += restored.values_restored;
    sum.values_of_deleted_rows = restored.values_of_deleted_rows;
    sum.conflicts = restored.conflicts;
    Ok(conflicts)
}

/// Tries rows that could not go back again, as long as any of them does: a key that is older than their operation may have stood
/// in the way and is gone now, or a row that they belong to is back. What stays is left announced for another call.
async fn finish_rows<'a>(
    work: &Work<'_>,
    mut unfinished: Vec<(&'a Record, Vec<String>)>,
    held: &Held,
    report: &mut UndoReport,
) -> Result<Vec<(&'a Record, Vec<String>)>, Error> {
    let restored = |report: &UndoReport| -> u64 {
        report.restored.values().map(|restored| restored.rows_restored + restored.values_restored).sum()
    };
    while !unfinished.is_empty() {
        let before = restored(report);
        let mut still = Vec::new();
        for (record, _) in unfinished {
            work.stop.check()?;
            let id = &record.operation.id;
            let conflicts = undo_rows(work, record, held, report)
                .await
                .map_err(|error| error.while_doing(format!("taking back {id}")))?;
            if conflicts.is_empty() {
                work.journal.undone(id).await?;
                report.undone.push(id.clone());
            } else {
                still.push((record, conflicts));
            }
        }
        unfinished = still;
        if restored(report) == before {
            break;
        }
    }
    Ok(unfinished)
}

/// Compares every touched table with its before-image.
pub(crate) async fn compare(work: &Work<'_>, report: &mut UndoReport, remains: &mut Vec<String>) -> Result<(), Error> {
    let catalogue = observe(work, &planned_tables(work)?).await?;
    for (name, before) in &work.plan.tables {
        match catalogue.tables.get(name).map(|table| table.create_statement.as_str()) {
            None => remains.push(format!("table {name} does not exist any more")),
            Some(now) if now == before => report.tables_compared.push(name.clone()),
            Some(now) => {
                remains.push(format!("table {name} differs from its before-image: {}", difference(before, now)))
            }
        }
    }
    Ok(())
}

/// The tables whose before-images the plan holds.
///
/// # Errors
/// [`Cause::UnknownFormat`] for a name that is no table's.
pub(crate) fn planned_tables(work: &Work<'_>) -> Result<Vec<TableName>, Error> {
    work.plan
        .tables
        .keys()
        .map(|name| {
            table_name(work, name).ok_or_else(|| {
                Error::new(
                    Cause::UnknownFormat,
                    format!("the plan holds a before-image of {name:?}, which is no table"),
                )
            })
        })
        .collect()
}

/// The table of a before-image, by what the plan names: a dot may be part of a name, so the text is not split.
fn table_name(work: &Work<'_>, name: &str) -> Option<TableName> {
    let prefix = format!("{}.", work.plan.schema);
    work.plan
        .operations
        .iter()
        .flat_map(|operation| match (&operation.action, Goal::of(&operation.action)) {
            (_, Some(goal)) => goal.tables(),
            (Action::Sql(step), None) => std::iter::once(&step.table).chain(&step.reads).cloned().collect(),
            (action, None) => vec![action.table().clone()],
        })
        .chain(work.plan.adopted.iter().flat_map(|key| [key.child.clone(), key.parent.clone()]))
        .find(|table| table.to_string() == name)
        .or_else(|| {
            let table = Identifier::new(name.strip_prefix(&prefix)?).ok()?;
            Some(TableName::new(work.plan.schema.clone(), table))
        })
}

/// The first lines that only one of two definitions has.
pub(crate) fn difference(before: &str, now: &str) -> String {
    fn only_in<'a>(one: &'a str, other: &str) -> Option<&'a str> {
        one.lines().map(bare).find(|line| !other.lines().map(bare).any(|each| each == *line))
    }
    match (only_in(before, now), only_in(now, before)) {
        (None, None) => "the same lines in another order".to_owned(),
        (Some(missing), None) => format!("missing is: {missing}"),
        (None, Some(added)) => format!("new is: {added}"),
        (Some(missing), Some(added)) => format!("it was: {missing}; it is: {added}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_the_line() {
        assert_eq!(difference("a\nb", "a\nb\nc"), "new is: c");
        assert_eq!(difference("a,\n  KEY `b` (`b`)", "a"), "missing is: KEY `b` (`b`)");
        assert_eq!(difference("a,\n`b` int,", "a,\n`b` bigint,"), "it was: `b` int; it is: `b` bigint");
        assert_eq!(difference("a\nb", "b\na"), "the same lines in another order");
    }
}
