//! The application during a soak: it meets errors, the server forgets what it counted or does not tell, and rows without a parent come
//! to light at the end. It draws from a generator of its own, so that histories without a soak are what they were.

use fastrand::Rng;
use holdfast::api::conditions::{find, is_true};
use holdfast::api::{ConditionType, Reason, SchemaMigration, SchemaMigrationStatus};
use holdfast::controller::observed::TaskResult;
use holdfast::controller::soak::{self, Look};
use holdfast::mysql::soak::{ErrorCounts, Sample, StatementCounts};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::engine::Run;
use crate::world::World;

/// Chosen so that the histories of `regressions.txt` have no soak: `property.rs` looks whether it is so.
const SEED: u64 = 0x5eed_0003;
/// So many errors at once are too many for the longest pause between two looks.
const BURST: u64 = 1_000_000;
const DURATION: SignedDuration = SignedDuration::from_mins(10);

/// The application, as the server counts what it does.
#[derive(Debug)]
pub(crate) struct Soak {
    rng: Rng,
    used: bool,
    errors: u64,
    /// When the server was started.
    up_since: Timestamp,
    /// Whether the server does not tell what it counts.
    blind: bool,
    /// Errors that the server still remembers.
    bursts: Vec<Timestamp>,
    /// Migrations under whose keys orphans were found, by uid.
    orphans: Vec<String>,
}

impl Soak {
    pub(crate) fn new(seed: u64, now: Timestamp) -> Self {
        let mut rng = Rng::with_seed(seed ^ SEED);
        let used = rng.u32(0..3) == 0;
        Self { rng, used, errors: 0, up_since: now, blind: false, bursts: Vec::new(), orphans: Vec::new() }
    }

    /// Whether anybody soaks at all.
    pub(crate) fn is_used(&self) -> bool {
        self.used
    }

    /// What a person writes into the spec, if anything.
    pub(crate) fn spec(&mut self) -> Option<Value> {
        (self.used && self.rng.u32(0..4) > 0).then(|| json!({"duration": "10m"}))
    }

    /// The gate that a person writes before it, if any.
    pub(crate) fn is_gated(&mut self) -> bool {
        self.used && self.rng.u32(0..4) == 0
    }

    /// The server is another one, or was started again.
    pub(crate) fn forget(&mut self, now: Timestamp) {
        // One that is started again at once is not seen to be another one, by the same number of errors.
        let at_once = now.duration_since(self.up_since) < SignedDuration::from_mins(2);
        self.errors = if at_once { self.errors } else { 0 };
        self.up_since = now;
        self.bursts.clear();
    }

    fn sample(&self, now: Timestamp) -> Sample {
        let uptime_seconds = u64::try_from(now.duration_since(self.up_since).as_secs()).unwrap();
        if self.blind {
            let why = "performance_schema cannot be read".to_owned();
            return Sample { uptime_seconds, errors: Err(why.clone()), statements: Err(why) };
        }
        let errors = ErrorCounts { foreign_keys: self.errors, locks: 0, gap: None };
        Sample { uptime_seconds, errors: Ok(errors), statements: Ok(StatementCounts::default()) }
    }
}

impl World {
    /// Sometimes the application meets errors while it is watched, and before; or the server goes blind.
    pub(crate) fn application_moves(&mut self) {
        if !self.soak.used {
            return;
        }
        let watched = (0..2).any(|which| {
            let status = self.status(which);
            let began = status.soak.as_ref().is_some_and(|soak| soak.started_at.is_some());
            began && !is_true(&status.conditions, ConditionType::Soaked) && status.rollback.is_none()
        });
        let seldom = if watched { 60 } else { 2_000 };
        if self.soak.rng.u32(0..seldom) == 0 {
            self.soak.errors += BURST;
            self.soak.bursts.push(self.now);
            self.tell(|| "the application meets errors of foreign keys".to_owned());
        }
        if self.faults && self.soak.rng.u32(0..200) == 0 {
            self.soak.blind = !self.soak.blind;
            let blind = self.soak.blind;
            self.tell(|| format!("the server does not tell what it counts: {blind}"));
        }
    }

    /// The begin of what is measured before the first change, and its end.
    pub(crate) fn begin_baseline(&self, migration: &SchemaMigration) -> Option<holdfast::api::status::SoakBaseline> {
        migration.spec.soak.as_ref().map(|_| soak::begin_baseline(self.now, &self.soak.sample(self.now)))
    }

    pub(crate) fn end_baseline(&self, migration: &SchemaMigration) -> Option<Box<holdfast::api::status::SoakBaseline>> {
        migration.spec.soak.as_ref()?;
        let status = migration.status.as_ref().and_then(|status| status.soak.as_ref());
        let begun = status.and_then(|soak| soak.baseline.as_ref());
        Some(Box::new(soak::end_baseline(begun, self.now, &self.soak.sample(self.now))))
    }

    /// A look at the application.
    pub(crate) fn look_at_application(&mut self) -> TaskResult {
        TaskResult::Looked(Box::new(Look { at: self.now, sample: self.soak.sample(self.now), logs: None }))
    }

    /// The scan at its end.
    pub(crate) fn scan_after_soak(&mut self, run: &Run) -> TaskResult {
        let found = self.faults && self.soak.rng.u32(0..25) == 0;
        let orphans = if found { vec!["orphans: child.parent_id -> parent.id | 1".to_owned()] } else { Vec::new() };
        if found {
            self.soak.orphans.extend(run.migration.metadata.uid.clone());
        }
        TaskResult::Scanned { keys: 1, orphans, slow: Ok(Vec::new()) }
    }

    /// What a status says of the soak that is not so.
    pub(crate) fn soak_contradicts(
        &self,
        migration: &SchemaMigration,
        before: &SchemaMigrationStatus,
        after: &SchemaMigrationStatus,
    ) -> Option<String> {
        let soaked = |status: &SchemaMigrationStatus| is_true(&status.conditions, ConditionType::Soaked);
        let soak = after.soak.clone().unwrap_or_default();
        let began = soak.started_at.as_ref().map(|began| began.0);
        let burst = |from: Timestamp, to: Timestamp| self.soak.bursts.iter().any(|burst| *burst > from && *burst < to);
        if soaked(after) && !soaked(before) {
            let skipped = find(&after.conditions, ConditionType::Soaked)?.reason == Reason::Skipped.as_str();
            if migration.spec.soak.is_some() == skipped {
                return Some(format!("the soak that the spec asks for is skipped: {skipped}"));
            }
            if skipped {
                return None;
            }
            let (Some(began), Some(sampled)) = (began, soak.sampled_at.as_ref().map(|sampled| sampled.0)) else {
                return Some("Soaked, and nobody looked".to_owned());
            };
            if self.now.duration_since(began) < DURATION || sampled.duration_since(began) < DURATION {
                return Some(format!("Soaked before its time: from {began} to {sampled}"));
            }
            if burst(began, sampled) {
                return Some(format!("Soaked, and the application met errors: {:?}", self.soak.bursts));
            }
        }
        let of = |status: &SchemaMigrationStatus| status.rollback.as_ref().map(|rollback| rollback.reason.clone());
        if of(after) != of(before) && of(after).as_deref() == Some(Reason::SoakBreached.as_str()) {
            let uid = migration.metadata.uid.clone().unwrap_or_default();
            // One at the moment of the first look may have come just after it.
            let met = began.is_some_and(|began| self.soak.bursts.iter().any(|burst| *burst >= began));
            // What a server that was started again has forgotten was seen before.
            let forgotten = began.is_some_and(|began| self.soak.up_since >= began);
            if !met && !forgotten && !self.soak.orphans.contains(&uid) {
                return Some("taken back for a breach, and the application met no errors".to_owned());
            }
        }
        None
    }
}
