//! The way back by the backup: what would be lost is counted and told at a gate of its own, a Job restores the backup's tables beside the
//! live ones, and the operator exchanges the two. Nothing that is in use is touched before the exchange, so that until then the migration
//! can still be undone instead.

use crate::api::Reason;
use crate::api::gates::{GatePoint, GatedPhase, OnFailure};
use crate::api::status::{JobPurpose, JobState, JobStatus, Phase, PutBackStatus};
use crate::api::steering::SteeringAction;
use crate::backup::Outcome;
use crate::mysql::Allowance;
use crate::mysql::report::PutBackReport;
use crate::plan::render::counted;

use super::super::approvals;
use super::super::decision::{Decision, Effect, Fact, JobRequest, Verdict};
use super::super::observed::{Task, TaskResult, TaskState, signed};
use super::super::{loss, put_back_names};
use super::backup::{failure_text, left, scratch_described};
use super::case::{Case, JobEnd, JobPlace};
use super::failure::{taken_back, unexpected};

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
    // It was approved before, and nothing more is lost: what is left is to look whether all is as it should be.
    if known(case).in_place {
        return None;
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
    let made = case.status.backup.as_ref().is_some_and(|backup| backup.manifest_sha256.is_some());
    put_back_names::unfit(case.migration).or_else(|| (!made).then(|| "the status knows of no backup".to_owned()))
}

/// Restores the backup beside the live tables, and exchanges them.
pub(super) fn restore(case: &Case<'_>, file_left: Vec<String>) -> Decision {
    let place =
        JobPlace { phase: Phase::RollBack, purpose: JobPurpose::RestoreBackup, test: None, attempt: attempt(case) };
    if is_restored(case) || known(case).in_place {
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
                .fact(Fact::RestoredInto(Some(schema.clone())))
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

fn last_restore<'a>(case: &Case<'a>) -> Option<&'a JobStatus> {
    case.status.jobs.iter().rfind(|job| job.purpose == JobPurpose::RestoreBackup)
}

/// Whether the backup's tables are beside the live ones, and of use.
fn is_restored(case: &Case<'_>) -> bool {
    let succeeded = last_restore(case).is_some_and(|job| job.state == JobState::Succeeded);
    succeeded && known(case).restored_schema.is_some()
}

/// Which try of the restore this is: another one only after one that is of no use, for what was restored is of use until it is in place.
fn attempt(case: &Case<'_>) -> i32 {
    match last_restore(case) {
        Some(job) if job.state == JobState::Running || is_restored(case) => job.attempt,
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
    let end = taken_back(&file_left, message);
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

/// Whether a person may have the changes taken back instead: until the backup is in place, or is being put there.
pub(super) fn may_undo_instead(case: &Case<'_>) -> bool {
    let being_put = match &case.observed.task {
        TaskState::Running(task, _) => *task == Task::PutBack,
        TaskState::Ended(task, outcome) => *task == Task::PutBack && outcome.is_ok(),
        TaskState::Idle => false,
    };
    is_chosen(case) && !known(case).in_place && !being_put
}
