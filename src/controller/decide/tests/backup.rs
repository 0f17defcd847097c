//! The backup that is restored for proof: when, how often, and what a failure comes to.

use jiff::SignedDuration;
use serde_json::json;

use super::super::super::observed::{JobView, Task, backup_progress};
use super::world::{DIGEST, World, gated, restoring};
use crate::api::backup::Verification;
use crate::api::conditions::{find, is_true};
use crate::api::gates::GatedPhase;
use crate::api::{ConditionType, Reason};
use crate::mysql::Cause;

#[test]
fn a_backup_counts_only_once_it_was_restored() {
    for restart in 0..40 {
        let mut world = World::new(restoring);
        assert_eq!(world.run(&[restart]), Reason::Complete, "restart after pass {restart}");
        assert_eq!((world.made("-backup-"), world.made("-verify-")), (1, 1), "{:?}", world.created);
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
    while world.made("-verify-") == 0 {
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
    assert_eq!((world.made("-backup-"), world.made("-verify-")), (2, 1), "{:?}", world.created);
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
    assert_eq!((world.made("-backup-"), world.made("-verify-")), (2, 2), "{:?}", world.created);
}

#[test]
fn a_backup_from_before_what_another_migration_changed_is_made_again() {
    let mut world = World::new(|manifest| {
        restoring(manifest);
        gated(manifest);
    });
    world.settle();
    world.changes = "5 changes".to_owned();
    world.approve("CleanUp", DIGEST, "Approve", Some(3));
    assert_eq!(world.run(&[]), Reason::Complete);
    assert_eq!((world.made("-backup-"), world.made("-verify-")), (2, 1), "{:?}", world.created);
    let backup = world.status().backup.unwrap();
    assert_eq!((backup.attempt, backup.changes_before.as_deref()), (2, Some("5 changes")));
    assert_eq!(world.times(Task::CheckBeforeStart), 2);
}

#[test]
fn so_is_one_during_which_another_migration_changed_something_and_not_for_ever() {
    let mut world = World::new(restoring);
    for number in 1..4 {
        world.run_to(Task::CheckBackup(number));
        world.changes = format!("{number} changes");
    }
    assert_eq!(world.run(&[]), Reason::Complete);
    assert_eq!((world.made("-backup-"), world.made("-verify-")), (4, 1), "{:?}", world.created);
    let mut world = World::new(restoring);
    for number in 0..200 {
        world.changes = format!("{number} changes");
        world.pass();
    }
    assert_eq!(world.reason(ConditionType::Finished), Reason::BackupCannotBeFresh);
    assert!(world.made("-backup-") <= 10 && !world.changed_anything(), "{:?}", world.created);
    assert!(world.status().message.unwrap().contains("what other migrations changed"));
}

#[test]
fn no_backup_is_begun_while_another_migration_has_the_schema() {
    let mut world = World::new(restoring);
    world.failures = vec![(Task::CountBeforeBackup(1), Cause::LockHeld, true)];
    world.run_to(Task::CountBeforeBackup(1));
    world.passes(5);
    assert_eq!(world.reason(ConditionType::Ready), Reason::LockHeld);
    assert_eq!(world.made("-backup-"), 0, "{:?}", world.created);
    world.failures.clear();
    assert_eq!(world.run(&[]), Reason::Complete);
}

fn elsewhere(manifest: &mut serde_json::Value) {
    manifest["spec"]["backup"] = json!({"type": "External", "verification": "None"});
}

/// An approval before BackUp that names a snapshot of so long ago.
fn name_one(world: &mut World, id: &str, age: SignedDuration) {
    world.approve("BackUp", DIGEST, "Approve", None);
    let taken_at = world.now.checked_sub(age).unwrap();
    let approval = world.approvals.last_mut().unwrap();
    approval.spec.snapshot = Some(serde_json::from_value(json!({"id": id, "takenAt": taken_at})).unwrap());
}

/// What the gate before BackUp says.
fn asked(world: &World) -> String {
    let gate = world.status().gates.into_iter().find(|gate| gate.before.phase == Some(GatedPhase::BackUp));
    gate.and_then(|gate| gate.message).unwrap()
}

#[test]
fn a_backup_that_is_made_elsewhere_is_asked_for_even_if_no_gate_is_listed() {
    let mut world = World::new(elsewhere);
    assert_eq!(world.settle(), Reason::ApprovalPending);
    for part in ["schema shop on mysql", "before.phase BackUp", DIGEST, "snapshot.takenAt", "it counts for 1h"] {
        assert!(asked(&world).contains(part), "{part} is not in {}", asked(&world));
    }
    world.approve("BackUp", DIGEST, "Approve", None);
    assert_eq!(world.settle(), Reason::ApprovalPending);
    assert!(asked(&world).contains("names no snapshot"), "{}", asked(&world));
    name_one(&mut world, "rds:shop", SignedDuration::from_mins(10));
    let taken_at = world.approvals.last().unwrap().spec.snapshot.as_ref().unwrap().taken_at.clone();
    assert_eq!(world.run(&[]), Reason::Complete);
    assert_eq!((world.made("-backup-"), world.made("-verify-")), (0, 0), "{:?}", world.created);
    let status = world.status();
    let backup = status.backup.unwrap();
    let second = backup.taken_at.map(|at| at.0.as_second());
    assert_eq!((backup.location.as_deref(), second), (Some("external/rds:shop"), Some(taken_at.0.as_second())));
    let message = find(&status.conditions, ConditionType::BackedUp).unwrap().message.clone();
    assert!(message.contains("rds:shop") && message.contains("alice answers for it"), "{message}");
}

#[test]
fn one_made_elsewhere_counts_while_it_is_young() {
    let mut world = World::new(elsewhere);
    name_one(&mut world, "old", SignedDuration::from_mins(61));
    assert_eq!(world.settle(), Reason::BackupTooOld);
    let text = asked(&world);
    assert!(text.contains("\"old\"") && text.contains("older than spec.backup.maxAge 1h"), "{text}");
    name_one(&mut world, "from tomorrow", SignedDuration::from_hours(-24));
    assert_eq!(world.settle(), Reason::ApprovalPending);
    assert!(asked(&world).contains("lies in the future"), "{}", asked(&world));
    world.approvals.clear();
    name_one(&mut world, "new", SignedDuration::from_mins(5));
    assert_eq!(world.run(&[]), Reason::Complete);
}

#[test]
fn one_made_elsewhere_that_grew_old_before_the_first_change_is_asked_for_again() {
    let mut world = World::new(|manifest| {
        elsewhere(manifest);
        gated(manifest);
    });
    name_one(&mut world, "first", SignedDuration::from_mins(5));
    assert_eq!(world.settle(), Reason::ApprovalPending);
    world.now = world.now.checked_add(SignedDuration::from_hours(9)).unwrap();
    world.approve("CleanUp", DIGEST, "Approve", Some(3));
    assert_eq!(world.settle(), Reason::BackupTooOld);
    assert!(!world.changed_anything() && world.status().started_at.is_none());
    name_one(&mut world, "second", SignedDuration::from_mins(1));
    assert_eq!(world.run(&[]), Reason::Complete);
    assert_eq!(world.status().backup.unwrap().location.as_deref(), Some("external/second"));
}

#[test]
fn a_denied_backup_ends_it_unchanged() {
    let mut world = World::new(elsewhere);
    name_one(&mut world, "mine", SignedDuration::from_mins(5));
    world.approve("BackUp", DIGEST, "Deny", None);
    assert_eq!(world.run(&[]), Reason::ApprovalDenied);
    assert!(!world.changed_anything());
}

#[test]
fn how_far_the_dump_is_is_told_while_it_runs_and_no_longer() {
    let mut world = World::new(|_| {});
    while world.made("-backup-") == 0 {
        world.pass();
    }
    let name = world.created.last().unwrap().clone();
    let ended = world.jobs[&name].clone();
    let told = crate::backup::Progress { bytes: 40_000_000, tables: 3, rows: 500, milliseconds: 20_000 };
    let progress = Some(Box::new(backup_progress(&told, 12, 2000)));
    world.jobs.insert(name.clone(), JobView::Running { uid: "job".to_owned(), problem: None, progress });
    world.pass();
    let status = world.status();
    let message = find(&status.conditions, ConditionType::BackedUp).unwrap().message.clone();
    for part in ["40 MB at 2.0 MB/s", "3 of 12 tables", "500 of 2000 rows", "about 60 s left"] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    let backup = status.backup.unwrap();
    assert_eq!((backup.attempt, backup.progress.unwrap().seconds_left), (1, Some(60)));
    world.jobs.insert(name, ended);
    assert_eq!(world.run(&[]), Reason::Complete);
    assert_eq!(world.status().backup.unwrap().progress, None);
}

#[test]
fn nothing_is_estimated_from_nothing() {
    let told = crate::backup::Progress { bytes: 0, tables: 0, rows: 0, milliseconds: 0 };
    let progress = backup_progress(&told, 0, 0);
    assert_eq!((progress.bytes_per_second, progress.seconds_left), (0, None));
}
