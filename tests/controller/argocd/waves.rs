//! What a sync waits for, and how a commit gets past one that waits.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::argocd::application::{operation, synced_to};
use crate::argocd::promotion::DONE;
use crate::argocd::shop::{ARGO_CD, MIGRATION, Shop};
use crate::operator::Operator;

/// Something that is applied after the migration.
fn after(name: &str, how: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "annotations": {(format!("argocd.argoproj.io/{how}")): value}}, "data": {"needs": "keys"}})
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Argo CD: make test-gitops"]
async fn what_comes_after_a_migration_waits_for_it_and_so_does_every_other_commit_until_the_sync_is_ended() {
    let shop = Shop::new("waves", &["dev"]).await;
    let operator = Operator::start(&shop.namespaces()).await;
    let (dev, place) = (shop.application("dev"), shop.place("dev"));
    let gates = json!([{"before": {"phase": "CleanUp"}, "approval": "Required"}]);
    shop.configure("dev", json!({"gates": gates, "promotion": {"environment": "dev", "signingKeySecretRef": null}}));
    shop.add("dev", "release", &after("release", "sync-wave", "1"));
    shop.add("dev", "announcement", &after("announcement", "hook", "PostSync"));
    let first = shop.repository.commit("Add keys, and what needs them");
    shop.create_applications(|_| ()).await;
    let running = ("Suspended", "OutOfSync", "Running");
    let seen = dev.stands_at(&first, running).await;
    assert!(
        operation(&seen).contains(&format!("waiting for healthy state of holdfast.dev/SchemaMigration/{MIGRATION}")),
        "{}",
        operation(&seen)
    );
    let maps: Api<ConfigMap> = Api::namespaced(place.client.clone(), &place.namespace);
    let there = async || {
        let mut names = Vec::new();
        for name in ["release", "announcement"] {
            if maps.get_opt(name).await.unwrap().is_some() {
                names.push(name);
            }
        }
        names
    };
    assert!(there().await.is_empty());

    // An approval that is committed beside the migration is seen, and not applied: the sync of the commit before still runs.
    let approval = shop.approval("dev", json!({"phase": "CleanUp"}), ARGO_CD).await;
    shop.add("dev", "approval", &approval);
    let second = shop.repository.commit("Approve the cleanup");
    let seen = dev.stands_at(&second, running).await;
    assert_eq!(synced_to(&seen), first);
    let approvals = async || place.objects("MigrationApproval").list(&ListParams::default()).await.unwrap().items.len();
    assert_eq!(approvals().await, 0);
    assert_eq!(shop.keys("dev").await, "0");

    // Ended, it makes room for the commit with the approval; then all of it comes, in its order.
    dev.terminate().await;
    dev.wait("syncing the approval", |seen| synced_to(seen) == second).await;
    let seen = dev.stands(DONE).await;
    assert_eq!(synced_to(&seen), second);
    assert_eq!(approvals().await, 1);
    assert_eq!(there().await, ["release", "announcement"]);
    assert_eq!(shop.keys("dev").await, "2");
    assert!(operator.stop().await.success());
}
