//! What leaves Git: the migration's object goes, and neither its keys nor its journal do; what comes back goes on from there.

use serde_json::json;

use crate::argocd::promotion::{DONE, WAITS};
use crate::argocd::shop::{MIGRATION, Shop};
use crate::operator::Operator;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Argo CD: make test-gitops"]
async fn a_migration_that_is_pruned_in_the_middle_keeps_its_keys_and_one_that_comes_back_finishes_it() {
    let shop = Shop::new("pruned", &["dev"]).await;
    let operator = Operator::start(&shop.namespaces()).await;
    let (dev, place, repository) = (shop.application("dev"), shop.place("dev"), &shop.repository);
    let notes = json!({"stage": "notes"});
    let gates = json!([{"before": notes, "approval": "Required"}]);
    shop.configure("dev", json!({"gates": gates, "promotion": {"environment": "dev", "signingKeySecretRef": null}}));
    let first = repository.commit("Add keys");
    shop.create_applications(|application| {
        let options = application["spec"]["syncPolicy"]["syncOptions"].as_array_mut().unwrap();
        // Nothing here deletes in the foreground: that is a garbage collector's, and only an API server runs.
        options.push("PrunePropagationPolicy=background".into());
    })
    .await;
    dev.stands_at(&first, WAITS).await;
    let begun = place.wait_for_gate(MIGRATION, &notes).await;
    assert_eq!(shop.keys("dev").await, "1");

    // The templates of its Jobs stay: Argo CD does not prune the last object of an Application by itself.
    repository.edit("base/kustomization.yaml", "migration.yaml, ", "");
    repository.edit(
        "overlays/dev/kustomization.yaml",
        "patches: [{path: environment.yaml}, {path: server.yaml}]",
        "patches: []",
    );
    let without = repository.commit("Take the keys out of this repository");
    dev.stands_at(&without, DONE).await;
    let migrations = place.objects("SchemaMigration");
    assert!(migrations.get_opt(MIGRATION).await.unwrap().is_none(), "it was not pruned");
    assert_eq!(shop.keys("dev").await, "1");

    let again = repository.revert();
    dev.stands_at(&again, WAITS).await;
    let adopted = place.wait_for_gate(MIGRATION, &notes).await;
    assert_ne!(adopted["metadata"]["uid"], begun["metadata"]["uid"]);
    assert_eq!(adopted["status"]["plan"]["digest"], begun["status"]["plan"]["digest"], "it was planned anew");
    assert_eq!(shop.keys("dev").await, "1");
    place.decide(MIGRATION, notes, "Approve").await;
    place.wait_for_end(MIGRATION, "Complete").await;
    dev.stands_at(&again, DONE).await;
    assert_eq!(shop.keys("dev").await, "2");

    // Over and proven, it leaves as quietly.
    let gone = repository.revert();
    dev.stands_at(&gone, DONE).await;
    assert!(migrations.get_opt(MIGRATION).await.unwrap().is_none(), "it was not pruned");
    assert_eq!(shop.keys("dev").await, "2");
    assert!(operator.stop().await.success());
}
