//! The steps after the last key: the application's schema file, the tests, the proof.

use crate::api::application::Probes;
use crate::api::conditions::shortened;
use crate::api::gates::{GatePoint, GatedPhase};
use crate::api::status::{JobPurpose, JobState, Phase, TestResults, TestedStatus};
use crate::api::{ConditionType, Reason};
use crate::mysql::Allowance;
use crate::mysql::report::{OperationReport, Proof};
use crate::plan::model::Section;
use crate::results::Left;

use super::super::decision::{Decision, Effect, End, Fact, LOOK_FOR_EVIDENCE, Verdict};
use super::super::evidence::{self, OwnEvidence};
use super::super::observed::{Task, TaskResult, signed};
use super::before::{passed, skipped};
use super::case::{Case, JobEnd, JobPlace};
use super::change::section_facts;
use super::failure::unexpected;

/// Keys that a message names.
const NAMED: usize = 3;
/// Longest GTID set in a message, in bytes.
const MAX_TRANSACTIONS: usize = 256;

pub(super) fn update_schema(case: &Case<'_>) -> Decision {
    if let Some(decision) = case.gate(GatePoint::Phase(GatedPhase::UpdateSchema)) {
        return decision;
    }
    let Some(plan) = case.observed.loaded_plan() else { return Decision::new(Verdict::Unchanged) };
    let fills = plan.operations.iter().any(|operation| operation.section == Section::FillAgain);
    let Some(update) = &case.migration.spec.schema_update else {
        let reason = "spec.schemaUpdate is not set";
        if fills {
            return fill_again(case, reason);
        }
        return skipped(Phase::UpdateSchema, ConditionType::SchemaUpdated, reason);
    };
    let place = JobPlace {
        phase: Phase::UpdateSchema,
        purpose: JobPurpose::SchemaUpdate,
        test: None,
        attempt: case.status.attempt,
    };
    let entry = case.job_entry(&case.job_name(place));
    if let Some(job) = entry.filter(|job| fills && job.state == JobState::Succeeded) {
        return fill_again(case, &format!("the Job {} succeeded", job.name));
    }
    case.user_job(place, &update.pod_template_ref.name, |end| match end {
        JobEnd::Succeeded { name, .. } => {
            let message = format!("the Job {name} succeeded");
            let decision = if fills {
                Decision::new(Verdict::Working(Phase::UpdateSchema, message)).at_once()
            } else {
                passed(Phase::UpdateSchema, ConditionType::SchemaUpdated, message)
            };
            decision.fact(seen(name, JobState::Succeeded, None))
        }
        JobEnd::Failed { name, message, delete, .. } => {
            failed(case, Phase::UpdateSchema, Reason::JobFailed, name, message, delete)
        }
    })
}

/// Once the application writes them itself, columns that were filled before are filled for the last time.
fn fill_again(case: &Case<'_>, so_far: &str) -> Decision {
    let section = Section::FillAgain;
    let allowance = case.allowance(GatePoint::Phase(GatedPhase::UpdateSchema));
    case.task(Phase::UpdateSchema, Task::Section(section), allowance, |result| {
        let (TaskResult::Section(report), Some(plan)) = (result, case.observed.loaded_plan()) else {
            return unexpected(case, result);
        };
        let counts: Vec<String> = report.operations.iter().filter_map(filled).collect();
        let message = format!("{so_far}; columns were filled again: {}", counts.join("; "));
        passed(Phase::UpdateSchema, ConditionType::SchemaUpdated, message).facts(section_facts(case, plan, report))
    })
}

/// `021-again-backfill-logs-agency_id: 3 rows, of 4 without a value`
fn filled(operation: &OperationReport) -> Option<String> {
    let rows = operation.rows.as_ref()?;
    let of = match (rows.total, rows.unmapped, rows.ambiguous) {
        (Some(total), Some(unmapped), Some(ambiguous)) => {
            format!(" of {total} without a value, {unmapped} unmapped ({ambiguous} of them ambiguous)")
        }
        _ => String::new(),
    };
    Some(format!("{}: {} rows{of}", operation.operation, rows.values_changed))
}

pub(super) fn test(case: &Case<'_>) -> Decision {
    if let Some(decision) = case.gate(GatePoint::Phase(GatedPhase::Test)) {
        return decision;
    }
    let tests = &case.migration.spec.tests;
    let place = |name| JobPlace {
        phase: Phase::Test,
        purpose: JobPurpose::Test,
        test: Some(name),
        attempt: case.status.attempt,
    };
    let state = |name| case.job_entry(&case.job_name(place(name))).map(|entry| entry.state);
    // A test Job is begun only after probes and scenarios have passed, so its entry says that they have.
    let statements_passed = tests.jobs.first().is_some_and(|job| state(&job.name).is_some());
    let no_statements = tests.probes == Probes::None && tests.scenarios.is_empty();
    let jobs_from_here = |tested: Option<&TestedStatus>| {
        let Some(job) = tests.jobs.iter().find(|job| state(&job.name) != Some(JobState::Succeeded)) else {
            let jobs = (!tests.jobs.is_empty()).then(|| {
                let entries = tests.jobs.iter().filter_map(|job| case.job_entry(&case.job_name(place(&job.name))));
                let results = entries.filter_map(|entry| entry.results.as_ref());
                let all = results.fold(TestResults::default(), |mut all, each| {
                    (all.tests, all.skipped) = (all.tests + each.tests, all.skipped + each.skipped);
                    all
                });
                let told = if all.tests > 0 { format!(" ({})", in_words(&all)) } else { String::new() };
                format!("all {} test Jobs passed{told}", tests.jobs.len())
            });
            let parts: Vec<String> = jobs.into_iter().chain(tested.map(told)).collect();
            return passed(Phase::Test, ConditionType::Tested, parts.join("; "));
        };
        case.user_job(place(&job.name), &job.pod_template_ref.name, |end| match end {
            JobEnd::Succeeded { name, message } => match counted_tests(message) {
                Ok(results) if results.as_ref().is_none_or(|results| results.failed == 0) => {
                    let told = results.as_ref().map(|results| format!(": {}", in_words(results))).unwrap_or_default();
                    Decision::new(Verdict::Working(Phase::Test, format!("the test {:?} passed{told}", job.name)))
                        .fact(seen(name, JobState::Succeeded, None))
                        .facts(results.map(|results| Fact::TestResults { name: name.to_owned(), results }))
                        .at_once()
                }
                otherwise => {
                    let why = match &otherwise {
                        Ok(results) => results.as_ref().map(in_words).unwrap_or_default(),
                        Err(message) => format!("its results cannot be read: {message}"),
                    };
                    let message = format!("the test {:?} failed, although its Job {name} succeeded: {why}", job.name);
                    failed(case, Phase::Test, Reason::TestsFailed, name, message, false).facts(
                        otherwise.ok().flatten().map(|results| Fact::TestResults { name: name.to_owned(), results }),
                    )
                }
            },
            JobEnd::Failed { name, message, delete, left } => {
                // What the Job says itself goes before counts that cannot be read.
                let results = counted_tests(left).ok().flatten();
                let told = results.as_ref().map(|results| format!("{}: ", in_words(results))).unwrap_or_default();
                let message = format!("the test {:?} failed: {told}{message}", job.name);
                failed(case, Phase::Test, Reason::TestsFailed, name, message, delete)
                    .facts(results.map(|results| Fact::TestResults { name: name.to_owned(), results }))
            }
        })
    };
    if no_statements && tests.jobs.is_empty() {
        return skipped(Phase::Test, ConditionType::Tested, "spec.tests asks for no probes, no scenarios and no Jobs");
    }
    if no_statements || statements_passed {
        return jobs_from_here(case.status.tested.as_ref());
    }
    case.task(Phase::Test, Task::Test, Allowance::default(), |result| match result {
        TaskResult::Tested(tested) => jobs_from_here(Some(tested)).fact(Fact::Tested(tested.clone())),
        other => unexpected(case, other),
    })
}

pub(super) fn prove(case: &Case<'_>) -> Decision {
    if let Some(decision) = case.gate(GatePoint::Phase(GatedPhase::Complete)) {
        return decision;
    }
    case.task(Phase::Prove, Task::Prove, Allowance::default(), |result| match result {
        TaskResult::Proven(proof) => {
            let mut message = format!(
                "{} foreign keys and {} unique constraints are there and proven on the server {}",
                proof.keys.len(),
                proof.uniques.len(),
                proof.server_uuid
            );
            for replica in &proof.replicas {
                message.push_str(&format!(
                    ", and the keys on the replica {} ({}) after it had applied {}",
                    replica.replica,
                    replica.server_uuid,
                    shortened(replica.applied.clone(), MAX_TRANSACTIONS)
                ));
            }
            message.extend(case.status.tested.as_ref().and_then(|tested| without_probe(tested, false)));
            show(case, proof, message)
        }
        other => unexpected(case, other),
    })
}

/// The end, once the evidence of it is written where it is asked for. For the want of it nothing is taken back: all is there and proven.
fn show(case: &Case<'_>, proof: &Proof, mut message: String) -> Decision {
    let waiting = |why: &str| {
        let text = format!("{message}. The end waits for the evidence of it, which cannot be written: {why}");
        Decision::new(Verdict::Waiting(Phase::Prove, Reason::EvidenceNotWritten, text)).after(LOOK_FOR_EVIDENCE)
    };
    match &case.observed.own_evidence {
        OwnEvidence::Unusable(why) => waiting(why),
        OwnEvidence::NotAsked if case.migration.spec.promotion.is_some() => waiting("it was not looked for yet"),
        OwnEvidence::NotAsked => Decision::new(Verdict::Ended(End::Complete(message))).at_once(),
        OwnEvidence::Missing { kubernetes } => {
            let plan = case.observed.loaded_plan();
            let document = plan.and_then(|plan| evidence::document(case.view(), plan, proof, kubernetes.as_deref()));
            let Some(document) = document else { return waiting("the plan is not loaded") };
            Decision::new(Verdict::Working(Phase::Prove, "writing the evidence".to_owned()))
                .effect(Effect::WriteEvidence(Box::new(document)))
                .at_once()
        }
        OwnEvidence::Written(written) => {
            let unsigned = if written.signed_by.is_none() { ", unsigned" } else { "" };
            message.push_str(&format!("; the evidence is in the ConfigMap {}{unsigned}", written.config_map));
            Decision::new(Verdict::Ended(End::Complete(message))).fact(Fact::Evidence(written.clone())).at_once()
        }
    }
}

/// What probes and scenarios showed, for people.
fn told(tested: &TestedStatus) -> String {
    let mut text = format!("{} probes and {} scenarios passed", tested.probes, tested.scenarios);
    text.extend(without_probe(tested, true));
    text
}

/// The keys whose delete action nobody saw; a proof says what it does not rest on.
fn without_probe(tested: &TestedStatus, reasons: bool) -> Option<String> {
    if tested.unprobed == 0 {
        return None;
    }
    let named: Vec<String> = (tested.unprobed_keys.iter().take(NAMED))
        .map(|each| if reasons { format!("{} ({})", each.key, each.reason) } else { each.key.clone() })
        .collect();
    let more = tested.unprobed.saturating_sub(i64::try_from(named.len()).unwrap_or(i64::MAX));
    let more = if more > 0 { format!(" and {more} more; see status.tested") } else { String::new() };
    Some(format!(
        "; the delete action of {} of the keys could not be probed and rests on the catalogue alone: {}{more}",
        tested.unprobed,
        named.join(", ")
    ))
}

/// What was counted beside a test Job, where it wrote results.
fn counted_tests(left: Option<&str>) -> Result<Option<TestResults>, String> {
    match left.map(serde_json::from_str::<Left>) {
        Some(Ok(Left::TestResults(results))) => Ok(Some(results)),
        Some(Ok(Left::UnreadableTestResults(message))) => Err(message),
        // The Job's own program said something.
        None | Some(Err(_)) => Ok(None),
    }
}

/// `1 of 9 tests failed ("a county")`, or `9 tests, 1 of them skipped`.
fn in_words(results: &TestResults) -> String {
    if results.failed > 0 {
        let named: Vec<String> = results.failures.iter().map(|name| format!("{name:?}")).collect();
        let more = if results.failed > signed(named.len()) { ", ..." } else { "" };
        return format!("{} of {} tests failed ({}{more})", results.failed, results.tests, named.join(", "));
    }
    let skipped = if results.skipped > 0 { format!(", {} of them skipped", results.skipped) } else { String::new() };
    format!("{} tests{skipped}", results.tests)
}

fn seen(name: &str, state: JobState, message: Option<String>) -> Fact {
    Fact::JobSeen { name: name.to_owned(), uid: None, state, message }
}

fn failed(case: &Case<'_>, phase: Phase, reason: Reason, name: &str, message: String, delete: bool) -> Decision {
    let decision = case.fail(phase, reason, &message).fact(seen(name, JobState::Failed, Some(message)));
    if delete { decision.effect(Effect::DeleteJob(name.to_owned())) } else { decision }
}
