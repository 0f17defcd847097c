//! Quarantine: where rows and values go instead of being lost. Every table whose rows are touched has a table of its own beside
//! the journal, with the same columns and no constraint that could refuse or change a value, so that what comes back is exactly
//! what was taken. A table whose definition changes gets another one: a value never changes its type while it is kept.

use sha2::{Digest, Sha256};
use sqlx::Row;

use super::connection::{Connection, sql};
use super::deadline::{SHORT_STATEMENT, within};
use super::error::{Cause, Error};
use super::failpoints;
use super::journal_tables;
use super::row_shape::{self, Shape, ShapeColumn, of, pairs};
use super::session::Work;
use crate::plan::identifier::{Identifier, TableName, quoted_list};

/// Characters of a table's name that its quarantine table's name repeats, for people; a hash before them makes it unique.
const READABLE_CHARACTERS: usize = 30;
/// Columns of ours in a quarantine table begin with this.
const OWN_PREFIX: &str = "holdfast_";

/// What an entry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A whole row that was removed.
    Row,
    /// A row's primary key and old values of some of its columns, which were changed.
    Value,
    /// The same columns after the change, for the entry that `holdfast_of` names.
    After,
    /// A row's primary key and its value of a column that was dropped on the way back.
    Column,
}

impl Kind {
    /// As it stands in `holdfast_kind`.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Row => "Row",
            Self::Value => "Value",
            Self::After => "After",
            Self::Column => "Column",
        }
    }
}

/// Why an entry was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A child without a parent.
    Orphan,
    /// A row equal to another one.
    Duplicate,
    /// The named key took it along, or pointed it elsewhere.
    Key { name: Identifier, repointed: bool },
    /// A column was filled or dropped.
    Column(Identifier),
}

impl Reason {
    pub(crate) const ORPHAN: &'static str = "Orphan";
    pub(crate) const DUPLICATE: &'static str = "Duplicate";
    pub(crate) const CASCADED: &'static str = "CascadedBy";
    pub(crate) const COLUMN: &'static str = "Column";

    /// As it stands in `holdfast_reason`.
    pub(crate) fn text(&self) -> &'static str {
        match self {
            Self::Orphan => Self::ORPHAN,
            Self::Duplicate => Self::DUPLICATE,
            Self::Key { repointed: false, .. } => Self::CASCADED,
            Self::Key { repointed: true, .. } => "Repointed",
            Self::Column(_) => Self::COLUMN,
        }
    }

    /// As it stands in `holdfast_subject`: the key or the column.
    pub(crate) fn subject(&self) -> Option<&str> {
        match self {
            Self::Orphan | Self::Duplicate => None,
            Self::Key { name, .. } | Self::Column(name) => Some(name.as_str()),
        }
    }
}

/// What all entries of one statement have in common.
#[derive(Debug, Clone)]
pub(crate) struct Tag<'a> {
    /// [`crate::plan::Operation::id`].
    pub(crate) operation: &'a str,
    /// One number for everything that one transaction takes; later transactions have greater ones.
    pub(crate) batch: u64,
    pub(crate) kind: Kind,
    pub(crate) reason: Reason,
    /// How many cascades lie between the row that was meant and this one.
    pub(crate) depth: u32,
    /// Columns whose values are kept, for all kinds but Row.
    pub(crate) columns: &'a [Identifier],
}

/// The quarantine table of one table.
#[derive(Debug, Clone)]
pub(crate) struct Quarantine {
    /// The table whose rows it keeps.
    pub(crate) shape: Shape,
    name: TableName,
}

/// The first 16 hex digits of SHA-256 over the parts, unambiguously joined.
pub(crate) fn short_hash(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// A column's type without anything that could refuse or change a value.
pub(crate) fn column_definition(column: &ShapeColumn) -> String {
    let text = match (&column.character_set, &column.collation) {
        (Some(character_set), Some(collation)) => format!(" CHARACTER SET {character_set} COLLATE {collation}"),
        _ => String::new(),
    };
    format!("{}{text} NULL", column.column_type)
}

/// The name of a table's quarantine table, without prefix: at most 50 characters.
fn table_name(shape: &Shape) -> String {
    let columns: Vec<String> = shape
        .stored_columns()
        .into_iter()
        .map(|column| format!("{} {}", column.name.quoted(), column_definition(column)))
        .collect();
    let hash = short_hash(&[shape.name.schema.as_str(), shape.name.table.as_str(), &columns.join(", ")]);
    let readable: String = shape.name.table.as_str().chars().take(READABLE_CHARACTERS).collect();
    format!("q_{hash}_{}", readable.trim_end())
}

fn registry(work: &Work<'_>) -> Result<TableName, Error> {
    work.journal.table("quarantine_tables")
}

async fn create_registry(registry: &TableName, connection: &mut Connection) -> Result<(), Error> {
    let statement = format!(
        "CREATE TABLE IF NOT EXISTS {} (name VARCHAR(64) NOT NULL PRIMARY KEY, source_schema VARCHAR(64) NOT NULL, \
         source_table VARCHAR(64) NOT NULL, generated_columns LONGTEXT NOT NULL, created_at DATETIME(6) NOT NULL) \
         ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        registry.quoted()
    );
    connection.run(&statement).await.map(drop)
}

impl Quarantine {
    /// The quarantine table of a table, created where it is missing. No transaction may be open on the connection.
    pub(crate) async fn ensure(work: &Work<'_>, connection: &mut Connection, shape: Shape) -> Result<Self, Error> {
        if let Some(column) =
            shape.columns.iter().find(|column| column.name.as_str().to_lowercase().starts_with(OWN_PREFIX))
        {
            return Err(Error::new(
                Cause::InvalidSpec,
                format!(
                    "column {} of table {} begins with {OWN_PREFIX}, which quarantine keeps for its own columns: rename it, or leave the table out",
                    column.name, shape.name
                ),
            ));
        }
        let name = work.journal.table(&table_name(&shape))?;
        let quarantine = Self { shape, name };
        within(
            SHORT_STATEMENT,
            format!("preparing the quarantine of {}", quarantine.shape.name),
            quarantine.create(work, connection),
        )
        .await?;
        Ok(quarantine)
    }

    /// Reads a table's shape and gives its quarantine table.
    pub(crate) async fn of_table(
        work: &Work<'_>,
        connection: &mut Connection,
        table: &TableName,
    ) -> Result<Self, Error> {
        let shape = row_shape::read(connection, table).await?;
        Self::ensure(work, connection, shape).await
    }

    /// Whether the table is there and registered. CREATE TABLE IF NOT EXISTS costs a write even where there is nothing to create.
    async fn exists(&self, work: &Work<'_>, connection: &mut Connection) -> Result<bool, Error> {
        Ok(registered(work, connection).await?.iter().any(|known| known.name == self.name)
            && journal_tables::exists(&self.name, connection).await?)
    }

    async fn create(&self, work: &Work<'_>, connection: &mut Connection) -> Result<(), Error> {
        if self.exists(work, connection).await? {
            return Ok(());
        }
        let columns: Vec<String> = self
            .shape
            .stored_columns()
            .into_iter()
            .map(|column| format!("{} {}", column.name.quoted(), column_definition(column)))
            .collect();
        connection
            .run(&format!(
                "CREATE TABLE IF NOT EXISTS {} (holdfast_id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, \
                 holdfast_migration CHAR(36) CHARACTER SET ascii NOT NULL, \
                 holdfast_operation VARCHAR(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, \
                 holdfast_batch BIGINT UNSIGNED NOT NULL, holdfast_kind VARCHAR(10) CHARACTER SET ascii NOT NULL, \
                 holdfast_depth INT UNSIGNED NOT NULL, holdfast_of BIGINT UNSIGNED NULL, \
                 holdfast_reason VARCHAR(20) CHARACTER SET ascii NOT NULL, \
                 holdfast_subject VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL, \
                 holdfast_columns TEXT CHARACTER SET utf8mb4 NULL, holdfast_taken_at DATETIME(6) NOT NULL, \
                 holdfast_restored_at DATETIME(6) NULL, {}, \
                 KEY holdfast_by_batch (holdfast_batch, holdfast_kind, holdfast_depth), \
                 KEY holdfast_by_operation (holdfast_migration, holdfast_operation, holdfast_batch), \
                 KEY holdfast_by_of (holdfast_of)) ENGINE = InnoDB ROW_FORMAT = DYNAMIC",
                self.name.quoted(),
                columns.join(", ")
            ))
            .await?;
        let registry = registry(work)?;
        if !journal_tables::exists(&registry, connection).await? {
            create_registry(&registry, connection).await?;
        }
        let registry = registry.quoted();
        let generated: Vec<&str> =
            self.shape.columns.iter().filter(|column| column.generated).map(|column| column.name.as_str()).collect();
        failpoints::before("registering the quarantine table");
        sqlx::query(sql(format!(
            "INSERT INTO {registry} (name, source_schema, source_table, generated_columns, created_at) \
             VALUES (?, ?, ?, ?, UTC_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE name = name"
        )))
        .bind(self.name.table.as_str())
        .bind(self.shape.name.schema.as_str())
        .bind(self.shape.name.table.as_str())
        .bind(json(&generated)?)
        .execute(connection.raw())
        .await?;
        failpoints::after("registering the quarantine table");
        Ok(())
    }

    /// The quarantine table's name as SQL.
    pub(crate) fn quoted(&self) -> String {
        self.name.quoted()
    }

    /// Conditions that find the entry of a row by its primary key.
    pub(crate) fn same_row(&self, entry: &str, row: &str) -> Result<String, Error> {
        let key = self.shape.require_primary_key()?;
        Ok(pairs(row, key, entry, key))
    }

    /// Copies what `source` (`FROM ... WHERE ...`, locking clauses included) finds under `alias` into the quarantine, `values` bound
    /// to its parameters; returns how many entries that made. `of` is the SQL of the entry that a [`Kind::After`] belongs to.
    pub(crate) async fn take(
        &self,
        work: &Work<'_>,
        connection: &mut Connection,
        tag: &Tag<'_>,
        (alias, of_entry): (&str, &str),
        source: &str,
        values: &[u64],
    ) -> Result<u64, Error> {
        let columns: Vec<Identifier> = if tag.kind == Kind::Row {
            self.shape.stored_columns().into_iter().map(|column| column.name.clone()).collect()
        } else {
            let key = self.shape.require_primary_key()?;
            let others =
                tag.columns.iter().filter(|column| !key.iter().any(|part| row_shape::same_column(part, column)));
            key.iter().chain(others).cloned().collect()
        };
        let names: Vec<&str> = tag.columns.iter().map(Identifier::as_str).collect();
        let statement = format!(
            "INSERT INTO {} (holdfast_migration, holdfast_operation, holdfast_batch, holdfast_kind, holdfast_depth, holdfast_of, \
             holdfast_reason, holdfast_subject, holdfast_columns, holdfast_taken_at, {}) \
             SELECT ?, ?, ?, ?, ?, {of_entry}, ?, ?, ?, UTC_TIMESTAMP(6), {} {source}",
            self.quoted(),
            quoted_list(&columns),
            of(alias, &columns),
        );
        let mut query = sqlx::query(sql(statement))
            .bind(work.journal.migration())
            .bind(tag.operation)
            .bind(tag.batch)
            .bind(tag.kind.text())
            .bind(tag.depth)
            .bind(tag.reason.text())
            .bind(tag.reason.subject())
            .bind(if tag.kind == Kind::Row { None } else { Some(json(&names)?) });
        for value in values {
            query = query.bind(*value);
        }
        let taken = query.execute(connection.raw()).await?.rows_affected();
        // What is copied is not removed yet, and must not stay where it is not.
        failpoints::after("copying to the quarantine");
        Ok(taken)
    }

    /// How many entries of a batch have a row in the table that meets `condition` (on `e` and `t`).
    pub(crate) async fn count_in_table(
        &self,
        connection: &mut Connection,
        batch: u64,
        kind: Kind,
        condition: &str,
    ) -> Result<u64, Error> {
        let statement = format!(
            "SELECT COUNT(*) FROM {} e STRAIGHT_JOIN {} t FORCE INDEX (PRIMARY) ON {} \
             WHERE e.holdfast_batch = ? AND e.holdfast_kind = ? AND {condition}",
            self.quoted(),
            self.shape.name.quoted(),
            self.same_row("e", "t")?,
        );
        let row = sqlx::query(sql(statement)).bind(batch).bind(kind.text()).fetch_one(connection.raw()).await?;
        Ok(u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or(0))
    }
}

fn json(names: &[&str]) -> Result<String, Error> {
    serde_json::to_string(names).map_err(|error| Error::new(Cause::UnknownFormat, format!("names as JSON: {error}")))
}

/// A number for a new batch, greater than all before on this server.
pub(crate) async fn new_batch(connection: &mut Connection) -> Result<u64, Error> {
    Ok(sqlx::raw_sql("SELECT UUID_SHORT()").fetch_one(connection.raw()).await?.try_get(0)?)
}

/// A quarantine table and the table that it belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Registered {
    pub(crate) name: TableName,
    pub(crate) source: TableName,
}

/// All quarantine tables beside the journal.
pub(crate) async fn registered(work: &Work<'_>, connection: &mut Connection) -> Result<Vec<Registered>, Error> {
    registered_in(&registry(work)?, connection).await
}

/// All quarantine tables that a registry names.
pub(crate) async fn registered_in(registry: &TableName, connection: &mut Connection) -> Result<Vec<Registered>, Error> {
    if !journal_tables::exists(registry, connection).await? {
        return Ok(Vec::new());
    }
    let statement = format!("SELECT name, source_schema, source_table FROM {} ORDER BY name", registry.quoted());
    let rows = sqlx::raw_sql(sql(statement)).fetch_all(connection.raw()).await?;
    let name = |row: &sqlx::mysql::MySqlRow, index: usize| -> Result<Identifier, Error> {
        Identifier::new(row.try_get::<String, _>(index)?)
            .map_err(|error| Error::new(Cause::UnknownFormat, format!("{registry}: {error}")))
    };
    rows.iter()
        .map(|row| {
            Ok(Registered {
                name: TableName::new(registry.schema.clone(), name(row, 0)?),
                source: TableName::new(name(row, 1)?, name(row, 2)?),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shape(table: &str, columns: &[(&str, &str)]) -> Shape {
        let columns = columns
            .iter()
            .map(|(name, column_type)| ShapeColumn {
                name: Identifier::new(*name).unwrap(),
                data_type: (*column_type).to_owned(),
                column_type: (*column_type).to_owned(),
                character_set: None,
                collation: None,
                character_maximum_length: None,
                nullable: false,
                has_default: true,
                generated: false,
                auto_increment: false,
                on_update_timestamp: false,
                spatial_reference: None,
            })
            .collect();
        Shape {
            name: TableName::new(Identifier::new("shop").unwrap(), Identifier::new(table).unwrap()),
            columns,
            primary_key: Vec::new(),
            indexes: Vec::new(),
            triggers: Vec::new(),
            estimated_rows: 0,
        }
    }

    #[test]
    fn a_quarantine_tables_name_fits_and_tells_long_names_apart() {
        let (one, two) = (format!("{}1", "é".repeat(63)), format!("{}2", "é".repeat(63)));
        let (one, two) = (table_name(&shape(&one, &[("id", "int")])), table_name(&shape(&two, &[("id", "int")])));
        assert!(one.chars().count() <= 50, "{one}");
        assert_ne!(one, two);
    }

    #[test]
    fn a_changed_definition_gets_another_quarantine_table() {
        assert_ne!(table_name(&shape("a", &[("id", "int")])), table_name(&shape("a", &[("id", "bigint")])));
    }

    #[test]
    fn quarantine_columns_accept_everything() {
        let mut text = shape("a", &[("name", "varchar(20)")]).columns.remove(0);
        text.character_set = Some("latin1".to_owned());
        text.collation = Some("latin1_bin".to_owned());
        assert_eq!(column_definition(&text), "varchar(20) CHARACTER SET latin1 COLLATE latin1_bin NULL");
    }
}
