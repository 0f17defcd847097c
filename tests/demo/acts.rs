//! The demo's two acts: the rollout that ends Complete under traffic, and the one that is taken back.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::board::Board;
use super::harness::database::Snapshot;
use super::harness::migration::{Migration, status_of, summary, waiting_gates};
use super::harness::shop::Shop;
use super::harness::{Outcome, wait};
use super::report;

/// A rollout that has not ended after this long is a failure of the demo.
const ROLLOUT_LIMIT: Duration = Duration::from_secs(900);
/// How often a rollout is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// The longest that a write may have waited, on tables without an approved copy.
const WRITE_BLOCK_LIMIT_MS: f64 = 1000.0;

/// What the generator is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Data {
    pub(crate) rows: u64,
    pub(crate) seed: u64,
}

/// The rollout, with traffic; `truth` is what the generator planted. Returns the line for machines, and whether all that it says is
/// good.
pub(crate) fn first(truth: &Value, fresh: &Snapshot, board: &mut Board, shop: &Shop) -> Outcome<(String, bool)> {
    let begun = Instant::now();
    board.heading("First act: foreign keys for a dirty, busy database");
    board.line(&format!("✓ {} rows in {} tables, no foreign key", fresh.rows(), fresh.0.len()));
    shop.start_traffic()?;
    board.line("✓ the application writes and reads");
    shop.apply_folder("deploy/sample")?;
    let migration = Migration::new(&shop.kubectl, "referential-integrity");
    let end = watch(board, &migration, Some(shop), |board, object| read_plan(board, &migration, object))?;
    expect(&end, "Succeeded")?;
    show_jobs(board, &migration, &end)?;

    let keys = shop.database().foreign_keys()?;
    board.line(&format!("{} foreign keys in the catalogue:", keys.len()));
    board.block(&keys.join("\n"));
    board.line("orphans before, and now as plain SQL counts them:");
    // The traffic holds its ledger against the database while the children are counted.
    let (orphans_now, traffic) = std::thread::scope(|scope| {
        let traffic = scope.spawn(|| shop.stop_traffic());
        let orphans = shop.database().orphans();
        (orphans, joined(traffic.join(), "stopping the traffic"))
    });
    let orphans_now = orphans_now?;
    board.block(&report::before_and_after(&end["status"]["validation"], &orphans_now));
    let traffic = traffic?;
    board.line("the application's traffic during the rollout:");
    board.block(&report::traffic_table(&traffic));

    let verified: i64 = numbers(&end["status"]["stages"], "verified").iter().sum();
    let quarantine = &end["status"]["quarantine"];
    let count = |kind: &str| quarantine[kind].as_u64().unwrap_or(0);
    // An orphan goes to quarantine as a whole row, where a key took its children along with them, or as the value that was nulled.
    let (rows, values, duplicates) = (count("orphans") + count("cascaded"), count("values"), count("duplicates"));
    let orphans = rows + values;
    let planted =
        (planted(truth, "orphans_removed")?, planted(truth, "values_nulled")?, planted(truth, "duplicates_removed")?);
    let agrees = (rows, values, duplicates) == planted;
    if !agrees {
        board.line(&format!(
            "✗ quarantine has {rows} orphans, {values} values and {duplicates} duplicates; the generator planted {planted:?}"
        ));
    }
    let errors = number(&traffic, "write_errors")?;
    let blocked = number(&traffic, "write_block_max_ms")?;
    let untrue = ["lost_rows", "changed_rows", "returned_rows"]
        .iter()
        .map(|name| number(&traffic, name))
        .sum::<Outcome<f64>>()?;
    let complete = status_of(&end, "Succeeded") == Some("True")
        && u64::try_from(keys.len()) == Ok(self::planted(truth, "foreign_keys")?);
    let holds = complete
        && usize::try_from(verified) == Ok(keys.len())
        && orphans_now.len() == keys.len()
        && orphans_now.values().all(|count| *count == 0)
        && agrees
        && errors == 0.0
        && untrue == 0.0
        && blocked <= WRITE_BLOCK_LIMIT_MS;
    let line = format!(
        "demo: complete={complete} foreign_keys={} verified={verified} orphans_quarantined={orphans} duplicates_quarantined={duplicates} \
         write_errors={errors} write_block_max_ms={blocked:.0} elapsed_s={}",
        keys.len(),
        begun.elapsed().as_secs()
    );
    Ok((line, holds))
}

/// The rollout that fails after its keys are in, and its rollback. `fresh` is the database as it was before the first act. Returns as
/// [`first`] does.
pub(crate) fn second(data: Data, fresh: &Snapshot, board: &mut Board, shop: &Shop) -> Outcome<(String, bool)> {
    let begun = Instant::now();
    board.heading("Second act: an application that is not ready");
    board.next_migration();
    std::thread::scope(|scope| {
        let deleting = scope.spawn(move || {
            let all = ["delete", "schemamigration,migrationapproval", "--all", "--wait", "--timeout=60s"];
            shop.kubectl.run(&all)?;
            // With the database the application's schema file begins anew.
            shop.kubectl.run(&["delete", "persistentvolumeclaim", "application-schema", "--wait", "--timeout=60s"])
        });
        let generated = shop.generate(data.rows, data.seed);
        joined(deleting.join(), "deleting the first migration")?;
        generated
    })?;
    board.line("✓ the database is filled anew");
    let migration = Migration::new(&shop.kubectl, "referential-integrity-too-early");
    // Before its first gate a migration only reads.
    let (before, end) = std::thread::scope(|scope| {
        let mut reading = Some(scope.spawn(|| shop.database().snapshot()));
        let mut before = None;
        shop.apply_folder("deploy/sample-failing")?;
        let end = watch(board, &migration, None, |board, _| {
            let Some(reading) = reading.take() else { return Ok(()) };
            let read = joined(reading.join(), "reading the database")?;
            let differences = fresh.differences(&read);
            if !differences.is_empty() {
                return Err(format!("the database is not as it was before the first act: {}", differences.join("; ")));
            }
            board.line(&format!("✓ it is as it was before the first act: {} rows, no foreign key", read.rows()));
            before = Some(read);
            Ok(())
        })?;
        Ok::<_, String>((before.ok_or("the migration ended without asking for an approval")?, end))
    })?;
    let rolled_back = status_of(&end, "RolledBack") == Some("True");
    show_jobs(board, &migration, &end)?;

    let after = shop.database().snapshot()?;
    let differences = before.differences(&after);
    let identical =
        before.0.iter().all(|(name, table)| after.0.get(name).is_some_and(|now| now.definition == table.definition))
            && before.0.len() == after.0.len();
    let lost: u64 = before
        .0
        .iter()
        .map(|(name, table)| table.rows.saturating_sub(after.0.get(name).map_or(0, |now| now.rows)))
        .sum();
    if differences.is_empty() {
        board.line(&format!("✓ all {} tables are as before: SHOW CREATE TABLE, rows and checksums", before.0.len()));
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

/// What a thread came to.
pub(crate) fn joined<T>(result: std::thread::Result<Outcome<T>>, what: &str) -> Outcome<T> {
    result.unwrap_or_else(|_| Err(format!("{what} panicked")))
}

/// Watches a migration to its end, approving its gates as a person would, after what such a person does `before_the_first`; with traffic,
/// tells how it fares.
fn watch(
    board: &mut Board,
    migration: &Migration,
    traffic: Option<&Shop>,
    mut before_the_first: impl FnMut(&mut Board, &Value) -> Outcome<()>,
) -> Outcome<Value> {
    let mut approved = Vec::new();
    wait::until_every(LOOK, &format!("SchemaMigration {} to end", migration.name), ROLLOUT_LIMIT, || {
        let object = migration.read()?;
        if board.show(&object)?
            && let Some(line) = traffic.and_then(Shop::traffic_reading).as_ref().and_then(report::traffic_line)
        {
            board.block(&line);
        }
        for phase in waiting_gates(&object) {
            if !approved.contains(&phase) {
                if approved.is_empty() {
                    before_the_first(board, &object)?;
                }
                approve(board, migration, &object, &phase)?;
                approved.push(phase);
            }
        }
        if status_of(&object, "Finished") == Some("True") { Ok(Ok(object)) } else { Ok(Err(summary(&object))) }
    })
}

/// Prints what an approver reads: what validation found, and the plan.
fn read_plan(board: &mut Board, migration: &Migration, object: &Value) -> Outcome<()> {
    board.line("what validation found:");
    board.block(&report::before(&object["status"]["validation"]));
    let plan = &object["status"]["plan"];
    for name in plan["configMaps"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let stored = migration.kubectl.get("configmap", name)?.ok_or_else(|| format!("ConfigMap {name} is gone"))?;
        if let Some(text) = stored["data"]["plan.txt"].as_str() {
            board.line(&format!("the plan, as kubectl get configmap {name} shows it:"));
            board.block(text);
        }
    }
    Ok(())
}

fn approve(board: &mut Board, migration: &Migration, object: &Value, phase: &str) -> Outcome<()> {
    let status = &object["status"];
    let digest = status["plan"]["digest"].as_str().ok_or("the plan has no digest")?;
    let rows = report::rows_to_clean(&status["validation"]);
    // Deleting orphans makes orphans of their own children: the approver allows twice what was counted.
    let manifest = migration.approve(phase, digest, rows * 2, "read the plan; the counts are what we expected")?;
    board.line(&format!("kubectl apply -f - (the approval before {phase}):"));
    board.block(&manifest);
    Ok(())
}

/// Prints what the application's own Jobs said: which keys its schema file has, and each of its tests.
fn show_jobs(board: &mut Board, migration: &Migration, object: &Value) -> Outcome<()> {
    for job in object["status"]["jobs"].as_array().into_iter().flatten() {
        let (name, purpose) = (job["name"].as_str().unwrap_or_default(), job["purpose"].as_str().unwrap_or_default());
        if !["SchemaUpdate", "Test", "UndoSchemaUpdate"].contains(&purpose) {
            continue;
        }
        let log = migration.kubectl.run(&["logs", &format!("job/{name}"), "--tail=-1"])?;
        board.line(&format!("the application's Job {name}:"));
        board.block(&report::said_by_job(&log));
    }
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
