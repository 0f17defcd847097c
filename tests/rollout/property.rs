//! Random rollouts: a random schema with random faults, a random migration, an application that writes all the while. Up, judged,
//! and back, compared. A seed gives the same schema, data, migration and sequence of writes again; only how they interleave is the
//! machine's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fastrand::Rng;
use holdfast::mysql::report::MigrationOutcome;
use holdfast::mysql::session::Session;
use holdfast::mysql::{Cause, Error};
use holdfast::plan::Identifier;

use crate::driver::Driver;
use crate::records::Records;
use crate::sql::{Sql, quoted};
use crate::world::{Orphans, World};
use crate::writers::Application;
use crate::{checker, data, migration};

/// Seeds that once showed a defect, one a line, the defect after `#`.
const REGRESSIONS: &str = include_str!("regressions.txt");
/// Rollouts at a time: they meet each other on the server as an application's other traffic does.
const AT_ONCE: u64 = 2;
const MOST_TABLES: usize = 30;
/// Failed rollouts after which no more begin: the server itself may be gone.
const MOST_FAILED: usize = 20;
/// Faults of one rollout that are told.
const TOLD: usize = 12;

/// How a rollout went where nothing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ended {
    /// Every key was proven, then all of it taken back.
    CompletedAndUndone,
    /// It stopped for a reason that the data gives, and was taken back.
    StoppedAndUndone,
    /// The planner refused it.
    Refused,
}

pub(crate) fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {value:?}")))
}

/// Whether the rollout may end so, given what it met.
fn may_stop(world: &World, error: &Error) -> bool {
    match error.cause {
        Cause::OrphansFound => world
            .relations
            .iter()
            .any(|relation| relation.wanted && !relation.exists && relation.orphans == Orphans::Fail),
        Cause::DuplicatesFound => error.message.contains("cannot be pointed to the row that stays"),
        Cause::InvalidSpec => ["which restricts", "would carry the change on", "has no primary key"]
            .iter()
            .any(|words| error.message.contains(words)),
        // So many keys that the server will not cascade at all: found by the probes, and a reason to take them back.
        Cause::Server => error.message.contains("MySQL error 6575"),
        _ => false,
    }
}

pub(crate) fn told(what: &str, faults: &[String]) -> Result<(), String> {
    if faults.is_empty() {
        return Ok(());
    }
    let more = if faults.len() > TOLD { format!("\n  and {} more", faults.len() - TOLD) } else { String::new() };
    Err(format!("{what}:\n  {}{more}", faults.iter().take(TOLD).cloned().collect::<Vec<_>>().join("\n  ")))
}

/// One rollout in schemas of its own.
async fn rollout(seed: u64) -> Result<Ended, String> {
    let schema = format!("rollout_{}_{seed}", std::process::id());
    let journal = format!("{schema}_journal");
    let mut sql = Sql::connect().await.map_err(|refused| refused.message)?;
    for name in [&schema, &journal] {
        sql.must(&format!("DROP SCHEMA IF EXISTS {}", quoted(name))).await;
    }
    sql.must(&format!("CREATE SCHEMA {}", quoted(&schema))).await;
    let (inner_schema, inner_journal) = (schema.clone(), journal.clone());
    let ended = tokio::spawn(async move { Box::pin(in_schema(seed, &inner_schema, &inner_journal)).await }).await;
    if std::env::var_os("HOLDFAST_ROLLOUT_KEEP").is_none() {
        for name in [&schema, &journal] {
            sql.must(&format!("DROP SCHEMA IF EXISTS {}", quoted(name))).await;
        }
    }
    match ended {
        Ok(ended) => ended,
        Err(failure) => {
            let panic = failure.into_panic();
            let text = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(text.unwrap_or_else(|| "a panic without words".to_owned()))
        }
    }
}

async fn in_schema(seed: u64, schema: &str, journal: &str) -> Result<Ended, String> {
    let mut random = Rng::with_seed(seed);
    let mut sql = Sql::open(schema).await;
    let world = Arc::new(World::random(&mut random, MOST_TABLES, sql.dialect().await));
    data::create(&world, &mut sql, &mut random).await;
    let driver = Driver {
        spec: migration::specification(&world, schema, journal),
        schema: Identifier::new(schema).unwrap(),
        journal: Identifier::new(journal).unwrap(),
    };
    let (definitions, before) = (checker::definitions(&world, &mut sql).await, Records::read(&world, &mut sql).await);
    let plan = match driver.plan().await {
        Ok(plan) => plan,
        Err(problems) => {
            if std::env::var_os("HOLDFAST_ROLLOUT_VERBOSE").is_some() {
                problems.iter().for_each(|problem| eprintln!("seed {seed} is refused: {problem}"));
            }
            told("planning changed rows", &checker::differences(&world, &mut sql, &before).await)?;
            return Ok(Ended::Refused);
        }
    };
    let mut application = Application::new(seed, schema, &world, before).await;
    let session = driver.begin(&plan).await.map_err(|error| format!("it did not begin: {error}"))?;
    let migration = session.migration().to_owned();
    let up = Box::pin(application.during(driver.up(&plan, &session))).await;
    let ended = match &up {
        Ok(()) => Ended::CompletedAndUndone,
        Err(error) if may_stop(&world, error) => Ended::StoppedAndUndone,
        Err(error) => {
            if std::env::var_os("HOLDFAST_ROLLOUT_VERBOSE").is_some() {
                checker::definitions(&world, &mut sql).await.iter().for_each(|definition| eprintln!("{definition}"));
            }
            return Err(format!("the way up ended with {:?}: {error}", error.cause));
        }
    };
    if up.is_ok() {
        told("after the way up", &checker::unmet(&world, &mut sql).await)?;
    }
    let faults = checker::unaccounted(&world, &mut sql, journal, &migration, &application.expected()).await;
    told("after the way up", &faults)?;
    back(&driver, session, &mut application).await?;
    let now = checker::definitions(&world, &mut sql).await;
    let changed: Vec<String> = definitions
        .iter()
        .zip(&now)
        .filter(|(before, now)| before != now)
        .map(|(before, now)| format!("{now}\nwas\n{before}"))
        .collect();
    told("definitions after the way back", &changed)?;
    told("after the way back", &checker::differences(&world, &mut sql, &application.expected()).await)?;
    Ok(ended)
}

async fn back(driver: &Driver, session: Session, application: &mut Application) -> Result<(), String> {
    let undone = application.during(driver.undo(&session)).await;
    undone.map_err(|error| format!("the way back ended with {:?}: {error}", error.cause))?;
    driver.finish(session, MigrationOutcome::RolledBack).await;
    Ok(())
}

fn regressions() -> Vec<u64> {
    let seed = |line: &str| line.split('#').next().unwrap_or_default().trim().to_owned();
    REGRESSIONS
        .lines()
        .map(seed)
        .filter(|seed| !seed.is_empty())
        .map(|seed| seed.parse().expect("a seed is a number"))
        .collect()
}

/// HOLDFAST_ROLLOUT_CASES and HOLDFAST_ROLLOUT_SECONDS say how many (the seconds are 120 where neither is set), HOLDFAST_ROLLOUT_SEED
/// with which seed they begin. HOLDFAST_ROLLOUT_KEEP leaves the schemas behind, HOLDFAST_ROLLOUT_VERBOSE tells why plans are refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_random_rollout_is_proven_and_leaves_no_trace_when_it_is_taken_back() {
    let (cases, seconds) = (setting("HOLDFAST_ROLLOUT_CASES"), setting("HOLDFAST_ROLLOUT_SECONDS"));
    let longest = Duration::from_secs(seconds.unwrap_or(if cases.is_some() { u64::MAX / 2 } else { 120 }));
    let first = setting("HOLDFAST_ROLLOUT_SEED");
    // A seed of one's own is for looking at it alone.
    let known = if first.is_some() { Vec::new() } else { regressions() };
    let first = first.unwrap_or(1);
    let started = Instant::now();
    let queue =
        Arc::new(Mutex::new(known.into_iter().chain(first..first.saturating_add(cases.unwrap_or(u64::MAX / 2)))));
    let mut workers = Vec::new();
    for _ in 0..AT_ONCE {
        let queue = queue.clone();
        workers.push(tokio::spawn(async move {
            let mut results = Vec::new();
            let mut failed = 0;
            while started.elapsed() < longest && failed < MOST_FAILED {
                let Some(seed) = queue.lock().unwrap().next() else { break };
                let result = rollout(seed).await;
                if let Err(fault) = &result {
                    failed += 1;
                    eprintln!("seed {seed}: {fault}");
                }
                results.push((seed, result));
            }
            results
        }));
    }
    let mut counts: BTreeMap<Ended, u64> = BTreeMap::new();
    let mut failed = Vec::new();
    for worker in workers {
        for (seed, result) in worker.await.unwrap() {
            match result {
                Ok(ended) => *counts.entry(ended).or_default() += 1,
                Err(_) => failed.push(seed),
            }
        }
    }
    println!("random rollouts in {:.0} s: {counts:?}, failed: {failed:?}", started.elapsed().as_secs_f64());
    assert!(
        failed.is_empty(),
        "seeds {failed:?} failed, see above; one alone: HOLDFAST_ROLLOUT_SEED=N HOLDFAST_ROLLOUT_CASES=1. What is mended goes to tests/rollout/regressions.txt"
    );
    let of = |ended: Ended| counts.get(&ended).copied().unwrap_or(0);
    let all: u64 = counts.values().sum();
    assert!(
        all < 20 || of(Ended::CompletedAndUndone) * 3 > all,
        "enough rollouts must come to an end worth judging: {counts:?}"
    );
}
