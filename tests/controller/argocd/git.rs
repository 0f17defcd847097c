//! What Git takes back: the content of a migration that has begun. The API server refuses it, and the schema keeps what was added.

use serde_json::json;

use crate::argocd::application::conditions;
use crate::argocd::promotion::WAITS;
use crate::argocd::shop::{MIGRATION, Shop};
use crate::operator::Operator;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Argo CD: make test-gitops"]
async fn a_revert_in_git_of_what_has_begun_is_refused_and_takes_no_key_away() {
    let shop = Shop::new("git", &["dev"]).await;
    let operator = Operator::start(&shop.namespaces()).await;
    let (dev, place, repository) = (shop.application("dev"), shop.place("dev"), &shop.repository);
    let gates = json!([{"before": {"stage": "notes"}, "approval": "Required"}]);
    shop.configure("dev", json!({"gates": gates, "promotion": {"environment": "dev", "signingKeySecretRef": null}}));
    let whole = std::fs::read_to_string(repository.path("base/migration.yaml")).unwrap();
    repository.write("base/migration.yaml", &whole.replacen("onDelete: Cascade", "onDelete: Restrict", 1));
    repository.commit("Add keys");
    repository.write("base/migration.yaml", &whole);
    let cascading = repository.commit("Let bookmarks go with their user");
    shop.create_applications(|_| ()).await;
    dev.stands_at(&cascading, WAITS).await;
    place.wait_for_gate(MIGRATION, &json!({"stage": "notes"})).await;
    assert_eq!(shop.keys("dev").await, "1");

    // The revert of content that has begun is refused by the API server, by name, and changes nothing.
    let reverted = repository.revert();
    dev.sees(&reverted).await;
    let refusal = "spec.stages cannot change once the migration has made its first change";
    dev.wait("refused", |seen| conditions(seen).contains(refusal)).await;
    assert_eq!(shop.keys("dev").await, "1");
    let again = repository.revert();
    dev.stands_at(&again, WAITS).await;
    assert!(operator.stop().await.success());
}
