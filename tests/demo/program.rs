//! `make demo`: Holdfast takes the sample application's database, dirty and busy, through a whole rollout on a real cluster; then the
//! same rollout meets an application that is not ready for it and puts everything back. A person watches; the last two lines are
//! for machines, and the exit status is 0 only if all that they say holds.

mod board;
#[path = "../harness/mod.rs"]
mod harness;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::Value;

use board::Board;
use harness::migration::{Migration, status_of, summary, waiting_gates};
use harness::shop::Shop;
use harness::{Outcome, operator, wait};

/// A rollout that has not ended after this long is a failure of the demo.
const ROLLOUT_LIMIT: Duration = Duration::from_secs(900);
/// The longest that a write may have waited, on tables without an approved copy.
const WRITE_BLOCK_LIMIT_MS: f64 = 1000.0;
/// The application's own schema Jobs write a row here each, when the keys come and when they go: such writes stay.
const WRITTEN_BY_JOBS: &str = "app_schema_version";

/// Shows a rollout and an automatic rollback.
#[derive(Debug, Parser)]
struct Arguments {
    /// Namespace of the sample application; it is deleted first and last.
    #[arg(long, default_value = "holdfast-demo")]
    namespace: String,
    /// About how many rows the sample's tables get.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Seed of the sample's data.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The operator's image.
    #[arg(long, default_value = "holdfast.test/operator:dev")]
    image: String,
    /// Leave the namespace and the operator where they are.
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut board = Board::new();
    let result = demo(&arguments, &mut board);
    if !arguments.keep
        && let Err(error) = Shop::new(&arguments.namespace).kubectl.delete_namespace()
    {
        eprintln!("demo: the namespace could not be deleted: {error}");
    }
    match result {
        Ok(lines) => {
            println!();
            for (line, _) in &lines {
                println!("{line}");
            }
            if lines.iter().all(|(_, holds)| *holds) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            board.line(&format!("✗ {error}"));
            if let Ok(log) = operator::log(15) {
                board.block(&log);
            }
            ExitCode::FAILURE
        }
    }
}

fn demo(arguments: &Arguments, board: &mut Board) -> Outcome<Vec<(String, bool)>> {
    board.heading("Setting the scene");
    operator::install(&arguments.image, &[])?;
    board.line("✓ the operator runs, installed from its charts");
    let shop = Shop::new(&arguments.namespace);
    shop.kubectl.delete_namespace()?;
    shop.start_database()?;
    board.line("✓ MySQL runs, with TLS");
    Ok(vec![first_act(arguments, board, &shop)?, second_act(arguments, board, &shop)?])
}

/// The rollout, with traffic.
fn first_act(arguments: &Arguments, board: &mut Board, shop: &Shop) -> Outcome<(String, bool)> {
    let begun = Instant::now();
    board.heading("First act: foreign keys for a dirty, busy database");
    let truth = shop.generate(arguments.rows, arguments.seed)?;
    let rows = shop.snapshot()?.rows();
    board.line(&format!("✓ {rows} rows in {} tables, no foreign key", shop.snapshot()?.0.len()));
    shop.start_traffic()?;
    board.line("✓ the application writes and reads");
    shop.kubectl.run(&["apply", "--kustomize", "deploy/sample"])?;
    let migration = Migration::new(&shop.kubectl, "referential-integrity");
    let end = watch(board, &migration)?;
    expect(&end, "Succeeded")?;

    let keys = shop.foreign_keys()?;
    board.line(&format!("{} foreign keys in the catalogue:", keys.len()));
    board.block(&keys.join("\n"));
    let verified: i64 = numbers(&end["status"]["stages"], "verified").iter().sum();
    let quarantine = &end["status"]["quarantine"];
    let (orphans, duplicates) =
        (quarantine["orphans"].as_u64().unwrap_or(0), quarantine["duplicates"].as_u64().unwrap_or(0));
    let report = shop.stop_traffic()?;
    board.line("the application's traffic during the rollout:");
    board.block(&serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?);
    let errors = number(&report, "write_errors")?;
    let blocked = number(&report, "write_block_max_ms")?;
    let lost = number(&report, "lost_rows")?;
    let planted_keys = planted(&truth, "foreign_keys")?;
    // An orphan goes to quarantine as a whole row or, where its key says SetNull, as the values that were nulled.
    let planted = (
        planted(&truth, "orphans_removed")? + planted(&truth, "values_nulled")?,
        planted(&truth, "duplicates_removed")?,
    );
    if (orphans, duplicates) != planted {
        board.line(&format!(
            "✗ quarantine has {orphans} orphans and {duplicates} duplicates; the generator planted {} and {}",
            planted.0, planted.1
        ));
    }
    let complete = status_of(&end, "Succeeded") == Some("True") && u64::try_from(keys.len()) == Ok(planted_keys);
    let holds = complete
        && usize::try_from(verified) == Ok(keys.len())
        && (orphans, duplicates) == planted
        && errors == 0.0
        && lost == 0.0
        && blocked <= WRITE_BLOCK_LIMIT_MS;
    let line = format!(
        "demo: complete={complete} foreign_keys={} verified={verified} orphans_quarantined={orphans} duplicates_quarantined={duplicates} \
         write_errors={errors} write_block_max_ms={blocked:.0} elapsed_s={}",
        keys.len(),
        begun.elapsed().as_secs()
    );
    Ok((line, holds))
}

/// The rollout that fails after its keys are in, and its rollback.
fn second_act(arguments: &Arguments, board: &mut Board, shop: &Shop) -> Outcome<(String, bool)> {
    let begun = Instant::now();
    board.heading("Second act: an application that is not ready");
    board.next_migration();
    shop.kubectl.run(&["delete", "schemamigration,migrationapproval", "--all", "--wait", "--timeout=60s"])?;
    shop.generate(arguments.rows, arguments.seed)?;
    let before = shop.snapshot()?;
    board.line(&format!("✓ the database is as it was: {} rows, no foreign key", before.rows()));
    shop.kubectl.run(&["apply", "--kustomize", "deploy/sample-failing"])?;
    let migration = Migration::new(&shop.kubectl, "referential-integrity-too-early");
    let end = watch(board, &migration)?;
    let rolled_back = status_of(&end, "RolledBack") == Some("True");
    board.line(&summary(&end));

    let after = shop.snapshot()?;
    let differences = before.differences(&after, WRITTEN_BY_JOBS);
    let identical =
        before.0.iter().all(|(name, table)| after.0.get(name).is_some_and(|now| now.definition == table.definition))
            && before.0.len() == after.0.len();
    let lost: u64 = before
        .0
        .iter()
        .map(|(name, table)| table.rows.saturating_sub(after.0.get(name).map_or(0, |now| now.rows)))
        .sum();
    if differences.is_empty() {
        board.line(&format!("✓ all {} tables are as before: definitions, rows and checksums", before.0.len()));
    } else {
        board.line("✗ not as before:");
        board.block(&differences.join("\n"));
    }
    let line = format!(
        "demo: rolled_back={rolled_back} schema_identical={identical} rows_lost={lost} elapsed_s={}",
        begun.elapsed().as_secs()
    );
    Ok((line, rolled_back && identical && differences.is_empty()))
}

/// Watches a migration to its end, approving its gates as a person would after reading the plan.
fn watch(board: &mut Board, migration: &Migration) -> Outcome<Value> {
    let mut approved = Vec::new();
    wait::until(&format!("SchemaMigration {} to end", migration.name), ROLLOUT_LIMIT, || {
        let object = migration.read()?;
        board.show(&object);
        for phase in waiting_gates(&object) {
            if !approved.contains(&phase) {
                approve(board, migration, &object, &phase)?;
                approved.push(phase);
            }
        }
        if status_of(&object, "Finished") == Some("True") { Ok(Ok(object)) } else { Ok(Err(summary(&object))) }
    })
}

fn approve(board: &mut Board, migration: &Migration, object: &Value, phase: &str) -> Outcome<()> {
    let status = &object["status"];
    board.line("what validation found:");
    for finding in status["validation"].as_array().into_iter().flatten() {
        if finding["count"].as_u64().unwrap_or(0) > 0 {
            board.block(&format!("{:>8}  {}", finding["count"], finding["issueType"].as_str().unwrap_or_default()));
        }
    }
    board.line("the plan:");
    board.block(&serde_json::to_string_pretty(&status["plan"]).map_err(|error| error.to_string())?);
    let digest = status["plan"]["digest"].as_str().ok_or("the plan has no digest")?;
    let rows: u64 =
        numbers(&status["validation"], "count").iter().map(|count| u64::try_from(*count).unwrap_or(0)).sum();
    // Deleting orphans makes orphans of their own children: the approver allows twice what was counted.
    let manifest = migration.approve(phase, digest, rows * 2, "read the plan; the counts are what we expected")?;
    board.line(&format!("kubectl apply -f - (the approval before {phase}):"));
    board.block(&manifest);
    Ok(())
}

fn expect(object: &Value, condition_type: &str) -> Outcome<()> {
    if status_of(object, condition_type) == Some("True") { Ok(()) } else { Err(summary(object)) }
}

fn numbers(list: &Value, field: &str) -> Vec<i64> {
    list.as_array().into_iter().flatten().filter_map(|each| each[field].as_i64()).collect()
}

fn number(report: &Value, field: &str) -> Outcome<f64> {
    report[field].as_f64().ok_or_else(|| format!("the traffic's report has no {field}: {report}"))
}

/// A sum of the generator's own account of what it planted.
fn planted(truth: &Value, name: &str) -> Outcome<u64> {
    truth["totals"][name].as_u64().ok_or_else(|| format!("the truth has no totals.{name}: {truth}"))
}
