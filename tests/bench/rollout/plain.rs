//! The way without any tool, as object-relational mappers and hand-written scripts go: key by key, count the orphans by NOT IN,
//! remove them by one statement, and ALTER TABLE ... ADD FOREIGN KEY without a word on how.

use std::time::{Duration, Instant};

use sqlx::mysql::MySqlConnection;

use super::world::{World, keys};
use crate::figure::Failure;
use crate::sample::connection::sql;
use crate::sample::failure;
use crate::sample::relations::{OnDelete, Orphans, Relation};

/// Times that a statement is tried which loses a deadlock, waits too long for a row, or meets a row that was written since the
/// check: a script would be started again.
const TRIES: usize = 10;
/// Passes over one table until no orphan is left.
const PASSES: usize = 10;

/// What it took.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ran {
    pub(crate) check_s: f64,
    pub(crate) clean_s: f64,
    pub(crate) alter_s: f64,
    pub(crate) cleaned: u64,
    /// Statements that had to be tried again.
    pub(crate) repeated: u64,
    /// How long each ALTER took.
    pub(crate) key_ms: Vec<f64>,
}

impl Ran {
    pub(crate) fn seconds(&self) -> f64 {
        self.check_s + self.clean_s + self.alter_s
    }
}

/// `child.column NOT IN (SELECT ...)`, the parent wrapped because a statement may not change a table that it reads.
fn orphaned(relation: &Relation) -> String {
    let present: Vec<String> = relation.columns.iter().map(|column| format!("{column} IS NOT NULL")).collect();
    let own = relation.columns.join(", ");
    let own = if relation.columns.len() == 1 { own } else { format!("({own})") };
    let theirs = relation.parent_columns.join(", ");
    let parent = if relation.child == relation.parent {
        format!("(SELECT {theirs} FROM {}) AS parents", relation.parent)
    } else {
        relation.parent.to_owned()
    };
    format!("{} AND {own} NOT IN (SELECT {theirs} FROM {parent})", present.join(" AND "))
}

/// The count that such scripts begin with.
pub(crate) fn not_in(relation: &Relation) -> String {
    format!("SELECT COUNT(*) FROM {} WHERE {}", relation.child, orphaned(relation))
}

fn removal(relation: &Relation) -> String {
    let Relation { child, columns, .. } = relation;
    let condition = orphaned(relation);
    if relation.orphans == Orphans::SetNull {
        let nulls: Vec<String> = columns.iter().map(|column| format!("{column} = NULL")).collect();
        format!("UPDATE {child} SET {} WHERE {condition}", nulls.join(", "))
    } else {
        format!("DELETE FROM {child} WHERE {condition}")
    }
}

fn constraint(relation: &Relation) -> String {
    let action = match relation.on_delete {
        OnDelete::Restrict => "RESTRICT",
        OnDelete::Cascade => "CASCADE",
        OnDelete::SetNull => "SET NULL",
    };
    format!(
        "ADD CONSTRAINT {} FOREIGN KEY ({}) REFERENCES {} ({}) ON DELETE {action}",
        relation.name,
        relation.columns.join(", "),
        relation.parent,
        relation.parent_columns.join(", ")
    )
}

/// All constraints of some relations of one table, for one ALTER TABLE.
pub(crate) fn constraints(relations: &[&Relation]) -> String {
    relations.iter().map(|relation| constraint(relation)).collect::<Vec<_>>().join(", ")
}

/// Runs a statement, again where it lost against the application; adds up the repetitions.
async fn run(connection: &mut MySqlConnection, statement: &str, repeated: &mut u64) -> Result<u64, Failure> {
    for _ in 1..TRIES {
        match sqlx::raw_sql(sql(statement)).execute(&mut *connection).await {
            Ok(done) => return Ok(done.rows_affected()),
            Err(error) if matches!(failure::server_error(&error), Some(1205 | 1213 | 1452)) => *repeated += 1,
            Err(error) => return Err(format!("{statement}: {error}").into()),
        }
    }
    let done = sqlx::raw_sql(sql(statement)).execute(&mut *connection).await;
    Ok(done.map_err(|error| format!("{statement}, tried {TRIES} times: {error}"))?.rows_affected())
}

async fn count(connection: &mut MySqlConnection, relation: &Relation) -> Result<i64, Failure> {
    Ok(sqlx::query_scalar(sql(not_in(relation))).fetch_one(connection).await?)
}

/// Counts and removes the orphans of one key until there are none.
async fn clean(connection: &mut MySqlConnection, relation: &Relation, ran: &mut Ran) -> Result<(), Failure> {
    for _ in 0..PASSES {
        let begun = Instant::now();
        let orphans = count(connection, relation).await?;
        ran.check_s += begun.elapsed().as_secs_f64();
        if orphans == 0 {
            return Ok(());
        }
        let begun = Instant::now();
        ran.cleaned += run(connection, &removal(relation), &mut ran.repeated).await?;
        ran.clean_s += begun.elapsed().as_secs_f64();
    }
    Err(format!("{} still has orphans after {PASSES} passes", relation.name).into())
}

/// The whole way: every key by itself, as each is one step of a migration file; no further key is begun after `patience`.
pub(crate) async fn up(world: &World, patience: Duration) -> Result<Ran, Failure> {
    let mut connection = world.connect().await?;
    let mut ran = Ran::default();
    let begun = Instant::now();
    for relation in keys() {
        if begun.elapsed() > patience {
            break;
        }
        clean(&mut connection, relation, &mut ran).await?;
        let begun = Instant::now();
        let statement = format!("ALTER TABLE {} {}", relation.child, constraint(relation));
        run(&mut connection, &statement, &mut ran.repeated).await?;
        let took: Duration = begun.elapsed();
        ran.alter_s += took.as_secs_f64();
        ran.key_ms.push(took.as_secs_f64() * 1_000.0);
    }
    Ok(ran)
}

/// Only the cleanup, for tools that have none.
pub(crate) async fn clean_all(world: &World) -> Result<Ran, Failure> {
    let mut connection = world.connect().await?;
    let mut ran = Ran::default();
    // Rows that go leave orphans to keys that come earlier; there is no key yet that would take them along.
    for _ in 0..PASSES {
        let before = ran.cleaned;
        for relation in keys() {
            clean(&mut connection, relation, &mut ran).await?;
        }
        if ran.cleaned == before {
            return Ok(ran);
        }
    }
    Err(format!("there are still orphans after {PASSES} passes over all keys").into())
}
