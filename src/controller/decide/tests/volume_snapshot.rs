//! The backup by a VolumeSnapshot: asked for once, waited for with deadlines, looked at, and repeated.

use jiff::SignedDuration;
use serde_json::json;

use super::super::super::volume_snapshot::Snapshot;
use super::world::{DIGEST, World, gated};
use crate::api::backup::Verification;
use crate::api::conditions::find;
use crate::api::{ConditionType, Reason};

/// What a driver says.
type Driver = fn(&mut Snapshot);

fn snapshotted(manifest: &mut serde_json::Value) {
    manifest["spec"]["backup"] =
        json!({"type": "VolumeSnapshot", "verification": "Inspect", "volumeSnapshot": {"claimName": "data"}});
}

fn trusted(manifest: &mut serde_json::Value) {
    snapshotted(manifest);
    manifest["spec"]["backup"]["verification"] = json!("None");
}

fn told(world: &World) -> String {
    find(&world.status().conditions, ConditionType::BackedUp).unwrap().message.clone()
}

/// Passes until the snapshot was asked for; its name.
fn asked(world: &mut World) -> String {
    while world.snapshots.is_empty() {
        world.pass();
    }
    world.snapshots.keys().next().unwrap().clone()
}

/// How one ends that its driver leaves so.
fn end(change: fn(&mut serde_json::Value), driver: Driver) -> (Reason, String) {
    let mut world = World::new(change);
    world.driver = (10, driver);
    let reason = world.run(&[]);
    assert!(reason == Reason::Complete || !world.changed_anything());
    assert_eq!(world.created.iter().filter(|name| name.contains("-backup-")).count(), 1, "{:?}", world.created);
    (reason, told(&world))
}

#[test]
fn it_is_asked_for_once_whenever_the_operator_restarts_and_counts_when_it_is_ready() {
    for restart in 0..40 {
        let mut world = World::new(snapshotted);
        assert_eq!(world.run(&[restart]), Reason::Complete, "restart after pass {restart}");
        assert_eq!((world.made("-backup-"), world.snapshots.len()), (1, 1), "{:?}", world.created);
        let (name, (made, _)) = world.snapshots.first_key_value().unwrap();
        let backup = world.status().backup.unwrap();
        assert_eq!(backup.location, Some(format!("volumesnapshot/{name}")));
        assert_eq!((backup.bytes, backup.verified), (Some(10 << 30), Some(Verification::Inspect)));
        // Times in a status are whole seconds.
        let (taken_at, finished_at) = (backup.taken_at.unwrap().0, backup.finished_at.unwrap().0);
        assert_eq!(taken_at.as_second(), made.as_second(), "the moment whose data it holds");
        assert!(finished_at.as_second() - taken_at.as_second() >= 10, "{finished_at}");
        for part in ["loss of power", "VolumeSnapshotContent content", "10737418240 bytes", "\"data\""] {
            assert!(told(&world).contains(part), "{part} is not in {}", told(&world));
        }
    }
}

#[test]
fn its_name_is_in_the_status_before_it_is_asked_for() {
    let mut world = World::new(snapshotted);
    let name = asked(&mut world);
    let known = world.status().backup.unwrap().volume_snapshot.unwrap();
    assert_eq!((known.name, known.uid, known.tries), (name, None, 1));
}

#[test]
fn a_suspended_migration_asks_for_none() {
    let mut world = World::new(snapshotted);
    while world.status().backup.is_none() {
        world.pass();
    }
    world.migration.spec.suspend = true;
    assert_eq!(world.settle(), Reason::Suspended);
    assert!(world.snapshots.is_empty());
    world.now = world.now.checked_add(SignedDuration::from_hours(30)).unwrap();
    world.migration.spec.suspend = false;
    assert_eq!(world.run(&[]), Reason::Complete);
}

#[test]
fn one_that_was_begun_in_its_window_is_waited_for_beyond_it() {
    let mut world = World::new(|manifest| {
        snapshotted(manifest);
        // It is 13:46.
        manifest["spec"]["gates"] =
            json!([{"before": {"phase": "BackUp"}, "window": {"start": "13:00", "duration": "1h"}}]);
    });
    world.driver = (0, |snapshot| snapshot.taken_at = None);
    asked(&mut world);
    world.now = world.now.checked_add(SignedDuration::from_mins(20)).unwrap();
    world.pass();
    assert_eq!(world.reason(ConditionType::Reconciling), Reason::Progressing, "{}", told(&world));
    world.driver = (0, |snapshot| snapshot.ready = true);
    assert_eq!(world.run(&[]), Reason::Complete);
}

#[test]
fn one_that_nobody_takes_up_is_given_up_after_minutes() {
    let mut world = World::new(snapshotted);
    world.driver = (i64::MAX, |_| {});
    assert_eq!(world.run(&[]), Reason::BackupFailed);
    for part in ["taken up by nobody for 30", "snapshot controller", "Nothing was changed"] {
        assert!(told(&world).contains(part), "{part} is not in {}", told(&world));
    }
}

#[test]
fn what_its_driver_reports_is_shown_and_ends_it_only_if_it_stays() {
    let error = |snapshot: &mut Snapshot| {
        (snapshot.taken_at, snapshot.error) = (None, Some("quota of snapshots exceeded".to_owned()));
    };
    let (reason, message) = end(snapshotted, error);
    assert_eq!(reason, Reason::BackupFailed);
    assert!(message.contains("for 30") && message.contains("quota of snapshots exceeded"), "{message}");

    let mut world = World::new(snapshotted);
    world.driver = (0, error);
    asked(&mut world);
    for _ in 0..20 {
        world.pass();
    }
    assert!(!world.finished() && told(&world).contains("quota of snapshots exceeded"), "{}", told(&world));
    assert!(world.status().backup.unwrap().volume_snapshot.unwrap().error_since.is_some());
    world.driver = (0, |snapshot| snapshot.ready = true);
    assert_eq!(world.run(&[]), Reason::Complete);
    assert_eq!(world.status().backup.unwrap().volume_snapshot.unwrap().error, None);
}

#[test]
fn an_error_that_is_left_while_it_is_copied_away_does_not_end_it() {
    let mut world = World::new(snapshotted);
    world.driver = (0, |snapshot| snapshot.error = Some("the object has been modified".to_owned()));
    asked(&mut world);
    for _ in 0..200 {
        world.pass();
    }
    assert!(!world.finished() && told(&world).contains("the object has been modified"), "{}", told(&world));
    world.driver = (0, |snapshot| snapshot.ready = true);
    assert_eq!(world.run(&[]), Reason::Complete);
}

#[test]
fn one_that_grows_too_old_before_it_is_ready_cannot_be_fresh() {
    let (reason, message) = end(snapshotted, |_| {});
    assert_eq!(reason, Reason::BackupCannotBeFresh);
    assert!(message.contains("not ready yet") && message.contains("maxAge 1h"), "{message}");
}

#[test]
fn one_that_is_never_ready_is_given_up_after_a_day() {
    let mut world = World::new(snapshotted);
    world.driver = (0, |snapshot| snapshot.taken_at = None);
    asked(&mut world);
    world.now = world.now.checked_add(SignedDuration::from_mins(24 * 60 - 10)).unwrap();
    world.pass();
    assert!(!world.finished());
    assert_eq!(world.run(&[]), Reason::BackupFailed);
    assert!(told(&world).contains("is not ready after 864"), "{}", told(&world));
}

#[test]
fn one_without_a_time_is_never_taken_for_fresh_whatever_the_verification_is() {
    for change in [snapshotted, trusted] {
        let (reason, message) = end(change, |snapshot| (snapshot.ready, snapshot.taken_at) = (true, None));
        assert_eq!(reason, Reason::BackupUnverified);
        assert!(message.contains("status.creationTime"), "{message}");
        let (reason, message) = end(change, |snapshot| {
            snapshot.taken_at = snapshot.taken_at.map(|taken_at| taken_at + SignedDuration::from_hours(24));
        });
        assert_eq!(reason, Reason::BackupUnverified);
        assert!(message.contains("lies in the future"), "{message}");
    }
}

#[test]
fn what_inspection_misses_is_named_and_can_be_taken_on_trust() {
    let missing: [(&str, Driver); 4] = [
        ("bound to no VolumeSnapshotContent", |snapshot| (snapshot.ready, snapshot.content) = (true, None)),
        ("reports no restoreSize", |snapshot| (snapshot.ready, snapshot.restore_size) = (true, None)),
        ("restoreSize is \"0\"", |snapshot| {
            snapshot.ready = true;
            snapshot.restore_size = Some("0".to_owned());
        }),
        ("before it was asked for", |snapshot| {
            let earlier = snapshot.taken_at.unwrap() - SignedDuration::from_mins(2);
            (snapshot.ready, snapshot.taken_at) = (true, Some(earlier));
        }),
    ];
    for (text, driver) in missing {
        let (reason, message) = end(snapshotted, driver);
        assert_eq!(reason, Reason::BackupUnverified, "{text}");
        assert!(message.contains(text) && message.contains("verification None"), "{text} is not in {message}");
        let (reason, message) = end(trusted, driver);
        assert_eq!(reason, Reason::Complete, "{text}");
        assert!(message.contains("taken on trust"), "{message}");
    }
}

#[test]
fn one_that_is_deleted_or_replaced_before_it_is_ready_ends_it() {
    let meddle = |how: fn(&mut World, &str)| {
        let mut world = World::new(snapshotted);
        world.driver = (3600, |_| {});
        let name = asked(&mut world);
        world.pass();
        how(&mut world, &name);
        (world.run(&[]), told(&world), world.snapshots.len())
    };
    let (reason, message, left) = meddle(|world, name| {
        world.snapshots.remove(name);
    });
    assert_eq!((reason, left), (Reason::BackupFailed, 0), "none is made under the same name");
    assert!(message.contains("was deleted before it was ready"), "{message}");
    let (reason, message, _) = meddle(|world, name| world.snapshots.get_mut(name).unwrap().1.deleting = true);
    assert_eq!(reason, Reason::BackupFailed);
    assert!(message.contains("was deleted before it was ready"), "{message}");
    let (reason, message, _) = meddle(|world, name| world.snapshots.get_mut(name).unwrap().1.uid = "x".to_owned());
    assert_eq!(reason, Reason::BackupFailed);
    assert!(message.contains("was replaced by another one"), "{message}");
}

#[test]
fn one_that_is_refused_is_not_asked_for_without_end() {
    let mut world = World::new(snapshotted);
    world.refused = true;
    assert_eq!(world.run(&[]), Reason::BackupFailed);
    assert!(told(&world).contains("in 12 tries: the migration's events have"), "{}", told(&world));
}

#[test]
fn one_that_grew_old_or_was_deleted_before_the_first_change_is_made_again() {
    let repeated = |how: fn(&mut World)| {
        let mut world = World::new(|manifest| {
            snapshotted(manifest);
            gated(manifest);
        });
        assert_eq!(world.settle(), Reason::ApprovalPending);
        how(&mut world);
        world.approve("CleanUp", DIGEST, "Approve", Some(3));
        assert_eq!(world.run(&[]), Reason::Complete);
        assert_eq!(world.made("-backup-"), 2, "{:?}", world.created);
        let backup = world.status().backup.unwrap();
        assert_eq!((backup.attempt, backup.repeats), (2, Some(1)));
        world.snapshots.len()
    };
    let left = repeated(|world| world.now = world.now.checked_add(SignedDuration::from_hours(2)).unwrap());
    assert_eq!(left, 2, "the first one stays");
    assert_eq!(repeated(|world| world.snapshots.clear()), 1);
    repeated(|world| world.snapshots.values_mut().for_each(|(_, snapshot)| snapshot.deleting = true));
}

#[test]
fn it_is_not_repeated_without_end() {
    let mut world = World::new(|manifest| {
        snapshotted(manifest);
        manifest["spec"]["backup"]["maxAge"] = json!("1m");
        gated(manifest);
    });
    for _ in 0..400 {
        world.pass();
        if world.finished() {
            break;
        }
        let waits = world.reason(ConditionType::Reconciling) == Reason::ApprovalPending;
        if waits && world.approvals.is_empty() {
            world.now = world.now.checked_add(SignedDuration::from_hours(2)).unwrap();
            world.approve("CleanUp", DIGEST, "Approve", Some(3));
        }
        // Whoever approves is late each time.
        if world.status().backup.is_some_and(|backup| backup.verified.is_some()) && !world.approvals.is_empty() {
            world.now = world.now.checked_add(SignedDuration::from_hours(2)).unwrap();
        }
    }
    assert_eq!(world.reason(ConditionType::Finished), Reason::BackupCannotBeFresh);
    assert_eq!(world.made("-backup-"), 10, "{:?}", world.created);
}
