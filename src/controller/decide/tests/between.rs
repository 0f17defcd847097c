//! What one step leaves to the next, and to those who read the status: results of tasks, Jobs, trouble. The simulation found each.

use jiff::SignedDuration;
use serde_json::json;

use super::super::super::decision::Effect;
use super::super::super::observed::{JobView, Task};
use super::world::{DIGEST, World, gated};
use crate::api::conditions::{ConditionStatus, find, is_true};
use crate::api::status::{JobState, Phase, StageState};
use crate::api::steering::SteeringAction;
use crate::api::{ConditionType, Reason};
use crate::mysql::Cause;
use crate::plan::Section;

const STAGE: Task = Task::Section(Section::Stage(0));

fn gate(phase: &str) -> impl FnOnce(&mut serde_json::Value) {
    let gate = json!([{"before": {"phase": phase}, "approval": "Required"}]);
    move |manifest| {
        manifest["spec"]["gates"] = gate;
        manifest["spec"]["tests"]["probes"] = json!("None");
    }
}

fn value(world: &World, condition: ConditionType) -> (String, String) {
    let found = find(&world.status().conditions, condition).cloned().unwrap();
    (found.status, found.reason)
}

#[test]
fn every_gate_holds_although_the_step_before_left_its_result() {
    for (phase, job) in [("BackUp", "-backup-"), ("UpdateSchema", "-schema-update-"), ("Test", "-test-")] {
        let mut world = World::new(gate(phase));
        assert_eq!(world.settle(), Reason::ApprovalPending, "{phase}");
        assert!(!world.created.iter().any(|name| name.contains(job)), "{phase}: {:?}", world.created);
        assert!(!world.status().jobs.iter().any(|entry| entry.name.contains(job)), "{phase}");
        world.approve(phase, DIGEST, "Approve", None);
        assert_eq!(world.run(&[]), Reason::Complete, "{phase}");
    }
}

#[test]
fn a_job_that_is_only_written_down_waits_for_its_window() {
    let mut world = World::new(|manifest| {
        manifest["spec"]["gates"] =
            json!([{"before": {"phase": "BackUp"}, "window": {"start": "02:00", "duration": "2h"}}]);
    });
    world.now = "1970-01-13T03:59:00Z".parse().unwrap();
    while world.status().jobs.is_empty() {
        world.pass();
    }
    world.restart();
    world.now = "1970-01-13T05:00:00Z".parse().unwrap();
    assert_eq!(world.settle(), Reason::OutsideWindow);
    assert!(world.created.is_empty() && world.times(Task::CountBeforeBackup(1)) == 0);
    world.now = "1970-01-14T02:00:00Z".parse().unwrap();
    assert_eq!(world.run(&[]), Reason::Complete);
}

#[test]
fn a_failure_between_two_steps_belongs_to_the_one_that_is_not_done() {
    let mut world = World::new(|manifest| {
        gate("Test")(manifest);
        manifest["spec"]["rollback"] = json!({"onFailure": "Hold"});
    });
    world.settle();
    world.ask(SteeringAction::Abort, "1");
    assert_eq!(world.run(&[]), Reason::Held);
    assert_eq!(world.status().rollback.unwrap().failed_phase, Phase::Test);
    assert_eq!(value(&world, ConditionType::Tested), ("False".to_owned(), "Aborted".to_owned()));
    assert!(is_true(&world.status().conditions, ConditionType::SchemaUpdated));
}

#[test]
fn a_step_that_is_done_stays_true_when_the_migration_fails_after_it() {
    let mut world = World::new(gated);
    world.settle();
    world.approve("CleanUp", DIGEST, "Deny", None);
    assert_eq!(world.run(&[]), Reason::ApprovalDenied);
    assert!(is_true(&world.status().conditions, ConditionType::Validated));
    assert_eq!(world.reason(ConditionType::CleanedUp), Reason::ApprovalDenied);
}

#[test]
fn what_a_rollback_takes_back_is_not_true_any_more() {
    let changes = [ConditionType::CleanedUp, ConditionType::ForeignKeysAdded, ConditionType::SchemaUpdated];
    let mut world = World::new(|_| {});
    world.job_failure = Some("-test-");
    world.run_to(Task::Undo);
    for condition in changes {
        assert_eq!(value(&world, condition), ("Unknown".to_owned(), "RollingBack".to_owned()), "{condition}");
    }
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
    for condition in changes {
        assert_eq!(value(&world, condition), ("False".to_owned(), "RollbackSucceeded".to_owned()), "{condition}");
    }
    assert_eq!(world.reason(ConditionType::TypesFixed), Reason::Skipped, "a skipped step did nothing");
    let stage = world.status().stages.remove(0);
    assert_eq!((stage.state, stage.added, stage.verified), (StageState::Pending, 0, 0));
}

#[test]
fn what_a_rollback_could_not_take_back_is_unknown_until_it_goes_on() {
    let mut world = World::new(|_| {});
    world.job_failure = Some("-test-");
    world.failures = vec![(Task::Undo, Cause::RollbackIncomplete, false)];
    assert_eq!(world.run(&[]), Reason::RollbackFailed);
    assert_eq!(value(&world, ConditionType::CleanedUp), ("Unknown".to_owned(), "RollbackFailed".to_owned()));
    world.ask(SteeringAction::Retry, "1");
    world.passes(3);
    assert_eq!(value(&world, ConditionType::CleanedUp), ("Unknown".to_owned(), "RollingBack".to_owned()));
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
    assert_eq!(value(&world, ConditionType::CleanedUp).0, ConditionStatus::False.as_str());
}

#[test]
fn backups_that_always_grow_too_old_come_to_an_end() {
    let mut world = World::new(|manifest| {
        manifest["spec"]["gates"] = json!([
            {"before": {"phase": "BackUp"}, "window": {"start": "02:00", "duration": "1h"}},
            {"before": {"phase": "CleanUp"}, "window": {"start": "12:00", "duration": "1h"}}]);
    });
    for _ in 0..24 * 60 {
        world.pass();
        if world.finished() {
            assert_eq!(world.reason(ConditionType::Finished), Reason::BackupCannotBeFresh);
            assert!(world.status().message.unwrap().contains("windows before BackUp and CleanUp"));
            assert!(world.created.len() > 5 && !world.changed_anything());
            return;
        }
        world.now = world.now.checked_add(SignedDuration::from_mins(10)).unwrap();
    }
    panic!("a backup a day, for ever: {:?}", world.created);
}

#[test]
fn a_job_that_runs_is_stopped_before_everything_begins_anew() {
    let mut world = World::new(|_| {});
    while world.created.is_empty() {
        world.pass();
    }
    let name = world.created[0].clone();
    world.jobs.insert(name.clone(), JobView::Running { uid: "job".to_owned(), problem: None, progress: None });
    world.passes(2);
    world.migration.metadata.generation = Some(2);
    let effects: Vec<Effect> = (0..3).map(|_| world.pass()).collect();
    assert!(effects.contains(&Effect::DeleteJob(name.clone())), "{effects:?}");
    assert_eq!(world.run(&[]), Reason::Complete);
    assert!(!world.jobs.contains_key(&name));
}

#[test]
fn what_an_end_left_is_given_back_before_anything_begins_again() {
    for edited in [true, false] {
        let mut world = World::new(|_| {});
        world.failures = vec![(Task::Validate, Cause::PrivilegeMissing, false)];
        assert_eq!(world.run(&[]), Reason::PrivilegeMissing);
        assert!(world.migration.metadata.finalizers.is_some());
        if edited {
            world.migration.metadata.generation = Some(2);
        } else {
            world.ask(SteeringAction::Retry, "1");
        }
        let effects: Vec<Effect> = (0..4).map(|_| world.pass()).collect();
        assert!(effects.contains(&Effect::Release), "{effects:?}");
        assert_eq!(world.run(&[]), Reason::Complete);
    }
}

#[test]
fn a_job_that_would_not_start_is_gone_before_changes_are_taken_back() {
    let mut world = World::new(|_| {});
    world.run_to(Task::Test);
    let name = loop {
        world.pass();
        if let Some(name) = world.created.iter().find(|name| name.contains("-test-")) {
            break name.clone();
        }
    };
    let stuck = JobView::Running {
        uid: "job".to_owned(),
        problem: Some("the image cannot be pulled".to_owned()),
        progress: None,
    };
    world.jobs.insert(name.clone(), stuck.clone());
    assert_eq!(world.pass(), Effect::DeleteJob(name.clone()));
    let entry = world.status().jobs.into_iter().find(|job| job.name == name).unwrap();
    assert_eq!((entry.state, entry.uid.as_deref()), (JobState::Failed, Some("job")));
    // The deletion did not go through.
    world.jobs.insert(name.clone(), stuck);
    world.restart();
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
    assert!(!world.jobs.contains_key(&name));
}

#[test]
fn a_migration_that_goes_on_does_not_say_any_more_that_it_is_suspended() {
    let mut world = World::new(|_| {});
    world.failures = vec![(STAGE, Cause::Unreachable, false)];
    world.run_to(STAGE);
    world.passes(2);
    assert!(world.trouble.is_some());
    world.migration.spec.suspend = true;
    assert_eq!(world.settle(), Reason::Suspended);
    world.migration.spec.suspend = false;
    world.run_to(STAGE);
    assert_eq!(world.reason(ConditionType::Ready), Reason::Progressing);
    assert_eq!(world.run(&[]), Reason::Complete);
}

#[test]
fn a_new_plan_is_not_the_result_that_the_last_planning_left() {
    let mut world = World::new(gated);
    while !is_true(&world.status().conditions, ConditionType::Planned) {
        world.pass();
    }
    world.ask(SteeringAction::Replan, "1");
    world.settle();
    assert!(world.answer(SteeringAction::Replan).0);
    assert_eq!(world.times(Task::Plan), 2);
}

#[test]
fn trouble_of_one_phase_does_not_hide_the_next() {
    let mut world = World::new(|_| {});
    world.failures = vec![(STAGE, Cause::Drifted, false)];
    world.run_to(STAGE);
    world.passes(2);
    let trouble = world.trouble;
    assert!(trouble.is_some());
    while world.status().phase != Some(Phase::Soak) {
        world.pass();
    }
    world.trouble = trouble;
    assert_eq!(world.run(&[]), Reason::Complete);
    assert!(world.status().phases.iter().any(|phase| phase.name == Phase::Prove));
}
