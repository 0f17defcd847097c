//! A picture of the server and of the tables that a plan concerns, as read from the catalogue at one moment. Plain data:
//! `mysql::catalogue` fills it, the planner and the drift check read it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::identifier::{Identifier, TableName};

/// Which server software answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Flavour {
    /// Oracle's MySQL and servers that behave as it does (Percona Server).
    MySql,
    /// MariaDB.
    MariaDb,
}

/// A server's version as numbers, compared in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Patch number.
    pub patch: u32,
}

/// What identifies a server and decides how it behaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Software.
    pub flavour: Flavour,
    /// Version.
    pub version: Version,
    /// `@@version` with `@@version_comment`, for messages.
    pub version_text: String,
    /// `@@server_uuid` (MariaDB, which has none: the `server_id`, host and port as text).
    pub server_uuid: String,
    /// Whether InnoDB itself enforces foreign keys (all servers but MySQL 9.7 and later in their default mode).
    pub native_foreign_keys: bool,
    /// `@@lower_case_table_names`.
    pub lower_case_table_names: u8,
    /// Global variables that decide what statements do, by name, for a server that is to behave as this one. Empty in plans of older
    /// versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
}

impl Server {
    /// Whether the catalogue shows integers with a display width: `int(11)`. MySQL gave that up, MariaDB did not.
    #[must_use]
    pub fn shows_display_widths(&self) -> bool {
        self.flavour == Flavour::MariaDb || self.version < Version { major: 8, minor: 0, patch: 19 }
    }
}

impl Column {
    /// Whether a CHECK clause or an expression of the catalogue names this column. MySQL keeps the letters of whoever wrote the expression.
    #[must_use]
    pub fn named_in(&self, expression: &str) -> bool {
        expression.to_lowercase().contains(&self.name.quoted().to_lowercase())
    }
}

/// Everything that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalogue {
    /// The server.
    pub server: Server,
    /// The schema that the migration names, as the server spells it.
    pub schema: Identifier,
    /// Tables that the specification names and those that keys connect with them, by name. A table that is named but
    /// absent here does not exist.
    pub tables: BTreeMap<String, Table>,
    /// All foreign keys whose child or parent is in the migration's schema.
    pub foreign_keys: Vec<ForeignKey>,
}

impl Catalogue {
    /// Looks a table up by its name.
    #[must_use]
    pub fn table(&self, name: &TableName) -> Option<&Table> {
        self.tables.get(&name.to_string())
    }
}

/// One table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Schema and name.
    pub name: TableName,
    /// Storage engine, as the catalogue spells it (`InnoDB`).
    pub engine: String,
    /// Row format, as the catalogue spells it (`Dynamic`).
    pub row_format: String,
    /// Default collation.
    pub collation: Option<String>,
    /// Whether the table is partitioned.
    pub partitioned: bool,
    /// Columns in their order.
    pub columns: Vec<Column>,
    /// Indexes, the primary key (`PRIMARY`) included.
    pub indexes: Vec<Index>,
    /// Names of triggers on the table.
    pub triggers: Vec<String>,
    /// CHECK constraints: name and clause.
    pub checks: Vec<(String, String)>,
    /// Rows by the server's estimate (`TABLE_ROWS`).
    pub estimated_rows: u64,
    /// Bytes of data and of indexes by the server's estimate.
    pub data_bytes: u64,
    /// Bytes of secondary indexes by the server's estimate.
    pub index_bytes: u64,
    /// INSTANT column changes since the table was last rebuilt (`TOTAL_ROW_VERSIONS`); `None` where the server does not count
    /// them, or they were not read.
    pub row_versions: Option<u64>,
    /// `SHOW CREATE TABLE` with the AUTO_INCREMENT value removed: the before-image.
    pub create_statement: String,
}

impl Table {
    /// Looks a column up (column names do not distinguish upper and lower case).
    #[must_use]
    pub fn column(&self, name: &Identifier) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.as_str().to_lowercase() == name.as_str().to_lowercase())
    }

    /// The columns of the primary key, in order; empty without one.
    #[must_use]
    pub fn primary_key(&self) -> Vec<Identifier> {
        self.indexes
            .iter()
            .find(|index| index.name.as_str() == "PRIMARY")
            .map(|index| index.parts.iter().filter_map(|part| part.column.clone()).collect())
            .unwrap_or_default()
    }
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Name.
    pub name: Identifier,
    /// Full type as the catalogue spells it (`bigint unsigned`, `varchar(100)`).
    pub column_type: String,
    /// Type without length and sign (`bigint`, `varchar`).
    pub data_type: String,
    /// Whether NULL is allowed.
    pub nullable: bool,
    /// Default as the catalogue has it; `None` is no default or NULL.
    pub default: Option<String>,
    /// `EXTRA` of the catalogue (`auto_increment`, `DEFAULT_GENERATED on update CURRENT_TIMESTAMP`, `INVISIBLE`, ...).
    pub extra: String,
    /// Character set of a text column.
    pub character_set: Option<String>,
    /// Collation of a text column.
    pub collation: Option<String>,
    /// Expression of a generated column.
    pub generation_expression: Option<String>,
    /// Comment.
    pub comment: String,
    /// Longest value in characters, for text.
    pub character_maximum_length: Option<u64>,
    /// Longest value in bytes, for text.
    pub character_octet_length: Option<u64>,
}

/// One index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// Name; the primary key's is `PRIMARY`.
    pub name: Identifier,
    /// Whether it forbids duplicates.
    pub unique: bool,
    /// Whether the optimizer may use it.
    pub visible: bool,
    /// `BTREE`, `FULLTEXT`, `SPATIAL` or `HASH`.
    pub kind: String,
    /// Distinct values of the whole index by the server's estimate.
    pub cardinality: Option<u64>,
    /// Columns in their order.
    pub parts: Vec<IndexPart>,
}

/// One column of an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexPart {
    /// The column; `None` for an expression.
    pub column: Option<Identifier>,
    /// Length of a prefix in characters; `None` for the whole column.
    pub prefix: Option<u64>,
    /// Whether it is sorted downwards.
    pub descending: bool,
}

/// What happens to children when their parent goes or changes its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ReferentialAction {
    /// Refuse.
    Restrict,
    /// Refuse (in InnoDB the same as Restrict).
    NoAction,
    /// Delete or update the children too.
    Cascade,
    /// Set the children's columns to NULL.
    SetNull,
}

impl ReferentialAction {
    /// The action as SQL.
    #[must_use]
    pub fn sql(self) -> &'static str {
        match self {
            Self::Restrict => "RESTRICT",
            Self::NoAction => "NO ACTION",
            Self::Cascade => "CASCADE",
            Self::SetNull => "SET NULL",
        }
    }

    /// Whether two actions mean the same: RESTRICT and NO ACTION do to InnoDB, and servers differ in which one they show.
    #[must_use]
    pub fn means(self, other: Self) -> bool {
        let refuses = |action| matches!(action, Self::Restrict | Self::NoAction);
        self == other || (refuses(self) && refuses(other))
    }
}

/// One foreign key: in the catalogue, or wanted by a migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKey {
    /// Name of the constraint.
    pub name: Identifier,
    /// The table that refers.
    pub child: TableName,
    /// Its columns, in order.
    pub columns: Vec<Identifier>,
    /// The table referred to.
    pub parent: TableName,
    /// Its columns, in the same order.
    pub parent_columns: Vec<Identifier>,
    /// What a parent's deletion does.
    pub on_delete: ReferentialAction,
    /// What a change of the parent's key does.
    pub on_update: ReferentialAction,
}
