//! The sample application with its own Jobs: a release that is not ready for the keys fails its tests, and everything is taken back, its
//! schema file included; the release that is ready goes through, with every key in its schema file.

use serde_json::{Value, json};

use super::harness::Outcome;
use super::harness::migration::Migration;
use super::rollout::{END, Rollout, SOON, message};
use super::secrecy;
use super::surroundings::surroundings;

const MIGRATION: &str = include_str!("../../deploy/sample/migration.yaml");
const JOB_TEMPLATES: &str = include_str!("../../deploy/sample/job-templates.yaml");
const SERVICE: &str = include_str!("../../deploy/sample/application.yaml");
const VOLUMES: &str = include_str!("../../deploy/sample/volumes.yaml");
const TABLES: &str = include_str!("../sample/schema.sql");
const KEYS: usize = 45;

/// A row or two of what the application works with, and one defect of each kind: an orphan that goes, one that stays without its user, a
/// pair of duplicates.
const ROWS: &str = "
INSERT INTO users (id, email) VALUES (1, 'one@example.test'), (2, 'two@example.test');
INSERT INTO counties (id, name) VALUES (1, 'Alameda');
INSERT INTO agencies (id, county_id, name) VALUES (1, 1, 'County Fire');
INSERT INTO plans (id, name) VALUES (1, 'Team');
INSERT INTO protocols (id, county_id, author_id, code, title) VALUES (1, 1, 1, 'A-1', 'Airway'), (2, 1, 2, 'B-1', 'Burns');
INSERT INTO protocol_versions (protocol_id, version) VALUES (1, 1);
INSERT INTO protocol_chunks (id, protocol_id, version, content) VALUES (1, 1, 1, 'one'), (2, 1, NULL, 'latest');
INSERT INTO bookmark_folders (id, owner_id, name) VALUES (1, 1, 'mine');
INSERT INTO bookmarks (id, user_id, protocol_id, folder_id) VALUES (1, 1, 1, 1), (2, 777, 1, NULL);
INSERT INTO queries (id, user_id, question) VALUES (1, 778, 'dose of adrenaline');
INSERT INTO user_auth_providers (id, user_id, provider, subject) VALUES (1, 1, 'google', 'a'), (2, 1, 'google', 'b');
INSERT INTO integration_logs (id, agency_name) VALUES (1, 'County Fire');
";

/// The sample's migration of this schema, with these tests.
fn manifest(case: &Rollout, tests: &str) -> Value {
    let mut manifest: Value = serde_yaml::from_str(MIGRATION).unwrap();
    manifest["metadata"]["name"] = json!(case.migration.name);
    manifest["spec"]["database"]["name"] = json!(case.database.name);
    manifest["spec"]["tests"]["jobs"][0]["podTemplateRef"]["name"] = json!(tests);
    // What copies a table is gated all the same.
    manifest["spec"]["gates"] = json!([]);
    manifest
}

/// Applies it, approves the copy, and returns what it came to.
fn to_its_end(case: &Rollout, tests: &str) -> Outcome<Value> {
    case.apply(&manifest(case, tests))?;
    let waiting = case.wait_for_reason("Approved", "ApprovalPending", SOON)?;
    let digest = waiting["status"]["plan"]["digest"].as_str().unwrap_or_default();
    case.migration.approve("Copy", digest, 100, "a table of one row")?;
    case.wait_for("Finished", END)
}

/// The log of the last Job of a purpose, which must have come to that.
fn log_of(case: &Rollout, object: &Value, purpose: &str, state: &str) -> Outcome<String> {
    let jobs = object["status"]["jobs"].as_array().cloned().unwrap_or_default();
    let job = jobs.iter().rfind(|job| job["purpose"] == purpose).ok_or(format!("no Job {purpose}: {jobs:?}"))?;
    assert_eq!(job["state"], state, "{job}");
    let name = job["name"].as_str().unwrap_or_default();
    case.migration.kubectl.run(&["logs", &format!("job/{name}"), "--all-containers", "--tail=-1"])
}

/// What was counted of the last test Job's results.
fn results(object: &Value) -> Value {
    let jobs = object["status"]["jobs"].as_array().cloned().unwrap_or_default();
    jobs.iter().rfind(|job| job["purpose"] == "Test").map_or(Value::Null, |job| job["results"].clone())
}

#[test]
#[ignore = "drizzle-kit and npm test want the processors for themselves: tests/e2e/run.sh runs it after the others"]
fn an_application_that_is_not_ready_takes_everything_back_and_one_that_is_completes() -> Outcome<()> {
    let kubectl = &surroundings().shop.kubectl;
    // An earlier run's volume begins anew as well.
    kubectl.run(&["delete", "persistentvolumeclaim", "application-schema", "--ignore-not-found", "--timeout=60s"])?;
    kubectl.apply(VOLUMES)?;
    kubectl.apply(JOB_TEMPLATES)?;
    let case = Rollout::on_schema_of("application-early", &format!("{TABLES}{ROWS}"))?;
    let end = to_its_end(&case, "app-tests-early-bookmarks")?;
    for (condition_type, status, reason) in [
        ("Finished", "True", "RollbackSucceeded"),
        ("RolledBack", "True", "RollbackSucceeded"),
        ("Succeeded", "False", "RollbackSucceeded"),
        ("Ready", "False", "RollbackSucceeded"),
        ("Stalled", "True", "RollbackSucceeded"),
        ("ForeignKeysAdded", "False", "RollbackSucceeded"),
        ("Tested", "False", "TestsFailed"),
    ] {
        case.expect_condition(&end, condition_type, status, reason);
    }
    assert_eq!(end["status"]["phase"], "RolledBack");
    for condition_type in ["Finished", "Tested"] {
        let told = message(&end, condition_type);
        for text in ["the test \"app-tests\" failed", "signing up with imported bookmarks", "fk_bookmarks_user"] {
            assert!(told.contains(text), "{condition_type} does not say {text:?}: {told}");
        }
    }
    let found = results(&end);
    assert!(found["failed"].as_i64() > Some(0) && found["tests"].as_i64() > found["failed"].as_i64(), "{found}");
    assert!(found["failures"].to_string().contains("imported bookmarks"), "{found}");
    // Before it failed, all of it had been there; now none is.
    case.expect_event("PhaseSucceeded", &format!("{KEYS} foreign keys are there and verified"))?;
    let stages = end["status"]["stages"].as_array().cloned().unwrap_or_default();
    let verified: Vec<_> = stages.iter().map(|stage| stage["verified"].as_u64()).collect();
    assert_eq!(verified, [Some(0), Some(0)]);
    let rollback = &end["status"]["rollback"];
    assert_eq!(rollback["remaining"].as_array().map_or(0, Vec::len), 0, "{rollback}");
    case.expect_unchanged()?;
    assert_eq!(case.database.foreign_keys()?, Vec::<String>::new());
    case.expect_event("PhaseFailed", "TestsFailed")?;
    case.expect_event("RollbackSucceeded", "took back")?;
    let updated = log_of(&case, &end, "SchemaUpdate", "Succeeded")?;
    assert!(updated.contains(&format!("{KEYS} foreign keys in the catalogue and in the schema file")), "{updated}");
    let restored = log_of(&case, &end, "UndoSchemaUpdate", "Succeeded")?;
    assert!(restored.contains("0 foreign keys in the schema file that is in use"), "{restored}");
    secrecy::check(kubectl)?;

    let second = Rollout { migration: Migration::new(kubectl, "application-ready"), ..case };
    let end = to_its_end(&second, "app-tests")?;
    second.expect_condition(&end, "Finished", "True", "Complete");
    second.expect_condition(&end, "SchemaUpdated", "True", "Succeeded");
    second.expect_condition(&end, "Tested", "True", "Succeeded");
    assert_eq!(second.database.foreign_keys()?.len(), KEYS);
    assert!(second.database.orphans()?.values().all(|count| *count == 0));
    let quarantine = &end["status"]["quarantine"];
    let counts = ["orphans", "values", "duplicates"].map(|kind| quarantine[kind].as_u64());
    assert_eq!(counts, [1, 1, 1].map(Some), "{quarantine}");
    let updated = log_of(&second, &end, "SchemaUpdate", "Succeeded")?;
    assert!(updated.contains(&format!("{KEYS} foreign keys in the catalogue and in the schema file")), "{updated}");
    let tested = log_of(&second, &end, "Test", "Succeeded")?;
    assert!(tested.contains("pass 9") && tested.contains("fail 0"), "{tested}");
    assert_eq!(
        results(&end),
        json!({"tests": 9, "failed": 0, "skipped": 0}),
        "counted beside the tests, by a real kubelet"
    );
    let told = message(&end, "Tested");
    assert!(told.contains("9 tests"), "{told}");
    // The tests have removed what they made.
    let made = second.database.sql("SELECT COUNT(*) FROM users UNION ALL SELECT COUNT(*) FROM bookmarks")?;
    assert_eq!(made, "2\n1\n");

    // The service goes on with the new schema file.
    kubectl.apply(&SERVICE.replace("value: shop}", &format!("value: {}}}", second.database.name)))?;
    kubectl.run(&["rollout", "status", "deployment/application", "--timeout=60s"])?;
    let path = format!("/api/v1/namespaces/{}/services/application:http/proxy/users/1", kubectl.namespace);
    let user: Value =
        serde_json::from_str(&kubectl.run(&["get", "--raw", &path])?).map_err(|error| error.to_string())?;
    assert_eq!((&user["email"], &user["bookmarks"][0]["id"]), (&json!("one@example.test"), &json!(1)), "{user}");
    secrecy::check(kubectl)
}
