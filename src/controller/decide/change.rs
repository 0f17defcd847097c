//! The steps that change the database: from the first quarantined row to the last key.

use std::time::Duration;

use crate::api::backup::BackupType;
use crate::api::gates::{GatePoint, GatedPhase};
use crate::api::status::{JobPurpose, JobState, JobStatus, Phase, StageState};
use crate::api::{ConditionType, Reason};
use crate::mysql::Allowance;
use crate::mysql::report::SectionReport;
use crate::plan::Plan;
use crate::plan::model::Section;
use crate::plan::render::counted;

use super::super::decision::{Decision, Effect, End, Fact, Verdict};
use super::super::observed::{Task, TaskResult};
use super::before::{passed, skipped};
use super::case::Case;
use super::failure::unexpected;
use super::volume_snapshot;

/// Backups that are made while one after the other grows too old before the first change can begin.
const MOST_BACKUPS: usize = 10;

pub(super) fn clean_up(case: &Case<'_>) -> Decision {
    if let Some(decision) = case.gate(GatePoint::Phase(GatedPhase::CleanUp)) {
        return decision;
    }
    if case.status.started_at.is_none() {
        return start(case);
    }
    section(case, Section::CleanUp, GatedPhase::CleanUp, Phase::CleanUp, ConditionType::CleanedUp)
}

/// The last look before the first change: a fresh backup, a free fence, an unchanged catalogue.
fn start(case: &Case<'_>) -> Decision {
    case.task(Phase::Validate, Task::CheckBeforeStart, Allowance::default(), |result| {
        match result {
            // The backup's age is looked at last: while the fence is waited for, none is made in vain.
            TaskResult::MayStart { .. } if case.shows_too_little() => {
                Decision::new(Verdict::Unchanged).effect(Effect::ForgetTask(Task::CheckBeforeStart)).at_once()
            }
            TaskResult::MayStart { baseline, changed } => volume_snapshot::gone(case)
                .or_else(|| changed.as_ref().map(|changed| outdated(case, changed)))
                .or_else(|| backup_too_old(case))
                .unwrap_or_else(|| Decision::new(Verdict::Starting).fact(Fact::Baseline(baseline.clone())).at_once()),
            TaskResult::Drifted(message) => Decision::new(Verdict::Replan(Reason::DriftDetected, message.clone()))
                .effect(Effect::ForgetTask(Task::CheckBeforeStart))
                .at_once(),
            other => unexpected(case, other),
        }
    })
}

fn backup_too_old(case: &Case<'_>) -> Option<Decision> {
    let backup = case.status.backup.as_ref()?;
    let taken = backup.taken_at.as_ref()?.0;
    // Of one that was made elsewhere only the time is known whose data it holds.
    let finished = backup.finished_at.as_ref().map_or(taken, |time| time.0);
    let max_age = &case.migration.spec.backup.max_age;
    let length = |from: jiff::Timestamp, to: jiff::Timestamp| {
        Duration::try_from(to.duration_since(from)).unwrap_or(Duration::ZERO)
    };
    if length(taken, finished) > max_age.get() {
        let message = format!(
            "the backup took {} s, longer than spec.backup.maxAge {max_age}: allow more",
            length(taken, finished).as_secs()
        );
        return Some(case.fail_with(Reason::BackupCannotBeFresh, &message));
    }
    (length(taken, case.now) > max_age.get()).then(|| {
        let again = match case.migration.spec.backup.backup_type {
            BackupType::External => "another one has to be made and approved",
            BackupType::Job | BackupType::VolumeSnapshot => "it is made again",
        };
        let message = format!("the backup of {taken} is older than spec.backup.maxAge {max_age}; {again}");
        back_up_again(case, Reason::BackupTooOld, &message)
    })
}

/// Another migration worked on the schema after the backup was begun: put back, it would take away what that one did.
pub(super) fn outdated(case: &Case<'_>, changed: &str) -> Decision {
    back_up_again(case, Reason::BackupTooOld, &format!("{changed}; the backup is made again"))
}

/// Makes the backup anew, unless that has come to nothing too often.
pub(super) fn back_up_again(case: &Case<'_>, reason: Reason, message: &str) -> Decision {
    // The last one may have ended in this very pass.
    let made = |job: &&JobStatus| job.purpose == JobPurpose::Backup && job.state != JobState::Failed;
    let jobs = case.status.jobs.iter().filter(made).count();
    // A VolumeSnapshot has no Job.
    let repeats = case.status.backup.as_ref().and_then(|backup| backup.repeats).unwrap_or(0);
    let made = jobs.max(usize::try_from(repeats).unwrap_or(0).saturating_add(1));
    if made >= MOST_BACKUPS {
        let max_age = &case.migration.spec.backup.max_age;
        let message = format!(
            "{made} backups grew older than spec.backup.maxAge {max_age}, or than what other migrations changed, before the first change could begin: \
             allow more, or let what stands between the two be shorter, such as the time between the windows before BackUp and CleanUp in \
             spec.gates; and let other migrations of the schema end first"
        );
        return case.fail_with(Reason::BackupCannotBeFresh, &message);
    }
    Decision::new(Verdict::BackUpAgain(reason, message.to_owned())).at_once()
}

pub(super) fn fix_types(case: &Case<'_>) -> Decision {
    if let Some(decision) = case.gate(GatePoint::Phase(GatedPhase::FixTypes)) {
        return decision;
    }
    section(case, Section::FixTypes, GatedPhase::FixTypes, Phase::FixTypes, ConditionType::TypesFixed)
}

pub(super) fn add_uniques(case: &Case<'_>) -> Decision {
    if let Some(decision) = case.gate(GatePoint::Phase(GatedPhase::AddUniques)) {
        return decision;
    }
    section(case, Section::AddUniques, GatedPhase::AddUniques, Phase::AddUniques, ConditionType::UniquesAdded)
}

fn section(case: &Case<'_>, section: Section, gated: GatedPhase, phase: Phase, condition: ConditionType) -> Decision {
    let Some(plan) = case.observed.loaded_plan() else { return Decision::new(Verdict::Unchanged) };
    if !plan.operations.iter().any(|operation| operation.section == section) {
        return skipped(phase, condition, "the plan has no operation for this phase");
    }
    let allowance = case.allowance(GatePoint::Phase(gated));
    case.task(phase, Task::Section(section), allowance, |result| match result {
        TaskResult::Section(report) => {
            let operations = counted(report.operations.len(), "operation");
            let message = format!("{operations} done, {} rows or values changed", report.rows_touched());
            passed(phase, condition, message).facts(section_facts(case, plan, report))
        }
        other => unexpected(case, other),
    })
}

pub(super) fn stages(case: &Case<'_>) -> Decision {
    let next = case.status.stages.iter().enumerate().find(|(_, stage)| stage.state != StageState::Complete);
    let Some((index, stage)) = next else {
        let keys: i64 = case.status.stages.iter().map(|stage| stage.verified).sum();
        let message = format!("{keys} foreign keys are there and verified");
        return passed(Phase::AddForeignKeys, ConditionType::ForeignKeysAdded, message);
    };
    let step = GatePoint::Stage(&stage.name);
    if let Some(decision) = case.gate(step) {
        return decision;
    }
    let Some(plan) = case.observed.loaded_plan() else { return Decision::new(Verdict::Unchanged) };
    let task = Task::Section(Section::Stage(index));
    let decision = case.task(Phase::AddForeignKeys, task, case.allowance(step), |result| match result {
        TaskResult::Section(report) => {
            let verdict =
                Verdict::Working(Phase::AddForeignKeys, format!("stage {} is complete and verified", stage.name));
            Decision::new(verdict)
                .facts(section_facts(case, plan, report))
                .fact(Fact::Stage { index, state: StageState::Complete, verified: Some(stage.foreign_keys) })
                .at_once()
        }
        other => unexpected(case, other),
    });
    match decision.verdict {
        Verdict::RollBack(..) | Verdict::Ended(End::Held { .. }) => {
            decision.fact(Fact::Stage { index, state: StageState::Failed, verified: None })
        }
        Verdict::Working(..) if stage.state == StageState::Pending && decision.effect != Effect::None => {
            decision.fact(Fact::Stage { index, state: StageState::Running, verified: None })
        }
        _ => decision,
    }
}

pub(super) fn section_facts(case: &Case<'_>, plan: &Plan, report: &SectionReport) -> Vec<Fact> {
    let here = plan.operations.iter().filter(|operation| operation.section == report.section).count();
    let done = operations_before(case, report.section).saturating_add(i64::try_from(here).unwrap_or(i64::MAX));
    vec![
        Fact::Quarantined(report.quarantined),
        Fact::StepsDone(done),
        Fact::Current(None),
        Fact::Server(Some(report.server_uuid.clone())),
    ]
}

/// Operations of the sections before this one.
pub(super) fn operations_before(case: &Case<'_>, section: Section) -> i64 {
    let before = case
        .observed
        .loaded_plan()
        .map_or(0, |plan| plan.operations.iter().filter(|operation| operation.section < section).count());
    i64::try_from(before).unwrap_or(i64::MAX)
}
