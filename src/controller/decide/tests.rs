//! Whole histories of a migration in a small simulated world: decide, project, carry out, again and again until an end.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::super::decision::{Effect, JobRequest};
use super::super::observed::{JobView, Observed, Policies, StoredPlan, Task, TaskResult, TaskState, Trouble};
use super::super::project::project;
use super::decide;
use crate::api::conditions::{find, is_true};
use crate::api::status::{PlanStatus, StageState, StageStatus, ValidationCount};
use crate::api::{ConditionType, MigrationApproval, Reason, SchemaMigration};
use crate::backup::{Outcome, Summary};
use crate::mysql::report::{Proof, SectionReport, UndoReport};
use crate::mysql::{Cause, Error, Reading};
use crate::plan::Plan;

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn name(table: &str) -> serde_json::Value {
    json!({"schema": "shop", "table": table})
}

fn plan(copies: bool) -> Plan {
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

struct World {
    migration: SchemaMigration,
    plan: Plan,
    task: TaskState,
    trouble: Option<Trouble>,
    jobs: BTreeMap<String, JobView>,
    approvals: Vec<MigrationApproval>,
    policies: Policies,
    missing: Option<String>,
    now: Timestamp,
    /// Errors that tasks meet, each once or for ever.
    failures: Vec<(Task, Cause, bool)>,
    job_failure: Option<&'static str>,
    /// Tasks that were begun.
    begun: Vec<Task>,
    created: Vec<String>,
    finalizer: bool,
}

impl World {
    fn new(change: impl FnOnce(&mut serde_json::Value)) -> Self {
        let mut manifest = json!({
            "apiVersion": "holdfast.dev/v1alpha1", "kind": "SchemaMigration",
            "metadata": {"name": "m", "namespace": "shop", "uid": "u", "generation": 1},
            "spec": {
                "database": {"host": "mysql", "name": "shop", "credentialsSecretRef": {"name": "s"}},
                "backup": {"type": "Job", "verification": "Inspect", "job": {"tool": "Mysqldump", "image": "mysql:9.7",
                    "destination": {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"claimName": "backups"}}}},
                "rehearsal": {"enabled": false},
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
            now: Timestamp::from_second(1_000_000).unwrap(),
            failures: Vec::new(),
            job_failure: None,
            begun: Vec::new(),
            created: Vec::new(),
            finalizer: false,
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
            jobs: self.jobs.clone(),
            approvals: self.approvals.clone(),
            policies: self.policies.clone(),
            required_gates: Vec::new(),
        }
    }

    /// One pass; the task that it begins ends before the next one.
    fn pass(&mut self) -> Effect {
        let decision = decide(&self.migration, &self.observed(), self.now);
        let status = project(&self.migration, &decision, self.now);
        self.migration.status = Some(status);
        if let TaskState::Running(task, _) = self.task {
            self.task = TaskState::Ended(task, self.result(task));
        }
        match &decision.effect {
            Effect::None | Effect::StopTask => {}
            Effect::AddFinalizer => {
                self.finalizer = true;
                self.migration.metadata.finalizers = Some(vec![crate::api::FINALIZER.to_owned()]);
            }
            Effect::StartTask(task, _) => {
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
            Effect::CreateJob(JobRequest::Backup { name, .. } | JobRequest::User { name, .. }) => {
                assert!(self.finalizer, "the finalizer comes before a Job");
                let view = self.job_view(name);
                self.created.push(name.clone());
                self.jobs.insert(name.clone(), view);
            }
            Effect::DeleteJob(name) => {
                self.jobs.remove(name);
            }
            Effect::Release => {
                self.task = TaskState::Idle;
                self.migration.metadata.finalizers = None;
            }
        }
        let step = decision.again.as_secs().clamp(1, 30);
        self.now = self.now.checked_add(SignedDuration::from_secs(i64::try_from(step).unwrap())).unwrap();
        decision.effect
    }

    fn job_view(&self, name: &str) -> JobView {
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
        let summary = Summary {
            file: "u-1.sql".to_owned(),
            taken_at: self.now,
            finished_at: self.now,
            bytes: 1,
            sha256: "0".repeat(64),
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
                status: Box::new(PlanStatus {
                    digest: DIGEST.to_owned(),
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
            Task::CheckBeforeStart => TaskResult::MayStart,
            Task::Section(section) => {
                assert!(self.status().started_at.is_some(), "the start is recorded before the first change");
                TaskResult::Section(SectionReport { section, operations: Vec::new() })
            }
            Task::Test => TaskResult::Tested { probes: 1, scenarios: 0 },
            Task::Prove => TaskResult::Proven(Box::new(Proof {
                server_uuid: "s".to_owned(),
                proven_at: String::new(),
                keys: Vec::new(),
                uniques: Vec::new(),
                expectations: Vec::new(),
                sessions_without_checks: Some(0),
                checks_off_globally: false,
            })),
            Task::Undo => TaskResult::Undone(Box::<UndoReport>::default()),
        })
    }

    fn status(&self) -> crate::api::SchemaMigrationStatus {
        self.migration.status.clone().unwrap_or_default()
    }

    fn finished(&self) -> bool {
        is_true(&self.status().conditions, ConditionType::Finished)
    }

    /// Passes until the end, forgetting everything in memory after the given passes, as a restart does.
    fn run(&mut self, restart_after: &[usize]) -> Reason {
        for pass in 0..2000 {
            self.pass();
            if restart_after.contains(&pass) {
                self.task = TaskState::Idle;
                self.trouble = None;
            }
            if self.finished() {
                return self.reason(ConditionType::Finished);
            }
        }
        panic!("no end: {:?}", self.status());
    }

    /// Passes until nothing but waiting is left.
    fn settle(&mut self) -> Reason {
        for _ in 0..100 {
            self.pass();
        }
        assert!(!self.finished(), "{:?}", self.status());
        self.reason(ConditionType::Reconciling)
    }

    fn reason(&self, condition: ConditionType) -> Reason {
        Reason::from_name(&find(&self.status().conditions, condition).unwrap().reason).unwrap()
    }

    fn approve(&mut self, phase: &str, digest: &str, decision: &str, rows: Option<i64>) {
        let approval = json!({"apiVersion": "holdfast.dev/v1alpha1", "kind": "MigrationApproval",
            "metadata": {"name": format!("a{}", self.approvals.len())},
            "spec": {"migrationRef": {"name": "m"}, "before": {"phase": phase}, "decision": decision, "planDigest": digest,
                "maxRows": rows, "approvedBy": "alice"}});
        self.approvals.push(serde_json::from_value(approval).unwrap());
    }

    fn changed_anything(&self) -> bool {
        self.begun.iter().any(|task| matches!(task, Task::Section(_)))
    }
}

fn gated(manifest: &mut serde_json::Value) {
    manifest["spec"]["gates"] = json!([{"before": {"phase": "CleanUp"}, "approval": "Required"}]);
}

#[test]
fn a_good_migration_completes_with_every_condition_true() {
    let mut world = World::new(|_| {});
    assert_eq!(world.run(&[]), Reason::Complete);
    for condition in ConditionType::PHASES {
        if condition != ConditionType::Approved {
            assert!(is_true(&world.status().conditions, condition), "{condition}");
        }
    }
    assert!(find(&world.status().conditions, ConditionType::Reconciling).is_none());
    assert_eq!(world.created.len(), 3, "backup, schema update, test: {:?}", world.created);
}

#[test]
fn a_restart_at_any_point_comes_to_the_same_end() {
    for pass in 0..60 {
        let mut world = World::new(|_| {});
        assert_eq!(world.run(&[pass]), Reason::Complete, "restart after pass {pass}");
        assert_eq!(world.created.len(), 3, "no Job is made twice, restart after pass {pass}");
    }
}

#[test]
fn nothing_is_changed_before_the_right_plan_is_approved() {
    let mut world = World::new(gated);
    assert_eq!(world.settle(), Reason::ApprovalPending);
    world.approve("CleanUp", &DIGEST.replace('a', "b"), "Approve", Some(10));
    assert_eq!(world.settle(), Reason::ApprovalForAnotherPlan);
    world.approve("Test", DIGEST, "Approve", Some(10));
    assert_eq!(world.settle(), Reason::ApprovalForAnotherPlan);
    assert!(!world.changed_anything() && world.status().started_at.is_none());
    world.approve("CleanUp", DIGEST, "Approve", Some(10));
    assert_eq!(world.run(&[]), Reason::Complete);
    let gate = &world.status().gates[0];
    assert_eq!(gate.approval.as_ref().unwrap().approved_by, "alice");
}

#[test]
fn a_denial_ends_the_migration_unchanged() {
    let mut world = World::new(gated);
    world.approve("CleanUp", DIGEST, "Approve", None);
    world.approve("CleanUp", DIGEST, "Deny", None);
    assert_eq!(world.run(&[]), Reason::ApprovalDenied);
    assert!(!world.changed_anything());
}

#[test]
fn a_gate_stays_closed_without_the_policies_that_protect_it() {
    let mut world = World::new(gated);
    world.policies = Policies::Missing(vec!["p".to_owned()]);
    world.approve("CleanUp", DIGEST, "Approve", None);
    assert_eq!(world.settle(), Reason::ApprovalPolicyMissing);
}

#[test]
fn a_copy_waits_for_an_approval_of_its_own_even_if_no_gate_is_listed() {
    let mut world = World::new(|_| {});
    world.plan = plan(true);
    assert_eq!(world.settle(), Reason::ApprovalPending);
    world.approve("Copy", DIGEST, "Approve", None);
    assert_eq!(world.run(&[]), Reason::Complete);
}

#[test]
fn more_rows_than_approved_close_the_gate_until_more_are_approved() {
    let mut world = World::new(gated);
    world.approve("CleanUp", DIGEST, "Approve", Some(3));
    world.failures = vec![(Task::Section(crate::plan::Section::CleanUp), Cause::ApprovalExceeded, false)];
    assert_eq!(world.settle(), Reason::MoreRowsThanApproved);
    world.approve("CleanUp", DIGEST, "Approve", Some(3));
    assert_eq!(world.settle(), Reason::MoreRowsThanApproved);
    world.approve("CleanUp", DIGEST, "Approve", Some(4));
    assert_eq!(world.run(&[]), Reason::Complete);
}

#[test]
fn a_failure_before_the_first_change_ends_as_failed_and_undoes_nothing() {
    for (task, cause, reason) in [
        (Task::Preflight, Cause::ServerUnsupported, Reason::UnsupportedServer),
        (Task::Preflight, Cause::AccessDenied, Reason::AccessDenied),
        (Task::Preflight, Cause::Unreachable, Reason::DatabaseUnreachable),
        (Task::Validate, Cause::PrivilegeMissing, Reason::PrivilegeMissing),
        (Task::CheckBeforeStart, Cause::LockHeld, Reason::LockHeld),
    ] {
        let mut world = World::new(|_| {});
        world.failures = vec![(task, cause, true)];
        assert_eq!(world.run(&[]), reason);
        assert!(is_true(&world.status().conditions, ConditionType::Stalled));
        assert!(!world.changed_anything() && !world.begun.contains(&Task::Undo));
    }
}

#[test]
fn trouble_that_passes_does_not_end_a_migration() {
    for task in [
        Task::Preflight,
        Task::Plan,
        Task::Validate,
        Task::Section(crate::plan::Section::Stage(0)),
        Task::Test,
        Task::Prove,
    ] {
        let mut world = World::new(|_| {});
        world.failures = vec![(task, Cause::Unreachable, false)];
        assert_eq!(world.run(&[]), Reason::Complete, "{task:?}");
    }
}

#[test]
fn a_failure_after_the_first_change_takes_everything_back_wherever_a_restart_comes() {
    for restart in 0..80 {
        let mut world = World::new(|_| {});
        world.job_failure = Some("-test-");
        assert_eq!(world.run(&[restart]), Reason::RollbackSucceeded);
        assert!(world.begun.contains(&Task::Undo));
        assert!(world.created.iter().any(|name| name.contains("undo-schema-update")), "{:?}", world.created);
        assert_eq!(world.reason(ConditionType::Tested), Reason::TestsFailed);
        assert!(is_true(&world.status().conditions, ConditionType::RolledBack));
    }
}

#[test]
fn a_rollback_that_cannot_finish_says_so() {
    let mut world = World::new(|_| {});
    world.failures = vec![
        (Task::Section(crate::plan::Section::Stage(0)), Cause::RetriesExhausted, true),
        (Task::Undo, Cause::RollbackIncomplete, true),
    ];
    assert_eq!(world.run(&[]), Reason::RollbackFailed);
}

#[test]
fn a_failed_backup_ends_the_migration_before_anything_is_changed() {
    let mut world = World::new(|_| {});
    world.job_failure = Some("-backup-");
    assert_eq!(world.run(&[]), Reason::BackupFailed);
    assert!(!world.changed_anything());
}

#[test]
fn a_missing_secret_is_waited_for_and_then_given_up() {
    let mut world = World::new(|_| {});
    world.missing = Some("the Secret shop/s does not exist".to_owned());
    world.pass();
    world.pass();
    assert_eq!(world.reason(ConditionType::Ready), Reason::DependencyNotReady);
    assert_eq!(world.run(&[]), Reason::DependencyNotReady);
    assert!(find(&world.status().conditions, ConditionType::Finished).unwrap().message.contains("shop/s"));
}

#[test]
fn a_suspended_migration_begins_nothing() {
    let mut world = World::new(|manifest| manifest["spec"]["suspend"] = json!(true));
    assert_eq!(world.settle(), Reason::Suspended);
    assert!(world.begun.is_empty() && world.created.is_empty());
    world.migration.spec.suspend = false;
    assert_eq!(world.run(&[]), Reason::Complete);
}

#[test]
fn mode_plan_ends_with_the_plan() {
    let mut world = World::new(|manifest| manifest["spec"]["mode"] = json!("Plan"));
    assert_eq!(world.run(&[]), Reason::PlanOnly);
    assert_eq!(world.begun, [Task::Preflight, Task::Plan]);
    assert!(is_true(&world.status().conditions, ConditionType::Succeeded));
}

#[test]
fn an_old_backup_is_made_again_before_the_first_change() {
    let mut world = World::new(gated);
    world.settle();
    world.now = world.now.checked_add(SignedDuration::from_hours(2)).unwrap();
    world.approve("CleanUp", DIGEST, "Approve", None);
    assert_eq!(world.run(&[]), Reason::Complete);
    assert_eq!(world.created.iter().filter(|name| name.contains("-backup-")).count(), 2);
}

#[test]
fn the_same_decision_twice_gives_the_same_status() {
    let mut world = World::new(gated);
    world.settle();
    let before = world.status();
    world.pass();
    assert_eq!(before, world.status(), "nothing is written while nothing changes");
}
