//! The engine's tasks, one visible step at a time: what `src/mysql` and `src/controller/work.rs` do to the server, without SQL. A task
//! can be met by a fault, a stop, or the death of its process between any two steps.

use std::sync::Arc;

use holdfast::api::SchemaMigration;
use holdfast::controller::observed::{Task, TaskResult};
use holdfast::mysql::report::{OperationReport, Proof, QuarantineCounts, SectionReport, UndoReport};
use holdfast::mysql::{Allowance, Cause, Error, Reading};
use holdfast::plan::Plan;
use holdfast::plan::model::Section;
use jiff::SignedDuration;

use crate::database::{Connection, Ending, Migration, Standing};
use crate::defects::Defect;
use crate::plans::{self, Kind};
use crate::world::World;

/// The fence and the journal in the hands of a task or kept for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) connection: Connection,
    /// Place in the journal.
    pub(crate) migration: usize,
    pub(crate) epoch: u64,
    /// Whether it was complete when it was taken over: it stays so until something changes.
    pub(crate) complete: bool,
}

/// The next step of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum At {
    /// So many steps of reading are left.
    Reading(u32),
    Begin,
    Check,
    Operation(usize),
    Change(usize),
    Await(usize),
    Record(usize),
    Announce,
    Exchange,
    Exchanged,
    Close(Ending),
}

/// A task at work.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) task: Task,
    pub(crate) allowance: Allowance,
    /// The resource as it was when the task began.
    pub(crate) migration: Arc<SchemaMigration>,
    pub(crate) stop: bool,
    pub(crate) at: At,
    pub(crate) session: Option<Session>,
    pub(crate) reading: Reading,
    /// What undo has to take back, newest first; of a section, its operations.
    pub(crate) list: Vec<String>,
    result: Option<Result<TaskResult, Error>>,
    pub(crate) done: Vec<String>,
}

pub(crate) type Ended = Result<TaskResult, Error>;

pub(crate) fn error<T>(cause: Cause, message: impl Into<String>) -> Result<T, Error> {
    Err(Error::new(cause, message))
}

impl Run {
    pub(crate) fn new(
        task: Task,
        allowance: Allowance,
        migration: Arc<SchemaMigration>,
        session: Option<Session>,
    ) -> Self {
        let at = match task {
            Task::Section(_) | Task::Prove | Task::Undo | Task::PrepareRestore(_) | Task::PutBack => At::Begin,
            _ => At::Reading(2),
        };
        let (stop, reading) = (false, Reading::default());
        Self { task, allowance, migration, stop, at, session, reading, list: vec![], result: None, done: vec![] }
    }

    /// It has come to this, and closes the journal so.
    pub(crate) fn finish(&mut self, result: Ended, ending: Ending) {
        (self.result, self.at) = (Some(result), At::Close(ending));
    }

    /// Whether it works under a fence.
    pub(crate) fn in_session(&self) -> bool {
        !matches!(self.at, At::Reading(_))
    }

    pub(crate) fn digest(&self) -> String {
        let status = self.migration.status.as_ref();
        status.and_then(|status| status.plan.as_ref()).map(|plan| plan.digest.clone()).unwrap_or_default()
    }

    pub(crate) fn name(&self) -> &str {
        self.migration.metadata.name.as_deref().unwrap_or_default()
    }
}

impl World {
    /// One step of a task of a process; its result, once it has ended.
    pub(crate) fn step(&mut self, process: usize, run: &mut Run) -> Option<Ended> {
        if let At::Reading(left) = run.at {
            if run.stop {
                return Some(error(Cause::Stopped, "stopped at a safe point"));
            }
            if left > 0 && self.rng.bool() {
                run.at = At::Reading(left - 1);
                return None;
            }
            return Some(self.read(process, run));
        }
        if let At::Close(ending) = run.at {
            return Some(self.close(process, run, ending));
        }
        match self.work(process, run) {
            Ok(()) => None,
            Err(failure) => self.failed(run, failure),
        }
    }

    /// What becomes of the session when a task fails.
    fn failed(&mut self, run: &mut Run, failure: Error) -> Option<Ended> {
        match failure.cause {
            Cause::RollbackIncomplete => {
                run.at = At::Close(Ending::Failed);
                run.result = Some(Err(failure));
                None
            }
            Cause::FenceLost | Cause::Unreachable | Cause::AccessDenied => {
                if let Some(session) = run.session.take() {
                    let until = self.now + SignedDuration::from_secs(self.rng.i64(0..60));
                    self.database.orphan(session.connection, until);
                }
                Some(Err(failure))
            }
            _ => Some(Err(failure)),
        }
    }

    pub(crate) fn reach(&mut self, process: usize) -> Result<(), Error> {
        if !self.database.reachable || self.processes[process].cut_off {
            return error(Cause::Unreachable, "connection: refused");
        }
        Ok(())
    }

    pub(crate) fn planned(&self, run: &Run) -> Arc<Plan> {
        self.cluster.plans.get(&run.digest()).cloned().expect("a task runs only once its plan is stored")
    }

    /// Takes the fence and opens the journal.
    fn begin(&mut self, process: usize, run: &Run) -> Result<Session, Error> {
        if self.holder != process && self.defect != Some(Defect::LeaseTrusted) {
            return error(Cause::Stopped, "another process leads, so nothing is begun");
        }
        self.reach(process)?;
        let known = run.migration.status.as_ref().and_then(|status| status.server_uuid.clone());
        if known.is_some_and(|known| known != self.database.server) {
            return error(Cause::ServerChanged, format!("the server {} answers", self.database.server));
        }
        let ignored = self.defect == Some(Defect::LockIgnored);
        if let Some(holder) = self.database.fence.filter(|_| !ignored) {
            return error(Cause::LockHeld, format!("the fence of shop is held by connection {holder}"));
        }
        if self.database.statement.is_some() && !ignored {
            return error(Cause::LockHeld, "a schema change of an earlier session still runs on shop");
        }
        let plan = self.planned(run);
        if !ignored {
            self.settle_others(&plan)?;
        }
        let connection = self.database.connect();
        if !ignored || self.database.fence.is_none() {
            self.database.fence = Some(connection);
        }
        let own = self
            .database
            .journal
            .iter()
            .rposition(|own| own.digest == plan.digest && matches!(own.ending, Ending::Running | Ending::Failed));
        let owner = run.name().to_owned();
        let Some(place) = own else {
            let as_planned = plan.tables.values().all(|before| *before == plans::definition(&self.database.objects));
            // Proven before, and whoever proved it could not tell anybody.
            let last = (self.database.journal)
                .iter()
                .rposition(|last| last.digest == plan.digest && !last.entries.is_empty())
                .filter(|last| !as_planned && self.database.journal[*last].ending == Ending::Complete);
            if let Some(migration) = last {
                let proven = &mut self.database.journal[migration];
                (proven.epoch, proven.owner) = (proven.epoch + 1, owner);
                return Ok(Session { connection, migration, epoch: proven.epoch, complete: true });
            }
            let started = Migration {
                owner,
                digest: plan.digest.clone(),
                epoch: 1,
                ending: Ending::Running,
                entries: Vec::new(),
                exchange: self.exchanged_before(&plan.digest),
            };
            self.database.journal.push(started);
            let migration = self.database.journal.len() - 1;
            if !as_planned {
                self.database.journal[migration].ending = Ending::RolledBack;
                self.database.disconnect(connection);
                return error(Cause::Drifted, "the catalogue is not what plan and journal say");
            }
            return Ok(Session { connection, migration, epoch: 1, complete: false });
        };
        let objects = self.database.objects.clone();
        let resumed = &mut self.database.journal[place];
        (resumed.epoch, resumed.ending, resumed.owner) = (resumed.epoch + 1, Ending::Running, owner);
        for entry in &mut resumed.entries {
            if entry.standing == Standing::Intended
                && plans::kind(&entry.id) == Kind::Object
                && objects.contains(&entry.id)
            {
                entry.standing = Standing::Done;
            }
        }
        self.settle_exchange(place);
        let resumed = &self.database.journal[place];
        Ok(Session { connection, migration: place, epoch: resumed.epoch, complete: false })
    }

    /// Another plan's migration that is not finished and of which something stands.
    pub(crate) fn unfinished(&self, plan: &Plan) -> Result<(), Error> {
        let standing = |other: &&Migration| {
            other.ending == Ending::Running
                && other.digest != plan.digest
                && other.entries.iter().any(|entry| entry.standing != Standing::Undone)
        };
        match self.database.journal.iter().find(standing) {
            Some(other) => error(Cause::LockHeld, format!("the migration of {} on shop is not finished", other.owner)),
            None => Ok(()),
        }
    }

    /// Ends those of which nothing stands.
    fn settle_others(&mut self, plan: &Plan) -> Result<(), Error> {
        self.unfinished(plan)?;
        for other in self.database.journal.iter_mut().filter(|other| other.digest != plan.digest) {
            if other.ending == Ending::Running {
                other.ending = Ending::RolledBack;
            }
        }
        Ok(())
    }

    /// Whether the session may still write, as every transaction of the engine checks. What was complete is at work again then.
    pub(crate) fn write(&mut self, process: usize, run: &Run) -> Result<Session, Error> {
        self.reach(process)?;
        let Some(session) = run.session else { return error(Cause::FenceLost, "the fence was lost") };
        let held = self.database.fence == Some(session.connection);
        let current = &mut self.database.journal[session.migration];
        if held && session.complete && current.epoch == session.epoch && current.ending == Ending::Complete {
            current.ending = Ending::Running;
        }
        let ours = current.epoch == session.epoch && current.ending == Ending::Running;
        if (!ours || !held) && self.defect != Some(Defect::LockIgnored) {
            return error(Cause::FenceLost, "the fence was lost: another session has taken over");
        }
        self.database.write(session.connection, session.migration, session.epoch);
        Ok(session)
    }

    fn work(&mut self, process: usize, run: &mut Run) -> Result<(), Error> {
        match run.at.clone() {
            At::Begin => {
                if run.session.is_none() {
                    run.session = Some(self.begin(process, run)?);
                }
                run.at = At::Check;
            }
            At::Check => self.look(process, run)?,
            At::Operation(at) => match run.list.get(at).cloned() {
                None => self.all_done(run),
                Some(id) => {
                    if run.stop {
                        return error(Cause::Stopped, "stopped at a safe point, as asked");
                    }
                    run.reading.activity = id.clone();
                    (run.reading.operations_done, run.reading.operations_total) = (at as u64, run.list.len() as u64);
                    match run.task {
                        Task::Undo => self.undo_one(process, run, at, &id)?,
                        _ => self.announce(process, run, at, &id)?,
                    }
                }
            },
            At::Change(at) => {
                let id = run.list[at].clone();
                self.change(process, run, at, &id)?;
            }
            At::Await(at) => {
                let session = self.write(process, run)?;
                let running = self.database.statement.as_ref();
                if running.is_none_or(|statement| statement.connection != session.connection) {
                    run.at = At::Record(at);
                }
            }
            At::Record(at) => {
                let session = self.write(process, run)?;
                let id = run.list[at].clone();
                let undo = run.task == Task::Undo;
                let rows = if undo { self.put_back(session.migration, &id) } else { 0 };
                let entry = self.database.journal[session.migration].entry_mut(&id);
                if let Some(entry) = entry {
                    entry.standing = if undo { Standing::Undone } else { Standing::Done };
                    entry.quarantined -= rows;
                }
                self.database.changed_by(session.migration);
                run.done.push(id);
                run.at = At::Operation(at + 1);
            }
            At::Announce => self.announce_exchange(process, run)?,
            At::Exchange => self.exchange(process, run)?,
            At::Exchanged => self.record_exchange(process, run)?,
            At::Reading(_) | At::Close(_) => {}
        }
        Ok(())
    }

    fn put_back(&mut self, migration: usize, id: &str) -> u64 {
        let rows = self.database.journal[migration].entry(id).map_or(0, |entry| entry.quarantined);
        self.database.orphans[plans::table(id)] += rows;
        self.undo_puts_back(migration, rows);
        rows
    }

    /// What a task looks at under the fence before it begins.
    fn look(&mut self, process: usize, run: &mut Run) -> Result<(), Error> {
        self.reach(process)?;
        let Some(session) = run.session else { return error(Cause::FenceLost, "the fence was lost") };
        if !self.database.alive(session.connection) {
            return error(Cause::FenceLost, "the fence was lost");
        }
        let plan = self.planned(run);
        match run.task {
            Task::Section(section) => {
                self.compare(&plan, session.migration)?;
                let operations = plan.operations.iter().filter(|operation| operation.section == section);
                run.list = operations.map(|operation| operation.id.clone()).collect();
                if section == Section::CleanUp {
                    let rows: u64 = run.list.iter().map(|id| self.database.orphans[plans::table(id)]).sum();
                    self.allows(run, session, rows)?;
                }
                run.at = At::Operation(0);
            }
            Task::Prove => {
                if run.stop {
                    return error(Cause::Stopped, "stopped at a safe point, as asked");
                }
                if self.proof_fails(&run.migration) {
                    return error(Cause::VerificationFailed, "the expectation of a stage is not met: simulated");
                }
                let keys = plan.operations.iter().filter(|operation| plans::kind(&operation.id) == Kind::Key);
                for key in keys {
                    if !self.database.objects.contains(&key.id) {
                        return error(Cause::VerificationFailed, format!("key {} is not in the catalogue", key.id));
                    }
                }
                run.result = Some(Ok(TaskResult::Proven(Box::new(Proof {
                    server_uuid: self.database.server.clone(),
                    proven_at: String::new(),
                    transactions: None,
                    keys: Vec::new(),
                    uniques: Vec::new(),
                    expectations: Vec::new(),
                    sessions_without_checks: Some(0),
                    checks_off_globally: false,
                    replicas: Vec::new(),
                }))));
                run.at = At::Close(Ending::Complete);
            }
            Task::PrepareRestore(attempt) => self.prepare_restore(process, run, attempt)?,
            Task::PutBack => run.at = At::Announce,
            _ => {
                let entries = &self.database.journal[session.migration].entries;
                let standing = entries.iter().rev().filter(|entry| entry.standing != Standing::Undone);
                run.list = standing.map(|entry| entry.id.clone()).collect();
                run.at = At::Operation(0);
            }
        }
        Ok(())
    }

    /// Whether the catalogue is what plan and journal say.
    fn compare(&self, plan: &Plan, migration: usize) -> Result<(), Error> {
        let journal = &self.database.journal[migration];
        let mut own: Vec<&str> = Vec::new();
        for operation in plan.operations.iter().filter(|operation| plans::kind(&operation.id) != Kind::Rows) {
            own.push(&operation.id);
            let there = self.database.objects.contains(&operation.id);
            let standing = journal.entry(&operation.id).map(|entry| entry.standing);
            match (there, standing) {
                (false, Some(Standing::Done)) => {
                    return error(Cause::Drifted, format!("{} was done, and somebody took it back", operation.id));
                }
                (true, None | Some(Standing::Undone)) => {
                    return error(
                        Cause::Drifted,
                        format!("{} is there already, and this migration did not make it", operation.id),
                    );
                }
                _ => {}
            }
        }
        let others = self.database.objects.iter().filter(|object| !own.contains(&object.as_str()));
        let others = others.map(String::as_str).collect::<Vec<_>>().join("\n");
        if plan.tables.values().any(|before| *before != others) {
            return error(
                Cause::Drifted,
                format!("table shop.child: it has {others:?} beside what this migration made"),
            );
        }
        Ok(())
    }

    /// Whether so many rows more may be taken.
    pub(crate) fn allows(&self, run: &Run, session: Session, rows: u64) -> Result<(), Error> {
        let taken = self.database.journal[session.migration].quarantined() + rows;
        match run.allowance.max_rows {
            Some(most) if taken > most => {
                error(Cause::ApprovalExceeded, format!("cleanup needs to take {taken} rows, and {most} are approved"))
            }
            _ => Ok(()),
        }
    }

    /// All operations of the list are done.
    fn all_done(&mut self, run: &mut Run) {
        let migration = run.session.map_or(0, |session| session.migration);
        let quarantined =
            QuarantineCounts { orphans: self.database.journal[migration].quarantined(), ..Default::default() };
        if run.task != Task::Undo {
            let report = |id: &String| OperationReport {
                operation: id.clone(),
                milliseconds: 1,
                tries: 1,
                longest_try_milliseconds: 1,
                rows: None,
                found_done: false,
                made: None,
                after_image: None,
            };
            let Task::Section(section) = run.task else { return };
            run.result = Some(Ok(TaskResult::Section(SectionReport {
                section,
                server_uuid: self.database.server.clone(),
                operations: run.done.iter().map(report).collect(),
                quarantined,
            })));
            run.at = At::Close(Ending::Running);
            return;
        }
        let plan = self.planned(run);
        let same = plan.tables.values().all(|before| *before == plans::definition(&self.database.objects));
        if !same && self.defect != Some(Defect::RollbackStopsEarly) {
            let failure = error(Cause::RollbackIncomplete, "table shop.child differs from its before-image");
            (run.result, run.at) = (Some(failure), At::Close(Ending::Failed));
            return;
        }
        let undone = run.done.clone();
        let tables_compared = plan.tables.keys().cloned().collect();
        let report = UndoReport { undone, tables_compared, quarantined, ..UndoReport::default() };
        (run.result, run.at) = (Some(Ok(TaskResult::Undone(Box::new(report)))), At::Close(Ending::RolledBack));
    }

    /// Records the end in the journal and gives the fence back; a section only hands its result on.
    fn close(&mut self, process: usize, run: &mut Run, ending: Ending) -> Ended {
        let result = run.result.take().unwrap_or_else(|| error(Cause::Server, "no result"));
        if ending == Ending::Running {
            return result;
        }
        let written = self.write(process, run);
        if let Some(session) = run.session.take() {
            if written.is_ok() {
                self.database.journal[session.migration].ending = ending;
            }
            self.database.disconnect(session.connection);
        }
        match (written, result) {
            (Err(failure), Ok(_)) => Err(failure.while_doing("closing the journal")),
            (_, result) => result,
        }
    }
}
