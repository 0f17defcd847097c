//! The API server that is tested: the definitions and the policies installed, a namespace for each test, and users.

use std::{
    env, fs,
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
    sync::LazyLock,
};

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, ObjectMeta, PostParams},
    core::{GroupVersionKind, Status},
};
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::server::install_definitions;
pub(crate) use crate::server::{client, eventually, helm, root};

/// Namespaces with this label, and this run as its value, are subject to the policies under test; others are not, so that
/// tests do not disturb each other or an operator that is installed in the same cluster.
const POLICED: &str = "holdfast.dev/test-policed";
/// Namespaces with this label are subject to the required gates.
const GATED: &str = "holdfast.dev/test-gated";

/// The field manager of the tests.
pub(crate) const MANAGER: &str = "holdfast-api-tests";

static READY: OnceCell<()> = OnceCell::const_new();
/// Policies have names of their own in each run: the API server goes on enforcing a policy of an earlier run for a while.
static RUN: LazyLock<String> = LazyLock::new(|| format!("{:08x}", fastrand::u32(..)));

/// What a namespace is subject to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policies {
    /// The definitions alone.
    None,
    /// The policies that are always installed.
    Always,
    /// Those, and CleanUp as a gate that the administrator requires.
    WithRequiredGate,
}

/// A namespace of its own, as its administrator sees it.
pub(crate) struct Cluster {
    pub(crate) admin: Client,
    pub(crate) namespace: String,
}

impl Cluster {
    /// A new namespace, with everything installed.
    pub(crate) async fn new(policies: Policies) -> Self {
        let admin = client(None).await;
        READY.get_or_init(|| install(admin.clone())).await;
        Self::bare(&admin, policies).await
    }

    /// A new namespace, whether everything is installed or not.
    pub(crate) async fn bare(admin: &Client, policies: Policies) -> Self {
        let mut labels = std::collections::BTreeMap::new();
        if policies != Policies::None {
            labels.insert(POLICED.to_owned(), RUN.clone());
        }
        if policies == Policies::WithRequiredGate {
            labels.insert(GATED.to_owned(), RUN.clone());
        }
        let metadata = ObjectMeta {
            generate_name: Some("holdfast-api-".to_owned()),
            labels: Some(labels),
            ..ObjectMeta::default()
        };
        let namespace = Namespace { metadata, ..Namespace::default() };
        let made = Api::<Namespace>::all(admin.clone()).create(&PostParams::default(), &namespace).await.unwrap();
        Self { admin: admin.clone(), namespace: made.name_any() }
    }

    /// Objects of a kind of ours, as the administrator sees them.
    pub(crate) fn api(&self, kind: &str) -> Api<DynamicObject> {
        resource(self.admin.clone(), &self.namespace, kind)
    }

    /// Objects of a kind of ours, as a user sees them.
    pub(crate) async fn api_as(&self, user: &str, kind: &str) -> Api<DynamicObject> {
        resource(client(Some(user)).await, &self.namespace, kind)
    }
}

/// What the API server answered instead of doing what was asked.
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, kube::Error>) -> Box<Status> {
    match result {
        Err(kube::Error::Api(status)) => status,
        other => panic!("expected a refusal of the API server, got {other:?}"),
    }
}

/// An object from a manifest.
pub(crate) fn object(manifest: &str) -> DynamicObject {
    serde_yaml::from_str(manifest).unwrap_or_else(|error| panic!("not a manifest: {error}\n{manifest}"))
}

/// The manifest of that path under `tests/api/manifests`.
pub(crate) fn manifest(path: &str) -> String {
    let path = root().join("tests/api/manifests").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn resource(client: Client, namespace: &str, kind: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("holdfast.dev", "v1alpha1", kind);
    Api::namespaced_with(client, namespace, &ApiResource::from_gvk(&kind))
}

async fn install(admin: Client) {
    install_definitions(&admin).await;
    for (kind, plural) in [
        ("ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
        ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
    ] {
        let group = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
        let api: Api<DynamicObject> = Api::all_with(admin.clone(), &ApiResource::from_gvk_with_plural(&group, plural));
        let earlier = ListParams::default().labels(MANAGER);
        api.delete_collection(&DeleteParams::default(), &earlier).await.unwrap();
        for document in policies().iter().filter(|each| each.types.as_ref().is_some_and(|types| types.kind == kind)) {
            api.create(&PostParams::default(), document)
                .await
                .unwrap_or_else(|error| panic!("{kind} {} was not installed: {error}", document.name_any()));
        }
    }
    crate::users::wait_for_policies(&admin).await;
}

/// The policies of the chart, for the namespaces of these tests only.
fn policies() -> Vec<DynamicObject> {
    let chart = root().join("charts/holdfast");
    let mut arguments = vec!["template", "holdfast", chart.to_str().unwrap(), "--set", "requiredGates={CleanUp}"];
    let templates =
        ["approved-by", "authors", "required-gates", "steering"].map(|name| format!("templates/admission-{name}.yaml"));
    for template in &templates {
        arguments.extend(["--show-only", template]);
    }
    let mut documents = Vec::new();
    for document in serde_yaml::Deserializer::from_str(&helm(&arguments)) {
        let mut value = serde::Deserialize::deserialize(document).unwrap();
        scope(&mut value);
        documents.push(serde_json::from_value(value).unwrap());
    }
    assert_eq!(documents.len(), 8, "the chart renders four policies and four bindings");
    documents
}

fn scope(document: &mut Value) {
    let name = document["metadata"]["name"].as_str().unwrap();
    let label = if name.ends_with("required-gates") { GATED } else { POLICED };
    let name = format!("{name}-test-{}", *RUN);
    if document["kind"] == "ValidatingAdmissionPolicyBinding" {
        document["spec"]["policyName"] = Value::from(name.as_str());
        document["spec"]["matchResources"]["namespaceSelector"]["matchLabels"][label] = Value::from(RUN.as_str());
    }
    document["metadata"]["name"] = Value::from(name);
    document["metadata"]["labels"][MANAGER] = Value::from("true");
}

/// The administrator's kubeconfig.
pub(crate) fn administrator() -> PathBuf {
    PathBuf::from(env::var("HOLDFAST_TEST_KUBECONFIG").unwrap())
}

/// Runs a program with something to read: its output, or what it said on its way out.
pub(crate) fn with_input(program: &str, arguments: &[&str], input: &str) -> Result<String, String> {
    let mut child = Command::new(program)
        .args(arguments)
        .env("KUBECONFIG", env::var_os("HOLDFAST_TEST_KUBECONFIG").unwrap_or_default())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("{program} cannot be run: {error}. tests/cluster/api-server.sh run -- COMMAND puts it on the PATH")
        });
    let mut stdin = child.stdin.take().unwrap();
    let text = input.to_owned();
    let writing = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    // A program that ends early reads no more; what it said tells why.
    let _ = writing.join().unwrap();
    let told = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(told(output.stdout)) } else { Err(told(output.stderr)) }
}
