//! What must be true in the catalogue once a schema change has happened, and once it is taken back. Pure: the server's success
//! alone proves nothing, and after a crash only the catalogue knows whether a statement ran.

use std::fmt;

use crate::plan::catalogue::{Catalogue, Column, ForeignKey, Table};
use crate::plan::identifier::{Identifier, TableName};
use crate::plan::model::Action;

/// What a schema change is after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal<'a> {
    /// The key is there, exactly so.
    Key(&'a ForeignKey),
    /// No key of that name is on the table.
    NoKey(&'a ForeignKey),
    /// The index is there, with these columns in this order.
    Index { table: &'a TableName, index: &'a Identifier, columns: &'a [Identifier], unique: bool },
    /// No index of that name is on the table.
    NoIndex { table: &'a TableName, index: &'a Identifier },
    /// The column is there.
    Column { table: &'a TableName, column: &'a Identifier },
    /// The column is not there.
    NoColumn { table: &'a TableName, column: &'a Identifier },
    /// The column has this type, not the other one.
    ColumnType { table: &'a TableName, column: &'a Identifier, wanted: TypeOf<'a>, other: TypeOf<'a> },
    /// The table's definition is another one than before: all that is known of a statement of the user's own.
    OtherDefinition { table: &'a TableName, before: &'a str },
    /// The live tables are where they are kept, and the restored ones have left for their places.
    Exchanged { live: &'a [TableName], kept: &'a [TableName], restored: &'a [TableName] },
}

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TypeOf<'a> {
    /// As the catalogue spells it.
    pub(crate) column_type: &'a str,
    /// `None` where it has none, or the plan does not say.
    pub(crate) collation: Option<&'a str>,
}

impl TypeOf<'_> {
    fn is_of(self, column: &Column) -> bool {
        same_type(&column.column_type, self.column_type)
            && self.collation.is_none_or(|wanted| {
                column.collation.as_deref().is_some_and(|found| found.eq_ignore_ascii_case(wanted))
            })
    }
}

impl fmt::Display for TypeOf<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.column_type)?;
        self.collation.map_or(Ok(()), |collation| write!(formatter, " COLLATE {collation}"))
    }
}

/// Whether two types are spelled alike: members of an ENUM or SET letter by letter, all else in upper or lower case.
fn same_type(one: &str, other: &str) -> bool {
    let mut parts = (one.split('\''), other.split('\''));
    let mut quoted = false;
    loop {
        match (parts.0.next(), parts.1.next()) {
            (None, None) => return true,
            (Some(one), Some(other)) if one == other || (!quoted && one.eq_ignore_ascii_case(other)) => {}
            _ => return false,
        }
        quoted = !quoted;
    }
}

/// How the catalogue compares with a goal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is as wanted.
    Reached,
    /// It is as if the statement had not run.
    NotReached,
    /// It is neither: somebody else changed something. What is found.
    Contradicted(String),
}

fn same_name(one: &Identifier, other: &Identifier) -> bool {
    one.as_str().to_lowercase() == other.as_str().to_lowercase()
}

fn same_names(one: &[Identifier], other: &[Identifier]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same_name(one, other))
}

/// Whether the catalogue's key is the wanted one.
pub(crate) fn same_key(one: &ForeignKey, other: &ForeignKey) -> bool {
    same_name(&one.name, &other.name)
        && one.child == other.child
        && one.parent == other.parent
        && same_names(&one.columns, &other.columns)
        && same_names(&one.parent_columns, &other.parent_columns)
        && one.on_delete.means(other.on_delete)
        && one.on_update.means(other.on_update)
}

fn key_of<'c>(catalogue: &'c Catalogue, key: &ForeignKey) -> Option<&'c ForeignKey> {
    // Names of keys are unique in the child's schema.
    catalogue
        .foreign_keys
        .iter()
        .find(|found| found.child.schema == key.child.schema && same_name(&found.name, &key.name))
}

impl<'a> Goal<'a> {
    /// What the operation is after; `None` where it changes rows, and for a statement of the user's own.
    pub(crate) fn of(action: &'a Action) -> Option<Self> {
        match action {
            Action::RemoveOrphans { .. }
            | Action::RemoveDuplicates { .. }
            | Action::Backfill { .. }
            | Action::Sql(_) => None,
            Action::AddColumn { table, column } => Some(Self::Column { table, column }),
            Action::ModifyColumn { table, before, after_type, after_collation } => {
                let (wanted, other) = types(before, after_type, after_collation.as_deref());
                Some(Self::ColumnType { table, column: &before.name, wanted, other })
            }
            Action::AddIndex { table, index, columns } => Some(Self::Index { table, index, columns, unique: false }),
            Action::AddUnique { table, index, columns } => Some(Self::Index { table, index, columns, unique: true }),
            Action::AddForeignKey { key, .. } => Some(Self::Key(key)),
        }
    }

    /// What taking the operation back is after; `None` where it changes rows, and for a statement of the user's own.
    pub(crate) fn of_undoing(action: &'a Action) -> Option<Self> {
        match action {
            Action::RemoveOrphans { .. }
            | Action::RemoveDuplicates { .. }
            | Action::Backfill { .. }
            | Action::Sql(_) => None,
            Action::AddColumn { table, column } => Some(Self::NoColumn { table, column }),
            Action::ModifyColumn { table, before, after_type, after_collation } => {
                let (other, wanted) = types(before, after_type, after_collation.as_deref());
                Some(Self::ColumnType { table, column: &before.name, wanted, other })
            }
            Action::AddIndex { table, index, .. } | Action::AddUnique { table, index, .. } => {
                Some(Self::NoIndex { table, index })
            }
            Action::AddForeignKey { key, .. } => Some(Self::NoKey(key)),
        }
    }

    /// The tables that the change locks, the one it changes first.
    pub(crate) fn tables(&self) -> Vec<TableName> {
        match self {
            Self::Key(key) | Self::NoKey(key) if key.child == key.parent => vec![key.child.clone()],
            Self::Key(key) | Self::NoKey(key) => vec![key.child.clone(), key.parent.clone()],
            Self::Index { table, .. }
            | Self::NoIndex { table, .. }
            | Self::Column { table, .. }
            | Self::NoColumn { table, .. }
            | Self::ColumnType { table, .. }
            | Self::OtherDefinition { table, .. } => vec![(*table).clone()],
            Self::Exchanged { live, kept, restored } => [*live, *kept, *restored].concat(),
        }
    }

    /// Compares the catalogue with the goal.
    pub(crate) fn standing(&self, catalogue: &Catalogue) -> Standing {
        if let Self::Exchanged { kept, restored, .. } = *self {
            return exchange_standing(catalogue, kept, restored);
        }
        let name = self.tables().remove(0);
        let Some(table) = catalogue.table(&name) else {
            return Standing::Contradicted(format!("table {name} does not exist"));
        };
        match *self {
            Self::Key(wanted) => match key_of(catalogue, wanted) {
                None => Standing::NotReached,
                Some(found) if same_key(found, wanted) => Standing::Reached,
                Some(found) => Standing::Contradicted(format!(
                    "{} has a key {} that differs from the plan's: it refers to {} with ON DELETE {} ON UPDATE {}",
                    found.child,
                    found.name,
                    found.parent,
                    found.on_delete.sql(),
                    found.on_update.sql()
                )),
            },
            Self::NoKey(unwanted) => match key_of(catalogue, unwanted) {
                None => Standing::Reached,
                Some(found) if same_key(found, unwanted) => Standing::NotReached,
                Some(found) => Standing::Contradicted(format!(
                    "key {} of {} is not the one that was added",
                    found.name, found.child
                )),
            },
            Self::Index { index, columns, unique, .. } => index_standing(table, index, columns, unique),
            Self::NoIndex { index, .. } => reached_if(!table.indexes.iter().any(|found| same_name(&found.name, index))),
            Self::Column { column, .. } => reached_if(table.column(column).is_some()),
            Self::NoColumn { column, .. } => reached_if(table.column(column).is_none()),
            Self::OtherDefinition { before, .. } => reached_if(table.create_statement != before),
            Self::Exchanged { kept, restored, .. } => exchange_standing(catalogue, kept, restored),
            Self::ColumnType { column, wanted, other, .. } => match table.column(column) {
                None => Standing::Contradicted(format!("column {name}.{column} does not exist")),
                Some(found) if wanted.is_of(found) => Standing::Reached,
                Some(found) if other.is_of(found) => Standing::NotReached,
                Some(found) => {
                    let found = TypeOf { column_type: &found.column_type, collation: found.collation.as_deref() };
                    Standing::Contradicted(format!("column {name}.{column} is {found}, neither {other} nor {wanted}"))
                }
            },
        }
    }
}

/// A changed column's type after and before. Plans of before collations were noted say none, and none is compared.
fn types<'a>(before: &'a Column, after_type: &'a str, after_collation: Option<&'a str>) -> (TypeOf<'a>, TypeOf<'a>) {
    let collation = before.collation.as_deref().filter(|_| after_collation.is_some());
    (
        TypeOf { column_type: after_type, collation: after_collation },
        TypeOf { column_type: &before.column_type, collation },
    )
}

/// One statement moves all of them: where some have moved and others have not, somebody else was at it.
fn exchange_standing(catalogue: &Catalogue, kept: &[TableName], restored: &[TableName]) -> Standing {
    let there = |tables: &[TableName]| tables.iter().filter(|table| catalogue.table(table).is_some()).count();
    match (there(kept), there(restored)) {
        (0, waiting) if waiting == restored.len() && waiting > 0 => Standing::NotReached,
        (moved, 0) if moved == kept.len() => Standing::Reached,
        (moved, waiting) => Standing::Contradicted(format!(
            "of {} tables {moved} are kept, and of {} restored ones {waiting} wait for their place: some were moved, and not by this \
             migration",
            kept.len(),
            restored.len()
        )),
    }
}

fn reached_if(reached: bool) -> Standing {
    if reached { Standing::Reached } else { Standing::NotReached }
}

fn index_standing(table: &Table, index: &Identifier, columns: &[Identifier], unique: bool) -> Standing {
    let Some(found) = table.indexes.iter().find(|found| same_name(&found.name, index)) else {
        return Standing::NotReached;
    };
    let whole_columns: Vec<Identifier> =
        found.parts.iter().filter(|part| part.prefix.is_none()).filter_map(|part| part.column.clone()).collect();
    if found.unique == unique && found.parts.len() == columns.len() && same_names(&whole_columns, columns) {
        return Standing::Reached;
    }
    Standing::Contradicted(format!("{} has an index {} that differs from the plan's", table.name, found.name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::plan::catalogue::{Flavour, Index, IndexPart, ReferentialAction, Server, Version};
    use std::collections::BTreeMap;

    fn id(name: &str) -> Identifier {
        Identifier::new(name).unwrap()
    }

    fn name(table: &str) -> TableName {
        TableName::new(id("shop"), id(table))
    }

    fn key() -> ForeignKey {
        ForeignKey {
            name: id("fk"),
            child: name("child"),
            columns: vec![id("parent_id")],
            parent: name("parent"),
            parent_columns: vec![id("id")],
            on_delete: ReferentialAction::Cascade,
            on_update: ReferentialAction::NoAction,
        }
    }

    fn catalogue(keys: Vec<ForeignKey>, indexes: Vec<Index>) -> Catalogue {
        let table = Table {
            name: name("child"),
            engine: "InnoDB".into(),
            row_format: "Dynamic".into(),
            collation: None,
            partitioned: false,
            columns: vec![],
            indexes,
            triggers: vec![],
            checks: vec![],
            estimated_rows: 0,
            data_bytes: 0,
            index_bytes: 0,
            row_versions: None,
            create_statement: String::new(),
        };
        Catalogue {
            server: Server {
                flavour: Flavour::MySql,
                version: Version { major: 9, minor: 7, patch: 0 },
                version_text: String::new(),
                server_uuid: String::new(),
                native_foreign_keys: false,
                lower_case_table_names: 0,
                settings: Default::default(),
            },
            schema: id("shop"),
            tables: BTreeMap::from([(table.name.to_string(), table)]),
            foreign_keys: keys,
        }
    }

    #[test]
    fn a_key_with_another_action_contradicts_in_both_directions() {
        let wanted = key();
        let other = ForeignKey { on_delete: ReferentialAction::Restrict, ..key() };
        assert_eq!(Goal::Key(&wanted).standing(&catalogue(vec![], vec![])), Standing::NotReached);
        assert_eq!(Goal::Key(&wanted).standing(&catalogue(vec![key()], vec![])), Standing::Reached);
        assert!(matches!(
            Goal::Key(&wanted).standing(&catalogue(vec![other.clone()], vec![])),
            Standing::Contradicted(_)
        ));
        assert!(matches!(Goal::NoKey(&wanted).standing(&catalogue(vec![other], vec![])), Standing::Contradicted(_)));
        assert_eq!(Goal::NoKey(&wanted).standing(&catalogue(vec![key()], vec![])), Standing::NotReached);
    }

    #[test]
    fn an_index_over_a_prefix_is_not_the_wanted_one() {
        let part = |prefix| IndexPart { column: Some(id("parent_id")), prefix, descending: false };
        let index = |prefix| Index {
            name: id("ix"),
            unique: false,
            visible: true,
            kind: "BTREE".into(),
            cardinality: None,
            parts: vec![part(prefix)],
        };
        let table = name("child");
        let (wanted, columns) = (id("ix"), [id("parent_id")]);
        let goal = Goal::Index { table: &table, index: &wanted, columns: &columns, unique: false };
        assert_eq!(goal.standing(&catalogue(vec![], vec![index(None)])), Standing::Reached);
        assert!(matches!(goal.standing(&catalogue(vec![], vec![index(Some(4))])), Standing::Contradicted(_)));
    }

    #[test]
    fn an_exchange_happened_as_a_whole_or_not_at_all() {
        let at = |schema: &str, table: &str| TableName::new(id(schema), id(table));
        let (live, kept) = ([at("shop", "a"), at("shop", "b")], [at("kept", "a"), at("kept", "b")]);
        let restored = [at("restored", "a")];
        let goal = Goal::Exchanged { live: &live, kept: &kept, restored: &restored };
        let with = |tables: &[&TableName]| {
            let mut found = catalogue(vec![], vec![]);
            let template = found.tables.values().next().unwrap().clone();
            let named =
                tables.iter().map(|name| (name.to_string(), Table { name: (*name).clone(), ..template.clone() }));
            found.tables = named.collect();
            goal.standing(&found)
        };
        assert_eq!(with(&[&live[0], &live[1], &restored[0]]), Standing::NotReached);
        assert_eq!(with(&[&kept[0], &kept[1], &live[0]]), Standing::Reached);
        assert!(matches!(with(&[&kept[0], &live[1], &restored[0]]), Standing::Contradicted(_)));
        assert!(matches!(with(&[&live[0]]), Standing::Contradicted(_)), "the restored ones are gone");
        assert_eq!(goal.tables().len(), 5, "all of them are locked");
    }

    #[test]
    fn a_missing_table_contradicts() {
        let (table, column) = (name("absent"), id("c"));
        assert!(matches!(
            Goal::NoColumn { table: &table, column: &column }.standing(&catalogue(vec![], vec![])),
            Standing::Contradicted(_)
        ));
    }
}
