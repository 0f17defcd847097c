//! Jobs that have succeeded go after a time, and those that failed stay; one that is gone is neither made again nor missed.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::Job;
use kube::api::DeleteParams;
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::node::Node;
use crate::operator::Operator;
use crate::place::{Place, condition};
use crate::server::eventually;

/// The time after which each Job goes, by the part of its name that tells its purpose.
async fn kept(place: &Place) -> BTreeMap<&'static str, Option<i32>> {
    let jobs: Api<Job> = Api::namespaced(place.client.clone(), &place.namespace);
    let purpose = |job: &Job| {
        let name = job.name_any();
        ["backup", "schema-update", "test"].into_iter().find(|part| name.contains(&format!("-{part}-"))).unwrap()
    };
    let all = jobs.list(&Default::default()).await.unwrap();
    all.iter().map(|job| (purpose(job), job.spec.as_ref().unwrap().ttl_seconds_after_finished)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_has_succeeded_goes_and_is_not_missed() {
    let schema = "holdfast_job_expiry";
    let place = Place::new().await;
    place.schema(schema).await;
    for name in ["update", "app"] {
        place.pod_template(name, None).await;
    }
    let _node = Node::start(&place.client, &place.namespace);
    let operator = Operator::start(&[&place.namespace]).await;
    let mut spec = place.specification(schema);
    spec["schemaUpdate"] = json!({"podTemplateRef": {"name": "update"}});
    spec["tests"] = json!({"probes": "None", "jobs": [{"name": "app", "podTemplateRef": {"name": "app"}}]});
    spec["gates"] = json!([{"before": {"phase": "Complete"}, "approval": "Required"}]);
    place.create("expiry", &spec).await;
    place.wait_for_gate("expiry", &json!({"phase": "Complete"})).await;
    let wanted = BTreeMap::from([("backup", None), ("schema-update", Some(3600)), ("test", Some(3600))]);
    eventually("the Jobs' ends to be set", async || {
        let found = kept(&place).await;
        if found == wanted { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;

    // As the cluster's controller does when the time is over.
    let jobs: Api<Job> = Api::namespaced(place.client.clone(), &place.namespace);
    for job in jobs.list(&Default::default()).await.unwrap() {
        if job.spec.as_ref().unwrap().ttl_seconds_after_finished.is_some() {
            jobs.delete(&job.name_any(), &DeleteParams::background()).await.unwrap();
        }
    }
    place.decide("expiry", json!({"phase": "Complete"}), "Approve").await;
    let end = place.wait_for_end("expiry", "Complete").await;
    assert_eq!(kept(&place).await, BTreeMap::from([("backup", None)]), "none was made again");
    let recorded = end["status"]["jobs"].as_array().unwrap();
    assert!(recorded.len() == 3 && recorded.iter().all(|job| job["state"] == "Succeeded"), "{recorded:?}");
    assert_eq!(condition(&end, "Tested")["status"], "True");
    assert!(operator.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_has_failed_stays() {
    let schema = "holdfast_job_stays";
    let place = Place::new().await;
    place.schema(schema).await;
    place.pod_template("app", Some("the application does not start")).await;
    let _node = Node::start(&place.client, &place.namespace);
    let operator = Operator::start(&[&place.namespace]).await;
    let mut spec = place.specification(schema);
    spec["tests"] = json!({"probes": "None", "jobs": [{"name": "app", "podTemplateRef": {"name": "app"}}]});
    place.create("stays", &spec).await;
    place.wait_for_end("stays", "RollbackSucceeded").await;
    assert_eq!(kept(&place).await, BTreeMap::from([("backup", None), ("test", None)]));
    assert!(operator.stop().await.success());
}
