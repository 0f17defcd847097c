//! What the tasks do: from the resource to the engine and back. Each may be begun anew at any time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt as _;
use tokio::sync::mpsc;

use crate::api::SchemaMigration;
use crate::api::application::{ExpectedError as ApiExpected, Probes, ScenarioStep, Tests};
use crate::api::conditions::shortened;
use crate::api::status::{TestedStatus, UnprobedKey};
use crate::mysql::checks::{self, Checks};
use crate::mysql::connection::Role;
use crate::mysql::interruption::Running;
use crate::mysql::report::MigrationOutcome;
use crate::mysql::scenarios::{ExpectedError, Scenario, Step};
use crate::mysql::session::{Engine, Session};
use crate::mysql::{Allowance, Cause, Connection, Error, Notice, Progress, SessionLimits, Stop};
use crate::plan::{Identifier, Plan};

use super::context::{Context, PassError};
use super::events::of_notice;
use super::observed::{Task, TaskResult, signed};
use super::telling::publish;
use super::{backup_counts, contention, plan_store, putting_back, reading, soak_reading, target};

/// Longest time that one of the tasks that only read may take.
const READING_DEADLINE: Duration = Duration::from_secs(24 * 3600);
/// Keys without a probe that the status names.
const MAX_UNPROBED: usize = 50;
/// Longest reason that it gives for one, in bytes.
const MAX_UNPROBED_REASON: usize = 256;

/// The future of a task.
pub type RunningTask = Pin<Box<dyn Future<Output = Result<TaskResult, Error>> + Send>>;

/// Runs a task.
#[must_use]
pub fn run(
    context: Arc<Context>,
    migration: SchemaMigration,
    task: Task,
    allowance: Allowance,
    progress: Progress,
    stop: Stop,
) -> RunningTask {
    let secret = format!(
        "{}/{}",
        migration.namespace().unwrap_or_default(),
        migration.spec.database.credentials_secret_ref.name
    );
    let progress = progress.telling(listener(&context, &migration));
    let running: RunningTask = Box::pin(async move {
        let namespace = migration.namespace().unwrap_or_default();
        let engine = target::engine(&context.client, &namespace, &migration.spec).await?;
        let work = Work { context, migration, engine, allowance, progress, stop };
        let result = match task {
            Task::Preflight => reading::preflight(&work).await,
            Task::Plan => reading::plan(&work).await,
            Task::CountBeforeBackup(_) => backup_counts::count(&work).await,
            Task::CheckBackup(_) => backup_counts::check(&work).await,
            Task::Validate => reading::validate(&work).await,
            Task::CheckBeforeStart => work.check_before_start().await,
            Task::Section(_) | Task::Prove | Task::Undo | Task::PrepareRestore(_) | Task::PutBack => {
                work.in_session(task).await
            }
            Task::CountLoss => putting_back::count_loss(&work).await.map(TaskResult::LossCounted),
            Task::Test => work.test().await,
            Task::Look => soak_reading::look(&work).await,
            Task::Scan => soak_reading::scan(&work).await,
            Task::Purge => work.purge().await,
        };
        match result {
            Err(error) => Err(contention::naming_the_owner(&work, error).await),
            result => result,
        }
    });
    Box::pin(async move { running.await.map_err(|error| naming_the_secret(error, &secret)) })
}

/// Publishes what the work tells of, as long as it goes on.
fn listener(context: &Arc<Context>, migration: &SchemaMigration) -> mpsc::UnboundedSender<Notice> {
    let (sender, mut notices) = mpsc::unbounded_channel();
    let (context, migration) = (context.clone(), migration.clone());
    tokio::spawn(async move {
        while let Some(notice) = notices.recv().await {
            publish(&context, &migration, of_notice(notice)).await;
        }
    });
    sender
}

/// Where the name and the password came from that the server refuses: the engine does not know.
fn naming_the_secret(mut error: Error, secret: &str) -> Error {
    if error.cause == Cause::AccessDenied {
        error.message.push_str(&format!(
            ": correct the Secret {secret} (keys \"username\" and \"password\") or the account on the server, and what it may see"
        ));
    }
    error
}

/// What a task works with.
pub struct Work {
    /// Client, flags and tasks.
    pub context: Arc<Context>,
    /// The migration as it was when the task began.
    pub migration: SchemaMigration,
    /// The server.
    pub engine: Engine,
    /// What people have allowed.
    pub allowance: Allowance,
    /// Where to report.
    pub progress: Progress,
    /// The sign to stop.
    pub stop: Stop,
}

impl Work {
    /// The migrated schema.
    ///
    /// # Errors
    /// When it is no MySQL name.
    pub fn schema(&self) -> Result<Identifier, Error> {
        Identifier::new(self.migration.spec.database.name.clone())
            .map_err(|error| Error::new(Cause::InvalidSpec, format!("spec.database.name: {error}")))
    }

    /// The plan, read anew from its ConfigMaps and checked against its digest.
    ///
    /// # Errors
    /// When it cannot be read or is not the recorded one.
    pub async fn plan(&self) -> Result<Arc<Plan>, Error> {
        let namespace = self.migration.namespace().unwrap_or_default();
        let recorded = self.migration.status.as_ref().and_then(|status| status.plan.as_ref());
        let recorded = recorded.ok_or_else(|| Error::new(Cause::Drifted, "no plan is recorded in the status"))?;
        plan_store::load(&self.context.client, &namespace, &recorded.digest, &recorded.config_maps)
            .await
            .map_err(|error| Error::new(Cause::NotReady, format!("reading the stored plan: {error}")))?
            .map_err(|(reason, message)| {
                let unknown = reason == crate::api::Reason::UnknownPlanFormat;
                Error::new(if unknown { Cause::UnknownFormat } else { Cause::Drifted }, message)
            })
    }

    /// Reads for a long time, unless a stop is asked for: then the server ends what runs.
    ///
    /// # Errors
    /// [`Cause::Stopped`], or what the server answers.
    pub(super) async fn stoppable<T>(
        &self,
        connection: &mut Connection,
        what: &str,
        reading: impl AsyncFnOnce(&mut Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let (target, server_uuid, id) = (&self.engine.target, connection.server_uuid.clone(), connection.id);
        let running = Running { target, role: Role::Primary, server_uuid: &server_uuid, id, what };
        running.until_stopped(&self.stop, READING_DEADLINE, reading(connection)).await
    }

    async fn check_before_start(&self) -> Result<TaskResult, Error> {
        let plan = self.plan().await?;
        self.check_turn(&plan).await?;
        reading::check_replicas(self).await?;
        if let Some(drift) = reading::drift(self, &plan).await? {
            return Ok(TaskResult::Drifted(drift));
        }
        let changed = backup_counts::changed_since(self, &plan).await?;
        Ok(TaskResult::MayStart { baseline: soak_reading::end(self, &plan).await?, changed })
    }

    /// Whether the schema is free for this migration.
    ///
    /// # Errors
    /// [`Cause::LockHeld`] with who has it, or left something unfinished there.
    pub(super) async fn check_turn(&self, plan: &Plan) -> Result<(), Error> {
        let uid = self.migration.metadata.uid.as_deref().unwrap_or_default();
        if self.context.tasks.session(uid).lock().await.is_some() {
            return self.engine.check_unfinished(plan).await;
        }
        self.engine.check_turn(plan).await
    }

    /// Does something with the session of this migration, which is begun if there is none.
    async fn in_session(&self, task: Task) -> Result<TaskResult, Error> {
        let plan = self.plan().await?;
        let uid = self.migration.metadata.uid.clone().unwrap_or_default();
        let slot = self.context.tasks.session(&uid);
        let mut held = slot.lock().await;
        // Nobody would give back what is begun for a migration that is gone.
        self.stop.check()?;
        let session = match held.take() {
            Some(session) => session,
            None => {
                // Whoever leads by now may have taken the migration to its end.
                self.context.check_leads().await.map_err(not_leading)?;
                // Looked at before the journal there is touched, and once more on the connection that holds the fence.
                let probe = self.engine.target.connect(SessionLimits::default()).await?;
                self.same_server(&probe.server_uuid)?;
                probe.close().await?;
                let owner = format!("{}/{}", self.migration.namespace().unwrap_or_default(), self.migration.name_any());
                let session = self.engine.begin(&owner, &plan).await?;
                if let Err(error) = self.same_server(session.server_uuid()) {
                    session.release().await?;
                    return Err(error);
                }
                session
            }
        };
        let (result, session) = self.use_session(task, session).await;
        *held = session;
        result
    }

    /// Refuses another server than the one that the work belongs to.
    ///
    /// # Errors
    /// [`Cause::ServerChanged`].
    pub(super) fn same_server(&self, found: &str) -> Result<(), Error> {
        let known = self.migration.status.as_ref().and_then(|status| status.server_uuid.as_deref());
        same_server(&self.engine.target.host, known, found)
    }

    async fn use_session(&self, task: Task, session: Session) -> (Result<TaskResult, Error>, Option<Session>) {
        let result = match task {
            // The server may be another one that a person accepted, and the status goes on from what the one before had.
            Task::Section(section) => match session.check_done_before(section, &self.stop).await {
                Ok(()) => {
                    session.run(section, self.allowance, &self.progress, &self.stop).await.map(TaskResult::Section)
                }
                Err(error) => Err(error),
            },
            Task::Prove => {
                session.prove(&self.progress, &self.stop).await.map(|proof| TaskResult::Proven(Box::new(proof)))
            }
            Task::Undo => {
                session.undo(&self.progress, &self.stop).await.map(|report| TaskResult::Undone(Box::new(report)))
            }
            Task::PrepareRestore(attempt) => putting_back::prepare(self, &session, attempt).await,
            Task::PutBack => putting_back::put_back(self, &session).await,
            other => Err(Error::new(Cause::Server, format!("{other:?} needs no session"))),
        };
        let outcome = match &result {
            Ok(TaskResult::Proven(_)) => MigrationOutcome::Complete,
            Ok(TaskResult::Undone(_) | TaskResult::PutBack(_)) => MigrationOutcome::RolledBack,
            Err(error) if error.cause == Cause::RollbackIncomplete => MigrationOutcome::Failed,
            // The connection that held the fence is gone, or the way in has changed; the next task begins anew.
            Err(error) if matches!(error.cause, Cause::FenceLost | Cause::Unreachable) || error.shuts_out() => {
                return (result, None);
            }
            _ => return (result, Some(session)),
        };
        match (session.finish(outcome).await, result) {
            (Err(error), Ok(_)) => (Err(error.while_doing("closing the journal")), None),
            (_, result) => (result, None),
        }
    }

    async fn purge(&self) -> Result<TaskResult, Error> {
        let recorded = self.migration.status.as_ref().and_then(|status| status.plan.as_ref());
        let recorded = recorded.ok_or_else(|| Error::new(Cause::Drifted, "no plan is recorded in the status"))?;
        let report = self.engine.purge(&self.schema()?, &recorded.digest, &self.progress, &self.stop).await?;
        Ok(TaskResult::Purged { entries: report.entries, tables: report.tables, kept_tables: report.kept_tables })
    }

    async fn test(&self) -> Result<TaskResult, Error> {
        let plan = self.plan().await?;
        let wanted = wanted(&self.migration.spec.tests);
        let limit = self.engine.settings.lock_timeout;
        // What fails on a server that nobody accepted yet would be taken back.
        let probe = self.engine.target.connect(SessionLimits::default()).await?;
        self.same_server(&probe.server_uuid)?;
        probe.close().await?;
        let found = checks::run(&self.engine.target, &plan, limit, &wanted, &self.stop).await?;
        let mut tested = TestedStatus {
            probes: signed(found.probes.probed.len()),
            scenarios: signed(found.scenarios.len()),
            unprobed: signed(found.probes.unprobed.len()),
            unprobed_keys: Vec::new(),
        };
        for unprobed in found.probes.unprobed {
            let (key, reason) = (unprobed.key.to_string(), unprobed.reason);
            tracing::warn!(key, reason, "a key could not be probed");
            if tested.unprobed_keys.len() < MAX_UNPROBED {
                tested.unprobed_keys.push(UnprobedKey { key, reason: shortened(reason, MAX_UNPROBED_REASON) });
            }
        }
        Ok(TaskResult::Tested(tested))
    }
}

/// What of the spec's tests runs inside the database.
pub(super) fn wanted(tests: &Tests) -> Checks {
    let step = |step: &ScenarioStep| Step { sql: step.sql.clone(), expect_error: step.expect_error.map(expected) };
    let scenarios = tests
        .scenarios
        .iter()
        .map(|scenario| Scenario { name: scenario.name.clone(), steps: scenario.steps.iter().map(step).collect() });
    Checks { probes: tests.probes == Probes::Derived, scenarios: scenarios.collect() }
}

/// Nothing is begun while another replica leads, or while that cannot be told.
fn not_leading(error: PassError) -> Error {
    let cause = if matches!(error, PassError::NotLeading(..)) { Cause::Stopped } else { Cause::NotReady };
    Error::new(cause, error.to_string())
}

/// Whether the server is the one that the status names; none is named after a person accepted another one.
fn same_server(host: &str, known: Option<&str>, found: &str) -> Result<(), Error> {
    match known {
        Some(known) if known != found => Err(Error::new(
            Cause::ServerChanged,
            format!(
                "{host} is now the server {found}, and the work was done on {known}, as after a failover: see that this server holds \
                 everything that the other one did"
            ),
        )),
        _ => Ok(()),
    }
}

fn expected(error: ApiExpected) -> ExpectedError {
    match error {
        ApiExpected::ForeignKeyViolation => ExpectedError::ForeignKeyViolation,
        ApiExpected::UniqueViolation => ExpectedError::UniqueViolation,
        ApiExpected::NotNullViolation => ExpectedError::NotNullViolation,
        ApiExpected::CheckViolation => ExpectedError::CheckViolation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_login_names_the_secret_and_nothing_else_does() {
        let message = |cause| naming_the_secret(Error::new(cause, "MySQL error 1045"), "shop/migrator").message;
        assert!(message(Cause::AccessDenied).starts_with("MySQL error 1045: correct the Secret shop/migrator "));
        assert_eq!(message(Cause::Unreachable), "MySQL error 1045");
    }

    #[test]
    fn another_server_is_named_and_accepted_only_where_none_is_known() {
        let error = same_server("mysql", Some("first"), "second").err();
        assert!(error.is_some_and(|error| {
            error.cause == Cause::ServerChanged && error.message.contains("first") && error.message.contains("second")
        }));
        assert!(same_server("mysql", Some("first"), "first").is_ok());
        assert!(same_server("mysql", None, "second").is_ok());
    }
}
