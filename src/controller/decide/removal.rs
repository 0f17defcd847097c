//! After the end: the backups are deleted by a Job once `spec.backup.retention` says so. Whatever comes of it, the outcome of the migration
//! stays what it is.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::conditions::shortened;
use crate::api::status::{JobPurpose, JobState, Phase, RemovalStatus};
use crate::backup::{Outcome, Removed};

use super::super::decision::{Decision, Effect, Fact, JobRequest, Verdict};
use super::super::observed::signed;
use super::super::project::MAX_TEXT;
use super::super::retention::{self, MAX_FAILURES, Standing};
use super::backup::{failure_text, left};
use super::case::{Case, JobEnd, JobPlace};

/// A far moment is looked at again before it comes, for clocks are set.
const LOOK: Duration = Duration::from_secs(3600);

/// Whether the Job that deletes backups was begun.
pub(super) fn is_going_on(case: &Case<'_>) -> bool {
    case.status.jobs.iter().any(retention::is_removing)
}

/// What is to be done about the backups of a migration that has ended; `None`: nothing, and nothing will be.
pub(super) fn after_end(case: &Case<'_>) -> Option<Decision> {
    let going_on = is_going_on(case);
    let Some(due) = retention::due(&case.migration.spec, case.status) else {
        return going_on.then(|| stopped(case));
    };
    let removal = retention::current(case.status, due);
    let known = case.status.backup.as_ref().and_then(|backup| backup.removal.as_ref());
    if known != Some(&removal) {
        return Some(Decision::new(Verdict::Unchanged).fact(Fact::Removal(Box::new(removal))).at_once());
    }
    match retention::standing(&removal, due, case.now) {
        Standing::Over => None,
        Standing::Wait(_) if going_on => Some(stopped(case)),
        Standing::Wait(until) => {
            let wait = Duration::try_from(until.duration_since(case.now)).unwrap_or_default();
            Some(Decision::new(Verdict::Unchanged).after(wait.min(LOOK)))
        }
        Standing::Due if case.migration.spec.suspend && !going_on => {
            Some(Decision::new(Verdict::Unchanged).after(LOOK))
        }
        Standing::Due => Some(remove(case, &removal)),
    }
}

/// By the policy as it is now they are kept, or kept for longer: what was begun ends. The release deletes the Job.
fn stopped(case: &Case<'_>) -> Decision {
    let job = case.status.jobs.iter().find(|job| retention::is_removing(job));
    let message = Some("stopped, because spec.backup.retention was changed".to_owned());
    let facts = job.map(|job| seen(&job.name, JobState::Failed, message));
    let known = case.status.backup.as_ref().and_then(|backup| backup.removal.clone()).unwrap_or_default();
    let removal = RemovalStatus { tries: known.tries.saturating_add(1), ..known };
    Decision::new(Verdict::Unchanged).facts(facts).fact(Fact::Removal(Box::new(removal))).effect(Effect::Release)
}

fn remove(case: &Case<'_>, removal: &RemovalStatus) -> Decision {
    let attempts = case.status.backup.as_ref().map_or(0, |backup| backup.attempt);
    let tries = removal.tries.saturating_add(1);
    let place = JobPlace { phase: Phase::Complete, purpose: JobPurpose::RemoveBackups, test: None, attempt: tries };
    let create = |name: String| {
        let unchanged = Decision::new(Verdict::Unchanged);
        // Suspended since it was announced: the end stays the end, and nothing is begun.
        if case.migration.spec.suspend {
            return unchanged.after(LOOK);
        }
        unchanged.effect(Effect::CreateJob(JobRequest::RemoveBackups { name, attempts }))
    };
    let ended = |end: JobEnd<'_>| match end {
        JobEnd::Succeeded { name, message } => match left(name, message) {
            Ok(Outcome::Removed(removed)) => Decision::new(Verdict::Unchanged)
                .fact(seen(name, JobState::Succeeded, None))
                .fact(done(case, removal, &removed)),
            Ok(other) => failed(
                case,
                removal,
                name,
                format!("the Job {name} left a result that does not belong to it: {other:?}"),
            ),
            Err(text) => failed(case, removal, name, text),
        },
        JobEnd::Failed { name, message, delete, .. } => {
            let decision = failed(case, removal, name, failure_text(&message));
            if delete { decision.effect(Effect::DeleteJob(name.to_owned())) } else { decision }
        }
    };
    let mut decision = case.job(place, create, ended);
    // A Job that runs is progress everywhere but here.
    decision.verdict = Verdict::Unchanged;
    decision
}

fn seen(name: &str, state: JobState, message: Option<String>) -> Fact {
    Fact::JobSeen { name: name.to_owned(), uid: None, state, message }
}

fn done(case: &Case<'_>, removal: &RemovalStatus, removed: &Removed) -> Fact {
    let left = (!removed.left.is_empty()).then(|| shortened(format!("left: {}", removed.left.join("; ")), MAX_TEXT));
    Fact::Removal(Box::new(RemovalStatus {
        removed_at: Some(Time(case.now)),
        backups: Some(signed(removed.backups)),
        bytes: Some(signed(removed.bytes)),
        tries: removal.tries.saturating_add(1),
        message: left,
        ..removal.clone()
    }))
}

fn failed(case: &Case<'_>, removal: &RemovalStatus, name: &str, message: String) -> Decision {
    let failures = removal.failures.saturating_add(1);
    let next = if failures >= MAX_FAILURES {
        "it is not tried again: once the cause is gone, change spec.backup.retention a little, or delete them by hand"
    } else {
        "it is tried again"
    };
    let removal = RemovalStatus {
        tries: removal.tries.saturating_add(1),
        failures,
        failed_at: Some(Time(case.now)),
        message: Some(shortened(format!("{message}; {next}"), MAX_TEXT)),
        ..removal.clone()
    };
    Decision::new(Verdict::Unchanged)
        .fact(seen(name, JobState::Failed, Some(message)))
        .fact(Fact::Removal(Box::new(removal)))
}
