//! Every manifest under `manifests/good` is accepted whole; every one under `manifests/bad` is refused, with the messages that its
//! first lines (`# expect: ...`) say and no other.

use std::fs;

use holdfast::api::{MigrationApproval, SchemaMigration, unknown_fields::unknown_fields};
use kube::api::PostParams;

use crate::cluster::{Cluster, Policies, manifest, object, refusal, root};

fn names(folder: &str) -> Vec<String> {
    let path = root().join("tests/api/manifests").join(folder);
    let entries = fs::read_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut names: Vec<_> =
        entries.map(|entry| format!("{folder}/{}", entry.unwrap().file_name().to_str().unwrap())).collect();
    names.sort();
    names
}

fn dry_run() -> PostParams {
    PostParams { dry_run: true, ..PostParams::default() }
}

#[tokio::test]
async fn good_manifests_are_accepted_without_losing_a_field() {
    let cluster = Cluster::new(Policies::None).await;
    let names = names("good");
    assert!(names.len() >= 15, "{names:?}");
    for name in names {
        let text = manifest(&name);
        let applied = object(&text);
        let kind = applied.types.as_ref().unwrap().kind.clone();
        let stored =
            cluster.api(&kind).create(&dry_run(), &applied).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let stored = serde_json::to_value(stored).unwrap();
        let lost = unknown_fields(&serde_json::to_string(&applied).unwrap(), &stored).unwrap();
        assert!(lost.is_empty(), "{name}: the API server dropped {lost:?}");
        // What the API server stores, the operator reads, and writes back as it was.
        let typed = match kind.as_str() {
            "SchemaMigration" => {
                serde_json::to_value(&serde_json::from_value::<SchemaMigration>(stored.clone()).unwrap().spec)
            }
            _ => serde_json::to_value(&serde_json::from_value::<MigrationApproval>(stored.clone()).unwrap().spec),
        };
        let mut read = typed.unwrap();
        let mut written = stored["spec"].clone();
        numbers_as_text(&mut written);
        numbers_as_text(&mut read);
        assert_eq!(read, written, "{name}");
    }
}

/// An amount such as `cpu: 1` is the same as `cpu: "1"`, and so it is written back.
fn numbers_as_text(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Number(number) => *value = number.to_string().into(),
        serde_json::Value::Object(map) => map.values_mut().for_each(numbers_as_text),
        serde_json::Value::Array(items) => items.iter_mut().for_each(numbers_as_text),
        _ => {}
    }
}

#[tokio::test]
async fn the_sample_applications_migration_is_accepted_without_losing_a_field() {
    let cluster = Cluster::new(Policies::None).await;
    let sample = object(&manifest("../../../deploy/sample/migration.yaml"));
    let stored = cluster.api("SchemaMigration").create(&dry_run(), &sample).await.unwrap();
    let lost =
        unknown_fields(&serde_json::to_string(&sample).unwrap(), &serde_json::to_value(stored).unwrap()).unwrap();
    assert!(lost.is_empty(), "the API server dropped {lost:?}");
}

#[tokio::test]
async fn bad_manifests_are_refused_with_the_message_that_a_user_reads() {
    let cluster = Cluster::new(Policies::None).await;
    let names = names("bad");
    assert!(names.len() >= 40, "{names:?}");
    let mut wrong = Vec::new();
    for name in &names {
        let text = manifest(name);
        let expected: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# expect: ")).collect();
        assert!(!expected.is_empty(), "{name} does not say what it expects");
        let bad = object(&text);
        let kind = bad.types.as_ref().unwrap().kind.clone();
        let status = match cluster.api(&kind).create(&dry_run(), &bad).await {
            Err(kube::Error::Api(status)) => status,
            other => {
                wrong.push(format!("{name}: expected a refusal, got {other:?}"));
                continue;
            }
        };
        let causes = status.details.as_ref().map(|details| details.causes.clone()).unwrap_or_default();
        let messages: Vec<_> = causes
            .iter()
            // Kubernetes 1.33 writes the value with its type in Go before it.
            .map(|cause| format!("{}: {}", cause.field, cause.message).replace("map[string]interface {}", ""))
            .filter(|message| !message.contains("some validation rules were not checked"))
            .collect();
        let all_found = expected.iter().all(|text| messages.iter().any(|message| message.contains(text)));
        if status.code != 422 || !all_found || messages.len() != expected.len() {
            wrong.push(format!("{name}: expected {expected:#?}, got code {} and {messages:#?}", status.code));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_refusal_names_the_object() {
    let cluster = Cluster::new(Policies::None).await;
    let bad = object(&manifest("bad/nothing-to-do.yaml"));
    let status = refusal(cluster.api("SchemaMigration").create(&dry_run(), &bad).await);
    assert!(status.message.contains("\"nothing-to-do\" is invalid"), "{}", status.message);
}
