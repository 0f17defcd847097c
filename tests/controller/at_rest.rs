//! What is over or waits for a person costs the API server no write, however often it is looked at.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use holdfast::api::SchemaMigration;
use holdfast::controller::context::{Context, Flags};
use holdfast::controller::reconcile::reconcile;
use holdfast::controller::tasks::Tasks;
use holdfast::controller::watched::Watched;
use k8s_openapi::api::core::v1::{ConfigMap, Event};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::node::Node;
use crate::operator::Operator;
use crate::place::Place;
use crate::server::eventually;

/// Passes over each object: some go on only with the next.
const PASSES: usize = 3;

/// The version of everything that the operator may write.
async fn versions(place: &Place) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let parameters = ListParams::default();
    let migrations: Api<SchemaMigration> = Api::namespaced(place.client.clone(), &place.namespace);
    let maps: Api<ConfigMap> = Api::namespaced(place.client.clone(), &place.namespace);
    let events: Api<Event> = Api::namespaced(place.client.clone(), &place.namespace);
    let mut add =
        |kind: &str, name: String, version: Option<String>| found.insert(format!("{kind}/{name}"), version.unwrap());
    for each in migrations.list(&parameters).await.unwrap() {
        add("schemamigration", each.name_any(), each.resource_version());
    }
    for each in maps.list(&parameters).await.unwrap() {
        add("configmap", each.name_any(), each.resource_version());
    }
    for each in events.list(&parameters).await.unwrap() {
        add("event", each.name_any(), each.resource_version());
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_over_what_is_at_rest_write_nothing() {
    let place = Place::new().await;
    let _node = Node::start(&place.client, &place.namespace);
    let operator = Operator::start(&[&place.namespace]).await;
    let create = async |name: &str, field: &str, value| {
        let schema = format!("holdfast_rest_{name}");
        place.schema(&schema).await;
        let mut spec = place.specification(&schema);
        spec[field] = value;
        place.create(name, &spec).await;
    };
    let gate = |phase: &str| json!([{"before": {"phase": phase}, "approval": "Required"}]);
    create("complete", "gates", json!([])).await;
    create("planned", "mode", json!("Plan")).await;
    create("refused", "acknowledge", json!([{"hazard": "Triggers", "table": "ends with a space "}])).await;
    create("suspended", "suspend", json!(true)).await;
    create("gated", "gates", gate("BackUp")).await;
    let evidence = json!({"configMapRef": {"name": "evidence", "key": "dev.json"}});
    let key = json!({"name": "holdfast-evidence-dev", "key": "public.pem"});
    let required = json!({"environment": "dev", "publicKeySecretRef": key, "evidence": evidence});
    create("promoted", "promotion", json!({"environment": "staging", "requires": [required]})).await;
    place.wait_for_end("complete", "Complete").await;
    place.wait_for_end("planned", "PlanOnly").await;
    place.wait_for_end("refused", "InvalidSpec").await;
    place.wait_for_reason("suspended", "Suspended").await;
    place.wait_for_reason("gated", "ApprovalPending").await;
    place.wait_for_reason("promoted", "EvidencePending").await;
    eventually("the complete one to give its finalizer back", async || {
        let left = place.read("complete").await["metadata"]["finalizers"].clone();
        if left.is_null() { Ok(()) } else { Err(left.to_string()) }
    })
    .await;
    assert!(operator.metric("holdfast_pass_duration_seconds_count").unwrap() > 5.0, "each had a pass at least");
    assert!(operator.stop().await.success());

    let before = versions(&place).await;
    let (tasks, _woken) = Tasks::new(Arc::default());
    let context =
        Arc::new(Context::new(place.client.clone(), flags(), tasks, Arc::new(AtomicBool::new(true)), Arc::default()));
    for name in ["complete", "planned", "refused", "suspended", "gated", "promoted"] {
        let seen = serde_json::from_value::<Watched>(place.read(name).await).unwrap();
        for _ in 0..PASSES {
            reconcile(Arc::new(seen.clone()), context.clone()).await.unwrap();
        }
    }
    assert_eq!(versions(&place).await, before);
}

fn flags() -> Flags {
    Flags {
        watch_namespaces: Vec::new(),
        operator_image: "holdfast.test/operator:dev".to_owned(),
        required_gates: Vec::new(),
        allow_without_policies: true,
        health_address: ([127, 0, 0, 1], 0).into(),
        metrics_address: ([127, 0, 0, 1], 0).into(),
        log_level: "info".parse().unwrap(),
        lease_namespace: "default".to_owned(),
        lease_name: "unused".to_owned(),
        identity: "at-rest".to_owned(),
        concurrency: 1,
    }
}
