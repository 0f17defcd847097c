//! The soak: through restarts and suspension to its end, and every way in which it does not end well.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::super::super::observed::Task;
use super::world::{World, gated};
use crate::api::conditions::{find, is_true};
use crate::api::status::{Phase, SoakStatus, Watched};
use crate::api::steering::SteeringAction;
use crate::api::{ConditionType, Reason};
use crate::mysql::Cause;
use crate::mysql::soak::ErrorCounts;

fn soaking(manifest: &mut Value) {
    manifest["spec"]["soak"] = json!({"duration": "10m"});
}

fn errors(foreign_keys: u64, locks: u64) -> ErrorCounts {
    ErrorCounts { foreign_keys, locks, gap: None }
}

fn soak(world: &World) -> SoakStatus {
    world.status().soak.unwrap()
}

fn soaked(world: &World) -> String {
    find(&world.status().conditions, ConditionType::Soaked).unwrap().message.clone()
}

/// Passes until so many looks are in the status.
fn look(world: &mut World, looks: i32) {
    for _ in 0..1000 {
        if world.status().soak.is_some_and(|soak| soak.samples >= looks) {
            return;
        }
        world.pass();
    }
    panic!("{looks} looks were never taken: {:?}", world.status());
}

#[test]
fn a_good_soak_takes_its_time_and_tells_what_it_saw() {
    let mut world = World::new(soaking);
    world.counted = Ok(errors(70, 8));
    assert_eq!(world.run(&[]), Reason::Complete);
    let soak = soak(&world);
    let (began, ended) = (soak.started_at.unwrap().0, soak.sampled_at.unwrap().0);
    assert!(ended.duration_since(began) >= SignedDuration::from_mins(10), "{began} {ended}");
    // In this world a look takes a minute.
    assert!((7..=11).contains(&soak.samples), "{} looks", soak.samples);
    let told = soaked(&world);
    assert!(told.contains("foreign-key errors: 0 in ") && told.contains("; allowed are 5 a minute"), "{told}");
    assert!(told.contains("Not watched: latency of SELECT (no such statement was measured"), "{told}");
    assert!(told.contains("1 new statements") && told.contains("their digests begin with 5f0a"), "{told}");
    assert!(told.contains("No row without a parent under 1 keys"), "{told}");
    let scan = world.begun.iter().position(|task| *task == Task::Scan).unwrap();
    assert!(world.begun[..scan].iter().filter(|task| **task == Task::Look).count() >= 7, "{:?}", world.begun);
}

#[test]
fn a_restart_at_any_point_neither_shortens_nor_prolongs_it() {
    for pass in 0..160 {
        let mut world = World::new(soaking);
        assert_eq!(world.run(&[pass]), Reason::Complete, "restart after pass {pass}");
        let soak = soak(&world);
        let took = soak.sampled_at.unwrap().0.duration_since(soak.started_at.unwrap().0);
        assert!((600..700).contains(&took.as_secs()), "restart after pass {pass}: {took}");
        assert!(soak.baseline.unwrap().until.is_some(), "restart after pass {pass}");
    }
}

#[test]
fn between_two_looks_nothing_is_written() {
    let mut world = World::new(|manifest| manifest["spec"]["soak"] = json!({"duration": "3h"}));
    look(&mut world, 3);
    world.pass();
    let before = world.status();
    world.pass();
    assert_eq!(world.status(), before);
    let mut writes = 0;
    for _ in 0..30 {
        let before = world.status();
        world.pass();
        writes += usize::from(world.status() != before);
    }
    let looks = usize::try_from(soak(&world).samples).unwrap() - 3;
    assert_eq!(writes, looks, "one write for each look");
}

#[test]
fn errors_beyond_the_threshold_take_everything_back() {
    let mut world = World::new(soaking);
    world.counted = Ok(errors(70, 0));
    look(&mut world, 3);
    world.counted = Ok(errors(90, 0));
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
    let status = world.status();
    let rollback = status.rollback.clone().unwrap();
    assert_eq!((rollback.reason.as_str(), rollback.failed_phase), ("SoakBreached", Phase::Soak));
    for part in [
        "20 foreign-key errors (1216, 1217, 1451, 1452)",
        " s since ",
        "maxForeignKeyErrorsPerMinute allows 5 a minute",
    ] {
        assert!(rollback.message.contains(part), "{}", rollback.message);
    }
    assert_eq!(world.reason(ConditionType::Soaked), Reason::SoakBreached);
    assert!(!is_true(&status.conditions, ConditionType::Soaked));
}

#[test]
fn as_many_errors_as_are_allowed_are_no_breach() {
    let mut world = World::new(soaking);
    for looks in 1..=7 {
        look(&mut world, looks);
        world.counted = Ok(errors(u64::try_from(looks).unwrap() * 5, 0));
    }
    assert_eq!(world.run(&[]), Reason::Complete);
}

#[test]
fn a_breach_that_is_held_is_watched_from_the_beginning_when_a_person_lets_it_go_on() {
    let mut world = World::new(|manifest| {
        soaking(manifest);
        manifest["spec"]["rollback"] = json!({"onFailure": "Hold"});
    });
    look(&mut world, 3);
    world.counted = Ok(errors(60, 0));
    assert_eq!(world.run(&[]), Reason::Held);
    let first = soak(&world).started_at.unwrap().0;
    world.ask(SteeringAction::Retry, "1");
    world.passes(3);
    assert_eq!(world.run(&[]), Reason::Complete);
    let soak = soak(&world);
    assert!(soak.started_at.unwrap().0 > first && soak.samples >= 7, "watched as long as the first time");
    assert!(soak.baseline.unwrap().until.is_some(), "what was measured before the first change is kept");
}

#[test]
fn what_cannot_be_watched_at_all_is_waited_for_and_is_no_success() {
    let mut world = World::new(soaking);
    world.run_to(Task::Look);
    world.counted = Err("performance_schema cannot be read: grant SELECT");
    assert_eq!(world.settle(), Reason::SoakNotWatched);
    let status = world.status();
    assert_eq!(status.soak.as_ref().unwrap().started_at, None, "its time does not run");
    assert!(status.retrying.is_some() && status.message.as_ref().unwrap().contains("grant SELECT"), "{status:?}");
    let mut granted = World { counted: Ok(errors(0, 0)), ..world };
    granted.now = granted.now.checked_add(SignedDuration::from_secs(5)).unwrap();
    assert_eq!(granted.run(&[]), Reason::Complete);
    assert!(granted.status().retrying.is_none());
}

#[test]
fn what_stays_unwatched_ends_by_the_strategy_after_its_patience() {
    for restart in [usize::MAX, 150, 400] {
        let mut world = World::new(soaking);
        world.run_to(Task::Look);
        let since = world.now;
        world.counted = Err("performance_schema cannot be read: grant SELECT");
        assert_eq!(world.run(&[restart]), Reason::RollbackSucceeded);
        assert_eq!(world.status().rollback.unwrap().reason, "SoakNotWatched");
        let waited = world.now.duration_since(since);
        assert!((1800..2400).contains(&waited.as_secs()), "{waited}");
    }
}

#[test]
fn a_server_that_does_not_answer_is_waited_for_and_its_time_is_covered_by_the_next_look() {
    let mut world = World::new(soaking);
    look(&mut world, 3);
    world.failures = vec![(Task::Look, Cause::Unreachable, true)];
    assert_eq!(world.settle(), Reason::DatabaseUnreachable);
    world.failures.clear();
    world.counted = Ok(errors(1000, 0));
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded, "what happened meanwhile was counted");
}

#[test]
fn an_orphan_at_the_end_is_a_breach() {
    let mut world = World::new(soaking);
    world.orphans = vec!["orphans: bookmarks.user_id -> users.id | 2".to_owned()];
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
    let rollback = world.status().rollback.unwrap();
    assert_eq!(rollback.reason, "SoakBreached");
    assert!(rollback.message.contains("bookmarks.user_id -> users.id | 2"), "{}", rollback.message);
}

#[test]
fn a_person_may_suspend_roll_back_and_abort_in_the_middle() {
    let mut world = World::new(soaking);
    look(&mut world, 3);
    world.migration.spec.suspend = true;
    assert_eq!(world.settle(), Reason::Suspended);
    let looks = soak(&world).samples;
    world.passes(30);
    assert!(soak(&world).samples <= looks, "nothing is begun while it is suspended");
    world.migration.spec.suspend = false;
    assert_eq!(world.run(&[]), Reason::Complete);
    for (action, reason) in [(SteeringAction::Rollback, "RollbackRequested"), (SteeringAction::Abort, "Aborted")] {
        let mut world = World::new(soaking);
        look(&mut world, 3);
        world.ask(action, "1");
        assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
        assert_eq!(world.status().rollback.unwrap().reason, reason);
    }
}

#[test]
fn a_window_before_the_soak_does_not_close_over_one_that_has_begun() {
    let mut world = World::new(|manifest| {
        manifest["spec"]["soak"] = json!({"duration": "3h"});
        // The world begins at 13:46.
        manifest["spec"]["gates"] =
            json!([{"before": {"phase": "Soak"}, "window": {"start": "13:00", "duration": "1h"}}]);
    });
    assert_eq!(world.run(&[]), Reason::Complete);
    assert!(soak(&world).samples > 100);
}

#[test]
fn what_was_measured_before_the_first_change_ends_just_before_it() {
    let mut world = World::new(|manifest| {
        soaking(manifest);
        gated(manifest);
    });
    world.counted = Ok(errors(0, 10));
    world.settle();
    assert_eq!(soak(&world).baseline.unwrap().until, None);
    world.counted = Ok(errors(0, 25));
    world.approve("CleanUp", super::world::DIGEST, "Approve", Some(3));
    assert_eq!(world.run(&[]), Reason::Complete);
    let status = world.status();
    let baseline = status.soak.unwrap().baseline.unwrap();
    assert_eq!(baseline.lock_errors, Some(15));
    assert!(baseline.until.unwrap().0 <= status.started_at.unwrap().0);
}

#[test]
fn lines_of_the_log_count_from_the_first_look_on() {
    for (lines, end) in [(0, Reason::Complete), (1, Reason::RollbackSucceeded)] {
        let mut world = World::new(|manifest| {
            soaking(manifest);
            manifest["spec"]["soak"]["logs"] =
                json!({"selector": {"app": "shop"}, "pattern": "foreign key", "maxMatches": 5});
        });
        world.log_lines = lines;
        assert_eq!(world.run(&[]), end);
        let watches = soak(&world).watches;
        let log = watches.iter().find(|watch| watch.name == Watched::LogMatches).unwrap();
        if lines > 0 {
            assert_eq!(log.count, 6, "{log:?}");
            assert!(world.status().rollback.unwrap().message.contains("in the log of app-0"));
        }
    }
}
