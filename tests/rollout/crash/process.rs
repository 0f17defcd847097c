//! The process that is killed: this test's own program once more, told by its standard input what to carry out and where to halt. It
//! answers on its standard output, a line for each event.

use std::collections::HashMap;
use std::io::Write as _;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use holdfast::mysql::report::MigrationOutcome;
use holdfast::mysql::{Error, failpoints};
use holdfast::plan::{Identifier, Plan};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::scenario;
use crate::driver::Driver;

/// Set for the process that carries out.
const ROLE: &str = "HOLDFAST_CRASH_PROCESS";
/// Before each event, to tell it from what the test harness prints.
const MARK: &str = "event ";
/// How long a process may give no sign.
const PATIENCE: Duration = Duration::from_secs(240);
/// Characters of a point's name: enough to tell them apart.
const NAME: usize = 110;

/// What to carry out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Task {
    /// All of it, to the end.
    Up,
    /// All of it, then back; points count from there.
    Back,
    /// All of it, then, once told to, back.
    UpAndBack,
    /// Only back.
    Undo,
    /// All of it, then a backup is put back; points count from there.
    PutBack,
    /// Only the backup is put back.
    Restore,
}

impl Task {
    /// Whether it puts a backup back, whose tables are then beside the live ones.
    pub(crate) fn needs_copy(self) -> bool {
        matches!(self, Self::PutBack | Self::Restore)
    }
}

/// Where to halt.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) enum Halt {
    #[default]
    Nowhere,
    /// Nowhere, but every point is told.
    Tell,
    /// At this point, until told to go on.
    At(String),
    /// Not at all, but it is told that this point is reached.
    Past(String),
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) schema: String,
    pub(crate) journal: String,
    pub(crate) plan: Plan,
    pub(crate) task: Task,
    pub(crate) halt: Halt,
}

/// What the process tells.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Event {
    Point(String),
    /// The point of [`Halt`] is reached.
    Reached,
    /// All is carried out, and the way back waits for the word.
    Waiting,
    /// It ended; with the error, if there was one.
    Ended(Option<String>),
}

/// Whether this process is the one to be killed.
pub(crate) fn is_this() -> bool {
    std::env::var_os(ROLE).is_some()
}

fn tell(event: &Event) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{MARK}{}", serde_json::to_string(event).unwrap()).unwrap();
    out.flush().unwrap();
}

fn word() -> String {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    line
}

/// Carries out what the standard input says.
pub(crate) fn carry_out() {
    let order: Order = serde_json::from_str(&word()).unwrap();
    // One thread: whoever halts halts everything, as a death would.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ended = runtime.block_on(Box::pin(work(order)));
    tell(&Event::Ended(ended.err().map(|error| format!("{:?}: {error}", error.cause))));
}

async fn work(order: Order) -> Result<(), Error> {
    let driver = Driver {
        spec: scenario::specification(&scenario::world(), &order.schema, &order.journal),
        schema: Identifier::new(order.schema.clone()).unwrap(),
        journal: Identifier::new(order.journal.clone()).unwrap(),
    };
    let (plan, task, journal, halt) = (order.plan, order.task, order.journal, order.halt.clone());
    let watch = |halt: Halt| {
        let names = Names { schema: order.schema.clone(), journal: journal.clone(), reached: Mutex::default() };
        failpoints::watch(move |point| names.reach(&halt, point));
    };
    let from_here = matches!(task, Task::Back | Task::PutBack);
    if !from_here {
        watch(halt.clone());
    }
    let session = match order.halt {
        // Whoever takes up waits until the one before is known to be gone.
        Halt::Nowhere => Box::pin(driver.begin(&plan)).await?,
        // This one's server may go, and then somebody else is to take up.
        _ => driver.engine().begin("tests/rollout", &plan).await?,
    };
    if !matches!(task, Task::Undo | Task::Restore) {
        Box::pin(driver.up(&plan, &session)).await?;
    }
    if task == Task::Up {
        return session.finish(MigrationOutcome::Complete).await;
    }
    if task == Task::UpAndBack {
        tell(&Event::Waiting);
        tokio::task::spawn_blocking(word).await.unwrap();
    }
    if from_here {
        watch(halt);
    }
    if task.needs_copy() {
        Box::pin(driver.put_back(&plan, &session)).await?;
    } else {
        Box::pin(driver.undo(&session)).await?;
    }
    session.finish(MigrationOutcome::RolledBack).await
}

/// Names of points that are the same in every run.
struct Names {
    schema: String,
    journal: String,
    reached: Mutex<HashMap<String, u32>>,
}

impl Names {
    fn reach(&self, halt: &Halt, point: &str) {
        let mut name = point.replace(&self.journal, "JOURNAL").replace(&self.schema, "SCHEMA");
        for length in [40, 16] {
            name = without_hashes(&name, length);
        }
        let name: String = name.chars().take(NAME).collect();
        let number = {
            let mut reached = self.reached.lock().unwrap();
            let number = reached.entry(name.clone()).or_default();
            *number += 1;
            *number
        };
        let name = format!("{name} #{number}");
        match halt {
            Halt::Tell => tell(&Event::Point(name)),
            Halt::At(wanted) if *wanted == name => {
                tell(&Event::Reached);
                word();
            }
            Halt::Past(wanted) if *wanted == name => tell(&Event::Reached),
            _ => {}
        }
    }
}

/// Without hashes of so many hex digits, which differ from migration to migration.
fn without_hashes(text: &str, length: usize) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        let digits = rest[first..].bytes().take_while(u8::is_ascii_hexdigit).count();
        out.push_str(&rest[..first]);
        out.push_str(if digits == length { "*" } else { &rest[first..first + digits] });
        rest = &rest[first + digits..];
    }
    out.push_str(rest);
    out
}

/// Such a process, from outside. It is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    input: ChildStdin,
}

impl Process {
    /// Starts one; `test` is the path of the test that hands over to [`carry_out`].
    pub(crate) async fn start(test: &str, order: &Order) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(ROLE, "yes")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut process = Self { child, lines: BufReader::new(output).lines(), input };
        process.write(&serde_json::to_string(order).unwrap()).await;
        process
    }

    async fn write(&mut self, line: &str) {
        self.input.write_all(format!("{line}\n").as_bytes()).await.expect("the process reads its standard input");
    }

    /// Lets it go on.
    pub(crate) async fn go_on(&mut self) {
        self.write("go on").await;
    }

    /// What happens next; an error where it ends without a word.
    pub(crate) async fn next(&mut self) -> Result<Event, String> {
        loop {
            let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
            let line = line.map_err(|_| format!("a process gave no sign for {} s", PATIENCE.as_secs()))?;
            match line.map_err(|error| error.to_string())? {
                None => return Err(format!("the process ended without a word: {:?}", self.child.wait().await)),
                Some(line) => {
                    if let Some(event) = line.strip_prefix(MARK) {
                        return serde_json::from_str(event).map_err(|error| format!("{event}: {error}"));
                    }
                }
            }
        }
    }

    /// Kills it (SIGKILL).
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("the process can be killed");
    }
}
