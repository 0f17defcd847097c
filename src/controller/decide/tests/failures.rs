//! Failures: before the first change an end, after it the rollback, and what may pass is borne for a time.

use super::super::super::observed::Task;
use super::world::World;
use crate::api::conditions::{find, is_true};
use crate::api::{ConditionType, Reason};
use crate::mysql::Cause;

#[test]
fn a_failure_before_the_first_change_ends_as_failed_and_undoes_nothing() {
    for (task, cause, reason) in [
        (Task::Preflight, Cause::ServerUnsupported, Reason::UnsupportedServer),
        (Task::Preflight, Cause::AccessDenied, Reason::AccessDenied),
        (Task::Preflight, Cause::Unreachable, Reason::DatabaseUnreachable),
        (Task::Validate, Cause::PrivilegeMissing, Reason::PrivilegeMissing),
        (Task::CheckBeforeStart, Cause::LockHeld, Reason::LockHeld),
    ] {
        let mut world = World::new(|_| {});
        world.failures = vec![(task, cause, true)];
        assert_eq!(world.run(&[]), reason);
        assert!(is_true(&world.status().conditions, ConditionType::Stalled));
        assert!(!world.changed_anything() && !world.begun.contains(&Task::Undo));
    }
}

#[test]
fn trouble_that_passes_does_not_end_a_migration() {
    for task in [
        Task::Preflight,
        Task::Plan,
        Task::Validate,
        Task::Section(crate::plan::Section::Stage(0)),
        Task::Test,
        Task::Prove,
    ] {
        let mut world = World::new(|_| {});
        world.failures = vec![(task, Cause::Unreachable, false)];
        assert_eq!(world.run(&[]), Reason::Complete, "{task:?}");
    }
}

#[test]
fn a_failure_after_the_first_change_takes_everything_back_wherever_a_restart_comes() {
    for restart in 0..80 {
        let mut world = World::new(|_| {});
        world.job_failure = Some("-test-");
        assert_eq!(world.run(&[restart]), Reason::RollbackSucceeded);
        assert!(world.begun.contains(&Task::Undo));
        assert!(world.created.iter().any(|name| name.contains("undo-schema-update")), "{:?}", world.created);
        assert_eq!(world.reason(ConditionType::Tested), Reason::TestsFailed);
        assert!(is_true(&world.status().conditions, ConditionType::RolledBack));
    }
}

#[test]
fn a_rollback_that_cannot_finish_says_so() {
    let mut world = World::new(|_| {});
    world.failures = vec![
        (Task::Section(crate::plan::Section::Stage(0)), Cause::RetriesExhausted, true),
        (Task::Undo, Cause::RollbackIncomplete, true),
    ];
    assert_eq!(world.run(&[]), Reason::RollbackFailed);
}

#[test]
fn a_failed_backup_ends_the_migration_before_anything_is_changed() {
    let mut world = World::new(|_| {});
    world.job_failure = Some("-backup-");
    assert_eq!(world.run(&[]), Reason::BackupFailed);
    assert!(!world.changed_anything());
}

#[test]
fn a_missing_secret_is_waited_for_and_then_given_up() {
    let mut world = World::new(|_| {});
    world.missing = Some("the Secret shop/s does not exist".to_owned());
    world.pass();
    world.pass();
    assert_eq!(world.reason(ConditionType::Ready), Reason::DependencyNotReady);
    assert_eq!(world.run(&[]), Reason::DependencyNotReady);
    assert!(find(&world.status().conditions, ConditionType::Finished).unwrap().message.contains("shop/s"));
}
