//! Rows made up for probes: values that satisfy a table's columns and keys, that no real row has, and that move no
//! AUTO_INCREMENT counter (negative, zero, or a gap below the counter).

use std::collections::{BTreeMap, BTreeSet};

use sqlx::Row;

use super::connection::{Connection, sql};
use super::error::{Cause, Error};
use super::row_shape::{End, Shape, ShapeColumn, live_keys, read};
use crate::plan::catalogue::ForeignKey;
use crate::plan::identifier::{Identifier, TableName};

/// Parents above parents: more than this is taken for a cycle.
const MAX_PARENTS: usize = 16;
/// Random values that are tried for a unique column.
const GUESSES: u32 = 32;

/// Values as SQL, by column in lower case.
pub(crate) type Values = BTreeMap<String, String>;

/// Makes rows on one connection, inside a transaction that will be rolled back.
pub(crate) struct Maker {
    shapes: BTreeMap<TableName, (Shape, Vec<ForeignKey>)>,
    /// Rows made so far.
    made: Vec<(TableName, Values)>,
}

fn lower(name: &Identifier) -> String {
    name.as_str().to_lowercase()
}

/// Why a row cannot be made: a reason for people, no failure of the server.
fn cannot(reason: String) -> Error {
    Error::new(Cause::InvalidSpec, reason)
}

impl Maker {
    pub(crate) fn new() -> Self {
        Self { shapes: BTreeMap::new(), made: Vec::new() }
    }

    /// Reads a table and its parents, and theirs, before the transaction begins.
    pub(crate) async fn learn(&mut self, connection: &mut Connection, table: &TableName) -> Result<(), Error> {
        let mut open = vec![table.clone()];
        while let Some(table) = open.pop() {
            if self.shapes.contains_key(&table) {
                continue;
            }
            let shape = read(connection, &table).await?;
            if let Some((trigger, _)) = shape.triggers.first() {
                return Err(cannot(format!("table {table} has trigger {trigger}, which a synthetic row would fire")));
            }
            let keys = live_keys(connection, &table, End::Child).await?;
            open.extend(keys.iter().map(|key| key.parent.clone()));
            self.shapes.insert(table, (shape, keys));
        }
        Ok(())
    }

    /// The same knowledge, no rows made: for another try.
    pub(crate) fn again(&self) -> Self {
        Self { shapes: self.shapes.clone(), made: Vec::new() }
    }

    /// Notes a row that will be made, so that no second one is made in its place.
    pub(crate) fn promise(&mut self, table: &TableName, row: &Values) {
        self.made.push((table.clone(), row.clone()));
    }

    /// The columns by which a made row is found again.
    pub(crate) fn primary_key(&self, table: &TableName) -> Result<Vec<Identifier>, Error> {
        let (shape, _) = self.known(table)?;
        Ok(shape.require_primary_key()?.to_vec())
    }

    fn known(&self, table: &TableName) -> Result<(Shape, Vec<ForeignKey>), Error> {
        self.shapes.get(table).cloned().ok_or_else(|| Error::new(Cause::Drifted, format!("table {table} was not read")))
    }

    /// Values for the columns of a key that no row of the parent has, and that `insert` can use for a parent.
    pub(crate) async fn fresh_key(
        &mut self,
        connection: &mut Connection,
        table: &TableName,
        columns: &[Identifier],
    ) -> Result<Values, Error> {
        let mut row = self.values(connection, table, Values::new(), 0).await?;
        let (shape, _) = self.known(table)?;
        let missing: Vec<&Identifier> = columns.iter().filter(|column| !row.contains_key(&lower(column))).collect();
        // Columns that may be NULL were left out; a real row may hold any plain value, so one of them must be unused.
        for (place, name) in missing.iter().enumerate() {
            let column = shape.require(name)?;
            let value = if place + 1 == missing.len() {
                self.unused_value(connection, &shape, column).await?
            } else {
                plain_value(column)?
            };
            row.insert(lower(name), value);
        }
        Ok(row)
    }

    /// Inserts a row.
    pub(crate) async fn insert(
        &mut self,
        connection: &mut Connection,
        table: &TableName,
        row: &Values,
    ) -> Result<(), Error> {
        let (shape, _) = self.known(table)?;
        let mut names = Vec::new();
        let mut values = Vec::new();
        for column in shape.stored_columns() {
            if let Some(value) = row.get(&lower(&column.name)) {
                names.push(column.name.quoted());
                values.push(value.clone());
            }
        }
        connection
            .run(&format!("INSERT INTO {} ({}) VALUES ({})", table.quoted(), names.join(", "), values.join(", ")))
            .await?;
        self.made.push((table.clone(), row.clone()));
        Ok(())
    }

    /// Completes a row: values that must be unique, values without a default, and parents, which are inserted.
    pub(crate) async fn values(
        &mut self,
        connection: &mut Connection,
        table: &TableName,
        mut row: Values,
        depth: usize,
    ) -> Result<Values, Error> {
        if depth > MAX_PARENTS {
            return Err(cannot(format!("table {table} needs a parent that needs a parent, without an end")));
        }
        let (shape, keys) = self.known(table)?;
        let given: BTreeSet<String> = row.keys().cloned().collect();
        for key in &keys {
            let needed = key.columns.iter().any(|column| shape.column(column).is_some_and(|column| !column.nullable))
                && key.columns.iter().all(|column| {
                    row.contains_key(&lower(column)) || shape.column(column).is_some_and(|column| !column.nullable)
                });
            if needed && key.parent != *table {
                self.parent(connection, key, &mut row, depth).await?;
            }
        }
        for index in shape.indexes.iter().filter(|index| index.unique) {
            let free = index.columns.iter().rev().find(|column| !row.contains_key(&lower(column)));
            let Some(free) = free else { continue };
            let column = shape.require(free)?;
            if column.generated || (column.nullable && index.name.as_str() != "PRIMARY") {
                continue;
            }
            row.insert(lower(free), self.unused_value(connection, &shape, column).await?);
        }
        for column in shape.stored_columns() {
            if !row.contains_key(&lower(&column.name))
                && !column.nullable
                && !column.has_default
                && !column.auto_increment
            {
                row.insert(lower(&column.name), plain_value(column)?);
            }
        }
        // A row that must refer to its own table refers to itself, unless the caller has said to which row.
        for key in keys.iter().filter(|key| key.parent == *table) {
            for (column, parent) in key.columns.iter().zip(&key.parent_columns) {
                let must = shape.column(column).is_some_and(|column| !column.nullable);
                if !must || given.contains(&lower(column)) {
                    continue;
                }
                let value = match row.get(&lower(parent)) {
                    Some(value) => value.clone(),
                    // One that may be NULL was left out so far.
                    None => self.unused_value(connection, &shape, shape.require(parent)?).await?,
                };
                row.insert(lower(parent), value.clone());
                row.insert(lower(column), value);
            }
        }
        Ok(row)
    }

    /// Makes the parent of a key, or finds it among the rows made, and gives the row its values.
    async fn parent(
        &mut self,
        connection: &mut Connection,
        key: &ForeignKey,
        row: &mut Values,
        depth: usize,
    ) -> Result<(), Error> {
        let mut given = Values::new();
        for (column, parent) in key.columns.iter().zip(&key.parent_columns) {
            if let Some(value) = row.get(&lower(column)) {
                given.insert(lower(parent), value.clone());
            }
        }
        let complete = given.len() == key.columns.len();
        let there = complete
            && self.made.iter().any(|(table, made)| {
                *table == key.parent && given.iter().all(|(column, value)| made.get(column) == Some(value))
            });
        if there {
            return Ok(());
        }
        let made = Box::pin(self.values(connection, &key.parent, given, depth + 1)).await?;
        self.insert(connection, &key.parent, &made).await?;
        for (column, parent) in key.columns.iter().zip(&key.parent_columns) {
            let value = made.get(&lower(parent)).cloned().ok_or_else(|| {
                cannot(format!(
                    "column {parent} of {} has a default, so its value for {} is not known",
                    key.parent, key.name
                ))
            })?;
            row.insert(lower(column), value);
        }
        Ok(())
    }

    /// A value of its column that no row has, and none that is made or promised.
    async fn unused_value(
        &self,
        connection: &mut Connection,
        shape: &Shape,
        column: &ShapeColumn,
    ) -> Result<String, Error> {
        let limit = limit_of(connection, shape, column).await?;
        for tried in 1..=GUESSES {
            // Counters begin at 1: where there is no gap below one, 0 is what is left.
            let last = tried == GUESSES && column.column_type.contains("unsigned");
            let value = if last { "0".to_owned() } else { guess(column, limit)? };
            let name = lower(&column.name);
            if self.made.iter().any(|(table, made)| *table == shape.name && made.get(&name) == Some(&value)) {
                continue;
            }
            let statement = format!(
                "SELECT EXISTS (SELECT 1 FROM {} t WHERE t.{} = {value})",
                shape.name.quoted(),
                column.name.quoted()
            );
            let taken: i64 = sqlx::raw_sql(sql(statement)).fetch_one(connection.raw()).await?.try_get(0)?;
            if taken == 0 {
                return Ok(value);
            }
        }
        Err(cannot(format!(
            "no unused value was found for the unique column {} of {} in {GUESSES} tries",
            column.name, shape.name
        )))
    }
}

/// Bytes of a BINARY column, each of whose values has all of them.
fn full_length(column: &ShapeColumn) -> usize {
    usize::try_from(column.character_maximum_length.unwrap_or(1)).unwrap_or(1)
}

/// Digits before the point of a `decimal(precision,scale)`.
fn integer_digits(column_type: &str) -> u32 {
    let arguments =
        column_type.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map_or("10,0", |(inner, _)| inner);
    let mut numbers = arguments.split(',').map(|number| number.trim().parse::<u32>().unwrap_or(0));
    let (precision, scale) = (numbers.next().unwrap_or(10), numbers.next().unwrap_or(0));
    precision.saturating_sub(scale)
}

/// The greatest value of an unsigned counter: below it an id moves nothing.
async fn limit_of(connection: &mut Connection, shape: &Shape, column: &ShapeColumn) -> Result<u64, Error> {
    if !column.column_type.contains("unsigned") {
        return Ok(0);
    }
    let statement =
        format!("SELECT CAST(COALESCE(MAX(t.{}), 0) AS UNSIGNED) FROM {} t", column.name.quoted(), shape.name.quoted());
    Ok(sqlx::raw_sql(sql(statement)).fetch_one(connection.raw()).await?.try_get(0)?)
}

fn guess(column: &ShapeColumn, limit: u64) -> Result<String, Error> {
    let random = fastrand::u64(1..1 << 40);
    Ok(match column.data_type.as_str() {
        _ if column.column_type.contains("unsigned") => {
            if !column.auto_increment {
                fastrand::u64(0..=limit.max(200)).to_string()
            } else {
                fastrand::u64(0..=limit).to_string()
            }
        }
        "tinyint" => format!("-{}", random % 128 + 1),
        "smallint" => format!("-{}", random % 32_768 + 1),
        "mediumint" => format!("-{}", random % 8_388_608 + 1),
        "int" => format!("-{}", random % 2_147_483_647 + 1),
        "bigint" => format!("-{random}"),
        "decimal" => format!("-{}", random % 10_u64.pow(integer_digits(&column.column_type).clamp(1, 9)) + 1),
        "float" | "double" => format!("-{}", random % 1_000_000 + 1),
        "binary" => {
            let digits: String = (0..full_length(column)).map(|_| format!("{:02x}", fastrand::u8(..))).collect();
            format!("x'{digits}'")
        }
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "varbinary" | "tinyblob" | "blob" => {
            let length = usize::try_from(column.character_maximum_length.unwrap_or(36).min(36)).unwrap_or(36);
            let text = format!("{:016x}{:016x}{:04x}", fastrand::u64(..), fastrand::u64(..), fastrand::u16(..));
            format!("'{}'", &text[..length])
        }
        "date" | "datetime" | "timestamp" => format!("'{}-01-{:02}'", 1971 + random % 60, random % 28 + 1),
        other => {
            return Err(cannot(format!(
                "no unused value can be made up for the unique column {} of type {other}",
                column.name
            )));
        }
    })
}

/// Some value of the column's type.
fn plain_value(column: &ShapeColumn) -> Result<String, Error> {
    Ok(match column.data_type.as_str() {
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "decimal" | "float" | "double" | "bit" | "enum" => {
            "1".to_owned()
        }
        // Shorter values are filled up when they are stored, and then no condition finds them.
        "binary" => format!("x'{}'", "00".repeat(full_length(column))),
        "set" | "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "varbinary" | "tinyblob"
        | "blob" | "mediumblob" | "longblob" => "''".to_owned(),
        "date" | "datetime" | "timestamp" => "'2001-01-01'".to_owned(),
        "time" => "'00:00:00'".to_owned(),
        "year" => "2001".to_owned(),
        "json" => "'{}'".to_owned(),
        "point" | "geometry" => format!("ST_GeomFromText('POINT(0 0)', {})", column.spatial_reference.unwrap_or(0)),
        other => return Err(cannot(format!("no value can be made up for column {} of type {other}", column.name))),
    })
}

/// The condition that finds a row by some of its values.
pub(crate) fn condition(columns: &[Identifier], values: &Values) -> Result<String, Error> {
    let parts = columns
        .iter()
        .map(|column| {
            let value =
                values.get(&lower(column)).ok_or_else(|| cannot(format!("no value is known for column {column}")))?;
            Ok(format!("{} = {value}", column.quoted()))
        })
        .collect::<Result<Vec<_>, Error>>()?;
    Ok(parts.join(" AND "))
}

/// Gives a child's columns the values of its parent's.
pub(crate) fn referring(key: &ForeignKey, parent: &Values) -> Result<Values, Error> {
    key.columns
        .iter()
        .zip(&key.parent_columns)
        .map(|(column, parent_column)| {
            let value = parent
                .get(&lower(parent_column))
                .cloned()
                .ok_or_else(|| cannot(format!("no value is known for column {parent_column} of {}", key.parent)))?;
            Ok((lower(column), value))
        })
        .collect()
}
