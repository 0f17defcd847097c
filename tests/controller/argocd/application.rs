//! An Application as Argo CD's own controller reports it.

use std::time::Duration;

use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::time::Instant;

/// Longest wait for an Application to come somewhere.
const LIMIT: Duration = Duration::from_secs(180);
const INTERVAL: Duration = Duration::from_millis(200);

/// Asks for a comparison, and is taken away once that is made.
const REFRESH: &str = "argocd.argoproj.io/refresh";

/// An object of Argo CD in its own namespace.
pub(crate) fn objects(client: &Client, kind: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("argoproj.io", "v1alpha1", kind);
    Api::namespaced_with(client.clone(), "argocd", &ApiResource::from_gvk(&kind))
}

/// An Application.
pub(crate) struct Application {
    api: Api<DynamicObject>,
    name: String,
}

/// What Argo CD says of an Application: health, comparison with Git, and the phase of the last operation.
pub(crate) type Standing = (&'static str, &'static str, &'static str);

impl Application {
    pub(crate) fn new(client: &Client, name: &str) -> Self {
        Self { api: objects(client, "Application"), name: name.to_owned() }
    }

    pub(crate) async fn read(&self) -> Value {
        serde_json::to_value(self.api.get(&self.name).await.unwrap()).unwrap()
    }

    pub(crate) async fn patch(&self, change: Value) {
        self.api.patch(&self.name, &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    }

    /// Waits until the Application is so, and returns it.
    pub(crate) async fn wait(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let seen = self.read().await;
            if is_so(&seen) {
                return seen;
            }
            assert!(
                begun.elapsed() < LIMIT,
                "waited {LIMIT:?} for {} to be {what}, last seen: {}",
                self.name,
                told(&seen)
            );
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Waits until Argo CD has compared the cluster with this revision, which it is told of as a webhook would.
    pub(crate) async fn sees(&self, revision: &str) -> Value {
        self.patch(json!({"metadata": {"annotations": {REFRESH: "normal"}}})).await;
        self.wait(&format!("compared with {revision}"), |seen| {
            seen["metadata"]["annotations"][REFRESH].is_null() && seen["status"]["sync"]["revision"] == revision
        })
        .await
    }

    /// Waits until it stands so.
    pub(crate) async fn stands(&self, standing: Standing) -> Value {
        self.wait(&format!("{standing:?}"), |seen| self::standing(seen) == standing).await
    }

    /// Waits until it has compared the cluster with this revision, and stands so.
    pub(crate) async fn stands_at(&self, revision: &str, standing: Standing) -> Value {
        self.sees(revision).await;
        self.stands(standing).await
    }

    /// Ends the running operation, as `argocd app terminate-op` does.
    pub(crate) async fn terminate(&self) {
        self.patch(json!({"status": {"operationState": {"phase": "Terminating"}}})).await;
    }
}

/// How an Application stands.
fn standing(seen: &Value) -> (&str, &str, &str) {
    let status = &seen["status"];
    (text(&status["health"]["status"]), text(&status["sync"]["status"]), text(&status["operationState"]["phase"]))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The revision of the last operation.
pub(crate) fn synced_to(seen: &Value) -> &str {
    text(&seen["status"]["operationState"]["syncResult"]["revision"])
}

/// What Argo CD says of the last operation.
pub(crate) fn operation(seen: &Value) -> &str {
    text(&seen["status"]["operationState"]["message"])
}

/// What the last operation did with the object of a kind.
pub(crate) fn result(seen: &Value, kind: &str) -> Value {
    let resources = seen["status"]["operationState"]["syncResult"]["resources"].as_array();
    resources.and_then(|all| all.iter().find(|each| each["kind"] == kind)).cloned().unwrap_or_default()
}

/// What Argo CD thinks of the object of a kind.
pub(crate) fn resource(seen: &Value, kind: &str) -> Value {
    let resources = seen["status"]["resources"].as_array();
    resources.and_then(|all| all.iter().find(|each| each["kind"] == kind)).cloned().unwrap_or_default()
}

/// What it complains about.
pub(crate) fn conditions(seen: &Value) -> String {
    seen["status"]["conditions"].to_string()
}

/// All of it, for messages.
fn told(seen: &Value) -> String {
    format!(
        "{:?}, operation {:?} to {}, resources {}, conditions {}",
        standing(seen),
        operation(seen),
        synced_to(seen),
        seen["status"]["resources"],
        conditions(seen)
    )
}
