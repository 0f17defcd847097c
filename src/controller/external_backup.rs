//! A backup that is made elsewhere: which of the approvals before BackUp names one that counts. Pure. Nothing of it can be looked at, so a person
//! answers for it, and its age is all that is checked.

use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::api::approval::{ApprovalDecision, ExternalSnapshot};
use crate::api::backup::BackupType;
use crate::api::duration::CLOCKS_DIFFER;
use crate::api::gates::{GatePoint, GatedPhase};
use crate::api::{MigrationApproval, Reason, SchemaMigration};

/// Whether the gate before a point asks for such a backup.
pub(super) fn asked_at(migration: &SchemaMigration, point: GatePoint<'_>) -> bool {
    migration.spec.backup.backup_type == BackupType::External && point == GatePoint::Phase(GatedPhase::BackUp)
}

/// The newest backup that approvals of the current plan name; why it does not count, where it does not.
pub(super) fn newest<'a>(
    migration: &SchemaMigration,
    approvals: impl Iterator<Item = &'a MigrationApproval>,
    now: Timestamp,
) -> Result<(&'a MigrationApproval, &'a ExternalSnapshot), (Reason, String)> {
    let max_age = &migration.spec.backup.max_age;
    let (with, without): (Vec<_>, Vec<_>) = approvals
        .filter(|approval| approval.spec.decision == ApprovalDecision::Approve)
        .partition(|approval| approval.spec.snapshot.is_some());
    let named = with.into_iter().filter_map(|approval| Some((approval, approval.spec.snapshot.as_ref()?)));
    let Some((approval, snapshot)) = named.max_by_key(|(_, snapshot)| snapshot.taken_at.0) else {
        return Err(match without.last() {
            Some(approval) => (
                Reason::ApprovalPending,
                format!("the MigrationApproval {:?} names no snapshot, which is the backup here", approval.name_any()),
            ),
            None => (Reason::ApprovalPending, "waiting for a backup that is made elsewhere".to_owned()),
        });
    };
    let named = format!("the snapshot {:?} of the MigrationApproval {:?}", snapshot.id, approval.name_any());
    let age = now.duration_since(snapshot.taken_at.0);
    if age < -CLOCKS_DIFFER {
        let text = format!("{named} was taken at {}, which lies in the future: correct the time", snapshot.taken_at.0);
        return Err((Reason::ApprovalPending, text));
    }
    if std::time::Duration::try_from(age).is_ok_and(|age| age > max_age.get()) {
        let text =
            format!("{named} was taken at {} and is older than spec.backup.maxAge {max_age}", snapshot.taken_at.0);
        return Err((Reason::BackupTooOld, text));
    }
    Ok((approval, snapshot))
}

/// What a person does to name one.
pub(super) fn how_to_name_one(migration: &SchemaMigration, digest: &str) -> String {
    let (database, max_age) = (&migration.spec.database, &migration.spec.backup.max_age);
    format!(
        "make a backup of the schema {} on {} by the means of whoever runs it, wait until it is complete, and create a MigrationApproval with \
         migrationRef.name {:?}, before.phase {}, decision Approve, planDigest {digest}, and its id and time in snapshot.id and \
         snapshot.takenAt; it counts for {max_age}",
        database.name,
        database.host,
        migration.name_any(),
        GatedPhase::BackUp
    )
}
