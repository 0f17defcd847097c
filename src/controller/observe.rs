//! Gathers what a decision depends on. Whatever cannot be read is an error of the pass, never taken for absent.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, PodTemplate};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, LogParams};
use kube::{Api, ResourceExt as _};

use crate::api::conditions::is_true;
use crate::api::status::{BackupProgress, JobPurpose, SchemaMigrationStatus};
use crate::api::{ConditionType, MigrationApproval, SchemaMigration, admission, digest, refusals, unknown_fields};
use crate::backup::Progress;
use crate::mysql::row_counters::Baseline;

use super::context::{Context, PassError, asking};
use super::evidence::{self, OwnEvidence};
use super::observed::{JobView, Observed, Policies, StoredPlan, Task, TaskState, backup_progress};
use super::volume_snapshot::SnapshotView;
use super::{backup_job, evidence_store, gates, job_view, plan_store, retention, snapshot_store, target};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const LOG_LINES: i64 = 20;
const LOG_BYTES: i64 = 2048;
/// The newest progress is among these, unless mysqldump warns of something just then.
const PROGRESS_LINES: i64 = 3;

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
        snapshot: SnapshotView::NotAsked,
        approvals: Vec::new(),
        policies: Policies::NotRequired,
        required_gates: context.flags.required_gates.clone(),
        evidence: Vec::new(),
        own_evidence: OwnEvidence::NotAsked,
    };
    // After the end only a purge still needs anything, and the deletion of the backups its Job.
    let purge = retention::purges(migration, now);
    let deleted = migration.metadata.deletion_timestamp.is_some();
    if (over && !purge) || deleted {
        context.tasks.rest(&uid);
        for job in status.jobs.iter().filter(|job| !deleted && retention::is_removing(job)) {
            let view = job_of(context, migration, &namespace, &job.name, job.purpose, now).await?;
            observed.jobs.insert(job.name.clone(), view);
        }
        return Ok(observed);
    }
    // While a task is at work it was begun with them, and nothing else is begun: a look at its progress asks no more than it needs.
    let at_work = matches!(observed.task, TaskState::Running(..));
    let named = async {
        if at_work { Ok(None) } else { named_objects(context, migration, &status, &namespace).await.map(Some) }
    };
    let policies = async {
        match (context.flags.allow_without_policies, at_work) {
            (true, _) => Ok(Policies::NotRequired),
            // No gate is asked meanwhile, and none would open.
            (false, true) => Ok(Policies::NotRead),
            (false, false) => policies(context).await,
        }
    };
    let name = migration.name_any();
    // One after the other they would make most of a pass.
    let (named, snapshot, plan, approvals, policies) = futures::try_join!(
        Box::pin(named),
        Box::pin(snapshot_store::find(&context.client, migration, &status)),
        Box::pin(stored_plan(context, &status, &uid, &namespace)),
        Box::pin(approvals_of(context, &name, &namespace)),
        Box::pin(policies),
    )?;
    match named {
        Some(Ok(digest)) => observed.content_digest = Some(digest),
        Some(Err(missing)) => observed.missing = Some(missing),
        None => {}
    }
    match snapshot {
        Ok(snapshot) => observed.snapshot = snapshot,
        Err(missing) => observed.missing = observed.missing.or(Some(missing)),
    }
    (observed.plan, observed.approvals, observed.policies) = (plan, approvals, policies);
    if let Some(promotion) = &migration.spec.promotion {
        if evidence::is_asked(&status) {
            observed.evidence = evidence_store::required(&context.client, &namespace, promotion).await?;
        }
        if let (TaskState::Ended(Task::Prove, Ok(_)), Some(plan)) = (&observed.task, &status.plan) {
            observed.own_evidence = evidence_store::own(&context.client, migration, promotion, &plan.digest).await?;
        }
    }
    for job in &status.jobs {
        if job.finished.is_none() || job.uid.is_some() {
            let view = job_of(context, migration, &namespace, &job.name, job.purpose, now).await?;
            observed.jobs.insert(job.name.clone(), view);
        }
    }
    Ok(observed)
}

/// The approvals that name the migration.
async fn approvals_of(context: &Context, name: &str, namespace: &str) -> Result<Vec<MigrationApproval>, PassError> {
    let approvals: Api<MigrationApproval> = Api::namespaced(context.client.clone(), namespace);
    let all = approvals.list(&ListParams::default()).await.map_err(asking("listing MigrationApprovals"))?;
    Ok(all.items.into_iter().filter(|approval| approval.spec.migration_ref.name == name).collect())
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
    status: &SchemaMigrationStatus,
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
    // Once the first change is made no backup is made any more.
    let over = migration
        .status
        .as_ref()
        .is_some_and(|status| status.started_at.is_some() && is_true(&status.conditions, ConditionType::BackedUp));
    if let Some(s3) = spec.backup.bucket().filter(|_| !over) {
        let secret = s3.credentials_secret_ref.name.as_str();
        let keys = [(secret, "accessKeyId"), (secret, "secretAccessKey")];
        let authority = s3.ca_secret_ref.as_ref().map(|authority| (authority.name.as_str(), authority.key.as_str()));
        for (secret, key) in keys.into_iter().chain(authority) {
            if let Err(missing) = target::secret_key(&context.client, namespace, secret, key).await {
                return Ok(Err(missing));
            }
        }
    }
    // From the first change on nothing is taken back for the want of it: the end waits for it then.
    if let (Some(promotion), None) = (&spec.promotion, &status.started_at)
        && let Err(missing) = evidence_store::signing_key(&context.client, namespace, promotion).await
    {
        return Ok(Err(missing));
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
    if let (JobView::Running { uid, problem: None, .. }, JobPurpose::Backup) = (&view, purpose) {
        let progress = progress(&pods, &pods_found, &job).await.map(Box::new);
        return Ok(JobView::Running { uid: uid.clone(), problem: None, progress });
    }
    let says_itself = match &view {
        JobView::Failed { message, .. } => match purpose {
            JobPurpose::Backup => true,
            JobPurpose::VerifyBackup | JobPurpose::Rehearse | JobPurpose::RemoveBackups | JobPurpose::RestoreBackup => {
                message.is_some()
            }
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

/// How far a dump is. It is for people: where it cannot be read, the dump goes on all the same.
async fn progress(pods: &Api<Pod>, found: &[Pod], job: &Job) -> Option<BackupProgress> {
    let pod =
        found.iter().find(|pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running"))?;
    let parameters = LogParams { tail_lines: Some(PROGRESS_LINES), ..LogParams::default() };
    let log = match pods.logs(&pod.name_any(), &parameters).await {
        Ok(log) => log,
        Err(error) => {
            tracing::debug!(%error, "the progress of the backup cannot be read");
            return None;
        }
    };
    let told = Progress::newest(&log)?;
    let counted: Baseline = serde_json::from_str(job.annotations().get(backup_job::BASELINE)?).ok()?;
    if counted.tables.is_empty() {
        return None;
    }
    let rows = counted.tables.values().map(|table| table.rows).sum();
    Some(backup_progress(&told, counted.tables.len() as u64, rows))
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
    let looked = admission::NEEDED
        .iter()
        .map(|policy| futures::future::join(policies.get_opt(policy.name), bindings.get_opt(policy.name)));
    let (mut missing, mut since) = (Vec::new(), Timestamp::UNIX_EPOCH);
    // What has no time of creation cannot have come from an API server, and then no approval counts.
    let created = |metadata: &ObjectMeta| metadata.creation_timestamp.as_ref().map_or(Timestamp::MAX, |time| time.0);
    for (policy, looked) in admission::NEEDED.iter().zip(futures::future::join_all(looked).await) {
        match looked {
            (Ok(Some(policy)), Ok(Some(binding))) => {
                since = since.max(created(&policy.metadata)).max(created(&binding.metadata));
            }
            (Ok(None), _) => missing.push(format!("the ValidatingAdmissionPolicy {} is", policy.name)),
            (_, Ok(None)) => missing.push(format!("the ValidatingAdmissionPolicyBinding {} is", policy.name)),
            // Without the right to look, nothing is known, and what is not known is not passed.
            (Err(kube::Error::Api(status)), _) | (_, Err(kube::Error::Api(status))) if status.code == 403 => {
                missing.push(format!("the right to read the admission policy {} is", policy.name));
            }
            (Err(error), _) | (_, Err(error)) => return Err(asking("reading the admission policies")(error)),
        }
    }
    Ok(if missing.is_empty() { Policies::Installed { since } } else { Policies::Missing(missing) })
}
