//! What a person asks for: done once, or answered with the reason why not.

use serde_json::json;

use super::super::super::observed::{JobView, Task};
use super::world::{DIGEST, World, gated};
use crate::api::conditions::{find, is_true};
use crate::api::steering::SteeringAction;
use crate::api::{ConditionType, Reason};
use crate::mysql::Cause;
use crate::plan::Section;

const STAGE: Task = Task::Section(Section::Stage(0));

fn held(manifest: &mut serde_json::Value) {
    manifest["spec"]["rollback"] = json!({"onFailure": "Hold"});
}

#[test]
fn a_retry_begins_a_migration_again_that_failed_before_the_first_change() {
    let mut world = World::new(|_| {});
    world.job_failure = Some("-backup-");
    assert_eq!(world.run(&[]), Reason::BackupFailed);
    world.job_failure = None;
    world.ask(SteeringAction::Retry, "1");
    world.passes(2);
    assert!(!world.finished() && world.status().finished_at.is_none());
    assert_eq!(world.run(&[]), Reason::Complete);
    assert!(world.answer(SteeringAction::Retry).0);
    assert_eq!(world.created.len(), 4, "a second backup, no Job of an old name: {:?}", world.created);
}

#[test]
fn a_retry_begins_a_migration_again_that_was_rolled_back_with_jobs_of_new_names() {
    let mut world = World::new(|_| {});
    world.job_failure = Some("-test-");
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
    world.job_failure = None;
    world.ask(SteeringAction::Retry, "1");
    world.pass();
    assert_eq!(world.run(&[]), Reason::Complete);
    let mut names = world.created.clone();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), world.created.len(), "{:?}", world.created);
}

#[test]
fn a_token_is_acted_on_once_wherever_a_restart_comes() {
    for restart in 0..12 {
        let mut world = World::new(|_| {});
        world.job_failure = Some("-test-");
        world.run(&[]);
        world.ask(SteeringAction::Retry, "1");
        world.pass();
        assert_eq!(world.run(&[restart]), Reason::RollbackSucceeded);
        world.passes(50);
        assert!(world.finished(), "the same token begins nothing again");
        assert_eq!(world.status().attempt, 2);
    }
}

#[test]
fn a_token_that_cannot_be_acted_on_is_answered() {
    let mut world = World::new(|_| {});
    assert_eq!(world.run(&[]), Reason::Complete);
    for action in [SteeringAction::Retry, SteeringAction::Abort, SteeringAction::Rollback, SteeringAction::Replan] {
        world.ask(action, "1");
        world.passes(3);
        let (accepted, message) = world.answer(action);
        assert!(!accepted && !message.is_empty(), "{action}");
        assert_eq!(world.reason(ConditionType::Finished), Reason::Complete);
    }
}

#[test]
fn an_abort_before_the_first_change_ends_the_migration_unchanged() {
    let mut world = World::new(gated);
    world.settle();
    world.ask(SteeringAction::Abort, "1");
    assert_eq!(world.run(&[]), Reason::Aborted);
    assert!(!world.changed_anything() && !world.begun.contains(&Task::Undo));
}

#[test]
fn an_abort_stops_what_runs_and_takes_everything_back() {
    let mut world = World::new(|_| {});
    world.lasting = vec![STAGE];
    world.run_to(STAGE);
    world.ask(SteeringAction::Abort, "1");
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
    assert_eq!(world.status().rollback.unwrap().reason, "Aborted");
    assert_eq!(world.times(STAGE), 1);
}

#[test]
fn an_abort_stops_the_job_that_runs() {
    let mut world = World::new(|_| {});
    world.run_to(Task::Test);
    let name = loop {
        world.pass();
        if let Some(name) = world.created.iter().find(|name| name.contains("-test-")) {
            break name.clone();
        }
    };
    world.jobs.insert(name.clone(), JobView::Running { uid: "job".to_owned(), problem: None, progress: None });
    world.passes(2);
    world.ask(SteeringAction::Abort, "1");
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
    assert!(!world.jobs.contains_key(&name), "the Job is deleted");
}

#[test]
fn a_failure_under_hold_leaves_everything_and_says_what_stands_and_what_to_do() {
    let mut world = World::new(held);
    world.job_failure = Some("-test-");
    assert_eq!(world.run(&[]), Reason::Held);
    let status = world.status();
    assert!(is_true(&status.conditions, ConditionType::Stalled));
    assert_eq!(world.reason(ConditionType::Tested), Reason::TestsFailed);
    let message = find(&status.conditions, ConditionType::Finished).unwrap().message.clone();
    for part in ["boom", "2 of 2 operations", "smig m holdfast.dev/retry-at", "smig m holdfast.dev/rollback-at"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(!world.begun.contains(&Task::Undo));
}

#[test]
fn what_is_held_goes_on_where_it_stopped() {
    let mut world = World::new(held);
    world.job_failure = Some("-test-");
    world.run(&[]);
    world.job_failure = None;
    world.ask(SteeringAction::Retry, "1");
    world.pass();
    assert_eq!(world.run(&[]), Reason::Complete);
    assert_eq!(world.times(STAGE), 1, "what was done is not done again");
    assert_eq!(world.created.iter().filter(|name| name.contains("-test-")).count(), 2);
    assert!(world.status().rollback.is_none());
}

#[test]
fn what_is_held_is_taken_back_on_request() {
    let mut world = World::new(held);
    world.failures = vec![(STAGE, Cause::RetriesExhausted, true)];
    assert_eq!(world.run(&[]), Reason::Held);
    world.ask(SteeringAction::Rollback, "1");
    world.pass();
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
}

#[test]
fn an_abort_under_hold_holds_and_a_done_phase_stays_done() {
    let mut world = World::new(|manifest| {
        held(manifest);
        manifest["spec"]["gates"] = json!([{"before": {"phase": "Test"}, "approval": "Required"}]);
    });
    world.settle();
    world.ask(SteeringAction::Abort, "1");
    assert_eq!(world.run(&[]), Reason::Held);
    assert!(is_true(&world.status().conditions, ConditionType::SchemaUpdated), "its Job is not run a second time");
    world.ask(SteeringAction::Retry, "1");
    world.approve("Test", DIGEST, "Approve", None);
    world.pass();
    assert_eq!(world.run(&[]), Reason::Complete);
    assert_eq!(world.created.iter().filter(|name| name.contains("-schema-update-")).count(), 1);
}

#[test]
fn a_rollback_that_could_not_finish_goes_on_at_a_retry() {
    let mut world = World::new(|_| {});
    world.failures = vec![(STAGE, Cause::RetriesExhausted, true), (Task::Undo, Cause::RollbackIncomplete, true)];
    assert_eq!(world.run(&[]), Reason::RollbackFailed);
    world.failures.clear();
    world.ask(SteeringAction::Retry, "1");
    world.pass();
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
}

#[test]
fn a_waiting_migration_is_taken_back_on_request_and_an_unchanged_one_has_nothing_to_take_back() {
    let mut world = World::new(|manifest| {
        manifest["spec"]["gates"] = json!([{"before": {"phase": "CleanUp"}, "approval": "Required"}, {"before": {"phase": "Test"}, "approval": "Required"}]);
    });
    world.settle();
    world.ask(SteeringAction::Rollback, "1");
    assert_eq!(world.settle(), Reason::ApprovalPending);
    assert!(!world.answer(SteeringAction::Rollback).0);
    world.approve("CleanUp", DIGEST, "Approve", Some(3));
    world.settle();
    assert!(world.changed_anything());
    world.ask(SteeringAction::Rollback, "2");
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
    assert!(world.answer(SteeringAction::Rollback).0);
}

#[test]
fn a_replan_computes_the_plan_anew_before_the_first_change_only() {
    let mut world = World::new(gated);
    world.settle();
    world.ask(SteeringAction::Replan, "1");
    assert_eq!(world.settle(), Reason::ApprovalPending);
    assert_eq!(world.times(Task::Plan), 2);
    assert!(!is_true(&world.status().conditions, ConditionType::Drifted));
    world.approve("CleanUp", DIGEST, "Approve", Some(3));
    world.run_to(STAGE);
    world.ask(SteeringAction::Replan, "2");
    assert_eq!(world.run(&[]), Reason::Complete);
    assert!(!world.answer(SteeringAction::Replan).0);
    assert_eq!(world.times(Task::Plan), 2);
}

#[test]
fn a_purge_waits_for_the_end_and_for_its_gate() {
    let mut world = World::new(|manifest| {
        manifest["spec"]["gates"] = json!([{"before": {"phase": "Purge"}, "approval": "Required"}]);
    });
    world.ask(SteeringAction::Purge, "1");
    assert_eq!(world.run(&[]), Reason::Complete);
    assert!(!world.answer(SteeringAction::Purge).0);
    world.migration.spec.suspend = true;
    world.ask(SteeringAction::Purge, "suspended");
    world.passes(3);
    assert!(!world.answer(SteeringAction::Purge).0 && world.finished());
    world.migration.spec.suspend = false;
    world.ask(SteeringAction::Purge, "2");
    world.passes(10);
    assert!(!world.begun.contains(&Task::Purge));
    assert_eq!(world.reason(ConditionType::Approved), Reason::ApprovalPending);
    world.approve("Purge", DIGEST, "Approve", None);
    world.passes(10);
    assert!(world.answer(SteeringAction::Purge).0);
    assert!(world.status().quarantine.unwrap().purged_at.is_some());
    assert_eq!(world.times(Task::Purge), 1);
    assert_eq!(world.reason(ConditionType::Ready), Reason::Complete, "the end stays what it is");
}

#[test]
fn a_purge_that_fails_is_answered_and_trouble_that_passes_is_borne() {
    let mut world = World::new(|_| {});
    world.run(&[]);
    world.failures = vec![(Task::Purge, Cause::Unreachable, false), (Task::Purge, Cause::Drifted, false)];
    world.ask(SteeringAction::Purge, "1");
    world.passes(20);
    let (accepted, message) = world.answer(SteeringAction::Purge);
    assert!(!accepted && message.contains("simulated"), "{message}");
    assert_eq!(world.times(Task::Purge), 2);
    assert!(world.finished() && world.status().quarantine.is_none_or(|quarantine| quarantine.purged_at.is_none()));
}

#[test]
fn what_is_held_is_not_purged() {
    let mut world = World::new(held);
    world.job_failure = Some("-test-");
    world.run(&[]);
    world.ask(SteeringAction::Purge, "1");
    world.passes(5);
    assert!(!world.answer(SteeringAction::Purge).0);
    assert!(!world.begun.contains(&Task::Purge));
}

#[test]
fn a_suspended_migration_says_where_it_stands_and_goes_on() {
    let mut world = World::new(|_| {});
    world.lasting = vec![STAGE];
    world.run_to(STAGE);
    world.migration.spec.suspend = true;
    assert_eq!(world.settle(), Reason::Suspended);
    let message = world.status().message.unwrap();
    assert!(message.contains("1 of 2 operations are done"), "{message}");
    world.lasting.clear();
    world.migration.spec.suspend = false;
    assert_eq!(world.run(&[]), Reason::Complete);
}
