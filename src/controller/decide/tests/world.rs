//! A small simulated world in which whole histories of a migration run: decide, project, carry out, again and again until an end.

mod pass;
mod people;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;

use super::super::super::evidence::{FoundEvidence, OwnEvidence};
use super::super::super::names::volume_snapshot;
use super::super::super::observed::{JobView, Observed, Policies, StoredPlan, Task, TaskState, Trouble};
use super::super::super::soak::{self};
use super::super::super::volume_snapshot::{Snapshot, SnapshotView};
use crate::api::status::{EvidenceStatus, SoakBaseline, TestedStatus};
use crate::api::{MigrationApproval, SchemaMigration};
use crate::backup::rehearsed::End;
use crate::evidence::{Document, Signed};
use crate::mysql::loss::Loss;
use crate::mysql::report::{OperationReport, QuarantineCounts};
use crate::mysql::soak::{ErrorCounts, Sample, StatementCounts};
use crate::mysql::{Allowance, Cause, Left};
use crate::plan::Plan;

pub(super) const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn name(table: &str) -> serde_json::Value {
    json!({"schema": "shop", "table": table})
}

pub(super) fn plan(copies: bool) -> Plan {
    let key = json!({"name": "fk", "child": name("bookmarks"), "columns": ["user_id"], "parent": name("users"),
        "parent_columns": ["id"], "on_delete": "Cascade", "on_update": "NoAction"});
    let operation = |id: &str, section: serde_json::Value, action: serde_json::Value, lock: &str| {
        json!({"id": id, "section": section, "action": action, "forward": null, "inverse": null, "lock": lock,
            "estimate": {"rows": 1, "bytes": 1, "milliseconds": 1}, "path": "spec"})
    };
    let lock = if copies { "Copy" } else { "Metadata" };
    let text = json!({"format": 1, "digest": DIGEST, "content_digest": "content", "schema": "shop", "tables": {}, "adopted": [],
    "warnings": [], "stages": [{"name": "users", "expect": []}],
    "acknowledged_triggers": [],
    "server": {"flavour": "MySql", "version": {"major": 9, "minor": 7, "patch": 0}, "version_text": "9.7.0", "server_uuid": "s",
        "native_foreign_keys": false, "lower_case_table_names": 0},
    "operations": [
        operation("1", json!("CleanUp"), json!({"RemoveOrphans": {"key": key, "policy": "Delete"}}), "Batched"),
        operation("2", json!({"Stage": 0}), json!({"AddForeignKey": {"key": key, "policy": "Delete"}}), lock),
    ]});
    serde_json::from_value(text).unwrap()
}

/// A plan that fills a column, and fills it again.
pub(super) fn filling_plan() -> Plan {
    let mut plan = plan(false);
    let fill = json!({"Backfill": {"table": name("logs"), "column": "agency_id", "lookup_table": name("agencies"),
        "matches": [["agency", "name"]], "take": "id", "max_unmapped": 0}});
    for (id, section) in [("3", "FixTypes"), ("4", "FillAgain")] {
        let operation = json!({"id": id, "section": section, "action": fill, "forward": null, "inverse": null, "lock": "Batched",
            "estimate": {"rows": 1, "bytes": 1, "milliseconds": 1}, "path": "spec"});
        plan.operations.push(serde_json::from_value(operation).unwrap());
    }
    plan.operations.sort_by_key(|operation| operation.section);
    plan
}

pub(super) struct World {
    pub(super) migration: SchemaMigration,
    pub(super) plan: Plan,
    pub(super) task: TaskState,
    pub(super) trouble: Option<Trouble>,
    pub(super) jobs: BTreeMap<String, JobView>,
    pub(super) approvals: Vec<MigrationApproval>,
    pub(super) policies: Policies,
    pub(super) missing: Option<String>,
    pub(super) now: Timestamp,
    /// Errors that tasks meet, each once or for ever.
    pub(super) failures: Vec<(Task, Cause, bool)>,
    /// What the engine says that a rollback left.
    pub(super) not_back: Vec<Left>,
    pub(super) job_failure: Option<&'static str>,
    /// How test Jobs end, and what was counted beside them.
    pub(super) left_by_tests: Option<(bool, &'static str)>,
    /// Tasks that run until they are asked to stop.
    pub(super) lasting: Vec<Task>,
    /// Whether those go on for the time being although they were asked to stop.
    pub(super) slow_to_stop: bool,
    /// Tasks that were begun.
    pub(super) begun: Vec<Task>,
    /// What the last of them was allowed.
    pub(super) allowance: Allowance,
    pub(super) created: Vec<String>,
    /// What planning takes over.
    pub(super) left: Option<String>,
    /// What other migrations have changed in the schema.
    pub(super) changes: String,
    /// Digests of the plans that were rehearsed.
    pub(super) rehearsed: Vec<String>,
    /// How rehearsals end; those after them pass.
    pub(super) ends: VecDeque<End>,
    pub(super) finalizer: bool,
    /// What every section leaves in quarantine.
    pub(super) quarantined: QuarantineCounts,
    /// What every section reports.
    pub(super) reports: Vec<OperationReport>,
    /// What probes and scenarios show.
    pub(super) tested: TestedStatus,
    /// What `spec.promotion.requires` names.
    pub(super) evidence: Vec<FoundEvidence>,
    /// The evidence that was written.
    pub(super) written: Vec<Document>,
    /// Why none can be written.
    pub(super) unwritable: Option<&'static str>,
    /// What the server counts of the application; `Err`: why it does not tell.
    pub(super) counted: Result<ErrorCounts, &'static str>,
    /// Lines of the application's log that match, in each look.
    pub(super) log_lines: i64,
    /// What the last scan finds.
    pub(super) orphans: Vec<String>,
    /// The VolumeSnapshots that are there, by name, with when they were made.
    pub(super) snapshots: BTreeMap<String, (Timestamp, Snapshot)>,
    /// What their driver says of them once they are so many seconds old.
    pub(super) driver: (i64, fn(&mut Snapshot)),
    /// Whether their creation is refused.
    pub(super) refused: bool,
    /// What putting the backup back would lose.
    pub(super) loss: Loss,
    /// Whether the backup is in place.
    pub(super) in_place: bool,
}

impl World {
    pub(super) fn new(change: impl FnOnce(&mut serde_json::Value)) -> Self {
        let mut manifest = json!({
            "apiVersion": "holdfast.dev/v1alpha1", "kind": "SchemaMigration",
            "metadata": {"name": "m", "namespace": "shop", "uid": "u", "generation": 1},
            "spec": {
                "database": {"host": "mysql", "name": "shop", "credentialsSecretRef": {"name": "s"}},
                "backup": {"type": "Job", "verification": "Inspect", "job": {"tool": "Mysqldump", "image": "mysql:9.7",
                    "destination": {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"claimName": "backups"}}}},
                "rehearsal": {"enabled": false},
                "stages": [{"name": "users", "foreignKeys": []}],
                "schemaUpdate": {"podTemplateRef": {"name": "update"}, "undoPodTemplateRef": {"name": "undo"}},
                "tests": {"jobs": [{"name": "app", "podTemplateRef": {"name": "app"}}]},
                "gates": []
            }
        });
        change(&mut manifest);
        Self {
            migration: serde_json::from_value(manifest).unwrap(),
            plan: plan(false),
            task: TaskState::Idle,
            trouble: None,
            jobs: BTreeMap::new(),
            approvals: Vec::new(),
            policies: Policies::Installed { since: Timestamp::UNIX_EPOCH },
            missing: None,
            // Clocks show fractions of a second, and the status keeps none.
            now: Timestamp::new(1_000_000, 700_000_000).unwrap(),
            failures: Vec::new(),
            not_back: Vec::new(),
            job_failure: None,
            left_by_tests: None,
            lasting: Vec::new(),
            slow_to_stop: false,
            begun: Vec::new(),
            allowance: Allowance::default(),
            created: Vec::new(),
            left: None,
            changes: "0 changes".to_owned(),
            rehearsed: Vec::new(),
            ends: VecDeque::new(),
            finalizer: false,
            quarantined: QuarantineCounts::default(),
            reports: Vec::new(),
            tested: TestedStatus { probes: 1, scenarios: 0, unprobed: 0, unprobed_keys: Vec::new() },
            evidence: Vec::new(),
            written: Vec::new(),
            unwritable: None,
            counted: Ok(ErrorCounts::default()),
            log_lines: 0,
            orphans: Vec::new(),
            snapshots: BTreeMap::new(),
            driver: (10, |snapshot| snapshot.ready = true),
            refused: false,
            loss: Loss::default(),
            in_place: false,
        }
    }

    fn sample(&self) -> Sample {
        let uptime = self.now.as_second() - 900_000;
        Sample {
            uptime_seconds: u64::try_from(uptime).unwrap(),
            errors: self.counted.clone().map_err(str::to_owned),
            statements: self.counted.clone().map(|_| StatementCounts::default()).map_err(str::to_owned),
        }
    }

    fn baseline(&self) -> Option<SoakBaseline> {
        self.migration.spec.soak.as_ref().map(|_| soak::begin_baseline(self.now, &self.sample()))
    }

    /// The VolumeSnapshot of the name that comes next, as its driver has it by now.
    fn snapshot(&self) -> SnapshotView {
        if self.migration.spec.backup.volume_snapshot.is_none() {
            return SnapshotView::NotAsked;
        }
        let attempt = self.status().backup.map_or(1, |backup| backup.attempt.max(1));
        let Some((made, snapshot)) = self.snapshots.get(&volume_snapshot("m", "u", attempt)) else {
            return SnapshotView::Missing;
        };
        let mut snapshot = snapshot.clone();
        if self.now.duration_since(*made).as_secs() >= self.driver.0 {
            snapshot.taken_at = Some(*made);
            snapshot.content = Some("content".to_owned());
            snapshot.restore_size = Some("10Gi".to_owned());
            (self.driver.1)(&mut snapshot);
        }
        SnapshotView::Ours(Box::new(snapshot))
    }

    fn own_evidence(&self) -> OwnEvidence {
        let proven = matches!(self.task, TaskState::Ended(Task::Prove, Ok(_)));
        match (&self.unwritable, self.written.first()) {
            _ if self.migration.spec.promotion.is_none() || !proven => OwnEvidence::NotAsked,
            (Some(why), _) => OwnEvidence::Unusable((*why).to_owned()),
            (None, None) => OwnEvidence::Missing { kubernetes: Some("v1.36.3".to_owned()) },
            (None, Some(document)) => OwnEvidence::Written(EvidenceStatus {
                config_map: "evidence".to_owned(),
                digest: Signed::new(document, None).unwrap().digest(),
                signed_by: None,
            }),
        }
    }

    fn observed(&self) -> Observed {
        let planned = self.migration.status.as_ref().is_some_and(|status| status.plan.is_some());
        Observed {
            refusals: Vec::new(),
            missing: self.missing.clone(),
            content_digest: Some("content".to_owned()),
            plan: if planned { StoredPlan::Loaded(Arc::new(self.plan.clone())) } else { StoredPlan::None },
            task: self.task.clone(),
            session: false,
            trouble: self.trouble,
            advanced: false,
            jobs: self.jobs.clone(),
            snapshot: self.snapshot(),
            approvals: self.approvals.clone(),
            policies: self.policies.clone(),
            required_gates: Vec::new(),
            evidence: self.evidence.clone(),
            own_evidence: self.own_evidence(),
        }
    }
}

/// With a gate before the first change.
pub(super) fn gated(manifest: &mut serde_json::Value) {
    manifest["spec"]["gates"] = json!([{"before": {"phase": "CleanUp"}, "approval": "Required"}]);
}

/// With a backup that is restored for proof.
pub(super) fn restoring(manifest: &mut serde_json::Value) {
    manifest["spec"]["backup"]["verification"] = json!("Restore");
    manifest["spec"]["backup"]["scratch"] = json!({"image": "mysql:9.7", "storage": "2Gi"});
}
