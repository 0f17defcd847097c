//! The way back by the backup: what would be lost is counted and told at a gate of its own, a Job restores the backup's tables beside the
//! live ones, and the operator exchanges the two. Nothing that is in use is touched before the exchange, so that until then the migration
//! can still be undone instead.

use crate::api::Reason;
use crate::api::backup::{BackupType, Verification};
use crate::api::gates::{GatePoint, GatedPhase, OnFailure};
use crate::api::status::{JobPurpose, JobState, JobStatus, Phase, PutBackStatus};
use crate::api::steering::SteeringAction;
use crate::backup::Outcome;
use crate::mysql::Allowance;
use crate::mysql::report::PutBackReport;
use crate::plan::render::counted;

use super::super::approvals;
use super::super::decision::{Decision, Effect, End, Fact, JobRequest, Verdict};
use super::super::observed::{Task, TaskResult, signed};
use super::super::{loss, put_back_names};
use super::backup::{failure_text, left, scratch_described};
use super::case::{Case, JobEnd, JobPlace};
use super::failure::unexpected;

/// The field that chooses this way.
const FIELD: &str = "spec.rollback.onFailure";
const GATE: GatePoint<'static> = GatePoint::Phase(GatedPhase::RestoreBackup);

/// Whether the migration is taken back by its backup.
pub(super) fn is_chosen(case: &Case<'_>) -> bool {
    case.status.rollback.as_ref().is_some_and(|rollback| rollback.strategy == OnFailure::RestoreBackup)
}

/// The tasks of this way back.
pub(super) fn is_own(task: Task) -> bool {
    matches!(task, Task::CountLoss | Task::PrepareRestore(_) | Task::PutBack)
}

fn known(case: &Case<'_>) -> PutBackStatus {
    case.status.rollback.as_ref().and_then(|rollback| rollback.put_back.clone()).unwrap_or_default()
}

/// Counts what would be lost, and passes the gate.
pub(super) fn ask(case: &Case<'_>) -> Option<Decision> {
    if let Some(why) = impossible(case) {
        let undo = case.command("Take every change back instead", SteeringAction::Rollback);
        let message = format!("the backup cannot be put back: {why}. {undo}");
        return Some(case.fail(Phase::RollBack, Reason::RollbackFailed, &message));
    }
    if known(case).loss.is_none() {
        return Some(case.task(Phase::RollBack, Task::CountLoss, Allowance::default(), |result| {
            let TaskResult::LossCounted(found) = result else { return unexpected(case, result) };
            let found = loss::status(found, case.now);
            let message = format!("counted what the backup would lose: at most {} rows", found.rows);
            Decision::new(Verdict::Working(Phase::RollBack, message)).fact(Fact::Loss(Some(Box::new(found)))).at_once()
        }));
    }
    case.gate(GATE)
}

/// Why there is no backup that could be put back. The spec of the rollback may have been changed since planning.
fn impossible(case: &Case<'_>) -> Option<String> {
    if let Some((_, why)) = case.observed.refusals.iter().find(|(path, _)| path == FIELD) {
        return Some(why.clone());
    }
    let backup = &case.migration.spec.backup;
    let made = case.status.backup.as_ref().and_then(|made| made.manifest_sha256.as_ref());
    match (backup.backup_type, backup.verification, made) {
        (BackupType::Job, Verification::Restore, Some(_)) => {}
        (BackupType::Job, Verification::Restore, None) => return Some("the status knows of no backup".to_owned()),
        _ => {
            return Some(
                "only a backup of type Job whose verification is Restore is put back, and spec.backup asks for another"
                    .to_owned(),
            );
        }
    }
    put_back_names::journal_schema(case.migration).err()
}

/// Restores the backup beside the live tables, and exchanges them.
pub(super) fn restore(case: &Case<'_>, file_left: Vec<String>) -> Decision {
    let place =
        JobPlace { phase: Phase::RollBack, purpose: JobPurpose::RestoreBackup, test: None, attempt: attempt(case) };
    let restored = case.job_entry(&case.job_name(place)).is_some_and(|job| job.state == JobState::Succeeded);
    if restored || known(case).in_place {
        return exchange(case, file_left);
    }
    let create = |name: String| {
        let task = Task::PrepareRestore(place.attempt);
        case.task(Phase::RollBack, task, Allowance::default(), |result| {
            let TaskResult::RestorePrepared { in_place, schema } = result else { return unexpected(case, result) };
            if *in_place {
                // Done before, and whoever did it could not tell.
                let message = "not needed: the backup is in place already".to_owned();
                let why = Some(message.clone());
                let seen = Fact::JobSeen { name: name.clone(), uid: None, state: JobState::Failed, message: why };
                return Decision::new(Verdict::Working(Phase::RollBack, message))
                    .facts([seen, Fact::FoundInPlace])
                    .at_once();
            }
            let backup = case.status.backup.clone().unwrap_or_default();
            let request = JobRequest::RestoreTables {
                name: name.clone(),
                attempt: backup.attempt,
                manifest: backup.manifest_sha256.unwrap_or_default(),
                schema: schema.clone(),
            };
            let message =
                format!("creating the Job {name}, which restores the backup's tables into the schema {schema}");
            Decision::new(Verdict::Working(Phase::RollBack, message))
                .fact(Fact::RestoredInto(schema.clone()))
                .effect(Effect::CreateJob(request))
        })
    };
    case.job(place, create, |end| {
        let seen = |name: &str, state, message| Fact::JobSeen { name: name.to_owned(), uid: None, state, message };
        match end {
            JobEnd::Succeeded { name, message } => match left(name, message) {
                Ok(Outcome::Restored(restored)) => {
                    let message = format!(
                        "the backup is restored and compared: {} rows in {} tables are those of the backup",
                        restored.rows, restored.tables
                    );
                    Decision::new(Verdict::Working(Phase::RollBack, message))
                        .fact(seen(name, JobState::Succeeded, None))
                        .at_once()
                }
                Ok(other) => {
                    failed(case, &format!("the Job {name} left a result that does not belong to it: {other:?}"))
                        .fact(seen(name, JobState::Failed, None))
                }
                Err(text) => failed(case, &text).fact(seen(name, JobState::Failed, Some(text.clone()))),
            },
            JobEnd::Failed { name, message, delete, .. } => {
                let text = format!("{} ({})", failure_text(&message), scratch_described(case));
                let decision = failed(case, &text).fact(seen(name, JobState::Failed, Some(message)));
                if delete { decision.effect(Effect::DeleteJob(name.to_owned())) } else { decision }
            }
        }
    })
}

fn failed(case: &Case<'_>, message: &str) -> Decision {
    let undo = case.command("or take every change back instead", SteeringAction::Rollback);
    case.fail(Phase::RollBack, Reason::RollbackFailed, &format!("the backup was not put back: {message}; {undo}"))
}

/// Which try of the restore this is: another one only after one that failed, for what was restored is of use until it is in place.
fn attempt(case: &Case<'_>) -> i32 {
    let last = case.status.jobs.iter().rfind(|job| job.purpose == JobPurpose::RestoreBackup);
    match last {
        Some(job) if job.state != JobState::Failed => job.attempt,
        Some(job) => case.status.attempt.max(job.attempt.saturating_add(1)),
        None => case.status.attempt,
    }
}

fn exchange(case: &Case<'_>, file_left: Vec<String>) -> Decision {
    let approved = approvals::of(case.status, GATE).and_then(|gate| gate.approval.as_ref());
    let most = approved.and_then(|approval| approval.max_rows).unwrap_or(0);
    let allowance = Allowance { max_rows: Some(u64::try_from(most).unwrap_or(0)), ..Allowance::default() };
    case.task(Phase::RollBack, Task::PutBack, allowance, |result| {
        let TaskResult::PutBack(report) = result else { return unexpected(case, result) };
        ended(case, report, file_left)
    })
}

fn ended(case: &Case<'_>, report: &PutBackReport, file_left: Vec<String>) -> Decision {
    let failed = case.status.rollback.as_ref().map(|rollback| rollback.message.clone()).unwrap_or_default();
    let message = format!(
        "the backup is in place with {}, and {} of the plan are as they were planned for; what was there before is kept in the schema {} \
         until it is purged ({}). What had failed: {failed}",
        counted(usize::try_from(report.tables).unwrap_or(usize::MAX), "table"),
        counted(report.compared.tables_compared.len(), "table"),
        report.kept_schema,
        SteeringAction::Purge.annotation(),
    );
    let end = if file_left.is_empty() {
        End::RolledBack(message)
    } else {
        let left = file_left.join("; ");
        End::Failed(
            Phase::RollBack,
            Reason::RollbackFailed,
            format!("the database is as it was, but: {left}. {message}"),
        )
    };
    Decision::new(Verdict::Ended(end))
        .fact(Fact::Undone {
            undone: signed(report.compared.undone.len()),
            tables_identical: signed(report.compared.tables_compared.len()),
            remaining: file_left,
        })
        .fact(Fact::PutBack {
            tables: signed(report.tables),
            kept_tables: signed(report.kept_tables),
            kept_schema: report.kept_schema.as_str().to_owned(),
        })
        .fact(Fact::Quarantined(report.compared.quarantined))
        .at_once()
}

/// A person who would rather have the changes taken back: as long as nothing was begun that only the backup's way ends.
pub(super) fn may_undo_instead(case: &Case<'_>) -> bool {
    let put_back = |job: &&JobStatus| job.purpose == JobPurpose::RestoreBackup;
    let restored = case.status.jobs.iter().filter(put_back).any(|job| job.state == JobState::Succeeded);
    is_chosen(case) && !restored && !known(case).in_place
}
