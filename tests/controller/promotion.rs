//! Evidence on its way from dev to staging, by the operator's process and the plugin: what dev completed opens staging, and nothing that
//! only looks like it does. What Git would carry is carried here by hand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use holdfast::evidence::{Document, PrivateKey, PublicKey, Signed};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use crate::node::Node;
use crate::operator::Operator;
use crate::place::{Place, condition};

pub(crate) fn plugin(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kubectl-holdfast"))
        .args(arguments)
        .env("KUBECONFIG", std::env::var("HOLDFAST_TEST_KUBECONFIG").unwrap())
        .output()
        .unwrap()
}

pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The key pair of an environment, as a newcomer makes it.
pub(crate) struct Keys {
    pub(crate) private: Secret,
    public: Secret,
    public_file: PathBuf,
}

impl Keys {
    pub(crate) fn make(folder: &Path, environment: &str) -> Self {
        let public_file = folder.join(format!("{environment}.yaml"));
        let made = plugin(&["evidence", "keygen", environment, "--public-key", public_file.to_str().unwrap()]);
        assert!(made.status.success(), "{}", said(&made));
        let public = std::fs::read_to_string(&public_file).unwrap();
        Self {
            private: serde_yaml::from_slice(&made.stdout).unwrap(),
            public: serde_yaml::from_str(&public).unwrap(),
            public_file,
        }
    }

    fn signing(&self) -> PrivateKey {
        PrivateKey::from_pem(self.private.string_data.as_ref().unwrap()["private.pem"].as_bytes()).unwrap()
    }
}

pub(crate) async fn apply_secret(place: &Place, secret: &Secret) {
    let api: Api<Secret> = Api::namespaced(place.client.clone(), &place.namespace);
    api.create(&PostParams::default(), secret).await.unwrap();
}

/// Puts evidence into the ConfigMap that staging names, as a commit does.
async fn commit(place: &Place, text: &str) {
    let api: Api<ConfigMap> = Api::namespaced(place.client.clone(), &place.namespace);
    let map = ConfigMap {
        metadata: ObjectMeta { name: Some("evidence".to_owned()), ..ObjectMeta::default() },
        data: Some(BTreeMap::from([("dev.json".to_owned(), text.to_owned())])),
        ..ConfigMap::default()
    };
    api.patch("evidence", &PatchParams::apply("git").force(), &Patch::Apply(&map)).await.unwrap();
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A specification of dev, which signs.
fn of_dev(place: &Place, schema: &str) -> Value {
    let mut spec = place.specification(schema);
    spec["promotion"] =
        json!({"environment": "dev", "signingKeySecretRef": {"name": "holdfast-evidence-key", "key": "private.pem"}});
    spec
}

/// A specification of staging, which asks dev.
fn of_staging(place: &Place, schema: &str, evidence: Value) -> Value {
    let mut spec = place.specification(schema);
    spec["promotion"] = json!({"environment": "staging", "requires": [{"environment": "dev", "maxAge": "1h",
        "publicKeySecretRef": {"name": "holdfast-evidence-dev", "key": "public.pem"}, "evidence": evidence}]});
    spec
}

/// Everything by which somebody might get past the gate, with what the message must say.
fn cheats(good: &str, keys: &Keys) -> Vec<(&'static str, String, &'static str)> {
    let document = || -> Document { Signed::read(good).unwrap().unverified().unwrap() };
    let signed = |document: &Document| Signed::new(document, Some(&keys.signing())).unwrap().text().unwrap();
    let tampered = |change: &dyn Fn(&mut Value)| {
        let mut whole: Value = serde_json::from_str(good).unwrap();
        change(&mut whole);
        whole.to_string()
    };
    let honest = |change: &dyn Fn(&mut Document)| {
        let mut document = document();
        change(&mut document);
        signed(&document)
    };
    let now = Timestamp::now();
    vec![
        (
            "edited",
            tampered(&|whole| whole["document"]["quarantined"]["orphans"] = json!(0)),
            "it was edited after it was signed",
        ),
        ("older", honest(&|it| it.finished_at = now - SignedDuration::from_hours(2)), "older than maxAge 1h"),
        ("other-content", honest(&|it| it.content_digest.push('0')), "it is of other content"),
        (
            "other-key",
            Signed::new(&document(), Some(&PrivateKey::from_seed(&[9; 32]))).unwrap().text().unwrap(),
            "it is signed with another key",
        ),
        ("unsigned", Signed::new(&document(), None).unwrap().text().unwrap(), "it is unsigned"),
        (
            "replayed",
            honest(&|it| it.environment = "test".to_owned()),
            "it comes from the environment \"test\", not \"dev\"",
        ),
        ("malformed", good[..good.len() / 2].to_owned(), "it is malformed"),
        ("future", honest(&|it| it.finished_at = now + SignedDuration::from_hours(1)), "it is from the future"),
        ("other-format", tampered(&|whole| whole["document"]["format"] = json!(2)), "it has the format 2"),
        ("not-complete", honest(&|it| it.result = "Failed".to_owned()), "its result is \"Failed\""),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn staging_opens_on_the_evidence_of_dev_and_on_nothing_that_looks_like_it() {
    let (dev, staging) = (Place::new().await, Place::new().await);
    let folder = folder("promotion");
    let keys = Keys::make(&folder, "dev");
    apply_secret(&dev, &keys.private).await;
    apply_secret(&staging, &keys.public).await;
    let _nodes = [Node::start(&dev.client, &dev.namespace), Node::start(&staging.client, &staging.namespace)];
    let operator = Operator::start(&[&dev.namespace, &staging.namespace]).await;
    dev.schema("holdfast_promotion_dev").await;
    staging.schema("holdfast_promotion_staging").await;
    dev.create("rollout", &of_dev(&dev, "holdfast_promotion_dev")).await;
    let by_name = json!({"configMapRef": {"name": "evidence", "key": "dev.json"}});
    staging.create("rollout", &of_staging(&staging, "holdfast_promotion_staging", by_name)).await;

    // Staging waits and says for what; dev completes.
    let waiting = staging.wait_for_reason("rollout", "EvidencePending").await;
    let message = condition(&waiting, "Ready")["message"].as_str().unwrap().to_owned();
    assert!(message.contains(&format!("the ConfigMap {}/evidence does not exist", staging.namespace)), "{message}");
    let done = dev.wait_for_end("rollout", "Complete").await;
    let file = folder.join("dev.json");
    let exported =
        plugin(&["evidence", "export", "rollout", "--namespace", &dev.namespace, "--output", file.to_str().unwrap()]);
    assert!(exported.status.success(), "{}", said(&exported));
    let good = std::fs::read_to_string(&file).unwrap();
    let arguments = ["evidence", "verify", file.to_str().unwrap(), "--max-age", "1h", "--environment", "dev"];
    let content = done["status"]["contentDigest"].as_str().unwrap();
    let more = ["--content-digest", content, "--public-key", keys.public_file.to_str().unwrap()];
    let verified = plugin(&[&arguments[..], &more].concat());
    assert!(verified.status.success() && said(&verified).contains("2 foreign keys"), "{}", said(&verified));
    written_as_it_should_be(&dev, &done, &good).await;

    // What looks like it stays outside, each by its name.
    let cheats = cheats(&good, &keys);
    for (name, text, _) in &cheats {
        staging.create(name, &of_staging(&staging, "holdfast_promotion_staging", json!({"inline": text}))).await;
    }
    for (name, _, expected) in &cheats {
        let refused = staging.wait_for_reason(name, "EvidenceRefused").await;
        let message = condition(&refused, "Ready")["message"].as_str().unwrap().to_owned();
        assert!(message.contains(expected), "{name}: {message}");
        assert!(
            refused["status"]["startedAt"].is_null() && refused["status"]["gates"][0]["state"] == "Closed",
            "{name}"
        );
    }
    commit(&staging, &cheats[0].1).await;
    staging.wait_for_reason("rollout", "EvidenceRefused").await;

    // A new commit is noticed, and opens the gate.
    commit(&staging, &good).await;
    let done = staging.wait_for_end("rollout", "Complete").await;
    let opened = &done["status"]["gates"][0]["evidence"][0];
    assert_eq!(opened["environment"], "dev");
    assert_eq!(opened["digest"], Signed::read(&good).unwrap().digest());
    // Staging signs nothing, and says so.
    assert!(done["status"]["evidence"]["signedBy"].is_null() && !done["status"]["evidence"]["configMap"].is_null());
    let exported = plugin(&["evidence", "export", "rollout", "--namespace", &staging.namespace]);
    assert!(exported.status.success() && said(&exported).contains("this evidence is unsigned"), "{}", said(&exported));
    for (name, ..) in &cheats {
        let still = staging.read(name).await;
        assert!(still["status"]["startedAt"].is_null(), "{name} has begun: {}", still["status"]);
    }

    let secret = keys.private.string_data.as_ref().unwrap()["private.pem"].lines().nth(1).unwrap().to_owned();
    assert!(!operator.told().contains(&secret), "the private key is in the log");
    assert!(!done.to_string().contains(&secret) && !good.contains(&secret));
    assert!(operator.stop().await.success());
}

/// The ConfigMap that holds evidence: signed, unchangeable, and nobody's, so that it outlives its migration.
async fn written_as_it_should_be(dev: &Place, done: &Value, good: &str) {
    let evidence = &done["status"]["evidence"];
    let maps: Api<ConfigMap> = Api::namespaced(dev.client.clone(), &dev.namespace);
    let map = maps.get(evidence["configMap"].as_str().unwrap()).await.unwrap();
    assert_eq!(map.data.as_ref().unwrap()["evidence.json"], good);
    assert_eq!(map.immutable, Some(true));
    assert!(map.owner_references().is_empty());
    assert_eq!(evidence["digest"], Signed::read(good).unwrap().digest());
    let document: Document = Signed::read(good).unwrap().unverified().unwrap();
    assert_eq!(json!(document.plan_digest), done["status"]["plan"]["digest"]);
    assert_eq!(json!(document.migration.uid), done["metadata"]["uid"]);
    assert_eq!((document.found.orphans, document.quarantined.orphans, document.proof.keys.len()), (10, 10, 2));
    assert!(document.versions.kubernetes.as_ref().is_some_and(|version| version.starts_with("v1.")), "{document:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_without_its_signing_key_waits_for_it_and_takes_nothing_back() {
    let place = Place::new().await;
    let keys = Keys::make(&folder("signing"), "dev");
    let _node = Node::start(&place.client, &place.namespace);
    let operator = Operator::start(&[&place.namespace]).await;
    place.schema("holdfast_signing").await;
    let mut spec = of_dev(&place, "holdfast_signing");
    spec["gates"] = json!([{"before": {"phase": "Complete"}, "approval": "Required"}]);
    place.create("rollout", &spec).await;
    // Before anything is begun the key is missed as every other Secret is.
    let waiting = place.wait_for_reason("rollout", "DependencyNotReady").await;
    let message = condition(&waiting, "Ready")["message"].as_str().unwrap().to_owned();
    assert!(message.contains("/holdfast-evidence-key does not exist"), "{message}");
    apply_secret(&place, &keys.private).await;
    place.wait_for_reason("rollout", "ApprovalPending").await;
    let secrets: Api<Secret> = Api::namespaced(place.client.clone(), &place.namespace);
    secrets.delete("holdfast-evidence-key", &DeleteParams::default()).await.unwrap();
    place.decide("rollout", json!({"phase": "Complete"}), "Approve").await;
    let waiting = place.wait_for_reason("rollout", "EvidenceNotWritten").await;
    assert!(waiting["status"]["rollback"].is_null() && waiting["status"]["evidence"].is_null());
    // One of that name whose key is none.
    let mut other = keys.private.clone();
    other.string_data = Some(BTreeMap::from([("private.pem".to_owned(), "not a key".to_owned())]));
    apply_secret(&place, &other).await;
    place
        .wait("rollout", "told that the key is none", |object| {
            condition(object, "Ready")["message"]
                .as_str()
                .is_some_and(|message| message.contains("is no ed25519 private key"))
        })
        .await;
    secrets.delete("holdfast-evidence-key", &DeleteParams::default()).await.unwrap();
    apply_secret(&place, &keys.private).await;
    let done = place.wait_for_end("rollout", "Complete").await;
    let public = PublicKey::from_pem(keys.public.string_data.as_ref().unwrap()["public.pem"].as_bytes()).unwrap();
    assert_eq!(done["status"]["evidence"]["signedBy"], public.id());
    assert!(operator.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_for_ci_prints_what_a_pull_request_would_do_and_leaves_nothing() {
    let place = Place::new().await;
    let folder = folder("repository");
    let keys = Keys::make(&folder, "dev");
    apply_secret(&place, &keys.private).await;
    place.pod_template("app-tests", None).await;
    place.schema("holdfast_repository").await;
    let operator = Operator::start(&[&place.namespace]).await;
    // The repository as it is, with the address of this test's server.
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/gitops/repository");
    let copy = folder.join("copy");
    let _ = std::fs::remove_dir_all(&copy);
    let copied = Command::new("cp").args(["-r", source.to_str().unwrap(), copy.to_str().unwrap()]).status();
    assert!(copied.unwrap().success());
    let mut patch = place.specification("holdfast_repository");
    patch.as_object_mut().unwrap().retain(|field, _| ["database", "preflight", "journal"].contains(&field.as_str()));
    patch["database"]["tls"]["caSecretRef"] = Value::Null;
    let patch = json!({"apiVersion": "holdfast.dev/v1alpha1", "kind": "SchemaMigration", "metadata": {"name": "referential-integrity"}, "spec": patch});
    std::fs::write(copy.join("overlays/dev/server.yaml"), serde_yaml::to_string(&patch).unwrap()).unwrap();
    let overlay = copy.join("overlays/dev/kustomization.yaml");
    let text = std::fs::read_to_string(&overlay).unwrap();
    let text = text
        .replace("shop-dev", &place.namespace)
        .replace("[{path: environment.yaml}]", "[{path: environment.yaml}, {path: server.yaml}]");
    std::fs::write(&overlay, text).unwrap();

    let bin = Path::new(env!("CARGO_BIN_EXE_kubectl-holdfast")).parent().unwrap();
    let planned = tokio::task::spawn_blocking({
        let script = copy.join("ci/plan.sh");
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        move || {
            let mut command = Command::new(script);
            command.args(["overlays/dev", "7"]).current_dir(copy).env("PATH", path);
            command.env("KUBECONFIG", std::env::var("HOLDFAST_TEST_KUBECONFIG").unwrap()).output().unwrap()
        }
    });
    let planned = planned.await.unwrap();
    assert!(planned.status.success(), "{}", said(&planned));
    let page = String::from_utf8_lossy(&planned.stdout);
    assert!(page.contains("fk_bookmarks_user") && page.contains("fk_notes_user"), "{page}");
    let left = place.migrations().list(&Default::default()).await.unwrap().items;
    assert!(left.is_empty(), "{left:?}");
    assert!(operator.stop().await.success());
}
