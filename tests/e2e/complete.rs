//! The good case: a migration approved by a person, to its proven end; and how it reads meanwhile.

use serde_json::{Value, json};

use super::harness::Outcome;
use super::harness::migration::condition;
use super::rollout::{END, Rollout, SOON};
use super::secrecy;

/// The conditions of every phase and of the whole, once all is done.
const TRUE: [&str; 16] = [
    "PreflightPassed",
    "Planned",
    "BackedUp",
    "Rehearsed",
    "Validated",
    "Approved",
    "CleanedUp",
    "TypesFixed",
    "UniquesAdded",
    "ForeignKeysAdded",
    "SchemaUpdated",
    "Tested",
    "Soaked",
    "Ready",
    "Succeeded",
    "Finished",
];

#[test]
fn an_approved_migration_ends_complete_and_tells_its_story() -> Outcome<()> {
    let case = Rollout::on_own_schema("complete")?;
    let mut manifest = case.manifest();
    manifest["spec"]["gates"] = json!([{"before": {"phase": "CleanUp"}, "approval": "Required"}]);
    manifest["spec"]["tests"] = json!({
        "probes": "Derived",
        "scenarios": [{"name": "a bookmark needs its user", "steps": [
            {"sql": "INSERT INTO bookmarks (id, user_id, protocol_id) VALUES (4000000, 4000000, 1)", "expectError": "ForeignKeyViolation"}
        ]}]
    });
    case.apply(&manifest)?;

    let waiting = case.wait_for_reason("Approved", "ApprovalPending", SOON)?;
    case.expect_condition(&waiting, "Ready", "Unknown", "ApprovalPending");
    case.expect_unchanged()?;
    case.expect_event("ApprovalPending", "CleanUp")?;
    let columns = table(&case)?;
    assert_eq!(columns[0], ["NAME", "READY", "PHASE", "STEPS", "CURRENT", "AGE"]);
    let total = waiting["status"]["steps"]["total"].to_string();
    let now = ["complete", "Unknown", "Validate", &format!("0/{total}"), "waiting:", "ApprovalPending"];
    assert_eq!(columns[1][..6], now, "{columns:?}");

    let digest = waiting["status"]["plan"]["digest"].as_str().unwrap_or_default();
    case.migration.approve("CleanUp", digest, 100, "read the plan")?;
    case.wait_for("Finished", END)?;
    let end = case.wait_for("Succeeded", SOON)?;
    for condition_type in TRUE {
        let found = condition(&end, condition_type).cloned().unwrap_or_default();
        assert_eq!(found["status"], "True", "{condition_type}: {found}");
        assert_eq!(found["observedGeneration"], end["metadata"]["generation"], "{condition_type}: {found}");
    }
    case.expect_condition(&end, "Rehearsed", "True", "Skipped");
    case.expect_condition(&end, "Finished", "True", "Complete");
    assert_eq!((condition(&end, "Stalled"), condition(&end, "Reconciling")), (None, None));
    let columns = table(&case)?;
    // Nothing is current any more: the age follows.
    assert_eq!(columns[1][..4], ["complete", "True", "Complete", &format!("{total}/{total}")], "{columns:?}");
    assert_eq!(columns[1].len(), 5, "{columns:?}");

    for (reason, text) in [
        ("PlanComputed", "sha256:"),
        ("BackupVerified", "rows agree"),
        ("OrphansFound", "break the rules"),
        ("ApprovalPending", "CleanUp"),
        ("ApprovalGranted", "complete-cleanup"),
        ("PhaseSucceeded", "ForeignKeysAdded"),
        ("PhaseSucceeded", "Tested"),
        ("Complete", "4 foreign keys"),
    ] {
        case.expect_event(reason, text)?;
    }
    assert_eq!(case.database.foreign_keys()?.len(), 4);
    let orphans = case.database.orphans()?;
    assert!(orphans.len() == 4 && orphans.values().all(|count| *count == 0), "{orphans:?}");
    let verified: u64 = numbers(&end["status"]["stages"], "verified").iter().sum();
    assert_eq!(verified, 4);
    secrecy::check(&case.migration.kubectl)
}

/// What `kubectl get smig` prints of it, line by line and column by column.
fn table(case: &Rollout) -> Outcome<Vec<Vec<String>>> {
    let printed = case.migration.kubectl.run(&["get", "smig", &case.migration.name])?;
    Ok(printed.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect())
}

fn numbers(list: &Value, field: &str) -> Vec<u64> {
    list.as_array().into_iter().flatten().filter_map(|each| each[field].as_u64()).collect()
}
