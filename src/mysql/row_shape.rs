//! What work on rows has to know of a table, read afresh each time: a plan is hours old when its rows are touched, and a column
//! that was added meanwhile must go to quarantine too.

use sqlx::Row;
use sqlx::mysql::MySqlRow;

use super::connection::{Connection, sql};
use super::error::{Cause, Error};
use crate::plan::catalogue::{ForeignKey, ReferentialAction};
use crate::plan::identifier::{Identifier, TableName};

/// One column as the catalogue has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShapeColumn {
    pub(crate) name: Identifier,
    /// Type without length and sign, in lower case.
    pub(crate) data_type: String,
    /// Full type.
    pub(crate) column_type: String,
    pub(crate) character_set: Option<String>,
    pub(crate) collation: Option<String>,
    pub(crate) character_maximum_length: Option<u64>,
    pub(crate) nullable: bool,
    pub(crate) has_default: bool,
    /// Its value is computed by the server and cannot be written.
    pub(crate) generated: bool,
    pub(crate) auto_increment: bool,
    /// An update of another column changes it unless it is set explicitly.
    pub(crate) on_update_timestamp: bool,
    pub(crate) spatial_reference: Option<u32>,
}

/// One table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) name: TableName,
    /// In their order, invisible ones included.
    pub(crate) columns: Vec<ShapeColumn>,
    /// Columns of the primary key, in order; empty without one.
    pub(crate) primary_key: Vec<Identifier>,
    /// Indexes that consist of whole columns, the primary key included.
    pub(crate) indexes: Vec<ShapeIndex>,
    /// Triggers: name and event (`INSERT`, `UPDATE`, `DELETE`).
    pub(crate) triggers: Vec<(String, String)>,
    pub(crate) estimated_rows: u64,
}

/// One index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShapeIndex {
    pub(crate) name: Identifier,
    pub(crate) columns: Vec<Identifier>,
    pub(crate) unique: bool,
}

/// Whether two names are the same column; MySQL does not distinguish upper and lower case there.
pub(crate) fn same_column(left: &Identifier, right: &Identifier) -> bool {
    left.as_str().to_lowercase() == right.as_str().to_lowercase()
}

impl Shape {
    /// Looks a column up.
    pub(crate) fn column(&self, name: &Identifier) -> Option<&ShapeColumn> {
        self.columns.iter().find(|column| same_column(&column.name, name))
    }

    /// Looks a column up that has to exist.
    pub(crate) fn require(&self, name: &Identifier) -> Result<&ShapeColumn, Error> {
        self.column(name)
            .ok_or_else(|| Error::new(Cause::Drifted, format!("table {} has no column {name} any more", self.name)))
    }

    /// The columns that can be written.
    pub(crate) fn stored_columns(&self) -> Vec<&ShapeColumn> {
        self.columns.iter().filter(|column| !column.generated).collect()
    }

    /// The primary key, which every removal and change of rows needs.
    pub(crate) fn require_primary_key(&self) -> Result<&[Identifier], Error> {
        if self.primary_key.is_empty() {
            return Err(Error::new(
                Cause::InvalidSpec,
                format!(
                    "table {} has no primary key, so its rows cannot be told apart to be put back: add one, or clean the table by hand",
                    self.name
                ),
            ));
        }
        Ok(&self.primary_key)
    }

    /// An index that begins with these columns, in any order; a unique one is preferred.
    pub(crate) fn index_on(&self, columns: &[Identifier]) -> Option<&ShapeIndex> {
        let fits = |index: &&ShapeIndex| {
            index.columns.len() >= columns.len()
                && index.columns[..columns.len()]
                    .iter()
                    .all(|part| columns.iter().any(|column| same_column(part, column)))
        };
        let fitting = || self.indexes.iter().filter(fits);
        fitting().find(|index| index.unique).or_else(|| fitting().next())
    }

    /// `, t.changed_at = t.changed_at` for every column that an update would otherwise touch on its own, those in `except` aside.
    pub(crate) fn keep_timestamps(&self, alias: &str, except: &[Identifier]) -> String {
        self.columns
            .iter()
            .filter(|column| column.on_update_timestamp && !except.iter().any(|name| same_column(name, &column.name)))
            .map(|column| format!(", {alias}.{0} = {alias}.{0}", column.name.quoted()))
            .collect()
    }
}

fn identifier(name: String) -> Result<Identifier, Error> {
    Identifier::new(name)
        .map_err(|error| Error::new(Cause::Server, format!("the catalogue holds a name that is none: {error}")))
}

/// Reads a table's shape.
///
/// # Errors
/// [`Cause::Drifted`] when the table does not exist.
pub(crate) async fn read(connection: &mut Connection, name: &TableName) -> Result<Shape, Error> {
    let columns = sqlx::query(sql(format!(
        "SELECT CAST(column_name AS CHAR), CAST({data_type} AS CHAR), CAST(column_type AS CHAR CHARACTER SET utf8mb4), \
         CAST(character_set_name AS CHAR), CAST(collation_name AS CHAR), CAST(character_maximum_length AS UNSIGNED), \
         is_nullable = 'YES', ({default}) IS NOT NULL, CAST(extra AS CHAR), {spatial_reference} \
         FROM information_schema.columns AS c WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position",
        data_type = connection.dialect.data_type(),
        default = connection.dialect.column_default(),
        spatial_reference = connection.dialect.spatial_reference(),
    )))
    .bind(name.schema.as_str())
    .bind(name.table.as_str())
    .fetch_all(connection.raw())
    .await?
    .iter()
    .map(column)
    .collect::<Result<Vec<_>, Error>>()?;
    if columns.is_empty() {
        return Err(Error::new(Cause::Drifted, format!("table {name} does not exist (any more)")));
    }
    let (primary_key, indexes) = read_indexes(connection, name).await?;
    let triggers = sqlx::query(
        "SELECT CAST(trigger_name AS CHAR), CAST(event_manipulation AS CHAR) FROM information_schema.triggers \
         WHERE event_object_schema = ? AND event_object_table = ?",
    )
    .bind(name.schema.as_str())
    .bind(name.table.as_str())
    .fetch_all(connection.raw())
    .await?
    .iter()
    .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
    .collect::<Result<Vec<_>, Error>>()?;
    let estimated_rows: u64 = sqlx::query(
        "SELECT CAST(COALESCE(table_rows, 0) AS UNSIGNED) FROM information_schema.tables WHERE table_schema = ? AND table_name = ?",
    )
    .bind(name.schema.as_str())
    .bind(name.table.as_str())
    .fetch_one(connection.raw())
    .await?
    .try_get(0)?;
    Ok(Shape { name: name.clone(), columns, primary_key, indexes, triggers, estimated_rows })
}

fn column(row: &MySqlRow) -> Result<ShapeColumn, Error> {
    let extra: String = row.try_get::<String, _>(8)?.to_uppercase();
    let nullable: i64 = row.try_get(6)?;
    let has_default: i64 = row.try_get(7)?;
    Ok(ShapeColumn {
        name: identifier(row.try_get(0)?)?,
        data_type: row.try_get::<String, _>(1)?.to_lowercase(),
        column_type: row.try_get(2)?,
        character_set: row.try_get(3)?,
        collation: row.try_get(4)?,
        character_maximum_length: row.try_get(5)?,
        nullable: nullable != 0,
        has_default: has_default != 0 || extra.contains("DEFAULT_GENERATED"),
        generated: extra.contains("VIRTUAL GENERATED") || extra.contains("STORED GENERATED"),
        auto_increment: extra.contains("AUTO_INCREMENT"),
        on_update_timestamp: extra.contains("ON UPDATE"),
        spatial_reference: row.try_get::<Option<u64>, _>(9)?.and_then(|id| u32::try_from(id).ok()),
    })
}

async fn read_indexes(
    connection: &mut Connection,
    name: &TableName,
) -> Result<(Vec<Identifier>, Vec<ShapeIndex>), Error> {
    let parts = sqlx::query(
        "SELECT CAST(index_name AS CHAR), CAST(column_name AS CHAR), non_unique = 0, sub_part IS NULL \
         FROM information_schema.statistics WHERE table_schema = ? AND table_name = ? AND index_type = 'BTREE' \
         ORDER BY index_name, seq_in_index",
    )
    .bind(name.schema.as_str())
    .bind(name.table.as_str())
    .fetch_all(connection.raw())
    .await?;
    let mut found: Vec<(String, Vec<Identifier>, bool, bool)> = Vec::new();
    for part in &parts {
        let index: String = part.try_get(0)?;
        let (unique, whole): (i64, i64) = (part.try_get(2)?, part.try_get(3)?);
        if found.last().is_none_or(|(last, ..)| *last != index) {
            found.push((index, Vec::new(), unique != 0, true));
        }
        if let Some((_, columns, _, usable)) = found.last_mut() {
            match part.try_get::<Option<String>, _>(1)? {
                Some(column) if whole != 0 => columns.push(identifier(column)?),
                _ => *usable = false,
            }
        }
    }
    let primary = found.iter().find(|(index, ..)| index == "PRIMARY").map(|(_, columns, ..)| columns.clone());
    let mut indexes = Vec::new();
    for (name, columns, unique, usable) in found {
        if usable {
            indexes.push(ShapeIndex { name: identifier(name)?, columns, unique });
        }
    }
    Ok((primary.unwrap_or_default(), indexes))
}

/// Which end of a key a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Child,
    Parent,
}

/// Reads the foreign keys that exist with the table at the given end.
///
/// # Errors
/// What the server answers.
pub(crate) async fn live_keys(
    connection: &mut Connection,
    table: &TableName,
    end: End,
) -> Result<Vec<ForeignKey>, Error> {
    let condition = match end {
        End::Child => "k.table_schema = ? AND k.table_name = ?",
        End::Parent => "k.referenced_table_schema = ? AND k.referenced_table_name = ?",
    };
    let rows = sqlx::query(sql(format!(
        "SELECT CAST(k.constraint_name AS CHAR), CAST(k.table_schema AS CHAR), CAST(k.table_name AS CHAR), CAST(k.column_name AS CHAR), \
         CAST(k.referenced_table_schema AS CHAR), CAST(k.referenced_table_name AS CHAR), CAST(k.referenced_column_name AS CHAR), \
         CAST(r.delete_rule AS CHAR), CAST(r.update_rule AS CHAR) \
         FROM information_schema.key_column_usage k JOIN information_schema.referential_constraints r \
         ON r.constraint_schema = k.constraint_schema AND r.constraint_name = k.constraint_name AND r.table_name = k.table_name \
         WHERE {condition} AND k.referenced_table_name IS NOT NULL \
         ORDER BY k.table_schema, k.table_name, k.constraint_name, k.ordinal_position"
    )))
    .bind(table.schema.as_str())
    .bind(table.table.as_str())
    .fetch_all(connection.raw())
    .await?;
    let mut keys: Vec<ForeignKey> = Vec::new();
    for row in &rows {
        let text = |index: usize| -> Result<Identifier, Error> { identifier(row.try_get::<String, _>(index)?) };
        let (name, child) = (text(0)?, TableName::new(text(1)?, text(2)?));
        if keys.last().is_none_or(|last| last.name != name || last.child != child) {
            keys.push(ForeignKey {
                name,
                child,
                columns: Vec::new(),
                parent: TableName::new(text(4)?, text(5)?),
                parent_columns: Vec::new(),
                on_delete: action(&row.try_get::<String, _>(7)?)?,
                on_update: action(&row.try_get::<String, _>(8)?)?,
            });
        }
        if let Some(key) = keys.last_mut() {
            key.columns.push(text(3)?);
            key.parent_columns.push(text(6)?);
        }
    }
    Ok(keys)
}

fn action(rule: &str) -> Result<ReferentialAction, Error> {
    match rule {
        "RESTRICT" => Ok(ReferentialAction::Restrict),
        "NO ACTION" => Ok(ReferentialAction::NoAction),
        "CASCADE" => Ok(ReferentialAction::Cascade),
        "SET NULL" => Ok(ReferentialAction::SetNull),
        other => {
            Err(Error::new(Cause::ServerUnsupported, format!("the catalogue holds the referential action {other:?}")))
        }
    }
}

/// Conditions that join two aliases on several columns, each with its own name on either side.
pub(crate) fn pairs(left: &str, left_columns: &[Identifier], right: &str, right_columns: &[Identifier]) -> String {
    left_columns
        .iter()
        .zip(right_columns)
        .map(|(l, r)| format!("{left}.{} = {right}.{}", l.quoted(), r.quoted()))
        .collect::<Vec<_>>()
        .join(" AND ")
}

/// Columns of an alias: `t.a, t.b`.
pub(crate) fn of(alias: &str, columns: &[Identifier]) -> String {
    columns.iter().map(|column| format!("{alias}.{}", column.quoted())).collect::<Vec<_>>().join(", ")
}

/// A test on every column of an alias: `t.a IS NOT NULL AND t.b IS NOT NULL`.
pub(crate) fn every(alias: &str, columns: &[Identifier], test: &str) -> String {
    columns.iter().map(|column| format!("{alias}.{} {test}", column.quoted())).collect::<Vec<_>>().join(" AND ")
}
