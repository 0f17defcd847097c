//! What a pass does to the world, and how its tasks and Jobs end.

#![allow(clippy::unwrap_used)]
use std::sync::Arc;

use jiff::SignedDuration;

use crate::api::backup::BackupType;
use crate::api::status::{PlanStatus, StageState, StageStatus, ValidationCount};
use crate::backup::rehearsed::{End, Slow, StepTook};
use crate::backup::{Outcome, Rehearsed, Removed, Restored, RowCounts, Summary};
use crate::controller::decide::decide;
use crate::controller::decision::{Effect, JobRequest};
use crate::controller::observed::{JobView, Task, TaskResult, TaskState, Trouble};
use crate::controller::project::project;
use crate::controller::soak::{self, LogMatches, Look};
use crate::controller::volume_snapshot::Snapshot;
use crate::mysql::rehearsal::Step;
use crate::mysql::report::{Proof, PutBackReport, SectionReport, UndoReport};
use crate::mysql::{Cause, Error, Reading};
use crate::plan::Identifier;
use crate::plan::model::LockClass;

use super::World;

impl World {
    /// One pass; the task that it begins ends before the next one.
    pub(in super::super) fn pass(&mut self) -> Effect {
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
                        lock: Some(LockClass::Batched),
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
            rows: RowCounts::Here(vec![1]),
        };
        JobView::Succeeded { uid, message: Some(serde_json::to_string(&Outcome::Made(summary)).unwrap()) }
    }

    /// What others changed since the backup.
    fn changed(&self) -> Option<String> {
        let before = self.status().backup.and_then(|backup| backup.changes_before);
        let own_time = self.migration.spec.backup.backup_type == BackupType::Job;
        (own_time && before.as_deref() != Some(self.changes.as_str()))
            .then(|| format!("others changed {}", self.changes))
    }

    fn result(&mut self, task: Task) -> Result<TaskResult, Arc<Error>> {
        if let Some(at) = self.failures.iter().position(|(failing, ..)| *failing == task) {
            let (_, cause, for_ever) = self.failures[at];
            if !for_ever {
                self.failures.remove(at);
            }
            let left = if cause == Cause::RollbackIncomplete { self.not_back.clone() } else { Vec::new() };
            return Err(Arc::new(Error { left, ..Error::new(cause, "simulated") }));
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
            Task::CountBeforeBackup(_) => {
                TaskResult::Counted { baseline: "{}".to_owned(), changes: self.changes.clone() }
            }
            Task::CheckBackup(_) => match self.changed() {
                Some(changed) => TaskResult::BackupOutdated(changed),
                None => TaskResult::BackupProven,
            },
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
                TaskResult::MayStart { baseline: baseline.map(Box::new), changed: self.changed() }
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
                transactions: None,
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
}
