//! `status`: the board of one migration, or a line for each; with `--watch` until it has ended.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::api::ListParams;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, ResourceExt as _};

use super::board::Board;
use super::chronicle::{Chronicle, News};
use super::connection::{Cluster, failed};
use super::failure::Failure;
use super::standing::{self, elapsed};
use super::terminal::{self, Style, print};
use crate::api::conditions::is_true;
use crate::api::{ConditionType, SchemaMigration};
use crate::controller::plan_store;
use crate::plan::Plan;
use crate::plan::render::duration;

/// Between two lines about what is being done, where no terminal can redraw one.
const QUIET: Duration = Duration::from_secs(10);
/// How often the board's times advance.
const TICK: Duration = Duration::from_secs(1);
/// A watch that fails for so long is given up.
const PATIENCE: Duration = Duration::from_secs(300);

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Name of the SchemaMigration. Left out: all of the namespace.
    name: Option<String>,
    /// Go on until it has ended: redrawn on a terminal, new lines in a pipe. The exit code is 0 only if it ended well.
    #[arg(long, short, requires = "name")]
    watch: bool,
    /// Longest time to watch, such as 30m. Left out: until it has ended.
    #[arg(long, requires = "watch")]
    timeout: Option<crate::api::Duration>,
    /// What to print.
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Forms of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// The object, as JSON.
    Json,
    /// The object, as YAML.
    Yaml,
}

/// Shows where migrations stand.
///
/// # Errors
/// When it cannot be read, or a watched migration did not end well.
pub async fn run(cluster: &Cluster, arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.name {
        None => all(cluster, arguments.output).await,
        Some(name) if arguments.watch => {
            let limit = arguments.timeout.as_ref().map(crate::api::Duration::get);
            match limit {
                None => Box::pin(watch(cluster, name, arguments.output)).await,
                Some(limit) => tokio::time::timeout(limit, Box::pin(watch(cluster, name, arguments.output)))
                    .await
                    .unwrap_or_else(|_| {
                        Err(Failure::timeout(format!(
                            "{name} has not ended after {} s: it goes on, and so may you",
                            limit.as_secs()
                        )))
                    }),
            }
        }
        Some(name) => one(cluster, name, arguments.output).await,
    }
}

async fn one(cluster: &Cluster, name: &str, output: Output) -> Result<(), Failure> {
    let migration = cluster.migration(name).await?;
    if output != Output::Text {
        return print(&object(&migration, output)?);
    }
    let mut plans = Plans::default();
    plans.read(cluster, &migration).await;
    let width = terminal::is_terminal().then(terminal::size).flatten().map(|(columns, _)| columns);
    print(&page(&migration, &plans, width))
}

fn page(migration: &SchemaMigration, plans: &Plans, width: Option<usize>) -> String {
    let style = Style::of_standard_output();
    let mut lines = Board { migration, plan: plans.of(migration), now: Timestamp::now(), style, width }.lines();
    if let Some(why) = plans.missing(migration) {
        lines.extend([
            String::new(),
            style.faint(&format!("    Shares and estimates of single phases are left out: {why}")),
        ]);
    }
    lines.join("\n") + "\n"
}

async fn all(cluster: &Cluster, output: Output) -> Result<(), Failure> {
    let api: Api<SchemaMigration> = cluster.api();
    let list = api.list(&ListParams::default()).await.map_err(|error| failed("listing SchemaMigrations", &error))?;
    if output != Output::Text {
        let value =
            serde_json::to_value(&list).map_err(|error| Failure::unavailable(format!("writing the list: {error}")))?;
        return print(&written(&value, output)?);
    }
    if list.items.is_empty() {
        return print(&format!("There is no SchemaMigration in namespace {}.\n", cluster.namespace));
    }
    print(&table(&list.items, Timestamp::now(), Style::of_standard_output()))
}

/// A line for each migration.
fn table(migrations: &[SchemaMigration], now: Timestamp, style: Style) -> String {
    let longest = migrations.iter().map(|each| each.name_any().chars().count()).max().unwrap_or(0).max(4);
    let mut text = style
        .faint(&format!("{:<longest$}  {:<20}  {:<15}  {:>9}  {:>7}", "Name", "Stands", "Phase", "Steps", "Since"))
        + "\n";
    for migration in migrations {
        let (status, standing) = (standing::status(migration), standing::standing(migration));
        let began = status.phases.last().map(|phase| phase.finished.as_ref().unwrap_or(&phase.started).0);
        text.push_str(&format!(
            "{:<longest$}  {}  {:<15}  {:>9}  {:>7}\n",
            migration.name_any(),
            standing.tone.paint(style, &format!("{:<20}", standing.word)),
            status.phase.map_or("", crate::api::Phase::as_str),
            status.steps.map(|steps| steps.progress).unwrap_or_default(),
            began.map(|began| duration(elapsed(began, now))).unwrap_or_default(),
        ));
    }
    text
}

fn object(migration: &SchemaMigration, output: Output) -> Result<String, Failure> {
    let value = serde_json::to_value(migration)
        .map_err(|error| Failure::unavailable(format!("writing the object: {error}")))?;
    written(&value, output)
}

fn written(value: &serde_json::Value, output: Output) -> Result<String, Failure> {
    let wrong = |error: String| Failure::unavailable(format!("writing the object: {error}"));
    match output {
        Output::Yaml => Ok(format!("---\n{}", serde_yaml::to_string(value).map_err(|error| wrong(error.to_string()))?)),
        _ => Ok(serde_json::to_string_pretty(value).map_err(|error| wrong(error.to_string()))? + "\n"),
    }
}

/// Plans that were read, by their digests, or why they could not be.
#[derive(Default)]
struct Plans(BTreeMap<String, Result<std::sync::Arc<Plan>, String>>);

impl Plans {
    async fn read(&mut self, cluster: &Cluster, migration: &SchemaMigration) {
        let Some(plan) = migration.status.as_ref().and_then(|status| status.plan.as_ref()) else { return };
        if self.0.contains_key(&plan.digest) {
            return;
        }
        let read = plan_store::load(&cluster.client, &cluster.namespace, &plan.digest, &plan.config_maps).await;
        let read = read
            .map_err(|error| failed("reading the plan", &error).message)
            .and_then(|read| read.map_err(|(_, message)| message));
        self.0.insert(plan.digest.clone(), read);
    }

    fn entry(&self, migration: &SchemaMigration) -> Option<&Result<std::sync::Arc<Plan>, String>> {
        self.0.get(&migration.status.as_ref()?.plan.as_ref()?.digest)
    }

    fn of(&self, migration: &SchemaMigration) -> Option<&Plan> {
        self.entry(migration)?.as_ref().ok().map(AsRef::as_ref)
    }

    fn missing(&self, migration: &SchemaMigration) -> Option<&String> {
        self.entry(migration)?.as_ref().err()
    }
}

async fn watch(cluster: &Cluster, name: &str, output: Output) -> Result<(), Failure> {
    // What is not there, or may not be read, is told at once.
    cluster.migration(name).await?;
    let stream = watcher::watch_object(cluster.api::<SchemaMigration>(), name).default_backoff();
    let mut stream = std::pin::pin!(stream);
    let mut view = View::new(output);
    let mut plans = Plans::default();
    let mut tick = tokio::time::interval(TICK);
    let (mut latest, mut failing): (Option<SchemaMigration>, Option<Instant>) = (None, None);
    loop {
        tokio::select! {
            seen = stream.next() => match seen {
                Some(Ok(Some(migration))) => {
                    failing = None;
                    if output == Output::Text && view.redraws {
                        plans.read(cluster, &migration).await;
                    }
                    view.show(&migration, &plans, true)?;
                    let status = standing::status(&migration);
                    if standing::has_ended(&status) {
                        return if is_true(&status.conditions, ConditionType::Succeeded) {
                            Ok(())
                        } else {
                            let standing = standing::standing(&migration);
                            Err(Failure::no(format!("{name} ended: {}", standing.word)))
                        };
                    }
                    latest = Some(migration);
                }
                Some(Ok(None)) => {
                    return Err(Failure::unavailable(format!("the SchemaMigration {name} was deleted: nothing is left to watch")));
                }
                Some(Err(error)) => {
                    let since = *failing.get_or_insert_with(Instant::now);
                    let told = watch_failure(name, &error);
                    if told.1 || since.elapsed() > PATIENCE {
                        return Err(told.0);
                    }
                    eprintln!("kubectl holdfast: {}; trying again", told.0);
                }
                None => return Err(Failure::unavailable(format!("the watch of {name} ended: run the command again"))),
            },
            _ = tick.tick() => if let Some(migration) = &latest {
                view.show(migration, &plans, false)?;
            },
        }
    }
}

/// Why a watch failed, and whether trying again is of no use.
pub(super) fn watch_failure(name: &str, error: &watcher::Error) -> (Failure, bool) {
    let doing = format!("watching the SchemaMigration {name}");
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => {
            let lasting = matches!(error, kube::Error::Api(status) if matches!(status.code, 401 | 403 | 404));
            (failed(&doing, error), lasting)
        }
        other => (Failure::unavailable(format!("{doing}: {other}")), false),
    }
}

/// How a watched migration is shown.
struct View {
    output: Output,
    redraws: bool,
    chronicle: Chronicle,
    begun: Instant,
    told: Instant,
    passing: Option<String>,
}

impl View {
    fn new(output: Output) -> Self {
        let redraws = output == Output::Text && terminal::is_terminal();
        let now = Instant::now();
        Self { output, redraws, chronicle: Chronicle::default(), begun: now, told: now, passing: None }
    }

    /// Shows what is new, or, where nothing is, the time that went on.
    fn show(&mut self, migration: &SchemaMigration, plans: &Plans, new: bool) -> Result<(), Failure> {
        if self.redraws {
            let size = terminal::size();
            let text = page(migration, plans, size.map(|(columns, _)| columns));
            return print(&screen(&text, size.map_or(usize::MAX, |(_, rows)| rows)));
        }
        if self.output != Output::Text {
            return if new { print(&object(migration, self.output)?) } else { Ok(()) };
        }
        for news in self.chronicle.news(migration) {
            match news {
                News::Passing(text) => self.passing = Some(text),
                news => {
                    self.passing = None;
                    self.line(news.text())?;
                }
            }
        }
        if self.told.elapsed() >= QUIET
            && let Some(text) = self.passing.take()
        {
            self.line(&format!("  {text}"))?;
        }
        Ok(())
    }

    fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.told = Instant::now();
        print(&format!("{:7.1}s  {text}\n", self.begun.elapsed().as_secs_f64()))
    }
}

/// The text for a screen of so many rows, over what was there. What does not fit is left out at its end, and that is said.
fn screen(text: &str, rows: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let room = rows.saturating_sub(1);
    let mut shown: Vec<String> = lines.iter().take(room).map(|line| (*line).to_owned()).collect();
    if lines.len() > room && room > 0 {
        shown.truncate(room - 1);
        shown.push(format!("… {} more lines: make the window taller", lines.len() - shown.len()));
    }
    let body: String = shown.iter().map(|line| format!("{line}\x1b[K\n")).collect();
    format!("\x1b[H{body}\x1b[J")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_that_is_too_small_says_what_it_leaves_out() {
        assert_eq!(screen("a\nb\nc\n", 10), "\x1b[Ha\x1b[K\nb\x1b[K\nc\x1b[K\n\x1b[J");
        assert_eq!(screen("a\nb\nc\n", 3), "\x1b[Ha\x1b[K\n… 2 more lines: make the window taller\x1b[K\n\x1b[J");
    }
}
