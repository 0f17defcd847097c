//! The way forward: to Complete, through restarts, suspension and a plan alone, without writing in vain.

use jiff::SignedDuration;
use serde_json::json;

use super::super::super::observed::Task;
use super::world::{DIGEST, World, gated};
use crate::api::conditions::{find, is_true};
use crate::api::{ConditionType, Reason};

#[test]
fn a_good_migration_completes_with_every_condition_true() {
    let mut world = World::new(|_| {});
    assert_eq!(world.run(&[]), Reason::Complete);
    for condition in ConditionType::PHASES {
        if condition != ConditionType::Approved {
            assert!(is_true(&world.status().conditions, condition), "{condition}");
        }
    }
    assert!(find(&world.status().conditions, ConditionType::Reconciling).is_none());
    assert_eq!(world.created.len(), 3, "backup, schema update, test: {:?}", world.created);
}

#[test]
fn a_restart_at_any_point_comes_to_the_same_end() {
    for pass in 0..60 {
        let mut world = World::new(|_| {});
        assert_eq!(world.run(&[pass]), Reason::Complete, "restart after pass {pass}");
        assert_eq!(world.created.len(), 3, "no Job is made twice, restart after pass {pass}");
    }
}

#[test]
fn a_suspended_migration_begins_nothing() {
    let mut world = World::new(|manifest| manifest["spec"]["suspend"] = json!(true));
    assert_eq!(world.settle(), Reason::Suspended);
    assert!(world.begun.is_empty() && world.created.is_empty());
    world.migration.spec.suspend = false;
    assert_eq!(world.run(&[]), Reason::Complete);
}

#[test]
fn mode_plan_ends_with_the_plan() {
    let mut world = World::new(|manifest| manifest["spec"]["mode"] = json!("Plan"));
    assert_eq!(world.run(&[]), Reason::PlanOnly);
    assert_eq!(world.begun, [Task::Preflight, Task::Plan]);
    assert!(is_true(&world.status().conditions, ConditionType::Succeeded));
}

#[test]
fn an_old_backup_is_made_again_before_the_first_change() {
    let mut world = World::new(gated);
    world.settle();
    world.now = world.now.checked_add(SignedDuration::from_hours(2)).unwrap();
    world.approve("CleanUp", DIGEST, "Approve", None);
    assert_eq!(world.run(&[]), Reason::Complete);
    assert_eq!(world.created.iter().filter(|name| name.contains("-backup-")).count(), 2);
}

#[test]
fn the_same_decision_twice_gives_the_same_status() {
    let mut world = World::new(gated);
    world.settle();
    let before = world.status();
    world.pass();
    assert_eq!(before, world.status(), "nothing is written while nothing changes");
}
