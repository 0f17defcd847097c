//! How long writers were blocked. A maximum says how bad the worst write was; this says for how much of the time somebody waited.

use std::time::{Duration, Instant};

/// A write that takes longer than this was blocked while it was under way.
pub(crate) const BLOCKED: Duration = Duration::from_millis(100);

/// The writes of all connections, seen for their time alone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Blocked {
    /// When each blocked write began and ended.
    writes: Vec<(Instant, Instant)>,
    last_end: Option<Instant>,
    without_any: Duration,
}

impl Blocked {
    /// A write ended, well or not.
    pub(crate) fn record(&mut self, ended: Instant, latency: Duration) {
        if let Some(gap) = self.last_end.and_then(|last| ended.checked_duration_since(last))
            && gap > BLOCKED
        {
            self.without_any += gap;
        }
        self.last_end = self.last_end.max(Some(ended));
        if latency > BLOCKED {
            self.writes.push((ended.checked_sub(latency).unwrap_or(ended), ended));
        }
    }

    /// The time in which at least one writer was blocked.
    pub(crate) fn any_writer(&self) -> Duration {
        let mut writes = self.writes.clone();
        writes.sort();
        let (mut sum, mut until) = (Duration::ZERO, None);
        for (began, ended) in writes {
            let began = until.map_or(began, |until: Instant| until.max(began));
            sum += ended.saturating_duration_since(began);
            until = until.max(Some(ended));
        }
        sum
    }

    /// The time that all writers were blocked, added up.
    pub(crate) fn all_writers(&self) -> Duration {
        self.writes.iter().map(|(began, ended)| ended.saturating_duration_since(*began)).sum()
    }

    /// The time in which no write of any connection ended, in pieces of more than [`BLOCKED`].
    pub(crate) fn without_any(&self) -> Duration {
        self.without_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_writers_that_are_blocked_at_once_count_once_and_added_up_twice() {
        let (mut blocked, start) = (Blocked::default(), Instant::now());
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        blocked.record(at(1_000), Duration::from_millis(5));
        blocked.record(at(1_090), Duration::from_millis(90));
        blocked.record(at(2_000), Duration::from_millis(400));
        blocked.record(at(2_100), Duration::from_millis(400));
        blocked.record(at(2_600), Duration::from_millis(200));
        assert_eq!(blocked.any_writer(), Duration::from_millis(700));
        assert_eq!(blocked.all_writers(), Duration::from_millis(1_000));
        // From 1,090 to 2,000 and from 2,100 to 2,600.
        assert_eq!(blocked.without_any(), Duration::from_millis(1_410));
    }
}
