//! What the MigrationApprovals say about a gate. Pure, and no answer counts as no.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;

use crate::api::approval::ApprovalDecision;
use crate::api::gates::{Before, GatePoint, GatedPhase};
use crate::api::status::{ApprovalRecord, GateState, GateStatus, SchemaMigrationStatus};
use crate::api::steering::SteeringAction;
use crate::api::{MigrationApproval, Reason, SchemaMigration};

use super::gates::View;
use super::observed::Policies;
use super::{external_backup, loss};

/// What people say about a gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Go on.
    Granted(ApprovalRecord),
    /// Do not go on.
    Denied(ApprovalRecord, String),
    /// Nothing that counts: why, what to do, and the approval that does not suffice.
    Waiting(Reason, String, Option<ApprovalRecord>),
}

/// Asks for the gate before a point.
pub(super) fn ask(view: View<'_>, point: GatePoint<'_>) -> Answer {
    let digest = view.status.plan.as_ref().map(|plan| plan.digest.as_str()).unwrap_or_default();
    let recorded = recorded(view.status, point, digest);
    if let Some((GateState::Open, approval)) = recorded {
        return Answer::Granted(approval.clone());
    }
    let (current, elsewhere) = of_plan(&view.observed.approvals, view.migration, point, digest);
    // Anybody may stop: a denial counts even where the policies are missing that would let an approval count.
    if let Some(denial) = current.iter().find(|approval| approval.spec.decision == ApprovalDecision::Deny) {
        let record = record(denial);
        let then = match point {
            GatePoint::Phase(GatedPhase::RestoreBackup) => "to ask again",
            _ => "and change the spec to begin again",
        };
        let message = format!(
            "{} denied the step {point}{}; delete the MigrationApproval {:?} {then}",
            record.approved_by,
            why(&record),
            record.name
        );
        return Answer::Denied(record, message);
    }
    if let Some((GateState::Closed, approval)) = recorded {
        return Answer::Granted(approval.clone());
    }
    let closed = match &view.observed.policies {
        Policies::Installed { .. } | Policies::NotRequired => None,
        Policies::Missing(names) => Some(format!(
            "{} missing, so anybody could approve in another's name; install the chart's admission policies, or start the operator with \
             --allow-without-policies",
            names.join(", ")
        )),
        Policies::NotRead => Some("the admission policies are looked at once the step before it has ended".to_owned()),
    };
    if let Some(why) = closed {
        let message = format!("the gate before {point} stays closed: {why}");
        return Answer::Waiting(Reason::ApprovalPolicyMissing, message, None);
    }
    let (current, early) = guarded(&view.observed.policies, current);
    if external_backup::asked_at(view.migration, point) {
        return external(view, &current, digest);
    }
    let how = how_to_approve(view.migration, point, digest);
    let needed = match point {
        GatePoint::Phase(GatedPhase::CleanUp) => rows_needed(view.status),
        GatePoint::Phase(GatedPhase::RestoreBackup) => rows_lost(view.status),
        _ => 0,
    };
    let losing = point == GatePoint::Phase(GatedPhase::RestoreBackup);
    let lost = if losing { lost(view) } else { String::new() };
    let allowed = |approval: &MigrationApproval| approval.spec.max_rows.unwrap_or(0);
    match current.into_iter().max_by_key(|approval| allowed(approval)) {
        Some(approval) if allowed(approval) >= needed => Answer::Granted(record(approval)),
        Some(approval) => {
            let closed = of(view.status, point).filter(|gate| {
                let same = gate.approval.as_ref().is_some_and(|known| known.name == approval.name_any());
                same && gate.reason == Reason::MoreRowsThanApproved.as_str()
            });
            // The cleanup that met the limit knows how many it needs.
            let known = closed.and_then(|gate| gate.message.clone());
            let (name, allows) = (approval.name_any(), allowed(approval));
            let message = if lost.is_empty() {
                let computed = format!(
                    "cleanup needs to take {needed} rows or more, and the MigrationApproval {name:?} allows {allows}: {how} and maxRows of at \
                     least {needed}"
                );
                known.unwrap_or(computed)
            } else {
                format!(
                    "up to {needed} rows may be lost, and the MigrationApproval {name:?} allows {allows}: {how}{lost}"
                )
            };
            Answer::Waiting(Reason::MoreRowsThanApproved, message, Some(record(approval)))
        }
        None => match (early.last(), elsewhere.last()) {
            (Some((approval, since)), _) => {
                let message = format!(
                    "the MigrationApproval {:?} does not count: it is from before the admission policies, which were installed at {since}, and anybody \
                     could approve in another's name until then; delete it, and {how}",
                    approval.name_any()
                );
                Answer::Waiting(Reason::ApprovalPending, message, None)
            }
            (None, Some(approval)) => {
                let message = format!(
                    "the MigrationApproval {:?} is for the plan {}, but the current plan is {digest}; read the plan and {how}",
                    approval.name_any(),
                    approval.spec.plan_digest
                );
                Answer::Waiting(Reason::ApprovalForAnotherPlan, message, None)
            }
            (None, None) => {
                let contact = view
                    .migration
                    .spec
                    .contact
                    .as_ref()
                    .map(|contact| format!(" (contact: {contact})"))
                    .unwrap_or_default();
                let message = format!("waiting for an approval before {point}: {how}{lost}{contact}");
                Answer::Waiting(Reason::ApprovalPending, message, None)
            }
        },
    }
}

/// Approvals from before the moment that is named with each.
type Early<'a> = Vec<(&'a MigrationApproval, Timestamp)>;

/// Those that count by when they were created, and those that do not, with the time since which they would. Times have whole seconds, so one of
/// the very second does not count.
pub(super) fn guarded<'a>(
    policies: &Policies,
    approvals: Vec<&'a MigrationApproval>,
) -> (Vec<&'a MigrationApproval>, Early<'a>) {
    let Policies::Installed { since } = *policies else { return (approvals, Vec::new()) };
    let created = |approval: &MigrationApproval| approval.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let (counting, early): (Vec<_>, Vec<_>) =
        approvals.into_iter().partition(|approval| created(approval).is_some_and(|created| created > since));
    (counting, early.into_iter().map(|approval| (approval, since)).collect())
}

/// A backup that is made elsewhere has to be named, and to be young enough.
fn external(view: View<'_>, current: &[&MigrationApproval], digest: &str) -> Answer {
    match external_backup::newest(view.migration, current.iter().copied(), view.now) {
        Ok((approval, _)) => Answer::Granted(record(approval)),
        Err((reason, message)) => {
            let how = external_backup::how_to_name_one(view.migration, digest);
            Answer::Waiting(reason, format!("{message}: {how}"), None)
        }
    }
}

/// What was approved before the first change stays approved: the object that says so may be deleted. A gate that only its window
/// keeps closed was approved too.
fn recorded<'a>(
    status: &'a SchemaMigrationStatus,
    point: GatePoint<'_>,
    digest: &str,
) -> Option<(GateState, &'a ApprovalRecord)> {
    status.started_at.as_ref()?;
    let gate = of(status, point)?;
    let counts = gate.state == GateState::Open || gate.reason == Reason::OutsideWindow.as_str();
    // What is lost grows, and is counted anew for each try: nobody approved more than was named.
    let enough = |approval: &ApprovalRecord| {
        point != GatePoint::Phase(GatedPhase::RestoreBackup) || approval.max_rows.unwrap_or(0) >= rows_lost(status)
    };
    let approval = gate.approval.as_ref().filter(|approval| {
        counts && approval.plan_digest == digest && approval.decision == ApprovalDecision::Approve && enough(approval)
    })?;
    Some((gate.state, approval))
}

/// The status of the gate before a point.
pub(super) fn of<'a>(status: &'a SchemaMigrationStatus, point: GatePoint<'_>) -> Option<&'a GateStatus> {
    status.gates.iter().find(|gate| gate.before == Before::from(point))
}

/// The rows that an approval of the cleanup must allow: those that validation counted, and more than the last approval allowed
/// where cleanup has met its limit.
fn rows_needed(status: &SchemaMigrationStatus) -> i64 {
    let exceeded = of(status, GatePoint::Phase(GatedPhase::CleanUp))
        .filter(|gate| gate.reason == Reason::MoreRowsThanApproved.as_str() && status.started_at.is_some())
        .and_then(|gate| gate.approval.as_ref())
        .map_or(0, |approval| approval.max_rows.unwrap_or(0).saturating_add(1));
    counted(status).max(exceeded)
}

/// The rows that an approval of the backup's restore must allow to be lost.
fn rows_lost(status: &SchemaMigrationStatus) -> i64 {
    let loss = status.rollback.as_ref().and_then(|rollback| rollback.put_back.as_ref()?.loss.as_ref());
    // Nobody approves what nobody has counted.
    loss.map_or(i64::MAX, |loss| loss.rows)
}

/// What is lost, and what to do about it, behind how to approve it.
fn lost(view: View<'_>) -> String {
    let loss = view.status.rollback.as_ref().and_then(|rollback| rollback.put_back.as_ref()?.loss.as_ref());
    let Some(loss) = loss else { return String::new() };
    let told = loss::told(loss, view.status.backup.as_ref(), &view.migration.spec.database.name);
    let undo = SteeringAction::Rollback.annotation();
    format!(
        " and maxRows of at least {}, or as many more as may be written until then. {told}. To take every change back instead, which loses \
         nothing: annotate the migration with {undo}",
        loss.rows
    )
}

/// Rows that the validation report showed and that cleanup will take.
#[must_use]
pub(super) fn counted(status: &SchemaMigrationStatus) -> i64 {
    status.validation.iter().filter(|line| line.is_of_a_rule()).map(|line| line.count).sum()
}

/// The approvals and denials of a gate: those of the plan with that digest, and those of other plans.
pub(super) fn of_plan<'a>(
    approvals: &'a [MigrationApproval],
    migration: &SchemaMigration,
    point: GatePoint<'_>,
    digest: &str,
) -> (Vec<&'a MigrationApproval>, Vec<&'a MigrationApproval>) {
    let asked = approvals.iter().filter(|approval| names(approval, migration, point));
    asked.partition(|approval| approval.spec.plan_digest == digest)
}

fn names(approval: &MigrationApproval, migration: &SchemaMigration, point: GatePoint<'_>) -> bool {
    let reference = &approval.spec.migration_ref;
    reference.name == migration.name_any()
        && reference.uid.as_ref().is_none_or(|uid| migration.metadata.uid.as_ref() == Some(uid))
        && approval.spec.before == Before::from(point)
}

fn record(approval: &MigrationApproval) -> ApprovalRecord {
    ApprovalRecord {
        name: approval.name_any(),
        decision: approval.spec.decision,
        approved_by: approval.spec.approved_by.clone(),
        reason: approval.spec.reason.clone(),
        plan_digest: approval.spec.plan_digest.clone(),
        max_rows: approval.spec.max_rows,
        at: approval.metadata.creation_timestamp.clone().unwrap_or(Time(Timestamp::UNIX_EPOCH)),
    }
}

/// A person's reason, to be put behind what was decided.
pub(super) fn why(record: &ApprovalRecord) -> String {
    record.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default()
}

fn how_to_approve(migration: &SchemaMigration, point: GatePoint<'_>, digest: &str) -> String {
    let before = match point {
        GatePoint::Phase(phase) => format!("before.phase {phase}"),
        GatePoint::Stage(name) => format!("before.stage {name:?}"),
    };
    format!(
        "create a MigrationApproval with migrationRef.name {:?}, {before}, decision Approve, planDigest {digest}",
        migration.name_any()
    )
}
