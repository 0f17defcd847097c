//! What must hold before an operation and what holds after it, in words: for the person who approves a plan or carries it out by
//! hand. The engine judges the same from the catalogue, in `mysql::goal`.

use serde_json::Value;

use super::identifier::{Identifier, TableName, quoted_list};
use super::model::{Action, DuplicatePolicy, NO_LIMIT, Operation, OrphanPolicy, Plan, SqlKind};
use super::render::{changed_type, grouped, one_line};

/// What must hold before an operation; where it does not, the migration holds as Drifted or the operation fails.
#[must_use]
pub fn precondition(operation: &Operation) -> String {
    let text = match &operation.action {
        Action::RemoveOrphans { key, policy: OrphanPolicy::Fail } => {
            format!("every row of {} with {} refers to a row of {}", key.child, columns(&key.columns), key.parent)
        }
        Action::RemoveOrphans { key, .. } => removable(&key.child),
        Action::RemoveDuplicates { table, columns: unique, policy: DuplicatePolicy::Fail, .. } => {
            format!("no values of {} are twice in {table}", columns(unique))
        }
        Action::RemoveDuplicates { table, .. } => removable(table),
        Action::AddColumn { table, column } => format!("{table} has no column {column}"),
        Action::Backfill { table, column, lookup_table, take, .. } => {
            format!("the columns {table}.{column} and {lookup_table}.{take} are there")
        }
        Action::ModifyColumn { table, before, .. } => format!("{table}.{} is {}", before.name, before.column_type),
        Action::AddIndex { table, index, .. } => format!("{table} has no index {index}"),
        Action::AddUnique { table, index, columns: unique } => {
            format!("{table} has no index {index}, and no values of {} twice", columns(unique))
        }
        Action::AddForeignKey { key, policy } => format!(
            "{} has no foreign key {}, and every row with {} refers to a row of {}{}",
            key.child,
            key.name,
            columns(&key.columns),
            key.parent,
            match policy {
                OrphanPolicy::Fail => "",
                OrphanPolicy::Delete | OrphanPolicy::SetNull => " (those that do not are cleaned up first)",
            }
        ),
        Action::Sql(step) => match step.kind {
            SqlKind::Change { .. } => format!("{} is defined as before the statement", step.table),
            SqlKind::Update => format!("the columns of {} that it fills are there", step.table),
        },
    };
    one_line(&text)
}

/// What holds after an operation.
#[must_use]
pub fn postcondition(operation: &Operation) -> String {
    let text = match &operation.action {
        Action::RemoveOrphans { policy: OrphanPolicy::Fail, .. }
        | Action::RemoveDuplicates { policy: DuplicatePolicy::Fail, .. } => "nothing is changed".to_owned(),
        Action::RemoveOrphans { key, policy } => format!(
            "every row of {} that was without a parent in {} {}",
            key.child,
            key.parent,
            match policy {
                OrphanPolicy::SetNull => "refers to nothing, and the value that it had is in quarantine",
                OrphanPolicy::Delete | OrphanPolicy::Fail =>
                    "is in quarantine, and so is what was deleted along with it",
            }
        ),
        Action::RemoveDuplicates { table, columns: unique, .. } => format!(
            "no values of {} are twice in {table}; rows that went and references that were changed are in quarantine",
            columns(unique)
        ),
        Action::AddColumn { table, column } => format!("{table} has the column {column}"),
        Action::Backfill { table, column, max_unmapped: NO_LIMIT, .. } => {
            format!("rows of {table} without a value in {column} are counted")
        }
        Action::Backfill { table, column, max_unmapped, .. } => {
            format!("at most {} rows of {table} have no value in {column}", grouped(*max_unmapped))
        }
        Action::ModifyColumn { table, before, after_type, after_collation } => format!(
            "{table}.{} is changed {}, and nothing else of it",
            before.name,
            changed_type(before, after_type, after_collation.as_deref())
        ),
        Action::AddIndex { table, index, columns: indexed } => {
            format!("{table} has the index {index} on {}", columns(indexed))
        }
        Action::AddUnique { table, index, columns: unique } => {
            format!("{table} has the unique index {index} on {}", columns(unique))
        }
        Action::AddForeignKey { key, .. } => format!(
            "{} has the foreign key {} as stated, and no row without a parent, counted after every transaction that is older than the key",
            key.child, key.name
        ),
        Action::Sql(step) => {
            let done = match step.kind {
                SqlKind::Change { .. } => format!("the definition of {} is another one", step.table),
                SqlKind::Update => "the statement finds no row".to_owned(),
            };
            let verified = if step.verify.is_some() { ", and the query that verifies it returns no row" } else { "" };
            done + verified
        }
    };
    one_line(&text)
}

/// The plan as JSON, each operation with its conditions.
///
/// # Errors
/// As serde_json: never for a plan of ours.
pub fn json(plan: &Plan) -> Result<String, serde_json::Error> {
    let mut document = serde_json::to_value(plan)?;
    let printed = document.get_mut("operations").and_then(Value::as_array_mut);
    for (operation, value) in plan.operations.iter().zip(printed.into_iter().flatten()) {
        if let Some(fields) = value.as_object_mut() {
            fields.insert("precondition".to_owned(), precondition(operation).into());
            fields.insert("postcondition".to_owned(), postcondition(operation).into());
        }
    }
    serde_json::to_string_pretty(&document)
}

fn removable(table: &TableName) -> String {
    format!("{table} has a primary key, and no more rows are concerned than the approval allows")
}

fn columns(columns: &[Identifier]) -> String {
    format!("({})", quoted_list(columns))
}
