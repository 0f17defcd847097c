//! What finding a key's orphans costs: the engine's validation against reading the child's column once from end to end, which
//! nothing that looks at every row can beat by much, and against the forms that people write.

use std::time::Instant;

use holdfast::mysql::validation::validate;
use holdfast::mysql::{Connection, SessionLimits};
use holdfast::plan::Plan;
use holdfast::plan::model::Action;
use sqlx::mysql::MySqlConnection;

use super::plain::not_in;
use super::world::{World, keys};
use crate::figure::Failure;
use crate::sample::connection::sql;
use crate::sample::relations::Relation;

/// Each query is run so often, and its best time counts.
const TIMES: usize = 3;

/// Milliseconds for one key.
#[derive(Debug, Clone)]
pub(crate) struct Cost {
    pub(crate) key: &'static str,
    pub(crate) scan: f64,
    pub(crate) engine: f64,
    pub(crate) not_in: f64,
    pub(crate) not_exists: f64,
}

/// All keys of the plan, one after the other.
pub(crate) async fn measure(world: &World, plan: &Plan) -> Result<Vec<Cost>, Failure> {
    let mut connection = world.connect().await?;
    let mut engine = world.target.connect(SessionLimits::default()).await?;
    let mut costs = Vec::new();
    for relation in keys() {
        let scan = scan(relation, index_of(&mut connection, relation).await?);
        let plan = only(plan, relation);
        costs.push(Cost {
            key: relation.name,
            scan: best(&mut connection, &scan).await?,
            engine: best_of_engine(&mut engine, &plan).await?,
            not_in: best(&mut connection, &not_in(relation)).await?,
            not_exists: best(&mut connection, &not_exists(relation)).await?,
        });
    }
    engine.close().await?;
    Ok(costs)
}

/// All of them in one call, as the phase Validate does it.
pub(crate) async fn whole(world: &World, plan: &Plan) -> Result<f64, Failure> {
    let mut engine = world.target.connect(SessionLimits::default()).await?;
    let best = best_of_engine(&mut engine, plan).await?;
    engine.close().await?;
    Ok(best)
}

fn only(plan: &Plan, relation: &Relation) -> Plan {
    let mut plan = plan.clone();
    plan.adopted.clear();
    plan.operations.retain(|operation| {
        matches!(&operation.action, Action::AddForeignKey { key, .. } if key.name.as_str() == relation.name)
    });
    plan
}

async fn best_of_engine(connection: &mut Connection, plan: &Plan) -> Result<f64, Failure> {
    let mut best = f64::INFINITY;
    for _ in 0..TIMES {
        let begun = Instant::now();
        validate(connection, plan).await?;
        best = best.min(begun.elapsed().as_secs_f64() * 1_000.0);
    }
    Ok(best)
}

async fn best(connection: &mut MySqlConnection, query: &str) -> Result<f64, Failure> {
    let mut best = f64::INFINITY;
    for _ in 0..TIMES {
        let begun = Instant::now();
        sqlx::raw_sql(sql(query)).fetch_one(&mut *connection).await.map_err(|error| format!("{query}: {error}"))?;
        best = best.min(begun.elapsed().as_secs_f64() * 1_000.0);
    }
    Ok(best)
}

fn present(relation: &Relation) -> String {
    relation.columns.iter().map(|column| format!("c.{column} IS NOT NULL")).collect::<Vec<_>>().join(" AND ")
}

/// Reads the columns of every row, from their index where they have one.
fn scan(relation: &Relation, index: Option<String>) -> String {
    let index = index.map_or_else(String::new, |name| format!(" FORCE INDEX ({name})"));
    format!("SELECT SUM({}) FROM {} AS c{index}", present(relation), relation.child)
}

fn not_exists(relation: &Relation) -> String {
    let equal: Vec<String> = (relation.columns.iter().zip(relation.parent_columns))
        .map(|(own, theirs)| format!("p.{theirs} = c.{own}"))
        .collect();
    format!(
        "SELECT COUNT(*) FROM {} AS c WHERE {} AND NOT EXISTS (SELECT 1 FROM {} AS p WHERE {})",
        relation.child,
        present(relation),
        relation.parent,
        equal.join(" AND ")
    )
}

/// An index that begins with the relation's columns, the shortest first.
async fn index_of(connection: &mut MySqlConnection, relation: &Relation) -> Result<Option<String>, Failure> {
    let indexes: Vec<(String, String)> = sqlx::query_as(
        "SELECT CAST(index_name AS CHAR), CAST(GROUP_CONCAT(column_name ORDER BY seq_in_index) AS CHAR) \
         FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = ? \
         GROUP BY index_name ORDER BY index_name = 'PRIMARY', COUNT(*)",
    )
    .bind(relation.child)
    .fetch_all(connection)
    .await?;
    let wanted = relation.columns.join(",");
    let serves = |columns: &str| columns == wanted || columns.starts_with(&format!("{wanted},"));
    Ok(indexes.into_iter().find(|(_, columns)| serves(columns)).map(|(name, _)| name))
}
