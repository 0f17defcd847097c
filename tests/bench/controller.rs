//! What the operator costs where a thousand migrations are, most of them over: memory, writes at rest, the time after a start until
//! each was looked at, and whether fifty that work at once get on alike.

use std::collections::BTreeSet;
use std::pin::pin;
use std::process::Command;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::batch::v1::Job;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use crate::figure::{Failure, Figure};
use crate::node::Node;
use crate::operator::Operator;
use crate::place::{Place, condition, fresh};
use crate::server::{client, install_definitions};

const FINISHED: usize = 950;
const ACTIVE: usize = 50;
const STARTS: usize = 3;
/// Memory and writes are looked at over so long.
const REST: Duration = Duration::from_secs(60);
const SETTLE: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(900);
const MEMORY_AIM: f64 = 40.0;
const START_AIM: f64 = 30.0;
/// The last of those that work at once needs so many times as long as the first.
const FAIR_AIM: f64 = 2.0;
/// A real application's migration, for the size of what is over.
const SAMPLE: &str = include_str!("../../deploy/sample/migration.yaml");
/// Marks the migrations that work.
const KIND: &str = "holdfast.dev/bench";

pub(crate) async fn measure() -> Result<Vec<Figure>, Failure> {
    let client = client(None).await;
    install_definitions(&client).await;
    let _node = Node::of(&client, Api::<Job>::all(client.clone()));
    println!("bench: controller: making {ACTIVE} namespaces and schemas");
    let mut places = Vec::new();
    for number in 0..ACTIVE {
        let place = Place::on(client.clone(), &format!("bench-{number}")).await;
        place.sql(&fresh(&schema(number), 500)).await;
        places.push(place);
    }
    let operator = Operator::start(&[]).await;
    tokio::time::sleep(SETTLE).await;
    let empty = memory(&operator, "VmRSS")?;
    let end = one_to_the_end(&places[0]).await;
    operator.stop().await;
    println!("bench: controller: making {FINISHED} migrations that are over");
    make_finished(&places, &end).await?;

    let operator = Operator::start(&[]).await;
    let mut figures = at_once(&client, &places).await?;
    let mut rss = Vec::new();
    tokio::time::sleep(SETTLE).await;
    let before = requests()?;
    println!("bench: controller: at rest for {} s", REST.as_secs());
    tokio::time::sleep(REST).await;
    let after = requests()?;
    rss.push(memory(&operator, "VmRSS")?);
    let worked = memory(&operator, "VmHWM")?;
    let (mut starts, mut plain_starts, mut peaks) = (Vec::new(), Vec::new(), Vec::new());
    let mut operator = Some(operator);
    for time in 1..=STARTS {
        if let Some(running) = operator.take() {
            running.stop().await;
        }
        println!("bench: controller: start {time} of {STARTS}, nothing changed");
        let begun = Instant::now();
        let running = Operator::start(&[]).await;
        passes(&running, FINISHED + ACTIVE).await?;
        plain_starts.push(begun.elapsed());
        operator = Some(running);
    }
    for time in 1..=STARTS {
        if let Some(running) = operator.take() {
            running.stop().await;
        }
        println!("bench: controller: start {time} of {STARTS}");
        change_all(&client, time).await?;
        let begun = Instant::now();
        let running = Operator::start(&[]).await;
        wait_for(&client, "", FINISHED + ACTIVE, begun, |object| {
            object["status"]["observedGeneration"] == object["metadata"]["generation"]
        })
        .await?;
        starts.push(begun.elapsed());
        tokio::time::sleep(SETTLE).await;
        rss.push(memory(&running, "VmRSS")?);
        peaks.push(memory(&running, "VmHWM")?);
        operator = Some(running);
    }
    if let Some(running) = operator {
        running.stop().await;
    }
    let of = |name: &str, what: &str, unit, samples, aim| Figure::less(name, what, unit, samples, aim);
    let spent = |select: &dyn Fn(&Requests) -> f64| vec![select(&after) - select(&before)];
    figures.extend([
        of("controller-memory", "memory at rest, 1,000 migrations, 50 of them under way", "MiB", rss, Some(MEMORY_AIM)),
        of("controller-memory-empty", "  beside it without any migration", "MiB", vec![empty], None),
        of("controller-memory-work", "  its peak while 50 worked at once", "MiB", vec![worked], None),
        of("controller-memory-start", "  its peak after a start", "MiB", peaks, None),
        of(
            "controller-writes",
            "writes to the API server in a minute at rest",
            "",
            spent(&|all| all.writes),
            Some(1.0),
        ),
        of("controller-lease", "  beside them the renewals of Leases", "", spent(&|all| all.leases), None),
        of("controller-reads", "  and everything that was read", "", spent(&|all| all.reads), None),
        Figure::seconds(
            "controller-start",
            "start, until 1,000 passes have ended, one for each migration".to_owned(),
            &plain_starts,
            Some(START_AIM),
        ),
        Figure::seconds(
            "controller-start-changed",
            "  the same where each was changed meanwhile, until its status says so".to_owned(),
            &starts,
            None,
        ),
    ]);
    Ok(figures)
}

fn schema(number: usize) -> String {
    format!("holdfast_bench_{number}")
}

/// A real migration from beginning to end.
async fn one_to_the_end(place: &Place) -> Value {
    println!("bench: controller: one migration to its end");
    place.sql(&fresh("holdfast_bench_end", 500)).await;
    place.create("end", &place.specification("holdfast_bench_end")).await;
    place.wait_for_end("end", "Complete").await
}

/// Many that are over, as large as those of a real application, with the status of one that really came to its end.
async fn make_finished(places: &[Place], end: &Value) -> Result<(), Failure> {
    let sample: Value = serde_yaml::from_str(SAMPLE)?;
    let mut status = end["status"].clone();
    status["observedGeneration"] = json!(1);
    let keys =
        sample["spec"]["stages"].as_array().into_iter().flatten().filter_map(|stage| stage["foreignKeys"].as_array());
    let line = |key: &Value| json!({"issueType": format!("orphans: {}.{} -> {}.id", key["table"], key["columns"][0], key["references"]["table"]), "count": 0});
    status["validation"] = keys.flatten().map(line).collect();
    stream::iter(0..FINISHED)
        .map(|number| {
            let mut object = json!({"apiVersion": "holdfast.dev/v1alpha1", "kind": "SchemaMigration",
                "metadata": {"name": format!("finished-{number}")}, "spec": sample["spec"]});
            object["metadata"]["annotations"] =
                json!({"kubectl.kubernetes.io/last-applied-configuration": object.to_string()});
            let api = places[number % places.len()].migrations();
            let patch = Patch::Merge(json!({"status": status}));
            async move {
                let object: DynamicObject = serde_json::from_value(object)?;
                api.create(&PostParams::default(), &object).await?;
                api.patch_status(&object.name_any(), &PatchParams::default(), &patch).await?;
                Ok::<(), Failure>(())
            }
        })
        .buffer_unordered(8)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

/// Many begun in one moment, until each waits for its last approval with everything changed and proven but for the end.
async fn at_once(client: &Client, places: &[Place]) -> Result<Vec<Figure>, Failure> {
    println!("bench: controller: {ACTIVE} migrations on {ACTIVE} databases at once");
    for (number, place) in places.iter().enumerate() {
        let mut spec = place.specification(&schema(number));
        spec["gates"] = json!([{"before": {"phase": "Complete"}, "approval": "Required"}]);
        let object = json!({"apiVersion": "holdfast.dev/v1alpha1", "kind": "SchemaMigration",
            "metadata": {"name": "active", "labels": {KIND: "active"}}, "spec": spec});
        place.migrations().create(&PostParams::default(), &serde_json::from_value(object)?).await?;
    }
    let begun = Instant::now();
    let took = wait_for(client, &format!("{KIND}=active"), ACTIVE, begun, |object| {
        let ready = condition(object, "Ready");
        assert!(
            condition(object, "Finished")["status"] != "True",
            "{} ended: {ready}",
            object["metadata"]["namespace"]
        );
        ready["reason"] == "ApprovalPending"
    })
    .await?;
    let (Some(first), Some(last)) = (took.first().copied(), took.last().copied()) else { return Err("none".into()) };
    let place = &places[0];
    let server = async |name: &str| {
        let statement =
            format!("SELECT VARIABLE_VALUE FROM performance_schema.global_status WHERE VARIABLE_NAME = '{name}'");
        place.one_text(&statement).await.parse::<f64>()
    };
    let of = |name: &str, what: String, unit, sample, aim| Figure::less(name, what, unit, vec![sample], aim);
    let each = |number: f64| number / ACTIVE as f64;
    Ok(vec![
        of(
            "controller-fair",
            format!("the last of {ACTIVE} at once, in times of the first"),
            "",
            last.as_secs_f64() / first.as_secs_f64(),
            Some(FAIR_AIM),
        ),
        Figure::seconds("controller-fair-times", "  beside it how long each took".to_owned(), &took, None),
        of(
            "controller-connections",
            "  connections to MySQL for each, at most".to_owned(),
            "",
            each(server("Max_used_connections").await?),
            None,
        ),
        of(
            "controller-connections-waiting",
            "  and while it waits for its last approval".to_owned(),
            "",
            each(server("Threads_connected").await?),
            None,
        ),
    ])
}

/// Changes what may be changed at any time in every migration, so that each has something to observe.
async fn change_all(client: &Client, time: usize) -> Result<(), Failure> {
    let all = everywhere(client).list_metadata(&Default::default()).await?;
    let patch = Patch::Merge(json!({"spec": {"contact": format!("somebody else, {time}")}}));
    stream::iter(all.items)
        .map(|object| {
            let patch = patch.clone();
            async move {
                let api: Api<DynamicObject> =
                    Api::namespaced_with(client.clone(), &object.namespace().unwrap_or_default(), &resource());
                api.patch(&object.name_any(), &PatchParams::default(), &patch).await
            }
        })
        .buffer_unordered(8)
        .try_collect::<Vec<_>>()
        .await?;
    Ok(())
}

fn resource() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("holdfast.dev", "v1alpha1", "SchemaMigration"))
}

fn everywhere(client: &Client) -> Api<DynamicObject> {
    Api::all_with(client.clone(), &resource())
}

/// Waits until so many migrations were so at some moment, and returns when each was first.
async fn wait_for(
    client: &Client,
    labels: &str,
    number: usize,
    begun: Instant,
    is_so: impl Fn(&Value) -> bool,
) -> Result<Vec<Duration>, Failure> {
    let config = watcher::Config::default().labels(labels).page_size(100);
    let mut objects = pin!(watcher(everywhere(client), config).applied_objects());
    let (mut seen, mut times) = (BTreeSet::new(), Vec::new());
    tokio::time::timeout(LIMIT, async {
        while let Some(object) = objects.try_next().await? {
            let object = serde_json::to_value(object)?;
            let name = format!("{}/{}", object["metadata"]["namespace"], object["metadata"]["name"]);
            if is_so(&object) && seen.insert(name) {
                times.push(begun.elapsed());
                if times.len() >= number {
                    break;
                }
            }
        }
        Ok::<(), Failure>(())
    })
    .await
    .map_err(|_| format!("waited {} s for {number} migrations", LIMIT.as_secs()))??;
    Ok(times)
}

/// Waits until the operator has ended so many passes; those that are under way may have had more than one by then.
async fn passes(operator: &Operator, number: usize) -> Result<(), Failure> {
    let begun = Instant::now();
    while operator.metric("holdfast_pass_duration_seconds_count")? < number as f64 {
        if begun.elapsed() > LIMIT {
            return Err(format!("waited {} s for {number} passes", LIMIT.as_secs()).into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// A line of /proc/PID/status, in MiB.
fn memory(operator: &Operator, name: &str) -> Result<f64, Failure> {
    let text = std::fs::read_to_string(format!("/proc/{}/status", operator.process()))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).ok_or(name)?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}

/// What the API server has answered so far, to whomever.
#[derive(Default)]
struct Requests {
    writes: f64,
    leases: f64,
    reads: f64,
}

fn requests() -> Result<Requests, Failure> {
    let output = Command::new("kubectl").args(["get", "--raw", "/metrics"]).output()?;
    let mut all = Requests::default();
    for line in String::from_utf8(output.stdout)?.lines() {
        let Some(rest) = line.strip_prefix("apiserver_request_total{") else { continue };
        let (labels, number) = rest.rsplit_once("} ").ok_or("a metric without a number")?;
        let number: f64 = number.trim().parse()?;
        let is = |label: &str, value: &str| labels.contains(&format!("{label}=\"{value}\""));
        let reads = ["GET", "LIST", "WATCH", "CONNECT"].iter().any(|verb| is("verb", verb));
        match (reads, is("resource", "leases")) {
            (true, _) => all.reads += number,
            (false, true) => all.leases += number,
            (false, false) => all.writes += number,
        }
    }
    Ok(all)
}
