//! The foreign keys that the catalogue holds, whole: constraint, columns in order, and actions.

use std::collections::BTreeMap;

use sqlx::Row;

use super::catalogue::identifier;
use super::connection::{Connection, sql};
use super::error::{Cause, Error};
use crate::plan::catalogue::{ForeignKey, ReferentialAction};
use crate::plan::identifier::{Identifier, TableName};

/// Reads all foreign keys whose child or parent lies in the schema, in the order of child schema and name.
///
/// # Errors
/// [`Cause::ServerUnsupported`] for an action that we do not know; else what the server answers.
pub async fn read_foreign_keys(connection: &mut Connection, schema: &Identifier) -> Result<Vec<ForeignKey>, Error> {
    let of_columns = "(CONSTRAINT_SCHEMA = ? OR REFERENCED_TABLE_SCHEMA = ?)";
    let of_rules = "(CONSTRAINT_SCHEMA = ? OR UNIQUE_CONSTRAINT_SCHEMA = ?)";
    read(connection, (of_columns, of_rules), &[schema, schema]).await
}

/// Reads all foreign keys whose child lies in the schema, in the order of name: ten times quicker than those of both ends, which
/// no index of the server's dictionary serves.
///
/// # Errors
/// As of [`read_foreign_keys`].
pub(crate) async fn read_keys_of_children(
    connection: &mut Connection,
    schema: &Identifier,
) -> Result<Vec<ForeignKey>, Error> {
    read(connection, ("CONSTRAINT_SCHEMA = ?", "CONSTRAINT_SCHEMA = ?"), &[schema]).await
}

async fn read(
    connection: &mut Connection,
    (of_columns, of_rules): (&str, &str),
    schemas: &[&Identifier],
) -> Result<Vec<ForeignKey>, Error> {
    // Two lists joined here: the server joins these views slowly.
    let mut columns = sqlx::query(sql(format!(
        "SELECT CAST(CONSTRAINT_SCHEMA AS CHAR), CAST(TABLE_NAME AS CHAR), CAST(CONSTRAINT_NAME AS CHAR), \
         CAST(COLUMN_NAME AS CHAR), CAST(REFERENCED_TABLE_SCHEMA AS CHAR), CAST(REFERENCED_TABLE_NAME AS CHAR), \
         CAST(REFERENCED_COLUMN_NAME AS CHAR) FROM information_schema.KEY_COLUMN_USAGE \
         WHERE REFERENCED_TABLE_NAME IS NOT NULL AND {of_columns} \
         ORDER BY CONSTRAINT_SCHEMA, CONSTRAINT_NAME, TABLE_NAME, ORDINAL_POSITION"
    )));
    let mut rules = sqlx::query(sql(format!(
        "SELECT CAST(CONSTRAINT_SCHEMA AS CHAR), CAST(TABLE_NAME AS CHAR), CAST(CONSTRAINT_NAME AS CHAR), \
         CAST(DELETE_RULE AS CHAR), CAST(UPDATE_RULE AS CHAR) FROM information_schema.REFERENTIAL_CONSTRAINTS \
         WHERE {of_rules}"
    )));
    for schema in schemas {
        columns = columns.bind(schema.as_str());
        rules = rules.bind(schema.as_str());
    }
    let columns = columns.fetch_all(connection.raw()).await?;
    let rules = rules.fetch_all(connection.raw()).await?;
    let mut actions: BTreeMap<(String, String, String), (ReferentialAction, ReferentialAction)> = BTreeMap::new();
    for row in &rules {
        let name: String = row.try_get(2)?;
        let on_delete = action(row.try_get(3)?, &name)?;
        let on_update = action(row.try_get(4)?, &name)?;
        actions.insert((row.try_get(0)?, row.try_get(1)?, name), (on_delete, on_update));
    }
    let mut keys: Vec<ForeignKey> = Vec::new();
    for row in &columns {
        let child = TableName::new(identifier(row, 0)?, identifier(row, 1)?);
        let name = identifier(row, 2)?;
        let column = identifier(row, 3)?;
        let parent_column = identifier(row, 6)?;
        if let Some(key) = keys.last_mut()
            && key.name == name
            && key.child == child
        {
            key.columns.push(column);
            key.parent_columns.push(parent_column);
            continue;
        }
        let place = (child.schema.to_string(), child.table.to_string(), name.to_string());
        let (on_delete, on_update) = *actions.get(&place).ok_or_else(|| {
            Error::new(
                Cause::Server,
                format!("the catalogue shows columns of the foreign key {name} of {child} but not its actions; another session may be changing it: try again"),
            )
        })?;
        keys.push(ForeignKey {
            name,
            child,
            columns: vec![column],
            parent: TableName::new(identifier(row, 4)?, identifier(row, 5)?),
            parent_columns: vec![parent_column],
            on_delete,
            on_update,
        });
    }
    Ok(keys)
}

fn action(text: String, name: &str) -> Result<ReferentialAction, Error> {
    match text.as_str() {
        "RESTRICT" => Ok(ReferentialAction::Restrict),
        "NO ACTION" => Ok(ReferentialAction::NoAction),
        "CASCADE" => Ok(ReferentialAction::Cascade),
        "SET NULL" => Ok(ReferentialAction::SetNull),
        other => Err(Error::new(
            Cause::ServerUnsupported,
            format!("the foreign key {name} has the action {other}, which Holdfast does not know"),
        )),
    }
}
