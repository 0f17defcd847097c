//! The way back of changed values: each returns where its column still holds what was left there. Those that nothing stands in the way of return
//! together, the others one by one, so that each that cannot is named.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::Row;

use super::connection::{Connection, sql};
use super::duplicates::among;
use super::error::{Cause, Error};
use super::restore::{Outcome, Source, describe};
use super::row_shape::pairs;
use super::work_table::key_as_text;
use crate::plan::identifier::{Identifier, quoted_list};

/// Puts changed values back where the column still holds what was left there.
pub(super) async fn restore_values(
    connection: &mut Connection,
    source: &Source,
    batch: u64,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let quarantine = source.table.name.quoted();
    let statement = format!(
        "SELECT holdfast_id, holdfast_columns FROM {quarantine} WHERE holdfast_batch = ? AND holdfast_kind = 'Value' \
         AND holdfast_restored_at IS NULL ORDER BY holdfast_id DESC"
    );
    let entries = sqlx::query(sql(statement)).bind(batch).fetch_all(connection.raw()).await?;
    let mut groups: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for entry in &entries {
        groups.entry(entry.try_get(1)?).or_default().push(entry.try_get(0)?);
    }
    for (names, ids) in groups {
        let columns: Vec<Identifier> = serde_json::from_str(&names).map_err(|error| {
            Error::new(Cause::UnknownFormat, format!("columns of an entry of {quarantine}: {error}"))
        })?;
        let back = match columns.iter().all(|column| among(&source.columns, column)) {
            true => put_together(connection, source, &ids, &columns).await?,
            false => BTreeSet::new(),
        };
        outcome.values += back.len() as u64;
        for id in ids.into_iter().filter(|id| !back.contains(id)) {
            let missing = columns.iter().find(|column| !among(&source.columns, column));
            let result = match missing {
                Some(column) => {
                    Err(Error { code: Some(0), ..Error::new(Cause::Drifted, format!("column {column} is gone")) })
                }
                None => put_value(connection, source, id, &columns).await,
            };
            match result {
                Ok(true) => outcome.values += 1,
                // The deletion stays, as every write of the application does, and so there is nothing to put back.
                Ok(false) if deleted(connection, source, id).await? => outcome.deleted += 1,
                Ok(false) => {
                    let row = describe(connection, source, id).await?;
                    outcome.conflicts.push(format!(
                        "{} of row {row} of {} was changed since, or the row is in quarantine still: the old value stays in quarantine",
                        quoted_list(&columns),
                        source.shape.name
                    ));
                }
                Err(error) if error.code.is_none() || error.is_lock_conflict() => return Err(error),
                Err(error) => {
                    let row = describe(connection, source, id).await?;
                    outcome.conflicts.push(format!(
                        "{} of row {row} of {} stays in quarantine: {error}",
                        quoted_list(&columns),
                        source.shape.name
                    ));
                }
            }
        }
    }
    Ok(())
}

/// Puts back in one statement what can go back so: those of the entries, which are all of these columns, that nothing stands in the way of.
/// Returns which they were; none where one of them is refused, or a row has several.
async fn put_together(
    connection: &mut Connection,
    source: &Source,
    ids: &[u64],
    columns: &[Identifier],
) -> Result<BTreeSet<u64>, Error> {
    let (table, quarantine) = (source.shape.name.quoted(), source.table.name.quoted());
    let key = &source.shape.primary_key;
    let from = format!(
        "{quarantine} q LEFT JOIN {quarantine} a ON a.holdfast_of = q.holdfast_id AND a.holdfast_kind = 'After' JOIN {table} t ON {}",
        pairs("t", key, "q", key)
    );
    let statement = format!(
        "SELECT q.holdfast_id, {} FROM {from} WHERE q.holdfast_id IN ({}) AND {} FOR UPDATE",
        key_as_text("q", key),
        listed(ids),
        untouched(columns),
    );
    let found = sqlx::raw_sql(sql(statement)).fetch_all(connection.raw()).await?;
    let (mut ids, mut rows) = (BTreeSet::new(), BTreeSet::new());
    for entry in &found {
        ids.insert(entry.try_get::<u64, _>(0)?);
        rows.insert(entry.try_get::<String, _>(1)?);
    }
    if ids.is_empty() || rows.len() != ids.len() {
        return Ok(BTreeSet::new());
    }
    let listed = listed(&ids);
    connection.run("SAVEPOINT holdfast_values").await?;
    let update = format!(
        "UPDATE {from} SET {}{} WHERE q.holdfast_id IN ({listed})",
        old_values(columns),
        source.shape.keep_timestamps("t", columns)
    );
    match connection.run(&update).await {
        Ok(changed) if changed == ids.len() as u64 => {}
        Err(error) if error.code.is_none() || error.is_lock_conflict() => return Err(error),
        Ok(_) | Err(_) => {
            connection.run("ROLLBACK TO SAVEPOINT holdfast_values").await?;
            return Ok(BTreeSet::new());
        }
    }
    mark(connection, source, &format!("IN ({listed})")).await?;
    Ok(ids)
}

fn listed<'a>(ids: impl IntoIterator<Item = &'a u64>) -> String {
    ids.into_iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

/// Marks entries as back.
async fn mark(connection: &mut Connection, source: &Source, ids: &str) -> Result<(), Error> {
    let quarantine = source.table.name.quoted();
    let statement = format!("UPDATE {quarantine} SET holdfast_restored_at = UTC_TIMESTAMP(6) WHERE holdfast_id {ids}");
    connection.run(&statement).await.map(drop)
}

fn old_values(columns: &[Identifier]) -> String {
    columns.iter().map(|column| format!("t.{0} = q.{0}", column.quoted())).collect::<Vec<_>>().join(", ")
}

/// Whether the row of an entry is neither in its table nor in quarantine.
async fn deleted(connection: &mut Connection, source: &Source, id: u64) -> Result<bool, Error> {
    let (quarantine, key) = (source.table.name.quoted(), &source.shape.primary_key);
    let mut places = vec![format!("{} t ON {}", source.shape.name.quoted(), pairs("t", key, "q", key))];
    places.extend(source.all.iter().map(|table| {
        format!(
            "{} t ON {} AND t.holdfast_migration = q.holdfast_migration AND t.holdfast_kind = 'Row' AND t.holdfast_restored_at IS NULL",
            table.quoted(),
            pairs("t", key, "q", key)
        )
    }));
    for place in places {
        let statement = format!("SELECT EXISTS (SELECT 1 FROM {quarantine} q JOIN {place} WHERE q.holdfast_id = {id})");
        let found: i64 = sqlx::raw_sql(sql(statement)).fetch_one(connection.raw()).await?.try_get(0)?;
        if found != 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn put_value(
    connection: &mut Connection,
    source: &Source,
    id: u64,
    columns: &[Identifier],
) -> Result<bool, Error> {
    let (table, quarantine) = (source.shape.name.quoted(), source.table.name.quoted());
    let key = &source.shape.primary_key;
    connection.run("SAVEPOINT holdfast_value").await?;
    let update = connection
        .run(&format!(
            "UPDATE {quarantine} q LEFT JOIN {quarantine} a ON a.holdfast_of = q.holdfast_id AND a.holdfast_kind = 'After' \
             JOIN {table} t ON {} SET {}{} WHERE q.holdfast_id = {id} AND {}",
            pairs("t", key, "q", key),
            old_values(columns),
            source.shape.keep_timestamps("t", columns),
            untouched(columns),
        ))
        .await;
    match update {
        Ok(0) => Ok(false),
        Ok(_) => {
            mark(connection, source, &format!("= {id}")).await?;
            Ok(true)
        }
        Err(error) => {
            if error.code.is_some() && !error.is_lock_conflict() {
                connection.run("ROLLBACK TO SAVEPOINT holdfast_value").await?;
            }
            Err(error)
        }
    }
}

/// The row holds what was noted after the change; where nothing was noted, the change left NULL in all its columns.
fn untouched(columns: &[Identifier]) -> String {
    let noted: Vec<String> = columns
        .iter()
        .map(|column| format!("CAST(t.{0} AS BINARY) <=> CAST(a.{0} AS BINARY)", column.quoted()))
        .collect();
    let nulled: Vec<String> = columns.iter().map(|column| format!("t.{} IS NULL", column.quoted())).collect();
    format!(
        "((a.holdfast_id IS NOT NULL AND {}) OR (a.holdfast_id IS NULL AND {}))",
        noted.join(" AND "),
        nulled.join(" AND "),
    )
}
