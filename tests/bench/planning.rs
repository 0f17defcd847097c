//! How long a plan of a large schema takes: from the connection to the plan with its renderings, the cascades' reach apart.

use std::time::{Duration, Instant};

use holdfast::api::{SchemaMigration, SchemaMigrationSpec};
use holdfast::mysql::blast_radius::{EXACT_LIMIT, measure as measure_reach};
use holdfast::mysql::catalogue::read_for_planning;
use holdfast::mysql::{SessionLimits, Target};
use holdfast::plan::input::tables;
use holdfast::plan::model::Action;
use holdfast::plan::{Identifier, build, render, script};
use serde_json::{Value, json};

use crate::figure::{Failure, Figure};

const MIGRATION: &str = include_str!("../../deploy/sample/migration.yaml");
const SCHEMA: &str = "holdfast_bench_planning";
const TABLES: usize = 1_000;
const KEYS: usize = 2_000;
const TIMES: usize = 5;
/// Seconds that a plan may take.
const AIM: f64 = 2.0;

/// Makes the schema, plans it several times, and drops it.
pub(crate) async fn measure(target: &Target) -> Result<Vec<Figure>, Failure> {
    println!("bench: planning: making {TABLES} tables");
    let mut connection = target.connect(SessionLimits::default()).await?;
    connection.run(&format!("DROP SCHEMA IF EXISTS {SCHEMA}")).await?;
    connection.run(&format!("CREATE SCHEMA {SCHEMA}")).await?;
    for number in 0..TABLES {
        let statement = format!(
            "CREATE TABLE {SCHEMA}.t{number} (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, up INT NULL, side INT NULL, name VARCHAR(50) NOT NULL, \
             made TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, note TEXT NULL, KEY by_name (name))"
        );
        connection.run(&statement).await?;
    }
    connection.close().await?;
    let figures = plan_often(target).await;
    let mut connection = target.connect(SessionLimits::default()).await?;
    connection.run(&format!("DROP SCHEMA {SCHEMA}")).await?;
    connection.close().await?;
    figures
}

async fn plan_often(target: &Target) -> Result<Vec<Figure>, Failure> {
    let spec = specification()?;
    let schema = Identifier::new(SCHEMA)?;
    let (mut reading, mut planning, mut whole, mut reach) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for time in 1..=TIMES {
        println!("bench: planning: {time} of {TIMES}");
        let begun = Instant::now();
        let mut connection = target.connect(SessionLimits::default()).await?;
        let catalogue = read_for_planning(&mut connection, &schema, &tables(&spec).map_err(told)?).await?;
        reading.push(begun.elapsed());
        let middle = Instant::now();
        let mut plan = build(&spec, &catalogue).map_err(told)?;
        let pages = [
            render::text(&plan),
            script::forward_sql(&plan),
            script::rollback_sql(&plan),
            serde_json::to_string(&plan)?,
        ];
        planning.push(middle.elapsed());
        whole.push(begun.elapsed());
        let keys = plan.operations.iter().filter(|each| matches!(each.action, Action::AddForeignKey { .. })).count();
        if keys != KEYS || catalogue.tables.len() != TABLES || pages.iter().any(String::is_empty) {
            return Err(format!("a plan of {keys} keys over {} tables was made", catalogue.tables.len()).into());
        }
        let begun: Instant = Instant::now();
        measure_reach(&mut connection, &catalogue, &mut plan, EXACT_LIMIT).await?;
        reach.push(begun.elapsed());
        connection.close().await?;
    }
    let figure = |name: &str, what: &str, samples: &[Duration], aim| {
        Figure::seconds(name, format!("{what}, {TABLES} tables, {KEYS} keys"), samples, aim)
    };
    Ok(vec![
        figure("plan", "plan", &whole, Some(AIM)),
        figure("plan-read-catalogue", "  of it reading the catalogue", &reading, None),
        figure("plan-build", "  of it computing and rendering", &planning, None),
        figure("plan-cascades", "beside it the reach of cascades over empty tables", &reach, None),
    ])
}

/// Every table refers to two others. By the first it is in a tree, and every third of those keys cascades; deletions that come round would be
/// refused.
fn specification() -> Result<SchemaMigrationSpec, Failure> {
    let key = |number: usize| -> Value {
        let child = number % TABLES;
        let (column, parent) = if number < TABLES { ("up", child / 2) } else { ("side", (child * 7 + 1) % TABLES) };
        let on_delete = if (1..TABLES).contains(&number) && number.is_multiple_of(3) { "Cascade" } else { "Restrict" };
        json!({"name": format!("fk_{number}"), "table": format!("t{child}"), "columns": [column],
            "references": {"table": format!("t{parent}"), "columns": ["id"]}, "onDelete": on_delete, "orphans": "Delete"})
    };
    let migration: SchemaMigration = serde_yaml::from_str(MIGRATION)?;
    let mut spec = serde_json::to_value(migration.spec)?;
    for field in ["typeFixes", "uniqueConstraints", "acknowledge"] {
        spec[field] = json!([]);
    }
    spec["database"]["name"] = json!(SCHEMA);
    spec["stages"] = json!([{"name": "all", "foreignKeys": (0..KEYS).map(key).collect::<Vec<_>>()}]);
    Ok(serde_json::from_value(spec)?)
}

fn told(problems: Vec<holdfast::plan::Problem>) -> Failure {
    problems.iter().take(5).map(ToString::to_string).collect::<Vec<_>>().join("; ").into()
}
