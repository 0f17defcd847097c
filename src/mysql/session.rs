//! The facade of the engine: a session holds the fence of a schema and carries a plan's sections out under it, proves, undoes and
//! ends. Every call can be repeated after any interruption, by this session or by the next one.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;

use super::barrier::LastReading;
use super::connection::{Connection, SessionLimits, Target};
use super::error::{Cause, Error};
use super::fence::{self, Fence, Taken};
use super::goal::{Goal, Standing};
use super::journal::{Journal, OperationState, unfinished};
use super::lending::Lent;
use super::observe::{CountedBefore, observe};
use super::replicas::{Replicas, Watched};
use super::report::{MigrationOutcome, OperationReport, Proof, SectionReport, UndoReport};
use super::section::{run_section, stopping_at};
use super::work::{Allowance, Progress, Settings, Stop};
use super::{drift, failpoints, operations, proof, put_back, undo, work_table};
use crate::plan::identifier::Identifier;
use crate::plan::model::{Action, PLAN_FORMAT, Section};
use crate::plan::{Operation, Plan};

/// The context of a running operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work<'a> {
    /// Limits.
    pub(crate) settings: &'a Settings,
    /// The whole plan.
    pub(crate) plan: &'a Plan,
    /// The journal of this migration.
    pub(crate) journal: &'a Journal,
    /// What people have allowed.
    pub(crate) allowance: Allowance,
    /// Where to report.
    pub(crate) progress: &'a Progress,
    /// The sign to stop, also given when the fence is lost.
    pub(crate) stop: &'a Stop,
    /// When the barrier last read the list of transactions.
    pub(crate) last_reading: &'a LastReading,
    /// The replicas.
    pub(crate) replicas: &'a Watched,
    /// What was counted a moment ago.
    pub(crate) counted: &'a CountedBefore,
}

impl Work<'_> {
    /// Opens a connection to the server that holds the fence.
    ///
    /// # Errors
    /// When it cannot be opened, or another server answers.
    pub(crate) async fn connect(&self, limits: SessionLimits) -> Result<Connection, Error> {
        self.journal.connect(limits).await
    }

    /// Lends a connection to the server that holds the fence, for a short reading.
    ///
    /// # Errors
    /// When none can be opened, or another server answers.
    pub(crate) async fn lend(&self) -> Result<Lent, Error> {
        self.journal.lend().await
    }

    /// Refuses an operation that is expected to last longer than work may go on.
    ///
    /// # Errors
    /// [`Cause::TimeTooShort`].
    pub(crate) fn check_time_for(&self, operation: &Operation) -> Result<(), Error> {
        let Some(until) = self.allowance.until else { return Ok(()) };
        let expected = Duration::from_millis(operation.estimate.milliseconds);
        let left = Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or(Duration::ZERO);
        if expected <= left {
            return Ok(());
        }
        Err(Error::new(
            Cause::TimeTooShort,
            format!(
                "{} on {} is expected to take {} s, and the window closes at {until}: it waits for the next one; where none is long \
                 enough, lengthen the window in spec.gates",
                operation.id,
                operation.action.table(),
                expected.as_secs().max(1)
            ),
        ))
    }

    /// Waits, unless a stop is asked for meanwhile.
    ///
    /// # Errors
    /// [`Cause::Stopped`].
    pub(crate) async fn pause(&self, duration: Duration) -> Result<(), Error> {
        tokio::select! {
            () = tokio::time::sleep(duration) => Ok(()),
            () = self.stop.0.cancelled() => {
                Err(Error::new(Cause::Stopped, "stopped at a safe point, as asked; what was done is recorded"))
            }
        }
    }
}

/// The engine for one server.
#[derive(Debug, Clone)]
pub struct Engine {
    /// The server.
    pub target: Target,
    /// Limits.
    pub settings: Settings,
    /// Its replicas that are watched.
    pub replicas: Replicas,
}

/// A migration in the hands of this process: the fence is held and the journal is open. Dropping it gives the fence back and
/// leaves the journal as it is.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    plan: Plan,
    journal: Journal,
    fence: Fence,
    last_reading: LastReading,
    replicas: Watched,
    counted: CountedBefore,
}

/// All schemas that a plan's statements change, in the order in which their fences are taken.
fn schemas(plan: &Plan) -> Vec<Identifier> {
    let mut schemas: BTreeSet<Identifier> =
        plan.operations.iter().map(|operation| operation.action.table().schema.clone()).collect();
    schemas.insert(plan.schema.clone());
    schemas.into_iter().collect()
}

impl Engine {
    /// Who holds the fence of a schema: user, host and connection.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn fence_holder(&self, schema: &Identifier) -> Result<Option<String>, Error> {
        let mut connection = self.target.connect(SessionLimits::default()).await?;
        let holder = fence::holder(&mut connection, &fence::fence_name(schema)).await?;
        connection.close().await?;
        Ok(holder)
    }

    /// Looks whether an unfinished migration of another plan has changed something of the plan's schema; changes nothing.
    ///
    /// # Errors
    /// [`Cause::LockHeld`] with the way to its end.
    pub async fn check_unfinished(&self, plan: &Plan) -> Result<(), Error> {
        let mut connection = self.target.connect(SessionLimits::default()).await?;
        unfinished::check(&self.settings.journal, plan, None, &mut connection).await?;
        connection.close().await
    }

    /// The same, and that nobody holds the fence of the schema. For a migration that does not hold it itself; changes nothing.
    ///
    /// # Errors
    /// [`Cause::LockHeld`] with who is at work, or the way to the end of what was left.
    pub async fn check_turn(&self, plan: &Plan) -> Result<(), Error> {
        let mut connection = self.target.connect(SessionLimits::default()).await?;
        let holder = fence::holder(&mut connection, &fence::fence_name(&plan.schema)).await?;
        unfinished::check(&self.settings.journal, plan, holder.as_deref(), &mut connection).await?;
        connection.close().await
    }

    /// Takes the fence, opens the journal, and starts the plan's migration or takes an unfinished one of the same plan over, or one that
    /// is complete: it stays so unless something is changed.
    /// `owner` names the migration in messages to others.
    ///
    /// # Errors
    /// [`Cause::LockHeld`] naming who works on the schema, [`Cause::Drifted`] when the tables are not what the plan or the journal
    /// says, [`Cause::UnknownFormat`] for a plan or journal of another format.
    pub async fn begin(&self, owner: &str, plan: &Plan) -> Result<Session, Error> {
        if plan.format != PLAN_FORMAT {
            return Err(Error::new(
                Cause::UnknownFormat,
                format!("the plan has format {}, this version executes {PLAN_FORMAT} only: plan anew", plan.format),
            ));
        }
        let schemas = schemas(plan);
        let mut taken = Taken::take(&self.target, &schemas).await?;
        let journal = Journal::open(&self.target, &self.settings.journal, plan, owner, &mut taken.connection).await?;
        let fence = taken.watch(&schemas).await?;
        let session = Session {
            settings: self.settings.clone(),
            plan: plan.clone(),
            journal,
            fence,
            last_reading: LastReading::default(),
            replicas: Watched::new(&self.replicas),
            counted: CountedBefore::default(),
        };
        match Box::pin(session.settle()).await {
            Ok(()) => {
                if session.journal.resumed() {
                    session.remove_work_tables().await;
                }
                Ok(session)
            }
            Err(error) => {
                if !session.journal.resumed() && error.cause == Cause::Drifted {
                    // Nothing was changed, so nothing is left to finish.
                    session.finish(MigrationOutcome::RolledBack).await?;
                } else if let Err(release) = session.release().await {
                    tracing::warn!(error = %release, "the fence could not be given back; the server does so when its connection ends");
                }
                Err(error)
            }
        }
    }
}

impl Session {
    pub(super) fn work<'a>(&'a self, allowance: Allowance, progress: &'a Progress, stop: &'a Stop) -> Work<'a> {
        Work {
            settings: &self.settings,
            plan: &self.plan,
            journal: &self.journal,
            allowance,
            progress,
            stop,
            last_reading: &self.last_reading,
            replicas: &self.replicas,
            counted: &self.counted,
        }
    }

    /// Carries work out as long as the fence is held; `stop` is the sign that the work itself watches.
    pub(super) async fn fenced<T>(
        &self,
        stop: &Stop,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.fence.check()?;
        tokio::pin!(work);
        let result = tokio::select! {
            result = &mut work => result,
            () = self.fence.lost().cancelled() => {
                stop.0.cancel();
                work.await
            }
        };
        match result {
            Err(error) if self.fence.lost().is_cancelled() => {
                tracing::warn!(error = %error, "work ended because the fence was lost");
                Err(fence::lost_error())
            }
            result => result,
        }
    }

    /// Brings journal and catalogue together before anything is done: a new migration must find the tables as planned, one that
    /// was taken over learns which announced changes happened.
    async fn settle(&self) -> Result<(), Error> {
        let (progress, stop) = (Progress::new().0, Stop::default());
        let work = self.work(Allowance::default(), &progress, &stop);
        if !self.journal.resumed() {
            return drift::check(&work).await;
        }
        if put_back::settle(&work).await? {
            return Ok(());
        }
        for record in self.journal.read_operations().await? {
            if record.state != OperationState::Intended {
                continue;
            }
            let Some(goal) = Goal::of(&record.operation.action) else { continue };
            let catalogue = observe(&work, &goal.tables()).await?;
            let standing = goal.standing(&catalogue);
            let id = &record.operation.id;
            let now = catalogue.table(record.operation.action.table()).map(|table| table.create_statement.as_str());
            match standing {
                Standing::Contradicted(found) => {
                    return Err(Error::new(
                        Cause::Drifted,
                        format!("{id} was announced when the work was interrupted, and now {found}"),
                    ));
                }
                Standing::NotReached if now != record.before_image.as_deref() => {
                    let difference =
                        undo::difference(record.before_image.as_deref().unwrap_or_default(), now.unwrap_or_default());
                    return Err(Error::new(
                        Cause::Drifted,
                        format!(
                            "{id} was announced when the work was interrupted, but its table changed in another way: {difference}"
                        ),
                    ));
                }
                // A key is done only once it is validated: the section goes on there.
                Standing::Reached if matches!(record.operation.action, Action::AddForeignKey { .. }) => {}
                Standing::Reached => {
                    let made = drift::made(&record.operation.action, now.unwrap_or_default());
                    let report = OperationReport { made, ..operations::settled(id) };
                    self.journal.complete(id, &operations::json(&report)?).await?;
                }
                Standing::NotReached => {}
            }
        }
        Ok(())
    }

    /// Whether everything that comes before a section is done on this server, too.
    ///
    /// # Errors
    /// [`Cause::Drifted`] naming what is not, [`Cause::FenceLost`] once the fence is lost, or what the server answers.
    pub async fn check_done_before(&self, section: Section, stop: &Stop) -> Result<(), Error> {
        let stop = Stop(stop.0.child_token());
        let records = self.fenced(&stop, Box::pin(stop.reading(self.journal.read_operations()))).await?;
        drift::check_done_before(&self.plan, &records, section)
    }

    /// Carries a section out. What is done already is verified and skipped.
    ///
    /// # Errors
    /// What its operations meet; [`Cause::FenceLost`] once the fence is lost.
    pub async fn run(
        &self,
        section: Section,
        allowance: Allowance,
        progress: &Progress,
        stop: &Stop,
    ) -> Result<SectionReport, Error> {
        let stop = Stop(stop.0.child_token());
        let work = self.work(allowance, progress, &stop);
        let section = Box::pin(run_section(work, section));
        self.fenced(&stop, stopping_at(allowance.until, &stop, section)).await
    }

    /// Proves every key, unique constraint and expectation of the plan.
    ///
    /// # Errors
    /// [`Cause::VerificationFailed`] with everything that does not hold.
    pub async fn prove(&self, progress: &Progress, stop: &Stop) -> Result<Proof, Error> {
        let stop = Stop(stop.0.child_token());
        let work = self.work(Allowance::default(), progress, &stop);
        failpoints::before("the proof");
        let proof = self.fenced(&stop, Box::pin(async move { proof::prove(&work).await })).await?;
        failpoints::after("the proof");
        Ok(proof)
    }

    /// Takes everything back that the journal says this migration did, newest first, and compares every touched table with its
    /// before-image.
    ///
    /// # Errors
    /// [`Cause::RollbackIncomplete`] with the list of what remains; called again it goes on from there.
    pub async fn undo(&self, progress: &Progress, stop: &Stop) -> Result<UndoReport, Error> {
        let stop = Stop(stop.0.child_token());
        let work = self.work(Allowance::default(), progress, &stop);
        self.fenced(&stop, Box::pin(async move { undo::undo(&work).await })).await
    }

    /// Removes lists of rows that a crash or a stop left behind. Nothing depends on it: one that is still in use by a statement
    /// of an earlier session stays for the end, or for the purge.
    async fn remove_work_tables(&self) {
        let removing = async {
            let operations: Vec<Operation> =
                self.journal.read_operations().await?.into_iter().map(|record| record.operation).collect();
            let mut connection = self.journal.connect(SessionLimits::default()).await?;
            self.fence.check()?;
            let prefix = self.journal.table("work_")?;
            work_table::remove_leftovers(&mut connection, &prefix, self.journal.migration(), &operations).await?;
            connection.close().await
        };
        if let Err(error) = removing.await {
            tracing::warn!(%error, "work tables that were left behind could not be removed; the end of the migration or a purge does it");
        }
    }

    /// Removes what was restored of a backup and not put in place. Nothing depends on it.
    async fn remove_unused_restore(&self) {
        let (progress, stop) = (Progress::new().0, Stop::default());
        let work = self.work(Allowance::default(), &progress, &stop);
        if let Err(error) = Box::pin(put_back::remove_unused(&work)).await {
            tracing::warn!(%error, "what was restored of the backup and is not needed could not be removed; drop its schema by hand");
        }
    }

    /// Whether an operation was announced that is not taken back: from then on a failure needs the rollback.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn changed_anything(&self) -> Result<bool, Error> {
        Ok(self.journal.read_operations().await?.iter().any(|record| record.state != OperationState::Undone))
    }

    /// The id under which journal and quarantine know the migration.
    #[must_use]
    pub fn migration(&self) -> &str {
        self.journal.migration()
    }

    /// The server that the fence was taken on.
    #[must_use]
    pub fn server_uuid(&self) -> &str {
        self.journal.server_uuid()
    }

    /// Whether an unfinished migration was taken over.
    #[must_use]
    pub fn resumed(&self) -> bool {
        self.journal.resumed()
    }

    /// Records how the migration ended and gives the fence back.
    ///
    /// # Errors
    /// When the end cannot be recorded; the fence is given back even then.
    pub async fn finish(self, outcome: MigrationOutcome) -> Result<(), Error> {
        self.remove_work_tables().await;
        if outcome != MigrationOutcome::Failed {
            self.remove_unused_restore().await;
        }
        let recorded = self.journal.finish(outcome).await;
        self.journal.close_idle().await;
        self.replicas.close().await;
        if let Err(error) = self.fence.release().await {
            // What is recorded has ended: done again, it would find its own work and take it for somebody else's.
            tracing::warn!(%error, "the fence could not be given back; the server does so when its connection ends");
        }
        recorded
    }

    /// Gives the fence back and leaves the migration unfinished.
    ///
    /// # Errors
    /// When the fence was lost before.
    pub async fn release(self) -> Result<(), Error> {
        self.journal.close_idle().await;
        self.replicas.close().await;
        self.fence.release().await
    }
}
