//! All pairs of columns and keys that the names bring together and the types do not forbid.

use super::actions::looks_like_a_reference;
use super::names::{ChildColumn, ParentKey, fit};
use super::vocabulary::{Own, SchemaWords, TableWords};
use super::words::{holds, joined, reference, same_noun, words};
use crate::plan::catalogue::{Catalogue, Column, ForeignKey, ReferentialAction};
use crate::plan::column_type::{ColumnType, key_mismatch};
use crate::plan::identifier::Identifier;
use crate::plan::uniques::whole_columns;

/// A name that fits worse than this is no sign at all.
const LEAST: f64 = 0.35;
/// A name that fits so well is worth telling where the types forbid the key.
const WORTH_TELLING: f64 = 0.75;

/// How likely a key of several columns is where one of them refers to a third table.
const BESIDE: f64 = 0.45;
/// How much a name of another form counts for a column that is its table's primary key.
const ROLE_OF_A_KEY: f64 = 0.6;

/// Why a key cannot be added as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// The types do not agree.
    Type {
        /// What is wrong.
        reason: String,
        /// The column to change, and the type that it needs.
        column: Identifier,
        /// As `typeFixes` wants it.
        wanted: String,
    },
    /// Nothing makes the parent's columns unique.
    NoUniqueKey,
}

/// A key that the names suggest.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The key, without its final name and action.
    pub key: ForeignKey,
    /// How likely it is by the names alone, from 0 to 1.
    pub likelihood: f64,
    /// Why.
    pub why: String,
    /// What stands in the way.
    pub obstacle: Option<Obstacle>,
}

/// Columns that look like a reference and become none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    /// `orders.customer_id`.
    pub place: String,
    /// Why, and what could be done.
    pub why: String,
}

/// Finds all candidates of a schema.
pub(super) fn find(catalogue: &Catalogue) -> (Vec<Candidate>, Vec<LeftOut>) {
    let schema = SchemaWords::new(catalogue);
    let keys = schema.keys();
    let (mut candidates, mut left_out) = (Vec::new(), Vec::new());
    for table in schema.tables.iter().filter(|table| usable(table)) {
        for column in &table.table.columns {
            if !may_refer(catalogue, table, column) {
                continue;
            }
            let child = ChildColumn {
                table,
                name: column.name.as_str(),
                words: words(column.name.as_str()),
                reference: reference(column.name.as_str()),
            };
            let (found, told) = of_column(&schema, &keys, &child, column);
            left_out.extend(told);
            candidates.extend(found);
        }
    }
    let composite = composite(catalogue, &schema, &candidates);
    candidates.extend(composite);
    (candidates, left_out)
}

fn usable(table: &TableWords<'_>) -> bool {
    table.table.engine.eq_ignore_ascii_case("InnoDB") && !table.table.partitioned
}

/// Whether a column is worth looking at: no key is on it yet, and it does not count its own rows.
fn may_refer(catalogue: &Catalogue, table: &TableWords<'_>, column: &Column) -> bool {
    let taken = catalogue
        .foreign_keys
        .iter()
        .any(|key| key.child == table.table.name && matches!(key.columns.as_slice(), [only] if *only == column.name));
    let extra = column.extra.to_lowercase();
    !taken && !extra.contains("auto_increment") && !extra.contains("virtual")
}

type Keys<'a> = [(ParentKey<'a>, &'a Column, bool)];

fn of_column(
    schema: &SchemaWords<'_>,
    keys: &Keys<'_>,
    child: &ChildColumn<'_>,
    column: &Column,
) -> (Vec<Candidate>, Option<LeftOut>) {
    let place = format!("{}.{}", child.table.name(), child.name);
    let mut found: Vec<Candidate> = Vec::new();
    let mut refused: Option<LeftOut> = None;
    let own = keys
        .iter()
        .find(|(key, ..)| std::ptr::eq(key.table, child.table) && key.name == child.name && key.primary)
        .map(|(key, ..)| key.own);
    // A key that is named after its own table refers to no other.
    if own == Some(Own::NamesTable) {
        return (found, None);
    }
    for (key, parent, unique) in keys.iter().filter(|(key, ..)| usable(key.table)) {
        if own == Some(Own::Shortest) && key.own == Own::OfAnother {
            continue;
        }
        let Some(mut fit) = fit(schema, child, key) else { continue };
        // What alone tells the rows of a table apart seldom has a role.
        if own.is_some() && child.words != key.words {
            fit.likelihood *= ROLE_OF_A_KEY;
        }
        if fit.likelihood < LEAST {
            continue;
        }
        let obstacle = match (key_mismatch(column, parent), unique) {
            (None, true) => None,
            (None, false) => Some(Obstacle::NoUniqueKey),
            (Some(reason), _) => match wanted_type(column, parent) {
                Some(wanted) => Some(Obstacle::Type { reason, column: column.name.clone(), wanted }),
                None => {
                    if fit.likelihood >= WORTH_TELLING {
                        let why = format!(
                            "{}, but it is {} and {}.{} is {}: {reason}",
                            fit.why,
                            column.column_type,
                            key.table.name(),
                            key.name,
                            parent.column_type
                        );
                        refused = Some(LeftOut { place: place.clone(), why });
                    }
                    continue;
                }
            },
        };
        found.push(Candidate {
            key: ForeignKey {
                name: column.name.clone(),
                child: child.table.table.name.clone(),
                columns: vec![column.name.clone()],
                parent: key.table.table.name.clone(),
                parent_columns: vec![parent.name.clone()],
                on_delete: ReferentialAction::Restrict,
                on_update: ReferentialAction::NoAction,
            },
            likelihood: fit.likelihood,
            why: fit.why,
            obstacle,
        });
    }
    if let Some(kind) = kind_beside(child, &found) {
        let why = format!("{kind} beside it says of which table each value is: one column cannot refer to several");
        return (Vec::new(), Some(LeftOut { place, why }));
    }
    let alone = child.table.table.primary_key().len() == 1 && child.table.table.primary_key()[0] == column.name;
    if found.is_empty() && refused.is_none() && !alone && looks_like_a_reference(column) {
        refused = Some(LeftOut { place, why: "it looks like a reference, and no table's name or key fits".to_owned() });
    }
    (found, refused)
}

/// The column that says which table an id is of: `subject_type` beside `subject_id`.
fn kind_beside(child: &ChildColumn<'_>, found: &[Candidate]) -> Option<String> {
    const SURE: f64 = 0.9;
    child.reference.suffix.as_deref().filter(|suffix| matches!(*suffix, "id" | "uid" | "uuid"))?;
    if child.reference.stem.is_empty() || found.iter().any(|candidate| candidate.likelihood >= SURE) {
        return None;
    }
    let stem = joined(&child.reference.stem);
    let kinds = [format!("{stem}type"), format!("{stem}kind"), format!("{stem}table"), format!("{stem}class")];
    let beside = child.table.table.columns.iter().find(|column| kinds.contains(&joined(&words(column.name.as_str()))));
    beside.map(|column| column.name.to_string())
}

/// The type that the child's column would have to get, where values of one kind can become the other's without a loss.
fn wanted_type(column: &Column, parent: &Column) -> Option<String> {
    let (own, other) = (ColumnType::parse(&column.column_type).ok()?, ColumnType::parse(&parent.column_type).ok()?);
    if own.family() != other.family() || !own.is_indexable() || !other.is_indexable() {
        return None;
    }
    let collation = parent.collation.as_ref().map(|collation| format!(" COLLATE {collation}")).unwrap_or_default();
    Some(format!("{}{collation}", parent.column_type.to_uppercase()))
}

/// Unique keys of several columns whose names recur in another table.
fn composite(catalogue: &Catalogue, schema: &SchemaWords<'_>, single: &[Candidate]) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    for parent in schema.tables.iter().filter(|table| usable(table)) {
        let mut seen: Vec<Vec<Identifier>> = Vec::new();
        let mut indexes: Vec<_> =
            parent.table.indexes.iter().filter(|index| index.unique && index.kind == "BTREE").collect();
        indexes.sort_by_key(|index| index.name.as_str() != "PRIMARY");
        for columns in indexes.into_iter().map(whole_columns).filter(|columns| columns.len() > 1) {
            if seen.contains(&columns) {
                continue;
            }
            seen.push(columns.clone());
            // A table that joins others: what has the same columns is mostly its sibling.
            let joins = columns.iter().all(|column| {
                single.iter().any(|each| {
                    each.key.child == parent.table.name
                        && each.key.columns == [column.clone()]
                        && each.likelihood >= WORTH_TELLING
                })
            });
            for child in schema.tables.iter().filter(|table| usable(table) && !std::ptr::eq(*table, parent)) {
                let Some(mut candidate) = composite_of(child, parent, &columns, joins) else { continue };
                // Tables beside each other, such as history and history_text, share a key whose parts refer to others.
                let refers = |column: &Identifier| {
                    single.iter().any(|each| {
                        each.key.child == candidate.key.child
                            && each.key.parent != candidate.key.parent
                            && each.key.columns == [column.clone()]
                            && each.likelihood >= WORTH_TELLING
                    })
                };
                if candidate.key.columns == candidate.key.parent_columns && candidate.key.columns.iter().any(refers) {
                    candidate.likelihood = candidate.likelihood.min(BESIDE);
                }
                let taken = catalogue
                    .foreign_keys
                    .iter()
                    .any(|key| key.child == candidate.key.child && key.columns == candidate.key.columns);
                if !taken && candidate.likelihood >= LEAST {
                    found.push(candidate);
                }
            }
        }
    }
    found
}

fn composite_of(
    child: &TableWords<'_>,
    parent: &TableWords<'_>,
    columns: &[Identifier],
    joins: bool,
) -> Option<Candidate> {
    let mut own: Vec<Identifier> = Vec::new();
    let mut same_names = 0;
    for name in columns {
        let wanted = parent.table.column(name)?;
        let generic = reference(name.as_str()).stem.is_empty();
        let column = if generic {
            // `order_id` for `id` of `orders`.
            child.table.columns.iter().find(|column| {
                let reference = reference(column.name.as_str());
                reference.suffix.is_some() && same_noun(&joined(&reference.stem), &parent.joined)
            })?
        } else {
            same_names += 1;
            child.table.columns.iter().find(|column| words(column.name.as_str()) == words(name.as_str()))?
        };
        if key_mismatch(column, wanted).is_some() || own.contains(&column.name) {
            return None;
        }
        own.push(column.name.clone());
    }
    if same_names == 0 {
        return None;
    }
    // The other way round.
    if holds(&parent.words, &child.words) {
        return None;
    }
    let (likelihood, why) = match (holds(&child.words, &parent.words), joins) {
        (true, false) => (0.88, "and its name holds the other's"),
        (true, true) => (0.7, "and its name holds the other's"),
        (false, false) if own.len() > 2 || columns.len() > same_names => (0.72, "and hardly by chance"),
        (false, false) => (0.5, "which may be by chance"),
        (false, true) => (0.3, "as tables that join the same others have"),
    };
    let list = |names: &[Identifier]| names.iter().map(Identifier::as_str).collect::<Vec<_>>().join(", ");
    Some(Candidate {
        why: format!("{} has the columns ({}) of a key of {}, {why}", child.name(), list(&own), parent.name()),
        key: ForeignKey {
            name: own[0].clone(),
            child: child.table.name.clone(),
            columns: own,
            parent: parent.table.name.clone(),
            parent_columns: columns.to_vec(),
            on_delete: ReferentialAction::Restrict,
            on_update: ReferentialAction::NoAction,
        },
        likelihood,
        obstacle: None,
    })
}
