//! The steps that change nothing: preflight, plan, backup, validation.

use crate::api::backup::Verification;
use crate::api::gates::{GatePoint, GatedPhase};
use crate::api::status::{JobPurpose, JobState, Phase, ValidationCount};
use crate::api::{ConditionType, Reason};
use crate::backup;
use crate::mysql::Allowance;

use super::super::decision::{Decision, Effect, End, Fact, JobRequest, Verdict};
use super::super::observed::{Task, TaskResult, backup_status};
use super::case::{Case, JobEnd, JobPlace};
use super::failure::unexpected;
use super::list;

pub(super) fn preflight(case: &Case<'_>) -> Decision {
    case.task(Phase::Preflight, Task::Preflight, Allowance::default(), |result| match result {
        TaskResult::PreflightPassed { server } => {
            passed(Phase::Preflight, ConditionType::PreflightPassed, format!("{server} meets spec.preflight"))
        }
        other => unexpected(case, other),
    })
}

pub(super) fn plan(case: &Case<'_>) -> Decision {
    case.task(Phase::Plan, Task::Plan, Allowance::default(), |result| match result {
        TaskResult::Planned { status, server_uuid, content_digest, stages, operations } => {
            let mut message = format!(
                "{operations} operations, {} foreign keys, digest {}",
                status.counts.foreign_keys, status.digest
            );
            if case.migration.spec.database.tls.mode != crate::api::database::TlsMode::VerifyIdentity {
                message.push_str(&format!(
                    ". Note: database.tls.mode is {:?}, so the server's identity is not verified",
                    case.migration.spec.database.tls.mode
                ));
            }
            passed(Phase::Plan, ConditionType::Planned, message).fact(Fact::Planned {
                plan: status.clone(),
                content_digest: content_digest.clone(),
                server_uuid: server_uuid.clone(),
                stages: stages.clone(),
                operations: *operations,
            })
        }
        TaskResult::PlanProblems(problems) => case.fail(Phase::Plan, Reason::InvalidSpec, &list(problems)),
        other => unexpected(case, other),
    })
}

pub(super) fn plan_only(case: &Case<'_>) -> Decision {
    let digest = case.status.plan.as_ref().map(|plan| plan.digest.clone()).unwrap_or_default();
    let message = format!(
        "spec.mode is Plan: the plan {digest} is stored and nothing else was done; set mode Apply to carry it out"
    );
    Decision::new(Verdict::Ended(End::PlanOnly(message))).at_once()
}

pub(super) fn back_up(case: &Case<'_>) -> Decision {
    if let Some(decision) = case.gate(GatePoint::Phase(GatedPhase::BackUp)) {
        return decision;
    }
    let attempt = case.status.backup.as_ref().map_or(1, |backup| backup.attempt.max(1));
    let place = JobPlace { phase: Phase::BackUp, purpose: JobPurpose::Backup, test: None, attempt };
    let create = |name: String| {
        case.task(Phase::BackUp, Task::CountBeforeBackup(attempt), Allowance::default(), |result| match result {
            TaskResult::Counted { baseline } => {
                let request = JobRequest::Backup { name: name.clone(), attempt, baseline: baseline.clone() };
                Decision::new(Verdict::Working(Phase::BackUp, format!("creating the backup Job {name}")))
                    .effect(Effect::CreateJob(request))
            }
            TaskResult::BackupUnproven(message) => case.fail(Phase::BackUp, Reason::BackupUnverified, message),
            other => unexpected(case, other),
        })
    };
    case.job(place, create, |end| match end {
        JobEnd::Succeeded { name, message } => made(case, name, attempt, message),
        JobEnd::Failed { name, message, delete } => {
            let text = format!("{} ({})", failure_text(&message), described(case));
            let mut decision = case.fail(Phase::BackUp, Reason::BackupFailed, &text).fact(Fact::JobSeen {
                name: name.to_owned(),
                uid: None,
                state: JobState::Failed,
                message: Some(message),
            });
            if delete {
                decision = decision.effect(Effect::DeleteJob(name.to_owned()));
            }
            decision
        }
    })
}

/// The Job's container says why it failed in JSON; people read the sentence in it.
fn failure_text(message: &str) -> String {
    let Some(start) = message.find("{\"failed\":") else { return message.to_owned() };
    match message.get(start..).map(serde_json::from_str::<backup::Outcome>) {
        Some(Ok(backup::Outcome::Failed(text))) => format!("{}{text}", message.get(..start).unwrap_or_default()),
        _ => message.to_owned(),
    }
}

/// Where the backup is described, and the two objects there that it most often fails for.
fn described(case: &Case<'_>) -> String {
    let image = case.migration.spec.backup.job.as_ref().map(|job| job.image.as_str()).unwrap_or_default();
    format!("spec.backup.job.image is {image:?}, the PersistentVolumeClaim is {:?}", claim(case))
}

fn claim<'a>(case: &'a Case<'_>) -> &'a str {
    let job = case.migration.spec.backup.job.as_ref();
    let claim = job.and_then(|job| job.destination.persistent_volume_claim.as_ref());
    claim.map(|claim| claim.claim_name.as_str()).unwrap_or_default()
}

fn made(case: &Case<'_>, name: &str, attempt: i32, message: Option<&str>) -> Decision {
    let summary = match message.map(serde_json::from_str::<backup::Outcome>) {
        Some(Ok(backup::Outcome::Made(summary))) => summary,
        Some(Ok(backup::Outcome::Failed(message))) => return case.fail(Phase::BackUp, Reason::BackupFailed, &message),
        Some(Err(error)) => {
            let message =
                format!("the backup Job {name} succeeded, but its termination message cannot be read: {error}");
            return case.fail(Phase::BackUp, Reason::BackupUnverified, &message);
        }
        None => {
            let message =
                format!("the backup Job {name} succeeded, but left no termination message, so its result is not known");
            return case.fail(Phase::BackUp, Reason::BackupUnverified, &message);
        }
    };
    let mut status =
        backup_status(&summary, name, attempt, format!("persistentvolumeclaim/{}/{}", claim(case), summary.file));
    let verification = case.migration.spec.backup.verification;
    let text =
        format!("{} bytes, {} rows in {} tables", summary.bytes, summary.rows.iter().sum::<u64>(), summary.rows.len());
    let seen = Fact::JobSeen { name: name.to_owned(), uid: None, state: JobState::Succeeded, message: None };
    if verification == Verification::None {
        status.verified = Some(Verification::None);
        let message = format!("{text}; taken on trust, as spec.backup.verification None says");
        return passed(Phase::BackUp, ConditionType::BackedUp, message).fact(seen).fact(Fact::Backup(Box::new(status)));
    }
    case.task(Phase::BackUp, Task::CheckBackup(attempt), Allowance::default(), |result| match result {
        TaskResult::BackupProven => {
            status.verified = Some(verification);
            let message = format!("{text}; every table's rows agree with the database");
            passed(Phase::BackUp, ConditionType::BackedUp, message).fact(seen).fact(Fact::Backup(Box::new(status)))
        }
        TaskResult::BackupUnproven(message) => case.fail(Phase::BackUp, Reason::BackupUnverified, message),
        other => unexpected(case, other),
    })
}

pub(super) fn rehearse(case: &Case<'_>) -> Decision {
    if let Some(decision) = case.gate(GatePoint::Phase(GatedPhase::Rehearse)) {
        return decision;
    }
    skipped(Phase::Rehearse, ConditionType::Rehearsed, "spec.rehearsal.enabled is false")
}

pub(super) fn validate(case: &Case<'_>) -> Decision {
    if let Some(decision) = case.gate(GatePoint::Phase(GatedPhase::Validate)) {
        return decision;
    }
    case.task(Phase::Validate, Task::Validate, Allowance::default(), |result| match result {
        TaskResult::Validated { report, stops } => {
            let found = Fact::Validation(report.clone());
            if let Some(stops) = stops {
                return case.fail(Phase::Validate, super::failure::reason(stops.cause), &stops.message).fact(found);
            }
            passed(Phase::Validate, ConditionType::Validated, rules_broken(report)).fact(found)
        }
        other => unexpected(case, other),
    })
}

/// What a person wants to know of the report first. Its lines about backfills count rows that break nothing.
fn rules_broken(report: &[ValidationCount]) -> String {
    let rules: Vec<_> = report.iter().filter(|line| line.is_of_a_rule()).collect();
    let total: i64 = rules.iter().map(|line| line.count).sum();
    let broken = rules.iter().filter(|line| line.count > 0).count();
    format!("{total} rows break {broken} of {} rules", rules.len())
}

pub(super) fn passed(phase: Phase, condition: ConditionType, message: String) -> Decision {
    Decision::new(Verdict::Passed(phase, condition, Reason::Succeeded, message)).at_once()
}

pub(super) fn skipped(phase: Phase, condition: ConditionType, message: &str) -> Decision {
    Decision::new(Verdict::Passed(phase, condition, Reason::Skipped, message.to_owned())).at_once()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_a_backfill_fills_break_no_rule() {
        let line = |issue_type: &str, count| ValidationCount { issue_type: issue_type.to_owned(), count };
        let report = [
            line("orphans: bookmarks.user_id -> users.id", 3),
            line("orphans: queries.user_id -> users.id", 0),
            line("duplicates: users.email", 2),
            line("backfill total: integration_logs.agency_id", 50),
            line("backfill unmapped: integration_logs.agency_id", 1),
        ];
        assert_eq!(rules_broken(&report), "5 rows break 2 of 3 rules");
    }
}
