//! How many rows the deletion of one row takes along at worst, for every cascade path of a plan. Each path is counted over all rows
//! where that takes no longer than [`QUERY_LIMIT`], and concluded from a sample where it does: production is not held up for it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sqlx::Row;

use super::connection::{Connection, sql};
use super::error::Error;
use super::sample::{in_time, places};
use crate::plan::Plan;
use crate::plan::cascades::{CascadePath, Reach};
use crate::plan::catalogue::{Catalogue, ForeignKey, Table};
use crate::plan::identifier::Identifier;

/// Longest time that one query may take.
const QUERY_LIMIT: Duration = Duration::from_secs(1);
/// Time after which no further path is counted over all rows, unless the caller knows better.
pub const EXACT_LIMIT: Duration = Duration::from_secs(8);
/// Time after which nothing further is measured.
const LIMIT: Duration = Duration::from_secs(20);
/// A value that comes fewer times than this in a sample says nothing about its number in the table.
const SIGNIFICANT: u64 = 5;

/// Fills in how far the plan's cascade paths reach. Afterwards the session's statements have no time limit.
///
/// # Errors
/// What the server answers.
pub async fn measure(
    connection: &mut Connection,
    catalogue: &Catalogue,
    plan: &mut Plan,
    exact_limit: Duration,
) -> Result<(), Error> {
    let statement = connection.dialect.limit_queries(QUERY_LIMIT);
    connection.run(&statement).await?;
    let started = Instant::now();
    // The first key's worst parent, by the key's name, for the paths that begin with it.
    let mut samples: BTreeMap<Identifier, Option<u64>> = BTreeMap::new();
    for path in &mut plan.cascades {
        if started.elapsed() > LIMIT || !can_be_joined(catalogue, path) {
            continue;
        }
        let exact = if started.elapsed() < exact_limit { count(connection, path).await? } else { None };
        path.reach = match exact {
            Some(rows) => Reach::Exact(rows),
            None => {
                sampled(connection, catalogue, path, &mut samples).await?.map_or(Reach::NotMeasured, Reach::Sampled)
            }
        };
    }
    let statement = connection.dialect.limit_queries(Duration::ZERO);
    connection.run(&statement).await?;
    Ok(())
}

/// Whether all columns of a path exist already and can be compared.
fn can_be_joined(catalogue: &Catalogue, path: &CascadePath) -> bool {
    path.keys.iter().all(|key| {
        let (Some(child), Some(parent)) = (catalogue.table(&key.child), catalogue.table(&key.parent)) else {
            return false;
        };
        key.columns.iter().zip(&key.parent_columns).all(|(own, other)| {
            match (child.column(own), parent.column(other)) {
                (Some(own), Some(other)) => own.collation == other.collation && own.data_type == other.data_type,
                _ => false,
            }
        })
    })
}

/// The greatest number of rows at the path's end for one row at its beginning; `None` if counting takes too long.
async fn count(connection: &mut Connection, path: &CascadePath) -> Result<Option<u64>, Error> {
    let Some(first) = path.keys.first() else { return Ok(None) };
    let mut statement = format!("SELECT CAST(COUNT(*) AS UNSIGNED) AS reached FROM {} AS t0", path.from.quoted());
    for (place, key) in path.keys.iter().enumerate() {
        let on = equal(key, &format!("t{}", place + 1), &format!("t{place}"));
        statement.push_str(&format!(" JOIN {} AS t{} ON {on}", key.child.quoted(), place + 1));
    }
    let group: Vec<String> = first.parent_columns.iter().map(|column| format!("t0.{}", column.quoted())).collect();
    statement.push_str(&format!(" GROUP BY {} ORDER BY reached DESC LIMIT 1", group.join(", ")));
    let answer = sqlx::raw_sql(sql(statement)).fetch_optional(connection.raw()).await;
    Ok(match in_time(answer)? {
        // Nobody has children.
        Some(None) => Some(0),
        Some(Some(row)) => Some(row.try_get(0)?),
        None => None,
    })
}

/// What a sample of the first children and the tables' sizes let expect; `None` if even that cannot be had in time.
async fn sampled(
    connection: &mut Connection,
    catalogue: &Catalogue,
    path: &CascadePath,
    samples: &mut BTreeMap<Identifier, Option<u64>>,
) -> Result<Option<u64>, Error> {
    let rows_of = |table| catalogue.table(table).map_or(0, |table| table.estimated_rows);
    let Some((first, rest)) = path.keys.split_first() else { return Ok(None) };
    let Some(child) = catalogue.table(&first.child) else { return Ok(None) };
    let known = samples.get(&first.name).copied();
    let worst = match known {
        Some(worst) => worst,
        None => {
            let worst = sample(connection, child, first, rows_of(&first.parent)).await?;
            samples.insert(first.name.clone(), worst);
            worst
        }
    };
    Ok(worst.map(|worst| {
        rest.iter().fold(worst, |rows, key| {
            let average = rows_of(&key.child).div_ceil(rows_of(&key.parent).max(1));
            rows.saturating_mul(average).min(rows_of(&key.child))
        })
    }))
}

/// The children that the most frequent parent of a sample has, brought up to the whole table.
async fn sample(
    connection: &mut Connection,
    child: &Table,
    key: &ForeignKey,
    parents: u64,
) -> Result<Option<u64>, Error> {
    let Some(rows) = places(connection, child, &key.columns).await? else { return Ok(None) };
    let own: Vec<String> = key.columns.iter().map(|column| format!("s.{}", column.quoted())).collect();
    let statement = format!(
        "SELECT CAST(COALESCE(MAX(IF(has_parent, n, 0)), 0) AS UNSIGNED), CAST(COALESCE(SUM(n), 0) AS UNSIGNED) FROM \
         (SELECT COUNT(*) AS n, p.{} IS NOT NULL AS has_parent FROM ({rows}) AS s LEFT JOIN {} AS p ON {} GROUP BY {}, has_parent) AS g",
        key.parent_columns.first().map(Identifier::quoted).unwrap_or_default(),
        key.parent.quoted(),
        equal(key, "s", "p"),
        own.join(", "),
    );
    let Some(row) = in_time(sqlx::raw_sql(sql(statement)).fetch_one(connection.raw()).await)? else { return Ok(None) };
    let (most, read): (u64, u64) = (row.try_get(0)?, row.try_get(1)?);
    let average = child.estimated_rows.div_ceil(parents.max(1));
    if most < SIGNIFICANT || read == 0 {
        return Ok(Some(average));
    }
    let share = u128::from(most) * u128::from(child.estimated_rows) / u128::from(read);
    Ok(Some(u64::try_from(share).unwrap_or(u64::MAX).max(most)))
}

fn equal(key: &ForeignKey, child: &str, parent: &str) -> String {
    let pairs: Vec<String> = (key.columns.iter().zip(&key.parent_columns))
        .map(|(own, other)| format!("{child}.{} = {parent}.{}", own.quoted(), other.quoted()))
        .collect();
    pairs.join(" AND ")
}
