//! Backups of type VolumeSnapshot against the real definitions of CSI's snapshots, by an operator that has the chart's rights in one namespace.
//! What the snapshot controller and a driver do, this test does: there is no node that a driver could run on.

use std::path::{Path, PathBuf};
use std::process::Command;

use holdfast::controller::names;
use holdfast::controller::volume_snapshot::{UID_LABEL, resource};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt as _};
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::fixture::put_definition;
use crate::operator::Operator;
use crate::own_server::OwnServer;
use crate::place::{Place, condition};
use crate::server::{eventually, helm, root};

const NAMESPACE: &str = "holdfast-snapshots";

fn kubectl(kubeconfig: &Path, arguments: &[&str]) -> String {
    let output = Command::new("kubectl").arg("--kubeconfig").arg(kubeconfig).args(arguments).output().unwrap();
    assert!(output.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A folder with the kubeconfig of the operator's account, which has the rights that the chart gives it in a namespace. It goes with this.
struct Account {
    folder: PathBuf,
}

impl Drop for Account {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

impl Account {
    /// With the rights that the chart gave before there were VolumeSnapshots.
    fn new(administrator: &Path) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("snapshots-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let account = Self { folder };
        account.grant(administrator, |rule| {
            !["persistentvolumeclaims", "volumesnapshots"].iter().any(|resource| rule["resources"] == json!([resource]))
        });
        let token = kubectl(administrator, &["create", "token", "holdfast", "--namespace", "default"]);
        let mut config: Value = serde_yaml::from_str(&std::fs::read_to_string(administrator).unwrap()).unwrap();
        config["users"][0]["user"] = json!({"token": token.trim()});
        std::fs::write(account.kubeconfig(), serde_yaml::to_string(&config).unwrap()).unwrap();
        account
    }

    /// Gives it those of the chart's rights that are wanted.
    fn grant(&self, administrator: &Path, wanted: impl Fn(&Value) -> bool) {
        let chart = root().join("charts/holdfast");
        let namespaces = format!("watchNamespaces={{{NAMESPACE}}}");
        let arguments =
            ["template", "holdfast", chart.to_str().unwrap(), "--namespace", "default", "--set", &namespaces];
        let rights = helm(&[&arguments[..], &["--show-only", "templates/rbac.yaml"]].concat());
        let mut rights: Vec<Value> = serde_yaml::Deserializer::from_str(&rights)
            .map(|each| Value::deserialize(each).unwrap())
            .filter(|each| !each.is_null())
            .collect();
        for rules in rights.iter_mut().filter_map(|each| each.get_mut("rules")?.as_array_mut()) {
            rules.retain(&wanted);
        }
        let file = self.folder.join("rights.json");
        std::fs::write(&file, json!({"apiVersion": "v1", "kind": "List", "items": rights}).to_string()).unwrap();
        kubectl(administrator, &["apply", "--server-side", "--filename", file.to_str().unwrap()]);
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    async fn client(&self) -> Client {
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig()).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        Client::try_from(config).unwrap()
    }
}

/// The namespace, and what the test plays in it.
struct Stage {
    place: Place,
    snapshots: Api<DynamicObject>,
}

impl Stage {
    /// A specification that backs up by a VolumeSnapshot.
    async fn specification(&self, schema: &str) -> Value {
        self.place.schema(schema).await;
        let mut spec = self.place.specification(schema);
        spec["backup"] = json!({"type": "VolumeSnapshot", "verification": "Inspect",
            "volumeSnapshot": {"claimName": "data", "className": "fast"}});
        spec
    }

    /// Waits until what a migration says has a text in it.
    async fn says(&self, name: &str, text: &str) -> Value {
        let what = format!("saying {text:?}");
        self.place
            .wait(name, &what, |object| {
                condition(object, "Ready")["message"].as_str().is_some_and(|told| told.contains(text))
            })
            .await
    }

    /// Waits until a migration has asked for its snapshot.
    async fn asked(&self, migration: &str) -> DynamicObject {
        let uid = self.place.migrations().get(migration).await.unwrap().uid().unwrap();
        let name = names::volume_snapshot(migration, &uid, 1);
        eventually(&format!("the VolumeSnapshot {name}"), async || {
            self.snapshots.get(&name).await.map(|_| ()).map_err(|error| error.to_string())
        })
        .await;
        self.snapshots.get(&name).await.unwrap()
    }

    /// What a driver reports.
    async fn report(&self, snapshot: &DynamicObject, status: Value) {
        report(&self.snapshots, snapshot, status).await;
    }
}

/// Installs the definitions of CSI's snapshots.
pub(crate) async fn install_definitions_of_snapshots(client: &Client) {
    let folder = std::env::var("HOLDFAST_TEST_SNAPSHOT_CRDS").expect(
        "HOLDFAST_TEST_SNAPSHOT_CRDS must name the folder with the definitions of CSI's snapshots; tests/cluster/api-server.sh run -- \
         COMMAND sets it",
    );
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for name in ["volumesnapshotclasses", "volumesnapshotcontents", "volumesnapshots"] {
        let path = Path::new(&folder).join(format!("snapshot.storage.k8s.io_{name}.yaml"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        put_definition(&api, &serde_yaml::from_str(&text).unwrap()).await;
    }
}

/// The claim of the server's data, without a volume.
async fn claim(place: &Place) -> Api<PersistentVolumeClaim> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(place.client.clone(), &place.namespace);
    let claim = json!({"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    api.create(&PostParams::default(), &serde_json::from_value(claim).unwrap()).await.unwrap();
    api
}

/// Gives that claim a volume.
async fn bind(claims: &Api<PersistentVolumeClaim>) {
    let bound = Patch::Merge(json!({"status": {"phase": "Bound"}}));
    claims.patch_status("data", &PatchParams::default(), &bound).await.unwrap();
}

/// The claim of the server's data.
#[cfg(feature = "failpoints")]
pub(crate) async fn bound_claim(place: &Place) {
    bind(&claim(place).await).await;
}

/// Has a snapshot say what a driver reports.
pub(crate) async fn report(snapshots: &Api<DynamicObject>, snapshot: &DynamicObject, status: Value) {
    let patch = Patch::Merge(json!({"status": status}));
    snapshots.patch_status(&snapshot.name_any(), &PatchParams::default(), &patch).await.unwrap();
}

/// What a driver reports of one that is taken.
pub(crate) fn ready() -> Value {
    json!({"boundVolumeSnapshotContentName": "snapcontent-1", "creationTime": jiff::Timestamp::now(), "readyToUse": true, "restoreSize": "1Gi",
        "error": null})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_the_volume_is_asked_for_once_waited_for_and_left_alone() {
    let server = OwnServer::start().await;
    let client = server.client().await;
    server.put_definitions().await;
    let snapshots = Api::namespaced_with(client.clone(), NAMESPACE, &resource());
    let stage = Stage { place: Place::on(client, NAMESPACE).await, snapshots };
    let account = Account::new(server.kubeconfig());
    let operator = Operator::start_as(&account.kubeconfig(), &[NAMESPACE]).await;

    first_there_is_nothing(&stage, || account.grant(server.kubeconfig(), |_| true)).await;
    let operator = one_is_asked_for_and_the_operator_killed(&stage, &account, operator).await;
    what_is_not_ours_is_left_alone(&stage).await;
    what_is_not_reported_is_not_proven(&stage).await;
    what_is_refused_is_told_and_tried_again(&stage).await;
    the_operator_has_no_right_to_more(&account).await;

    assert!(operator.stop().await.success());
    server.stop().await;
}

/// Neither a right, nor a claim, nor a volume, nor the definitions: each is named, and nothing ends.
async fn first_there_is_nothing(stage: &Stage, grant: impl Fn()) {
    let spec = stage.specification("holdfast_snapshots").await;
    stage.place.sql("CREATE TABLE holdfast_snapshots.hits (id INT PRIMARY KEY) ENGINE = MyISAM").await;
    stage.place.create("first", &spec).await;
    stage
        .says(
            "first",
            "may not read PersistentVolumeClaims in holdfast-snapshots: bring the operator's installation up",
        )
        .await;
    grant();
    let waiting = stage.says("first", "PersistentVolumeClaim holdfast-snapshots/data does not exist").await;
    assert_eq!(condition(&waiting, "Ready")["reason"], "DependencyNotReady");
    let claims = claim(&stage.place).await;
    stage.says("first", "holdfast-snapshots/data has no volume yet").await;
    bind(&claims).await;
    let waiting = stage.says("first", "does not know VolumeSnapshots (snapshot.storage.k8s.io/v1): install").await;
    assert_eq!(condition(&waiting, "Ready")["reason"], "DependencyNotReady");
    install_definitions_of_snapshots(&stage.place.client).await;
}

async fn one_is_asked_for_and_the_operator_killed(stage: &Stage, account: &Account, operator: Operator) -> Operator {
    let snapshot = stage.asked("first").await;
    let migration = stage.place.read("first").await;
    assert_eq!(snapshot.labels()[UID_LABEL], migration["metadata"]["uid"]);
    assert!(snapshot.owner_references().is_empty(), "the garbage collector would delete the backup with the migration");
    assert_eq!(
        snapshot.data["spec"],
        json!({"source": {"persistentVolumeClaimName": "data"}, "volumeSnapshotClassName": "fast"})
    );
    let warnings = &migration["status"]["plan"]["warnings"];
    assert!(warnings.to_string().contains("hits (MyISAM)"), "{warnings}");
    let error = json!({"error": {"message": "the class fast does not exist", "time": jiff::Timestamp::now()}, "readyToUse": false});
    stage.report(&snapshot, error).await;
    stage.says("first", "its driver says: the class fast does not exist").await;

    operator.kill().await;
    let operator = Operator::start_as(&account.kubeconfig(), &[NAMESPACE]).await;
    let status = ready();
    stage.report(&snapshot, status.clone()).await;
    let end = stage.place.wait_for_end("first", "Complete").await;
    let backup = &end["status"]["backup"];
    assert_eq!(backup["location"], format!("volumesnapshot/{}", snapshot.name_any()));
    assert_eq!((&backup["bytes"], &backup["verified"]), (&json!(1 << 30), &json!("Inspect")));
    let time = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second();
    assert_eq!(time(&backup["takenAt"]), time(&status["creationTime"]), "the snapshot's own time");
    let told = condition(&end, "BackedUp")["message"].clone();
    assert!(told.as_str().unwrap().contains("bound to the VolumeSnapshotContent snapcontent-1"), "{told}");
    assert_eq!(stage.snapshots.list(&ListParams::default()).await.unwrap().items.len(), 1);

    stage.place.migrations().delete("first", &DeleteParams::default()).await.unwrap();
    eventually("the deleted migration to be gone", async || {
        let there = stage.place.migrations().get_opt("first").await.unwrap();
        there.map_or(Ok(()), |object| Err(format!("{:?}", object.metadata)))
    })
    .await;
    stage.snapshots.get(&snapshot.name_any()).await.unwrap();
    operator
}

/// One that waits for an approval before its backup; the name that its snapshot will have.
async fn gated(stage: &Stage, name: &str, schema: &str) -> String {
    let mut spec = stage.specification(schema).await;
    spec["gates"] = json!([{"before": {"phase": "BackUp"}, "approval": "Required"}]);
    let uid = stage.place.create(name, &spec).await.uid().unwrap();
    stage.place.wait_for_reason(name, "ApprovalPending").await;
    names::volume_snapshot(name, &uid, 1)
}

async fn what_is_not_ours_is_left_alone(stage: &Stage) {
    let name = gated(stage, "second", "holdfast_snapshots_second").await;
    let mut foreign = DynamicObject::new(&name, &resource());
    foreign.data = json!({"spec": {"source": {"persistentVolumeClaimName": "data"}}});
    let foreign = stage.snapshots.create(&PostParams::default(), &foreign).await.unwrap();
    stage.report(&foreign, ready()).await;
    let before = stage.snapshots.get(&name).await.unwrap();
    stage.place.decide("second", json!({"phase": "BackUp"}), "Approve").await;
    let end = stage.place.wait_for_end("second", "BackupFailed").await;
    let told = condition(&end, "BackedUp")["message"].as_str().unwrap().to_owned();
    assert!(told.contains(&format!("a VolumeSnapshot named {name} exists that is not this migration's")), "{told}");
    assert_eq!(stage.snapshots.get(&name).await.unwrap(), before);
}

async fn what_is_not_reported_is_not_proven(stage: &Stage) {
    let spec = stage.specification("holdfast_snapshots_third").await;
    stage.place.create("third", &spec).await;
    let snapshot = stage.asked("third").await;
    let mut status = ready();
    status["restoreSize"] = Value::Null;
    stage.report(&snapshot, status).await;
    let end = stage.place.wait_for_end("third", "BackupUnverified").await;
    let told = condition(&end, "BackedUp")["message"].as_str().unwrap().to_owned();
    assert!(told.contains("reports no restoreSize") && told.contains("Nothing was changed"), "{told}");
    assert_eq!(end["status"]["startedAt"], Value::Null);
    stage.snapshots.get(&snapshot.name_any()).await.unwrap();
}

/// The API server refuses the object itself: an event says why, and it is tried again. That it ends after some tries, tests of decisions show.
async fn what_is_refused_is_told_and_tried_again(stage: &Stage) {
    let deny = json!({
        "policy": {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "no-snapshots"},
            "spec": {"failurePolicy": "Fail", "validations": [{"expression": "false", "message": "no more snapshots this month"}],
                "matchConstraints": {"resourceRules": [{"apiGroups": ["snapshot.storage.k8s.io"], "apiVersions": ["*"],
                    "operations": ["CREATE"], "resources": ["volumesnapshots"]}]}}},
        "binding": {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "no-snapshots"},
            "spec": {"policyName": "no-snapshots", "validationActions": ["Deny"]}},
    });
    let client = stage.place.client.clone();
    let policies: Api<k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy> =
        Api::all(client.clone());
    policies.create(&PostParams::default(), &serde_json::from_value(deny["policy"].clone()).unwrap()).await.unwrap();
    let bindings: Api<k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding> =
        Api::all(client.clone());
    bindings.create(&PostParams::default(), &serde_json::from_value(deny["binding"].clone()).unwrap()).await.unwrap();
    let mut probe = DynamicObject::new("probe", &resource());
    probe.data = json!({"spec": {"source": {"persistentVolumeClaimName": "data"}}});
    eventually("the policy to be enforced", async || {
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        match stage.snapshots.create(&dry, &probe).await {
            Err(error) if error.to_string().contains("no more snapshots") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let spec = stage.specification("holdfast_snapshots_fourth").await;
    stage.place.create("fourth", &spec).await;
    let events: Api<k8s_openapi::api::events::v1::Event> = Api::namespaced(client, NAMESPACE);
    let said = |event: &k8s_openapi::api::events::v1::Event| {
        event.reason.as_deref() == Some("BackupFailed")
            && event.note.as_deref().is_some_and(|note| note.contains("no more snapshots this month"))
    };
    eventually("an event to say why", async || {
        let events = events.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items;
        if events.iter().any(said) { Ok(()) } else { Err(format!("{} other events", events.len())) }
    })
    .await;
    // Once nobody refuses it any more, the next try is taken.
    bindings.delete("no-snapshots", &DeleteParams::default()).await.unwrap();
    policies.delete("no-snapshots", &DeleteParams::default()).await.unwrap();
    stage.asked("fourth").await;
    let waiting = stage.place.read("fourth").await;
    assert!(
        waiting["status"]["backup"]["volumeSnapshot"]["tries"].as_i64() > Some(1),
        "{}",
        waiting["status"]["backup"]
    );
}

/// Only `get` and `create`: what is a backup cannot be lost by the operator.
async fn the_operator_has_no_right_to_more(account: &Account) {
    let api: Api<DynamicObject> = Api::namespaced_with(account.client().await, NAMESPACE, &resource());
    let refused = |result: Result<(), kube::Error>| match result {
        Err(kube::Error::Api(status)) => assert_eq!(status.code, 403, "{status:?}"),
        other => panic!("{other:?}"),
    };
    refused(api.delete("any", &DeleteParams::default()).await.map(|_| ()));
    refused(api.list(&ListParams::default()).await.map(|_| ()));
    let patch = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    refused(api.patch("any", &PatchParams::default(), &patch).await.map(|_| ()));
    assert!(api.get_opt("any").await.unwrap().is_none());
}
