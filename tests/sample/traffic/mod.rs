//! The application at work: inserts, updates, deletes and reads on all its tables for as long as a migration runs, and knows
//! afterwards exactly which committed writes the database must hold.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use clap::Args;
use sqlx::{Connection, Row};
use tokio_util::sync::CancellationToken;

pub(crate) mod blocked;
mod check;
mod deletes;
mod inserts;
pub(crate) mod ledger;
pub(crate) mod measure;
mod seeds;
mod session;
mod shapes;
mod worker;

use super::connection::Server;
use super::failure::{Failure, Result, WhileDoing, file};
use ledger::Ledger;
use measure::{LedgerReport, Measurements, Report};
use seeds::Seeds;
use session::{Session, Shared, Trouble, lock};
use worker::{Keys, Worker};

/// Between two looks for foreign keys.
const KEYS_EVERY: Duration = Duration::from_secs(1);
/// Between two snapshots in the log.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(2);
/// Longest time for the units of work at hand to end once told to stop.
const STOP_DEADLINE: Duration = Duration::from_secs(30);

/// How the application works.
#[derive(Debug, Clone, Args)]
pub(crate) struct TrafficArguments {
    /// Units of work a second, over all connections: each one statement or one transaction.
    #[arg(long, default_value_t = 200)]
    pub(crate) rate: u32,
    /// Connections.
    #[arg(long, default_value_t = 4)]
    pub(crate) connections: usize,
    /// Seconds to work; left out: until SIGTERM or SIGINT.
    #[arg(long)]
    pub(crate) duration: Option<u64>,
    /// Where the last report goes: a file, or - for the last line of the log.
    #[arg(long, default_value = "-")]
    pub(crate) report: PathBuf,
    /// Tables that the migration copies, whose longest write is reported apart.
    #[arg(long = "copy-table")]
    pub(crate) copy_tables: Vec<String>,
    /// The same seed chooses the same work; left out: another one each time.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Seconds after which a statement is given up, with its connection.
    #[arg(long, default_value_t = 120)]
    pub(crate) statement_deadline: u64,
    /// Whether the report lists every write with its time: for who asks what the writers felt in a part of a run.
    #[arg(skip)]
    pub(crate) list_writes: bool,
}

/// Works until a signal or the end of the duration, prints a snapshot every two seconds, and writes the last report.
pub(crate) async fn run(server: &Server, arguments: &TrafficArguments) -> Result<Report> {
    let stop = CancellationToken::new();
    let mut terminate = signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut interrupt = signal(tokio::signal::unix::SignalKind::interrupt())?;
    let stopping = async {
        let end = async {
            match arguments.duration {
                Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = end => {}
        }
        stop.cancel();
        // The work is ended by `work`; this only has to outlast it.
        std::future::pending().await
    };
    let report = tokio::select! {
        report = work(server, arguments, stop.clone(), |report| print(&report)) => report?,
        never = stopping => never,
    };
    if arguments.report == std::path::Path::new("-") {
        print(&report)?;
    } else {
        std::fs::write(&arguments.report, line(&report)? + "\n").map_err(file(&arguments.report))?;
    }
    Ok(report)
}

fn signal(kind: tokio::signal::unix::SignalKind) -> Result<tokio::signal::unix::Signal> {
    tokio::signal::unix::signal(kind).map_err(|error| Failure::Invalid(format!("waiting for signals: {error}")))
}

fn line(report: &Report) -> Result<String> {
    serde_json::to_string(report).map_err(|error| Failure::Invalid(format!("writing the report: {error}")))
}

fn print(report: &Report) -> Result<()> {
    println!("{}", line(report)?);
    Ok(())
}

/// Works until told to stop, then holds the ledgers against the database. The first snapshot is given as soon as the work begins.
pub(crate) async fn work(
    server: &Server,
    arguments: &TrafficArguments,
    stop: CancellationToken,
    snapshot: impl Fn(Report) -> Result<()>,
) -> Result<Report> {
    if arguments.rate == 0 || arguments.connections == 0 {
        return Err(Failure::Invalid("--rate and --connections must be at least 1".to_owned()));
    }
    let started = Instant::now();
    let shared: Shared = Arc::new(Mutex::new(Measurements::new(arguments.copy_tables.clone(), arguments.list_writes)));
    let keys: Keys = Arc::new(RwLock::new(HashSet::new()));
    let seeds = Arc::new(Seeds::read(server).await?);
    let mut rng = arguments.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
    // Of this run alone, whatever the seed: texts must be unique in a database that saw other runs.
    let run = format!("{:06x}.", fastrand::u32(0..1 << 24));
    let session =
        || Session::new(server.clone(), Arc::clone(&shared), Duration::from_secs(arguments.statement_deadline));
    let watch = tokio::spawn(watch_keys(session(), Arc::clone(&keys), Arc::clone(&shared)));
    let pace = Duration::from_secs_f64(arguments.connections as f64 / f64::from(arguments.rate));
    let workers: Vec<_> = (0..arguments.connections)
        .map(|number| {
            let worker = Worker {
                number: (number, arguments.connections),
                run: run.clone(),
                counter: 0,
                rng: rng.fork(),
                session: session(),
                ledger: Ledger::default(),
                seeds: Arc::clone(&seeds),
                keys: Arc::clone(&keys),
                shared: Arc::clone(&shared),
                retrying: false,
                in_flight: std::collections::BTreeSet::new(),
            };
            tokio::spawn(worker.work(pace, stop.clone()))
        })
        .collect();
    // The first one at once: it says that the work has begun.
    let mut ticks = tokio::time::interval(SNAPSHOT_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ticks.tick() => snapshot(lock(&shared).report("snapshot", started))?,
        }
    }
    let ledgers = tokio::time::timeout(STOP_DEADLINE, futures::future::try_join_all(workers))
        .await
        .map_err(|_| {
            Failure::Invalid(format!("a statement did not end within {} s of the stop", STOP_DEADLINE.as_secs()))
        })?
        .map_err(|error| Failure::Invalid(format!("a connection's task ended: {error}")))?;
    watch.abort();
    let mut report = lock(&shared).report("final", started);
    report.listed_writes = lock(&shared).take_listed();
    let mut found = LedgerReport::default();
    let mut connection = server.connect().await?;
    for ledger in &ledgers {
        check::check(&mut connection, ledger, &mut found).await?;
    }
    connection.close().await.while_doing("closing the connection")?;
    report.ledger = Some(found);
    Ok(report)
}

/// Keeps the set of foreign keys fresh.
async fn watch_keys(mut session: Session, keys: Keys, shared: Shared) {
    let query = "SELECT CAST(constraint_name AS CHAR) FROM information_schema.table_constraints \
                 WHERE constraint_schema = DATABASE() AND constraint_type = 'FOREIGN KEY'";
    let mut ticks = tokio::time::interval(KEYS_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match session.read("information_schema", query).await {
            Ok(rows) => {
                let found: HashSet<String> = rows.iter().filter_map(|row| row.try_get(0).ok()).collect();
                lock(&shared).counts().foreign_keys = found.len() as u64;
                *keys.write().unwrap_or_else(PoisonError::into_inner) = found;
            }
            Err(trouble) => {
                let mut measurements = lock(&shared);
                measurements.error(trouble.code());
                measurements.counts().read_errors += 1;
                if matches!(trouble, Trouble::Connection(_)) {
                    session.drop_connection();
                }
            }
        }
    }
}
