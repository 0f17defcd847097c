//! Carries out the one effect that was decided, if this replica still leads: between the decision and here it may have been paused.
//! Everything here may be done twice: names are fixed, and what exists is left alone.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::PodTemplate;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt as _};
use tracing::Instrument as _;

use crate::api::conditions::shortened;
use crate::api::status::{JobPurpose, JobState};
use crate::api::{FIELD_MANAGER, FINALIZER, Reason, SchemaMigration};

use super::context::{Context, PassError, asking};
use super::decision::{Effect, JobRequest};
use super::events::{MAX_NOTE, Told};
use super::failpoints::{Boundary, around};
use super::observed::JobView;
use super::tasks::give_back;
use super::telling::{publish, work_span};
use super::{
    backup_job, deletion, evidence_store, job_view, jobs, remove_job, restore_job, snapshot_store, verify_job, work,
};

/// Does it.
///
/// # Errors
/// When another replica leads by now, or the API server refuses or does not answer; the next pass decides anew.
pub async fn execute(
    context: &std::sync::Arc<Context>,
    migration: &SchemaMigration,
    effect: &Effect,
) -> Result<(), PassError> {
    let uid = migration.metadata.uid.clone().unwrap_or_default();
    if effect.reaches_out() {
        context.check_leads().await?;
    }
    match effect {
        Effect::None => {}
        Effect::AddFinalizer => {
            let mut finalizers = migration.finalizers().to_vec();
            finalizers.push(FINALIZER.to_owned());
            around(Boundary::FinalizerAdded, set_finalizers(context, migration, &finalizers)).await?;
        }
        Effect::StartTask(task, allowance) => {
            let (task, allowance) = (*task, *allowance);
            let shared = context.clone();
            let copy = migration.clone();
            context.tasks.start(&uid, ObjectRef::from_obj(migration), task, move |progress, stop| {
                let about = work_span(&copy);
                work::run(shared, copy, task, allowance, progress, stop).instrument(about)
            });
        }
        Effect::StopTask => context.tasks.stop(&uid),
        Effect::ForgetTask(task) => context.tasks.forget(&uid, *task),
        Effect::NoteTrouble => context.tasks.note_trouble(&uid, jiff::Timestamp::now()),
        Effect::NoteDrift => context.tasks.note_drift(&uid, jiff::Timestamp::now()),
        Effect::EndTrouble => context.tasks.end_trouble(&uid),
        Effect::CreateJob(request) => create_job(context, migration, request).await?,
        Effect::DeleteJob(name) => delete_job(context, migration, name).await?,
        Effect::CreateVolumeSnapshot(name) => {
            if let Err(error) = snapshot_store::create(&context.client, migration, name).await {
                tell_refusal(context, migration, &error).await;
                return Err(error);
            }
        }
        Effect::WriteEvidence(document) => evidence_store::write(&context.client, migration, document).await?,
        Effect::Release => release(context, migration, &uid).await?,
    }
    Ok(())
}

/// What the API server, or an admission policy, says about a VolumeSnapshot: the status of the next pass only counts the tries.
async fn tell_refusal(context: &Context, migration: &SchemaMigration, error: &PassError) {
    let note = match error {
        PassError::Api(what, error) => match error.as_ref() {
            kube::Error::Api(status) => format!("{what}: {}", status.message),
            other => format!("{what}: {other}"),
        },
        other => other.to_string(),
    };
    let told = Told {
        warning: true,
        reason: Reason::BackupFailed.as_str().to_owned(),
        action: "CreateVolumeSnapshot".to_owned(),
        note: shortened(note, MAX_NOTE),
    };
    publish(context, migration, told).await;
}

async fn create_job(context: &Context, migration: &SchemaMigration, request: &JobRequest) -> Result<(), PassError> {
    let namespace = migration.namespace().unwrap_or_default();
    let job = match request {
        JobRequest::Backup { name, attempt, baseline } => {
            backup_job::backup(migration, &context.flags.operator_image, name, *attempt, baseline.clone())
                .ok_or_else(|| PassError::Content("spec.backup.job and its destination are not both set".to_owned()))?
        }
        JobRequest::VerifyBackup { name, attempt, manifest, plan } => {
            restore(context, migration, name, verify_job::Backup { attempt: *attempt, manifest }, plan.as_deref())?
        }
        JobRequest::Rehearse { name, attempt, manifest, plan } => {
            restore(context, migration, name, verify_job::Backup { attempt: *attempt, manifest }, Some(plan))?
        }
        JobRequest::RemoveBackups { name, attempts } => {
            remove_job::remove(migration, &context.flags.operator_image, name, *attempts)
                .ok_or_else(|| PassError::Content("spec.backup.job and its destination are not both set".to_owned()))?
        }
        JobRequest::RestoreTables { name, attempt, manifest, schema } => {
            let backup = verify_job::Backup { attempt: *attempt, manifest };
            restore_job::restore(migration, &context.flags.operator_image, name, backup, schema)
                .map_err(PassError::Content)?
        }
        JobRequest::User { name, template, purpose } => {
            let templates: Api<PodTemplate> = Api::namespaced(context.client.clone(), &namespace);
            let template =
                templates.get(template).await.map_err(asking(format!("reading the PodTemplate {template}")))?;
            let job = jobs::user(migration, &template, name);
            if *purpose == JobPurpose::Test { jobs::with_results(job, &context.flags.operator_image) } else { job }
        }
    };
    let api: Api<Job> = Api::namespaced(context.client.clone(), &namespace);
    let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    match around(Boundary::JobCreated, api.create(&parameters, &job)).await {
        Ok(_) => Ok(()),
        // Made by a pass that ended before it could see it.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(asking(format!("creating the Job {}", job.name_any()))(error)),
    }
}

fn restore(
    context: &Context,
    migration: &SchemaMigration,
    name: &str,
    backup: verify_job::Backup<'_>,
    plan: Option<&str>,
) -> Result<Job, PassError> {
    verify_job::verify(migration, &context.flags.operator_image, name, backup, plan).map_err(PassError::Content)
}

async fn delete_job(context: &Context, migration: &SchemaMigration, name: &str) -> Result<(), PassError> {
    let api: Api<Job> = Api::namespaced(context.client.clone(), &migration.namespace().unwrap_or_default());
    match around(Boundary::JobDeleted, api.delete(name, &DeleteParams::background())).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(asking(format!("deleting the Job {name}"))(error)),
    }
}

/// Whether a Job of this migration is there and has not ended.
async fn still_runs(context: &Context, migration: &SchemaMigration, name: &str, uid: &str) -> Result<bool, PassError> {
    let api: Api<Job> = Api::namespaced(context.client.clone(), &migration.namespace().unwrap_or_default());
    let job = api.get_opt(name).await.map_err(asking(format!("reading the Job {name}")))?;
    let view = job.map(|job| job_view::view(&job, &[], uid, None, jiff::Timestamp::now()));
    Ok(matches!(view, Some(JobView::Running { .. })))
}

/// Gives back whatever is still held. The database being gone is no reason to keep the object.
async fn release(context: &Context, migration: &SchemaMigration, uid: &str) -> Result<(), PassError> {
    for job in migration.status.iter().flat_map(|status| &status.jobs) {
        let runs = match job.state {
            JobState::Running => true,
            // One that would not start counts as failed; its deletion may have been interrupted.
            JobState::Failed => still_runs(context, migration, &job.name, uid).await?,
            JobState::Succeeded => false,
        };
        if runs {
            delete_job(context, migration, &job.name).await?;
        }
    }
    if let Some(session) = context.tasks.session(uid).lock().await.take() {
        give_back(session).await;
    }
    context.tasks.remove(uid);
    if migration.finalizers().iter().any(|each| each == FINALIZER) {
        // While the object is there, and only once: without the finalizer nothing comes here again.
        if let Some(told) = deletion::left_midway(migration) {
            publish(context, migration, told).await;
        }
        let rest: Vec<String> = migration.finalizers().iter().filter(|each| *each != FINALIZER).cloned().collect();
        around(Boundary::FinalizerRemoved, set_finalizers(context, migration, &rest)).await?;
    }
    Ok(())
}

async fn set_finalizers(
    context: &Context,
    migration: &SchemaMigration,
    finalizers: &[String],
) -> Result<(), PassError> {
    let api: Api<SchemaMigration> = Api::namespaced(context.client.clone(), &migration.namespace().unwrap_or_default());
    // With the version that was seen, so that nobody else's finalizer is lost.
    let patch = serde_json::json!({"metadata": {"resourceVersion": migration.metadata.resource_version, "finalizers": finalizers}});
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    api.patch(&migration.name_any(), &parameters, &Patch::Merge(&patch))
        .await
        .map_err(asking("changing the finalizers"))?;
    Ok(())
}
