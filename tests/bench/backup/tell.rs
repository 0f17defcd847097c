//! What was measured of backups, as tables and as figures with their aims.

use super::Size;
use super::dumps::Way;
use crate::figure::{Comparison, Figure, Measured};

/// Holdfast takes at most a tenth longer than the bare tools.
const SLOWER: f64 = 1.1;
/// Ten times as many rows take at most a tenth more memory.
const FLAT: f64 = 1.1;
/// From so many rows on the aims hold: what is smaller is over in the time that programs need to start.
const LARGE: u64 = 900_000;

/// Everything.
pub(crate) fn tell(sizes: &[Size]) -> Measured {
    let mut measured = Measured::default();
    for size in sizes {
        measured.figures.extend(figures(size));
        measured.comparisons.push(compared(size));
        measured.comparisons.push(rehearsed(size));
    }
    measured.figures.extend(flatness(sizes));
    measured.notes.push(
        "A dump by the bare tools is mysqldump with the same options, `> FILE`, `| zstd -1 > FILE` or `| gzip > FILE`, and `sync FILE`: Holdfast's is \
         on disk as well when it counts as done. Beside it Holdfast counts and sums every row and the file. A restore by the bare tools is \
         `mysql < FILE` or `zstd -dc FILE | mysql`, into a server with the same options; of Holdfast's Job the part from the first byte that is \
         handed to the client to its end is compared with that, and the whole Job beside it also makes the server, reads the dump through \
         before, dumps what was restored, and compares it."
            .to_owned(),
    );
    measured.notes.push(
        "The rehearsal's times are those of its own result, on a server with a third of 1 GiB as its buffer pool; the real run is the engine's on \
         the database, without traffic. \"Off\" is the greater of estimate and run divided by the other, less one."
            .to_owned(),
    );
    measured.notes.extend(sizes.last().map(told_of_mydumper));
    measured
}

/// 1,000,000
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or_default()).collect();
    groups.join(",")
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

/// Each sample of Holdfast's against the bare tools' of the same turn.
fn ratios(ours: &[f64], bare: &[f64]) -> Vec<f64> {
    ours.iter().zip(bare).map(|(ours, bare)| ours / bare).collect()
}

/// In percent.
fn off(estimate: f64, real: f64) -> f64 {
    (estimate.max(real) / estimate.min(real).max(f64::MIN_POSITIVE) - 1.0) * 100.0
}

fn figures(size: &Size) -> Vec<Figure> {
    let rows = thousands(size.rows);
    let aim = (size.rows >= LARGE).then_some(SLOWER);
    let mut figures = Vec::new();
    for (way, dumps, restores) in size.ways.iter().filter(|(way, ..)| way.name().is_some()) {
        let (name, dumping, restoring) = match way {
            Way::Zstd => ("zstd", "mysqldump and zstd", "zstd and mysql"),
            Way::Plain | Way::Gzip => ("plain", "mysqldump", "mysql"),
        };
        let against = |what: &str| format!("{what}, {rows} rows");
        figures.extend([
            Figure::less(
                format!("backup-dump-{name}-{}", size.rows),
                against(&format!("a dump against {dumping}")),
                "x",
                ratios(&dumps.ours, &dumps.bare),
                aim,
            ),
            Figure::more(
                format!("backup-dump-{name}-rate-{}", size.rows),
                against("  what Holdfast dumps in a second, before compression"),
                "MiB",
                dumps.ours.iter().map(|seconds| mib(size.bytes) / seconds).collect(),
                None,
            ),
            Figure::less(
                format!("backup-restore-{name}-{}", size.rows),
                against(&format!("a restore against {restoring}")),
                "x",
                ratios(&restores.ours, &restores.bare),
                aim,
            ),
            Figure::more(
                format!("backup-restore-{name}-rate-{}", size.rows),
                against("  what Holdfast restores in a second, before compression"),
                "MiB",
                restores.ours.iter().map(|seconds| mib(size.bytes) / seconds).collect(),
                None,
            ),
        ]);
    }
    let rehearsal = &size.rehearsal;
    let one = |name: &str, what: &str, unit, sample| {
        Figure::less(format!("backup-{name}-{}", size.rows), format!("{what}, {rows} rows"), unit, vec![sample], None)
    };
    figures.extend([
        one(
            "rehearsal",
            "the change on the copy against the real run",
            "x",
            rehearsal.rehearsed / rehearsal.real.max(f64::MIN_POSITIVE),
        ),
        one(
            "rehearsal-off",
            "  how far the estimate after the rehearsal was off",
            "%",
            off(rehearsal.rehearsed, rehearsal.real),
        ),
        one("plan-off", "  how far the plan's own estimate was off", "%", off(rehearsal.planned, rehearsal.real)),
    ]);
    figures
}

fn compared(size: &Size) -> Comparison {
    let mut comparison = Comparison {
        title: format!("A backup of {} rows, a dump of {:.0} MiB", thousands(size.rows), mib(size.bytes)),
        columns: vec!["the bare tools".to_owned(), "Holdfast".to_owned(), "mydumper".to_owned()],
        rows: Vec::new(),
    };
    let mydumper = |of_plain: bool| match &size.mydumper {
        Ok(ran) if of_plain => vec![ran.seconds],
        _ => Vec::new(),
    };
    for (way, dumps, _) in &size.ways {
        let samples = vec![dumps.bare.clone(), dumps.ours.clone(), mydumper(*way == Way::Plain)];
        comparison.row(format!("dump, {}", words(*way)), "s", samples);
    }
    for (way, _, restores) in size.ways.iter().filter(|(way, ..)| way.name().is_some()) {
        let samples = vec![restores.bare.clone(), restores.ours.clone(), Vec::new()];
        comparison.row(format!("restore, {}", words(*way)), "s", samples);
    }
    for (way, _, restores) in size.ways.iter().filter(|(way, ..)| way.name().is_some()) {
        comparison.row(
            format!("the whole Job that proves it, {}", words(*way)),
            "s",
            vec![Vec::new(), restores.whole.clone(), Vec::new()],
        );
    }
    for (way, dumps, _) in &size.ways {
        let stored = |bytes: u64| if bytes == 0 { Vec::new() } else { vec![mib(bytes)] };
        let samples = vec![stored(dumps.stored.0), stored(dumps.stored.1), Vec::new()];
        comparison.row(format!("stored, {}", words(*way)), "MiB", samples);
    }
    for (way, dumps, restores) in size.ways.iter().filter(|(way, ..)| way.name().is_some()) {
        let words = words(*way);
        let samples = vec![Vec::new(), dumps.peaks.clone(), Vec::new()];
        comparison.row(format!("most memory of the program that dumps, {words}"), "MiB", samples);
        let samples = vec![Vec::new(), restores.peaks.clone(), Vec::new()];
        comparison.row(format!("most memory of the program that restores, {words}"), "MiB", samples);
    }
    comparison
}

fn words(way: Way) -> &'static str {
    match way {
        Way::Plain => "not compressed",
        Way::Zstd => "zstd",
        Way::Gzip => "gzip",
    }
}

fn rehearsed(size: &Size) -> Comparison {
    let rehearsal = &size.rehearsal;
    let mut comparison = Comparison {
        title: format!("The plan on the copy and on the database, {} rows", thousands(size.rows)),
        columns: vec!["on the copy".to_owned(), "on the database".to_owned(), "the plan's own estimate".to_owned()],
        rows: Vec::new(),
    };
    for (what, copy, real) in &rehearsal.steps {
        comparison.row(*what, "s", vec![vec![*copy], vec![*real], Vec::new()]);
    }
    let samples = vec![vec![rehearsal.rehearsed], vec![rehearsal.real], vec![rehearsal.planned]];
    comparison.row("from the first change to the last proof", "s", samples);
    let samples = vec![vec![rehearsal.whole], Vec::new(), Vec::new()];
    comparison.row("the whole rehearsal, with validation, way back and comparison", "s", samples);
    comparison
}

/// How the memory grows with the rows.
fn flatness(sizes: &[Size]) -> Vec<Figure> {
    let (Some(first), Some(last)) = (sizes.first(), sizes.last()) else { return Vec::new() };
    if first.rows == last.rows {
        return Vec::new();
    }
    let most = |samples: &[f64]| samples.iter().copied().fold(0.0, f64::max);
    let ways = first.ways.iter().zip(&last.ways).filter(|((way, ..), _)| way.name().is_some());
    ways.map(|((way, dumps, _), (_, larger, _))| {
        Figure::less(
            format!("backup-memory-{way:?}").to_lowercase(),
            format!(
                "most memory of the program that dumps, {}, {} rows against {}",
                words(*way),
                thousands(last.rows),
                thousands(first.rows)
            ),
            "x",
            vec![most(&larger.peaks) / most(&dumps.peaks).max(f64::MIN_POSITIVE)],
            Some(FLAT),
        )
    })
    .collect()
}

fn told_of_mydumper(size: &Size) -> String {
    match &size.mydumper {
        Ok(ran) if ran.missing.is_empty() => format!("{}: its dump has every column.", ran.version),
        Ok(ran) => format!(
            "{} ended with success, and its dump lacks {} columns with all their values: {}{}.",
            ran.version,
            ran.missing.len(),
            ran.missing.iter().take(3).cloned().collect::<Vec<_>>().join(", "),
            if ran.missing.len() > 3 { " and so on" } else { "" }
        ),
        Err(reason) => format!("mydumper was not measured: {reason}."),
    }
}
