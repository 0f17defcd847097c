//! Where operations on rows are handed to the part of the engine that carries them out.

use std::collections::BTreeMap;

use super::error::{Cause, Error};
use super::held::Held;
use super::report::{OperationReport, RestoreReport, RowsReport};
use super::session::Work;
use super::{backfill, clean_up, duplicates, kept_columns, orphans, restore};
use crate::plan::Operation;
use crate::plan::identifier::{Identifier, TableName};
use crate::plan::model::Action;

/// Carries an operation on rows out.
pub(crate) async fn run(work: &Work<'_>, operation: &Operation) -> Result<RowsReport, Error> {
    match &operation.action {
        Action::RemoveOrphans { .. } => orphans::remove_orphans(work, operation).await,
        Action::RemoveDuplicates { .. } => duplicates::remove_duplicates(work, operation).await,
        Action::Backfill { .. } => backfill::backfill(work, operation).await,
        _ => Err(Error::new(Cause::UnknownFormat, format!("operation {} does not change rows", operation.id))),
    }
}

/// Refuses the cleanup as a whole, before its first operation, where it would take more than is approved.
pub(crate) async fn check_allowance(work: &Work<'_>, operations: &[&Operation]) -> Result<(), Error> {
    clean_up::check_allowance(work, operations).await
}

/// Repeats the operations of a cleanup that others have left work to: rows that one removes can leave orphans to another. Returns
/// what that did beyond `first`, what each did in its place.
pub(crate) async fn clean_to_fixpoint(
    work: &Work<'_>,
    operations: &[&Operation],
    first: &[OperationReport],
) -> Result<BTreeMap<String, RowsReport>, Error> {
    clean_up::clean_to_fixpoint(work, operations, first).await
}

/// Puts back what an operation on rows took.
pub(crate) async fn restore(work: &Work<'_>, operation: &Operation, held: &Held) -> Result<RestoreReport, Error> {
    restore::restore_rows(work, operation, held).await
}

/// Keeps the values of a column that is about to be dropped.
pub(crate) async fn keep_column_values(work: &Work<'_>, table: &TableName, column: &Identifier) -> Result<(), Error> {
    kept_columns::keep_column_values(work, table, column).await?;
    Ok(())
}
