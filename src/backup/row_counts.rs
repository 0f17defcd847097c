//! The rows of each table in a dump, as the backup Job tells them to the operator: in its termination message where they fit into it, else
//! in the last lines of its log, with their digest in the message, so that no other counts are taken for these.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::manifest::{MAX_TERMINATION_MESSAGE, Outcome, Summary, hexadecimal};

/// What a line with counts begins with.
const MARK: &str = "row counts: ";
/// Tables in one line: container runtimes split lines at 16 KiB, and the log's tail counts what they split.
const IN_A_LINE: usize = 500;
/// Lines that may stand after the first of them: those that tell of the backup itself, or of an interruption.
const OTHER_LINES: i64 = 20;

/// The rows of each table in the order of the sorted names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RowCounts {
    /// They are these.
    Here(Vec<u64>),
    /// They are in the Job's log.
    InTheLog(InTheLog),
}

/// What is known of counts that are elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InTheLog {
    /// Tables.
    pub tables: u64,
    /// Rows of all of them.
    pub rows: u64,
    /// SHA-256 of the counts in decimal digits, each followed by a comma.
    pub sha256: String,
}

impl RowCounts {
    /// How many tables they are of.
    #[must_use]
    pub fn tables(&self) -> u64 {
        match self {
            Self::Here(rows) => rows.len() as u64,
            Self::InTheLog(told) => told.tables,
        }
    }

    /// The rows of all tables.
    #[must_use]
    pub fn total(&self) -> u64 {
        match self {
            Self::Here(rows) => total(rows),
            Self::InTheLog(told) => told.rows,
        }
    }
}

impl InTheLog {
    fn of(rows: &[u64]) -> Self {
        Self { tables: rows.len() as u64, rows: total(rows), sha256: digest(rows) }
    }

    /// How many lines from the log's end hold the counts.
    #[must_use]
    pub fn lines(&self) -> i64 {
        let lines = self.tables.div_ceil(IN_A_LINE as u64);
        i64::try_from(lines).unwrap_or(i64::MAX).saturating_add(OTHER_LINES)
    }

    /// The counts, from the end of the Job's log.
    ///
    /// # Errors
    /// That the log does not hold them, and what it holds instead.
    pub fn read(&self, log: &str) -> Result<Vec<u64>, String> {
        let told = log.lines().filter_map(|line| line.strip_prefix(MARK)).flat_map(|line| line.trim().split(','));
        let rows: Vec<u64> = told
            .map(|count| count.parse().map_err(|_| format!("its log has {count:?} where it tells the rows of a table")))
            .collect::<Result<_, _>>()?;
        let found = Self::of(&rows);
        if found == *self {
            return Ok(rows);
        }
        Err(format!(
            "its log tells {} rows of {} tables (SHA-256 {}), and it counted {} rows of {} tables ({}): was the log cut, or another one \
             written in its place?",
            found.rows, found.tables, found.sha256, self.rows, self.tables, self.sha256
        ))
    }
}

/// A summary that fits into a termination message, and the lines of the log that hold what does not.
///
/// # Errors
/// When it cannot be written as JSON.
pub(super) fn fitted(summary: Summary) -> serde_json::Result<(Summary, Vec<String>)> {
    let length = serde_json::to_string(&Outcome::Made(summary.clone()))?.len();
    match &summary.rows {
        RowCounts::Here(rows) if length > MAX_TERMINATION_MESSAGE => {
            let lines = lines(rows);
            let rows = RowCounts::InTheLog(InTheLog::of(rows));
            Ok((Summary { rows, ..summary }, lines))
        }
        RowCounts::Here(_) | RowCounts::InTheLog(_) => Ok((summary, Vec::new())),
    }
}

fn lines(rows: &[u64]) -> Vec<String> {
    let line = |rows: &[u64]| rows.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    rows.chunks(IN_A_LINE).map(|rows| format!("{MARK}{}", line(rows))).collect()
}

fn total(rows: &[u64]) -> u64 {
    rows.iter().fold(0, |sum, rows| sum.saturating_add(*rows))
}

fn digest(rows: &[u64]) -> String {
    let mut text = String::new();
    for rows in rows {
        // Writing to a String cannot fail.
        let _ = write!(text, "{rows},");
    }
    hexadecimal(&Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn counts(tables: u64) -> Vec<u64> {
        (0..tables).map(|each| u64::MAX / 4000 - each).collect()
    }

    #[test]
    fn lines_come_back_among_others_and_are_short_enough_for_every_runtime() {
        let rows = counts(1201);
        let lines = lines(&rows);
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.len() < 16_000), "{:?}", lines.iter().map(String::len).max());
        let log = format!("progress: {{}}\nbackup of 5 bytes\n{}\nholdfast: bye\n", lines.join("\n"));
        let told = InTheLog::of(&rows);
        assert_eq!(told.read(&log).unwrap(), rows);
        assert!(told.lines() >= 3);
    }

    #[test]
    fn counts_that_are_missing_or_others_never_count() {
        let rows = counts(1201);
        let told = InTheLog::of(&rows);
        let lines = lines(&rows);
        assert!(told.read("").unwrap_err().contains("0 rows of 0 tables"));
        assert!(told.read(&lines[1..].join("\n")).unwrap_err().contains("of 701 tables"));
        let mut other = rows.clone();
        other.swap(3, 4);
        let swapped = super::lines(&other).join("\n");
        assert!(told.read(&swapped).unwrap_err().contains(&told.sha256), "the order counts");
        assert!(told.read("row counts: 5,x").unwrap_err().contains("\"x\""));
        assert!(told.read("row counts: ").is_err());
    }
}
