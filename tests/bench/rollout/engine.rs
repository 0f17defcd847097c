//! The engine in a process of its own, so that its memory is nobody else's: the bench starts itself again as `engine up` or
//! `engine undo`, and that process tells what it did in the last line of its output.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use holdfast::mysql::blast_radius::{EXACT_LIMIT, measure as measure_reach};
use holdfast::mysql::catalogue::read_for_planning;
use holdfast::mysql::replicas::Replicas;
use holdfast::mysql::report::{MigrationOutcome, SectionReport};
use holdfast::mysql::session::Engine;
use holdfast::mysql::validation::validate;
use holdfast::mysql::{
    Allowance, Connection, JournalLocation, KillBlockers, Progress, Reading, SessionLimits, Settings, Stop, Target,
    probes,
};
use holdfast::plan::catalogue::ForeignKey;
use holdfast::plan::input::tables;
use holdfast::plan::model::Action;
use holdfast::plan::{Identifier, Plan, Section, build};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::world::{JOURNAL, SCHEMA, extent, specification};
use crate::common;
use crate::figure::Failure;
use crate::report::folder;

/// Longest time that the engine may take one way.
pub(crate) const DEADLINE: Duration = Duration::from_secs(3 * 3600);
/// The first argument of the bench where it is to be the engine.
pub(crate) const ENGINE: &str = "engine";

/// What the engine did.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Ran {
    /// When the first phase began, in seconds since 1970.
    pub(crate) began: f64,
    /// Seconds of each phase, in order.
    pub(crate) phases: Vec<(String, f64)>,
    /// Rows that cleanup took or changed.
    pub(crate) cleaned: u64,
    /// Longest time from the beginning of a batch of the cleanup to the next thing.
    pub(crate) worst_batch_ms: f64,
    /// How long each key's statement took, waiting for its locks included.
    pub(crate) key_ms: Vec<f64>,
    pub(crate) peak_memory_mib: f64,
}

impl Ran {
    /// When each phase began and ended.
    pub(crate) fn spans(&self) -> Vec<(&str, SystemTime, SystemTime)> {
        let mut from = UNIX_EPOCH + Duration::from_secs_f64(self.began);
        let spans = self.phases.iter().map(|(name, seconds)| {
            let begun = from;
            from += Duration::from_secs_f64(*seconds);
            (name.as_str(), begun, from)
        });
        spans.collect()
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.phases.iter().map(|(_, seconds)| seconds).sum()
    }

    /// Seconds of the phases whose name begins so.
    pub(crate) fn phase(&self, name: &str) -> f64 {
        self.phases.iter().filter(|(phase, _)| phase.starts_with(name)).map(|(_, seconds)| seconds).sum()
    }
}

/// Where the plan lies between up and undo.
pub(crate) fn plan_file() -> Result<PathBuf, Failure> {
    Ok(folder()?.join("rollout-plan.json"))
}

/// The plan that was last carried out.
pub(crate) fn read_plan() -> Result<Plan, Failure> {
    Ok(serde_json::from_str(&std::fs::read_to_string(plan_file()?)?)?)
}

/// Starts the engine and waits for its end.
pub(crate) async fn run(direction: &str) -> Result<Ran, Failure> {
    let mut command = tokio::process::Command::new(std::env::current_exe()?);
    command
        .args([ENGINE, direction])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    let output = tokio::time::timeout(DEADLINE, command.output())
        .await
        .map_err(|_| format!("waited {} s for the engine's {direction}", DEADLINE.as_secs()))??;
    if !output.status.success() {
        return Err(format!("the engine's {direction} ended with {}; its messages are above", output.status).into());
    }
    let text = String::from_utf8(output.stdout)?;
    Ok(serde_json::from_str(text.lines().last().unwrap_or_default())?)
}

/// What that process does.
pub(crate) async fn work(direction: Option<&str>) -> Result<(), Failure> {
    let target = common::target();
    let ran = match direction {
        Some("up") => Box::pin(up(&target, &plan_file()?)).await?,
        Some("undo") => Box::pin(undo(&target)).await?,
        other => return Err(format!("the engine goes up or undo, not {other:?}").into()),
    };
    println!("{}", serde_json::to_string(&ran)?);
    Ok(())
}

/// As the sample's migration has them.
pub(crate) fn settings() -> Result<Settings, Failure> {
    Ok(Settings {
        lock_timeout: Duration::from_millis(500),
        max_retries: 20,
        barrier_timeout: Duration::from_secs(600),
        batch_rows: 1000,
        target_batch_time: Duration::from_millis(100),
        max_threads_running: 50,
        kill_blockers: KillBlockers::Never,
        journal: JournalLocation::Schema(Identifier::new(JOURNAL)?),
    })
}

fn engine(target: &Target) -> Result<Engine, Failure> {
    Ok(Engine { target: target.clone(), replicas: Replicas::default(), settings: settings()? })
}

/// The plan of the keys, as the operator makes it.
pub(crate) async fn planned(connection: &mut Connection) -> Result<Plan, Failure> {
    let spec = specification()?;
    let tables = tables(&spec).map_err(told)?;
    let catalogue = read_for_planning(connection, &Identifier::new(SCHEMA)?, &tables).await?;
    let mut plan = build(&spec, &catalogue).map_err(told)?;
    measure_reach(connection, &catalogue, &mut plan, EXACT_LIMIT).await?;
    Ok(plan)
}

/// Everything from the plan to the probes, in the order of the controller's phases.
async fn up(target: &Target, plan_file: &Path) -> Result<Ran, Failure> {
    let mut ran = Ran { began: SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64(), ..Ran::default() };
    let mut begun = Instant::now();
    let mut phase = |ran: &mut Ran, name: &str| {
        ran.phases.push((name.to_owned(), begun.elapsed().as_secs_f64()));
        begun = Instant::now();
    };
    let mut connection = target.connect(SessionLimits::default()).await?;
    let plan = planned(&mut connection).await?;
    phase(&mut ran, "plan");
    validate(&mut connection, &plan).await?.check()?;
    connection.close().await?;
    phase(&mut ran, "validate");
    std::fs::write(plan_file, serde_json::to_string(&plan)?)?;
    let engine = engine(target)?;
    let session = engine.begin("bench", &plan).await?;
    let (progress, reading) = Progress::new();
    let (allowance, stop) =
        (Allowance { max_rows: Some(u64::from(u32::MAX)), ..Allowance::default() }, Stop::default());
    let batches = tokio::spawn(longest_batch(reading));
    let cleaned = session.run(Section::CleanUp, allowance, &progress, &stop).await?;
    ran.cleaned = cleaned.rows_touched();
    phase(&mut ran, "clean up");
    for (place, stage) in plan.stages.iter().enumerate() {
        let report = session.run(Section::Stage(place), allowance, &progress, &stop).await?;
        ran.key_ms.extend(statements_of_keys(&plan, &report));
        ran.cleaned += report.rows_touched();
        phase(&mut ran, &format!("stage {}", stage.name));
    }
    session.prove(&progress, &stop).await?;
    phase(&mut ran, "prove");
    let keys: Vec<ForeignKey> = keys_of(&plan).cloned().collect();
    if (keys.len(), ran.key_ms.len()) != (extent().0, extent().0) {
        return Err(format!("{} keys were planned and {} added", keys.len(), ran.key_ms.len()).into());
    }
    probes::probe(target, &plan.schema, engine.settings.lock_timeout, &keys).await?;
    phase(&mut ran, "probe");
    drop(progress);
    ran.worst_batch_ms = batches.await?.as_secs_f64() * 1_000.0;
    session.release().await?;
    ran.peak_memory_mib = peak_memory()?;
    Ok(ran)
}

async fn undo(target: &Target) -> Result<Ran, Failure> {
    let plan = read_plan()?;
    let begun = Instant::now();
    let session = engine(target)?.begin("bench", &plan).await?;
    let (progress, _reading) = Progress::new();
    session.undo(&progress, &Stop::default()).await?;
    session.finish(MigrationOutcome::RolledBack).await?;
    let phases = vec![("undo".to_owned(), begun.elapsed().as_secs_f64())];
    Ok(Ran { phases, peak_memory_mib: peak_memory()?, ..Ran::default() })
}

/// The keys that a plan adds.
pub(crate) fn keys_of(plan: &Plan) -> impl Iterator<Item = &ForeignKey> {
    plan.operations.iter().filter_map(|operation| match &operation.action {
        Action::AddForeignKey { key, .. } => Some(key),
        _ => None,
    })
}

fn statements_of_keys(plan: &Plan, report: &SectionReport) -> Vec<f64> {
    let is_key = |id: &str| {
        plan.operations
            .iter()
            .any(|operation| operation.id == id && matches!(operation.action, Action::AddForeignKey { .. }))
    };
    let keys = report.operations.iter().filter(|operation| is_key(&operation.operation));
    keys.map(|operation| operation.longest_try_milliseconds as f64).collect()
}

/// Watches the progress, which names every batch of the cleanup before it begins, `removing orphans of KEY: 1000 of 5000`, and the
/// end of the last one.
async fn longest_batch(mut reading: watch::Receiver<Reading>) -> Duration {
    let (mut longest, mut batch) = (Duration::ZERO, None::<(String, Instant)>);
    while reading.changed().await.is_ok() {
        let activity = reading.borrow_and_update().activity.clone();
        if batch.as_ref().is_some_and(|(same, _)| *same == activity) {
            continue;
        }
        if let Some((_, begun)) = batch.take() {
            longest = longest.max(begun.elapsed());
        }
        let place =
            activity.strip_prefix("removing orphans of ").and_then(|rest| rest.split_once(": ")?.1.split_once(" of "));
        if place.is_some_and(|(from, last)| from != last) {
            batch = Some((activity, Instant::now()));
        }
    }
    longest
}

/// The most memory that this process ever had, by the kernel's account.
fn peak_memory() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let kibibytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse::<f64>().ok())
        .ok_or("/proc/self/status tells no VmHWM: the peak of memory is known on Linux only")?;
    Ok(kibibytes / 1024.0)
}

fn told(problems: Vec<holdfast::plan::Problem>) -> Failure {
    problems.iter().take(5).map(ToString::to_string).collect::<Vec<_>>().join("; ").into()
}
