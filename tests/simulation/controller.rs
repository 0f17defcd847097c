//! The controller's processes: a pass in its steps as `src/controller/reconcile.rs` takes them, with the real `decide` and `project`, and
//! what a process remembers as `src/controller/tasks.rs` does. Between any two steps others may act, and the process may die.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use holdfast::api::conditions::{find, is_true};
use holdfast::api::gates::GatedPhase;
use holdfast::api::status::{JobPurpose, JobState};
use holdfast::api::{ConditionType, FINALIZER, Reason, SchemaMigration, SchemaMigrationStatus};
use holdfast::backup::rehearsed::End;
use holdfast::controller::decide::decide;
use holdfast::controller::decision::{Effect, JobRequest};
use holdfast::controller::evidence::OwnEvidence;
use holdfast::controller::gates;
use holdfast::controller::observed::{JobView, Observed, Policies, StoredPlan, Task, TaskState, Trouble};
use holdfast::controller::project::project;
use holdfast::controller::reconcile::{is_there_again, next_pass};
use holdfast::controller::retention;
use holdfast::controller::volume_snapshot::SnapshotView;
use jiff::{SignedDuration, Timestamp};

use crate::cluster::{Fate, Job, Refused};
use crate::defects::{self, Defect};
use crate::engine::Run;
use crate::plans::{self, NAMES};
use crate::world::{Memory, World};

/// Why a pass came to no end.
pub(crate) enum Broken {
    /// The process died.
    Died,
    /// The API server refused or did not answer.
    Refused(Refused),
}

impl From<Refused> for Broken {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl World {
    /// One pass of a process over a migration.
    pub(crate) fn pass(&mut self, process: usize, which: usize) {
        let life = self.processes[process].life;
        self.processes[process].passing[which] = true;
        self.passes += 1;
        let before = self.moment;
        let again = match self.try_pass(process, which, life) {
            Ok(again) => again.max(Duration::from_millis(50)),
            Err(Broken::Refused(Refused::Conflict)) => Duration::from_millis(200),
            Err(Broken::Refused(_)) => Duration::from_secs(5),
            Err(Broken::Died) => return,
        };
        // A process may be slow, and what waits for hours need not be looked at every 30 seconds.
        let idle = self.moment == before && again > Duration::from_secs(1);
        let again = if idle { again.saturating_mul(self.rng.u32(1..30)) } else { again };
        let process = &mut self.processes[process];
        process.passing[which] = false;
        process.wakes[which] = self.now + SignedDuration::try_from(again).unwrap();
    }

    /// Between two steps of a pass: others act, the process dies.
    fn between(&mut self, process: usize, life: u32) -> Result<(), Broken> {
        if self.faults {
            if self.depth == 0 && self.chance(12) {
                self.depth += 1;
                for _ in 0..self.rng.usize(1..8) {
                    self.something();
                }
                self.depth -= 1;
            }
            if self.chance(400) {
                self.crash(process);
            }
        }
        if self.processes[process].life == life { Ok(()) } else { Err(Broken::Died) }
    }

    pub(crate) fn call(&mut self) -> Result<(), Refused> {
        if self.faults && self.chance(300) { Err(Refused::NoAnswer) } else { Ok(()) }
    }

    fn try_pass(&mut self, process: usize, which: usize, life: u32) -> Result<Duration, Broken> {
        let long = Duration::from_secs(3600);
        self.call()?;
        self.abandon(process);
        let Some(migration) = self.cluster.migrations.get(NAMES[which]).cloned() else { return Ok(long) };
        if !self.processes[process].leads {
            return Ok(long);
        }
        self.between(process, life)?;
        let now = self.now;
        let observed = self.observe(process, life, &migration, now)?;
        let mut observed = defects::looked_at(self.defect, &migration, observed, now);
        if is_there_again(&migration, &observed) {
            self.memory(process, &migration).trouble = None;
            observed.trouble = None;
        }
        let decision = decide(&defects::seen(self.defect, &migration), &observed, now);
        let decision = defects::decided(self.defect, decision, now);
        let fresh = SchemaMigrationStatus::default();
        let before = migration.status.as_ref().unwrap_or(&fresh);
        let after = project(&migration, &observed, &decision, now);
        let after = defects::projected(self.defect, before, after);
        let again = next_pass(&decision, &observed, *before != after);
        self.between(process, life)?;
        let written = if *before == after && migration.status.is_some() {
            self.still[which] += 1;
            migration.clone()
        } else {
            self.call()?;
            let checked = self.defect != Some(Defect::ConflictIgnored);
            match self.cluster.replace_status(NAMES[which], &migration, after, checked) {
                Ok(written) => {
                    self.moment += 1;
                    self.still[which] = 0;
                    let status = written.status.as_ref().unwrap_or(&fresh);
                    self.tell(|| {
                        let message = status.message.as_deref().unwrap_or_default();
                        format!("process {process} writes {}: {:?}: {message}", NAMES[which], status.phase)
                    });
                    self.status_written(which, &written, before);
                    self.call()?;
                    written
                }
                Err(Refused::Conflict) if self.defect == Some(Defect::StaleTrusted) => migration.clone(),
                Err(refused) => {
                    self.tell(|| format!("process {process} cannot write {}: {refused:?}", NAMES[which]));
                    return Err(refused.into());
                }
            }
        };
        self.between(process, life)?;
        if decision.effect != Effect::None {
            self.moment += 1;
            self.tell(|| format!("process {process} for {}: {:?}", NAMES[which], decision.effect));
            self.effect_begins(&migration, &decision.effect, now);
            self.execute(process, which, &written, &decision.effect)?;
        }
        Ok(again)
    }

    /// What `src/controller/observe.rs` gathers, in its order.
    fn observe(
        &mut self,
        process: usize,
        life: u32,
        migration: &SchemaMigration,
        now: Timestamp,
    ) -> Result<Observed, Broken> {
        let uid = migration.metadata.uid.clone().unwrap_or_default();
        let fresh = SchemaMigrationStatus::default();
        let status = migration.status.as_ref().unwrap_or(&fresh);
        let over = is_true(&status.conditions, ConditionType::Finished);
        let memory = self.processes[process].memory.entry(uid.clone()).or_default();
        let task = match (&memory.run, &memory.outcome) {
            (Some(run), _) => TaskState::Running(run.task, run.reading.clone()),
            (None, Some((task, outcome))) => TaskState::Ended(*task, outcome.clone()),
            (None, None) => TaskState::Idle,
        };
        let advanced = memory.advanced(now);
        let in_use = memory.run.as_ref().is_some_and(Run::in_session);
        let mut observed = Observed {
            refusals: gates::problems(migration, now),
            missing: None,
            content_digest: None,
            plan: StoredPlan::None,
            task,
            session: in_use || memory.session.is_some(),
            trouble: memory.trouble,
            advanced,
            jobs: BTreeMap::new(),
            snapshot: SnapshotView::NotAsked,
            approvals: Vec::new(),
            policies: Policies::NotRequired,
            required_gates: Vec::<GatedPhase>::new(),
            evidence: Vec::new(),
            own_evidence: OwnEvidence::NotAsked,
        };
        let purge = retention::purges(migration, now);
        let deleted = migration.metadata.deletion_timestamp.is_some();
        if (over && !purge) || deleted {
            for job in status.jobs.iter().filter(|job| !deleted && retention::is_removing(job)) {
                let name = defects::job_name(self.defect, &job.name, life);
                observed.jobs.insert(job.name.clone(), self.cluster.view(&name, &uid, now));
            }
            return Ok(observed);
        }
        self.call()?;
        let at_work = matches!(observed.task, TaskState::Running(..));
        match &self.cluster.missing {
            _ if at_work => {}
            Some(missing) => observed.missing = Some(missing.clone()),
            None => observed.content_digest = Some(self.content_digest(migration)),
        }
        observed.snapshot = self.seen_snapshot(migration, status)?;
        if let Some(plan) = &status.plan {
            observed.plan = StoredPlan::Loaded(self.cluster.plans[&plan.digest].clone());
        }
        observed.evidence = self.found_evidence(migration, status);
        observed.own_evidence = self.own_evidence(migration, status, &observed.task);
        self.between(process, life)?;
        for job in &status.jobs {
            if job.finished.is_none() || job.uid.is_some() {
                let name = defects::job_name(self.defect, &job.name, life);
                observed.jobs.insert(job.name.clone(), self.cluster.view(&name, &uid, now));
            }
        }
        self.between(process, life)?;
        let name = migration.metadata.name.as_deref().unwrap_or_default();
        let named = self.cluster.approvals.iter().filter(|approval| approval.spec.migration_ref.name == name);
        observed.approvals = named.cloned().collect();
        observed.policies = if at_work { Policies::NotRead } else { self.cluster.policies.clone() };
        Ok(observed)
    }

    fn memory(&mut self, process: usize, migration: &SchemaMigration) -> &mut Memory {
        let uid = migration.metadata.uid.clone().unwrap_or_default();
        self.processes[process].memory.entry(uid).or_default()
    }

    fn execute(
        &mut self,
        process: usize,
        which: usize,
        migration: &Arc<SchemaMigration>,
        effect: &Effect,
    ) -> Result<(), Broken> {
        let now = self.now;
        if effect.reaches_out() && self.defect != Some(Defect::LeaseTrusted) {
            self.call()?;
            if self.holder != process {
                self.tell(|| format!("process {process} finds that it does not lead any more"));
                return Err(Refused::NotLeading.into());
            }
        }
        if effect.reaches_out() && self.holder != process {
            let text = format!("process {process} does not lead and begins {effect:?} for {}", NAMES[which]);
            self.violated(text);
        }
        match effect {
            Effect::None => {}
            Effect::AddFinalizer => {
                let mut finalizers = migration.metadata.finalizers.clone().unwrap_or_default();
                finalizers.push(FINALIZER.to_owned());
                self.call()?;
                self.cluster.set_finalizers(NAMES[which], migration, finalizers)?;
                self.wake(which);
            }
            Effect::StartTask(task, allowance) => {
                let memory = self.memory(process, migration);
                if memory.run.is_none() && memory.outcome.is_none() {
                    let session = match task {
                        Task::Section(_) | Task::Prove | Task::Undo | Task::PrepareRestore(_) | Task::PutBack => {
                            memory.session.take()
                        }
                        _ => None,
                    };
                    memory.run = Some(Run::new(*task, *allowance, migration.clone(), session));
                    memory.started = Some(now);
                }
            }
            Effect::StopTask => {
                if let Some(run) = &mut self.memory(process, migration).run {
                    run.stop = true;
                }
            }
            Effect::ForgetTask(task) => {
                let memory = self.memory(process, migration);
                if let Some((ended, outcome)) = &memory.outcome
                    && ended == task
                {
                    if outcome.is_ok() {
                        memory.trouble = None;
                    }
                    memory.outcome = None;
                }
            }
            Effect::NoteTrouble => self.note_trouble(process, migration, false),
            Effect::NoteDrift => self.note_trouble(process, migration, true),
            Effect::EndTrouble => self.memory(process, migration).trouble = None,
            Effect::CreateJob(request) => self.create_job(process, which, migration, request)?,
            Effect::DeleteJob(name) => {
                self.call()?;
                let name = defects::job_name(self.defect, name, self.processes[process].life);
                self.cluster.jobs.remove(&name);
                self.wake(which);
            }
            Effect::CreateVolumeSnapshot(name) => self.create_snapshot(migration, name)?,
            Effect::WriteEvidence(document) => {
                self.call()?;
                self.write_evidence(migration, document)?;
                self.call()?;
            }
            Effect::Release => self.release(process, which, migration)?,
        }
        Ok(())
    }

    /// As `Tasks::note_trouble` and `Tasks::note_drift`.
    fn note_trouble(&mut self, process: usize, migration: &SchemaMigration, drift: bool) {
        let now = self.now;
        let memory = self.memory(process, migration);
        let mut before = memory.trouble;
        let advanced = memory.advanced(now);
        if memory.outcome.take().is_some() && advanced {
            before = None;
        }
        let tries = before.map_or(0, |trouble| trouble.tries).saturating_add(1);
        let pause = SignedDuration::from_secs(2_i64.saturating_mul(1 << tries.min(5)).min(30));
        let since = if drift { now } else { before.map_or(now, |trouble| trouble.since) };
        memory.trouble = Some(Trouble { since, tries, next: now + pause });
    }

    fn create_job(
        &mut self,
        process: usize,
        which: usize,
        migration: &SchemaMigration,
        request: &JobRequest,
    ) -> Result<(), Broken> {
        let (name, purpose) = match request {
            JobRequest::Backup { name, .. } => (name, JobPurpose::Backup),
            JobRequest::VerifyBackup { name, .. } => (name, JobPurpose::VerifyBackup),
            JobRequest::Rehearse { name, .. } => (name, JobPurpose::Rehearse),
            JobRequest::RemoveBackups { name, .. } => (name, JobPurpose::RemoveBackups),
            JobRequest::RestoreTables { name, .. } => (name, JobPurpose::RestoreBackup),
            JobRequest::User { name, purpose, .. } => (name, *purpose),
        };
        self.call()?;
        let owner = migration.metadata.uid.clone().unwrap_or_default();
        let stored = defects::job_name(self.defect, name, self.processes[process].life);
        if self.cluster.jobs.contains_key(&stored) {
            return Ok(());
        }
        // The garbage collector takes what belongs to nobody.
        let there = self.cluster.migrations.values().any(|object| object.metadata.uid.as_ref() == Some(&owner));
        if !there {
            return Ok(());
        }
        let fate = match self.rng.u32(0..40) {
            0 | 1 if self.faults => Fate::Fails,
            2 if self.faults => Fate::NeverStarts,
            _ => Fate::Succeeds,
        };
        let ends = self.now + SignedDuration::from_secs(self.rng.i64(1..120));
        let rehearsal = self.rehearsal(&owner, request);
        let uid = self.cluster.new_uid();
        let job = Job { uid, owner, purpose, made: self.now, ends, fate, over: false, rehearsal };
        self.job_made(migration, name, &job);
        if let JobRequest::RestoreTables { schema, .. } = request {
            self.restores_into(&stored, schema);
        }
        self.cluster.jobs.insert(stored, job);
        self.wake(which);
        Ok(self.call()?)
    }

    /// What a Job rehearses, and how that will end: a backup holds the tables as they were when it was made.
    fn rehearsal(&mut self, owner: &str, request: &JobRequest) -> Option<(String, End)> {
        let (plan, backup) = match request {
            JobRequest::Backup { attempt, .. } => {
                let tables = plans::definition(&self.database.objects);
                self.cluster.backups.insert((owner.to_owned(), *attempt), tables);
                self.copied(owner, *attempt);
                return None;
            }
            JobRequest::VerifyBackup { plan, attempt, .. } => (plan.clone()?, *attempt),
            JobRequest::Rehearse { plan, attempt, .. } => (plan.clone(), *attempt),
            JobRequest::RestoreTables { .. } | JobRequest::RemoveBackups { .. } | JobRequest::User { .. } => {
                return None;
            }
        };
        let planned = self.cluster.plans.get(&plan).and_then(|plan| plan.tables.values().next().cloned());
        let end = match self.rng.u32(0..30) {
            _ if planned.as_ref() != self.cluster.backups.get(&(owner.to_owned(), backup)) => {
                End::OtherCatalogue("other tables".to_owned())
            }
            0 if self.faults => End::Interrupted,
            1 if self.faults => End::Failed { step: None, operation: None, message: "a test failed".to_owned() },
            _ => End::Passed { note: None },
        };
        Some((plan, end))
    }

    fn release(&mut self, process: usize, which: usize, migration: &SchemaMigration) -> Result<(), Broken> {
        let jobs = migration.status.iter().flat_map(|status| &status.jobs);
        let uid = migration.metadata.uid.clone().unwrap_or_default();
        for job in jobs {
            self.call()?;
            let name = defects::job_name(self.defect, &job.name, self.processes[process].life);
            let runs = matches!(self.cluster.view(&name, &uid, self.now), JobView::Running { .. });
            if job.state == JobState::Running || (job.state == JobState::Failed && runs) {
                self.cluster.jobs.remove(&name);
            }
        }
        if let Some(memory) = self.processes[process].memory.remove(&uid) {
            if let Some(session) = memory.session {
                self.database.disconnect(session.connection);
            }
            if memory.run.is_some() {
                self.violated(format!("{} is released while a task runs", NAMES[which]));
            }
        }
        let finalizers = migration.metadata.finalizers.clone().unwrap_or_default();
        if finalizers.iter().any(|each| each == FINALIZER) {
            self.call()?;
            let rest = finalizers.into_iter().filter(|each| each != FINALIZER).collect();
            self.cluster.set_finalizers(NAMES[which], migration, rest)?;
            self.wake(which);
        }
        Ok(())
    }

    /// Ends what a process holds for migrations that are not there any more.
    fn abandon(&mut self, process: usize) {
        let there: Vec<_> = self.cluster.migrations.values().filter_map(|object| object.metadata.uid.clone()).collect();
        let memory = &mut self.processes[process].memory;
        let mut given_back = Vec::new();
        memory.retain(|uid, held| {
            if there.contains(uid) {
                return true;
            }
            held.abandoned = true;
            if let Some(run) = &mut held.run {
                run.stop = true;
                return true;
            }
            given_back.extend(held.session.take());
            false
        });
        for session in given_back {
            self.database.disconnect(session.connection);
        }
    }

    /// One step of the tasks of a process; whether there was one.
    pub(crate) fn task_step(&mut self, process: usize) -> bool {
        let memory = &self.processes[process].memory;
        let running: Vec<String> =
            memory.iter().filter(|(_, memory)| memory.run.is_some()).map(|(uid, _)| uid.clone()).collect();
        if running.is_empty() {
            return false;
        }
        let uid = running[self.rng.usize(0..running.len())].clone();
        let Some(mut run) = self.processes[process].memory.get_mut(&uid).and_then(|memory| memory.run.take()) else {
            return false;
        };
        self.moment += 1;
        let before = run.reading.clone();
        let ended = self.step(process, &mut run);
        let which = self.cluster.migrations.values().position(|object| object.metadata.uid.as_ref() == Some(&uid));
        let called = ended.is_some() || before != run.reading;
        if let Some(ended) = &ended {
            let text = match ended {
                Ok(_) => "done".to_owned(),
                Err(error) => format!("{:?}: {error}", error.cause),
            };
            self.tell(|| format!("process {process}: {:?} ended: {text}", run.task));
        }
        let memory = self.processes[process].memory.entry(uid).or_default();
        match ended {
            None => memory.run = Some(run),
            Some(ended) => {
                if run.in_session() {
                    memory.session = run.session;
                }
                memory.outcome = Some((run.task, ended.map_err(Arc::new)));
            }
        }
        if self.processes[process].memory.values().any(|held| held.abandoned && held.run.is_none()) {
            self.abandon(process);
        }
        if called && let Some(place) = which {
            let name = *self.cluster.migrations.keys().nth(place).unwrap();
            self.wake(crate::world::place(name));
        }
        true
    }

    /// A process dies and is started again, without what it knew.
    pub(crate) fn crash(&mut self, process: usize) {
        self.moment += 1;
        self.tell(|| format!("process {process} dies"));
        let now = self.now;
        let dying = &mut self.processes[process];
        dying.life += 1;
        dying.passing = [false; 2];
        dying.wakes = [now; 2];
        let memory = std::mem::take(&mut dying.memory);
        for session in
            memory.into_values().filter_map(|memory| memory.run.and_then(|run| run.session).or(memory.session))
        {
            let until = now + SignedDuration::from_secs(self.rng.i64(0..60));
            self.database.orphan(session.connection, until);
        }
        // One that lost the Lease ends once it notices: now at the latest, when the holder is gone too.
        if self.processes[1 - process].leads {
            if self.holder == process {
                self.processes[1 - process].leads = false;
                self.crash(1 - process);
            } else {
                self.processes[process].leads = false;
            }
        }
    }

    /// The reason that a migration waits for.
    pub(crate) fn reason(&self, which: usize) -> Option<Reason> {
        let status = self.status(which);
        find(&status.conditions, ConditionType::Ready).and_then(|ready| Reason::from_name(&ready.reason))
    }
}
