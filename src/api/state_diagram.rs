//! Which way phases and conditions may move, as data: `docs/state-diagram.md` is made from it, and the simulation holds every status that
//! is written against it.

use std::fmt::Write as _;

use super::conditions::{ConditionStatus, ConditionType, find};
use super::status::{Phase, SchemaMigrationStatus};

/// A move of `status.phase`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhaseMove {
    /// From; `None`: before the operator has seen the object.
    pub from: Option<Phase>,
    /// To.
    pub to: Phase,
    /// What moves it.
    pub because: &'static str,
}

/// A move of a condition. `None` stands for a condition that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConditionMove {
    /// From.
    pub from: Option<ConditionStatus>,
    /// To.
    pub to: Option<ConditionStatus>,
    /// What moves it.
    pub because: &'static str,
}

/// Conditions that move alike.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// What the conditions have in common.
    pub title: &'static str,
    /// The conditions.
    pub conditions: &'static [ConditionType],
    /// How each of them moves.
    pub moves: &'static [ConditionMove],
}

const ABSENT: Option<ConditionStatus> = None;
const UNKNOWN: Option<ConditionStatus> = Some(ConditionStatus::Unknown);
const TRUE: Option<ConditionStatus> = Some(ConditionStatus::True);
const FALSE: Option<ConditionStatus> = Some(ConditionStatus::False);

const fn to(from: Option<ConditionStatus>, to: Option<ConditionStatus>, because: &'static str) -> ConditionMove {
    ConditionMove { from, to, because }
}

/// Every condition and how it moves.
pub const GROUPS: &[Group] = &[
    Group {
        title: "Steps that change nothing",
        conditions: &[
            ConditionType::PreflightPassed,
            ConditionType::Planned,
            ConditionType::BackedUp,
            ConditionType::Rehearsed,
            ConditionType::Validated,
        ],
        moves: &[
            to(ABSENT, UNKNOWN, "the object is seen first"),
            to(ABSENT, FALSE, "the spec is refused as soon as it is seen"),
            to(UNKNOWN, TRUE, "the step is done, or skipped"),
            to(UNKNOWN, FALSE, "the step failed"),
            to(TRUE, UNKNOWN, "the plan, the backup or everything is made anew"),
            to(FALSE, UNKNOWN, "begun again"),
        ],
    },
    Group {
        title: "Steps after the first change",
        conditions: &[
            ConditionType::CleanedUp,
            ConditionType::TypesFixed,
            ConditionType::UniquesAdded,
            ConditionType::ForeignKeysAdded,
            ConditionType::SchemaUpdated,
            ConditionType::Tested,
            ConditionType::Soaked,
        ],
        moves: &[
            to(ABSENT, UNKNOWN, "the object is seen first"),
            to(UNKNOWN, TRUE, "the step is done, or skipped"),
            to(UNKNOWN, FALSE, "the step failed, or what it did is taken back"),
            to(TRUE, UNKNOWN, "what it did is being taken back, or everything is begun again"),
            to(FALSE, UNKNOWN, "it goes on, is taken back, or is begun again"),
        ],
    },
    Group {
        title: "Approved",
        conditions: &[ConditionType::Approved],
        moves: &[
            to(ABSENT, UNKNOWN, "the object is seen first"),
            to(UNKNOWN, TRUE, "every gate that came up is open"),
            to(UNKNOWN, FALSE, "a person denied"),
            to(TRUE, UNKNOWN, "another gate came up, a window closed, or everything is begun again"),
            to(TRUE, FALSE, "a person denied at another gate"),
            to(FALSE, UNKNOWN, "begun again"),
            to(FALSE, TRUE, "the denial was deleted, and the gate is open"),
        ],
    },
    Group {
        title: "Ready and Succeeded",
        conditions: &[ConditionType::Ready, ConditionType::Succeeded],
        moves: &[
            to(ABSENT, UNKNOWN, "the object is seen first"),
            to(ABSENT, FALSE, "the spec is refused as soon as it is seen"),
            to(UNKNOWN, TRUE, "Complete, or planned with mode Plan"),
            to(UNKNOWN, FALSE, "Failed or RolledBack"),
            to(TRUE, UNKNOWN, "a plan alone is carried out or made anew"),
            to(FALSE, UNKNOWN, "a person asks for a retry or a rollback, or changes the spec before the first change"),
        ],
    },
    Group {
        title: "Finished",
        conditions: &[ConditionType::Finished],
        moves: &[
            to(ABSENT, FALSE, "the object is seen first"),
            to(ABSENT, TRUE, "the spec is refused as soon as it is seen"),
            to(FALSE, TRUE, "an end"),
            to(TRUE, FALSE, "begun again, or taken back"),
        ],
    },
    Group {
        title: "Reconciling and Stalled",
        conditions: &[ConditionType::Reconciling, ConditionType::Stalled],
        moves: &[
            to(ABSENT, TRUE, "Reconciling: work or a wait begins. Stalled: it failed, and needs a person"),
            to(TRUE, ABSENT, "Reconciling: an end. Stalled: begun again"),
        ],
    },
    Group {
        title: "Drifted",
        conditions: &[ConditionType::Drifted],
        moves: &[
            to(ABSENT, TRUE, "the catalogue or the server is not what plan and journal say"),
            to(TRUE, FALSE, "it is so again, or everything is taken back"),
            to(FALSE, TRUE, "it drifted again"),
            to(TRUE, ABSENT, "begun again"),
            to(FALSE, ABSENT, "begun again"),
        ],
    },
    Group {
        title: "RolledBack",
        conditions: &[ConditionType::RolledBack],
        moves: &[
            to(ABSENT, UNKNOWN, "the rollback begins"),
            to(UNKNOWN, TRUE, "everything is as it was before"),
            to(UNKNOWN, FALSE, "the rollback could not finish"),
            to(FALSE, UNKNOWN, "the rollback goes on"),
            to(TRUE, ABSENT, "begun again"),
            to(FALSE, ABSENT, "begun again"),
        ],
    },
];

/// Every move of the phase.
#[must_use]
pub fn phase_moves() -> Vec<PhaseMove> {
    let mut moves = Vec::new();
    let mut add = |from, to, because| moves.push(PhaseMove { from, to, because });
    add(None, Phase::Preflight, "the object is seen first");
    add(None, Phase::Failed, "the spec is refused");
    let order: Vec<Phase> = Phase::STEPS.iter().map(|(phase, _)| *phase).chain([Phase::Prove]).collect();
    for pair in order.windows(2) {
        if let [from, to] = pair {
            add(Some(*from), *to, "done or skipped");
        }
    }
    add(Some(Phase::Prove), Phase::Complete, "proven");
    add(Some(Phase::Plan), Phase::Complete, "mode Plan");
    let first_change = order.iter().position(|phase| *phase == Phase::CleanUp).unwrap_or(order.len());
    for (place, phase) in order.iter().enumerate() {
        add(Some(*phase), Phase::Failed, if place < first_change { "failed" } else { "failed, and onFailure is Hold" });
        if place > 0 && place < first_change {
            add(Some(*phase), Phase::Preflight, "the spec changed");
        }
        // What was left unfinished and taken over stands from planning on.
        if place > 0 {
            add(Some(*phase), Phase::RollBack, "failed after the first change, or a person asked");
            add(Some(Phase::Failed), *phase, "held, and a person asked to go on");
        }
    }
    for phase in [Phase::BackUp, Phase::Rehearse, Phase::Validate] {
        add(Some(phase), Phase::Plan, "planned anew");
    }
    add(Some(Phase::Plan), Phase::Rehearse, "planned anew, and the backup stands");
    add(Some(Phase::Plan), Phase::Validate, "planned anew, and backup and rehearsal stand");
    add(Some(Phase::Validate), Phase::BackUp, "the backup is too old, or from before what another migration changed");
    add(Some(Phase::BackUp), Phase::Validate, "the backup was made again");
    add(Some(Phase::Rehearse), Phase::BackUp, "the backup is older than the plan's tables");
    add(Some(Phase::RollBack), Phase::RolledBack, "everything is back");
    add(Some(Phase::RollBack), Phase::Failed, "the rollback could not finish");
    add(Some(Phase::Failed), Phase::RollBack, "a person asked");
    for end in [Phase::Failed, Phase::RolledBack, Phase::Complete] {
        add(Some(end), Phase::Preflight, if end == Phase::Complete { "mode Plan: begun anew" } else { "begun again" });
    }
    moves
}

fn condition(status: &SchemaMigrationStatus, condition: ConditionType) -> Option<ConditionStatus> {
    let value = find(&status.conditions, condition)?.status.as_str();
    [ConditionStatus::True, ConditionStatus::False, ConditionStatus::Unknown]
        .into_iter()
        .find(|each| each.as_str() == value)
}

fn shown(value: Option<ConditionStatus>) -> &'static str {
    value.map_or("absent", ConditionStatus::as_str)
}

/// Whether one status may follow another.
///
/// # Errors
/// What moved otherwise than the diagram shows, or which conditions contradict each other.
pub fn check(before: &SchemaMigrationStatus, after: &SchemaMigrationStatus) -> Result<(), String> {
    let moved = before.phase != after.phase;
    match after.phase {
        Some(to) if moved && !phase_moves().iter().any(|each| each.from == before.phase && each.to == to) => {
            let from = before.phase.map_or("nothing", Phase::as_str);
            return Err(format!("the phase moved from {from} to {to}, which the state diagram does not show"));
        }
        None if moved => return Err("the phase is gone".to_owned()),
        _ => {}
    }
    for group in GROUPS {
        for each in group.conditions {
            let (from, to) = (condition(before, *each), condition(after, *each));
            if from != to && !group.moves.iter().any(|allowed| allowed.from == from && allowed.to == to) {
                let (from, to) = (shown(from), shown(to));
                return Err(format!("{each} moved from {from} to {to}, which the state diagram does not show"));
            }
        }
    }
    consistent(after)
}

/// What holds of the conditions of any status together.
fn consistent(status: &SchemaMigrationStatus) -> Result<(), String> {
    let is = |each, value| condition(status, each) == value;
    let ended = is(ConditionType::Finished, TRUE);
    let good = is(ConditionType::Ready, TRUE);
    let rules = [
        (ended == status.phase.is_some_and(Phase::is_end), "Finished is True exactly in the phases that are ends"),
        (ended == status.finished_at.is_some(), "finishedAt is set exactly while Finished is True"),
        (ended == is(ConditionType::Reconciling, ABSENT), "Reconciling is there exactly while Finished is not True"),
        (ended != is(ConditionType::Ready, UNKNOWN), "Ready is Unknown exactly while Finished is not True"),
        (
            condition(status, ConditionType::Ready) == condition(status, ConditionType::Succeeded),
            "Ready and Succeeded are equal",
        ),
        ((ended && !good) == is(ConditionType::Stalled, TRUE), "Stalled is there exactly after a bad end"),
        (good == (status.phase == Some(Phase::Complete)), "Ready is True exactly in the phase Complete"),
        (
            is(ConditionType::RolledBack, TRUE) == (status.phase == Some(Phase::RolledBack)),
            "RolledBack is True exactly in the phase RolledBack",
        ),
        (status.phase != Some(Phase::RollBack) || status.rollback.is_some(), "a rollback says why it was begun"),
    ];
    match rules.into_iter().find(|(holds, _)| !holds) {
        Some((_, rule)) => Err(format!("the status breaks the rule: {rule}")),
        None => Ok(()),
    }
}

/// The page `docs/state-diagram.md`.
#[must_use]
pub fn page() -> String {
    let mut text = String::from(PREFACE);
    text.push_str("\n## Phases\n\n```mermaid\nstateDiagram-v2\n");
    let mut line = |from: &str, to: &str, because: &str| {
        let _ = writeln!(text, "    {from} --> {to}: {because}");
    };
    for each in phase_moves() {
        line(each.from.map_or("[*]", Phase::as_str), each.to.as_str(), each.because);
    }
    text.push_str("```\n\n## Conditions\n");
    for group in GROUPS {
        let names: Vec<String> = group.conditions.iter().map(|each| format!("`{each}`")).collect();
        let _ = write!(text, "\n### {}\n{}\n\n```mermaid\nstateDiagram-v2\n", group.title, names.join(", "));
        for each in group.moves {
            let state = |value| shown(value);
            let _ = writeln!(text, "    {} --> {}: {}", state(each.from), state(each.to), each.because);
        }
        text.push_str("```\n");
    }
    text
}

const PREFACE: &str = "<!-- Made from src/api/state_diagram.rs by HOLDFAST_UPDATE=1 cargo test --locked --test simulation state_diagram. -->
# How phases and conditions move

Conditions are the contract with tools; `status.phase` is for people to read. The simulation (`tests/simulation`) holds every status
that is written against these diagrams, and against these rules: `Finished` is True exactly in the phases `Complete`, `RolledBack` and
`Failed`; `Reconciling` is there exactly while it is not; `Stalled` is there exactly after a bad end; `Ready` and `Succeeded` are equal,
Unknown until the end, and True exactly in the phase `Complete`; `RolledBack` is True exactly in the phase of that name.
";
