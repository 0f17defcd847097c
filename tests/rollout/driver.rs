//! A rollout without Kubernetes: the specification is planned and carried out by the engine in the order of the controller's phases.

use std::time::{Duration, Instant};

use holdfast::api::SchemaMigrationSpec;
use holdfast::mysql::catalogue::read_catalogue;
use holdfast::mysql::replicas::Replicas;
#[cfg(feature = "failpoints")]
use holdfast::mysql::report::PutBackReport;
use holdfast::mysql::report::{MigrationOutcome, UndoReport};
use holdfast::mysql::session::{Engine, Session};
use holdfast::mysql::{
    Allowance, Cause, Error, JournalLocation, KillBlockers, Progress, SessionLimits, Settings, Stop, Target, TlsMode,
    probes,
};
use holdfast::plan::model::{Action, Section};
use holdfast::plan::{Identifier, Plan, Problem, build, input};

use crate::sql::address;

/// No part of a rollout may take longer.
const PATIENCE: Duration = Duration::from_secs(180);

#[cfg(feature = "failpoints")]
/// The name of a schema beside a test's.
pub(crate) fn beside(schema: &str, what: &str) -> String {
    format!("{schema}_{what}")
}

/// One schema and the specification for it.
#[derive(Debug, Clone)]
pub(crate) struct Driver {
    pub(crate) spec: SchemaMigrationSpec,
    pub(crate) schema: Identifier,
    pub(crate) journal: Identifier,
}

fn target() -> Target {
    let (address, tls) = address();
    let (login, place) = address.trim_start_matches("mysql://").rsplit_once('@').expect("mysql://USER@HOST:PORT");
    let (username, password) = login.split_once(':').unwrap_or((login, ""));
    let (host, port) = place.trim_end_matches('/').rsplit_once(':').unwrap_or((place, "3306"));
    Target {
        host: host.to_owned(),
        port: port.parse().expect("a port"),
        socket: None,
        username: username.to_owned(),
        password: password.to_owned(),
        tls: if tls { TlsMode::Required } else { TlsMode::Disabled },
        certificate_authority: None,
        connect_timeout: Duration::from_secs(10),
    }
}

impl Driver {
    pub(crate) fn engine(&self) -> Engine {
        Engine {
            target: target(),
            settings: Settings {
                lock_timeout: Duration::from_millis(500),
                max_retries: 60,
                barrier_timeout: Duration::from_secs(60),
                batch_rows: 10,
                target_batch_time: Duration::from_millis(100),
                max_threads_running: 200,
                kill_blockers: KillBlockers::Never,
                journal: JournalLocation::Schema(self.journal.clone()),
            },
            replicas: Replicas::default(),
        }
    }

    /// What the phase Plan does.
    pub(crate) async fn plan(&self) -> Result<Plan, Vec<Problem>> {
        let tables = input::tables(&self.spec)?;
        let mut connection = target().connect(SessionLimits::default()).await.unwrap();
        let catalogue = read_catalogue(&mut connection, &self.schema, &tables).await.unwrap();
        connection.close().await.unwrap();
        build(&self.spec, &catalogue)
    }

    /// Takes the fence, waiting for an earlier holder who died.
    pub(crate) async fn begin(&self, plan: &Plan) -> Result<Session, Error> {
        let started = Instant::now();
        loop {
            match self.engine().begin("tests/rollout", plan).await {
                Err(error)
                    if matches!(error.cause, Cause::LockHeld | Cause::Unreachable) && started.elapsed() < PATIENCE =>
                {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                other => return other,
            }
        }
    }

    /// The phases from CleanUp to Test.
    pub(crate) async fn up(&self, plan: &Plan, session: &Session) -> Result<(), Error> {
        let mut sections = vec![Section::CleanUp, Section::FixTypes, Section::AddUniques];
        sections.extend((0..plan.stages.len()).map(Section::Stage));
        sections.push(Section::FillAgain);
        let allowance = Allowance { max_rows: None, copy: true, until: None };
        let (progress, reading) = Progress::new();
        let stop = Stop::default();
        let work = async {
            for section in sections {
                session.run(section, allowance, &progress, &stop).await?;
            }
            session.prove(&progress, &stop).await?;
            let keys: Vec<_> = plan
                .operations
                .iter()
                .filter_map(|operation| match &operation.action {
                    Action::AddForeignKey { key, .. } => Some(key.clone()),
                    _ => None,
                })
                .chain(plan.adopted.iter().cloned())
                .collect();
            let engine = self.engine();
            probes::probe(&engine.target, &plan.schema, engine.settings.lock_timeout, &keys).await?;
            Ok(())
        };
        let done = tokio::time::timeout(PATIENCE, work).await;
        done.unwrap_or_else(|_| panic!("the rollout did not end; it was at {:?}", *reading.borrow()))
    }

    /// The way back.
    pub(crate) async fn undo(&self, session: &Session) -> Result<UndoReport, Error> {
        let (progress, reading) = Progress::new();
        let stop = Stop::default();
        let done = tokio::time::timeout(PATIENCE, session.undo(&progress, &stop)).await;
        done.unwrap_or_else(|_| panic!("the rollback did not end; it was at {:?}", *reading.borrow()))
    }

    #[cfg(feature = "failpoints")]
    /// The way back by a backup: its tables are beside, in a schema of their own, and go where the Job would restore them.
    pub(crate) async fn put_back(&self, plan: &Plan, session: &Session) -> Result<PutBackReport, Error> {
        let beside = |what: &str| Identifier::new(beside(self.schema.as_str(), what)).unwrap();
        let (copy, restored, kept) = (beside("copy"), beside("restored"), beside("kept"));
        let (progress, reading) = Progress::new();
        let stop = Stop::default();
        let work = async {
            if !session.prepare_restore(&restored, &kept, &progress, &stop).await? {
                let names = plan.tables.keys().map(|name| name.rsplit('.').next().unwrap());
                let moves = names.map(|name| format!("{}.`{name}` TO {}.`{name}`", copy.quoted(), restored.quoted()));
                let mut connection = target().connect(SessionLimits::default()).await?;
                connection.run(&format!("RENAME TABLE {}", moves.collect::<Vec<_>>().join(", "))).await?;
                connection.close().await?;
            }
            session.put_back(&progress, &stop).await
        };
        let done = tokio::time::timeout(PATIENCE, work).await;
        done.unwrap_or_else(|_| panic!("the backup was not put back; it was at {:?}", *reading.borrow()))
    }

    /// Ends the migration.
    pub(crate) async fn finish(&self, session: Session, outcome: MigrationOutcome) {
        session.finish(outcome).await.unwrap();
    }
}
