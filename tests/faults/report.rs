//! The table of what was tried and what came of it, for the terminal and for `docs/faults.md`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cases::{CASES, Case, End};
use super::harness::Outcome;
use super::rollout::Judged;

const PATH: &str = "docs/faults.md";
/// What was measured last, by case.
const MEASURED: &str = "target/faults.json";

const INTRODUCTION: &str = "# Faults, and what came of each

This page is written by `make faults`, from what it measured last of each case. Each line is a migration of its own on a local cluster: two replicas of
the operator, a MySQL 9.7, and an application that writes all the time. The fault is brought about at the moment that is named, and taken
away again where it lasts. Then the migration must come to exactly one of its three ends by itself, and plain SQL, which shares no code
with the operator, looks whether every row and value from before is in its table or in quarantine, whether every write that was committed
to the application is there, and whether the keys are there, clean and enforced (Complete), or the definitions and rows are as they were
(RolledBack, Failed). The way back is that of a migration whose last test fails.

Rows lost counts rows from before and committed writes. The time is from the fault to the end.

";

/// Seconds with one decimal.
fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

fn end(end: End) -> &'static str {
    match end {
        End::Complete => "Complete",
        End::RolledBack => "RolledBack",
        End::Failed => "Failed, nothing changed",
    }
}

/// One line, its columns as wide as they usually are.
pub(crate) fn line(case: Case, result: &Outcome<Judged>) -> String {
    let (fault, when) = (case.fault.name(), case.when.name());
    match result {
        Ok(result) => format!(
            "{fault:<56} | {when:<39} | {:<23} | {:>9} | {:>8}",
            end(result.end),
            result.lost,
            seconds(result.took)
        ),
        Err(error) => format!("{fault:<56} | {when:<39} | DOES NOT HOLD: {error}"),
    }
}

/// The head of the table.
pub(crate) fn head() -> String {
    format!("{:<56} | {:<39} | {:<23} | {:>9} | {:>8}", "fault", "when", "end", "rows lost", "time")
}

/// What came of a case, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    fault: String,
    when: String,
    end: String,
    rows_lost: usize,
    time: String,
}

/// Keeps what was measured, in place of what was measured of the same case before.
///
/// # Errors
/// When the file cannot be read or written.
pub(crate) fn keep(case: Case, judged: &Judged) -> Outcome<()> {
    let line = Line {
        fault: case.fault.name(),
        when: case.when.name(),
        end: end(judged.end).to_owned(),
        rows_lost: judged.lost,
        time: seconds(judged.took),
    };
    let mut lines = kept()?;
    lines.retain(|other| (&other.fault, &other.when) != (&line.fault, &line.when));
    lines.push(line);
    let text = serde_json::to_string_pretty(&lines).map_err(|error| error.to_string())?;
    std::fs::write(MEASURED, text).map_err(|error| format!("{MEASURED}: {error}"))
}

fn kept() -> Outcome<Vec<Line>> {
    match std::fs::read_to_string(MEASURED) {
        Ok(text) => serde_json::from_str(&text).map_err(|error| format!("{MEASURED}: {error}: delete it")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(format!("{MEASURED}: {error}")),
    }
}

/// Forgets what was measured before.
///
/// # Errors
/// When the file cannot be removed.
pub(crate) fn forget() -> Outcome<()> {
    match std::fs::remove_file(MEASURED) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(format!("{MEASURED}: {error}")),
        _ => Ok(()),
    }
}

/// Writes the page from what was measured last of every case that holds.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write() -> Outcome<()> {
    let lines = kept()?;
    let mut page = INTRODUCTION.to_owned();
    page.push_str("| fault | when | end | rows lost | time |\n|---|---|---|---|---|\n");
    let mut missing = Vec::new();
    for case in CASES {
        let (fault, when) = (case.fault.name(), case.when.name());
        match lines.iter().find(|line| (&line.fault, &line.when) == (&fault, &when)) {
            Some(line) => {
                page.push_str(&format!("| {fault} | {when} | {} | {} | {} |\n", line.end, line.rows_lost, line.time));
            }
            None => missing.push(format!("{fault}, {when}")),
        }
    }
    if !missing.is_empty() {
        page.push_str(&format!("\nNot measured, or not held, when this page was written: {}.\n", missing.join("; ")));
    }
    std::fs::write(PATH, page).map_err(|error| format!("{PATH}: {error}"))
}
