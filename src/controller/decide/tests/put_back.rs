//! The way back by the backup: what is lost is told and approved first, restored beside, and only then put in place.

use serde_json::json;

use super::super::super::observed::Task;
use super::world::{DIGEST, World, restoring};
use crate::api::conditions::{find, is_true};
use crate::api::gates::OnFailure;
use crate::api::status::GateState;
use crate::api::steering::SteeringAction;
use crate::api::{ConditionType, Reason};
use crate::mysql::Cause;
use crate::mysql::loss::{Loss, TableLoss, Writes};
use crate::plan::Section;

const STAGE: Task = Task::Section(Section::Stage(0));

fn loss(inserted: u64) -> Loss {
    let writes = Some(Writes { inserted, updated: 0, deleted: 0 });
    let table = TableLoss { table: "bookmarks".to_owned(), then: Some(10), now: Some(10 + inserted), writes };
    Loss { tables: vec![table], uncounted: None }
}

/// A migration whose first stage fails, and which is taken back by its backup.
fn failing() -> World {
    let mut world = World::new(|manifest| {
        restoring(manifest);
        manifest["spec"]["rollback"] = json!({"onFailure": "RestoreBackup"});
    });
    world.failures = vec![(STAGE, Cause::VerificationFailed, false)];
    world.loss = loss(7);
    world
}

/// Asks for something after the end, which begins it again once what the end left is cleared away.
fn begin_again(world: &mut World, action: SteeringAction) {
    assert!(world.finished(), "{:?}", world.status());
    world.ask(action, "again");
    world.passes(3);
    assert!(!world.finished() && world.answer(action).0, "{:?}", world.answer(action));
}

fn message(world: &World) -> String {
    find(&world.status().conditions, ConditionType::Ready).unwrap().message.clone()
}

#[test]
fn nothing_is_restored_before_a_person_has_approved_what_is_lost() {
    let mut world = failing();
    assert_eq!(world.settle(), Reason::ApprovalPending);
    let ready = find(&world.status().conditions, ConditionType::Ready).unwrap().clone();
    assert_eq!((ready.status.as_str(), world.made("-restore-backup-")), ("Unknown", 0));
    for part in [
        "before.phase RestoreBackup",
        DIGEST,
        "maxRows of at least 7",
        "the backup number 1 of 1970-01-",
        "every table of the schema shop",
        "bookmarks (10 rows then, 17 now; 7 inserted, 0 changed, 0 deleted since)",
        "holdfast.dev/rollback-at",
    ] {
        assert!(message(&world).contains(part), "{part:?} is not in {}", message(&world));
    }
    assert_eq!(world.status().rollback.unwrap().put_back.unwrap().loss.unwrap().rows, 7);
    assert!(!world.begun.iter().any(|task| matches!(task, Task::Undo | Task::PrepareRestore(_) | Task::PutBack)));

    world.approve("RestoreBackup", DIGEST, "Approve", Some(7));
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
    let begun: Vec<Task> = world.begun.iter().copied().skip_while(|task| *task != Task::CountLoss).collect();
    assert_eq!(begun, [Task::CountLoss, Task::PrepareRestore(1), Task::PutBack]);
    assert_eq!((world.made("-restore-backup-"), world.allowance.max_rows), (1, Some(7)));
    let status = world.status();
    assert!(is_true(&status.conditions, ConditionType::RolledBack));
    let put_back = status.rollback.clone().unwrap().put_back.unwrap();
    assert_eq!((put_back.tables, put_back.kept_tables), (Some(4), Some(5)));
    assert_eq!(put_back.kept_schema.as_deref(), Some("holdfast_kept_1"));
    assert_eq!(put_back.restored_schema, None);
    assert!(status.message.unwrap().contains("holdfast_kept_1"));
}

#[test]
fn an_approval_that_allows_less_than_is_lost_keeps_the_gate_closed() {
    for rows in [None, Some(0), Some(6)] {
        let mut world = failing();
        world.approve("RestoreBackup", DIGEST, "Approve", rows);
        assert_eq!(world.settle(), Reason::MoreRowsThanApproved, "{rows:?}");
        assert!(message(&world).contains("up to 7 rows may be lost"), "{}", message(&world));
        assert_eq!(world.made("-restore-backup-"), 0);
    }
    let mut world = failing();
    world.approve("RestoreBackup", "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "Approve", Some(7));
    assert_eq!(world.settle(), Reason::ApprovalForAnotherPlan);
}

#[test]
fn what_was_written_since_the_approval_closes_the_gate_again_before_anything_is_put_in_place() {
    let mut world = failing();
    world.approve("RestoreBackup", DIGEST, "Approve", Some(8));
    world.run_to(Task::PutBack);
    world.loss = loss(9);
    assert_eq!(world.settle(), Reason::MoreRowsThanApproved);
    assert!(!world.in_place && world.made("-restore-backup-") == 1);
    assert!(message(&world).contains("maxRows of at least 9"), "it is counted again: {}", message(&world));
    let gate = world
        .status()
        .gates
        .into_iter()
        .find(|gate| gate.before.phase.is_some_and(|phase| phase.as_str() == "RestoreBackup"));
    assert_eq!(gate.unwrap().state, GateState::Closed);
    world.approve("RestoreBackup", DIGEST, "Approve", Some(20));
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
    assert_eq!(world.made("-restore-backup-"), 1, "what was restored is still of use");
}

#[test]
fn a_denial_ends_the_rollback_and_leaves_both_ways_open() {
    let mut world = failing();
    world.approve("RestoreBackup", DIGEST, "Deny", None);
    assert_eq!(world.run(&[]), Reason::RollbackFailed);
    assert!(message(&world).contains("denied the step RestoreBackup"), "{}", message(&world));
    assert!(!world.in_place && world.made("-restore-backup-") == 0);
    begin_again(&mut world, SteeringAction::Rollback);
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
    assert_eq!((world.times(Task::Undo), world.in_place), (1, false));
    assert_eq!(world.status().rollback.unwrap().strategy, OnFailure::Undo);
    assert_eq!(world.status().gates, [], "what was denied is not done");

    let mut world = failing();
    world.approve("RestoreBackup", DIGEST, "Deny", None);
    world.run(&[]);
    world.approvals.clear();
    begin_again(&mut world, SteeringAction::Retry);
    assert_eq!(world.settle(), Reason::ApprovalPending, "it is asked again once the denial is deleted");
    world.approve("RestoreBackup", DIGEST, "Approve", Some(7));
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
    assert!(world.in_place && world.times(Task::Undo) == 0);
}

#[test]
fn a_person_may_have_every_change_taken_back_instead_while_it_waits_or_restores() {
    let mut world = failing();
    world.settle();
    world.ask(SteeringAction::Rollback, "1");
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
    assert_eq!((world.times(Task::Undo), world.made("-restore-backup-")), (1, 0));
    assert!(world.answer(SteeringAction::Rollback).0);
    assert_eq!(world.status().gates, [], "nothing is asked for any more");
    assert_eq!(world.reason(ConditionType::Approved), Reason::Pending);

    let mut world = failing();
    world.approve("RestoreBackup", DIGEST, "Approve", Some(7));
    world.lasting = vec![Task::PutBack];
    world.run_to(Task::PutBack);
    world.ask(SteeringAction::Rollback, "1");
    world.passes(3);
    assert!(!world.answer(SteeringAction::Rollback).0, "it is being put in place already");

    let mut world = failing();
    world.approve("RestoreBackup", DIGEST, "Approve", Some(8));
    world.run_to(Task::PutBack);
    world.loss = loss(9);
    assert_eq!(world.settle(), Reason::MoreRowsThanApproved);
    world.ask(SteeringAction::Rollback, "1");
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded, "nor does it bind anybody that it is restored beside");
    assert_eq!((world.times(Task::Undo), world.in_place), (1, false));
}

#[test]
fn an_approval_of_before_does_not_count_for_more_that_is_lost_by_the_next_try() {
    let mut world = failing();
    world.approve("RestoreBackup", DIGEST, "Approve", Some(7));
    world.job_failure = Some("-restore-backup-");
    assert_eq!(world.run(&[]), Reason::RollbackFailed);
    world.job_failure = None;
    world.loss = loss(8);
    begin_again(&mut world, SteeringAction::Retry);
    assert_eq!(world.settle(), Reason::MoreRowsThanApproved);
    assert_eq!(world.made("-restore-backup-"), 1, "nothing is restored that nobody wants to have in place");
    world.approve("RestoreBackup", DIGEST, "Approve", Some(8));
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
}

#[test]
fn what_cannot_be_put_in_place_is_restored_anew_when_a_person_asks_for_another_try() {
    let mut world = failing();
    world.approve("RestoreBackup", DIGEST, "Approve", Some(7));
    world.failures.push((Task::PutBack, Cause::RollbackIncomplete, false));
    assert_eq!(world.run(&[]), Reason::RollbackFailed);
    assert_eq!(world.status().rollback.unwrap().put_back.unwrap().restored_schema, None);
    begin_again(&mut world, SteeringAction::Retry);
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
    assert_eq!(world.made("-restore-backup-"), 2);

    let mut world = failing();
    world.approve("RestoreBackup", DIGEST, "Approve", Some(7));
    world.failures.push((Task::PutBack, Cause::RetriesExhausted, false));
    assert_eq!(world.run(&[]), Reason::RollbackFailed);
    begin_again(&mut world, SteeringAction::Retry);
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
    assert_eq!(world.made("-restore-backup-"), 1, "nothing is wrong with what was restored: no lock was to be had");
}

#[test]
fn once_it_is_in_place_another_try_asks_nobody_and_restores_nothing() {
    let mut world = failing();
    world.failures = vec![(Task::Test, Cause::TestFailed, false)];
    world.approve("RestoreBackup", DIGEST, "Approve", Some(7));
    world.job_failure = Some("-undo-schema-update-");
    assert_eq!(world.run(&[]), Reason::RollbackFailed);
    assert!(world.in_place && message(&world).contains("schema file was not put back"), "{}", message(&world));
    world.job_failure = None;
    // The exchange made every table anew, so that all of them would be counted.
    world.loss = loss(1_000);
    begin_again(&mut world, SteeringAction::Retry);
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
    assert_eq!((world.times(Task::CountLoss), world.made("-restore-backup-")), (1, 1));
    assert_eq!(world.made("-undo-schema-update-"), 2);
}

#[test]
fn a_restore_that_fails_is_tried_again_with_another_job_once_a_person_asks() {
    let mut world = failing();
    world.approve("RestoreBackup", DIGEST, "Approve", Some(7));
    world.job_failure = Some("-restore-backup-");
    assert_eq!(world.run(&[]), Reason::RollbackFailed);
    assert!(
        message(&world).contains("boom") && message(&world).contains("holdfast.dev/retry-at"),
        "{}",
        message(&world)
    );
    world.job_failure = None;
    begin_again(&mut world, SteeringAction::Retry);
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
    assert_eq!(world.made("-restore-backup-"), 2);
    assert_eq!(world.times(Task::CountLoss), 2, "what is lost is counted anew");
}

#[test]
fn an_operator_that_is_restarted_anywhere_on_the_way_comes_to_the_same_end() {
    let approved = || {
        let mut world = failing();
        world.approve("RestoreBackup", DIGEST, "Approve", Some(7));
        while world.status().rollback.is_none() {
            world.pass();
        }
        world
    };
    for after in 0.. {
        let (mut world, mut passes) = (approved(), 0);
        while !world.finished() {
            world.pass();
            if passes == after {
                world.restart();
            }
            passes += 1;
            assert!(passes < 500, "no end: {:?}", world.status());
        }
        assert_eq!(world.reason(ConditionType::Finished), Reason::RollbackSucceeded, "restarted after {after}");
        assert!(world.in_place && world.made("-restore-backup-") <= 1, "restarted after {after}");
        if passes <= after {
            return;
        }
    }
}

#[test]
fn one_that_is_in_place_already_is_not_restored_again() {
    let mut world = failing();
    world.approve("RestoreBackup", DIGEST, "Approve", Some(7));
    world.in_place = true;
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
    assert_eq!(world.made("-restore-backup-"), 0);
}

#[test]
fn the_applications_schema_file_goes_back_after_the_approval_and_before_the_tables() {
    let mut world = failing();
    world.failures = vec![(Task::Test, Cause::TestFailed, false)];
    assert_eq!(world.settle(), Reason::ApprovalPending);
    assert_eq!(world.made("-undo-schema-update-"), 0);
    world.approve("RestoreBackup", DIGEST, "Approve", Some(7));
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
    let place = |part: &str| world.created.iter().position(|name| name.contains(part)).unwrap();
    assert!(place("-undo-schema-update-") < place("-restore-backup-"));
}

#[test]
fn a_backup_that_was_never_restored_for_proof_is_not_put_back_and_the_way_out_is_told() {
    let mut world = World::new(|_| {});
    world.failures = vec![(STAGE, Cause::VerificationFailed, false)];
    world.run_to(STAGE);
    // Policy may change at any time; planning could not know.
    world.migration.spec.rollback.on_failure = OnFailure::RestoreBackup;
    assert_eq!(world.run(&[]), Reason::RollbackFailed);
    assert!(
        message(&world).contains("spec.backup.verification Restore")
            && message(&world).contains("holdfast.dev/rollback-at")
    );
    begin_again(&mut world, SteeringAction::Rollback);
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
    assert_eq!(world.times(Task::Undo), 1);
}

#[test]
fn nothing_is_begun_while_it_is_suspended() {
    let mut world = failing();
    world.approve("RestoreBackup", DIGEST, "Approve", Some(7));
    world.run_to(Task::CountLoss);
    world.migration.spec.suspend = true;
    assert_eq!(world.settle(), Reason::Suspended);
    assert!(world.made("-restore-backup-") == 0 && !world.in_place);
    world.migration.spec.suspend = false;
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
}
