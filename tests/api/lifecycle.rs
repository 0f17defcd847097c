//! What may change when: everything before the first change, almost nothing after it, and an approval never.

use holdfast::api::crd::{FROZEN_FIELDS, OPEN_FIELDS};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::cluster::{Cluster, Policies, refusal};

/// Another value for each field of spec, as a merge patch of the minimal migration.
fn change(field: &str) -> Value {
    match field {
        "mode" => json!("Plan"),
        "suspend" => json!(true),
        "contact" => json!("somebody else"),
        "database" => json!({"host": "another"}),
        "preflight" => json!({"maxThreadsRunning": 51}),
        "execution" => json!({"maxRetries": 21}),
        "acknowledge" => json!([{"hazard": "Triggers", "table": "bookmarks"}]),
        "journal" => json!({"schema": "another"}),
        "jobs" => json!({"backoffLimit": 1}),
        "backup" => json!({"maxAge": "2h"}),
        "rehearsal" => json!({"enabled": true}),
        "typeFixes" => json!([{"name": "f", "table": "a", "addColumn": {"name": "c", "type": "INT"}}]),
        "uniqueConstraints" => json!([{"name": "uq", "table": "a", "columns": ["b"]}]),
        "stages" => json!([{"name": "users", "foreignKeys": [
            {"name": "fk_bookmarks_user", "table": "bookmarks", "columns": ["user_id"], "references": {"table": "users", "columns": ["id"]}, "onDelete": "Restrict"}
        ]}]),
        "schemaUpdate" => json!({"podTemplateRef": {"name": "regenerate-schema"}}),
        "tests" => json!({"probes": "None"}),
        "soak" => json!({"duration": "1m"}),
        "promotion" => json!({"environment": "production"}),
        "quarantine" => json!({"retention": "1h"}),
        "gates" => json!([{"before": {"phase": "CleanUp"}, "approval": "Required"}]),
        "rollback" => json!({"onFailure": "Hold"}),
        other => panic!("no other value for spec.{other}"),
    }
}

fn patch(field: &str) -> Patch<Value> {
    let mut spec = json!({field: change(field)});
    if field == "rehearsal" {
        // A rehearsal needs a backup that is restored, which is part of another frozen field.
        spec = json!({"rehearsal": {"enabled": true}, "backup": {"scratch": {"image": "mysql:9.7"}, "verification": "Restore"}});
    }
    Patch::Merge(json!({"spec": spec}))
}

async fn set_status(cluster: &Cluster, name: &str, status: Value) {
    let patch = Patch::Merge(json!({"status": status}));
    cluster.api("SchemaMigration").patch_status(name, &PatchParams::default(), &patch).await.unwrap();
}

fn started() -> Value {
    json!({"observedGeneration": 1, "startedAt": "2026-11-20T02:00:00Z"})
}

#[tokio::test]
async fn before_the_first_change_everything_may_change() {
    let cluster = Cluster::new(Policies::None).await;
    cluster.create("good/minimal.yaml").await;
    let dry_run = PatchParams::default().dry_run();
    for field in FROZEN_FIELDS.into_iter().chain(OPEN_FIELDS) {
        let answer = cluster.api("SchemaMigration").patch("minimal", &dry_run, &patch(field)).await;
        answer.unwrap_or_else(|error| panic!("spec.{field}: {error}"));
    }
}

#[tokio::test]
async fn after_the_first_change_only_gates_suspend_rollback_contact_and_the_retention_of_backups_may_change() {
    let cluster = Cluster::new(Policies::None).await;
    cluster.create("good/minimal.yaml").await;
    set_status(&cluster, "minimal", started()).await;
    let dry_run = PatchParams::default().dry_run();
    for field in FROZEN_FIELDS {
        let status = refusal(cluster.api("SchemaMigration").patch("minimal", &dry_run, &patch(field)).await);
        let message = format!("spec.{field} cannot change once the migration has made its first change");
        assert!(status.message.contains(&message), "spec.{field}: {}", status.message);
        assert!(status.message.contains("holdfast.dev/rollback-at"), "the way out: {}", status.message);
        let causes = &status.details.as_ref().unwrap().causes;
        assert!(causes.iter().any(|cause| cause.field == format!("spec.{field}")), "{causes:?}");
    }
    for field in OPEN_FIELDS {
        let answer = cluster.api("SchemaMigration").patch("minimal", &dry_run, &patch(field)).await;
        answer.unwrap_or_else(|error| panic!("spec.{field}: {error}"));
    }
}

#[tokio::test]
async fn of_the_backup_only_its_retention_may_change_after_the_first_change() {
    let cluster = Cluster::new(Policies::None).await;
    cluster.create("good/everything-implemented.yaml").await;
    set_status(&cluster, "everything-implemented", started()).await;
    let api = cluster.api("SchemaMigration");
    let dry_run = PatchParams::default().dry_run();
    let patched = async |backup| {
        let patch = Patch::Merge(json!({"spec": {"backup": backup}}));
        api.patch("everything-implemented", &dry_run, &patch).await
    };
    for retention in ["0ms", "720h", "Keep"] {
        patched(json!({"retention": retention})).await.unwrap_or_else(|error| panic!("{retention}: {error}"));
    }
    for backup in [
        json!({"maxAge": "2h", "retention": "720h"}),
        json!({"verification": "Inspect"}),
        json!({"scratch": null, "verification": "Inspect"}),
        json!({"job": {"image": "mysql:8.4"}}),
    ] {
        let status = refusal(patched(backup.clone()).await);
        assert!(status.message.contains("spec.backup cannot change"), "{backup}: {}", status.message);
    }
}

#[tokio::test]
async fn a_field_cannot_be_taken_away_after_the_first_change() {
    let cluster = Cluster::new(Policies::None).await;
    cluster.create("good/everything-implemented.yaml").await;
    set_status(&cluster, "everything-implemented", started()).await;
    for field in ["acknowledge", "schemaUpdate", "typeFixes", "uniqueConstraints"] {
        let patch = Patch::Merge(json!({"spec": {field: null}}));
        let api = cluster.api("SchemaMigration");
        let status = refusal(api.patch("everything-implemented", &PatchParams::default(), &patch).await);
        assert!(status.message.contains(&format!("spec.{field} cannot change")), "{}", status.message);
    }
}

#[tokio::test]
async fn the_status_and_the_metadata_go_on_changing_after_the_first_change() {
    let cluster = Cluster::new(Policies::None).await;
    cluster.create("good/everything-implemented.yaml").await;
    set_status(&cluster, "everything-implemented", started()).await;
    set_status(&cluster, "everything-implemented", json!({"phase": "CleanUp", "message": "moving orphans"})).await;
    let patch = Patch::Merge(json!({"metadata": {"finalizers": ["holdfast.dev/release"], "labels": {"a": "b"}}}));
    let api = cluster.api("SchemaMigration");
    api.patch("everything-implemented", &PatchParams::default(), &patch).await.unwrap();
}

#[tokio::test]
async fn after_a_rollback_everything_may_change_again() {
    let cluster = Cluster::new(Policies::None).await;
    cluster.create("good/minimal.yaml").await;
    let mut status = started();
    let condition = |value: &str| json!([{"type": "RolledBack", "status": value, "reason": "RollbackSucceeded", "message": "", "lastTransitionTime": "2026-11-20T03:00:00Z"}]);
    status["conditions"] = condition("False");
    set_status(&cluster, "minimal", status.clone()).await;
    let dry_run = PatchParams::default().dry_run();
    refusal(cluster.api("SchemaMigration").patch("minimal", &dry_run, &patch("stages")).await);
    status["conditions"] = condition("True");
    set_status(&cluster, "minimal", status).await;
    for field in FROZEN_FIELDS.into_iter().chain(OPEN_FIELDS) {
        let answer = cluster.api("SchemaMigration").patch("minimal", &dry_run, &patch(field)).await;
        answer.unwrap_or_else(|error| panic!("spec.{field}: {error}"));
    }
}

#[tokio::test]
async fn an_approval_cannot_be_changed() {
    let cluster = Cluster::new(Policies::None).await;
    cluster.create("good/approval.yaml").await;
    for spec in [
        json!({"decision": "Deny"}),
        json!({"maxRows": 6000}),
        json!({"maxRows": null}),
        json!({"approvedBy": "bob@example.com"}),
        json!({"migrationRef": {"name": "another"}}),
        json!({"before": {"phase": "Copy"}}),
        json!({"reason": "another"}),
    ] {
        let patch = Patch::Merge(json!({"spec": spec}));
        let status = refusal(cluster.api("MigrationApproval").patch("approval", &PatchParams::default(), &patch).await);
        let message = "a MigrationApproval cannot be changed: delete it and create another";
        assert!(status.message.contains(message), "{}", status.message);
    }
    let label = Patch::Merge(json!({"metadata": {"labels": {"team": "data"}}}));
    cluster.api("MigrationApproval").patch("approval", &PatchParams::default(), &label).await.unwrap();
}
