//! The kubectl plugin as a program, as users with rights and without: what it shows, what it creates in whose name, and its exit codes.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::{env, fs};

use holdfast::api::gates::{Before, GatedPhase};
use holdfast::api::status::{
    GateState, GateStatus, Phase, PhaseStatus, PlanCounts, PlanEstimates, PlanStatus, StepCount, ValidationCount,
};
use holdfast::api::{MigrationApproval, Reason, SchemaMigration, SchemaMigrationStatus};
use holdfast::controller::plan_store;
use holdfast::plan::digest::plan_digest;
use holdfast::plan::{Plan, render, script};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::cluster::{Cluster, Policies};
use crate::stored_plan::plan;
use crate::users::{CREATE_APPROVALS, Right};

pub(crate) const CAROL: &str = "carol@example.com";
/// Reading and watching migrations.
const READ: Right =
    Right { group: "holdfast.dev", resource: "schemamigrations", verbs: &["get", "list", "watch"], names: &[] };
/// Reading the ConfigMaps that hold plans.
const READ_PLANS: Right = Right { group: "", resource: "configmaps", verbs: &["get"], names: &[] };

/// A migration of its own whose status the test writes, and a user's kubeconfig.
pub(crate) struct Scene {
    pub(crate) cluster: Cluster,
    pub(crate) plan: Plan,
    kubeconfig: PathBuf,
}

impl Drop for Scene {
    fn drop(&mut self) {
        fs::remove_file(&self.kubeconfig).unwrap();
    }
}

impl Scene {
    /// A migration that waits for the approval of its cleanup, and Carol with these rights beside reading.
    pub(crate) async fn new(rights: &[Right]) -> Self {
        Self::with_image(rights, "CREATE TABLE `bookmarks`".to_owned()).await
    }

    async fn with_image(rights: &[Right], image: String) -> Self {
        let cluster = Cluster::new(Policies::Always).await;
        cluster.create("good/minimal.yaml").await;
        let all: Vec<Right> = [READ, READ_PLANS].into_iter().chain(rights.iter().copied()).collect();
        cluster.grant(CAROL, &all).await;
        let mut plan = plan("", image);
        plan.digest = plan_digest(&plan).unwrap();
        let kubeconfig = kubeconfig(&cluster.namespace);
        let scene = Self { cluster, plan, kubeconfig };
        let migration = scene.read().await;
        let config_maps = plan_store::store(&scene.cluster.admin, &migration, &scene.plan).await.unwrap();
        scene.write(|status| *status = waiting(&scene.plan, config_maps.clone())).await;
        scene
    }

    fn migrations(&self) -> Api<SchemaMigration> {
        Api::namespaced(self.cluster.admin.clone(), &self.cluster.namespace)
    }

    pub(crate) async fn read(&self) -> SchemaMigration {
        self.migrations().get("minimal").await.unwrap()
    }

    /// Writes the status as the operator does.
    pub(crate) async fn write(&self, change: impl Fn(&mut SchemaMigrationStatus)) {
        let mut migration = self.read().await;
        let mut status = migration.status.take().unwrap_or_default();
        change(&mut status);
        migration.status = Some(status);
        self.migrations().replace_status("minimal", &PostParams::default(), &migration).await.unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-holdfast"));
        command.args(arguments).arg("--kubeconfig").arg(&self.kubeconfig).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs the plugin as Carol: exit code, standard output and standard error.
    pub(crate) async fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        told(self.command(arguments).output().await.unwrap())
    }
}

fn told(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The administrator's kubeconfig, acting as Carol in the namespace.
fn kubeconfig(namespace: &str) -> PathBuf {
    let path = env::var("HOLDFAST_TEST_KUBECONFIG").unwrap();
    let mut config: Value = serde_yaml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    config["users"][0]["user"]["as"] = json!(CAROL);
    config["users"][0]["user"]["as-groups"] = json!(["system:authenticated"]);
    config["contexts"][0]["context"]["namespace"] = json!(namespace);
    for (place, key) in [("clusters", "cluster"), ("users", "user")] {
        for name in ["certificate-authority", "client-certificate", "client-key"] {
            let folder = Path::new(&path).parent().unwrap();
            if let Some(relative) = config[place][0][key][name].as_str().map(str::to_owned) {
                config[place][0][key][name] = json!(folder.join(relative));
            }
        }
    }
    let mine = env::temp_dir().join(format!("{namespace}.kubeconfig"));
    fs::write(&mine, serde_yaml::to_string(&config).unwrap()).unwrap();
    mine
}

fn at(text: &str) -> Time {
    Time(text.parse().unwrap())
}

pub(crate) fn condition(name: &str, status: &str, reason: Reason, message: &str) -> Condition {
    Condition {
        type_: name.to_owned(),
        status: status.to_owned(),
        reason: reason.to_string(),
        message: message.to_owned(),
        observed_generation: Some(1),
        last_transition_time: at("2026-11-24T10:00:00Z"),
    }
}

fn closed(phase: GatedPhase, reason: Reason) -> GateStatus {
    GateStatus {
        before: Before::from(phase),
        state: GateState::Closed,
        reason: reason.to_string(),
        message: Some("the operator's words".to_owned()),
        approval: None,
        evidence: Vec::new(),
        since: None,
    }
}

fn waiting(plan: &Plan, config_maps: Vec<String>) -> SchemaMigrationStatus {
    SchemaMigrationStatus {
        observed_generation: 1,
        phase: Some(Phase::CleanUp),
        message: Some("waiting for an approval before CleanUp".to_owned()),
        conditions: vec![condition("Ready", "Unknown", Reason::ApprovalPending, "waiting for an approval")],
        plan: Some(PlanStatus {
            digest: plan.digest.clone(),
            config_maps,
            generation: 1,
            computed_at: at("2026-11-24T10:00:00Z"),
            counts: PlanCounts { operations: 1, tables: 1, indexes: 1, ..PlanCounts::default() },
            estimates: PlanEstimates { duration_seconds: 3, ..PlanEstimates::default() },
            warnings: vec!["bookmarks has a trigger".to_owned()],
        }),
        gates: vec![closed(GatedPhase::CleanUp, Reason::ApprovalPending)],
        steps: Some(StepCount::new(0, 1)),
        phases: vec![PhaseStatus {
            name: Phase::CleanUp,
            started: at("2026-11-24T10:00:00Z"),
            finished: None,
            background: true,
        }],
        validation: vec![ValidationCount {
            issue_type: "orphans: bookmarks.user_id -> users.id".to_owned(),
            count: 42,
        }],
        ..SchemaMigrationStatus::default()
    }
}

#[tokio::test]
async fn an_approval_is_shown_and_made_in_the_name_of_the_user() {
    let scene = Scene::new(&[CREATE_APPROVALS]).await;
    let arguments = ["approve", "minimal", "--before", "CleanUp", "--max-rows", "50", "--reason", "counted", "--yes"];
    let (code, out, err) = scene.run(&arguments).await;
    assert_eq!(code, 0, "{err}");
    for text in
        [scene.plan.digest.as_str(), "bookmarks has a trigger", "42 rows that break a rule", "may take 50", CAROL]
    {
        assert!(out.contains(text), "{text} in {out}");
    }
    let approvals: Api<MigrationApproval> = Api::namespaced(scene.cluster.admin.clone(), &scene.cluster.namespace);
    let made = approvals.list(&Default::default()).await.unwrap().items;
    assert_eq!(made.len(), 1);
    let spec = &made[0].spec;
    assert_eq!((spec.approved_by.as_str(), spec.max_rows, spec.reason.as_deref()), (CAROL, Some(50), Some("counted")));
    assert_eq!((&spec.plan_digest, &spec.migration_ref.uid), (&scene.plan.digest, &scene.read().await.metadata.uid));
    assert_eq!(made[0].managed_fields()[0].manager.as_deref(), Some("holdfast-cli"));
    let (code, out, err) = scene.run(&arguments).await;
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("made already, by carol@example.com"), "{out}");
}

#[tokio::test]
async fn without_the_right_to_approve_the_api_server_refuses_and_nothing_is_made() {
    let scene = Scene::new(&[]).await;
    let (code, _, err) = scene.run(&["deny", "minimal", "--before", "CleanUp", "--yes"]).await;
    assert_eq!(code, 3, "{err}");
    assert!(
        err.contains("cannot create resource \"migrationapprovals\"") && err.contains("ask whoever administers"),
        "{err}"
    );
}

#[tokio::test]
async fn nobody_is_taken_to_have_agreed_and_what_does_not_wait_is_not_approved() {
    let scene = Scene::new(&[CREATE_APPROVALS]).await;
    let (code, out, err) = scene.run(&["approve", "minimal", "--before", "CleanUp"]).await;
    assert_eq!(code, 2, "{err}");
    assert!(out.contains("You are about to approve") && err.contains("add --yes"), "{out}{err}");
    let (code, _, err) = scene.run(&["approve", "minimal", "--before", "CleanUp", "--yes"]).await;
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("--max-rows 42 or more"), "{err}");
    let (code, _, err) = scene.run(&["approve", "minimal", "--before", "users", "--yes"]).await;
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("nothing waits for an approval before stage users; what waits: --before CleanUp"), "{err}");
    let other =
        ["approve", "minimal", "--before", "CleanUp", "--max-rows", "50", "--yes", "--plan-digest", "sha256:other"];
    let (code, _, err) = scene.run(&other).await;
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("the plan that waits is sha256:"), "{err}");
    scene.write(|status| status.gates = vec![closed(GatedPhase::CleanUp, Reason::ApprovalPolicyMissing)]).await;
    let (code, _, err) = scene.run(&["approve", "minimal", "--before", "CleanUp", "--max-rows", "50", "--yes"]).await;
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("the operator's words"), "{err}");
    let approvals: Api<MigrationApproval> = Api::namespaced(scene.cluster.admin.clone(), &scene.cluster.namespace);
    assert_eq!(approvals.list(&Default::default()).await.unwrap().items, []);
}

#[tokio::test]
async fn a_plan_whose_content_has_another_digest_is_neither_shown_nor_approved() {
    let scene = Scene::new(&[CREATE_APPROVALS]).await;
    let mut changed = scene.plan.clone();
    changed.operations[0].forward = Some("DROP TABLE `shop`.`bookmarks`".to_owned());
    changed.digest = scene.plan.digest.replace("sha256:", "sha256:0");
    let config_maps = plan_store::store(&scene.cluster.admin, &scene.read().await, &changed).await.unwrap();
    scene
        .write(|status| {
            let plan = status.plan.as_mut().unwrap();
            (plan.digest, plan.config_maps) = (changed.digest.clone(), config_maps.clone());
        })
        .await;
    for arguments in
        [&["plan", "minimal"][..], &["approve", "minimal", "--before", "CleanUp", "--max-rows", "50", "--yes"]]
    {
        let (code, out, err) = scene.run(arguments).await;
        assert_eq!((code, out.as_str()), (1, ""), "{err}");
        assert!(err.contains("its content has the digest sha256:"), "{err}");
    }
}

#[tokio::test]
async fn a_plan_of_several_config_maps_is_shown_whole_in_every_form() {
    let scene = Scene::with_image(&[], "ü".repeat(1_000_000)).await;
    assert_eq!(scene.read().await.status.unwrap().plan.unwrap().config_maps.len(), 3);
    let forms = [
        ("text", render::text(&scene.plan)),
        ("sql", script::forward_sql(&scene.plan)),
        ("rollback-sql", script::rollback_sql(&scene.plan)),
    ];
    for (form, expected) in forms {
        let (code, out, err) = scene.run(&["plan", "minimal", "-o", form]).await;
        assert_eq!(code, 0, "{err}");
        assert!(out == expected, "{form}");
    }
    let (_, out, _) = scene.run(&["plan", "minimal", "--output", "json"]).await;
    assert!(serde_json::from_str::<Plan>(&out).unwrap() == scene.plan);
}

#[tokio::test]
async fn a_status_is_shown_in_every_form_and_a_missing_one_names_the_next_step() {
    let scene = Scene::new(&[]).await;
    let (code, out, err) = scene.run(&["status", "minimal"]).await;
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with(&format!("minimal in {}  WAITS FOR APPROVAL\n", scene.cluster.namespace)), "{out}");
    assert!(out.contains("kubectl holdfast approve minimal") && out.contains("orphans: bookmarks.user_id"), "{out}");
    assert!(!out.contains('\x1b'), "no colours in a pipe: {out}");
    let (_, out, _) = scene.run(&["status", "minimal", "-o", "json"]).await;
    assert_eq!(serde_json::from_str::<SchemaMigration>(&out).unwrap(), scene.read().await);
    let (_, out, _) = scene.run(&["status", "minimal", "-o", "yaml"]).await;
    assert_eq!(serde_yaml::from_str::<SchemaMigration>(&out).unwrap(), scene.read().await);
    let (code, out, err) = scene.run(&["status"]).await;
    assert_eq!(code, 0, "{err}");
    assert!(out.lines().nth(1).unwrap().starts_with("minimal  WAITS FOR APPROVAL"), "{out}");
    let (code, _, err) = scene.run(&["status", "other"]).await;
    assert_eq!(code, 3, "{err}");
    assert!(
        err.contains("there is no SchemaMigration other") && err.contains("kubectl get smig --all-namespaces"),
        "{err}"
    );
}

#[tokio::test]
async fn a_watch_tells_what_is_new_and_ends_with_the_migration() {
    let scene = Scene::new(&[]).await;
    for (succeeded, reason, code, word) in
        [("False", Reason::RollbackSucceeded, 1, "ROLLED BACK"), ("True", Reason::Complete, 0, "COMPLETE")]
    {
        let waits = condition("Ready", "Unknown", Reason::ApprovalPending, "waiting for an approval");
        scene.write(|status| status.conditions = vec![waits.clone()]).await;
        let mut watch = scene
            .command(&["status", "minimal", "--watch", "--timeout", "60s"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
        let first = lines.next_line().await.unwrap().unwrap();
        assert!(first.ends_with("▸ CleanUp"), "{first}");
        let second = lines.next_line().await.unwrap().unwrap();
        assert!(
            second.contains("‖ waits for a person who may approve: an approval is needed before CleanUp"),
            "{second}"
        );
        scene
            .write(|status| {
                status.message = Some("all is told".to_owned());
                status.conditions = vec![
                    condition("Ready", succeeded, reason, "all is told"),
                    condition("Succeeded", succeeded, reason, "all is told"),
                    condition("Finished", "True", reason, "all is told"),
                ];
            })
            .await;
        let third = lines.next_line().await.unwrap().unwrap();
        assert!(third.ends_with(&format!("{word}: all is told")), "{third}");
        assert_eq!(lines.next_line().await.unwrap(), None);
        let (ended, _, err) = told(watch.wait_with_output().await.unwrap());
        assert_eq!(ended, code, "{err}");
    }
}
