//! Specifications that name what does not exist.

use serde_json::json;

use super::harness::Outcome;
use super::rollout::{END, Rollout, SOON};

#[test]
fn an_unknown_table_and_an_unknown_column_are_named_with_their_paths() -> Outcome<()> {
    let case = Rollout::without_changes("misspelt");
    let mut manifest = case.manifest();
    manifest["spec"]["stages"][0]["foreignKeys"][2]["table"] = json!("auth_provider");
    manifest["spec"]["stages"][1]["foreignKeys"][0]["columns"] = json!(["protokol_id"]);
    case.apply(&manifest)?;
    let end = case.wait_for("Finished", END)?;
    let texts = [
        "spec.stages[0].foreignKeys[2].table",
        "auth_provider does not exist",
        "spec.stages[1].foreignKeys[0].columns[0]",
        "protokol_id",
        "correct the name",
        "Changing the spec begins it again",
    ];
    case.expect_failed(&end, "Planned", "InvalidSpec", &texts)?;
    assert_eq!(end["status"]["plan"], json!(null));

    // The way out that the message names.
    let mut corrected = case.manifest();
    corrected["spec"]["mode"] = json!("Plan");
    case.apply(&corrected)?;
    let end = case.wait_for("Succeeded", SOON)?;
    case.expect_condition(&end, "Finished", "True", "PlanOnly");
    case.expect_unchanged()
}
