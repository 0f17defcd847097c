//! The rehearsal: usually done in the Job that proves the backup by restoring it, and then known already. It is done by a Job of its own, which
//! restores the backup once more, where a gate stands before it, or where the plan is another one by now. A rehearsal counts for its plan
//! only; what fails in it ends the migration before anything is changed.

use crate::api::conditions::shortened;
use crate::api::gates::{GatePoint, GatedPhase};
use crate::api::status::{JobPurpose, JobState, JobStatus, Phase, RehearsalStatus};
use crate::api::{ConditionType, Reason};
use crate::backup::{Outcome, Restored};
use crate::plan::render::duration;

use super::super::decision::{Decision, Effect, Fact, JobRequest, Verdict};
use super::super::observed::rehearsal_status;
use super::backup::{failure_text, left, scratch_described};
use super::before::{passed, skipped};
use super::case::{Case, JobEnd, JobPlace};
use super::change::back_up_again;

/// Rehearsals on copies that turned out not to be what was planned for: the catalogue changes faster than it is backed up.
const MOST_OUTDATED: usize = 3;
/// Longest name of a slow operation in a message, in bytes.
const MAX_NAME: usize = 128;

const GATE: GatePoint<'static> = GatePoint::Phase(GatedPhase::Rehearse);

pub(super) fn rehearse(case: &Case<'_>) -> Decision {
    if let Some(decision) = case.gate(GATE) {
        return decision;
    }
    if !case.migration.spec.rehearsal.enabled {
        return skipped(Phase::Rehearse, ConditionType::Rehearsed, "spec.rehearsal.enabled is false");
    }
    if case.status.started_at.is_some() {
        let message = "what a deleted migration left unfinished is gone on with, and the backup holds what is done of it: such a plan cannot be \
                       rehearsed";
        return skipped(Phase::Rehearse, ConditionType::Rehearsed, message);
    }
    let attempt = case.status.backup.as_ref().map(|backup| backup.attempt);
    match of_this_plan(case) {
        Some(known) if known.passed == Some(true) => passed(Phase::Rehearse, ConditionType::Rehearsed, told(known)),
        Some(known) if known.reason.as_deref() == Some(Reason::DriftDetected.as_str()) => {
            // On a backup that was made since, it has yet to be tried.
            if known.backup_attempt == attempt { outdated(case, known) } else { run(case) }
        }
        Some(known) => failed(case, known.message.as_deref().unwrap_or_default()),
        None => run(case),
    }
}

/// The plan that is to be rehearsed on the copy that proves the backup; `None`: none is, or not yet.
pub(super) fn with_the_restore(case: &Case<'_>) -> Option<String> {
    let wanted = case.migration.spec.rehearsal.enabled && case.status.started_at.is_none() && !case.has_gate(GATE);
    case.status.plan.as_ref().filter(|_| wanted).map(|plan| plan.digest.clone())
}

/// What a rehearsal came to, for the status. `failure`: what ended its Job.
pub(super) fn recorded(restored: &Restored, job: &str, backup: i32, failure: Option<&str>) -> Option<Fact> {
    let rehearsed = restored.rehearsal.as_ref()?;
    let failure = failure.map(failure_text);
    Some(Fact::Rehearsal(Box::new(rehearsal_status(rehearsed, job, backup, failure))))
}

/// A rehearsal of the plan as it is now.
fn of_this_plan<'a>(case: &'a Case<'_>) -> Option<&'a RehearsalStatus> {
    let digest = case.status.plan.as_ref().map(|plan| &plan.digest);
    case.status.rehearsal.as_ref().filter(|rehearsal| rehearsal.plan_digest.as_ref() == digest)
}

fn failed(case: &Case<'_>, message: &str) -> Decision {
    case.fail(
        Phase::Rehearse,
        Reason::RehearsalFailed,
        &format!("the rehearsal on the restored copy failed: {message}"),
    )
}

/// The backup and the plan are of different moments, and the tables were changed in between: whichever is older is made anew.
fn outdated(case: &Case<'_>, known: &RehearsalStatus) -> Decision {
    let message = known.message.clone().unwrap_or_default();
    let rehearsals = case.status.jobs.iter().filter(|job| job.purpose == JobPurpose::Rehearse).count();
    let planned = case.status.plan.as_ref().map(|plan| plan.computed_at.0);
    let taken = case.status.backup.as_ref().and_then(|backup| backup.taken_at.as_ref()).map(|time| time.0);
    if rehearsals >= MOST_OUTDATED {
        return failed(
            case,
            &format!("{message}; so it was {rehearsals} times: let nobody change the tables meanwhile"),
        );
    }
    if taken < planned {
        return back_up_again(case, Reason::DriftDetected, &format!("{message}; it is made again"));
    }
    Decision::new(Verdict::Replan(Reason::DriftDetected, message)).at_once()
}

/// Has a Job restore the backup and rehearse the plan.
fn run(case: &Case<'_>) -> Decision {
    let (Some(backup), Some(plan)) = (&case.status.backup, &case.status.plan) else {
        return failed(case, "the status knows of no backup or of no plan");
    };
    let ended = |job: &&JobStatus| job.purpose == JobPurpose::Rehearse && job.state != JobState::Running;
    let earlier = case.status.jobs.iter().filter(ended).count();
    let attempt = i32::try_from(earlier).unwrap_or(i32::MAX).saturating_add(1);
    let place = JobPlace { phase: Phase::Rehearse, purpose: JobPurpose::Rehearse, test: None, attempt };
    let create = |name: String| {
        let message = format!("creating the Job {name}, which restores the backup and rehearses the plan");
        let manifest = backup.manifest_sha256.clone().unwrap_or_default();
        let request = JobRequest::Rehearse { name, attempt: backup.attempt, manifest, plan: plan.digest.clone() };
        Decision::new(Verdict::Working(Phase::Rehearse, message)).effect(Effect::CreateJob(request))
    };
    case.job(place, create, |end| match end {
        JobEnd::Succeeded { name, message } => match left(name, message) {
            Ok(Outcome::Restored(restored)) => known(case, name, backup.attempt, &restored, None),
            Ok(other) => failed(case, &format!("the Job {name} left a result that does not belong to it: {other:?}")),
            Err(text) => failed(case, &text),
        },
        JobEnd::Failed { name, message, delete, left } => match left.map(serde_json::from_str::<Outcome>) {
            Some(Ok(Outcome::Restored(restored))) => known(case, name, backup.attempt, &restored, Some(&message)),
            _ => {
                let text = format!("{} ({})", failure_text(&message), scratch_described(case));
                let decision = failed(case, &text).fact(seen(name, JobState::Failed, Some(message)));
                if delete { decision.effect(Effect::DeleteJob(name.to_owned())) } else { decision }
            }
        },
    })
}

fn seen(name: &str, state: JobState, message: Option<String>) -> Fact {
    Fact::JobSeen { name: name.to_owned(), uid: None, state, message }
}

/// Records what a Job of the rehearsal's own found; the next pass decides by it.
fn known(case: &Case<'_>, name: &str, backup: i32, restored: &Restored, failure: Option<&str>) -> Decision {
    let Some(fact) = recorded(restored, name, backup, failure) else {
        return failed(case, &format!("the Job {name} restored the backup and rehearsed nothing"));
    };
    let state = if failure.is_some() { JobState::Failed } else { JobState::Succeeded };
    Decision::new(Verdict::Working(Phase::Rehearse, format!("the Job {name} has ended")))
        .fact(seen(name, state, failure.map(failure_text)))
        .fact(fact)
        .at_once()
}

/// What a rehearsal showed, for people.
fn told(known: &RehearsalStatus) -> String {
    let number = |number: Option<i64>| number.unwrap_or_default();
    let time = |milliseconds: i64| duration(u64::try_from(milliseconds).unwrap_or(0));
    let slowest: Vec<String> = (known.slowest.iter().take(2))
        .map(|slow| {
            format!("{} on {} {}", shortened(slow.operation.clone(), MAX_NAME), slow.table, time(slow.milliseconds))
        })
        .collect();
    let slowest = if slowest.is_empty() { String::new() } else { format!(", slowest {}", slowest.join(", ")) };
    let afterwards = match &known.message {
        None => "every definition and row was as before".to_owned(),
        Some(note) => format!("what triggers wrote, as acknowledged, stayed ({note})"),
    };
    format!(
        "the whole plan ran on the restored copy and was taken back: {} orphans and {} duplicates found, {} rows and {} values quarantined, \
         {} foreign keys proven, {} probes and {} scenarios passed; {} from the first change to the last proof{slowest}; {} back, and {afterwards}",
        number(known.orphans),
        number(known.duplicates),
        number(known.quarantined_rows),
        number(known.quarantined_values),
        number(known.foreign_keys),
        number(known.probes),
        number(known.scenarios),
        time(number(known.change_milliseconds)),
        time(number(known.undo_milliseconds)),
    )
}
