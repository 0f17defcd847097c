//! Windows of gates: whether one is open, until when, and when the next one opens. Pure: the rules of the time zones are compiled in.
//!
//! A window opens on its days at its time of day, as a clock in its time zone shows it, and stays open for its duration as a
//! stopwatch measures it. Where the clocks are put forward over the opening, it opens as much later as they are put forward;
//! where they are put back over it, it opens at the first of the two times. Windows that overlap or touch are one.

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp, Zoned};

use crate::api::gates::{Weekday as Day, Window};

/// Days that are looked through before today: the longest window lasts 7, and a time zone may skip a day.
const DAYS_BEFORE: i32 = 9;
/// Days that are looked through in all: the next opening is at most a week away, and a window without an end counts as open for
/// the week after.
const DAYS: i32 = 27;

/// Windows repeat every week; time zones move them against each other by an hour twice a year.
const WEEKS_TO_MEET: SignedDuration = SignedDuration::from_hours(3 * 7 * 24);

/// A window at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum View {
    /// It is open, until this moment.
    Open {
        /// When it closes.
        until: Zoned,
    },
    /// It is closed.
    Closed {
        /// When it opens next.
        next: Zoned,
    },
}

/// Why a window cannot be kept; the same for every moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnusableWindow {
    /// The time zone is not known.
    #[error("timeZone {0:?} is no name of the IANA time zone database: write one such as Europe/Berlin or UTC")]
    TimeZone(String),
    /// The start is no time of day.
    #[error("start {0:?} is no time of day: write one such as 02:00")]
    Start(String),
    /// No opening can be reckoned, as at the end of the calendar.
    #[error("no opening can be reckoned from {0}: {1}")]
    Calendar(Timestamp, String),
}

/// Looks at a window.
///
/// # Errors
/// What makes it unusable; such a window never opens.
pub fn look(window: &Window, now: Timestamp) -> Result<View, UnusableWindow> {
    let zone = time_zone(window)?;
    let start = start(window)?;
    let calendar = |error: jiff::Error| UnusableWindow::Calendar(now, error.to_string());
    let length = SignedDuration::try_from(window.duration.get()).map_err(calendar)?;
    let mut day = now.to_zoned(zone.clone()).date().checked_sub(Span::new().days(DAYS_BEFORE)).map_err(calendar)?;
    let mut open_until: Option<Timestamp> = None;
    for _ in 0..DAYS {
        if opens_on(window, day.weekday()) {
            let opens = day.to_datetime(start).to_zoned(zone.clone()).map_err(calendar)?.timestamp();
            let closes = opens.checked_add(length).map_err(calendar)?;
            match open_until {
                Some(until) if opens > until => break,
                Some(until) => open_until = Some(until.max(closes)),
                None if closes <= now => {}
                None if opens <= now => open_until = Some(closes),
                None => return Ok(View::Closed { next: opens.to_zoned(zone) }),
            }
        }
        day = day.tomorrow().map_err(calendar)?;
    }
    match open_until {
        Some(until) => Ok(View::Open { until: until.to_zoned(zone) }),
        None => Err(UnusableWindow::Calendar(now, "the window has no day".to_owned())),
    }
}

/// Whether both windows are open at one moment of the next weeks.
///
/// # Errors
/// What makes one of them unusable.
pub fn meet(one: &Window, other: &Window, now: Timestamp) -> Result<bool, UnusableWindow> {
    let end = now.saturating_add(WEEKS_TO_MEET).unwrap_or(Timestamp::MAX);
    let mut moment = now;
    while moment < end {
        moment = match (look(one, moment)?, look(other, moment)?) {
            (View::Open { .. }, View::Open { .. }) => return Ok(true),
            (View::Closed { next }, _) | (_, View::Closed { next }) => next.timestamp(),
        };
    }
    Ok(false)
}

fn time_zone(window: &Window) -> Result<TimeZone, UnusableWindow> {
    TimeZone::get(&window.time_zone).map_err(|_| UnusableWindow::TimeZone(window.time_zone.clone()))
}

fn start(window: &Window) -> Result<Time, UnusableWindow> {
    let unusable = || UnusableWindow::Start(window.start.clone());
    let (hour, minute) = window.start.split_once(':').ok_or_else(unusable)?;
    let (hour, minute) = (hour.parse().map_err(|_| unusable())?, minute.parse().map_err(|_| unusable())?);
    Time::new(hour, minute, 0, 0).map_err(|_| unusable())
}

fn opens_on(window: &Window, day: Weekday) -> bool {
    let day = match day {
        Weekday::Monday => Day::Mon,
        Weekday::Tuesday => Day::Tue,
        Weekday::Wednesday => Day::Wed,
        Weekday::Thursday => Day::Thu,
        Weekday::Friday => Day::Fri,
        Weekday::Saturday => Day::Sat,
        Weekday::Sunday => Day::Sun,
    };
    window.days.is_empty() || window.days.contains(&day)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Zones whose clocks change by an hour, by half an hour, at midnight, never, and one that once skipped a whole day.
    const ZONES: [&str; 8] = [
        "America/Los_Angeles",
        "Europe/Berlin",
        "Australia/Lord_Howe",
        "America/Santiago",
        "Africa/Cairo",
        "Asia/Kolkata",
        "Pacific/Apia",
        "UTC",
    ];
    const DAY_NAMES: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

    fn window(zone: &str, days: &[&str], start: &str, duration: &str) -> Window {
        serde_json::from_value(json!({"days": days, "start": start, "duration": duration, "timeZone": zone})).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn open_until(window: &Window, now: &str) -> String {
        match look(window, at(now)).unwrap() {
            View::Open { until } => until.timestamp().to_string(),
            View::Closed { next } => panic!("closed at {now} until {next}"),
        }
    }

    fn next(window: &Window, now: &str) -> String {
        match look(window, at(now)).unwrap() {
            View::Closed { next } => next.to_string(),
            View::Open { until } => panic!("open at {now} until {until}"),
        }
    }

    #[test]
    fn a_window_opens_on_its_days_for_its_duration() {
        let window = window("America/Los_Angeles", &["Tue", "Wed"], "02:00", "2h");
        // Tuesday, 24 November 2026, 02:00 there is 10:00 in UTC.
        assert_eq!(next(&window, "2026-11-24T09:59:59Z"), "2026-11-24T02:00:00-08:00[America/Los_Angeles]");
        assert_eq!(open_until(&window, "2026-11-24T10:00:00Z"), "2026-11-24T12:00:00Z");
        assert_eq!(open_until(&window, "2026-11-24T11:59:59Z"), "2026-11-24T12:00:00Z");
        assert_eq!(next(&window, "2026-11-24T12:00:00Z"), "2026-11-25T02:00:00-08:00[America/Los_Angeles]");
        assert_eq!(next(&window, "2026-11-25T12:00:00Z"), "2026-12-01T02:00:00-08:00[America/Los_Angeles]");
    }

    #[test]
    fn an_opening_that_the_clocks_skip_comes_as_much_later_as_they_skip() {
        // At 02:00 on 8 March 2026 the clocks there are put forward to 03:00.
        let window = window("America/Los_Angeles", &[], "02:30", "1h");
        assert_eq!(next(&window, "2026-03-08T09:00:00Z"), "2026-03-08T03:30:00-07:00[America/Los_Angeles]");
        assert_eq!(open_until(&window, "2026-03-08T10:30:00Z"), "2026-03-08T11:30:00Z");
        assert_eq!(next(&window, "2026-03-08T11:30:00Z"), "2026-03-09T02:30:00-07:00[America/Los_Angeles]");
    }

    #[test]
    fn an_opening_that_the_clocks_repeat_comes_once() {
        // At 02:00 on 1 November 2026 the clocks there are put back to 01:00.
        let window = window("America/Los_Angeles", &[], "01:30", "30m");
        assert_eq!(next(&window, "2026-11-01T08:00:00Z"), "2026-11-01T01:30:00-07:00[America/Los_Angeles]");
        assert_eq!(open_until(&window, "2026-11-01T08:30:00Z"), "2026-11-01T09:00:00Z");
        // 01:30 comes again at 09:30 in UTC.
        assert_eq!(next(&window, "2026-11-01T09:30:00Z"), "2026-11-02T01:30:00-08:00[America/Los_Angeles]");
    }

    #[test]
    fn a_window_over_a_change_of_the_clocks_lasts_as_long_as_any_other() {
        let window = window("Europe/Berlin", &["Sun"], "01:00", "4h");
        assert_eq!(open_until(&window, "2026-03-29T00:00:00Z"), "2026-03-29T04:00:00Z");
        assert_eq!(open_until(&window, "2026-10-25T02:00:00Z"), "2026-10-25T03:00:00Z");
    }

    #[test]
    fn windows_that_touch_are_one() {
        let daily = window("UTC", &[], "00:00", "24h");
        let View::Open { until } = look(&daily, at("2026-11-24T10:00:00Z")).unwrap() else { panic!("closed") };
        assert!(until.timestamp() > at("2026-12-01T10:00:00Z"), "{until}");
        let three_days = window("UTC", &["Fri", "Sat"], "22:00", "26h");
        assert_eq!(open_until(&three_days, "2026-11-27T23:00:00Z"), "2026-11-30T00:00:00Z");
    }

    #[test]
    fn a_window_that_cannot_be_kept_says_why() {
        let error = look(&window("Europe/Atlantis", &[], "02:00", "1h"), at("2026-01-01T00:00:00Z")).unwrap_err();
        assert!(error.to_string().contains("Europe/Atlantis"), "{error}");
        let error = look(&window("UTC", &[], "25:00", "1h"), at("2026-01-01T00:00:00Z")).unwrap_err();
        assert!(error.to_string().contains("25:00"), "{error}");
    }

    /// Windows of every shape, and moments of which every other one is close to a change of the clocks.
    fn cases() -> impl Strategy<Value = (Window, Timestamp)> {
        let zone = prop::sample::select(ZONES.to_vec());
        let days = prop::sample::subsequence(DAY_NAMES.to_vec(), 0..=7);
        // From 2010, so that the day that Samoa skipped is among them, to 2030.
        let seconds = 1_262_304_000_i64..1_893_456_000;
        let close_by = prop::option::of(-4 * 3600_i64..4 * 3600);
        (zone, days, 0..24_u8, 0..60_u8, 1..2000_u32, seconds, close_by).prop_map(
            |(zone, days, hour, minute, minutes, second, close_by)| {
                let window = window(zone, &days, &format!("{hour:02}:{minute:02}"), &format!("{minutes}m"));
                let anywhere = Timestamp::from_second(second).unwrap();
                let change = TimeZone::get(zone).unwrap().following(anywhere).next().map(|change| change.timestamp());
                let now = match (change, close_by) {
                    (Some(change), Some(seconds)) => change.checked_add(SignedDuration::from_secs(seconds)).unwrap(),
                    _ => anywhere,
                };
                (window, now)
            },
        )
    }

    fn shifted(moment: Timestamp, seconds: i64) -> Timestamp {
        moment.checked_add(SignedDuration::from_secs(seconds)).unwrap()
    }

    fn open(window: &Window, now: Timestamp) -> Option<Timestamp> {
        match look(window, now).unwrap() {
            View::Open { until } => Some(until.timestamp()),
            View::Closed { .. } => None,
        }
    }

    proptest! {
        #[test]
        fn an_open_window_stays_open_until_it_closes_and_not_longer((window, now) in cases(), part in 0.0..1.0_f64) {
            if let View::Open { until } = look(&window, now).unwrap() {
                let until = until.timestamp();
                prop_assert!(until > now);
                let left = until.duration_since(now).as_secs();
                let between = shifted(now, (left as f64 * part) as i64);
                if between < until && left < 7 * 86_400 {
                    prop_assert_eq!(open(&window, between), Some(until));
                    prop_assert_eq!(open(&window, until), None);
                }
            }
        }

        #[test]
        fn a_closed_window_stays_closed_until_its_next_opening((window, now) in cases(), part in 0.0..1.0_f64) {
            if let View::Closed { next } = look(&window, now).unwrap() {
                let opens = next.timestamp();
                prop_assert!(opens > now && opens <= shifted(now, 8 * 86_400), "{next} from {now}");
                let left = opens.duration_since(now).as_secs();
                let between = shifted(now, (left as f64 * part) as i64);
                prop_assert_eq!(look(&window, between.min(shifted(opens, -1)).max(now)).unwrap(), View::Closed { next: next.clone() });
                prop_assert!(open(&window, opens).is_some());
                let lasts = i64::try_from(window.duration.get().as_secs()).unwrap();
                prop_assert!(open(&window, shifted(opens, lasts - 1)).is_some());
            }
        }

        #[test]
        fn a_window_opens_when_the_clock_shows_its_start((window, now) in cases()) {
            if let View::Closed { next } = look(&window, now).unwrap() {
                let shown = next.strftime("%H:%M").to_string();
                if shown != window.start || !opens_on(&window, next.weekday()) {
                    // The clock never showed the start on that day: it lies in the gap that has just passed, of a whole day once (Pacific/Apia).
                    let zone = time_zone(&window).unwrap();
                    let change = zone.preceding(next.timestamp()).next().unwrap();
                    prop_assert!(next.timestamp().duration_since(change.timestamp()) < SignedDuration::from_hours(25), "{next}");
                    let wanted = start(&window).unwrap();
                    let passed = zone.to_ambiguous_zoned(next.date().to_datetime(wanted)).is_ambiguous()
                        || zone.to_ambiguous_zoned(next.date().yesterday().unwrap().to_datetime(wanted)).is_ambiguous();
                    prop_assert!(passed, "{next} for {wanted}");
                }
            }
        }
    }
}
