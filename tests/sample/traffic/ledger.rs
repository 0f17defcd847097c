//! The ledger of one connection: exactly which of its committed rows the database must hold, with which values, and which of its
//! rows must be gone. Each connection writes rows of its own only, so nobody else can make its ledger wrong.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::super::relations::{self, OnDelete, Relation};

/// A row by its table and primary key; the second half is 0 where the key has one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RowKey {
    pub(crate) table: &'static str,
    pub(crate) key: (u64, u64),
}

impl RowKey {
    /// A row whose key is one column.
    pub(crate) fn new(table: &'static str, id: u64) -> Self {
        Self { table, key: (id, 0) }
    }
}

/// The columns of the table's primary key.
pub(crate) fn key_columns(table: &str) -> &'static [&'static str] {
    match table {
        "user_preferences" => &["user_id"],
        "protocol_versions" => &["protocol_id", "version"],
        _ => &["id"],
    }
}

/// The values that were written, by column.
pub(crate) type Values = BTreeMap<&'static str, Option<String>>;

/// What the database must hold of one connection's rows.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    rows: BTreeMap<RowKey, Values>,
    gone: HashSet<RowKey>,
    touched: BTreeMap<(RowKey, &'static str), String>,
    uncertain: HashSet<RowKey>,
}

/// What goes when one row is deleted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Loss {
    /// Rows, children before their parents; the deleted row is the last.
    pub(crate) gone: Vec<RowKey>,
    /// Rows that stay, and their columns that become NULL; children before parents.
    pub(crate) nulled: Vec<(RowKey, &'static [&'static str])>,
    /// Those of `gone` that a key does not take along: they must be deleted first. Children before parents.
    pub(crate) restricting: Vec<RowKey>,
}

impl Ledger {
    /// A row was committed.
    pub(crate) fn inserted(&mut self, row: RowKey, values: Values) {
        self.rows.insert(row, values);
    }

    /// A column of an own row was changed.
    pub(crate) fn updated(&mut self, row: RowKey, column: &'static str, value: Option<String>) {
        if let Some(values) = self.rows.get_mut(&row) {
            values.insert(column, value);
        }
    }

    /// A column of a generated row, which this connection alone writes, was changed.
    pub(crate) fn touched(&mut self, row: RowKey, column: &'static str, value: String) {
        self.touched.insert((row, column), value);
    }

    /// A row was deleted, and with it what its deletion takes along.
    pub(crate) fn deleted(&mut self, loss: &Loss) {
        for row in &loss.gone {
            self.rows.remove(row);
            self.gone.insert(*row);
        }
        for (row, columns) in &loss.nulled {
            for column in *columns {
                self.updated(*row, column, None);
            }
        }
    }

    /// The connection broke while these rows were being changed: nobody knows what became of them.
    pub(crate) fn lose_sight_of(&mut self, rows: impl IntoIterator<Item = RowKey>) {
        self.uncertain.extend(rows);
    }

    /// Rows that must be there, with their values; those that nobody knows of are left out.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&RowKey, &Values)> {
        self.rows.iter().filter(|(row, _)| !self.uncertain.contains(row))
    }

    /// Rows that must not be there.
    pub(crate) fn gone(&self) -> impl Iterator<Item = &RowKey> {
        self.gone.iter().filter(|row| !self.uncertain.contains(row))
    }

    /// Values of generated rows.
    pub(crate) fn touched_values(&self) -> impl Iterator<Item = (&(RowKey, &'static str), &String)> {
        self.touched.iter().filter(|((row, _), _)| !self.uncertain.contains(row))
    }

    /// Rows that nobody knows of.
    pub(crate) fn uncertain(&self) -> u64 {
        self.uncertain.len() as u64
    }

    /// How many rows must be there.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The own rows of a table.
    pub(crate) fn of(&self, table: &'static str) -> Vec<RowKey> {
        self.rows
            .range(RowKey { table, key: (0, 0) }..=RowKey { table, key: (u64::MAX, u64::MAX) })
            .map(|(row, _)| *row)
            .collect()
    }

    /// Some own row of any table.
    pub(crate) fn any(&self, rng: &mut fastrand::Rng) -> Option<RowKey> {
        if self.rows.is_empty() { None } else { self.rows.keys().nth(rng.usize(0..self.rows.len())).copied() }
    }

    /// The value of an own row's column, where it was written and is not NULL.
    pub(crate) fn value(&self, row: RowKey, column: &str) -> Option<&str> {
        self.rows.get(&row)?.get(column)?.as_deref()
    }

    /// Own rows that refer to this one.
    fn children(&self, parent: RowKey, relation: &'static Relation) -> Vec<RowKey> {
        let key = [parent.key.0.to_string(), parent.key.1.to_string()];
        self.of(relation.child)
            .into_iter()
            .filter(|row| {
                relation.columns.iter().zip(&key).all(|(column, wanted)| self.value(*row, column) == Some(wanted))
            })
            .collect()
    }

    /// What goes when this row is deleted, by the relations' actions, whether the application or the database carries them out.
    /// A child that forbids the deletion goes as well: the application deletes it first.
    pub(crate) fn loss(&self, row: RowKey) -> Loss {
        let gone = self.reach(&[row]);
        let mut nulled = Vec::new();
        let mut restricting = BTreeSet::new();
        for parent in &gone {
            for relation in relations_to(parent.table) {
                for child in self.children(*parent, relation) {
                    match relation.on_delete {
                        OnDelete::SetNull if !gone.contains(&child) => nulled.push((child, relation.columns)),
                        OnDelete::Restrict => {
                            restricting.insert(child);
                        }
                        OnDelete::SetNull | OnDelete::Cascade => {}
                    }
                }
            }
        }
        nulled.sort_by_key(|(row, _)| order(row.table));
        let restricting = self.reach(&restricting.into_iter().collect::<Vec<_>>());
        Loss { gone: children_first(gone), nulled, restricting: children_first(restricting) }
    }

    /// These rows and all that go with them.
    fn reach(&self, from: &[RowKey]) -> BTreeSet<RowKey> {
        let mut found: BTreeSet<RowKey> = from.iter().copied().collect();
        let mut next: Vec<RowKey> = from.to_vec();
        while let Some(parent) = next.pop() {
            for relation in relations_to(parent.table).filter(|relation| relation.on_delete != OnDelete::SetNull) {
                next.extend(self.children(parent, relation).into_iter().filter(|child| found.insert(*child)));
            }
        }
        found
    }
}

/// The relations whose parent is this table.
pub(crate) fn relations_to(table: &str) -> impl Iterator<Item = &'static Relation> {
    relations::all().filter(move |relation| relation.parent == table)
}

/// How many generations of children a table has below it, itself aside.
fn generations(table: &str) -> usize {
    relations_to(table)
        .filter(|relation| relation.child != table)
        .map(|relation| generations(relation.child) + 1)
        .max()
        .unwrap_or(0)
}

/// Where a table stands when children are dealt with before their parents.
pub(crate) fn order(table: &'static str) -> (usize, &'static str) {
    (generations(table), table)
}

fn children_first(rows: BTreeSet<RowKey>) -> Vec<RowKey> {
    let mut rows: Vec<RowKey> = rows.into_iter().collect();
    // Within a table that refers to itself, children have the greater ids.
    rows.sort_by_key(|row| (order(row.table), std::cmp::Reverse(row.key)));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(ledger: &mut Ledger, table: &'static str, key: (u64, u64), values: &[(&'static str, u64)]) -> RowKey {
        let row = RowKey { table, key };
        ledger.inserted(row, values.iter().map(|(column, value)| (*column, Some(value.to_string()))).collect());
        row
    }

    #[test]
    fn a_deleted_user_takes_bookmarks_and_folders_along_and_leaves_queries_without_a_user() {
        let mut ledger = Ledger::default();
        let user = insert(&mut ledger, "users", (1, 0), &[]);
        let folder = insert(&mut ledger, "bookmark_folders", (2, 0), &[("owner_id", 1)]);
        let bookmark =
            insert(&mut ledger, "bookmarks", (3, 0), &[("user_id", 1), ("folder_id", 2), ("protocol_id", 7)]);
        let query = insert(&mut ledger, "queries", (4, 0), &[("user_id", 1)]);
        let stranger = insert(&mut ledger, "bookmarks", (5, 0), &[("user_id", 9), ("protocol_id", 7)]);

        let loss = ledger.loss(user);
        assert_eq!(loss.gone, [bookmark, folder, user]);
        assert_eq!(loss.nulled, [(query, &["user_id"][..])]);
        assert!(loss.restricting.is_empty());

        ledger.deleted(&loss);
        assert_eq!(ledger.rows().map(|(row, _)| *row).collect::<Vec<_>>(), [stranger, query]);
        assert_eq!(ledger.value(query, "user_id"), None);
        assert_eq!(ledger.gone().count(), 3);
    }

    #[test]
    fn what_forbids_a_deletion_is_deleted_first_with_what_depends_on_it() {
        let mut ledger = Ledger::default();
        let user = insert(&mut ledger, "users", (1, 0), &[]);
        let subscription = insert(&mut ledger, "subscriptions", (2, 0), &[("user_id", 1)]);
        let invoice = insert(&mut ledger, "invoices", (3, 0), &[("user_id", 1), ("subscription_id", 2)]);
        let protocol = insert(&mut ledger, "protocols", (4, 0), &[("author_id", 1)]);
        let version = insert(&mut ledger, "protocol_versions", (4, 1), &[("protocol_id", 4), ("version", 1)]);
        let chunk = insert(&mut ledger, "protocol_chunks", (5, 0), &[("protocol_id", 4), ("version", 1)]);

        let loss = ledger.loss(user);
        let place = |row: RowKey| loss.restricting.iter().position(|other| *other == row).unwrap();
        assert!(place(invoice) < place(subscription));
        assert!(place(chunk) < place(version) && place(version) < place(protocol));
        assert_eq!(loss.gone.last(), Some(&user));
        assert_eq!(loss.gone.len(), 6);
    }

    #[test]
    fn a_thread_of_comments_goes_with_its_first() {
        let mut ledger = Ledger::default();
        let first = insert(&mut ledger, "protocol_comments", (1, 0), &[("protocol_id", 7)]);
        let reply = insert(&mut ledger, "protocol_comments", (2, 0), &[("protocol_id", 7), ("parent_id", 1)]);
        let second = insert(&mut ledger, "protocol_comments", (3, 0), &[("protocol_id", 7), ("parent_id", 2)]);
        assert_eq!(ledger.loss(first).gone, [second, reply, first]);
    }

    #[test]
    fn a_version_keeps_the_chunks_of_other_versions() {
        let mut ledger = Ledger::default();
        let version = insert(&mut ledger, "protocol_versions", (4, 1), &[("protocol_id", 4), ("version", 1)]);
        let chunk = insert(&mut ledger, "protocol_chunks", (5, 0), &[("protocol_id", 4), ("version", 1)]);
        insert(&mut ledger, "protocol_chunks", (6, 0), &[("protocol_id", 4), ("version", 2)]);
        assert_eq!(ledger.loss(version).gone, [chunk, version]);
    }

    #[test]
    fn rows_out_of_sight_are_neither_expected_nor_forbidden() {
        let mut ledger = Ledger::default();
        let user = insert(&mut ledger, "users", (1, 0), &[]);
        ledger.lose_sight_of([user]);
        assert_eq!(ledger.rows().count(), 0);
        assert_eq!(ledger.uncertain(), 1);
    }
}
