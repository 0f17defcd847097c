//! The metrics of this process: counted as things happen, and, of each migration, told at a scrape from the status that was seen last.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use crate::api::{Phase, SchemaMigrationStatus};

use super::definitions::{self, Definition};
use super::samples::{self, Name, PhaseResult, Sample};

/// From a second to two days: a phase may wait for a person.
const PHASE_BUCKETS: [f64; 12] =
    [1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 28_800.0, 43_200.0, 86_400.0, 172_800.0];
const PASS_BUCKETS: [f64; 8] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0];

type One = [(&'static str, &'static str); 1];
type Two = [(&'static str, &'static str); 2];

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassResult {
    /// Its status was written, and its effect done.
    Succeeded,
    /// Somebody else had written the object meanwhile.
    Conflict,
    /// The API server refused or did not answer.
    Failed,
}

impl PassResult {
    const ALL: [Self; 3] = [Self::Succeeded, Self::Conflict, Self::Failed];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "Succeeded",
            Self::Conflict => "Conflict",
            Self::Failed => "Failed",
        }
    }
}

/// All metrics of this process.
pub struct Metrics {
    registry: Registry,
    migrations: Arc<Migrations>,
    phase_durations: Family<Two, Histogram, fn() -> Histogram>,
    rollbacks: Family<One, Counter>,
    lock_wait_timeouts: Counter,
    passes: Family<One, Counter>,
    pass_duration: Histogram,
    leader: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn phase_histogram() -> Histogram {
    Histogram::new(PHASE_BUCKETS)
}

fn rollback(succeeded: bool) -> One {
    [("result", if succeeded { "Succeeded" } else { "Failed" })]
}

fn phase_ended(phase: Phase, result: PhaseResult) -> Two {
    [("phase", phase.as_str()), ("result", result.as_str())]
}

fn pass(result: PassResult) -> One {
    [("result", result.as_str())]
}

fn register(registry: &mut Registry, definition: Definition, metric: impl Metric) {
    registry.register(definition.name, definition.help, metric);
}

impl Metrics {
    /// All of them, at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let migrations = Arc::new(Migrations::default());
        registry.register_collector(Box::new(migrations.clone()));
        let build = Family::<One, Gauge>::default();
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
        register(&mut registry, definitions::BUILD_INFO, build);
        let metrics = Self {
            registry,
            migrations,
            phase_durations: Family::new_with_constructor(phase_histogram),
            rollbacks: Family::default(),
            lock_wait_timeouts: Counter::default(),
            passes: Family::default(),
            pass_duration: Histogram::new(PASS_BUCKETS),
            leader: Gauge::default(),
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        // From the beginning, so that the first one is seen as an increase.
        for succeeded in [true, false] {
            drop(self.rollbacks.get_or_create(&rollback(succeeded)));
        }
        for result in PassResult::ALL {
            drop(self.passes.get_or_create(&pass(result)));
        }
        for phase in Phase::ALL.iter().filter(|phase| !phase.is_end()) {
            for result in [PhaseResult::Succeeded, PhaseResult::Failed] {
                drop(self.phase_durations.get_or_create(&phase_ended(*phase, result)));
            }
        }
        let registry = &mut self.registry;
        register(registry, definitions::PHASE_DURATION, self.phase_durations.clone());
        register(registry, definitions::ROLLBACKS, self.rollbacks.clone());
        register(registry, definitions::LOCK_WAIT_TIMEOUTS, self.lock_wait_timeouts.clone());
        register(registry, definitions::PASSES, self.passes.clone());
        register(registry, definitions::PASS_DURATION, self.pass_duration.clone());
        register(registry, definitions::LEADER, self.leader.clone());
        self
    }

    /// This replica leads, or leads no more and tells of no migration.
    pub fn lead(&self, leads: bool) {
        self.leader.set(i64::from(leads));
        if !leads {
            self.migrations.lock().clear();
        }
    }

    /// A pass ended.
    pub fn count_pass(&self, result: PassResult, took: Duration) {
        self.passes.get_or_create(&pass(result)).inc();
        self.pass_duration.observe(took.as_secs_f64());
    }

    /// So many statements were ended for the lock that they waited for.
    pub fn count_lock_wait_timeouts(&self, number: u64) {
        self.lock_wait_timeouts.inc_by(number);
    }

    /// A migration was seen, with its status before a pass and after it.
    pub fn see(&self, name: Name, before: &SchemaMigrationStatus, after: &SchemaMigrationStatus) {
        for (phase, result, seconds) in samples::ended_phases(before, after) {
            self.phase_durations.get_or_create(&phase_ended(phase, result)).observe(seconds);
        }
        if let Some(succeeded) = samples::ended_rollback(before, after) {
            self.rollbacks.get_or_create(&rollback(succeeded)).inc();
        }
        let mut seen = self.migrations.lock();
        let entry = seen.entry(name).or_default();
        let now = samples::advanced(before, after).then(Timestamp::now);
        entry.progress = entry.progress.max(samples::last_progress(after)).max(now);
        entry.status = samples::kept(after);
    }

    /// A migration is there no more.
    pub fn forget(&self, name: &Name) {
        self.migrations.lock().remove(name);
    }

    /// Everything as OpenMetrics text.
    ///
    /// # Errors
    /// When it cannot be written as text.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[derive(Default, Debug)]
struct Seen {
    status: SchemaMigrationStatus,
    progress: Option<Timestamp>,
}

/// What is told of the migrations, as they were seen last.
#[derive(Default, Debug)]
struct Migrations(Mutex<BTreeMap<Name, Seen>>);

impl Migrations {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Name, Seen>> {
        // Each entry is replaced as a whole, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn samples(&self) -> Vec<Sample> {
        let now = Timestamp::now();
        let seen = self.lock();
        seen.iter().flat_map(|(name, seen)| samples::of(name, &seen.status, seen.progress, now)).collect()
    }
}

impl Collector for Migrations {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let samples = self.samples();
        for definition in definitions::ALL.iter().filter(|each| each.labels.contains(&"migration")) {
            let mut family = encoder.encode_descriptor(definition.name, definition.help, None, MetricType::Gauge)?;
            for sample in samples.iter().filter(|sample| sample.of == *definition) {
                let labels: Vec<(&str, &str)> =
                    definition.labels.iter().copied().zip(sample.labels.iter().map(String::as_str)).collect();
                family.encode_family(&labels)?.encode_gauge(&sample.value)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn name(migration: &str) -> Name {
        Name { namespace: "shop".to_owned(), migration: migration.to_owned() }
    }

    #[test]
    fn every_definition_is_exposed_and_nothing_else() {
        let metrics = Metrics::new();
        let text = metrics.text().unwrap();
        let mut exposed: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        let mut defined: Vec<&str> = definitions::ALL.iter().map(|each| each.name).collect();
        exposed.sort_unstable();
        defined.sort_unstable();
        assert_eq!(exposed, defined);
    }

    #[test]
    fn what_is_told_of_a_migration_goes_with_it_and_with_the_lead() {
        let metrics = Metrics::new();
        let status: SchemaMigrationStatus = serde_json::from_value(json!({"phase": "Plan"})).unwrap();
        let before = SchemaMigrationStatus::default();
        for migration in ["first", "second \"quoted\""] {
            metrics.see(name(migration), &before, &status);
        }
        let line = |migration: &str| {
            format!("holdfast_phase{{namespace=\"shop\",migration=\"{migration}\",phase=\"Plan\"}} 1")
        };
        let text = metrics.text().unwrap();
        assert!(text.contains(&line("first")) && text.contains(&line("second \\\"quoted\\\"")), "{text}");
        metrics.forget(&name("first"));
        let text = metrics.text().unwrap();
        assert!(!text.contains(&line("first")) && text.contains("quoted"), "{text}");
        metrics.lead(false);
        assert!(!metrics.text().unwrap().contains("quoted"));
    }

    #[test]
    fn progress_is_the_latest_that_a_status_or_this_process_knows() {
        let metrics = Metrics::new();
        let status = |done: i64| -> SchemaMigrationStatus {
            let phases = json!([{"name": "Plan", "started": "2026-11-24T10:00:00Z"}]);
            serde_json::from_value(json!({"phases": phases, "steps": {"done": done, "total": 9}})).unwrap()
        };
        let seen = || {
            let text = metrics.text().unwrap();
            let line = text.lines().find(|line| line.starts_with("holdfast_last_progress_timestamp_seconds{")).unwrap();
            line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()
        };
        let started: Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
        metrics.see(name("first"), &status(1), &status(1));
        assert_eq!(seen(), started.as_second() as f64);
        metrics.see(name("first"), &status(1), &status(2));
        let advanced = seen();
        assert!(advanced > started.as_second() as f64);
        metrics.see(name("first"), &status(2), &status(2));
        assert_eq!(seen(), advanced, "what this process saw is not forgotten at the next pass");
    }

    #[test]
    fn ends_are_counted_from_zero() {
        let metrics = Metrics::new();
        assert!(metrics.text().unwrap().contains("holdfast_rollbacks_total{result=\"Failed\"} 0"));
        let status = |phase: &str| -> SchemaMigrationStatus {
            let phases = json!([{"name": "RollBack", "started": "2026-11-24T10:00:00Z"}]);
            serde_json::from_value(json!({"phase": phase, "phases": phases})).unwrap()
        };
        metrics.see(name("first"), &status("RollBack"), &status("Failed"));
        metrics.count_lock_wait_timeouts(3);
        metrics.count_pass(PassResult::Conflict, Duration::from_millis(20));
        let text = metrics.text().unwrap();
        for line in [
            "holdfast_rollbacks_total{result=\"Failed\"} 1",
            "holdfast_rollbacks_total{result=\"Succeeded\"} 0",
            "holdfast_lock_wait_timeouts_total 3",
            "holdfast_passes_total{result=\"Conflict\"} 1",
            "holdfast_pass_duration_seconds_bucket{le=\"0.05\"} 1",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
