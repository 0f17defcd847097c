//! A resource that is deleted while the Secret or the database is gone: the object goes all the same, and what it left is told.

use std::time::{Duration, Instant};

use holdfast::mysql::{Connection, SessionLimits};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::json;

use crate::link::Link;
use crate::node::Node;
use crate::operator::Operator;
use crate::place::Place;
use crate::server::eventually;

/// How long an object may stay after its deletion, whatever is gone: a statement on a server that does not answer is given up after 30 s.
const GONE_WITHIN: Duration = Duration::from_secs(45);

/// A migration whose first key waits for a transaction of the application, which is returned.
async fn held_up(place: &Place, schema: &str, port: u16) -> Connection {
    let mut application = place.target.connect(SessionLimits::default()).await.unwrap();
    application.run(&format!("USE {schema}; START TRANSACTION; SELECT COUNT(*) FROM bookmarks")).await.unwrap();
    let mut spec = place.specification(schema);
    spec["database"]["port"] = json!(port);
    spec["execution"] = json!({"maxRetries": 1000});
    place.create("left", &spec).await;
    place.wait("left", "at work on its keys", |object| object["status"]["phase"] == "AddForeignKeys").await;
    application
}

/// Deletes the migration, and waits until it is gone and its end was told.
async fn is_gone_and_told(place: &Place, schema: &str, operator: &Operator) {
    let begun = Instant::now();
    place.migrations().delete("left", &DeleteParams::default()).await.unwrap();
    eventually("the deleted migration to be gone", async || {
        let there = place.migrations().get_opt("left").await.unwrap();
        there.map_or(Ok(()), |object| Err(format!("{:?}", object.metadata)))
    })
    .await;
    assert!(begun.elapsed() < GONE_WITHIN, "it took {:?}", begun.elapsed());
    println!("gone after {:?}", begun.elapsed());
    let events: Api<Event> = Api::namespaced(place.client.clone(), &place.namespace);
    let events = events.list(&Default::default()).await.unwrap().items;
    let told: Vec<String> = events
        .into_iter()
        .filter(|event| event.reason.as_deref() == Some("LeftMidway"))
        .filter_map(|event| event.note)
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    for part in ["AddForeignKeys", "nothing is undone", &format!("the schema {schema}_journal"), "docs/runbook.md"] {
        assert!(told[0].contains(part), "{part}: {}", told[0]);
    }
    assert!(operator.told().contains("\"reason\":\"LeftMidway\""), "the log tells it, too");
}

/// Waits until nobody holds the schema's lock any more.
async fn fence_is_free(place: &Place, schema: &str) {
    eventually("the fence to be free", async || {
        let free = place
            .one_text(&format!(
                "SELECT CAST(IS_FREE_LOCK(CONCAT('holdfast:', LEFT(SHA2('{schema}', 256), 40))) AS CHAR)"
            ))
            .await;
        if free == "1" { Ok(()) } else { Err(free) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_whose_secret_is_gone_is_deleted_and_gives_its_lock_back() {
    let schema = "holdfast_deleted_secret";
    let place = Place::new().await;
    place.schema(schema).await;
    let _node = Node::start(&place.client, &place.namespace);
    let operator = Operator::start(&[&place.namespace]).await;
    let application = held_up(&place, schema, place.target.port).await;
    let secrets: Api<Secret> = Api::namespaced(place.client.clone(), &place.namespace);
    secrets.delete("migrator", &DeleteParams::default()).await.unwrap();
    is_gone_and_told(&place, schema, &operator).await;
    fence_is_free(&place, schema).await;
    application.close().await.unwrap();
    assert_eq!(place.keys(schema).await, "0", "what was at work was stopped");
    let journal = place.one_text(&format!("SELECT CONCAT(owner, ' ', state) FROM {schema}_journal.migrations")).await;
    assert_eq!(journal, format!("{}/left Running", place.namespace));
    assert!(operator.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_whose_database_does_not_answer_is_deleted() {
    let schema = "holdfast_deleted_unreachable";
    let place = Place::new().await;
    place.schema(schema).await;
    let _node = Node::start(&place.client, &place.namespace);
    let operator = Operator::start(&[&place.namespace]).await;
    let link = Link::to(&place.target.host, place.target.port).await;
    let application = held_up(&place, schema, link.port).await;
    link.cut();
    is_gone_and_told(&place, schema, &operator).await;
    // The server notices a connection that is silent or closed by itself.
    drop(link);
    application.close().await.unwrap();
    assert!(operator.stop().await.success());
}
