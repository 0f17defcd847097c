//! What was learned, as it is kept in the status.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::conditions::shortened;
use crate::api::status::{
    JobState, JobStatus, RetryStatus, SchemaMigrationStatus, SoakStatus, StageState, SteeringAnswer, StepCount,
};

use super::decision::Fact;
use super::observed::signed;
use super::project::{MAX_CURRENT, MAX_TEXT};

/// Keeps a fact.
pub(super) fn record(status: &mut SchemaMigrationStatus, fact: &Fact, now: Timestamp) {
    match fact {
        Fact::Planned { plan, content_digest, server_uuid, stages, operations } => {
            status.plan = Some((**plan).clone());
            status.content_digest = Some(content_digest.clone());
            status.server_uuid = Some(server_uuid.clone());
            status.stages.clone_from(stages);
            status.steps = Some(StepCount::new(0, *operations));
            measured(status);
        }
        Fact::BegunBefore => {
            status.started_at.get_or_insert(Time(now));
        }
        Fact::Backup(backup) => status.backup = Some((**backup).clone()),
        Fact::Rehearsal(rehearsal) => {
            let mut rehearsal = (**rehearsal).clone();
            rehearsal.message = rehearsal.message.map(|text| shortened(text, MAX_TEXT));
            status.rehearsal = Some(rehearsal);
            measured(status);
        }
        Fact::Validation(report) => status.validation.clone_from(report),
        Fact::JobPlanned { name, purpose, test, attempt } => {
            if !status.jobs.iter().any(|job| job.name == *name) {
                status.jobs.push(JobStatus {
                    name: name.clone(),
                    purpose: *purpose,
                    test: test.clone(),
                    attempt: *attempt,
                    uid: None,
                    state: JobState::Running,
                    started: Time(now),
                    finished: None,
                    message: None,
                    results: None,
                });
            }
        }
        Fact::TestResults { name, results } => {
            if let Some(job) = status.jobs.iter_mut().find(|job| job.name == *name) {
                job.results = Some(results.clone());
            }
        }
        Fact::JobSeen { name, uid, state, message } => {
            if let Some(job) = status.jobs.iter_mut().find(|job| job.name == *name) {
                if uid.is_some() {
                    job.uid.clone_from(uid);
                }
                if *state != JobState::Running && job.finished.is_none() {
                    job.finished = Some(Time(now));
                }
                job.state = *state;
                job.message = message.clone().map(|text| shortened(text, MAX_TEXT));
            }
        }
        Fact::Quarantined(now_there) => {
            let quarantine = status.quarantine.get_or_insert_default();
            quarantine.orphans = signed(now_there.orphans);
            quarantine.duplicates = signed(now_there.duplicates);
            quarantine.cascaded = signed(now_there.cascaded);
            quarantine.values = signed(now_there.values);
        }
        Fact::StepsDone(done) => {
            let (before, total) = status.steps.as_ref().map_or((0, 0), |steps| (steps.done, steps.total));
            status.steps = Some(StepCount::new((*done).max(before), total));
        }
        Fact::Current(current) => status.current = current.clone().map(|text| shortened(text, MAX_CURRENT)),
        Fact::Stage { index, state, verified } => {
            if let Some(stage) = status.stages.get_mut(*index) {
                stage.state = *state;
                stage.started.get_or_insert(Time(now));
                if let Some(verified) = verified {
                    stage.verified = *verified;
                    stage.added = *verified;
                }
                if matches!(state, StageState::Complete | StageState::Failed) {
                    stage.finished.get_or_insert(Time(now));
                }
            }
        }
        Fact::Undone { undone, tables_identical, remaining } => {
            if let Some(rollback) = &mut status.rollback {
                rollback.undone = *undone;
                rollback.tables_identical = *tables_identical;
                rollback.remaining.clone_from(remaining);
            }
        }
        Fact::Left(left) => {
            if let Some(rollback) = &mut status.rollback {
                for each in left.iter().filter(|each| !rollback.remaining.contains(each)).cloned().collect::<Vec<_>>() {
                    rollback.remaining.push(each);
                }
            }
        }
        Fact::Loss(loss) => {
            if let Some(rollback) = &mut status.rollback {
                rollback.put_back.get_or_insert_default().loss = loss.as_deref().cloned();
            }
        }
        Fact::RestoredInto(schema) => {
            if let Some(rollback) = &mut status.rollback {
                rollback.put_back.get_or_insert_default().restored_schema.clone_from(schema);
            }
        }
        Fact::FoundInPlace => {
            if let Some(rollback) = &mut status.rollback {
                rollback.put_back.get_or_insert_default().in_place = true;
            }
        }
        Fact::PutBack { tables, kept_tables, kept_schema } => {
            if let Some(rollback) = &mut status.rollback {
                let put_back = rollback.put_back.get_or_insert_default();
                (put_back.restored_schema, put_back.in_place) = (None, true);
                (put_back.tables, put_back.kept_tables) = (Some(*tables), Some(*kept_tables));
                put_back.kept_schema = Some(kept_schema.clone());
            }
        }
        Fact::Answered { request, accepted, message } => {
            status.last_handled.acknowledge(request.action, &request.token);
            status.steering.retain(|answer| answer.action != request.action);
            status.steering.push(SteeringAnswer {
                action: request.action,
                token: request.token.clone(),
                accepted: *accepted,
                message: shortened(message.clone(), MAX_TEXT),
                at: Time(now),
            });
        }
        Fact::Server(server) => status.server_uuid.clone_from(server),
        Fact::Baseline(baseline) => {
            status.soak = baseline
                .as_ref()
                .map(|baseline| SoakStatus { baseline: Some((**baseline).clone()), ..SoakStatus::default() });
        }
        Fact::Soak(soak) => status.soak = Some((**soak).clone()),
        Fact::Tested(tested) => status.tested = Some(tested.clone()),
        Fact::Removal(removal) => status.backup.get_or_insert_default().removal = Some((**removal).clone()),
        Fact::Evidence(evidence) => status.evidence = Some(evidence.clone()),
        Fact::Purged => {
            status.quarantine.get_or_insert_default().purged_at = Some(Time(now));
            let put_back = status.rollback.as_mut().and_then(|rollback| rollback.put_back.as_mut());
            if let Some(put_back) = put_back.filter(|put_back| put_back.kept_schema.is_some()) {
                put_back.purged_at = Some(Time(now));
            }
        }
        Fact::PurgeInTime(purge) => status.quarantine.get_or_insert_default().purge = Some((**purge).clone()),
        Fact::Retrying { reason, since, until } => {
            status.retrying =
                Some(RetryStatus { reason: reason.as_str().to_owned(), since: Time(*since), until: Time(*until) });
        }
        Fact::TroubleOver => status.retrying = None,
        Fact::Strategy(_) => {}
    }
}

/// Puts what a rehearsal of the plan measured beside its estimates.
fn measured(status: &mut SchemaMigrationStatus) {
    let (Some(plan), Some(rehearsal)) = (&mut status.plan, &status.rehearsal) else { return };
    if rehearsal.plan_digest.as_ref() == Some(&plan.digest) {
        plan.estimates.rehearsed_seconds =
            rehearsal.change_milliseconds.map(|milliseconds| milliseconds.saturating_add(999) / 1000);
    }
}
