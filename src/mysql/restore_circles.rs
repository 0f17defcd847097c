//! Rows that refer to each other in a circle: none of them can return before the other. They return together, without the server's check,
//! and each reference of theirs is looked up instead, the parents locked as that check would have.

use std::collections::BTreeSet;

use sqlx::Row;

use super::connection::{Connection, sql};
use super::error::Error;
use super::restore::{Entry, Source, identity, insert};
use super::row_shape::{End, every, live_keys, pairs};
use crate::plan::catalogue::ForeignKey;

/// Puts back what of these entries can return together, and takes it out of them. Returns how many rows that were.
///
/// # Errors
/// What the server answers, where it concerns no single row.
pub(super) async fn restore_together(connection: &mut Connection, refused: &mut Vec<Entry<'_>>) -> Result<u64, Error> {
    let mut candidates: Vec<Entry> =
        refused.iter().filter(|(source, _)| !source.shape.primary_key.is_empty()).copied().collect();
    while !candidates.is_empty() {
        connection.run("SAVEPOINT holdfast_circle").await?;
        let inserted = insert_unchecked(connection, &candidates).await?;
        let fitting = with_parents(connection, &inserted).await?;
        if fitting.len() == candidates.len() {
            let back: BTreeSet<_> = fitting.iter().map(identity).collect();
            refused.retain(|entry| !back.contains(&identity(entry)));
            return Ok(back.len() as u64);
        }
        // What refers to one that cannot return cannot either.
        connection.run("ROLLBACK TO SAVEPOINT holdfast_circle").await?;
        candidates = fitting;
    }
    Ok(0)
}

/// Inserts those that their tables take, and returns them.
async fn insert_unchecked<'a>(connection: &mut Connection, candidates: &[Entry<'a>]) -> Result<Vec<Entry<'a>>, Error> {
    connection.run("SET SESSION foreign_key_checks = 0").await?;
    let inserted = insert_each(connection, candidates).await;
    // Whatever came of it: the next try has the same session.
    connection.run("SET SESSION foreign_key_checks = 1").await?;
    inserted
}

async fn insert_each<'a>(connection: &mut Connection, candidates: &[Entry<'a>]) -> Result<Vec<Entry<'a>>, Error> {
    let mut inserted = Vec::new();
    for (source, id) in candidates {
        connection.run("SAVEPOINT holdfast_row").await?;
        match insert(connection, source, &format!("holdfast_id = {id}")).await {
            Ok(_) => inserted.push((*source, *id)),
            Err(error) if error.code.is_none() || error.is_lock_conflict() => return Err(error),
            Err(_) => drop(connection.run("ROLLBACK TO SAVEPOINT holdfast_row").await?),
        }
    }
    Ok(inserted)
}

/// Those whose references all lead to a row.
async fn with_parents<'a>(connection: &mut Connection, inserted: &[Entry<'a>]) -> Result<Vec<Entry<'a>>, Error> {
    let mut fitting = inserted.to_vec();
    let sources: Vec<&Source> = inserted.iter().map(|(source, _)| *source).collect();
    let mut seen = BTreeSet::new();
    for source in sources.into_iter().filter(|source| seen.insert(&source.table.name)) {
        let ids: BTreeSet<u64> =
            inserted.iter().filter(|(of, _)| of.table.name == source.table.name).map(|(_, id)| *id).collect();
        for key in live_keys(connection, &source.shape.name, End::Child).await? {
            let lost = without_parent(connection, source, &key, &ids).await?;
            fitting.retain(|(of, id)| of.table.name != source.table.name || !lost.contains(id));
        }
    }
    Ok(fitting)
}

/// Which of these entries, whose rows are in their table, refer to no row by this key.
async fn without_parent(
    connection: &mut Connection,
    source: &Source,
    key: &ForeignKey,
    ids: &BTreeSet<u64>,
) -> Result<BTreeSet<u64>, Error> {
    let primary = &source.shape.primary_key;
    let rows = format!(
        "SELECT q.holdfast_id FROM {} q JOIN {} t ON {}",
        source.table.name.quoted(),
        source.shape.name.quoted(),
        pairs("t", primary, "q", primary),
    );
    let listed = ids.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let refers = format!("q.holdfast_id IN ({listed}) AND {}", every("t", &key.columns, "IS NOT NULL"));
    let parents = format!("JOIN {} p ON {}", key.parent.quoted(), pairs("p", &key.parent_columns, "t", &key.columns));
    // A row that is found stays locked until the transaction ends; one that a LEFT JOIN would filter out need not.
    let found = entries(connection, &format!("{rows} {parents} WHERE {refers} LOCK IN SHARE MODE")).await?;
    let referring = entries(connection, &format!("{rows} WHERE {refers}")).await?;
    Ok(referring.difference(&found).copied().collect())
}

async fn entries(connection: &mut Connection, statement: &str) -> Result<BTreeSet<u64>, Error> {
    let rows = sqlx::raw_sql(sql(statement.to_owned())).fetch_all(connection.raw()).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}
