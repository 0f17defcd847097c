//! Numbers and times as people read them.

use jiff::Timestamp;

use super::model::Fact;

/// A count of the status, which none of its writers makes negative.
pub(super) fn u(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// `2026-11-24 10:08:30`, in UTC, which each page says once.
pub(super) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `< 1 s`, `42 s`, `3 min 24 s`, `2 h 5 min`, `3 d 4 h`
pub(super) fn took(milliseconds: u64) -> String {
    let seconds = milliseconds / 1_000;
    let two = |greater: u64, its: &str, lesser: u64, other: &str| match lesser {
        0 => format!("{greater} {its}"),
        _ => format!("{greater} {its} {lesser} {other}"),
    };
    match seconds {
        0 => "< 1 s".to_owned(),
        1..60 => format!("{seconds} s"),
        60..3_600 => two(seconds / 60, "min", seconds % 60, "s"),
        3_600..172_800 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// The beginning of a digest, which is enough to tell two apart by eye.
pub(super) fn short(digest: &str) -> String {
    digest.chars().take(19).collect()
}

/// A fact.
pub(super) fn fact(name: &str, value: impl Into<String>) -> Fact {
    Fact { name: name.to_owned(), value: value.into() }
}

/// A fact, where there is one.
pub(super) fn known(name: &str, value: Option<impl Into<String>>) -> Option<Fact> {
    value.map(|value| fact(name, value))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_are_told_in_two_units_at_most() {
        let told: Vec<String> = [999, 42_000, 60_000, 204_900, 7_500_000, 273_600_000].map(took).to_vec();
        assert_eq!(told, ["< 1 s", "42 s", "1 min", "3 min 24 s", "2 h 5 min", "3 d 4 h"]);
        assert_eq!(moment("2026-11-24T10:08:30Z".parse().unwrap()), "2026-11-24 10:08:30");
    }
}
