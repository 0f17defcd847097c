//! Who decided what and why, which gates that opened, and what the cluster still tells of what happened.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Event;
use kube::ResourceExt as _;

use super::model::{ApprovalLine, ConditionLine, EventLine, GateLine};
use super::words::u;
use crate::api::approval::ApprovalDecision;
use crate::api::gates::{Before, GatePoint, Window};
use crate::api::status::{ApprovalRecord, GateState, SchemaMigrationStatus};
use crate::api::{MigrationApproval, SchemaMigration};
use crate::cli::standing;

/// The gates.
pub(super) fn gates(migration: &SchemaMigration, status: &SchemaMigrationStatus) -> Vec<GateLine> {
    let line = |gate: &crate::api::status::GateStatus| GateLine {
        before: standing::before(gate),
        open: gate.state == GateState::Open,
        reason: gate.reason.clone(),
        message: gate.message.clone().unwrap_or_default(),
        since: gate.since.as_ref().map(|since| since.0),
        window: migration
            .spec
            .gates
            .iter()
            .find(|own| own.before == gate.before)
            .and_then(|own| own.window.as_ref())
            .map(window),
    };
    status.gates.iter().map(line).collect()
}

fn window(window: &Window) -> String {
    let days: Vec<String> = window.days.iter().map(|day| format!("{day:?}")).collect();
    let days = if days.is_empty() { "every day".to_owned() } else { days.join(", ") };
    format!("{days} from {} for {}, {}", window.start, window.duration, window.time_zone)
}

/// The decisions: those that the status records, which stay when their object is deleted, and those that are there and decide nothing.
pub(super) fn approvals(
    migration: &SchemaMigration,
    status: &SchemaMigrationStatus,
    there: &[MigrationApproval],
) -> Vec<ApprovalLine> {
    let digest = status.plan.as_ref().map(|plan| plan.digest.as_str());
    let mut lines: Vec<ApprovalLine> = Vec::new();
    let mut recorded = BTreeSet::new();
    for gate in &status.gates {
        let Some(record) = &gate.approval else { continue };
        recorded.insert(record.name.clone());
        lines.push(of_record(record, standing::before(gate), digest));
    }
    let (name, uid) = (migration.name_any(), migration.uid());
    let concerns = |approval: &&MigrationApproval| {
        let of = &approval.spec.migration_ref;
        of.name == name && (of.uid.is_none() || of.uid == uid) && !recorded.contains(&approval.name_any())
    };
    let mut others: Vec<ApprovalLine> =
        there.iter().filter(concerns).map(|approval| of_object(approval, digest)).collect();
    others.sort_by_key(|line| line.at);
    lines.sort_by_key(|line| line.at);
    lines.extend(others);
    lines
}

const fn decision(decision: ApprovalDecision) -> &'static str {
    match decision {
        ApprovalDecision::Approve => "Approve",
        ApprovalDecision::Deny => "Deny",
    }
}

fn of_record(record: &ApprovalRecord, before: String, digest: Option<&str>) -> ApprovalLine {
    ApprovalLine {
        name: record.name.clone(),
        before,
        decision: decision(record.decision),
        who: record.approved_by.clone(),
        why: record.reason.clone(),
        at: Some(record.at.0),
        max_rows: record.max_rows.map(u),
        of_this_plan: digest == Some(record.plan_digest.as_str()),
        counted: true,
    }
}

fn of_object(approval: &MigrationApproval, digest: Option<&str>) -> ApprovalLine {
    let spec = &approval.spec;
    ApprovalLine {
        name: approval.name_any(),
        before: point(&spec.before),
        decision: decision(spec.decision),
        who: spec.approved_by.clone(),
        why: spec.reason.clone(),
        at: approval.metadata.creation_timestamp.as_ref().map(|at| at.0),
        max_rows: spec.max_rows.map(u),
        of_this_plan: digest == Some(spec.plan_digest.as_str()),
        counted: false,
    }
}

fn point(before: &Before) -> String {
    match before.point() {
        Ok(GatePoint::Phase(phase)) => phase.to_string(),
        Ok(GatePoint::Stage(name)) => format!("stage/{name}"),
        Err(_) => "?".to_owned(),
    }
}

/// The conditions, in their order.
pub(super) fn conditions(status: &SchemaMigrationStatus) -> Vec<ConditionLine> {
    let conditions = status.conditions.iter().map(|condition| ConditionLine {
        name: condition.type_.clone(),
        status: condition.status.clone(),
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        since: condition.last_transition_time.0,
    });
    conditions.collect()
}

/// The events, the latest first.
pub(super) fn events(events: &[Event]) -> Vec<EventLine> {
    let mut lines: Vec<EventLine> = events.iter().map(event).collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.at));
    lines
}

fn event(event: &Event) -> EventLine {
    let series = event.series.as_ref();
    let latest = series.and_then(|series| series.last_observed_time.as_ref()).or(event.event_time.as_ref());
    let at = latest.map(|time| time.0).or_else(|| event.last_timestamp.as_ref().map(|time| time.0));
    let times = series.and_then(|series| series.count).or(event.count).unwrap_or(1);
    EventLine {
        at: at.or_else(|| event.metadata.creation_timestamp.as_ref().map(|time| time.0)),
        warning: event.type_.as_deref() == Some("Warning"),
        reason: event.reason.clone().unwrap_or_default(),
        about: event.action.clone().unwrap_or_default(),
        note: event.message.clone().unwrap_or_default(),
        times: u(i64::from(times)),
    }
}
