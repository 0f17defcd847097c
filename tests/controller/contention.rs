//! Two resources that live at the same time on one database: one is at work, the other waits, says for whom, and has its turn.

use serde_json::json;

use crate::node::Node;
use crate::operator::Operator;
use crate::place::{Place, condition};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_migration_of_a_database_waits_for_the_first_by_name_and_goes_on_after_it() {
    let schema = "holdfast_contention";
    let place = Place::new().await;
    place.schema(schema).await;
    let _node = Node::start(&place.client, &place.namespace);
    let operator = Operator::start(&[&place.namespace]).await;
    // At work, and held up by a transaction of the application on the table of its first key.
    let mut application = place.target.connect(holdfast::mysql::SessionLimits::default()).await.unwrap();
    application.run(&format!("USE {schema}; START TRANSACTION; SELECT COUNT(*) FROM notes")).await.unwrap();
    let mut spec = place.specification(schema);
    spec["stages"].as_array_mut().unwrap().remove(0);
    spec["execution"] = json!({"maxRetries": 1000});
    place.create("first", &spec).await;
    place.wait("first", "at work on its keys", |object| object["status"]["phase"] == "AddForeignKeys").await;

    let mut other = place.specification(schema);
    other["stages"].as_array_mut().unwrap().remove(1);
    place.create("second", &other).await;
    let waiting = place.wait_for_reason("second", "LockHeld").await;
    let told = condition(&waiting, "Ready")["message"].as_str().unwrap().to_owned();
    assert!(told.contains(&format!("{}/first", place.namespace)), "{told}");
    assert_eq!(condition(&waiting, "Ready")["status"], "Unknown");
    assert_eq!(condition(&waiting, "Reconciling")["status"], "True");
    assert!(waiting["status"]["startedAt"].is_null(), "it has changed nothing");
    assert_eq!(place.keys(schema).await, "0");

    application.run("COMMIT").await.unwrap();
    application.close().await.unwrap();
    place.wait_for_end("first", "Complete").await;
    let end = place.wait_for_end("second", "Complete").await;
    assert_eq!(end["status"]["quarantine"]["orphans"], 5, "of its own table alone");
    assert_eq!(place.keys(schema).await, "2");
    assert!(operator.stop().await.success());
}
