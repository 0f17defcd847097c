//! Whether a wanted foreign key can exist: everything that the server would refuse, and some that it would not, but should.

use super::build::{Planner, same, same_list};
use super::catalogue::{Column, ForeignKey, Index, ReferentialAction, Table};
use super::column_type::key_mismatch;
use super::input::WantedKey;
use super::model::OrphanPolicy;
use super::uniques::{place, whole_columns};

/// What becomes of a wanted key.
pub(crate) enum Verdict {
    /// It is added.
    Add,
    /// It exists exactly so.
    Adopt(ForeignKey),
    /// It cannot be; the problems are noted.
    Refuse,
}

impl Planner<'_> {
    /// Checks one key against the catalogue as the steps before leave it.
    pub(crate) fn check_key(&mut self, wanted: &WantedKey) -> Verdict {
        let before = self.problems.len();
        let key = &wanted.key;
        let path = &wanted.path;
        let child = self.alterable_table(&format!("{path}.table"), &key.child);
        let parent = self.usable_table(&format!("{path}.references.table"), &key.parent);
        let (Some(child), Some(parent)) = (child, parent) else { return Verdict::Refuse };
        if key.columns.len() != key.parent_columns.len() {
            self.problem(
                format!("{path}.references.columns"),
                format!(
                    "{} columns refer to {}: name as many of {} as of {}",
                    key.columns.len(),
                    key.parent_columns.len(),
                    key.parent,
                    key.child
                ),
            );
            return Verdict::Refuse;
        }
        let own = self.columns(&format!("{path}.columns"), &child, &key.columns);
        let theirs = self.columns(&format!("{path}.references.columns"), &parent, &key.parent_columns);
        let (Some(own), Some(theirs)) = (own, theirs) else { return Verdict::Refuse };
        match self.check_existing(wanted) {
            Verdict::Add => {}
            other => return other,
        }
        self.check_types(path, &child, &own, &parent, &theirs);
        self.check_parent_key(path, key, &parent, &theirs);
        self.check_actions(wanted, &child, &own);
        self.check_index_columns(&format!("{path}.columns"), &child, &own);
        match wanted.policy {
            OrphanPolicy::Fail => {}
            OrphanPolicy::Delete => {
                self.can_change_rows(&format!("{path}.orphans"), &child, "the policy for orphans removes")
            }
            OrphanPolicy::SetNull => {
                self.can_change_rows(&format!("{path}.orphans"), &child, "the policy for orphans changes");
                if let Some(column) = own.iter().find(|column| column.generation_expression.is_some()) {
                    self.problem(
                        format!("{path}.orphans"),
                        format!(
                            "{}.{} is generated, so orphans cannot be set to NULL: use Delete or Fail",
                            key.child, column.name
                        ),
                    );
                }
                if let Some(column) = own.iter().find(|column| !column.nullable) {
                    self.problem(
                        format!("{path}.orphans"),
                        format!(
                            "{}.{} is NOT NULL, so orphans cannot be set to NULL: use Delete or Fail",
                            key.child, column.name
                        ),
                    );
                }
            }
        }
        if self.problems.len() == before { Verdict::Add } else { Verdict::Refuse }
    }

    /// Compares with the keys that exist or are planned already.
    fn check_existing(&mut self, wanted: &WantedKey) -> Verdict {
        let key = &wanted.key;
        let relation = |each: &&ForeignKey| {
            each.child == key.child
                && each.parent == key.parent
                && each.columns.len() == key.columns.len()
                && refers_by(each, key)
        };
        let existing = self.before.foreign_keys.iter().find(relation).cloned();
        if let Some(existing) = existing {
            if existing.on_delete.means(key.on_delete) && existing.on_update.means(key.on_update) {
                if !same(&existing.name, &key.name) {
                    self.warn(format!(
                        "{}: the foreign key {} is there already under the name {} and keeps it.",
                        key.child, key.name, existing.name
                    ));
                }
                return Verdict::Adopt(existing);
            }
            self.problem(
                &wanted.path,
                format!(
                    "{} has a foreign key {} over the same columns with ON DELETE {} ON UPDATE {}, where ON DELETE {} ON UPDATE {} is wanted: drop it first, or ask for what is there",
                    key.child, existing.name, existing.on_delete.sql(), existing.on_update.sql(), key.on_delete.sql(), key.on_update.sql()
                ),
            );
            return Verdict::Refuse;
        }
        if let Some(twice) = self.now.foreign_keys.iter().find(relation) {
            let message = format!(
                "{} already refers to {} by {}, which this specification adds too: remove one of them",
                place(&key.child, &key.columns),
                place(&key.parent, &key.parent_columns),
                twice.name
            );
            self.problem(&wanted.path, message);
            return Verdict::Refuse;
        }
        self.warn_of_neighbours(key);
        let taken = |each: &&ForeignKey| each.child.schema == key.child.schema && same(&each.name, &key.name);
        if let Some(taken) = self.now.foreign_keys.iter().find(taken) {
            let message = format!(
                "the name {} is taken by a foreign key of {}; names are unique in a schema: choose another",
                key.name, taken.child
            );
            self.problem(format!("{}.name", wanted.path), message);
            return Verdict::Refuse;
        }
        Verdict::Add
    }

    /// Keys over the same columns that are allowed, but seldom meant.
    fn warn_of_neighbours(&mut self, key: &ForeignKey) {
        let others: Vec<ForeignKey> = (self.now.foreign_keys.iter())
            .filter(|each| each.child == key.child && each.name != key.name)
            .cloned()
            .collect();
        for other in others {
            if other.parent == key.parent {
                let (wider, narrower) =
                    if other.columns.len() > key.columns.len() { (&other, key) } else { (key, &other) };
                if wider.columns.len() > narrower.columns.len() && refers_by(wider, narrower) {
                    self.warn(format!(
                        "{}: the foreign key {} says already what {} says, where none of its columns is NULL.",
                        key.child, wider.name, narrower.name
                    ));
                }
            } else if same_list(&other.columns, &key.columns) {
                self.warn(format!(
                    "{} refers to {} by {} and to {} by {}: each row needs a parent in both.",
                    place(&key.child, &key.columns),
                    other.parent,
                    other.name,
                    key.parent,
                    key.name
                ));
            }
        }
    }

    fn check_types(&mut self, path: &str, child: &Table, own: &[Column], parent: &Table, theirs: &[Column]) {
        for (place, (column, other)) in own.iter().zip(theirs).enumerate() {
            if let Some(reason) = key_mismatch(column, other) {
                let collation = match &other.collation {
                    Some(collation) => format!(" COLLATE {collation}"),
                    None => String::new(),
                };
                self.problem(
                    format!("{path}.columns[{place}]"),
                    format!(
                        "{}.{} is {}{}, {}.{} is {}{collation}: {reason}; add to spec.typeFixes: {{name: ..., table: {}, modifyColumn: {{name: {}, type: {:?}}}}}",
                        child.name,
                        column.name,
                        column.column_type,
                        column.collation.as_ref().map(|collation| format!(" COLLATE {collation}")).unwrap_or_default(),
                        parent.name,
                        other.name,
                        other.column_type,
                        child.name.table,
                        column.name,
                        format!("{}{collation}", other.column_type)
                    ),
                );
            }
            let is_virtual = |column: &Column| {
                column.generation_expression.is_some() && column.extra.to_uppercase().contains("VIRTUAL")
            };
            for (table, column, path) in [
                (child, column, format!("{path}.columns[{place}]")),
                (parent, other, format!("{path}.references.columns[{place}]")),
            ] {
                if is_virtual(column) {
                    self.problem(
                        path,
                        format!("{}.{} is a virtual generated column, which a foreign key cannot use: use a stored or an ordinary column", table.name, column.name),
                    );
                }
            }
        }
    }

    fn check_parent_key(&mut self, path: &str, key: &ForeignKey, parent: &Table, theirs: &[Column]) {
        let full = |index: &&Index| {
            index.unique && index.kind == "BTREE" && same_list(&whole_columns(index), &key.parent_columns)
        };
        if !parent.indexes.iter().any(|index| full(&index)) {
            self.problem(
                format!("{path}.references.columns"),
                format!(
                    "{} has no primary key or unique constraint over exactly these columns in this order: add one to spec.uniqueConstraints: {{name: ..., table: {}, columns: [{}]}}",
                    place(&key.parent, &key.parent_columns),
                    key.parent.table,
                    theirs.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
                ),
            );
        }
    }

    fn check_actions(&mut self, wanted: &WantedKey, child: &Table, own: &[Column]) {
        use ReferentialAction::{Cascade, SetNull};
        let key = &wanted.key;
        for (field, action) in [("onDelete", key.on_delete), ("onUpdate", key.on_update)] {
            let path = format!("{}.{field}", wanted.path);
            for column in own {
                if action == SetNull && !column.nullable {
                    self.problem(
                        &path,
                        format!(
                            "{}.{} is NOT NULL, so {field} cannot be SetNull: use Restrict or Cascade",
                            key.child, column.name
                        ),
                    );
                }
                let changes_value = action == SetNull || (field == "onUpdate" && action == Cascade);
                if changes_value && column.generation_expression.is_some() {
                    self.problem(
                        &path,
                        format!("{}.{} is generated, so no action can change it: use Restrict", key.child, column.name),
                    );
                }
                if changes_value
                    && let Some((check, _)) = child.checks.iter().find(|(_, clause)| column.named_in(clause))
                {
                    self.problem(
                        &path,
                        format!("{}.{} is under the CHECK constraint {check}, which MySQL does not allow with this action (error 3823): use Restrict, or drop the constraint", key.child, column.name),
                    );
                }
                let base_of = child.columns.iter().find(|each| {
                    each.extra.to_uppercase().contains("STORED")
                        && each.generation_expression.as_ref().is_some_and(|expression| column.named_in(expression))
                });
                if let Some(generated) = base_of
                    && matches!(action, Cascade | SetNull)
                {
                    self.problem(
                        &path,
                        format!("the stored generated column {}.{} is computed from {}, which MySQL does not allow with this action (error 3192): use Restrict", key.child, generated.name, column.name),
                    );
                }
            }
        }
    }
}

/// Whether `wide` has every pair of columns that `narrow` has, in any order.
fn refers_by(wide: &ForeignKey, narrow: &ForeignKey) -> bool {
    narrow.columns.iter().zip(&narrow.parent_columns).all(|(own, other)| {
        (wide.columns.iter().zip(&wide.parent_columns)).any(|pair| same(pair.0, own) && same(pair.1, other))
    })
}
