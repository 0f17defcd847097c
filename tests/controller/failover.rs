//! A failover in the middle of a migration: the replica is promoted, and the address leads to it. With everything that the old server had,
//! or without the last of it, as after an asynchronous loss: nothing is done there before a person says so, and nothing is built on
//! what only the old server had.

use serde_json::{Value, json};

use crate::link::Link;
use crate::node::Node;
use crate::operator::Operator;
use crate::own_pair::{OwnPair, one, reader, run};
use crate::place::{Place, condition};
use crate::server::eventually;

const NAME: &str = "failover";
const SCHEMA: &str = "holdfast_failover";
const JOURNAL: &str = "holdfast_failover_journal";

/// The two servers, the ways to them, and a migration's namespace.
struct Scene {
    pair: OwnPair,
    /// Where spec.database leads.
    primary: Link,
    /// Where spec.database.replicas[0] leads.
    beside: Link,
    place: Place,
    _node: Node,
    operator: Operator,
}

impl Scene {
    async fn set() -> Self {
        let pair = OwnPair::start().await;
        let mut place = Place::new().await;
        place.target = pair.source.clone();
        place.schema(SCHEMA).await;
        OwnPair::has(&pair.replica, &OwnPair::executed(&pair.source).await).await;
        let node = Node::start(&place.client, &place.namespace);
        let operator = Operator::start(&[&place.namespace]).await;
        Self {
            primary: Link::to(&pair.source.host, pair.source.port).await,
            beside: Link::to(&pair.replica.host, pair.replica.port).await,
            pair,
            place,
            _node: node,
            operator,
        }
    }

    /// A specification whose stages wait for an approval.
    fn specification(&self) -> Value {
        let mut spec = self.place.specification(SCHEMA);
        spec["database"]["port"] = json!(self.primary.port);
        spec["execution"] = json!({"maxRetries": 1000});
        spec["gates"] =
            ["bookmarks", "notes"].map(|stage| json!({"before": {"stage": stage}, "approval": "Required"})).into();
        spec
    }

    /// The promoted server, on which the migration is from now on.
    async fn fail_over(&mut self) -> [String; 2] {
        let known = one(&self.pair.source, "SELECT @@server_uuid").await;
        self.pair.promote().await;
        self.beside.lead_nowhere();
        self.primary.lead_to(&self.pair.replica.host, self.pair.replica.port);
        self.place.target = self.pair.replica.clone();
        [known, one(&self.pair.replica, "SELECT @@server_uuid").await]
    }

    /// Waits until the migration holds because of the failover, and sees that nothing is done on the new server meanwhile.
    async fn holds(&self, servers: &[String; 2]) {
        let before = self.standing().await;
        let held = self.place.wait_for_reason(NAME, "ServerChanged").await;
        let told = condition(&held, "Ready")["message"].as_str().unwrap().to_owned();
        let parts = [servers[0].as_str(), servers[1].as_str(), "holdfast.dev/retry-at", "holdfast.dev/rollback-at"];
        assert!(parts.iter().all(|part| told.contains(part)), "{told}");
        assert_eq!(condition(&held, "Drifted")["status"], "True");
        // Some passes later as well.
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        assert_eq!(condition(&self.place.read(NAME).await, "Ready")["reason"], "ServerChanged");
        assert_eq!(self.standing().await, before, "nothing is done before a person says so");
    }

    async fn steer(&self, action: &str, token: &str) {
        let annotation = format!("holdfast.dev/{action}-at");
        self.place.patch(NAME, json!({"metadata": {"annotations": {annotation: token}}})).await;
    }

    /// Definitions, rows and journal on the server that the migration is on, in one line.
    async fn standing(&self) -> String {
        let journal = match one(
            &self.place.target,
            &format!("SELECT CAST(COUNT(*) AS CHAR) FROM information_schema.tables WHERE table_schema = '{JOURNAL}'"),
        )
        .await
        .as_str()
        {
            "0" => "'no journal'".to_owned(),
            _ => format!(
                "(SELECT GROUP_CONCAT(state, ' ', epoch ORDER BY state) FROM {JOURNAL}.migrations), \
                 (SELECT GROUP_CONCAT(operation, ' ', state ORDER BY sequence SEPARATOR ', ') FROM {JOURNAL}.operations)"
            ),
        };
        one(&self.place.target, &format!("SELECT CONCAT_WS('; ', {}, {journal})", definitions())).await
    }

    /// Waits until an operation of the last stage is announced on the old server, where a transaction of the application holds it up.
    async fn is_at_the_last_stage(&self) {
        eventually("the index to be intended", async || {
            let seen = self.standing().await;
            if seen.contains("-add-index-fk_notes_user_idx Intended") { Ok(()) } else { Err(seen) }
        })
        .await;
    }

    /// Sees that both keys are there and clean, and that every row is in its table or in quarantine.
    async fn is_complete(&self) {
        let standing = self.standing().await;
        assert!(standing.contains("fk_bookmarks_user,fk_notes_user; 45; 45; 45; Complete "), "{standing}");
        assert!(!standing.contains("Intended"), "{standing}");
        let orphans = |table: &str| {
            format!(
                "SELECT CAST(COUNT(*) AS CHAR) FROM {SCHEMA}.{table} LEFT JOIN {SCHEMA}.users ON users.id = user_id WHERE users.id IS NULL"
            )
        };
        for table in ["bookmarks", "notes"] {
            assert_eq!(self.place.one_text(&orphans(table)).await, "0");
            let kept = format!("SELECT name FROM {JOURNAL}.quarantine_tables WHERE source_table = '{table}'");
            let kept = self.place.one_text(&kept).await;
            let kept = format!(
                "SELECT GROUP_CONCAT(id ORDER BY id) FROM {JOURNAL}.`{kept}` WHERE holdfast_kind = 'Row' AND holdfast_restored_at IS NULL"
            );
            assert_eq!(self.place.one_text(&kept).await, "10,20,30,40,50");
        }
    }

    async fn end(self) {
        assert!(self.operator.stop().await.success());
        self.pair.stop().await;
    }
}

/// What is in the schema: its keys, its indexes beside primary keys, and how many rows each table has.
fn definitions() -> String {
    format!(
        "COALESCE((SELECT GROUP_CONCAT(constraint_name ORDER BY 1) FROM information_schema.referential_constraints WHERE constraint_schema = '{SCHEMA}'), 'no key'), \
         (SELECT COUNT(*) FROM {SCHEMA}.users), (SELECT COUNT(*) FROM {SCHEMA}.bookmarks), (SELECT COUNT(*) FROM {SCHEMA}.notes)"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failover_to_a_listed_replica_the_migration_waits_for_a_person_and_goes_on_with_its_journal() {
    let mut scene = Scene::set().await;
    let mut spec = scene.specification();
    spec["database"]["replicas"] = json!([{"host": scene.pair.replica.host, "port": scene.beside.port}]);
    scene.place.create(NAME, &spec).await;
    scene.place.decide(NAME, json!({"stage": "bookmarks"}), "Approve").await;
    scene.place.wait_for_gate(NAME, &json!({"stage": "notes"})).await;
    let mut application = reader(&scene.pair.source, SCHEMA, "notes").await;
    scene.place.decide(NAME, json!({"stage": "notes"}), "Approve").await;
    scene.is_at_the_last_stage().await;
    OwnPair::has(&scene.pair.replica, &OwnPair::executed(&scene.pair.source).await).await;
    let servers = scene.fail_over().await;
    scene.holds(&servers).await;

    // Told to go on, it does so once the replica that the specification names can be read again.
    scene.steer("retry", "1").await;
    let waiting = scene.place.wait_for_reason(NAME, "ReplicaNotReady").await;
    let told = condition(&waiting, "Ready")["message"].as_str().unwrap().to_owned();
    assert!(told.contains("spec.database.replicas[0]"), "{told}");
    // The old server's sessions died with it.
    let sessions = "SELECT GROUP_CONCAT(CONCAT('KILL ', id) SEPARATOR '; ') FROM information_schema.processlist WHERE info LIKE 'ALTER%'";
    let sessions = one(&scene.pair.source, sessions).await;
    if !sessions.is_empty() {
        run(&scene.pair.source, &sessions).await;
    }
    application.run("ROLLBACK").await.unwrap();
    application.close().await.unwrap();
    scene.pair.follow_the_promoted().await;
    scene.beside.lead_to(&scene.pair.source.host, scene.pair.source.port);
    scene.place.wait_for_end(NAME, "Complete").await;
    scene.is_complete().await;
    OwnPair::has(&scene.pair.source, &OwnPair::executed(&scene.pair.replica).await).await;
    let there = one(&scene.pair.source, &format!("SELECT CONCAT_WS('; ', {})", definitions())).await;
    assert_eq!(there, "fk_bookmarks_user,fk_notes_user; 45; 45; 45", "on the old server, which follows now");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failover_before_the_first_change_it_is_planned_once_more_and_the_same_plan_stays_approved() {
    let mut scene = Scene::set().await;
    scene.pair.stop_replicating().await;
    let mut spec = scene.specification();
    spec["gates"] = json!([{"before": {"phase": "CleanUp"}, "approval": "Required"}]);
    scene.place.create(NAME, &spec).await;
    let planned = scene.place.wait_for_gate(NAME, &json!({"phase": "CleanUp"})).await;
    scene.fail_over().await;
    scene.place.decide(NAME, json!({"phase": "CleanUp"}), "Approve").await;
    let end = scene.place.wait_for_end(NAME, "Complete").await;
    assert_eq!(end["status"]["plan"]["digest"], planned["status"]["plan"]["digest"]);
    let log = scene.operator.told();
    assert_eq!(log.matches("planning anew: the server ").count(), 1, "{log}");
    scene.is_complete().await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_lost_of_the_stage_at_work_is_done_again() {
    let mut scene = Scene::set().await;
    // A replica that nobody sees, because its connection is down: what it lacks at the failover is lost.
    scene.pair.stop_replicating().await;
    scene.place.create(NAME, &scene.specification()).await;
    scene.place.decide(NAME, json!({"stage": "bookmarks"}), "Approve").await;
    scene.place.wait_for_gate(NAME, &json!({"stage": "notes"})).await;
    let first_stage = OwnPair::executed(&scene.pair.source).await;
    let application = reader(&scene.pair.source, SCHEMA, "notes").await;
    scene.place.decide(NAME, json!({"stage": "notes"}), "Approve").await;
    scene.is_at_the_last_stage().await;
    scene.pair.replicate_until(&first_stage).await;
    let servers = scene.fail_over().await;
    scene.holds(&servers).await;
    scene.steer("retry", "1").await;
    scene.place.wait_for_end(NAME, "Complete").await;
    scene.is_complete().await;
    application.close().await.unwrap();
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_server_that_lost_what_was_done_the_migration_is_not_continued_but_taken_back_and_begun_again() {
    let mut scene = Scene::set().await;
    scene.pair.stop_replicating().await;
    scene.place.create(NAME, &scene.specification()).await;
    scene.place.wait_for_gate(NAME, &json!({"stage": "bookmarks"})).await;
    let before = OwnPair::executed(&scene.pair.source).await;
    scene.place.decide(NAME, json!({"stage": "bookmarks"}), "Approve").await;
    scene.place.wait_for_gate(NAME, &json!({"stage": "notes"})).await;
    assert!(scene.standing().await.starts_with("fk_bookmarks_user; "), "{}", scene.standing().await);
    scene.pair.replicate_until(&before).await;
    let servers = scene.fail_over().await;
    scene.place.decide(NAME, json!({"stage": "notes"}), "Approve").await;
    scene.holds(&servers).await;
    let standing = scene.standing().await;
    assert!(standing.starts_with("no key; "), "{standing}");

    // Told to go on: the first stage's work is not there, and the second is not built on it.
    scene.steer("retry", "1").await;
    let held = scene.place.wait_for_reason(NAME, "DriftDetected").await;
    let told = condition(&held, "Ready")["message"].as_str().unwrap().to_owned();
    assert!(told.contains("add-key-fk_bookmarks_user") && told.contains("holdfast.dev/rollback-at"), "{told}");
    assert!(scene.standing().await.starts_with("no key; "), "{}", scene.standing().await);
    scene.steer("rollback", "2").await;
    scene.place.wait_for_end(NAME, "RollbackSucceeded").await;
    let standing = scene.standing().await;
    assert!(standing.starts_with("no key; 45; 50; 50; RolledBack "), "{standing}");
    scene.steer("retry", "3").await;
    // What was approved of the very same plan still is.
    eventually("the migration to be complete after all", async || {
        let ready = condition(&scene.place.read(NAME).await, "Ready");
        if ready["reason"] == "Complete" { Ok(()) } else { Err(ready.to_string()) }
    })
    .await;
    scene.is_complete().await;
    scene.end().await;
}
