//! Ready or not, alive or not: a cluster without the definitions makes the operator not ready, and does not end it.

use holdfast::api::crd;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::operator::Operator;
use crate::own_server::OwnServer;
use crate::place::Place;
use crate::server::eventually;

/// The status code and the text under a path of the operator.
async fn wait_for_answer(operator: &Operator, path: &str, code: u16, text: &str) {
    eventually(&format!("{path} to answer {code} {text:?}"), async || {
        let answer = operator.answer(path).map_err(|error| error.to_string())?;
        let right = answer.starts_with(&format!("HTTP/1.1 {code} ")) && answer.contains(text);
        if right { Ok(()) } else { Err(answer) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_definitions_the_operator_is_alive_but_not_ready_and_begins_once_they_are_there() {
    let server = OwnServer::start().await;
    let client = server.client().await;
    let mut operator = Operator::begin(server.kubeconfig(), &[]);
    wait_for_answer(&operator, "/readyz", 503, "is the chart holdfast-crds installed?").await;
    wait_for_answer(&operator, "/livez", 200, "ok").await;
    let process = operator.process();
    // It looks again and again, and goes on living.
    eventually("it to have looked twice", async || {
        let times = operator.told().matches("is the chart holdfast-crds installed?").count();
        if times >= 2 { Ok(()) } else { Err(format!("{times} times")) }
    })
    .await;
    assert!(operator.is_running(), "it ended: {}", operator.told());

    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in crd::definitions().unwrap() {
        definitions.create(&PostParams::default(), &definition).await.unwrap();
    }
    wait_for_answer(&operator, "/readyz", 200, "ok").await;
    let place = Place::on(client, "holdfast-health").await;
    let mut spec = place.specification("holdfast_health");
    spec["acknowledge"] = json!([{"hazard": "Triggers", "table": "ends with a space "}]);
    place.create("refused", &spec).await;
    place.wait_for_end("refused", "InvalidSpec").await;

    // Taken away again under a running operator: it neither ends nor forgets to work once they are back.
    for definition in crd::definitions().unwrap() {
        definitions.delete(&definition.name_any(), &DeleteParams::default()).await.unwrap();
    }
    eventually("the definitions to be gone", async || {
        let left = definitions.list(&Default::default()).await.unwrap().items.len();
        if left == 0 { Ok(()) } else { Err(format!("{left} left")) }
    })
    .await;
    for definition in crd::definitions().unwrap() {
        definitions.create(&PostParams::default(), &definition).await.unwrap();
    }
    eventually("the definitions to be served again", async || {
        place.migrations().list(&Default::default()).await.map(|_| ()).map_err(|error| error.to_string())
    })
    .await;
    place.create("refused-again", &spec).await;
    place.wait_for_end("refused-again", "InvalidSpec").await;
    assert_eq!(operator.process(), process);
    assert!(operator.stop().await.success());
    server.stop().await;
}
