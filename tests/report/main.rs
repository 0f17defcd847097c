//! The report and the dashboard in a browser. Migrations of every kind are laid on an API server, the plugin writes their pages and serves
//! one, and `browser.mjs` looks at them as a person does: it searches, filters, folds, prints no error, and waits for what changes.
//! `tests/report/run.sh` brings the browser.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../src/report/example.rs"]
mod example;
#[allow(dead_code)]
#[path = "../api/server.rs"]
mod server;

use std::process::Stdio;
use std::time::Duration;
use std::{env, fs};

use holdfast::api::{MigrationApproval, SchemaMigration};
use holdfast::controller::plan_store;
use holdfast::plan::Plan;
use holdfast::plan::digest::plan_digest;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use example::Example;

/// Longest wait for a line of a program.
const PATIENCE: Duration = Duration::from_secs(120);

/// A namespace on the API server.
struct Cluster {
    client: Client,
    namespace: String,
}

impl Cluster {
    async fn new() -> Self {
        let client = server::client(None).await;
        server::install_definitions(&client).await;
        let metadata = ObjectMeta { generate_name: Some("holdfast-report-".to_owned()), ..ObjectMeta::default() };
        let namespace = Namespace { metadata, ..Namespace::default() };
        let made = Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
        Self { client, namespace: made.name_any() }
    }

    fn migrations(&self) -> Api<SchemaMigration> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Lays an example there as the operator would have left it.
    async fn create(&self, name: &str, mut example: Example) {
        let metadata = &mut example.migration["metadata"];
        *metadata = json!({"name": name, "namespace": self.namespace});
        let plan_text = example.plan.to_string();
        let mut plan: Plan = serde_json::from_str(&plan_text).unwrap();
        plan.digest = plan_digest(&plan).unwrap();
        let text = example.migration.to_string().replace("\"PLAN\"", &format!("{:?}", plan.digest));
        let mut wanted: SchemaMigration = serde_json::from_str(&text).unwrap();
        let mut status = wanted.status.take();
        let created = self.migrations().create(&PostParams::default(), &wanted).await.unwrap();
        let maps = plan_store::store(&self.client, &created, &plan).await.unwrap();
        if let Some(plan) = status.as_mut().and_then(|status| status.plan.as_mut()) {
            plan.config_maps = maps;
        }
        wanted = created;
        wanted.status = status;
        self.migrations().replace_status(name, &PostParams::default(), &wanted).await.unwrap();
    }

    /// What the operator writes when the approval has come.
    async fn go_on(&self, name: &str) {
        let mut migration = self.migrations().get(name).await.unwrap();
        let status = migration.status.as_mut().unwrap();
        for condition in status.conditions.iter_mut().filter(|condition| condition.type_ == "Ready") {
            condition.reason = "Progressing".to_owned();
        }
        status.message = Some("001-orphans-fk_bookmarks_user is at work".to_owned());
        status.gates.clear();
        self.migrations().replace_status(name, &PostParams::default(), &migration).await.unwrap();
    }

    fn plugin(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-holdfast"));
        command.args(arguments).args(["--namespace", &self.namespace]);
        command.env("KUBECONFIG", env::var_os("HOLDFAST_TEST_KUBECONFIG").unwrap());
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    async fn write(&self, name: &str, folder: &str) {
        let file = format!("{folder}/{name}.html");
        let ended = self.plugin(&["report", name, "--html", "--output", &file]).status().await.unwrap();
        assert!(ended.success(), "report of {name}: {ended}");
    }
}

async fn line(from: &mut BufReader<ChildStdout>) -> Option<String> {
    let mut text = String::new();
    let read = tokio::time::timeout(PATIENCE, from.read_line(&mut text)).await.expect("no line in time").unwrap();
    (read > 0).then(|| text.trim_end().to_owned())
}

async fn interrupt(child: &mut Child) {
    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
    let ended = tokio::time::timeout(PATIENCE, child.wait()).await.expect("it does not end by Ctrl-C").unwrap();
    assert!(ended.success(), "{ended}");
}

#[tokio::test]
async fn pages_are_read_searched_and_followed_in_a_browser() {
    let cluster = Cluster::new().await;
    let mut hostile = example::hostile();
    // The API server takes no such host and no such name.
    hostile.migration["spec"]["database"]["host"] = json!("mysql");
    let examples = [
        ("complete", example::shop()),
        ("waiting", example::waiting()),
        ("large", example::large(300)),
        ("hostile", hostile),
    ];
    let folder = format!("{}/target/report", env!("CARGO_MANIFEST_DIR"));
    fs::create_dir_all(&folder).unwrap();
    for (name, example) in examples {
        Box::pin(cluster.create(name, example)).await;
        cluster.write(name, &folder).await;
    }
    let late: MigrationApproval = serde_json::from_value(json!({
        "apiVersion": "holdfast.dev/v1alpha1", "kind": "MigrationApproval", "metadata": {"name": "late"},
        "spec": {"migrationRef": {"name": "waiting"}, "before": {"phase": "CleanUp"}, "decision": "Approve", "approvedBy": "alice@example.com",
            "planDigest": format!("sha256:{}", "0".repeat(64)), "reason": "for the plan of yesterday"},
    }))
    .unwrap();
    let approvals: Api<MigrationApproval> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    approvals.create(&PostParams::default(), &late).await.unwrap();

    let mut dashboard = cluster.plugin(&["dashboard", "waiting"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(dashboard.stdout.take().unwrap());
    let address = line(&mut said).await.unwrap();
    let mut list = cluster.plugin(&["dashboard"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut said_of_list = BufReader::new(list.stdout.take().unwrap());
    let address_of_list = line(&mut said_of_list).await.unwrap();

    let script = format!("{}/tests/report/browser.mjs", env!("CARGO_MANIFEST_DIR"));
    let mut browser = Command::new("node")
        .args([&script, &folder, &address, &address_of_list])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut asks = BufReader::new(browser.stdout.take().unwrap());
    let mut answers = browser.stdin.take().unwrap();
    let mut asked = Vec::new();
    while let Some(line) = line(&mut asks).await {
        match line.as_str() {
            "CHANGE" => cluster.go_on("waiting").await,
            "STOP" => interrupt(&mut dashboard).await,
            other => {
                println!("{other}");
                continue;
            }
        }
        asked.push(line);
        answers.write_all(b"done\n").await.unwrap();
    }
    assert!(browser.wait().await.unwrap().success(), "the browser found something: see above");
    assert_eq!(asked, ["CHANGE", "STOP"]);
    interrupt(&mut list).await;
}
