//! How all measurements are reported: a file for machines, and pages of Markdown for people, which are printed too.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use holdfast::mysql::server::read_server;
use holdfast::mysql::{SessionLimits, Target};
use serde::Serialize;
use sqlx::Connection as _;
use sqlx::mysql::MySqlConnection;

use crate::figure::{Comparison, Failure, Figure, Measured};

/// Under what the figures were measured: they mean nothing without.
#[derive(Debug, Serialize)]
pub(crate) struct Conditions {
    /// The server's own words and the settings that decide how fast it is.
    pub(crate) server: String,
    pub(crate) processors: usize,
    pub(crate) optimized: bool,
    /// What the caller says of the machine, from HOLDFAST_BENCH_REMARK.
    pub(crate) remark: Option<String>,
}

impl Conditions {
    /// Asks the server, and looks at the machine.
    pub(crate) async fn here(target: &Target) -> Result<Self, Failure> {
        let mut connection = target.connect(SessionLimits::default()).await?;
        let server = read_server(&mut connection).await?;
        connection.close().await?;
        let address = std::env::var("HOLDFAST_TEST_MYSQL")?;
        let mut connection = MySqlConnection::connect(&address).await?;
        let (pool, flush, binlog): (u64, u64, u64) = sqlx::query_as(
            "SELECT CAST(@@innodb_buffer_pool_size AS UNSIGNED), CAST(@@innodb_flush_log_at_trx_commit AS UNSIGNED), CAST(@@sync_binlog AS UNSIGNED)",
        )
        .fetch_one(&mut connection)
        .await?;
        connection.close().await?;
        let server = format!(
            "{:?} {}, innodb_buffer_pool_size {} MiB, innodb_flush_log_at_trx_commit {flush}, sync_binlog {binlog}",
            server.flavour,
            server.version_text,
            pool / 1_048_576
        );
        Ok(Self {
            server,
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            optimized: !cfg!(debug_assertions),
            remark: std::env::var("HOLDFAST_BENCH_REMARK").ok(),
        })
    }
}

/// Where everything that the bench leaves behind goes.
pub(crate) fn folder() -> Result<PathBuf, Failure> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    let folder = target.join("bench");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    figure: &'a Figure,
    best: f64,
    worst: f64,
    reached: Option<bool>,
}

#[derive(Serialize)]
struct Document<'a> {
    conditions: &'a Conditions,
    figures: Vec<Line<'a>>,
    comparisons: &'a [Comparison],
    notes: &'a [String],
}

/// Everything that one run measured.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) conditions: Conditions,
    pub(crate) measured: Measured,
}

impl Report {
    /// The pages for people.
    pub(crate) fn markdown(&self) -> String {
        let Conditions { server, processors, optimized, remark } = &self.conditions;
        let build = if *optimized { "optimized" } else { "NOT OPTIMIZED" };
        let mut text = format!("{server}; {processors} processors; {build} build");
        if let Some(remark) = remark {
            let _ = write!(text, "; {remark}");
        }
        text.push_str(". Where a quantity was measured several times, its best sample stands before its worst.\n");
        if !self.measured.figures.is_empty() {
            text.push_str("\n| figure | best | worst | times | aim | |\n|---|--:|--:|--:|--:|---|\n");
        }
        for figure in &self.measured.figures {
            let sign = if figure.better == crate::figure::Better::Less { "<" } else { ">=" };
            let aim = figure.aim.map_or_else(String::new, |aim| format!("{sign} {aim} {}", figure.unit));
            let reached = match figure.reached() {
                Some(true) => "reached",
                Some(false) => "**MISSED**",
                None => "",
            };
            let with_unit = |value: f64| format!("{} {}", number(value), figure.unit);
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {aim} | {reached} |",
                figure.what,
                with_unit(figure.best()),
                with_unit(figure.worst()),
                figure.samples.len()
            );
        }
        for comparison in &self.measured.comparisons {
            let _ = writeln!(text, "\n### {}\n\n| | {} |", comparison.title, comparison.columns.join(" | "));
            let _ = writeln!(text, "|---|{}", "--:|".repeat(comparison.columns.len()));
            for row in &comparison.rows {
                let cells: Vec<String> = row.samples.iter().map(|samples| cell(samples)).collect();
                let unit = if row.unit.is_empty() { String::new() } else { format!(" ({})", row.unit) };
                let _ = writeln!(text, "| {}{unit} | {} |", row.what, cells.join(" | "));
            }
        }
        if !self.measured.notes.is_empty() {
            text.push('\n');
        }
        for note in &self.measured.notes {
            let _ = writeln!(text, "- {note}");
        }
        text
    }

    /// Writes both, and returns where the file for machines is.
    pub(crate) fn write(&self) -> Result<PathBuf, Failure> {
        let folder = folder()?;
        let figures = (self.measured.figures.iter())
            .map(|figure| Line { figure, best: figure.best(), worst: figure.worst(), reached: figure.reached() })
            .collect();
        let document = Document {
            conditions: &self.conditions,
            figures,
            comparisons: &self.measured.comparisons,
            notes: &self.measured.notes,
        };
        std::fs::write(folder.join("report.md"), self.markdown())?;
        let path: &Path = &folder.join("report.json");
        std::fs::write(path, serde_json::to_string_pretty(&document)?)?;
        Ok(path.to_path_buf())
    }
}

/// Three digits that mean something.
fn number(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// The least sample, and the greatest beside it where they differ.
fn cell(samples: &[f64]) -> String {
    let least = samples.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = samples.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    match samples.len() {
        0 => "-".to_owned(),
        1 => number(least),
        _ => format!("{} to {}", number(least), number(greatest)),
    }
}
