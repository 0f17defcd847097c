//! After the end: what the migration has in quarantine is deleted for good, because a person asked for it or because
//! `spec.quarantine.retention` says so. Both pass the gate before Purge, and the outcome of the migration stays what it is.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::Reason;
use crate::api::conditions::shortened;
use crate::api::gates::{GatePoint, GatedPhase};
use crate::api::status::{JobState, Phase, PurgeStatus};
use crate::api::steering::Request;

use super::super::decision::{Decision, Effect, Fact, LOOK_AGAIN, Verdict};
use super::super::gates::{self, Copies};
use super::super::observed::{Task, TaskResult, TaskState};
use super::super::project::MAX_TEXT;
use super::super::retention::{self, MAX_FAILURES, Standing};
use super::case::Case;
use super::removal;
use super::steering::{accepted, end_reason, refused};

/// A far moment is looked at again before it comes, for clocks are set.
const LOOK: Duration = Duration::from_secs(3600);

/// Why the quarantine is purged, which is who learns what comes of it.
enum Wish {
    /// A person asked for it, and gets an answer.
    Asked(Request),
    /// Its time is over; the status says what comes of it.
    InTime(PurgeStatus),
}

impl Wish {
    /// Not done: a person may ask again, and time tries again.
    fn failed(self, case: &Case<'_>, message: String) -> Decision {
        match self {
            Self::Asked(request) => refused(request, format!("not purged: {message}")),
            Self::InTime(purge) => {
                let failures = purge.failures.saturating_add(1);
                let next = match failures {
                    MAX_FAILURES.. => {
                        "it is not tried again: once the cause is gone, purge it by the annotation holdfast.dev/purge-at"
                    }
                    _ => "it is tried again",
                };
                let message = Some(shortened(format!("{message}; {next}"), MAX_TEXT));
                let purge = PurgeStatus { failures, failed_at: Some(Time(case.now)), message, ..purge };
                unchanged().fact(Fact::PurgeInTime(Box::new(purge))).at_once()
            }
        }
    }

    fn done(self, message: String) -> Decision {
        let purged = unchanged().fact(Fact::Purged).fact(Fact::TroubleOver);
        match self {
            Self::Asked(request) => accepted(purged, request, message),
            Self::InTime(purge) => {
                let purge = PurgeStatus { message: Some(message), ..purge };
                purged.fact(Fact::PurgeInTime(Box::new(purge))).at_once()
            }
        }
    }
}

fn unchanged() -> Decision {
    Decision::new(Verdict::Unchanged)
}

/// The answer to a person who asks for it.
pub(super) fn requested(case: &Case<'_>, position: Option<Phase>, request: Request) -> Decision {
    if position.is_some() {
        return refused(request, "the migration has not ended, and its quarantined rows may have to be put back");
    }
    match end_reason(case) {
        Some(Reason::Complete | Reason::RollbackSucceeded) => {}
        Some(Reason::Held | Reason::RollbackFailed) => {
            return refused(
                request,
                "quarantined rows may still have to be put back: let the migration end as Complete or RolledBack first",
            );
        }
        _ => return refused(request, "nothing was moved to quarantine"),
    }
    if case.migration.spec.suspend
        && !matches!(case.observed.task, TaskState::Running(Task::Purge, _) | TaskState::Ended(Task::Purge, _))
    {
        return refused(request, "not purged: spec.suspend is true, so nothing is begun");
    }
    purge(case, Wish::Asked(request))
}

/// Whether time says that the quarantine is to be purged now.
pub(super) fn is_due(case: &Case<'_>) -> bool {
    retention::purge_standing(&case.migration.spec, case.status, case.now) == Some(Standing::Due)
}

/// What time says about the quarantine of a migration that has ended; `None`: nothing, and nothing will be.
pub(super) fn in_time(case: &Case<'_>) -> Option<Decision> {
    let due = retention::purge_due(&case.migration.spec, case.status)?;
    let known = case.status.quarantine.as_ref().and_then(|kept| kept.purge.clone());
    let so_far = PurgeStatus { due_at: Some(Time(due)), ..known.clone().unwrap_or_default() };
    if known.as_ref() != Some(&so_far) {
        return Some(unchanged().fact(Fact::PurgeInTime(Box::new(so_far))).at_once());
    }
    match retention::purge_standing(&case.migration.spec, case.status, case.now)? {
        Standing::Over => None,
        Standing::Wait(until) => {
            let wait = Duration::try_from(until.duration_since(case.now)).unwrap_or_default();
            Some(unchanged().after(wait.min(LOOK)))
        }
        Standing::Due if case.migration.spec.suspend && matches!(case.observed.task, TaskState::Idle) => {
            Some(unchanged().after(LOOK))
        }
        Standing::Due => Some(purge(case, Wish::InTime(so_far))),
    }
}

fn purge(case: &Case<'_>, wish: Wish) -> Decision {
    match &case.observed.task {
        TaskState::Running(Task::Purge, _) => unchanged(),
        TaskState::Running(..) => unchanged().effect(Effect::StopTask),
        TaskState::Ended(Task::Purge, Ok(TaskResult::Purged { entries, tables, kept_tables })) => {
            let mut message =
                format!("{entries} rows and values were deleted from {tables} quarantine tables for good");
            if *kept_tables > 0 {
                message.push_str(&format!(", and {kept_tables} tables that the backup took the place of"));
            }
            wish.done(message).effect(Effect::ForgetTask(Task::Purge))
        }
        TaskState::Ended(Task::Purge, Err(error)) => match case.bears(error) {
            Some(fact) => unchanged().fact(fact).effect(Effect::NoteTrouble),
            None => {
                wish.failed(case, error.message.clone()).fact(Fact::TroubleOver).effect(Effect::ForgetTask(Task::Purge))
            }
        },
        TaskState::Ended(task, _) => unchanged().effect(Effect::ForgetTask(*task)).at_once(),
        TaskState::Idle => begin(case, wish),
    }
}

/// Passes the gate before Purge. The end of the migration stays what it is meanwhile.
fn begin(case: &Case<'_>, wish: Wish) -> Decision {
    if let Some(missing) = &case.observed.missing {
        return wish.failed(case, missing.clone());
    }
    // The Job that deletes backups is watched to its end first: a release would end it, and nobody else looks at it meanwhile.
    if removal::is_going_on(case) {
        return removal::after_end(case).unwrap_or_else(unchanged);
    }
    if case.status.jobs.iter().any(|job| job.state == JobState::Running) || case.observed.session {
        return unchanged().effect(Effect::Release);
    }
    if let Some(wait) = case.pause() {
        return unchanged().after(wait);
    }
    let mut decision = unchanged();
    match gates::evaluate(case.view(), GatePoint::Phase(GatedPhase::Purge), Copies::default()) {
        gates::Verdict::Open(open) if open.iter().all(|gate| case.status.gates.contains(gate)) => {
            decision = decision.effect(Effect::StartTask(Task::Purge, Default::default()));
        }
        gates::Verdict::Open(open) => {
            decision.gates = open;
            decision = decision.at_once();
        }
        gates::Verdict::Closed(closed, ..) => {
            decision.gates = closed;
            decision = decision.after(LOOK_AGAIN);
        }
        gates::Verdict::Denied(denied, message) => {
            decision = wish.failed(case, message);
            decision.gates = denied;
        }
    }
    decision
}
