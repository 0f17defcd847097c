//! What a node and the controller of Jobs do, as far as the operator sees it: every Job gets a pod that ends, and ends with it. A
//! Job succeeds, unless its pod's annotation says that it is to fail.

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use holdfast::backup::{Outcome, RowCounts, Summary};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// Of a PodTemplate whose Jobs are to fail, and what the Job says then.
pub(crate) const FAILS: &str = "holdfast.dev/test-fails";

/// Of a PodTemplate whose Jobs do not end.
pub(crate) const RUNS: &str = "holdfast.dev/test-runs";

/// Ends Jobs until it is dropped.
pub(crate) struct Node {
    running: JoinHandle<()>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Node {
    /// For the Jobs of a namespace.
    pub(crate) fn start(client: &Client, namespace: &str) -> Self {
        Self::of(client, Api::namespaced(client.clone(), namespace))
    }

    /// For the Jobs that a client lists.
    pub(crate) fn of(client: &Client, jobs: Api<Job>) -> Self {
        let client = client.clone();
        let running = tokio::spawn(async move {
            watcher(jobs, watcher::Config::default())
                .applied_objects()
                .try_for_each(async |job| {
                    if job.status.as_ref().is_none_or(|status| status.conditions.is_none()) {
                        run(&client, &job).await;
                    }
                    Ok(())
                })
                .await
                .unwrap();
        });
        Self { running }
    }
}

async fn run(client: &Client, job: &Job) {
    let (name, namespace) = (job.name_any(), job.namespace().unwrap());
    let template = &job.spec.as_ref().unwrap().template;
    let annotations = template.metadata.as_ref().and_then(|metadata| metadata.annotations.clone()).unwrap_or_default();
    if annotations.contains_key(RUNS) {
        return;
    }
    let failure = annotations.get(FAILS);
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let pod = Pod {
        metadata: ObjectMeta {
            name: Some(format!("{name}-pod")),
            labels: Some(BTreeMap::from([("batch.kubernetes.io/job-name".to_owned(), name.clone())])),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    };
    pods.create(&PostParams::default(), &pod).await.unwrap();
    let container = &template.spec.as_ref().unwrap().containers[0];
    let ended = json!({"containerStatuses": [{
        "name": container.name, "image": "", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"terminated": {"exitCode": i32::from(failure.is_some()), "message": message(job, failure)}},
    }]});
    put_status(&pods, &format!("{name}-pod"), ended).await;
    let now = jiff::Timestamp::now().to_string();
    let condition = |kind: &str| {
        json!({"type": kind, "status": "True", "reason": if failure.is_some() { "BackoffLimitExceeded" } else { "CompletionsReached" },
            "message": failure.cloned().unwrap_or_default(), "lastTransitionTime": now, "lastProbeTime": now})
    };
    let status = match failure {
        Some(_) => {
            json!({"startTime": now, "failed": 1, "conditions": [condition("FailureTarget"), condition("Failed")]})
        }
        None => json!({"startTime": now, "completionTime": now, "succeeded": 1,
            "conditions": [condition("SuccessCriteriaMet"), condition("Complete")]}),
    };
    put_status(&Api::<Job>::namespaced(client.clone(), &namespace), &name, status).await;
}

async fn put_status<K>(api: &Api<K>, name: &str, status: Value)
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let patch = Patch::Merge(json!({"status": status}));
    api.patch_status(name, &PatchParams::default(), &patch).await.unwrap();
}

/// What the container leaves behind: of a backup what the operator's own program says of one, which no test here has verified.
fn message(job: &Job, failure: Option<&String>) -> String {
    if let Some(text) = failure {
        return text.clone();
    }
    if !job.name_any().contains("-backup-") {
        return String::new();
    }
    let now = jiff::Timestamp::now();
    let summary = Summary {
        file: "dump.sql".to_owned(),
        taken_at: now,
        finished_at: now,
        bytes: 1,
        sha256: "0".to_owned(),
        manifest: "0".to_owned(),
        names: "0".to_owned(),
        rows: RowCounts::Here(vec![1]),
    };
    serde_json::to_string(&Outcome::Made(summary)).unwrap()
}
