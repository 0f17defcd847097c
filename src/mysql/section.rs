//! One section of a plan: its operations in their order, what they leave to each other, and what must hold at its end.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;

use super::error::{Cause, Error};
use super::operations::Ran;
use super::report::{QuarantineCounts, SectionReport};
use super::session::Work;
use super::work::Stop;
use super::{add_keys, drift, operations, proof, quarantine_counts, replica_proof, row_operations};
use crate::plan::Operation;
use crate::plan::model::Section;

/// Carries work out and asks it to stop when its time is over.
pub(crate) async fn stopping_at<T>(
    until: Option<Timestamp>,
    stop: &Stop,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let Some(until) = until else { return work.await };
    let left = Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or(Duration::ZERO);
    tokio::pin!(work);
    tokio::select! {
        result = &mut work => result,
        () = tokio::time::sleep(left) => {
            stop.0.cancel();
            work.await
        }
    }
}

/// Carries a section of the plan out: what differs from plan and journal is found first, then its operations run in order.
///
/// # Errors
/// As [`super::session::Session::run`].
pub(crate) async fn run_section(work: Work<'_>, section: Section) -> Result<SectionReport, Error> {
    let operations: Vec<&Operation> =
        work.plan.operations.iter().filter(|operation| operation.section == section).collect();
    let mut report = SectionReport {
        section,
        server_uuid: work.journal.server_uuid().to_owned(),
        operations: Vec::with_capacity(operations.len()),
        quarantined: QuarantineCounts::default(),
    };
    let total = operations.len() as u64;
    work.progress
        .update(|reading| "looking whether the catalogue is as plan and journal say".clone_into(&mut reading.activity));
    work.stop.reading(Box::pin(drift::check(&work))).await?;
    work.counted.forget();
    if section == Section::CleanUp {
        Box::pin(row_operations::check_allowance(&work, &operations)).await?;
    }
    let mut unproven = Vec::new();
    for &operation in &operations {
        work.stop.check()?;
        let done = report.operations.len() as u64;
        work.progress.update(|reading| {
            reading.activity.clone_from(&operation.id);
            (reading.operations_done, reading.operations_total, reading.waiting) = (done, total, None);
        });
        match Box::pin(operations::run(&work, operation)).await? {
            Ran::Done(done) => report.operations.push(done),
            Ran::Added(key) => unproven.push(key),
        }
    }
    report.operations.extend(Box::pin(add_keys::prove(&work, unproven)).await?);
    Box::pin(replica_proof::prove_section(&work, &operations)).await?;
    if section == Section::CleanUp {
        let later = Box::pin(row_operations::clean_to_fixpoint(&work, &operations, &report.operations)).await?;
        for done in &mut report.operations {
            if let (Some(rows), Some(more)) = (&mut done.rows, later.get(&done.operation)) {
                rows.add(more);
            }
        }
    }
    if let Section::Stage(place) = section {
        let stage = work.plan.stages.get(place).ok_or_else(|| {
            Error::new(
                Cause::InvalidSpec,
                format!("the plan has {} stages, stage number {place} was asked for", work.plan.stages.len()),
            )
        })?;
        proof::check_expectations(&work, stage).await?;
    }
    report.quarantined = Box::pin(quarantine_counts::count(&work)).await?;
    work.progress.update(|reading| (reading.operations_done, reading.waiting) = (total, None));
    Ok(report)
}
