//! What a measurement is, and how all of them are reported.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

pub(crate) type Failure = Box<dyn std::error::Error>;

/// One thing measured several times. Less is better.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    /// Short and unique, for machines.
    pub(crate) name: &'static str,
    /// What was measured, over how much.
    pub(crate) what: String,
    /// Unit of all numbers.
    pub(crate) unit: &'static str,
    /// In the order of measurement.
    pub(crate) samples: Vec<f64>,
    /// The best sample is to be below this; `None` where a figure is only told.
    pub(crate) aim: Option<f64>,
}

impl Figure {
    /// A figure in seconds.
    pub(crate) fn seconds(name: &'static str, what: String, samples: &[Duration], aim: Option<f64>) -> Self {
        Self { name, what, unit: "s", samples: samples.iter().map(Duration::as_secs_f64).collect(), aim }
    }

    fn best(&self) -> f64 {
        self.samples.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn worst(&self) -> f64 {
        self.samples.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    fn reached(&self) -> Option<bool> {
        self.aim.map(|aim| self.best() < aim)
    }
}

/// Under what a report's figures were measured: they mean nothing without.
#[derive(Debug, Serialize)]
pub(crate) struct Conditions {
    server: String,
    processors: usize,
    optimized: bool,
}

impl Conditions {
    pub(crate) fn here(server: String) -> Self {
        let processors = std::thread::available_parallelism().map_or(0, usize::from);
        Self { server, processors, optimized: !cfg!(debug_assertions) }
    }
}

/// Everything that one run measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) conditions: Conditions,
    pub(crate) figures: Vec<Figure>,
}

impl Report {
    /// A table for people.
    pub(crate) fn table(&self) -> String {
        let Conditions { server, processors, optimized } = &self.conditions;
        let build = if *optimized { "optimized" } else { "NOT OPTIMIZED" };
        let mut text = format!("MySQL {server}, {processors} processors, {build} build\n");
        let _ = writeln!(text, "{:>9} {:>9} {:>9}  {:<8} figure", "best", "worst", "aim", "");
        for figure in &self.figures {
            let aim = figure.aim.map_or_else(String::new, |aim| format!("< {aim:.2} {}", figure.unit));
            let reached = match figure.reached() {
                Some(true) => "reached",
                Some(false) => "MISSED",
                None => "",
            };
            let number = |number: f64| format!("{number:.3} {}", figure.unit);
            let (best, worst) = (number(figure.best()), number(figure.worst()));
            let _ = writeln!(
                text,
                "{best:>9} {worst:>9} {aim:>9}  {reached:<8} {} ({} times)",
                figure.what,
                figure.samples.len()
            );
        }
        text
    }

    /// Writes the report for machines, and returns where.
    pub(crate) fn write(&self) -> Result<PathBuf, Failure> {
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
        let path = target.join("bench/report.json");
        std::fs::create_dir_all(target.join("bench"))?;
        std::fs::write(&path, serde_json::to_string_pretty(self)?)?;
        Ok(path)
    }
}
