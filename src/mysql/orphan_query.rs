//! The SQL that finds children without a parent, built in one place, because validation, cleanup and proof must mean the same
//! rows by "orphan". The form of a query is chosen by index and size: on five million rows the wrong one is ten times dearer.
//!
//! A key is MATCH SIMPLE: a row with NULL in any of the key's columns refers to nothing and is never an orphan. `NOT IN` is not
//! used, since one NULL among the parents makes it find nothing.

use std::collections::BTreeMap;

use sqlx::Row;

use super::connection::{Connection, sql};
use super::error::{Cause, Error};
use crate::plan::catalogue::ForeignKey;
use crate::plan::identifier::{Identifier, TableName, quoted_list};

/// More distinct keys than this and grouping them first costs as much as it saves (measured at two million).
const DISTINCT_FIRST_LIMIT: u64 = 1_500_000;
/// Fewer children to a distinct key than this and a hash table of the parent is cheaper than grouping them first, by half where
/// there is hardly more than one (measured on tables of 8,000 to 100,000 rows).
const CHILDREN_TO_A_KEY: u64 = 16;
/// A child this many times smaller than its parent is looked up row by row; a hash table of the parent would cost more.
const HASH_JOIN_RATIO: u64 = 20;

/// How a child's column is compared with its parent's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// As they are.
    Plain,
    /// The child's text is brought to the parent's character set and collation first: mixed ones fail with error 1267.
    Text {
        /// Character set of the parent's column.
        character_set: String,
        /// Collation of the parent's column.
        collation: String,
    },
}

/// How a count over all children is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// The child's distinct keys from its index, then the parent for each of them.
    DistinctFirst,
    /// A hash table of the parent, then one scan of the child.
    HashJoin,
    /// One look-up in the parent's index for every child.
    Lookup,
}

/// Everything that queries about one key's orphans need.
#[derive(Debug, Clone)]
pub(crate) struct OrphanQuery {
    /// The key.
    pub(crate) key: ForeignKey,
    /// One for each pair of columns.
    pub(crate) comparisons: Vec<Comparison>,
    /// How to count.
    pub(crate) strategy: Strategy,
}

/// Of a column only what comparing needs.
#[derive(Debug)]
struct ColumnText {
    character_set: Option<String>,
    collation: Option<String>,
}

type Columns = BTreeMap<String, ColumnText>;

/// The columns of both tables, by their names in lower case.
#[derive(Debug, Default)]
struct BothColumns {
    child: Columns,
    parent: Columns,
}

impl OrphanQuery {
    /// Learns from the catalogue how the columns compare and which form of query is cheapest.
    ///
    /// # Errors
    /// [`Cause::Drifted`] when a column of the key does not exist; else what the server answers.
    pub(crate) async fn read(connection: &mut Connection, key: &ForeignKey) -> Result<Self, Error> {
        let columns = read_columns(connection, key).await?;
        Self::of(connection, key, &columns).await
    }

    /// The same; `None` where a column of the key does not exist yet.
    ///
    /// # Errors
    /// What the server answers.
    pub(crate) async fn read_if_there(connection: &mut Connection, key: &ForeignKey) -> Result<Option<Self>, Error> {
        let columns = read_columns(connection, key).await?;
        let there = |found: &Columns, wanted: &[Identifier]| {
            wanted.iter().all(|column| found.contains_key(&column.as_str().to_lowercase()))
        };
        if there(&columns.child, &key.columns) && there(&columns.parent, &key.parent_columns) {
            Ok(Some(Self::of(connection, key, &columns).await?))
        } else {
            Ok(None)
        }
    }

    async fn of(connection: &mut Connection, key: &ForeignKey, columns: &BothColumns) -> Result<Self, Error> {
        let comparisons = key
            .columns
            .iter()
            .zip(&key.parent_columns)
            .map(|(column, parent_column)| {
                let of_child = find(&columns.child, &key.child, column)?;
                let of_parent = find(&columns.parent, &key.parent, parent_column)?;
                Ok(match (&of_child.collation, &of_parent.character_set, &of_parent.collation) {
                    (Some(own), Some(character_set), Some(collation)) if own != collation => {
                        Comparison::Text { character_set: character_set.clone(), collation: collation.clone() }
                    }
                    _ => Comparison::Plain,
                })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let strategy = if comparisons.iter().any(|comparison| *comparison != Comparison::Plain) {
            // Grouping happens in the child's collation, which may join keys that the parent's tells apart.
            Strategy::HashJoin
        } else {
            let distinct =
                index_cardinality(connection, key).await?.filter(|distinct| *distinct <= DISTINCT_FIRST_LIMIT);
            let (child_rows, parent_rows) = estimated_rows(connection, key).await?;
            choose(connection.dialect.has_hash_joins(), distinct, child_rows, parent_rows)
        };
        Ok(Self { key: key.clone(), comparisons, strategy })
    }

    /// `child.a IS NOT NULL AND child.b IS NOT NULL`, for the alias of the child.
    pub(crate) fn not_null(&self, child: &str) -> String {
        self.key
            .columns
            .iter()
            .map(|column| format!("{child}.{} IS NOT NULL", column.quoted()))
            .collect::<Vec<_>>()
            .join(" AND ")
    }

    /// `parent.id = child.a AND ...`, for the aliases of both.
    pub(crate) fn matches(&self, child: &str, parent: &str) -> String {
        self.key
            .columns
            .iter()
            .zip(&self.key.parent_columns)
            .zip(&self.comparisons)
            .map(|((column, parent_column), comparison)| {
                let left = format!("{parent}.{}", parent_column.quoted());
                let right = format!("{child}.{}", column.quoted());
                match comparison {
                    Comparison::Plain => format!("{left} = {right}"),
                    Comparison::Text { character_set, collation } => {
                        format!("{left} = CONVERT({right} USING {character_set}) COLLATE {collation}")
                    }
                }
            })
            .collect::<Vec<_>>()
            .join(" AND ")
    }

    /// `child AS c LEFT JOIN parent AS p ... WHERE <orphan>`: what follows FROM in a query over all orphans. `c` is the child.
    pub(crate) fn anti_join(&self) -> String {
        let missing = self.key.parent_columns.first().map(Identifier::quoted).unwrap_or_default();
        format!(
            "{} AS c LEFT JOIN {} AS p ON {} WHERE {} AND p.{missing} IS NULL",
            self.key.child.quoted(),
            self.key.parent.quoted(),
            self.matches("c", "p"),
            self.not_null("c"),
        )
    }

    /// The optimizer hint that belongs after SELECT in a query over [`Self::anti_join`].
    pub(crate) fn hint(&self) -> &'static str {
        match self.strategy {
            // Without indexes on the parent the server must build a hash table of it; with little memory it would build it in files.
            Strategy::HashJoin => "/*+ NO_INDEX(p) SET_VAR(join_buffer_size = 67108864) */ ",
            Strategy::DistinctFirst | Strategy::Lookup => "",
        }
    }

    /// Counts the orphans: one row, one column of type BIGINT UNSIGNED.
    pub(crate) fn count_statement(&self) -> String {
        match self.strategy {
            Strategy::DistinctFirst => format!(
                "SELECT CAST(COALESCE(SUM(c.holdfast_rows), 0) AS UNSIGNED) FROM {} LEFT JOIN {} AS p ON {} WHERE p.{} IS NULL",
                self.distinct_children(),
                self.key.parent.quoted(),
                self.matches("c", "p"),
                self.key.parent_columns.first().map(Identifier::quoted).unwrap_or_default(),
            ),
            Strategy::HashJoin | Strategy::Lookup => {
                format!("SELECT {}CAST(COUNT(*) AS UNSIGNED) FROM {}", self.hint(), self.anti_join())
            }
        }
    }

    /// Up to `limit` keys that have no parent, each once: one text column, the key's values joined by `, `.
    pub(crate) fn sample_statement(&self, limit: u32) -> String {
        let values = self
            .key
            .columns
            .iter()
            .map(|column| format!("CAST(c.{} AS CHAR)", column.quoted()))
            .collect::<Vec<_>>()
            .join(", ");
        format!("SELECT {}DISTINCT CONCAT_WS(', ', {values}) FROM {} LIMIT {limit}", self.hint(), self.anti_join())
    }

    /// Some columns of all orphan rows, for writing them down before they are treated in batches.
    pub(crate) fn rows_statement(&self, columns: &[Identifier]) -> String {
        let columns = columns.iter().map(|column| format!("c.{}", column.quoted())).collect::<Vec<_>>().join(", ");
        format!("SELECT {}{columns} FROM {}", self.hint(), self.anti_join())
    }

    fn distinct_children(&self) -> String {
        let columns = quoted_list(&self.key.columns);
        let present =
            self.key.columns.iter().map(|column| format!("{} IS NOT NULL", column.quoted())).collect::<Vec<_>>();
        format!(
            "(SELECT {columns}, COUNT(*) AS holdfast_rows FROM {} WHERE {} GROUP BY {columns}) AS c",
            self.key.child.quoted(),
            present.join(" AND "),
        )
    }
}

/// The cheapest way to count. `distinct`: keys among the children, where an index tells them apart and they are not too many.
fn choose(hash_joins: bool, distinct: Option<u64>, child_rows: u64, parent_rows: u64) -> Strategy {
    match distinct {
        Some(distinct) if !hash_joins || distinct.saturating_mul(CHILDREN_TO_A_KEY) <= child_rows => {
            Strategy::DistinctFirst
        }
        _ if child_rows.saturating_mul(HASH_JOIN_RATIO) < parent_rows => Strategy::Lookup,
        _ => Strategy::HashJoin,
    }
}

/// How many children of a key have no parent, and what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) orphans: u64,
    /// The statement, as anybody may run it again.
    pub(crate) query: String,
}

/// Counts the children of one key that have no parent, on the connection's current view of the data.
///
/// # Errors
/// What [`OrphanQuery::read`] and the server answer.
pub(crate) async fn count_orphans(connection: &mut Connection, key: &ForeignKey) -> Result<Answer, Error> {
    let query = OrphanQuery::read(connection, key).await?;
    Ok(Answer { orphans: count(connection, &query).await?, query: query.count_statement() })
}

/// Counts with a query that was prepared before.
pub(crate) async fn count(connection: &mut Connection, query: &OrphanQuery) -> Result<u64, Error> {
    let what = || format!("counting orphans of {} ({} -> {})", query.key.name, query.key.child, query.key.parent);
    let row = sqlx::raw_sql(sql(query.count_statement()))
        .fetch_one(connection.raw())
        .await
        .map_err(|error| Error::from(error).while_doing(what()))?;
    row.try_get(0).map_err(|error| Error::from(error).while_doing(what()))
}

fn find<'a>(columns: &'a Columns, table: &TableName, column: &Identifier) -> Result<&'a ColumnText, Error> {
    columns.get(&column.as_str().to_lowercase()).ok_or_else(|| {
        Error::new(
            Cause::Drifted,
            format!("{table} has no column {column} (or the account may not see it): the catalogue is not what was planned for"),
        )
    })
}

/// Both tables by one query: there is one for each key of a plan.
async fn read_columns(connection: &mut Connection, key: &ForeignKey) -> Result<BothColumns, Error> {
    const COLUMNS: &str = "CAST(COLUMN_NAME AS CHAR), CAST(CHARACTER_SET_NAME AS CHAR), CAST(COLLATION_NAME AS CHAR) \
         FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?";
    let rows = sqlx::query(sql(format!("SELECT 0, {COLUMNS} UNION ALL SELECT 1, {COLUMNS}")))
        .bind(key.child.schema.as_str())
        .bind(key.child.table.as_str())
        .bind(key.parent.schema.as_str())
        .bind(key.parent.table.as_str())
        .fetch_all(connection.raw())
        .await?;
    let mut found = BothColumns::default();
    for row in &rows {
        let (of_parent, name): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
        let columns = if of_parent == 1 { &mut found.parent } else { &mut found.child };
        columns.insert(name.to_lowercase(), ColumnText { character_set: row.try_get(2)?, collation: row.try_get(3)? });
    }
    Ok(found)
}

/// Distinct values of the child's key, by an index that begins with its columns; `None` without such an index.
async fn index_cardinality(connection: &mut Connection, key: &ForeignKey) -> Result<Option<u64>, Error> {
    let rows = sqlx::query(sql(format!(
        "SELECT CAST(INDEX_NAME AS CHAR), CAST(IF(SUB_PART IS NULL, COLUMN_NAME, NULL) AS CHAR), CAST(CARDINALITY AS UNSIGNED) \
         FROM information_schema.STATISTICS \
         WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND INDEX_TYPE = 'BTREE' AND {} = 'YES' \
         ORDER BY INDEX_NAME, SEQ_IN_INDEX",
        connection.dialect.index_is_visible()
    )))
    .bind(key.child.schema.as_str())
    .bind(key.child.table.as_str())
    .fetch_all(connection.raw())
    .await?;
    let mut indexes: BTreeMap<String, Vec<(String, u64)>> = BTreeMap::new();
    for row in &rows {
        let column: Option<String> = row.try_get(1)?;
        let cardinality: Option<u64> = row.try_get(2)?;
        indexes
            .entry(row.try_get(0)?)
            .or_default()
            .push((column.unwrap_or_default().to_lowercase(), cardinality.unwrap_or(u64::MAX)));
    }
    Ok(indexes
        .values()
        .filter(|parts| {
            parts.len() >= key.columns.len()
                && key
                    .columns
                    .iter()
                    .zip(parts.iter())
                    .all(|(column, (part, _))| column.as_str().to_lowercase() == *part)
        })
        // Cardinality is that of the index up to and including the part.
        .filter_map(|parts| parts.get(key.columns.len() - 1).map(|(_, cardinality)| *cardinality))
        .min())
}

/// Rows of the child and of the parent, by the server's statistics.
async fn estimated_rows(connection: &mut Connection, key: &ForeignKey) -> Result<(u64, u64), Error> {
    const ROWS: &str = "(SELECT CAST(COALESCE(TABLE_ROWS, 0) AS UNSIGNED) FROM information_schema.TABLES \
         WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?)";
    let row = sqlx::query(sql(format!("SELECT {ROWS}, {ROWS}")))
        .bind(key.child.schema.as_str())
        .bind(key.child.table.as_str())
        .bind(key.parent.schema.as_str())
        .bind(key.parent.table.as_str())
        .fetch_one(connection.raw())
        .await?;
    let there = |rows: Option<u64>, table: &TableName| {
        rows.ok_or_else(|| {
            Error::new(
                Cause::Drifted,
                format!(
                    "{table} does not exist (or the account may not see it): the catalogue is not what was planned for"
                ),
            )
        })
    };
    Ok((there(row.try_get(0)?, &key.child)?, there(row.try_get(1)?, &key.parent)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::plan::catalogue::ReferentialAction;

    fn name(text: &str) -> Identifier {
        Identifier::new(text).unwrap()
    }

    fn query(strategy: Strategy) -> OrphanQuery {
        OrphanQuery {
            key: ForeignKey {
                name: name("fk"),
                child: TableName::new(name("shop"), name("child")),
                columns: vec![name("a"), name("b")],
                parent: TableName::new(name("shop"), name("parent")),
                parent_columns: vec![name("x"), name("y")],
                on_delete: ReferentialAction::NoAction,
                on_update: ReferentialAction::NoAction,
            },
            comparisons: vec![
                Comparison::Plain,
                Comparison::Text { character_set: "utf8mb4".into(), collation: "utf8mb4_bin".into() },
            ],
            strategy,
        }
    }

    #[test]
    fn every_column_of_a_composite_key_is_guarded_against_null() {
        assert_eq!(query(Strategy::Lookup).not_null("c"), "c.`a` IS NOT NULL AND c.`b` IS NOT NULL");
        assert!(query(Strategy::DistinctFirst).count_statement().contains("WHERE `a` IS NOT NULL AND `b` IS NOT NULL"));
    }

    #[test]
    fn text_of_another_collation_is_brought_to_the_parents() {
        assert_eq!(
            query(Strategy::Lookup).matches("c", "p"),
            "p.`x` = c.`a` AND p.`y` = CONVERT(c.`b` USING utf8mb4) COLLATE utf8mb4_bin"
        );
    }

    #[test]
    fn few_children_to_a_key_are_counted_by_a_hash_table_where_the_server_has_any() {
        assert_eq!(choose(true, Some(100_000), 5_000_000, 100_000), Strategy::DistinctFirst);
        assert_eq!(choose(true, Some(30_000), 40_000, 60_000), Strategy::HashJoin);
        assert_eq!(choose(false, Some(30_000), 40_000, 60_000), Strategy::DistinctFirst);
        assert_eq!(choose(true, None, 40_000, 60_000), Strategy::HashJoin);
        assert_eq!(choose(true, Some(900), 1_000, 60_000), Strategy::Lookup);
    }

    #[test]
    fn no_form_uses_not_in() {
        for strategy in [Strategy::DistinctFirst, Strategy::HashJoin, Strategy::Lookup] {
            let query = query(strategy);
            for text in [query.count_statement(), query.sample_statement(5), query.rows_statement(&[name("id")])] {
                assert!(!text.contains("NOT IN"), "{text}");
            }
        }
    }
}
