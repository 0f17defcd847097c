//! One interruption: where, of what, and what a fresh process is told to do then; and the judgement on what comes of it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use holdfast::plan::Identifier;
use tokio::process::Command;
use tokio::sync::RwLock;

use super::process::{Event, Halt, Order, Process, Task};
use super::scenario;
use crate::driver::{Driver, beside};
use crate::property::told;
use crate::records::Records;
use crate::sql::{Sql, quoted, text};
use crate::world::World;
use crate::writers::Application;
use crate::{checker, data};

/// Processes can be killed beside each other, the server only while nobody else uses it.
static SERVER: RwLock<()> = RwLock::const_new(());
static SCHEMAS: AtomicU64 = AtomicU64::new(1);
/// The data that every case begins with.
const DATA: u64 = 7;

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Victim {
    Process,
    Server,
}

/// An interruption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) victim: Victim,
    /// How long after the point, in milliseconds, during which the work goes on; none: exactly there.
    pub(crate) later: Option<u64>,
    /// What is interrupted: [`Task::Up`], [`Task::Back`] or [`Task::PutBack`].
    pub(crate) task: Task,
    /// What a fresh process carries out then: [`Task::Up`], [`Task::UpAndBack`], [`Task::Undo`] or [`Task::Restore`].
    pub(crate) then: Task,
    /// Whether that one begins while a process whose server was killed may still be there.
    pub(crate) beside: bool,
    /// How long, in milliseconds, a first fresh process gets before it is killed too; none: there is only one.
    pub(crate) again: Option<u64>,
    /// Whether the application writes meanwhile.
    pub(crate) writers: bool,
    pub(crate) point: String,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let victim = if self.victim == Victim::Process { "process" } else { "server" };
        let when = self.later.map_or_else(|| "at".to_owned(), |later| format!("+{later}ms"));
        let task = match self.task {
            Task::Up => "up",
            Task::PutBack => "put-back",
            _ => "back",
        };
        let then = match self.then {
            Task::Undo => "undo",
            Task::UpAndBack => "resume-and-undo",
            Task::Restore => "restore",
            Task::Up | Task::Back | Task::PutBack => "resume",
        };
        let writers = if self.writers { "busy" } else { "quiet" };
        let again = self.again.map_or_else(|| "once".to_owned(), |again| format!("again+{again}ms"));
        let beside = if self.beside { "beside" } else { "after" };
        write!(f, "{victim} {when} {task} {then} {beside} {again} {writers} {}", self.point)
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let wrong = || format!("{line:?} is no case such as: process at up resume after once quiet before POINT #1");
        let parts: Vec<&str> = line.splitn(8, ' ').collect();
        let [victim, when, task, then, beside, again, writers, point] = parts[..] else { return Err(wrong()) };
        let milliseconds = |text: &str, before: &str| {
            let number = text.strip_prefix(before).and_then(|rest| rest.strip_suffix("ms")).map(str::parse);
            number.transpose().map_err(|_| wrong())
        };
        Ok(Self {
            victim: if victim == "process" { Victim::Process } else { Victim::Server },
            later: milliseconds(when, "+")?,
            task: match task {
                "up" => Task::Up,
                "put-back" => Task::PutBack,
                _ => Task::Back,
            },
            then: match then {
                "undo" => Task::Undo,
                "resume-and-undo" => Task::UpAndBack,
                "restore" => Task::Restore,
                _ => Task::Up,
            },
            beside: beside == "beside",
            again: milliseconds(again, "again+")?,
            writers: writers == "busy",
            point: point.to_owned(),
        })
    }
}

/// How a case went where nothing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Went {
    /// Interrupted, and brought to its end.
    Recovered,
    /// It did not come by the point: batches and tries are the clock's.
    Missed,
}

/// A schema with its data and plan, before anything.
struct Stage {
    world: Arc<World>,
    schema: String,
    journal: String,
    plan: holdfast::plan::Plan,
    definitions: Vec<String>,
    before: Records,
}

/// What the uninterrupted run shows.
#[derive(Debug, Clone)]
pub(crate) struct Reference {
    pub(crate) up: Vec<String>,
    pub(crate) back: Vec<String>,
    pub(crate) put_back: Vec<String>,
    /// How many operations the plan has.
    pub(crate) operations: usize,
    definitions: Vec<String>,
}

impl Stage {
    async fn set() -> Self {
        let schema = format!("crash_{}_{}", std::process::id(), SCHEMAS.fetch_add(1, Ordering::Relaxed));
        let journal = format!("{schema}_journal");
        let world = Arc::new(scenario::world());
        let mut sql = Sql::connect().await.expect("the server of the tests answers");
        for name in [&schema, &journal] {
            sql.must(&format!("DROP SCHEMA IF EXISTS {}", quoted(name))).await;
        }
        sql.must(&format!("CREATE SCHEMA {}", quoted(&schema))).await;
        sql.must(&format!("USE {}", quoted(&schema))).await;
        data::create(&world, &mut sql, &mut Rng::with_seed(DATA)).await;
        let driver = Driver {
            spec: scenario::specification(&world, &schema, &journal),
            schema: Identifier::new(schema.clone()).unwrap(),
            journal: Identifier::new(journal.clone()).unwrap(),
        };
        let plan = driver.plan().await.unwrap_or_else(|problems| panic!("the scenario is refused: {problems:?}"));
        let definitions = checker::definitions(&world, &mut sql).await;
        let before = Records::read(&world, &mut sql).await;
        Self { world, schema, journal, plan, definitions, before }
    }

    async fn clear(self) {
        let mut sql = Sql::connect().await.expect("the server of the tests answers");
        let beside = ["copy", "restored", "kept"].map(|what| beside(&self.schema, what));
        for name in [&self.schema, &self.journal].into_iter().chain(&beside) {
            sql.must(&format!("DROP SCHEMA IF EXISTS {}", quoted(name))).await;
        }
    }

    /// What a backup holds, as tables that only wait to be moved.
    async fn copy(&self) {
        let copy = beside(&self.schema, "copy");
        let mut sql = Sql::connect().await.expect("the server of the tests answers");
        sql.must(&format!("DROP SCHEMA IF EXISTS {}", quoted(&copy))).await;
        sql.must(&format!("CREATE SCHEMA {}", quoted(&copy))).await;
        sql.must(&format!("USE {}", quoted(&copy))).await;
        data::create(&self.world, &mut sql, &mut Rng::with_seed(DATA)).await;
    }

    async fn process(&self, task: Task, halt: Halt) -> Process {
        if task.needs_copy() {
            self.copy().await;
        }
        let order =
            Order { schema: self.schema.clone(), journal: self.journal.clone(), plan: self.plan.clone(), task, halt };
        Process::start(super::TEST, &order).await
    }

    /// The migrations in the journal: id and state, oldest first.
    async fn migrations(&self) -> Vec<(String, String)> {
        let mut sql = Sql::open(&self.schema).await;
        let exists = format!(
            "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = {} AND table_name = 'migrations'",
            text(&self.journal)
        );
        if sql.number(&exists).await == 0 {
            return Vec::new();
        }
        let query = format!("SELECT id, state FROM {}.migrations ORDER BY started_at", quoted(&self.journal));
        let pair = |row: Vec<Option<String>>| (row[0].clone().unwrap_or_default(), row[1].clone().unwrap_or_default());
        sql.rows(&query).await.into_iter().map(pair).collect()
    }

    /// Whether everything is carried out and nothing lost.
    async fn judge_up(&self, expected: &Records, definitions: Option<&[String]>) -> Result<(), String> {
        let mut sql = Sql::open(&self.schema).await;
        let world = &self.world;
        told("after the way up", &checker::unmet(world, &mut sql).await)?;
        let migrations = self.migrations().await;
        let (migration, _) = migrations.first().ok_or("the journal holds no migration")?;
        let faults = checker::unaccounted(world, &mut sql, &self.journal, migration, expected).await;
        told("after the way up", &faults)?;
        told("operations in the journal", &self.operations_not("Done", migration).await)?;
        if let Some(definitions) = definitions {
            told("definitions after the way up", &changed(definitions, &checker::definitions(world, &mut sql).await))?;
        }
        Ok(())
    }

    /// Whether everything is as it was, but for what the application wrote.
    async fn judge_back(&self, expected: &Records) -> Result<(), String> {
        let mut sql = Sql::open(&self.schema).await;
        let now = checker::definitions(&self.world, &mut sql).await;
        told("definitions after the way back", &changed(&self.definitions, &now))?;
        told("after the way back", &checker::differences(&self.world, &mut sql, expected).await)?;
        for (migration, state) in self.migrations().await {
            told("the journal", &self.operations_not("Undone", &migration).await)?;
            if state != "RolledBack" {
                return Err(format!("migration {migration} is {state} after the way back"));
            }
        }
        let lists = format!(
            "SELECT CAST(table_name AS CHAR) FROM information_schema.tables WHERE table_schema = {} AND table_name LIKE 'work\\_%'",
            text(&self.journal)
        );
        let left: Vec<String> = sql.rows(&lists).await.into_iter().filter_map(|row| row[0].clone()).collect();
        told("lists of rows left behind", &left)
    }

    async fn operations_not(&self, state: &str, migration: &str) -> Vec<String> {
        let query = format!(
            "SELECT CONCAT(operation, ' is ', state) FROM {}.operations WHERE migration = '{migration}' AND state <> '{state}' ORDER BY sequence",
            quoted(&self.journal)
        );
        let mut sql = Sql::open(&self.schema).await;
        sql.rows(&query).await.into_iter().filter_map(|row| row[0].clone()).collect()
    }
}

fn changed(before: &[String], now: &[String]) -> Vec<String> {
    let pairs = before.iter().zip(now).filter(|(before, now)| before != now);
    pairs.map(|(before, now)| format!("{now}\nis not\n{before}")).collect()
}

/// Runs up, and up and back by either way, without an interruption, and lists the points on the way.
pub(crate) async fn reference() -> Result<Reference, String> {
    let mut found =
        Reference { up: Vec::new(), back: Vec::new(), put_back: Vec::new(), operations: 0, definitions: Vec::new() };
    for task in [Task::Up, Task::Back, Task::PutBack] {
        let stage = Stage::set().await;
        let mut process = stage.process(task, Halt::Tell).await;
        let points = match task {
            Task::Up => &mut found.up,
            Task::PutBack => &mut found.put_back,
            _ => &mut found.back,
        };
        loop {
            match process.next().await? {
                Event::Point(point) => points.push(point),
                Event::Ended(None) => break,
                other => return Err(format!("uninterrupted, it came to {other:?}")),
            }
        }
        if task == Task::Up {
            stage.judge_up(&stage.before, None).await?;
            found.operations = stage.plan.operations.len();
            found.definitions = checker::definitions(&stage.world, &mut Sql::open(&stage.schema).await).await;
        } else {
            stage.judge_back(&stage.before).await?;
        }
        stage.clear().await;
    }
    Ok(found)
}

async fn restart_server() -> Result<(), String> {
    let command = std::env::var("HOLDFAST_TEST_RESTART").map_err(
        |_| "HOLDFAST_TEST_RESTART must hold the command that kills the server and starts it again: `make test-crash` sets it",
    )?;
    let done = Command::new("bash").args(["-c", &command]).status().await.map_err(|error| error.to_string())?;
    if done.success() { Ok(()) } else { Err(format!("{command}: {done}")) }
}

/// Interrupts, takes up again, and judges.
pub(crate) async fn run(case: &Case, seed: u64, reference: &Reference) -> Result<Went, String> {
    let (_beside, _alone) = match case.victim {
        Victim::Process => (Some(SERVER.read().await), None),
        Victim::Server => (None, Some(SERVER.write().await)),
    };
    let stage = Stage::set().await;
    let went = Box::pin(in_schema(case, seed, reference, &stage)).await;
    if went.is_ok() || std::env::var_os("HOLDFAST_CRASH_KEEP").is_none() {
        stage.clear().await;
    }
    went
}

/// Lets the application write while `work` runs, if it is to.
async fn during<T>(application: &mut Option<Application>, work: impl Future<Output = T>) -> T {
    match application {
        Some(application) => application.during(work).await,
        None => work.await,
    }
}

async fn in_schema(case: &Case, seed: u64, reference: &Reference, stage: &Stage) -> Result<Went, String> {
    let mut application = match case.writers {
        true => Some(Application::new(seed, &stage.schema, &stage.world, stage.before.clone()).await),
        false => None,
    };
    let (went, survivor) = Box::pin(during(&mut application, interrupt(case, stage))).await?;
    let (outliving, taking_up) = (outlive(survivor), take_up(case, reference, stage, &mut application));
    // The process that outlived its server has to end by itself, whether or not somebody takes over meanwhile.
    if case.beside {
        let (one, other) = futures::future::join(outliving, taking_up).await;
        one.and(other)?;
    } else {
        outliving.await?;
        taking_up.await?;
    }
    Ok(went)
}

/// Starts the work and kills what is to be killed; gives the process that survived it.
async fn interrupt(case: &Case, stage: &Stage) -> Result<(Went, Option<Process>), String> {
    let halt = match case.later {
        None => Halt::At(case.point.clone()),
        Some(_) => Halt::Past(case.point.clone()),
    };
    let mut process = stage.process(case.task, halt).await;
    match process.next().await? {
        Event::Reached => {}
        Event::Ended(None) => return Ok((Went::Missed, None)),
        other => return Err(format!("before anything was interrupted: {other:?}")),
    }
    if let Some(later) = case.later {
        tokio::time::sleep(Duration::from_millis(later)).await;
    }
    match case.victim {
        Victim::Process => {
            process.kill().await;
            Ok((Went::Recovered, None))
        }
        Victim::Server => {
            restart_server().await?;
            if case.later.is_none() {
                process.go_on().await;
            }
            Ok((Went::Recovered, Some(process)))
        }
    }
}

/// Waits for the end of a process whose server died.
async fn outlive(process: Option<Process>) -> Result<(), String> {
    let Some(mut process) = process else { return Ok(()) };
    match process.next().await? {
        Event::Ended(None) => Ok(()),
        Event::Ended(Some(error)) if ["Unreachable", "FenceLost"].iter().any(|cause| error.starts_with(cause)) => {
            Ok(())
        }
        other => Err(format!("the process whose server died: {other:?}")),
    }
}

/// A fresh process brings it to its end.
async fn take_up(
    case: &Case,
    reference: &Reference,
    stage: &Stage,
    application: &mut Option<Application>,
) -> Result<(), String> {
    if let Some(again) = case.again {
        let first = stage.process(case.then, Halt::Nowhere).await;
        during(application, tokio::time::sleep(Duration::from_millis(again))).await;
        first.kill().await;
    }
    let mut fresh = stage.process(case.then, Halt::Nowhere).await;
    let expected = |application: &Option<Application>| {
        application.as_ref().map_or_else(|| stage.before.clone(), Application::expected)
    };
    let mut event = during(application, fresh.next()).await?;
    if event == Event::Waiting {
        stage.judge_up(&expected(application), Some(&reference.definitions)).await?;
        fresh.go_on().await;
        event = during(application, fresh.next()).await?;
    }
    if event != Event::Ended(None) {
        return Err(format!("the fresh process: {event:?}"));
    }
    match case.then {
        Task::Up => {
            stage.judge_up(&expected(application), Some(&reference.definitions)).await?;
            let migrations = stage.migrations().await;
            let complete = migrations.iter().any(|(_, state)| state == "Complete");
            if complete { Ok(()) } else { Err(format!("none of the migrations {migrations:?} is complete")) }
        }
        _ => stage.judge_back(&expected(application)).await,
    }
}
