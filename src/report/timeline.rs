//! Phases and stages in time, with what each waited for.

use jiff::Timestamp;

use super::model::{Entry, Timeline, Wait};
use super::words::u;
use crate::api::gates::{GatePoint, GatedPhase};
use crate::api::status::{GateState, GateStatus, Phase, PhaseStatus, SchemaMigrationStatus, StageState, StageStatus};
use crate::api::{Reason, SchemaMigration};
use crate::cli::board::{State, remark};
use crate::cli::standing;
use crate::controller::project::phase_of;
use crate::plan::Plan;

/// The timeline.
pub(super) fn timeline(migration: &SchemaMigration, plan: Option<&Plan>, now: Timestamp) -> Timeline {
    let status = standing::status(migration);
    let mut entries = Vec::new();
    for phase in &status.phases {
        entries.push(of_phase(migration, &status, plan, phase, now));
        if phase.name == Phase::AddForeignKeys {
            entries.extend(status.stages.iter().filter_map(|stage| of_stage(migration, &status, stage, phase, now)));
        }
    }
    Timeline { entries }
}

fn of_phase(
    migration: &SchemaMigration,
    status: &SchemaMigrationStatus,
    plan: Option<&Plan>,
    phase: &PhaseStatus,
    now: Timestamp,
) -> Entry {
    let state = State::of(status, phase.name, Some(phase));
    let until = phase.finished.as_ref().map_or(now, |finished| finished.0).max(phase.started.0);
    let (rehearsed, estimated) = expected(status, plan, phase.name);
    let gates = status.gates.iter().filter(|gate| match gate.before.point() {
        Ok(GatePoint::Phase(before)) => phase_of_gate(before, plan) == Some(phase.name),
        Ok(GatePoint::Stage(_)) | Err(_) => false,
    });
    Entry {
        name: phase.name.to_string(),
        is_stage: false,
        state,
        started: phase.started.0,
        until,
        ended: phase.finished.is_some(),
        rehearsed,
        estimated,
        waits: joined(gates.filter_map(|gate| wait(migration, gate, phase.started.0, until)).collect()),
        writers_waited: !phase.background,
        remark: remark(status, phase.name, state),
    }
}

fn of_stage(
    migration: &SchemaMigration,
    status: &SchemaMigrationStatus,
    stage: &StageStatus,
    phase: &PhaseStatus,
    now: Timestamp,
) -> Option<Entry> {
    let started = stage.started.as_ref()?.0;
    let until = stage.finished.as_ref().map_or(now, |finished| finished.0).max(started);
    let gates = status
        .gates
        .iter()
        .filter(|gate| matches!(gate.before.point(), Ok(GatePoint::Stage(name)) if name == stage.name));
    let state = match stage.state {
        StageState::Pending => State::TakenBack,
        StageState::Running if standing::reason(status) == Some(Reason::Progressing) => State::Working,
        StageState::Running => State::Waiting,
        StageState::Complete => State::Done,
        StageState::Failed => State::Failed,
    };
    Some(Entry {
        name: stage.name.clone(),
        is_stage: true,
        state,
        started,
        until,
        ended: stage.finished.is_some(),
        rehearsed: None,
        estimated: None,
        waits: joined(gates.filter_map(|gate| wait(migration, gate, phase.started.0.min(started), until)).collect()),
        writers_waited: false,
        remark: format!("{} of {} keys proven", stage.verified, stage.foreign_keys),
    })
}

/// What a phase took when the plan was rehearsed, and what the statistics let expect.
fn expected(status: &SchemaMigrationStatus, plan: Option<&Plan>, phase: Phase) -> (Option<u64>, Option<u64>) {
    let rehearsed = standing::rehearsal(status)
        .and_then(|rehearsal| rehearsal.phases.iter().find(|measured| measured.name == phase))
        .map(|measured| u(measured.milliseconds));
    let operations = plan.iter().flat_map(|plan| &plan.operations);
    let of_phase = operations.filter(|operation| phase_of(operation.section) == phase);
    let each: Vec<u64> = of_phase.map(|operation| operation.estimate.milliseconds).collect();
    (rehearsed, (!each.is_empty()).then(|| each.iter().sum()))
}

/// The phase at whose beginning, or in which, a gate is met. Those of Copy are met where the first copy is.
fn phase_of_gate(before: GatedPhase, plan: Option<&Plan>) -> Option<Phase> {
    match before {
        GatedPhase::Copy => {
            let copies = |operation: &&crate::plan::Operation| operation.lock == crate::plan::model::LockClass::Copy;
            plan?.operations.iter().find(copies).map(|operation| phase_of(operation.section))
        }
        GatedPhase::RestoreBackup => Some(Phase::RollBack),
        GatedPhase::Complete => Some(Phase::Prove),
        GatedPhase::Purge => None,
        other => Phase::from_name(other.as_str()),
    }
}

/// How long a gate was waited for between two moments. That of a window which opened again is not known any more, and none is told.
fn wait(migration: &SchemaMigration, gate: &GateStatus, from: Timestamp, until: Timestamp) -> Option<Wait> {
    let point = standing::before(gate);
    let has_window = migration.spec.gates.iter().any(|own| own.before == gate.before && own.window.is_some());
    let (to, what) = match (gate.state, &gate.approval) {
        (GateState::Closed, _) => (until, format!("{} before {point}", gate.reason)),
        (GateState::Open, Some(approval)) => (approval.at.0, format!("the approval of {point}")),
        (GateState::Open, None) if has_window => return None,
        (GateState::Open, None) if !gate.evidence.is_empty() => {
            (gate.since.as_ref()?.0, format!("evidence before {point}"))
        }
        (GateState::Open, None) => return None,
    };
    let to = to.min(until);
    (to > from).then_some(Wait { from, to, what })
}

/// Waits that overlap are one: what is waited for is waited for at once.
fn joined(mut waits: Vec<Wait>) -> Vec<Wait> {
    waits.sort_by_key(|wait| (wait.from, wait.to));
    let mut together: Vec<Wait> = Vec::new();
    for wait in waits {
        match together.last_mut() {
            Some(last) if wait.from <= last.to => {
                last.to = last.to.max(wait.to);
                last.what = format!("{} and {}", last.what, wait.what);
            }
            _ => together.push(wait),
        }
    }
    together
}
