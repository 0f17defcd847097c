//! When the backups of a migration may be deleted, and when its quarantine may be purged. Pure: `decide` acts on it.

use jiff::{RoundMode, SignedDuration, Timestamp, TimestampRound, Unit};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::Duration;
use crate::api::backup::BackupType;
use crate::api::conditions::{find, is_true};
use crate::api::duration::Retention;
use crate::api::status::{JobPurpose, JobState, JobStatus, RemovalStatus, SchemaMigrationStatus};
use crate::api::steering::{SteeringAction, next_request};
use crate::api::{ConditionType, Reason, SchemaMigration, SchemaMigrationSpec};

/// Pauses after a failure; after the last one nothing is tried any more.
const PAUSES: [SignedDuration; 4] = [
    SignedDuration::from_secs(60),
    SignedDuration::from_secs(300),
    SignedDuration::from_secs(1800),
    SignedDuration::from_secs(7200),
];
/// Failures after which a person has to look.
pub const MAX_FAILURES: i32 = PAUSES.len() as i32 + 1;

/// What is to be done about what is kept for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is deleted already, or could not be deleted.
    Over,
    /// It may be deleted then, or the deletion is tried again then.
    Wait(Timestamp),
    /// It is to be deleted now.
    Due,
}

/// Whether a Job that deletes backups was begun and has not ended.
#[must_use]
pub fn is_removing(job: &JobStatus) -> bool {
    job.purpose == JobPurpose::RemoveBackups && job.state == JobState::Running
}

/// When the backups may be deleted; `None`: not by time.
#[must_use]
pub fn due(spec: &SchemaMigrationSpec, status: &SchemaMigrationStatus) -> Option<Timestamp> {
    let Retention::For(time) = &spec.backup.retention else { return None };
    // A first one that came to nothing has left nothing.
    let made = status.backup.as_ref().is_some_and(|backup| backup.attempt > 1 || backup.taken_at.is_some());
    let made_here = spec.backup.backup_type == BackupType::Job && made;
    if !made_here || !is_true(&status.conditions, ConditionType::Finished) {
        return None;
    }
    // While changes stand that a person has yet to decide about, the backup may be the way back.
    let end = find(&status.conditions, ConditionType::Finished).and_then(|each| Reason::from_name(&each.reason))?;
    if matches!(end, Reason::Held | Reason::RollbackFailed) {
        return None;
    }
    after_the_end(status, time)
}

fn after_the_end(status: &SchemaMigrationStatus, time: &Duration) -> Option<Timestamp> {
    let time = SignedDuration::try_from(time.get()).ok()?;
    // So long that no clock can tell when: never. The status keeps whole seconds: a fraction would be another time whenever it is read.
    let whole = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Ceil);
    status.finished_at.as_ref()?.0.checked_add(time).ok()?.round(whole).ok()
}

/// When the quarantine may be purged; `None`: not by time.
#[must_use]
pub fn purge_due(spec: &SchemaMigrationSpec, status: &SchemaMigrationStatus) -> Option<Timestamp> {
    let Retention::For(time) = &spec.quarantine.retention else { return None };
    let kept = status.quarantine.as_ref().filter(|kept| kept.purged_at.is_none())?;
    let complete = find(&status.conditions, ConditionType::Finished)
        .is_some_and(|each| each.status == "True" && each.reason == Reason::Complete.as_str());
    let anything = kept.orphans + kept.duplicates + kept.cascaded + kept.values > 0;
    if complete && anything { after_the_end(status, time) } else { None }
}

/// What is to be done about the quarantine now; `None`: nothing by time.
#[must_use]
pub fn purge_standing(spec: &SchemaMigrationSpec, status: &SchemaMigrationStatus, now: Timestamp) -> Option<Standing> {
    let due = purge_due(spec, status)?;
    let purge = status.quarantine.as_ref().and_then(|kept| kept.purge.clone()).unwrap_or_default();
    Some(by_failures(due, purge.failures, purge.failed_at.as_ref(), now))
}

/// Whether the quarantine is to be purged: because a person asks for it, or its time is over.
#[must_use]
pub fn purges(migration: &SchemaMigration, now: Timestamp) -> bool {
    let status = migration.status.as_ref();
    next_request(migration).is_some_and(|request| request.action == SteeringAction::Purge)
        || status.and_then(|status| purge_standing(&migration.spec, status, now)) == Some(Standing::Due)
}

/// The deletion as it stands, with this due time. Another one than before is a new policy, and is tried anew.
#[must_use]
pub fn current(status: &SchemaMigrationStatus, due: Timestamp) -> RemovalStatus {
    let known = status.backup.as_ref().and_then(|backup| backup.removal.clone()).unwrap_or_default();
    if known.removed_at.is_some() || known.due_at.as_ref().is_some_and(|known| known.0 == due) {
        return known;
    }
    let due_at = Some(Time(due));
    RemovalStatus { due_at, failures: 0, failed_at: None, message: None, ..known }
}

/// What is to be done now.
#[must_use]
pub fn standing(removal: &RemovalStatus, due: Timestamp, now: Timestamp) -> Standing {
    if removal.removed_at.is_some() {
        return Standing::Over;
    }
    by_failures(due, removal.failures, removal.failed_at.as_ref(), now)
}

fn by_failures(due: Timestamp, failures: i32, failed_at: Option<&Time>, now: Timestamp) -> Standing {
    if failures >= MAX_FAILURES {
        return Standing::Over;
    }
    let failures = usize::try_from(failures).unwrap_or(0);
    let again = match (failed_at, failures.checked_sub(1).and_then(|before| PAUSES.get(before))) {
        (Some(failed), Some(pause)) => failed.0.checked_add(*pause).ok(),
        _ => None,
    };
    let next = again.map_or(due, |again| again.max(due));
    if now < next { Standing::Wait(next) } else { Standing::Due }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_failure_is_tried_again_after_longer_and_longer_and_then_no_more() {
        let mut removal = RemovalStatus { due_at: Some(Time(at(100))), ..RemovalStatus::default() };
        assert_eq!(standing(&removal, at(100), at(99)), Standing::Wait(at(100)));
        assert_eq!(standing(&removal, at(100), at(100)), Standing::Due);
        removal.failed_at = Some(Time(at(200)));
        for (failures, next) in [(1, 260), (2, 500), (3, 2000), (4, 7400)] {
            removal.failures = failures;
            assert_eq!(standing(&removal, at(100), at(next - 1)), Standing::Wait(at(next)), "{failures}");
            assert_eq!(standing(&removal, at(100), at(next)), Standing::Due, "{failures}");
        }
        removal.failures = MAX_FAILURES;
        assert_eq!(standing(&removal, at(100), at(1_000_000)), Standing::Over);
    }

    #[test]
    fn another_retention_is_tried_anew_and_what_is_deleted_stays_so() {
        let known = RemovalStatus {
            due_at: Some(Time(at(100))),
            tries: 5,
            failures: 5,
            failed_at: Some(Time(at(300))),
            ..RemovalStatus::default()
        };
        let backup = crate::api::status::BackupStatus { removal: Some(known.clone()), ..Default::default() };
        let mut status = SchemaMigrationStatus { backup: Some(backup), ..SchemaMigrationStatus::default() };
        assert_eq!(current(&status, at(100)), known);
        let anew = current(&status, at(400));
        assert_eq!((anew.tries, anew.failures, anew.failed_at.is_none()), (5, 0, true));
        let removed = RemovalStatus { removed_at: Some(Time(at(500))), ..known };
        status.backup.as_mut().unwrap().removal = Some(removed.clone());
        assert_eq!(current(&status, at(400)), removed);
    }
}
