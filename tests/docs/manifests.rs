//! Manifests in the pages pass `kubectl holdfast lint`, and those of Kubernetes have no field that Kubernetes does not know.

use holdfast::cli::lint::look;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PersistentVolumeClaim, PodTemplate, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, Role, RoleBinding};
use serde::Deserialize as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::pages::{Block, pages, root};

#[test]
fn manifests_in_the_pages_pass_lint() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for page in pages() {
        for block in page.blocks().iter().filter(|block| block.language == "yaml") {
            seen += 1;
            wrong.extend(wrong_in(block));
        }
    }
    assert!(seen > 5, "only {seen} blocks of YAML were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn wrong_in(block: &Block) -> Vec<String> {
    let told = |error: String| format!("{}: {error}", block.place());
    let mut wrong = Vec::new();
    for document in serde_yaml::Deserializer::from_str(&block.text) {
        let value = match Value::deserialize(document) {
            Ok(value) => value,
            Err(error) => return vec![told(format!("is no YAML: {error}"))],
        };
        if value["apiVersion"].is_null() {
            match whole(&value) {
                Ok(manifest) => wrong.extend(findings(&manifest).into_iter().map(told)),
                Err(error) => wrong.push(told(error)),
            }
        } else if value["apiVersion"].as_str().is_some_and(|version| version.starts_with("holdfast.dev/")) {
            wrong.extend(findings(&with_whole_digests(value)).into_iter().map(told));
        } else if let Err(error) = of_kubernetes(&value) {
            wrong.push(told(error));
        }
    }
    wrong
}

/// A part of a spec, put over one that passes.
fn whole(part: &Value) -> Result<Value, String> {
    let fields = part.as_object().ok_or("is neither a manifest nor fields of a spec")?;
    let path = root().join("tests/api/manifests/good/minimal.yaml");
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let mut manifest: Value = serde_yaml::from_str(&text).map_err(|error| error.to_string())?;
    let spec = manifest["spec"].as_object_mut().ok_or("minimal.yaml has no spec")?;
    for (name, value) in fields {
        match (spec.get_mut(name), value) {
            // Of a database or a backup a page shows what it speaks of, and the rest is as usual.
            (Some(Value::Object(usual)), Value::Object(shown)) if name == "database" => usual.extend(shown.clone()),
            _ => drop(spec.insert(name.clone(), value.clone())),
        }
    }
    Ok(manifest)
}

/// Pages do not write digests out.
fn with_whole_digests(mut value: Value) -> Value {
    if value["spec"]["planDigest"] == "sha256:..." {
        value["spec"]["planDigest"] = format!("sha256:{}", "0".repeat(64)).into();
    }
    value
}

fn findings(manifest: &Value) -> Vec<String> {
    let text = serde_yaml::to_string(manifest).unwrap();
    let report = look(&text, Timestamp::now());
    assert_eq!(report.objects, 1);
    report
        .findings
        .into_iter()
        .map(|(_, subject, finding)| format!("{subject}: {finding}; {}", finding.way_out))
        .collect()
}

fn of_kubernetes(value: &Value) -> Result<(), String> {
    match value["kind"].as_str().unwrap_or_default() {
        "ClusterRole" => same::<ClusterRole>(value),
        "ConfigMap" => same::<ConfigMap>(value),
        "Deployment" => same::<Deployment>(value),
        "Namespace" => same::<Namespace>(value),
        "PersistentVolumeClaim" => same::<PersistentVolumeClaim>(value),
        "PodTemplate" => same::<PodTemplate>(value),
        "Role" => same::<Role>(value),
        "RoleBinding" => same::<RoleBinding>(value),
        "Secret" => same::<Secret>(value),
        "ServiceAccount" => same::<ServiceAccount>(value),
        "Kustomization" => Ok(()),
        other => Err(format!("{other:?} is no kind that this test knows")),
    }
}

/// Read as what it is and written again, it has every field that it had.
fn same<K: DeserializeOwned + Serialize>(value: &Value) -> Result<(), String> {
    let read: K = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
    let written = serde_json::to_value(&read).map_err(|error| error.to_string())?;
    lost("", value, &written).map_or(Ok(()), |path| Err(format!("{path} is no field of {}", value["kind"])))
}

/// The first field that one value has and another one lacks.
fn lost(path: &str, one: &Value, other: &Value) -> Option<String> {
    match one {
        Value::Object(map) => in_map(path, map, other),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(at, item)| lost(&format!("{path}[{at}]"), item, &other[at]))
        }
        _ => (other.is_null() && !one.is_null()).then(|| path.to_owned()),
    }
}

fn in_map(path: &str, map: &Map<String, Value>, other: &Value) -> Option<String> {
    map.iter().find_map(|(name, value)| lost(&format!("{path}.{name}"), value, &other[name]))
}

#[test]
fn a_misspelt_field_of_kubernetes_is_noticed() {
    let good = serde_json::json!({"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "a"}, "template": {"spec": {"containers": [{"name": "b", "args": ["c"]}]}}});
    assert_eq!(of_kubernetes(&good), Ok(()));
    let mut bad = good;
    bad["template"]["spec"]["containers"][0]["arguments"] = serde_json::json!(["c"]);
    assert!(of_kubernetes(&bad).unwrap_err().contains(".template.spec.containers[0].arguments"));
}
