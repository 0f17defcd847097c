//! Gates: nothing is changed before the right person said yes to the right plan.

use super::super::super::observed::{Policies, Task};
use super::world::{DIGEST, World, gated, plan};
use crate::api::Reason;
use crate::mysql::Cause;

#[test]
fn nothing_is_changed_before_the_right_plan_is_approved() {
    let mut world = World::new(gated);
    assert_eq!(world.settle(), Reason::ApprovalPending);
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
