//! What was measured of rollouts, as tables and as figures with their aims.

use super::validation::Cost;
use super::world::extent;
use super::{Felt, Size};
use crate::figure::{Comparison, Figure, Measured};

/// From so many rows on the aims hold that only large tables can show.
const LARGE: u64 = 9_000_000;
/// Below so many rows a validation is mostly its reading of the catalogue.
const VALIDATED: u64 = 900_000;

/// Everything.
pub(crate) fn tell(sizes: &[Size], tool: &Result<String, String>) -> Measured {
    let mut measured = Measured::default();
    for size in sizes {
        measured.figures.extend(figures(size));
        measured.comparisons.push(felt(size));
        measured.comparisons.push(felt_by_phase(size));
        measured.comparisons.push(durations(size));
        measured.comparisons.push(validation(size));
        measured.notes.extend(refusals(size));
        measured.notes.extend(given_up(size));
    }
    measured.figures.extend(flatness(sizes));
    let (keys, tables) = extent();
    measured.notes.insert(0, format!(
        "{keys} keys over {tables} tables of the sample application, whose writers work through four connections on the loopback, 200 units of \
         work a second, three in four of them writing. A writer is blocked while a write of its takes more than 100 ms, from beginning to end. \
         \"Blocked\" is the time in which at least one of the four was; \"no write ended\" the time in which none of them got anything done, \
         in pieces of more than 100 ms. A blocked writer sends nothing else, so by hand the 99th percentile counts few long writes."
    ));
    measured.notes.push(
        "By hand: for each key a count of the orphans by NOT IN, their removal by one statement, the count again, and ALTER TABLE ... ADD \
         FOREIGN KEY without ALGORITHM. Nothing is kept of what is removed, and nothing is proven. The engine's time holds plan, reach of the \
         cascades, validation, cleanup into quarantine, indexes, keys, barrier, proof and probes."
            .to_owned(),
    );
    measured.notes.push(match tool {
        Ok(version) => format!(
            "{version}: all keys of a table in one run, on data that was cleaned before, which is not counted; it has no cleanup, and gives up \
             on a table where it meets a row without a parent. Only keys count that refer from and to the tables they are meant for."
        ),
        Err(reason) => format!("pt-online-schema-change was not measured: {reason}."),
    });
    measured
}

fn of<T>(samples: &[T], value: impl Fn(&T) -> f64) -> Vec<f64> {
    samples.iter().map(value).collect()
}

fn best(samples: &[f64]) -> f64 {
    samples.iter().copied().fold(f64::INFINITY, f64::min)
}

/// 1,000,000
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or_default()).collect();
    groups.join(",")
}

fn figures(size: &Size) -> Vec<Figure> {
    let rows = size.rows;
    let over = format!("{} rows", thousands(rows));
    let named = |name: &str| format!("{rows}/{name}");
    let large = |aim: f64| (rows >= LARGE).then_some(aim);
    let p99: Vec<f64> =
        size.up.iter().zip(&size.alone).map(|((_, felt), alone)| felt.p99_ms / alone.p99_ms.max(0.001)).collect();
    let worst = of(&size.up, |(_, felt)| felt.worst_ms / 1_000.0);
    let worst_reader = of(&size.up_with_reader, |(_, felt)| felt.worst_ms / 1_000.0);
    // What is not measurable counts as one blocked write that was just about to be one.
    let against = |blocked: f64| best(&of(&size.plain, |(_, felt)| felt.blocked_s)) / blocked.max(0.1);
    let total = of(&size.up, |(ran, _)| best(&of(&size.plain, |(plain, _)| plain.seconds())) / ran.seconds());
    let ratio = |costs: &[Cost], value: fn(&Cost) -> f64| {
        vec![costs.iter().map(value).sum::<f64>() / costs.iter().map(|cost| cost.scan).sum::<f64>()]
    };
    let mut memory = of(&size.up, |(ran, _)| ran.peak_memory_mib);
    memory.extend(of(&size.undo, |(ran, _)| ran.peak_memory_mib));
    // Memory is no matter of luck: the greatest counts.
    let memory = vec![memory.into_iter().fold(0.0, f64::max)];
    let validated = |aim: f64| (rows >= VALIDATED).then_some(aim);
    let figures = vec![
        Figure::less(
            named("worst-write"),
            format!("worst write during the engine's rollout, {over}"),
            "s",
            worst,
            Some(1.0),
        ),
        Figure::less(
            named("worst-write-reader"),
            format!("  the same, a reader holding a parent for 10 s, {over}"),
            "s",
            worst_reader,
            Some(1.0),
        ),
        Figure::less(
            named("p99-ratio"),
            format!("99th percentile of writes against no migration, {over}"),
            "x",
            p99,
            Some(1.5),
        ),
        Figure::more(
            named("blocked-ratio"),
            format!("time blocked by hand against the engine, {over}"),
            "x",
            of(&size.up, |(_, felt)| against(felt.blocked_s)),
            large(100.0),
        ),
        Figure::more(
            named("total-ratio"),
            format!("total time by hand against the engine, {over}"),
            "x",
            total,
            large(5.0),
        ),
        Figure::less(
            named("validation-ratio"),
            format!("validation of all keys against one index scan of each child column, {over}"),
            "x",
            ratio(&size.after, |cost| cost.engine),
            validated(1.15),
        ),
        Figure::less(
            named("validation-ratio-before"),
            format!("  the same before the rollout, without the new indexes, {over}"),
            "x",
            ratio(&size.before, |cost| cost.engine),
            None,
        ),
        Figure::more(
            named("cleanup-rate"),
            format!("cleanup into quarantine, {over}"),
            "rows/s",
            of(&size.up, |(ran, _)| ran.cleaned as f64 / ran.phase("clean up")),
            None,
        ),
        Figure::less(
            named("worst-batch"),
            format!("worst batch of the cleanup (planned: 100 ms), {over}"),
            "ms",
            of(&size.up, |(ran, _)| ran.worst_batch_ms),
            None,
        ),
        Figure::less(
            named("undo"),
            format!("undo, all rows back, {over}"),
            "s",
            of(&size.undo, |(ran, _)| ran.seconds()),
            None,
        ),
        Figure::less(
            named("peak-memory"),
            format!("peak memory of the engine's process, {over}"),
            "MiB",
            memory,
            Some(64.0),
        ),
    ];
    // What was not measured at this size is not told.
    figures.into_iter().filter(|figure| !figure.samples.is_empty()).collect()
}

/// What must not grow with the rows.
fn flatness(sizes: &[Size]) -> Vec<Figure> {
    let (Some(small), Some(large)) = (sizes.first(), sizes.last()) else { return Vec::new() };
    if small.rows == large.rows {
        return Vec::new();
    }
    let key = |size: &Size| best(&of(&size.up, |(ran, _)| mean(&ran.key_ms)));
    let memory = |size: &Size| best(&of(&size.up, |(ran, _)| ran.peak_memory_mib));
    let over = format!("{} rows against {}", thousands(large.rows), thousands(small.rows));
    vec![
        Figure::less(
            "key-flat",
            format!("adding a key itself (mean), {over}"),
            "x",
            vec![key(large) / key(small)],
            Some(2.0),
        ),
        Figure::less(
            "memory-flat",
            format!("peak memory, {over}"),
            "x",
            vec![memory(large) / memory(small)],
            Some(1.5),
        ),
    ]
}

fn mean(samples: &[f64]) -> f64 {
    samples.iter().sum::<f64>() / samples.len().max(1) as f64
}

type Quantity = fn(&Felt) -> f64;

fn felt(size: &Size) -> Comparison {
    let columns: Vec<(&str, Vec<Felt>)> = vec![
        ("no migration", size.alone.clone()),
        ("Holdfast", size.up.iter().map(|(_, felt)| felt.clone()).collect()),
        ("Holdfast, a reader holds a parent", size.up_with_reader.iter().map(|(_, felt)| felt.clone()).collect()),
        ("Holdfast, undo", size.undo.iter().map(|(_, felt)| felt.clone()).collect()),
        ("by hand", size.plain.iter().map(|(_, felt)| felt.clone()).collect()),
        ("pt-online-schema-change", size.percona.iter().map(|(_, felt)| felt.clone()).collect()),
    ];
    let mut comparison = Comparison {
        title: format!("What writers feel, {} rows", thousands(size.rows)),
        columns: columns.iter().map(|(name, _)| (*name).to_owned()).collect(),
        rows: Vec::new(),
    };
    let quantities: [(&str, &'static str, Quantity); 8] = [
        ("worst write", "ms", |felt| felt.worst_ms),
        ("99th percentile", "ms", |felt| felt.p99_ms),
        ("median", "ms", |felt| felt.p50_ms),
        ("blocked", "s", |felt| felt.blocked_s),
        ("  added up over the writers", "s", |felt| felt.writers_blocked_s),
        ("no write ended", "s", |felt| felt.no_write_s),
        ("failed units of work", "", |felt| felt.failed_writes),
        ("watched for", "s", |felt| felt.seconds),
    ];
    for (what, unit, value) in quantities {
        comparison.row(what, unit, columns.iter().map(|(_, samples)| of(samples, value)).collect());
    }
    comparison
}

/// What writers feel in each phase of the engine's rollout, so that it is known which work of it they feel.
fn felt_by_phase(size: &Size) -> Comparison {
    let mut comparison = Comparison {
        title: format!("What writers feel in each phase of the engine's rollout, {} rows", thousands(size.rows)),
        columns: ["99th percentile (ms)", "took (s)"].map(str::to_owned).to_vec(),
        rows: Vec::new(),
    };
    let Some((first, _)) = size.up.first() else { return comparison };
    for (place, (name, _)) in first.phases.iter().enumerate() {
        let latencies = size.up.iter().filter_map(|(ran, felt)| {
            let (_, from, to) = *ran.spans().get(place)?;
            felt.p99_between(from, to)
        });
        let durations = size.up.iter().filter_map(|(ran, _)| Some(ran.phases.get(place)?.1));
        comparison.row(name.clone(), "", vec![latencies.collect(), durations.collect()]);
    }
    comparison
}

fn durations(size: &Size) -> Comparison {
    let mut comparison = Comparison {
        title: format!("What a rollout takes, {} rows", thousands(size.rows)),
        columns: ["Holdfast", "by hand", "pt-online-schema-change"].map(str::to_owned).to_vec(),
        rows: Vec::new(),
    };
    let (up, plain, percona) = (&size.up, &size.plain, &size.percona);
    let pair = |engine: Vec<f64>, hand: Vec<f64>| vec![engine, hand, Vec::new()];
    comparison.row(
        "total",
        "s",
        vec![
            of(up, |(ran, _)| ran.seconds()),
            of(plain, |(ran, _)| ran.seconds()),
            of(percona, |(ran, _)| ran.seconds),
        ],
    );
    comparison.row("plan", "s", pair(of(up, |(ran, _)| ran.phase("plan")), Vec::new()));
    let checks = of(up, |(ran, _)| ran.phase("validate"));
    comparison.row("counting orphans", "s", pair(checks, of(plain, |(ran, _)| ran.check_s)));
    let cleanup = of(up, |(ran, _)| ran.phase("clean up"));
    comparison.row("cleanup", "s", pair(cleanup, of(plain, |(ran, _)| ran.clean_s)));
    let stages = of(up, |(ran, _)| ran.phase("stage"));
    comparison.row("indexes, keys, barrier, proof of each", "s", pair(stages, of(plain, |(ran, _)| ran.alter_s)));
    let proof = of(up, |(ran, _)| ran.phase("prove") + ran.phase("probe"));
    comparison.row("proof of all, probes", "s", pair(proof, Vec::new()));
    let keys = of(up, |(ran, _)| mean(&ran.key_ms));
    comparison.row("adding a key itself, mean", "ms", pair(keys, of(plain, |(ran, _)| mean(&ran.key_ms))));
    let longest = |keys: &[f64]| keys.iter().copied().fold(0.0, f64::max);
    let slowest = of(up, |(ran, _)| longest(&ran.key_ms));
    comparison.row("adding a key itself, longest", "ms", pair(slowest, of(plain, |(ran, _)| longest(&ran.key_ms))));
    let cleaned = of(up, |(ran, _)| ran.cleaned as f64);
    comparison.row("rows cleaned up", "", pair(cleaned, of(plain, |(ran, _)| ran.cleaned as f64)));
    comparison.row("statements tried again", "", pair(Vec::new(), of(plain, |(ran, _)| ran.repeated as f64)));
    let (keys, _) = extent();
    comparison.row(
        "keys added",
        "",
        vec![vec![keys as f64], of(plain, |(ran, _)| ran.key_ms.len() as f64), of(percona, |(ran, _)| ran.keys as f64)],
    );
    comparison
}

fn validation(size: &Size) -> Comparison {
    let mut comparison = Comparison {
        title: format!("Finding the orphans of all keys, {} rows", thousands(size.rows)),
        columns: ["scan of each child column", "Holdfast", "NOT IN", "NOT EXISTS"].map(str::to_owned).to_vec(),
        rows: Vec::new(),
    };
    for (when, costs, whole) in [
        ("before the rollout", &size.before, size.whole_before),
        ("every column indexed", &size.after, size.whole_after),
    ] {
        let sum = |value: fn(&Cost) -> f64| vec![costs.iter().map(value).sum::<f64>()];
        comparison.row(
            format!("{when}, key by key"),
            "ms",
            vec![sum(|cost| cost.scan), sum(|cost| cost.engine), sum(|cost| cost.not_in), sum(|cost| cost.not_exists)],
        );
        comparison.row(format!("{when}, in one call"), "ms", vec![Vec::new(), vec![whole], Vec::new(), Vec::new()]);
    }
    for cost in &size.after {
        comparison.row(
            format!("  {}", cost.key),
            "ms",
            vec![vec![cost.scan], vec![cost.engine], vec![cost.not_in], vec![cost.not_exists]],
        );
    }
    comparison
}

fn given_up(size: &Size) -> Vec<String> {
    let (keys, _) = extent();
    let partial = size.plain.iter().filter(|(ran, _)| ran.key_ms.len() < keys);
    partial
        .map(|(ran, _)| {
            format!(
                "By hand, {} rows: given up after {:.0} s with {} of {keys} keys, so that what is said of it is less than the whole, and the \
                 engine's {keys} keys against it a lower bound.",
                thousands(size.rows),
                ran.seconds(),
                ran.key_ms.len()
            )
        })
        .collect()
}

fn refusals(size: &Size) -> Vec<String> {
    let refused = size.percona.iter().flat_map(|(ran, _)| &ran.refused);
    refused.map(|words| format!("pt-online-schema-change, {} rows, gave up on {words}", thousands(size.rows))).collect()
}
