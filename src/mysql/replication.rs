//! Whether a server replicates from where it should, and how far behind it is at most: decided from what it shows, without asking it.
//!
//! Lag is not read from `Seconds_Behind_Source`, which is 0 while the receiver is cut off, nor from clocks. A sample of what the server
//! had committed at a moment is taken, and once the replica has applied all of it, it is behind by no more than the time since then.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// One channel of a replica, as performance_schema shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Channel {
    /// Its name; empty for the default one.
    pub(crate) name: String,
    /// The server_uuid of its source; empty before it has connected for the first time.
    pub(crate) source: String,
    /// ON, OFF or CONNECTING.
    pub(crate) receiver: String,
    /// Number of its last error; 0: none.
    pub(crate) receiver_error: u64,
    /// ON or OFF.
    pub(crate) applier: String,
    /// Number of its last error; 0: none.
    pub(crate) applier_error: u64,
}

/// What keeps a replica with these channels from following one of the sources, with the way out. Messages of errors are not
/// repeated: they can hold values of rows.
pub(crate) fn problem(channels: &[Channel], sources: &BTreeSet<String>) -> Option<String> {
    let of_source: Vec<&Channel> = channels.iter().filter(|channel| sources.contains(&channel.source)).collect();
    let stopped = |channel: &Channel| {
        let place = if channel.name.is_empty() { String::new() } else { format!(" of the channel {:?}", channel.name) };
        let ended = |error: u64| if error == 0 { String::new() } else { format!(" after error {error}") };
        match (channel.receiver.as_str(), channel.applier.as_str()) {
            ("ON", "ON") => None,
            ("ON", _) => Some(format!(
                "its applier (SQL thread){place} does not run{}: see SHOW REPLICA STATUS there, and START REPLICA",
                ended(channel.applier_error)
            )),
            ("CONNECTING", _) => Some(format!(
                "its receiver (IO thread){place} cannot connect to its source{}: see SHOW REPLICA STATUS there",
                ended(channel.receiver_error)
            )),
            _ => Some(format!(
                "its receiver (IO thread){place} does not run{}: see SHOW REPLICA STATUS there, and START REPLICA",
                ended(channel.receiver_error)
            )),
        }
    };
    if channels.is_empty() {
        return Some("it replicates from no server: remove it from the list, or make it a replica".to_owned());
    }
    if of_source.is_empty() {
        // One that never connected does not know its source yet.
        let cut_off = channels.iter().filter(|channel| channel.source.is_empty()).find_map(stopped);
        return Some(cut_off.unwrap_or_else(|| {
            let others: Vec<&str> = channels.iter().map(|channel| channel.source.as_str()).collect();
            format!(
                "it replicates from the server {}, not from the one that spec.database.host names: list replicas of that one only",
                others.join(", ")
            )
        }));
    }
    of_source.into_iter().find_map(stopped)
}

/// Samples that are kept at once: enough that lag is known to a part of its limit.
const SAMPLES: usize = 16;

/// How far behind a replica is at most.
#[derive(Debug, Default)]
pub(crate) struct LagWatch {
    /// Everything committed until then is applied.
    caught_up: Option<Instant>,
    /// What was committed at later moments, oldest first, of which that is not known yet.
    samples: VecDeque<(Instant, String)>,
}

impl LagWatch {
    /// Takes a sample, if it is time for one: `committed` was read from the server not before `now`.
    pub(crate) fn sample(&mut self, now: Instant, committed: &str, limit: Duration) {
        let due = self.samples.back().is_none_or(|(last, _)| now.saturating_duration_since(*last) >= limit / 8);
        if due && self.samples.len() < SAMPLES {
            self.samples.push_back((now, committed.to_owned()));
        }
    }

    /// What to ask the replica for next.
    pub(crate) fn asked(&self) -> Option<&str> {
        self.samples.front().map(|(_, committed)| committed.as_str())
    }

    /// It has applied that.
    pub(crate) fn applied(&mut self) {
        if let Some((moment, _)) = self.samples.pop_front() {
            self.caught_up = Some(moment);
        }
    }

    /// How long ago the oldest was committed that it is not known to have applied.
    pub(crate) fn unapplied(&self, now: Instant) -> Duration {
        self.samples.front().map_or(Duration::ZERO, |(moment, _)| now.saturating_duration_since(*moment))
    }

    /// Whether it is known to be behind by no more than `limit`.
    pub(crate) fn is_within(&self, now: Instant, limit: Duration) -> bool {
        self.caught_up.is_some_and(|moment| now.saturating_duration_since(moment) <= limit)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn channel(source: &str, receiver: &str, applier: &str) -> Channel {
        Channel {
            name: String::new(),
            source: source.to_owned(),
            receiver: receiver.to_owned(),
            receiver_error: 0,
            applier: applier.to_owned(),
            applier_error: 0,
        }
    }

    #[test]
    fn a_replica_must_follow_the_server_with_both_of_its_threads() {
        let sources = BTreeSet::from(["primary".to_owned()]);
        let told = |channels: &[Channel]| problem(channels, &sources).unwrap();
        let good = channel("primary", "ON", "ON");
        assert_eq!(problem(std::slice::from_ref(&good), &sources), None);
        assert_eq!(problem(&[channel("another", "OFF", "OFF"), good], &sources), None, "others are not our concern");
        assert!(told(&[]).contains("replicates from no server"));
        assert!(told(&[channel("another", "ON", "ON")]).contains("from the server another"));
        assert!(told(&[channel("primary", "OFF", "ON")]).contains("receiver (IO thread) does not run:"));
        assert!(told(&[channel("", "CONNECTING", "ON")]).contains("cannot connect to its source"));
        let failed = Channel { applier_error: 1062, ..channel("primary", "ON", "OFF") };
        assert!(told(&[failed]).contains("applier (SQL thread) does not run after error 1062"));
    }

    #[test]
    fn lag_is_known_only_once_a_sample_is_applied_and_grows_until_the_next_one_is() {
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        let (mut watch, limit) = (LagWatch::default(), Duration::from_secs(8));
        assert!(!watch.is_within(begun, limit), "nothing is known, so nothing is passed");
        watch.sample(begun, "1-5", limit);
        watch.sample(begun, "1-6", limit);
        watch.sample(after(2), "1-9", limit);
        assert!(!watch.is_within(after(2), limit));
        assert_eq!(watch.asked(), Some("1-5"));
        watch.applied();
        assert!(watch.is_within(after(8), limit) && !watch.is_within(after(9), limit));
        assert_eq!(watch.asked(), Some("1-9"), "samples are taken at a distance");
        assert_eq!(watch.unapplied(after(9)), Duration::from_secs(7));
        watch.applied();
        assert!(watch.is_within(after(10), limit) && !watch.is_within(after(11), limit));
        assert_eq!(watch.asked(), None);
        for second in 0..100 {
            watch.sample(after(20 + second), "1-20", limit);
        }
        assert_eq!(watch.samples.len(), SAMPLES, "a replica that stands still costs no more and more memory");
    }
}
