//! One migration at one moment, with the moves that several steps share: running a task, running a Job, passing a gate.

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::api::gates::{GatePoint, GatedPhase, OnFailure};
use crate::api::status::{JobPurpose, JobState, JobStatus, Phase, SchemaMigrationStatus, StageState};
use crate::api::steering::SteeringAction;
use crate::api::{FINALIZER, Reason, SchemaMigration};
use crate::mysql::{Allowance, Cause, Reading};
use crate::plan::model::{LockClass, Section};
use crate::results::Left;

use super::super::decision::{Decision, Effect, End, Fact, JobRequest, LOOK_FOR_EVIDENCE, Verdict};
use super::super::observed::{JobView, Observed, Task, TaskResult, TaskState};
use super::super::{evidence, gates, job_expiry, names};

pub(super) struct Case<'a> {
    pub(super) migration: &'a SchemaMigration,
    pub(super) status: &'a SchemaMigrationStatus,
    pub(super) observed: &'a Observed,
    pub(super) now: Timestamp,
}

/// What a Job is for, and where its results count.
#[derive(Clone, Copy)]
pub(super) struct JobPlace<'a> {
    pub(super) phase: Phase,
    pub(super) purpose: JobPurpose,
    pub(super) test: Option<&'a str>,
    pub(super) attempt: i32,
}

/// How a Job ended.
pub(super) enum JobEnd<'a> {
    Succeeded {
        name: &'a str,
        message: Option<&'a str>,
    },
    /// `left` is what its container left behind.
    Failed {
        name: &'a str,
        message: String,
        delete: bool,
        left: Option<&'a str>,
    },
}

/// Whether a task is begun behind the gate of a step.
fn belongs(task: Task, step: GatePoint<'_>) -> bool {
    match task {
        Task::CountBeforeBackup(_) | Task::CheckBackup(_) => step == GatePoint::Phase(GatedPhase::BackUp),
        Task::Validate => step == GatePoint::Phase(GatedPhase::Validate),
        Task::CheckBeforeStart | Task::Section(Section::CleanUp) => step == GatePoint::Phase(GatedPhase::CleanUp),
        Task::Section(Section::FixTypes) => step == GatePoint::Phase(GatedPhase::FixTypes),
        Task::Section(Section::AddUniques) => step == GatePoint::Phase(GatedPhase::AddUniques),
        Task::Section(Section::Stage(_)) => matches!(step, GatePoint::Stage(_)),
        Task::Section(Section::FillAgain) => step == GatePoint::Phase(GatedPhase::UpdateSchema),
        Task::Test => step == GatePoint::Phase(GatedPhase::Test),
        Task::Look | Task::Scan => step == GatePoint::Phase(GatedPhase::Soak),
        Task::Prove => step == GatePoint::Phase(GatedPhase::Complete),
        Task::Purge => step == GatePoint::Phase(GatedPhase::Purge),
        Task::PrepareRestore(_) | Task::PutBack => step == GatePoint::Phase(GatedPhase::RestoreBackup),
        Task::Preflight | Task::Plan | Task::Undo | Task::CountLoss => false,
    }
}

impl Case<'_> {
    pub(super) fn phase(&self) -> Phase {
        self.status.phase.unwrap_or(Phase::Preflight)
    }

    /// The phase that a failure belongs to: the first that is not done, which is the one after the phase that is shown where nothing of it
    /// has begun.
    pub(super) fn failing(&self) -> Phase {
        super::position(self.status).unwrap_or_else(|| self.phase())
    }

    pub(super) fn has_finalizer(&self) -> bool {
        self.migration.finalizers().iter().any(|each| each == FINALIZER)
    }

    pub(super) fn view(&self) -> gates::View<'_> {
        gates::View { migration: self.migration, status: self.status, observed: self.observed, now: self.now }
    }

    fn copies(&self, step: GatePoint<'_>) -> gates::Copies {
        let operations = self.observed.loaded_plan().map(|plan| plan.operations.as_slice()).unwrap_or_default();
        let mut copies = operations.iter().filter(|operation| operation.lock == LockClass::Copy).peekable();
        let somewhere = copies.peek().is_some();
        let here = copies.any(|operation| match (operation.section, step) {
            (Section::CleanUp, GatePoint::Phase(phase)) => phase == GatedPhase::CleanUp,
            (Section::FixTypes, GatePoint::Phase(phase)) => phase == GatedPhase::FixTypes,
            (Section::AddUniques, GatePoint::Phase(phase)) => phase == GatedPhase::AddUniques,
            (Section::Stage(at), GatePoint::Stage(name)) => {
                self.status.stages.get(at).is_some_and(|stage| stage.name == name)
            }
            _ => false,
        });
        gates::Copies { somewhere, here }
    }

    /// Whether anything stands before a step: an approval that is asked for, or a window.
    pub(super) fn has_gate(&self, step: GatePoint<'_>) -> bool {
        !matches!(gates::evaluate(self.view(), step, self.copies(step)), gates::Verdict::Open(gates) if gates.is_empty())
    }

    /// What people and windows allow to a step.
    pub(super) fn allowance(&self, step: GatePoint<'_>) -> Allowance {
        gates::allowance(self.view(), step, self.copies(step))
    }

    /// Keeps a step's windows, and passes the gates before it or says why not. Approvals are looked at only while nothing runs:
    /// what has begun goes on.
    pub(super) fn gate(&self, step: GatePoint<'_>) -> Option<Decision> {
        match &self.observed.task {
            TaskState::Idle => {}
            // What an earlier step left says nothing about this one.
            TaskState::Running(task, _) if !belongs(*task, step) => {
                return Some(Decision::new(Verdict::Unchanged).effect(Effect::StopTask));
            }
            TaskState::Ended(task, _) if !belongs(*task, step) => {
                return Some(Decision::new(Verdict::Unchanged).effect(Effect::ForgetTask(*task)).at_once());
            }
            TaskState::Running(..) => return self.stop_outside_hours(step),
            TaskState::Ended(task, Err(error)) if error.cause == Cause::TimeTooShort => {
                return Some(self.wait_for_more_time(step, *task, &error.message));
            }
            TaskState::Ended(..) => return None,
        }
        // One that is only written down has not begun.
        let at_work = |job: &JobStatus| {
            job.state == JobState::Running && (job.uid.is_some() || *self.observed.job(&job.name) != JobView::Missing)
        };
        if self.status.jobs.iter().any(at_work) || super::volume_snapshot::is_at_work(self) {
            return None;
        }
        match gates::evaluate(self.view(), step, self.copies(step)) {
            gates::Verdict::Open(open) if open.iter().all(|gate| self.status.gates.contains(gate)) => None,
            // Recorded first, so that what opened a gate is known before anything goes through it.
            gates::Verdict::Open(open) => {
                let mut decision =
                    Decision::new(Verdict::Working(self.phase(), format!("the gates before {step} are open")))
                        .at_once();
                decision.gates = open;
                Some(decision)
            }
            gates::Verdict::Closed(closed, reason, message) => {
                let trouble = if reason == Reason::OutsideWindow { self.outside_hours() } else { Fact::TroubleOver };
                let mut decision = Decision::new(Verdict::Waiting(self.phase(), reason, message)).fact(trouble);
                if matches!(reason, Reason::EvidencePending | Reason::EvidenceRefused) {
                    decision = decision.after(LOOK_FOR_EVIDENCE);
                }
                decision.gates = closed;
                Some(decision)
            }
            gates::Verdict::Denied(denied, message) => {
                let mut decision = self.fail(self.failing(), Reason::ApprovalDenied, &message);
                decision.gates = denied;
                Some(decision)
            }
        }
    }

    /// Whether evidence that was there is missing, or does not count any more, just before the first change.
    pub(super) fn shows_too_little(&self) -> bool {
        let answer = evidence::ask(self.view(), GatePoint::Phase(GatedPhase::CleanUp));
        matches!(answer, evidence::Answer::Waiting(..))
    }

    /// A window that closes, or is made shorter, while something runs.
    fn stop_outside_hours(&self, step: GatePoint<'_>) -> Option<Decision> {
        let gates::Hours::Closed(reason, message) = gates::hours(self.migration, step, self.copies(step), self.now)
        else {
            return None;
        };
        let message = format!("stopping at the next safe point: {message}");
        Some(Decision::new(Verdict::Waiting(self.phase(), reason, message)).effect(Effect::StopTask))
    }

    /// The next operation does not fit into the rest of the window. What the task said is kept until the window closes or the spec
    /// changes, so that it is not asked again and again.
    fn wait_for_more_time(&self, step: GatePoint<'_>, task: Task, message: &str) -> Decision {
        let verdict = Verdict::Waiting(self.phase(), Reason::OutsideWindow, message.to_owned());
        let open = matches!(gates::hours(self.migration, step, self.copies(step), self.now), gates::Hours::Until(_));
        let same_spec = self.status.observed_generation == self.migration.metadata.generation.unwrap_or(0);
        if open && same_spec {
            return Decision::new(verdict);
        }
        Decision::new(verdict).effect(Effect::ForgetTask(task)).at_once()
    }

    /// Runs a task to its end and hands its result on.
    pub(super) fn task(
        &self,
        phase: Phase,
        task: Task,
        allowance: Allowance,
        done: impl FnOnce(&TaskResult) -> Decision,
    ) -> Decision {
        match &self.observed.task {
            TaskState::Ended(ended, Ok(result)) if *ended == task => done(result).fact(Fact::TroubleOver),
            TaskState::Ended(ended, Err(error)) if *ended == task => self.error(phase, task, error),
            TaskState::Ended(ended, _) => {
                Decision::new(Verdict::Unchanged).effect(Effect::ForgetTask(*ended)).at_once()
            }
            TaskState::Running(running, reading) if *running == task => self.progress(phase, task, reading),
            TaskState::Running(..) => Decision::new(Verdict::Unchanged).effect(Effect::StopTask),
            TaskState::Idle => match self.pause() {
                Some(wait) => Decision::new(Verdict::Unchanged).after(wait),
                None if self.tells_trouble(phase) => {
                    Decision::new(Verdict::Unchanged).effect(Effect::StartTask(task, allowance))
                }
                None => Decision::new(Verdict::Working(phase, task.describe().to_owned()))
                    .fact(Fact::TroubleOver)
                    .effect(Effect::StartTask(task, allowance)),
            },
        }
    }

    fn progress(&self, phase: Phase, task: Task, reading: &Reading) -> Decision {
        if self.tells_trouble(phase) && reading.operations_done == 0 && !self.observed.advanced {
            // The message keeps saying what the trouble is until work really advances.
            return Decision::new(Verdict::Unchanged);
        }
        let activity = if reading.activity.is_empty() { task.describe() } else { &reading.activity };
        let counted = if reading.operations_total > 0 {
            format!("{activity} ({} of {} operations done)", reading.operations_done, reading.operations_total)
        } else {
            activity.to_owned()
        };
        let verdict = match &reading.waiting {
            Some(waiting) => Verdict::Waiting(phase, Reason::LockWaitTimeout, format!("{counted}; waiting: {waiting}")),
            None => Verdict::Working(phase, counted),
        };
        let mut decision = Decision::new(verdict).fact(Fact::Current(Some(activity.to_owned())));
        if self.observed.advanced {
            decision = decision.fact(Fact::TroubleOver);
        }
        if let Task::Section(section) = task {
            let done = super::change::operations_before(self, section);
            let here = i64::try_from(reading.operations_done).unwrap_or(i64::MAX);
            decision = decision.fact(Fact::StepsDone(done.saturating_add(here)));
        }
        decision
    }

    /// The decision with a sign to stop for what runs, or without what ended, where it has no other effect: nothing goes on from either.
    pub(super) fn making_room(&self, decision: Decision) -> Decision {
        match &self.observed.task {
            _ if decision.effect != Effect::None => decision,
            TaskState::Running(..) => decision.effect(Effect::StopTask),
            TaskState::Ended(task, _) => decision.effect(Effect::ForgetTask(*task)),
            TaskState::Idle => decision,
        }
    }

    pub(super) fn uid(&self) -> &str {
        self.migration.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Runs a Job to its end. Its name is in the status before the Job is made.
    pub(super) fn job(
        &self,
        place: JobPlace<'_>,
        request: impl FnOnce(String) -> Decision,
        ended: impl FnOnce(JobEnd<'_>) -> Decision,
    ) -> Decision {
        let name = self.job_name(place);
        let Some(entry) = self.job_entry(&name) else {
            return Decision::new(Verdict::Working(place.phase, format!("creating the Job {name}")))
                .fact(Fact::JobPlanned {
                    name,
                    purpose: place.purpose,
                    test: place.test.map(str::to_owned),
                    attempt: place.attempt,
                })
                .at_once();
        };
        let failed = |message: String, delete| JobEnd::Failed { name: &entry.name, message, delete, left: None };
        match self.observed.job(&name) {
            JobView::Missing if entry.uid.is_none() => request(name),
            // Its time was over, or somebody deleted it: what it came to is recorded.
            JobView::Missing if entry.state == JobState::Succeeded && job_expiry::may_go(entry.purpose) => {
                ended(JobEnd::Succeeded { name: &entry.name, message: None })
            }
            JobView::Missing => ended(failed(format!("the Job {name} was deleted before it ended"), false)),
            JobView::Foreign(owner) => {
                ended(failed(format!("a Job named {name} exists that belongs to {owner}: delete or rename it"), false))
            }
            // With its uid it is looked at again, should its deletion be interrupted.
            JobView::Running { uid, problem: Some(problem), .. } => {
                ended(failed(problem.clone(), true)).fact(Fact::JobSeen {
                    name: name.clone(),
                    uid: Some(uid.clone()),
                    state: JobState::Failed,
                    message: Some(problem.clone()),
                })
            }
            JobView::Running { uid, problem: None, .. } => {
                Decision::new(Verdict::Working(place.phase, format!("the Job {name} runs")))
                    .after(Duration::from_secs(5))
                    .fact(Fact::JobSeen {
                        name: name.clone(),
                        uid: Some(uid.clone()),
                        state: JobState::Running,
                        message: None,
                    })
            }
            JobView::Succeeded { uid, .. } | JobView::Failed { uid, .. }
                if entry.uid.as_ref().is_some_and(|known| known != uid) =>
            {
                ended(failed(format!("the Job {name} was replaced by another one of the same name"), false))
            }
            JobView::Succeeded { message, .. } => {
                ended(JobEnd::Succeeded { name: &entry.name, message: message.as_deref() })
            }
            JobView::Failed { reason, message: said_itself, log, .. } => {
                // Counts of tests are no sentence.
                let sentence = said_itself.clone().filter(|said| serde_json::from_str::<Left>(said).is_err());
                let said = sentence.or_else(|| log.clone());
                let text = said.map_or_else(|| reason.clone(), |said| format!("{reason}: {said}"));
                let message = format!("the Job {name} failed: {text}");
                ended(JobEnd::Failed { name: &entry.name, message, delete: false, left: said_itself.as_deref() })
            }
        }
    }

    pub(super) fn job_name(&self, place: JobPlace<'_>) -> String {
        // After the start the generation may move (gates, suspend), the Jobs stay the same: the plan's generation counts.
        let generation = self.status.plan.as_ref().map_or(0, |plan| plan.generation);
        names::job(&self.migration.name_any(), self.uid(), generation, place.purpose, place.test, place.attempt)
    }

    pub(super) fn job_entry(&self, name: &str) -> Option<&JobStatus> {
        self.status.jobs.iter().find(|job| job.name == name)
    }

    /// One of the user's own Jobs.
    pub(super) fn user_job(
        &self,
        place: JobPlace<'_>,
        template: &str,
        ended: impl FnOnce(JobEnd<'_>) -> Decision,
    ) -> Decision {
        let request = |name: String| {
            let planned = self.status.content_digest.as_ref();
            if self.observed.content_digest.as_ref() != planned && self.status.rollback.is_none() {
                let message = format!(
                    "a PodTemplate was changed after the migration had started, so the Job {name} would not be what was approved: put \
                     it back as it was"
                );
                return self.drifted(place.phase, Reason::DriftDetected, &message);
            }
            let request = JobRequest::User { name, purpose: place.purpose, template: template.to_owned() };
            Decision::new(Verdict::Working(place.phase, format!("creating a Job from the PodTemplate {template}")))
                .effect(Effect::CreateJob(request))
        };
        self.job(place, request, ended)
    }

    /// Fails in the phase where the migration stands.
    pub(super) fn fail_with(&self, reason: Reason, message: &str) -> Decision {
        self.fail(self.failing(), reason, message)
    }

    /// A failure: before the first change an end, after it the rollback.
    pub(super) fn fail(&self, phase: Phase, reason: Reason, message: &str) -> Decision {
        if self.status.started_at.is_none() {
            let message = format!("{message}. Nothing was changed. {}", self.way_out(reason));
            let message = message.trim_end().to_owned();
            return Decision::new(Verdict::Ended(End::Failed(phase, reason, message))).at_once();
        }
        if self.status.rollback.is_some() {
            return self.not_taken_back(message, self.left_unknown().into_iter().collect());
        }
        let strategy = self.migration.spec.rollback.on_failure;
        if strategy == OnFailure::Hold {
            return self.hold(phase, reason, message);
        }
        Decision::new(Verdict::RollBack(phase, reason, message.to_owned())).fact(Fact::Strategy(strategy)).at_once()
    }

    /// How a person begins a migration again that failed before the first change.
    fn way_out(&self, reason: Reason) -> String {
        match reason {
            // Its message says which approval is to be deleted; asking again would not help.
            Reason::ApprovalDenied => String::new(),
            Reason::InvalidSpec => self.command(
                "Changing the spec begins it again; if it is the database that has to follow, begin it again then",
                SteeringAction::Retry,
            ),
            Reason::AccessDenied
            | Reason::DatabaseUnreachable
            | Reason::DependencyNotReady
            | Reason::LockHeld
            | Reason::PreflightFailed
            | Reason::PrivilegeMissing
            | Reason::UnsupportedServer => {
                self.command("Once the cause is gone, begin it again", SteeringAction::Retry)
            }
            _ => self.command(
                "Change the spec, which begins it again, or remove the cause and begin it again",
                SteeringAction::Retry,
            ),
        }
    }

    /// Ends with everything where it is.
    fn hold(&self, phase: Phase, reason: Reason, failure: &str) -> Decision {
        let message = format!(
            "{phase} failed ({reason}): {failure}. Held, as spec.rollback.onFailure says: {}. {}; {}",
            self.standing(),
            self.command("Once the cause is gone, go on", SteeringAction::Retry),
            self.command("or take every change back", SteeringAction::Rollback),
        );
        let held = End::Held { phase, reason, failure: failure.to_owned(), message };
        Decision::new(Verdict::Ended(held)).at_once()
    }

    /// What is done so far, for people.
    pub(super) fn standing(&self) -> String {
        if self.status.started_at.is_none() {
            return "nothing is changed yet".to_owned();
        }
        let steps = self.status.steps.clone().unwrap_or_default();
        let quarantine = self.status.quarantine.clone().unwrap_or_default();
        let taken = quarantine.orphans + quarantine.duplicates + quarantine.cascaded + quarantine.values;
        let stages = self.status.stages.iter().filter(|stage| stage.state == StageState::Complete).count();
        format!(
            "{} of {} operations are done and stand, {stages} of {} stages are complete, {taken} rows and values are in quarantine",
            steps.done,
            steps.total,
            self.status.stages.len()
        )
    }

    /// How a person asks for something.
    pub(super) fn command(&self, purpose: &str, action: SteeringAction) -> String {
        format!(
            "{purpose}: kubectl annotate --overwrite --namespace {} smig {} {}=\"$(date +%s)\"",
            self.migration.namespace().unwrap_or_default(),
            self.migration.name_any(),
            action.annotation()
        )
    }
}
