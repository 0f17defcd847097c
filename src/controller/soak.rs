//! What samples of the application's counters mean: pure, from the counters in the status and those of a new sample to figures, and to
//! the word that a threshold was passed. Counters that began anew begin an interval anew; what could not be read is said, and never
//! counts as well.

mod baseline;
mod telling;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::application::Soak;
use crate::api::conditions::shortened;
use crate::api::status::{SoakBaseline, SoakStatus, SoakWatch, StatementBaseline, StatementKind, Watched};
use crate::mysql::soak::Sample;

use super::observed::signed;
use baseline::{Executed, executed, locks_before, was_started_again};
pub use baseline::{begin_baseline, end_baseline, followed};
pub use telling::{described, saw_something, told};

/// Samples are taken so often that a soak has this many, within the two bounds that follow.
const SAMPLES: u32 = 6;
const LEAST_PAUSE: Duration = Duration::from_secs(5);
const MOST_PAUSE: Duration = Duration::from_secs(60);
/// Statements of a kind that an interval needs before their average means anything; until then it goes on.
const LEAST_STATEMENTS: i64 = 30;
/// Intervals in a row that must be beyond the threshold, so that one slow statement is no breach.
const SUSTAINED: i32 = 3;
/// What two readings of the same load differ by: a share of the average before, in hundredths, and microseconds at least.
const NOISE_HUNDREDTHS: i64 = 25;
const LEAST_NOISE: i64 = 500;
/// Errors are judged by the minute.
const MINUTE: i64 = 60;
/// What is said of errors once an interval was not whole.
const LOST: &str = "the server's counters began anew, and what they had counted since the look before is not known";
/// Longest reason that the status keeps for what is not watched, in bytes.
const MAX_REASON: usize = 512;

/// One look at the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// When, by the operator's clock.
    pub at: Timestamp,
    /// What the server counts.
    pub sample: Sample,
    /// What the application's log said since the last look; `None` where nobody asks for it.
    pub logs: Option<Result<LogMatches, String>>,
}

/// Lines of the application's log that match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogMatches {
    /// How many.
    pub lines: i64,
    /// Until when the log was read.
    pub until: Timestamp,
    /// Names of the first pods that wrote them.
    pub pods: Vec<String>,
    /// What was not read, and why.
    pub gap: Option<String>,
}

impl Look {
    /// Whether anything at all could be read.
    #[must_use]
    pub fn sees_something(&self) -> bool {
        self.sample.errors.is_ok() || self.sample.statements.is_ok() || matches!(self.logs, Some(Ok(_)))
    }

    /// Why nothing could be read.
    #[must_use]
    pub fn blind(&self) -> String {
        let reasons = [self.sample.errors.as_ref().err(), self.sample.statements.as_ref().err()];
        let logs = self.logs.iter().filter_map(|logs| logs.as_ref().err());
        let mut told: Vec<&str> = Vec::new();
        for reason in reasons.into_iter().flatten().chain(logs) {
            if !told.contains(&reason.as_str()) {
                told.push(reason);
            }
        }
        told.join("; ")
    }
}

/// What a look comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The figures.
    pub status: SoakStatus,
    /// Every threshold that was passed, each with what was measured.
    pub breaches: Vec<String>,
}

/// The pause between two samples.
#[must_use]
pub fn pause(soak: &Soak) -> Duration {
    (soak.duration.get() / SAMPLES).clamp(LEAST_PAUSE, MOST_PAUSE)
}

/// Whether the last sample is taken.
#[must_use]
pub fn is_over(status: &SoakStatus) -> bool {
    matches!((&status.sampled_at, &status.until), (Some(sampled), Some(until)) if sampled.0 >= until.0)
}

/// Takes a look in.
#[must_use]
pub fn judge(soak: &Soak, before: &SoakStatus, look: &Look) -> Judged {
    let mut status = before.clone();
    // One that is in the status already, should a pass be repeated.
    if status.sampled_at.as_ref().is_some_and(|sampled| look.at <= sampled.0) {
        return Judged { status, breaches: Vec::new() };
    }
    if status.started_at.is_none() {
        status.started_at = Some(Time(look.at));
        status.until = Some(Time(look.at.checked_add(soak.duration.get()).unwrap_or(Timestamp::MAX)));
        let logs = soak.logs.as_ref().map(|_| Watched::LogMatches);
        let watched = Watched::ALL.iter().copied().filter(|each| *each != Watched::LogMatches).chain(logs);
        status.watches = watched.map(SoakWatch::new).collect();
    }
    let uptime = signed(look.sample.uptime_seconds);
    let baseline = status.baseline.clone();
    let mut judging = Judging {
        soak,
        at: look.at,
        anew: status
            .sampled_at
            .as_ref()
            .is_some_and(|sampled| was_started_again(status.uptime_seconds, sampled.0, uptime, look.at)),
        last: status.sampled_at.clone().map(|sampled| sampled.0),
        baseline: baseline.as_ref().filter(|baseline| baseline.until.is_some()),
        resets: false,
        breaches: Vec::new(),
    };
    for watch in &mut status.watches {
        judging.take_in(watch, look);
    }
    if judging.anew || judging.resets {
        status.resets = status.resets.saturating_add(1);
    }
    let breaches = judging.breaches;
    (status.sampled_at, status.uptime_seconds) = (Some(Time(look.at)), uptime);
    status.samples = status.samples.saturating_add(1);
    Judged { status, breaches }
}

/// A look that is being taken in.
struct Judging<'a> {
    soak: &'a Soak,
    at: Timestamp,
    /// The server was started again.
    anew: bool,
    last: Option<Timestamp>,
    baseline: Option<&'a SoakBaseline>,
    /// A counter is smaller than it was.
    resets: bool,
    breaches: Vec<String>,
}

impl Judging<'_> {
    fn take_in(&mut self, watch: &mut SoakWatch, look: &Look) {
        let sample = &look.sample;
        let allowed = &self.soak.max_added_latency;
        match watch.name {
            Watched::ForeignKeyErrors => {
                self.errors(watch, sample.errors.as_ref().map(|errors| (errors.foreign_keys, &errors.gap)))
            }
            Watched::LockErrors => self.errors(watch, sample.errors.as_ref().map(|errors| (errors.locks, &errors.gap))),
            Watched::ReadLatency => self.latency(watch, sample, StatementKind::Read, allowed.read.get()),
            Watched::WriteLatency => self.latency(watch, sample, StatementKind::Write, allowed.write.get()),
            Watched::DeleteLatency => self.latency(watch, sample, StatementKind::Delete, allowed.delete.get()),
            Watched::LogMatches => {
                if let Some(logs) = &look.logs {
                    self.logs(watch, logs.as_ref());
                }
            }
        }
    }

    /// Where an interval begins whose counters are smaller by now: at the sample before, with counters of nothing.
    fn begin_anew(&mut self, watch: &mut SoakWatch) {
        let begins = self.last.map(Time).or(watch.since.take());
        // Of latency an average is judged, which what is left shows as well.
        let is_of_errors = matches!(watch.name, Watched::ForeignKeyErrors | Watched::LockErrors);
        *watch = SoakWatch {
            since: begins,
            count: 0,
            microseconds: 0,
            expected_microseconds: 0,
            beyond: 0,
            gaps: watch.gaps.saturating_add(i32::from(is_of_errors)),
            ..watch.clone()
        };
        self.resets = true;
    }

    fn errors(&mut self, watch: &mut SoakWatch, read: Result<(u64, &Option<String>), &String>) {
        // Whether or not they can be read now: what they had counted is gone.
        let began_anew = self.anew && watch.since.is_some();
        if began_anew {
            self.begin_anew(watch);
        }
        let (now, gap) = match read {
            Ok((count, gap)) => (signed(count), gap),
            Err(why) => {
                watch.not_watched = Some(reason(why));
                return;
            }
        };
        let of_locks = watch.name == Watched::LockErrors;
        let began_anew = began_anew || (watch.since.is_some() && now < watch.count);
        if began_anew && !self.anew {
            self.begin_anew(watch);
        }
        let before = if of_locks { self.baseline.and_then(locks_before) } else { Some((0, 1)) };
        let Some((before, in_seconds)) = before else {
            watch.not_watched = Some("their rate before the first change was not measured".to_owned());
            return;
        };
        match gap {
            Some(gap) => watch.not_watched = Some(reason(gap)),
            None if watch.gaps > 0 => watch.not_watched = Some(LOST.to_owned()),
            None => watch.not_watched = None,
        }
        let Some(since) = watch.since.clone().map(|since| since.0) else {
            (watch.since, watch.count) = (Some(Time(self.at)), now);
            return;
        };
        let seconds = self.at.duration_since(since).as_secs().max(1);
        let (met, most) = (now - watch.count, i64::from(self.soak.max_foreign_key_errors_per_minute));
        // A time shorter than a minute may have as many as a minute.
        let of_time = most.saturating_mul(seconds.max(MINUTE)) / MINUTE;
        let expected = before.saturating_mul(seconds).saturating_add(in_seconds - 1) / in_seconds;
        let more = if of_locks {
            format!(", beside the {expected} that there were in such a time before")
        } else {
            String::new()
        };
        if !began_anew {
            watch.measured = Some(format!("{met} in {seconds} s; allowed are {most} a minute{more}"));
            watch.judged = watch.judged.saturating_add(1);
        }
        if met > of_time.saturating_add(expected) {
            watch.beyond = watch.beyond.saturating_add(1);
            let what = if of_locks {
                "lock wait timeouts and deadlocks (1205, 1213)"
            } else {
                "foreign-key errors (1216, 1217, 1451, 1452)"
            };
            self.breaches.push(format!(
                "the application met {met} {what} in the {seconds} s since {since:.0}; spec.soak.maxForeignKeyErrorsPerMinute allows {most} a \
                 minute{more}"
            ));
        } else {
            watch.beyond = 0;
        }
        // An interval of which a part was lost shows too many errors, and never that there were few.
        if seconds >= MINUTE || began_anew {
            (watch.since, watch.count) = (Some(Time(self.at)), now);
        }
    }

    fn latency(&mut self, watch: &mut SoakWatch, sample: &Sample, kind: StatementKind, most: Duration) {
        let read = match &sample.statements {
            Ok(read) => read,
            Err(why) => {
                watch.not_watched = Some(reason(why));
                return;
            }
        };
        let before: Vec<&StatementBaseline> =
            self.baseline.iter().flat_map(|each| &each.statements).filter(|each| each.kind == kind).collect();
        if before.is_empty() {
            watch.not_watched = Some("no such statement was measured before the first change".to_owned());
            return;
        }
        watch.not_watched = read.gap.as_deref().map(reason);
        let now = executed(&before, &read.statements);
        if watch.since.is_none() {
            set(watch, self.at, now);
            return;
        }
        if self.anew || now.count < watch.count || now.microseconds < watch.microseconds {
            self.begin_anew(watch);
        }
        let count = now.count - watch.count;
        if count < LEAST_STATEMENTS {
            return;
        }
        let took = (now.microseconds - watch.microseconds) / count;
        let expected = (now.expected - watch.expected_microseconds) / count;
        let noise = (expected * NOISE_HUNDREDTHS / 100).max(LEAST_NOISE);
        let most = i64::try_from(most.as_micros()).unwrap_or(i64::MAX);
        let since = watch.since.as_ref().map_or(self.at, |since| since.0);
        let told = format!(
            "{} on the average of {count} statements, {} before; allowed are {} more (and {} for what two readings differ by)",
            milliseconds(took),
            milliseconds(expected),
            milliseconds(most),
            milliseconds(noise)
        );
        watch.judged = watch.judged.saturating_add(1);
        let beyond = took - expected > most.saturating_add(noise);
        watch.beyond = if beyond { watch.beyond.saturating_add(1) } else { 0 };
        if watch.beyond >= SUSTAINED {
            self.breaches.push(format!(
                "{} on the plan's tables took longer than spec.soak.maxAddedLatency.{} allows in {} intervals in a row; in the last one, since \
                 {since:.0}: {told}",
                match kind {
                    StatementKind::Read => "SELECT",
                    StatementKind::Write => "INSERT, UPDATE and REPLACE",
                    StatementKind::Delete => "DELETE",
                },
                kind.as_str().to_lowercase(),
                watch.beyond,
            ));
        }
        watch.measured = Some(told);
        set(watch, self.at, now);
    }

    fn logs(&mut self, watch: &mut SoakWatch, read: Result<&LogMatches, &String>) {
        let found = match read {
            Ok(found) => found,
            Err(why) => {
                watch.not_watched = Some(reason(why));
                return;
            }
        };
        // What was passed over is not read again, so that no later look makes up for it.
        match &found.gap {
            Some(gap) => {
                watch.gaps = watch.gaps.saturating_add(1);
                watch.not_watched = Some(reason(gap));
            }
            None if watch.gaps == 0 => watch.not_watched = None,
            None => {}
        }
        // The first look only marks where the log is read from.
        if watch.since.replace(Time(found.until)).is_none() {
            return;
        }
        watch.count = watch.count.saturating_add(found.lines);
        watch.judged = watch.judged.saturating_add(1);
        let most = self.soak.logs.as_ref().map_or(0, |logs| i64::from(logs.max_matches));
        watch.measured = Some(format!("{} lines match; allowed are {most}", watch.count));
        if watch.count > most {
            watch.beyond = watch.beyond.saturating_add(1);
            self.breaches.push(format!(
                "{} lines of the application's log match spec.soak.logs.pattern; spec.soak.logs.maxMatches allows {most}. The last ones are in the \
                 log of {}",
                watch.count,
                found.pods.join(", ")
            ));
        }
    }
}

fn set(watch: &mut SoakWatch, at: Timestamp, now: Executed) {
    watch.since = Some(Time(at));
    (watch.count, watch.microseconds, watch.expected_microseconds) = (now.count, now.microseconds, now.expected);
}

fn milliseconds(microseconds: i64) -> String {
    format!("{}.{} ms", microseconds / 1_000, microseconds % 1_000 / 100)
}

fn reason(why: impl AsRef<str>) -> String {
    shortened(why.as_ref().to_owned(), MAX_REASON)
}
