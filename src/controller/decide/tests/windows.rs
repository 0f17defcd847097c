//! Windows: work goes on inside them only, and the way back at any time.

use jiff::Timestamp;
use serde_json::json;

use super::super::super::observed::{Task, TaskState};
use super::world::World;
use crate::api::{ConditionType, Reason};
use crate::mysql::Cause;
use crate::plan::Section;

const STAGE: Task = Task::Section(Section::Stage(0));

/// Two hours of every night, for all changes.
fn nightly(manifest: &mut serde_json::Value) {
    manifest["spec"]["gates"] =
        json!([{"before": {"phase": "CleanUp"}, "window": {"start": "02:00", "duration": "2h"}}]);
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn a_gate_opens_only_inside_its_window_and_says_when() {
    let mut world = World::new(nightly);
    assert_eq!(world.settle(), Reason::OutsideWindow);
    let message = world.status().message.unwrap();
    assert!(message.contains("opens at 1970-01-13T02:00:00+00:00[UTC]"), "{message}");
    assert!(!world.changed_anything() && world.status().started_at.is_none());
    assert_eq!(world.reason(ConditionType::Approved), Reason::OutsideWindow);
    world.now = at("1970-01-13T02:00:00Z");
    world.run_to(STAGE);
    assert_eq!(world.allowance.until, Some(at("1970-01-13T04:00:00Z")), "the engine knows when to stop");
    assert_eq!(world.run(&[]), Reason::Complete);
}

#[test]
fn a_window_that_closes_midway_stops_the_work_which_goes_on_in_the_next_one() {
    let mut world = World::new(nightly);
    world.now = at("1970-01-13T02:30:00Z");
    world.lasting = vec![STAGE];
    world.run_to(STAGE);
    world.now = at("1970-01-13T04:00:00Z");
    world.pass();
    assert!(matches!(world.task, TaskState::Ended(..)), "it was asked to stop");
    assert_eq!(world.settle(), Reason::OutsideWindow);
    assert_eq!(world.times(STAGE), 1);
    world.lasting.clear();
    world.now = at("1970-01-14T02:00:00Z");
    assert_eq!(world.run(&[]), Reason::Complete);
    assert_eq!(world.times(STAGE), 2);
}

#[test]
fn an_operation_that_does_not_fit_is_asked_for_once_a_window() {
    let mut world = World::new(nightly);
    world.now = at("1970-01-13T02:30:00Z");
    world.failures = vec![(STAGE, Cause::TimeTooShort, true)];
    assert_eq!(world.settle(), Reason::OutsideWindow);
    assert_eq!(world.times(STAGE), 1);
    world.now = at("1970-01-13T04:00:00Z");
    world.passes(3);
    world.now = at("1970-01-14T02:30:00Z");
    world.passes(20);
    assert_eq!(world.times(STAGE), 2);
    // The window is made longer.
    world.migration.metadata.generation = Some(2);
    world.failures.clear();
    assert_eq!(world.run(&[]), Reason::Complete);
    assert_eq!(world.times(STAGE), 3);
}

#[test]
fn the_way_back_does_not_wait_for_a_window() {
    let mut world = World::new(nightly);
    world.now = at("1970-01-13T03:50:00Z");
    world.run_to(STAGE);
    world.failures = vec![(STAGE, Cause::RetriesExhausted, true)];
    world.pass();
    world.now = at("1970-01-13T12:00:00Z");
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
    assert!(world.now < at("1970-01-13T13:00:00Z"), "not in the next window: {}", world.now);
}

#[test]
fn the_window_of_a_later_gate_takes_over() {
    let mut world = World::new(|manifest| {
        nightly(manifest);
        let noon = json!({"before": {"stage": "users"}, "window": {"start": "12:00", "duration": "1h"}});
        manifest["spec"]["gates"].as_array_mut().unwrap().push(noon);
    });
    world.now = at("1970-01-13T02:30:00Z");
    assert_eq!(world.settle(), Reason::OutsideWindow);
    assert!(world.changed_anything() && world.times(STAGE) == 0);
    assert!(world.status().message.unwrap().contains("stage users is closed; it opens at 1970-01-13T12:00"));
    world.now = at("1970-01-13T12:30:00Z");
    assert_eq!(world.run(&[]), Reason::Complete);
}

#[test]
fn a_window_that_cannot_be_kept_stays_closed() {
    let mut world = World::new(|manifest| {
        nightly(manifest);
        manifest["spec"]["gates"][0]["window"]["timeZone"] = json!("Mars/Olympus");
    });
    assert_eq!(world.settle(), Reason::InvalidSpec);
    assert!(!world.changed_anything());
    let problems = super::super::super::gates::problems(&world.migration, world.now);
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].0, "spec.gates[0].window");
}

#[test]
fn a_gate_before_a_stage_that_is_not_there_is_a_problem_of_the_spec() {
    let world = World::new(|manifest| {
        nightly(manifest);
        manifest["spec"]["gates"][0]["before"] = json!({"stage": "user"});
    });
    let problems = super::super::super::gates::problems(&world.migration, world.now);
    assert_eq!(problems[0].0, "spec.gates[0].before.stage");
    assert!(problems[0].1.contains("users"), "{problems:?}");
}

/// Half an hour of every night.
fn short(manifest: &mut serde_json::Value) {
    manifest["spec"]["gates"] =
        json!([{"before": {"phase": "CleanUp"}, "window": {"start": "02:00", "duration": "30m"}}]);
}

#[test]
fn another_migration_is_not_waited_for_for_ever_in_windows_too_short_for_the_limit() {
    let mut world = World::new(short);
    world.failures = vec![(Task::CheckBeforeStart, Cause::LockHeld, true)];
    let mut windows = 0;
    while !world.finished() {
        assert!(windows < 5, "no end: {:?}", world.status());
        world.now = at(&format!("1970-01-{:02}T02:00:00Z", 13 + windows));
        windows += 1;
        for _ in 0..1000 {
            world.pass();
            let closed = world.reason(ConditionType::Ready) == Reason::OutsideWindow;
            if closed || world.finished() {
                break;
            }
        }
        // Until what ran has stopped.
        world.passes(5);
    }
    assert_eq!((world.reason(ConditionType::Finished), windows), (Reason::LockHeld, 4));
    assert!(world.status().message.unwrap().contains("Nothing was changed"));
    assert!(!world.changed_anything());
}

#[test]
fn what_meets_a_migration_in_its_next_window_has_its_own_limit() {
    let mut world = World::new(short);
    world.now = at("1970-01-13T02:20:00Z");
    world.failures = vec![(Task::CheckBeforeStart, Cause::LockHeld, true)];
    assert_eq!(world.settle(), Reason::OutsideWindow);
    let kept = world.status().retrying.unwrap();
    assert_eq!(kept.until.0.duration_since(kept.since.0).as_hours(), 72, "it says so while the window is closed");
    world.now = at("1970-01-14T02:00:00Z");
    world.failures = vec![(Task::CheckBeforeStart, Cause::Unreachable, true)];
    world.passes(10);
    let retrying = world.status().retrying.unwrap();
    assert_eq!(retrying.reason, "DatabaseUnreachable");
    assert!(retrying.since.0 >= at("1970-01-14T02:00:00Z"), "{retrying:?}");
    world.failures.clear();
    assert_eq!(world.run(&[]), Reason::Complete);
}
