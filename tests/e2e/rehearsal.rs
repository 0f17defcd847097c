//! The plan is run on the restored copy first: what passes there passes on the database, and what would have failed there is found while
//! nothing is changed.

use serde_json::{Value, json};

use super::harness::Outcome;
use super::harness::migration::summary;
use super::library::{BOOKMARKS_WITHOUT_USER, DUPLICATE_PROVIDERS, FEEDBACK_WITHOUT_USER};
use super::restore::{IMAGE, restoring};
use super::rollout::{END, Rollout, message};
use super::secrecy;

fn rehearsing(case: &Rollout) -> Value {
    let mut manifest = restoring(case, json!({"image": IMAGE, "storage": "2Gi"}));
    manifest["spec"]["rehearsal"] = json!({"enabled": true, "deadline": "10m"});
    manifest
}

#[test]
fn a_rehearsed_migration_does_what_its_rehearsal_showed() -> Outcome<()> {
    let case = Rollout::on_own_schema("rehearsed")?;
    let mut manifest = rehearsing(&case);
    manifest["spec"]["tests"] = json!({"scenarios": [{"name": "a bookmark needs its user", "steps": [
        {"sql": "INSERT INTO bookmarks (id, user_id, protocol_id) VALUES (4000000, 4000000, 1)", "expectError": "ForeignKeyViolation"}
    ]}]});
    case.apply(&manifest)?;
    let waiting = case.wait_for_reason("Approved", "ApprovalPending", END)?;
    case.expect_unchanged()?;
    case.expect_condition(&waiting, "BackedUp", "True", "Succeeded");
    case.expect_condition(&waiting, "Rehearsed", "True", "Succeeded");
    let status = &waiting["status"];
    let found = &status["rehearsal"];
    let expected = [
        ("passed", json!(true)),
        ("identical", json!(true)),
        ("planDigest", status["plan"]["digest"].clone()),
        ("backupAttempt", json!(1)),
        ("orphans", json!(BOOKMARKS_WITHOUT_USER + FEEDBACK_WITHOUT_USER)),
        ("duplicates", json!(DUPLICATE_PROVIDERS)),
        ("quarantinedRows", json!(BOOKMARKS_WITHOUT_USER + DUPLICATE_PROVIDERS)),
        ("quarantinedValues", json!(FEEDBACK_WITHOUT_USER)),
        ("foreignKeys", json!(4)),
        ("probes", json!(4)),
        ("scenarios", json!(1)),
    ];
    for (field, value) in expected {
        assert_eq!(found[field], value, "{field}: {found}");
    }
    let phases: Vec<&str> =
        found["phases"].as_array().into_iter().flatten().filter_map(|each| each["name"].as_str()).collect();
    assert_eq!(phases, ["Validate", "CleanUp", "AddUniques", "AddForeignKeys", "Test", "Prove", "RollBack"]);
    assert!(status["plan"]["estimates"]["rehearsedSeconds"].as_i64().is_some_and(|seconds| seconds > 0), "{status}");
    let jobs: Vec<&str> =
        status["jobs"].as_array().into_iter().flatten().filter_map(|each| each["purpose"].as_str()).collect();
    assert_eq!(jobs, ["Backup", "VerifyBackup"], "one restore serves both");

    let digest = status["plan"]["digest"].as_str().unwrap_or_default();
    case.migration.approve("CleanUp", digest, 100, "read what the rehearsal showed")?;
    case.wait_for("Finished", END)?;
    let end = case.wait_for("Succeeded", END)?;
    case.expect_condition(&end, "Finished", "True", "Complete");
    let kept = &end["status"]["quarantine"];
    assert_eq!((&kept["orphans"], &kept["values"]), (&json!(BOOKMARKS_WITHOUT_USER), &json!(FEEDBACK_WITHOUT_USER)));
    secrecy::check(&case.migration.kubectl)
}

#[test]
fn what_would_have_failed_on_the_database_fails_on_the_copy_and_nothing_is_changed() -> Outcome<()> {
    let case = Rollout::without_changes("rehearsal-finds");
    let mut manifest = rehearsing(&case);
    manifest["spec"]["tests"] = json!({"scenarios": [{"name": "a guest bookmarks a protocol", "steps": [
        {"sql": "INSERT INTO bookmarks (id, user_id, protocol_id) VALUES (4000000, 4000000, 1)"}
    ]}]});
    case.apply(&manifest)?;
    let end = case.wait_for("Finished", END)?;
    let texts = [
        "rehearsal on the restored copy failed",
        "a guest bookmarks a protocol",
        "step 1",
        "1452",
        "holdfast.dev/retry-at",
    ];
    case.expect_failed(&end, "Rehearsed", "RehearsalFailed", &texts)?;
    case.expect_condition(&end, "BackedUp", "True", "Succeeded");
    assert!(message(&end, "BackedUp").contains("restored into MySQL 9.7"), "{}", summary(&end));
    // Its Job is there, to be looked at, and its log tells every operation.
    let job = end["status"]["rehearsal"]["job"].as_str().unwrap_or_default();
    let log = case.migration.kubectl.run(&["logs", &format!("job/{job}"), "--container", "verify"])?;
    for text in ["add-key-fk_bookmarks_user", "\"step done\"", "\"count\":30"] {
        assert!(log.contains(text), "the log of {job} does not say {text:?}: {log}");
    }
    Ok(())
}
