//! An operator of another build was killed in the middle of a rollout, and today's one follows it. The files under `upgrades/` are
//! what real runs left; `make upgrade-fixture` writes those of the build that it is run with.

use holdfast::mysql::SessionLimits;
use holdfast::plan::Plan;
use holdfast::plan::digest::plan_digest;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

use crate::fixture::{Fixture, config_maps};
use crate::node::Node;
use crate::operator::Operator;
use crate::own_server::OwnServer;
use crate::place::{Place, condition};
use crate::server::eventually;

const NAME: &str = "killed";
const SCHEMA: &str = "holdfast_upgrade";
const JOURNAL: &str = "holdfast_upgrade_journal";
/// The index that the planner wants for the key that the killed operator was about to add.
const INDEX: &str = "fk_notes_user_idx";

/// What is in the schema and in the journal, in one line.
async fn standing(place: &Place) -> String {
    let statement = format!(
        "SELECT CONCAT_WS('; ', \
         (SELECT GROUP_CONCAT(constraint_name ORDER BY 1) FROM information_schema.referential_constraints WHERE constraint_schema = '{SCHEMA}'), \
         (SELECT GROUP_CONCAT(DISTINCT index_name ORDER BY 1) FROM information_schema.statistics WHERE table_schema = '{SCHEMA}' AND table_name = 'notes'), \
         (SELECT GROUP_CONCAT(state, ' ', epoch) FROM {JOURNAL}.migrations), \
         (SELECT GROUP_CONCAT(operation, ' ', state ORDER BY sequence SEPARATOR ', ') FROM {JOURNAL}.operations))"
    );
    place.one_text(&statement).await
}

/// Follows the killed operator to the end, and returns how it stands then.
async fn follow(server: &OwnServer, place: &Place) -> String {
    let digest = place.read(NAME).await["status"]["plan"]["digest"].clone();
    let operator = Operator::begin(server.kubeconfig(), &[&place.namespace]);
    let end = place.wait_for_end(NAME, "Complete").await;
    assert_eq!(end["status"]["plan"]["digest"], digest, "the stored plan is carried out, not another one");
    assert!(operator.stop().await.success());
    let standing = standing(place).await;
    assert!(standing.starts_with("fk_bookmarks_user,fk_notes_user; "), "{standing}");
    assert!(standing.contains("; Complete ") && !standing.contains("Intended"), "{standing}");
    let left = format!(
        "SELECT CAST(COUNT(*) AS CHAR) FROM {SCHEMA}.notes LEFT JOIN {SCHEMA}.users ON users.id = user_id WHERE users.id IS NULL"
    );
    assert_eq!(place.one_text(&left).await, "0");
    standing
}

/// The stored plan of a fixture.
fn stored(fixture: &Fixture) -> Plan {
    let values = fixture.values();
    let text: String = values.iter().filter_map(|each| each["data"]["plan.json"].as_str()).collect();
    serde_json::from_str(&text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_another_build_began_is_finished_or_held_by_name() {
    let server = OwnServer::start().await;
    let client = server.client().await;
    let fixture = Fixture::read("0.1.0");
    // As an upgrade goes: the resources are there, stored by the definitions of the other build, and then the definitions change.
    fixture.install_definitions(&client).await;
    let place = Place::on(client.clone(), "holdfast-upgrade").await;
    fixture.restore(&place).await;
    server.put_definitions().await;
    let before = standing(&place).await;
    assert!(before.starts_with("fk_bookmarks_user; ") && before.contains("Running"), "{before}");
    let plan = stored(&fixture);
    assert_eq!(plan_digest(&plan).unwrap(), plan.digest, "today's build computes another digest of what was approved");
    follow(&server, &place).await;

    // A planner that wanted another index: its plan is carried out, although today's would plan otherwise.
    let renamed = fixture.replacing(INDEX, "by_another_planner");
    let otherwise = renamed.replacing(&plan.digest, &plan_digest(&stored(&renamed)).unwrap());
    let place = Place::on(client.clone(), "holdfast-other-planner").await;
    otherwise.restore(&place).await;
    let after = follow(&server, &place).await;
    assert!(after.contains("by_another_planner") && !after.contains(INDEX), "{after}");

    held_by_an_unknown_plan(&server, &Place::on(client.clone(), "holdfast-unknown-plan").await, &fixture).await;
    held_by_an_unknown_journal(&server, &Place::on(client.clone(), "holdfast-unknown-journal").await, &fixture).await;
    server.stop().await;
}

/// A plan of a format that this version does not know holds the migration, until a plan that it knows is there.
async fn held_by_an_unknown_plan(server: &OwnServer, place: &Place, fixture: &Fixture) {
    let newer = fixture.replacing("\"format\":1,", "\"format\":99,");
    newer.restore(place).await;
    let before = standing(place).await;
    let operator = Operator::begin(server.kubeconfig(), &[&place.namespace]);
    let held = place.wait_for_reason(NAME, "UnknownPlanFormat").await;
    let message = condition(&held, "Ready")["message"].clone();
    let expected = "the stored plan has the format 99; this version of the operator knows 1: install the version that made the plan";
    assert!(message.as_str().unwrap().contains(expected), "{message}");
    assert_eq!(condition(&held, "Reconciling")["status"], "True");
    assert!(operator.stop().await.success());
    assert_eq!(standing(place).await, before, "what is held is not touched");

    for map in config_maps(place).list(&Default::default()).await.unwrap() {
        let name = map.name_any();
        let text = serde_json::to_string(&map).unwrap().replace("\\\"format\\\":99,", "\\\"format\\\":1,");
        let mut map: k8s_openapi::api::core::v1::ConfigMap = serde_json::from_str(&text).unwrap();
        (map.metadata.resource_version, map.metadata.uid) = (None, None);
        config_maps(place).delete(&name, &DeleteParams::default()).await.unwrap();
        config_maps(place).create(&PostParams::default(), &map).await.unwrap();
    }
    follow(server, place).await;
}

/// A journal of a format that this version does not know holds it as well: neither forward nor back.
async fn held_by_an_unknown_journal(server: &OwnServer, place: &Place, fixture: &Fixture) {
    fixture.restore(place).await;
    place.sql(&format!("UPDATE {JOURNAL}.journal_format SET format = 99")).await;
    let before = standing(place).await;
    let operator = Operator::begin(server.kubeconfig(), &[&place.namespace]);
    let held = place.wait_for_reason(NAME, "UnknownPlanFormat").await;
    let message = condition(&held, "Ready")["message"].clone();
    assert!(message.as_str().unwrap().contains("says journal format 99; this version knows 1 only"), "{message}");
    assert!(operator.stop().await.success());
    assert_eq!(standing(place).await, before, "what is held is not touched");
    place.sql(&format!("UPDATE {JOURNAL}.journal_format SET format = 1")).await;
    follow(server, place).await;
}

/// Kills the operator while it is about to add an index in the second stage of a rollout, and writes down what is left.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes files: make upgrade-fixture"]
async fn write_the_fixture_of_this_build() {
    let server = OwnServer::start().await;
    let client = server.client().await;
    server.put_definitions().await;
    let place = Place::on(client, "holdfast-upgrade").await;
    let node = Node::start(&place.client, &place.namespace);
    place.schema(SCHEMA).await;
    place.sql(&format!("USE {SCHEMA}; INSERT INTO bookmarks (user_id, page) VALUES (1, 'page 1')")).await;
    let mut spec = place.specification(SCHEMA);
    spec["uniqueConstraints"] = json!([{"name": "uq_bookmarks", "table": "bookmarks", "columns": ["user_id", "page"],
        "duplicates": {"policy": "KeepNewest", "orderBy": "id"}}]);
    spec["typeFixes"] = json!([{"name": "user-of-note", "table": "notes",
        "addColumn": {"name": "user_name", "type": "VARCHAR(40)", "nullable": true},
        "backfill": {"fromLookup": {"table": "users", "match": [{"column": "user_id", "equals": "id"}], "take": "name"}},
        "verify": {"maxUnmapped": 1000}}]);
    spec["gates"] = json!([{"before": {"phase": "CleanUp"}, "approval": "Required"}, {"before": {"stage": "notes"}, "approval": "Required"}]);
    let operator = Operator::begin(server.kubeconfig(), &[&place.namespace]);
    place.create(NAME, &spec).await;
    place.decide(NAME, json!({"phase": "CleanUp"}), "Approve").await;
    let here = |object: &Value| object["status"]["stages"][0]["state"] == "Complete";
    place.wait(NAME, "through its first stage", here).await;
    // A transaction of the application holds the next statement up.
    let mut application = place.target.connect(SessionLimits::default()).await.unwrap();
    application.run(&format!("USE {SCHEMA}; START TRANSACTION; SELECT COUNT(*) FROM notes")).await.unwrap();
    place.decide(NAME, json!({"stage": "notes"}), "Approve").await;
    eventually("the index to be intended", async || {
        let seen = standing(&place).await;
        if seen.contains(&format!("-add-index-{INDEX} Intended")) { Ok(()) } else { Err(seen) }
    })
    .await;
    operator.kill().await;
    eventually("the server to notice", async || {
        let free = place
            .one_text(&format!(
                "SELECT CAST(IS_FREE_LOCK(CONCAT('holdfast:', LEFT(SHA2('{SCHEMA}', 256), 40))) AS CHAR)"
            ))
            .await;
        if free == "1" { Ok(()) } else { Err(free) }
    })
    .await;
    application.run("COMMIT").await.unwrap();
    application.close().await.unwrap();
    let build = env!("CARGO_PKG_VERSION");
    Fixture::take(&place, NAME, &[JOURNAL, SCHEMA]).await.write(build);
    println!("written to tests/controller/upgrades/{build}: {}", standing(&place).await);
    drop(node);
    server.stop().await;
}
