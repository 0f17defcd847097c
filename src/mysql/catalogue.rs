//! Reads the picture of the catalogue that plans and drift checks are made from, with a fixed number of set-based queries, so
//! that a schema of a thousand tables costs no more round trips than one of ten (but for one SHOW CREATE TABLE a table).
//!
//! Strings of `information_schema` are cast to CHAR: MySQL 9 sends some of them as VARBINARY.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::Row;
use sqlx::mysql::MySqlRow;

use super::catalogue_keys::read_foreign_keys;
use super::connection::{Connection, sql};
use super::create_statement;
use super::error::{Cause, Error};
use super::server::read_server;
use crate::plan::catalogue::{Catalogue, Column, ForeignKey, Index, IndexPart, Table};
use crate::plan::identifier::{Identifier, TableName};

/// Names in one IN list; longer lists are read in parts.
const NAMES_AT_ONCE: usize = 500;

/// Reads the server, the named tables, all foreign keys from and to the schema, and the tables that those keys connect with the
/// named ones. Tables that do not exist are absent from the result.
///
/// # Errors
/// [`Cause::InvalidSpec`] when the schema does not exist; else what the server answers.
pub async fn read_catalogue(
    connection: &mut Connection,
    schema: &Identifier,
    tables: &[TableName],
) -> Result<Catalogue, Error> {
    let server = read_server(connection).await?;
    let schema = read_schema(connection, schema, server.lower_case_table_names).await?;
    // Statistics may be cached for a day; estimates want those of now.
    connection.run("SET SESSION information_schema_stats_expiry = 0").await?;
    create_statement::settle_format(connection).await?;
    let foreign_keys = read_foreign_keys(connection, &schema).await?;
    let wanted = connected(tables, &foreign_keys, server.lower_case_table_names);
    let mut by_schema: BTreeMap<&Identifier, Vec<&TableName>> = BTreeMap::new();
    for table in &wanted {
        by_schema.entry(&table.schema).or_default().push(table);
    }
    let mut found = BTreeMap::new();
    for (schema, tables) in by_schema {
        for part in tables.chunks(NAMES_AT_ONCE) {
            read_tables(connection, schema, part, &mut found).await?;
        }
    }
    for table in found.values_mut() {
        table.create_statement = create_statement::read(connection, &table.name).await?;
    }
    Ok(Catalogue { server, schema, tables: found, foreign_keys })
}

async fn read_schema(connection: &mut Connection, schema: &Identifier, lower_case: u8) -> Result<Identifier, Error> {
    let statement = if lower_case == 0 {
        "SELECT CAST(SCHEMA_NAME AS CHAR) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?"
    } else {
        "SELECT CAST(SCHEMA_NAME AS CHAR) FROM information_schema.SCHEMATA WHERE LOWER(SCHEMA_NAME) = LOWER(?)"
    };
    match sqlx::query(statement).bind(schema.as_str()).fetch_optional(connection.raw()).await? {
        Some(row) => identifier(&row, 0),
        None => Err(Error::new(
            Cause::InvalidSpec,
            format!(
                "the schema {schema} (spec.database.name) does not exist on this server, or the account may not see it: \
                 correct the name or grant the account privileges on it"
            ),
        )),
    }
}

/// The tables named, and all that foreign keys connect with them over any number of steps.
fn connected(tables: &[TableName], keys: &[ForeignKey], lower_case: u8) -> BTreeSet<TableName> {
    let fold = |table: &TableName| -> String {
        if lower_case == 0 { table.to_string() } else { table.to_string().to_lowercase() }
    };
    let mut wanted: BTreeSet<TableName> = tables.iter().cloned().collect();
    let mut known: BTreeSet<String> = wanted.iter().map(fold).collect();
    loop {
        let before = known.len();
        for key in keys {
            if known.contains(&fold(&key.child)) || known.contains(&fold(&key.parent)) {
                for table in [&key.child, &key.parent] {
                    if known.insert(fold(table)) {
                        wanted.insert(table.clone());
                    }
                }
            }
        }
        if known.len() == before {
            return wanted;
        }
    }
}

/// Runs a query that filters by schema and a list of tables: `{tables}` in it becomes the list.
async fn select(
    connection: &mut Connection,
    statement: &str,
    schema: &Identifier,
    tables: &[&TableName],
) -> Result<Vec<MySqlRow>, Error> {
    let list = vec!["?"; tables.len()].join(", ");
    let mut query = sqlx::query(sql(statement.replace("{tables}", &list))).bind(schema.as_str());
    for table in tables {
        query = query.bind(table.table.as_str());
    }
    Ok(query.fetch_all(connection.raw()).await?)
}

async fn read_tables(
    connection: &mut Connection,
    schema: &Identifier,
    tables: &[&TableName],
    found: &mut BTreeMap<String, Table>,
) -> Result<(), Error> {
    let rows = select(
        connection,
        "SELECT CAST(TABLE_NAME AS CHAR), CAST(COALESCE(ENGINE, TABLE_TYPE) AS CHAR), CAST(COALESCE(ROW_FORMAT, '') AS CHAR), \
         CAST(TABLE_COLLATION AS CHAR), CAST(COALESCE(CREATE_OPTIONS, '') AS CHAR), CAST(COALESCE(TABLE_ROWS, 0) AS UNSIGNED), \
         CAST(COALESCE(DATA_LENGTH, 0) AS UNSIGNED), CAST(COALESCE(INDEX_LENGTH, 0) AS UNSIGNED) \
         FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME IN ({tables})",
        schema,
        tables,
    )
    .await?;
    let mut part: BTreeMap<String, Table> = BTreeMap::new();
    for row in &rows {
        let name = identifier(row, 0)?;
        let options: String = row.try_get(4)?;
        let data_bytes: u64 = row.try_get(6)?;
        let index_bytes: u64 = row.try_get(7)?;
        let table = Table {
            name: TableName::new(schema.clone(), name.clone()),
            engine: row.try_get(1)?,
            row_format: row.try_get(2)?,
            collation: row.try_get(3)?,
            partitioned: options.contains("partitioned"),
            columns: Vec::new(),
            indexes: Vec::new(),
            triggers: Vec::new(),
            checks: Vec::new(),
            estimated_rows: row.try_get(5)?,
            data_bytes: data_bytes.saturating_add(index_bytes),
            index_bytes,
            create_statement: String::new(),
        };
        part.insert(name.as_str().to_owned(), table);
    }
    read_columns(connection, schema, tables, &mut part).await?;
    read_indexes(connection, schema, tables, &mut part).await?;
    read_triggers_and_checks(connection, schema, tables, &mut part).await?;
    found.extend(part.into_values().map(|table| (table.name.to_string(), table)));
    Ok(())
}

async fn read_columns(
    connection: &mut Connection,
    schema: &Identifier,
    tables: &[&TableName],
    found: &mut BTreeMap<String, Table>,
) -> Result<(), Error> {
    let rows = select(
        connection,
        "SELECT CAST(TABLE_NAME AS CHAR), CAST(COLUMN_NAME AS CHAR), CAST(COLUMN_TYPE AS CHAR), CAST(DATA_TYPE AS CHAR), \
         CAST(IS_NULLABLE AS CHAR), CAST(COLUMN_DEFAULT AS CHAR), CAST(COALESCE(EXTRA, '') AS CHAR), \
         CAST(CHARACTER_SET_NAME AS CHAR), CAST(COLLATION_NAME AS CHAR), \
         CAST(NULLIF(GENERATION_EXPRESSION, '') AS CHAR), CAST(COLUMN_COMMENT AS CHAR), \
         CAST(CHARACTER_MAXIMUM_LENGTH AS UNSIGNED), CAST(CHARACTER_OCTET_LENGTH AS UNSIGNED) \
         FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME IN ({tables}) \
         ORDER BY TABLE_NAME, ORDINAL_POSITION",
        schema,
        tables,
    )
    .await?;
    for row in &rows {
        let nullable: String = row.try_get(4)?;
        let column = Column {
            name: identifier(row, 1)?,
            column_type: row.try_get(2)?,
            data_type: row.try_get(3)?,
            nullable: nullable == "YES",
            default: row.try_get(5)?,
            extra: row.try_get(6)?,
            character_set: row.try_get(7)?,
            collation: row.try_get(8)?,
            generation_expression: row.try_get(9)?,
            comment: row.try_get(10)?,
            character_maximum_length: row.try_get(11)?,
            character_octet_length: row.try_get(12)?,
        };
        if let Some(table) = table_of(row, found)? {
            table.columns.push(column);
        }
    }
    Ok(())
}

async fn read_indexes(
    connection: &mut Connection,
    schema: &Identifier,
    tables: &[&TableName],
    found: &mut BTreeMap<String, Table>,
) -> Result<(), Error> {
    let rows = select(
        connection,
        "SELECT CAST(TABLE_NAME AS CHAR), CAST(INDEX_NAME AS CHAR), CAST(NON_UNIQUE AS UNSIGNED), \
         CAST(COALESCE(IS_VISIBLE, 'YES') AS CHAR), CAST(INDEX_TYPE AS CHAR), CAST(CARDINALITY AS UNSIGNED), \
         CAST(COLUMN_NAME AS CHAR), CAST(SUB_PART AS UNSIGNED), CAST(COALESCE(COLLATION, 'A') AS CHAR) \
         FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ? AND TABLE_NAME IN ({tables}) \
         ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX",
        schema,
        tables,
    )
    .await?;
    for row in &rows {
        let name = identifier(row, 1)?;
        let not_unique: u64 = row.try_get(2)?;
        let visible: String = row.try_get(3)?;
        let column: Option<String> = row.try_get(6)?;
        let direction: String = row.try_get(8)?;
        let part = IndexPart {
            column: column.map(Identifier::new).transpose().map_err(|error| unreadable(&error))?,
            prefix: row.try_get(7)?,
            descending: direction == "D",
        };
        // Each part carries the cardinality up to itself; that of the last one is the index's.
        let cardinality: Option<u64> = row.try_get(5)?;
        let kind: String = row.try_get(4)?;
        if let Some(table) = table_of(row, found)? {
            match table.indexes.last_mut() {
                Some(index) if index.name == name => {
                    index.parts.push(part);
                    index.cardinality = cardinality;
                }
                _ => table.indexes.push(Index {
                    name,
                    unique: not_unique == 0,
                    visible: visible == "YES",
                    kind,
                    cardinality,
                    parts: vec![part],
                }),
            }
        }
    }
    Ok(())
}

async fn read_triggers_and_checks(
    connection: &mut Connection,
    schema: &Identifier,
    tables: &[&TableName],
    found: &mut BTreeMap<String, Table>,
) -> Result<(), Error> {
    let triggers = select(
        connection,
        "SELECT CAST(EVENT_OBJECT_TABLE AS CHAR), CAST(TRIGGER_NAME AS CHAR) FROM information_schema.TRIGGERS \
         WHERE EVENT_OBJECT_SCHEMA = ? AND EVENT_OBJECT_TABLE IN ({tables}) ORDER BY EVENT_OBJECT_TABLE, TRIGGER_NAME",
        schema,
        tables,
    )
    .await?;
    for row in &triggers {
        let name: String = row.try_get(1)?;
        if let Some(table) = table_of(row, found)? {
            table.triggers.push(name);
        }
    }
    let checks = select(
        connection,
        "SELECT CAST(t.TABLE_NAME AS CHAR), CAST(c.CONSTRAINT_NAME AS CHAR), CAST(c.CHECK_CLAUSE AS CHAR) \
         FROM information_schema.TABLE_CONSTRAINTS AS t JOIN information_schema.CHECK_CONSTRAINTS AS c \
         ON c.CONSTRAINT_SCHEMA = t.CONSTRAINT_SCHEMA AND c.CONSTRAINT_NAME = t.CONSTRAINT_NAME \
         WHERE t.CONSTRAINT_TYPE = 'CHECK' AND t.TABLE_SCHEMA = ? AND t.TABLE_NAME IN ({tables}) \
         ORDER BY t.TABLE_NAME, c.CONSTRAINT_NAME",
        schema,
        tables,
    )
    .await?;
    for row in &checks {
        let check: (String, String) = (row.try_get(1)?, row.try_get(2)?);
        if let Some(table) = table_of(row, found)? {
            table.checks.push(check);
        }
    }
    Ok(())
}

fn table_of<'a>(row: &MySqlRow, found: &'a mut BTreeMap<String, Table>) -> Result<Option<&'a mut Table>, Error> {
    let name: String = row.try_get(0)?;
    Ok(found.get_mut(&name))
}

/// A column of the catalogue that holds a name.
pub(super) fn identifier(row: &MySqlRow, position: usize) -> Result<Identifier, Error> {
    let text: String = row.try_get(position)?;
    Identifier::new(text).map_err(|error| unreadable(&error))
}

fn unreadable(error: &dyn std::fmt::Display) -> Error {
    Error::new(Cause::Server, format!("the catalogue holds a name that is none: {error}"))
}
