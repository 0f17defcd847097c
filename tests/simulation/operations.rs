//! One operation of a plan, forward and back: intent, change, outcome, as `src/mysql/operations.rs` and `undo.rs` do them.

use holdfast::mysql::{Cause, Error};
use holdfast::plan::model::LockClass;
use jiff::SignedDuration;

use crate::database::{Entry, Standing, Statement};
use crate::defects::Defect;
use crate::engine::{At, Run, Session, error};
use crate::plans::{self, Kind};
use crate::world::World;

impl World {
    /// Writes the intent of an operation down.
    pub(crate) fn announce(&mut self, process: usize, run: &mut Run, at: usize, id: &str) -> Result<(), Error> {
        // What is done is only looked at.
        self.reach(process)?;
        let Some(session) = run.session else { return error(Cause::FenceLost, "the fence was lost") };
        if self.database.journal[session.migration].entry(id).is_some_and(|entry| entry.standing == Standing::Done) {
            run.done.push(id.to_owned());
            run.at = At::Operation(at + 1);
            return Ok(());
        }
        let session = self.write(process, run)?;
        if let Some(until) = run.allowance.until {
            if self.now >= until {
                return error(Cause::Stopped, "stopped at a safe point, because the window closes");
            }
            if self.now + SignedDuration::from_secs(1) > until {
                return error(Cause::TimeTooShort, format!("{id} does not fit into the window that closes at {until}"));
            }
        }
        let plan = self.planned(run);
        let copies = plan.operations.iter().any(|operation| operation.id == id && operation.lock == LockClass::Copy);
        if copies && !run.allowance.copy {
            return error(Cause::ApprovalExceeded, format!("{id} copies its table, and no approval allows a COPY"));
        }
        let exchange = self.begun_after_an_exchange(session.migration);
        let journal = &mut self.database.journal[session.migration];
        journal.exchange = exchange;
        match journal.entry_mut(id) {
            Some(entry) => entry.standing = Standing::Intended,
            None => journal.entries.push(Entry { id: id.to_owned(), standing: Standing::Intended, quarantined: 0 }),
        }
        self.database.changed_by(session.migration);
        run.at = At::Change(at);
        Ok(())
    }

    /// One step of the change itself.
    pub(crate) fn change(&mut self, process: usize, run: &mut Run, at: usize, id: &str) -> Result<(), Error> {
        let session = self.write(process, run)?;
        if self.faults && self.rng.u32(0..60) == 0 {
            let causes = [
                Cause::RetriesExhausted,
                Cause::LockWaitTimeout,
                Cause::BarrierTimeout,
                Cause::AccessDenied,
                Cause::ReplicaNotReady,
            ];
            return error(causes[self.rng.usize(0..causes.len())], "simulated");
        }
        let kind = plans::kind(id);
        let orphans = self.database.orphans[plans::table(id)];
        if kind != Kind::Object && orphans > 0 && !self.database.objects.contains(id) {
            let batch = orphans.min(2);
            self.allows(run, session, batch)?;
            self.takes_rows(run.name(), &run.digest(), batch);
            self.database.orphans[plans::table(id)] -= batch;
            if let Some(entry) = self.database.journal[session.migration].entry_mut(id) {
                entry.quarantined += batch;
            }
            return Ok(());
        }
        if kind == Kind::Rows || self.database.objects.contains(id) {
            run.at = At::Record(at);
            return Ok(());
        }
        self.start_statement(session, id, true);
        run.at = At::Await(at);
        Ok(())
    }

    fn start_statement(&mut self, session: Session, id: &str, adds: bool) {
        let ends = self.now + SignedDuration::from_secs(self.rng.i64(0..30));
        if let Some(running) = &self.database.statement {
            let text = format!("two schema changes at once: {running:?}, and {id}");
            self.database.fault(text);
        }
        self.database.statement = Some(Statement {
            connection: session.connection,
            migration: session.migration,
            object: id.to_owned(),
            adds,
            ends,
        });
    }

    /// Takes the change of one operation back.
    pub(crate) fn undo_one(&mut self, process: usize, run: &mut Run, at: usize, id: &str) -> Result<(), Error> {
        let session = self.write(process, run)?;
        if self.defect == Some(Defect::RollbackStopsEarly) && at > 0 {
            run.list.truncate(at);
            return Ok(());
        }
        if self.faults && self.rng.u32(0..80) == 0 {
            return error(Cause::RollbackIncomplete, format!("the rollback is not complete: {id}: simulated"));
        }
        if plans::kind(id) != Kind::Rows && self.database.objects.contains(id) {
            if !self.database.made_by.contains_key(id) {
                return error(Cause::RollbackIncomplete, format!("{id}: this migration did not make it so"));
            }
            self.start_statement(session, id, false);
            run.at = At::Await(at);
        } else {
            run.at = At::Record(at);
        }
        Ok(())
    }
}
