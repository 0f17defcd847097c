//! Reads the picture of the catalogue that plans and drift checks are made from, with a fixed number of set-based queries, so
//! that a schema of a thousand tables costs no more round trips than one of ten (but for one SHOW CREATE TABLE a table).
//!
//! Strings of `information_schema` are cast to CHAR: MySQL 9 sends some of them as VARBINARY.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::Row;
use sqlx::mysql::MySqlRow;

use super::catalogue_keys::{read_foreign_keys, read_keys_of_children};
use super::connection::{Connection, sql};
use super::create_statement;
use super::error::{Cause, Error};
use super::server::read_server;
use crate::plan::catalogue::{Catalogue, Column, Flavour, ForeignKey, Index, IndexPart, Server, Table, Version};
use crate::plan::identifier::{Identifier, TableName};

/// Names in one IN list; longer lists are read in parts.
const NAMES_AT_ONCE: usize = 500;
/// Tables count their INSTANT changes.
const ROW_VERSIONS: Version = Version { major: 8, minor: 0, patch: 29 };

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
    if let Some(statement) = connection.dialect.fresh_statistics() {
        connection.run(statement).await?;
    }
    create_statement::settle_format(connection).await?;
    let foreign_keys = read_foreign_keys(connection, &schema).await?;
    let wanted = connected(tables, &foreign_keys, server.lower_case_table_names);
    let tables = read_definitions(connection, &wanted, true).await?;
    Ok(Catalogue { server, schema, tables, foreign_keys })
}

/// Reads of a schema that was planned for only the named tables, not those connected with them, and all foreign keys of its
/// tables, not those of other schemas that refer to it. Triggers and checks, which no goal is compared with, are left out. The
/// session's format of definitions must be settled.
///
/// # Errors
/// What the server answers.
pub(crate) async fn read_named(
    connection: &mut Connection,
    server: &Server,
    schema: &Identifier,
    tables: &[TableName],
) -> Result<Catalogue, Error> {
    let foreign_keys = read_keys_of_children(connection, schema).await?;
    let tables = read_definitions(connection, &tables.iter().cloned().collect(), false).await?;
    Ok(Catalogue { server: server.clone(), schema: schema.clone(), tables, foreign_keys })
}

async fn read_definitions(
    connection: &mut Connection,
    wanted: &BTreeSet<TableName>,
    guards: bool,
) -> Result<BTreeMap<String, Table>, Error> {
    let mut by_schema: BTreeMap<&Identifier, Vec<&TableName>> = BTreeMap::new();
    for table in wanted {
        by_schema.entry(&table.schema).or_default().push(table);
    }
    let mut found = BTreeMap::new();
    for (schema, tables) in by_schema {
        for part in tables.chunks(NAMES_AT_ONCE) {
            read_tables(connection, schema, part, guards, &mut found).await?;
        }
    }
    for table in found.values_mut() {
        table.create_statement = create_statement::read(connection, &table.name).await?;
    }
    Ok(found)
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
    let mut neighbours: BTreeMap<String, Vec<&TableName>> = BTreeMap::new();
    for key in keys {
        neighbours.entry(fold(&key.child)).or_default().push(&key.parent);
        neighbours.entry(fold(&key.parent)).or_default().push(&key.child);
    }
    let mut wanted: BTreeSet<TableName> = tables.iter().cloned().collect();
    let mut known: BTreeSet<String> = wanted.iter().map(fold).collect();
    let mut open: Vec<String> = known.iter().cloned().collect();
    while let Some(place) = open.pop() {
        for table in neighbours.get(&place).into_iter().flatten() {
            if known.insert(fold(table)) {
                wanted.insert((*table).clone());
                open.push(fold(table));
            }
        }
    }
    wanted
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

/// The tables of one schema that are being read.
struct Part<'a> {
    schema: &'a Identifier,
    names: &'a [&'a TableName],
    /// By the name of the table alone.
    found: BTreeMap<String, Table>,
}

impl Part<'_> {
    /// Runs a query whose first column names the table that each row belongs to.
    async fn read(
        &mut self,
        connection: &mut Connection,
        statement: &str,
        mut add: impl FnMut(&mut Table, &MySqlRow) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for row in &select(connection, statement, self.schema, self.names).await? {
            let name: String = row.try_get(0)?;
            if let Some(table) = self.found.get_mut(&name) {
                add(table, row)?;
            }
        }
        Ok(())
    }
}

async fn read_tables(
    connection: &mut Connection,
    schema: &Identifier,
    tables: &[&TableName],
    guards: bool,
    found: &mut BTreeMap<String, Table>,
) -> Result<(), Error> {
    let rows = select(
        connection,
        "SELECT CAST(TABLE_NAME AS CHAR), CAST(IF(TABLE_TYPE IN ('SEQUENCE', 'SYSTEM VERSIONED'), TABLE_TYPE, COALESCE(ENGINE, TABLE_TYPE)) AS CHAR), CAST(COALESCE(ROW_FORMAT, '') AS CHAR), \
         CAST(TABLE_COLLATION AS CHAR), CAST(COALESCE(CREATE_OPTIONS, '') AS CHAR), CAST(COALESCE(TABLE_ROWS, 0) AS UNSIGNED), \
         CAST(COALESCE(DATA_LENGTH, 0) AS UNSIGNED), CAST(COALESCE(INDEX_LENGTH, 0) AS UNSIGNED) \
         FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME IN ({tables})",
        schema,
        tables,
    )
    .await?;
    let mut part = Part { schema, names: tables, found: BTreeMap::new() };
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
            row_versions: None,
            create_statement: String::new(),
        };
        part.found.insert(name.as_str().to_owned(), table);
    }
    read_columns(connection, &mut part).await?;
    read_indexes(connection, &mut part).await?;
    if guards {
        read_triggers_and_checks(connection, &mut part).await?;
    }
    found.extend(part.found.into_values().map(|table| (table.name.to_string(), table)));
    Ok(())
}

async fn read_columns(connection: &mut Connection, part: &mut Part<'_>) -> Result<(), Error> {
    let statement = "SELECT CAST(TABLE_NAME AS CHAR), CAST(COLUMN_NAME AS CHAR), CAST(COLUMN_TYPE AS CHAR), CAST(DATA_TYPE AS CHAR), \
         CAST(IS_NULLABLE AS CHAR), CAST({default} AS CHAR), CAST(COALESCE(EXTRA, '') AS CHAR), \
         CAST(CHARACTER_SET_NAME AS CHAR), CAST(COLLATION_NAME AS CHAR), \
         CAST(NULLIF(GENERATION_EXPRESSION, '') AS CHAR), CAST(COLUMN_COMMENT AS CHAR), \
         CAST(CHARACTER_MAXIMUM_LENGTH AS UNSIGNED), CAST(CHARACTER_OCTET_LENGTH AS UNSIGNED) \
         FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME IN ({tables}) \
         ORDER BY TABLE_NAME, ORDINAL_POSITION"
        .replace("{default}", connection.dialect.column_default());
    part.read(connection, &statement, |table, row| {
        let nullable: String = row.try_get(4)?;
        table.columns.push(Column {
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
        });
        Ok(())
    })
    .await
}

async fn read_indexes(connection: &mut Connection, part: &mut Part<'_>) -> Result<(), Error> {
    let statement = "SELECT CAST(TABLE_NAME AS CHAR), CAST(INDEX_NAME AS CHAR), CAST(NON_UNIQUE AS UNSIGNED), \
         CAST({visible} AS CHAR), CAST(INDEX_TYPE AS CHAR), CAST(CARDINALITY AS UNSIGNED), \
         CAST(COLUMN_NAME AS CHAR), CAST(SUB_PART AS UNSIGNED), CAST(COALESCE(COLLATION, 'A') AS CHAR) \
         FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ? AND TABLE_NAME IN ({tables}) \
         ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX"
        .replace("{visible}", connection.dialect.index_is_visible());
    part.read(connection, &statement, |table, row| {
        let name = identifier(row, 1)?;
        let not_unique: u64 = row.try_get(2)?;
        let visible: String = row.try_get(3)?;
        let column: Option<String> = row.try_get(6)?;
        let direction: String = row.try_get(8)?;
        let index_part = IndexPart {
            column: column.map(Identifier::new).transpose().map_err(|error| unreadable(&error))?,
            prefix: row.try_get(7)?,
            descending: direction == "D",
        };
        // Each part carries the cardinality up to itself; that of the last one is the index's.
        let cardinality: Option<u64> = row.try_get(5)?;
        match table.indexes.last_mut() {
            Some(index) if index.name == name => {
                index.parts.push(index_part);
                index.cardinality = cardinality;
            }
            _ => table.indexes.push(Index {
                name,
                unique: not_unique == 0,
                visible: visible == "YES",
                kind: row.try_get(4)?,
                cardinality,
                parts: vec![index_part],
            }),
        }
        Ok(())
    })
    .await
}

async fn read_triggers_and_checks(connection: &mut Connection, part: &mut Part<'_>) -> Result<(), Error> {
    let triggers = "SELECT CAST(EVENT_OBJECT_TABLE AS CHAR), CAST(TRIGGER_NAME AS CHAR) FROM information_schema.TRIGGERS \
         WHERE EVENT_OBJECT_SCHEMA = ? AND EVENT_OBJECT_TABLE IN ({tables}) ORDER BY EVENT_OBJECT_TABLE, TRIGGER_NAME";
    part.read(connection, triggers, |table, row| {
        table.triggers.push(row.try_get(1)?);
        Ok(())
    })
    .await?;
    let Some(checks) = connection.dialect.check_constraints() else { return Ok(()) };
    part.read(connection, checks, |table, row| {
        table.checks.push((row.try_get(1)?, row.try_get(2)?));
        Ok(())
    })
    .await
}

/// What only planning needs besides [`read_catalogue`]: how many INSTANT changes each table has behind it.
///
/// # Errors
/// As of [`read_catalogue`].
pub async fn read_for_planning(
    connection: &mut Connection,
    schema: &Identifier,
    tables: &[TableName],
) -> Result<Catalogue, Error> {
    let mut catalogue = read_catalogue(connection, schema, tables).await?;
    if catalogue.server.flavour != Flavour::MySql || catalogue.server.version < ROW_VERSIONS {
        return Ok(catalogue);
    }
    let rows = sqlx::raw_sql(
        "SELECT CAST(NAME AS CHAR), CAST(TOTAL_ROW_VERSIONS AS UNSIGNED) FROM information_schema.INNODB_TABLES WHERE TOTAL_ROW_VERSIONS > 0",
    )
    .fetch_all(connection.raw())
    .await?;
    let mut changed = BTreeMap::new();
    for row in &rows {
        let file: String = row.try_get(0)?;
        changed.insert(file, row.try_get(1)?);
    }
    for table in catalogue.tables.values_mut().filter(|table| table.engine.eq_ignore_ascii_case("InnoDB")) {
        table.row_versions = file_name(&table.name).map(|file| changed.get(&file).copied().unwrap_or(0));
    }
    Ok(catalogue)
}

/// A table's name as InnoDB spells it, like a file's; `None` for letters of which it has a spelling of its own
/// (<https://dev.mysql.com/doc/refman/8.4/en/identifier-mapping.html>).
fn file_name(table: &TableName) -> Option<String> {
    /// From here on every letter is spelled by its number.
    const CJK: u32 = 0x3000;
    let mut text = String::new();
    for name in [&table.schema, &table.table] {
        if !text.is_empty() {
            text.push('/');
        }
        for character in name.as_str().chars() {
            match u32::from(character) {
                _ if character.is_ascii_alphanumeric() || character == '_' => text.push(character),
                code if !(0x80..CJK).contains(&code) => text.push_str(&format!("@{code:04x}")),
                _ => return None,
            }
        }
    }
    Some(text)
}

/// A column of the catalogue that holds a name.
pub(super) fn identifier(row: &MySqlRow, position: usize) -> Result<Identifier, Error> {
    let text: String = row.try_get(position)?;
    Identifier::new(text).map_err(|error| unreadable(&error))
}

fn unreadable(error: &dyn std::fmt::Display) -> Error {
    Error::new(Cause::Server, format!("the catalogue holds a name that is none: {error}"))
}
