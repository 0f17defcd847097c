//! What the conditions of steps and the gates say while a rollback takes back what was done, and after it.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::conditions::{ConditionStatus, ConditionWriter, find};
use crate::api::gates::GatedPhase;
use crate::api::status::{SchemaMigrationStatus, StageState};
use crate::api::{ConditionType, Reason};

/// Steps whose conditions say what stands in the world, which a rollback changes.
const TAKEN_BACK: [ConditionType; 5] = [
    ConditionType::CleanedUp,
    ConditionType::TypesFixed,
    ConditionType::UniquesAdded,
    ConditionType::ForeignKeysAdded,
    ConditionType::SchemaUpdated,
];

/// Says of every step that had done something how far it is taken back. One that was skipped has done nothing.
fn take_back(
    status: &mut SchemaMigrationStatus,
    value: ConditionStatus,
    reason: Reason,
    message: &str,
    generation: i64,
    now: Timestamp,
) {
    for condition in TAKEN_BACK {
        let concerned = find(&status.conditions, condition).is_some_and(|each| {
            let undoing = [Reason::RollingBack, Reason::RollbackFailed];
            (each.status == ConditionStatus::True.as_str() && each.reason != Reason::Skipped.as_str())
                || undoing.iter().any(|reason| reason.as_str() == each.reason)
        });
        if concerned {
            ConditionWriter::new(&mut status.conditions, generation, now).set(condition, value, reason, message);
        }
    }
}

/// What every step did is being taken back.
pub(super) fn taking_back(status: &mut SchemaMigrationStatus, generation: i64, now: Timestamp) {
    let message = "what this step did is being taken back";
    take_back(status, ConditionStatus::Unknown, Reason::RollingBack, message, generation, now);
}

/// How far every step is taken back once the rollback has ended.
pub(super) fn taken_back(status: &mut SchemaMigrationStatus, whole: bool, generation: i64, now: Timestamp) {
    if !whole {
        let message = "the rollback could not finish, so this step may stand, as a whole or in part: the condition RolledBack says what does";
        take_back(status, ConditionStatus::Unknown, Reason::RollbackFailed, message, generation, now);
        // What was interrupted in the middle does not go on.
        for stage in status.stages.iter_mut().filter(|stage| stage.state == StageState::Running) {
            (stage.state, stage.finished) = (StageState::Failed, Some(Time(now)));
        }
        return;
    }
    let message = "what this step did was taken back";
    take_back(status, ConditionStatus::False, Reason::RollbackSucceeded, message, generation, now);
    for stage in &mut status.stages {
        (stage.added, stage.verified) = (0, 0);
        if stage.state != StageState::Failed {
            (stage.state, stage.started, stage.finished) = (StageState::Pending, None, None);
        }
    }
}

/// Changes are undone, which loses nothing: whether the backup may be put back is not asked any more, and a denial of it counts no more.
pub(super) fn nothing_to_lose(status: &mut SchemaMigrationStatus, generation: i64, now: Timestamp) {
    let asked = status.gates.len();
    status.gates.retain(|gate| gate.before.phase != Some(GatedPhase::RestoreBackup));
    if status.gates.is_empty() && asked > 0 {
        let mut writer = ConditionWriter::new(&mut status.conditions, generation, now);
        writer.set(
            ConditionType::Approved,
            ConditionStatus::Unknown,
            Reason::Pending,
            "no gate has come up on this way",
        );
    }
}
