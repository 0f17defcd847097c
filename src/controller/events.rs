//! Events, from the difference between the status before and after: each change is told once, and none is told that was not written.

use crate::api::conditions::{find, is_true, shortened};
use crate::api::names::names;
use crate::api::status::{GateState, Phase, SchemaMigrationStatus};
use crate::api::{ConditionType, Reason};
use crate::mysql::Notice;
use crate::plan::render;

use super::approvals::counted;

/// Longest note that Kubernetes keeps.
pub(super) const MAX_NOTE: usize = 1024;
/// Longest action that it takes.
const MAX_ACTION: usize = 128;

names! {
    /// Reasons that events alone have. Beside them an event may have the reason of a condition, and means the same by it: why a gate is
    /// closed, what is waited for, how a migration ended.
    EventReason {
        /// A plan is stored.
        PlanComputed,
        /// A gate is open, and a person opened it.
        ApprovalGranted,
        /// A gate is open, and evidence of other environments opened it.
        EvidenceAccepted,
        /// A gate is open, because its window is.
        WindowOpened,
        /// What a person asked for by an annotation is done.
        RequestAccepted,
        /// What a person asked for by an annotation is not done.
        RequestRefused,
        /// The backup is proven as the spec asks.
        BackupVerified,
        /// The backups were deleted after their time.
        BackupsRemoved,
        /// They could not be deleted.
        BackupRemovalFailed,
        /// The quarantine was purged after its time.
        QuarantinePurged,
        /// It could not be purged.
        PurgeFailed,
        /// A step is done.
        PhaseSucceeded,
        /// A step failed.
        PhaseFailed,
        /// A session that stood in the way was killed.
        BlockerKilled,
        /// The resource was deleted in the middle of its work.
        LeftMidway,
    }
}

/// An event to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Whether it is bad news.
    pub warning: bool,
    /// Reason.
    pub reason: String,
    /// What it is about: a phase, or the point of a gate. Kubernetes takes events of the same reason and action for repetitions of the
    /// first, whose note alone it keeps.
    pub action: String,
    /// Note.
    pub note: String,
}

fn told(warning: bool, reason: &str, note: impl Into<String>) -> Told {
    let (reason, note) = (reason.to_owned(), shortened(note.into(), MAX_NOTE));
    Told { warning, reason, action: String::new(), note }
}

/// A notice of the work that goes on, which no status would show any more once it is over.
#[must_use]
pub fn of_notice(notice: Notice) -> Told {
    match notice {
        // Each by an action of its own, or the second would count as a repetition of the first.
        Notice::BlockerKilled { connection, text } => Told {
            action: format!("KillConnection{connection}"),
            ..told(true, EventReason::BlockerKilled.as_str(), text)
        },
    }
}

/// What happened between two statuses.
#[must_use]
pub fn between(before: &SchemaMigrationStatus, after: &SchemaMigrationStatus) -> Vec<Told> {
    let mut events = Vec::new();
    let message = |condition| find(&after.conditions, condition).map(|each| each.message.clone()).unwrap_or_default();
    let reason =
        |status: &SchemaMigrationStatus, condition| find(&status.conditions, condition).map(|each| each.reason.clone());
    if let Some(plan) = &after.plan
        && before.plan.as_ref().map(|plan| &plan.digest) != Some(&plan.digest)
    {
        events.push(told(
            false,
            EventReason::PlanComputed.as_str(),
            format!("{}: {}", plan.digest, render::counted(plan.counts.operations, "operation")),
        ));
    }
    for gate in &after.gates {
        let earlier = before.gates.iter().find(|each| each.before == gate.before);
        if earlier.is_some_and(|each| each.state == gate.state && each.reason == gate.reason) {
            continue;
        }
        let note = gate.message.clone().unwrap_or_default();
        let mut event = match gate.state {
            GateState::Open if gate.approval.is_some() => told(false, EventReason::ApprovalGranted.as_str(), note),
            GateState::Open if !gate.evidence.is_empty() => told(false, EventReason::EvidenceAccepted.as_str(), note),
            GateState::Open => told(false, EventReason::WindowOpened.as_str(), note),
            GateState::Closed => {
                let expected = [Reason::ApprovalPending, Reason::EvidencePending, Reason::OutsideWindow];
                let warning = !expected.iter().any(|reason| reason.as_str() == gate.reason);
                told(warning, &gate.reason, note)
            }
        };
        event.action = gate.before.point().map(|point| shortened(point.to_string(), MAX_ACTION)).unwrap_or_default();
        events.push(event);
    }
    for answer in after.steering.iter().filter(|answer| !before.steering.contains(answer)) {
        let reason = if answer.accepted { EventReason::RequestAccepted } else { EventReason::RequestRefused };
        events.push(told(
            !answer.accepted,
            reason.as_str(),
            format!("{} {:?}: {}", answer.action, answer.token, answer.message),
        ));
    }
    let rows = counted(after);
    if before.validation != after.validation && rows > 0 {
        events.push(told(
            false,
            Reason::OrphansFound.as_str(),
            format!("{rows} rows break the rules that are to be added; see status.validation"),
        ));
    }
    for (_, condition) in Phase::STEPS {
        let newly = is_true(&after.conditions, condition) && !is_true(&before.conditions, condition);
        let skipped = reason(after, condition).as_deref() == Some(Reason::Skipped.as_str());
        if newly && condition == ConditionType::BackedUp {
            events.push(told(false, EventReason::BackupVerified.as_str(), message(condition)));
        } else if newly && !skipped {
            events.push(told(
                false,
                EventReason::PhaseSucceeded.as_str(),
                format!("{condition}: {}", message(condition)),
            ));
        }
    }
    if let (None, Some(rollback)) = (&before.rollback, &after.rollback) {
        events.push(told(
            true,
            EventReason::PhaseFailed.as_str(),
            format!("{}: {}: {}", rollback.failed_phase, rollback.reason, rollback.message),
        ));
    }
    let waits = [
        Reason::LockHeld,
        Reason::LockWaitTimeout,
        Reason::DependencyNotReady,
        Reason::DatabaseUnreachable,
        Reason::AccessDenied,
        Reason::UnsupportedServer,
        Reason::ReplicaNotListed,
        Reason::ReplicaNotReady,
        Reason::PreflightFailed,
        Reason::UnknownPlanFormat,
        Reason::Suspended,
        Reason::DriftDetected,
        Reason::ServerChanged,
        Reason::EvidenceNotWritten,
        Reason::SoakNotWatched,
    ];
    let now = reason(after, ConditionType::Reconciling);
    if now != reason(before, ConditionType::Reconciling)
        && let Some(name) = now
        && waits.iter().any(|wait| wait.as_str() == name)
    {
        events.push(told(name != Reason::Suspended.as_str(), &name, message(ConditionType::Reconciling)));
    }
    if is_true(&after.conditions, ConditionType::Finished) && !is_true(&before.conditions, ConditionType::Finished) {
        let name = reason(after, ConditionType::Finished).unwrap_or_default();
        let good = is_true(&after.conditions, ConditionType::Succeeded);
        let warning = !good && name != Reason::RollbackSucceeded.as_str();
        if warning && after.rollback.is_none() {
            events.push(told(
                true,
                EventReason::PhaseFailed.as_str(),
                format!("{name}: {}", message(ConditionType::Finished)),
            ));
        } else {
            events.push(told(warning, &name, message(ConditionType::Finished)));
        }
    }
    events.extend(removal(before, after));
    events.extend(purge(before, after));
    let phase = after.phase.map_or_else(|| "Reconcile".to_owned(), |phase| phase.to_string());
    for event in events.iter_mut().filter(|event| event.action.is_empty()) {
        event.action.clone_from(&phase);
    }
    events
}

/// What became of the backups after the end.
fn removal(before: &SchemaMigrationStatus, after: &SchemaMigrationStatus) -> Option<Told> {
    let of = |status: &SchemaMigrationStatus| status.backup.as_ref().and_then(|backup| backup.removal.clone());
    let (was, is) = (of(before).unwrap_or_default(), of(after)?);
    let action = "RemoveBackups".to_owned();
    if was.removed_at.is_none() && is.removed_at.is_some() {
        let left = is.message.map(|left| format!("; {left}")).unwrap_or_default();
        let (backups, bytes) = (is.backups.unwrap_or_default(), is.bytes.unwrap_or_default());
        let (backups, bytes) = (render::counted(backups, "backup"), render::counted(bytes, "byte"));
        let note = format!("deleted, as spec.backup.retention says: {backups} of {bytes}{left}");
        return Some(Told { action, ..told(false, EventReason::BackupsRemoved.as_str(), note) });
    }
    (is.failures > was.failures).then(|| {
        let note = format!("the backups could not be deleted: {}", is.message.unwrap_or_default());
        Told { action: format!("{action}{}", is.tries), ..told(true, EventReason::BackupRemovalFailed.as_str(), note) }
    })
}

/// What became of the quarantine once its time was over.
fn purge(before: &SchemaMigrationStatus, after: &SchemaMigrationStatus) -> Option<Told> {
    let of = |status: &SchemaMigrationStatus| status.quarantine.clone().unwrap_or_default();
    let (was, is) = (of(before), of(after));
    let (failures, purge) = (was.purge.unwrap_or_default().failures, is.purge?);
    let (action, message) = ("Purge".to_owned(), purge.message.unwrap_or_default());
    if was.purged_at.is_none() && is.purged_at.is_some() && !message.is_empty() {
        let note = format!("as spec.quarantine.retention says: {message}");
        return Some(Told { action, ..told(false, EventReason::QuarantinePurged.as_str(), note) });
    }
    (purge.failures > failures).then(|| {
        let note = format!("the quarantine could not be purged: {message}");
        Told { action: format!("{action}{}", purge.failures), ..told(true, EventReason::PurgeFailed.as_str(), note) }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::Timestamp;

    use super::*;
    use crate::api::conditions::{ConditionStatus, ConditionWriter};
    use crate::api::status::GateStatus;

    fn passed(phase: Phase, condition: ConditionType) -> SchemaMigrationStatus {
        let mut status = SchemaMigrationStatus { phase: Some(phase), ..SchemaMigrationStatus::default() };
        ConditionWriter::new(&mut status.conditions, 1, Timestamp::UNIX_EPOCH).set(
            condition,
            ConditionStatus::True,
            Reason::Succeeded,
            "done",
        );
        status
    }

    #[test]
    fn each_session_that_was_ended_is_told_by_itself() {
        let told = |connection| of_notice(Notice::BlockerKilled { connection, text: format!("killed {connection}") });
        let (one, other) = (told(7), told(8));
        assert_eq!((one.reason.as_str(), one.note.as_str(), one.warning), ("BlockerKilled", "killed 7", true));
        assert_ne!(one.action, other.action);
    }

    #[test]
    fn events_of_one_reason_about_different_things_are_no_repetitions() {
        let nothing = SchemaMigrationStatus::default();
        let plan = between(&nothing, &passed(Phase::Plan, ConditionType::Planned));
        let test = between(&nothing, &passed(Phase::Test, ConditionType::Tested));
        assert_eq!((plan[0].reason.as_str(), test[0].reason.as_str()), ("PhaseSucceeded", "PhaseSucceeded"));
        assert_eq!((plan[0].action.as_str(), test[0].action.as_str()), ("Plan", "Test"));

        let gate = |point: serde_json::Value| -> GateStatus {
            serde_json::from_value(serde_json::json!({"before": point, "state": "Closed", "reason": "ApprovalPending"}))
                .unwrap()
        };
        let mut closed = nothing.clone();
        closed.phase = Some(Phase::Validate);
        closed.gates = vec![gate(serde_json::json!({"phase": "CleanUp"})), gate(serde_json::json!({"phase": "Copy"}))];
        let actions: Vec<_> = between(&nothing, &closed).into_iter().map(|event| event.action).collect();
        assert_eq!(actions, ["CleanUp", "Copy"]);
    }

    #[test]
    fn what_became_of_the_backups_is_told_once_for_each_change() {
        let with = |removal: serde_json::Value| -> SchemaMigrationStatus {
            serde_json::from_value(serde_json::json!({"phase": "Complete", "backup": {"removal": removal}})).unwrap()
        };
        let due = with(serde_json::json!({"dueAt": "2026-01-01T00:00:00Z"}));
        assert_eq!(between(&with(serde_json::json!({})), &due), []);
        let failed =
            with(serde_json::json!({"failures": 1, "tries": 1, "message": "no such bucket; it is tried again"}));
        let told = between(&due, &failed);
        assert_eq!((told.len(), told[0].reason.as_str(), told[0].warning), (1, "BackupRemovalFailed", true));
        assert!(told[0].note.contains("no such bucket"), "{}", told[0].note);
        let again = with(serde_json::json!({"failures": 2, "tries": 2, "message": "no such bucket"}));
        assert_ne!(between(&failed, &again)[0].action, told[0].action, "no repetition of the first");
        let removed =
            with(serde_json::json!({"removedAt": "2026-01-01T00:00:00Z", "backups": 2, "bytes": 10, "tries": 3}));
        let told = between(&again, &removed);
        assert_eq!((told.len(), told[0].reason.as_str(), told[0].warning), (1, "BackupsRemoved", false));
        assert!(told[0].note.contains("2 backups of 10 bytes"), "{}", told[0].note);
        assert_eq!(between(&removed, &removed), []);
    }
}
