//! Gates: which ones stand before a step, and whether they are open. Pure, and closed whenever something is not known.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;

use crate::api::approval::ApprovalDecision;
use crate::api::gates::{Before, GatedPhase};
use crate::api::status::{ApprovalRecord, GateState, GateStatus, SchemaMigrationStatus};
use crate::api::{MigrationApproval, Reason, SchemaMigration};
use crate::mysql::Allowance;

use super::observed::{Observed, Policies};

/// What the gates before a step say together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All are open, or there is none.
    Open(Vec<GateStatus>),
    /// At least one is closed; the first one's reason and message.
    Closed(Vec<GateStatus>, Reason, String),
    /// A person said no.
    Denied(Vec<GateStatus>, String),
}

/// The gates that stand before a step. `copies`: whether the plan copies tables, which is gated from the first change on.
#[must_use]
pub fn required(migration: &SchemaMigration, observed: &Observed, step: GatedPhase, copies: bool) -> Vec<GatedPhase> {
    let listed =
        migration.spec.gates.iter().filter(|gate| gate.approval.is_some()).filter_map(|gate| gate.before.phase);
    let mut required: BTreeSet<GatedPhase> = listed
        .chain(observed.required_gates.iter().copied())
        .filter(|&phase| phase == step || (phase == GatedPhase::Copy && step == GatedPhase::CleanUp && copies))
        .collect();
    if copies && step == GatedPhase::CleanUp {
        required.insert(GatedPhase::Copy);
    }
    required.into_iter().collect()
}

/// Whether the gates before a step are open.
#[must_use]
pub fn evaluate(
    migration: &SchemaMigration,
    status: &SchemaMigrationStatus,
    observed: &Observed,
    step: GatedPhase,
    copies: bool,
) -> Verdict {
    let digest = status.plan.as_ref().map(|plan| plan.digest.as_str()).unwrap_or_default();
    let mut gates = Vec::new();
    let mut first_closed: Option<(Reason, String)> = None;
    let mut denied: Option<String> = None;
    for phase in required(migration, observed, step, copies) {
        let (gate, reason, message) = one(migration, status, observed, phase, digest);
        let closed = gate.state == GateState::Closed;
        gates.push(gate);
        if closed && reason == Reason::ApprovalDenied {
            denied.get_or_insert(message);
        } else if closed {
            first_closed.get_or_insert((reason, message));
        }
    }
    match (denied, first_closed) {
        (Some(message), _) => Verdict::Denied(gates, message),
        (None, Some((reason, message))) => Verdict::Closed(gates, reason, message),
        (None, None) => Verdict::Open(gates),
    }
}

fn one(
    migration: &SchemaMigration,
    status: &SchemaMigrationStatus,
    observed: &Observed,
    phase: GatedPhase,
    digest: &str,
) -> (GateStatus, Reason, String) {
    let gate = |state, reason: Reason, message: &str, approval| GateStatus {
        before: Before::from(phase),
        state,
        reason: reason.as_str().to_owned(),
        message: Some(message.to_owned()),
        approval,
    };
    let closed = |reason: Reason, message: String, approval: Option<ApprovalRecord>| {
        (gate(GateState::Closed, reason, &message, approval), reason, message)
    };
    // What was approved before the first change stays approved: the object that says so may be deleted.
    let recorded = status.gates.iter().find(|gate| gate.before == Before::from(phase) && gate.state == GateState::Open);
    if let Some(recorded) = recorded
        && status.started_at.is_some()
        && recorded.approval.as_ref().is_some_and(|approval| approval.plan_digest == digest)
    {
        let message = recorded.message.clone().unwrap_or_default();
        return (recorded.clone(), Reason::Approved, message);
    }
    if let Policies::Missing(names) = &observed.policies {
        let message = format!(
            "the gate before {phase} stays closed: {} missing, so anybody could approve in another's name; install the chart's \
             admission policies, or start the operator with --allow-without-policies",
            names.join(", ")
        );
        return closed(Reason::ApprovalPolicyMissing, message, None);
    }
    let exceeded = exceeded(status, phase);
    let mut elsewhere: Option<&MigrationApproval> = None;
    let mut too_few: Option<&MigrationApproval> = None;
    let mut good: Option<&MigrationApproval> = None;
    for approval in observed.approvals.iter().filter(|approval| names(approval, migration, phase)) {
        if approval.spec.plan_digest != digest {
            elsewhere = Some(approval);
        } else if approval.spec.decision == ApprovalDecision::Deny {
            let record = record(approval);
            let message = format!(
                "{} denied the step {phase}{}; delete the MigrationApproval {:?} and change the spec to begin again",
                record.approved_by,
                record.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default(),
                record.name
            );
            return closed(Reason::ApprovalDenied, message, Some(record));
        } else if exceeded.is_some_and(|before| approval.spec.max_rows.is_none_or(|rows| rows <= before)) {
            too_few = Some(approval);
        } else if good.is_none_or(|other| other.spec.max_rows < approval.spec.max_rows) {
            good = Some(approval);
        }
    }
    if let Some(approval) = good {
        let record = record(approval);
        let message = format!("approved by {} with the MigrationApproval {:?}", record.approved_by, record.name);
        return (gate(GateState::Open, Reason::Approved, &message, Some(record)), Reason::Approved, message);
    }
    let how = how_to_approve(migration, phase, digest);
    if let Some(approval) = too_few {
        let message = format!(
            "cleanup finds more rows than the MigrationApproval {:?} allows; {how} and a greater maxRows",
            approval.name_any()
        );
        return closed(Reason::MoreRowsThanApproved, message, Some(record(approval)));
    }
    if let Some(approval) = elsewhere {
        let message = format!(
            "the MigrationApproval {:?} is for the plan {}, but the current plan is {digest}; read the plan and {how}",
            approval.name_any(),
            approval.spec.plan_digest
        );
        return closed(Reason::ApprovalForAnotherPlan, message, None);
    }
    closed(Reason::ApprovalPending, format!("waiting for an approval before {phase}: {how}{}", asked(migration)), None)
}

/// The rows that the last approval allowed, where cleanup found more.
fn exceeded(status: &SchemaMigrationStatus, phase: GatedPhase) -> Option<i64> {
    let gate = status.gates.iter().find(|gate| gate.before.phase == Some(phase))?;
    (gate.reason == Reason::MoreRowsThanApproved.as_str())
        .then(|| gate.approval.as_ref().and_then(|approval| approval.max_rows).unwrap_or_else(|| counted(status)))
}

fn names(approval: &MigrationApproval, migration: &SchemaMigration, phase: GatedPhase) -> bool {
    let reference = &approval.spec.migration_ref;
    reference.name == migration.name_any()
        && reference.uid.as_ref().is_none_or(|uid| migration.metadata.uid.as_ref() == Some(uid))
        && approval.spec.before == Before::from(phase)
}

fn record(approval: &MigrationApproval) -> ApprovalRecord {
    ApprovalRecord {
        name: approval.name_any(),
        decision: approval.spec.decision,
        approved_by: approval.spec.approved_by.clone(),
        reason: approval.spec.reason.clone(),
        plan_digest: approval.spec.plan_digest.clone(),
        max_rows: approval.spec.max_rows,
        at: approval.metadata.creation_timestamp.clone().unwrap_or(Time(jiff::Timestamp::UNIX_EPOCH)),
    }
}

fn how_to_approve(migration: &SchemaMigration, phase: GatedPhase, digest: &str) -> String {
    format!(
        "create a MigrationApproval with migrationRef.name {:?}, before.phase {phase}, decision Approve, planDigest {digest}",
        migration.name_any()
    )
}

fn asked(migration: &SchemaMigration) -> String {
    migration.spec.contact.as_ref().map(|contact| format!(" (contact: {contact})")).unwrap_or_default()
}

/// Rows that the validation report showed and that cleanup will take.
#[must_use]
pub fn counted(status: &SchemaMigrationStatus) -> i64 {
    status.validation.iter().filter(|line| line.is_of_a_rule()).map(|line| line.count).sum()
}

/// What the open gates allow. Without a gate before CleanUp nothing limits the rows: the author of the spec wrote no gate.
#[must_use]
pub fn allowance(status: &SchemaMigrationStatus, copies: bool) -> Allowance {
    let approval = |phase| {
        status
            .gates
            .iter()
            .find(|gate| gate.before.phase == Some(phase) && gate.state == GateState::Open)
            .and_then(|gate| gate.approval.as_ref())
    };
    let max_rows = approval(GatedPhase::CleanUp)
        .map(|approval| approval.max_rows.unwrap_or_else(|| counted(status)))
        .map(|rows| u64::try_from(rows).unwrap_or(0));
    Allowance { max_rows, copy: copies && approval(GatedPhase::Copy).is_some() }
}
