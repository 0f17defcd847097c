//! What a backup costs beside the bare tools, on the sample application's tables: a dump, its restore, the memory of the Jobs' programs, and
//! what a rehearsal says of the real run.

use holdfast::mysql::Target;

mod dumps;
mod mydumper;
mod place;
mod rehearsal;
mod restores;
mod tell;

use dumps::{Dumps, Way};
use place::Place;
use rehearsal::Rehearsal;
use restores::Restores;

use crate::figure::{Failure, Measured};
use crate::rollout::world::{self, SCHEMA, World};

/// Rows of each database unless HOLDFAST_BENCH_ROWS says otherwise.
const ROWS: &str = "100000,1000000";
const DUMPS: usize = 5;
const RESTORES: usize = 3;

/// Everything that was measured at one size.
struct Size {
    rows: u64,
    /// Bytes of a dump that is not compressed.
    bytes: u64,
    ways: Vec<(Way, Dumps, Restores)>,
    rehearsal: Rehearsal,
    mydumper: Result<mydumper::Ran, String>,
}

/// Measures at each size, and drops what it made.
pub(crate) async fn measure(target: &Target) -> Result<Measured, Failure> {
    let mut sizes = Vec::new();
    for rows in crate::rollout::sizes(ROWS)? {
        let size = Box::pin(at(target, rows)).await;
        world::clear().await?;
        sizes.push(size?);
    }
    Ok(tell::tell(&sizes))
}

async fn at(target: &Target, rows: u64) -> Result<Size, Failure> {
    let say = |what: &str| println!("bench: backup: {rows} rows: {what}");
    say("filling the tables");
    let world = World::make(target, rows).await?;
    let place = Place::new(target)?;
    // The first dump reads what is not in memory yet.
    dumps::ours(&place, SCHEMA, Way::Plain, &mut Dumps::default())?;
    let mut ways: Vec<_> =
        [Way::Plain, Way::Zstd, Way::Gzip].map(|way| (way, Dumps::default(), Restores::default())).into();
    let mut bytes = 0;
    for round in 1..=DUMPS {
        for (way, dumps, _) in &mut ways {
            say(&format!("dump {round} of {DUMPS}, {way:?}"));
            let summary = dumps::ours(&place, SCHEMA, *way, dumps)?;
            if let (Way::Plain, Some(summary)) = (*way, summary) {
                bytes = summary.bytes;
            }
            dumps::bare(&place, *way, dumps)?;
        }
    }
    let mut last = None;
    for round in 1..=RESTORES {
        for (way, _, restores) in ways.iter_mut().filter(|(way, ..)| way.name().is_some()) {
            say(&format!("restore {round} of {RESTORES}, {way:?}"));
            let Some(summary) = dumps::ours(&place, SCHEMA, *way, &mut Dumps::default())? else { continue };
            restores::ours(&place, &summary, restores)?;
            restores::bare(&place, SCHEMA, *way, restores)?;
            last = Some(summary);
        }
    }
    let mydumper = match mydumper::version() {
        Ok(version) => {
            say("mydumper");
            // What it met is told, and the rest is measured all the same.
            mydumper::measure(&place, &world, &version).await.map_err(|error| error.to_string())
        }
        Err(reason) => Err(reason),
    };
    say("the plan on the copy, then on the database");
    let Some(summary) = last else { return Err("no backup was made".into()) };
    let rehearsal = rehearsal::measure(&place, target, &summary).await?;
    Ok(Size { rows, bytes, ways, rehearsal, mydumper })
}
