//! The soak: looks at the application at intervals until its time is over, then looks for orphans once more. A threshold that was
//! passed fails the migration; what cannot be watched at all is waited for, and is no success.

use std::time::Duration;

use crate::api::application::Soak;
use crate::api::gates::{GatePoint, GatedPhase};
use crate::api::status::{Phase, SoakStatus};
use crate::api::{ConditionType, Reason};
use crate::mysql::Allowance;

use super::super::decision::{Decision, Effect, Fact, Verdict};
use super::super::observed::{Task, TaskResult, TaskState};
use super::super::soak::{self, Look};
use super::before::{passed, skipped};
use super::case::Case;
use super::failure::unexpected;

/// Digests that a message names.
const NAMED: usize = 5;

pub(super) fn soak(case: &Case<'_>) -> Decision {
    let status = case.status.soak.clone().unwrap_or_default();
    // What has begun goes on, though no task runs between two looks.
    if status.started_at.is_none()
        && let Some(decision) = case.gate(GatePoint::Phase(GatedPhase::Soak))
    {
        return decision;
    }
    let Some(wanted) = &case.migration.spec.soak else {
        return skipped(Phase::Soak, ConditionType::Soaked, "spec.soak is not set");
    };
    if soak::is_over(&status) && soak::saw_something(&status) {
        return last_scan(case, &status);
    }
    if let TaskState::Ended(Task::Look, Ok(TaskResult::Looked(look))) = &case.observed.task {
        return looked(case, wanted, &status, look);
    }
    if matches!(case.observed.task, TaskState::Idle)
        && !case.is_troubled()
        && let Some(wait) = until_next(case, wanted, &status)
    {
        return Decision::new(Verdict::Working(Phase::Soak, standing(wanted, &status)))
            .fact(Fact::TroubleOver)
            .after(wait);
    }
    let mut decision = case.task(Phase::Soak, Task::Look, Allowance::default(), |result| unexpected(case, result));
    // Said the same all the time, so that a look alone writes nothing.
    if let Verdict::Working(_, message) = &mut decision.verdict {
        *message = standing(wanted, &status);
        decision.facts.retain(|fact| !matches!(fact, Fact::Current(_)));
    }
    decision
}

/// How long it is until the next look; `None`: it is due.
fn until_next(case: &Case<'_>, wanted: &Soak, status: &SoakStatus) -> Option<Duration> {
    let (sampled, until) = (status.sampled_at.as_ref()?.0, status.until.as_ref()?.0);
    let next = sampled.checked_add(soak::pause(wanted)).unwrap_or(until);
    // Once the time is over, and as long as nothing was seen, it is looked again and again.
    let next = if sampled < until { next.min(until) } else { next };
    let wait = Duration::try_from(next.duration_since(case.now)).ok()?;
    (!wait.is_zero()).then_some(wait)
}

fn standing(wanted: &Soak, status: &SoakStatus) -> String {
    match &status.until {
        None => format!("beginning to watch the application for {}", wanted.duration),
        Some(until) => format!("watching the application until {:.0}", until.0),
    }
}

fn looked(case: &Case<'_>, wanted: &Soak, before: &SoakStatus, look: &Look) -> Decision {
    let way_out = "Grant what is missing, or roll back and remove spec.soak";
    if !look.sees_something() {
        // The time of the soak does not begin to run, or goes on running, without anybody watching: nothing is taken for well.
        let message = format!("nothing of the application can be watched: {}. {way_out}", look.blind());
        return case.trouble(Reason::SoakNotWatched, &message);
    }
    let soak::Judged { status, breaches } = soak::judge(wanted, before, look);
    let kept = Fact::Soak(Box::new(status.clone()));
    if !breaches.is_empty() {
        return case.fail(Phase::Soak, Reason::SoakBreached, &breaches.join("; ")).fact(kept);
    }
    if soak::is_over(&status) && !soak::saw_something(&status) {
        let message = format!("nothing was watched that counts: {}. {way_out}", soak::told(&status));
        return case.trouble(Reason::SoakNotWatched, &message).fact(kept);
    }
    Decision::new(Verdict::Working(Phase::Soak, standing(wanted, &status)))
        .fact(kept)
        .fact(Fact::TroubleOver)
        .effect(Effect::ForgetTask(Task::Look))
        .at_once()
}

/// What a slow log would show, for people: no threshold is held against it.
fn new_and_slow(slow: &Result<Vec<String>, String>) -> String {
    match slow {
        Ok(digests) if digests.is_empty() => {
            "No new statement on the plan's tables is slower than long_query_time".to_owned()
        }
        Ok(digests) => {
            let named: Vec<&str> = digests.iter().take(NAMED).map(String::as_str).collect();
            format!(
                "{} new statements on the plan's tables are slower than long_query_time: their digests begin with {}",
                digests.len(),
                named.join(", ")
            )
        }
        Err(why) => format!("Whether new statements are slow is not known ({why})"),
    }
}

fn last_scan(case: &Case<'_>, status: &SoakStatus) -> Decision {
    case.task(Phase::Soak, Task::Scan, Allowance::default(), |result| match result {
        TaskResult::Scanned { keys, orphans, slow } if orphans.is_empty() => {
            let seconds = match (&status.started_at, &status.sampled_at) {
                (Some(began), Some(ended)) => ended.0.duration_since(began.0).as_secs(),
                _ => 0,
            };
            let message = format!(
                "the application was watched for {seconds} s in {} looks: {}. {}. No row without a parent under {keys} keys",
                status.samples,
                soak::told(status),
                new_and_slow(slow)
            );
            passed(Phase::Soak, ConditionType::Soaked, message)
        }
        TaskResult::Scanned { orphans, .. } => {
            let message = format!(
                "rows without a parent came into being under the keys, which only sessions with foreign_key_checks off can make: {}",
                orphans.join("; ")
            );
            case.fail(Phase::Soak, Reason::SoakBreached, &message)
        }
        other => unexpected(case, other),
    })
}
