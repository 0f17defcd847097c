//! Where a migration stands, in a word, and what it waits for and for whom: computed from its status alone.

use jiff::Timestamp;
use kube::ResourceExt as _;

use super::bars::counted;
use super::terminal::Style;
use crate::api::backup::BackupType;
use crate::api::conditions::{find, is_true};
use crate::api::gates::{GatePoint, GatedPhase};
use crate::api::status::{GateState, GateStatus, RehearsalStatus, SchemaMigrationStatus};
use crate::api::{ConditionType, Reason, SchemaMigration};
use crate::plan::render::duration;

/// How something is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Tone {
    /// It went well.
    Good,
    /// It is at work.
    Working,
    /// It waits.
    Waiting,
    /// It went wrong.
    Bad,
}

impl Tone {
    /// The text in the colour of the tone.
    #[must_use]
    pub fn paint(self, style: Style, text: &str) -> String {
        match self {
            Self::Good => style.good(text),
            Self::Working => style.working(text),
            Self::Waiting => style.waiting(text),
            Self::Bad => style.bad(text),
        }
    }
}

/// Where a migration stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// In a word or two.
    pub word: &'static str,
    /// How that is to be taken.
    pub tone: Tone,
    /// What is done, waited for or has ended it, in words. Empty where nothing is known.
    pub now: String,
    /// For whom or what is waited; none where nobody is.
    pub waits_for: Option<String>,
    /// What a person may do next: commands.
    pub next: Vec<String>,
}

/// The status, or that of an object which the operator has not seen.
#[must_use]
pub fn status(migration: &SchemaMigration) -> SchemaMigrationStatus {
    migration.status.clone().unwrap_or_default()
}

/// Whether the migration has ended.
#[must_use]
pub fn has_ended(status: &SchemaMigrationStatus) -> bool {
    is_true(&status.conditions, ConditionType::Finished)
}

/// The reason of the condition Ready.
#[must_use]
pub fn reason(status: &SchemaMigrationStatus) -> Option<Reason> {
    find(&status.conditions, ConditionType::Ready).and_then(|ready| Reason::from_name(&ready.reason))
}

/// Whether a closed gate waits for an approval that somebody can give, and not for its window or the administrator.
#[must_use]
pub fn waits_for_approval(gate: &GateStatus) -> bool {
    let reasons =
        [Reason::ApprovalPending, Reason::ApprovalForAnotherPlan, Reason::BackupTooOld, Reason::MoreRowsThanApproved];
    gate.state == GateState::Closed && Reason::from_name(&gate.reason).is_some_and(|reason| reasons.contains(&reason))
}

/// Whether the approval of a gate names a backup that was made elsewhere.
#[must_use]
pub fn names_a_backup(migration: &SchemaMigration, gate: &GateStatus) -> bool {
    migration.spec.backup.backup_type == BackupType::External && gate.before.phase == Some(GatedPhase::BackUp)
}

/// What a gate stands before, as `--before` takes it.
#[must_use]
pub fn before(gate: &GateStatus) -> String {
    match gate.before.point() {
        Ok(GatePoint::Phase(phase)) => phase.to_string(),
        Ok(GatePoint::Stage(name)) => format!("stage/{name}"),
        Err(_) => "?".to_owned(),
    }
}

/// A command of the plugin for a migration.
#[must_use]
pub fn command(migration: &SchemaMigration, verb: &str, more: &str) -> String {
    let namespace = migration.namespace().unwrap_or_default();
    let more = if more.is_empty() { String::new() } else { format!(" {more}") };
    format!("kubectl holdfast {verb} {} --namespace {namespace}{more}", migration.name_any())
}

/// Where a migration stands.
#[must_use]
pub fn standing(migration: &SchemaMigration) -> Standing {
    let status = status(migration);
    let now = status.message.clone().unwrap_or_default();
    let make = |word, tone| Standing { word, tone, now: now.clone(), waits_for: None, next: Vec::new() };
    let Some(reason) = reason(&status) else {
        let now = "the operator has not looked at it yet".to_owned();
        let next = vec!["kubectl get pods --all-namespaces --selector app.kubernetes.io/name=holdfast".to_owned()];
        let waits_for = Some("the operator".to_owned());
        return Standing { word: "NOT SEEN YET", tone: Tone::Waiting, now, waits_for, next };
    };
    let contact = migration.spec.contact.clone();
    let asked =
        |who: &str| Some(contact.as_ref().map_or_else(|| who.to_owned(), |contact| format!("{who}: {contact}")));
    if has_ended(&status) {
        return ended(migration, &status, reason, make, asked);
    }
    match reason {
        Reason::Suspended => {
            let next = vec![command(migration, "resume", "")];
            Standing { waits_for: asked("whoever suspended it"), next, ..make("SUSPENDED", Tone::Waiting) }
        }
        Reason::ApprovalPending
        | Reason::ApprovalForAnotherPlan
        | Reason::BackupTooOld
        | Reason::MoreRowsThanApproved => Standing {
            now: if reason == Reason::ApprovalPending { asked_for(&status) } else { now.clone() },
            waits_for: asked("a person who may approve"),
            next: approvals(migration, &status),
            ..make("WAITS FOR APPROVAL", Tone::Waiting)
        },
        Reason::ApprovalPolicyMissing => {
            Standing { waits_for: Some("the cluster's administrator".to_owned()), ..make("WAITS", Tone::Waiting) }
        }
        Reason::EvidencePending | Reason::EvidenceRefused => Standing {
            waits_for: asked("evidence of another environment"),
            ..make("WAITS FOR EVIDENCE", Tone::Waiting)
        },
        Reason::OutsideWindow => {
            Standing { waits_for: Some("its window".to_owned()), ..make("WAITS FOR ITS WINDOW", Tone::Waiting) }
        }
        Reason::LockWaitTimeout => {
            Standing { waits_for: Some("another session".to_owned()), ..make("WAITS FOR A LOCK", Tone::Waiting) }
        }
        Reason::LockHeld => {
            Standing { waits_for: Some("another migration".to_owned()), ..make("WAITS FOR ITS TURN", Tone::Waiting) }
        }
        // The spec of one that has not ended is wrong in the window of a gate.
        Reason::DriftDetected
        | Reason::InvalidSpec
        | Reason::ServerChanged
        | Reason::ReplicaNotListed
        | Reason::ReplicaNotReady
        | Reason::UnknownPlanFormat
        | Reason::EvidenceNotWritten => {
            Standing { waits_for: asked("a person who puts it right"), ..make("HOLDS", Tone::Waiting) }
        }
        Reason::RollingBack => make("ROLLS BACK", Tone::Bad),
        _ if status.retrying.is_some() => make("TRIES AGAIN", Tone::Waiting),
        _ => make("AT WORK", Tone::Working),
    }
}

/// What is asked for. How it is given is told by the command, so that the operator's own words about it are not needed.
fn asked_for(status: &SchemaMigrationStatus) -> String {
    let points: Vec<String> = status.gates.iter().filter(|gate| waits_for_approval(gate)).map(before).collect();
    format!("an approval is needed before {}", points.join(" and before "))
}

fn ended(
    migration: &SchemaMigration,
    status: &SchemaMigrationStatus,
    reason: Reason,
    make: impl Fn(&'static str, Tone) -> Standing,
    asked: impl Fn(&str) -> Option<String>,
) -> Standing {
    let mut standing = match reason {
        Reason::Complete => make("COMPLETE", Tone::Good),
        Reason::PlanOnly => Standing { next: vec![command(migration, "plan", "")], ..make("PLANNED", Tone::Good) },
        Reason::RollbackSucceeded => make("ROLLED BACK", Tone::Bad),
        Reason::Held => Standing {
            waits_for: asked("a person who decides"),
            next: vec![command(migration, "retry", ""), command(migration, "rollback", "")],
            ..make("HELD", Tone::Bad)
        },
        Reason::RollbackFailed => Standing {
            waits_for: asked("a person who puts it right"),
            next: vec![command(migration, "retry", "")],
            ..make("ROLLBACK FAILED", Tone::Bad)
        },
        Reason::ApprovalDenied => make("DENIED", Tone::Bad),
        _ => Standing { next: vec![command(migration, "retry", "")], ..make("FAILED", Tone::Bad) },
    };
    // A purge of an ended migration may wait for its gate.
    let more = approvals(migration, status);
    if !more.is_empty() {
        standing.waits_for = standing.waits_for.or_else(|| asked("a person who may approve the purge"));
        standing.next.extend(more);
    }
    standing
}

/// The commands that approve what waits for an approval.
#[must_use]
pub fn approvals(migration: &SchemaMigration, status: &SchemaMigrationStatus) -> Vec<String> {
    let waiting = status.gates.iter().filter(|gate| waits_for_approval(gate));
    let named = |gate: &GateStatus| match names_a_backup(migration, gate) {
        true => " --snapshot ID --snapshot-taken-at TIME",
        false => "",
    };
    waiting.map(|gate| command(migration, "approve", &format!("--before {}{}", before(gate), named(gate)))).collect()
}

/// The rehearsal of the plan as it is now, where it passed.
#[must_use]
pub fn rehearsal(status: &SchemaMigrationStatus) -> Option<&RehearsalStatus> {
    let digest = status.plan.as_ref().map(|plan| &plan.digest);
    let rehearsal = status.rehearsal.as_ref().filter(|rehearsal| rehearsal.plan_digest.as_ref() == digest);
    rehearsal.filter(|rehearsal| rehearsal.passed == Some(true))
}

/// What a rehearsal that passed showed and measured.
#[must_use]
pub fn rehearsed(rehearsal: &RehearsalStatus) -> String {
    let number = |number: Option<i64>| u64::try_from(number.unwrap_or_default()).unwrap_or(0);
    let of = |count: Option<i64>, noun: &str| counted(number(count), noun);
    let back = match &rehearsal.message {
        None => "to what it was".to_owned(),
        Some(note) => format!("(what triggers wrote, as acknowledged, stayed: {note})"),
    };
    format!(
        "{} and {} found, {} and {} to quarantine, {} proven, {} and {} passed; took {}, and {} back {back}",
        of(rehearsal.orphans, "orphan"),
        of(rehearsal.duplicates, "duplicate"),
        of(rehearsal.quarantined_rows, "row"),
        of(rehearsal.quarantined_values, "value"),
        of(rehearsal.foreign_keys, "foreign key"),
        of(rehearsal.probes, "probe"),
        of(rehearsal.scenarios, "scenario"),
        duration(number(rehearsal.change_milliseconds)),
        duration(number(rehearsal.undo_milliseconds)),
    )
}

/// How long something has gone on, in milliseconds; nothing where clocks disagree.
#[must_use]
pub fn elapsed(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::cli::example::{condition, migration};

    #[test]
    fn what_only_a_person_puts_right_is_not_shown_as_work() {
        for reason in ["DriftDetected", "InvalidSpec", "ReplicaNotReady", "ServerChanged", "UnknownPlanFormat"] {
            let waits = migration(json!({"conditions": [
                condition("Ready", "Unknown", reason, "why"),
                condition("Reconciling", "True", reason, "why"),
                condition("Finished", "False", reason, "why"),
            ]}));
            let standing = standing(&waits);
            assert_eq!((standing.word, standing.waits_for.is_some()), ("HOLDS", true), "{reason}");
        }
    }
}
