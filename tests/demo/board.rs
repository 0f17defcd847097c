//! What a person sees while a migration runs: each phase as it begins and ends, what is being done, and what it waits for.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::harness::migration::{condition, status_of};

/// Between two lines about what is being done, where no terminal can redraw one.
const QUIET: Duration = Duration::from_secs(10);

/// Prints lines with the time since the start; on a terminal the newest line is redrawn while something advances.
pub(crate) struct Board {
    begun: Instant,
    terminal: bool,
    redrawing: bool,
    seen_phases: Vec<(String, bool)>,
    seen_activity: String,
    told: Instant,
}

impl Board {
    pub(crate) fn new() -> Self {
        Self {
            begun: Instant::now(),
            terminal: std::io::stdout().is_terminal(),
            redrawing: false,
            seen_phases: Vec::new(),
            seen_activity: String::new(),
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

    /// Forgets which phases were printed, for the next migration.
    pub(crate) fn next_migration(&mut self) {
        self.seen_phases.clear();
        self.seen_activity.clear();
    }

    /// Prints what is new in a migration's status, and says whether a phase ended.
    pub(crate) fn show(&mut self, object: &Value) -> bool {
        let mut ended = false;
        let status = &object["status"];
        for phase in status["phases"].as_array().into_iter().flatten() {
            let name = phase["name"].as_str().unwrap_or_default().to_owned();
            let finished = !phase["finished"].is_null();
            match self.seen_phases.iter().position(|(seen, _)| *seen == name) {
                None => {
                    self.seen_phases.push((name.clone(), finished));
                    ended |= finished;
                    self.line(&if finished {
                        format!("✓ {name}{}", outcome(object, &name))
                    } else {
                        format!("▸ {name}")
                    });
                }
                Some(place) if finished && !self.seen_phases[place].1 => {
                    self.seen_phases[place].1 = true;
                    ended = true;
                    self.line(&format!("✓ {name}{}", outcome(object, &name)));
                }
                Some(_) => {}
            }
        }
        let steps = status["steps"]["progress"].as_str().unwrap_or_default();
        let current = status["current"].as_str().or_else(|| status["message"].as_str()).unwrap_or_default();
        let activity = format!("{steps:>7}  {current}");
        if activity != self.seen_activity && !current.is_empty() {
            self.passing(&activity);
            self.seen_activity = activity;
        }
        ended
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

/// The condition that tells how a phase ended, with its message.
fn outcome(object: &Value, phase: &str) -> String {
    let condition_type = match phase {
        "Preflight" => "PreflightPassed",
        "Plan" => "Planned",
        "BackUp" => "BackedUp",
        "Rehearse" => "Rehearsed",
        "Validate" => "Validated",
        "CleanUp" => "CleanedUp",
        "FixTypes" => "TypesFixed",
        "AddUniques" => "UniquesAdded",
        "AddForeignKeys" => "ForeignKeysAdded",
        "UpdateSchema" => "SchemaUpdated",
        "Test" => "Tested",
        "Soak" => "Soaked",
        _ => return String::new(),
    };
    if status_of(object, condition_type).is_none() {
        return String::new();
    }
    condition(object, condition_type)
        .and_then(|condition| condition["message"].as_str())
        .map(|message| format!(": {message}"))
        .unwrap_or_default()
}
