//! Who may steer a migration: gates, suspension, the rollback strategy and the steering annotations need the verb `approve`.

use holdfast::api::gates::{Before, GatePoint};
use holdfast::api::status::{GateState, GateStatus};
use holdfast::api::steering::{SteeringAction, SteeringAnswer};
use holdfast::api::{FINALIZER, Reason, SchemaMigration, SchemaMigrationStatus, annotations};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, Policies, manifest, object, refusal},
    users::{APPROVE, AUTHOR, Right, WRITE_MIGRATIONS},
};

const AUTHOR_NAME: &str = "alice@example.com";
const APPROVER: &str = "carol@example.com";

fn steering() -> Vec<(String, Value)> {
    let mut changes = vec![
        ("spec.gates".to_owned(), json!({"spec": {"gates": [{"before": {"phase": "Copy"}, "approval": "Required"}]}})),
        ("spec.suspend".to_owned(), json!({"spec": {"suspend": true}})),
        ("spec.rollback".to_owned(), json!({"spec": {"rollback": {"onFailure": "Hold"}}})),
    ];
    for annotation in annotations::ALL {
        changes.push((format!("the annotation {annotation}"), json!({"metadata": {"annotations": {annotation: "1"}}})));
    }
    changes
}

async fn dry_run(api: &Api<DynamicObject>, change: &Value) -> Result<DynamicObject, kube::Error> {
    api.patch("minimal", &PatchParams::default().dry_run(), &Patch::Merge(change)).await
}

#[tokio::test]
async fn an_author_without_the_verb_approve_cannot_steer() {
    let cluster = Cluster::new(Policies::Always).await;
    cluster.grant(AUTHOR_NAME, &AUTHOR).await;
    cluster.create("good/minimal.yaml").await;
    let api = cluster.api_as(AUTHOR_NAME, "SchemaMigration").await;
    for (what, change) in steering() {
        let status = refusal(dry_run(&api, &change).await);
        let message = format!(
            "changing {what} needs the verb approve on schemamigrations.holdfast.dev in namespace {}, which {AUTHOR_NAME} does not have",
            cluster.namespace
        );
        assert_eq!(status.code, 403, "{what}");
        assert!(status.message.contains(&message), "{what}: {}", status.message);
    }
}

#[tokio::test]
async fn a_user_with_the_verb_approve_steers_without_being_an_author() {
    let cluster = Cluster::new(Policies::Always).await;
    cluster.grant(APPROVER, &[WRITE_MIGRATIONS, APPROVE]).await;
    cluster.create("good/minimal.yaml").await;
    let api = cluster.api_as(APPROVER, "SchemaMigration").await;
    for (what, change) in steering() {
        dry_run(&api, &change).await.unwrap_or_else(|error| panic!("{what}: {error}"));
    }
}

#[tokio::test]
async fn the_verb_approve_may_be_given_for_one_migration_alone() {
    let cluster = Cluster::new(Policies::Always).await;
    let one = Right { names: &["minimal"], ..APPROVE };
    cluster.grant(APPROVER, &[WRITE_MIGRATIONS, one]).await;
    cluster.create("good/minimal.yaml").await;
    cluster.create("good/plan-only.yaml").await;
    let api = cluster.api_as(APPROVER, "SchemaMigration").await;
    let suspended = json!({"spec": {"suspend": true}});
    dry_run(&api, &suspended).await.unwrap();
    let answer = api.patch("plan-only", &PatchParams::default(), &Patch::Merge(suspended)).await;
    let status = refusal(answer);
    assert!(status.message.contains("changing spec.suspend needs the verb approve"), "{}", status.message);
}

#[tokio::test]
async fn a_gate_cannot_be_taken_away_without_the_verb_approve() {
    let cluster = Cluster::new(Policies::Always).await;
    cluster.grant(AUTHOR_NAME, &AUTHOR).await;
    let mut gated = object(&manifest("good/minimal.yaml"));
    gated.data["spec"]["gates"] = json!([{"before": {"phase": "CleanUp"}, "approval": "Required"}]);
    let api = cluster.api_as(AUTHOR_NAME, "SchemaMigration").await;
    api.create(&PostParams::default(), &gated).await.unwrap();
    refusal(dry_run(&api, &json!({"spec": {"gates": []}})).await);
}

#[tokio::test]
async fn a_steering_annotation_needs_the_verb_approve_from_the_start_and_to_be_taken_away() {
    let cluster = Cluster::new(Policies::Always).await;
    cluster.grant(AUTHOR_NAME, &AUTHOR).await;
    let mut steered = object(&manifest("good/minimal.yaml"));
    steered.metadata.annotations = Some([(annotations::PURGE_AT.to_owned(), "1".to_owned())].into());
    let api = cluster.api_as(AUTHOR_NAME, "SchemaMigration").await;
    let status = refusal(api.create(&PostParams::default(), &steered).await);
    assert!(status.message.contains("changing the annotation holdfast.dev/purge-at"), "{}", status.message);
    cluster.api("SchemaMigration").create(&PostParams::default(), &steered).await.unwrap();
    refusal(dry_run(&api, &json!({"metadata": {"annotations": {annotations::PURGE_AT: null}}})).await);
    refusal(dry_run(&api, &json!({"metadata": {"annotations": {annotations::PURGE_AT: "2"}}})).await);
    dry_run(&api, &json!({"metadata": {"annotations": {"team": "data"}}})).await.unwrap();
}

#[tokio::test]
async fn the_operator_needs_neither_approve_nor_the_authors_rights_for_finalizers_and_status() {
    let cluster = Cluster::new(Policies::Always).await;
    let operator = "system:serviceaccount:holdfast-system:holdfast";
    let status = Right { resource: "schemamigrations/status", verbs: &["patch"], ..WRITE_MIGRATIONS };
    let write = Right { verbs: &["get", "patch"], ..WRITE_MIGRATIONS };
    cluster.grant(operator, &[write, status]).await;
    cluster.create("good/minimal.yaml").await;
    let api = cluster.api_as(operator, "SchemaMigration").await;
    let finalizers = Patch::Merge(json!({"metadata": {"finalizers": [FINALIZER]}}));
    api.patch("minimal", &PatchParams::default(), &finalizers).await.unwrap();
    let status = Patch::Merge(json!({"status": {"phase": "Plan", "observedGeneration": 1}}));
    api.patch_status("minimal", &PatchParams::default(), &status).await.unwrap();
    refusal(dry_run(&api, &json!({"spec": {"suspend": true}})).await);
}

#[tokio::test]
async fn the_answers_that_the_operator_writes_are_kept_whole() {
    let cluster = Cluster::new(Policies::None).await;
    let stored = cluster.create("good/minimal.yaml").await;
    let mut migration: SchemaMigration = serde_json::from_value(serde_json::to_value(stored).unwrap()).unwrap();
    let mut status = SchemaMigrationStatus { attempt: 3, ..SchemaMigrationStatus::default() };
    for action in SteeringAction::ALL {
        status.last_handled.acknowledge(action, "2026-11-24T10:00:00Z");
        status.steering.push(SteeringAnswer {
            action,
            token: "2026-11-24T10:00:00Z".to_owned(),
            accepted: action == SteeringAction::Retry,
            message: "why".to_owned(),
            at: Time("2026-11-24T10:00:01Z".parse().unwrap()),
        });
    }
    status.gates = vec![GateStatus {
        before: Before::from(GatePoint::Stage("users")),
        state: GateState::Closed,
        reason: Reason::OutsideWindow.as_str().to_owned(),
        message: Some("opens later".to_owned()),
        approval: None,
        evidence: Vec::new(),
        since: Some(Time("2026-11-24T10:00:00Z".parse().unwrap())),
    }];
    migration.status = Some(status.clone());
    let api: Api<SchemaMigration> = Api::namespaced(cluster.admin.clone(), &cluster.namespace);
    let written = api.replace_status("minimal", &PostParams::default(), &migration).await.unwrap();
    assert_eq!(written.status.unwrap(), status);
}
