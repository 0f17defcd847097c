//! REPLACE on the parent of a Cascade key deletes the children with the old row (and on MySQL 9.7 only on replicas), so an
//! application that uses it must have that acknowledged.

use super::Plan;
use super::catalogue::ReferentialAction;
use super::identifier::TableName;
use super::model::Action;
use super::problem::Problem;
use crate::api::SchemaMigrationSpec;
use crate::api::execution::Hazard;

/// The keys of a plan whose Cascade parent is among the tables on which REPLACE was seen, and that nobody acknowledged.
#[must_use]
pub fn unacknowledged_replace(spec: &SchemaMigrationSpec, plan: &Plan, replaced: &[TableName]) -> Vec<Problem> {
    let acknowledged = |table: &TableName| {
        spec.acknowledge.iter().any(|each| {
            each.hazard == Hazard::ReplaceOnCascadeParent && each.table.as_deref() == Some(table.table.as_str())
        })
    };
    let problem = |operation: &super::Operation| match &operation.action {
        Action::AddForeignKey { key, .. }
            if key.on_delete == ReferentialAction::Cascade
                && replaced.contains(&key.parent)
                && !acknowledged(&key.parent) =>
        {
            Some(Problem::new(
                format!("{}.onDelete", operation.path),
                format!(
                    "the application uses REPLACE on {}, which would delete the children of {}: use INSERT ... ON DUPLICATE KEY UPDATE there, \
                     or acknowledge it with {{hazard: ReplaceOnCascadeParent, table: {}}} in spec.acknowledge",
                    key.parent, key.name, key.parent.table
                ),
            ))
        }
        _ => None,
    };
    plan.operations.iter().filter_map(problem).collect()
}
