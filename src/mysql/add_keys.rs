//! Adding the foreign keys of a section: each by a change of metadata that holds nobody up, then one wait for all transactions that
//! are older than the youngest of them, then the proof of each. Between its change and its proof a key is enforced and, in the
//! journal, still only announced: whoever takes over proves it, or takes it back.

use std::time::{Duration, Instant};

use futures::TryStreamExt as _;

use super::barrier;
use super::ddl::Applied;
use super::error::{Cause, Error};
use super::goal::{Goal, Standing};
use super::journal::SEQUENCE_STEP;
use super::observe::{count_each, observe, orphans_of};
use super::operations::{add_rows, announce, apply, complete, milliseconds, note, run_part, take_back};
use super::report::OperationReport;
use super::session::Work;
use crate::plan::Operation;
use crate::plan::catalogue::ForeignKey;
use crate::plan::model::{Action, Estimate, LockClass, OrphanPolicy};

/// A key that is enforced and not proven yet.
#[must_use]
pub(crate) struct Unproven<'a> {
    operation: &'a Operation,
    key: &'a ForeignKey,
    policy: OrphanPolicy,
    sequence: u64,
    report: OperationReport,
    /// What adding it took.
    spent: Duration,
}

/// Adds a key online, after a cleanup of what has no parent by now.
///
/// # Errors
/// [`Cause::OrphansFound`] under policy Fail, or what the change meets.
pub(crate) async fn add<'a>(
    work: &Work<'_>,
    operation: &'a Operation,
    (key, policy): (&'a ForeignKey, OrphanPolicy),
    sequence: u64,
    resumed: bool,
    mut report: OperationReport,
) -> Result<Unproven<'a>, Error> {
    let started = Instant::now();
    let goal = Goal::Key(key);
    let there = resumed && goal.standing(&observe(work, &goal.tables()).await?) == Standing::Reached;
    if !there {
        work.progress.update(|reading| reading.activity = format!("counting orphans of {}", key.name));
        let orphans = orphans_of(work, key).await?.orphans;
        if orphans > 0 {
            let part = cleanup_part(operation, key, policy, "orphans", orphans)?;
            work.counted.keep(&part.id, orphans);
            add_rows(&mut report.rows, &run_part(work, &part, sequence - 1).await?);
        }
    }
    let applied = match announce(work, operation, goal, sequence, resumed).await? {
        true => Applied::default(),
        false => apply(work, operation, goal).await?,
    };
    note(&mut report, applied);
    Ok(Unproven { operation, key, policy, sequence, report, spent: started.elapsed() })
}

/// Waits until every transaction that is older than one of the keys has ended, then proves the keys one by one.
///
/// # Errors
/// [`Cause::VerificationFailed`] or [`Cause::OrphansFound`] for a key that cannot be made true, which is dropped again;
/// [`Cause::BarrierTimeout`] naming the transactions that do not end.
pub(crate) async fn prove(work: &Work<'_>, added: Vec<Unproven<'_>>) -> Result<Vec<OperationReport>, Error> {
    let label = match &added[..] {
        [] => return Ok(Vec::new()),
        [one] => one.operation.id.clone(),
        [first, .., last] => format!("{} keys from {} to {}", added.len(), first.key.name, last.key.name),
    };
    work.progress.update(|reading| reading.activity = format!("waiting for transactions older than {label}"));
    barrier::wait(work, &label).await?;
    let mut reports = Vec::with_capacity(added.len());
    let with_keys = added.into_iter().map(|each| {
        let key = each.key;
        (each, key)
    });
    let mut counts = count_each(work, with_keys.collect());
    while let Some((mut each, stragglers)) = counts.try_next().await? {
        work.stop.check()?;
        let started = Instant::now();
        prove_one(work, &mut each, stragglers.answer.orphans).await?;
        each.report.milliseconds = milliseconds(each.spent + stragglers.took + started.elapsed());
        complete(work, &each.report).await?;
        tracing::info!(operation = each.operation.id, milliseconds = each.report.milliseconds, "done");
        work.progress.update(|reading| reading.operations_done += 1);
        reports.push(each.report);
    }
    Ok(reports)
}

#[tracing::instrument(level = "error", name = "operation", skip_all, fields(operation = %added.operation.id))]
async fn prove_one(work: &Work<'_>, added: &mut Unproven<'_>, stragglers: u64) -> Result<(), Error> {
    let Unproven { operation, key, policy, sequence, .. } = *added;
    if stragglers == 0 {
        return Ok(());
    }
    let cleaned = match cleanup_part(operation, key, policy, "stragglers", stragglers) {
        Ok(part) => {
            work.counted.keep(&part.id, stragglers);
            run_part(work, &part, sequence - SEQUENCE_STEP / 2).await
        }
        Err(error) => Err(error),
    };
    let error = match cleaned {
        Ok(cleaned) => {
            add_rows(&mut added.report.rows, &cleaned);
            let left = orphans_of(work, key).await?.orphans;
            if left == 0 {
                return Ok(());
            }
            Error::new(
                Cause::VerificationFailed,
                format!("{}: {left} rows of {} still refer to no row of {}", key.name, key.child, key.parent),
            )
        }
        // The key stays for the next run, which goes on here.
        Err(error) if matches!(error.cause, Cause::Stopped | Cause::FenceLost) || error.is_transient() => {
            return Err(error);
        }
        Err(error) => error,
    };
    // A key that lies is worse than none.
    take_back(work, operation, Goal::NoKey(key)).await?;
    work.journal.undone(&operation.id).await?;
    Err(error.while_doing(format!("{} was dropped again", key.name)))
}

/// The cleanup of orphans that are found while a key is added.
fn cleanup_part(
    operation: &Operation,
    key: &ForeignKey,
    policy: OrphanPolicy,
    what: &str,
    count: u64,
) -> Result<Operation, Error> {
    if policy == OrphanPolicy::Fail {
        return Err(Error::new(
            Cause::OrphansFound,
            format!(
                "{} ({}): {count} rows of {} refer to no row of {}, and the policy is Fail: repair them, or set orphans to Delete or SetNull",
                key.name, operation.path, key.child, key.parent
            ),
        ));
    }
    Ok(Operation {
        id: format!("{}-{what}", operation.id),
        section: operation.section,
        action: Action::RemoveOrphans { key: key.clone(), policy },
        forward: None,
        inverse: None,
        lock: LockClass::Batched,
        estimate: Estimate { rows: count, ..Estimate::default() },
        inverse_cost: None,
        path: operation.path.clone(),
    })
}
