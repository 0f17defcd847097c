//! Asks the database, by plain SQL, whether it really contains what a truth says was planted.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::mysql::MySqlConnection;
use sqlx::{Connection, Row};

use super::connection::{Server, sql};
use super::failure::{Failure, Result, WhileDoing};
use super::relations::{self, FIRST_APPLICATION_ID, Orphans, Relation};
use super::truth::{BackfillTruth, RelationTruth, Truth, UniqueTruth};

/// Children asked for in one query, when the loss of their parents is followed.
const PARENTS_PER_QUERY: usize = 500;

/// A primary key's values.
type Key = Vec<u64>;

/// Compares, and returns every difference in words.
pub(crate) async fn differences(server: &Server, truth: &Truth) -> Result<Vec<String>> {
    let mut connection = server.connect().await?;
    let mut found = Vec::new();
    let mut compare = |what: String, wanted: u64, is: u64| {
        if wanted != is {
            found.push(format!("{what}: the truth says {wanted}, the database has {is}"));
        }
    };
    for (table, wanted) in &truth.tables {
        compare(format!("rows of {table}"), wanted.rows, generated_rows(&mut connection, table).await?);
    }
    for unique in relations::UNIQUES {
        let is = duplicates(&mut connection, unique).await?;
        let wanted = &truth.uniques[unique.name];
        compare(format!("sets of duplicates under {}", unique.name), wanted.groups, is.groups);
        compare(format!("duplicates under {}", unique.name), wanted.duplicates, is.duplicates);
    }
    let is = backfill(&mut connection).await?;
    compare("rows to fill".to_owned(), truth.backfill.total, is.total);
    compare("rows with a known agency".to_owned(), truth.backfill.mapped, is.mapped);
    compare("rows with an unknown agency".to_owned(), truth.backfill.unmapped, is.unmapped);
    let losses = follow_losses(&mut connection).await?;
    for (relation, wanted) in &truth.relations {
        let is = losses.relations.get(relation).cloned().unwrap_or_default();
        compare(format!("orphans of {relation}"), wanted.orphans, is.orphans);
        compare(format!("orphans of {relation} in the end"), wanted.orphans_in_the_end, is.orphans_in_the_end);
    }
    for (table, wanted) in &truth.tables {
        let removed = losses.removed.get(table.as_str()).map_or(0, |keys| keys.len() as u64);
        compare(format!("rows of {table} to remove"), wanted.orphans_removed, removed);
    }
    connection.close().await.while_doing("closing the connection")?;
    Ok(found)
}

async fn number(connection: &mut MySqlConnection, query: String) -> Result<u64> {
    let row = sqlx::raw_sql(sql(query.clone())).fetch_one(connection).await.while_doing(query.clone())?;
    let count: i64 = row.try_get(0).while_doing(query)?;
    Ok(count.unsigned_abs())
}

async fn generated_rows(connection: &mut MySqlConnection, table: &str) -> Result<u64> {
    let key = primary_key(table)[0];
    number(connection, format!("SELECT COUNT(*) FROM {table} WHERE {key} < {FIRST_APPLICATION_ID}")).await
}

async fn duplicates(connection: &mut MySqlConnection, unique: &relations::Unique) -> Result<UniqueTruth> {
    let columns = unique.columns.join(", ");
    let groups = format!("SELECT COUNT(*) AS many FROM {} GROUP BY {columns} HAVING COUNT(*) > 1", unique.table);
    Ok(UniqueTruth {
        groups: number(connection, format!("SELECT COUNT(*) FROM ({groups}) AS found")).await?,
        duplicates: number(
            connection,
            format!("SELECT CAST(COALESCE(SUM(many - 1), 0) AS SIGNED) FROM ({groups}) AS found"),
        )
        .await?,
    })
}

async fn backfill(connection: &mut MySqlConnection) -> Result<BackfillTruth> {
    let logs = format!("SELECT COUNT(*) FROM integration_logs AS log WHERE id < {FIRST_APPLICATION_ID}");
    let known = "(SELECT COUNT(*) FROM agencies WHERE agencies.name = log.agency_name)";
    // One pass: without an index on agencies.name each row would search all agencies.
    let joined = format!(
        "SELECT COUNT(*) FROM integration_logs AS log JOIN agencies ON agencies.name = log.agency_name WHERE log.id < {FIRST_APPLICATION_ID}"
    );
    let total = number(connection, logs.clone()).await?;
    let mapped = number(connection, joined).await?;
    let unmapped = number(connection, format!("{logs} AND agency_name LIKE 'Unknown%' AND {known} = 0")).await?;
    Ok(BackfillTruth { total, mapped, unmapped })
}

#[derive(Default)]
struct Losses {
    relations: BTreeMap<String, RelationTruth>,
    removed: BTreeMap<&'static str, BTreeSet<Key>>,
}

/// Finds the orphans, lets those go whose relation says so, then their children, until nothing more goes.
async fn follow_losses(connection: &mut MySqlConnection) -> Result<Losses> {
    let mut losses = Losses::default();
    let mut going: Vec<(&'static str, Vec<Key>)> = Vec::new();
    for relation in existing() {
        let orphans = orphans_of(connection, relation).await?;
        let count = orphans.len() as u64;
        losses.relations.insert(relation.name.to_owned(), RelationTruth { orphans: count, orphans_in_the_end: count });
        if relation.orphans == Orphans::Delete {
            going.push((relation.child, losses.lose(relation.child, orphans)));
        }
    }
    while let Some((table, parents)) = going.pop() {
        if parents.is_empty() {
            continue;
        }
        for relation in existing().filter(|relation| relation.parent == table) {
            for part in parents.chunks(PARENTS_PER_QUERY) {
                let children = children_of(connection, relation, part).await?;
                losses.relations.entry(relation.name.to_owned()).or_default().orphans_in_the_end +=
                    children.len() as u64;
                if relation.orphans == Orphans::Delete {
                    going.push((relation.child, losses.lose(relation.child, children)));
                }
            }
        }
    }
    Ok(losses)
}

impl Losses {
    /// Notes that these rows go; returns those that were not known to.
    fn lose(&mut self, table: &'static str, keys: Vec<Key>) -> Vec<Key> {
        let removed = self.removed.entry(table).or_default();
        keys.into_iter().filter(|key| removed.insert(key.clone())).collect()
    }
}

/// The relations whose columns are there before the migration.
fn existing() -> impl Iterator<Item = &'static Relation> {
    relations::all().filter(|relation| relation.name != "fk_integration_logs_agency")
}

fn primary_key(table: &str) -> &'static [&'static str] {
    match table {
        "user_preferences" => &["user_id"],
        "protocol_versions" => &["protocol_id", "version"],
        _ => &["id"],
    }
}

/// The table's primary key as signed numbers, so that every type of it reads alike.
fn selected_key(table: &str) -> String {
    let columns: Vec<String> =
        primary_key(table).iter().map(|column| format!("CAST(child.{column} AS SIGNED)")).collect();
    columns.join(", ")
}

async fn orphans_of(connection: &mut MySqlConnection, relation: &Relation) -> Result<Vec<Key>> {
    let pairs: Vec<(&str, &str)> =
        relation.columns.iter().copied().zip(relation.parent_columns.iter().copied()).collect();
    let join: Vec<String> = pairs.iter().map(|(child, parent)| format!("parent.{parent} = child.{child}")).collect();
    let given: Vec<String> = pairs.iter().map(|(child, _)| format!("child.{child} IS NOT NULL")).collect();
    let query = format!(
        "SELECT {} FROM {} AS child LEFT JOIN {} AS parent ON {} WHERE {} AND parent.{} IS NULL",
        selected_key(relation.child),
        relation.child,
        relation.parent,
        join.join(" AND "),
        given.join(" AND "),
        relation.parent_columns[0],
    );
    keys(connection, query, primary_key(relation.child).len()).await
}

async fn children_of(connection: &mut MySqlConnection, relation: &Relation, parents: &[Key]) -> Result<Vec<Key>> {
    let values: Vec<String> = parents
        .iter()
        .map(|key| format!("({})", key.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")))
        .collect();
    let query = format!(
        "SELECT {} FROM {} AS child WHERE ({}) IN ({})",
        selected_key(relation.child),
        relation.child,
        relation.columns.iter().map(|column| format!("child.{column}")).collect::<Vec<_>>().join(", "),
        values.join(", "),
    );
    keys(connection, query, primary_key(relation.child).len()).await
}

async fn keys(connection: &mut MySqlConnection, query: String, columns: usize) -> Result<Vec<Key>> {
    let doing = || query.chars().take(200).collect::<String>();
    let rows = sqlx::raw_sql(sql(query.clone())).fetch_all(connection).await.while_doing(doing())?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let mut key = Vec::with_capacity(columns);
        for column in 0..columns {
            let value: i64 = row.try_get(column).while_doing(doing())?;
            key.push(u64::try_from(value).map_err(|_| Failure::Invalid(format!("{value}: a negative id")))?);
        }
        found.push(key);
    }
    Ok(found)
}
