//! Backups and quarantine after the end: when they are deleted, and that nothing of it moves the outcome.

use jiff::SignedDuration;
use serde_json::json;

use super::super::super::decision::Effect;
use super::super::super::observed::Task;
use super::world::{DIGEST, World};
use crate::api::duration::Retention;
use crate::api::status::{JobPurpose, RemovalStatus};
use crate::api::steering::SteeringAction;
use crate::api::{ConditionType, Reason};
use crate::mysql::Cause;
use crate::mysql::report::QuarantineCounts;

fn kept_for(time: &'static str) -> impl FnOnce(&mut serde_json::Value) {
    move |manifest| manifest["spec"]["backup"]["retention"] = json!(time)
}

fn removal(world: &World) -> RemovalStatus {
    world.status().backup.and_then(|backup| backup.removal).unwrap_or_default()
}

fn removals(world: &World) -> usize {
    world.created.iter().filter(|name| name.contains("-remove-backups-")).count()
}

fn later(world: &mut World, seconds: i64) {
    world.now += SignedDuration::from_secs(seconds);
}

#[test]
fn backups_are_deleted_once_their_time_is_over_and_the_outcome_stays() {
    for restart in 0..12 {
        let mut world = World::new(kept_for("2h"));
        assert_eq!(world.run(&[]), Reason::Complete);
        let (conditions, phase) = (world.status().conditions, world.status().phase);
        world.passes(20);
        let end = world.status().finished_at.unwrap().0;
        assert_eq!(removal(&world).due_at.unwrap().0, end + SignedDuration::from_secs(7200));
        assert_eq!((removals(&world), world.migration.metadata.finalizers.clone()), (0, None), "not before");
        later(&mut world, 7200);
        for pass in 0..20 {
            world.pass();
            if pass == restart {
                world.restart();
            }
        }
        let removal = removal(&world);
        assert!(removal.removed_at.is_some(), "{removal:?}");
        assert_eq!((removal.backups, removal.bytes, removal.tries, removal.failures), (Some(2), Some(10), 1, 0));
        assert_eq!((removals(&world), world.migration.metadata.finalizers.clone()), (1, None), "once");
        assert_eq!((world.status().conditions, world.status().phase), (conditions, phase));
        later(&mut world, 1_000_000);
        world.passes(20);
        assert_eq!(removals(&world), 1, "and no more");
    }
}

#[test]
fn a_purge_that_is_asked_for_while_backups_are_deleted_comes_after_it() {
    for moment in 0..12 {
        let mut world = World::new(kept_for("2h"));
        assert_eq!(world.run(&[]), Reason::Complete);
        world.passes(20);
        later(&mut world, 7200);
        for pass in 0..30 {
            if pass == moment {
                world.ask(SteeringAction::Purge, "1");
            }
            world.pass();
        }
        assert!(removal(&world).removed_at.is_some(), "asked before pass {moment}: {:?}", removal(&world));
        assert_eq!((removals(&world), removal(&world).failures), (1, 0), "asked before pass {moment}");
        assert!(world.answer(SteeringAction::Purge).0, "asked before pass {moment}");
    }
}

#[test]
fn a_retention_with_a_fraction_of_a_second_ends_too() {
    let mut world = World::new(kept_for("1500ms"));
    world.run(&[]);
    world.passes(20);
    let removal = removal(&world);
    assert!(removal.removed_at.is_some(), "{removal:?}");
    assert_eq!(removal.due_at.unwrap().0, world.status().finished_at.unwrap().0 + SignedDuration::from_secs(2));
}

#[test]
fn what_is_suspended_between_the_announcement_of_the_job_and_its_creation_waits_and_stays_ended() {
    let mut world = World::new(kept_for("0ms"));
    world.run(&[]);
    while world.status().jobs.iter().all(|job| job.purpose != JobPurpose::RemoveBackups) {
        world.pass();
    }
    assert_eq!(removals(&world), 0);
    world.migration.spec.suspend = true;
    world.passes(20);
    assert_eq!((removals(&world), world.reason(ConditionType::Ready), world.finished()), (0, Reason::Complete, true));
    world.migration.spec.suspend = false;
    world.passes(20);
    assert!(removal(&world).removed_at.is_some(), "{:?}", removal(&world));
}

#[test]
fn what_is_to_be_kept_is_kept() {
    let mut world = World::new(|_| {});
    world.run(&[]);
    later(&mut world, 10_000_000);
    world.passes(20);
    assert_eq!((removals(&world), removal(&world)), (0, RemovalStatus::default()));
}

#[test]
fn a_migration_that_failed_before_anything_was_backed_up_has_nothing_to_delete() {
    let mut world = World::new(kept_for("0ms"));
    world.job_failure = Some("-backup-");
    assert_eq!(world.run(&[]), Reason::BackupFailed);
    world.passes(20);
    // The backup Job was begun and may have left something.
    assert_eq!(removals(&world), 0, "{:?}", world.status().backup);
}

#[test]
fn a_backup_that_may_be_the_way_back_is_kept_until_a_person_has_decided() {
    let mut world = World::new(|manifest| {
        kept_for("0ms")(manifest);
        manifest["spec"]["rollback"] = json!({"onFailure": "Hold"});
    });
    world.job_failure = Some("-test-");
    assert_eq!(world.run(&[]), Reason::Held);
    world.passes(20);
    assert_eq!(removals(&world), 0);
    world.ask(SteeringAction::Rollback, "1");
    world.passes(60);
    assert_eq!((world.reason(ConditionType::Finished), removals(&world)), (Reason::RollbackSucceeded, 1));
}

#[test]
fn a_deletion_that_fails_is_told_tried_again_and_given_up() {
    let mut world = World::new(kept_for("0ms"));
    world.job_failure = Some("-remove-backups-");
    assert_eq!(world.run(&[]), Reason::Complete);
    while world.status().backup.and_then(|backup| backup.removal).is_none_or(|removal| removal.failures == 0) {
        world.pass();
    }
    let first = removal(&world);
    assert_eq!((first.failures, removals(&world)), (1, 1), "{first:?} {:?}", world.created);
    assert!(first.message.unwrap().contains("boom"));
    for _ in 0..20 {
        later(&mut world, 7200);
        world.passes(10);
    }
    let last = removal(&world);
    assert_eq!((last.failures, last.tries, removals(&world)), (5, 5, 5), "{last:?}");
    assert!(last.message.unwrap().contains("change spec.backup.retention"));
    assert_eq!(world.reason(ConditionType::Ready), Reason::Complete);
    assert_eq!(world.migration.metadata.finalizers, None);
    // A newer policy.
    world.job_failure = None;
    world.migration.spec.backup.retention = Retention::For("1h".parse().unwrap());
    world.migration.metadata.generation = Some(2);
    world.passes(20);
    assert!(removal(&world).removed_at.is_some(), "{:?}", removal(&world));
    let mut names = world.created.clone();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), world.created.len(), "no name of a Job is used twice: {:?}", world.created);
}

#[test]
fn nothing_is_deleted_while_the_migration_is_suspended() {
    let mut world = World::new(kept_for("1h"));
    world.run(&[]);
    world.migration.spec.suspend = true;
    later(&mut world, 3600);
    world.passes(20);
    assert_eq!((removals(&world), world.reason(ConditionType::Ready)), (0, Reason::Complete));
    world.migration.spec.suspend = false;
    world.passes(20);
    assert_eq!(removals(&world), 1);
}

#[test]
fn a_longer_retention_stops_a_deletion_that_was_begun() {
    let mut world = World::new(kept_for("0ms"));
    world.run(&[]);
    while removals(&world) == 0 {
        world.pass();
    }
    // It runs.
    let name = world.created.last().unwrap().clone();
    let running =
        crate::controller::observed::JobView::Running { uid: "job".to_owned(), problem: None, progress: None };
    world.jobs.insert(name, running);
    world.passes(5);
    world.migration.spec.backup.retention = Retention::Keep;
    let mut released = false;
    for _ in 0..10 {
        released |= world.pass() == Effect::Release;
    }
    assert!(released && world.migration.metadata.finalizers.is_none(), "its Job is deleted with the release");
    assert_eq!(removal(&world).removed_at, None);
    world.migration.spec.backup.retention = Retention::For("0ms".parse().unwrap());
    world.passes(20);
    assert!(removal(&world).removed_at.is_some(), "{:?}", world.status().backup);
    assert_eq!(removals(&world), 2);
}

#[test]
fn a_retry_after_the_deletion_begins_with_new_names() {
    let mut world = World::new(kept_for("0ms"));
    world.failures = vec![(super::super::super::observed::Task::Validate, crate::mysql::Cause::PrivilegeMissing, true)];
    let end = world.run(&[]);
    world.passes(20);
    assert_eq!(removals(&world), 1, "{end:?} {:?}", world.status().backup);
    world.ask(SteeringAction::Retry, "1");
    world.pass();
    world.run(&[]);
    world.passes(20);
    assert_eq!(removals(&world), 2, "{:?} {:?}", world.created, world.status().jobs);
    let mut names = world.created.clone();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), world.created.len(), "{:?}", world.created);
}

fn quarantined_for(time: &'static str) -> World {
    let mut world = World::new(move |manifest| manifest["spec"]["quarantine"] = json!({"retention": time}));
    world.quarantined = QuarantineCounts { orphans: 3, ..QuarantineCounts::default() };
    world
}

fn purged(world: &World) -> bool {
    world.status().quarantine.is_some_and(|kept| kept.purged_at.is_some())
}

#[test]
fn the_quarantine_is_purged_once_its_time_is_over_and_not_before() {
    for restart in 0..8 {
        let mut world = quarantined_for("1500ms");
        assert_eq!(world.run(&[]), Reason::Complete);
        let (conditions, phase) = (world.status().conditions, world.status().phase);
        world.now = world.status().finished_at.unwrap().0;
        world.pass();
        assert_eq!((purged(&world), world.times(Task::Purge)), (false, 0), "not before");
        for pass in 0..20 {
            world.pass();
            if pass == restart {
                world.restart();
            }
        }
        assert!(purged(&world), "{:?}", world.status().quarantine);
        assert_eq!((world.status().conditions, world.status().phase), (conditions, phase));
        let times = world.times(Task::Purge);
        later(&mut world, 1_000_000);
        world.passes(20);
        assert_eq!(world.times(Task::Purge), times, "and no more");
    }
}

#[test]
fn the_quarantine_of_what_was_taken_back_or_is_held_stays() {
    for on_failure in ["Undo", "Hold"] {
        let mut world = quarantined_for("0ms");
        world.migration.spec.rollback.on_failure = serde_json::from_value(json!(on_failure)).unwrap();
        world.failures = vec![(Task::Test, Cause::TestFailed, true)];
        assert_ne!(world.run(&[]), Reason::Complete);
        later(&mut world, 1_000_000);
        world.passes(20);
        assert_eq!((purged(&world), world.times(Task::Purge)), (false, 0), "{on_failure}");
    }
}

#[test]
fn a_purge_in_time_waits_for_its_gate_and_for_what_is_suspended() {
    let mut world = quarantined_for("0ms");
    world.migration.spec.gates =
        serde_json::from_value(json!([{"before": {"phase": "Purge"}, "approval": "Required"}])).unwrap();
    assert_eq!(world.run(&[]), Reason::Complete);
    world.passes(20);
    assert_eq!((purged(&world), world.times(Task::Purge)), (false, 0), "nobody approved it");
    world.migration.spec.suspend = true;
    world.approve("Purge", DIGEST, "Approve", None);
    world.passes(20);
    assert_eq!((purged(&world), world.times(Task::Purge), world.finished()), (false, 0, true), "suspended");
    world.migration.spec.suspend = false;
    later(&mut world, 3600);
    world.passes(20);
    assert_eq!((purged(&world), world.times(Task::Purge)), (true, 1));
}

#[test]
fn a_purge_in_time_that_fails_is_tried_again_and_then_left_to_a_person() {
    let mut world = quarantined_for("0ms");
    world.failures = vec![(Task::Purge, Cause::Drifted, false); 9];
    assert_eq!(world.run(&[]), Reason::Complete);
    for _ in 0..400 {
        world.pass();
        later(&mut world, 60);
    }
    let purge = world.status().quarantine.unwrap().purge.unwrap();
    assert_eq!((purge.failures, world.times(Task::Purge), purged(&world)), (5, 5, false), "{purge:?}");
    assert!(purge.message.unwrap().contains("holdfast.dev/purge-at"));
    world.failures.clear();
    world.ask(SteeringAction::Purge, "1");
    world.passes(20);
    assert!(purged(&world));
}
