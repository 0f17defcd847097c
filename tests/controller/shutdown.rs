//! Told to end, the operator ends the statement that runs, gives the fence and the Lease back, and another replica goes on at once.

use holdfast::mysql::SessionLimits;
use serde_json::{Value, json};

use crate::node::Node;
use crate::operator::Operator;
use crate::place::{Place, condition};
use crate::server::eventually;

const SCHEMA: &str = "holdfast_shutdown";

/// The statements at work on the schema beside the test's own, and whether the fence is held.
async fn sessions(place: &Place) -> String {
    let statement = format!(
        "SELECT CONCAT((SELECT COALESCE(GROUP_CONCAT(info SEPARATOR '; '), 'nothing runs') FROM information_schema.processlist \
         WHERE info LIKE '%{SCHEMA}%' AND id <> CONNECTION_ID()), ', fence free: ', IS_FREE_LOCK(CONCAT('holdfast:', LEFT(SHA2('{SCHEMA}', 256), 40))))"
    );
    place.one_text(&statement).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_is_told_to_end_leaves_nothing_running_and_the_next_one_goes_on() {
    let place = Place::new().await;
    let _node = Node::start(&place.client, &place.namespace);
    place.schema(SCHEMA).await;
    let first = Operator::start(&[&place.namespace]).await;
    // A replica that waits for the same Lease is ready: it can take over at any moment.
    let second = Operator::start_beside(&first, &[&place.namespace]).await;
    assert!(!second.told().contains("\"leading\""), "{}", second.told());

    // The application reads the table in a transaction that stays open, so that the key's statement has to wait for it.
    let mut application = place.target.connect(SessionLimits::default()).await.unwrap();
    application.run(&format!("USE {SCHEMA}; START TRANSACTION; SELECT COUNT(*) FROM bookmarks")).await.unwrap();
    let mut spec = place.specification(SCHEMA);
    spec["execution"] = json!({"lockTimeout": "5s", "maxRetries": 1000});
    place.create("stopped", &spec).await;
    place.wait("stopped", "at work on its keys", |object| object["status"]["phase"] == "AddForeignKeys").await;
    eventually("the fence to be held", async || {
        let seen = sessions(&place).await;
        if seen.ends_with("fence free: 0") { Ok(()) } else { Err(seen) }
    })
    .await;

    assert!(first.stop().await.success());
    assert_eq!(sessions(&place).await, "nothing runs, fence free: 1");
    eventually("the second replica to lead", async || {
        if second.told().contains("\"leading\"") { Ok(()) } else { Err(second.told()) }
    })
    .await;
    application.run("COMMIT").await.unwrap();
    application.close().await.unwrap();
    let end: Value = place.wait_for_end("stopped", "Complete").await;
    assert_eq!(condition(&end, "Succeeded")["status"], "True");
    assert!(second.stop().await.success());
}
