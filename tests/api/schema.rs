//! What the API server adds to a manifest, and what it takes away.

use holdfast::api::unknown_fields::unknown_fields;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::cluster::{Cluster, MANAGER, Policies, manifest, object, refusal};

#[tokio::test]
async fn a_minimal_migration_is_stored_with_the_documented_defaults() {
    let cluster = Cluster::new(Policies::None).await;
    let stored = serde_json::to_value(cluster.create("good/minimal.yaml").await).unwrap();
    for (pointer, value) in [
        ("/status/observedGeneration", json!(-1)),
        ("/spec/mode", json!("Apply")),
        ("/spec/suspend", json!(false)),
        ("/spec/database/port", json!(3306)),
        ("/spec/database/tls", json!({"mode": "VerifyIdentity"})),
        (
            "/spec/preflight",
            json!({"minimumServerVersion": "8.0", "maxActiveSessions": 200, "maxThreadsRunning": 50, "maxTransactionAge": "30s", "maxReplicaLag": "10s"}),
        ),
        (
            "/spec/execution",
            json!({"lockTimeout": "500ms", "maxRetries": 20, "barrierTimeout": "10m", "killBlockers": "Never", "batchRows": 1000, "targetBatchTime": "100ms"}),
        ),
        ("/spec/journal", json!({"schema": "holdfast"})),
        ("/spec/jobs", json!({"activeDeadlineSeconds": 3600, "backoffLimit": 0})),
        ("/spec/backup/retention", json!("Keep")),
        ("/spec/backup/maxAge", json!("1h")),
        ("/spec/stages/0/foreignKeys/0/onUpdate", json!("NoAction")),
        ("/spec/stages/0/foreignKeys/0/orphans", json!("Fail")),
        ("/spec/tests", json!({"probes": "Derived"})),
        ("/spec/quarantine", json!({"retention": "Keep"})),
        ("/spec/rollback", json!({"onFailure": "Undo"})),
    ] {
        assert_eq!(stored.pointer(pointer), Some(&value), "{pointer}");
    }
    for left_out in ["acknowledge", "contact", "promotion", "schemaUpdate", "soak", "typeFixes", "uniqueConstraints"] {
        assert_eq!(stored["spec"].get(left_out), None, "{left_out}");
    }
}

#[tokio::test]
async fn defaults_go_on_filling_objects_that_are_given_in_part() {
    let cluster = Cluster::new(Policies::None).await;
    let mut migration = object(&manifest("good/minimal.yaml"));
    migration.data["spec"]["execution"] = json!({"maxRetries": 3});
    migration.data["spec"]["tests"] = json!({"jobs": [{"name": "a", "podTemplateRef": {"name": "b"}}]});
    migration.data["spec"]["journal"] = json!({"tablePrefix": "holdfast_"});
    migration.data["spec"]["uniqueConstraints"] = json!([{"name": "uq", "table": "a", "columns": ["b"]}]);
    migration.data["spec"]["typeFixes"] =
        json!([{"name": "f", "table": "a", "addColumn": {"name": "c", "type": "INT"}}]);
    let stored = cluster.api("SchemaMigration").create(&PostParams::default(), &migration).await.unwrap();
    let spec = &stored.data["spec"];
    assert_eq!((&spec["execution"]["maxRetries"], &spec["execution"]["lockTimeout"]), (&json!(3), &json!("500ms")));
    assert_eq!(spec["tests"]["probes"], json!("Derived"));
    assert_eq!(spec["journal"], json!({"tablePrefix": "holdfast_"}));
    assert_eq!(spec["uniqueConstraints"][0]["duplicates"], json!({"policy": "Fail"}));
    assert_eq!(spec["typeFixes"][0]["verify"], json!({"maxUnmapped": 0}));
    assert_eq!(spec["typeFixes"][0]["addColumn"]["nullable"], json!(true));
}

#[tokio::test]
async fn a_null_is_a_field_left_out() {
    let cluster = Cluster::new(Policies::None).await;
    let mut migration = object(&manifest("good/minimal.yaml"));
    migration.data["spec"]["contact"] = Value::Null;
    migration.data["spec"]["soak"] = Value::Null;
    migration.data["spec"]["preflight"] = Value::Null;
    let stored = cluster.api("SchemaMigration").create(&PostParams::default(), &migration).await.unwrap();
    assert_eq!((stored.data["spec"].get("contact"), stored.data["spec"].get("soak")), (None, None));
    assert_eq!(stored.data["spec"]["preflight"]["maxThreadsRunning"], json!(50));
}

#[tokio::test]
async fn a_misspelt_field_that_the_server_drops_is_found_by_the_last_applied_configuration() {
    let cluster = Cluster::new(Policies::None).await;
    let mut migration = object(&manifest("good/minimal.yaml"));
    migration.data["spec"]["stages"][0]["foreignKeys"][0]["orphan"] = json!("Delete");
    migration.data["spec"]["executions"] = json!({"lockTimeout": "1s"});
    let applied = serde_json::to_string(&migration).unwrap();
    let annotation = ("kubectl.kubernetes.io/last-applied-configuration".to_owned(), applied.clone());
    migration.metadata.annotations = Some([annotation].into());
    let stored = cluster.api("SchemaMigration").create(&PostParams::default(), &migration).await.unwrap();
    let found = unknown_fields(&applied, &serde_json::to_value(stored).unwrap()).unwrap();
    assert_eq!(found, ["spec.executions", "spec.stages[0].foreignKeys[0].orphan"]);
}

#[tokio::test]
async fn server_side_apply_and_strict_validation_refuse_a_misspelt_field_by_name() {
    let cluster = Cluster::new(Policies::None).await;
    let mut migration = object(&manifest("good/minimal.yaml"));
    migration.data["spec"]["quarantin"] = json!({});
    for parameters in [PatchParams::apply(MANAGER), PatchParams::apply(MANAGER).validation_strict()] {
        let status =
            refusal(cluster.api("SchemaMigration").patch("minimal", &parameters, &Patch::Apply(&migration)).await);
        assert!(status.message.contains("quarantin"), "{}", status.message);
    }
}

#[tokio::test]
async fn appliers_own_list_elements_by_name() {
    let cluster = Cluster::new(Policies::None).await;
    let api = cluster.api("SchemaMigration");
    api.patch("minimal", &PatchParams::apply(MANAGER), &Patch::Apply(&object(&manifest("good/minimal.yaml"))))
        .await
        .unwrap();
    let other = json!({
        "apiVersion": "holdfast.dev/v1alpha1",
        "kind": "SchemaMigration",
        "spec": {"stages": [{"name": "more", "foreignKeys": [
            {"name": "k", "table": "a", "columns": ["b"], "references": {"table": "c", "columns": ["d"]}, "onDelete": "Restrict"}
        ]}]},
    });
    let stored = api.patch("minimal", &PatchParams::apply("another-applier"), &Patch::Apply(&other)).await.unwrap();
    let names: Vec<_> = stored.data["spec"]["stages"].as_array().unwrap().iter().map(|stage| &stage["name"]).collect();
    assert_eq!(names, [&json!("users"), &json!("more")]);
}
