//! A plan as SQL that a person can run by hand with the `mysql` client: forward in order, and the way back newest first. Schema
//! changes are the very statements that the engine executes. Rows are changed by the engine alone, which keeps each of them in
//! quarantine; in their place stands the query that shows whether there is anything to change.

use super::conditions::{postcondition, precondition};
use super::identifier::{Identifier, TableName, quoted_list};
use super::model::{Action, LockClass, NO_LIMIT, Operation, Plan, SqlKind};
use super::own_statement::OWN_SQL_MODE;
use super::render::{bytes, describe, duration, grouped, line, one_line, title};

/// The statements in the order of their execution.
#[must_use]
pub fn forward_sql(plan: &Plan) -> String {
    let mut script = header(plan, "what is executed, in this order.");
    line(
        &mut script,
        "-- Rows are changed by the engine only, in batches and with quarantine: where it would, a query shows what is left to do.\n\
         -- By hand, stop at the first of these queries that does not return 0.",
    );
    settings(&mut script, plan);
    let mut section = None;
    for operation in &plan.operations {
        if section != Some(operation.section) {
            section = Some(operation.section);
            line(&mut script, &format!("\n-- ==== {}", title(plan, operation.section)));
        }
        heading(&mut script, operation, operation.lock);
        line(&mut script, &format!("-- Before: {}.", precondition(operation)));
        line(&mut script, &format!("-- After: {}.", postcondition(operation)));
        match (&operation.forward, &operation.action) {
            (Some(statement), Action::AddForeignKey { .. }) => {
                // The online way to add a key; orphans are looked for afterwards.
                line(&mut script, "SET SESSION foreign_key_checks = 0;");
                line(&mut script, &format!("{statement};"));
                line(&mut script, "SET SESSION foreign_key_checks = 1;");
                line(
                    &mut script,
                    "-- Must be 0 once every transaction has ended that was open when the key was added:",
                );
            }
            (Some(statement), Action::Sql(step)) if step.kind == SqlKind::Update => {
                line(&mut script, &format!("-- Repeat until it finds no row:\n{statement};"));
            }
            (Some(statement), _) => line(&mut script, &format!("{statement};")),
            (None, _) => {}
        }
        if let Some(query) = left_to_do(&operation.action) {
            line(&mut script, &format!("{query};"));
        }
    }
    script
}

/// The statements that undo the plan, newest first.
#[must_use]
pub fn rollback_sql(plan: &Plan) -> String {
    let mut script = header(plan, "the way back, newest first. Leave out what was not executed.");
    settings(&mut script, plan);
    for operation in plan.operations.iter().rev() {
        match &operation.inverse {
            Some(statement) => {
                heading(&mut script, operation, operation.inverse_cost().lock);
                line(&mut script, &format!("{statement};"));
            }
            None => {
                let id = one_line(&operation.id);
                let table = one_line(&operation.action.table().to_string());
                if matches!(&operation.action, Action::Sql(_)) {
                    line(
                        &mut script,
                        &format!("\n-- {id}: what it filled goes with the columns of {table} that the migration added"),
                    );
                    continue;
                }
                line(&mut script, &format!("\n-- {id}: rows and values of {table} come back from quarantine"));
            }
        }
    }
    script
}

fn header(plan: &Plan, what: &str) -> String {
    let server = one_line(&plan.server.version_text);
    format!("-- Plan {} for the schema {} on {server}: {what}\n", plan.digest, one_line(plan.schema.as_str()))
}

/// A statement that waits for a lock holds up everything behind it.
fn settings(script: &mut String, plan: &Plan) {
    line(script, "SET NAMES utf8mb4;\nSET SESSION lock_wait_timeout = 1;");
    if plan.operations.iter().any(|operation| matches!(operation.action, Action::Sql(_))) {
        line(script, &format!("USE {};\nSET SESSION sql_mode = '{OWN_SQL_MODE}';", plan.schema.quoted()));
    }
}

/// What a person should know before running the statement below it.
fn heading(script: &mut String, operation: &Operation, lock: LockClass) {
    let estimate = operation.estimate;
    line(script, &format!("\n-- {}: {}", one_line(&operation.id), describe(operation)));
    let class = match lock {
        LockClass::Metadata => "Metadata (an exclusive lock for an instant)",
        LockClass::OnlineBuild => "Online (readers and writers go on)",
        LockClass::Batched => "Batched (by the engine)",
        LockClass::Copy => "!!! COPY, needs an approval (writers wait for the whole of it)",
    };
    let cost = format!(
        "{class}; {} rows, {}, about {}",
        grouped(estimate.rows),
        bytes(estimate.bytes),
        duration(estimate.milliseconds)
    );
    line(script, &format!("-- {cost}"));
}

/// A query that returns 0 where an operation on rows has nothing to do, or a key is clean.
fn left_to_do(action: &Action) -> Option<String> {
    match action {
        Action::RemoveOrphans { key, .. } | Action::AddForeignKey { key, .. } => {
            let pairs: Vec<String> = (key.columns.iter().zip(&key.parent_columns))
                .map(|(own, other)| format!("p.{} = c.{}", other.quoted(), own.quoted()))
                .collect();
            Some(format!(
                "SELECT COUNT(*) AS orphans FROM {} AS c WHERE {} AND NOT EXISTS (SELECT 1 FROM {} AS p WHERE {})",
                key.child.quoted(),
                not_null("c.", &key.columns),
                key.parent.quoted(),
                pairs.join(" AND ")
            ))
        }
        Action::RemoveDuplicates { table, columns, .. } => Some(format!(
            "SELECT COUNT(*) AS duplicated_values FROM (SELECT 1 FROM {} WHERE {} GROUP BY {} HAVING COUNT(*) > 1) AS d",
            table.quoted(),
            not_null("", columns),
            quoted_list(columns)
        )),
        Action::Backfill { max_unmapped: NO_LIMIT, .. } => None,
        Action::Backfill { table, column, max_unmapped, .. } => Some(unfilled(table, column, *max_unmapped)),
        Action::Sql(step) => step.verify.as_ref().map(|query| format!("-- Must return no rows:\n{query}")),
        Action::AddColumn { .. } | Action::ModifyColumn { .. } | Action::AddIndex { .. } | Action::AddUnique { .. } => {
            None
        }
    }
}

fn unfilled(table: &TableName, column: &Identifier, allowed: u64) -> String {
    format!(
        "SELECT GREATEST(COUNT(*), {allowed}) - {allowed} AS rows_without_value FROM {} WHERE {} IS NULL",
        table.quoted(),
        column.quoted()
    )
}

fn not_null(prefix: &str, columns: &[Identifier]) -> String {
    let each: Vec<String> = columns.iter().map(|column| format!("{prefix}{} IS NOT NULL", column.quoted())).collect();
    each.join(" AND ")
}
