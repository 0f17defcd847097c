//! Foreign keys, unique constraints and other indexes of the files.

use sqlparser::ast::{
    CreateIndex, CreateTable, Expr, ForeignKeyConstraint, IndexColumn, ReferentialAction as Action, TableConstraint,
};

use super::{Reader, fitting, last, parts, quoted, same, values};
use crate::api::constraints::{Duplicates, ForeignKey, OrphanPolicy, References, ReferentialAction, UniqueConstraint};
use crate::api::type_fixes::{SqlFix, TypeFix};

/// An index that is not a constraint of its own, or a unique one that needs more than names of columns.
pub(super) struct OwnIndex<'a> {
    /// `INDEX`, `UNIQUE INDEX`, `FULLTEXT INDEX`.
    pub(super) kind: &'a str,
    pub(super) name: Option<String>,
    pub(super) columns: &'a [IndexColumn],
    /// What follows the columns.
    pub(super) options: String,
}

impl Reader {
    /// What CREATE TABLE says beside the table itself.
    pub(super) fn create_table(&mut self, table: &CreateTable) {
        if table.temporary {
            self.leave("a temporary table is gone with its session", false);
            return;
        }
        let Some(name) = self.own_table(&table.name) else { return };
        self.leave("the table itself has to be there before the migration: create it by hand or by the application; its keys and unique constraints are carried over", true);
        for column in &table.columns {
            let may_be_null = !column.options.iter().any(|each| {
                matches!(
                    each.option,
                    sqlparser::ast::ColumnOption::NotNull | sqlparser::ast::ColumnOption::PrimaryKey(_)
                )
            });
            self.nullable.insert((name.to_lowercase(), column.name.value.to_lowercase()), may_be_null);
            self.column_constraints(&name, &column.name.value, column.options.iter().map(|each| &each.option));
        }
        for constraint in &table.constraints {
            match constraint {
                TableConstraint::ForeignKey(key) => self.foreign_key(&name, key),
                TableConstraint::Unique(_) => self.constraint(&name, constraint),
                // The table's own, as its columns are.
                _ => {}
            }
        }
    }

    /// A constraint of a table.
    pub(super) fn constraint(&mut self, table: &str, constraint: &TableConstraint) {
        match constraint {
            TableConstraint::ForeignKey(key) => self.foreign_key(table, key),
            TableConstraint::Unique(unique) => {
                let name = unique.name.as_ref().or(unique.index_name.as_ref()).map(|name| name.value.clone());
                let options = [
                    unique.index_type.as_ref().map(|kind| format!(" USING {kind}")).unwrap_or_default(),
                    unique.index_options.iter().map(|option| format!(" {option}")).collect::<String>(),
                ];
                self.unique(table, name, &unique.columns, options.concat());
            }
            TableConstraint::Index(index) => {
                let index_type = index.index_type.as_ref().map(|kind| format!(" USING {kind}")).unwrap_or_default();
                let options: String = index.index_options.iter().map(|option| format!(" {option}")).collect();
                let name = index.name.as_ref().map(|name| name.value.clone());
                let own = OwnIndex {
                    kind: "INDEX",
                    name,
                    columns: &index.columns,
                    options: format!("{index_type}{options}"),
                };
                self.own_index(table, &own);
            }
            TableConstraint::FulltextOrSpatial(index) => {
                let kind = if index.fulltext { "FULLTEXT INDEX" } else { "SPATIAL INDEX" };
                let name = index.opt_index_name.as_ref().map(|name| name.value.clone());
                self.own_index(table, &OwnIndex { kind, name, columns: &index.columns, options: String::new() });
            }
            TableConstraint::Check(check) => {
                let why = "a CHECK constraint is checked by a copy of the table or not at all: add it by hand, before or after the migration";
                self.leave_part(&format!("{check}"), why);
            }
            TableConstraint::PrimaryKey(_) => {
                let why =
                    "a primary key is refused, since rows are kept and put back by it: change it before the migration";
                self.leave_part(&format!("{constraint}"), why);
            }
            other => self.leave_part(&format!("{other}"), "it is no constraint of MySQL"),
        }
    }

    pub(super) fn foreign_key(&mut self, table: &str, key: &ForeignKeyConstraint) {
        let Some((schema, parent)) = parts(&key.foreign_table) else {
            self.leave_part(
                &format!("{key}"),
                "the parent's name is not understood: write the key into spec.stages by hand",
            );
            return;
        };
        if key.referred_columns.len() != key.columns.len() || key.columns.is_empty() {
            self.leave_part(
                &format!("{key}"),
                "it does not say which columns of the parent it refers to: name as many as of the child",
            );
            return;
        }
        let (Some(on_delete), Some(on_update)) = (action(key.on_delete.as_ref()), action(key.on_update.as_ref()))
        else {
            self.leave_part(
                &format!("{key}"),
                "InnoDB refuses SET DEFAULT: choose another action and write the key into spec.stages",
            );
            return;
        };
        let schema = schema.filter(|schema| self.known_schema.as_deref() != Some(schema.as_str()));
        let name = match &key.name {
            Some(name) => name.value.clone(),
            None => self.generated_name(table),
        };
        if self.imported.keys.iter().any(|known| same(&known.value.name, &name)) {
            self.leave_part(
                &format!("{key}"),
                "a key of that name is imported already, and names are unique in a schema: keep one of them",
            );
            return;
        }
        let value = ForeignKey {
            name,
            table: table.to_owned(),
            columns: values(&key.columns),
            references: References { schema, table: parent, columns: values(&key.referred_columns) },
            on_delete,
            on_update,
            orphans: OrphanPolicy::Fail,
        };
        let carried = self.carried(value, Vec::new());
        self.imported.keys.push(carried);
    }

    /// The name that the server would give: one more than those of the table before.
    fn generated_name(&self, table: &str) -> String {
        let beginning = format!("{table}_ibfk_").to_lowercase();
        let numbers = self
            .imported
            .keys
            .iter()
            .filter_map(|key| key.value.name.to_lowercase().strip_prefix(&beginning)?.parse::<u32>().ok());
        fitting(format!("{table}_ibfk_{}", numbers.max().unwrap_or(0) + 1))
    }

    /// A unique constraint: an entry of its own where it is over whole columns and nothing else, else a step by SQL.
    fn unique(&mut self, table: &str, name: Option<String>, columns: &[IndexColumn], options: String) {
        let Some(whole) = whole_columns(columns).filter(|_| options.is_empty()) else {
            self.own_index(table, &OwnIndex { kind: "UNIQUE INDEX", name, columns, options });
            return;
        };
        // Where it has no name, the server gives it that of its first column.
        let name = name.unwrap_or_else(|| self.free_index_name(table, &whole[0]));
        if self.imported.uniques.iter().any(|known| same(&known.value.name, &name)) {
            let why = format!(
                "uniqueConstraints has {name} already, and its entries need different names: name it otherwise"
            );
            self.leave_part(&format!("UNIQUE {name} of {table}"), &why);
            return;
        }
        let value =
            UniqueConstraint { name, table: table.to_owned(), columns: whole, duplicates: Duplicates::default() };
        let carried = self.carried(value, Vec::new());
        self.imported.uniques.push(carried);
    }

    fn free_index_name(&self, table: &str, column: &str) -> String {
        let taken = |name: &str| {
            self.imported.uniques.iter().any(|each| same(&each.value.table, table) && same(&each.value.name, name))
        };
        let mut name = column.to_owned();
        let mut number = 2;
        while taken(&name) {
            name = format!("{column}_{number}");
            number += 1;
        }
        name
    }

    /// UNIQUE written at a column.
    pub(super) fn column_constraints<'a>(
        &mut self,
        table: &str,
        column: &str,
        options: impl Iterator<Item = &'a sqlparser::ast::ColumnOption>,
    ) {
        use sqlparser::ast::ColumnOption;
        for option in options {
            match option {
                ColumnOption::Unique(_) => {
                    let name = self.free_index_name(table, column);
                    let columns = vec![column.to_owned()];
                    let value =
                        UniqueConstraint { name, table: table.to_owned(), columns, duplicates: Duplicates::default() };
                    let carried = self.carried(value, Vec::new());
                    self.imported.uniques.push(carried);
                }
                ColumnOption::ForeignKey(key) => {
                    let why = "REFERENCES at a column is ignored by MySQL before 9.0: write FOREIGN KEY (...) REFERENCES, or the key into spec.stages";
                    self.leave_part(&format!("{column} {key}"), why);
                }
                _ => {}
            }
        }
    }

    pub(super) fn create_index(&mut self, index: &CreateIndex) {
        let Some(table) = self.own_table(&index.table_name) else { return };
        let name = index.name.as_ref().and_then(last);
        let using = index.using.as_ref().map(|kind| format!(" USING {kind}")).unwrap_or_default();
        let options: String = index.index_options.iter().map(|option| format!(" {option}")).collect();
        let options = format!("{using}{options}");
        if index.unique {
            self.unique(&table, name, &index.columns, options);
        } else {
            self.own_index(&table, &OwnIndex { kind: "INDEX", name, columns: &index.columns, options });
        }
    }

    /// An index as a step by SQL, online.
    pub(super) fn own_index(&mut self, table: &str, index: &OwnIndex<'_>) {
        let columns: Vec<String> = index.columns.iter().map(ToString::to_string).collect();
        let first = || {
            let word = columns.first().map(|column| column.trim_matches('`').to_owned()).unwrap_or_default();
            word.split(['(', '`', ' ']).next().unwrap_or_default().to_owned()
        };
        let name = index.name.clone().unwrap_or_else(first);
        // The server builds these with readers only.
        let lock =
            if index.kind.starts_with("FULLTEXT") || index.kind.starts_with("SPATIAL") { "SHARED" } else { "NONE" };
        let alter = format!("ALTER TABLE {}", quoted(table));
        let up = format!(
            "{alter} ADD {} {} ({}){}, ALGORITHM=INPLACE, LOCK={lock}",
            index.kind,
            quoted(&name),
            columns.join(", "),
            index.options
        );
        let down = format!("{alter} DROP INDEX {}, ALGORITHM=INPLACE, LOCK=NONE", quoted(&name));
        if !self.takes(&[&up, &down]) {
            return;
        }
        let verify = format!("SELECT 1 FROM {} FORCE INDEX ({}) WHERE FALSE", quoted(table), quoted(&name));
        let fix = self.sql_fix(&format!("index-{table}-{name}"), SqlFix { up, down, verify });
        let carried = self.carried(fix, Vec::new());
        self.imported.type_fixes.push(carried);
    }

    pub(super) fn sql_fix(&mut self, name: &str, sql: SqlFix) -> TypeFix {
        let name = self.fix_name(name);
        TypeFix {
            name,
            table: None,
            add_column: None,
            modify_column: None,
            sql: Some(sql),
            backfill: None,
            verify: Default::default(),
        }
    }

    /// DROP INDEX: takes back what the files added before; what was there is not dropped.
    pub(super) fn drop_index(&mut self, table: &str, name: &str) {
        let before = (self.imported.uniques.len(), self.imported.type_fixes.len());
        self.imported.uniques.retain(|each| !(same(&each.value.table, table) && same(&each.value.name, name)));
        let up = format!("ALTER TABLE {} ADD ", quoted(table));
        let named = format!("INDEX {} (", quoted(name));
        self.imported.type_fixes.retain(|each| {
            !each.value.sql.as_ref().is_some_and(|sql| sql.up.starts_with(&up) && sql.up.contains(&named))
        });
        if before == (self.imported.uniques.len(), self.imported.type_fixes.len()) {
            self.leave(&format!("the index {name} of {table} is not added by these files: drop it by hand, once the migration is complete"), true);
        } else {
            self.leave(&format!("{name} of {table} was added by a statement before: both are left out"), false);
        }
    }

    pub(super) fn drop_key(&mut self, table: &str, name: &str) -> bool {
        let before = self.imported.keys.len();
        self.imported.keys.retain(|each| !(same(&each.value.table, table) && same(&each.value.name, name)));
        let found = before != self.imported.keys.len();
        if found {
            self.leave(
                &format!("the foreign key {name} of {table} was added by a statement before: both are left out"),
                false,
            );
        }
        found
    }
}

/// Names of whole columns in ascending order; `None` where a part is anything else.
fn whole_columns(columns: &[IndexColumn]) -> Option<Vec<String>> {
    columns
        .iter()
        .map(|part| match &part.column.expr {
            Expr::Identifier(name) if !part.to_string().to_uppercase().ends_with(" DESC") => Some(name.value.clone()),
            _ => None,
        })
        .collect::<Option<Vec<_>>>()
        .filter(|columns| !columns.is_empty())
}

fn action(action: Option<&Action>) -> Option<ReferentialAction> {
    match action {
        None | Some(Action::NoAction) => Some(ReferentialAction::NoAction),
        Some(Action::Restrict) => Some(ReferentialAction::Restrict),
        Some(Action::Cascade) => Some(ReferentialAction::Cascade),
        Some(Action::SetNull) => Some(ReferentialAction::SetNull),
        Some(Action::SetDefault) => None,
    }
}
