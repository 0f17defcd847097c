//! What is measured: every statement's latency and error, and the report made of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use super::blocked::Blocked;

/// Steps to each doubling of the latency: a percentile is right to within 5 %.
const STEPS: usize = 16;

/// Latencies, counted by size.
#[derive(Debug, Clone)]
pub(crate) struct Latencies {
    counts: Vec<u64>,
    total: u64,
    max: Duration,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { counts: vec![0; 40 * STEPS], total: 0, max: Duration::ZERO }
    }
}

impl Latencies {
    fn record(&mut self, latency: Duration) {
        let microseconds = latency.as_micros().max(1);
        let doublings = (microseconds.ilog2() as usize).min(39);
        let step = usize::try_from((microseconds * STEPS as u128) >> doublings).unwrap_or(usize::MAX) - STEPS;
        self.counts[doublings * STEPS + step.min(STEPS - 1)] += 1;
        self.total += 1;
        self.max = self.max.max(latency);
    }

    /// The latency that so many of a hundred statements stay below, in milliseconds.
    pub(crate) fn percentile(&self, percent: u64) -> f64 {
        let wanted = (self.total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (place, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                let (doublings, step) = (place / STEPS, place % STEPS);
                let upper = (1_u64 << doublings) as f64 * (STEPS + step + 1) as f64 / STEPS as f64;
                return round(upper / 1_000.0).min(milliseconds(self.max));
            }
        }
        0.0
    }

    fn merge(&mut self, other: &Self) {
        for (sum, count) in self.counts.iter_mut().zip(&other.counts) {
            *sum += count;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }
}

fn milliseconds(duration: Duration) -> f64 {
    round(duration.as_secs_f64() * 1_000.0)
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// It reads.
    Read,
    /// It writes.
    Write,
}

/// Everything that was measured.
#[derive(Debug, Default)]
pub(crate) struct Measurements {
    copy_tables: Vec<String>,
    reads: Latencies,
    writes: Latencies,
    window_writes: Latencies,
    window_reads: Latencies,
    /// The longest write on a table that is not copied: how long, and which table.
    block: Option<(Duration, String)>,
    copy_block: Duration,
    blocked: Blocked,
    errors: BTreeMap<String, u64>,
    counts: Counts,
    /// Every write, where somebody wants them.
    listed: Option<Vec<ListedWrite>>,
}

/// One write of a list.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct ListedWrite {
    /// When it ended.
    pub(crate) at: SystemTime,
    pub(crate) latency: Duration,
}

/// Plain counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Statements that were sent.
    pub(crate) statements: u64,
    /// Units of work that were committed.
    pub(crate) committed: u64,
    /// Deadlocks that the one retry got over.
    pub(crate) deadlocks_retried: u64,
    /// Failed units of work that write, deadlocks beyond the one retry among them.
    pub(crate) write_errors: u64,
    /// Failed reads.
    pub(crate) read_errors: u64,
    /// Connections that had to be opened anew.
    pub(crate) reconnects: u64,
    /// Violations provoked on purpose that the database refused.
    pub(crate) refused_violations: u64,
    /// Violations provoked on purpose that it let pass, though the key was there.
    pub(crate) accepted_violations: u64,
    /// Foreign keys in the schema when last looked.
    pub(crate) foreign_keys: u64,
    /// Deletions that left their children to the keys.
    pub(crate) cascades_used: u64,
}

impl Measurements {
    /// Nothing measured yet; writes to these tables are reported apart.
    pub(crate) fn new(copy_tables: Vec<String>, list_writes: bool) -> Self {
        Self { copy_tables, listed: list_writes.then(Vec::new), ..Self::default() }
    }

    /// The writes that were listed so far.
    pub(crate) fn take_listed(&mut self) -> Vec<ListedWrite> {
        self.listed.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The plain counts.
    pub(crate) fn counts(&mut self) -> &mut Counts {
        &mut self.counts
    }

    /// A statement ended, well or not.
    pub(crate) fn statement(&mut self, class: Class, table: &str, latency: Duration) {
        self.counts.statements += 1;
        if class == Class::Read {
            self.window_reads.record(latency);
            return;
        }
        self.window_writes.record(latency);
        self.blocked.record(Instant::now(), latency);
        if let Some(listed) = &mut self.listed {
            listed.push(ListedWrite { at: SystemTime::now(), latency });
        }
        if self.copy_tables.iter().any(|copied| copied == table) {
            self.copy_block = self.copy_block.max(latency);
        } else if self.block.as_ref().is_none_or(|(longest, _)| latency > *longest) {
            self.block = Some((latency, table.to_owned()));
        }
    }

    /// An error, by the server's number or in words.
    pub(crate) fn error(&mut self, code: String) {
        *self.errors.entry(code).or_default() += 1;
    }

    /// The report so far; the window since the last report begins anew.
    pub(crate) fn report(&mut self, kind: &str, started: Instant) -> Report {
        let (window_writes, window_reads) =
            (std::mem::take(&mut self.window_writes), std::mem::take(&mut self.window_reads));
        self.writes.merge(&window_writes);
        self.reads.merge(&window_reads);
        let (block, block_table) = self.block.clone().unwrap_or_default();
        Report {
            report: kind.to_owned(),
            elapsed_s: round(started.elapsed().as_secs_f64()),
            counts: self.counts.clone(),
            errors: self.errors.clone(),
            write_p50_ms: self.writes.percentile(50),
            write_p99_ms: self.writes.percentile(99),
            write_max_ms: milliseconds(self.writes.max),
            write_block_max_ms: milliseconds(block),
            write_block_max_table: block_table,
            copy_write_block_max_ms: milliseconds(self.copy_block),
            write_blocked_ms: milliseconds(self.blocked.any_writer()),
            all_writers_blocked_ms: milliseconds(self.blocked.all_writers()),
            no_write_ended_ms: milliseconds(self.blocked.without_any()),
            read_p50_ms: self.reads.percentile(50),
            read_p99_ms: self.reads.percentile(99),
            read_max_ms: milliseconds(self.reads.max),
            window_write_p99_ms: window_writes.percentile(99),
            window_write_max_ms: milliseconds(window_writes.max),
            window_read_max_ms: milliseconds(window_reads.max),
            ledger: None,
            listed_writes: Vec::new(),
        }
    }
}

/// One line of the log: everything so far.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    /// `snapshot`, or `final` for the last one.
    pub(crate) report: String,
    /// Since the start.
    pub(crate) elapsed_s: f64,
    #[serde(flatten)]
    pub(crate) counts: Counts,
    /// By the server's number, or `connection`; retried deadlocks are here as well.
    pub(crate) errors: BTreeMap<String, u64>,
    pub(crate) write_p50_ms: f64,
    pub(crate) write_p99_ms: f64,
    pub(crate) write_max_ms: f64,
    /// The longest write on a table that is not copied.
    pub(crate) write_block_max_ms: f64,
    /// That table.
    pub(crate) write_block_max_table: String,
    /// The longest write on a table that is copied.
    pub(crate) copy_write_block_max_ms: f64,
    /// In which at least one write was under way that took more than 100 ms.
    #[serde(default)]
    pub(crate) write_blocked_ms: f64,
    /// The durations of such writes, added up.
    #[serde(default)]
    pub(crate) all_writers_blocked_ms: f64,
    /// In which no write ended, in pieces of more than 100 ms.
    #[serde(default)]
    pub(crate) no_write_ended_ms: f64,
    pub(crate) read_p50_ms: f64,
    pub(crate) read_p99_ms: f64,
    pub(crate) read_max_ms: f64,
    /// Since the report before.
    pub(crate) window_write_p99_ms: f64,
    /// Since the report before.
    pub(crate) window_write_max_ms: f64,
    /// Since the report before.
    pub(crate) window_read_max_ms: f64,
    /// In the last report: the ledger held against the database.
    #[serde(flatten)]
    pub(crate) ledger: Option<LedgerReport>,
    /// Every write, in the last report of who asked for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) listed_writes: Vec<ListedWrite>,
}

/// The ledger held against the database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LedgerReport {
    /// Rows that must be there.
    pub(crate) expected_rows: u64,
    /// Of those, rows that are not.
    pub(crate) lost_rows: u64,
    /// Rows, own or touched, that hold another value than the last one written.
    pub(crate) changed_rows: u64,
    /// Rows that were deleted and are there.
    pub(crate) returned_rows: u64,
    /// Rows of which nobody knows, because a connection broke at the wrong moment.
    pub(crate) uncertain_rows: u64,
    /// The first differences, in words.
    pub(crate) differences: Vec<String>,
}

impl Report {
    /// Whether nothing went wrong.
    pub(crate) fn is_clean(&self) -> bool {
        let ledger = self.ledger.as_ref();
        self.counts.write_errors == 0
            && self.counts.read_errors == 0
            && self.counts.accepted_violations == 0
            && ledger.is_some_and(|ledger| (ledger.lost_rows, ledger.changed_rows, ledger.returned_rows) == (0, 0, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_to_within_a_step_and_the_maximum_is_exact() {
        let mut latencies = Latencies::default();
        for milliseconds in 1..=1_000 {
            latencies.record(Duration::from_millis(milliseconds));
        }
        for (percent, exact) in [(50, 500.0), (99, 990.0)] {
            let found = latencies.percentile(percent);
            assert!((exact..exact * 1.07).contains(&found), "{percent}: {found}");
        }
        assert_eq!(milliseconds(latencies.max), 1_000.0);
        assert_eq!(Latencies::default().percentile(99), 0.0);
    }

    #[test]
    fn writes_to_a_copied_table_are_reported_apart() {
        let mut measurements = Measurements::new(vec!["bookmark_folders".to_owned()], false);
        measurements.statement(Class::Write, "bookmark_folders", Duration::from_secs(3));
        measurements.statement(Class::Write, "users", Duration::from_millis(5));
        measurements.statement(Class::Read, "users", Duration::from_secs(9));
        let report = measurements.report("final", Instant::now());
        assert_eq!((report.write_block_max_ms, report.write_block_max_table.as_str()), (5.0, "users"));
        assert_eq!(report.copy_write_block_max_ms, 3_000.0);
        assert_eq!(report.counts.statements, 3);
    }

    #[test]
    fn a_report_without_its_ledger_is_not_clean() {
        let mut report = Measurements::default().report("final", Instant::now());
        assert!(!report.is_clean());
        report.ledger = Some(LedgerReport::default());
        assert!(report.is_clean());
        report.counts.write_errors = 1;
        assert!(!report.is_clean());
    }
}
