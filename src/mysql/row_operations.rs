//! Where operations on rows are handed to the part of the engine that carries them out.

use super::error::{Cause, Error};
use super::report::{RestoreReport, RowsReport};
use super::session::Work;
use crate::plan::Operation;
use crate::plan::identifier::{Identifier, TableName};

fn refused(operation: &str) -> Error {
    Error::new(
        Cause::InvalidSpec,
        format!("{operation}: this version does not change rows yet; take it out of the specification"),
    )
}

/// Carries an operation on rows out.
pub(crate) async fn run(_work: &Work<'_>, operation: &Operation) -> Result<RowsReport, Error> {
    Err(refused(&operation.id))
}

/// Puts back what an operation on rows took.
pub(crate) async fn restore(_work: &Work<'_>, operation: &Operation) -> Result<RestoreReport, Error> {
    Err(refused(&operation.id))
}

/// Keeps the values of a column that is about to be dropped.
pub(crate) async fn keep_column_values(
    _work: &Work<'_>,
    _table: &TableName,
    _column: &Identifier,
) -> Result<(), Error> {
    Ok(())
}
