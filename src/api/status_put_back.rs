//! What the status says about a backup that is put back: what is lost by it, and where the tables are that were there before.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// With `spec.rollback.onFailure` RestoreBackup: the backup that is put back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PutBackStatus {
    /// What would be lost, as it was counted last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<LossStatus>,
    /// The MySQL schema that the backup's tables are restored into, until they are put in place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored_schema: Option<String>,
    /// Whether the backup's tables are in place.
    pub in_place: bool,
    /// Tables of the backup that are in place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tables: Option<i64>,
    /// Tables that were there before and are kept until a purge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_tables: Option<i64>,
    /// The MySQL schema that keeps them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_schema: Option<String>,
    /// When they were purged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purged_at: Option<Time>,
}

/// What putting the backup back would lose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LossStatus {
    /// When it was counted.
    pub counted_at: Time,
    /// Rows that may be lost. An approval must allow as many with maxRows. Of a table whose writes nobody counted, all its rows.
    pub rows: i64,
    /// Why nothing of what was written since the backup was counted. Left out: the tables tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncounted: Option<String>,
    /// Tables that are concerned.
    pub tables: i64,
    /// The first of them, those that lose most first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub most: Vec<TableLossStatus>,
}

/// What one table would lose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TableLossStatus {
    /// The table.
    pub table: String,
    /// Its rows just before the backup. Left out: it was not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_then: Option<i64>,
    /// Its rows now. Left out: it is not there any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_now: Option<i64>,
    /// Rows that were inserted since, by the server's counters. Left out, as the next two: nobody counted them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inserted: Option<i64>,
    /// Rows that were changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<i64>,
    /// Rows that were deleted since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<i64>,
}
