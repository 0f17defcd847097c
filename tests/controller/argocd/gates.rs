//! What is said of a running migration in Git, by hand and by Argo CD's actions: which of them holds, and that none of it undoes a schema change.

use serde_json::{Value, json};

use crate::argocd::application::resource;
use crate::argocd::promotion::{DONE, WAITS};
use crate::argocd::shop::{ARGO_CD, MIGRATION, Shop, with_input};
use crate::operator::Operator;
use crate::place::{Place, condition};
use crate::server::root;

/// Has Argo CD's Lua engine run an action on the migration as it is, and changes it as Argo CD's API server then does.
async fn act(place: &Place, action: &str) {
    let live = place.read(MIGRATION).await;
    let settings = std::fs::read_to_string(root().join("deploy/gitops/argocd/argocd-cm.yaml")).unwrap();
    let settings: Value = serde_yaml::from_str(&settings).unwrap();
    let of =
        |what: &str| settings["data"][format!("resource.customizations.{what}.holdfast.dev_SchemaMigration")].clone();
    let input = json!({"kind": "holdfast.dev/SchemaMigration", "health": of("health"), "actions": of("actions"), "objects": [live]});
    let told = with_input("argo-lua", &[], &input.to_string());
    let judged: Value = serde_json::from_str(&told).unwrap();
    let offered = judged[0]["actions"].as_array().unwrap();
    let found = offered.iter().find(|each| each["name"] == action).unwrap();
    assert_ne!(found["disabled"], true, "{action} is not offered: {offered:?}");
    place.patch(MIGRATION, json!({"spec": {"suspend": found["result"]["spec"]["suspend"]}})).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Argo CD: make test-gitops"]
async fn suspension_and_gates_are_what_git_says_and_take_no_key_away() {
    let shop = Shop::new("gates", &["dev"]).await;
    // Nobody signs here.
    let operator = Operator::start(&shop.namespaces()).await;
    let (dev, place) = (shop.application("dev"), shop.place("dev"));
    let gates = json!([
        {"before": {"phase": "CleanUp"}, "approval": "Required"},
        {"before": {"stage": "notes"}, "approval": "Required"},
    ]);
    let unsigned = json!({"environment": "dev", "signingKeySecretRef": null});
    shop.configure("dev", json!({"gates": gates, "suspend": true, "promotion": unsigned}));
    let first = shop.repository.commit("Add keys, and hold them");
    shop.create_applications(|_| ()).await;
    let seen = dev.stands_at(&first, WAITS).await;
    assert!(resource(&seen, "SchemaMigration")["health"]["message"].to_string().contains("suspend"), "{seen}");

    // Somebody takes the gates away by hand while it is suspended: self-heal puts them back before anything passes.
    let changed = place.read(MIGRATION).await["metadata"]["generation"].as_i64().unwrap();
    place.patch(MIGRATION, json!({"spec": {"gates": []}})).await;
    let healed = place
        .wait(MIGRATION, "given its gates back", |object| {
            object["spec"]["gates"].as_array().is_some_and(|all| all.len() == 2)
                && object["metadata"]["generation"].as_i64().unwrap() >= changed + 2
        })
        .await;
    assert!(healed["status"]["startedAt"].is_null());
    dev.stands(WAITS).await;
    assert_eq!(shop.keys("dev").await, "0");

    // Git lets it go on, and says nothing of suspension any more: then the actions decide, and self-heal leaves them.
    shop.configure("dev", json!({"gates": gates, "promotion": unsigned}));
    let second = shop.repository.commit("Let it go on");
    dev.stands_at(&second, WAITS).await;
    place.wait_for_gate(MIGRATION, &json!({"phase": "CleanUp"})).await;
    act(place, "suspend").await;
    place.wait_for_reason(MIGRATION, "Suspended").await;
    dev.sees(&second).await;
    dev.stands(WAITS).await;
    assert_eq!(place.read(MIGRATION).await["spec"]["suspend"], true);
    act(place, "resume").await;

    // With one key of two in place: suspended by a commit, and let go by its revert.
    place.decide(MIGRATION, json!({"phase": "CleanUp"}), "Approve").await;
    place.wait_for_gate(MIGRATION, &json!({"stage": "notes"})).await;
    assert_eq!(shop.keys("dev").await, "1");
    shop.configure("dev", json!({"gates": gates, "suspend": true, "promotion": unsigned}));
    let third = shop.repository.commit("Hold it in the middle");
    dev.stands_at(&third, WAITS).await;
    place.wait_for_reason(MIGRATION, "Suspended").await;
    assert_eq!(shop.keys("dev").await, "1");
    let fourth = shop.repository.revert();
    dev.stands_at(&fourth, WAITS).await;
    place.wait_for_gate(MIGRATION, &json!({"stage": "notes"})).await;
    assert_eq!(shop.keys("dev").await, "1");
    let approval = shop.approval("dev", json!({"stage": "notes"}), ARGO_CD).await;
    shop.add("dev", "approval", &approval);
    // Nothing comes after the migration here, so the sync that applied it is over, and this one is not kept waiting.
    let fifth = shop.repository.commit("Approve the rest beside the migration");
    dev.stands_at(&fifth, DONE).await;
    assert_eq!(condition(&place.read(MIGRATION).await, "Ready")["reason"], "Complete");
    assert_eq!(shop.keys("dev").await, "2");
    assert!(operator.stop().await.success());
}
