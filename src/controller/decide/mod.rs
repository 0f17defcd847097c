//! What to do next: a pure and total function of the resource and of what was observed. Every pass ends here, whatever was
//! interrupted before, so nothing is decided from memory.

mod after;
mod backup;
mod before;
mod case;
mod change;
mod failure;
mod left;
mod patience;
mod purge;
mod put_back;
mod rehearsal;
mod removal;
mod soak;
mod steering;
#[cfg(test)]
mod tests;
mod volume_snapshot;

use jiff::Timestamp;

use crate::api::conditions::is_true;
use crate::api::spec::Mode;
use crate::api::status::{JobState, Phase, SchemaMigrationStatus};
use crate::api::{ConditionType, Reason, SchemaMigration};

use super::decision::{Decision, Effect, Fact, Verdict};
use super::observed::{JobView, Observed, StoredPlan, Task, TaskState};
use case::Case;

/// Where a migration stands, by its conditions; `None` once it has ended.
fn position(status: &SchemaMigrationStatus) -> Option<Phase> {
    let holds = |condition| is_true(&status.conditions, condition);
    if holds(ConditionType::Finished) {
        return None;
    }
    if status.rollback.is_some() {
        return Some(Phase::RollBack);
    }
    let next = Phase::STEPS.into_iter().find(|(_, condition)| !holds(*condition));
    Some(next.map_or(Phase::Prove, |(phase, _)| phase))
}

/// Decides.
#[must_use]
pub fn decide(migration: &SchemaMigration, observed: &Observed, now: Timestamp) -> Decision {
    let status = migration.status.clone().unwrap_or_default();
    let case = Case { migration, status: &status, observed, now };
    let decision = step(&case);
    guard(&case, decision)
}

/// What holds for every decision: a suspended migration begins nothing, and the finalizer comes before whatever it protects.
fn guard(case: &Case<'_>, decision: Decision) -> Decision {
    let begins =
        matches!(decision.effect, Effect::StartTask(..) | Effect::CreateJob(_) | Effect::CreateVolumeSnapshot(_))
            || decision.verdict == Verdict::Starting;
    if begins && case.migration.spec.suspend {
        let message = format!("spec.suspend is true: {}; set it to false to go on", case.standing());
        return Decision::new(Verdict::Waiting(case.phase(), Reason::Suspended, message));
    }
    let protects = matches!(
        decision.effect,
        Effect::CreateJob(_)
            | Effect::StartTask(
                Task::CheckBeforeStart
                    | Task::Section(_)
                    | Task::Test
                    | Task::Look
                    | Task::Scan
                    | Task::Prove
                    | Task::Undo
                    | Task::PrepareRestore(_)
                    | Task::PutBack,
                _
            )
    );
    if protects && !case.has_finalizer() {
        return Decision::new(Verdict::Unchanged).effect(Effect::AddFinalizer).at_once();
    }
    decision
}

fn step(case: &Case<'_>) -> Decision {
    let metadata = &case.migration.metadata;
    if metadata.deletion_timestamp.is_some() {
        return deleted(case);
    }
    let generation = metadata.generation.unwrap_or(0);
    let changed = case.status.observed_generation != generation && case.status.observed_generation != -1;
    if changed && case.status.started_at.is_none() {
        return anew(case);
    }
    let position = position(case.status);
    if let Some(decision) = steering::steer(case, position) {
        return decision;
    }
    let Some(position) = position else { return ended(case) };
    if let Some(decision) = suspended(case) {
        return decision;
    }
    if let Some(decision) = obstacle(case, position) {
        return decision;
    }
    match position {
        Phase::Preflight => before::preflight(case),
        Phase::Plan => before::plan(case),
        Phase::BackUp => backup::back_up(case),
        Phase::Rehearse => rehearsal::rehearse(case),
        Phase::Validate => before::validate(case),
        Phase::CleanUp => change::clean_up(case),
        Phase::FixTypes => change::fix_types(case),
        Phase::AddUniques => change::add_uniques(case),
        Phase::AddForeignKeys => change::stages(case),
        Phase::UpdateSchema => after::update_schema(case),
        Phase::Test => after::test(case),
        Phase::Soak => soak::soak(case),
        Phase::Prove => after::prove(case),
        Phase::RollBack => failure::roll_back(case),
        Phase::Complete | Phase::RolledBack | Phase::Failed => ended(case),
    }
}

/// A suspended migration stops what runs at its next safe point, records what ended, and begins nothing. A Job that runs is not
/// stopped: nobody but itself knows its safe points.
fn suspended(case: &Case<'_>) -> Option<Decision> {
    if !case.migration.spec.suspend {
        return None;
    }
    // No limit runs meanwhile.
    let wait = |message: String| {
        Decision::new(Verdict::Waiting(case.phase(), Reason::Suspended, message)).fact(Fact::TroubleOver)
    };
    match &case.observed.task {
        TaskState::Running(task, _) => {
            let message = format!("spec.suspend is true: stopping at the next safe point while {}", task.describe());
            Some(wait(message).effect(Effect::StopTask))
        }
        TaskState::Ended(..) => None,
        TaskState::Idle => {
            let job = case.status.jobs.iter().find(|job| job.state == JobState::Running && job.uid.is_some());
            match job.map(|job| case.observed.job(&job.name)) {
                // What it comes to is recorded as always.
                Some(JobView::Succeeded { .. } | JobView::Failed { .. } | JobView::Missing | JobView::Foreign(_)) => {
                    None
                }
                running => Some(wait(format!(
                    "spec.suspend is true: {}{}; set it to false to go on",
                    case.standing(),
                    if running.is_some() { ", and a Job still runs" } else { "" }
                ))),
            }
        }
    }
}

/// What stands in the way of any step: refusals, missing objects, an unusable plan.
fn obstacle(case: &Case<'_>, position: Phase) -> Option<Decision> {
    if !case.observed.refusals.is_empty() && case.status.started_at.is_none() {
        return Some(case.fail_with(Reason::InvalidSpec, &list(&case.observed.refusals)));
    }
    if let Some(missing) = &case.observed.missing
        && matches!(case.observed.task, TaskState::Idle)
    {
        return Some(case.trouble(Reason::DependencyNotReady, missing));
    }
    if matches!(position, Phase::Preflight | Phase::Plan) {
        return None;
    }
    if case.migration.spec.mode == Mode::Plan {
        return Some(before::plan_only(case));
    }
    match &case.observed.plan {
        StoredPlan::Loaded(_) => {}
        StoredPlan::Unusable(reason, message) if case.status.started_at.is_some() => {
            // Neither forward nor back without the plan: a person has to bring it, or the version that knows it, back.
            return Some(Decision::new(Verdict::Waiting(case.phase(), *reason, message.clone())));
        }
        StoredPlan::Unusable(reason, message) => {
            return Some(replan(case, *reason, message.clone()));
        }
        StoredPlan::None => {
            let message = "no plan is recorded in the status".to_owned();
            return Some(replan(case, Reason::DriftDetected, message));
        }
    }
    let now = case.observed.content_digest.as_ref()?;
    if case.status.started_at.is_none() && case.status.content_digest.as_ref().is_some_and(|planned| planned != now) {
        let message = "a PodTemplate that the spec names was changed since the plan was computed".to_owned();
        return Some(replan(case, Reason::DriftDetected, message));
    }
    None
}

/// Plans anew, and not from what was computed before.
fn replan(case: &Case<'_>, reason: Reason, message: String) -> Decision {
    case.making_room(Decision::new(Verdict::Replan(reason, message)).at_once())
}

/// Every path with its message, for people.
fn list(problems: &[(String, String)]) -> String {
    problems.iter().map(|(path, message)| format!("{path}: {message}")).collect::<Vec<_>>().join("; ")
}

fn anew(case: &Case<'_>) -> Decision {
    let unchanged = || Decision::new(Verdict::Unchanged);
    match &case.observed.task {
        TaskState::Running(..) => return unchanged().effect(Effect::StopTask),
        TaskState::Ended(task, _) => return unchanged().effect(Effect::ForgetTask(*task)).at_once(),
        TaskState::Idle => {}
    }
    // After an end nothing of the cluster is read; what was left is given back first.
    if position(case.status).is_none() && (case.has_finalizer() || case.observed.session) {
        return unchanged().effect(Effect::Release).at_once();
    }
    if let Some(job) = case.status.jobs.iter().find(|job| job.state == JobState::Running)
        && position(case.status).is_some()
    {
        return failure::stop_job(case, job, Verdict::Unchanged, "stopped, because the spec was changed");
    }
    Decision::new(Verdict::Anew("the spec was changed before the first change was made".to_owned()))
        .effect(Effect::EndTrouble)
        .at_once()
}

fn ended(case: &Case<'_>) -> Decision {
    let unchanged = || Decision::new(Verdict::Unchanged);
    // The Job that deletes the backups needs the finalizer as every other one does, and nothing else is left then.
    let left = case.observed.session || (case.has_finalizer() && !removal::is_going_on(case));
    match &case.observed.task {
        TaskState::Running(Task::Purge, _) | TaskState::Ended(Task::Purge, _) if purge::is_due(case) => {
            purge::in_time(case).unwrap_or_else(unchanged)
        }
        TaskState::Running(..) => unchanged().effect(Effect::StopTask),
        TaskState::Ended(..) => unchanged().effect(Effect::Release),
        TaskState::Idle if left => unchanged().effect(Effect::Release),
        TaskState::Idle => sooner(removal::after_end(case), || purge::in_time(case))
            .unwrap_or_else(|| unchanged().after(std::time::Duration::from_secs(3600))),
    }
}

/// Of two things that come in time, the one that has something to do, or comes first.
fn sooner(one: Option<Decision>, other: impl FnOnce() -> Option<Decision>) -> Option<Decision> {
    let waits =
        |decision: &Decision| decision.effect == Effect::None && decision.facts.is_empty() && decision.gates.is_empty();
    let Some(one) = one else { return other() };
    if !waits(&one) {
        return Some(one);
    }
    match other() {
        Some(other) if !waits(&other) || other.again < one.again => Some(other),
        _ => Some(one),
    }
}

/// The resource is being deleted: nothing is undone; what runs is stopped and the fence given back.
fn deleted(case: &Case<'_>) -> Decision {
    let decision = Decision::new(Verdict::Unchanged);
    match &case.observed.task {
        TaskState::Running(..) => decision.effect(Effect::StopTask),
        _ if case.has_finalizer() || case.observed.session => decision.effect(Effect::Release),
        _ => decision,
    }
}
