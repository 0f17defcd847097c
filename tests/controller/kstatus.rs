//! What kstatus (Flux, `kpt`, Argo CD's generic health) reads out of every version of real objects, on their way to every end. The
//! page docs/kstatus.md holds the table that is checked here.

use std::fmt::Write as _;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use futures::{StreamExt as _, future};
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, ListParams, WatchEvent, WatchParams};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::task::JoinHandle;

use crate::node::Node;
use crate::operator::Operator;
use crate::place::{Place, condition};
use crate::server::{eventually, root};

/// A kind of object that a rollout passes through.
struct Situation {
    what: &'static str,
    /// `status.phase`; empty: none yet.
    phase: &'static str,
    /// Status and reason of the condition Ready; empty: there is none yet.
    ready: (&'static str, &'static str),
    kstatus: &'static str,
}

const fn at(
    what: &'static str,
    phase: &'static str,
    ready: (&'static str, &'static str),
    kstatus: &'static str,
) -> Situation {
    Situation { what, phase, ready, kstatus }
}

const WORKS: (&str, &str) = ("Unknown", "Progressing");
const PROGRESS: &str = "InProgress";

/// All of them are seen on real objects.
const SITUATIONS: [Situation; 27] = [
    at("not seen by the operator yet", "", ("", ""), PROGRESS),
    at("the server is looked at", "Preflight", WORKS, PROGRESS),
    at("a Secret is missing", "Preflight", ("Unknown", "DependencyNotReady"), PROGRESS),
    at("spec.suspend is true", "Preflight", ("Unknown", "Suspended"), PROGRESS),
    at("the plan is computed", "Plan", WORKS, PROGRESS),
    at("the backup is made", "BackUp", WORKS, PROGRESS),
    at("the rehearsal is skipped", "Rehearse", WORKS, PROGRESS),
    at("orphans and duplicates are counted", "Validate", WORKS, PROGRESS),
    at("an approval is waited for, nothing was changed yet", "Validate", ("Unknown", "ApprovalPending"), PROGRESS),
    at("orphans go to quarantine", "CleanUp", WORKS, PROGRESS),
    at("types are fixed", "FixTypes", WORKS, PROGRESS),
    at("unique constraints are added", "AddUniques", WORKS, PROGRESS),
    at("foreign keys are added", "AddForeignKeys", WORKS, PROGRESS),
    at("the application's schema file is updated", "UpdateSchema", WORKS, PROGRESS),
    at("tests run", "Test", WORKS, PROGRESS),
    at("the soak is skipped", "Soak", WORKS, PROGRESS),
    at("an approval is waited for, everything is changed", "Soak", ("Unknown", "ApprovalPending"), PROGRESS),
    at("the result is proven", "Prove", WORKS, PROGRESS),
    at("every change is being taken back", "RollBack", ("Unknown", "RollingBack"), PROGRESS),
    at("done and proven", "Complete", ("True", "Complete"), "Current"),
    at("planned, with mode Plan", "Complete", ("True", "PlanOnly"), "Current"),
    at("everything was taken back", "RolledBack", ("False", "RollbackSucceeded"), "Failed"),
    at("something could not be taken back", "Failed", ("False", "RollbackFailed"), "Failed"),
    at("a step failed, and onFailure is Hold", "Failed", ("False", "Held"), "Failed"),
    at("an approval was denied", "Failed", ("False", "ApprovalDenied"), "Failed"),
    at("the spec is refused", "Failed", ("False", "InvalidSpec"), "Failed"),
    at(
        "being deleted, while the operator still holds the fence",
        "Soak",
        ("Unknown", "ApprovalPending"),
        "Terminating",
    ),
];

/// Every version of every object of a namespace, as the API server tells them.
struct Versions {
    seen: Arc<Mutex<Vec<Value>>>,
    watching: JoinHandle<()>,
}

impl Versions {
    async fn watch(api: Api<DynamicObject>) -> Self {
        let from = api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let into = seen.clone();
        let watching = tokio::spawn(async move {
            let mut events = api.watch(&WatchParams::default(), &from).await.unwrap().boxed();
            while let Some(event) = events.next().await {
                if let WatchEvent::Added(object) | WatchEvent::Modified(object) = event.unwrap() {
                    into.lock().unwrap().push(serde_json::to_value(object).unwrap());
                }
            }
        });
        Self { seen, watching }
    }

    /// Waits until this version of an object was seen.
    async fn wait_for(&self, object: &Value) {
        let version = &object["metadata"]["resourceVersion"];
        eventually(&format!("the watch to tell the version {version}"), async || {
            let seen = self.seen.lock().unwrap();
            assert!(!self.watching.is_finished(), "the watch ended");
            let there = seen.iter().any(|each| each["metadata"]["resourceVersion"] == *version);
            if there { Ok(()) } else { Err(format!("{} versions", seen.len())) }
        })
        .await;
    }
}

/// What kstatus says about objects, each with its message.
async fn judge(objects: &[Value]) -> Vec<(String, String)> {
    let mut child = Command::new("kstatus").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap_or_else(|error| {
        panic!("kstatus cannot be run: {error}. It must be on the PATH; tests/cluster/api-server.sh run -- COMMAND puts it there")
    });
    let mut stdin = child.stdin.take().unwrap();
    let text: String = objects.iter().map(|object| format!("{object}\n")).collect();
    let (output, _) = future::join(child.wait_with_output(), async move {
        stdin.write_all(text.as_bytes()).await.unwrap();
        drop(stdin);
    })
    .await;
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines
        .lines()
        .map(|line| line.split_once('\t').unwrap())
        .map(|(status, why)| (status.to_owned(), why.to_owned()))
        .collect()
}

/// What we intend kstatus to read.
fn intended(object: &Value) -> &'static str {
    if !object["metadata"]["deletionTimestamp"].is_null() {
        "Terminating"
    } else if object["status"]["observedGeneration"] != object["metadata"]["generation"] {
        // The operator has not seen yet what was changed.
        PROGRESS
    } else if condition(object, "Ready")["status"] == "True" {
        "Current"
    } else if condition(object, "Stalled")["status"] == "True" {
        "Failed"
    } else {
        PROGRESS
    }
}

/// Takes migrations to every end that there is, all at once, and returns the last version of each that ended.
async fn all_ends(place: &Place) -> Vec<Value> {
    place.pod_template("regenerate", None).await;
    place.pod_template("passes", None).await;
    place.pod_template("fails", Some("the application is not ready")).await;
    let spec = async |name: &str, changes: Value| {
        let schema = format!("holdfast_kstatus_{name}");
        place.schema(&schema).await;
        let mut spec = place.specification(&schema);
        // One key is enough to pass through every phase.
        spec["stages"].as_array_mut().unwrap().truncate(1);
        for (field, value) in changes.as_object().unwrap() {
            spec[field] = value.clone();
        }
        place.create(name, &spec).await;
    };
    let failing = json!({"probes": "None", "jobs": [{"name": "app", "podTemplateRef": {"name": "fails"}}]});
    let gate = |phase: &str| json!([{"before": {"phase": phase}, "approval": "Required"}]);
    let complete = async {
        let tests = json!({"probes": "Derived", "jobs": [{"name": "app", "podTemplateRef": {"name": "passes"}}]});
        let update = json!({"podTemplateRef": {"name": "regenerate"}});
        spec("complete", json!({"suspend": true, "schemaUpdate": update, "tests": tests, "gates": gate("CleanUp")}))
            .await;
        place.wait_for_reason("complete", "Suspended").await;
        place.patch("complete", json!({"spec": {"suspend": false}})).await;
        place.decide("complete", json!({"phase": "CleanUp"}), "Approve").await;
        place.wait_for_end("complete", "Complete").await;
        // What may change at any time makes no work, and must not look like work.
        place.patch("complete", json!({"spec": {"contact": "somebody else"}})).await;
        eventually("the new generation to be observed", async || {
            let object = place.read("complete").await;
            let observed = object["status"]["observedGeneration"] == object["metadata"]["generation"];
            if observed { Ok(()) } else { Err(object["status"]["observedGeneration"].to_string()) }
        })
        .await;
        place.read("complete").await
    };
    let planned = async {
        spec("planned", json!({"mode": "Plan"})).await;
        place.wait_for_end("planned", "PlanOnly").await
    };
    let rolled_back = async {
        spec("rolledback", json!({"tests": failing})).await;
        place.wait_for_end("rolledback", "RollbackSucceeded").await
    };
    let remaining = async {
        let update = json!({"podTemplateRef": {"name": "regenerate"}});
        spec("remaining", json!({"tests": failing, "schemaUpdate": update})).await;
        place.wait_for_end("remaining", "RollbackFailed").await
    };
    let held = async {
        spec("held", json!({"tests": failing, "rollback": {"onFailure": "Hold"}})).await;
        place.wait_for_end("held", "Held").await
    };
    let denied = async {
        spec("denied", json!({"gates": gate("CleanUp")})).await;
        place.decide("denied", json!({"phase": "CleanUp"}), "Deny").await;
        place.wait_for_end("denied", "ApprovalDenied").await
    };
    let refused = async {
        spec("refused", json!({"acknowledge": [{"hazard": "Triggers", "table": "ends with a space "}]})).await;
        place.wait_for_end("refused", "InvalidSpec").await
    };
    let waiting = async {
        let mut spec = place.specification("holdfast_kstatus_waiting");
        spec["database"]["credentialsSecretRef"]["name"] = json!("missing");
        place.create("waiting", &spec).await;
        place.wait_for_reason("waiting", "DependencyNotReady").await
    };
    let deleted = async {
        spec("deleted", json!({"gates": gate("Complete")})).await;
        let last = place.wait_for_reason("deleted", "ApprovalPending").await;
        place.migrations().delete("deleted", &DeleteParams::default()).await.unwrap();
        eventually("the deleted migration to be gone", async || {
            let there = place.migrations().get_opt("deleted").await.unwrap();
            there.map_or(Ok(()), |object| Err(format!("{:?}", object.metadata)))
        })
        .await;
        last
    };
    let ends = [
        Box::pin(complete) as std::pin::Pin<Box<dyn Future<Output = Value>>>,
        Box::pin(planned),
        Box::pin(rolled_back),
        Box::pin(remaining),
        Box::pin(held),
        Box::pin(denied),
        Box::pin(refused),
        Box::pin(waiting),
        Box::pin(deleted),
    ];
    future::join_all(ends).await
}

#[tokio::test(flavor = "multi_thread")]
async fn kstatus_reads_every_phase_as_intended() {
    let place = Place::new().await;
    let versions = Versions::watch(place.migrations()).await;
    let _node = Node::start(&place.client, &place.namespace);
    let operator = Operator::start(&[&place.namespace]).await;
    for end in all_ends(&place).await {
        versions.wait_for(&end).await;
    }
    assert!(operator.stop().await.success());
    let seen = versions.seen.lock().unwrap().clone();
    let judged = judge(&seen).await;
    assert_eq!(judged.len(), seen.len());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut found = Vec::new();
    for (object, (status, why)) in seen.iter().zip(&judged) {
        let ready = condition(object, "Ready");
        let told = format!("{} in {}: {ready}: {why}", object["metadata"]["name"], object["status"]["phase"]);
        assert_eq!(status, intended(object), "{told}");
        found.push((text(&object["status"]["phase"]), text(&ready["status"]), text(&ready["reason"]), status.clone()));
    }
    for situation in &SITUATIONS {
        let Situation { what, phase, ready: (status, reason), kstatus } = situation;
        let there = found.contains(&((*phase).into(), (*status).into(), (*reason).into(), (*kstatus).into()));
        assert!(there, "not seen: {what} ({phase}, {status}, {reason}, {kstatus}) among {found:?}");
    }
    println!("{} versions of real objects were judged", seen.len());
}

/// The page for people.
fn page() -> String {
    let mut text = String::from(
        "<!-- Made from tests/controller/kstatus.rs by HOLDFAST_UPDATE=1 cargo test --locked --test controller page. -->\n\
         # What kstatus reads\n\n\
         Flux, kpt and other tools judge an object by [kstatus](https://github.com/fluxcd/cli-utils/tree/main/pkg/kstatus). \
         `make test-controller` takes real\nmigrations to each end, and gives every version that the API server stored to kstatus: \
         `Current` exactly where the condition `Ready` is True,\n`Failed` exactly where `Stalled` is True, `Terminating` while the object is \
         being deleted, and `InProgress` in all other cases, also while\nthe operator has yet to see a change of the spec.\n\n\
         | The migration | `status.phase` | `Ready` | its reason | kstatus |\n|---|---|---|---|---|\n",
    );
    for Situation { what, phase, ready: (status, reason), kstatus } in &SITUATIONS {
        let _ = writeln!(text, "| {what} | {phase} | {status} | {reason} | {kstatus} |");
    }
    text
}

#[test]
fn the_page_about_kstatus_is_current() {
    let path = root().join("docs/kstatus.md");
    if std::env::var_os("HOLDFAST_UPDATE").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == page(), "docs/kstatus.md is not current: run this test with HOLDFAST_UPDATE=1");
}
