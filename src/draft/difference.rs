//! What one schema has and another lacks, as entries of a migration that brings the other there: the schema that a release's files were
//! applied to, beside the one in production.

use super::import::{Carried, Imported, Left};
use super::key_entry::key_entry;
use crate::api::constraints::{Duplicates, UniqueConstraint};
use crate::api::type_fixes::{AddColumn, ModifyColumn, SqlFix, TypeFix};
use crate::plan::build::{same, same_list};
use crate::plan::catalogue::{self, Catalogue, Column, Index, Table};
use crate::plan::identifier::{Identifier, TableName, quoted_list};
use crate::plan::uniques::{names, whole_columns};

/// Longest name of a type fix.
const LONGEST: usize = 63;

/// Compares the schema that is with the one that is wanted.
#[must_use]
pub fn difference(wanted: &Catalogue, actual: &Catalogue) -> Imported {
    let mut found = Difference { actual, wanted, imported: Imported::default() };
    found.imported.schema = Some(actual.schema.to_string());
    for table in wanted.tables.values().filter(|table| table.name.schema == wanted.schema) {
        found.table(table);
    }
    for key in wanted.foreign_keys.iter().filter(|key| key.child.schema == wanted.schema) {
        found.key(key);
    }
    found.more();
    found.imported
}

struct Difference<'a> {
    wanted: &'a Catalogue,
    actual: &'a Catalogue,
    imported: Imported,
}

impl Difference<'_> {
    /// The table of the same name in the other schema.
    fn here(&self, name: &TableName) -> TableName {
        let schema = if name.schema == self.wanted.schema { &self.actual.schema } else { &name.schema };
        TableName::new(schema.clone(), name.table.clone())
    }

    fn leave(&mut self, place: String, what: &str, why: &str, matters: bool) {
        self.imported.left.push(Left { place, statement: what.to_owned(), why: why.to_owned(), matters });
    }

    fn carry<T>(place: String, value: T) -> Carried<T> {
        Carried { file: 0, place, notes: Vec::new(), value }
    }

    fn table(&mut self, wanted: &Table) {
        let place = wanted.name.table.to_string();
        let actual = self.actual;
        let Some(table) = actual.table(&self.here(&wanted.name)) else {
            self.leave(place, "the table itself", "it has to be there before the migration: create it", true);
            return;
        };
        for column in &wanted.columns {
            match table.column(&column.name) {
                None => self.add_column(table, column),
                Some(other) => self.column(table, column, other),
            }
        }
        if wanted.primary_key() != table.primary_key() {
            self.leave(
                place.clone(),
                "the primary key",
                "rows are kept and put back by it: change it before the migration",
                true,
            );
        }
        for index in wanted.indexes.iter().filter(|index| index.name.as_str() != "PRIMARY") {
            self.index(wanted, table, index);
        }
        if wanted.triggers != table.triggers || wanted.checks.len() != table.checks.len() {
            self.leave(
                place,
                "triggers or CHECK constraints differ",
                "a migration does not hold them: change them by hand",
                true,
            );
        }
    }

    fn fix(name: &str, table: &Table) -> TypeFix {
        let fit: String = name
            .to_lowercase()
            .chars()
            .map(|each| if each.is_alphanumeric() { each } else { '-' })
            .take(LONGEST)
            .collect();
        TypeFix {
            name: fit.trim_matches('-').to_owned(),
            table: Some(table.name.table.to_string()),
            add_column: None,
            modify_column: None,
            sql: None,
            backfill: None,
            verify: Default::default(),
        }
    }

    fn add_column(&mut self, table: &Table, column: &Column) {
        let place = format!("{}.{}", table.name.table, column.name);
        let plain = column.default.is_none()
            && column.extra.is_empty()
            && column.comment.is_empty()
            && column.generation_expression.is_none();
        if !plain {
            let why = "it has a default, a comment or an expression: write it as a step by sql, ALTER TABLE ... ADD COLUMN ..., ALGORITHM=INSTANT";
            self.leave(place, "the column", why, true);
            return;
        }
        let add = AddColumn { name: column.name.to_string(), column_type: type_of(column), nullable: column.nullable };
        let fix =
            TypeFix { add_column: Some(add), ..Self::fix(&format!("add-{}-{}", table.name.table, column.name), table) };
        self.imported.type_fixes.push(Self::carry(place, fix));
    }

    fn column(&mut self, table: &Table, wanted: &Column, actual: &Column) {
        let place = format!("{}.{}", table.name.table, wanted.name);
        if wanted.column_type != actual.column_type || wanted.collation != actual.collation {
            let modify = ModifyColumn { name: actual.name.to_string(), column_type: type_of(wanted) };
            let fix = TypeFix {
                modify_column: Some(modify),
                ..Self::fix(&format!("modify-{}-{}", table.name.table, wanted.name), table)
            };
            self.imported.type_fixes.push(Self::carry(place.clone(), fix));
        }
        let rest = |column: &Column| {
            (column.nullable, column.default.clone(), column.extra.clone(), column.generation_expression.clone())
        };
        if rest(wanted) != rest(actual) {
            let why = "modifyColumn changes the type alone: change NULL, the default or the expression by hand";
            self.leave(place, "attributes of the column", why, true);
        }
    }

    fn index(&mut self, wanted: &Table, table: &Table, index: &Index) {
        let columns = whole_columns(index);
        let place = format!("{}.{}", table.name.table, index.name);
        let alike =
            |other: &&Index| other.unique == index.unique && other.kind == index.kind && other.parts == index.parts;
        if table.indexes.iter().any(|other| alike(&other)) {
            return;
        }
        if columns.is_empty() || index.kind != "BTREE" {
            self.leave(
                place,
                "the index",
                "it is over a prefix or an expression, or of another kind: write it as a step by sql",
                true,
            );
        } else if index.unique {
            let value = UniqueConstraint {
                name: index.name.to_string(),
                table: table.name.table.to_string(),
                columns: columns.iter().map(ToString::to_string).collect(),
                duplicates: Duplicates::default(),
            };
            self.imported.uniques.push(Self::carry(place, value));
        } else if !self.serves_a_key(wanted, &columns) {
            let alter = format!("ALTER TABLE {}", table.name.table.quoted());
            let name = index.name.quoted();
            let sql = SqlFix {
                up: format!("{alter} ADD INDEX {name} ({}), ALGORITHM=INPLACE, LOCK=NONE", quoted_list(&columns)),
                down: format!("{alter} DROP INDEX {name}, ALGORITHM=INPLACE, LOCK=NONE"),
                verify: format!("SELECT 1 FROM {} FORCE INDEX ({name}) WHERE FALSE", table.name.table.quoted()),
            };
            let fix = TypeFix {
                table: None,
                sql: Some(sql),
                ..Self::fix(&format!("index-{}-{}", table.name.table, index.name), table)
            };
            self.imported.type_fixes.push(Self::carry(place, fix));
        }
    }

    /// Whether an index is there for a key, which brings its own.
    fn serves_a_key(&self, wanted: &Table, columns: &[Identifier]) -> bool {
        self.wanted.foreign_keys.iter().any(|key| key.child == wanted.name && same_list(&key.columns, columns))
    }

    fn key(&mut self, key: &catalogue::ForeignKey) {
        let place = format!("{} of {} ({})", key.name, key.child.table, names(&key.columns));
        let (child, parent) = (self.here(&key.child), self.here(&key.parent));
        let actual = self.actual;
        if actual.table(&child).is_none() {
            self.leave(place, "the foreign key", "its table is not there: create the table, then compare again", true);
            return;
        }
        let relation = |other: &&catalogue::ForeignKey| {
            other.child == child
                && other.parent == parent
                && same_list(&other.columns, &key.columns)
                && same_list(&other.parent_columns, &key.parent_columns)
        };
        if let Some(other) = actual.foreign_keys.iter().find(relation) {
            if !other.on_delete.means(key.on_delete) || !other.on_update.means(key.on_update) {
                let why = format!("{} is there with other actions: drop it by hand, then compare again", other.name);
                self.leave(place, "the foreign key", &why, true);
            }
            return;
        }
        let value = key_entry(&catalogue::ForeignKey { child, parent, ..key.clone() });
        self.imported.keys.push(Self::carry(place, value));
    }

    /// What is there and not wanted: nothing is dropped, but a person should know.
    fn more(&mut self) {
        let (actual, wanted) = (self.actual, self.wanted);
        for key in actual.foreign_keys.iter().filter(|key| key.child.schema == actual.schema) {
            let there = |other: &catalogue::ForeignKey| {
                self.here(&other.child) == key.child
                    && self.here(&other.parent) == key.parent
                    && same_list(&other.columns, &key.columns)
            };
            if !wanted.foreign_keys.iter().any(there) {
                let place = format!("{} of {}", key.name, key.child.table);
                self.leave(
                    place,
                    "the foreign key",
                    "it is there and the other schema has none such: nothing is dropped",
                    false,
                );
            }
        }
        for table in actual.tables.values().filter(|table| table.name.schema == actual.schema) {
            let other = wanted.tables.values().find(|other| self.here(&other.name) == table.name);
            let more = table.columns.iter().filter(|column| {
                other.is_some_and(|other| !other.columns.iter().any(|each| same(&each.name, &column.name)))
            });
            let more: Vec<String> = more.map(|column| column.name.to_string()).collect();
            if !more.is_empty() {
                let why = "the other schema does not have them: nothing is dropped";
                self.leave(table.name.table.to_string(), &format!("columns {}", more.join(", ")), why, false);
            }
        }
    }
}

/// A type as a type fix writes it.
fn type_of(column: &Column) -> String {
    let collation = column.collation.as_ref().map(|collation| format!(" COLLATE {collation}")).unwrap_or_default();
    format!("{}{collation}", column.column_type)
}
