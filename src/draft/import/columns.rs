//! Columns that the files add or change.

use sqlparser::ast::{ColumnDef, ColumnOption, DataType, MySQLColumnPosition};

use super::{Reader, quoted, same};
use crate::api::type_fixes::{AddColumn, ModifyColumn, SqlFix, TypeFix};
use crate::plan::column_type::ColumnType;

/// What a definition says beside name and type.
struct Attributes {
    nullable: Option<bool>,
    /// As `addColumn` and `modifyColumn` write a type: with character set and collation.
    column_type: String,
    /// Everything that those two do not hold.
    others: Vec<String>,
    /// Whether the table has to be copied for it.
    stored: bool,
    /// A primary key or a counter.
    refused: Option<&'static str>,
}

fn attributes<'a>(data_type: &DataType, options: impl Iterator<Item = &'a ColumnOption>) -> Attributes {
    let mut found = Attributes {
        nullable: None,
        column_type: data_type.to_string(),
        others: Vec::new(),
        stored: false,
        refused: None,
    };
    let (mut character_set, mut collation) = (None, None);
    for option in options {
        match option {
            ColumnOption::Null => found.nullable = Some(true),
            ColumnOption::NotNull => found.nullable = Some(false),
            ColumnOption::CharacterSet(name) => character_set = Some(name.to_string()),
            ColumnOption::Collation(name) => collation = Some(name.to_string()),
            // Read as constraints.
            ColumnOption::Unique(_) | ColumnOption::ForeignKey(_) => {}
            ColumnOption::PrimaryKey(_) => {
                found.refused = Some("a primary key is refused, since rows are kept and put back by it")
            }
            other => {
                let text = other.to_string();
                let upper = text.to_uppercase();
                if upper.contains("AUTO_INCREMENT") {
                    found.refused = Some("AUTO_INCREMENT needs a key and numbers existing rows by a copy of the table");
                }
                found.stored |= upper.ends_with(" STORED");
                found.others.push(text);
            }
        }
    }
    if let Some(name) = character_set {
        found.column_type.push_str(&format!(" CHARACTER SET {name}"));
    }
    if let Some(name) = collation {
        found.column_type.push_str(&format!(" COLLATE {name}"));
    }
    found
}

impl Reader {
    pub(super) fn add_column(&mut self, table: &str, column: &ColumnDef, position: Option<&MySQLColumnPosition>) {
        let name = &column.name.value;
        let of = attributes(&column.data_type, column.options.iter().map(|each| &each.option));
        if let Some(reason) = of.refused {
            self.leave_part(&format!("ADD COLUMN {column}"), &format!("{reason}: add the column before the migration"));
            return;
        }
        self.column_constraints(table, name, column.options.iter().map(|each| &each.option));
        self.nullable.insert((table.to_lowercase(), name.to_lowercase()), of.nullable != Some(false));
        let fix_name = format!("add-{table}-{name}");
        if of.others.is_empty() && position.is_none() && ColumnType::parse(&of.column_type).is_ok() {
            let value = TypeFix {
                name: self.fix_name(&fix_name),
                table: Some(table.to_owned()),
                add_column: Some(AddColumn {
                    name: name.clone(),
                    column_type: of.column_type,
                    nullable: of.nullable != Some(false),
                }),
                modify_column: None,
                sql: None,
                backfill: None,
                verify: Default::default(),
            };
            let carried = self.carried(value, Vec::new());
            self.imported.type_fixes.push(carried);
            return;
        }
        // Defaults, comments and places are written as they stand.
        let alter = format!("ALTER TABLE {}", quoted(table));
        let nulls = match of.nullable {
            Some(true) => " NULL",
            Some(false) => " NOT NULL",
            None => "",
        };
        let others: String = of.others.iter().map(|option| format!(" {option}")).collect();
        let position = position.map(|position| format!(" {position}")).unwrap_or_default();
        let how = if of.stored { "ALGORITHM=COPY, LOCK=SHARED" } else { "ALGORITHM=INSTANT" };
        let up = format!("{alter} ADD COLUMN {} {}{nulls}{others}{position}, {how}", quoted(name), of.column_type);
        let down = format!("{alter} DROP COLUMN {}, {how}", quoted(name));
        if !self.takes(&[&up, &down]) {
            return;
        }
        let verify = format!("SELECT {} FROM {} WHERE FALSE", quoted(name), quoted(table));
        let notes = if of.stored {
            vec!["A stored generated column is computed by a copy of the table: writers wait, and the gate before Copy asks for an approval.".to_owned()]
        } else {
            vec!["INSTANT needs MySQL 8.0.29 where the column is not the last, and to be dropped again.".to_owned()]
        };
        let fix = self.sql_fix(&fix_name, SqlFix { up, down, verify });
        let carried = self.carried(fix, notes);
        self.imported.type_fixes.push(carried);
    }

    /// MODIFY, and CHANGE that keeps the name.
    pub(super) fn modify_column(
        &mut self,
        table: &str,
        name: &str,
        data_type: &DataType,
        options: &[ColumnOption],
        position: Option<&MySQLColumnPosition>,
    ) {
        let of = attributes(data_type, options.iter());
        let statement = format!("MODIFY COLUMN {name} {data_type}");
        if let Err(reason) = ColumnType::parse(&of.column_type) {
            self.leave_part(&statement, &format!("modifyColumn does not know the type: {reason}"));
            return;
        }
        self.column_constraints(table, name, options.iter());
        let mut lost: Vec<String> = of.others.clone();
        lost.extend(of.refused.map(str::to_owned));
        lost.extend(position.map(|position| format!("its place ({position})")));
        let known = self.nullable.get(&(table.to_lowercase(), name.to_lowercase())).copied();
        if known != Some(of.nullable != Some(false)) {
            lost.push(if of.nullable == Some(false) {
                "NOT NULL".to_owned()
            } else {
                "that it may be NULL".to_owned()
            });
        }
        let own = self.imported.type_fixes.iter_mut().find(|each| {
            each.value.table.as_deref().is_some_and(|own| same(own, table))
                && each.value.add_column.as_ref().is_some_and(|column| same(&column.name, name))
        });
        if let Some(added) = own {
            if let Some(column) = &mut added.value.add_column {
                column.column_type = of.column_type;
                column.nullable = of.nullable != Some(false);
                added
                    .notes
                    .push(format!("Its type is that of {}, which changes the column that was added.", self.place));
            }
            lost.retain(|part| part != "NOT NULL" && part != "that it may be NULL");
        } else {
            let value = TypeFix {
                name: self.fix_name(&format!("modify-{table}-{name}")),
                table: Some(table.to_owned()),
                add_column: None,
                modify_column: Some(ModifyColumn { name: name.to_owned(), column_type: of.column_type }),
                sql: None,
                backfill: None,
                verify: Default::default(),
            };
            let carried = self.carried(value, Vec::new());
            self.imported.type_fixes.push(carried);
        }
        if !lost.is_empty() {
            let why = format!(
                "the type is carried over, and not {}: modifyColumn keeps every other attribute as the column has it; change it by hand if it differs",
                lost.join(", ")
            );
            self.leave_part(&statement, &why);
        }
    }

    pub(super) fn drop_column(&mut self, table: &str, name: &str) {
        let before = self.imported.type_fixes.len();
        let added = format!("ALTER TABLE {} ADD COLUMN {} ", quoted(table), quoted(name));
        self.imported.type_fixes.retain(|each| {
            let plain = each.value.table.as_deref().is_some_and(|own| same(own, table))
                && each.value.add_column.as_ref().is_some_and(|column| same(&column.name, name));
            !plain && !each.value.sql.as_ref().is_some_and(|sql| sql.up.starts_with(&added))
        });
        if before == self.imported.type_fixes.len() {
            let why = "its values would be gone for good: drop the column once the migration is complete and nobody misses it";
            self.leave_part(&format!("DROP COLUMN {name} of {table}"), why);
        } else {
            self.leave(&format!("{name} of {table} was added by a statement before: both are left out"), false);
        }
    }

    /// Whether the files add a column, so that it may be filled.
    pub(super) fn adds(&self, table: &str, name: &str) -> bool {
        let added = format!("ALTER TABLE {} ADD COLUMN {} ", quoted(table), quoted(name));
        self.imported.type_fixes.iter().any(|each| {
            let plain = each.value.table.as_deref().is_some_and(|own| same(own, table))
                && each.value.add_column.as_ref().is_some_and(|column| same(&column.name, name));
            plain || each.value.sql.as_ref().is_some_and(|sql| sql.up.starts_with(&added))
        })
    }
}
