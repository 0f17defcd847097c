//! Failures: before the first change an end, after it the rollback, and what may pass is borne for a time.

use jiff::SignedDuration;

use super::super::super::observed::Task;
use super::world::World;
use crate::api::conditions::{find, is_true};
use crate::api::steering::SteeringAction;
use crate::api::{ConditionType, Reason};
use crate::mysql::{Cause, Left};

const STAGE: Task = Task::Section(crate::plan::Section::Stage(0));

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
fn a_replica_that_is_not_listed_or_not_ready_holds_without_a_limit_until_that_is_put_right() {
    let causes =
        [(Cause::ReplicaNotListed, Reason::ReplicaNotListed), (Cause::ReplicaNotReady, Reason::ReplicaNotReady)];
    for ((cause, reason), task) in
        causes.into_iter().flat_map(|cause| [(cause, Task::Preflight), (cause, Task::CheckBeforeStart)])
    {
        let mut world = World::new(|_| {});
        world.failures = vec![(task, cause, true)];
        for _ in 0..20 {
            assert_eq!(world.settle(), reason);
        }
        let ready = find(&world.status().conditions, ConditionType::Ready).cloned().unwrap();
        assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("Unknown", reason.as_str()));
        assert!(is_true(&world.status().conditions, ConditionType::Reconciling));
        assert!(!world.changed_anything());
        world.failures.clear();
        assert_eq!(world.run(&[]), Reason::Complete);
    }
}

#[test]
fn limits_count_over_restarts_of_the_operator() {
    for (task, limit) in [(Task::Preflight, 120), (Task::Section(crate::plan::Section::Stage(0)), 1800)] {
        let mut world = World::new(|_| {});
        world.failures = vec![(task, Cause::Unreachable, true)];
        world.run_to(task);
        let begun = world.now;
        let mut restarted = world.now;
        while !world.finished() && world.status().rollback.is_none() {
            let since = world.status().retrying.map(|retrying| retrying.since);
            world.pass();
            if let (Some(before), Some(after)) = (since, world.status().retrying) {
                assert_eq!(before, after.since, "{task:?}");
                assert!(world.status().message.unwrap().contains(&format!("tried again until {}", after.until.0)));
            }
            if world.now.duration_since(restarted).as_secs() >= 180 {
                restarted = world.now;
                world.restart();
            }
            assert!(world.now.duration_since(begun).as_secs() < limit + 400, "{task:?}: {:?}", world.status());
        }
        assert!(world.now.duration_since(begun).as_secs() >= limit, "{task:?}");
    }
}

#[test]
fn after_a_restart_the_operator_looks_for_itself_before_it_gives_up() {
    let stage = Task::Section(crate::plan::Section::Stage(0));
    let mut world = World::new(|_| {});
    world.failures = vec![(stage, Cause::Unreachable, true)];
    world.run_to(stage);
    world.passes(5);
    world.now = world.now.checked_add(SignedDuration::from_hours(5)).unwrap();
    world.restart();
    world.passes(5);
    assert!(world.status().rollback.is_none(), "{:?}", world.status());
    world.failures.clear();
    assert_eq!(world.run(&[]), Reason::Complete);
    assert_eq!(world.status().retrying, None);
}

#[test]
fn the_way_back_waits_for_the_database_and_ends_when_it_does_not_come() {
    for comes_back in [true, false] {
        let mut world = World::new(|_| {});
        world.failures = vec![
            (Task::Section(crate::plan::Section::Stage(0)), Cause::Unreachable, true),
            (Task::Undo, Cause::Unreachable, true),
        ];
        world.run_to(Task::Undo);
        let begun = world.now;
        while world.now.duration_since(begun).as_hours() < 20 {
            world.pass();
            assert!(!world.finished(), "{:?}", world.status());
        }
        assert_eq!(world.reason(ConditionType::Reconciling), Reason::DatabaseUnreachable);
        assert!(world.times(Task::Undo) > 1000, "it is tried again and again");
        if comes_back {
            world.failures.clear();
            assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
            continue;
        }
        while !world.finished() {
            world.pass();
        }
        assert_eq!(world.now.duration_since(begun).as_hours(), 24);
        assert_eq!(world.reason(ConditionType::Finished), Reason::RollbackFailed);
        assert!(world.status().message.unwrap().contains("holdfast.dev/retry-at"));
    }
}

#[test]
fn a_suspension_takes_no_time_from_what_is_borne() {
    let stage = Task::Section(crate::plan::Section::Stage(0));
    let mut world = World::new(|_| {});
    world.failures = vec![(stage, Cause::Unreachable, true)];
    world.run_to(stage);
    world.passes(10);
    assert!(world.status().retrying.is_some());
    world.migration.spec.suspend = true;
    world.passes(10);
    world.now = world.now.checked_add(SignedDuration::from_hours(30)).unwrap();
    world.migration.spec.suspend = false;
    world.passes(20);
    assert!(world.status().rollback.is_none(), "{:?}", world.status());
    world.failures.clear();
    assert_eq!(world.run(&[]), Reason::Complete);
}

#[test]
fn a_way_in_that_changed_after_the_start_is_waited_for() {
    for cause in [Cause::AccessDenied, Cause::TlsFailed, Cause::ServerUnsupported] {
        let stage = Task::Section(crate::plan::Section::Stage(0));
        let mut world = World::new(|_| {});
        world.failures = vec![(stage, cause, true)];
        world.run_to(stage);
        world.passes(50);
        assert!(world.status().rollback.is_none(), "{cause:?}: {:?}", world.status());
        world.failures.clear();
        assert_eq!(world.run(&[]), Reason::Complete, "{cause:?}");
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
fn what_a_rollback_left_is_listed_with_the_statements_that_finish_it() {
    let left = |operation: &str, what: &str, inverse: Option<&str>| Left {
        operation: Some(operation.to_owned()),
        what: what.to_owned(),
        inverse: inverse.map(str::to_owned),
    };
    let mut world = World::new(|_| {});
    let drop_key = "ALTER TABLE `shop`.`bookmarks` DROP FOREIGN KEY `fk_bookmarks_user`";
    world.failures = vec![(STAGE, Cause::RetriesExhausted, true), (Task::Undo, Cause::RollbackIncomplete, true)];
    world.not_back = vec![
        left("017-add-key-fk_bookmarks_user", &"lock ".repeat(1000), Some(drop_key)),
        left("016-modify", "not tried, because it is older", Some(&"long ".repeat(1000))),
        left("001-orphans", "rows stay in quarantine", None),
    ];
    world.not_back.extend((0..1000).map(|at| left(&format!("{at}"), "not tried", Some("SELECT 1"))));
    assert_eq!(world.run(&[]), Reason::RollbackFailed);
    let remaining = world.status().rollback.unwrap().remaining;
    assert_eq!(remaining.len(), 21, "{remaining:?}");
    assert!(remaining[0].starts_with("017-add-key-fk_bookmarks_user: lock lock "), "{}", remaining[0]);
    assert!(remaining[0].ends_with(&format!("By hand: {drop_key};")), "{}", remaining[0]);
    assert!(remaining.iter().all(|each| each.len() < 1000), "{remaining:?}");
    let script = "kubectl holdfast plan m --namespace shop --output rollback-sql";
    assert_eq!(remaining[1], format!("016-modify: not tried, because it is older. By hand: its statement in {script}"));
    assert!(remaining[2].contains("docs/runbook.md") && remaining[2].ends_with("step 4)"), "{}", remaining[2]);
    assert_eq!(remaining[20], format!("and 983 more: {script} has every statement, newest first"));
    world.not_back.truncate(1);
    world.ask(SteeringAction::Retry, "1");
    world.pass();
    assert_eq!(world.run(&[]), Reason::RollbackFailed);
    assert_eq!(world.status().rollback.unwrap().remaining.len(), 1, "the list of the try before is gone");
}

#[test]
fn a_rollback_that_could_not_look_says_where_the_statements_are() {
    let mut world = World::new(|_| {});
    world.failures = vec![(STAGE, Cause::RetriesExhausted, true), (Task::Undo, Cause::Unreachable, true)];
    while !world.finished() {
        world.pass();
    }
    assert_eq!(world.reason(ConditionType::Finished), Reason::RollbackFailed);
    let remaining = world.status().rollback.unwrap().remaining;
    assert!(remaining.len() == 1 && remaining[0].contains("--output rollback-sql"), "{remaining:?}");
}

#[test]
fn the_way_back_begins_nothing_before_what_was_at_work_has_stopped() {
    let mut world = World::new(|_| {});
    (world.lasting, world.slow_to_stop) = (vec![Task::Test], true);
    world.run_to(Task::Test);
    world.ask(SteeringAction::Rollback, "1");
    world.passes(10);
    assert!(world.status().rollback.is_some());
    assert!(!world.created.iter().any(|name| name.contains("undo-schema-update")), "{:?}", world.created);
    assert!(world.status().message.unwrap().contains("running probes and scenarios"));
    world.slow_to_stop = false;
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
    assert!(world.created.iter().any(|name| name.contains("undo-schema-update")), "{:?}", world.created);
}

#[test]
fn a_failed_backup_ends_the_migration_before_anything_is_changed() {
    let mut world = World::new(|_| {});
    world.job_failure = Some("-backup-");
    assert_eq!(world.run(&[]), Reason::BackupFailed);
    assert!(!world.changed_anything());
    let told = find(&world.status().conditions, ConditionType::BackedUp).unwrap().message.clone();
    assert!(
        told.contains("spec.backup.job.image is \"mysql:9.7\", the PersistentVolumeClaim is \"backups\""),
        "{told}"
    );
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

#[test]
fn a_failure_before_the_first_change_says_how_to_begin_again() {
    let command = "kubectl annotate --overwrite --namespace shop smig m holdfast.dev/retry-at=";
    for (cause, way_out, annotation) in [
        (Cause::AccessDenied, "Once the cause is gone", true),
        (Cause::ServerUnsupported, "Once the cause is gone", true),
        (Cause::InvalidSpec, "Changing the spec", true),
        (Cause::VerificationFailed, "Change the spec", true),
    ] {
        let mut world = World::new(|_| {});
        world.failures = vec![(Task::Preflight, cause, true)];
        world.run(&[]);
        let told = find(&world.status().conditions, ConditionType::Finished).unwrap().message.clone();
        assert!(told.contains("simulated. Nothing was changed. ") && told.contains(way_out), "{told}");
        assert_eq!(told.contains(command), annotation, "{told}");
    }
    let mut world = World::new(super::world::gated);
    world.settle();
    world.approve("CleanUp", super::world::DIGEST, "Deny", None);
    assert_eq!(world.run(&[]), Reason::ApprovalDenied);
    let told = find(&world.status().conditions, ConditionType::Finished).unwrap().message.clone();
    assert!(told.contains("delete the MigrationApproval") && !told.contains(command), "{told}");
}

#[test]
fn what_was_waited_for_in_vain_is_waited_for_as_long_again_after_a_retry() {
    let mut world = World::new(|_| {});
    world.missing = Some("the Secret shop/s does not exist".to_owned());
    assert_eq!(world.run(&[]), Reason::DependencyNotReady);
    world.ask(SteeringAction::Retry, "1");
    world.passes(5);
    assert!(!world.finished(), "given up at once: {:?}", world.status().message);
    world.missing = None;
    assert_eq!(world.run(&[]), Reason::Complete);
}
