//! Every metric with its labels, once: what is exposed, `docs/metrics.md`, and the tests of alerts and dashboard are made from this list.

use std::fmt::Write as _;

/// Kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only goes up, until the process ends.
    Counter,
    /// Observations in buckets.
    Histogram,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Name; a counter's is written with `_total` after it.
    pub name: &'static str,
    /// Kind.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

/// Labels of everything that is told of one migration.
const OF_MIGRATION: &[&str] = &["namespace", "migration"];

macro_rules! definitions {
    ($($name:ident = $kind:ident $text:literal $labels:expr, $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $name: Definition = Definition { name: $text, kind: Kind::$kind, labels: $labels, help: $help };
        )*
        /// All of them, in the order of the page.
        pub const ALL: &[Definition] = &[$($name),*];
    };
}

definitions! {
    CONDITION = Gauge "holdfast_condition" &["namespace", "migration", "type", "status", "reason"],
        "1 for every condition of a migration, with its present status and reason";
    PHASE = Gauge "holdfast_phase" &["namespace", "migration", "phase"],
        "1 for the phase in which a migration is";
    OPERATIONS = Gauge "holdfast_operations" OF_MIGRATION,
        "Operations of a migration's plan";
    OPERATIONS_DONE = Gauge "holdfast_operations_done" OF_MIGRATION,
        "Operations of a migration's plan that are done";
    LAST_PROGRESS = Gauge "holdfast_last_progress_timestamp_seconds" OF_MIGRATION,
        "When a migration last got somewhere: a phase, an operation, a Job, a condition";
    STARTED = Gauge "holdfast_started_timestamp_seconds" OF_MIGRATION,
        "When a migration made its first change";
    FINISHED = Gauge "holdfast_finished_timestamp_seconds" OF_MIGRATION,
        "When a migration ended";
    APPROVAL_WAIT = Gauge "holdfast_approval_wait_seconds" &["namespace", "migration", "before"],
        "How long a migration has waited for the approval before a phase or stage, while it does";
    ORPHAN_ROWS = Gauge "holdfast_orphan_rows" &["namespace", "migration", "table"],
        "Rows without a parent that the last validation counted; those of more than 50 tables together under no name";
    DUPLICATE_ROWS = Gauge "holdfast_duplicate_rows" &["namespace", "migration", "table"],
        "Duplicate rows that the last validation counted; those of more than 50 tables together under no name";
    QUARANTINED = Gauge "holdfast_quarantined_rows" &["namespace", "migration", "kind"],
        "Rows and values of a migration that are in quarantine: orphans, duplicates, cascaded, values";
    BACKUP_TIMESTAMP = Gauge "holdfast_backup_timestamp_seconds" OF_MIGRATION,
        "The moment whose data the backup of a migration holds";
    BACKUP_BYTES = Gauge "holdfast_backup_bytes" OF_MIGRATION,
        "Size of the backup of a migration";
    RETRYING_UNTIL = Gauge "holdfast_retrying_until_timestamp_seconds" OF_MIGRATION,
        "When a migration gives up what it tries again, while it does";
    PHASE_DURATION = Histogram "holdfast_phase_duration_seconds" &["phase", "result"],
        "How long phases took, waits included; result is Succeeded, Skipped or Failed";
    ROLLBACKS = Counter "holdfast_rollbacks" &["result"],
        "Rollbacks that ended; result is Succeeded or Failed";
    LOCK_WAIT_TIMEOUTS = Counter "holdfast_lock_wait_timeouts" &[],
        "Statements that were ended because they had waited for a lock, or held others up, as long as they may";
    PASSES = Counter "holdfast_passes" &["result"],
        "Passes of the controller over a migration; result is Succeeded, Conflict or Failed";
    PASS_DURATION = Histogram "holdfast_pass_duration_seconds" &[],
        "How long passes of the controller took";
    LEADER = Gauge "holdfast_leader" &[],
        "1 where this replica leads, and so tells of the migrations";
    BUILD_INFO = Gauge "holdfast_build_info" &["version"],
        "1, with the version of the operator";
}

/// The page `docs/metrics.md`.
#[must_use]
pub fn page() -> String {
    let mut text = String::from(
        "# Metrics\n\n\
         `GET /metrics` on the address `--metrics-address` (port 8081 in the chart, OpenMetrics text). The replica that leads tells of the \
         migrations. Labels are bounded: objects that exist, names that Holdfast defines, and at most 50 tables a migration. What was told \
         of a migration goes with it. This page is made from the list that the operator exposes.\n\n\
         | Metric | Kind | Labels | Meaning |\n|---|---|---|---|\n",
    );
    for each in ALL {
        let suffix = if each.kind == Kind::Counter { "_total" } else { "" };
        let labels: Vec<String> = each.labels.iter().map(|label| format!("`{label}`")).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| `{}{suffix}` | {} | {} | {} |",
            each.name,
            each.kind.as_str(),
            labels.join(", "),
            each.help
        );
    }
    text.push_str(
        "\nThe chart's PrometheusRule (`metrics.rules.enabled`) and the dashboard `deploy/grafana/holdfast.json` are made of these. Their queries \
         are compared with what a running operator exposes by `tests/api/metrics.rs`; the alerts are tested on series by promtool (`make test-monitoring`).\n",
    );
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_page_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
        if std::env::var_os("HOLDFAST_UPDATE").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        let stored = std::fs::read_to_string(path).unwrap();
        assert!(stored == page(), "docs/metrics.md is not current: run this test with HOLDFAST_UPDATE=1");
    }

    #[test]
    fn names_follow_the_conventions_of_prometheus() {
        for each in ALL {
            assert!(each.name.starts_with("holdfast_"), "{}", each.name);
            assert!(!each.name.ends_with("_total"), "{}: _total is written after it", each.name);
            assert!(each.kind != Kind::Histogram || each.name.ends_with("_seconds"), "{}: in base units", each.name);
        }
    }
}
