//! Unique constraints to add, and the duplicates in their way.

use super::build::{Planner, same, same_list};
use super::catalogue::{Column, ForeignKey, Index, Table};
use super::column_type::ColumnType;
use super::estimate;
use super::identifier::{Identifier, TableName, quoted_list};
use super::input::Unique;
use super::model::{Action, DuplicatePolicy, LockClass, Section};

/// Longest index entry in bytes with the row formats Dynamic and Compressed; the older formats allow 767.
const MAX_INDEX_BYTES: u64 = 3072;
const MAX_INDEX_BYTES_OLD_FORMAT: u64 = 767;

impl Planner<'_> {
    /// Plans all unique constraints.
    pub(crate) fn plan_uniques(&mut self) {
        for unique in &self.input.uniques {
            let Some(table) = self.alterable_table(&format!("{}.table", unique.path), &unique.table) else { continue };
            let Some(columns) = self.columns(&format!("{}.columns", unique.path), &table, &unique.columns) else {
                continue;
            };
            if let Some(existing) =
                (table.indexes.iter()).find(|index| index.unique && same_set(&whole_columns(index), &unique.columns))
            {
                self.warn(format!(
                    "{}: {} holds already by {}: {} is not added.",
                    table.name,
                    names(&unique.columns),
                    existing.name,
                    unique.name
                ));
                continue;
            }
            self.check_unique(unique, &table, &columns);
            self.push_unique(unique, &table);
        }
    }

    fn check_unique(&mut self, unique: &Unique, table: &Table, columns: &[Column]) {
        if let Some(taken) = table.indexes.iter().find(|index| same(&index.name, &unique.name)) {
            self.problem(
                format!("{}.name", unique.path),
                format!("{} has an index {} already, over other columns: choose another name", table.name, taken.name),
            );
        }
        self.check_index_columns(&format!("{}.columns", unique.path), table, columns);
        self.check_displaced_index(&unique.path, table, &unique.columns);
        if table.primary_key().is_empty() && columns.iter().all(|column| !column.nullable) {
            self.problem(
                &unique.path,
                format!("{} has no primary key, so the constraint {} would become its clustered index, which rebuilds the table both ways: add a primary key first", table.name, unique.name),
            );
        }
        let changes = unique.policy != DuplicatePolicy::Fail;
        if changes {
            self.can_change_rows(
                &format!("{}.duplicates.policy", unique.path),
                table,
                "the policy for duplicates removes",
            );
            for key in self.dependents(table) {
                if let Some(child) = self.now.table(&key.child).cloned() {
                    let why = format!("removing duplicates of {} points to the surviving row the", table.name);
                    self.can_change_rows(&format!("{}.duplicates.policy", unique.path), &child, &why);
                }
            }
        }
        match &unique.order_by {
            Some(order_by) => {
                self.column(&format!("{}.duplicates.orderBy", unique.path), table, order_by);
            }
            None if changes => self.problem(
                format!("{}.duplicates.orderBy", unique.path),
                format!(
                    "the policy must know which row of {} is newest: name a column, such as its primary key",
                    table.name
                ),
            ),
            None => {}
        }
        let nullable: Vec<_> =
            columns.iter().filter(|column| column.nullable).map(|column| column.name.to_string()).collect();
        if !nullable.is_empty() {
            self.warn(format!(
                "{}: rows with NULL in {} are never duplicates to {}.",
                table.name,
                nullable.join(", "),
                unique.name
            ));
        }
    }

    fn push_unique(&mut self, unique: &Unique, table: &Table) {
        let Some(order_by) = (unique.order_by.clone())
            .or_else(|| table.primary_key().into_iter().next())
            .or_else(|| unique.columns.first().cloned())
        else {
            return;
        };
        let remove = Action::RemoveDuplicates {
            table: table.name.clone(),
            columns: unique.columns.clone(),
            policy: unique.policy,
            order_by,
            dependents: self.dependents(table),
        };
        let exists = (self.before.table(&table.name))
            .is_some_and(|before| unique.columns.iter().all(|name| before.column(name).is_some()));
        // Once more just before the constraint: the application may have made new ones meanwhile.
        let sections: &[Section] =
            if exists { &[Section::CleanUp, Section::AddUniques] } else { &[Section::AddUniques] };
        for section in sections {
            self.push(
                *section,
                format!("remove-duplicates-{}", unique.name),
                remove.clone(),
                None,
                LockClass::Batched,
                estimate::scan(table),
                &unique.path,
            );
        }
        let alter = format!("ALTER TABLE {}", table.name.quoted());
        let forward = format!(
            "{alter} ADD UNIQUE INDEX {} ({}), ALGORITHM=INPLACE, LOCK=NONE",
            unique.name.quoted(),
            quoted_list(&unique.columns)
        );
        let inverse = format!("{alter} DROP INDEX {}, ALGORITHM=INPLACE, LOCK=NONE", unique.name.quoted());
        self.push(
            Section::AddUniques,
            format!("add-unique-{}", unique.name),
            Action::AddUnique {
                table: table.name.clone(),
                index: unique.name.clone(),
                columns: unique.columns.clone(),
            },
            Some((forward, inverse)),
            LockClass::OnlineBuild,
            estimate::index(table),
            &unique.path,
        );
        self.add_index(&table.name, &unique.name, &unique.columns, true);
    }

    /// Keys, wanted or there already, whose children refer to the table and exist before the type fixes.
    fn dependents(&self, table: &Table) -> Vec<ForeignKey> {
        let wanted = self.input.stages.iter().flat_map(|stage| &stage.keys).map(|wanted| &wanted.key);
        let mut keys: Vec<ForeignKey> = Vec::new();
        for key in self.before.foreign_keys.iter().chain(wanted) {
            let exists = (self.before.table(&key.child))
                .is_some_and(|child| key.columns.iter().all(|name| child.column(name).is_some()));
            let known = |each: &ForeignKey| {
                each.child == key.child
                    && same_list(&each.columns, &key.columns)
                    && same_list(&each.parent_columns, &key.parent_columns)
            };
            if key.parent == table.name && exists && !keys.iter().any(known) {
                keys.push(key.clone());
            }
        }
        keys
    }

    /// What an index over whole columns must keep to.
    pub(crate) fn check_index_columns(&mut self, path: &str, table: &Table, columns: &[Column]) {
        let mut bytes = 0;
        for (place, column) in columns.iter().enumerate() {
            let indexable = ColumnType::parse(&column.column_type).is_ok_and(|parsed| parsed.is_indexable());
            if !indexable {
                self.problem(
                    format!("{path}[{place}]"),
                    format!("{}.{} is {}, of which an index cannot hold whole values: change its type, for example to VARCHAR", table.name, column.name, column.column_type),
                );
            }
            bytes += column.character_octet_length.unwrap_or(8);
        }
        let old_format = matches!(table.row_format.to_lowercase().as_str(), "compact" | "redundant");
        let limit = if old_format { MAX_INDEX_BYTES_OLD_FORMAT } else { MAX_INDEX_BYTES };
        if bytes > limit
            && columns.iter().all(|column| !column.data_type.ends_with("text") && !column.data_type.ends_with("blob"))
        {
            self.problem(
                path,
                format!("an entry of this index of {} could take {bytes} bytes; its row format allows {limit}: shorten the columns or leave one out", table.name),
            );
        }
    }

    /// An index that MySQL made for a foreign key vanishes when a longer one arrives, and then that one cannot be dropped again
    /// (error 1553): the change would have no way back.
    pub(crate) fn check_displaced_index(&mut self, path: &str, table: &Table, columns: &[Identifier]) {
        let displaced = (self.before.foreign_keys.iter())
            .filter(|key| {
                key.child == table.name
                    && key.columns.len() < columns.len()
                    && same_list(&key.columns, &columns[..key.columns.len()])
            })
            .find(|key| {
                table
                    .indexes
                    .iter()
                    .any(|index| same(&index.name, &key.name) && same_list(&whole_columns(index), &key.columns))
            });
        if let Some(key) = displaced {
            self.problem(
                path,
                format!(
                    "the index {0} of {1}, which MySQL made for the foreign key of the same name, would be replaced by the new index and could not be brought back: \
                     rename it first (ALTER TABLE {2} RENAME INDEX {3} TO ...), which keeps it",
                    key.name,
                    table.name,
                    table.name.quoted(),
                    key.name.quoted()
                ),
            );
        }
    }
}

/// The columns of an index over whole columns; empty for any other.
pub(crate) fn whole_columns(index: &Index) -> Vec<Identifier> {
    let whole = index.parts.iter().all(|part| part.prefix.is_none());
    let columns: Vec<_> = index.parts.iter().filter_map(|part| part.column.clone()).collect();
    if whole && columns.len() == index.parts.len() { columns } else { Vec::new() }
}

/// `shop.users (a, b)`, for messages.
pub(crate) fn place(table: &TableName, columns: &[Identifier]) -> String {
    format!("{table} ({})", names(columns))
}

/// `users (a, b)`, where the schema is known.
pub(crate) fn place_in_schema(table: &Identifier, columns: &[Identifier]) -> String {
    format!("{table} ({})", names(columns))
}

pub(crate) fn names(columns: &[Identifier]) -> String {
    columns.iter().map(Identifier::as_str).collect::<Vec<_>>().join(", ")
}

fn same_set(some: &[Identifier], others: &[Identifier]) -> bool {
    some.len() == others.len() && some.iter().all(|one| others.iter().any(|other| same(one, other)))
}
