//! Alerts and dashboard against what a running operator exposes: every metric and label that a query names is there, every value that it
//! compares with is one that can occur.

use std::collections::BTreeSet;
use std::fs;

use holdfast::api::digest::content_digest;
use holdfast::api::{ConditionType, Reason, SchemaMigration};
use holdfast::controller::plan_store;
use holdfast::plan::digest::plan_digest;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::cluster::{Cluster, Policies, administrator, eventually, helm, manifest, root};
use crate::operator::Operator;
use crate::queries::{Exposed, Names, exposed, names};
use crate::stored_plan::plan;

const PASSWORD: &str = "not-to-be-told-to-anybody";

/// A migration with a name of its own and a changed specification.
async fn create(cluster: &Cluster, name: &str, change: impl Fn(&mut Value)) -> SchemaMigration {
    let mut object: Value = serde_yaml::from_str(&manifest("good/minimal.yaml")).unwrap();
    object["metadata"]["name"] = json!(name);
    object["spec"]["database"]["tls"] = json!({"mode": "Disabled"});
    // A port of the loopback on which nothing listens.
    (object["spec"]["database"]["host"], object["spec"]["database"]["port"]) = (json!("127.0.0.1"), json!(1));
    change(&mut object);
    let api: Api<SchemaMigration> = Api::namespaced(cluster.admin.clone(), &cluster.namespace);
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap()
}

async fn set_status(cluster: &Cluster, name: &str, status: Value) {
    let patch = Patch::Merge(json!({"status": status}));
    cluster.api("SchemaMigration").patch_status(name, &PatchParams::default(), &patch).await.unwrap();
}

fn condition(kind: &str, status: &str, reason: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": "", "observedGeneration": 1,
        "lastTransitionTime": "2026-11-24T10:00:00Z"})
}

/// One that was taken back, as its last status says.
async fn create_ended(cluster: &Cluster) {
    create(cluster, "ended", |_| {}).await;
    let status = json!({
        "observedGeneration": 1, "phase": "RolledBack", "attempt": 1,
        "conditions": [
            condition("Finished", "True", "RollbackSucceeded"), condition("Stalled", "True", "RollbackSucceeded"),
            condition("RolledBack", "True", "RollbackSucceeded"),
        ],
        "startedAt": "2026-11-24T09:00:00Z", "finishedAt": "2026-11-24T10:00:00Z",
        "steps": {"done": 1, "total": 3, "progress": "1/3"},
        "validation": [
            {"issueType": "orphans: bookmarks.user_id -> users.id", "count": 42},
            {"issueType": "duplicates: votes.(user_id, day)", "count": 7},
        ],
        "quarantine": {"orphans": 42, "duplicates": 7, "cascaded": 0, "values": 0},
        "backup": {"attempt": 1, "takenAt": "2026-11-24T08:00:00Z", "finishedAt": "2026-11-24T08:01:00Z", "bytes": 1234},
    });
    set_status(cluster, "ended", status).await;
}

/// One that has come to the gate before its cleanup.
async fn create_waiting(cluster: &Cluster) {
    let migration = create(cluster, "waiting", |object| {
        object["spec"]["gates"] = json!([{"before": {"phase": "CleanUp"}, "approval": "Required"}]);
    })
    .await;
    let mut plan = plan("", "CREATE TABLE `bookmarks`".to_owned());
    plan.content_digest = content_digest(&migration.spec, &Default::default()).unwrap();
    plan.digest = plan_digest(&plan).unwrap();
    let maps = plan_store::store(&cluster.admin, &migration, &plan).await.unwrap();
    let done = ["PreflightPassed", "Planned", "BackedUp", "Rehearsed", "Validated"];
    let status = json!({
        "observedGeneration": 1, "phase": "Validate", "attempt": 1, "contentDigest": plan.content_digest,
        "conditions": done.map(|kind| condition(kind, "True", "Succeeded")),
        "plan": {"digest": plan.digest, "configMaps": maps, "generation": 1, "computedAt": "2026-11-24T10:00:00Z",
            "counts": {}, "estimates": {}},
    });
    set_status(cluster, "waiting", status).await;
}

/// An operator that has seen a migration of every kind, and its metrics.
async fn seen(cluster: &Cluster) -> (Operator, String) {
    let secret: Secret = serde_json::from_value(json!({
        "metadata": {"name": "shop-migrator"}, "stringData": {"username": "migrator", "password": PASSWORD}
    }))
    .unwrap();
    let secrets: Api<Secret> = Api::namespaced(cluster.admin.clone(), &cluster.namespace);
    secrets.create(&PostParams::default(), &secret).await.unwrap();
    create(cluster, "unreachable", |_| {}).await;
    let misspelt = json!({"spec": {"gatez": []}}).to_string();
    let annotation = "kubectl.kubernetes.io/last-applied-configuration";
    create(cluster, "refused", |object| object["metadata"]["annotations"] = json!({annotation: misspelt})).await;
    create_ended(cluster).await;
    create_waiting(cluster).await;
    let operator = Operator::start(&administrator(), &cluster.namespace, &["--allow-without-policies"]).await;
    let text = operator
        .metrics_with(&[
            "holdfast_leader 1",
            "migration=\"unreachable\",type=\"Reconciling\",status=\"True\",reason=\"DatabaseUnreachable\"} 1",
            "migration=\"refused\",type=\"Stalled\",status=\"True\",reason=",
            "migration=\"ended\",table=\"bookmarks\"} 42",
            "migration=\"waiting\",before=\"CleanUp\"}",
            "holdfast_phase_duration_seconds_bucket{",
        ])
        .await;
    (operator, text)
}

/// What the chart makes, of these templates.
pub(crate) fn rendered(template: &str, values: &[&str]) -> String {
    let chart = root().join("charts/holdfast");
    let mut arguments = vec!["template", "holdfast", chart.to_str().unwrap(), "--show-only", template];
    values.iter().for_each(|value| arguments.extend(["--set", value]));
    helm(&arguments)
}

pub(crate) fn documents(text: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(text).map(|each| serde::Deserialize::deserialize(each).unwrap()).collect()
}

pub(crate) const MONITORED: [&str; 3] =
    ["metrics.serviceMonitor.enabled=true", "metrics.rules.enabled=true", "metrics.rules.labels.release=prometheus"];

/// The rules of the chart's PrometheusRule, as Prometheus reads them from a file.
pub(crate) fn rules() -> Value {
    let all = documents(&rendered("templates/monitoring.yaml", &MONITORED));
    all.iter().find(|each| each["kind"] == "PrometheusRule").unwrap()["spec"].clone()
}

/// Every query of the dashboard with its panel's title, and every text that is filled in from labels.
pub(crate) fn dashboard() -> (Vec<(String, String)>, Vec<String>) {
    let text = fs::read_to_string(root().join("deploy/grafana/holdfast.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let (mut queries, mut texts) = (Vec::new(), Vec::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap();
            let query = query.replace("$__rate_interval", "5m").replace("$__range", "6h");
            queries.push((title.to_owned(), query));
            texts.push(target["legendFormat"].as_str().unwrap().to_owned());
        }
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        let Some(query) = variable["definition"].as_str() else { continue };
        let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).unwrap();
        let (metric, label) = inner.rsplit_once(", ").unwrap();
        queries.push((query.to_owned(), format!("count by ({label}) ({metric})")));
    }
    (queries, texts)
}

/// Labels that a text is filled in from: `{{ $labels.x }}` in rules, `{{x}}` in a dashboard.
fn labels_in(text: &str) -> BTreeSet<String> {
    let between = text.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
    let names = between.map(|inner| inner.trim().trim_start_matches("$labels.").to_owned());
    names.filter(|name| !name.starts_with('$')).collect()
}

/// What is wrong with a query; nothing when the operator exposes all that it names.
fn problems(found: &Names, exposed: &Exposed) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut known = BTreeSet::from(["le".to_owned()]);
    for (metric, matchers) in &found.selected {
        let Some(labels) = exposed.get(metric) else {
            wrong.push(format!("{metric} is not exposed"));
            continue;
        };
        known.extend(labels.iter().cloned());
        for matcher in matchers {
            if !labels.contains(&matcher.label) {
                wrong.push(format!("{metric} has no label {}", matcher.label));
            }
            for value in matcher.value.split('|').filter(|value| !value.starts_with('$')) {
                let possible = match matcher.label.as_str() {
                    "type" => ConditionType::from_name(value).is_some(),
                    "reason" => Reason::from_name(value).is_some(),
                    "status" => ["True", "False", "Unknown"].contains(&value),
                    "result" => ["Succeeded", "Failed", "Conflict", "Skipped"].contains(&value),
                    _ => false,
                };
                if !possible {
                    wrong.push(format!("{metric}: {} is never {value:?}", matcher.label));
                }
            }
        }
    }
    wrong.extend(
        found.grouped.difference(&known).map(|label| format!("nothing that is selected has the label {label}")),
    );
    if found.selected.is_empty() {
        wrong.push("no metric of the operator".to_owned());
    }
    wrong
}

#[tokio::test]
async fn alerts_and_dashboard_ask_for_what_a_running_operator_exposes() {
    let cluster = Cluster::new(Policies::None).await;
    let (operator, text) = seen(&cluster).await;
    let exposed = exposed(&text);
    let mut wrong = Vec::new();
    let (queries, texts) = dashboard();
    assert!(queries.len() > 20, "{queries:?}");
    for (title, query) in &queries {
        wrong.extend(problems(&names(query), &exposed).into_iter().map(|problem| format!("panel {title}: {problem}")));
    }
    for (text, (title, query)) in texts.iter().zip(&queries) {
        let grouped = names(query).grouped;
        let missing = labels_in(text).into_iter().filter(|label| !grouped.contains(label));
        wrong.extend(missing.map(|label| format!("panel {title}: the legend names {label}, which the query drops")));
    }
    let rules = rules();
    let rules = rules["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() >= 8, "{rules:?}");
    for rule in rules {
        let alert = rule["alert"].as_str().unwrap();
        let names = names(rule["expr"].as_str().unwrap());
        for text in ["summary", "description"] {
            let text = rule["annotations"][text].as_str().unwrap();
            let missing = labels_in(text).into_iter().filter(|label| !names.grouped.contains(label));
            wrong.extend(missing.map(|label| format!("alert {alert}: {label} is in the text and not in the result")));
        }
        wrong.extend(problems(&names, &exposed).into_iter().map(|problem| format!("alert {alert}: {problem}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}\nexposed: {exposed:#?}");
    // Every metric that the operator defines is used by some query, or it is told for nothing.
    let used: BTreeSet<String> = queries
        .iter()
        .map(|(_, query)| query.as_str())
        .chain(rules.iter().map(|rule| rule["expr"].as_str().unwrap()))
        .flat_map(|query| names(query).selected.into_iter().map(|(metric, _)| metric))
        .collect();
    for metric in holdfast::telemetry::definitions::ALL {
        assert!(used.iter().any(|name| name.starts_with(metric.name)), "nobody asks for {}", metric.name);
    }
    check_log(&operator, &cluster);
    forgotten(&operator, &cluster).await;
}

/// What is told of a migration goes with it.
async fn forgotten(operator: &Operator, cluster: &Cluster) {
    cluster.api("SchemaMigration").delete("ended", &Default::default()).await.unwrap();
    eventually("the metrics of a deleted migration to go", async || {
        let text = operator.metrics().await?;
        if text.contains("migration=\"ended\"") { Err(text) } else { Ok(()) }
    })
    .await;
}

/// Lines that are about a migration say so, and no line tells a password.
fn check_log(operator: &Operator, cluster: &Cluster) {
    let about = |name: &str, phase: &str| {
        operator.records().iter().any(|record| {
            record["migration"] == name && record["namespace"] == cluster.namespace.as_str() && record["phase"] == phase
        })
    };
    assert!(about("unreachable", "Preflight"), "{:#?}", operator.log());
    assert!(about("waiting", "Validate"), "{:#?}", operator.log());
    for line in operator.log() {
        assert!(!line.contains(PASSWORD), "a password is in the log: {line}");
    }
}
