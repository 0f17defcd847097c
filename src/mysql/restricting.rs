//! Rows of one table that refer to each other through a key that exists already and restricts: the server looks at it row by row, so
//! it removes none that another one refers to, not even together with that other one. So those go first that nothing refers to.

use super::cascades::Cascades;
use super::error::{Cause, Error, code};
use super::row_shape::{Shape, of, pairs};
use crate::plan::catalogue::{ForeignKey, ReferentialAction};
use crate::plan::identifier::{Identifier, TableName};

/// The keys of a table to itself that restrict.
#[derive(Debug, Default)]
pub(crate) struct Restricting {
    keys: Vec<ForeignKey>,
    primary_key: Vec<Identifier>,
}

impl Restricting {
    /// Those among the keys that exist.
    pub(crate) fn among(cascades: &Cascades, shape: &Shape) -> Self {
        let restricts = |key: &&ForeignKey| {
            key.child == shape.name
                && key.parent == shape.name
                && matches!(key.on_delete, ReferentialAction::Restrict | ReferentialAction::NoAction)
        };
        Self { keys: cascades.keys().filter(restricts).cloned().collect(), primary_key: shape.primary_key.clone() }
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// ` AND ...`: no row of the table refers to the row `alias`, not even itself: MySQL 9.7 does not remove such a one by a join.
    pub(crate) fn unreferenced(&self, alias: &str) -> String {
        self.keys
            .iter()
            .map(|key| {
                format!(
                    " AND NOT EXISTS (SELECT 1 FROM {} r WHERE {})",
                    key.child.quoted(),
                    pairs("r", &key.columns, alias, &key.parent_columns),
                )
            })
            .collect()
    }

    /// ` ORDER BY ...`: younger rows before older ones, which they mostly are those to refer to.
    pub(crate) fn order(&self, alias: &str) -> String {
        if self.is_empty() {
            return String::new();
        }
        let columns: Vec<String> =
            self.primary_key.iter().map(|column| format!("{} DESC", of(alias, std::slice::from_ref(column)))).collect();
        format!(" ORDER BY {}", columns.join(", "))
    }

    /// What is left is referred to, by rows that stay or in a circle.
    pub(crate) fn refusal(&self, table: &TableName, left: u64) -> Error {
        let names: Vec<&str> = self.keys.iter().map(|key| key.name.as_str()).collect();
        Error::new(
            Cause::InvalidSpec,
            format!(
                "{left} rows of {table} cannot be removed: rows that stay, or they themselves in a circle, refer to them through the existing key \
                 {}, which restricts: clean those up first, or choose another policy",
                names.join(" or ")
            ),
        )
    }
}

/// Says of the server's refusal to remove a row what can be done about it.
pub(crate) fn restricted(table: &TableName, error: Error) -> Error {
    if error.code != Some(code::ROW_IS_REFERENCED) {
        return error;
    }
    Error {
        cause: Cause::InvalidSpec,
        message: format!(
            "rows of {table} cannot be removed together: some of them, or of what goes with them, refer to others through an existing key, which \
             restricts ({error}): clean those up by hand first, or choose another policy"
        ),
        code: error.code,
        left: Vec::new(),
    }
}
