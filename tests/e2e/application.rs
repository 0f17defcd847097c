//! An application that is not ready for the keys: its test fails once they are in, and everything is taken back.

use serde_json::{Value, json};

use super::harness::Outcome;
use super::library::{BOOKMARKS_WITHOUT_USER, DUPLICATE_PROVIDERS, FEEDBACK_WITHOUT_USER};
use super::rollout::{END, Rollout, SOON, message};
use super::secrecy;

/// Saves a bookmark before its user, which worked as long as no key forbade it.
const EARLY_BOOKMARK: &str = "
MYSQL_PWD=$(cat /var/run/holdfast/credentials/password) exec mysql --no-defaults --host=\"$MYSQL_HOST\" --port=\"$MYSQL_TCP_PORT\" \
  --user=\"$(cat /var/run/holdfast/credentials/username)\" --ssl-mode=VERIFY_IDENTITY --ssl-ca=/var/run/holdfast/tls/ca.crt \
  --execute='START TRANSACTION; INSERT INTO bookmarks (user_id, protocol_id) VALUES (4000000, 1); ROLLBACK' \"$MYSQL_DATABASE\"
";

fn pod_template(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": name},
        "template": {"spec": {
            "restartPolicy": "Never",
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532},
            "containers": [{"name": "test", "image": "holdfast.test/mysql:9.7", "command": ["bash", "-euc", EARLY_BOOKMARK]}]
        }}
    })
}

#[test]
fn a_failing_application_test_takes_everything_back() -> Outcome<()> {
    let case = Rollout::on_own_schema("application-test")?;
    case.apply(&pod_template("early-bookmark"))?;
    let mut manifest = case.manifest();
    manifest["spec"]["tests"] =
        json!({"probes": "Derived", "jobs": [{"name": "sign-up", "podTemplateRef": {"name": "early-bookmark"}}]});
    case.apply(&manifest)?;
    let end = case.wait_for("Finished", END)?;
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
        for text in ["the test \"sign-up\" failed", "ERROR 1452", "fk_bookmarks_user"] {
            assert!(told.contains(text), "{condition_type} does not say {text:?}: {told}");
        }
    }
    // Before it failed, all of it had been there; now none is.
    case.expect_event("PhaseSucceeded", "4 foreign keys are there and verified")?;
    let stages = end["status"]["stages"].as_array().cloned().unwrap_or_default();
    let verified: Vec<_> = stages.iter().map(|stage| stage["verified"].as_u64()).collect();
    assert_eq!(verified, [Some(0), Some(0)]);
    assert_eq!(
        end["status"]["rollback"]["remaining"].as_array().map_or(0, Vec::len),
        0,
        "{}",
        end["status"]["rollback"]
    );
    case.expect_unchanged()?;
    assert_eq!(case.database.foreign_keys()?, Vec::<String>::new());
    case.expect_event("PhaseFailed", "TestsFailed")?;
    case.expect_event("RollbackSucceeded", "took back")?;
    secrecy::check(&case.migration.kubectl)?;

    // Without that test the same migration goes through.
    let mut ready = case.manifest();
    ready["spec"]["tests"] = json!({"probes": "Derived"});
    ready["metadata"]["name"] = json!("application-ready");
    case.apply(&ready)?;
    let second = Rollout {
        migration: super::harness::migration::Migration::new(&case.migration.kubectl, "application-ready"),
        ..case
    };
    let end = second.wait_for("Finished", SOON)?;
    second.expect_condition(&end, "Finished", "True", "Complete");
    assert_eq!(second.database.foreign_keys()?.len(), 4);
    assert!(second.database.orphans()?.values().all(|count| *count == 0));
    let quarantine = &end["status"]["quarantine"];
    let counts = ["orphans", "values", "duplicates"].map(|kind| quarantine[kind].as_u64());
    assert_eq!(counts, [BOOKMARKS_WITHOUT_USER, FEEDBACK_WITHOUT_USER, DUPLICATE_PROVIDERS].map(Some), "{quarantine}");
    Ok(())
}
