//! The status that follows from a decision. Pure; the same decision twice gives the same status, so that nothing is written in vain.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::conditions::{ConditionStatus, ConditionWriter, find, is_true, shortened};
use crate::api::gates::OnFailure;
use crate::api::status::{
    BackupStatus, GateState, JobPurpose, Phase, PhaseStatus, PutBackStatus, RemovalStatus, RollbackStatus,
    SchemaMigrationStatus, SoakStatus, StageState,
};
use crate::api::{ConditionType, Reason, SchemaMigration};
use crate::plan::Plan;
use crate::plan::model::{LockClass, Section};

use super::decision::{Decision, End, Fact, Verdict};
use super::facts;
use super::observed::Observed;
use super::taken_back::{nothing_to_lose, taken_back, taking_back};

/// Longest text of the status but for the messages of conditions.
pub(super) const MAX_TEXT: usize = 1024;
/// Longest text of a column that people read in a table.
pub(super) const MAX_CURRENT: usize = 256;

/// The status after a decision.
#[must_use]
pub fn project(
    migration: &SchemaMigration,
    observed: &Observed,
    decision: &Decision,
    now: Timestamp,
) -> SchemaMigrationStatus {
    let mut status = migration.status.clone().unwrap_or_default();
    let generation = migration.metadata.generation.unwrap_or(0);
    if matches!(decision.verdict, Verdict::Anew(_)) {
        // One that failed is known by its Job only.
        let jobs = status.jobs.iter().filter(|job| job.purpose == JobPurpose::Backup).map(|job| job.attempt);
        let backups = jobs.chain(status.backup.iter().map(|backup| backup.attempt)).max().unwrap_or(0);
        // Of what was deleted, or was to be, only how often that was tried: no Job's name is used twice.
        let ended = status.backup.iter().filter_map(|backup| backup.removal.as_ref()).map(|removal| removal.tries);
        let begun = status.jobs.iter().filter(|job| job.purpose == JobPurpose::RemoveBackups).map(|job| job.attempt);
        let removal = ended.chain(begun).max().map(|tries| RemovalStatus { tries, ..RemovalStatus::default() });
        status = SchemaMigrationStatus {
            last_handled: status.last_handled,
            steering: status.steering,
            attempt: status.attempt.saturating_add(1),
            backup: (backups > 0).then(|| BackupStatus { removal, ..next_attempt(backups) }),
            ..SchemaMigrationStatus::default()
        };
    }
    let fresh = status.conditions.is_empty();
    // What may change after an end that only a token reopens makes no work, and is observed all the same.
    let settled = status.started_at.is_some() && is_true(&status.conditions, ConditionType::Finished);
    if decision.verdict != Verdict::Unchanged || fresh || settled {
        status.observed_generation = generation;
    }
    for gate in &decision.gates {
        status.gates.retain(|present| present.before != gate.before);
        status.gates.push(gate.clone());
    }
    let mut rollback_strategy = OnFailure::default();
    for fact in &decision.facts {
        if let Fact::Strategy(strategy) = fact {
            rollback_strategy = *strategy;
        }
        facts::record(&mut status, fact, now);
    }
    if fresh {
        let mut writer = ConditionWriter::new(&mut status.conditions, generation, now);
        let steps = Phase::STEPS.map(|(_, condition)| condition);
        for condition in steps.into_iter().chain([ConditionType::Approved]) {
            writer.set(condition, ConditionStatus::Unknown, Reason::Pending, "its turn has not come");
        }
    }
    if !decision.facts.iter().any(|fact| matches!(fact, Fact::Current(_))) {
        current(&mut status, &decision.verdict);
    }
    apply(&mut status, &decision.verdict, rollback_strategy, generation, now);
    approved(&mut status, generation, now);
    background(&mut status, observed.loaded_plan());
    status
}

/// What is being done or waited for, in a few words, where no task says it.
fn current(status: &mut SchemaMigrationStatus, verdict: &Verdict) {
    match verdict {
        Verdict::Working(_, message) => status.current = Some(shortened(message.clone(), MAX_CURRENT)),
        Verdict::Waiting(_, reason, _) | Verdict::Drifted(_, reason, _) => {
            status.current = Some(format!("waiting: {reason}"));
        }
        _ => {}
    }
}

fn next_attempt(attempt: i32) -> BackupStatus {
    BackupStatus { attempt: attempt + 1, ..BackupStatus::default() }
}

fn apply(status: &mut SchemaMigrationStatus, verdict: &Verdict, strategy: OnFailure, generation: i64, now: Timestamp) {
    match verdict {
        Verdict::Unchanged => {
            if find(&status.conditions, ConditionType::Ready).is_none() {
                active(status, Phase::Preflight, Reason::Progressing, "beginning", generation, now);
            }
        }
        Verdict::Working(phase, message) => {
            active(status, *phase, Reason::Progressing, message, generation, now);
            if status.started_at.is_some() {
                not_drifted(status, generation, now);
            }
        }
        Verdict::Drifted(phase, reason, message) => {
            active(status, *phase, *reason, message, generation, now);
            let mut writer = ConditionWriter::new(&mut status.conditions, generation, now);
            writer.set(ConditionType::Drifted, ConditionStatus::True, *reason, message.clone());
        }
        Verdict::Waiting(phase, reason, message) => active(status, *phase, *reason, message, generation, now),
        Verdict::Passed(phase, condition, reason, message) => {
            active(status, *phase, Reason::Progressing, message, generation, now);
            ConditionWriter::new(&mut status.conditions, generation, now).set(
                *condition,
                ConditionStatus::True,
                *reason,
                message.clone(),
            );
            if *condition == ConditionType::Planned || status.started_at.is_some() {
                not_drifted(status, generation, now);
            }
            if *condition == ConditionType::Planned && rehearsed_another_plan(status) {
                back_to(status, &[ConditionType::Rehearsed], generation, now);
            }
            if let Some(entry) = status.phases.iter_mut().find(|entry| entry.name == *phase) {
                entry.finished.get_or_insert(Time(now));
            }
        }
        Verdict::Starting => {
            status.started_at.get_or_insert(Time(now));
            active(
                status,
                Phase::CleanUp,
                Reason::Progressing,
                "the first change is about to be made",
                generation,
                now,
            );
        }
        Verdict::Replan(reason, message) => {
            back_to(status, &[ConditionType::Planned, ConditionType::Validated], generation, now);
            // A person may ask for a new plan too.
            if *reason != Reason::Progressing {
                let mut writer = ConditionWriter::new(&mut status.conditions, generation, now);
                writer.set(ConditionType::Drifted, ConditionStatus::True, *reason, message.clone());
            }
            status.gates.clear();
            active(status, Phase::Plan, *reason, &format!("planning anew: {message}"), generation, now);
        }
        Verdict::BackUpAgain(reason, message) => {
            back_to(status, &[ConditionType::BackedUp, ConditionType::Validated], generation, now);
            let before = status.backup.take();
            let attempt = before.as_ref().map_or(0, |backup| backup.attempt);
            // What was proven of the backup before tells that this way of making it leads to one that can be restored; and no Job's name
            // is used twice.
            let before = before.unwrap_or_default();
            // Dumps are counted by their Jobs.
            let repeats = before.volume_snapshot.map(|_| before.repeats.unwrap_or(0).saturating_add(1));
            let (restore, removal) = (before.restore, before.removal);
            status.backup = Some(BackupStatus { restore, removal, repeats, ..next_attempt(attempt) });
            active(status, Phase::BackUp, *reason, message, generation, now);
        }
        Verdict::Anew(message) => active(status, Phase::Preflight, Reason::Progressing, message, generation, now),
        Verdict::RollBack(phase, reason, message) => {
            roll_back(status, *phase, *reason, message, strategy, generation, now)
        }
        Verdict::RollBackAgain(message) => {
            status.attempt = status.attempt.saturating_add(1);
            status.retrying = None;
            if let Some(rollback) = &mut status.rollback {
                rollback.finished_at = None;
                rollback.remaining.clear();
                rollback.strategy = strategy;
                // What was counted then is not what would be lost now.
                rollback.put_back = rollback.put_back.take().map(|before| PutBackStatus { loss: None, ..before });
            }
            if strategy != OnFailure::RestoreBackup {
                nothing_to_lose(status, generation, now);
            }
            begin_again(status, Phase::RollBack);
            taking_back(status, generation, now);
            active(status, Phase::RollBack, Reason::RollingBack, message, generation, now);
        }
        Verdict::GoOn(message) => {
            status.attempt = status.attempt.saturating_add(1);
            status.retrying = None;
            let phase = status.rollback.take().map_or(Phase::CleanUp, |rollback| rollback.failed_phase);
            for stage in status.stages.iter_mut().filter(|stage| stage.state == StageState::Failed) {
                (stage.state, stage.finished) = (StageState::Running, None);
            }
            if phase == Phase::BackUp {
                another_backup(status);
            }
            if phase == Phase::Soak {
                // Watched once more from its beginning; what was measured before the first change stays.
                status.soak =
                    status.soak.take().map(|soak| SoakStatus { baseline: soak.baseline, ..Default::default() });
            }
            begin_again(status, phase);
            active(status, phase, Reason::Progressing, message, generation, now);
        }
        Verdict::Ended(end) => ended(status, end, generation, now),
    }
}

/// The condition of the phase in which something failed. What was done stays done, should a person have stopped after it.
fn failed_in(
    status: &mut SchemaMigrationStatus,
    phase: Phase,
    reason: Reason,
    message: &str,
    generation: i64,
    now: Timestamp,
) {
    if let Some(condition) = phase.condition()
        && !is_true(&status.conditions, condition)
    {
        let mut writer = ConditionWriter::new(&mut status.conditions, generation, now);
        writer.set(condition, ConditionStatus::False, reason, message);
    }
}

/// The backup that was being made is begun anew, with Jobs of other names.
fn another_backup(status: &mut SchemaMigrationStatus) {
    let before = status.backup.take().unwrap_or_default();
    let jobs = status.jobs.iter().filter(|job| job.purpose == JobPurpose::Backup).map(|job| job.attempt);
    let attempt = jobs.chain([before.attempt]).max().unwrap_or(0);
    status.backup = Some(BackupStatus { restore: before.restore, removal: before.removal, ..next_attempt(attempt) });
}

/// A phase that ended goes on.
fn begin_again(status: &mut SchemaMigrationStatus, phase: Phase) {
    if let Some(entry) = status.phases.iter_mut().find(|entry| entry.name == phase) {
        entry.finished = None;
    }
}

/// The catalogue is as plan and journal say, after it had not been.
fn not_drifted(status: &mut SchemaMigrationStatus, generation: i64, now: Timestamp) {
    if is_true(&status.conditions, ConditionType::Drifted) {
        let mut writer = ConditionWriter::new(&mut status.conditions, generation, now);
        writer.set(
            ConditionType::Drifted,
            ConditionStatus::False,
            Reason::Succeeded,
            "the catalogue is as plan and journal say",
        );
    }
}

/// Whether what was rehearsed is not the plan as it is now.
fn rehearsed_another_plan(status: &SchemaMigrationStatus) -> bool {
    let digest = status.plan.as_ref().map(|plan| &plan.digest);
    status.rehearsal.as_ref().is_some_and(|rehearsal| rehearsal.plan_digest.as_ref() != digest)
}

/// Phases whose conditions were True are to be done again.
fn back_to(status: &mut SchemaMigrationStatus, conditions: &[ConditionType], generation: i64, now: Timestamp) {
    let mut writer = ConditionWriter::new(&mut status.conditions, generation, now);
    for condition in conditions {
        writer.set(*condition, ConditionStatus::Unknown, Reason::Pending, "to be done again");
    }
    status.phases.retain(|entry| entry.name.condition().is_none_or(|condition| !conditions.contains(&condition)));
}

fn active(
    status: &mut SchemaMigrationStatus,
    phase: Phase,
    reason: Reason,
    message: &str,
    generation: i64,
    now: Timestamp,
) {
    begin_phase(status, phase, now);
    status.finished_at = None;
    status.message = Some(shortened(message.to_owned(), MAX_TEXT));
    let done = phase.condition().is_some_and(|condition| is_true(&status.conditions, condition));
    let mut writer = ConditionWriter::new(&mut status.conditions, generation, now);
    writer.set(ConditionType::Ready, ConditionStatus::Unknown, reason, message);
    writer.set(ConditionType::Succeeded, ConditionStatus::Unknown, Reason::Progressing, "not finished");
    writer.set(ConditionType::Finished, ConditionStatus::False, Reason::Progressing, "not finished");
    writer.set(ConditionType::Reconciling, ConditionStatus::True, reason, message);
    writer.remove(ConditionType::Stalled);
    if let Some(condition) = phase.condition()
        && !done
    {
        writer.set(condition, ConditionStatus::Unknown, reason, message);
    }
}

fn begin_phase(status: &mut SchemaMigrationStatus, phase: Phase, now: Timestamp) {
    status.phase = Some(phase);
    if !status.phases.iter().any(|entry| entry.name == phase) {
        status.phases.push(PhaseStatus { name: phase, started: Time(now), finished: None, background: true });
    }
}

/// Which phases let the application work on: all but those that copy a table, whose writers wait until the copy is done. A copy is
/// taken back by a copy.
fn background(status: &mut SchemaMigrationStatus, plan: Option<&Plan>) {
    let copying: Vec<Phase> = plan
        .iter()
        .flat_map(|plan| &plan.operations)
        .filter(|operation| operation.lock == LockClass::Copy)
        .map(|operation| phase_of(operation.section))
        .filter(|phase| status.phases.iter().any(|entry| entry.name == *phase))
        .collect();
    for entry in &mut status.phases {
        if copying.contains(&entry.name) || (entry.name == Phase::RollBack && !copying.is_empty()) {
            entry.background = false;
        }
    }
}

/// The phase in which a section of the plan is carried out.
#[must_use]
pub fn phase_of(section: Section) -> Phase {
    match section {
        Section::CleanUp => Phase::CleanUp,
        Section::FixTypes => Phase::FixTypes,
        Section::AddUniques => Phase::AddUniques,
        Section::Stage(_) => Phase::AddForeignKeys,
        Section::FillAgain => Phase::UpdateSchema,
    }
}

/// The condition Approved: of the gates so far.
fn approved(status: &mut SchemaMigrationStatus, generation: i64, now: Timestamp) {
    let closed = status.gates.iter().find(|gate| gate.state == GateState::Closed);
    let (value, reason, message) = match closed {
        Some(gate) => {
            let reason = Reason::from_name(&gate.reason).unwrap_or(Reason::ApprovalPending);
            let value =
                if reason == Reason::ApprovalDenied { ConditionStatus::False } else { ConditionStatus::Unknown };
            (value, reason, gate.message.clone().unwrap_or_default())
        }
        None if status.gates.is_empty() => return,
        None => {
            let points = status.gates.iter().filter_map(|gate| gate.before.point().ok());
            let names: Vec<String> = points.map(|point| point.to_string()).collect();
            (ConditionStatus::True, Reason::Approved, format!("approved before {}", names.join(", ")))
        }
    };
    ConditionWriter::new(&mut status.conditions, generation, now).set(ConditionType::Approved, value, reason, message);
}

fn rollback_status(
    failed_phase: Phase,
    reason: Reason,
    message: &str,
    strategy: OnFailure,
    now: Timestamp,
) -> RollbackStatus {
    RollbackStatus {
        reason: reason.as_str().to_owned(),
        message: shortened(message.to_owned(), MAX_TEXT),
        failed_phase,
        strategy,
        started_at: Time(now),
        finished_at: None,
        undone: 0,
        tables_identical: 0,
        remaining: Vec::new(),
        put_back: None,
    }
}

fn roll_back(
    status: &mut SchemaMigrationStatus,
    failed: Phase,
    reason: Reason,
    message: &str,
    strategy: OnFailure,
    generation: i64,
    now: Timestamp,
) {
    status.rollback = Some(rollback_status(failed, reason, message, strategy, now));
    // The way back has its own limits.
    status.retrying = None;
    failed_in(status, failed, reason, message, generation, now);
    taking_back(status, generation, now);
    let doing = match strategy {
        OnFailure::RestoreBackup => "putting the backup back",
        OnFailure::Undo | OnFailure::Hold => "taking every change back",
    };
    let text = format!("{doing}, because {failed} failed: {message}");
    active(status, Phase::RollBack, Reason::RollingBack, &text, generation, now);
}

fn ended(status: &mut SchemaMigrationStatus, end: &End, generation: i64, now: Timestamp) {
    if let End::Held { phase, reason, failure, .. } = end {
        status.rollback = Some(rollback_status(*phase, *reason, failure, OnFailure::Hold, now));
    }
    status.finished_at.get_or_insert(Time(now));
    (status.current, status.retrying) = (None, None);
    for entry in &mut status.phases {
        entry.finished.get_or_insert(Time(now));
    }
    if let Some(rollback) = &mut status.rollback {
        rollback.finished_at.get_or_insert(Time(now));
    }
    let (phase, good, reason, message) = match end {
        End::Complete(message) => (Phase::Complete, true, Reason::Complete, message),
        End::PlanOnly(message) => (Phase::Complete, true, Reason::PlanOnly, message),
        End::RolledBack(message) => (Phase::RolledBack, false, Reason::RollbackSucceeded, message),
        End::Failed(_, reason, message) => (Phase::Failed, false, *reason, message),
        End::Held { message, .. } => (Phase::Failed, false, Reason::Held, message),
    };
    status.phase = Some(phase);
    status.message = Some(shortened(message.clone(), MAX_TEXT));
    let mut writer = ConditionWriter::new(&mut status.conditions, generation, now);
    let value = if good { ConditionStatus::True } else { ConditionStatus::False };
    writer.set(ConditionType::Ready, value, reason, message.clone());
    writer.set(ConditionType::Succeeded, value, reason, message.clone());
    writer.set(ConditionType::Finished, ConditionStatus::True, reason, message.clone());
    writer.remove(ConditionType::Reconciling);
    if good {
        writer.remove(ConditionType::Stalled);
    } else {
        writer.set(ConditionType::Stalled, ConditionStatus::True, reason, message.clone());
    }
    match end {
        End::RolledBack(_) => {
            writer.set(ConditionType::RolledBack, ConditionStatus::True, reason, message.clone());
            taken_back(status, true, generation, now);
        }
        End::Failed(failed, ..) => {
            failed_in(status, *failed, reason, message, generation, now);
            if *failed == Phase::RollBack {
                taken_back(status, false, generation, now);
            }
        }
        End::Held { phase, reason, failure, .. } => failed_in(status, *phase, *reason, failure, generation, now),
        End::Complete(_) | End::PlanOnly(_) => {}
    }
    if matches!(end, End::Complete(_) | End::RolledBack(_)) {
        not_drifted(status, generation, now);
    }
}
