//! The plugin's `report` and `dashboard` on a cluster: what they show with few rights and with all, and to whom the dashboard answers.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use holdfast::api::gates::{Before, GatedPhase};
use holdfast::api::status::{GateState, GateStatus};
use holdfast::api::{MigrationApproval, Reason, SchemaMigration};
use k8s_openapi::api::core::v1::Event;
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::plugin::{CAROL, Scene, condition};
use crate::users::Right;

const LIST_APPROVALS: Right =
    Right { group: "holdfast.dev", resource: "migrationapprovals", verbs: &["list"], names: &[] };
const LIST_EVENTS: Right = Right { group: "", resource: "events", verbs: &["list"], names: &[] };
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Someone approved another plan, and the operator told of something.
async fn happened(scene: &Scene) {
    let (admin, namespace) = (&scene.cluster.admin, &scene.cluster.namespace);
    let mut approval: MigrationApproval = serde_json::from_value(json!({
        "apiVersion": "holdfast.dev/v1alpha1", "kind": "MigrationApproval", "metadata": {"name": "early"},
        "spec": {"migrationRef": {"name": "minimal"}, "before": {"phase": "CleanUp"}, "decision": "Approve", "reason": "<b>yesterday</b>",
            "planDigest": format!("sha256:{}", "0".repeat(64)), "approvedBy": "system:admin"},
    }))
    .unwrap();
    approval.spec.approved_by = approver(scene).await;
    Api::<MigrationApproval>::namespaced(admin.clone(), namespace)
        .create(&PostParams::default(), &approval)
        .await
        .unwrap();
    let uid = scene.read().await.uid().unwrap();
    for (name, about) in [("of-it", uid.as_str()), ("of-another", "another")] {
        let event: Event = serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": namespace}, "type": "Warning", "reason": "LockWaitTimeout", "message": format!("told {name}"),
            "involvedObject": {"kind": "SchemaMigration", "name": "minimal", "namespace": namespace, "uid": about},
            "source": {}, "firstTimestamp": "2026-11-24T10:00:00Z", "lastTimestamp": "2026-11-24T10:01:00Z", "count": 3,
        }))
        .unwrap();
        Api::<Event>::namespaced(admin.clone(), namespace).create(&PostParams::default(), &event).await.unwrap();
    }
}

/// The name under which the API server knows the administrator, as the policy on approvals wants it.
async fn approver(scene: &Scene) -> String {
    use k8s_openapi::api::authentication::v1::SelfSubjectReview;
    let reviews: Api<SelfSubjectReview> = Api::all(scene.cluster.admin.clone());
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await.unwrap();
    review.status.and_then(|status| status.user_info).and_then(|user| user.username).unwrap()
}

#[tokio::test]
async fn a_report_tells_what_may_be_read_and_names_what_may_not() {
    let scene = Scene::new(&[]).await;
    happened(&scene).await;
    let (code, out, err) = scene.run(&["report", "minimal"]).await;
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.starts_with(&format!("minimal in {}: WAITS FOR APPROVAL\n", scene.cluster.namespace)), "{out}");
    // Lines are broken.
    let out = out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        out.contains("cannot list resource \"events\"") && out.contains("cannot list resource \"migrationapprovals\""),
        "{out}"
    );
    assert!(!out.contains("told of-it") && !out.contains("yesterday"), "{out}");

    let scene = Scene::new(&[LIST_APPROVALS, LIST_EVENTS]).await;
    happened(&scene).await;
    let file = std::env::temp_dir().join(format!("{}.html", scene.cluster.namespace));
    let (code, out, err) = scene.run(&["report", "minimal", "--html", "--output", file.to_str().unwrap()]).await;
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
    let html = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    for text in [
        "told of-it (3 times)",
        "&lt;b&gt;yesterday&lt;/b&gt;; of another plan; decides nothing now",
        "<td>orphans: bookmarks.user_id -&gt; users.id</td><td class=\"n\">42</td>",
        "add the index by_user on bookmarks (user_id)",
        "index by_user added",
    ] {
        assert!(html.contains(text), "{text} in {html}");
    }
    assert!(!html.contains("told of-another") && !html.contains("Not on this page"), "{html}");
    // What is written to a pipe is the same.
    let (_, piped, _) = scene.run(&["report", "minimal", "--html"]).await;
    assert!(piped.starts_with("<!doctype html>") && piped.trim_end().ends_with("</html>"));
    let (_, out, _) = scene.run(&["report", "minimal", "-o", "json"]).await;
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&report["events"][0]["times"], &report["approvals"][0]["ofThisPlan"]),
        (&json!(3), &json!(false)),
        "{out}"
    );
}

#[tokio::test]
async fn what_cannot_be_reported_says_why() {
    let scene = Scene::new(&[]).await;
    let (code, _, err) = scene.run(&["report", "other"]).await;
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("there is no SchemaMigration other"), "{err}");
    let (code, _, err) = scene.run(&["report", "minimal", "--html", "--output", "/no/such/folder/file"]).await;
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("/no/such/folder/file cannot be written"), "{err}");
    let (code, _, err) = scene.run(&["report", "minimal", "--html", "-o", "json"]).await;
    assert_eq!(code, 2, "{err}");
    let (code, _, err) = scene.run(&["dashboard", "other"]).await;
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("there is no SchemaMigration other"), "{err}");
}

/// A dashboard that runs.
struct Dashboard {
    child: Child,
    port: u16,
    path: String,
}

impl Dashboard {
    async fn start(scene: &Scene, arguments: &[&str]) -> Self {
        let mut child = scene.command(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.next_line().await.unwrap().unwrap();
        assert!(lines.next_line().await.unwrap().unwrap().ends_with("It ends with Ctrl-C."));
        let (place, path) = address.strip_prefix("http://127.0.0.1:").unwrap().split_once('/').unwrap();
        Self { child, port: place.parse().unwrap(), path: format!("/{path}") }
    }

    /// Sends a request as it is written and returns the answer, head and body.
    async fn ask(&self, method: &str, path: &str, host: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("no answer in time").unwrap();
        answer
    }

    async fn get(&self, path: &str) -> String {
        self.ask("GET", path, &format!("127.0.0.1:{}", self.port)).await
    }
}

#[tokio::test]
async fn a_dashboard_answers_only_those_who_know_its_address_and_only_reads() {
    let scene = Scene::new(&[LIST_APPROVALS, LIST_EVENTS]).await;
    let mut dashboard = Dashboard::start(&scene, &["dashboard", "minimal"]).await;
    let own = format!("localhost:{}", dashboard.port);
    let page = dashboard.ask("GET", &dashboard.path, &own).await;
    let (head, body) = page.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    for header in [
        "content-security-policy: default-src 'none'; style-src 'sha256-",
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "cache-control: no-store",
        "x-content-type-options: nosniff",
        "x-frame-options: DENY",
        "referrer-policy: no-referrer",
        "cross-origin-resource-policy: same-origin",
        "cross-origin-opener-policy: same-origin",
        "content-type: text/html; charset=utf-8",
    ] {
        assert!(head.contains(header), "{header} in {head}");
    }
    assert!(body.contains("‖ WAITS FOR APPROVAL") && body.contains("orphans: bookmarks.user_id"), "{body}");
    let only_head = dashboard.ask("HEAD", &dashboard.path, &own).await;
    assert!(only_head.starts_with("HTTP/1.1 200 OK") && only_head.ends_with("\r\n\r\n"), "{only_head}");

    let wrong = format!("/{}/minimal", "0".repeat(48));
    let (other, attacker) =
        (dashboard.path.replace("minimal", "other"), format!("attacker.example:{}", dashboard.port));
    let cases: [(&str, &str, &str, &str); 8] = [
        ("POST", &dashboard.path, &own, "405"),
        ("DELETE", &dashboard.path, &own, "405"),
        ("GET", &dashboard.path, "attacker.example", "421"),
        ("GET", &dashboard.path, &attacker, "421"),
        ("GET", "/", &own, "404"),
        ("GET", "/minimal", &own, "404"),
        ("GET", &wrong, &own, "404"),
        ("GET", &other, &own, "404"),
    ];
    for (method, path, host, status) in cases {
        let answer = dashboard.ask(method, path, host).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {path} {host}: {answer}");
        assert!(!answer.contains("bookmarks") && answer.contains("cache-control: no-store"), "{answer}");
    }
    let id = dashboard.child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
    let ended = tokio::time::timeout(PATIENCE, dashboard.child.wait()).await.expect("it does not end").unwrap();
    assert_eq!(ended.code(), Some(0));
}

/// The version that a page bears.
fn version(page: &str) -> u64 {
    page.split_once("data-version=\"").unwrap().1.split('"').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_page_that_is_known_is_answered_once_it_has_changed() {
    let scene = Scene::new(&[LIST_APPROVALS, LIST_EVENTS]).await;
    let dashboard = Dashboard::start(&scene, &["dashboard"]).await;
    let list = dashboard.get(&dashboard.path).await;
    assert!(list.contains("<a href=\"minimal\">minimal</a>"), "{list}");
    let path = format!("{}minimal", dashboard.path);
    // What the watch sees first counts as a change.
    let mut page = dashboard.get(&path).await;
    while version(&page) == 0 {
        page = dashboard.get(&format!("{path}?after=0")).await;
    }
    let asked = format!("{path}?after={}", version(&page));
    let later = dashboard.get(&asked);
    let change = async {
        scene
            .write(|status| {
                status.conditions = vec![condition("Ready", "Unknown", Reason::Progressing, "it goes on")];
                status.gates = vec![GateStatus {
                    before: Before::from(GatedPhase::CleanUp),
                    state: GateState::Open,
                    reason: Reason::Approved.to_string(),
                    message: Some(format!("approved by {CAROL}")),
                    approval: None,
                    evidence: Vec::new(),
                    since: None,
                }];
            })
            .await;
    };
    let (later, ()) = tokio::join!(later, change);
    assert!(version(&later) > version(&page) && later.contains("▸ AT WORK"), "{later}");
    assert!(later.contains("approved by carol@example.com"), "{later}");

    // The object is gone: the page says so.
    let migrations: Api<SchemaMigration> = Api::namespaced(scene.cluster.admin.clone(), &scene.cluster.namespace);
    migrations.delete("minimal", &Default::default()).await.unwrap();
    let gone = dashboard.get(&path).await;
    assert!(gone.starts_with("HTTP/1.1 502 ") && gone.contains("there is no SchemaMigration minimal"), "{gone}");
}
