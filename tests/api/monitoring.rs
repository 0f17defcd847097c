//! The alerts, the dashboard and the manifests of the Prometheus operator, read by Prometheus' own programs: alerts fire when they should and
//! are silent when they should not.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::cluster::{root, with_input};
use crate::metrics::{MONITORED, dashboard, documents, rendered, rules};

/// Runs promtool in a folder of its own that holds these files.
fn promtool(arguments: &[&str], files: &[(&str, String)]) {
    let folder = std::env::temp_dir().join(format!("holdfast-alerts-{:08x}", fastrand::u32(..)));
    fs::create_dir(&folder).unwrap();
    for (name, content) in files {
        fs::write(folder.join(name), content).unwrap();
    }
    let output = Command::new("promtool").args(arguments).current_dir(&folder).output();
    fs::remove_dir_all(&folder).unwrap();
    let output = output.unwrap_or_else(|error| {
        panic!("promtool cannot be run: {error}. tests/cluster/api-server.sh run --monitoring -- COMMAND puts it on the PATH")
    });
    let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "promtool {arguments:?}: {}{}", told(&output.stdout), told(&output.stderr));
}

#[test]
#[ignore = "needs promtool, which takes minutes to build: make test-monitoring"]
fn alerts_fire_when_they_should_and_are_silent_when_they_should_not() {
    let rules = serde_yaml::to_string(&rules()).unwrap();
    let tests = fs::read_to_string(root().join("tests/alerts/tests.yaml")).unwrap();
    promtool(&["check", "rules", "--lint=all", "--lint-fatal", "rules.yaml"], &[("rules.yaml", rules.clone())]);
    promtool(&["test", "rules", "tests.yaml"], &[("rules.yaml", rules.clone()), ("tests.yaml", tests.clone())]);
    let tested: Value = serde_yaml::from_str(&tests).unwrap();
    for rule in serde_yaml::from_str::<Value>(&rules).unwrap()["groups"][0]["rules"].as_array().unwrap() {
        let alert = rule["alert"].as_str().unwrap();
        let cases =
            tested["tests"].as_array().unwrap().iter().flat_map(|test| test["alert_rule_test"].as_array().unwrap());
        let (fires, silent): (Vec<_>, Vec<_>) = cases
            .filter(|case| case["alertname"] == alert)
            .partition(|case| case["exp_alerts"].as_array().is_some_and(|alerts| !alerts.is_empty()));
        assert!(!fires.is_empty() && !silent.is_empty(), "{alert} is not tested both ways");
    }
}

#[test]
#[ignore = "needs promtool, which takes minutes to build: make test-monitoring"]
fn queries_of_the_dashboard_are_of_the_language() {
    let (queries, _) = dashboard();
    let rules: Vec<Value> = queries
        .iter()
        .enumerate()
        .map(|(place, (_, query))| json!({"record": format!("panel:{place}"), "expr": query.replace('$', "")}))
        .collect();
    let file = serde_yaml::to_string(&json!({"groups": [{"name": "dashboard", "rules": rules}]})).unwrap();
    promtool(&["check", "rules", "rules.yaml"], &[("rules.yaml", file)]);
}

#[test]
#[ignore = "needs monitoring-check, which takes minutes to build: make test-monitoring"]
fn the_manifests_of_the_prometheus_operator_are_as_its_types_say() {
    let all = documents(&rendered("templates/monitoring.yaml", &MONITORED));
    let of_monitoring: Vec<String> = all
        .iter()
        .filter(|each| each["apiVersion"] == "monitoring.coreos.com/v1")
        .map(|each| serde_yaml::to_string(each).unwrap())
        .collect();
    assert_eq!(of_monitoring.len(), 2);
    let told = with_input("monitoring-check", &[], &of_monitoring.join("---\n")).unwrap();
    assert_eq!(told.trim(), "2 manifests are as the Prometheus operator's types say");
    let misspelt = of_monitoring.join("---\n").replace("honorLabels", "honourLabels");
    assert!(with_input("monitoring-check", &[], &misspelt).unwrap_err().contains("honourLabels"));
}
