//! The steps that change nothing: preflight, plan, validation. Backup and rehearsal have files of their own.

use crate::api::gates::{GatePoint, GatedPhase};
use crate::api::status::{Phase, ValidationCount};
use crate::api::{ConditionType, Reason};
use crate::mysql::Allowance;
use crate::plan::render::counted;

use super::super::decision::{Decision, End, Fact, Verdict};
use super::super::observed::{Task, TaskResult};
use super::case::Case;
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
        TaskResult::Planned { status, server_uuid, content_digest, stages, operations, left, baseline } => {
            let mut message = format!(
                "{}, {}, digest {}",
                counted(*operations, "operation"),
                counted(status.counts.foreign_keys, "foreign key"),
                status.digest
            );
            if case.migration.spec.database.tls.mode != crate::api::database::TlsMode::VerifyIdentity {
                message.push_str(&format!(
                    ". Note: database.tls.mode is {:?}, so the server's identity is not verified",
                    case.migration.spec.database.tls.mode
                ));
            }
            let promotion = case.migration.spec.promotion.as_ref();
            if promotion.is_some_and(|promotion| promotion.signing_key_secret_ref.is_none()) {
                message.push_str(
                    ". Note: spec.promotion.signingKeySecretRef is not set, so the evidence will be unsigned and no other environment takes it",
                );
            }
            if let Some(left) = left {
                message.push_str(&format!("; {left}"));
            }
            let planned = Fact::Planned {
                plan: status.clone(),
                content_digest: content_digest.clone(),
                server_uuid: server_uuid.clone(),
                stages: stages.clone(),
                operations: *operations,
            };
            let begun = left.is_some().then_some(Fact::BegunBefore);
            let measured = Fact::Baseline(baseline.clone().map(Box::new));
            passed(Phase::Plan, ConditionType::Planned, message).fact(planned).fact(measured).facts(begun)
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
