//! Gates: which ones stand before a step, and whether they are open. Pure, and closed whenever something is not known.
//!
//! An approval is asked for once, where its gate comes up. Evidence of other environments is looked at until the first change is made. A
//! window holds for the step behind its gate; among the steps that change the database it goes on to hold for those that follow, until
//! another gate with a window comes. No window holds up the way back, but for one before RestoreBackup itself.

use jiff::{Timestamp, Zoned};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::gates::{Before, Gate, GatePoint, GatedPhase};
use crate::api::status::{ApprovalRecord, GateState, GateStatus, SchemaMigrationStatus};
use crate::api::{Reason, SchemaMigration};
use crate::mysql::Allowance;

use super::approvals::{self, Answer};
use super::observed::Observed;
use super::{evidence, external_backup, windows};

/// The steps that change the database, in order; the stages follow.
const CHANGES: [GatedPhase; 4] =
    [GatedPhase::CleanUp, GatedPhase::FixTypes, GatedPhase::AddUniques, GatedPhase::AddForeignKeys];

/// What gates are looked at with.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The resource.
    pub migration: &'a SchemaMigration,
    /// Its status.
    pub status: &'a SchemaMigrationStatus,
    /// What was observed.
    pub observed: &'a Observed,
    /// The moment.
    pub now: Timestamp,
}

/// Which tables a step copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Copies {
    /// The plan copies a table somewhere.
    pub somewhere: bool,
    /// This step does.
    pub here: bool,
}

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

/// A window as it bears on a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hours {
    /// No window holds for the step.
    Any,
    /// Open until then.
    Until(Zoned),
    /// Closed: why, and when it opens.
    Closed(Reason, String),
}

/// Whether the gates before a step are open.
#[must_use]
pub fn evaluate(view: View<'_>, step: GatePoint<'_>, copies: Copies) -> Verdict {
    let mut points = approvals_before(view, step, copies);
    let shown = evidence::ask(view, step);
    if shown != evidence::Answer::NotAsked && !points.contains(&step) {
        points.insert(0, step);
    }
    let windows = windows_of(view.migration, step, copies);
    for gate in &windows {
        match gate.before.point() {
            Ok(point) if !points.contains(&point) => points.push(point),
            _ => {}
        }
    }
    let mut gates = Vec::new();
    let mut first_closed: Option<(Reason, String)> = None;
    let mut denied: Option<String> = None;
    for point in points {
        let wants_approval = approvals_before(view, step, copies).contains(&point);
        let window = windows.iter().find(|gate| gate.before == Before::from(point));
        let shown = if point == step { &shown } else { &evidence::Answer::NotAsked };
        let (gate, reason) = one(view, point, wants_approval, window.copied(), shown);
        if gate.state == GateState::Closed {
            let message = gate.message.clone().unwrap_or_default();
            if reason == Reason::ApprovalDenied {
                denied.get_or_insert(message);
            } else {
                first_closed.get_or_insert((reason, message));
            }
        }
        gates.push(gate);
    }
    if let Some((reason, message)) = &mut first_closed
        && *reason == Reason::OutsideWindow
        && let Some(apart) = never_open(&windows, view.now)
    {
        (*reason, *message) = (Reason::InvalidSpec, apart);
    }
    match (denied, first_closed) {
        (Some(message), _) => Verdict::Denied(gates, message),
        (None, Some((reason, message))) => Verdict::Closed(gates, reason, message),
        (None, None) => Verdict::Open(gates),
    }
}

/// The gates before a step that ask for an approval.
fn approvals_before<'a>(view: View<'a>, step: GatePoint<'a>, copies: Copies) -> Vec<GatePoint<'a>> {
    let mut here = vec![step];
    let first_stage = view.migration.spec.stages.first().map(|stage| stage.name.as_str());
    if let GatePoint::Stage(name) = step
        && first_stage == Some(name)
    {
        here.insert(0, GatePoint::Phase(GatedPhase::AddForeignKeys));
    }
    let asked = |point: &GatePoint<'_>| {
        let listed = view.migration.spec.gates.iter().filter(|gate| gate.approval.is_some());
        listed.filter_map(|gate| gate.before.point().ok()).any(|gate| gate == *point)
            || matches!(point, GatePoint::Phase(phase) if view.observed.required_gates.contains(phase))
            || external_backup::asked_at(view.migration, *point)
            // Gated even if unlisted: it loses what was written since.
            || *point == GatePoint::Phase(GatedPhase::RestoreBackup)
    };
    here.retain(|point| asked(point));
    // What cleanup may take was approved before it, and counts wherever rows are taken later.
    let cleanup = GatePoint::Phase(GatedPhase::CleanUp);
    let closed_again = approvals::of(view.status, cleanup)
        .is_some_and(|gate| gate.state == GateState::Closed && gate.reason == Reason::MoreRowsThanApproved.as_str());
    if closed_again && place(view.migration, step).is_some() && !here.contains(&cleanup) {
        here.push(cleanup);
    }
    // Gated even if unlisted, before the first change: nothing is begun that could not be finished.
    if step == cleanup && copies.somewhere {
        here.push(GatePoint::Phase(GatedPhase::Copy));
    }
    here
}

/// The place of a step among those that change the database.
fn place(migration: &SchemaMigration, step: GatePoint<'_>) -> Option<usize> {
    match step {
        GatePoint::Phase(phase) => CHANGES.iter().position(|each| *each == phase),
        GatePoint::Stage(name) => {
            migration.spec.stages.iter().position(|stage| stage.name == name).map(|at| CHANGES.len() + at)
        }
    }
}

/// The gates whose windows hold for a step.
fn windows_of<'a>(migration: &'a SchemaMigration, step: GatePoint<'_>, copies: Copies) -> Vec<&'a Gate> {
    let with_window = || migration.spec.gates.iter().filter(|gate| gate.window.is_some());
    let at = |gate: &Gate| gate.before.point().ok().and_then(|point| place(migration, point));
    let mut holding: Vec<&Gate> = match place(migration, step) {
        Some(here) => {
            let before = with_window().filter(|gate| at(gate).is_some_and(|there| there <= here));
            before.max_by_key(|gate| at(gate)).into_iter().collect()
        }
        None => with_window().filter(|gate| gate.before == Before::from(step)).collect(),
    };
    if copies.here {
        holding.extend(with_window().filter(|gate| gate.before.phase == Some(GatedPhase::Copy)));
    }
    holding
}

/// One gate. A denial counts first, because it ends the migration; then evidence, without which nobody needs to approve anything.
fn one(
    view: View<'_>,
    point: GatePoint<'_>,
    wants_approval: bool,
    window: Option<&Gate>,
    shown: &evidence::Answer,
) -> (GateStatus, Reason) {
    let before = approvals::of(view.status, point);
    let accepted = match shown {
        evidence::Answer::Good(accepted) => accepted.clone(),
        evidence::Answer::Waiting(..) => Vec::new(),
        evidence::Answer::NotAsked => before.map(|gate| gate.evidence.clone()).unwrap_or_default(),
    };
    let told = (!accepted.is_empty()).then(|| evidence::told(&accepted));
    let status = |state, reason: Reason, message: String, approval| {
        let earlier = before.filter(|earlier| earlier.state == state);
        let since = earlier.and_then(|earlier| earlier.since.clone()).unwrap_or(Time(view.now));
        (
            GateStatus {
                before: Before::from(point),
                state,
                reason: reason.as_str().to_owned(),
                message: Some(message),
                approval,
                evidence: accepted.clone(),
                since: Some(since),
            },
            reason,
        )
    };
    let closed = |reason, message: String, approval| status(GateState::Closed, reason, message, approval);
    let (waiting, approval): (_, Option<ApprovalRecord>) = match wants_approval.then(|| approvals::ask(view, point)) {
        Some(Answer::Denied(record, message)) => return closed(Reason::ApprovalDenied, message, Some(record)),
        Some(Answer::Waiting(reason, message, record)) => (Some((reason, message)), record),
        Some(Answer::Granted(record)) => (None, Some(record)),
        None => (None, before.and_then(|gate| gate.approval.clone())),
    };
    if let evidence::Answer::Waiting(reason, message) = shown {
        return closed(*reason, message.clone(), approval);
    }
    if let Some((reason, message)) = waiting {
        return closed(reason, message, approval);
    }
    let approved = approval.as_ref().map(|record| {
        format!(
            "approved by {} with the MigrationApproval {:?}{}",
            record.approved_by,
            record.name,
            approvals::why(record)
        )
    });
    let joined = |last: Option<String>| {
        approved.clone().into_iter().chain(told.clone()).chain(last).collect::<Vec<_>>().join("; ")
    };
    match window.map_or(Hours::Any, |gate| hours_of(gate, view.now)) {
        Hours::Any => status(GateState::Open, Reason::Approved, joined(None), approval),
        Hours::Until(until) => {
            let text = format!("the window is open until {until}");
            status(GateState::Open, Reason::Approved, joined(Some(text)), approval)
        }
        Hours::Closed(reason, message) => closed(reason, joined(Some(message)), approval),
    }
}

/// Why windows that hold together will never let a step begin; `None`: they will. One that is unusable says so itself.
fn never_open(gates: &[&Gate], now: Timestamp) -> Option<String> {
    let pairs =
        gates.iter().enumerate().flat_map(|(place, one)| gates.iter().skip(place + 1).map(move |two| (one, two)));
    let before = |gate: &Gate| gate.before.point().map(|point| point.to_string()).unwrap_or_default();
    let (one, two) = pairs.into_iter().find(
        |(one, two)| matches!((&one.window, &two.window), (Some(a), Some(b)) if windows::meet(a, b, now) == Ok(false)),
    )?;
    Some(format!(
        "the windows before {} and {} are never open at the same time, and a step needs both: change one of them in spec.gates",
        before(one),
        before(two)
    ))
}

fn hours_of(gate: &Gate, now: Timestamp) -> Hours {
    let Some(window) = &gate.window else { return Hours::Any };
    let before = gate.before.point().map(|point| point.to_string()).unwrap_or_default();
    match windows::look(window, now) {
        Ok(windows::View::Open { until }) => Hours::Until(until),
        Ok(windows::View::Closed { next }) => {
            Hours::Closed(Reason::OutsideWindow, format!("the window before {before} is closed; it opens at {next}"))
        }
        Err(error) => Hours::Closed(Reason::InvalidSpec, format!("the window before {before} cannot be kept: {error}")),
    }
}

/// The hours in which a step may work: of several windows the one that closes first.
#[must_use]
pub fn hours(migration: &SchemaMigration, step: GatePoint<'_>, copies: Copies, now: Timestamp) -> Hours {
    let all = windows_of(migration, step, copies).into_iter().map(|gate| hours_of(gate, now));
    all.fold(Hours::Any, |sum, next| match (sum, next) {
        (closed @ Hours::Closed(..), _) | (_, closed @ Hours::Closed(..)) => closed,
        (Hours::Until(one), Hours::Until(other)) => Hours::Until(if other < one { other } else { one }),
        (Hours::Any, other) | (other, Hours::Any) => other,
    })
}

/// What the open gates allow to a step. Without an approval before CleanUp nothing limits the rows: the author of the spec wrote
/// no such gate.
#[must_use]
pub fn allowance(view: View<'_>, step: GatePoint<'_>, copies: Copies) -> Allowance {
    let cleanup =
        approvals::of(view.status, GatePoint::Phase(GatedPhase::CleanUp)).and_then(|gate| gate.approval.as_ref());
    let max_rows = cleanup.map(|approval| u64::try_from(approval.max_rows.unwrap_or(0)).unwrap_or(0));
    let copy = approvals::of(view.status, GatePoint::Phase(GatedPhase::Copy));
    let until = match hours(view.migration, step, copies, view.now) {
        Hours::Until(until) => Some(until.timestamp()),
        Hours::Any => None,
        // Nothing is begun outside the window; should it close in this instant, no time is left.
        Hours::Closed(..) => Some(view.now),
    };
    Allowance {
        max_rows,
        copy: copies.somewhere && copy.is_some_and(|gate| gate.state == GateState::Open && gate.approval.is_some()),
        until,
    }
}

/// What is wrong with the gates of a spec, beyond what the API server checks: path and message.
#[must_use]
pub fn problems(migration: &SchemaMigration, now: Timestamp) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (index, gate) in migration.spec.gates.iter().enumerate() {
        if let Ok(GatePoint::Stage(name)) = gate.before.point()
            && !migration.spec.stages.iter().any(|stage| stage.name == name)
        {
            let names: Vec<&str> = migration.spec.stages.iter().map(|stage| stage.name.as_str()).collect();
            found.push((
                format!("spec.gates[{index}].before.stage"),
                format!("{name:?} is not in spec.stages: write one of {}", names.join(", ")),
            ));
        }
        if let Some(window) = &gate.window
            && let Err(error) = windows::look(window, now)
        {
            found.push((format!("spec.gates[{index}].window"), error.to_string()));
        }
        let changes = migration.spec.gates.iter().filter(|other| {
            other.window.is_some() && other.before.point().is_ok_and(|point| place(migration, point).is_some())
        });
        if gate.before.phase == Some(GatedPhase::Copy)
            && let Some(apart) = changes.clone().find_map(|other| never_open(&[gate, other], now))
        {
            found.push((format!("spec.gates[{index}].window"), apart));
        }
    }
    found
}
