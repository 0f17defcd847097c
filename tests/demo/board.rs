//! What a person sees while the demo runs: headings, lines with the time since the start, and what is new in a migration's status as
//! `kubectl holdfast status --watch` tells it. On a terminal the line about what is being done is redrawn.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use holdfast::api::SchemaMigration;
use holdfast::cli::chronicle::{Chronicle, News};
use serde_json::Value;

use super::harness::Outcome;

/// Between two lines about what is being done, where no terminal can redraw one.
const QUIET: Duration = Duration::from_secs(10);

/// Prints lines with the time since the start; on a terminal the newest line is redrawn while something advances.
pub(crate) struct Board {
    begun: Instant,
    terminal: bool,
    redrawing: bool,
    chronicle: Chronicle,
    told: Instant,
}

impl Board {
    pub(crate) fn new() -> Self {
        Self {
            begun: Instant::now(),
            terminal: std::io::stdout().is_terminal(),
            redrawing: false,
            chronicle: Chronicle::default(),
            told: Instant::now(),
        }
    }

    /// Seconds since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// A heading.
    pub(crate) fn heading(&mut self, text: &str) {
        self.finish_line();
        println!("\n{text}\n{}", "=".repeat(text.chars().count()));
    }

    /// A line that stays.
    pub(crate) fn line(&mut self, text: &str) {
        self.finish_line();
        println!("{:7.1}s  {text}", self.elapsed().as_secs_f64());
        self.told = Instant::now();
    }

    /// Text without a time before it, indented.
    pub(crate) fn block(&mut self, text: &str) {
        self.finish_line();
        for line in text.lines() {
            println!("          {line}");
        }
    }

    /// Forgets what was told, for the next migration.
    pub(crate) fn next_migration(&mut self) {
        self.chronicle = Chronicle::default();
    }

    /// Prints what is new in a migration's status, and says whether a phase ended.
    pub(crate) fn show(&mut self, object: &Value) -> Outcome<bool> {
        let migration: SchemaMigration = serde_json::from_value(object.clone())
            .map_err(|error| format!("the object is no SchemaMigration: {error}"))?;
        let mut ended = false;
        for news in self.chronicle.news(&migration) {
            ended |= matches!(news, News::Ended(_));
            match news {
                News::Passing(text) => self.passing(&text),
                news => self.line(news.text()),
            }
        }
        Ok(ended)
    }

    /// A line that the next one replaces on a terminal; elsewhere only one every ten seconds is printed.
    fn passing(&mut self, text: &str) {
        let text = text.lines().next().unwrap_or_default();
        if self.terminal {
            let width = 110;
            let cut: String = text.chars().take(width).collect();
            print!("\r{:7.1}s    {cut:width$}", self.elapsed().as_secs_f64());
            self.redrawing = std::io::stdout().flush().is_ok();
        } else if self.told.elapsed() >= QUIET {
            self.line(&format!("  {text}"));
        }
    }

    fn finish_line(&mut self) {
        if self.redrawing {
            println!();
            self.redrawing = false;
        }
    }
}
