//! Whole rollouts of the sample application's keys while the application writes: by the engine, by hand, by another tool, and none
//! at all, on the same data.

use std::time::Duration;

use holdfast::mysql::Target;

pub(crate) mod engine;
mod percona;
mod plain;
mod tell;
mod traffic;
mod validation;
pub(crate) mod world;

use crate::figure::{Failure, Measured};
use engine::Ran;
use traffic::{Felt, alone, beside, with_a_reader};
use world::World;

/// Rows of each database unless HOLDFAST_BENCH_ROWS says otherwise.
const ROWS: &str = "100000,1000000";
/// Seconds that the way by hand may take unless HOLDFAST_BENCH_PATIENCE says otherwise.
const PATIENCE: &str = "7200";

/// How much is measured at one size: what takes long is done less often.
#[derive(Debug, Clone, Copy)]
struct Extent {
    rounds: usize,
    /// Whether it is repeated with a reader that holds a parent.
    reader: bool,
    percona: bool,
    /// How long the application is watched without a migration.
    alone: Duration,
}

impl Extent {
    fn of(rows: u64) -> Self {
        match rows {
            0..=200_000 => Self { rounds: 3, reader: true, percona: true, alone: Duration::from_secs(10) },
            200_001..=2_000_000 => Self { rounds: 2, reader: true, percona: false, alone: Duration::from_secs(10) },
            _ => Self { rounds: 1, reader: false, percona: false, alone: Duration::from_secs(20) },
        }
    }
}

/// Everything that was measured at one size.
#[derive(Debug, Default)]
struct Size {
    rows: u64,
    alone: Vec<Felt>,
    up: Vec<(Ran, Felt)>,
    up_with_reader: Vec<(Ran, Felt)>,
    undo: Vec<(Ran, Felt)>,
    plain: Vec<(plain::Ran, Felt)>,
    percona: Vec<(percona::Ran, Felt)>,
    /// Validation before the rollout and after it.
    before: Vec<validation::Cost>,
    after: Vec<validation::Cost>,
    whole_before: f64,
    whole_after: f64,
}

/// Measures at each size, and drops what it made.
pub(crate) async fn measure(target: &Target) -> Result<Measured, Failure> {
    let sizes = sizes(ROWS)?;
    let tool = percona::version().await;
    let mut measured = Vec::new();
    for rows in sizes {
        let size = Box::pin(at(target, rows, &tool)).await;
        world::clear().await?;
        measured.push(size?);
    }
    Ok(tell::tell(&measured, &tool))
}

/// The sizes that are measured, from HOLDFAST_BENCH_ROWS or as usual.
pub(crate) fn sizes(usual: &str) -> Result<Vec<u64>, Failure> {
    let wanted = std::env::var("HOLDFAST_BENCH_ROWS").unwrap_or_else(|_| usual.to_owned());
    let sizes = wanted.split(',').map(|rows| rows.trim().parse::<u64>()).collect::<Result<Vec<_>, _>>();
    Ok(sizes
        .map_err(|error| format!("HOLDFAST_BENCH_ROWS={wanted}: numbers of rows with commas between them: {error}"))?)
}

async fn at(target: &Target, rows: u64, tool: &Result<String, String>) -> Result<Size, Failure> {
    let extent = Extent::of(rows);
    say(rows, "filling the tables");
    let world = World::make(target, rows).await?;
    let mut size = Size { rows, ..Size::default() };
    for round in 1..=extent.rounds {
        say(rows, &format!("round {round} of {}: the application alone", extent.rounds));
        size.alone.push(alone(&world, extent.alone).await?);
        say(rows, &format!("round {round} of {}: the engine", extent.rounds));
        size.up.push(sound(beside(&world, engine::run("up")).await?)?);
        if round == extent.rounds {
            say(rows, "validating");
            let plan = engine::read_plan()?;
            size.after = validation::measure(&world, &plan).await?;
            size.whole_after = validation::whole(&world, &plan).await?;
        }
        say(rows, &format!("round {round} of {}: the engine's way back", extent.rounds));
        size.undo.push(sound(beside(&world, engine::run("undo")).await?)?);
    }
    say(rows, "validating without the new indexes");
    let plan = engine::read_plan()?;
    size.before = validation::measure(&world, &plan).await?;
    size.whole_before = validation::whole(&world, &plan).await?;
    if extent.reader {
        say(rows, "the engine, while a reader holds a parent");
        let with_reader = with_a_reader(&world, engine::run("up"));
        size.up_with_reader.push(sound(Box::pin(beside(&world, with_reader)).await?)?);
        engine::run("undo").await?;
    }
    // Once: it takes long, and what it removes is gone.
    say(rows, "by hand");
    let patience = patience()?;
    size.plain.push(Box::pin(beside(&world, plain::up(&world, patience))).await?);
    if extent.percona && tool.is_ok() {
        say(rows, "pt-online-schema-change");
        let world = World::make(target, rows).await?;
        plain::clean_all(&world).await?;
        size.percona.push(Box::pin(beside(&world, percona::up(&world))).await?);
    }
    Ok(size)
}

/// How long the way by hand may take before it is given up, from HOLDFAST_BENCH_PATIENCE in seconds.
fn patience() -> Result<Duration, Failure> {
    let text = std::env::var("HOLDFAST_BENCH_PATIENCE").unwrap_or_else(|_| PATIENCE.to_owned());
    let seconds =
        text.parse().map_err(|error| format!("HOLDFAST_BENCH_PATIENCE={text}: a number of seconds: {error}"))?;
    Ok(Duration::from_secs(seconds))
}

/// Refuses to report on a rollout that lost something of the application's.
fn sound((ran, felt): (Ran, Felt)) -> Result<(Ran, Felt), Failure> {
    if felt.wrong_rows == 0 {
        Ok((ran, felt))
    } else {
        Err(format!("{} rows of the application's are not as it left them", felt.wrong_rows).into())
    }
}

fn say(rows: u64, what: &str) {
    println!("bench: rollout: {rows} rows: {what}");
}
