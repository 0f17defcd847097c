//! The backup that is restored for proof: when, how often, and what a failure comes to.

use jiff::SignedDuration;
use serde_json::json;

use super::world::{DIGEST, World, gated};
use crate::api::backup::Verification;
use crate::api::conditions::{find, is_true};
use crate::api::{ConditionType, Reason};

fn restoring(manifest: &mut serde_json::Value) {
    manifest["spec"]["backup"]["verification"] = json!("Restore");
    manifest["spec"]["backup"]["scratch"] = json!({"image": "mysql:9.7", "storage": "2Gi"});
}

fn made(world: &World, kind: &str) -> usize {
    world.created.iter().filter(|name| name.contains(kind)).count()
}

#[test]
fn a_backup_counts_only_once_it_was_restored() {
    for restart in 0..40 {
        let mut world = World::new(restoring);
        assert_eq!(world.run(&[restart]), Reason::Complete, "restart after pass {restart}");
        assert_eq!((made(&world, "-backup-"), made(&world, "-verify-")), (1, 1), "{:?}", world.created);
        let status = world.status();
        let backup = status.backup.unwrap();
        assert_eq!(backup.verified, Some(Verification::Restore));
        let restore = backup.restore.unwrap();
        assert_eq!((restore.attempt, restore.tables, restore.rows, restore.bytes), (1, 1, 1, 1000));
        let message = find(&status.conditions, ConditionType::BackedUp).unwrap().message.clone();
        for part in ["agree with the database", "restored into MySQL 9.7.4", "in 7 s", "FLOAT", "logs.share"] {
            assert!(message.contains(part), "{part} is not in {message}");
        }
    }
}

#[test]
fn the_condition_waits_for_the_restore() {
    let mut world = World::new(restoring);
    while made(&world, "-verify-") == 0 {
        world.pass();
        assert!(!is_true(&world.status().conditions, ConditionType::BackedUp));
    }
    assert_eq!(world.status().backup.unwrap().verified, Some(Verification::Inspect), "so far");
}

#[test]
fn a_backup_that_cannot_be_restored_ends_it_before_anything_is_changed() {
    let mut world = World::new(restoring);
    world.job_failure = Some("-verify-");
    assert_eq!(world.run(&[]), Reason::BackupUnverified);
    assert!(!world.changed_anything());
    let status = world.status();
    let message = find(&status.conditions, ConditionType::BackedUp).unwrap().message.clone();
    for part in ["boom", "spec.backup.scratch.image is \"mysql:9.7\"", "storage is \"2Gi\"", "Nothing was changed"] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    assert_eq!(status.backup.unwrap().restore, None);
}

#[test]
fn one_that_is_repeated_because_it_grew_old_is_only_inspected() {
    let mut world = World::new(|manifest| {
        restoring(manifest);
        gated(manifest);
    });
    world.settle();
    world.now = world.now.checked_add(SignedDuration::from_hours(2)).unwrap();
    world.approve("CleanUp", DIGEST, "Approve", Some(3));
    assert_eq!(world.run(&[]), Reason::Complete);
    assert_eq!((made(&world, "-backup-"), made(&world, "-verify-")), (2, 1), "{:?}", world.created);
    let status = world.status();
    let backup = status.backup.unwrap();
    assert_eq!((backup.attempt, backup.verified), (2, Some(Verification::Inspect)));
    assert_eq!(backup.restore.unwrap().attempt, 1);
    let message = find(&status.conditions, ConditionType::BackedUp).unwrap().message.clone();
    assert!(message.contains("number 1, was restored and compared"), "{message}");
}

#[test]
fn one_that_is_made_because_everything_begins_anew_is_restored_too() {
    let mut world = World::new(|manifest| {
        restoring(manifest);
        gated(manifest);
    });
    world.settle();
    world.migration.spec.contact = Some("someone else".to_owned());
    world.migration.metadata.generation = Some(2);
    world.settle();
    assert_eq!((made(&world, "-backup-"), made(&world, "-verify-")), (2, 2), "{:?}", world.created);
}
