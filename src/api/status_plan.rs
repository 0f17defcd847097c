//! What the status says about the plan.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanStatus {
    /// Digest of content, statements and the touched tables' definitions; what an approval names.
    pub digest: String,
    /// Immutable ConfigMaps of this namespace that hold the plan, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub config_maps: Vec<String>,
    /// Generation of the spec that was planned.
    pub generation: i64,
    /// When it was computed.
    pub computed_at: Time,
    /// How much there is to do.
    pub counts: PlanCounts,
    /// What it will take.
    pub estimates: PlanEstimates,
    /// What a person should know before approving.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub warnings: Vec<String>,
}

/// How much there is to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PlanCounts {
    /// Operations in all.
    pub operations: i64,
    /// Tables that are changed.
    pub tables: i64,
    /// Columns added or changed.
    pub type_fixes: i64,
    /// Unique constraints to add.
    pub unique_constraints: i64,
    /// Indexes to build.
    pub indexes: i64,
    /// Foreign keys to add.
    pub foreign_keys: i64,
    /// Foreign keys that are there already and are only proven.
    pub adopted: i64,
    /// Operations that copy a table and need an approval of their own.
    pub copies: i64,
}

/// What the plan will take, as far as the catalogue and earlier measurements tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PlanEstimates {
    /// Rows that are read or written.
    pub rows: i64,
    /// Bytes that are read or written.
    pub bytes: i64,
    /// Seconds from the first change to the end.
    pub duration_seconds: i64,
    /// The same, as it was measured when this plan was rehearsed on the restored copy, without the application's traffic. Left out until it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rehearsed_seconds: Option<i64>,
    /// Rows that one deletion of a parent can take along at worst.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worst_cascade_rows: Option<i64>,
    /// The path that takes them, and whether their number was counted over all rows or concluded from a sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worst_cascade: Option<String>,
}
