//! The charts on a real API server: what they render for several values is accepted by it field for field, values that mean nothing are
//! refused by name, the kustomizations are the same, and an upgrade, a rollback and an uninstallation leave definitions and migrations alone.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use holdfast::api::crd;
use kube::ResourceExt as _;
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Policies, administrator, helm, root, with_input};

/// Kinds of the Prometheus operator, which an API server without it does not know; `metrics.rs` checks them against its types.
const OF_OTHERS: &str = "monitoring.coreos.com/";

fn chart() -> String {
    root().join("charts/holdfast").to_str().unwrap().to_owned()
}

/// Runs helm, and returns what it says about a refusal.
fn refused(arguments: &[&str]) -> String {
    let output = Command::new("helm").args(arguments).env("KUBECONFIG", administrator()).output().unwrap();
    assert!(!output.status.success(), "helm {arguments:?} was expected to refuse");
    String::from_utf8(output.stderr).unwrap()
}

fn kubectl(arguments: &[&str], input: &str) -> String {
    with_input("kubectl", arguments, input).unwrap_or_else(|error| panic!("kubectl {arguments:?}: {error}"))
}

fn documents(text: &str) -> Vec<Value> {
    let all = serde_yaml::Deserializer::from_str(text).map(|each| Value::deserialize(each).unwrap());
    all.filter(|each| !each.is_null()).collect()
}

/// As JSON, whose texts no reader takes for anything else.
fn list(documents: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": documents}).to_string()
}

fn joined(documents: &[Value]) -> String {
    documents.iter().map(|each| format!("---\n{}", serde_yaml::to_string(each).unwrap())).collect()
}

#[tokio::test]
async fn the_api_server_takes_every_rendered_manifest_field_for_field() {
    let cluster = Cluster::new(Policies::None).await;
    for namespace in ["holdfast-test-first", "holdfast-test-second"] {
        let object = format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}");
        kubectl(&["apply", "--server-side", "--filename", "-"], &object);
    }
    let folder = root().join("tests/api/values");
    let mut files: Vec<Option<String>> =
        fs::read_dir(&folder).unwrap().map(|entry| Some(entry.unwrap().path().to_str().unwrap().to_owned())).collect();
    files.push(None);
    assert!(files.len() >= 4, "{files:?}");
    let mut kinds = BTreeSet::new();
    for file in files {
        let chart = chart();
        let mut arguments = vec!["template", "holdfast", &chart, "--namespace", &cluster.namespace];
        if let Some(file) = &file {
            arguments.extend(["--values", file]);
        }
        let all = documents(&helm(&arguments));
        let (others, ours): (Vec<Value>, Vec<Value>) =
            all.into_iter().partition(|each| each["apiVersion"].as_str().unwrap().starts_with(OF_OTHERS));
        kinds.extend(ours.iter().chain(&others).map(|each| each["kind"].as_str().unwrap().to_owned()));
        let manager = "holdfast-api-tests-charts";
        let arguments = [
            "apply",
            "--server-side",
            "--dry-run=server",
            "--validate=strict",
            "--field-manager",
            manager,
            "--filename",
            "-",
        ];
        let told = kubectl(&arguments, &list(&ours));
        assert_eq!(told.lines().count(), ours.len(), "{file:?}: {told}");
    }
    let wanted = [
        "ClusterRole",
        "ClusterRoleBinding",
        "Deployment",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "PrometheusRule",
        "Role",
        "RoleBinding",
        "Service",
        "ServiceAccount",
        "ServiceMonitor",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    ];
    assert_eq!(kinds, wanted.map(str::to_owned).into());
}

#[test]
fn named_namespaces_give_no_right_in_the_cluster() {
    let all = documents(&helm(&["template", "holdfast", &chart(), "--set", "watchNamespaces={a,b}"]));
    let of_cluster: Vec<&Value> = all.iter().filter(|each| each["kind"] == "ClusterRole").collect();
    let names: Vec<_> = of_cluster.iter().map(|each| each["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["holdfast-policies"], "the operator's own admission policies, by name");
    for rule in of_cluster[0]["rules"].as_array().unwrap() {
        assert_eq!(rule["verbs"], json!(["get"]));
        assert_eq!(rule["resourceNames"].as_array().unwrap().len(), 4);
    }
    let roles = all.iter().filter(|each| each["kind"] == "Role");
    let namespaces: BTreeSet<_> = roles.map(|each| each["metadata"]["namespace"].as_str().unwrap()).collect();
    assert_eq!(namespaces, ["a", "b", "default"].into(), "one beside the Lease in each");
}

#[test]
fn values_that_mean_nothing_are_refused_by_name() {
    for (value, named) in [
        ("replica=2", "replica"),
        ("replicas=0", "replicas"),
        ("watchNamespaces={Shop}", "watchNamespaces"),
        ("requiredGates={Cleanup}", "requiredGates"),
        ("logLevel=debgu", "logLevel"),
        ("logLevel=info\\,kube=loud", "logLevel"),
        ("metrics.rules.blockedFor=soon", "blockedFor"),
        ("metrics.rules.stuckAfterSeconds=0", "stuckAfterSeconds"),
        ("networkPolicy.databasePorts={0}", "databasePorts"),
        ("image.repository=", "repository"),
        ("admissionPolicies.enable=true", "enable"),
    ] {
        let told = refused(&["template", "holdfast", &chart(), "--set", value]);
        assert!(told.contains(named), "{value}: {told}");
    }
}

/// What a kustomization is made of: its folder, the chart's values, and which of the objects.
type Kustomization = (&'static str, &'static [&'static str], fn(&Value) -> bool);

const KUSTOMIZATIONS: [Kustomization; 4] = [
    ("operator", &[], |_| true),
    ("operator-for-namespaces", &["watchNamespaces={shop}"], |_| true),
    ("monitoring", &["metrics.serviceMonitor.enabled=true", "metrics.rules.enabled=true"], |each| {
        each["apiVersion"].as_str().is_some_and(|version| version.starts_with(OF_OTHERS))
    }),
    ("network-policy", &["networkPolicy.enabled=true"], |each| each["kind"] == "NetworkPolicy"),
];

#[test]
fn the_kustomizations_are_what_the_chart_renders() {
    for (folder, values, wanted) in KUSTOMIZATIONS {
        let chart = chart();
        let mut arguments = vec!["template", "holdfast", chart.as_str(), "--namespace", "holdfast-system"];
        values.iter().for_each(|value| arguments.extend(["--set", value]));
        let all: Vec<Value> = documents(&helm(&arguments)).into_iter().filter(wanted).collect();
        let text = format!(
            "# Made from charts/holdfast by tests/api/charts.rs (HOLDFAST_UPDATE=1); change the chart.\n{}",
            joined(&all)
        );
        let path = root().join("deploy/kustomize").join(folder).join("manifests.yaml");
        if std::env::var_os("HOLDFAST_UPDATE").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let stored = fs::read_to_string(&path).unwrap();
        assert!(stored == text, "{} is not current: run this test with HOLDFAST_UPDATE=1", path.display());
    }
}

#[tokio::test]
async fn the_kustomizations_build_and_are_taken_and_name_one_image() {
    let _definitions = Cluster::new(Policies::None).await;
    for (folder, ..) in KUSTOMIZATIONS {
        let path = root().join("deploy/kustomize").join(folder);
        let built = documents(&kubectl(&["kustomize", path.to_str().unwrap()], ""));
        let namespaces: Vec<&Value> = built.iter().filter(|each| each["kind"] == "Namespace").collect();
        let rest: Vec<Value> = built
            .iter()
            .filter(|each| each["kind"] != "Namespace" && !each["apiVersion"].as_str().unwrap().starts_with(OF_OTHERS))
            .cloned()
            .collect();
        for namespace in
            namespaces.iter().map(|each| each["metadata"]["name"].as_str().unwrap()).chain(["holdfast-system", "shop"])
        {
            let object = format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}");
            kubectl(&["apply", "--server-side", "--filename", "-"], &object);
        }
        if !rest.is_empty() {
            let arguments = [
                "apply",
                "--server-side",
                "--dry-run=server",
                "--validate=strict",
                "--field-manager",
                "holdfast-api-tests-kustomize",
                "--filename",
                "-",
            ];
            kubectl(&arguments, &list(&rest));
        }
        if let Some(deployment) = rest.iter().find(|each| each["kind"] == "Deployment") {
            let container = &deployment["spec"]["template"]["spec"]["containers"][0];
            let variable =
                container["env"].as_array().unwrap().iter().find(|each| each["name"] == "OPERATOR_IMAGE").unwrap();
            assert_eq!(container["image"], variable["value"], "the backup Job takes the operator out of its own image");
        }
    }
    let definitions = documents(&kubectl(&["kustomize", root().join("crds").to_str().unwrap()], ""));
    assert_eq!(definitions.len(), crd::definitions().unwrap().len());
}

#[tokio::test]
async fn upgrade_rollback_and_uninstallation_leave_definitions_and_migrations_alone() {
    let cluster = Cluster::new(Policies::None).await;
    let before = cluster.create("good/minimal.yaml").await;
    let (namespace, chart) = (cluster.namespace.as_str(), chart());
    let release = format!("r-{namespace}");
    // The policies hold for the whole cluster, in which other tests run.
    let common = ["--namespace", namespace, "--set", "admissionPolicies.enabled=false"];
    let upgrade = |more: &[&str]| {
        helm(&[&["upgrade", "--install", release.as_str(), chart.as_str()], &common[..], more].concat());
    };
    let replicas = || {
        let arguments =
            ["get", "deployments", "--namespace", namespace, "--output", "jsonpath={.items[*].spec.replicas}"];
        kubectl(&arguments, "")
    };
    let there = || {
        let arguments = [
            "get",
            "deployments,services,poddisruptionbudgets,roles,rolebindings,serviceaccounts,networkpolicies",
            "--namespace",
            namespace,
            "--selector",
            &format!("app.kubernetes.io/instance={release}"),
            "--output",
            "name",
        ];
        kubectl(&arguments, "").lines().count()
    };
    upgrade(&[]);
    assert_eq!((replicas().as_str(), there()), ("2", 6));
    upgrade(&[
        "--set",
        "replicas=3",
        "--set",
        "networkPolicy.enabled=true",
        "--set",
        &format!("watchNamespaces={{{namespace}}}"),
    ]);
    assert_eq!((replicas().as_str(), there()), ("3", 9));
    helm(&["rollback", &release, "1", "--namespace", namespace]);
    assert_eq!((replicas().as_str(), there()), ("2", 6), "what the second revision added is gone again");
    helm(&["uninstall", &release, "--namespace", namespace]);
    assert_eq!(there(), 0);
    // The definitions have a chart of their own, whose uninstallation keeps them and what is theirs.
    helm(&["uninstall", "holdfast-crds", "--namespace", "holdfast-system"]);
    let after = cluster.api("SchemaMigration").get("minimal").await.unwrap();
    assert_eq!((after.uid(), after.metadata.deletion_timestamp), (before.uid(), None));
    for definition in crd::definitions().unwrap() {
        kubectl(&["get", "customresourcedefinition", &definition.name_any()], "");
    }
    // And it takes them over again.
    let crds = root().join("charts/holdfast-crds");
    helm(&["upgrade", "--install", "holdfast-crds", crds.to_str().unwrap(), "--namespace", "holdfast-system"]);
    assert_eq!(cluster.api("SchemaMigration").get("minimal").await.unwrap().uid(), before.uid());
}
