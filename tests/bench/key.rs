//! What the engine's care for one foreign key costs: keys on small tables, added by the engine and by hand with nothing but the
//! statement. What large tables cost is the server's own work; this is what is there even without it.

use std::time::{Duration, Instant};

use holdfast::api::{SchemaMigration, SchemaMigrationSpec};
use holdfast::mysql::catalogue::read_for_planning;
use holdfast::mysql::replicas::Replicas;
use holdfast::mysql::report::MigrationOutcome;
use holdfast::mysql::session::Engine;
use holdfast::mysql::{Allowance, JournalLocation, KillBlockers, Progress, SessionLimits, Settings, Stop, Target};
use holdfast::plan::input::tables;
use holdfast::plan::model::Action;
use holdfast::plan::{Identifier, Plan, Section, build};
use serde_json::{Value, json};

use crate::figure::{Failure, Figure};

const MIGRATION: &str = include_str!("../../deploy/sample/migration.yaml");
const SCHEMA: &str = "holdfast_bench_key";
const JOURNAL: &str = "holdfast_bench_key_journal";
const KEYS: u32 = 20;
const ROWS: u32 = 100;
const TIMES: usize = 3;
/// Milliseconds that the engine may take for a key beyond what the statement alone takes.
const AIM: f64 = 150.0;

/// Adds the keys several times both ways, and drops what it made.
pub(crate) async fn measure(target: &Target) -> Result<Vec<Figure>, Failure> {
    let figures = compare(target).await;
    let mut connection = target.connect(SessionLimits::default()).await?;
    for schema in [SCHEMA, JOURNAL] {
        connection.run(&format!("DROP SCHEMA IF EXISTS {schema}")).await?;
    }
    connection.close().await?;
    figures
}

async fn compare(target: &Target) -> Result<Vec<Figure>, Failure> {
    let (mut engine, mut back, mut by_hand) = (Vec::new(), Vec::new(), Vec::new());
    for time in 1..=TIMES {
        println!("bench: one key: {time} of {TIMES}");
        let plan = fresh(target).await?;
        by_hand.push(statements_alone(target, &plan).await?);
        let plan = fresh(target).await?;
        let (forward, undone) = by_engine(target, &plan).await?;
        engine.push(forward);
        back.push(undone);
    }
    let milliseconds = |samples: &[Duration]| -> Vec<f64> {
        samples.iter().map(|all| all.as_secs_f64() * 1000.0 / f64::from(KEYS)).collect()
    };
    let (engine, back, by_hand) = (milliseconds(&engine), milliseconds(&back), milliseconds(&by_hand));
    let each = |of: fn(f64, f64) -> f64| engine.iter().zip(&by_hand).map(|(engine, hand)| of(*engine, *hand)).collect();
    let figure = |name: &str, what: &str, unit, samples, aim| {
        Figure::less(name, format!("{what}, {KEYS} keys on tables of {ROWS} rows"), unit, samples, aim)
    };
    let (beyond, ratio) = (each(|engine, hand| engine - hand), each(|engine, hand| engine / hand));
    Ok(vec![
        figure(
            "key-beyond-statement",
            "one key with its cleanup and proof, beyond its statement",
            "ms",
            beyond,
            Some(AIM),
        ),
        figure("key-engine", "  by the engine", "ms", engine.clone(), None),
        figure("key-by-hand", "  by hand, foreign_key_checks = 0, INPLACE", "ms", by_hand.clone(), None),
        figure("key-ratio", "  the engine against by hand", "x", ratio, None),
        figure("key-undo", "  taken back by the engine", "ms", back, None),
    ])
}

/// Makes the tables anew and plans their keys.
async fn fresh(target: &Target) -> Result<Plan, Failure> {
    let mut connection = target.connect(SessionLimits::default()).await?;
    for schema in [SCHEMA, JOURNAL] {
        connection.run(&format!("DROP SCHEMA IF EXISTS {schema}")).await?;
    }
    connection.run(&format!("CREATE SCHEMA {SCHEMA}")).await?;
    connection.run(&format!("CREATE TABLE {SCHEMA}.parent (id INT NOT NULL PRIMARY KEY)")).await?;
    let numbers = (1..=ROWS).map(|number| format!("({number})")).collect::<Vec<_>>().join(", ");
    connection.run(&format!("INSERT INTO {SCHEMA}.parent VALUES {numbers}")).await?;
    for number in 0..KEYS {
        let child = format!("{SCHEMA}.child_{number}");
        connection
            .run(&format!(
                "CREATE TABLE {child} (id INT NOT NULL PRIMARY KEY, parent_id INT NULL, KEY by_parent (parent_id))"
            ))
            .await?;
        connection.run(&format!("INSERT INTO {child} SELECT id, id FROM {SCHEMA}.parent")).await?;
    }
    let spec = specification()?;
    let catalogue =
        read_for_planning(&mut connection, &Identifier::new(SCHEMA)?, &tables(&spec).map_err(told)?).await?;
    connection.close().await?;
    let plan = build(&spec, &catalogue).map_err(told)?;
    let added = plan.operations.iter().filter(|each| matches!(each.action, Action::AddForeignKey { .. })).count();
    let statements = plan.operations.iter().filter(|operation| operation.forward.is_some()).count();
    if (added, statements) != (KEYS as usize, KEYS as usize) {
        return Err(format!("{added} keys and {statements} statements were planned for {KEYS} keys").into());
    }
    Ok(plan)
}

async fn statements_alone(target: &Target, plan: &Plan) -> Result<Duration, Failure> {
    let mut connection = target.connect(SessionLimits::default()).await?;
    connection.run("SET SESSION foreign_key_checks = 0").await?;
    let begun = Instant::now();
    for statement in plan.operations.iter().filter_map(|operation| operation.forward.as_deref()) {
        connection.run(statement).await?;
    }
    let took = begun.elapsed();
    connection.close().await?;
    Ok(took)
}

async fn by_engine(target: &Target, plan: &Plan) -> Result<(Duration, Duration), Failure> {
    let settings = Settings {
        lock_timeout: Duration::from_millis(500),
        max_retries: 20,
        barrier_timeout: Duration::from_secs(60),
        batch_rows: 1000,
        target_batch_time: Duration::from_millis(100),
        max_threads_running: 1000,
        kill_blockers: KillBlockers::Never,
        journal: JournalLocation::Schema(Identifier::new(JOURNAL)?),
    };
    let session =
        Engine { target: target.clone(), settings, replicas: Replicas::default() }.begin("bench", plan).await?;
    let (progress, _reading) = Progress::new();
    let begun = Instant::now();
    session.run(Section::Stage(0), Allowance::default(), &progress, &Stop::default()).await?;
    let forward = begun.elapsed();
    let begun = Instant::now();
    session.undo(&progress, &Stop::default()).await?;
    let back = begun.elapsed();
    session.finish(MigrationOutcome::RolledBack).await?;
    Ok((forward, back))
}

fn specification() -> Result<SchemaMigrationSpec, Failure> {
    let key = |number: u32| -> Value {
        json!({"name": format!("fk_{number}"), "table": format!("child_{number}"), "columns": ["parent_id"],
            "references": {"table": "parent", "columns": ["id"]}, "onDelete": "Cascade", "orphans": "Fail"})
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
