//! What errors mean: try again for a limited time, wait for a person, close a gate again, fail, or take everything back.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::Reason;
use crate::api::gates::{Before, GatedPhase};
use crate::api::status::{GateState, JobPurpose, JobState, JobStatus, Phase};
use crate::api::steering::SteeringAction;
use crate::mysql::{Allowance, Cause, Error};
use crate::plan::render::counted;

use super::super::decision::{Decision, Effect, End, Fact, Verdict};
use super::super::observed::{JobView, Task, TaskResult, TaskState, signed};
use super::case::{Case, JobEnd, JobPlace};
use super::put_back;

/// The reason that a condition gives for an error.
pub(super) fn reason(cause: Cause) -> Reason {
    match cause {
        Cause::Unreachable | Cause::TlsFailed => Reason::DatabaseUnreachable,
        Cause::AccessDenied => Reason::AccessDenied,
        Cause::ServerUnsupported => Reason::UnsupportedServer,
        Cause::ReplicaNotListed => Reason::ReplicaNotListed,
        Cause::ReplicaNotReady => Reason::ReplicaNotReady,
        Cause::PrivilegeMissing => Reason::PrivilegeMissing,
        Cause::NotReady => Reason::PreflightFailed,
        Cause::InvalidSpec => Reason::InvalidSpec,
        Cause::OrphansFound => Reason::OrphansFound,
        Cause::DuplicatesFound => Reason::DuplicatesFound,
        Cause::UnmappedRows => Reason::BackfillIncomplete,
        Cause::ApprovalExceeded => Reason::MoreRowsThanApproved,
        Cause::LockHeld | Cause::FenceLost => Reason::LockHeld,
        Cause::LockWaitTimeout | Cause::BarrierTimeout => Reason::LockWaitTimeout,
        Cause::RetriesExhausted => Reason::RetriesExhausted,
        Cause::Drifted => Reason::DriftDetected,
        Cause::ServerChanged => Reason::ServerChanged,
        Cause::Stopped => Reason::Suspended,
        Cause::TimeTooShort => Reason::OutsideWindow,
        Cause::VerificationFailed => Reason::ProofFailed,
        Cause::TestFailed => Reason::TestsFailed,
        Cause::RollbackIncomplete => Reason::RollbackFailed,
        Cause::UnknownFormat => Reason::UnknownPlanFormat,
        Cause::Server => Reason::Failed,
    }
}

impl Case<'_> {
    /// What the error of a task means.
    pub(super) fn error(&self, phase: Phase, task: Task, error: &Error) -> Decision {
        match error.cause {
            Cause::Stopped => Decision::new(Verdict::Unchanged).effect(Effect::ForgetTask(task)).at_once(),
            Cause::ApprovalExceeded => self.approval_exceeded(phase, task, &error.message),
            // Somebody changed what this migration stands on: neither forward nor back without a person.
            Cause::Drifted if self.status.started_at.is_some() && self.status.rollback.is_none() => {
                self.drifted(phase, Reason::DriftDetected, &error.message)
            }
            Cause::ServerChanged => self.drifted(phase, Reason::ServerChanged, &error.message),
            // Of what another version wrote, this one can neither carry anything on nor take it back.
            Cause::UnknownFormat if self.status.started_at.is_some() && self.status.rollback.is_none() => {
                self.without_a_limit(Verdict::Waiting(phase, reason(error.cause), error.message.clone()))
            }
            // A gate that stays closed: nothing is changed, and nothing is lost by waiting.
            Cause::ReplicaNotListed | Cause::ReplicaNotReady => {
                self.without_a_limit(Verdict::Waiting(phase, reason(error.cause), error.message.clone()))
            }
            Cause::FenceLost => self.trouble(reason(error.cause), &error.message),
            // A password or a certificate may be changed under a migration, and a failover leaves a server read-only for a time; before
            // the start such a thing is the author's mistake.
            _ if error.shuts_out() && self.status.started_at.is_some() => {
                self.trouble(reason(error.cause), &error.message)
            }
            _ if error.is_transient() => self.trouble(reason(error.cause), &error.message),
            cause => {
                let message = if self.status.rollback.is_some() {
                    format!("the rollback could not finish: {}", error.message)
                } else {
                    error.message.clone()
                };
                let decision = if self.status.rollback.is_some() && !error.left.is_empty() {
                    self.not_taken_back(&message, self.left(&error.left))
                } else {
                    self.fail(phase, reason(cause), &message)
                };
                match (task, cause) {
                    // What was restored is not what can be put in place: a retry restores anew.
                    (Task::PutBack, Cause::RollbackIncomplete) => decision.fact(Fact::RestoredInto(None)),
                    _ => decision,
                }
            }
        }
    }

    /// The catalogue or the server is not what plan and journal say: waits for it to be so again, or for a person, without a limit.
    pub(super) fn drifted(&self, phase: Phase, reason: Reason, message: &str) -> Decision {
        let go_on = match reason {
            Reason::ServerChanged => self.command("To go on with this server", SteeringAction::Retry),
            _ => "Once it is as it was, the migration goes on by itself".to_owned(),
        };
        let mut text = format!("{message}. {go_on}");
        if self.status.rollback.is_none() {
            text.push_str("; ");
            text.push_str(&self.command("to take every change back", SteeringAction::Rollback));
        }
        self.without_a_limit(Verdict::Drifted(phase, reason, text))
    }

    /// Cleanup found more rows than were approved, or more would be lost: the gate closes again.
    fn approval_exceeded(&self, phase: Phase, task: Task, message: &str) -> Decision {
        let before = Before::from(if task == Task::PutBack { GatedPhase::RestoreBackup } else { GatedPhase::CleanUp });
        let mut gate = self.status.gates.iter().find(|gate| gate.before == before).cloned();
        if let Some(gate) = &mut gate {
            gate.state = GateState::Closed;
            Reason::MoreRowsThanApproved.as_str().clone_into(&mut gate.reason);
            gate.message = Some(message.to_owned());
            gate.since = Some(Time(self.now));
        }
        let mut decision = Decision::new(Verdict::Waiting(phase, Reason::MoreRowsThanApproved, message.to_owned()))
            .effect(Effect::ForgetTask(task));
        decision.gates.extend(gate);
        if task == Task::PutBack {
            decision = decision.fact(Fact::Loss(None));
        }
        decision.at_once()
    }
}

/// Takes back what was done: first the application's schema file, then the database.
pub(super) fn roll_back(case: &Case<'_>) -> Decision {
    if let Some(decision) = make_room(case) {
        return decision;
    }
    // One that will not start counts as failed, and is there until its deletion has gone through.
    let stray = |job: &&JobStatus| {
        let runs = matches!(case.observed.job(&job.name), JobView::Running { .. });
        let own = match job.purpose {
            JobPurpose::UndoSchemaUpdate => true,
            // One that would not start is on its way out.
            JobPurpose::RestoreBackup => put_back::is_chosen(case) && job.state == JobState::Running,
            _ => false,
        };
        (job.state == JobState::Running || runs) && !own
    };
    if let Some(job) = case.status.jobs.iter().find(stray) {
        let stopping = Verdict::Working(Phase::RollBack, format!("stopping the Job {}", job.name));
        return stop_job(case, job, stopping, "stopped, because the migration is taken back");
    }
    if put_back::is_chosen(case)
        && let Some(decision) = put_back::ask(case)
    {
        return decision;
    }
    let ran = case.status.jobs.iter().any(|job| job.purpose == JobPurpose::SchemaUpdate);
    let undo = case.migration.spec.schema_update.as_ref().and_then(|update| update.undo_pod_template_ref.as_ref());
    if let (true, Some(template)) = (ran, undo) {
        let attempt = case.status.attempt;
        let place = JobPlace { phase: Phase::RollBack, purpose: JobPurpose::UndoSchemaUpdate, test: None, attempt };
        let name = case.job_name(place);
        let succeeded =
            |job: &JobStatus| job.purpose == JobPurpose::UndoSchemaUpdate && job.state == JobState::Succeeded;
        let over = case.job_entry(&name).is_some_and(|job| job.state != JobState::Running)
            || case.status.jobs.iter().any(succeeded);
        if !over {
            return case.user_job(place, &template.name, |end| undo_job_ended(case, end));
        }
    }
    let mut remaining = case.status.rollback.as_ref().map(|rollback| rollback.remaining.clone()).unwrap_or_default();
    if ran && undo.is_none() {
        remaining.push(
            "the application's schema file was updated and spec.schemaUpdate.undoPodTemplateRef is not set: put it back by hand"
                .to_owned(),
        );
    }
    if put_back::is_chosen(case) {
        return put_back::restore(case, remaining);
    }
    case.task(Phase::RollBack, Task::Undo, Allowance::default(), |result| {
        let TaskResult::Undone(report) = result else { return unexpected(case, result) };
        let fact = Fact::Undone {
            undone: signed(report.undone.len()),
            tables_identical: signed(report.tables_compared.len()),
            remaining: remaining.clone(),
        };
        let failed = case.status.rollback.as_ref().map(|rollback| rollback.message.clone()).unwrap_or_default();
        let message = format!(
            "took back {} and compared {} with their definition before. What had failed: {failed}",
            counted(report.undone.len(), "operation"),
            counted(report.tables_compared.len(), "table")
        );
        let end = taken_back(&remaining, message);
        Decision::new(Verdict::Ended(end)).fact(fact).fact(Fact::Quarantined(report.quarantined)).at_once()
    })
}

/// The end of a way back: what it left to do by hand, of what is not in the database, makes it a failure.
pub(super) fn taken_back(remaining: &[String], message: String) -> End {
    if remaining.is_empty() {
        return End::RolledBack(message);
    }
    let left = remaining.join("; ");
    End::Failed(Phase::RollBack, Reason::RollbackFailed, format!("the database is as it was, but: {left}. {message}"))
}

/// Whether a task is one of the way back that is gone.
fn belongs(case: &Case<'_>, task: Task) -> bool {
    if put_back::is_chosen(case) { put_back::is_own(task) } else { task == Task::Undo }
}

/// Whatever was at work when the way back began has to end first, so that nothing goes forward any more.
fn make_room(case: &Case<'_>) -> Option<Decision> {
    match &case.observed.task {
        TaskState::Idle => None,
        TaskState::Running(task, _) | TaskState::Ended(task, _) if belongs(case, *task) => None,
        TaskState::Running(task, _) => {
            let message = format!("waiting until it has stopped: {}", task.describe());
            Some(Decision::new(Verdict::Working(Phase::RollBack, message)).effect(Effect::StopTask))
        }
        TaskState::Ended(task, _) => {
            Some(Decision::new(Verdict::Unchanged).effect(Effect::ForgetTask(*task)).at_once())
        }
    }
}

/// Stops a Job whose result is of no use any more, and records what became of it.
pub(super) fn stop_job(case: &Case<'_>, job: &JobStatus, verdict: Verdict, why: &str) -> Decision {
    let decision = Decision::new(verdict);
    let (state, message) = match case.observed.job(&job.name) {
        JobView::Running { .. } => {
            return decision.effect(Effect::DeleteJob(job.name.clone())).after(Duration::from_secs(2));
        }
        JobView::Succeeded { .. } => (JobState::Succeeded, None),
        JobView::Failed { reason, .. } => (JobState::Failed, Some(reason.clone())),
        JobView::Missing | JobView::Foreign(_) => (JobState::Failed, Some(why.to_owned())),
    };
    decision.fact(Fact::JobSeen { name: job.name.clone(), uid: None, state, message }).at_once()
}

fn undo_job_ended(case: &Case<'_>, end: JobEnd<'_>) -> Decision {
    let message = "the application's schema file was put back".to_owned();
    let (name, state, message, remaining, delete) = match end {
        JobEnd::Succeeded { name, .. } => (name, JobState::Succeeded, message, None, false),
        JobEnd::Failed { name, message, delete, .. } => {
            let left = format!("the application's schema file was not put back ({message}): do it by hand");
            (name, JobState::Failed, message, Some(left), delete)
        }
    };
    let mut left = case.status.rollback.as_ref().map(|rollback| rollback.remaining.clone()).unwrap_or_default();
    left.extend(remaining);
    let effect = if delete { Effect::DeleteJob(name.to_owned()) } else { Effect::None };
    Decision::new(Verdict::Working(Phase::RollBack, message.clone()))
        .fact(Fact::JobSeen { name: name.to_owned(), uid: None, state, message: Some(message) })
        .fact(Fact::Undone { undone: 0, tables_identical: 0, remaining: left })
        .effect(effect)
        .at_once()
}

/// A task answered with something else than its kind says: a mistake in the program, reported rather than passed over.
pub(super) fn unexpected(case: &Case<'_>, result: &TaskResult) -> Decision {
    case.fail_with(Reason::Failed, &format!("a task ended with a result that does not belong to it: {result:?}"))
}
