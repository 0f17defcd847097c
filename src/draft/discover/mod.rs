//! Foreign keys that a schema seems to have in mind: found by names and types, weighed by the data, each with its reasons. What is
//! not certain stays visible and is left to a person.

mod actions;
mod candidates;
mod evidence;
mod names;
mod vocabulary;
mod words;

use std::collections::{BTreeMap, BTreeSet};

pub use actions::Suggestion;
pub use candidates::{Candidate, LeftOut, Obstacle};
pub use evidence::{Evidence, Inclusion, Reading};

use crate::plan::catalogue::{Catalogue, Column, ForeignKey};
use crate::plan::identifier::{Identifier, MAX_IDENTIFIER_CHARACTERS, TableName};
use crate::plan::uniques;
use vocabulary::SchemaWords;

/// How certain a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// As likely as not, or less.
    Low,
    /// Likely.
    Medium,
    /// Hardly to be doubted.
    High,
}

/// From this likelihood on a key is of high confidence.
const HIGH: f64 = 0.85;
/// From here on of medium.
const MEDIUM: f64 = 0.65;
/// Below this it is not worth a line.
const LOW: f64 = 0.35;

/// A rival is named from this distance on,
const NEAR: f64 = 0.25;
/// and makes a key uncertain from this one on.
const TIED: f64 = 0.04;

impl Confidence {
    /// In a word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// A key that was weighed.
#[derive(Debug, Clone, PartialEq)]
pub struct Discovered {
    /// The key, with a name that the schema does not have and the suggested action.
    pub key: ForeignKey,
    /// How certain it is.
    pub confidence: Confidence,
    /// The same as a number from 0 to 1.
    pub likelihood: f64,
    /// Why it is thought of: names, types, data, a sentence each.
    pub reasons: Vec<String>,
    /// Why that action.
    pub why_action: String,
    /// What the data says.
    pub evidence: Evidence,
    /// What stands in its way.
    pub obstacle: Option<Obstacle>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Discovery {
    /// Keys that can be added and are certain enough.
    pub proposed: Vec<Discovered>,
    /// Keys that are not, or that something stands in the way of.
    pub uncertain: Vec<Discovered>,
    /// Columns that look like references and become none.
    pub left_out: Vec<LeftOut>,
}

/// Keys that the names suggest: the data of each can be looked at before [`judge`].
#[must_use]
pub fn candidates(catalogue: &Catalogue) -> (Vec<Candidate>, Vec<LeftOut>) {
    candidates::find(catalogue)
}

/// A candidate with its likelihood and what its data say.
type Weighed = (f64, Candidate, Evidence);

/// Weighs the candidates by what their data says, and keeps for each list of columns the likeliest.
#[must_use]
pub fn judge(
    catalogue: &Catalogue,
    candidates: Vec<(Candidate, Evidence)>,
    mut left_out: Vec<LeftOut>,
    least: Confidence,
) -> Discovery {
    let schema = SchemaWords::new(catalogue);
    let mut by_columns: BTreeMap<(String, Vec<Identifier>), Vec<Weighed>> = BTreeMap::new();
    for (candidate, evidence) in candidates {
        let place = (candidate.key.child.to_string(), candidate.key.columns.clone());
        let likelihood = evidence.weigh(candidate.likelihood);
        by_columns.entry(place).or_default().push((likelihood, candidate, evidence));
    }
    let mut names: BTreeSet<String> =
        catalogue.foreign_keys.iter().map(|key| key.name.as_str().to_lowercase()).collect();
    let mut discovery = Discovery::default();
    for ((_, columns), mut rivals) in by_columns {
        rivals.sort_by(|one, other| other.0.total_cmp(&one.0));
        let mut rivals = rivals.into_iter();
        let Some((likelihood, candidate, evidence)) = rivals.next() else { continue };
        if likelihood < LOW {
            let why = format!("{} ({}), but {}", candidate.why, parent_of(&candidate.key), evidence.told());
            let place = format!("{}.{}", candidate.key.child.table, uniques::names(&columns));
            left_out.push(LeftOut { place, why });
            continue;
        }
        let next = rivals.next().filter(|(rival, ..)| likelihood - rival < NEAR);
        let mut found = discovered(&schema, likelihood, candidate, evidence, &mut names);
        if let Some((rival, other, _)) = next {
            found.reasons.push(format!("it could also refer to {}", parent_of(&other.key)));
            // Two that are hardly less likely than each other: a person has to say.
            if likelihood - rival < TIED {
                found.confidence = found.confidence.min(Confidence::Low);
            }
        }
        if found.confidence >= least && found.obstacle.is_none() {
            discovery.proposed.push(found);
        } else {
            discovery.uncertain.push(found);
        }
    }
    // A column of a key of several is no lone one.
    let several: BTreeSet<String> = (discovery.proposed.iter().chain(&discovery.uncertain))
        .filter(|found| found.key.columns.len() > 1)
        .flat_map(|found| found.key.columns.iter().map(|column| format!("{}.{column}", found.key.child.table)))
        .collect();
    left_out.retain(|left| !several.contains(&left.place));
    left_out.sort();
    discovery.left_out = left_out;
    discovery
}

fn parent_of(key: &ForeignKey) -> String {
    uniques::place_in_schema(&key.parent.table, &key.parent_columns)
}

fn discovered(
    schema: &SchemaWords<'_>,
    likelihood: f64,
    candidate: Candidate,
    evidence: Evidence,
    names: &mut BTreeSet<String>,
) -> Discovered {
    let Candidate { mut key, why, obstacle, .. } = candidate;
    let words_of = |name: &TableName| schema.tables.iter().find(|table| table.table.name == *name);
    let (mut types, mut why_action) = (String::new(), String::new());
    if let (Some(child), Some(parent)) = (words_of(&key.child), words_of(&key.parent)) {
        let columns: Vec<&Column> = key.columns.iter().filter_map(|name| child.table.column(name)).collect();
        let suggestion = actions::suggest(child, &columns, parent);
        (key.on_delete, why_action) = (suggestion.action, suggestion.why);
        let spelled: Vec<&str> = columns.iter().map(|column| column.column_type.as_str()).collect();
        types = match &obstacle {
            Some(Obstacle::Type { reason, wanted, .. }) => {
                format!("its type {} is not the parent's, {}: {reason}", spelled.join(", "), wanted.to_lowercase())
            }
            Some(Obstacle::NoUniqueKey) => {
                format!("the types agree ({}), but no constraint makes {} unique", spelled.join(", "), parent_of(&key))
            }
            None => format!("the types agree ({})", spelled.join(", ")),
        };
    }
    key.name = name_of(&key, names);
    let confidence = match likelihood {
        likelihood if likelihood >= HIGH => Confidence::High,
        likelihood if likelihood >= MEDIUM => Confidence::Medium,
        _ => Confidence::Low,
    };
    Discovered {
        reasons: vec![why, types, evidence.told()],
        key,
        confidence,
        likelihood,
        why_action,
        evidence,
        obstacle,
    }
}

/// `fk_bookmarks_user_id`, with a number where the schema has a key of that name.
fn name_of(key: &ForeignKey, taken: &mut BTreeSet<String>) -> Identifier {
    let columns: Vec<&str> = key.columns.iter().map(Identifier::as_str).collect();
    let stem = format!("fk_{}_{}", key.child.table, columns.join("_")).trim_end().to_owned();
    let mut number = 1_u32;
    loop {
        let suffix = if number == 1 { String::new() } else { format!("_{number}") };
        let short: String = stem.chars().take(MAX_IDENTIFIER_CHARACTERS - suffix.len()).collect();
        match Identifier::new(format!("{}{suffix}", short.trim_end())) {
            Ok(name) if taken.insert(name.as_str().to_lowercase()) => return name,
            _ => number += 1,
        }
    }
}

#[cfg(test)]
mod tests;
