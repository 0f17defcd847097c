//! The plugin's `evidence` on a cluster: what is exported is what the operator wrote, by whoever may read it, and once all is complete.

use std::collections::BTreeMap;

use holdfast::api::Reason;
use holdfast::api::status::EvidenceStatus;
use holdfast::evidence::{Document, PrivateKey, Signed};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use serde_json::json;

use crate::plugin::{Scene, condition};
use crate::users::Right;

const GET_PUBLIC_KEY: Right =
    Right { group: "", resource: "secrets", verbs: &["get"], names: &["holdfast-evidence-dev"] };

fn key() -> PrivateKey {
    PrivateKey::from_seed(&[5; 32])
}

fn evidence(key: Option<&PrivateKey>) -> Signed {
    let document: Document = serde_json::from_value(json!({
        "type": "holdfast.dev/evidence", "format": 1, "result": "Complete", "environment": "dev", "contentDigest": "sha256:c",
        "planDigest": "sha256:p", "migration": {"namespace": "shop", "name": "minimal", "uid": "u"}, "serverUuid": "s",
        "versions": {"holdfast": "0.1.0", "server": "9.7.4"}, "startedAt": "2026-01-01T00:00:00Z",
        "finishedAt": "2026-01-01T01:00:00Z", "phases": [], "found": {"orphans": 0, "duplicates": 0},
        "quarantined": {"orphans": 0, "duplicates": 0, "cascaded": 0, "values": 0},
        "proof": {"provenAt": "", "foreignKeys": 1, "uniqueConstraints": 0, "expectations": 0, "replicas": 0, "checksOffGlobally": false, "keys": []},
        "tests": {"probes": 1, "unprobed": 0, "scenarios": 0, "jobs": 0},
    }))
    .unwrap();
    Signed::new(&document, key).unwrap()
}

/// Writes what the operator would, with a text of its own in the ConfigMap.
async fn write(scene: &Scene, signed: &Signed, text: &str) {
    let maps: Api<ConfigMap> = Api::namespaced(scene.cluster.admin.clone(), &scene.cluster.namespace);
    let _ = maps.delete("kept", &DeleteParams::default()).await;
    let map = ConfigMap {
        metadata: ObjectMeta { name: Some("kept".to_owned()), ..ObjectMeta::default() },
        data: Some(BTreeMap::from([("evidence.json".to_owned(), text.to_owned())])),
        ..ConfigMap::default()
    };
    maps.create(&PostParams::default(), &map).await.unwrap();
    let written = EvidenceStatus {
        config_map: "kept".to_owned(),
        digest: signed.digest(),
        signed_by: signed.signed_by().map(str::to_owned),
    };
    scene
        .write(|status| {
            let ends = ["Ready", "Succeeded", "Finished"];
            status.conditions = ends.map(|name| condition(name, "True", Reason::Complete, "all is proven")).to_vec();
            status.evidence = Some(written.clone());
        })
        .await;
}

#[tokio::test]
async fn evidence_is_exported_as_it_was_written_and_verified_by_a_secret() {
    let scene = Scene::new(&[GET_PUBLIC_KEY]).await;
    let (code, out, err) = scene.run(&["evidence", "export", "minimal"]).await;
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("minimal is not complete") && err.contains("status minimal"), "{err}");

    let signed = evidence(Some(&key()));
    let text = signed.text().unwrap();
    write(&scene, &signed, &text).await;
    let (code, out, err) = scene.run(&["evidence", "export", "minimal"]).await;
    assert_eq!((code, out.as_str(), err.as_str()), (0, text.as_str(), ""));
    let file = std::env::temp_dir().join(format!("{}.json", scene.cluster.namespace));
    let name = file.to_str().unwrap();
    let (code, out, err) = scene.run(&["evidence", "export", "minimal", "-o", name]).await;
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);

    let verify = ["evidence", "verify", name, "--secret", "holdfast-evidence-dev"];
    let (code, _, err) = scene.run(&verify).await;
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("/holdfast-evidence-dev does not exist: apply the public key's manifest"), "{err}");
    let public = key().public().to_pem().unwrap();
    let secret = Secret {
        metadata: ObjectMeta { name: Some("holdfast-evidence-dev".to_owned()), ..ObjectMeta::default() },
        string_data: Some(BTreeMap::from([("public.pem".to_owned(), public)])),
        ..Secret::default()
    };
    let secrets: Api<Secret> = Api::namespaced(scene.cluster.admin.clone(), &scene.cluster.namespace);
    secrets.create(&PostParams::default(), &secret).await.unwrap();
    let (code, out, err) = scene.run(&verify).await;
    assert!(code == 0 && out.contains("shop/minimal"), "{out}{err}");
    let (code, _, err) = scene.run(&[&verify[..], &["--secret-key", "other.pem"]].concat()).await;
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("has no key \"other.pem\"") && err.contains("--secret-key"), "{err}");
    std::fs::remove_file(&file).unwrap();
}

#[tokio::test]
async fn what_is_not_what_the_operator_wrote_is_not_exported() {
    let scene = Scene::new(&[]).await;
    let signed = evidence(Some(&key()));
    let exchanged = evidence(None).text().unwrap().replace("sha256:c", "sha256:d");
    write(&scene, &signed, &exchanged).await;
    let (code, out, err) = scene.run(&["evidence", "export", "minimal"]).await;
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("/kept holds something else than the operator wrote"), "{err}");

    let unsigned = evidence(None);
    write(&scene, &unsigned, &unsigned.text().unwrap()).await;
    let (code, out, err) = scene.run(&["evidence", "export", "minimal"]).await;
    assert_eq!((code, out), (0, unsigned.text().unwrap()));
    assert!(err.contains("this evidence is unsigned, and no environment takes it"), "{err}");

    let maps: Api<ConfigMap> = Api::namespaced(scene.cluster.admin.clone(), &scene.cluster.namespace);
    maps.delete("kept", &DeleteParams::default()).await.unwrap();
    let (code, _, err) = scene.run(&["evidence", "export", "minimal"]).await;
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("/kept is gone"), "{err}");
    scene.write(|status| status.evidence = None).await;
    let (code, _, err) = scene.run(&["evidence", "export", "minimal"]).await;
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("minimal has no spec.promotion"), "{err}");
}
