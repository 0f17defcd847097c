//! A backup in a bucket, end to end: an S3 service beside the cluster, whose certificate comes from an authority of its own.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::harness::Outcome;
use super::harness::kubectl::run;
use super::harness::migration::status_of;
use super::harness::s3::{OWNER, S3Server, files};
use super::rollout::{END, Rollout, SOON, message};
use super::secrecy;

const BUCKET: &str = "dumps";

/// The service, where pods reach it: at the address of the API server.
fn service() -> Outcome<S3Server> {
    let url =
        run("kubectl", &["config", "view", "--minify", "--output", "jsonpath={.clusters[0].cluster.server}"], None)?;
    let address = url.trim_start_matches("https://").rsplit_once(':').map_or("", |(address, _)| address).to_owned();
    Ok(S3Server::start(&address, "e2e", true))
}

fn objects(bucket: &Path) -> Vec<String> {
    files(bucket).into_iter().filter(|file| !file.starts_with(".sgwtmp")).collect()
}

#[test]
fn a_backup_in_a_bucket_is_restored_from_there_and_deleted_when_its_time_is_over() -> Outcome<()> {
    let case = Rollout::on_own_schema("bucket")?;
    let service = service()?;
    let bucket = service.bucket(BUCKET);
    let kubectl = &case.migration.kubectl;
    let authority = fs::read_to_string(service.certificate()).map_err(|error| error.to_string())?;
    let (access, secret) = OWNER;
    for (name, data) in [
        ("dumps", json!({"accessKeyId": access, "secretAccessKey": secret})),
        ("dumps-ca", json!({"ca.crt": authority})),
    ] {
        let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data});
        kubectl.apply(&object.to_string())?;
    }
    let mut manifest = case.manifest();
    let backup = &mut manifest["spec"]["backup"];
    backup["job"]["destination"] = json!({"type": "S3", "s3": {"bucket": BUCKET, "prefix": "shop", "endpoint": service.endpoint(),
        "credentialsSecretRef": {"name": "dumps"}, "caSecretRef": {"name": "dumps-ca", "key": "ca.crt"}}});
    backup["verification"] = json!("Restore");
    backup["scratch"] = json!({"image": "holdfast.test/mysql:9.7", "storage": "1Gi"});
    case.apply(&manifest)?;
    let end = case.wait_for("Finished", END)?;
    case.expect_condition(&end, "BackedUp", "True", "Succeeded");
    case.expect_condition(&end, "Succeeded", "True", "Complete");
    assert!(message(&end, "BackedUp").contains("restored into MySQL 9.7"), "{}", message(&end, "BackedUp"));
    let uid = end["metadata"]["uid"].as_str().unwrap_or_default();
    let backup = &end["status"]["backup"];
    assert_eq!(backup["location"], format!("s3://{BUCKET}/shop/{uid}-1.sql.zst"), "{backup}");
    assert_eq!(objects(&bucket), [format!("shop/{uid}-1.manifest.json"), format!("shop/{uid}-1.sql.zst")]);

    fs::write(bucket.join("shop/of-somebody-else.sql"), "kept").map_err(|error| error.to_string())?;
    let retention = r#"{"spec": {"backup": {"retention": "0ms"}}}"#;
    kubectl.run(&["patch", "smig", &case.migration.name, "--type=merge", "--patch", retention])?;
    let after = case.wait_for_field("backup.removal.removedAt", SOON)?;
    assert_eq!(objects(&bucket), ["shop/of-somebody-else.sql"]);
    assert_eq!(after["status"]["backup"]["removal"]["backups"], 1, "{after}");
    // The end is that of the generation that was carried out.
    assert_eq!(status_of(&after, "Succeeded"), Some("True"), "{after}");
    secrecy::check(kubectl)
}
