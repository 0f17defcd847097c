//! The way forward: to Complete, through restarts, suspension and a plan alone, without writing in vain.

use jiff::SignedDuration;
use serde_json::json;

use super::super::super::observed::Task;
use super::world::{DIGEST, World, filling_plan, gated, plan};
use crate::api::conditions::{find, is_true};
use crate::api::status::{Phase, TestedStatus, UnprobedKey};
use crate::api::{ConditionType, Reason};
use crate::mysql::Cause;
use crate::mysql::report::{OperationReport, QuarantineCounts, RowsReport};
use crate::plan::model::Section;

#[test]
fn a_good_migration_completes_with_every_condition_true() {
    let mut world = World::new(|_| {});
    assert_eq!(world.run(&[]), Reason::Complete);
    for (_, condition) in Phase::STEPS {
        assert!(is_true(&world.status().conditions, condition), "{condition}");
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
fn what_may_be_changed_after_the_end_is_seen_and_changes_nothing_else() {
    let mut world = World::new(|_| {});
    world.run(&[]);
    world.passes(5);
    let before = world.status();
    world.migration.spec.contact = Some("somebody else".to_owned());
    world.migration.metadata.generation = Some(2);
    world.pass();
    let mut after = world.status();
    assert_eq!((before.observed_generation, after.observed_generation), (1, 2));
    after.observed_generation = 1;
    assert_eq!(after, before);
}

#[test]
fn a_gate_says_since_when_it_is_closed_and_since_when_open() {
    let mut world = World::new(gated);
    world.settle();
    let since = |world: &World| world.status().gates[0].since.clone().unwrap().0;
    let closed = since(&world);
    world.now = world.now.checked_add(SignedDuration::from_mins(10)).unwrap();
    world.settle();
    assert_eq!(since(&world), closed);
    world.approve("CleanUp", DIGEST, "Approve", Some(3));
    let approved = world.now;
    world.pass();
    assert_eq!(since(&world).as_second(), approved.as_second());
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
    world.approve("CleanUp", DIGEST, "Approve", Some(3));
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

#[test]
fn the_status_says_what_is_in_quarantine_by_kind_and_once() {
    let mut world = World::new(|_| {});
    world.quarantined = QuarantineCounts { orphans: 5, duplicates: 3, cascaded: 2, values: 1 };
    assert_eq!(world.run(&[]), Reason::Complete);
    let quarantine = world.status().quarantine.unwrap();
    assert_eq!((quarantine.orphans, quarantine.duplicates, quarantine.cascaded, quarantine.values), (5, 3, 2, 1));
}

#[test]
fn only_a_phase_that_copies_a_table_is_not_in_the_background() {
    let mut world = World::new(|_| {});
    world.plan = plan(true);
    world.approve("Copy", DIGEST, "Approve", None);
    world.job_failure = Some("-test-");
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
    let foreground: Vec<Phase> =
        world.status().phases.iter().filter(|phase| !phase.background).map(|phase| phase.name).collect();
    assert_eq!(foreground, [Phase::AddForeignKeys, Phase::RollBack]);
}

#[test]
fn columns_are_filled_for_the_last_time_once_the_applications_schema_is_up_to_date() {
    let rows = RowsReport {
        values_changed: 2,
        total: Some(3),
        unmapped: Some(1),
        ambiguous: Some(1),
        ..RowsReport::default()
    };
    for (restart, update) in (0..80).step_by(4).flat_map(|pass| [(pass, true), (pass, false)]) {
        let mut world = World::new(|manifest| {
            if !update {
                manifest["spec"].as_object_mut().unwrap().remove("schemaUpdate");
            }
        });
        world.plan = filling_plan();
        world.reports = vec![OperationReport {
            operation: "4-again".to_owned(),
            milliseconds: 1,
            tries: 0,
            longest_try_milliseconds: 0,
            rows: Some(rows.clone()),
            made: None,
            found_done: false,
            after_image: None,
        }];
        assert_eq!(world.run(&[restart]), Reason::Complete);
        let again = world.begun.iter().position(|task| *task == Task::Section(Section::FillAgain)).unwrap();
        let stage = world.begun.iter().rposition(|task| *task == Task::Section(Section::Stage(0))).unwrap();
        let test = world.begun.iter().position(|task| *task == Task::Test).unwrap();
        assert!(stage < again && again < test, "{:?}", world.begun);
        assert_eq!(
            world.created.iter().filter(|name| name.contains("update")).count(),
            usize::from(update),
            "{:?}",
            world.created
        );
        let status = world.status();
        let condition = find(&status.conditions, ConditionType::SchemaUpdated).unwrap();
        let told = "4-again: 2 rows of 3 without a value, 1 unmapped (1 of them ambiguous)";
        assert!(condition.message.contains(told), "{}", condition.message);
        assert_eq!(status.steps.unwrap().done, 4);
    }
}

#[test]
fn keys_that_could_not_be_probed_are_named_where_the_result_is_told() {
    for jobs in [true, false] {
        let mut world = World::new(|manifest| {
            if !jobs {
                manifest["spec"]["tests"] = json!({});
            }
        });
        let unprobed = |number| UnprobedKey { key: format!("fk_{number}"), reason: format!("why {number}") };
        world.tested =
            TestedStatus { probes: 3, scenarios: 2, unprobed: 60, unprobed_keys: (0..50).map(unprobed).collect() };
        assert_eq!(world.run(&[]), Reason::Complete);
        let status = world.status();
        let tested = find(&status.conditions, ConditionType::Tested).unwrap().message.clone();
        for part in ["3 probes and 2 scenarios passed", "60 of the keys", "fk_0 (why 0)", "fk_2 (why 2)", "and 57 more"]
        {
            assert!(tested.contains(part), "{part} is not in {tested}");
        }
        assert_eq!(tested.contains("all 1 test Jobs passed"), jobs, "{tested}");
        let end = status.message.clone().unwrap();
        assert!(end.contains("60 of the keys") && end.contains("fk_0, fk_1, fk_2 and 57 more"), "{end}");
        assert_eq!(status.tested.unwrap().unprobed_keys.len(), 50);
    }
}

#[test]
fn a_last_pass_that_fails_takes_everything_back() {
    let mut world = World::new(|_| {});
    world.plan = filling_plan();
    world.failures = vec![(Task::Section(Section::FillAgain), Cause::UnmappedRows, true)];
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
    assert_eq!(world.status().rollback.unwrap().failed_phase, Phase::UpdateSchema);
    assert!(world.created.iter().any(|name| name.contains("undo")), "{:?}", world.created);
}

#[test]
fn the_proof_is_a_phase_of_its_own() {
    let mut world = World::new(|_| {});
    world.failures = vec![(Task::Prove, Cause::VerificationFailed, true)];
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
    let status = world.status();
    assert_eq!(status.rollback.unwrap().failed_phase, Phase::Prove);
    assert!(is_true(&status.conditions, ConditionType::Soaked), "the soak did not fail: {:?}", status.conditions);
    let names: Vec<Phase> = status.phases.iter().map(|phase| phase.name).collect();
    assert!(names.ends_with(&[Phase::Soak, Phase::Prove, Phase::RollBack]), "{names:?}");
}
