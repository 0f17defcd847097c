//! Gates and the chart's admission policies on a real API server: where the policies were uninstalled, nobody checks in whose name an
//! approval is created, so no approval counts until they are back.

use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, ResourceExt as _};
use serde::Deserialize as _;
use serde_json::json;

use crate::node::Node;
use crate::operator::Operator;
use crate::own_server::OwnServer;
use crate::place::{Place, condition};
use crate::server::{eventually, helm, root};

const NEEDED: [&str; 3] = ["holdfast-approved-by", "holdfast-authors", "holdfast-steering"];

async fn install(client: &Client) {
    let chart = root().join("charts/holdfast");
    let mut arguments = vec!["template", "holdfast", chart.to_str().unwrap()];
    let templates = ["approved-by", "authors", "steering"].map(|name| format!("templates/admission-{name}.yaml"));
    for template in &templates {
        arguments.extend(["--show-only", template]);
    }
    for document in serde_yaml::Deserializer::from_str(&helm(&arguments)) {
        let object = DynamicObject::deserialize(document).unwrap();
        let types = object.types.clone().unwrap();
        let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", &types.kind);
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::from_gvk(&kind));
        api.patch(&object.name_any(), &PatchParams::apply("tests").force(), &Patch::Apply(&object)).await.unwrap();
    }
}

/// An approval in a name.
async fn approve(place: &Place, digest: &str, by: &str, dry_run: bool) -> kube::Result<DynamicObject> {
    let approval = json!({
        "apiVersion": "holdfast.dev/v1alpha1", "kind": "MigrationApproval", "metadata": {"generateName": "guarded-"},
        "spec": {"migrationRef": {"name": "guarded"}, "before": {"phase": "CleanUp"}, "decision": "Approve",
            "planDigest": digest, "maxRows": 1000, "approvedBy": by, "reason": "test"},
    });
    let parameters = PostParams { dry_run, ..PostParams::default() };
    place.objects("MigrationApproval").create(&parameters, &serde_json::from_value(approval).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_gate_opens_while_the_policies_are_uninstalled() {
    let server = OwnServer::start().await;
    let client = server.client().await;
    server.put_definitions().await;
    install(&client).await;
    let schema = "holdfast_policies";
    let place = Place::on(client.clone(), "guarded").await;
    place.schema(schema).await;
    let _node = Node::start(&client, &place.namespace);
    let operator = Operator::start_guarded(server.kubeconfig(), &[&place.namespace]).await;
    let mut spec = place.specification(schema);
    spec["gates"] = json!([{"before": {"phase": "CleanUp"}, "approval": "Required"}]);
    place.create("guarded", &spec).await;
    let waiting = place.wait_for_reason("guarded", "ApprovalPending").await;
    let digest = waiting["status"]["plan"]["digest"].as_str().unwrap().to_owned();
    eventually("an approval in another's name to be refused", async || {
        match approve(&place, &digest, "somebody-else", true).await {
            Err(error) if error.to_string().contains("approved-by") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;

    let policies: Api<ValidatingAdmissionPolicy> = Api::all(client.clone());
    for name in NEEDED {
        policies.delete(name, &DeleteParams::default()).await.unwrap();
    }
    eventually("an approval in another's name to be taken", async || {
        approve(&place, &digest, "somebody-else", false).await.map(|_| ()).map_err(|error| error.to_string())
    })
    .await;
    let closed = place.wait_for_reason("guarded", "ApprovalPolicyMissing").await;
    let told = condition(&closed, "Ready")["message"].as_str().unwrap().to_owned();
    for part in NEEDED.iter().chain(&["install the chart's admission policies", "--allow-without-policies"]) {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(closed["status"]["gates"][0]["state"], "Closed");
    // It is looked at again and again meanwhile, and the approval is there.
    for look in ["1", "2", "3"] {
        let passes = || operator.metric("holdfast_pass_duration_seconds_count").unwrap();
        let before = passes();
        place.patch("guarded", json!({"metadata": {"annotations": {"test/look": look}}})).await;
        let more = async || if passes() > before { Ok(()) } else { Err(format!("{before} passes")) };
        eventually("the operator to look again", more).await;
    }
    let still = place.read("guarded").await;
    assert_eq!(condition(&still, "Ready")["reason"], "ApprovalPolicyMissing");
    assert!(still["status"]["startedAt"].is_null() && place.keys(schema).await == "0");

    install(&client).await;
    let installed = jiff::Timestamp::now().as_second();
    place.patch("guarded", json!({"metadata": {"annotations": {"test/look": "4"}}})).await;
    // The approval is still there, and from a time in which anybody could have given it.
    let waiting = place.wait_for_reason("guarded", "ApprovalPending").await;
    let told = condition(&waiting, "Ready")["message"].as_str().unwrap().to_owned();
    assert!(told.contains("does not count") && told.contains("before the admission policies"), "{told}");
    eventually("an approval in another's name to be refused again", async || {
        match approve(&place, &digest, "somebody-else", true).await {
            Err(error) if error.to_string().contains("approved-by") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    // One of the very second in which they were installed would not count.
    eventually("the next second", async || {
        if jiff::Timestamp::now().as_second() > installed { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    let review = k8s_openapi::api::authentication::v1::SelfSubjectReview::default();
    let reviews: Api<k8s_openapi::api::authentication::v1::SelfSubjectReview> = Api::all(client.clone());
    let own = reviews.create(&PostParams::default(), &review).await.unwrap().status.unwrap().user_info.unwrap();
    approve(&place, &digest, &own.username.unwrap(), false).await.unwrap();
    place.wait_for_end("guarded", "Complete").await;
    assert!(operator.stop().await.success());
    server.stop().await;
}
