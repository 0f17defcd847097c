//! A failure that is answered with the backup: what is lost is told and approved first, then every table is as it was at the backup.

use serde_json::{Value, json};

use super::harness::Outcome;
use super::restore::{IMAGE, restoring};
use super::rollout::{END, Rollout, SOON, message};
use super::secrecy;

/// Tests of an application that is not ready for the keys.
fn failing_tests() -> Value {
    json!({
        "apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "put-back-tests"},
        "template": {"spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "application",
                "image": IMAGE,
                "command": ["sh", "-c", "echo 'a guest can bookmark no protocol any more' >&2; exit 1"],
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}
            }]
        }}
    })
}

/// What the status says of one table's loss.
fn loss_of<'a>(object: &'a Value, table: &str) -> &'a Value {
    let tables = object["status"]["rollback"]["putBack"]["loss"]["most"].as_array();
    tables.into_iter().flatten().find(|each| each["table"] == table).unwrap_or(&Value::Null)
}

fn count(case: &Rollout, schema: &str, table: &str) -> Outcome<String> {
    Ok(case.database.sql(&format!("SELECT COUNT(*) FROM `{schema}`.`{table}`"))?.trim().to_owned())
}

#[test]
fn a_failed_test_is_answered_with_the_backup_once_a_person_has_approved_what_is_lost() -> Outcome<()> {
    let case = Rollout::on_own_schema("put-back")?;
    let kubectl = &case.migration.kubectl;
    kubectl.apply(&failing_tests().to_string())?;
    let mut manifest = restoring(&case, json!({"image": IMAGE, "storage": "1Gi"}));
    manifest["spec"]["rollback"] = json!({"onFailure": "RestoreBackup"});
    manifest["spec"]["tests"] = json!({"jobs": [{"name": "app-tests", "podTemplateRef": {"name": "put-back-tests"}}]});
    case.apply(&manifest)?;
    let waiting = case.wait_for_reason("Approved", "ApprovalPending", END)?;
    let digest = waiting["status"]["plan"]["digest"].as_str().unwrap_or_default();
    // The backup is there, and the application goes on: in tables that the migration does not change.
    case.database.sql(
        "INSERT INTO agencies (name) VALUES ('one'), ('two'), ('three'), ('four'), ('five'); DELETE FROM agencies WHERE id = 1; \
         UPDATE agencies SET name = 'renamed' WHERE id IN (2, 3, 4)",
    )?;
    case.migration.approve("CleanUp", digest, 100, "read the plan")?;

    // All keys are there, the tests fail, and nothing is put back before a person has read what that loses.
    let asking = case.wait_for_message("Ready", "before.phase RestoreBackup")?;
    for (condition_type, status, reason) in [
        ("Ready", "Unknown", "ApprovalPending"),
        ("Approved", "Unknown", "ApprovalPending"),
        ("Tested", "False", "TestsFailed"),
        ("ForeignKeysAdded", "Unknown", "RollingBack"),
        ("Finished", "False", "Progressing"),
    ] {
        case.expect_condition(&asking, condition_type, status, reason);
    }
    assert_eq!(case.database.foreign_keys()?.len(), 4, "nothing is taken back meanwhile");
    let loss = &asking["status"]["rollback"]["putBack"]["loss"];
    let rows = loss["rows"].as_u64().unwrap_or_default();
    // Those that the migration has altered count whole: their counters may have begun anew.
    assert_eq!((loss["uncounted"].as_str(), loss["tables"].as_u64()), (None, Some(6)), "{loss}");
    let agencies = loss_of(&asking, "agencies");
    for (field, number) in [("rowsThen", 20), ("rowsNow", 24), ("inserted", 5), ("changed", 3), ("deleted", 1)] {
        assert_eq!(agencies[field], number, "{field}: {loss}");
    }
    let told = message(&asking, "Ready");
    for text in [
        digest,
        &format!("maxRows of at least {rows}"),
        "the backup number 1 of ",
        "every table of the schema case_put_back",
        "whatever was written to any of them since is lost",
        "holdfast.dev/rollback-at",
    ] {
        assert!(told.contains(text), "the message does not say {text:?}: {told}");
    }
    case.expect_event("ApprovalPending", "before RestoreBackup")?;

    // One who has read less of it does not open the gate.
    case.migration.approve("RestoreBackup", digest, rows - 1, "did not read it")?;
    let refused = case.wait_for_reason("Ready", "MoreRowsThanApproved", SOON)?;
    assert!(message(&refused, "Ready").contains(&format!("up to {rows} rows may be lost")), "{refused}");
    assert_eq!(refused["status"]["rollback"]["putBack"]["restoredSchema"], Value::Null);
    kubectl.run(&["delete", "migrationapproval", "put-back-restorebackup"])?;
    case.migration.approve("RestoreBackup", digest, rows, "the old rows matter more")?;

    let end = case.wait_for("Finished", END)?;
    for (condition_type, status, reason) in [
        ("Finished", "True", "RollbackSucceeded"),
        ("RolledBack", "True", "RollbackSucceeded"),
        ("Succeeded", "False", "RollbackSucceeded"),
        ("Ready", "False", "RollbackSucceeded"),
        ("Approved", "True", "Approved"),
    ] {
        case.expect_condition(&end, condition_type, status, reason);
    }
    assert_eq!(end["status"]["phase"], "RolledBack");
    let rollback = &end["status"]["rollback"];
    assert_eq!((&rollback["strategy"], &rollback["failedPhase"]), (&json!("RestoreBackup"), &json!("Test")));
    let put_back = &rollback["putBack"];
    assert_eq!(
        (&put_back["inPlace"], &put_back["tables"], &put_back["keptTables"]),
        (&json!(true), &json!(6), &json!(6)),
        "{rollback}"
    );
    let kept = put_back["keptSchema"].as_str().unwrap_or_default();
    assert!(kept.starts_with("holdfast_kept_") && message(&end, "Finished").contains(kept), "{rollback}");

    // Every table, its rows and its definition, is as it was at the backup; what was written since is kept, with the keys.
    case.expect_unchanged()?;
    assert_eq!(case.database.foreign_keys()?, Vec::<String>::new());
    assert_eq!(
        (count(&case, "case_put_back", "agencies")?, count(&case, kept, "agencies")?),
        ("20".into(), "24".into())
    );
    let again = case.database.sql("INSERT INTO agencies (name) VALUES ('after'); SELECT LAST_INSERT_ID()")?;
    assert_eq!(again.trim(), "26", "no id that was given out since is given out again");
    let schemas = |pattern: &str| {
        case.database
            .sql(&format!("SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE '{pattern}'"))
    };
    assert_eq!(schemas("holdfast\\_restored\\_%")?.trim(), "0");
    let jobs: Vec<&str> =
        end["status"]["jobs"].as_array().into_iter().flatten().filter_map(|each| each["purpose"].as_str()).collect();
    assert_eq!(jobs, ["Backup", "VerifyBackup", "Test", "RestoreBackup"]);
    case.expect_event("ApprovalGranted", "put-back-restorebackup")?;
    case.expect_event("RollbackSucceeded", "the backup is in place")?;
    secrecy::check(kubectl)?;

    // What was there goes with the quarantine.
    let token = "holdfast.dev/purge-at=now";
    kubectl.run(&["annotate", "--overwrite", "smig", &case.migration.name, token])?;
    let purged = case.wait_for_field("rollback.putBack.purgedAt", SOON)?;
    case.expect_condition(&purged, "Finished", "True", "RollbackSucceeded");
    assert_eq!(schemas(&kept.replace('_', "\\_"))?.trim(), "0");
    Ok(())
}
