//! What tests do with the world: let it go on, ask it, decide as people would.

#![allow(clippy::unwrap_used)]

use serde_json::json;

use crate::api::conditions::{find, is_true};
use crate::api::steering::SteeringAction;
use crate::api::{ConditionType, Reason};
use crate::controller::observed::{Task, TaskState};

use super::World;

impl World {
    pub(in super::super) fn status(&self) -> crate::api::SchemaMigrationStatus {
        self.migration.status.clone().unwrap_or_default()
    }

    pub(in super::super) fn finished(&self) -> bool {
        is_true(&self.status().conditions, ConditionType::Finished)
    }

    /// Passes until the end, forgetting everything in memory after the given passes, as a restart does.
    pub(in super::super) fn run(&mut self, restart_after: &[usize]) -> Reason {
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
    pub(in super::super) fn restart(&mut self) {
        self.task = TaskState::Idle;
        self.trouble = None;
    }

    /// Passes until nothing but waiting is left.
    pub(in super::super) fn settle(&mut self) -> Reason {
        for _ in 0..100 {
            self.pass();
        }
        assert!(!self.finished(), "{:?}", self.status());
        self.reason(ConditionType::Reconciling)
    }

    pub(in super::super) fn reason(&self, condition: ConditionType) -> Reason {
        Reason::from_name(&find(&self.status().conditions, condition).unwrap().reason).unwrap()
    }

    pub(in super::super) fn approve(&mut self, phase: &str, digest: &str, decision: &str, rows: Option<i64>) {
        self.decide_on(json!({"phase": phase}), digest, decision, rows);
    }

    pub(in super::super) fn decide_on(
        &mut self,
        before: serde_json::Value,
        digest: &str,
        decision: &str,
        rows: Option<i64>,
    ) {
        // The API server keeps no fractions of a second.
        let whole = jiff::Timestamp::from_second(self.now.as_second()).unwrap();
        let approval = json!({"apiVersion": "holdfast.dev/v1alpha1", "kind": "MigrationApproval",
            "metadata": {"name": format!("a{}", self.approvals.len()), "creationTimestamp": whole},
            "spec": {"migrationRef": {"name": "m"}, "before": before, "decision": decision, "planDigest": digest,
                "maxRows": rows, "approvedBy": "alice"}});
        self.approvals.push(serde_json::from_value(approval).unwrap());
    }

    /// How many Jobs of a kind were made.
    pub(in super::super) fn made(&self, kind: &str) -> usize {
        self.created.iter().filter(|name| name.contains(kind)).count()
    }

    /// Sets a steering annotation.
    pub(in super::super) fn ask(&mut self, action: SteeringAction, token: &str) {
        let annotations = self.migration.metadata.annotations.get_or_insert_default();
        annotations.insert(action.annotation().to_owned(), token.to_owned());
    }

    /// The answer to the last request of a kind: whether it was accepted, and the message.
    pub(in super::super) fn answer(&self, action: SteeringAction) -> (bool, String) {
        let answer = self.status().steering.into_iter().find(|answer| answer.action == action).unwrap();
        assert_eq!(self.status().last_handled.token(action), Some(&answer.token));
        (answer.accepted, answer.message)
    }

    /// Passes until a task runs.
    pub(in super::super) fn run_to(&mut self, task: Task) {
        for _ in 0..1000 {
            if matches!(self.task, TaskState::Running(running, _) if running == task) {
                return;
            }
            self.pass();
        }
        panic!("{task:?} was never begun: {:?}", self.status());
    }

    /// So many passes.
    pub(in super::super) fn passes(&mut self, count: usize) {
        for _ in 0..count {
            self.pass();
        }
    }

    /// How often a task was begun.
    pub(in super::super) fn times(&self, task: Task) -> usize {
        self.begun.iter().filter(|begun| **begun == task).count()
    }

    pub(in super::super) fn changed_anything(&self) -> bool {
        self.begun.iter().any(|task| matches!(task, Task::Section(_)))
    }
}
