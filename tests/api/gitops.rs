//! The repository layout of `deploy/gitops/repository`, built by kubectl: every overlay is what the API server and lint take, they roll out the same
//! content, and differ in nothing that they should not. Its script for CI finds what is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

use holdfast::api::SchemaMigration;
use holdfast::api::digest::{content_digest, of_json};
use k8s_openapi::api::core::v1::PodTemplate;
use serde::Deserialize as _;
use serde_json::Value;

use crate::cluster::{Cluster, Policies, root, with_input};

const ENVIRONMENTS: [&str; 3] = ["dev", "staging", "production"];

fn repository() -> PathBuf {
    root().join("deploy/gitops/repository")
}

fn built(folder: &Path) -> Vec<Value> {
    let text = with_input("kubectl", &["kustomize", folder.to_str().unwrap()], "").unwrap();
    serde_yaml::Deserializer::from_str(&text).map(|each| Value::deserialize(each).unwrap()).collect()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|each| each["kind"] == kind).collect()
}

fn migration(objects: &[Value]) -> SchemaMigration {
    let found = of_kind(objects, "SchemaMigration");
    assert_eq!(found.len(), 1);
    serde_json::from_value(found[0].clone()).unwrap()
}

/// What the operator computes.
fn content(objects: &[Value]) -> String {
    let templates = of_kind(objects, "PodTemplate").into_iter().map(|object| {
        let template: PodTemplate = serde_json::from_value(object.clone()).unwrap();
        (template.metadata.name.unwrap(), of_json(&template.template).unwrap())
    });
    content_digest(&migration(objects).spec, &templates.collect::<BTreeMap<_, _>>()).unwrap()
}

/// The paths in which two values differ.
fn differences(one: &Value, other: &Value, path: &str, found: &mut BTreeSet<String>) {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) => {
            for name in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                differences(&one[name.as_str()], &other[name.as_str()], &format!("{path}.{name}"), found);
            }
        }
        _ if one != other => drop(found.insert(path.trim_start_matches('.').to_owned())),
        _ => {}
    }
}

#[test]
fn overlays_roll_out_the_same_content_and_differ_in_host_gates_soak_and_promotion_only() {
    let overlays: Vec<Vec<Value>> =
        ENVIRONMENTS.iter().map(|name| built(&repository().join("overlays").join(name))).collect();
    let digests: BTreeSet<String> = overlays.iter().map(|objects| content(objects)).collect();
    assert_eq!(digests.len(), 1, "{digests:?}");
    let specs: Vec<Value> =
        overlays.iter().map(|objects| serde_json::to_value(migration(objects).spec).unwrap()).collect();
    let mut found = BTreeSet::new();
    for spec in &specs[1..] {
        differences(&specs[0], spec, "", &mut found);
    }
    let allowed = ["database.host", "gates", "soak.", "promotion."];
    let forbidden: Vec<_> =
        found.iter().filter(|path| !allowed.iter().any(|prefix| path.starts_with(prefix))).collect();
    assert!(forbidden.is_empty(), "{forbidden:?}");
    assert!(found.contains("database.host") && found.contains("gates"), "{found:?}");
    // Each asks the one before it, and the last one is asked by none.
    for (at, spec) in specs.iter().enumerate() {
        assert_eq!(spec["promotion"]["environment"], ENVIRONMENTS[at]);
        let asked: Vec<&Value> = spec["promotion"]["requires"].as_array().into_iter().flatten().collect();
        assert_eq!(asked.len(), usize::from(at > 0));
        assert_eq!(spec["promotion"]["signingKeySecretRef"].is_null(), at == 2);
        if let Some(required) = asked.first() {
            assert_eq!(required["environment"], ENVIRONMENTS[at - 1]);
            for (kind, reference) in
                [("Secret", &required["publicKeySecretRef"]), ("ConfigMap", &required["evidence"]["configMapRef"])]
            {
                let objects = of_kind(&overlays[at], kind);
                let named = objects.iter().find(|object| object["metadata"]["name"] == reference["name"]).unwrap();
                let key = reference["key"].as_str().unwrap();
                let there = ["data", "stringData"].iter().any(|data| named[data].get(key).is_some());
                assert!(there, "{kind} {reference}: {named}");
            }
        }
    }
}

#[tokio::test]
async fn the_api_server_takes_every_overlay() {
    let _definitions = Cluster::new(Policies::None).await;
    for name in ENVIRONMENTS {
        let namespace = format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: shop-{name}}}}}");
        with_input("kubectl", &["apply", "--server-side", "--filename", "-"], &namespace).unwrap();
        let text =
            with_input("kubectl", &["kustomize", repository().join("overlays").join(name).to_str().unwrap()], "");
        let apply = [
            "apply",
            "--server-side",
            "--dry-run=server",
            "--validate=strict",
            "--field-manager",
            "holdfast-api-tests-gitops",
        ];
        with_input("kubectl", &[&apply[..], &["--filename", "-"]].concat(), &text.unwrap()).unwrap();
    }
}

/// Runs the script of a copy of the repository, with the plugin on the PATH.
fn lint(copy: &Path) -> Output {
    let plugin = Path::new(env!("CARGO_BIN_EXE_kubectl-holdfast")).parent().unwrap();
    let path = format!("{}:{}", plugin.display(), env::var("PATH").unwrap());
    Command::new(copy.join("ci/lint.sh")).env("PATH", path).output().unwrap()
}

#[test]
fn the_script_for_ci_lints_every_overlay_and_fails_where_one_is_wrong() {
    let copy = env::temp_dir().join(format!("holdfast-repository-{:08x}", fastrand::u32(..)));
    let copied = Command::new("cp").args(["-r", repository().to_str().unwrap(), copy.to_str().unwrap()]).status();
    assert!(copied.unwrap().success());
    let good = lint(&copy);
    let out = String::from_utf8(good.stdout).unwrap();
    assert!(good.status.success(), "{out}{}", String::from_utf8_lossy(&good.stderr));
    assert_eq!(out.matches("1 object in 1 file: nothing found").count(), 3, "{out}");
    let patch = copy.join("overlays/staging/environment.yaml");
    fs::write(&patch, fs::read_to_string(&patch).unwrap().replace("environment: dev", "environment: staging")).unwrap();
    let bad = lint(&copy);
    let out = String::from_utf8(bad.stdout).unwrap();
    assert_eq!(bad.status.code(), Some(1), "{out}");
    assert!(out.contains("an environment cannot show evidence to itself"), "{out}");
    fs::remove_dir_all(&copy).unwrap();
}

#[test]
fn the_recipes_are_yaml_and_run_the_scripts_that_are_there() {
    for recipe in ["github-actions.yaml", "gitlab-ci.yaml"] {
        let text = fs::read_to_string(repository().join("ci").join(recipe)).unwrap();
        let _: Value = serde_yaml::from_str(&text).unwrap();
        for script in ["ci/lint.sh", "ci/plan.sh"] {
            assert!(text.contains(script) && repository().join(script).exists(), "{recipe}: {script}");
        }
    }
}
