//! What was planted, and what follows from it: the counts that Holdfast's own are held against. Computed from what the generator
//! wrote, never by a query, so that an error in a query cannot agree with itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::relations::{self, Orphans, Relation};
use super::rows::Written;
use super::tables::{Contents, Plant, Table};

/// The truth about a generated database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Truth {
    /// What `--rows` asked for.
    pub(crate) requested_rows: u64,
    /// What makes one run differ from another.
    pub(crate) seed: u64,
    /// Per table.
    pub(crate) tables: BTreeMap<String, TableTruth>,
    /// Per relation, by the name of the key wanted for it.
    pub(crate) relations: BTreeMap<String, RelationTruth>,
    /// Per unique constraint wanted.
    pub(crate) uniques: BTreeMap<String, UniqueTruth>,
    /// The column that is filled by the agency's name.
    pub(crate) backfill: BackfillTruth,
    /// Sums.
    pub(crate) totals: Totals,
}

/// The truth about one table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TableTruth {
    /// Rows that were written.
    pub(crate) rows: u64,
    /// Rows that cleanup must remove because a parent is missing or goes itself. A row with two missing parents counts once.
    pub(crate) orphans_removed: u64,
    /// Rows that the unique constraints remove.
    pub(crate) duplicates_removed: u64,
    /// Values that cleanup must set to NULL, by column.
    pub(crate) values_nulled: BTreeMap<String, u64>,
}

/// The truth about one relation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RelationTruth {
    /// Rows whose parent does not exist.
    pub(crate) orphans: u64,
    /// Those and the rows whose parent goes because it is an orphan itself.
    pub(crate) orphans_in_the_end: u64,
}

/// The truth about one unique constraint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UniqueTruth {
    /// Sets of rows with the same values.
    pub(crate) groups: u64,
    /// Rows too many: of every set, all but one.
    pub(crate) duplicates: u64,
}

/// The truth about the column that is filled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BackfillTruth {
    /// Rows to fill.
    pub(crate) total: u64,
    /// Rows whose agency's name is known.
    pub(crate) mapped: u64,
    /// Rows whose agency's name is nobody's.
    pub(crate) unmapped: u64,
}

/// Sums over everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Totals {
    /// Rows that were written.
    pub(crate) rows: u64,
    /// Rows that cleanup must remove as orphans.
    pub(crate) orphans_removed: u64,
    /// Values that cleanup must set to NULL.
    pub(crate) values_nulled: u64,
    /// Rows that cleanup must remove as duplicates.
    pub(crate) duplicates_removed: u64,
    /// Orphans before anything was done, over all relations.
    pub(crate) orphans: u64,
    /// Foreign keys in the end.
    pub(crate) foreign_keys: u64,
    /// Those of them that refer to users.
    pub(crate) foreign_keys_to_users: u64,
}

impl Truth {
    /// A truth about nothing yet: every table, relation and constraint at zero.
    pub(crate) fn new(requested_rows: u64, seed: u64) -> Self {
        let mut truth = Self { requested_rows, seed, ..Self::default() };
        for relation in relations::all() {
            truth.relations.insert(relation.name.to_owned(), RelationTruth::default());
        }
        for unique in relations::UNIQUES {
            truth.uniques.insert(unique.name.to_owned(), UniqueTruth::default());
        }
        truth.totals.foreign_keys = relations::all().count() as u64;
        truth.totals.foreign_keys_to_users = relations::TO_USERS.len() as u64;
        truth
    }

    /// Adds what was written to one table.
    pub(crate) fn add(&mut self, contents: &Contents, written: &Written) {
        self.tables.entry(contents.name.to_owned()).or_default().rows += written.rows;
        self.totals.rows += written.rows;
        if contents.table == Table::IntegrationLogs {
            self.backfill.total += written.rows;
            self.backfill.mapped += written.rows;
        }
        for (plant, count) in contents.plants.iter().zip(&written.planted) {
            match plant {
                Plant::Orphan(names) => {
                    let found: Vec<&Relation> =
                        relations::all().filter(|relation| names.contains(&relation.name)).collect();
                    for relation in &found {
                        self.relation(relation).orphans += count;
                        self.relation(relation).orphans_in_the_end += count;
                        self.totals.orphans += count;
                    }
                    self.lose(contents, &found, *count);
                }
                Plant::LostWith(name, _) => {
                    let found: Vec<&Relation> = relations::all().filter(|relation| relation.name == *name).collect();
                    for relation in &found {
                        self.relation(relation).orphans_in_the_end += count;
                    }
                    self.lose(contents, &found, *count);
                }
                Plant::DuplicateOf(name, distance) => {
                    let unique = self.uniques.entry((*name).to_owned()).or_default();
                    unique.duplicates += count;
                    // A duplicate further away than the row before extends the set of another one.
                    unique.groups += if *distance == 1 { *count } else { 0 };
                    self.tables.entry(contents.name.to_owned()).or_default().duplicates_removed += count;
                    self.totals.duplicates_removed += count;
                }
                Plant::Unmapped => {
                    self.backfill.mapped -= count;
                    self.backfill.unmapped += count;
                }
                Plant::HalfNull => {}
            }
        }
    }

    fn relation(&mut self, relation: &Relation) -> &mut RelationTruth {
        self.relations.entry(relation.name.to_owned()).or_default()
    }

    /// Rows that lose the parents of these relations: they go, once, if one of the relations says so; else their values go.
    fn lose(&mut self, contents: &Contents, relations: &[&Relation], count: u64) {
        let table = self.tables.entry(contents.name.to_owned()).or_default();
        if relations.iter().any(|relation| relation.orphans == Orphans::Delete) {
            table.orphans_removed += count;
            self.totals.orphans_removed += count;
        } else {
            for column in relations.iter().flat_map(|relation| relation.columns) {
                *table.values_nulled.entry((*column).to_owned()).or_default() += count;
                self.totals.values_nulled += count;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tables::contents_of;
    use super::*;

    #[test]
    fn a_row_without_two_parents_is_an_orphan_twice_and_goes_once() {
        let bookmarks = contents_of("bookmarks");
        let both = bookmarks
            .plants
            .iter()
            .position(|plant| matches!(plant, Plant::Orphan(names) if names.len() == 2))
            .unwrap();
        let mut written = Written::none(bookmarks);
        (written.rows, written.planted[both]) = (10, 3);
        let mut truth = Truth::new(10, 1);
        truth.add(bookmarks, &written);
        assert_eq!(truth.relations["fk_bookmarks_user"].orphans, 3);
        assert_eq!(truth.relations["fk_bookmarks_protocol"].orphans, 3);
        assert_eq!(truth.tables["bookmarks"].orphans_removed, 3);
    }

    #[test]
    fn a_row_that_goes_with_its_parent_is_an_orphan_only_in_the_end() {
        let results = contents_of("query_results");
        let lost = results.plants.iter().position(|plant| matches!(plant, Plant::LostWith(..))).unwrap();
        let mut written = Written::none(results);
        (written.rows, written.planted[lost]) = (10, 2);
        let mut truth = Truth::new(10, 1);
        truth.add(results, &written);
        let chunk = &truth.relations["fk_query_results_chunk"];
        assert_eq!((chunk.orphans, chunk.orphans_in_the_end), (0, 2));
        assert_eq!(truth.tables["query_results"].values_nulled["chunk_id"], 2);
        assert_eq!(truth.tables["query_results"].orphans_removed, 0);
    }
}
