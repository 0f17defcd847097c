//! The stages of foreign keys: for each key an index where none serves, and the key itself; before them the cleanup.

use super::build::{Planner, same, same_list};
use super::catalogue::{Index, Table};
use super::estimate;
use super::identifier::{Identifier, MAX_IDENTIFIER_CHARACTERS, quoted_list};
use super::input::WantedKey;
use super::keys::Verdict;
use super::model::{Action, LockClass, OrphanPolicy, Section};
use super::order::children_first;

impl Planner<'_> {
    /// Plans all stages.
    pub(crate) fn plan_stages(&mut self) {
        for (place, stage) in self.input.stages.iter().enumerate() {
            let mut accepted: Vec<&WantedKey> = Vec::new();
            for wanted in &stage.keys {
                match self.check_key(wanted) {
                    Verdict::Add => {
                        self.now.foreign_keys.push(wanted.key.clone());
                        accepted.push(wanted);
                    }
                    Verdict::Adopt(existing) => self.adopted.push(existing),
                    Verdict::Refuse => {}
                }
            }
            let section = Section::Stage(place);
            for wanted in children_first(&accepted) {
                self.push_orphans(section, wanted);
            }
            for wanted in &accepted {
                self.plan_index(section, wanted);
            }
            for wanted in &accepted {
                self.push_key(section, wanted);
            }
            if accepted.len() == stage.keys.len() {
                self.check_expectations(place);
            }
        }
    }

    /// Plans the cleanup that runs before everything else.
    pub(crate) fn plan_cleanup(&mut self) {
        let added: Vec<&WantedKey> = (self.input.stages.iter().flat_map(|stage| &stage.keys))
            .filter(|wanted| {
                self.operations.iter().any(
                    |operation| matches!(&operation.action, Action::AddForeignKey { key, .. } if *key == wanted.key),
                )
            })
            .collect();
        let exists = |wanted: &&&WantedKey| {
            let has = |table: Option<&Table>, columns: &[Identifier]| {
                table.is_some_and(|table| columns.iter().all(|column| table.column(column).is_some()))
            };
            has(self.before.table(&wanted.key.child), &wanted.key.columns)
                && has(self.before.table(&wanted.key.parent), &wanted.key.parent_columns)
        };
        let now: Vec<&WantedKey> = added.iter().filter(exists).copied().collect();
        let duplicates: Vec<_> = {
            let (cleanup, rest) = std::mem::take(&mut self.operations)
                .into_iter()
                .partition(|operation| operation.section == Section::CleanUp);
            self.operations = rest;
            cleanup
        };
        // What would stop the migration is looked for before anything is changed.
        let (fail, change): (Vec<_>, Vec<_>) =
            children_first(&now).into_iter().partition(|wanted| wanted.policy == OrphanPolicy::Fail);
        for wanted in fail.into_iter().chain(change) {
            self.push_orphans(Section::CleanUp, wanted);
        }
        self.operations.extend(duplicates);
    }

    fn push_orphans(&mut self, section: Section, wanted: &WantedKey) {
        let estimate = self.now.table(&wanted.key.child).map(estimate::scan).unwrap_or_default();
        self.push(
            section,
            format!("remove-orphans-{}", wanted.key.name),
            Action::RemoveOrphans { key: wanted.key.clone(), policy: wanted.policy },
            None,
            LockClass::Batched,
            estimate,
            &wanted.path,
        );
    }

    fn plan_index(&mut self, section: Section, wanted: &WantedKey) {
        let key = &wanted.key;
        let Some(table) = self.now.table(&key.child).cloned() else { return };
        if table.indexes.iter().any(|index| serves(index, &key.columns)) {
            return;
        }
        self.check_displaced_index(&wanted.path, &table, &key.columns);
        let name = index_name(&key.name, &table);
        let alter = format!("ALTER TABLE {}", key.child.quoted());
        let forward = format!(
            "{alter} ADD INDEX {} ({}), ALGORITHM=INPLACE, LOCK=NONE",
            name.quoted(),
            quoted_list(&key.columns)
        );
        let inverse = format!("{alter} DROP INDEX {}, ALGORITHM=INPLACE, LOCK=NONE", name.quoted());
        self.push(
            section,
            format!("add-index-{name}"),
            Action::AddIndex { table: key.child.clone(), index: name.clone(), columns: key.columns.clone() },
            Some((forward, inverse)),
            LockClass::OnlineBuild,
            estimate::index(&table),
            &wanted.path,
        );
        self.add_index(&key.child, &name, &key.columns, false);
    }

    fn push_key(&mut self, section: Section, wanted: &WantedKey) {
        let key = &wanted.key;
        let alter = format!("ALTER TABLE {}", key.child.quoted());
        let forward = format!(
            "{alter} ADD CONSTRAINT {} FOREIGN KEY ({}) REFERENCES {} ({}) ON DELETE {} ON UPDATE {}, ALGORITHM=INPLACE, LOCK=NONE",
            key.name.quoted(),
            quoted_list(&key.columns),
            key.parent.quoted(),
            quoted_list(&key.parent_columns),
            key.on_delete.sql(),
            key.on_update.sql()
        );
        let inverse = format!("{alter} DROP FOREIGN KEY {}, ALGORITHM=INPLACE, LOCK=NONE", key.name.quoted());
        self.push(
            section,
            format!("add-key-{}", key.name),
            Action::AddForeignKey { key: key.clone(), policy: wanted.policy },
            Some((forward, inverse)),
            LockClass::Metadata,
            estimate::metadata(),
            &wanted.path,
        );
    }

    fn check_expectations(&mut self, place: usize) {
        let stage = &self.input.stages[place];
        for (position, expectation) in stage.expect.iter().enumerate() {
            let counted = expectation.counted(&self.now);
            if counted < expectation.at_least {
                let what = match &expectation.referenced_table {
                    Some(table) => format!("foreign keys that refer to {table}"),
                    None => "foreign keys in the schema".to_owned(),
                };
                let message = format!(
                    "after stage {} there will be {counted} {what}, not {} or more: add the missing keys, or expect less",
                    stage.name, expectation.at_least
                );
                self.problem(format!("{}.expect[{position}].atLeast", stage.path), message);
            }
        }
    }
}

/// Whether an index can carry the child's side of a key: whole columns in the key's order at its beginning.
fn serves(index: &Index, columns: &[Identifier]) -> bool {
    let leading: Vec<_> = (index.parts.iter())
        .take(columns.len())
        .filter(|part| part.prefix.is_none() && !part.descending)
        .filter_map(|part| part.column.clone())
        .collect();
    index.visible && index.kind == "BTREE" && same_list(&leading, columns)
}

/// A name for a key's index that the table does not use yet. Not the key's own name, which MySQL gives to indexes that it may
/// drop by itself.
fn index_name(key: &Identifier, table: &Table) -> Identifier {
    let mut number = 1_u32;
    loop {
        let suffix = if number == 1 { "_idx".to_owned() } else { format!("_idx{number}") };
        let stem: String = key.as_str().chars().take(MAX_IDENTIFIER_CHARACTERS - suffix.len()).collect();
        match Identifier::new(format!("{stem}{suffix}")) {
            Ok(name) if !table.indexes.iter().any(|index| same(&index.name, &name)) => return name,
            _ => number += 1,
        }
    }
}
