//! Jobs of the user's own that have succeeded and whose result is recorded: nobody needs them any more, so the cluster may delete them
//! after a time. Those that failed stay for people to look at, as long as the resource is there, and so do the Jobs of backups: they
//! carry what was counted before the dump, which is compared and reckoned with until the end.

use k8s_openapi::api::batch::v1::Job;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};

use crate::api::status::{JobPurpose, JobState, JobStatus};
use crate::api::{FIELD_MANAGER, SchemaMigration, SchemaMigrationStatus};

use super::context::Context;
use super::failpoints::{Boundary, around};

/// How long they stay, in seconds: long enough to read a log.
const KEPT_SECONDS: i64 = 3600;

/// Whether a Job of that purpose may go once it has succeeded.
pub(super) fn may_go(purpose: JobPurpose) -> bool {
    match purpose {
        JobPurpose::SchemaUpdate | JobPurpose::UndoSchemaUpdate | JobPurpose::Test => true,
        JobPurpose::Backup
        | JobPurpose::VerifyBackup
        | JobPurpose::Rehearse
        | JobPurpose::RemoveBackups
        | JobPurpose::RestoreBackup => false,
    }
}

/// Those whose success was recorded between two statuses.
fn succeeded<'a>(before: &SchemaMigrationStatus, after: &'a SchemaMigrationStatus) -> Vec<&'a JobStatus> {
    let is_over = |job: &JobStatus| job.state == JobState::Succeeded;
    let was_over = |job: &JobStatus| before.jobs.iter().any(|known| known.name == job.name && is_over(known));
    after.jobs.iter().filter(|job| may_go(job.purpose) && is_over(job) && !was_over(job)).collect()
}

/// Lets the cluster delete what has succeeded, once that is written. Where it cannot be asked, the Job stays until the resource goes, as
/// every other one does: that is no reason to repeat a pass.
pub(super) async fn let_go(context: &Context, written: &SchemaMigration, before: &SchemaMigrationStatus) {
    let Some(after) = &written.status else { return };
    for job in succeeded(before, after) {
        let api: Api<Job> = Api::namespaced(context.client.clone(), &written.namespace().unwrap_or_default());
        // With its uid, so that another Job of the same name is left alone.
        let change =
            serde_json::json!({"metadata": {"uid": job.uid}, "spec": {"ttlSecondsAfterFinished": KEPT_SECONDS}});
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let change = Patch::Merge(&change);
        if let Err(error) = around(Boundary::JobLetGo, api.patch(&job.name, &parameters, &change)).await {
            tracing::warn!(job = job.name, %error, "the Job has succeeded and stays: its end could not be set");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    #[allow(clippy::unwrap_used)]
    fn only_jobs_of_the_user_go_and_only_once_their_success_is_recorded() {
        let status = |jobs: &[(&str, &str, &str)]| -> SchemaMigrationStatus {
            let job = |(name, purpose, state): &(&str, &str, &str)| json!({"name": name, "purpose": purpose, "attempt": 1, "state": state, "started": "2026-01-01T00:00:00Z"});
            serde_json::from_value(json!({"jobs": jobs.iter().map(job).collect::<Vec<Value>>()})).unwrap()
        };
        let before = status(&[
            ("backup", "Backup", "Running"),
            ("update", "SchemaUpdate", "Running"),
            ("old", "Test", "Succeeded"),
        ]);
        let after = status(&[
            ("backup", "Backup", "Succeeded"),
            ("update", "SchemaUpdate", "Succeeded"),
            ("old", "Test", "Succeeded"),
            ("bad", "Test", "Failed"),
            ("runs", "Test", "Running"),
        ]);
        let names: Vec<&str> = succeeded(&before, &after).into_iter().map(|job| job.name.as_str()).collect();
        assert_eq!(names, ["update"]);
    }
}
