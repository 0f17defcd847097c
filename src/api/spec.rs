//! The resource `SchemaMigration` and its spec.

// Each printer column is an attribute of its own, with the same type as others.
#![allow(clippy::duplicated_attributes)]

use std::collections::BTreeSet;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    application::{SchemaUpdate, Soak, Tests},
    backup::{Backup, Rehearsal},
    constraints::{Stage, UniqueConstraint},
    database::Database,
    execution::{Acknowledgement, Execution, Jobs, Journal, Preflight},
    gates::{Gate, Quarantine, Rollback},
    promotion::Promotion,
    status::SchemaMigrationStatus,
    type_fixes::TypeFix,
};

/// What is to be added to the database, and how. Once the first change is made (`status.startedAt`), only gates, suspend, rollback, contact and backup.retention may change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, JsonSchema)]
#[kube(
    group = "holdfast.dev",
    version = "v1alpha1",
    kind = "SchemaMigration",
    plural = "schemamigrations",
    shortname = "smig",
    category = "holdfast",
    namespaced,
    status = "SchemaMigrationStatus",
    derive = "PartialEq",
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Steps", type_ = "string", json_path = ".status.steps.progress"),
    printcolumn(name = "Current", type_ = "string", json_path = ".status.current"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        priority = 1
    ),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1),
    doc = "Foreign keys, unique constraints and type fixes for a live MySQL, rolled out in stages, proven, and reversible."
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "has(self.typeFixes) && size(self.typeFixes) > 0 || has(self.uniqueConstraints) && size(self.uniqueConstraints) > 0 || has(self.stages) && size(self.stages) > 0", "message": "there is nothing to do: set typeFixes, uniqueConstraints or stages"}, {"rule": "self.gates.all(gate, self.gates.exists_one(other, other.before == gate.before))", "message": "two gates stand before the same phase or stage: make them one", "fieldPath": ".gates"}, {"rule": "self.gates.all(gate, !has(gate.before.stage) || has(self.stages) && self.stages.exists(stage, stage.name == gate.before.stage))", "message": "a gate names a stage that is not in spec.stages", "fieldPath": ".gates"}, {"rule": "!has(self.jobs.credentialsSecretRef) || self.jobs.credentialsSecretRef.name != self.database.credentialsSecretRef.name", "message": "the user's own Jobs must not get the migrator's credentials: name another Secret, or leave credentialsSecretRef out", "fieldPath": ".jobs.credentialsSecretRef"}, {"rule": "!self.rehearsal.enabled || self.backup.type == 'Job' && self.backup.verification == 'Restore'", "message": "a rehearsal runs on the restored backup: set backup.type Job with backup.verification Restore, or rehearsal.enabled false", "fieldPath": ".rehearsal.enabled"}, {"rule": "self.rollback.onFailure != 'RestoreBackup' || self.backup.type == 'Job' && self.backup.verification == 'Restore'", "message": "RestoreBackup puts back a backup that was made here and restored for proof: set backup.type Job with backup.verification Restore, or onFailure Undo or Hold", "fieldPath": ".rollback.onFailure"}, {"rule": "self.rollback.onFailure != 'RestoreBackup' || has(self.journal.schema)", "message": "RestoreBackup needs schemas beside the migrated one: set journal.schema instead of journal.tablePrefix, or onFailure Undo or Hold", "fieldPath": ".rollback.onFailure"}]))]
pub struct SchemaMigrationSpec {
    /// Apply (default): the whole migration. Plan: everything read-only up to the plan, then stop.
    #[serde(default)]
    pub mode: Mode,
    /// Stop at the next safe point until this is false again. Default false.
    #[serde(default)]
    pub suspend: bool,
    /// Who is asked when a person is needed; shown in messages. Left out: nobody is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub contact: Option<String>,
    /// The database.
    pub database: Database,
    /// What must be true of the server before anything starts. Left out: the defaults of its fields.
    #[serde(default)]
    pub preflight: Preflight,
    /// How hard the run may press the server. Left out: the defaults of its fields.
    #[serde(default)]
    pub execution: Execution,
    /// Dangers that the author accepts. A danger that needs an acknowledgement and has none stops the migration at planning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub acknowledge: Vec<Acknowledgement>,
    /// Where the journal and the quarantine are kept. Left out: in the schema `holdfast` of the same server.
    #[serde(default)]
    pub journal: Journal,
    /// How the user's own Jobs run.
    #[serde(default)]
    pub jobs: Jobs,
    /// The copy that is made before anything changes.
    pub backup: Backup,
    /// Whether the whole plan is run on the restored copy first; a choice that has no default.
    pub rehearsal: Rehearsal,
    /// Columns to add or change first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub type_fixes: Vec<TypeFix>,
    /// Unique constraints to add before the foreign keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub unique_constraints: Vec<UniqueConstraint>,
    /// Foreign keys to add, in stages that are done one after the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub stages: Vec<Stage>,
    /// Jobs that bring the application's schema file up to date. Left out: the phase is skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_update: Option<SchemaUpdate>,
    /// How the result is tested. Left out: derived probes only.
    #[serde(default)]
    pub tests: Tests,
    /// A watch over the application after the last change. Left out: the phase is skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soak: Option<Soak>,
    /// Conditions that must be met before phases begin. Required; write `[]` for none. Copy and RestoreBackup are gated even if unlisted.
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub gates: Vec<Gate>,
    /// Evidence between environments: what this one must be shown before its first change, and what it shows to others once it is complete. Left out: none is asked for and none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion: Option<Promotion>,
    /// How long quarantined rows are kept. Left out: until purged by hand.
    #[serde(default)]
    pub quarantine: Quarantine,
    /// What happens when a step after the first change fails. Left out: Undo.
    #[serde(default)]
    pub rollback: Rollback,
}

impl SchemaMigrationSpec {
    /// Names of the PodTemplates that the spec names.
    #[must_use]
    pub fn pod_templates(&self) -> BTreeSet<&str> {
        let update = self.schema_update.iter();
        update
            .flat_map(|update| std::iter::once(&update.pod_template_ref).chain(&update.undo_pod_template_ref))
            .chain(self.tests.jobs.iter().map(|job| &job.pod_template_ref))
            .map(|reference| reference.name.as_str())
            .collect()
    }
}

/// How far a migration goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// The whole migration.
    #[default]
    Apply,
    /// Read-only up to the plan.
    Plan,
}
