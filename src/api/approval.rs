//! The resource `MigrationApproval`: one person's decision about one plan. It cannot be changed, only made and deleted.

// Each printer column is an attribute of its own, with the same type as others.
#![allow(clippy::duplicated_attributes)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::gates::Before;

/// One person's decision about one plan. Permission to create it is permission to approve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, CustomResource, JsonSchema)]
#[kube(
    group = "holdfast.dev",
    version = "v1alpha1",
    kind = "MigrationApproval",
    plural = "migrationapprovals",
    namespaced,
    derive = "PartialEq",
    category = "holdfast",
    printcolumn(name = "Migration", type_ = "string", json_path = ".spec.migrationRef.name"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".spec.before.phase"),
    printcolumn(name = "Stage", type_ = "string", json_path = ".spec.before.stage"),
    printcolumn(name = "Decision", type_ = "string", json_path = ".spec.decision"),
    printcolumn(name = "Approved By", type_ = "string", json_path = ".spec.approvedBy"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Max Rows", type_ = "integer", json_path = ".spec.maxRows", priority = 1),
    printcolumn(name = "Plan", type_ = "string", json_path = ".spec.planDigest", priority = 1),
    printcolumn(name = "Reason", type_ = "string", json_path = ".spec.reason", priority = 1),
    doc = "A person's decision about one plan of a SchemaMigration. It cannot be changed: delete it and create another."
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "self == oldSelf", "message": "a MigrationApproval cannot be changed: delete it and create another"}]))]
pub struct MigrationApprovalSpec {
    /// The migration, in this namespace.
    pub migration_ref: MigrationReference,
    /// The gate that is decided.
    pub before: Before,
    /// Approve or Deny.
    pub decision: ApprovalDecision,
    /// Digest of the plan that is decided, from the migration's `status.plan.digest`. It is of no use for another plan.
    #[schemars(length(max = 71), regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub plan_digest: String,
    /// Before CleanUp: most rows that cleanup may move to quarantine. Before RestoreBackup: most rows written since the backup that may be lost. If there are more, the gate closes again. Left out: none, so the gate stays closed if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_rows: Option<i64>,
    /// The name under which the API server knows the person (or, under GitOps, the service account) who creates this object.
    #[schemars(length(min = 1, max = 253))]
    pub approved_by: String,
    /// Why, in words. Under GitOps, name the person here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
    /// With a backup of type External, before BackUp: the backup that was made elsewhere. It counts while it is younger than `spec.backup.maxAge`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<ExternalSnapshot>,
}

/// The migration that is decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MigrationReference {
    /// Name of the SchemaMigration.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its uid. Left out: any SchemaMigration of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub uid: Option<String>,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApprovalDecision {
    /// Go on.
    Approve,
    /// Do not go on.
    Deny,
}

/// A backup that was made elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalSnapshot {
    /// Its name where it was made.
    #[schemars(length(min = 1, max = 512))]
    pub id: String,
    /// When it was taken.
    pub taken_at: Time,
}
