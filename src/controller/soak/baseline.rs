//! What the application did before the first change, which the soak is held against: measured from the plan on until just before it.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::observed::signed;
use super::reason;
use crate::api::duration::CLOCKS_DIFFER;
use crate::api::status::{SoakBaseline, SoakStatus, StatementBaseline};
use crate::mysql::soak::{Sample, StatementCount};

/// Executions without which a statement's average before the first change means nothing.
const LEAST_BEFORE: i64 = 10;

/// The begin of what is measured before the first change.
#[must_use]
pub fn begin_baseline(at: Timestamp, sample: &Sample) -> SoakBaseline {
    let mut not_measured = Vec::new();
    let locks = sample.errors.as_ref().map(|errors| signed(errors.locks));
    let lock_errors = locks.map_err(|why| not_measured.push(format!("errors: {}", reason(why)))).ok();
    let statements = match &sample.statements {
        Ok(read) => read.statements.iter().map(kept).collect(),
        Err(why) => {
            not_measured.push(format!("statements: {}", reason(why)));
            Vec::new()
        }
    };
    let uptime_seconds = signed(sample.uptime_seconds);
    SoakBaseline { from: Time(at), until: None, uptime_seconds, lock_errors, statements, not_measured }
}

/// What was measured, once the first change is about to be made. Without a begin, which plans of older versions lack, only what
/// the server remembers of statements is known.
#[must_use]
pub fn end_baseline(begun: Option<&SoakBaseline>, at: Timestamp, sample: &Sample) -> SoakBaseline {
    let mut baseline = begin_baseline(at, sample);
    baseline.until = Some(Time(at));
    let Some(begun) = begun else {
        baseline.lock_errors = None;
        baseline.not_measured.push("errors: the plan was made before they were counted".to_owned());
        baseline.statements.retain(|statement| statement.count >= LEAST_BEFORE);
        return baseline;
    };
    baseline.from = begun.from.clone();
    let anew = was_started_again(begun.uptime_seconds, begun.from.0, baseline.uptime_seconds, at);
    baseline.lock_errors = match (baseline.lock_errors, begun.lock_errors) {
        (Some(now), Some(before)) => Some(if anew || now < before { now } else { now - before }),
        _ => None,
    };
    if baseline.lock_errors.is_none() && baseline.not_measured.is_empty() {
        baseline.not_measured.clone_from(&begun.not_measured);
    }
    for statement in &mut baseline.statements {
        let same = |each: &&StatementBaseline| each.digest == statement.digest && each.schema == statement.schema;
        // Executed too seldom meanwhile, it counts with all that the server remembers, which is from before the first change as well.
        if let Some(before) = begun.statements.iter().find(same).filter(|_| !anew)
            && statement.count - before.count >= LEAST_BEFORE
            && statement.microseconds >= before.microseconds
        {
            (statement.count, statement.microseconds) =
                (statement.count - before.count, statement.microseconds - before.microseconds);
        }
    }
    baseline.statements.retain(|statement| statement.count >= LEAST_BEFORE);
    baseline
}

fn kept(count: &StatementCount) -> StatementBaseline {
    StatementBaseline {
        kind: count.kind,
        schema: count.schema.clone(),
        digest: count.digest.clone(),
        count: signed(count.count),
        microseconds: signed(count.microseconds),
    }
}

/// The statements whose counters a sample needs.
#[must_use]
pub fn followed(status: &SoakStatus) -> Vec<StatementCount> {
    let statements = status.baseline.iter().flat_map(|baseline| &baseline.statements);
    let count = |each: &StatementBaseline| StatementCount {
        kind: each.kind,
        schema: each.schema.clone(),
        digest: each.digest.clone(),
        count: 0,
        microseconds: 0,
    };
    statements.map(count).collect()
}

/// Whether the server has been up for less time than before, or than it would be if it had gone on: by more than two clocks may differ, so that none is
/// taken for started again that was not, and all its counters for new ones.
pub(super) fn was_started_again(uptime_before: i64, before: Timestamp, uptime: i64, now: Timestamp) -> bool {
    let passed = now.duration_since(before).as_secs();
    uptime < uptime_before
        || uptime.saturating_add(CLOCKS_DIFFER.as_secs() + passed / 100) < uptime_before.saturating_add(passed)
}

/// Counters of statements of one kind.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Executed {
    pub(super) count: i64,
    pub(super) microseconds: i64,
    pub(super) expected: i64,
}

/// Seconds from which the rate of lock errors is reckoned at least: a single one tells little of a shorter time.
const LEAST_SECONDS: i64 = 60;

/// Lock errors before the first change, and in how many seconds.
pub(super) fn locks_before(baseline: &SoakBaseline) -> Option<(i64, i64)> {
    let until = baseline.until.as_ref()?.0;
    let seconds = until.duration_since(baseline.from.0).as_secs().max(LEAST_SECONDS);
    baseline.lock_errors.map(|errors| (errors, seconds))
}

/// What the statements took, and would have taken at their average before. Each is held against itself, so that it does not matter
/// which of them are executed more than before.
pub(super) fn executed(before: &[&StatementBaseline], now: &[StatementCount]) -> Executed {
    let mut sum = Executed::default();
    for earlier in before {
        let same = |each: &&StatementCount| each.digest == earlier.digest && each.schema == earlier.schema;
        for each in now.iter().filter(same) {
            let count = signed(each.count);
            let expected = i128::from(count) * i128::from(earlier.microseconds) / i128::from(earlier.count.max(1));
            sum.count = sum.count.saturating_add(count);
            sum.microseconds = sum.microseconds.saturating_add(signed(each.microseconds));
            sum.expected = sum.expected.saturating_add(i64::try_from(expected).unwrap_or(i64::MAX));
        }
    }
    sum
}
