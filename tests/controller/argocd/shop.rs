//! What a team has that follows `deploy/gitops`: a copy of the repository there, the Applications beside it, a namespace and a schema for each
//! environment. Names, addresses and gates are the test's own; the rest is what is published.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use kube::api::PostParams;
use kube::core::DynamicObject;
use kube::{Client, ResourceExt as _};
use serde::Deserialize as _;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::argocd::application::{Application, objects};
use crate::argocd::repository::{Repository, server};
use crate::node::Node;
use crate::place::Place;
use crate::promotion::{Keys, apply_secret};
use crate::server::{helm, root};

/// The name of the migration in the repository.
pub(crate) const MIGRATION: &str = "referential-integrity";
/// Who applies what is in Git.
pub(crate) const ARGO_CD: &str = "system:serviceaccount:argocd:argocd-application-controller";

static POLICIES: OnceCell<()> = OnceCell::const_new();

/// A team's repository and environments.
pub(crate) struct Shop {
    run: String,
    pub(crate) repository: Repository,
    environments: Vec<(&'static str, Place, Node)>,
}

impl Shop {
    /// With these environments, in the order of promotion; nothing is committed yet.
    pub(crate) async fn new(story: &str, environments: &[&'static str]) -> Self {
        let run = format!("{story}-{:08x}", fastrand::u32(..));
        let repository = Repository::new(&format!("{run}/migrations.git"), &root().join("deploy/gitops/repository"));
        let mut shop = Self { run, repository, environments: Vec::new() };
        for environment in environments {
            let place = Place::called(&shop.namespace(environment)).await;
            POLICIES.get_or_init(|| async { install_policies() }).await;
            place.schema(&shop.schema(environment)).await;
            let node = Node::start(&place.client, &place.namespace);
            shop.environments.push((*environment, place, node));
            let overlay = format!("overlays/{environment}/kustomization.yaml");
            shop.repository.edit(&overlay, &format!("shop-{environment}"), &shop.namespace(environment));
            shop.repository.edit(
                &overlay,
                "[{path: environment.yaml}]",
                "[{path: environment.yaml}, {path: server.yaml}]",
            );
            shop.configure(environment, json!({"gates": []}));
        }
        for pair in environments.windows(2) {
            shop.exchange_keys(pair[0], pair[1]).await;
        }
        shop
    }

    fn namespace(&self, environment: &str) -> String {
        format!("{}-{environment}", self.run)
    }

    /// The schema of an environment: all are on one server here.
    pub(crate) fn schema(&self, environment: &str) -> String {
        self.namespace(environment).replace('-', "_")
    }

    pub(crate) fn place(&self, environment: &str) -> &Place {
        &self.environments.iter().find(|(name, ..)| *name == environment).unwrap().1
    }

    pub(crate) fn namespaces(&self) -> Vec<&str> {
        self.environments.iter().map(|(_, place, _)| place.namespace.as_str()).collect()
    }

    fn client(&self) -> &Client {
        &self.environments[0].1.client
    }

    /// The number of foreign keys in an environment.
    pub(crate) async fn keys(&self, environment: &str) -> String {
        self.place(environment).keys(&self.schema(environment)).await
    }

    /// What is an environment's own beside what its overlay says: the server, and what a test changes.
    pub(crate) fn configure(&self, environment: &str, change: Value) {
        let mut spec = self.place(environment).specification(&self.schema(environment));
        spec.as_object_mut().unwrap().retain(|field, _| ["database", "preflight", "journal"].contains(&field.as_str()));
        spec["database"]["tls"]["caSecretRef"] = Value::Null;
        // What runs the Jobs here has no server to restore into.
        spec["backup"] = json!({"verification": "None"});
        spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let patch = json!({"apiVersion": "holdfast.dev/v1alpha1", "kind": "SchemaMigration", "metadata": {"name": MIGRATION}, "spec": spec});
        let path = format!("overlays/{environment}/server.yaml");
        self.repository.write(&path, &serde_yaml::to_string(&patch).unwrap());
    }

    /// Adds an object to what an environment's Application applies.
    pub(crate) fn add(&self, environment: &str, name: &str, object: &Value) {
        let overlay = format!("overlays/{environment}");
        self.repository.write(&format!("{overlay}/{name}.yaml"), &serde_yaml::to_string(object).unwrap());
        let kustomization = format!("{overlay}/kustomization.yaml");
        self.repository.edit(&kustomization, "resources: [../../base", &format!("resources: [../../base, {name}.yaml"));
    }

    /// As "Keys, once" of the repository's page says.
    async fn exchange_keys(&self, from: &str, to: &str) {
        let folder = PathBuf::from(self.repository.path(&format!("overlays/{to}")));
        self.repository.remove(&format!("overlays/{to}/{from}-public-key.yaml"));
        let keys = Keys::make(&folder, from);
        std::fs::rename(folder.join(format!("{from}.yaml")), folder.join(format!("{from}-public-key.yaml"))).unwrap();
        apply_secret(self.place(from), &keys.private).await;
    }

    /// Creates the project, and the Applications of the environments that there are, with their fields changed by `change`.
    pub(crate) async fn create_applications(&self, change: impl Fn(&mut Value)) {
        let text = std::fs::read_to_string(root().join("deploy/gitops/argocd/applications.yaml")).unwrap();
        let text = text.replace("https://git.example.com", &server()).replace("shop", &self.run);
        let mut made = 0;
        for document in serde_yaml::Deserializer::from_str(&text) {
            let mut value = Value::deserialize(document).unwrap();
            let kind = value["kind"].as_str().unwrap().to_owned();
            if kind == "Application" {
                let source = &value["spec"]["source"];
                assert_eq!(source["repoURL"], self.repository.url);
                if !self.namespaces().contains(&value["spec"]["destination"]["namespace"].as_str().unwrap()) {
                    continue;
                }
                change(&mut value);
                made += 1;
            }
            let object: DynamicObject = serde_json::from_value(value).unwrap();
            let created = objects(self.client(), &kind).create(&PostParams::default(), &object).await;
            created.unwrap_or_else(|error| panic!("{kind} {}: {error}", object.name_any()));
        }
        assert!(made >= self.environments.len(), "{made} Applications were made");
    }

    /// The Application of an environment, or what its name has behind `shop-`.
    pub(crate) fn application(&self, name: &str) -> Application {
        Application::new(self.client(), &self.namespace(name))
    }

    /// An approval of the plan as it stands, as it is committed.
    pub(crate) async fn approval(&self, environment: &str, before: Value, approved_by: &str) -> Value {
        let place = self.place(environment);
        let waiting = place.wait_for_gate(MIGRATION, &before).await;
        json!({
            "apiVersion": "holdfast.dev/v1alpha1", "kind": "MigrationApproval",
            "metadata": {"name": format!("{}-{}", MIGRATION, before.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_lowercase())},
            "spec": {"migrationRef": {"name": MIGRATION}, "before": before, "decision": "Approve",
                "planDigest": waiting["status"]["plan"]["digest"], "maxRows": 1000, "approvedBy": approved_by, "reason": "alice looked at it"},
        })
    }
}

/// The chart's admission policies: whoever applies from Git is bound by them, too.
fn install_policies() {
    let chart = root().join("charts/holdfast");
    let mut arguments = vec!["template", "holdfast", chart.to_str().unwrap()];
    let templates = ["approved-by", "authors", "steering"].map(|name| format!("templates/admission-{name}.yaml"));
    for template in &templates {
        arguments.extend(["--show-only", template]);
    }
    with_input("kubectl", &["apply", "--server-side", "--filename", "-"], &helm(&arguments));
}

/// What a program says about an input.
pub(crate) fn with_input(program: &str, arguments: &[&str], input: &str) -> String {
    let mut command = Command::new(program);
    command.args(arguments).env("KUBECONFIG", std::env::var("HOLDFAST_TEST_KUBECONFIG").unwrap());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("{program} cannot be run: {error}; make test-gitops puts it on the PATH"));
    let mut stdin = child.stdin.take().unwrap();
    let text = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
