//! A long transaction that holds a table: the application goes on, the wait names who is in the way, and it ends either way.

use serde_json::{Value, json};

use super::harness::Outcome;
use super::rollout::{END, Rollout, SOON, message};
use super::session::Session;

/// A session that has read from a table and stays in its transaction.
fn long_transaction(case: &Rollout, table: &str) -> Outcome<Session> {
    // No other statement reads without locks on the rows.
    Session::holding(case, &format!("BEGIN; SELECT COUNT(*) FROM `{table}`"))
}

/// Brings a migration to its gate, holds the table, and approves.
fn hold_after_the_gate(case: &Rollout, execution: Value) -> Outcome<Session> {
    let mut manifest = case.manifest();
    manifest["spec"]["execution"] = execution;
    manifest["spec"]["gates"] = json!([{"before": {"phase": "CleanUp"}, "approval": "Required"}]);
    case.apply(&manifest)?;
    let waiting = case.wait_for_reason("Approved", "ApprovalPending", SOON)?;
    let digest = waiting["status"]["plan"]["digest"].as_str().unwrap_or_default();
    let transaction = long_transaction(case, "bookmarks")?;
    case.migration.approve("CleanUp", digest, 100, "the counts are what we expected")?;
    Ok(transaction)
}

#[test]
fn a_long_transaction_is_named_and_once_it_ends_the_rollout_goes_on() -> Outcome<()> {
    let case = Rollout::on_own_schema("long-transaction")?;
    let transaction = hold_after_the_gate(&case, json!({"lockTimeout": "200ms"}))?;
    let waiting = case.wait_for_message("Ready", &transaction.name())?;
    case.expect_condition(&waiting, "Ready", "Unknown", "LockWaitTimeout");
    let told = message(&waiting, "Ready");
    for text in ["fk_bookmarks_user", "has held case_long_transaction.bookmarks for"] {
        assert!(told.contains(text), "the message does not say {text:?}: {told}");
    }
    // The application reads and writes the table meanwhile; a lock wait of a second would be an error here.
    for _ in 0..5 {
        case.database.sql(
            "SET SESSION lock_wait_timeout = 1, innodb_lock_wait_timeout = 1; UPDATE bookmarks SET note = note WHERE id = 1; \
             SELECT COUNT(*) FROM bookmarks",
        )?;
    }
    case.expect_event("LockWaitTimeout", &transaction.name())?;
    drop(transaction);
    let end = case.wait_for("Succeeded", END)?;
    case.expect_condition(&end, "Finished", "True", "Complete");
    assert_eq!(case.database.foreign_keys()?.len(), 4);
    assert!(case.database.orphans()?.values().all(|count| *count == 0));
    Ok(())
}

#[test]
fn a_transaction_that_does_not_end_uses_up_the_retries_and_everything_is_taken_back() -> Outcome<()> {
    let case = Rollout::on_own_schema("endless-transaction")?;
    let transaction = hold_after_the_gate(&case, json!({"lockTimeout": "200ms", "maxRetries": 3}))?;
    let end = case.wait_for("Finished", END)?;
    case.expect_condition(&end, "Finished", "True", "RollbackSucceeded");
    case.expect_condition(&end, "RolledBack", "True", "RollbackSucceeded");
    case.expect_condition(&end, "ForeignKeysAdded", "False", "RetriesExhausted");
    let told = message(&end, "ForeignKeysAdded");
    for text in
        ["fk_bookmarks_user", &transaction.name(), "in 3 tries", "End that transaction", "spec.execution.maxRetries"]
    {
        assert!(told.contains(text), "the message does not say {text:?}: {told}");
    }
    case.expect_event("PhaseFailed", "RetriesExhausted")?;
    case.expect_unchanged()?;
    assert_eq!(case.database.foreign_keys()?, Vec::<String>::new());
    Ok(())
}
