//! Backups that are put back: what each backup holds, what the application writes meanwhile and would lose, and the engine's steps from the
//! room for the backup's tables to their exchange. It draws from a generator of its own, so that histories without are what they were.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use holdfast::api::gates::{Before, GatedPhase, OnFailure};
use holdfast::api::status::{JobPurpose, JobState};
use holdfast::api::{MigrationApproval, SchemaMigration};
use holdfast::controller::decision::{Effect, JobRequest};
use holdfast::controller::observed::{Task, TaskResult};
use holdfast::mysql::loss::{Loss, TableLoss, Writes};
use holdfast::mysql::report::{PutBackReport, UndoReport};
use holdfast::mysql::{Cause, Error};
use holdfast::plan::Identifier;
use serde_json::{Value, json};

use crate::cluster::Fate;
use crate::database::{Ending, Standing};
use crate::defects::Defect;
use crate::engine::{At, Ended, Run, error};
use crate::plans;
use crate::world::World;

/// Chosen so that the histories of `regressions.txt` put no backup back: `property.rs` looks whether it is so.
const SEED: u64 = 0x5eed_0005;

/// How far an exchange is, in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Exchange {
    #[default]
    None,
    Intended,
    Done,
    /// Done, and something was begun since.
    Past,
}

/// What people answer who are asked whether so much may be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// And as many rows more than they were told.
    Approve(i64),
    Deny,
    /// Every change is to be taken back instead.
    Undo,
}

/// What a backup holds.
#[derive(Debug, Clone, Default)]
struct Copy {
    objects: BTreeSet<String>,
    orphans: [u64; 2],
    /// What the application had written by then.
    writes: u64,
}

/// The backups of this world, and what is made of them.
#[derive(Debug)]
pub(crate) struct PutBacks {
    rng: Rng,
    used: bool,
    /// By uid of the migration, and which of its backups.
    copies: BTreeMap<(String, i32), Copy>,
    /// The schema that is there for a backup's tables.
    room: Option<String>,
    /// The schema that a Job restores into, and the name of the Job.
    restores: BTreeMap<String, String>,
    /// What the application has written so far.
    writes: u64,
    /// How often it still writes once faults and people have stopped.
    late_writes: u32,
    /// Whether a connection has yet to break in the middle of an exchange.
    breaks: bool,
    /// Migrations, by their place in the journal, whose exchange has happened: what the catalogue shows.
    exchanged: BTreeSet<usize>,
}

impl PutBacks {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed ^ SEED);
        let (used, breaks) = (rng.u32(0..4) == 0, rng.bool());
        Self {
            rng,
            used,
            copies: BTreeMap::new(),
            room: None,
            restores: BTreeMap::new(),
            writes: 0,
            late_writes: 4,
            breaks,
            exchanged: BTreeSet::new(),
        }
    }

    /// Whether any migration is taken back so.
    pub(crate) fn is_used(&self) -> bool {
        self.used
    }

    /// What a person writes into the spec, if anything.
    pub(crate) fn spec(&mut self) -> Option<Value> {
        (self.used && self.rng.u32(0..4) > 0).then(|| json!({"onFailure": "RestoreBackup"}))
    }

    /// What a person changes the strategy to, if to anything.
    pub(crate) fn strategy(&mut self) -> Option<OnFailure> {
        let strategies = [OnFailure::RestoreBackup, OnFailure::RestoreBackup, OnFailure::Undo];
        (self.used && self.rng.u32(0..3) == 0).then(|| strategies[self.rng.usize(0..strategies.len())])
    }

    /// What they answer.
    pub(crate) fn answer(&mut self) -> Answer {
        let answers = [Answer::Approve(0), Answer::Approve(2), Answer::Approve(1_000_000), Answer::Deny, Answer::Undo];
        answers[self.rng.usize(0..answers.len())]
    }
}

/// An approval that nobody gave, of all that would be lost.
pub(crate) fn forged(migration: &SchemaMigration) -> Option<MigrationApproval> {
    let status = migration.status.as_ref()?;
    let loss = status.rollback.as_ref()?.put_back.as_ref()?.loss.as_ref()?;
    let approval = json!({"apiVersion": "holdfast.dev/v1alpha1", "kind": "MigrationApproval", "metadata": {"name": "forged", "creationTimestamp": "9999-01-01T00:00:00Z"},
        "spec": {"migrationRef": {"name": migration.metadata.name}, "before": {"phase": "RestoreBackup"}, "decision": "Approve",
            "planDigest": status.plan.as_ref()?.digest, "maxRows": loss.rows, "approvedBy": "nobody"}});
    serde_json::from_value(approval).ok()
}

impl World {
    /// The application writes: more often while that would be lost.
    pub(crate) fn application_writes(&mut self) {
        if !self.put_backs.used {
            return;
        }
        let lost = |migration: &SchemaMigration| {
            let rollback = migration.status.as_ref().and_then(|status| status.rollback.as_ref());
            rollback.is_some_and(|back| back.strategy == OnFailure::RestoreBackup && back.finished_at.is_none())
        };
        let losing = self.cluster.migrations.values().any(|migration| lost(migration));
        let may = self.people || (losing && self.put_backs.late_writes > 0);
        if may && self.put_backs.rng.u32(0..if losing { 6 } else { 40 }) == 0 {
            self.put_backs.writes += self.put_backs.rng.u64(1..3);
            self.put_backs.late_writes -= u32::from(!self.people);
        }
    }

    /// Whether what is done turns out not to hold, so that there is something to put a backup back for.
    pub(crate) fn proof_fails(&mut self, migration: &SchemaMigration) -> bool {
        migration.spec.rollback.on_failure == OnFailure::RestoreBackup && self.put_backs.rng.u32(0..3) > 0
    }

    /// What a person is told would be lost.
    pub(crate) fn told_loss(&self, which: usize) -> i64 {
        let rollback = self.status(which).rollback;
        rollback.and_then(|rollback| rollback.put_back?.loss).map_or(0, |loss| loss.rows)
    }

    /// The Job of a backup reads the database.
    pub(crate) fn copied(&mut self, owner: &str, attempt: i32) {
        let copy = Copy {
            objects: self.database.objects.clone(),
            orphans: self.database.orphans,
            writes: self.put_backs.writes,
        };
        self.put_backs.copies.insert((owner.to_owned(), attempt), copy);
    }

    /// A Job begins to restore.
    pub(crate) fn restores_into(&mut self, job: &str, schema: &str) {
        if self.put_backs.room.as_deref() != Some(schema) {
            self.violated(format!(
                "the Job {job} restores into {schema}, and there is room in {:?}",
                self.put_backs.room
            ));
        }
        self.put_backs.restores.insert(schema.to_owned(), job.to_owned());
    }

    fn copy_of(&self, migration: &SchemaMigration) -> Copy {
        let uid = migration.metadata.uid.clone().unwrap_or_default();
        let attempt =
            migration.status.as_ref().and_then(|status| status.backup.as_ref()).map_or(0, |backup| backup.attempt);
        self.put_backs.copies.get(&(uid, attempt)).cloned().unwrap_or_default()
    }

    /// What putting the backup back would lose now.
    pub(crate) fn loss(&self, migration: &SchemaMigration) -> Loss {
        let inserted = self.put_backs.writes - self.copy_of(migration).writes;
        let writes = Some(Writes { inserted, updated: 0, deleted: 0 });
        let table = TableLoss { table: "child".to_owned(), then: Some(0), now: Some(inserted), writes };
        Loss { tables: vec![table], uncounted: None }
    }

    /// Whether the last migration of a plan ended with its backup in place, and nothing was begun since.
    pub(crate) fn exchanged_before(&self, digest: &str) -> Exchange {
        let last = self.database.journal.iter().rfind(|last| last.digest == digest);
        let in_place = last.is_some_and(|last| last.exchange == Exchange::Done && last.ending == Ending::RolledBack);
        if in_place { Exchange::Done } else { Exchange::None }
    }

    /// What journal and catalogue say together when a migration is taken over.
    pub(crate) fn settle_exchange(&mut self, migration: usize) {
        let happened = self.put_backs.exchanged.contains(&migration);
        let journal = &mut self.database.journal[migration];
        if journal.exchange == Exchange::Intended && happened && self.defect != Some(Defect::ExchangeForgotten) {
            journal.exchange = Exchange::Done;
        }
        if journal.exchange == Exchange::Done {
            for entry in &mut journal.entries {
                (entry.standing, entry.quarantined) = (Standing::Undone, 0);
            }
        }
    }

    /// An operation begins: what of an exchange before it counts. One that another migration of the plan made is over then.
    pub(crate) fn begun_after_an_exchange(&self, migration: usize) -> Exchange {
        match self.database.journal[migration].exchange {
            Exchange::Done if self.put_backs.exchanged.contains(&migration) => Exchange::Past,
            Exchange::Done => Exchange::None,
            other => other,
        }
    }

    /// Room for the backup's tables: what is in it from before goes.
    pub(crate) fn prepare_restore(&mut self, process: usize, run: &mut Run, attempt: i32) -> Result<(), Error> {
        let session = self.write(process, run)?;
        let in_place = self.database.journal[session.migration].exchange == Exchange::Done;
        if self.database.journal[session.migration].exchange == Exchange::Past {
            return error(Cause::RollbackIncomplete, "it was put back before");
        }
        let uid = run.migration.metadata.uid.clone().unwrap_or_default();
        let schema = format!("restored-{uid}-{attempt}");
        if !in_place {
            self.put_backs.restores.remove(&schema);
            self.put_backs.room = Some(schema.clone());
        }
        run.finish(Ok(TaskResult::RestorePrepared { in_place, schema }), Ending::Running);
        Ok(())
    }

    /// Looks before the exchange, and announces it.
    pub(crate) fn announce_exchange(&mut self, process: usize, run: &mut Run) -> Result<(), Error> {
        let session = self.write(process, run)?;
        if self.database.journal[session.migration].exchange == Exchange::Done {
            run.at = At::Exchanged;
            return Ok(());
        }
        if run.stop {
            return error(Cause::Stopped, "stopped at a safe point, as asked");
        }
        let lost = self.loss(&run.migration).at_most();
        let most = run.allowance.max_rows.unwrap_or(0);
        if lost > most {
            return error(Cause::ApprovalExceeded, format!("{lost} rows would be lost, and {most} are approved"));
        }
        // What the application writes between the last count and the statement nobody can know.
        let (name, digest) = (run.name().to_owned(), run.digest());
        if lost > self.most_rows_approved_to_lose(&name, &digest) {
            self.violated(format!("{name} loses {lost} rows, more than anybody approved"));
        }
        if self.put_backs.exchanged.contains(&session.migration) {
            self.violated(format!("{name} is about to exchange its tables, and they are exchanged already"));
        }
        let room = self.put_backs.room.clone().unwrap_or_default();
        let job = self.put_backs.restores.get(&room).and_then(|name| self.cluster.jobs.get(name));
        if !job.is_some_and(|job| job.over && job.fate == Fate::Succeeds) {
            return error(Cause::RollbackIncomplete, format!("the schema {room} holds no table"));
        }
        let plan = self.planned(run);
        let copy = self.copy_of(&run.migration);
        if plan.tables.values().any(|before| *before != plans::definition(&copy.objects)) {
            return error(Cause::RollbackIncomplete, "the backup holds other tables than were planned for");
        }
        if self.faults && self.put_backs.rng.u32(0..20) == 0 {
            return error(Cause::RetriesExhausted, "no lock in 20 tries: simulated");
        }
        self.database.journal[session.migration].exchange = Exchange::Intended;
        run.at = At::Exchange;
        Ok(())
    }

    /// The statement: all tables at once.
    pub(crate) fn exchange(&mut self, process: usize, run: &mut Run) -> Result<(), Error> {
        let session = self.write(process, run)?;
        let name = run.name().to_owned();
        if !self.put_backs.exchanged.insert(session.migration) {
            self.violated(format!("{name} exchanges its tables twice"));
        }
        let copy = self.copy_of(&run.migration);
        self.database.made_by.retain(|object, _| copy.objects.contains(object));
        (self.database.objects, self.database.orphans) = (copy.objects, copy.orphans);
        self.put_backs.room = None;
        run.at = At::Exchanged;
        if std::mem::take(&mut self.put_backs.breaks) {
            return error(Cause::Unreachable, "the connection broke before the server could answer");
        }
        Ok(())
    }

    /// Records the exchange, and what it has taken back.
    pub(crate) fn record_exchange(&mut self, process: usize, run: &mut Run) -> Result<(), Error> {
        let session = self.write(process, run)?;
        self.database.journal[session.migration].exchange = Exchange::Done;
        self.settle_exchange(session.migration);
        let plan = self.planned(run);
        if plan.tables.values().any(|before| *before != plans::definition(&self.database.objects)) {
            return error(Cause::RollbackIncomplete, "the backup is in place, and is not what was planned for");
        }
        let compared = UndoReport { tables_compared: plan.tables.keys().cloned().collect(), ..UndoReport::default() };
        let report =
            PutBackReport { tables: 1, kept_tables: 1, kept_schema: Identifier::new("kept").unwrap(), compared };
        run.finish(Ok(TaskResult::PutBack(Box::new(report))), Ending::RolledBack);
        Ok(())
    }

    /// Quarantined rows are put back where they are missing, and nowhere else.
    pub(crate) fn undo_puts_back(&mut self, migration: usize, rows: u64) {
        if rows > 0 && self.put_backs.exchanged.contains(&migration) {
            self.violated(format!("{rows} rows are put back into tables of a backup that hold them already"));
        }
    }

    pub(crate) fn count_loss(&self, run: &Run) -> Ended {
        if let Some(changed) = self.changed_since(run) {
            return error(Cause::RollbackIncomplete, changed);
        }
        Ok(TaskResult::LossCounted(self.loss(&run.migration)))
    }

    fn most_rows_approved_to_lose(&self, name: &str, digest: &str) -> u64 {
        self.most_rows_approved(name, &Before::from(GatedPhase::RestoreBackup), digest).unwrap_or(0)
    }

    /// Whether a step of this way back may begin.
    pub(crate) fn put_back_begins(&mut self, migration: &SchemaMigration, effect: &Effect, digest: &str) {
        let own = matches!(
            effect,
            Effect::StartTask(Task::PrepareRestore(_) | Task::PutBack, _)
                | Effect::CreateJob(JobRequest::RestoreTables { .. })
        );
        if !own {
            return;
        }
        let name = migration.metadata.name.clone().unwrap_or_default();
        if self.most_rows_approved(&name, &Before::from(GatedPhase::RestoreBackup), digest).is_none() {
            self.violated(format!("{name} begins {effect:?} before anybody approved what is lost"));
        }
        let rollback = migration.status.as_ref().and_then(|status| status.rollback.as_ref());
        if rollback.is_none_or(|rollback| rollback.strategy != OnFailure::RestoreBackup) {
            self.violated(format!("{name} begins {effect:?}, and its changes are to be undone"));
        }
        let uid = migration.metadata.uid.clone().unwrap_or_default();
        let others = self.cluster.jobs.iter().find(|(_, job)| job.owner == uid && !job.over);
        if let Some((job, _)) = others {
            let text = format!("{name} begins {effect:?} while its Job {job} runs");
            self.violated(text);
        }
        let found = migration.status.as_ref().and_then(|status| status.rollback.as_ref()?.put_back.as_ref());
        let in_place = found.is_some_and(|put_back| put_back.in_place);
        let restored = migration.status.as_ref().is_some_and(|status| {
            status.jobs.iter().any(|job| job.purpose == JobPurpose::RestoreBackup && job.state == JobState::Succeeded)
        });
        if matches!(effect, Effect::StartTask(Task::PutBack, _)) && !restored && !in_place {
            self.violated(format!("{name} puts its backup in place, and nothing was restored"));
        }
    }
}
