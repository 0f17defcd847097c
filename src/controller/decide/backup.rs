//! The backup: rows are counted, a Job dumps, the dump is inspected, and with verification Restore another Job restores it and compares. A
//! backup that only repeats a proven one, because that grew too old, is inspected. A VolumeSnapshot has a file of its own.

use kube::ResourceExt as _;

use crate::api::backup::{BackupMethod, Destination, Verification};
use crate::api::gates::{GatePoint, GatedPhase};
use crate::api::status::{BackupProgress, BackupStatus, JobPurpose, JobState, Phase, RestoreStatus};
use crate::api::{ConditionType, Reason};
use crate::backup::{Outcome, Restored, Summary};
use crate::mysql::Allowance;

use super::super::approvals;
use super::super::decision::{Decision, Effect, Fact, JobRequest, Verdict};
use super::super::external_backup;
use super::super::observed::{JobView, Task, TaskResult, backup_status, restore_status};
use super::before::passed;
use super::case::{Case, JobEnd, JobPlace};
use super::failure::unexpected;
use super::{change, rehearsal, volume_snapshot};

pub(super) fn back_up(case: &Case<'_>) -> Decision {
    if let Some(decision) = case.gate(GatePoint::Phase(GatedPhase::BackUp)) {
        return decision;
    }
    let attempt = case.status.backup.as_ref().map_or(1, |backup| backup.attempt.max(1));
    match case.migration.spec.backup.method() {
        Ok(BackupMethod::External) => return external(case, attempt),
        Ok(BackupMethod::VolumeSnapshot(wanted)) => return volume_snapshot::take(case, wanted, attempt),
        Ok(BackupMethod::Job(_)) => {}
        // The API server refuses such an object.
        Err(error) => return case.fail(Phase::BackUp, Reason::InvalidSpec, &format!("spec.backup: {error}")),
    }
    if let Some(inspected) = inspected(case) {
        return restore(case, inspected);
    }
    let place = JobPlace { phase: Phase::BackUp, purpose: JobPurpose::Backup, test: None, attempt };
    let create = |name: String| {
        case.task(Phase::BackUp, Task::CountBeforeBackup(attempt), Allowance::default(), |result| match result {
            TaskResult::Counted { baseline, changes } => {
                let request = JobRequest::Backup { name: name.clone(), attempt, baseline: baseline.clone() };
                Decision::new(Verdict::Working(Phase::BackUp, format!("creating the backup Job {name}")))
                    .effect(Effect::CreateJob(request))
                    .fact(Fact::Backup(Box::new(begun(case, attempt, changes))))
            }
            TaskResult::BackupUnproven(message) => case.fail(Phase::BackUp, Reason::BackupUnverified, message),
            other => unexpected(case, other),
        })
    };
    let decision = case.job(place, create, |end| match end {
        JobEnd::Succeeded { name, message } => made(case, name, attempt, message),
        JobEnd::Failed { name, message, delete, .. } => {
            job_failed(case, Reason::BackupFailed, name, message, delete, &described(case))
        }
    });
    let name = case.job_name(place);
    match case.observed.job(&name) {
        JobView::Running { problem: None, progress: Some(progress), .. } => {
            going_on(case, attempt, &name, progress, decision)
        }
        _ => decision,
    }
}

/// The backup whose Job is being made, with what another migration must not have changed until it counts.
fn begun(case: &Case<'_>, attempt: i32, changes: &str) -> BackupStatus {
    let known = case.status.backup.clone().unwrap_or_default();
    BackupStatus { attempt, changes_before: Some(changes.to_owned()), ..known }
}

/// Tells how far the dump is.
fn going_on(case: &Case<'_>, attempt: i32, name: &str, progress: &BackupProgress, decision: Decision) -> Decision {
    let BackupProgress { bytes, bytes_per_second, tables, tables_in_all, rows, rows_in_all, seconds_left } = progress;
    let left = seconds_left.map(|seconds| format!(", about {seconds} s left")).unwrap_or_default();
    let message = format!(
        "the Job {name} runs: {} MB at {:.1} MB/s, {tables} of {tables_in_all} tables, {rows} of {rows_in_all} rows{left}",
        bytes / 1_000_000,
        *bytes_per_second as f64 / 1e6
    );
    let known = case.status.backup.clone().unwrap_or_default();
    let status = BackupStatus { attempt, progress: Some(progress.clone()), ..known };
    Decision { verdict: Verdict::Working(Phase::BackUp, message), ..decision }.fact(Fact::Backup(Box::new(status)))
}

/// One that was made elsewhere: the gate has asked for it.
fn external(case: &Case<'_>, attempt: i32) -> Decision {
    let digest = case.status.plan.as_ref().map(|plan| plan.digest.as_str()).unwrap_or_default();
    let point = GatePoint::Phase(GatedPhase::BackUp);
    let (current, _) = approvals::of_plan(&case.observed.approvals, case.migration, point, digest);
    let (current, _) = approvals::guarded(&case.observed.policies, current);
    let (approval, snapshot) = match external_backup::newest(case.migration, current.into_iter(), case.now) {
        Ok(found) => found,
        Err((reason, message)) => return Decision::new(Verdict::Waiting(Phase::BackUp, reason, message)),
    };
    let message = format!(
        "the backup {:?} of {} was made elsewhere; {} answers for it with the MigrationApproval {:?}",
        snapshot.id,
        snapshot.taken_at.0,
        approval.spec.approved_by,
        approval.name_any()
    );
    let status = BackupStatus {
        attempt,
        taken_at: Some(snapshot.taken_at.clone()),
        location: Some(format!("external/{}", snapshot.id)),
        verified: Some(Verification::None),
        ..BackupStatus::default()
    };
    passed(Phase::BackUp, ConditionType::BackedUp, message).fact(Fact::Backup(Box::new(status)))
}

/// A Job that failed, or would not start.
fn job_failed(case: &Case<'_>, reason: Reason, name: &str, message: String, delete: bool, described: &str) -> Decision {
    let text = format!("{} ({described})", failure_text(&message));
    let decision = case.fail(Phase::BackUp, reason, &text).fact(Fact::JobSeen {
        name: name.to_owned(),
        uid: None,
        state: JobState::Failed,
        message: Some(message),
    });
    if delete { decision.effect(Effect::DeleteJob(name.to_owned())) } else { decision }
}

/// The Job's container says in JSON what it came to; people read the sentence in it, or what ended it where that is none.
pub(super) fn failure_text(message: &str) -> String {
    let Some(start) = ["{\"failed\":", "{\"restored\":"].into_iter().find_map(|start| message.find(start)) else {
        return message.to_owned();
    };
    let (before, left) = message.split_at(start);
    let before = before.trim_end_matches([':', ' ']);
    match serde_json::from_str::<Outcome>(left) {
        Ok(Outcome::Failed(text)) => format!("{before}: {text}"),
        Ok(_) => before.to_owned(),
        Err(_) => message.to_owned(),
    }
}

/// Where the backup is described, and the two objects there that it most often fails for.
fn described(case: &Case<'_>) -> String {
    let image = case.migration.spec.backup.job.as_ref().map(|job| job.image.as_str()).unwrap_or_default();
    let place = match destination(case) {
        Some(Destination::PersistentVolumeClaim(claim)) => {
            format!("the PersistentVolumeClaim is {:?}", claim.claim_name)
        }
        Some(Destination::S3(s3)) => format!("the bucket is {:?}", s3.bucket),
        None => "the destination is not set".to_owned(),
    };
    format!("spec.backup.job.image is {image:?}, {place}")
}

/// The same for the scratch server.
pub(super) fn scratch_described(case: &Case<'_>) -> String {
    let scratch = case.migration.spec.backup.scratch.as_ref();
    let image = scratch.map(|scratch| scratch.image.as_str()).unwrap_or_default();
    let storage = scratch.and_then(|scratch| scratch.storage.as_ref());
    let storage = storage.map_or_else(|| "not set".to_owned(), |storage| format!("{:?}", storage.0));
    format!("spec.backup.scratch.image is {image:?}, spec.backup.scratch.storage is {storage}")
}

fn destination<'a>(case: &'a Case<'_>) -> Option<Destination<'a>> {
    case.migration.spec.backup.job.as_ref()?.destination.destination().ok()
}

/// What a Job that succeeded left; why it is not known, where it left nothing that can be read.
pub(super) fn left(name: &str, message: Option<&str>) -> Result<Outcome, String> {
    match message.map(serde_json::from_str::<Outcome>) {
        Some(Ok(outcome)) => Ok(outcome),
        Some(Err(error)) => {
            Err(format!("the Job {name} succeeded, but its termination message cannot be read: {error}"))
        }
        None => Err(format!("the Job {name} succeeded, but left no termination message, so its result is not known")),
    }
}

/// Something else than belongs to the Job.
fn misplaced(case: &Case<'_>, name: &str, outcome: Outcome) -> Decision {
    match outcome {
        Outcome::Failed(message) => case.fail(Phase::BackUp, Reason::BackupFailed, &message),
        other => {
            let text = format!("the Job {name} left a result that does not belong to it: {other:?}");
            case.fail(Phase::BackUp, Reason::BackupUnverified, &text)
        }
    }
}

fn made(case: &Case<'_>, name: &str, attempt: i32, message: Option<&str>) -> Decision {
    let summary = match left(name, message) {
        Ok(Outcome::Made(summary)) => summary,
        Ok(other) => return misplaced(case, name, other),
        Err(text) => return case.fail(Phase::BackUp, Reason::BackupUnverified, &text),
    };
    let mut status = dumped(case, name, attempt, &summary);
    let verification = case.migration.spec.backup.verification;
    let seen = Fact::JobSeen { name: name.to_owned(), uid: None, state: JobState::Succeeded, message: None };
    if verification == Verification::None {
        status.verified = Some(Verification::None);
        let message = format!("{}; taken on trust, as spec.backup.verification None says", what(&status));
        return passed(Phase::BackUp, ConditionType::BackedUp, message).fact(seen).fact(Fact::Backup(Box::new(status)));
    }
    let task = Task::CheckBackup(attempt);
    case.task(Phase::BackUp, task, Allowance::default(), |result| match result {
        TaskResult::BackupProven => {
            status.verified = Some(Verification::Inspect);
            let agrees = format!("{}; every table's rows agree with the database", what(&status));
            let decision = match (verification, &status.restore) {
                // On to the restore, which is begun behind the gate as everything else.
                (Verification::Restore, None) => {
                    Decision::new(Verdict::Working(Phase::BackUp, format!("{agrees}; restoring it for proof")))
                        .effect(Effect::ForgetTask(task))
                        .at_once()
                }
                (Verification::Restore, Some(earlier)) => {
                    let message = format!(
                        "{agrees}; the backup before, number {}, was restored and compared, and this one repeats it",
                        earlier.attempt
                    );
                    passed(Phase::BackUp, ConditionType::BackedUp, message)
                }
                _ => passed(Phase::BackUp, ConditionType::BackedUp, agrees),
            };
            decision.fact(seen).fact(Fact::Backup(Box::new(status)))
        }
        TaskResult::BackupUnproven(message) => case.fail(Phase::BackUp, Reason::BackupUnverified, message),
        TaskResult::BackupOutdated(message) => change::outdated(case, message).fact(seen),
        other => unexpected(case, other),
    })
}

/// The dump as its Job described it, with the restore that proved an earlier one.
fn dumped(case: &Case<'_>, name: &str, attempt: i32, summary: &Summary) -> BackupStatus {
    let location = destination(case).map(|destination| destination.location(&summary.file)).unwrap_or_default();
    let known = case.status.backup.clone().unwrap_or_default();
    let (restore, removal, changes_before) = (known.restore, known.removal, known.changes_before);
    BackupStatus { restore, removal, changes_before, ..backup_status(summary, name, attempt, location) }
}

fn what(backup: &BackupStatus) -> String {
    let number = |number: Option<i64>| number.unwrap_or_default();
    format!("{} bytes, {} rows in {} tables", number(backup.bytes), number(backup.rows), number(backup.tables))
}

/// A backup that was inspected and is to be restored.
fn inspected<'a>(case: &'a Case<'_>) -> Option<&'a BackupStatus> {
    let wanted = case.migration.spec.backup.verification == Verification::Restore;
    case.status.backup.as_ref().filter(|backup| wanted && backup.verified.is_some() && backup.restore.is_none())
}

fn restore(case: &Case<'_>, backup: &BackupStatus) -> Decision {
    let attempt = backup.attempt;
    let place = JobPlace { phase: Phase::BackUp, purpose: JobPurpose::VerifyBackup, test: None, attempt };
    let create = |name: String| {
        let manifest = backup.manifest_sha256.clone().unwrap_or_default();
        let plan = rehearsal::with_the_restore(case);
        let and = if plan.is_some() { " and rehearses the plan" } else { "" };
        let message = format!("creating the Job {name}, which restores the backup{and}");
        let request = JobRequest::VerifyBackup { name, attempt, manifest, plan };
        Decision::new(Verdict::Working(Phase::BackUp, message)).effect(Effect::CreateJob(request))
    };
    case.job(place, create, |end| match end {
        JobEnd::Succeeded { name, message } => match left(name, message) {
            Ok(Outcome::Restored(restored)) => proven(name, backup, &restored, None),
            Ok(other) => misplaced(case, name, other),
            Err(text) => case.fail(Phase::BackUp, Reason::BackupUnverified, &text),
        },
        JobEnd::Failed { name, message, delete, left } => match left.map(serde_json::from_str::<Outcome>) {
            // What it left it left once the backup was proven; what came to nothing is the rehearsal.
            Some(Ok(Outcome::Restored(restored))) if restored.rehearsal.is_some() => {
                proven(name, backup, &restored, Some(&message))
            }
            _ => job_failed(case, Reason::BackupUnverified, name, message, delete, &scratch_described(case)),
        },
    })
}

fn proven(name: &str, backup: &BackupStatus, restored: &Restored, failure: Option<&str>) -> Decision {
    let found = restore_status(restored, name, backup.attempt);
    let message = format!("{}; every table's rows agree with the database; {}", what(backup), told(&found));
    let status = BackupStatus { verified: Some(Verification::Restore), restore: Some(found), ..backup.clone() };
    let state = if failure.is_some() { JobState::Failed } else { JobState::Succeeded };
    let seen = Fact::JobSeen { name: name.to_owned(), uid: None, state, message: failure.map(failure_text) };
    passed(Phase::BackUp, ConditionType::BackedUp, message)
        .facts([seen, Fact::Backup(Box::new(status))])
        .facts(rehearsal::recorded(restored, name, backup.attempt, failure))
}

/// What a restore showed, for people.
fn told(restore: &RestoreStatus) -> String {
    let seconds = restore.finished_at.0.duration_since(restore.started_at.0).as_secs();
    let lossy = match restore.lossy_columns {
        0 => String::new(),
        count => format!(
            ". Note: a dump holds six digits of a FLOAT, so these {count} columns would come back rounded: {}",
            restore.lossy.join(", ")
        ),
    };
    format!(
        "restored into MySQL {} and compared in {seconds} s: definitions and rows of all {} tables and {} views, triggers, routines and \
         events are those of the backup{lossy}",
        restore.server_version, restore.tables, restore.objects
    )
}
