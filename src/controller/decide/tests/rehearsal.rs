//! The rehearsal: in which Job, of which plan, how often, and what a failure comes to.

use jiff::SignedDuration;
use serde_json::json;

use super::world::{DIGEST, World, gated, restoring};
use crate::api::conditions::{find, is_true};
use crate::api::steering::SteeringAction;
use crate::api::{ConditionType, Reason};
use crate::backup::rehearsed::End;
use crate::mysql::rehearsal::Step;

const OTHER: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn rehearsing(manifest: &mut serde_json::Value) {
    restoring(manifest);
    manifest["spec"]["rehearsal"] = json!({"enabled": true});
}

fn message(world: &World) -> String {
    find(&world.status().conditions, ConditionType::Rehearsed).unwrap().message.clone()
}

fn jobs(world: &World) -> [usize; 3] {
    ["-backup-", "-verify-", "-rehearse-"].map(|kind| world.made(kind))
}

/// Ended by the rehearsal, with the backup proven and nothing changed.
fn expect_failed(world: &mut World, texts: &[&str]) {
    assert_eq!(world.run(&[]), Reason::RehearsalFailed);
    assert!(!world.changed_anything());
    let conditions = world.status().conditions;
    assert!(is_true(&conditions, ConditionType::BackedUp), "the backup is proven all the same");
    let rehearsed = find(&conditions, ConditionType::Rehearsed).unwrap();
    assert_eq!((rehearsed.status.as_str(), rehearsed.reason.as_str()), ("False", "RehearsalFailed"));
    for text in texts.iter().chain(&["Nothing was changed", "holdfast.dev/retry-at"]) {
        assert!(rehearsed.message.contains(text), "{text:?} is not in {}", rehearsed.message);
    }
    assert_eq!(world.status().rehearsal.unwrap().passed, Some(false));
}

#[test]
fn it_is_done_on_the_copy_that_proves_the_backup() {
    for restart in 0..40 {
        let mut world = World::new(rehearsing);
        assert_eq!(world.run(&[restart]), Reason::Complete, "restart after pass {restart}");
        assert_eq!(jobs(&world), [1, 1, 0], "{:?}", world.created);
        assert_eq!(world.rehearsed, [DIGEST]);
        let status = world.status();
        let rehearsal = status.rehearsal.unwrap();
        assert_eq!(
            (rehearsal.passed, rehearsal.identical, rehearsal.backup_attempt),
            (Some(true), Some(true), Some(1))
        );
        assert_eq!((rehearsal.change_milliseconds, rehearsal.undo_milliseconds), (Some(2_000), Some(5_000)));
        assert_eq!(status.plan.unwrap().estimates.rehearsed_seconds, Some(2), "what validation took is no change");
        for part in
            ["3 orphans", "4 rows", "1 foreign keys proven", "1 on bookmarks", "every definition and row was as before"]
        {
            assert!(message(&world).contains(part), "{part} is not in {}", message(&world));
        }
    }
}

#[test]
fn without_one_the_phase_is_skipped_and_the_job_gets_no_plan() {
    let mut world = World::new(restoring);
    assert_eq!(world.run(&[]), Reason::Complete);
    assert_eq!((jobs(&world), world.rehearsed.len()), ([1, 1, 0], 0));
    assert_eq!(world.reason(ConditionType::Rehearsed), Reason::Skipped);
}

#[test]
fn what_was_begun_before_is_not_rehearsed() {
    let mut world = World::new(rehearsing);
    world.left = Some("taken over".to_owned());
    assert_eq!(world.run(&[]), Reason::Complete);
    assert_eq!((jobs(&world), world.rehearsed.len()), ([1, 1, 0], 0));
    assert_eq!(world.reason(ConditionType::Rehearsed), Reason::Skipped);
}

#[test]
fn what_fails_in_it_ends_the_migration_with_the_operation_and_the_way_on() {
    let mut world = World::new(rehearsing);
    world.ends = [End::Failed {
        step: Some(Step::AddForeignKeys),
        operation: Some("017-add-key-fk_bookmarks_user on shop.bookmarks (spec.stages[0].foreignKeys[0])".to_owned()),
        message: "MySQL error 3780: incompatible columns".to_owned(),
    }]
    .into();
    expect_failed(
        &mut world,
        &["017-add-key-fk_bookmarks_user on shop.bookmarks (spec.stages[0]", "AddForeignKeys", "3780"],
    );
    assert!(!message(&world).contains("OOMKilled"), "the program said itself what it met: {}", message(&world));
    assert_eq!(jobs(&world), [1, 1, 0]);
}

#[test]
fn one_that_is_ended_from_outside_says_by_what() {
    let mut world = World::new(rehearsing);
    world.ends = [End::Interrupted].into();
    expect_failed(&mut world, &["-verify-", "OOMKilled"]);
    assert!(!message(&world).contains("{"), "what the container left is not shown raw: {}", message(&world));
}

#[test]
fn after_a_failure_everything_begins_anew_on_a_new_copy() {
    let mut world = World::new(rehearsing);
    world.ends = [End::Interrupted].into();
    world.run(&[]);
    world.ask(SteeringAction::Retry, "1");
    world.pass();
    assert_eq!(world.run(&[]), Reason::Complete);
    assert_eq!(jobs(&world), [2, 2, 0], "{:?}", world.created);
}

#[test]
fn behind_a_gate_it_has_a_job_of_its_own() {
    for restart in 0..60 {
        let mut world = World::new(|manifest| {
            rehearsing(manifest);
            manifest["spec"]["gates"] = json!([{"before": {"phase": "Rehearse"}, "approval": "Required"}]);
        });
        for _ in 0..50 {
            world.pass();
        }
        assert_eq!(world.reason(ConditionType::Reconciling), Reason::ApprovalPending);
        assert_eq!((jobs(&world), world.rehearsed.len()), ([1, 1, 0], 0));
        world.approve("Rehearse", DIGEST, "Approve", None);
        assert_eq!(world.run(&[restart]), Reason::Complete);
        assert_eq!((jobs(&world), world.rehearsed.len()), ([1, 1, 1], 1), "{:?}", world.created);
    }
}

#[test]
fn a_job_of_its_own_that_fails_ends_the_migration_too() {
    let gated_rehearsal = |manifest: &mut serde_json::Value| {
        rehearsing(manifest);
        manifest["spec"]["gates"] = json!([{"before": {"phase": "Rehearse"}, "approval": "Required"}]);
    };
    let mut world = World::new(gated_rehearsal);
    world.approve("Rehearse", DIGEST, "Approve", None);
    world.ends = [End::Interrupted].into();
    expect_failed(&mut world, &["-rehearse-", "OOMKilled"]);
    let mut world = World::new(gated_rehearsal);
    world.approve("Rehearse", DIGEST, "Approve", None);
    world.job_failure = Some("-rehearse-");
    assert_eq!(world.run(&[]), Reason::RehearsalFailed);
    for part in ["boom", "spec.backup.scratch.image is \"mysql:9.7\"", "Nothing was changed"] {
        assert!(message(&world).contains(part), "{part} is not in {}", message(&world));
    }
}

/// One that waits for an approval before the first change.
fn at_the_gate() -> World {
    let mut world = World::new(|manifest| {
        rehearsing(manifest);
        gated(manifest);
    });
    assert_eq!(world.settle(), Reason::ApprovalPending);
    world
}

#[test]
fn a_backup_that_is_only_repeated_leaves_it_valid() {
    let mut world = at_the_gate();
    world.now = world.now.checked_add(SignedDuration::from_hours(2)).unwrap();
    world.approve("CleanUp", DIGEST, "Approve", Some(3));
    assert_eq!(world.run(&[]), Reason::Complete);
    assert_eq!((jobs(&world), world.rehearsed.len()), ([2, 1, 0], 1), "{:?}", world.created);
}

#[test]
fn the_same_plan_made_anew_leaves_it_valid_and_another_one_is_rehearsed() {
    let mut world = at_the_gate();
    world.ask(SteeringAction::Replan, "1");
    assert_eq!(world.settle(), Reason::ApprovalPending);
    assert_eq!(world.rehearsed, [DIGEST]);
    assert_eq!(world.status().plan.unwrap().estimates.rehearsed_seconds, Some(2));
    world.plan.digest = OTHER.to_owned();
    world.ask(SteeringAction::Replan, "2");
    assert_eq!(world.settle(), Reason::ApprovalPending);
    assert_eq!(world.rehearsed, [DIGEST, OTHER]);
    assert_eq!(jobs(&world), [1, 1, 1], "the backup still counts: {:?}", world.created);
    world.approve("CleanUp", OTHER, "Approve", Some(3));
    assert_eq!(world.run(&[]), Reason::Complete);
}

#[test]
fn a_backup_that_is_older_than_the_plan_and_other_than_planned_is_made_again() {
    let mut world = at_the_gate();
    world.plan.digest = OTHER.to_owned();
    world.ends = [End::OtherCatalogue("table shop.users: new is `age`".to_owned())].into();
    world.ask(SteeringAction::Replan, "1");
    assert_eq!(world.settle(), Reason::ApprovalPending);
    assert_eq!(world.rehearsed, [DIGEST, OTHER, OTHER]);
    assert_eq!(jobs(&world), [2, 1, 2], "{:?}", world.created);
    assert_eq!(world.status().rehearsal.unwrap().backup_attempt, Some(2));
}

#[test]
fn a_backup_that_is_younger_than_the_plan_and_other_than_planned_leads_to_a_new_plan() {
    let mut world = World::new(rehearsing);
    world.ends = [End::OtherCatalogue("table shop.users: new is `age`".to_owned())].into();
    while world.status().rehearsal.is_none() {
        world.pass();
    }
    world.plan.digest = OTHER.to_owned();
    assert_eq!(world.run(&[]), Reason::Complete);
    assert_eq!(world.rehearsed, [DIGEST, OTHER], "the second one ran on the same backup");
    assert_eq!(jobs(&world), [1, 1, 1], "{:?}", world.created);
}

#[test]
fn a_catalogue_that_never_stands_still_ends_it() {
    let mut world = World::new(rehearsing);
    world.ends = vec![End::OtherCatalogue("table shop.users: new is `age`".to_owned()); 20].into();
    expect_failed(&mut world, &["new is `age`", "so it was 3 times"]);
    // The first one, and one for each time.
    assert!(jobs(&world)[0] <= 4, "{:?}", world.created);
}
