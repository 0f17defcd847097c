//! What is told of one migration: from its status to samples. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::conditions::{Reason, find};
use crate::api::status::{GateState, SchemaMigrationStatus};
use crate::api::{ConditionType, Phase};

use super::definitions::{self, Definition};

/// Tables that are told apart; what others have is added up.
const MAX_TABLES: usize = 50;

/// One value with its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The metric.
    pub of: Definition,
    /// Values of its labels, in their order.
    pub labels: Vec<String>,
    /// The value.
    pub value: f64,
}

/// What a migration is called in labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub migration: String,
}

struct Collected<'a> {
    name: &'a Name,
    samples: Vec<Sample>,
}

impl Collected<'_> {
    fn add(&mut self, of: Definition, more: &[&str], value: f64) {
        let labels =
            [self.name.namespace.as_str(), self.name.migration.as_str()].into_iter().chain(more.iter().copied());
        self.samples.push(Sample { of, labels: labels.map(str::to_owned).collect(), value });
    }

    fn add_time(&mut self, of: Definition, time: Option<&Time>) {
        if let Some(Time(at)) = time {
            self.add(of, &[], seconds(*at));
        }
    }

    /// The largest tables by name, the others together under no name.
    fn add_tables(&mut self, of: Definition, counts: BTreeMap<&str, i64>) {
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(table, count)| (std::cmp::Reverse(*count), *table));
        let others = counts.split_off(counts.len().min(MAX_TABLES));
        for (table, count) in counts {
            self.add(of, &[table], count as f64);
        }
        if !others.is_empty() {
            self.add(of, &[""], others.iter().map(|(_, count)| *count as f64).sum());
        }
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}

/// Everything that is told of a migration by what is [`kept`] of its status. `progress` is when it last advanced.
#[must_use]
pub fn of(name: &Name, status: &SchemaMigrationStatus, progress: Option<Timestamp>, now: Timestamp) -> Vec<Sample> {
    let mut all = Collected { name, samples: Vec::new() };
    for condition in &status.conditions {
        // Both are enums wherever we write them; what somebody else wrote is not made a label.
        let known = ConditionType::from_name(&condition.type_).zip(Reason::from_name(&condition.reason));
        if let Some((kind, reason)) = known {
            let value = if matches!(condition.status.as_str(), "True" | "False") {
                condition.status.as_str()
            } else {
                "Unknown"
            };
            all.add(definitions::CONDITION, &[kind.as_str(), value, reason.as_str()], 1.0);
        }
    }
    if let Some(phase) = status.phase {
        all.add(definitions::PHASE, &[phase.as_str()], 1.0);
    }
    if let Some(steps) = &status.steps {
        all.add(definitions::OPERATIONS, &[], steps.total as f64);
        all.add(definitions::OPERATIONS_DONE, &[], steps.done as f64);
    }
    if let Some(at) = progress {
        all.add(definitions::LAST_PROGRESS, &[], seconds(at));
    }
    all.add_time(definitions::STARTED, status.started_at.as_ref());
    all.add_time(definitions::FINISHED, status.finished_at.as_ref());
    approval_waits(&mut all, status, now);
    let (mut orphans, mut duplicates) = (BTreeMap::new(), BTreeMap::new());
    for line in &status.validation {
        for (prefix, counts) in [("orphans: ", &mut orphans), ("duplicates: ", &mut duplicates)] {
            if let Some(place) = line.issue_type.strip_prefix(prefix) {
                *counts.entry(table_of(place)).or_insert(0_i64) += line.count;
            }
        }
    }
    all.add_tables(definitions::ORPHAN_ROWS, orphans);
    all.add_tables(definitions::DUPLICATE_ROWS, duplicates);
    if let Some(quarantine) = &status.quarantine {
        let kinds = [
            ("orphans", quarantine.orphans),
            ("duplicates", quarantine.duplicates),
            ("cascaded", quarantine.cascaded),
            ("values", quarantine.values),
        ];
        for (kind, count) in kinds {
            // A purge leaves nothing, and the counts for people to read.
            let there = if quarantine.purged_at.is_some() { 0 } else { count };
            all.add(definitions::QUARANTINED, &[kind], there as f64);
        }
    }
    if let Some(backup) = &status.backup {
        all.add_time(definitions::BACKUP_TIMESTAMP, backup.taken_at.as_ref());
        if let Some(bytes) = backup.bytes {
            all.add(definitions::BACKUP_BYTES, &[], bytes as f64);
        }
    }
    all.add_time(definitions::RETRYING_UNTIL, status.retrying.as_ref().map(|retrying| &retrying.until));
    all.samples
}

/// The gates for which a person is waited for just now.
fn approval_waits(all: &mut Collected<'_>, status: &SchemaMigrationStatus, now: Timestamp) {
    let Some(waits) = find(&status.conditions, ConditionType::Reconciling) else { return };
    for gate in status.gates.iter().filter(|gate| gate.state == GateState::Closed && gate.reason == waits.reason) {
        let others = [Reason::OutsideWindow, Reason::ApprovalDenied, Reason::EvidencePending, Reason::EvidenceRefused];
        let outside = others.map(Reason::as_str).contains(&gate.reason.as_str());
        let (Ok(point), Some(Time(since)), false) = (gate.before.point(), &gate.since, outside) else { continue };
        let wait = now.duration_since(*since).as_secs_f64().max(0.0);
        all.add(definitions::APPROVAL_WAIT, &[&point.to_string()], wait);
    }
}

/// Of a status what is told of it, and nothing else: a thousand statuses would be kept with all their messages.
#[must_use]
pub fn kept(status: &SchemaMigrationStatus) -> SchemaMigrationStatus {
    let mut conditions = status.conditions.clone();
    conditions.iter_mut().for_each(|condition| condition.message = String::new());
    let mut gates = status.gates.clone();
    gates.iter_mut().for_each(|gate| (gate.message, gate.approval, gate.evidence) = (None, None, Vec::new()));
    SchemaMigrationStatus {
        conditions,
        phase: status.phase,
        steps: status.steps.clone(),
        started_at: status.started_at.clone(),
        finished_at: status.finished_at.clone(),
        gates,
        validation: status.validation.clone(),
        quarantine: status.quarantine.clone(),
        backup: status.backup.clone(),
        retrying: status.retrying.clone(),
        ..SchemaMigrationStatus::default()
    }
}

/// When the status last told that something was got through.
#[must_use]
pub fn last_progress(status: &SchemaMigrationStatus) -> Option<Timestamp> {
    let conditions = status.conditions.iter().map(|condition| Some(&condition.last_transition_time));
    let phases = status.phases.iter().flat_map(|phase| [Some(&phase.started), phase.finished.as_ref()]);
    let stages = status.stages.iter().flat_map(|stage| [stage.started.as_ref(), stage.finished.as_ref()]);
    let jobs = status.jobs.iter().flat_map(|job| [Some(&job.started), job.finished.as_ref()]);
    let plan = status.plan.iter().map(|plan| Some(&plan.computed_at));
    let all = conditions.chain(phases).chain(stages).chain(jobs).chain(plan);
    all.flatten().map(|Time(at)| *at).max()
}

/// Whether work advanced between two statuses in a way that has no time of its own.
#[must_use]
pub fn advanced(before: &SchemaMigrationStatus, after: &SchemaMigrationStatus) -> bool {
    let proven = |status: &SchemaMigrationStatus| -> Vec<(i64, i64)> {
        status.stages.iter().map(|stage| (stage.added, stage.verified)).collect()
    };
    before.steps != after.steps || proven(before) != proven(after) || before.quarantine != after.quarantine
}

/// The table of `bookmarks.user_id -> users.id` or `votes.(user_id, day)`.
fn table_of(place: &str) -> &str {
    let child = place.split(" -> ").next().unwrap_or(place);
    child.rsplit_once(".(").or_else(|| child.rsplit_once('.')).map_or(child, |(table, _)| table)
}

/// How a phase ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PhaseResult {
    /// Its condition is True.
    Succeeded,
    /// There was nothing to do.
    Skipped,
    /// Anything else.
    Failed,
}

impl PhaseResult {
    /// As a label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "Succeeded",
            Self::Skipped => "Skipped",
            Self::Failed => "Failed",
        }
    }
}

/// The phases that ended between two statuses, with how long they took in seconds.
#[must_use]
pub fn ended_phases(before: &SchemaMigrationStatus, after: &SchemaMigrationStatus) -> Vec<(Phase, PhaseResult, f64)> {
    let ended = after.phases.iter().filter_map(|phase| {
        let Time(finished) = phase.finished.as_ref()?;
        let known =
            before.phases.iter().any(|earlier| earlier.name == phase.name && earlier.finished == phase.finished);
        let took = finished.duration_since(phase.started.0).as_secs_f64().max(0.0);
        (!known).then(|| (phase.name, result_of(after, phase.name), took))
    });
    ended.collect()
}

fn result_of(status: &SchemaMigrationStatus, phase: Phase) -> PhaseResult {
    // The proof has no condition: it ends the migration.
    let condition = phase.condition().unwrap_or(ConditionType::Succeeded);
    match find(&status.conditions, condition) {
        Some(found) if found.status == "True" && found.reason == Reason::Skipped.as_str() => PhaseResult::Skipped,
        Some(found) if found.status == "True" => PhaseResult::Succeeded,
        _ => PhaseResult::Failed,
    }
}

/// Whether a rollback ended between two statuses, and whether everything was taken back.
#[must_use]
pub fn ended_rollback(before: &SchemaMigrationStatus, after: &SchemaMigrationStatus) -> Option<bool> {
    let over = |status: &SchemaMigrationStatus| status.phase.is_some_and(Phase::is_end);
    let began = before.phases.iter().chain(&after.phases).any(|phase| phase.name == Phase::RollBack);
    (began && over(after) && !over(before)).then(|| after.phase == Some(Phase::RolledBack))
}

#[cfg(test)]
mod tests;
