//! Whether the server lets the account change rows, by its own word: EXPLAIN of a statement takes the privileges of the statement and
//! runs nothing. SHOW GRANTS alone does not tell all: with `partial_revokes` a schema's name with `%` is no pattern.

use std::collections::BTreeMap;

use sqlx::Row;

use super::catalogue::identifier;
use super::connection::{Connection, sql};
use super::error::Error;
use crate::plan::identifier::{Identifier, TableName};

/// ER_DBACCESS_DENIED_ERROR, ER_TABLEACCESS_DENIED_ERROR, ER_COLUMNACCESS_DENIED_ERROR.
const DENIED: [u16; 3] = [1044, 1142, 1143];

/// What the server denies on tables of the schema although SHOW GRANTS seems to give it, each as the statement that grants it. Tables
/// that are not there are left out.
///
/// # Errors
/// What the server answers.
pub(super) async fn denied(
    connection: &mut Connection,
    schema: &Identifier,
    tables: &[TableName],
) -> Result<Vec<String>, Error> {
    let columns = first_columns(connection, schema).await?;
    let mut denied = Vec::new();
    for table in tables.iter().filter(|table| table.schema == *schema) {
        let Some(column) = columns.get(table.table.as_str()) else { continue };
        let (name, column) = (table.quoted(), column.quoted());
        let statements = [
            ("INSERT", format!("INSERT INTO {name} ({column}) SELECT {column} FROM {name} WHERE FALSE")),
            ("UPDATE", format!("UPDATE {name} SET {column} = {column} WHERE FALSE")),
            ("DELETE", format!("DELETE FROM {name} WHERE FALSE")),
        ];
        let mut lacks = Vec::new();
        for (privilege, statement) in statements {
            match connection.run(&format!("EXPLAIN {statement}")).await {
                Ok(_) => {}
                Err(error) if error.code.is_some_and(|code| DENIED.contains(&code)) => lacks.push(privilege),
                Err(error) => {
                    return Err(error.while_doing(format!("asking whether the account may {privilege} on {table}")));
                }
            }
        }
        if !lacks.is_empty() {
            denied.push(format!(
                "GRANT {} ON {name}, which the server denies whatever SHOW GRANTS seems to give",
                lacks.join(", ")
            ));
        }
    }
    Ok(denied)
}

/// The first column of each table of the schema that is no view, generated ones left out.
async fn first_columns(
    connection: &mut Connection,
    schema: &Identifier,
) -> Result<BTreeMap<String, Identifier>, Error> {
    let rows = sqlx::query(sql(
        "SELECT CAST(c.TABLE_NAME AS CHAR), CAST(c.COLUMN_NAME AS CHAR) FROM information_schema.COLUMNS c JOIN information_schema.TABLES t \
         ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND t.TABLE_NAME = c.TABLE_NAME WHERE c.TABLE_SCHEMA = ? AND t.TABLE_TYPE = 'BASE TABLE' \
         AND COALESCE(c.GENERATION_EXPRESSION, '') = '' ORDER BY c.ORDINAL_POSITION DESC",
    ))
    .bind(schema.as_str())
    .fetch_all(connection.raw())
    .await?;
    // The last one that is put in stays: the first column.
    rows.iter().map(|row| Ok((row.try_get(0)?, identifier(row, 1)?))).collect()
}
