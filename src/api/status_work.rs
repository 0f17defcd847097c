//! What the status says about work that is not the plan's: the backup, the rehearsal, the tests, the Jobs, and
//! what is tried again.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::backup::Verification;

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
    /// Size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,
    /// SHA-256 of its content, in hexadecimal digits.
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
    /// How it was proven so far: with Restore, Inspect comes first. Left out until it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verification>,
    /// With verification Restore: the restore that proved it. A backup that is only repeated, because it grew too old before the first
    /// change, is inspected, and this tells of the one that was restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<RestoreStatus>,
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
    /// Whether it passed. Left out until it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed: Option<bool>,
    /// Rows that went to quarantine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined_rows: Option<i64>,
    /// What happened, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
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
}

/// What a Job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum JobPurpose {
    /// The backup.
    Backup,
    /// The restore that proves the backup.
    VerifyBackup,
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
