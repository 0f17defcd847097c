//! A migration that fails stops the promotion: Degraded, its sync failed, nothing applied after it, no evidence, and the schema as it was.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::json;

use crate::argocd::application::{operation, resource};
use crate::argocd::promotion::WAITS;
use crate::argocd::shop::{MIGRATION, Shop};
use crate::node::FAILS;
use crate::operator::Operator;
use crate::place::condition;
use crate::promotion::{plugin, said};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Argo CD: make test-gitops"]
async fn a_migration_that_fails_is_degraded_and_stops_the_promotion() {
    let shop = Shop::new("failing", &["dev", "staging"]).await;
    let operator = Operator::start(&shop.namespaces()).await;
    let (dev, staging) = (shop.application("dev"), shop.application("staging"));
    // Nobody asks staging for evidence here.
    shop.configure("staging", json!({"gates": [], "promotion": {"signingKeySecretRef": null}}));
    // The application's tests fail with the keys in place; what needs the keys comes after them.
    shop.repository.edit(
        "base/job-templates.yaml",
        "template:\n",
        &format!("template:\n  metadata: {{annotations: {{{FAILS}: the application does not start}}}}\n"),
    );
    let release = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "release", "annotations": {"argocd.argoproj.io/sync-wave": "1"}}, "data": {"needs": "keys"}});
    shop.add("dev", "release", &release);
    let broken = shop.repository.commit("Add keys with tests that fail");
    shop.create_applications(|_| ()).await;

    let seen = dev.stands_at(&broken, ("Degraded", "OutOfSync", "Failed")).await;
    assert!(
        operation(&seen).contains("one or more synchronization tasks completed unsuccessfully"),
        "{}",
        operation(&seen)
    );
    let health = &resource(&seen, "SchemaMigration")["health"];
    assert!(health["status"] == "Degraded" && health["message"].to_string().contains("app-tests"), "{health}");
    let failed = shop.place("dev").read(MIGRATION).await;
    assert_eq!(condition(&failed, "Ready")["reason"], "RollbackSucceeded");
    assert_eq!(shop.keys("dev").await, "0");
    let maps: Api<ConfigMap> = Api::namespaced(shop.place("dev").client.clone(), &shop.place("dev").namespace);
    assert!(maps.get_opt("release").await.unwrap().is_none(), "what comes after the migration was applied");
    // There is nothing to promote.
    let exported = plugin(&["evidence", "export", MIGRATION, "--namespace", &shop.place("dev").namespace]);
    assert_eq!(exported.status.code(), Some(1), "{}", said(&exported));
    staging.stands_at(&broken, WAITS).await;
    assert_eq!(shop.keys("staging").await, "0");
    assert_eq!(condition(&shop.place("staging").read(MIGRATION).await, "Ready")["reason"], "EvidencePending");
    assert!(operator.stop().await.success());
}
