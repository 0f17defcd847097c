//! Gates: nothing is changed before the right person said yes to the right plan.

use super::super::super::observed::{Policies, Task};
use jiff::SignedDuration;
use serde_json::json;

use super::world::{DIGEST, World, gated, plan};
use crate::api::conditions::find;
use crate::api::{ConditionType, Reason};
use crate::mysql::Cause;

#[test]
fn nothing_is_changed_before_the_right_plan_is_approved() {
    let mut world = World::new(gated);
    assert_eq!(world.settle(), Reason::ApprovalPending);
    assert_eq!(world.status().current.as_deref(), Some("waiting: ApprovalPending"));
    world.approve("CleanUp", &DIGEST.replace('a', "b"), "Approve", Some(10));
    assert_eq!(world.settle(), Reason::ApprovalForAnotherPlan);
    world.approve("Test", DIGEST, "Approve", Some(10));
    assert_eq!(world.settle(), Reason::ApprovalForAnotherPlan);
    assert!(!world.changed_anything() && world.status().started_at.is_none());
    world.approve("CleanUp", DIGEST, "Approve", Some(10));
    assert_eq!(world.run(&[]), Reason::Complete);
    let gate = &world.status().gates[0];
    assert_eq!(gate.approval.as_ref().unwrap().approved_by, "alice");
}

#[test]
fn a_denial_ends_the_migration_unchanged() {
    let mut world = World::new(gated);
    world.approve("CleanUp", DIGEST, "Approve", None);
    world.approve("CleanUp", DIGEST, "Deny", None);
    assert_eq!(world.run(&[]), Reason::ApprovalDenied);
    assert!(!world.changed_anything());
}

#[test]
fn a_gate_stays_closed_without_the_policies_that_protect_it() {
    let mut world = World::new(gated);
    world.policies = Policies::Missing(vec!["p".to_owned()]);
    world.approve("CleanUp", DIGEST, "Approve", None);
    assert_eq!(world.settle(), Reason::ApprovalPolicyMissing);
}

#[test]
fn an_approval_from_before_the_policies_does_not_count_and_a_denial_does() {
    let mut world = World::new(gated);
    world.policies = Policies::Missing(vec!["p".to_owned()]);
    world.approve("CleanUp", DIGEST, "Approve", Some(3));
    assert_eq!(world.settle(), Reason::ApprovalPolicyMissing);
    world.now += SignedDuration::from_secs(60);
    world.policies = Policies::Installed { since: world.now };
    assert_eq!(world.settle(), Reason::ApprovalPending);
    let status = world.status();
    let message = &find(&status.conditions, ConditionType::Ready).unwrap().message;
    assert!(message.contains("\"a0\" does not count") && message.contains("delete it"), "{message}");
    assert!(!world.changed_anything());
    world.approve("CleanUp", DIGEST, "Approve", Some(3));
    assert_eq!(world.run(&[]), Reason::Complete);
    let mut world = World::new(gated);
    world.approve("CleanUp", DIGEST, "Deny", None);
    world.now += SignedDuration::from_secs(60);
    world.policies = Policies::Installed { since: world.now };
    assert_eq!(world.run(&[]), Reason::ApprovalDenied);
}

#[test]
fn a_copy_waits_for_an_approval_of_its_own_even_if_no_gate_is_listed() {
    let mut world = World::new(|_| {});
    world.plan = plan(true);
    assert_eq!(world.settle(), Reason::ApprovalPending);
    world.approve("Copy", DIGEST, "Approve", None);
    assert_eq!(world.run(&[]), Reason::Complete);
}

#[test]
fn more_rows_than_approved_close_the_gate_until_more_are_approved() {
    let mut world = World::new(gated);
    world.approve("CleanUp", DIGEST, "Approve", Some(3));
    world.failures = vec![(Task::Section(crate::plan::Section::CleanUp), Cause::ApprovalExceeded, false)];
    assert_eq!(world.settle(), Reason::MoreRowsThanApproved);
    world.approve("CleanUp", DIGEST, "Approve", Some(3));
    assert_eq!(world.settle(), Reason::MoreRowsThanApproved);
    world.approve("CleanUp", DIGEST, "Approve", Some(4));
    assert_eq!(world.run(&[]), Reason::Complete);
}

/// With a gate before the only stage.
fn gated_stage(manifest: &mut serde_json::Value) {
    manifest["spec"]["gates"] = json!([{"before": {"stage": "users"}, "approval": "Required"}]);
}

const STAGE: Task = Task::Section(crate::plan::Section::Stage(0));

#[test]
fn a_stage_waits_for_an_approval_that_names_it() {
    let mut world = World::new(gated_stage);
    assert_eq!(world.settle(), Reason::ApprovalPending);
    assert!(world.status().message.unwrap().contains("before.stage \"users\""));
    world.approve("AddForeignKeys", DIGEST, "Approve", None);
    assert_eq!(world.settle(), Reason::ApprovalPending);
    assert!(world.changed_anything() && world.times(STAGE) == 0, "{:?}", world.begun);
    world.decide_on(json!({"stage": "users"}), DIGEST, "Approve", None);
    assert_eq!(world.run(&[]), Reason::Complete);
}

#[test]
fn a_gate_before_the_first_stage_and_one_before_all_stages_both_count() {
    let mut world = World::new(|manifest| {
        gated_stage(manifest);
        let all = json!({"before": {"phase": "AddForeignKeys"}, "approval": "Required"});
        manifest["spec"]["gates"].as_array_mut().unwrap().push(all);
    });
    world.decide_on(json!({"stage": "users"}), DIGEST, "Approve", None);
    assert_eq!(world.settle(), Reason::ApprovalPending);
    assert_eq!(world.times(STAGE), 0);
    world.approve("AddForeignKeys", DIGEST, "Approve", None);
    assert_eq!(world.run(&[]), Reason::Complete);
}

#[test]
fn a_denial_after_the_first_change_takes_everything_back() {
    let mut world = World::new(gated_stage);
    world.settle();
    world.decide_on(json!({"stage": "users"}), DIGEST, "Deny", None);
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
    assert_eq!(world.status().rollback.unwrap().reason, "ApprovalDenied");
    assert_eq!(world.times(STAGE), 0);
}

#[test]
fn a_cleanup_that_finds_rows_is_not_approved_by_who_names_no_number() {
    let mut world = World::new(gated);
    world.approve("CleanUp", DIGEST, "Approve", None);
    assert_eq!(world.settle(), Reason::MoreRowsThanApproved);
    assert!(world.status().message.unwrap().contains("needs to take 3 rows"), "{:?}", world.status().message);
    world.approve("CleanUp", DIGEST, "Approve", Some(2));
    assert_eq!(world.settle(), Reason::MoreRowsThanApproved);
    assert!(!world.changed_anything());
    world.approve("CleanUp", DIGEST, "Approve", Some(3));
    assert_eq!(world.run(&[]), Reason::Complete);
}

#[test]
fn rows_beyond_the_approval_that_a_stage_finds_close_the_gate_before_the_cleanup_again() {
    let mut world = World::new(gated);
    world.approve("CleanUp", DIGEST, "Approve", Some(3));
    world.failures = vec![(STAGE, Cause::ApprovalExceeded, false)];
    assert_eq!(world.settle(), Reason::MoreRowsThanApproved);
    assert_eq!(world.times(STAGE), 1, "not begun again with a limit that is known to be too low");
    world.approve("CleanUp", DIGEST, "Approve", Some(9));
    world.run_to(STAGE);
    assert_eq!(world.allowance.max_rows, Some(9));
    assert_eq!(world.run(&[]), Reason::Complete);
}

#[test]
fn what_was_approved_before_the_first_change_stays_approved_when_the_object_is_deleted() {
    let mut world = World::new(gated);
    world.approve("CleanUp", DIGEST, "Approve", Some(3));
    let cleanup = Task::Section(crate::plan::Section::CleanUp);
    // Interrupted, it comes to its gate a second time.
    world.failures = vec![(cleanup, Cause::Unreachable, false)];
    world.run_to(cleanup);
    world.approvals.clear();
    assert_eq!(world.run(&[]), Reason::Complete);
    assert_eq!(world.reason(ConditionType::Approved), Reason::Approved);
}
