//! The Lua scripts of `deploy/gitops/argocd`, run by Argo CD's own engine on statuses that the operator itself makes: one for every phase
//! and every reason, and one for every end.

use std::collections::BTreeMap;
use std::fs;

use holdfast::api::backup::BackupType;
use holdfast::api::status::{Phase, SchemaMigrationStatus};
use holdfast::api::{Reason, SchemaMigration};
use holdfast::controller::decision::{Decision, End, Verdict};
use holdfast::controller::evidence::OwnEvidence;
use holdfast::controller::observed::{Observed, Policies, StoredPlan, TaskState};
use holdfast::controller::project::project;
use holdfast::controller::volume_snapshot::SnapshotView;
use serde_json::{Value, json};

use crate::cluster::{manifest, root, with_input};

const FOLDER: &str = "deploy/gitops/argocd";
const KIND: &str = "holdfast.dev/SchemaMigration";
const ACTIONS: [&str; 5] = ["suspend", "resume", "abort", "retry", "rollback"];

fn script(path: &str) -> String {
    fs::read_to_string(root().join(FOLDER).join(path)).unwrap_or_else(|error| panic!("{FOLDER}/{path}: {error}"))
}

/// The value of `resource.customizations.actions.*`.
fn actions() -> String {
    let definitions: Vec<Value> = ACTIONS
        .iter()
        .map(|name| json!({"name": name, "action.lua": script(&format!("actions/{name}.lua"))}))
        .collect();
    let all = json!({"discovery.lua": script("actions/discovery.lua"), "definitions": definitions});
    serde_yaml::to_string(&all).unwrap()
}

fn migration() -> SchemaMigration {
    let mut object: Value = serde_yaml::from_str(&manifest("good/minimal.yaml")).unwrap();
    object["metadata"]["generation"] = json!(3);
    serde_json::from_value(object).unwrap()
}

/// The status that the operator writes for a verdict, on one that has begun or not.
fn after(verdict: Verdict, started: bool) -> SchemaMigration {
    let observed = Observed {
        refusals: Vec::new(),
        missing: None,
        content_digest: None,
        plan: StoredPlan::None,
        task: TaskState::Idle,
        session: false,
        trouble: None,
        advanced: false,
        jobs: BTreeMap::new(),
        snapshot: SnapshotView::NotAsked,
        approvals: Vec::new(),
        policies: Policies::NotRequired,
        required_gates: Vec::new(),
        evidence: Vec::new(),
        own_evidence: OwnEvidence::NotAsked,
    };
    let now = "2026-11-24T10:00:00Z".parse().unwrap();
    let mut migration = migration();
    if started {
        let started_at = serde_json::from_value(json!("2026-11-24T09:00:00Z")).unwrap();
        migration.status =
            Some(SchemaMigrationStatus { started_at: Some(started_at), ..SchemaMigrationStatus::default() });
        migration.status =
            Some(project(&migration, &observed, &Decision::new(Verdict::Working(Phase::CleanUp, "begun".into())), now));
    }
    migration.status = Some(project(&migration, &observed, &Decision::new(verdict), now));
    migration
}

/// What the engine says of these objects.
fn judged(objects: &[SchemaMigration]) -> Vec<Value> {
    let input = json!({"kind": KIND, "health": script("health.lua"), "actions": actions(), "objects": objects});
    let told = with_input("argo-lua", &[], &input.to_string()).unwrap_or_else(|error| panic!("{error}"));
    let outputs: Vec<Value> = serde_json::from_str(&told).unwrap();
    assert_eq!(outputs.len(), objects.len());
    outputs
}

/// The actions that are offered and not disabled.
fn enabled(output: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = output["actions"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|action| action["disabled"] != true)
        .map(|action| action["name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    names
}

/// What a wait for this reason is to Argo CD: one for a person or for an hour is no work.
fn expected(reason: Reason) -> &'static str {
    match reason {
        Reason::ApprovalPending
        | Reason::ApprovalForAnotherPlan
        | Reason::MoreRowsThanApproved
        | Reason::ApprovalPolicyMissing
        | Reason::EvidencePending
        | Reason::EvidenceRefused
        | Reason::OutsideWindow
        | Reason::Suspended => "Suspended",
        _ => "Progressing",
    }
}

#[test]
#[ignore = "needs argo-lua: make test-gitops"]
fn every_phase_and_every_reason_to_wait_has_its_health() {
    let mut cases: Vec<(String, SchemaMigration, &str)> = vec![("unseen".to_owned(), migration(), "Progressing")];
    let working = Phase::ALL.iter().copied().filter(|phase| !phase.is_end());
    for phase in working {
        let started =
            ![Phase::Preflight, Phase::Plan, Phase::BackUp, Phase::Rehearse, Phase::Validate].contains(&phase);
        let verdict = Verdict::Working(phase, "what is done".to_owned());
        cases.push((format!("works in {phase}"), after(verdict, started), "Progressing"));
        for reason in Reason::ALL {
            let verdict = Verdict::Waiting(phase, *reason, "what is waited for".to_owned());
            cases.push((format!("{reason} in {phase}"), after(verdict, started), expected(*reason)));
        }
    }
    // The operator makes another backup by itself, where it makes them at all.
    let too_old = Verdict::Waiting(Phase::BackUp, Reason::BackupTooOld, "what is waited for".to_owned());
    let mut elsewhere = after(too_old, false);
    elsewhere.spec.backup.backup_type = BackupType::External;
    cases.push(("another backup is asked for".to_owned(), elsewhere, "Suspended"));
    let text = || "the end".to_owned();
    let held = End::Held { phase: Phase::Test, reason: Reason::TestsFailed, failure: text(), message: text() };
    for (end, health) in [
        (End::Complete(text()), "Healthy"),
        (End::PlanOnly(text()), "Healthy"),
        (End::RolledBack(text()), "Degraded"),
        (End::Failed(Phase::Plan, Reason::InvalidSpec, text()), "Degraded"),
        (End::Failed(Phase::RollBack, Reason::RollbackFailed, text()), "Degraded"),
        (End::Failed(Phase::CleanUp, Reason::ApprovalDenied, text()), "Degraded"),
        (held, "Degraded"),
    ] {
        cases.push((format!("{end:?}"), after(Verdict::Ended(end), true), health));
    }
    assert!(cases.len() > 600, "{}", cases.len());
    let objects: Vec<SchemaMigration> = cases.iter().map(|(_, object, _)| object.clone()).collect();
    let outputs = judged(&objects);
    let wrong: Vec<String> = cases
        .iter()
        .zip(&outputs)
        .filter(|((_, _, health), output)| {
            output["status"] != *health || output["message"].as_str().is_none_or(str::is_empty)
        })
        .map(|((name, ..), output)| format!("{name}: {} ({})", output["status"], output["message"]))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    // A spec that was changed is not judged by what is said of the one before.
    let mut changed = objects;
    changed.iter_mut().for_each(|object| object.metadata.generation = Some(4));
    assert!(judged(&changed).iter().all(|output| output["status"] == "Progressing"));
}

#[test]
#[ignore = "needs argo-lua: make test-gitops"]
fn actions_are_offered_where_the_operator_takes_them() {
    let text = || "text".to_owned();
    let working = |phase| Verdict::Working(phase, text());
    let back = Verdict::RollBack(Phase::Test, Reason::TestsFailed, text());
    let held = End::Held { phase: Phase::Test, reason: Reason::TestsFailed, failure: text(), message: text() };
    let cases: [(&str, Verdict, bool, &[&str]); 9] = [
        ("before the first change", working(Phase::Validate), false, &["abort", "retry", "suspend"]),
        ("after it", working(Phase::AddForeignKeys), true, &["abort", "retry", "rollback", "suspend"]),
        ("on the way back", back, true, &["retry", "suspend"]),
        ("complete", Verdict::Ended(End::Complete(text())), true, &[]),
        ("planned", Verdict::Ended(End::PlanOnly(text())), false, &[]),
        ("taken back", Verdict::Ended(End::RolledBack(text())), true, &["retry"]),
        ("held", Verdict::Ended(held), true, &["retry", "rollback"]),
        (
            "not taken back",
            Verdict::Ended(End::Failed(Phase::RollBack, Reason::RollbackFailed, text())),
            true,
            &["retry", "rollback"],
        ),
        ("denied", Verdict::Ended(End::Failed(Phase::CleanUp, Reason::ApprovalDenied, text())), false, &[]),
    ];
    let objects: Vec<SchemaMigration> =
        cases.iter().map(|(_, verdict, started, _)| after(verdict.clone(), *started)).collect();
    for ((name, .., offered), output) in cases.iter().zip(judged(&objects)) {
        assert_eq!(enabled(&output), *offered, "{name}");
    }
    let mut suspended = after(Verdict::Waiting(Phase::Test, Reason::Suspended, text()), true);
    suspended.spec.suspend = true;
    assert_eq!(enabled(&judged(&[suspended])[0]), ["abort", "resume", "retry", "rollback"]);
}

#[test]
#[ignore = "needs argo-lua: make test-gitops"]
fn each_action_changes_its_field_and_nothing_else() {
    let object = after(Verdict::Working(Phase::Test, "text".to_owned()), true);
    let before = serde_json::to_value(&object).unwrap();
    let output = judged(&[object]).remove(0);
    let mut seen = Vec::new();
    for action in output["actions"].as_array().unwrap() {
        let name = action["name"].as_str().unwrap();
        let mut result = action["result"].clone();
        match name {
            "suspend" | "resume" => assert_eq!(result["spec"]["suspend"], json!(name == "suspend")),
            _ => {
                let key = format!("holdfast.dev/{name}-at");
                let token =
                    result["metadata"]["annotations"][&key].as_str().unwrap_or_else(|| panic!("{name}: {result}"));
                assert!(token.parse::<jiff::Timestamp>().is_ok(), "{name}: {token}");
                assert!(holdfast::api::steering::annotations::ALL.contains(&key.as_str()), "{key}");
                result["metadata"].as_object_mut().unwrap().remove("annotations");
            }
        }
        result["spec"].as_object_mut().unwrap().remove("suspend");
        let mut rest = before.clone();
        rest["spec"].as_object_mut().unwrap().remove("suspend");
        without_empty(&mut rest);
        without_empty(&mut result);
        assert_eq!(result, rest, "{name}");
        seen.push(name);
    }
    seen.sort_unstable();
    let mut all = ACTIONS;
    all.sort_unstable();
    assert_eq!(seen, all);
}

/// Lua knows no difference between an empty list and an empty object; Argo CD restores it by the object as it was.
fn without_empty(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(without_empty);
            map.retain(|_, each| !(each.is_null() || *each == json!({}) || *each == json!([])));
        }
        Value::Array(items) => items.iter_mut().for_each(without_empty),
        _ => {}
    }
}

#[test]
fn the_patch_of_argocds_settings_is_made_of_the_scripts() {
    let data = json!({
        "resource.customizations.health.holdfast.dev_SchemaMigration": script("health.lua"),
        "resource.customizations.actions.holdfast.dev_SchemaMigration": actions(),
    });
    let text = format!(
        "# Made from the Lua files beside it by tests/api/argocd.rs (HOLDFAST_UPDATE=1).\n{}",
        serde_yaml::to_string(&json!({"data": data})).unwrap()
    );
    let path = root().join(FOLDER).join("argocd-cm.yaml");
    if std::env::var_os("HOLDFAST_UPDATE").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap();
    assert!(stored == text, "{} is not current: run this test with HOLDFAST_UPDATE=1", path.display());
}
