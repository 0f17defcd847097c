//! No password appears anywhere but in its Secret: not in an object's status or manifest, not in an event, not in a log.

use serde_json::Value;

use super::harness::Outcome;
use super::harness::kubectl::{Kubectl, run};
use super::harness::operator;

/// Whatever could carry one. Events are read from both of their APIs.
const KINDS: &str = "schemamigrations,migrationapprovals,jobs,pods,configmaps,events,events.events.k8s.io,podtemplates";

/// The keys whose values are secret.
const KEYS: [&str; 2] = ["password", "secretAccessKey"];

/// Looks for the value of each of these keys in the namespace's Secrets, as it is and in base64.
pub(crate) fn check(kubectl: &Kubectl) -> Outcome<()> {
    let secrets = passwords(kubectl)?;
    assert!(!secrets.is_empty(), "no Secret has a password, so nothing would be found");
    let mut places = vec![
        ("the namespace's objects".to_owned(), kubectl.run(&["get", KINDS, "--output", "yaml"])?),
        ("the operator's objects".to_owned(), objects_of_the_operator()?),
    ];
    for pod in lines(&run("kubectl", &["--namespace", operator::NAMESPACE, "get", "pods", "--output", "name"], None)?) {
        // A pod that is being replaced meanwhile has no log any more.
        if let Ok(log) = run("kubectl", &["--namespace", operator::NAMESPACE, "logs", &pod, "--tail=-1"], None) {
            places.push((format!("the log of the operator's {pod}"), log));
        }
    }
    for pod in
        lines(&kubectl.run(&["get", "pods", "--selector", "batch.kubernetes.io/job-name", "--output", "name"])?)
    {
        if let Ok(log) = kubectl.run(&["logs", &pod, "--all-containers", "--tail=-1"]) {
            places.push((format!("the log of {pod}"), log));
        }
    }
    for (place, text) in &places {
        for (secret, plain, encoded) in &secrets {
            assert!(!text.contains(plain), "{place}: the password of the Secret {secret} is in it");
            assert!(!text.contains(encoded), "{place}: the password of the Secret {secret} is in it, in base64");
        }
    }
    Ok(())
}

/// Name of the Secret, its password, and the same in base64.
fn passwords(kubectl: &Kubectl) -> Outcome<Vec<(String, String, String)>> {
    let text = kubectl.run(&["get", "secrets", "--output", "json"])?;
    let list: Value = serde_json::from_str(&text).map_err(|error| format!("reading the Secrets: {error}"))?;
    let mut found = Vec::new();
    for secret in list["items"].as_array().into_iter().flatten() {
        let name = secret["metadata"]["name"].as_str().unwrap_or_default();
        for encoded in KEYS.iter().filter_map(|key| secret["data"][key].as_str()) {
            let plain = run("base64", &["--decode"], Some(encoded))?;
            found.push((name.to_owned(), plain, encoded.trim_end_matches('=').to_owned()));
        }
    }
    Ok(found)
}

fn objects_of_the_operator() -> Outcome<String> {
    run(
        "kubectl",
        &["--namespace", operator::NAMESPACE, "get", "pods,deployments,events,leases", "--output", "yaml"],
        None,
    )
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}
