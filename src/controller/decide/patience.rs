//! How long trouble that may pass is borne. When it began is kept in the status, so that the limit counts over restarts of the
//! operator; how often it is tried meanwhile is known to this process only.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::conditions::find;
use crate::api::status::Phase;
use crate::api::{ConditionType, Reason};
use crate::mysql::Error;

use super::super::decision::{Decision, Effect, Fact, Verdict};
use super::super::observed::TaskState;
use super::case::Case;

/// Before the first change.
pub(super) const PATIENCE_BEFORE: Duration = Duration::from_secs(120);
/// After the first change, on the way forward; then changes are taken back.
pub(super) const PATIENCE_AFTER: Duration = Duration::from_secs(1800);
/// On the way back, where nothing is left to do but to go on once the database is there again.
pub(super) const PATIENCE_BACK: Duration = Duration::from_secs(24 * 3600);
/// For another migration of the same schema.
pub(super) const PATIENCE_FOR_THE_FENCE: Duration = Duration::from_secs(3600);
/// The same, once a window closed meanwhile: in short ones an hour would never be over.
pub(super) const PATIENCE_OVER_WINDOWS: Duration = Duration::from_secs(72 * 3600);
/// After a restart the operator must have seen the trouble for as long as this itself: what was away together with it may be
/// coming back just now.
const SEEN_AT_LEAST: Duration = Duration::from_secs(20);

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or(Duration::ZERO)
}

impl Case<'_> {
    /// How long to wait until what met trouble is tried again.
    pub(super) fn pause(&self) -> Option<Duration> {
        let next = self.observed.trouble?.next;
        (self.now < next).then(|| Duration::try_from(next.duration_since(self.now)).unwrap_or(Duration::from_secs(1)))
    }

    /// Whether something is tried again that failed before.
    pub(super) fn is_troubled(&self) -> bool {
        self.observed.trouble.is_some() || self.troubled_since().is_some()
    }

    /// Whether the status says what is tried again in this phase; it keeps saying so until work really advances.
    pub(super) fn tells_trouble(&self, phase: Phase) -> bool {
        let reason =
            find(&self.status.conditions, ConditionType::Reconciling).and_then(|each| Reason::from_name(&each.reason));
        let without_a_limit = matches!(
            reason,
            Some(
                Reason::DriftDetected
                    | Reason::ServerChanged
                    | Reason::ReplicaNotListed
                    | Reason::ReplicaNotReady
                    | Reason::UnknownPlanFormat
            )
        );
        let told = self.status.retrying.is_some() || without_a_limit;
        self.is_troubled() && told && self.status.phase == Some(phase)
    }

    /// When the trouble began that there still is; none where the work got somewhere meanwhile.
    fn troubled_since(&self) -> Option<Timestamp> {
        let retrying = self.status.retrying.as_ref().filter(|_| !self.observed.advanced)?;
        let is_there_again = retrying.reason == Reason::DependencyNotReady.as_str() && self.observed.missing.is_none();
        (!is_there_again).then_some(retrying.since.0)
    }

    /// What becomes of trouble while a window is closed: it is over, except that another migration holds the schema, which goes on.
    pub(super) fn outside_hours(&self) -> Fact {
        match self.status.retrying.as_ref().filter(|retrying| retrying.reason == Reason::LockHeld.as_str()) {
            None => Fact::TroubleOver,
            Some(retrying) => {
                let since = retrying.since.0;
                let until = since.checked_add(PATIENCE_OVER_WINDOWS).unwrap_or(Timestamp::MAX);
                Fact::Retrying { reason: Reason::LockHeld, since, until }
            }
        }
    }

    /// Trouble as the status keeps it; `None` once it was borne for too long.
    fn bear(&self, reason: Reason, patience: Duration) -> Option<Fact> {
        let until = |since: Timestamp| since.checked_add(patience).unwrap_or(Timestamp::MAX);
        let over_windows = self.status.retrying.as_ref().filter(|retrying| {
            retrying.reason == Reason::LockHeld.as_str()
                && between(retrying.since.0, retrying.until.0) == PATIENCE_OVER_WINDOWS
                && self.troubled_since().is_some()
        });
        let (since, until) = match over_windows {
            Some(kept) if reason == Reason::LockHeld => (kept.since.0, kept.until.0),
            // Something else, which began after the window had opened again.
            Some(_) => (self.now, until(self.now)),
            None => {
                let since = self.troubled_since().unwrap_or(self.now);
                (since, until(since))
            }
        };
        let seen = self.observed.trouble.map_or(Duration::ZERO, |trouble| between(trouble.since, self.now));
        let over = self.now >= until && seen >= SEEN_AT_LEAST;
        (!over).then_some(Fact::Retrying { reason, since, until })
    }

    /// The error of a purge, if it may pass and has not been borne for too long.
    pub(super) fn bears(&self, error: &Error) -> Option<Fact> {
        if error.is_transient() { self.bear(super::failure::reason(error.cause), PATIENCE_AFTER) } else { None }
    }

    /// Trouble that may pass: waits and tries again, and gives up in the end.
    pub(super) fn trouble(&self, reason: Reason, message: &str) -> Decision {
        let patience = match (reason, self.status.started_at.is_some()) {
            _ if self.status.rollback.is_some() => PATIENCE_BACK,
            (Reason::LockHeld, _) => PATIENCE_FOR_THE_FENCE,
            (_, false) => PATIENCE_BEFORE,
            (_, true) => PATIENCE_AFTER,
        };
        let Some(fact) = self.bear(reason, patience) else {
            let waited = self.troubled_since().map_or(Duration::ZERO, |since| between(since, self.now));
            return self.fail(self.failing(), reason, &format!("{message} (tried for {} s)", waited.as_secs()));
        };
        let mut text = message.to_owned();
        if let Fact::Retrying { until, .. } = &fact {
            text.push_str(&format!(". It is tried again until {until:.0}"));
        }
        let decision = Decision::new(Verdict::Waiting(self.phase(), reason, text)).fact(fact);
        self.noting(decision, Effect::NoteTrouble)
    }

    /// Something that only a person ends: looked at again and again, and no limit runs.
    pub(super) fn without_a_limit(&self, verdict: Verdict) -> Decision {
        self.noting(Decision::new(verdict).fact(Fact::TroubleOver), Effect::NoteDrift)
    }

    /// With the effect that makes room for the next try, once for each.
    fn noting(&self, decision: Decision, note: Effect) -> Decision {
        let decision = decision.after(Duration::from_secs(2));
        if self.pause().is_some() && matches!(self.observed.task, TaskState::Idle) {
            return decision;
        }
        decision.effect(note)
    }
}
