//! Migrations under Flux, by Flux's own library for applying, waiting and pruning (`tests/cluster/go/flux`): what a Kustomization would show
//! while a migration goes on, waits, ends well or badly, and that nothing that Git says takes a key away again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::node::Node;
use crate::operator::Operator;
use crate::place::{Place, condition};
use crate::server::eventually;

/// A Kustomization: a folder of Git, applied again and again.
struct Kustomization<'a> {
    place: &'a Place,
    name: &'static str,
    folder: PathBuf,
}

impl<'a> Kustomization<'a> {
    fn new(place: &'a Place, name: &'static str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("flux-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self { place, name, folder }
    }

    /// What a commit puts into the folder, in place of what was there.
    fn commit(&self, objects: &[Value]) {
        let text: String =
            objects.iter().map(|object| format!("---\n{}", serde_yaml::to_string(object).unwrap())).collect();
        fs::write(self.folder.join("all.yaml"), text).unwrap();
    }

    /// Applies the folder and waits as long; the exit status is whether the Kustomization would be ready.
    fn reconcile(&self, timeout: &str) -> Output {
        Command::new("flux-apply")
            .args(["--name", self.name, "--namespace", &self.place.namespace, "--timeout", timeout])
            .arg("--inventory")
            .arg(self.folder.join("inventory.json"))
            .arg(self.folder.join("all.yaml"))
            .env("KUBECONFIG", std::env::var("HOLDFAST_TEST_KUBECONFIG").unwrap())
            .output()
            .unwrap_or_else(|error| {
                panic!(
                    "flux-apply cannot be run: {error}; tests/cluster/api-server.sh run --gitops -- COMMAND puts it on the PATH"
                )
            })
    }
}

impl Drop for Kustomization<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn migration(place: &Place, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "holdfast.dev/v1alpha1", "kind": "SchemaMigration",
        "metadata": {"name": name, "namespace": place.namespace}, "spec": spec})
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs flux-apply: make test-gitops"]
async fn a_kustomization_is_ready_once_its_migration_is_complete_and_pruning_takes_no_key_away() {
    let place = Place::new().await;
    let _node = Node::start(&place.client, &place.namespace);
    let operator = Operator::start(&[&place.namespace]).await;
    let schema = "holdfast_flux";
    place.schema(schema).await;
    let mut spec = place.specification(schema);
    spec["gates"] = json!([{"before": {"phase": "CleanUp"}, "approval": "Required"}]);
    let rollout = Kustomization::new(&place, "rollout");

    // It waits for a person: not ready, and not failed either.
    rollout.commit(&[migration(&place, "rollout", &spec)]);
    let waiting = rollout.reconcile("20s");
    assert_eq!(waiting.status.code(), Some(1), "{}", said(&waiting));
    assert!(
        said(&waiting).contains("timeout waiting for") && said(&waiting).contains("InProgress"),
        "{}",
        said(&waiting)
    );
    place.wait_for_reason("rollout", "ApprovalPending").await;

    // An approval from elsewhere lets it go on, while Flux applies the same commit again.
    place.decide("rollout", json!({"phase": "CleanUp"}), "Approve").await;
    let ready = rollout.reconcile("120s");
    assert!(ready.status.success(), "{}", said(&ready));
    assert!(said(&ready).contains("unchanged"), "applied again, the object was changed: {}", said(&ready));
    assert_eq!(condition(&place.read("rollout").await, "Ready")["reason"], "Complete");
    assert_eq!(place.keys(schema).await, "2");

    // What steers by an annotation is not Git's, and stays.
    place.patch("rollout", json!({"metadata": {"annotations": {"holdfast.dev/retry-at": "1"}}})).await;
    let again = rollout.reconcile("30s");
    assert!(again.status.success(), "{}", said(&again));
    assert_eq!(place.read("rollout").await["metadata"]["annotations"]["holdfast.dev/retry-at"], "1");

    // A revert in Git deletes the object, and nothing of the schema.
    rollout.commit(&[
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept", "namespace": place.namespace}}),
    ]);
    let pruned = rollout.reconcile("30s");
    assert!(pruned.status.success() && said(&pruned).contains("deleted"), "{}", said(&pruned));
    eventually("the migration to be gone", async || {
        let left = place.migrations().get_opt("rollout").await.unwrap();
        left.map_or(Ok(()), |left| Err(format!("{:?}", left.metadata.finalizers)))
    })
    .await;
    assert_eq!(place.keys(schema).await, "2");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs flux-apply: make test-gitops"]
async fn what_fails_is_told_at_once_and_what_depends_on_it_is_not_applied() {
    let place = Place::new().await;
    let _node = Node::start(&place.client, &place.namespace);
    let operator = Operator::start(&[&place.namespace]).await;
    let schema = "holdfast_flux_failed";
    place.schema(schema).await;
    place.pod_template("failing", Some("the application does not start")).await;
    let mut spec = place.specification(schema);
    spec["tests"] = json!({"probes": "None", "jobs": [{"name": "app", "podTemplateRef": {"name": "failing"}}]});
    let rollout = Kustomization::new(&place, "rollout-that-fails");
    let application = Kustomization::new(&place, "application");
    application.commit(&[json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "application", "namespace": place.namespace}})]);

    rollout.commit(&[migration(&place, "rollout", &spec)]);
    let failed = rollout.reconcile("240s");
    assert_eq!(failed.status.code(), Some(1), "{}", said(&failed));
    assert!(!said(&failed).contains("timeout waiting for"), "it waited for its limit: {}", said(&failed));
    let end = place.read("rollout").await;
    assert_eq!(condition(&end, "Ready")["reason"], "RollbackSucceeded");
    assert_eq!(place.keys(schema).await, "0");
    // dependsOn: the next Kustomization is reconciled only where this one is ready.
    assert!(!rollout.reconcile("30s").status.success());
    // What Git mends begins anew under another name; then what depends on it may come.
    spec["tests"] = json!({"probes": "Derived"});
    rollout.commit(&[migration(&place, "rollout-2", &spec)]);
    let mended = rollout.reconcile("240s");
    assert!(mended.status.success(), "{}", said(&mended));
    assert!(application.reconcile("30s").status.success());
    assert_eq!(place.keys(schema).await, "2");
    operator.stop().await;
}
