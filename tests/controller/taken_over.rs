//! A resource that is deleted in the middle of a rollout leaves what is done and its journal; one of the same content goes on from there,
//! or takes it back.

use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::node::Node;
use crate::operator::Operator;
use crate::place::{Place, condition};
use crate::server::eventually;

/// What is in a schema: its definitions, and how many rows each table has.
async fn standing(place: &Place, schema: &str) -> String {
    place
        .one_text(&format!(
            "SELECT CONCAT_WS('; ', \
             (SELECT GROUP_CONCAT(table_name, ' ', constraint_name ORDER BY 1) FROM information_schema.table_constraints WHERE table_schema = '{schema}'), \
             (SELECT GROUP_CONCAT(DISTINCT table_name, ' ', index_name ORDER BY 1) FROM information_schema.statistics WHERE table_schema = '{schema}'), \
             (SELECT COUNT(*) FROM {schema}.users), (SELECT COUNT(*) FROM {schema}.bookmarks), (SELECT COUNT(*) FROM {schema}.notes))"
        ))
        .await
}

/// A migration that has its first stage done, is deleted, and is gone. Returns its last state.
async fn left_midway(place: &Place, schema: &str) -> Value {
    let mut spec = place.specification(schema);
    spec["gates"] = json!([{"before": {"stage": "notes"}, "approval": "Required"}]);
    place.create("first", &spec).await;
    let last = place.wait_for_reason("first", "ApprovalPending").await;
    place.migrations().delete("first", &DeleteParams::default()).await.unwrap();
    eventually("the deleted migration to be gone", async || {
        let there = place.migrations().get_opt("first").await.unwrap();
        there.map_or(Ok(()), |object| Err(format!("{:?}", object.metadata)))
    })
    .await;
    last
}

fn is_taken_over(object: &Value, last: &Value) {
    assert_eq!(object["status"]["plan"]["digest"], last["status"]["plan"]["digest"]);
    let planned = condition(object, "Planned")["message"].as_str().unwrap().to_owned();
    assert!(planned.contains("taken over from ") && planned.contains("/first, which is gone: "), "{planned}");
    assert!(object["status"]["startedAt"].is_string(), "what stands was changed by this migration's content");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_deleted_migration_left_is_finished_by_another_of_the_same_content() {
    let schema = "holdfast_taken_over";
    let place = Place::new().await;
    place.schema(schema).await;
    let _node = Node::start(&place.client, &place.namespace);
    let operator = Operator::start(&[&place.namespace]).await;
    let last = left_midway(&place, schema).await;
    place.create("second", &place.specification(schema)).await;
    let end = place.wait_for_end("second", "Complete").await;
    is_taken_over(&end, &last);
    assert_eq!(end["status"]["quarantine"]["orphans"], 10, "of both stages");
    let now = standing(&place, schema).await;
    assert!(now.contains("bookmarks fk_bookmarks_user") && now.contains("notes fk_notes_user"), "{now}");
    assert!(operator.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_deleted_migration_left_is_taken_back_by_another_of_the_same_content() {
    let schema = "holdfast_taken_back";
    let place = Place::new().await;
    place.schema(schema).await;
    let before = standing(&place, schema).await;
    let _node = Node::start(&place.client, &place.namespace);
    let operator = Operator::start(&[&place.namespace]).await;
    let last = left_midway(&place, schema).await;
    assert_ne!(standing(&place, schema).await, before);
    let mut spec = place.specification(schema);
    spec["gates"] = json!([{"before": {"phase": "CleanUp"}, "approval": "Required"}]);
    place.create("second", &spec).await;
    let waiting = place.wait_for_reason("second", "ApprovalPending").await;
    is_taken_over(&waiting, &last);
    place.patch("second", json!({"metadata": {"annotations": {"holdfast.dev/rollback-at": "1"}}})).await;
    place.wait_for_end("second", "RollbackSucceeded").await;
    assert_eq!(standing(&place, schema).await, before);
    assert!(operator.stop().await.success());
}
