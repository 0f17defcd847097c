//! What a person asks for by an annotation: each request is answered once, in the same write of the status that acts on it.

use crate::api::gates::OnFailure;
use crate::api::status::Phase;
use crate::api::steering::{Request, SteeringAction, next_request};
use crate::api::{ConditionType, Reason, conditions};

use super::super::decision::{Decision, Effect, Fact, Verdict};
use super::super::observed::TaskState;
use super::case::Case;
use super::{purge, put_back};

/// The decision about the first request that was not answered yet; `None`: there is none.
pub(super) fn steer(case: &Case<'_>, position: Option<Phase>) -> Option<Decision> {
    let request = next_request(case.migration)?;
    // What the task that ended the migration left is cleared away first, so that nothing goes on from it.
    let left = case.observed.session || case.has_finalizer() || !matches!(case.observed.task, TaskState::Idle);
    let cleared = !left || request.action == SteeringAction::Purge;
    if position.is_none() && !cleared {
        return None;
    }
    Some(match request.action {
        SteeringAction::Abort => abort(case, position, request),
        SteeringAction::Rollback => roll_back(case, position, request),
        SteeringAction::Replan => replan(case, position, request),
        SteeringAction::Retry => retry(case, position, request),
        SteeringAction::Purge => purge::requested(case, position, request),
    })
}

pub(super) fn refused(request: Request, message: impl Into<String>) -> Decision {
    Decision::new(Verdict::Unchanged)
        .fact(Fact::Answered { request, accepted: false, message: message.into() })
        .at_once()
}

pub(super) fn accepted(decision: Decision, request: Request, message: impl Into<String>) -> Decision {
    decision.fact(Fact::Answered { request, accepted: true, message: message.into() }).at_once()
}

/// The reason of an end.
pub(super) fn end_reason(case: &Case<'_>) -> Option<Reason> {
    conditions::find(&case.status.conditions, ConditionType::Finished).and_then(|each| Reason::from_name(&each.reason))
}

fn abort(case: &Case<'_>, position: Option<Phase>, request: Request) -> Decision {
    match position {
        None => refused(request, "the migration has ended, so nothing runs that could be aborted"),
        Some(Phase::RollBack) => {
            refused(request, "changes are being taken back already; set spec.suspend to hold that up")
        }
        _ => {
            let failure =
                format!("a person asked to abort ({}: {:?})", SteeringAction::Abort.annotation(), request.token);
            let message = match (case.status.started_at.is_some(), case.migration.spec.rollback.on_failure) {
                (false, _) => "stopped before the first change",
                (true, OnFailure::Hold) => "stopped; everything stays where it is, as spec.rollback.onFailure says",
                (true, OnFailure::RestoreBackup) => "stopped; the backup is put back once that is approved",
                (true, OnFailure::Undo) => "stopped; changes are taken back",
            };
            let decision = case.fail(case.failing(), Reason::Aborted, &failure);
            accepted(case.making_room(decision), request, message)
        }
    }
}

fn roll_back(case: &Case<'_>, position: Option<Phase>, request: Request) -> Decision {
    let failure =
        format!("a person asked to roll back ({}: {:?})", SteeringAction::Rollback.annotation(), request.token);
    let begin = |phase: Phase| {
        Decision::new(Verdict::RollBack(phase, Reason::RollbackRequested, failure.clone()))
            .fact(Fact::Strategy(OnFailure::Undo))
    };
    match (position, end_reason(case)) {
        (None, Some(Reason::Held)) => {
            let phase = case.status.rollback.as_ref().map_or(case.failing(), |rollback| rollback.failed_phase);
            accepted(begin(phase), request, "changes are taken back")
        }
        (None, Some(Reason::RollbackFailed)) => rollback_again(request, OnFailure::Undo),
        (None, Some(Reason::Complete)) => refused(
            request,
            "the migration is complete and proven; it is taken back by a migration of its own, or by hand from the plan's inverse statements",
        ),
        (None, _) => refused(request, "nothing stands that could be taken back"),
        (Some(Phase::RollBack), _) if put_back::may_undo_instead(case) => {
            let message = "changes are taken back instead, and the backup is not put back";
            let again = Decision::new(Verdict::RollBackAgain(message.to_owned())).fact(Fact::Strategy(OnFailure::Undo));
            accepted(case.making_room(again), request, message)
        }
        (Some(Phase::RollBack), _) => refused(request, "changes are being taken back already"),
        _ if case.status.started_at.is_none() => refused(
            request,
            format!(
                "nothing is changed yet, so there is nothing to take back; {} ends the migration",
                SteeringAction::Abort.annotation()
            ),
        ),
        _ => accepted(case.making_room(begin(case.failing())), request, "changes are taken back"),
    }
}

fn rollback_again(request: Request, strategy: OnFailure) -> Decision {
    let message = "the rollback goes on where it stopped";
    let again = Decision::new(Verdict::RollBackAgain(message.to_owned())).fact(Fact::Strategy(strategy));
    accepted(again, request, message)
}

fn replan(case: &Case<'_>, position: Option<Phase>, request: Request) -> Decision {
    match position {
        None if end_reason(case) == Some(Reason::PlanOnly) => accepted(
            Decision::new(Verdict::Anew("a person asked for a new plan".to_owned())),
            request,
            "the plan is computed anew",
        ),
        None => refused(
            request,
            format!(
                "the migration has ended; {} begins it again where that is possible",
                SteeringAction::Retry.annotation()
            ),
        ),
        _ if case.status.started_at.is_some() => refused(
            request,
            "the first change is made, and from then on the plan is carried out as it was approved, or taken back",
        ),
        Some(Phase::Preflight | Phase::Plan) => {
            refused(request, "no plan is computed yet; it will be, from the catalogue as it is then")
        }
        _ => {
            let verdict = Verdict::Replan(Reason::Progressing, "a person asked for a new plan".to_owned());
            accepted(case.making_room(Decision::new(verdict)), request, "the plan is computed anew")
        }
    }
}

fn retry(case: &Case<'_>, position: Option<Phase>, request: Request) -> Decision {
    if position.is_some() {
        return retry_now(case, request);
    }
    match end_reason(case) {
        Some(Reason::Complete | Reason::PlanOnly) => refused(request, "nothing failed"),
        Some(Reason::Held) => {
            let message = "goes on where it was held";
            accepted(Decision::new(Verdict::GoOn(message.to_owned())), request, message)
        }
        Some(Reason::RollbackFailed) => {
            // What the spec says by now; a rollback that a person asked for although it says Hold goes on as it began.
            let begun = case.status.rollback.as_ref().map_or(OnFailure::Undo, |rollback| rollback.strategy);
            let strategy = match case.migration.spec.rollback.on_failure {
                OnFailure::Hold => begun,
                wanted => wanted,
            };
            rollback_again(request, strategy)
        }
        Some(Reason::ApprovalDenied) => refused(
            request,
            "a person denied this plan: delete that MigrationApproval and change the spec to begin again",
        ),
        _ => {
            let message = "begun again from the start, because a person asked for it";
            // What was waited for too long may be waited for as long once more.
            let anew = Decision::new(Verdict::Anew(message.to_owned())).effect(Effect::EndTrouble);
            accepted(anew, request, message)
        }
    }
}

/// A retry while the migration goes on: what is waited for is looked at again at once.
fn retry_now(case: &Case<'_>, request: Request) -> Decision {
    let waits = conditions::find(&case.status.conditions, ConditionType::Reconciling)
        .and_then(|each| Reason::from_name(&each.reason));
    if waits == Some(Reason::ServerChanged) {
        let decision = Decision::new(Verdict::Unchanged)
            .fact(Fact::Server(None))
            .fact(Fact::TroubleOver)
            .effect(Effect::EndTrouble);
        return accepted(decision, request, "goes on with the server that answers now");
    }
    if case.is_troubled() {
        let decision = Decision::new(Verdict::Unchanged).fact(Fact::TroubleOver).effect(Effect::EndTrouble);
        return accepted(decision, request, "tried again at once");
    }
    refused(request, "nothing has failed; status.message says what is done or waited for")
}
