//! The tasks that only read, as `src/controller/reading.rs` and `work.rs` do them, and the purge.

use std::sync::Arc;

use holdfast::api::backup::BackupType;
use holdfast::api::status::{JobPurpose, TestedStatus, ValidationCount};
use holdfast::controller::observed::{Task, TaskResult};
use holdfast::mysql::{Cause, Error};
use holdfast::plan::Plan;

use crate::database::{Ending, Migration, Standing};
use crate::engine::{Ended, Run, error};
use crate::plans::{self, Kind};
use crate::world::World;

impl World {
    /// The result of a task that only reads, or works in one short step.
    pub(crate) fn read(&mut self, process: usize, run: &Run) -> Ended {
        self.reach(process)?;
        if self.faults && self.rng.u32(0..40) == 0 {
            return error(Cause::Server, "MySQL error 1105: simulated");
        }
        match run.task {
            Task::Preflight if self.database.busy => error(Cause::NotReady, "300 sessions are active, 200 are allowed"),
            Task::Preflight => Ok(TaskResult::PreflightPassed { server: "MySQL 9.7".to_owned() }),
            Task::Plan => self.compute_plan(run),
            Task::CountBeforeBackup(_) => {
                self.check_turn(process, run)?;
                let changes = self.database.changes_of_others(&run.digest());
                Ok(TaskResult::Counted { baseline: "{}".to_owned(), changes })
            }
            Task::CheckBackup(_) => {
                if let Some(changed) = self.changed_since(run) {
                    return Ok(TaskResult::BackupOutdated(changed));
                }
                let status = run.migration.status.clone().unwrap_or_default();
                let job = status.jobs.iter().rev().find(|job| job.purpose == JobPurpose::Backup);
                Ok(match job.and_then(|job| self.cluster.jobs.get(&job.name)) {
                    Some(job) if job.over => TaskResult::BackupProven,
                    _ => TaskResult::BackupUnproven("the backup Job is gone before its result was compared".to_owned()),
                })
            }
            Task::Validate => {
                let plan = self.planned(run);
                let rows = plan.operations.iter().filter(|operation| plans::kind(&operation.id) == Kind::Rows);
                let report = rows.map(|operation| ValidationCount {
                    issue_type: format!("orphans: {}", operation.id),
                    count: i64::try_from(self.database.orphans[plans::table(&operation.id)]).unwrap(),
                });
                Ok(TaskResult::Validated { report: report.collect(), stops: None })
            }
            Task::CheckBeforeStart => {
                let plan = self.planned(run);
                self.check_turn(process, run)?;
                if self.database.server != plan.server.server_uuid {
                    return Ok(TaskResult::Drifted(format!("the server {} answers", self.database.server)));
                }
                if plan.tables.values().any(|before| *before != plans::definition(&self.database.objects)) {
                    return Ok(TaskResult::Drifted("the catalogue is not what the plan says".to_owned()));
                }
                let changed = self.changed_since(run);
                Ok(TaskResult::MayStart { baseline: self.end_baseline(&run.migration), changed })
            }
            Task::Test => {
                if self.faults && self.rng.u32(0..25) == 0 {
                    return error(Cause::TestFailed, "a probe of fk-a did not cascade");
                }
                Ok(TaskResult::Tested(TestedStatus { probes: 1, scenarios: 0, unprobed: 0, unprobed_keys: Vec::new() }))
            }
            Task::Look => {
                let known = run.migration.status.as_ref().and_then(|status| status.server_uuid.clone());
                if known.is_some_and(|known| known != self.database.server) {
                    return error(Cause::ServerChanged, format!("the server {} answers", self.database.server));
                }
                Ok(self.look_at_application())
            }
            Task::Scan => Ok(self.scan_after_soak(run)),
            Task::Purge => {
                if let Some(holder) = self.database.fence {
                    return error(Cause::LockHeld, format!("the fence of shop is held by connection {holder}"));
                }
                let digest = run.digest();
                let mut entries = 0;
                for migration in self.database.journal.iter_mut().filter(|migration| migration.digest == digest) {
                    if matches!(migration.ending, Ending::Running | Ending::Failed) {
                        return error(Cause::Drifted, "the journal says that a migration of the plan has not ended");
                    }
                    for entry in &mut migration.entries {
                        entries += std::mem::take(&mut entry.quarantined);
                    }
                }
                Ok(TaskResult::Purged { entries, tables: 1, kept_tables: 0 })
            }
            Task::CountLoss => self.count_loss(run),
            Task::Section(_) | Task::Prove | Task::Undo | Task::PrepareRestore(_) | Task::PutBack => {
                error(Cause::Server, "needs a session")
            }
        }
    }

    /// Whether the schema is free for this migration.
    fn check_turn(&self, process: usize, run: &Run) -> Result<(), Error> {
        let uid = run.migration.metadata.uid.clone().unwrap_or_default();
        let own = self.processes[process].memory.get(&uid).is_some_and(|memory| memory.session.is_some());
        if !own && let Some(holder) = self.database.fence {
            return error(Cause::LockHeld, format!("the schema shop is in the hands of connection {holder}"));
        }
        self.unfinished(&self.planned(run))
    }

    /// What others have changed since just before the backup.
    pub(crate) fn changed_since(&self, run: &Run) -> Option<String> {
        let status = run.migration.status.as_ref();
        let before = status.and_then(|status| status.backup.as_ref()?.changes_before.clone());
        let now = self.database.changes_of_others(&run.digest());
        let own_time = run.migration.spec.backup.backup_type == BackupType::Job;
        (own_time && before.as_deref() != Some(now.as_str())).then(|| format!("{before:?} then, and now {now}"))
    }

    fn compute_plan(&mut self, run: &Run) -> Ended {
        if let Some(missing) = &self.cluster.missing {
            return error(Cause::NotReady, missing.clone());
        }
        let content = self.content_digest(&run.migration);
        let wish = self.wish(run.name());
        let left = self.left_unfinished(run, &content);
        let taken_over = left.is_some();
        let new = || Arc::new(plans::plan(wish, &content, &self.database.objects, &self.database.server));
        let plan = left.unwrap_or_else(new);
        let generation = run.migration.metadata.generation.unwrap_or(0);
        let status = plans::status(&plan, generation, self.now);
        let stages = plans::stage_statuses(&plan);
        let operations = i64::try_from(plan.operations.len()).unwrap();
        let server_uuid = plan.server.server_uuid.clone();
        self.cluster.plans.insert(plan.digest.clone(), plan);
        let left = taken_over.then(|| "taken over".to_owned());
        let baseline = if taken_over { None } else { self.begin_baseline(&run.migration) };
        let status = Box::new(status);
        Ok(TaskResult::Planned { status, server_uuid, content_digest: content, stages, operations, left, baseline })
    }

    /// The plan of an unfinished migration of the same content whose resource is gone and that nobody is at work on.
    fn left_unfinished(&self, run: &Run, content: &str) -> Option<Arc<Plan>> {
        let standing = |migration: &&Migration| {
            migration.ending == Ending::Running
                && migration.entries.iter().any(|entry| entry.standing != Standing::Undone)
        };
        let last = self.database.journal.iter().rfind(standing)?;
        let plan = self.cluster.plans.get(&last.digest).filter(|plan| plan.content_digest == content)?;
        let lives = last.owner != run.name() && self.cluster.migrations.contains_key(last.owner.as_str());
        (!lives && self.database.fence.is_none()).then(|| plan.clone())
    }
}
