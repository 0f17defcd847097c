//! `spec.uniqueConstraints` and `spec.stages`: the constraints to add.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A unique constraint to add.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UniqueConstraint {
    /// Name of the index that enforces it, unique among the unique constraints.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// The table.
    #[schemars(length(min = 1, max = 64))]
    pub table: String,
    /// The columns, in order.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 64)))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub columns: Vec<String>,
    /// What happens to rows that have the same values. Left out: Fail.
    #[serde(default)]
    pub duplicates: Duplicates,
}

/// What happens to duplicates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "has(self.orderBy) || self.policy == 'Fail'", "message": "orderBy must be set with policy KeepNewest or KeepOldest: the column that says which row is newer"}]))]
pub struct Duplicates {
    /// Fail (default): the migration stops and changes nothing. KeepNewest, KeepOldest: of the rows with the same values the one with
    /// the greatest, or the smallest, `orderBy` stays, the others go to quarantine, and their children are repointed to the one that stays.
    #[serde(default)]
    pub policy: DuplicatePolicy,
    /// Column that says which row is newer. Required with KeepNewest and KeepOldest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub order_by: Option<String>,
}

/// What happens to duplicates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DuplicatePolicy {
    /// Stop before anything is changed.
    #[default]
    Fail,
    /// The row with the greatest `orderBy` stays.
    KeepNewest,
    /// The row with the smallest `orderBy` stays.
    KeepOldest,
}

/// Foreign keys that are added together: validated, cleaned, indexed, enforced and proven before the next stage begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    /// Name of the stage, unique among the stages.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The keys of this stage.
    #[schemars(length(min = 1, max = 256))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub foreign_keys: Vec<ForeignKey>,
    /// How many keys the schema must have after this stage, those that were there before included. Left out: the keys of the spec are proven, nothing else is counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub expect: Vec<Expectation>,
}

/// A foreign key to add.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "size(self.columns) == size(self.references.columns)", "message": "columns and references.columns must have the same number of columns"}]))]
pub struct ForeignKey {
    /// Name of the constraint. MySQL wants it unique in the schema.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// The child table.
    #[schemars(length(min = 1, max = 64))]
    pub table: String,
    /// Columns of the child, in order.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 64)))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub columns: Vec<String>,
    /// The parent.
    pub references: References,
    /// What happens to the children when a parent is deleted: Restrict, NoAction (in MySQL the same as Restrict), Cascade or SetNull.
    pub on_delete: ReferentialAction,
    /// What happens to the children when a parent's key changes. Default NoAction.
    #[serde(default)]
    pub on_update: ReferentialAction,
    /// What happens to rows whose parent is missing. Fail (default): the migration stops and changes nothing. Delete: the rows go to quarantine. SetNull: the columns' values go to quarantine and become NULL.
    #[serde(default)]
    pub orphans: OrphanPolicy,
}

/// The parent of a foreign key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct References {
    /// Schema of the parent. Left out: the migrated schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub schema: Option<String>,
    /// The parent table.
    #[schemars(length(min = 1, max = 64))]
    pub table: String,
    /// Columns of the parent, in the order of the child's.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 64)))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub columns: Vec<String>,
}

/// What a foreign key does to the children.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ReferentialAction {
    /// The parent's change is refused while children exist.
    Restrict,
    /// As Restrict.
    #[default]
    NoAction,
    /// The children go, or change, with the parent.
    Cascade,
    /// The children's columns become NULL.
    SetNull,
}

/// What happens to rows whose parent is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum OrphanPolicy {
    /// Stop before anything is changed.
    #[default]
    Fail,
    /// Move the rows to quarantine.
    Delete,
    /// Keep the rows; move the columns' values to quarantine.
    SetNull,
}

/// A number of foreign keys that must be there after a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Expectation {
    /// Count only keys that reference a table of this name, in whichever schema it lies. Left out: all keys of the schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub referenced_table: Option<String>,
    /// Least number of keys.
    #[schemars(range(min = 1, max = 100_000))]
    pub at_least: i32,
}
