//! What the status says about work that is not the plan's: the backup, the rehearsal, the tests, the Jobs, and
//! what is tried again.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::backup::Verification;
use super::names::names;
use super::phase::Phase;

/// Something that is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetryStatus {
    /// Why it failed, as in conditions.
    pub reason: String,
    /// When it began to fail.
    pub since: Time,
    /// When it is given up: before the first change the migration fails then, after it changes are taken back.
    pub until: Time,
}

/// The backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupStatus {
    /// The Job that makes or made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// How many were begun for this migration.
    #[serde(default)]
    pub attempt: i32,
    /// The moment whose data it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<Time>,
    /// When it was ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Where it lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// How far it is, while its Job runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<BackupProgress>,
    /// Size in bytes, as it is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,
    /// SHA-256 of what is stored, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// SHA-256 of the manifest beside it, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest_sha256: Option<String>,
    /// Tables in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tables: Option<i64>,
    /// Rows in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<i64>,
    /// What other migrations had changed in the schema just before the backup, as the journal has it. With type Job: where that is another one
    /// at the first change, the backup is made again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes_before: Option<String>,
    /// How it was proven so far: with Restore, Inspect comes first. Left out until it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verification>,
    /// With verification Restore: the restore that proved it. A backup that is only repeated, because it grew too old before the first
    /// change, is inspected, and this tells of the one that was restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<RestoreStatus>,
    /// After the end, with `spec.backup.retention`: the deletion of this migration's backups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removal: Option<RemovalStatus>,
    /// With type VolumeSnapshot: the object that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_snapshot: Option<SnapshotStatus>,
    /// With type VolumeSnapshot: how many were made before it and had to be made again, since the migration was last begun. Left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<i32>,
}

/// A VolumeSnapshot that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotStatus {
    /// Its name.
    pub name: String,
    /// Its uid, so that another one of the same name is noticed. Left out until it was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// When it was asked for.
    pub requested_at: Time,
    /// How often its creation was tried.
    #[serde(default)]
    pub tries: i32,
    /// What its driver last reported in the way of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Since when it has reported errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_since: Option<Time>,
}

/// How far a dump is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BackupProgress {
    /// Bytes of the dump, before it is compressed.
    pub bytes: i64,
    /// Bytes a second, on the average so far.
    pub bytes_per_second: i64,
    /// Tables that were begun.
    pub tables: i64,
    /// Tables in all.
    pub tables_in_all: i64,
    /// Rows that were read.
    pub rows: i64,
    /// Rows in all, as they were counted before the dump.
    pub rows_in_all: i64,
    /// Seconds that it will probably take from here, if the rows that are left take as long as those that were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<i64>,
}

/// The deletion of a migration's backups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RemovalStatus {
    /// When they may be deleted: the migration's end and `spec.backup.retention`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Time>,
    /// When they were deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<Time>,
    /// Backups that were deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backups: Option<i64>,
    /// Bytes of their dumps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,
    /// Jobs that were begun for it.
    pub tries: i32,
    /// How many of them failed since it was due. After the fifth no more are begun, until the retention is changed.
    pub failures: i32,
    /// When the last one failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<Time>,
    /// Why it failed, or what was left where it lies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The purge of the quarantine once its time is over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PurgeStatus {
    /// When it may be purged: the migration's end and `spec.quarantine.retention`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Time>,
    /// How often it failed. After the fifth failure it is left to a person.
    pub failures: i32,
    /// When it failed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<Time>,
    /// Why it failed, or what was purged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A backup that was restored and compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreStatus {
    /// The Job that restored it.
    pub job: String,
    /// Which backup of this migration it restored.
    pub attempt: i32,
    /// When the Job's program began.
    pub started_at: Time,
    /// When everything was compared.
    pub finished_at: Time,
    /// Version of the server that it was restored into.
    pub server_version: String,
    /// Tables that were restored and compared.
    pub tables: i64,
    /// Rows that were restored and compared.
    pub rows: i64,
    /// Views, triggers, procedures, functions and events that were restored and compared.
    pub objects: i64,
    /// Bytes that the restored server's data took.
    pub bytes: i64,
    /// FLOAT columns: a dump holds six of their digits, so they come back rounded.
    #[serde(default)]
    pub lossy_columns: i64,
    /// The first of them, as `table.column`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub lossy: Vec<String>,
}

/// The run on the restored copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RehearsalStatus {
    /// When it began.
    pub started_at: Time,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Digest of the plan that was run. It counts for this plan only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_digest: Option<String>,
    /// The Job that ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Which backup of this migration it was run on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_attempt: Option<i32>,
    /// Whether it passed. Left out until it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed: Option<bool>,
    /// Why it did not pass, as in conditions. DriftDetected: the backup holds other tables than the plan was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What happened, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Rows without a parent that were found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orphans: Option<i64>,
    /// Rows that a unique constraint would have refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicates: Option<i64>,
    /// Rows that went to quarantine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined_rows: Option<i64>,
    /// Values that went to quarantine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined_values: Option<i64>,
    /// Foreign keys that were added or there already, and proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign_keys: Option<i64>,
    /// Keys whose delete action was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<i64>,
    /// Scenarios that went as they should.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenarios: Option<i64>,
    /// Milliseconds from the first change to the last proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_milliseconds: Option<i64>,
    /// Milliseconds that taking everything back took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_milliseconds: Option<i64>,
    /// Whether every definition and row was afterwards as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identical: Option<bool>,
    /// What each phase took, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub phases: Vec<RehearsedPhase>,
    /// The operations that took longest, the longest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub slowest: Vec<RehearsedOperation>,
}

/// What a phase of the rehearsal took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RehearsedPhase {
    /// The phase.
    pub name: Phase,
    /// Its duration.
    pub milliseconds: i64,
}

names! {
    /// How an operation meets the application's traffic.
    #[derive(Serialize, Deserialize, JsonSchema)]
    OperationLock {
        /// A change of metadata: an exclusive lock for an instant.
        Metadata,
        /// A build that lets readers and writers go on, with an exclusive lock for an instant at its end.
        OnlineBuild,
        /// Rows are changed in short transactions.
        Batched,
        /// The table is copied: writers wait for the whole of it.
        Copy,
    }
}

/// What an operation of the rehearsal took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RehearsedOperation {
    /// Its id in the plan.
    pub operation: String,
    /// Its table.
    pub table: String,
    /// How it meets the application's traffic. Left out for one that is not in the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<OperationLock>,
    /// Its duration.
    pub milliseconds: i64,
}

impl RehearsedOperation {
    /// The operation, its table and its lock class, for people.
    #[must_use]
    pub fn described(&self) -> String {
        let lock = self.lock.map(|lock| format!(" ({lock})")).unwrap_or_default();
        format!("{} on {}{lock}", self.operation, self.table)
    }
}

/// What probes and scenarios showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TestedStatus {
    /// Keys whose delete action was seen.
    pub probes: i64,
    /// Scenarios that went as they should.
    pub scenarios: i64,
    /// Keys that could not be probed: what their delete action does rests on the catalogue alone.
    #[serde(default)]
    pub unprobed: i64,
    /// The first of them, with the reasons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub unprobed_keys: Vec<UnprobedKey>,
}

/// A key that could not be probed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnprobedKey {
    /// Its name.
    pub key: String,
    /// Why.
    pub reason: String,
}

/// One Job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobStatus {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub purpose: JobPurpose,
    /// The name of the test, for a test Job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<String>,
    /// Which try this is, from 1.
    pub attempt: i32,
    /// Its uid, so that another Job of the same name is noticed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Running, Succeeded or Failed.
    pub state: JobState,
    /// When it was created.
    pub started: Time,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Time>,
    /// What it said last, when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What its tests came to, for a test Job that wrote results in the form of JUnit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<TestResults>,
}

/// What the tests of a Job came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TestResults {
    /// How many there are, whatever they came to.
    pub tests: i64,
    /// How many of them failed.
    pub failed: i64,
    /// How many of them were skipped.
    pub skipped: i64,
    /// The names of the first that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub failures: Vec<String>,
}

/// What a Job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum JobPurpose {
    /// The backup.
    Backup,
    /// The restore that proves the backup, and on which the plan is rehearsed.
    VerifyBackup,
    /// Another restore, on which a plan is rehearsed: the gate before Rehearse was not open yet, or the plan is another one by now.
    Rehearse,
    /// The deletion of the backups.
    RemoveBackups,
    /// The restore of the backup's tables beside the live ones, to be put in place.
    RestoreBackup,
    /// The application's schema update.
    SchemaUpdate,
    /// The way back of the application's schema update.
    UndoSchemaUpdate,
    /// One of the application's tests.
    Test,
}

/// How far a Job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum JobState {
    /// It was created and has not ended.
    Running,
    /// Its condition Complete is True.
    Succeeded,
    /// Its condition Failed is True, or it is gone.
    Failed,
}
