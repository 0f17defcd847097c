//! Cleanup as a whole: removing a row can make orphans of its children under another key of the plan, and pointing a row elsewhere
//! can make it a duplicate, so operations are repeated until none of them has left work to another.

use std::collections::BTreeMap;

use futures::TryStreamExt as _;

use super::duplicates;
use super::error::{Cause, Error};
use super::ledger::Ledger;
use super::observe::count_each;
use super::orphans::{self, MAX_ROUNDS};
use super::report::{OperationReport, RowsReport};
use super::session::Work;
use crate::plan::Operation;
use crate::plan::identifier::TableName;
use crate::plan::model::{Action, OrphanPolicy};

/// Runs operations again that others, which came after them, may have left work to, until nothing is left. `first` is what each did
/// when it ran in its place. Returns the report of those that ran again, by operation id.
///
/// # Errors
/// As [`orphans::remove_orphans`] and [`duplicates::remove_duplicates`].
pub(crate) async fn clean_to_fixpoint(
    work: &Work<'_>,
    operations: &[&Operation],
    first: &[OperationReport],
) -> Result<BTreeMap<String, RowsReport>, Error> {
    let mut pending = left_open(operations, first);
    let mut runs = vec![0_u64; operations.len()];
    let mut reports: BTreeMap<String, RowsReport> = BTreeMap::new();
    while let Some(index) = pending.iter().position(|pending| *pending) {
        let operation = operations[index];
        pending[index] = false;
        runs[index] += 1;
        if runs[index] > MAX_ROUNDS {
            return Err(Error::new(
                Cause::RetriesExhausted,
                format!(
                    "operation {} found new rows in each of {MAX_ROUNDS} runs: stop what makes them first",
                    operation.id
                ),
            ));
        }
        let done = match &operation.action {
            Action::RemoveOrphans { .. } => orphans::remove_orphans(work, operation).await?,
            Action::RemoveDuplicates { .. } => duplicates::remove_duplicates(work, operation).await?,
            _ => return Err(Error::new(Cause::UnknownFormat, format!("operation {} removes no rows", operation.id))),
        };
        for (other, waits) in operations.iter().zip(&mut pending) {
            *waits |= leaves_work(&done, &other.action);
        }
        reports.entry(operation.id.clone()).or_default().add(&done);
    }
    Ok(reports)
}

/// The operations that another one may have left work to: orphans were counted before the first of them ran, duplicates when it was
/// their turn. What one that was found done removed when it ran again, before an interruption, nobody wrote down: then all are looked at.
fn left_open(operations: &[&Operation], first: &[OperationReport]) -> Vec<bool> {
    let known = first.len() == operations.len() && first.iter().all(|report| !report.found_done);
    let unseen = |place: usize, action: &Action| {
        let since = if matches!(action, Action::RemoveOrphans { .. }) { 0 } else { place + 1 };
        let others = first.iter().enumerate().filter(move |(other, _)| *other >= since && *other != place);
        others.filter_map(|(_, report)| report.rows.as_ref())
    };
    operations
        .iter()
        .enumerate()
        .map(|(place, Operation { action, .. })| !known || unseen(place, action).any(|rows| leaves_work(rows, action)))
        .collect()
}

/// Whether what was done can give the operation something to do.
fn leaves_work(done: &RowsReport, action: &Action) -> bool {
    match action {
        Action::RemoveOrphans { key, .. } => done.shrunk.contains(&key.parent),
        Action::RemoveDuplicates { table, .. } => done.repointed.contains(table),
        _ => false,
    }
}

/// Refuses before anything is taken where the orphans alone exceed the approval. A row can be an orphan of several keys, so of
/// each table only the key with the most is counted; batches count exactly.
pub(crate) async fn check_allowance(work: &Work<'_>, operations: &[&Operation]) -> Result<(), Error> {
    if work.allowance.max_rows.is_none() {
        return Ok(());
    }
    let keys = operations.iter().filter_map(|operation| match &operation.action {
        Action::RemoveOrphans { key, policy } if *policy != OrphanPolicy::Fail => {
            Some(((operation.id.as_str(), &key.child), key))
        }
        _ => None,
    });
    let mut counts = count_each(work, keys.collect());
    let mut most: BTreeMap<&TableName, u64> = BTreeMap::new();
    while let Some(((id, child), counted)) = counts.try_next().await? {
        work.counted.keep(id, counted.answer.orphans);
        let table = most.entry(child).or_default();
        *table = (*table).max(counted.answer.orphans);
    }
    let mut connection = work.lend().await?;
    Ledger::read(work, &mut connection).await?.check(most.values().sum(), "cleanup")?;
    connection.give_back();
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::mysql::operations::settled;
    use crate::plan::catalogue::{ForeignKey, ReferentialAction};
    use crate::plan::identifier::Identifier;
    use crate::plan::model::{DuplicatePolicy, Estimate, LockClass, Section};

    fn name(text: &str) -> Identifier {
        Identifier::new(text).unwrap()
    }

    fn table(text: &str) -> TableName {
        TableName::new(name("shop"), name(text))
    }

    fn operation(id: &str, action: Action) -> Operation {
        Operation {
            id: id.to_owned(),
            section: Section::CleanUp,
            action,
            forward: None,
            inverse: None,
            lock: LockClass::Batched,
            estimate: Estimate::default(),
            inverse_cost: None,
            path: String::new(),
        }
    }

    fn orphans_of(child: &str, parent: &str) -> Operation {
        let key = ForeignKey {
            name: name(&format!("fk_{child}_{parent}")),
            child: table(child),
            columns: vec![name("a")],
            parent: table(parent),
            parent_columns: vec![name("id")],
            on_delete: ReferentialAction::NoAction,
            on_update: ReferentialAction::NoAction,
        };
        operation(child, Action::RemoveOrphans { key, policy: OrphanPolicy::Delete })
    }

    fn duplicates_in(text: &str) -> Operation {
        let action = Action::RemoveDuplicates {
            table: table(text),
            columns: vec![name("a")],
            policy: DuplicatePolicy::KeepNewest,
            order_by: name("id"),
            dependents: Vec::new(),
        };
        operation(text, action)
    }

    fn report(shrunk: &[&str], repointed: &[&str]) -> OperationReport {
        let tables = |names: &[&str]| names.iter().map(|name| table(name)).collect();
        let rows = RowsReport { shrunk: tables(shrunk), repointed: tables(repointed), ..RowsReport::default() };
        OperationReport { rows: Some(rows), found_done: false, ..settled("any") }
    }

    #[test]
    fn only_what_another_operation_left_is_looked_at_again() {
        let operations = [orphans_of("lines", "orders"), orphans_of("orders", "users"), duplicates_in("orders")];
        let operations: Vec<&Operation> = operations.iter().collect();
        let nothing = || report(&[], &[]);
        assert_eq!(left_open(&operations, &[nothing(), nothing(), nothing()]), [false; 3]);
        assert_eq!(left_open(&operations, &[nothing(), report(&["orders"], &[]), nothing()]), [true, false, false]);
        // Orphans were counted before anything went, duplicates are looked for in their turn.
        assert_eq!(
            left_open(&operations, &[report(&["users"], &["orders"]), nothing(), nothing()]),
            [false, true, false]
        );
        assert_eq!(left_open(&operations, &[nothing(), nothing(), report(&["users"], &[])]), [false, true, false]);
        let first = [duplicates_in("orders"), duplicates_in("users")];
        let first: Vec<&Operation> = first.iter().collect();
        assert_eq!(left_open(&first, &[nothing(), report(&[], &["orders"])]), [true, false]);
    }

    #[test]
    fn after_an_interruption_everything_is_looked_at_again() {
        let operations = [orphans_of("lines", "orders"), orphans_of("orders", "users")];
        let operations: Vec<&Operation> = operations.iter().collect();
        assert_eq!(left_open(&operations, &[settled("lines"), report(&[], &[])]), [true; 2]);
    }
}
