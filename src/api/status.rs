//! The status of a SchemaMigration: what people see and what the controller needs to go on after a restart.
//!
//! The journal in the database is the other durable truth; where the two differ, the catalogue decides.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::gates::Before;
pub use super::{
    phase::Phase,
    status_plan::{PlanCounts, PlanEstimates, PlanStatus},
    status_put_back::{LossStatus, PutBackStatus, TableLossStatus},
    status_soak::{SoakBaseline, SoakStatus, SoakWatch, StatementBaseline, StatementKind, Watched},
    status_work::{
        BackupProgress, BackupStatus, JobPurpose, JobState, JobStatus, OperationLock, PurgeStatus, RehearsalStatus,
        RehearsedOperation, RehearsedPhase, RemovalStatus, RestoreStatus, RetryStatus, SnapshotStatus, TestResults,
        TestedStatus, UnprobedKey,
    },
    steering::{LastHandled, SteeringAction, SteeringAnswer},
};

/// What was seen and done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SchemaMigrationStatus {
    /// Generation of the spec that this status speaks of; -1 before the operator has seen the object.
    #[serde(default = "default_observed_generation")]
    pub observed_generation: i64,
    /// Where the migration stands, for people to read; tools read the conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// What is done or waited for just now, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What is done or waited for just now, in a few words: a column of `kubectl get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// The state, one condition for each phase and for the whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Digest of the content part of the spec and of the pod templates it names; equal in environments that roll out the same content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_digest: Option<String>,
    /// When the first change was made, or what a deleted migration left unfinished was taken over. From then on only gates, suspend, rollback, contact and backup.retention may change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// What failed for a reason that may pass and is tried again. Left out while nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retrying: Option<RetryStatus>,
    /// When the migration ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// The `@@server_uuid` of the server that was planned for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_uuid: Option<String>,
    /// The plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanStatus>,
    /// The gates that came up, and why they are open or closed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub gates: Vec<GateStatus>,
    /// Operations of the plan that are done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<StepCount>,
    /// The phases that began, with their times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub phases: Vec<PhaseStatus>,
    /// The backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupStatus>,
    /// The run on the restored copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<RehearsalStatus>,
    /// The validation report: how many of each kind were found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["issueType"]))]
    pub validation: Vec<ValidationCount>,
    /// What is in quarantine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<QuarantineStatus>,
    /// The stages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub stages: Vec<StageStatus>,
    /// The Jobs that were started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub jobs: Vec<JobStatus>,
    /// What probes and scenarios showed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tested: Option<TestedStatus>,
    /// The watch over the application, and what it is held against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soak: Option<SoakStatus>,
    /// The rollback, once one was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<RollbackStatus>,
    /// The values of the steering annotations that were handled.
    #[serde(default, skip_serializing_if = "LastHandled::is_empty")]
    pub last_handled: LastHandled,
    /// How they were answered: what was done, or why nothing was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["action"]))]
    pub steering: Vec<SteeringAnswer>,
    /// How often the migration was begun, from the start or where it was held.
    #[serde(default = "default_attempt")]
    pub attempt: i32,
    /// The evidence document of a completed migration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidenceStatus>,
}

impl Default for SchemaMigrationStatus {
    fn default() -> Self {
        Self {
            observed_generation: default_observed_generation(),
            phase: None,
            message: None,
            current: None,
            conditions: Vec::new(),
            content_digest: None,
            started_at: None,
            retrying: None,
            finished_at: None,
            server_uuid: None,
            plan: None,
            gates: Vec::new(),
            steps: None,
            phases: Vec::new(),
            backup: None,
            rehearsal: None,
            validation: Vec::new(),
            quarantine: None,
            stages: Vec::new(),
            jobs: Vec::new(),
            tested: None,
            soak: None,
            rollback: None,
            last_handled: LastHandled::default(),
            steering: Vec::new(),
            attempt: default_attempt(),
            evidence: None,
        }
    }
}

fn default_observed_generation() -> i64 {
    -1
}

fn default_attempt() -> i32 {
    1
}

/// One gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GateStatus {
    /// What it stands before.
    pub before: Before,
    /// Open or Closed.
    pub state: GateState,
    /// Why, as in conditions.
    pub reason: String,
    /// Why, in words, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The approval that opened it, or the denial that keeps it closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalRecord>,
    /// The evidence of other environments that opened it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["environment"]))]
    pub evidence: Vec<AcceptedEvidence>,
    /// Since when it has been open, or closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

/// Whether a gate lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum GateState {
    /// It does.
    Open,
    /// It does not.
    Closed,
}

/// What was decided by whom. Kept here because the MigrationApproval may be deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalRecord {
    /// Name of the MigrationApproval.
    pub name: String,
    /// Approve or Deny.
    pub decision: super::approval::ApprovalDecision,
    /// Who decided.
    pub approved_by: String,
    /// Why, in the person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The plan that was decided.
    pub plan_digest: String,
    /// Rows that cleanup may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rows: Option<i64>,
    /// When it was decided.
    pub at: Time,
}

/// Operations that are done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepCount {
    /// Done.
    pub done: i64,
    /// In all.
    pub total: i64,
    /// Both, as people read them: `12/64`.
    #[serde(default)]
    pub progress: String,
}

impl StepCount {
    /// So many of so many.
    #[must_use]
    pub fn new(done: i64, total: i64) -> Self {
        Self { done, total, progress: format!("{done}/{total}") }
    }
}

/// When a phase began and ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PhaseStatus {
    /// The phase.
    pub name: Phase,
    /// When it began.
    pub started: Time,
    /// When it ended. Left out while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Time>,
    /// Whether the application works as usual meanwhile. False for a phase that copies a table, whose writers wait until the copy is done.
    #[serde(default)]
    pub background: bool,
}

/// A line of the validation report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValidationCount {
    /// What was counted, such as `orphans: bookmarks.user_id -> users.id`.
    pub issue_type: String,
    /// How many there are.
    pub count: i64,
}

impl ValidationCount {
    /// Whether the counted rows break a rule that is to be added, so that cleanup takes them. The others tell about backfills.
    #[must_use]
    pub fn is_of_a_rule(&self) -> bool {
        self.issue_type.starts_with("orphans: ") || self.issue_type.starts_with("duplicates: ")
    }
}

/// What is in quarantine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct QuarantineStatus {
    /// Rows that had no parent.
    pub orphans: i64,
    /// Duplicate rows.
    pub duplicates: i64,
    /// Rows that existing Cascade keys took along.
    pub cascaded: i64,
    /// Values that were nulled or pointed to another row, and those of columns that were dropped on the way back.
    pub values: i64,
    /// When it was purged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purged_at: Option<Time>,
    /// With `spec.quarantine.retention`, after Complete: the purge that comes by time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purge: Option<PurgeStatus>,
}

/// One stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StageStatus {
    /// Its name.
    pub name: String,
    /// Pending, Running, Complete or Failed.
    pub state: StageState,
    /// Keys in it.
    pub foreign_keys: i64,
    /// Keys that are there.
    pub added: i64,
    /// Keys that are there and proven.
    pub verified: i64,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Time>,
}

/// How far a stage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StageState {
    /// Its turn has not come.
    Pending,
    /// It is worked on.
    Running,
    /// All its keys are proven.
    Complete,
    /// It failed.
    Failed,
}

/// The rollback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RollbackStatus {
    /// Why it was decided, as in conditions.
    pub reason: String,
    /// What failed, in words.
    pub message: String,
    /// The phase in which it failed.
    pub failed_phase: Phase,
    /// The strategy that is followed.
    pub strategy: super::gates::OnFailure,
    /// When it was decided.
    pub started_at: Time,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Changes that are taken back.
    #[serde(default)]
    pub undone: i64,
    /// Tables whose definition equals the one before.
    #[serde(default)]
    pub tables_identical: i64,
    /// What could not be taken back, with the statement that finishes it by hand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub remaining: Vec<String>,
    /// With the strategy RestoreBackup: what is lost, and where the tables are that were there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put_back: Option<PutBackStatus>,
}

/// Evidence of another environment that counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedEvidence {
    /// The environment.
    pub environment: String,
    /// SHA-256 of the document in its canonical form.
    pub digest: String,
    /// The SchemaMigration there, as namespace/name.
    pub migration: String,
    /// When it was proven there.
    pub finished_at: Time,
}

/// The evidence document of this migration. It lies in an immutable ConfigMap without an owner, which stays when the migration is deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceStatus {
    /// ConfigMap of this namespace that holds it, under the key evidence.json.
    pub config_map: String,
    /// SHA-256 of the document in its canonical form.
    pub digest: String,
    /// What the key that signed it is called: the SHA-256 of the public key's DER. Left out: it bears no signature, and no environment takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
}
