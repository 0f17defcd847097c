//! `kubectl holdfast diff`, against a real API server: what two migrations do differently, and its exit codes.

use std::fs;

use kube::ResourceExt as _;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::plugin::Scene;

/// Makes another migration like the scene's, changed.
async fn another(scene: &Scene, name: &str, change: impl Fn(&mut Value)) {
    let mut spec = serde_json::to_value(&scene.read().await.spec).unwrap();
    change(&mut spec);
    let object = json!({"apiVersion": "holdfast.dev/v1alpha1", "kind": "SchemaMigration", "metadata": {"name": name}, "spec": spec});
    let object = serde_json::from_value(object).unwrap();
    scene.cluster.api("SchemaMigration").create(&PostParams::default(), &object).await.unwrap();
}

#[tokio::test]
async fn what_differs_in_content_is_a_no_and_what_differs_in_the_environment_is_none() {
    let scene = Scene::new(&[]).await;
    another(&scene, "elsewhere", |spec| spec["database"]["host"] = json!("mysql-staging")).await;
    let (exit, out, err) = scene.run(&["diff", "minimal", "--with", "elsewhere"]).await;
    assert_eq!(exit, 0, "{out}{err}");
    assert!(out.contains("Content: the same fields\n") && out.contains("Environment: 1 difference, which"), "{out}");
    assert!(out.contains("spec.database.host\n    -  mysql\n    +  mysql-staging\n"), "{out}");
    assert!(out.contains("Plans: not compared"), "{out}");

    another(&scene, "other", |spec| spec["stages"][0]["foreignKeys"][0]["onDelete"] = json!("Restrict")).await;
    let (exit, out, err) = scene.run(&["diff", "minimal", "--with", "other"]).await;
    assert_eq!((exit, err.as_str()), (1, ""), "{out}");
    assert!(out.contains(".onDelete\n") && out.contains("    +  Restrict\n"), "{out}");
    let (exit, out, _) = scene.run(&["diff", "minimal", "--with", "other", "--output", "json"]).await;
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((exit, told["content"][0]["there"].as_str()), (1, Some("Restrict")));
}

#[tokio::test]
async fn a_file_is_compared_with_what_is_applied_and_what_cannot_be_compared_is_told() {
    let scene = Scene::new(&[]).await;
    let file = std::env::temp_dir().join(format!("{}.yaml", scene.cluster.namespace));
    let mut migration = serde_json::to_value(scene.read().await).unwrap();
    migration.as_object_mut().unwrap().remove("status");
    fs::write(&file, serde_yaml::to_string(&migration).unwrap()).unwrap();
    let name = scene.read().await.name_any();
    let path = file.to_str().unwrap();
    let (exit, out, err) = scene.run(&["diff", &name, "--file", path]).await;
    assert_eq!(exit, 0, "{out}{err}");
    assert!(out.contains("Environment: the same\n"), "{out}");

    let (exit, _, err) = scene.run(&["diff", &name]).await;
    assert_eq!(exit, 2, "{err}");
    assert!(err.contains("nothing to compare with: name a file with --file"), "{err}");
    let (exit, _, err) = scene.run(&["diff", &name, "--with", "nobody"]).await;
    assert_eq!(exit, 3, "{err}");
    assert!(err.contains("there is no SchemaMigration nobody"), "{err}");
    fs::write(&file, "kind: ConfigMap\n").unwrap();
    let (exit, _, err) = scene.run(&["diff", &name, "--file", path]).await;
    assert_eq!(exit, 3, "{err}");
    assert!(err.contains("it holds 0 SchemaMigrations of the name minimal"), "{err}");
    fs::remove_file(&file).unwrap();
}
