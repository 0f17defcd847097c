//! From a commit to production: evidence and approvals are commits, too, and nothing is changed before the one that opens its gate.

use serde_json::json;

use crate::argocd::application::{operation, resource, result};
use crate::argocd::shop::{ARGO_CD, MIGRATION, Shop};
use crate::operator::Operator;
use crate::place::condition;
use crate::promotion::{plugin, said};

/// Done, as far as Argo CD is concerned.
pub(crate) const DONE: (&str, &str, &str) = ("Healthy", "Synced", "Succeeded");
/// Applied, and waiting for a person, evidence or an hour.
pub(crate) const WAITS: (&str, &str, &str) = ("Suspended", "Synced", "Succeeded");

/// Takes the evidence of an environment, as a pipeline does.
fn export(shop: &Shop, from: &str, to: &str) {
    let file = shop.repository.path(&format!("overlays/{to}/evidence/{from}.json"));
    let exported =
        plugin(&["evidence", "export", MIGRATION, "--namespace", &shop.place(from).namespace, "--output", &file]);
    assert!(exported.status.success(), "{}", said(&exported));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Argo CD: make test-gitops"]
async fn a_commit_comes_to_production_on_evidence_and_approvals_that_are_committed() {
    let shop = Shop::new("promotion", &["dev", "staging", "production"]).await;
    let operator = Operator::start(&shop.namespaces()).await;
    let gates = [json!({"phase": "CleanUp"}), json!({"phase": "Complete"})];
    let asked: Vec<_> = gates.iter().map(|before| json!({"before": before, "approval": "Required"})).collect();
    shop.configure("production", json!({"gates": asked}));
    let first = shop.repository.commit("Add keys to the shop");
    shop.create_applications(|_| ()).await;
    let [dev, staging, production, approvals] =
        ["dev", "staging", "production", "production-approvals"].map(|name| shop.application(name));

    // One commit for all: dev completes, the others have it and wait for evidence.
    dev.stands_at(&first, DONE).await;
    for (name, application) in [("staging", &staging), ("production", &production)] {
        let seen = application.stands_at(&first, WAITS).await;
        let health = &resource(&seen, "SchemaMigration")["health"];
        assert!(health["message"].as_str().unwrap().contains("evidence"), "{name}: {health}");
    }
    assert_eq!(
        (&*shop.keys("dev").await, &*shop.keys("staging").await, &*shop.keys("production").await),
        ("2", "0", "0")
    );

    // Dev's evidence opens staging, and staging's lets production ask for its approval.
    export(&shop, "dev", "staging");
    let second = shop.repository.commit("Show staging what dev completed");
    staging.stands_at(&second, DONE).await;
    production.stands_at(&second, WAITS).await;
    assert_eq!((&*shop.keys("staging").await, &*shop.keys("production").await), ("2", "0"));
    export(&shop, "staging", "production");
    let third = shop.repository.commit("Show production what staging completed");
    production.stands_at(&third, WAITS).await;

    // An approval in a person's name is not Argo CD's to make; one in its own is.
    let mut approval = shop.approval("production", gates[0].clone(), "alice@example.com").await;
    let file = |number: usize| format!("approvals/production/{MIGRATION}-{number}.yaml");
    shop.repository.write(&file(0), &serde_yaml::to_string(&approval).unwrap());
    let refused = shop.repository.commit("Approve the cleanup");
    approvals.sees(&refused).await;
    let seen = approvals.wait("refused", |seen| seen["status"]["operationState"]["phase"] == "Failed").await;
    let message = result(&seen, "MigrationApproval")["message"].clone();
    assert!(
        message.to_string().contains(&format!("the API server knows you as {ARGO_CD}")),
        "{message}: {}",
        operation(&seen)
    );
    assert_eq!(shop.keys("production").await, "0");
    approval["spec"]["approvedBy"] = json!(ARGO_CD);
    shop.repository.write(&file(0), &serde_yaml::to_string(&approval).unwrap());
    let approved = shop.repository.commit("Approve the cleanup as who applies it");
    approvals.stands_at(&approved, DONE).await;

    // It goes on to its second gate, with all keys in place.
    let second = shop.approval("production", gates[1].clone(), ARGO_CD).await;
    assert_eq!(shop.keys("production").await, "2");
    production.stands_at(&approved, WAITS).await;
    shop.repository.write(&file(1), &serde_yaml::to_string(&second).unwrap());
    let last = shop.repository.commit("Approve the end");
    approvals.stands_at(&last, DONE).await;
    production.stands_at(&last, DONE).await;
    let done = shop.place("production").read(MIGRATION).await;
    assert_eq!(condition(&done, "Ready")["reason"], "Complete");
    assert_eq!(done["status"]["gates"][0]["approval"]["approvedBy"], ARGO_CD);
    assert!(operator.stop().await.success());
}
