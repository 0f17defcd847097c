//! The oldest Kubernetes that the chart states is one that these tests run on: `make test-oldest`.

use std::fs;

use crate::server::{client, root};

fn text(path: &str) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `1.33` of `1.33.13` and the like.
fn minor(version: &str) -> String {
    version.split('.').take(2).collect::<Vec<_>>().join(".")
}

/// What the chart states.
fn stated() -> String {
    let chart: serde_json::Value = serde_yaml::from_str(&text("charts/holdfast/Chart.yaml")).unwrap();
    minor(chart["kubeVersion"].as_str().unwrap().strip_prefix(">=").unwrap())
}

#[test]
fn the_oldest_server_that_is_built_is_the_oldest_that_the_chart_states() {
    let module = text("tests/cluster/go/kubernetes-oldest/go.mod");
    let required = module.lines().find_map(|line| line.trim().strip_prefix("require k8s.io/kubernetes v")).unwrap();
    assert_eq!(minor(required), stated());
}

#[tokio::test]
async fn this_server_is_the_oldest_where_it_was_asked_for() {
    if std::env::var_os("HOLDFAST_TEST_OLDEST").is_some() {
        let server = client(None).await.apiserver_version().await.unwrap();
        assert_eq!(format!("{}.{}", server.major, server.minor), stated());
    }
}
