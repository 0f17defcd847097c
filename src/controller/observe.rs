//! Gathers what a decision depends on. Whatever cannot be read is an error of the pass, never taken for absent.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, PodTemplate};
use kube::api::{ListParams, LogParams};
use kube::{Api, ResourceExt as _};

use crate::api::conditions::is_true;
use crate::api::status::{JobPurpose, SchemaMigrationStatus};
use crate::api::steering::{SteeringAction, next_request};
use crate::api::{ConditionType, MigrationApproval, SchemaMigration, admission, digest, refusals, unknown_fields};

use super::context::{Context, PassError, asking};
use super::observed::{JobView, Observed, Policies, StoredPlan};
use super::{gates, job_view, plan_store, target};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const LOG_LINES: i64 = 20;
const LOG_BYTES: i64 = 2048;

/// Gathers everything.
///
/// # Errors
/// When the API server does not answer.
pub async fn observe(context: &Context, migration: &SchemaMigration, now: Timestamp) -> Result<Observed, PassError> {
    let namespace = migration.namespace().unwrap_or_default();
    let uid = migration.metadata.uid.clone().unwrap_or_default();
    let status = migration.status.clone().unwrap_or_default();
    let over = is_true(&status.conditions, ConditionType::Finished);
    let mut observed = Observed {
        refusals: refusals_of(migration, now)?,
        missing: None,
        content_digest: None,
        plan: StoredPlan::None,
        task: context.tasks.state(&uid),
        session: context.tasks.has_session(&uid),
        trouble: context.tasks.trouble(&uid),
        advanced: context.tasks.has_advanced(&uid, now),
        jobs: BTreeMap::new(),
        approvals: Vec::new(),
        policies: Policies::NotRequired,
        required_gates: context.flags.required_gates.clone(),
    };
    // After the end only a purge still needs anything.
    let purge = next_request(migration).is_some_and(|request| request.action == SteeringAction::Purge);
    if (over && !purge) || migration.metadata.deletion_timestamp.is_some() {
        context.tasks.rest(&uid);
        return Ok(observed);
    }
    match named_objects(context, migration, &namespace).await? {
        Ok(digest) => observed.content_digest = Some(digest),
        Err(missing) => observed.missing = Some(missing),
    }
    observed.plan = stored_plan(context, &status, &uid, &namespace).await?;
    for job in &status.jobs {
        if job.finished.is_none() || job.uid.is_some() {
            let view = job_of(context, migration, &namespace, &job.name, job.purpose, now).await?;
            observed.jobs.insert(job.name.clone(), view);
        }
    }
    let approvals: Api<MigrationApproval> = Api::namespaced(context.client.clone(), &namespace);
    let name = migration.name_any();
    observed.approvals = approvals
        .list(&ListParams::default())
        .await
        .map_err(asking("listing MigrationApprovals"))?
        .items
        .into_iter()
        .filter(|approval| approval.spec.migration_ref.name == name)
        .collect();
    if !context.flags.allow_without_policies {
        observed.policies = policies(context).await?;
    }
    Ok(observed)
}

fn refusals_of(migration: &SchemaMigration, now: Timestamp) -> Result<Vec<(String, String)>, PassError> {
    let mut found: Vec<(String, String)> = refusals::refusals(&migration.spec)
        .into_iter()
        .map(|refusal| (refusal.path, refusal.message.to_owned()))
        .collect();
    found.extend(gates::problems(migration, now));
    if let Some(applied) = migration.annotations().get(LAST_APPLIED) {
        let stored = serde_json::to_value(migration).map_err(|error| PassError::Content(error.to_string()))?;
        match unknown_fields::unknown_fields(applied, &stored) {
            Ok(paths) => found.extend(paths.into_iter().map(|path| {
                (
                    path,
                    "was applied, but is no field of a SchemaMigration: correct its spelling or remove it".to_owned(),
                )
            })),
            Err(error) => found.push((
                format!("metadata.annotations[{LAST_APPLIED}]"),
                format!("is not JSON ({error}): apply the manifest again"),
            )),
        }
    }
    Ok(found)
}

/// The Secrets and PodTemplates that the spec names; the content digest when all are there.
async fn named_objects(
    context: &Context,
    migration: &SchemaMigration,
    namespace: &str,
) -> Result<Result<String, String>, PassError> {
    let spec = &migration.spec;
    if let Err(missing) = target::target(&context.client, namespace, spec).await {
        return Ok(Err(missing));
    }
    if let Some(credentials) = &spec.jobs.credentials_secret_ref {
        for key in ["username", "password"] {
            if let Err(missing) = target::secret_key(&context.client, namespace, &credentials.name, key).await {
                return Ok(Err(missing));
            }
        }
    }
    match templates(context, migration, namespace).await? {
        Ok(hashes) => digest::content_digest(spec, &hashes)
            .map(Ok)
            .map_err(|error| PassError::Content(format!("computing the content digest: {error}"))),
        Err(missing) => Ok(Err(missing)),
    }
}

/// The digest of every PodTemplate that the spec names.
///
/// # Errors
/// When the API server does not answer; inside, what is missing.
pub async fn templates(
    context: &Context,
    migration: &SchemaMigration,
    namespace: &str,
) -> Result<Result<BTreeMap<String, String>, String>, PassError> {
    let spec = &migration.spec;
    let mut names: BTreeSet<&str> = spec.tests.jobs.iter().map(|job| job.pod_template_ref.name.as_str()).collect();
    if let Some(update) = &spec.schema_update {
        names.insert(&update.pod_template_ref.name);
        names.extend(update.undo_pod_template_ref.as_ref().map(|reference| reference.name.as_str()));
    }
    let api: Api<PodTemplate> = Api::namespaced(context.client.clone(), namespace);
    let mut hashes = BTreeMap::new();
    for name in names {
        let Some(template) = api.get_opt(name).await.map_err(asking(format!("reading the PodTemplate {name}")))? else {
            return Ok(Err(format!("the PodTemplate {namespace}/{name} does not exist: create it")));
        };
        let hash = digest::of_json(&template.template).map_err(|error| PassError::Content(error.to_string()))?;
        hashes.insert(name.to_owned(), hash);
    }
    Ok(Ok(hashes))
}

async fn stored_plan(
    context: &Context,
    status: &SchemaMigrationStatus,
    uid: &str,
    namespace: &str,
) -> Result<StoredPlan, PassError> {
    let Some(recorded) = &status.plan else { return Ok(StoredPlan::None) };
    if let Some(plan) = context.tasks.plan(uid, &recorded.digest) {
        return Ok(StoredPlan::Loaded(plan));
    }
    let loaded = plan_store::load(&context.client, namespace, &recorded.digest, &recorded.config_maps)
        .await
        .map_err(asking("reading the stored plan"))?;
    Ok(match loaded {
        Ok(plan) => {
            context.tasks.keep_plan(uid, plan.clone());
            StoredPlan::Loaded(plan)
        }
        Err((reason, message)) => StoredPlan::Unusable(reason, message),
    })
}

async fn job_of(
    context: &Context,
    migration: &SchemaMigration,
    namespace: &str,
    name: &str,
    purpose: JobPurpose,
    now: Timestamp,
) -> Result<JobView, PassError> {
    let jobs: Api<Job> = Api::namespaced(context.client.clone(), namespace);
    let Some(job) = jobs.get_opt(name).await.map_err(asking(format!("reading the Job {name}")))? else {
        return Ok(JobView::Missing);
    };
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), namespace);
    let selector = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={name}"));
    let pods_found = pods.list(&selector).await.map_err(asking(format!("listing the pods of the Job {name}")))?.items;
    let uid = migration.metadata.uid.as_deref().unwrap_or_default();
    let view = job_view::view(&job, &pods_found, uid, None, now);
    let says_itself = match &view {
        JobView::Failed { message, .. } => match purpose {
            JobPurpose::Backup => true,
            JobPurpose::VerifyBackup => message.is_some(),
            JobPurpose::SchemaUpdate | JobPurpose::UndoSchemaUpdate | JobPurpose::Test => false,
        },
        _ => true,
    };
    if let (false, Some(pod)) = (says_itself, pods_found.last()) {
        let log = log_tail(context, migration, namespace, &pods, &pod.name_any()).await;
        return Ok(job_view::view(&job, &pods_found, uid, Some(log), now));
    }
    Ok(view)
}

/// The end of a user Job's log, for the message; passwords that the Job was given are taken out.
async fn log_tail(
    context: &Context,
    migration: &SchemaMigration,
    namespace: &str,
    pods: &Api<Pod>,
    pod: &str,
) -> String {
    let parameters = LogParams { tail_lines: Some(LOG_LINES), limit_bytes: Some(LOG_BYTES), ..LogParams::default() };
    let mut text = match pods.logs(pod, &parameters).await {
        Ok(text) => text.trim().to_owned(),
        Err(error) => return format!("its log cannot be read: {error}"),
    };
    if let Some(credentials) = &migration.spec.jobs.credentials_secret_ref {
        match target::secret_key(&context.client, namespace, &credentials.name, "password").await {
            Ok(password) => {
                let password = String::from_utf8_lossy(&password).trim().to_owned();
                if !password.is_empty() {
                    text = text.replace(&password, "[password]");
                }
            }
            Err(_) => {
                return "its log is not shown, because the password that must not be in it cannot be read".to_owned();
            }
        }
    }
    if text.is_empty() { "its log is empty".to_owned() } else { format!("its log ends with: {text}") }
}

async fn policies(context: &Context) -> Result<Policies, PassError> {
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(context.client.clone());
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(context.client.clone());
    let mut missing = Vec::new();
    for policy in admission::NEEDED {
        let found = policies.get_opt(policy.name).await;
        let bound = bindings.get_opt(policy.name).await;
        match (found, bound) {
            (Ok(Some(_)), Ok(Some(_))) => {}
            (Ok(None), _) => missing.push(format!("the ValidatingAdmissionPolicy {} is", policy.name)),
            (_, Ok(None)) => missing.push(format!("the ValidatingAdmissionPolicyBinding {} is", policy.name)),
            // Without the right to look, nothing is known, and what is not known is not passed.
            (Err(kube::Error::Api(status)), _) | (_, Err(kube::Error::Api(status))) if status.code == 403 => {
                missing.push(format!("the right to read the admission policy {} is", policy.name));
            }
            (Err(error), _) | (_, Err(error)) => return Err(asking("reading the admission policies")(error)),
        }
    }
    Ok(if missing.is_empty() { Policies::Installed } else { Policies::Missing(missing) })
}
