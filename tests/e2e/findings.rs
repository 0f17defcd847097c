//! Rows that break the rules which are to be added, under the policy Fail.

use serde_json::{Value, json};

use super::harness::Outcome;
use super::library::{BOOKMARKS_WITHOUT_USER, DUPLICATE_PROVIDERS};
use super::rollout::{END, Rollout};

fn counted(object: &Value, issue_type: &str) -> Option<u64> {
    let lines = object["status"]["validation"].as_array()?;
    lines.iter().find(|line| line["issueType"] == issue_type)?["count"].as_u64()
}

#[test]
fn orphans_under_policy_fail_are_counted_and_stay() -> Outcome<()> {
    let case = Rollout::without_changes("orphans");
    let mut manifest = case.manifest();
    manifest["spec"]["stages"][0]["foreignKeys"][0]["orphans"] = json!("Fail");
    case.apply(&manifest)?;
    let end = case.wait_for("Finished", END)?;
    let issue = "orphans: bookmarks.user_id -> users.id";
    let found = format!("{issue} | {BOOKMARKS_WITHOUT_USER}");
    case.expect_failed(&end, "Validated", "OrphansFound", &[&found, "clean these rows up", "choose a policy"])?;
    assert_eq!(counted(&end, issue), Some(BOOKMARKS_WITHOUT_USER));
    assert_eq!(counted(&end, "orphans: bookmarks.protocol_id -> protocols.id"), Some(0));
    case.expect_condition(&end, "BackedUp", "True", "Succeeded");
    case.expect_event("OrphansFound", "status.validation")
}

#[test]
fn duplicates_under_policy_fail_are_counted_and_stay() -> Outcome<()> {
    let case = Rollout::without_changes("duplicates");
    let mut manifest = case.manifest();
    manifest["spec"]["uniqueConstraints"][0]["duplicates"] = json!({"policy": "Fail"});
    case.apply(&manifest)?;
    let end = case.wait_for("Finished", END)?;
    let issue = "duplicates: auth_providers.(user_id, provider)";
    let found = format!("{issue} | {DUPLICATE_PROVIDERS}");
    case.expect_failed(&end, "Validated", "DuplicatesFound", &[&found, "clean these rows up", "choose a policy"])?;
    assert_eq!(counted(&end, issue), Some(DUPLICATE_PROVIDERS));
    Ok(())
}
