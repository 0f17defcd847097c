//! ALTER TABLE, operation by operation.

use sqlparser::ast::{AlterTable, AlterTableOperation};

use super::{Reader, same};
use crate::plan::own_statement_refusals::clause_refusal;

impl Reader {
    pub(super) fn alter(&mut self, alter: AlterTable) {
        let Some(table) = self.own_table(&alter.name) else { return };
        for operation in &alter.operations {
            self.operation(&table, operation);
        }
    }

    fn operation(&mut self, table: &str, operation: &AlterTableOperation) {
        match operation {
            AlterTableOperation::AddConstraint { constraint, .. } => self.constraint(table, constraint),
            AlterTableOperation::AddColumn { column_def, column_position, .. } => {
                self.add_column(table, column_def, column_position.as_ref());
            }
            AlterTableOperation::ModifyColumn { col_name, data_type, options, column_position } => {
                self.modify_column(table, &col_name.value, data_type, options, column_position.as_ref());
            }
            AlterTableOperation::ChangeColumn { old_name, new_name, data_type, options, column_position } => {
                if same(&old_name.value, &new_name.value) {
                    self.modify_column(table, &old_name.value, data_type, options, column_position.as_ref());
                } else {
                    let why = "a renamed column breaks the application's statements that name it: rename it in a release of your own";
                    self.leave_part(&operation.to_string(), why);
                }
            }
            AlterTableOperation::DropForeignKey { name, .. } => {
                if !self.drop_key(table, &name.value) {
                    self.leave_part(
                        &operation.to_string(),
                        "these files do not add that key: drop it by hand before the migration, if it is there",
                    );
                }
            }
            AlterTableOperation::DropConstraint { name, .. } => {
                let is_key = self.imported.keys.iter().any(|each| same(&each.value.name, &name.value));
                if is_key {
                    self.drop_key(table, &name.value);
                } else {
                    self.drop_index(table, &name.value);
                }
            }
            AlterTableOperation::DropIndex { name } => self.drop_index(table, &name.value),
            AlterTableOperation::DropColumn { column_names, .. } => {
                for name in column_names {
                    self.drop_column(table, &name.value);
                }
            }
            // How the server does it is Holdfast's to say.
            AlterTableOperation::Algorithm { .. } | AlterTableOperation::Lock { .. } => {}
            other => {
                let text = other.to_string();
                let mut words = text.split_whitespace().map(str::to_uppercase);
                let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
                let why = clause_refusal(&first, &second)
                    .unwrap_or_else(|| "it is none of the changes that are carried over: make it by hand, before or after the migration".to_owned());
                self.leave_part(&text, &why);
            }
        }
    }
}
