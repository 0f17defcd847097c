//! What every table holds, or should hold: rows as text, by primary key.

use std::collections::BTreeMap;

use crate::sql::{Refused, Sql, quoted};
use crate::world::World;

/// A row; equal texts mean equal values.
pub(crate) type Row = Vec<Option<String>>;

/// One write that the application has committed.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Put(usize, Row),
    /// A column of the row with this key has a new value.
    Set(usize, String, usize, Option<String>),
    Remove(usize, String),
}

/// All rows of all tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Records {
    pub(crate) tables: Vec<BTreeMap<String, Row>>,
}

/// The part of a query that shows all columns of a table.
pub(crate) fn shown(world: &World, table: usize) -> String {
    let table = &world.tables[table];
    let columns: Vec<String> = table.columns.iter().map(|column| column.shown()).collect();
    format!("SELECT {} FROM {}", columns.join(", "), quoted(&table.name))
}

/// What tells a row from the others of its table. Without a primary key only the whole row does.
pub(crate) fn key(world: &World, table: usize, row: &Row) -> String {
    let primary = &world.tables[table].primary;
    if primary.is_empty() {
        return format!("{row:?}");
    }
    primary.iter().map(|&place| row[place].as_deref().unwrap_or("NULL")).collect::<Vec<_>>().join(" ")
}

/// The rows of a table that meet a condition, by key.
pub(crate) async fn rows(
    world: &World,
    sql: &mut Sql,
    table: usize,
    condition: &str,
) -> Result<BTreeMap<String, Row>, Refused> {
    let mut found = BTreeMap::new();
    for row in sql.try_rows(&format!("{} {condition}", shown(world, table))).await? {
        let first = key(world, table, &row);
        let (mut name, mut again) = (first.clone(), 1);
        while found.contains_key(&name) {
            again += 1;
            name = format!("{first} #{again}");
        }
        found.insert(name, row);
    }
    Ok(found)
}

impl Records {
    /// Reads all tables; the session must be the only one that writes.
    pub(crate) async fn read(world: &World, sql: &mut Sql) -> Self {
        let mut tables = Vec::new();
        for table in 0..world.tables.len() {
            tables.push(rows(world, sql, table, "").await.unwrap_or_else(|refused| panic!("{}", refused.message)));
        }
        Self { tables }
    }

    pub(crate) fn apply(&mut self, world: &World, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Put(table, row) => {
                    self.tables[table].insert(key(world, table, &row), row);
                }
                Change::Set(table, key, column, value) => {
                    let row = self.tables[table]
                        .get_mut(&key)
                        .unwrap_or_else(|| panic!("a write to row {key}, which was never there"));
                    row[column] = value;
                }
                Change::Remove(table, key) => {
                    self.tables[table].remove(&key);
                }
            }
        }
    }

    /// Where two differ, in words.
    pub(crate) fn differences(&self, found: &Self, world: &World) -> Vec<String> {
        let mut differences = Vec::new();
        for (place, (expected, found)) in self.tables.iter().zip(&found.tables).enumerate() {
            let name = &world.tables[place].name;
            for (key, row) in expected {
                match found.get(key) {
                    None => differences.push(format!("{name}: row {key} is missing: {row:?}")),
                    Some(other) => differences.extend(different_columns(row, other).into_iter().map(|column| {
                        let column_name = &world.tables[place].columns[column].name;
                        format!("{name}: row {key}: {column_name} is {:?}, should be {:?}", other[column], row[column])
                    })),
                }
            }
            for (key, row) in found.iter().filter(|(key, _)| !expected.contains_key(*key)) {
                differences.push(format!("{name}: row {key} should not be there: {row:?}"));
            }
        }
        differences
    }
}

/// The places where two rows of one table differ.
pub(crate) fn different_columns(one: &Row, other: &Row) -> Vec<usize> {
    (0..one.len()).filter(|&column| one[column] != other[column]).collect()
}
