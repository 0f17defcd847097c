//! A small simulated world in which whole histories of a migration run: decide, project, carry out, again and again until an end.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::super::super::decision::{Effect, JobRequest};
use super::super::super::evidence::{FoundEvidence, OwnEvidence};
use super::super::super::names::volume_snapshot;
use super::super::super::observed::{JobView, Observed, Policies, StoredPlan, Task, TaskResult, TaskState, Trouble};
use super::super::super::project::project;
use super::super::super::soak::{self, LogMatches, Look};
use super::super::super::volume_snapshot::{Snapshot, SnapshotView};
use super::super::decide;
use crate::api::conditions::{find, is_true};
use crate::api::status::{
    EvidenceStatus, PlanStatus, SoakBaseline, StageState, StageStatus, TestedStatus, ValidationCount,
};
use crate::api::steering::SteeringAction;
use crate::api::{ConditionType, MigrationApproval, Reason, SchemaMigration};
use crate::backup::rehearsed::{End, Slow, StepTook};
use crate::backup::{Outcome, Rehearsed, Removed, Restored, Summary};
use crate::evidence::{Document, Signed};
use crate::mysql::loss::Loss;
use crate::mysql::rehearsal::Step;
use crate::mysql::report::{OperationReport, Proof, PutBackReport, QuarantineCounts, SectionReport, UndoReport};
use crate::mysql::soak::{ErrorCounts, Sample, StatementCounts};
use crate::mysql::{Allowance, Cause, Error, Reading};
use crate::plan::{Identifier, Plan};

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
            policies: Policies::Installed,
            missing: None,
            // Clocks show fractions of a second, and the status keeps none.
            now: Timestamp::new(1_000_000, 700_000_000).unwrap(),
            failures: Vec::new(),
            job_failure: None,
            left_by_tests: None,
            lasting: Vec::new(),
            slow_to_stop: false,
            begun: Vec::new(),
            allowance: Allowance::default(),
            created: Vec::new(),
            left: None,
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

    /// One pass; the task that it begins ends before the next one.
    pub(super) fn pass(&mut self) -> Effect {
        let observed = self.observed();
        let decision = decide(&self.migration, &observed, self.now);
        let status = project(&self.migration, &observed, &decision, self.now);
        // As the API server gives it back: whatever JSON cannot hold is gone.
        self.migration.status = Some(serde_json::from_value(serde_json::to_value(&status).unwrap()).unwrap());
        if let TaskState::Running(task, _) = self.task {
            if !self.lasting.contains(&task) {
                self.task = TaskState::Ended(task, self.result(task));
            } else if decision.effect == Effect::StopTask && !self.slow_to_stop {
                self.task = TaskState::Ended(task, Err(Arc::new(Error::new(Cause::Stopped, "stopped"))));
            }
        }
        match &decision.effect {
            Effect::None | Effect::StopTask => {}
            Effect::AddFinalizer => {
                self.finalizer = true;
                self.migration.metadata.finalizers = Some(vec![crate::api::FINALIZER.to_owned()]);
            }
            Effect::StartTask(task, allowance) => {
                self.allowance = *allowance;
                assert!(matches!(self.task, TaskState::Idle));
                self.begun.push(*task);
                self.task = TaskState::Running(*task, Reading::default());
            }
            Effect::ForgetTask(task) => {
                if let TaskState::Ended(ended, outcome) = &self.task
                    && ended == task
                {
                    if outcome.is_ok() {
                        self.trouble = None;
                    }
                    self.task = TaskState::Idle;
                }
            }
            Effect::NoteTrouble => {
                self.task = TaskState::Idle;
                let next = self.now.checked_add(SignedDuration::from_secs(5)).unwrap();
                let since = self.trouble.map_or(self.now, |trouble| trouble.since);
                self.trouble = Some(Trouble { since, tries: 1, next });
            }
            Effect::NoteDrift => {
                self.task = TaskState::Idle;
                let next = self.now.checked_add(SignedDuration::from_secs(5)).unwrap();
                self.trouble = Some(Trouble { since: self.now, tries: 1, next });
            }
            Effect::EndTrouble => self.trouble = None,
            Effect::CreateJob(request) => {
                assert!(self.finalizer, "the finalizer comes before a Job");
                let (name, plan) = match request {
                    JobRequest::Backup { name, .. }
                    | JobRequest::RemoveBackups { name, .. }
                    | JobRequest::RestoreTables { name, .. }
                    | JobRequest::User { name, .. } => (name, None),
                    JobRequest::VerifyBackup { name, plan, .. } => (name, plan.as_ref()),
                    JobRequest::Rehearse { name, plan, .. } => (name, Some(plan)),
                };
                let view = self.job_view(name, plan);
                self.created.push(name.clone());
                self.rehearsed.extend(plan.cloned());
                self.jobs.insert(name.clone(), view);
            }
            Effect::DeleteJob(name) => {
                self.jobs.remove(name);
            }
            Effect::CreateVolumeSnapshot(_) if self.refused => {}
            Effect::CreateVolumeSnapshot(name) => {
                self.created.push(name.clone());
                let snapshot = Snapshot { uid: format!("uid-of-{name}"), ..Snapshot::default() };
                let before = self.snapshots.insert(name.clone(), (self.now, snapshot));
                assert_eq!(before, None, "{name} is made twice");
            }
            Effect::WriteEvidence(document) => self.written.push((**document).clone()),
            Effect::Release => {
                self.task = TaskState::Idle;
                self.migration.metadata.finalizers = None;
            }
        }
        let step = decision.again.as_secs().clamp(1, 30);
        self.now = self.now.checked_add(SignedDuration::from_secs(i64::try_from(step).unwrap())).unwrap();
        decision.effect
    }

    fn job_view(&mut self, name: &str, plan: Option<&String>) -> JobView {
        let uid = "job".to_owned();
        if let Some(part) = self.job_failure
            && name.contains(part)
        {
            return JobView::Failed {
                uid,
                reason: "BackoffLimitExceeded".to_owned(),
                message: None,
                log: Some("boom".to_owned()),
            };
        }
        if name.contains("-test-")
            && let Some((succeeds, left)) = self.left_by_tests
        {
            let message = Some(left.to_owned());
            if succeeds {
                return JobView::Succeeded { uid, message };
            }
            return JobView::Failed {
                uid,
                reason: "BackoffLimitExceeded".to_owned(),
                message,
                log: Some("boom".to_owned()),
            };
        }
        if ["-verify-", "-rehearse-", "-restore-backup-"].iter().any(|part| name.contains(part)) {
            let rehearsal = plan.map(|digest| {
                Box::new(Rehearsed {
                    end: self.ends.pop_front().unwrap_or(End::Passed { note: None }),
                    orphans: 3,
                    quarantined_rows: 4,
                    foreign_keys: 1,
                    probes: 1,
                    steps: vec![
                        StepTook { step: Step::Validate, milliseconds: 60_000 },
                        StepTook { step: Step::CleanUp, milliseconds: 1_200 },
                        StepTook { step: Step::AddForeignKeys, milliseconds: 800 },
                        StepTook { step: Step::Undo, milliseconds: 5_000 },
                    ],
                    slowest: vec![Slow {
                        operation: "1".to_owned(),
                        table: "bookmarks".to_owned(),
                        milliseconds: 1_200,
                    }],
                    ..Rehearsed::begun(digest, self.now)
                })
            });
            let passed = rehearsal.as_ref().is_none_or(|rehearsal| rehearsal.failure().is_none());
            let restored = Restored {
                server_version: "9.7.4".to_owned(),
                tables: 1,
                rows: 1,
                objects: 2,
                bytes: 1000,
                lossy_columns: 1,
                lossy: vec!["logs.share".to_owned()],
                started_at: self.now,
                finished_at: self.now + SignedDuration::from_secs(7),
                rehearsal,
            };
            let message = Some(serde_json::to_string(&Outcome::Restored(restored)).unwrap());
            if passed {
                return JobView::Succeeded { uid, message };
            }
            let reason = "BackoffLimitExceeded: the container \"verify\" used more memory than its limit (OOMKilled)";
            return JobView::Failed { uid, reason: reason.to_owned(), message, log: None };
        }
        if name.contains("-remove-backups-") {
            let removed = Removed { backups: 2, bytes: 10, left: Vec::new() };
            let outcome = serde_json::to_string(&Outcome::Removed(removed)).unwrap();
            return JobView::Succeeded { uid, message: Some(outcome) };
        }
        let summary = Summary {
            file: "u-1.sql".to_owned(),
            taken_at: self.now,
            finished_at: self.now,
            bytes: 1,
            sha256: "0".repeat(64),
            manifest: "f".repeat(64),
            names: String::new(),
            rows: vec![1],
        };
        JobView::Succeeded { uid, message: Some(serde_json::to_string(&Outcome::Made(summary)).unwrap()) }
    }

    fn result(&mut self, task: Task) -> Result<TaskResult, Arc<Error>> {
        if let Some(at) = self.failures.iter().position(|(failing, ..)| *failing == task) {
            let (_, cause, for_ever) = self.failures[at];
            if !for_ever {
                self.failures.remove(at);
            }
            return Err(Arc::new(Error::new(cause, "simulated")));
        }
        Ok(match task {
            Task::Preflight => TaskResult::PreflightPassed { server: "MySQL 9.7".to_owned() },
            Task::Plan => TaskResult::Planned {
                left: self.left.clone(),
                status: Box::new(PlanStatus {
                    digest: self.plan.digest.clone(),
                    config_maps: vec!["p".to_owned()],
                    generation: 1,
                    computed_at: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(self.now),
                    counts: Default::default(),
                    estimates: Default::default(),
                    warnings: Vec::new(),
                }),
                server_uuid: "s".to_owned(),
                content_digest: "content".to_owned(),
                stages: vec![StageStatus {
                    name: "users".to_owned(),
                    state: StageState::Pending,
                    foreign_keys: 1,
                    added: 0,
                    verified: 0,
                    started: None,
                    finished: None,
                }],
                operations: 2,
                baseline: self.baseline(),
            },
            Task::CountBeforeBackup(_) => TaskResult::Counted { baseline: "{}".to_owned() },
            Task::CheckBackup(_) => TaskResult::BackupProven,
            Task::Validate => TaskResult::Validated {
                report: vec![ValidationCount {
                    issue_type: "orphans: bookmarks.user_id -> users.id".to_owned(),
                    count: 3,
                }],
                stops: None,
            },
            Task::CheckBeforeStart => {
                let begun = self.status().soak.and_then(|soak| soak.baseline);
                let baseline = self.baseline().map(|_| soak::end_baseline(begun.as_ref(), self.now, &self.sample()));
                TaskResult::MayStart { baseline: baseline.map(Box::new) }
            }
            Task::Section(section) => {
                assert!(self.status().started_at.is_some(), "the start is recorded before the first change");
                TaskResult::Section(SectionReport {
                    section,
                    server_uuid: "s".to_owned(),
                    operations: self.reports.clone(),
                    quarantined: self.quarantined,
                })
            }
            Task::Test => TaskResult::Tested(self.tested.clone()),
            Task::Look => {
                let lines =
                    LogMatches { lines: self.log_lines, until: self.now, pods: vec!["app-0".to_owned()], gap: None };
                let asked = self.migration.spec.soak.as_ref().is_some_and(|soak| soak.logs.is_some());
                let look = Look { at: self.now, sample: self.sample(), logs: asked.then_some(Ok(lines)) };
                TaskResult::Looked(Box::new(look))
            }
            Task::Scan => {
                TaskResult::Scanned { keys: 1, orphans: self.orphans.clone(), slow: Ok(vec!["5f0a".to_owned()]) }
            }
            Task::Prove => TaskResult::Proven(Box::new(Proof {
                server_uuid: "s".to_owned(),
                proven_at: String::new(),
                keys: Vec::new(),
                uniques: Vec::new(),
                expectations: Vec::new(),
                sessions_without_checks: Some(0),
                checks_off_globally: false,
                replicas: Vec::new(),
            })),
            Task::Undo => TaskResult::Undone(Box::<UndoReport>::default()),
            Task::Purge => TaskResult::Purged { entries: 3, tables: 1, kept_tables: 0 },
            Task::CountLoss => TaskResult::LossCounted(self.loss.clone()),
            Task::PrepareRestore(attempt) => {
                TaskResult::RestorePrepared { in_place: self.in_place, schema: format!("holdfast_restored_{attempt}") }
            }
            Task::PutBack => {
                let lost = if self.in_place { 0 } else { self.loss.at_most() };
                if self.allowance.max_rows.is_none_or(|most| lost > most) {
                    return Err(Arc::new(Error::new(Cause::ApprovalExceeded, "more would be lost by now")));
                }
                self.in_place = true;
                TaskResult::PutBack(Box::new(PutBackReport {
                    tables: 4,
                    kept_tables: 5,
                    kept_schema: Identifier::new("holdfast_kept_1").unwrap(),
                    compared: UndoReport {
                        tables_compared: vec!["shop.bookmarks".to_owned()],
                        ..UndoReport::default()
                    },
                }))
            }
        })
    }

    pub(super) fn status(&self) -> crate::api::SchemaMigrationStatus {
        self.migration.status.clone().unwrap_or_default()
    }

    pub(super) fn finished(&self) -> bool {
        is_true(&self.status().conditions, ConditionType::Finished)
    }

    /// Passes until the end, forgetting everything in memory after the given passes, as a restart does.
    pub(super) fn run(&mut self, restart_after: &[usize]) -> Reason {
        for pass in 0..2000 {
            self.pass();
            if restart_after.contains(&pass) {
                self.restart();
            }
            if self.finished() {
                return self.reason(ConditionType::Finished);
            }
        }
        panic!("no end: {:?}", self.status());
    }

    /// Forgets everything in memory, as a restart of the operator does.
    pub(super) fn restart(&mut self) {
        self.task = TaskState::Idle;
        self.trouble = None;
    }

    /// Passes until nothing but waiting is left.
    pub(super) fn settle(&mut self) -> Reason {
        for _ in 0..100 {
            self.pass();
        }
        assert!(!self.finished(), "{:?}", self.status());
        self.reason(ConditionType::Reconciling)
    }

    pub(super) fn reason(&self, condition: ConditionType) -> Reason {
        Reason::from_name(&find(&self.status().conditions, condition).unwrap().reason).unwrap()
    }

    pub(super) fn approve(&mut self, phase: &str, digest: &str, decision: &str, rows: Option<i64>) {
        self.decide_on(json!({"phase": phase}), digest, decision, rows);
    }

    pub(super) fn decide_on(&mut self, before: serde_json::Value, digest: &str, decision: &str, rows: Option<i64>) {
        let approval = json!({"apiVersion": "holdfast.dev/v1alpha1", "kind": "MigrationApproval",
            "metadata": {"name": format!("a{}", self.approvals.len())},
            "spec": {"migrationRef": {"name": "m"}, "before": before, "decision": decision, "planDigest": digest,
                "maxRows": rows, "approvedBy": "alice"}});
        self.approvals.push(serde_json::from_value(approval).unwrap());
    }

    /// How many Jobs of a kind were made.
    pub(super) fn made(&self, kind: &str) -> usize {
        self.created.iter().filter(|name| name.contains(kind)).count()
    }

    /// Sets a steering annotation.
    pub(super) fn ask(&mut self, action: SteeringAction, token: &str) {
        let annotations = self.migration.metadata.annotations.get_or_insert_default();
        annotations.insert(action.annotation().to_owned(), token.to_owned());
    }

    /// The answer to the last request of a kind: whether it was accepted, and the message.
    pub(super) fn answer(&self, action: SteeringAction) -> (bool, String) {
        let answer = self.status().steering.into_iter().find(|answer| answer.action == action).unwrap();
        assert_eq!(self.status().last_handled.token(action), Some(&answer.token));
        (answer.accepted, answer.message)
    }

    /// Passes until a task runs.
    pub(super) fn run_to(&mut self, task: Task) {
        for _ in 0..1000 {
            if matches!(self.task, TaskState::Running(running, _) if running == task) {
                return;
            }
            self.pass();
        }
        panic!("{task:?} was never begun: {:?}", self.status());
    }

    /// So many passes.
    pub(super) fn passes(&mut self, count: usize) {
        for _ in 0..count {
            self.pass();
        }
    }

    /// How often a task was begun.
    pub(super) fn times(&self, task: Task) -> usize {
        self.begun.iter().filter(|begun| **begun == task).count()
    }

    pub(super) fn changed_anything(&self) -> bool {
        self.begun.iter().any(|task| matches!(task, Task::Section(_)))
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
