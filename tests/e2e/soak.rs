//! The watch over the application after the last change: one that breaks the new keys has everything taken back, one that does not is
//! left alone with them.

use serde_json::json;

use super::harness::Outcome;
use super::harness::migration::Migration;
use super::rollout::{END, Rollout, message};
use super::secrecy;

/// More than the default allows in a minute.
const ERRORS: usize = 8;

#[test]
fn an_application_that_breaks_keys_is_found_and_one_that_does_not_completes() -> Outcome<()> {
    let case = Rollout::on_own_schema("soak")?;
    let mut manifest = case.manifest();
    manifest["spec"]["soak"] = json!({"duration": "60s"});
    case.apply(&manifest)?;
    case.wait_for_message("Soaked", "watching the application until")?;
    for _ in 0..ERRORS {
        let broken = case.database.sql("INSERT INTO bookmarks (user_id, protocol_id) VALUES (4000000, 1)");
        let refused = broken.err().unwrap_or_default();
        assert!(refused.contains("ERROR 1452"), "{refused}");
    }
    let end = case.wait_for("Finished", END)?;
    case.expect_condition(&end, "Finished", "True", "RollbackSucceeded");
    case.expect_condition(&end, "Soaked", "False", "SoakBreached");
    let told = message(&end, "Soaked");
    for text in
        ["foreign-key errors (1216, 1217, 1451, 1452)", "spec.soak.maxForeignKeyErrorsPerMinute allows 5 a minute"]
    {
        assert!(told.contains(text), "the message does not say {text:?}: {told}");
    }
    case.expect_event("PhaseFailed", "SoakBreached")?;
    case.expect_unchanged()?;
    assert_eq!(case.database.foreign_keys()?, Vec::<String>::new());
    secrecy::check(&case.migration.kubectl)?;

    // The same migration of an application that does nothing wrong, its log included.
    let mut good = case.manifest();
    good["metadata"]["name"] = json!("soak-good");
    let logs = json!({"selector": {"app.kubernetes.io/name": "mysql"}, "pattern": "no such line was ever written"});
    good["spec"]["soak"] = json!({"duration": "20s", "logs": logs});
    case.apply(&good)?;
    let second = Rollout { migration: Migration::new(&case.migration.kubectl, "soak-good"), ..case };
    let end = second.wait_for("Finished", END)?;
    second.expect_condition(&end, "Finished", "True", "Complete");
    second.expect_condition(&end, "Soaked", "True", "Succeeded");
    let told = message(&end, "Soaked");
    for text in [
        "foreign-key errors: ",
        "lines of the log: 0 lines match",
        "No row without a parent under 4 keys",
        "Not watched: ",
    ] {
        assert!(told.contains(text), "the message does not say {text:?}: {told}");
    }
    let soak = &end["status"]["soak"];
    assert!(soak["samples"].as_u64().is_some_and(|looks| looks >= 4), "{soak}");
    assert_eq!(second.database.foreign_keys()?.len(), 4);
    Ok(())
}
