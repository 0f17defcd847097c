//! One SchemaMigration as a user sees it: its status read, its gates approved.

use std::time::Duration;

use serde_json::{Value, json};

use super::kubectl::Kubectl;
use super::{Outcome, wait};

/// A migration in a namespace.
#[derive(Debug, Clone)]
pub struct Migration {
    pub kubectl: Kubectl,
    pub name: String,
}

impl Migration {
    pub fn new(kubectl: &Kubectl, name: &str) -> Self {
        Self { kubectl: kubectl.clone(), name: name.to_owned() }
    }

    /// The object as it stands.
    pub fn read(&self) -> Outcome<Value> {
        self.kubectl.get("schemamigration", &self.name)?.ok_or_else(|| format!("SchemaMigration {} is gone", self.name))
    }

    /// Waits until one of the conditions has the status `True`, and returns the object.
    pub fn wait_for(&self, condition_type: &str, limit: Duration) -> Outcome<Value> {
        wait::until(&format!("condition {condition_type} of {}", self.name), limit, || {
            let object = self.read()?;
            if status_of(&object, condition_type) == Some("True") { Ok(Ok(object)) } else { Ok(Err(summary(&object))) }
        })
    }

    /// Waits until a gate is what the migration waits for.
    pub fn wait_for_gate(&self, limit: Duration) -> Outcome<Value> {
        wait::until(&format!("a gate of {} to wait for its approval", self.name), limit, || {
            let object = self.read()?;
            if status_of(&object, "Finished") == Some("True") {
                return Err(format!("{} ended before its gate: {}", self.name, summary(&object)));
            }
            if waiting_gates(&object).is_empty() { Ok(Err(summary(&object))) } else { Ok(Ok(object)) }
        })
    }

    /// Approves one phase as the user of the current context, and returns the manifest that was applied.
    pub fn approve(&self, phase: &str, digest: &str, max_rows: u64, reason: &str) -> Outcome<String> {
        let user = self.kubectl.run(&["auth", "whoami", "--output", "jsonpath={.status.userInfo.username}"])?;
        let approval = json!({
            "apiVersion": "holdfast.dev/v1alpha1",
            "kind": "MigrationApproval",
            "metadata": {"name": format!("{}-{}", self.name, phase.to_lowercase())},
            "spec": {
                "migrationRef": {"name": self.name},
                "before": {"phase": phase},
                "decision": "Approve",
                "planDigest": digest,
                "maxRows": max_rows,
                "approvedBy": user.trim(),
                "reason": reason,
            }
        });
        let manifest = serde_yaml::to_string(&approval).map_err(|error| error.to_string())?;
        self.kubectl.apply(&manifest)?;
        Ok(manifest)
    }
}

/// The status (`True`, `False`, `Unknown`) of a condition.
pub fn status_of<'a>(object: &'a Value, condition_type: &str) -> Option<&'a str> {
    condition(object, condition_type)?["status"].as_str()
}

/// A condition by its type.
pub fn condition<'a>(object: &'a Value, condition_type: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == condition_type)
}

/// The phases whose gate is not yet open although the rollout has come to it.
pub fn waiting_gates(object: &Value) -> Vec<String> {
    if condition(object, "Approved").is_none_or(|approved| approved["reason"] != "ApprovalPending") {
        return Vec::new();
    }
    let gates = object["status"]["gates"].as_array().cloned().unwrap_or_default();
    gates
        .iter()
        .filter(|gate| gate["state"] == "Closed" && gate["reason"] == "ApprovalPending")
        .filter_map(|gate| gate["before"]["phase"].as_str().map(str::to_owned))
        .collect()
}

/// Phase, ready reason and message in one line, for errors.
pub fn summary(object: &Value) -> String {
    let status = &object["status"];
    let ready = condition(object, "Ready");
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or("-").to_owned();
    format!(
        "phase {}, Ready reason {}: {}",
        text(status.get("phase")),
        text(ready.and_then(|condition| condition.get("reason"))),
        text(ready.and_then(|condition| condition.get("message"))),
    )
}
