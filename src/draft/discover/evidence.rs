//! What the data says about a key that the names suggest: plain figures that somebody else read, and how far they can be trusted.

use crate::plan::render::grouped;

/// Fewer values than this are contained in most keys by chance.
const FEW_VALUES: u64 = 3;
/// More values than this make no difference any more.
const MANY_VALUES: i32 = 40;

/// How a table was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// All rows.
    Exact,
    /// Rows from many places of the table.
    Sampled,
}

/// What was found in the rows of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inclusion {
    /// How they were read.
    pub reading: Reading,
    /// Rows read whose columns are all set.
    pub rows: u64,
    /// Different values in them.
    pub distinct: u64,
    /// Rows without a parent.
    pub orphans: u64,
    /// Of the orphans those that hold 0 or the empty text, which often stand for none.
    pub empty: u64,
    /// Rows of the parent in a hundred numbers between its least and its greatest; `None` where the key is no number.
    pub density: Option<u8>,
}

/// What is known of the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// It was not asked for.
    NotAsked,
    /// It could not be read; the reason, for people.
    NotRead(String),
    /// It was read.
    Read(Inclusion),
}

impl Evidence {
    /// The likelihood of a key that has `likelihood` by its names.
    pub(super) fn weigh(&self, likelihood: f64) -> f64 {
        let Self::Read(found) = self else { return likelihood };
        let counted = found.rows.saturating_sub(found.empty);
        if counted == 0 {
            return likelihood;
        }
        let share = (found.orphans.saturating_sub(found.empty)) as f64 / counted as f64;
        if share > 0.0 {
            // Data rots, but a column that refers to a table has most of its parents there.
            let trust = match share {
                share if share <= 0.02 => 1.0,
                share if share <= 0.1 => 0.97,
                share if share <= 0.3 => 0.85,
                share if share <= 0.6 => 0.5,
                _ => 0.15,
            };
            return likelihood * trust;
        }
        let by_chance = match found.density {
            // The more of the numbers between the least and the greatest are keys, the less it says that a number is one.
            Some(density) => (f64::from(density.min(100)) / 100.0)
                .powi(i32::try_from(found.distinct).unwrap_or(MANY_VALUES).min(MANY_VALUES)),
            None if found.distinct < FEW_VALUES => 0.5,
            None => 0.0,
        };
        let proof = if found.distinct < FEW_VALUES { 0.1 } else { 0.15 + 0.55 * (1.0 - by_chance) };
        likelihood + (1.0 - likelihood) * proof
    }

    /// In words.
    pub(super) fn told(&self) -> String {
        match self {
            Self::NotAsked => "the data was not looked at".to_owned(),
            Self::NotRead(reason) => format!("the data was not read: {reason}"),
            Self::Read(found) => found.told(),
        }
    }
}

impl Inclusion {
    fn told(&self) -> String {
        let read = match self.reading {
            Reading::Exact => "all rows were read",
            Reading::Sampled => "a sample was read",
        };
        if self.rows == 0 {
            return format!("{read}: the column is empty everywhere, so they say nothing");
        }
        let mut text =
            format!("{read}: {} with {} different values, ", count(self.rows, "row"), grouped(self.distinct));
        match self.orphans {
            0 => text.push_str("no orphan"),
            orphans => text.push_str(&count(orphans, "orphan")),
        }
        match self.empty {
            0 => {}
            empty if empty == self.orphans => {
                text.push_str(", each of which holds 0 or the empty text, as if for none")
            }
            empty => text.push_str(&format!(", {} of which hold 0 or the empty text, as if for none", grouped(empty))),
        }
        text
    }
}

pub(super) fn count(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rows: u64, distinct: u64, orphans: u64, density: Option<u8>) -> Evidence {
        Evidence::Read(Inclusion { reading: Reading::Exact, rows, distinct, orphans, empty: 0, density })
    }

    #[test]
    fn values_that_could_be_keys_by_chance_say_little_and_others_much() {
        let chance = read(1_000, 30, 0, Some(100)).weigh(0.7);
        let sparse = read(1_000, 30, 0, Some(40)).weigh(0.7);
        let text = read(1_000, 30, 0, None).weigh(0.7);
        assert!(chance < 0.75 && sparse > 0.9 && text > 0.9, "{chance} {sparse} {text}");
    }

    #[test]
    fn orphans_make_doubt_and_many_refute() {
        assert_eq!(read(1_000, 30, 10, None).weigh(0.9), 0.9);
        assert!(read(1_000, 30, 200, None).weigh(0.9) > 0.7);
        assert!(read(1_000, 30, 900, None).weigh(0.9) < 0.2);
    }

    #[test]
    fn rows_that_hold_0_for_none_are_no_sign_against_the_key() {
        let found =
            Inclusion { reading: Reading::Sampled, rows: 100, distinct: 10, orphans: 80, empty: 80, density: None };
        assert!(Evidence::Read(found).weigh(0.9) > 0.9);
        assert!(Evidence::Read(found).told().contains("each of which holds 0"));
    }

    #[test]
    fn no_rows_change_nothing() {
        assert_eq!(read(0, 0, 0, None).weigh(0.6), 0.6);
        assert_eq!(Evidence::NotAsked.weigh(0.6), 0.6);
    }
}
