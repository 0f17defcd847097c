//! Cleanup as a whole: removing a row can make orphans of its children under another key of the plan, so operations are repeated
//! until none of them finds anything.

use std::collections::BTreeMap;

use super::duplicates;
use super::error::{Cause, Error};
use super::ledger::Ledger;
use super::orphans::{self, MAX_ROUNDS};
use super::report::RowsReport;
use super::row_session::{Isolation, open};
use super::session::Work;
use crate::plan::Operation;
use crate::plan::identifier::TableName;
use crate::plan::model::{Action, DuplicatePolicy, OrphanPolicy};

/// Runs operations that remove rows, in their order, again and again until nothing is left to remove. Returns the report of each,
/// by operation id. Policies that stop the migration are looked at before anything is removed.
///
/// # Errors
/// As [`orphans::remove_orphans`] and [`duplicates::remove_duplicates`].
pub(crate) async fn clean_to_fixpoint(
    work: &Work<'_>,
    operations: &[&Operation],
) -> Result<BTreeMap<String, RowsReport>, Error> {
    let mut pending = vec![true; operations.len()];
    let mut runs = vec![0_u64; operations.len()];
    let mut reports: BTreeMap<String, RowsReport> = BTreeMap::new();
    let mut order: Vec<usize> = (0..operations.len()).collect();
    order.sort_by_key(|&index| !stops(&operations[index].action));
    while let Some(&index) = order.iter().find(|&&index| pending[index]) {
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
        let removed = match &operation.action {
            Action::RemoveOrphans { .. } => orphans::remove(work, operation).await?,
            Action::RemoveDuplicates { .. } => duplicates::remove(work, operation).await?,
            _ => return Err(Error::new(Cause::UnknownFormat, format!("operation {} removes no rows", operation.id))),
        };
        for (other, waits) in operations.iter().zip(&mut pending) {
            *waits |= depends(&other.action, &removed.tables);
        }
        let report = reports.entry(operation.id.clone()).or_default();
        report.rows_removed += removed.report.rows_removed;
        report.values_changed += removed.report.values_changed;
        report.rounds += removed.report.rounds;
    }
    Ok(reports)
}

/// Whether an operation only looks, and stops the migration when it finds something.
fn stops(action: &Action) -> bool {
    matches!(
        action,
        Action::RemoveOrphans { policy: OrphanPolicy::Fail, .. }
            | Action::RemoveDuplicates { policy: DuplicatePolicy::Fail, .. }
    )
}

/// Whether rows lost by these tables can give the operation something to do.
fn depends(action: &Action, tables: &[TableName]) -> bool {
    matches!(action, Action::RemoveOrphans { key, .. } if tables.contains(&key.parent))
}

/// Refuses before anything is taken where the orphans alone exceed the approval. A row can be an orphan of several keys, so of
/// each table only the key with the most is counted; batches count exactly.
pub(crate) async fn check_allowance(work: &Work<'_>, operations: &[&Operation]) -> Result<(), Error> {
    if work.allowance.max_rows.is_none() {
        return Ok(());
    }
    let mut connection = open(work, Isolation::ReadCommitted).await?;
    let mut most: BTreeMap<&TableName, u64> = BTreeMap::new();
    for operation in operations {
        if let Action::RemoveOrphans { key, policy } = &operation.action
            && *policy != OrphanPolicy::Fail
        {
            let orphans = orphans::count(work, &mut connection, key).await?;
            let table = most.entry(&key.child).or_default();
            *table = orphans.max(*table);
        }
    }
    Ledger::read(work, &mut connection).await?.check(most.values().sum(), "cleanup")?;
    connection.close().await
}
