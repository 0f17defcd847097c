//! What somebody else changed under a running migration holds it, and it goes on once that is put right.

use super::super::super::observed::Task;
use super::world::World;
use crate::api::conditions::is_true;
use crate::api::steering::SteeringAction;
use crate::api::{ConditionType, Reason};
use crate::mysql::Cause;
use crate::plan::Section;

const STAGE: Task = Task::Section(Section::Stage(0));

#[test]
fn drift_after_the_first_change_holds_without_a_limit_and_without_a_rollback() {
    let mut world = World::new(|_| {});
    world.failures = vec![(STAGE, Cause::Drifted, true)];
    for _ in 0..20 {
        assert_eq!(world.settle(), Reason::DriftDetected);
    }
    assert!(is_true(&world.status().conditions, ConditionType::Drifted));
    assert!(world.status().message.unwrap().contains("holdfast.dev/rollback-at"));
    assert!(!world.begun.contains(&Task::Undo));
    world.failures.clear();
    assert_eq!(world.run(&[]), Reason::Complete);
    assert!(!is_true(&world.status().conditions, ConditionType::Drifted));
}

#[test]
fn drift_that_was_held_leaves_the_patience_for_other_trouble_whole() {
    let mut world = World::new(|_| {});
    world.failures = vec![(STAGE, Cause::Drifted, true)];
    for _ in 0..20 {
        world.settle();
    }
    world.failures = vec![(STAGE, Cause::Unreachable, false)];
    assert_eq!(world.run(&[]), Reason::Complete);
}

#[test]
fn what_another_version_wrote_holds_without_a_limit_and_without_a_rollback() {
    let mut world = World::new(|_| {});
    world.failures = vec![(STAGE, Cause::UnknownFormat, true)];
    for _ in 0..20 {
        assert_eq!(world.settle(), Reason::UnknownPlanFormat);
    }
    assert!(!world.begun.contains(&Task::Undo));
    world.failures.clear();
    assert_eq!(world.run(&[]), Reason::Complete);
}

#[test]
fn a_person_takes_back_what_drifted() {
    let mut world = World::new(|_| {});
    world.failures = vec![(STAGE, Cause::Drifted, true)];
    world.settle();
    world.ask(SteeringAction::Rollback, "1");
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
}

#[test]
fn another_server_is_worked_on_only_when_a_person_says_so() {
    let mut world = World::new(|_| {});
    world.failures = vec![(STAGE, Cause::ServerChanged, true)];
    assert_eq!(world.settle(), Reason::ServerChanged);
    assert_eq!(world.status().server_uuid.as_deref(), Some("s"));
    world.failures.clear();
    world.ask(SteeringAction::Retry, "1");
    world.pass();
    assert_eq!(world.status().server_uuid, None, "the server that answers is taken");
    assert!(world.answer(SteeringAction::Retry).0);
    assert_eq!(world.run(&[]), Reason::Complete);
}
