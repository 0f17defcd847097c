//! Durations as Kubernetes users write them: `500ms`, `30s`, `10m`, `720h`, `1h30m`.
//!
//! The text is kept as written, so that an object read and written again does not change.

use std::{fmt, str::FromStr, time};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What a duration's text looks like, for the schema.
pub const PATTERN: &str = "^([0-9]{1,9}(ms|s|m|h)){1,4}$";

/// The clocks of two machines may differ by so much.
pub const CLOCKS_DIFFER: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);

/// A length of time, written as in Go: numbers with the units `ms`, `s`, `m` and `h`.
#[derive(Clone, Debug)]
pub struct Duration {
    text: String,
    value: time::Duration,
}

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a duration: write whole numbers with the units ms, s, m or h, such as 500ms, 30s or 1h30m")]
pub struct InvalidDuration {
    text: String,
}

impl Duration {
    /// The length as the standard library's type.
    #[must_use]
    pub fn get(&self) -> time::Duration {
        self.value
    }

    /// The text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// A duration of whole milliseconds.
    #[must_use]
    pub fn from_millis(millis: u64) -> Self {
        let text = match millis {
            m if m > 0 && m % 3_600_000 == 0 => format!("{}h", m / 3_600_000),
            m if m > 0 && m % 60_000 == 0 => format!("{}m", m / 60_000),
            m if m > 0 && m % 1_000 == 0 => format!("{}s", m / 1_000),
            m => format!("{m}ms"),
        };
        Self { text, value: time::Duration::from_millis(millis) }
    }
}

impl FromStr for Duration {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidDuration { text: text.to_owned() };
        let mut rest = text;
        let mut millis: u64 = 0;
        let mut parts = 0;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if digits == 0 || digits > 9 || parts == 4 {
                return Err(invalid());
            }
            let (number, after) = rest.split_at(digits);
            let number: u64 = number.parse().map_err(|_| invalid())?;
            let (unit, after) = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)]
                .into_iter()
                .find_map(|(unit, factor)| after.strip_prefix(unit).map(|after| (factor, after)))
                .ok_or_else(invalid)?;
            millis += number * unit;
            parts += 1;
            rest = after;
        }
        if parts == 0 {
            return Err(invalid());
        }
        Ok(Self { text: text.to_owned(), value: time::Duration::from_millis(millis) })
    }
}

impl PartialEq for Duration {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for Duration {}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "maxLength": 40, "pattern": PATTERN})
    }
}

/// How long something is kept: `Keep`, until it is removed by hand, or a duration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Retention {
    /// Until somebody removes it on purpose.
    #[default]
    Keep,
    /// So long after the migration's end.
    For(Duration),
}

impl Serialize for Retention {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Keep => serializer.serialize_str("Keep"),
            Self::For(duration) => duration.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Retention {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "Keep" => Ok(Self::Keep),
            text => text.parse().map(Self::For).map_err(de::Error::custom),
        }
    }
}

impl JsonSchema for Retention {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Retention".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let pattern = format!("^Keep$|{PATTERN}");
        json_schema!({"type": "string", "maxLength": 40, "pattern": pattern})
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn reads_every_unit_and_sums_them() {
        for (text, millis) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("10m", 600_000),
            ("720h", 2_592_000_000),
            ("1h30m", 5_400_000),
            ("0ms", 0),
        ] {
            let duration: Duration = text.parse().unwrap();
            assert_eq!(duration.get().as_millis(), millis, "{text}");
            assert_eq!(duration.to_string(), text);
        }
    }

    #[test]
    fn refuses_what_is_no_duration_and_names_it() {
        for text in ["", "5", "s", "-5s", "1.5h", "5 s", "5d", "1234567890s", "1s1s1s1s1s"] {
            let error = text.parse::<Duration>().unwrap_err();
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn a_retention_is_keep_or_a_duration() {
        assert_eq!(serde_json::from_str::<Retention>("\"Keep\"").unwrap(), Retention::Keep);
        assert_eq!(serde_json::from_str::<Retention>("\"72h\"").unwrap(), Retention::For("72h".parse().unwrap()));
        assert!(serde_json::from_str::<Retention>("\"keep\"").is_err());
        assert_eq!(serde_json::to_string(&Retention::Keep).unwrap(), "\"Keep\"");
    }

    #[test]
    fn whole_milliseconds_are_written_in_the_largest_unit() {
        for (millis, text) in [(500, "500ms"), (30_000, "30s"), (600_000, "10m"), (3_600_000, "1h"), (0, "0ms")] {
            assert_eq!(Duration::from_millis(millis).as_str(), text);
        }
    }
}
