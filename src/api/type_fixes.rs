//! `spec.typeFixes`: columns that must be added or changed before a key can be added.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reference::UnionError;

/// One column to add or change. Exactly one of `addColumn`, `modifyColumn` and `sql` is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "(has(self.addColumn) ? 1 : 0) + (has(self.modifyColumn) ? 1 : 0) + (has(self.sql) ? 1 : 0) == 1", "message": "exactly one of addColumn, modifyColumn and sql must be set"}, {"rule": "has(self.table) || has(self.sql)", "message": "table must be set with addColumn and modifyColumn"}, {"rule": "!has(self.backfill) || has(self.addColumn)", "message": "backfill fills an added column: it can be set only with addColumn"}]))]
pub struct TypeFix {
    /// Name of this step, unique among the type fixes.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The table that is changed. Required with addColumn and modifyColumn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub table: Option<String>,
    /// Add a column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add_column: Option<AddColumn>,
    /// Change a column's type. Every other attribute of the column stays. A change that copies the table waits for an approval of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modify_column: Option<ModifyColumn>,
    /// Statements of your own, for what addColumn and modifyColumn cannot say. With table set, they may change that table only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql: Option<SqlFix>,
    /// How an added column is filled: at once, and once more after the application's schema update, with what it wrote until then. Left
    /// out: the column keeps its default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backfill: Option<Backfill>,
    /// What must hold after the backfill.
    #[serde(default)]
    pub verify: TypeFixVerify,
}

/// What a type fix does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// Add a column to the table.
    AddColumn {
        /// The table.
        table: &'a str,
        /// The column.
        column: &'a AddColumn,
        /// How it is filled.
        backfill: Option<&'a Backfill>,
    },
    /// Change a column's type.
    ModifyColumn {
        /// The table.
        table: &'a str,
        /// The column.
        column: &'a ModifyColumn,
    },
    /// Statements of the user's own.
    Sql(&'a SqlFix),
}

impl TypeFix {
    /// What this fix does.
    ///
    /// # Errors
    /// When not exactly one member is set or `table` is missing. The API server refuses such an object, so this is for files read elsewhere.
    pub fn change(&self) -> Result<Change<'_>, UnionError> {
        let wrong = || UnionError { members: "addColumn (with table), modifyColumn (with table) or sql" };
        match (&self.table, &self.add_column, &self.modify_column, &self.sql) {
            (Some(table), Some(column), None, None) => {
                Ok(Change::AddColumn { table, column, backfill: self.backfill.as_ref() })
            }
            (Some(table), None, Some(column), None) => Ok(Change::ModifyColumn { table, column }),
            (_, None, None, Some(sql)) => Ok(Change::Sql(sql)),
            _ => Err(wrong()),
        }
    }
}

/// A column to add.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddColumn {
    /// Name of the column.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// Type as MySQL writes it, such as `INT`, `BIGINT UNSIGNED` or `VARCHAR(64)`.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 256))]
    pub column_type: String,
    /// Whether the column takes NULL. Default true.
    #[serde(default = "default_true")]
    pub nullable: bool,
}

/// A column whose type changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModifyColumn {
    /// Name of the column.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// New type as MySQL writes it, such as `BIGINT UNSIGNED`.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 256))]
    pub column_type: String,
}

/// Statements of the user's own, with the way back and a check. They are split as the `mysql` client splits them (strings, comments,
/// DELIMITER) and run one by one, each recorded before and after. Names without a schema are in the migrated one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SqlFix {
    /// Statements that make the change: ALTER TABLE, CREATE INDEX and DROP INDEX, each with its ALGORITHM and LOCK (a COPY waits for
    /// the gate before Copy), and `UPDATE table SET column = ... WHERE ... LIMIT n`, which is run again and again until it finds no
    /// row, and which may fill only columns that the migration adds. Everything else is refused when the plan is made.
    #[schemars(length(min = 1, max = 65536))]
    pub up: String,
    /// Statements that undo it, in the order in which they run: the first takes the last change of up back, and so on. One for each
    /// change of up; an UPDATE needs none. What is in a column that they drop is kept in quarantine. Afterwards each table must be as it
    /// was before (SHOW CREATE TABLE), else the rollback has failed.
    #[schemars(length(min = 1, max = 65536))]
    pub down: String,
    /// A SELECT that returns no rows when the change is good: rows that it returns are what is wrong. It is run after the last
    /// statement of up, and again when the migration is proven.
    #[schemars(length(min = 1, max = 65536))]
    pub verify: String,
}

/// How an added column is filled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Backfill {
    /// Take the value from the row of another table that matches.
    pub from_lookup: FromLookup,
}

/// A value looked up in another table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FromLookup {
    /// The table to look in.
    #[schemars(length(min = 1, max = 64))]
    pub table: String,
    /// Column pairs that must be equal for a row to match.
    #[serde(rename = "match")]
    #[schemars(length(min = 1, max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub matching: Vec<MatchColumns>,
    /// Column of the looked-up row whose value is taken.
    #[schemars(length(min = 1, max = 64))]
    pub take: String,
}

/// Two columns that must be equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MatchColumns {
    /// Column of the table that is filled.
    #[schemars(length(min = 1, max = 64))]
    pub column: String,
    /// Column of the table that is looked up.
    #[schemars(length(min = 1, max = 64))]
    pub equals: String,
}

/// What must hold after a backfill. Total, mapped and unmapped rows are always reported.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TypeFixVerify {
    /// Most rows that may stay without a match when the column is first filled. Default 0. The last pass, after the application's schema
    /// update, only reports them.
    #[schemars(range(min = 0))]
    pub max_unmapped: i64,
}

fn default_true() -> bool {
    true
}
