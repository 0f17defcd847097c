//! The Job that restores a backup, as a manifest. Its one container runs the scratch server and everything that talks to it, by a socket on the
//! container's own volume: there is no port, no Service and no credential of the database, and with the pod everything goes.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, EmptyDirVolumeSource, Volume};

use crate::api::backup::Scratch;
use crate::api::{SchemaMigration, quantity};

use super::jobs::{
    DESTINATION, PRIVATE, PROGRAM, argument, claim_volume, metadata, mount, of_backup, pod, private_volume,
    program_volume, restricted,
};

const SCRATCH: &str = "/scratch";
/// Nothing in the pod is worth a clean end.
const GRACE_SECONDS: i64 = 1;

/// The Job. `None` where the spec has no scratch server or no claim, which planning refuses.
#[must_use]
pub fn verify(
    migration: &SchemaMigration,
    operator_image: &str,
    name: &str,
    attempt: i32,
    manifest: &str,
) -> Option<Job> {
    let backup = &migration.spec.backup;
    let scratch = backup.scratch.as_ref()?;
    let claim = backup.job.as_ref()?.destination.persistent_volume_claim.as_ref()?;
    let uid = migration.metadata.uid.clone().unwrap_or_default();
    let mut command = vec![
        format!("{PROGRAM}/holdfast"),
        "verify-backup".to_owned(),
        argument("backup", DESTINATION),
        argument("name", &format!("{uid}-{attempt}")),
        argument("manifest", manifest),
        argument("migration", &uid),
        argument("folder", SCRATCH),
        argument("private", PRIVATE),
    ];
    command.extend(limits(scratch));
    let container = Container {
        name: "verify".to_owned(),
        image: Some(scratch.image.clone()),
        command: Some(command),
        resources: scratch.resources.as_ref().map(Into::into),
        volume_mounts: Some(vec![
            mount("program", PROGRAM, true),
            mount("private", PRIVATE, false),
            mount("backup", DESTINATION, true),
            mount("scratch", SCRATCH, false),
        ]),
        security_context: Some(restricted()),
        ..Container::default()
    };
    let data = Volume {
        name: "scratch".to_owned(),
        empty_dir: Some(EmptyDirVolumeSource { medium: None, size_limit: scratch.storage.clone() }),
        ..Volume::default()
    };
    let mut pod = pod(operator_image, container, vec![program_volume(), private_volume(), claim_volume(claim), data]);
    pod.termination_grace_period_seconds = Some(GRACE_SECONDS);
    Some(of_backup(metadata(migration, name), pod))
}

/// What the server may take, so that it fits itself to its memory and says itself when its volume is too small.
fn limits(scratch: &Scratch) -> Vec<String> {
    let memory = scratch.resources.as_ref().and_then(|resources| resources.limits.get("memory"));
    let limits = [("storage", scratch.storage.as_ref()), ("memory", memory)];
    let bytes = limits.into_iter().filter_map(|(name, limit)| Some((name, quantity::bytes(limit?)?)));
    bytes.map(|(name, bytes)| argument(name, &bytes.to_string())).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;
    use crate::api::example;

    fn job(scratch: Value) -> Value {
        let mut spec = serde_json::to_value(example::spec()).unwrap();
        spec["backup"]["scratch"] = scratch;
        let mut migration = SchemaMigration::new("m", serde_json::from_value(spec).unwrap());
        (migration.metadata.uid, migration.metadata.namespace) = (Some("u".to_owned()), Some("shop".to_owned()));
        serde_json::to_value(verify(&migration, "operator:1", "m-verify", 2, "abc").unwrap()).unwrap()
    }

    #[test]
    fn the_pod_satisfies_the_restricted_standard_and_holds_no_credential_of_the_database() {
        let job = job(json!({"image": "mysql:9.7", "storage": "2Gi", "resources": {"limits": {"memory": "1Gi"}}}));
        let pod = &job["spec"]["template"]["spec"];
        assert_eq!(pod["automountServiceAccountToken"], false);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        let container = &pod["containers"][0];
        assert_eq!(container["image"], "mysql:9.7");
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert_eq!(container["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
        assert!(container.get("ports").is_none() && container.get("env").is_none(), "{container}");
        let volumes: Vec<_> = pod["volumes"].as_array().unwrap().iter().map(|volume| &volume["name"]).collect();
        assert_eq!(volumes, ["program", "private", "backup", "scratch"]);
        assert_eq!(pod["volumes"][3]["emptyDir"]["sizeLimit"], "2Gi");
        let backup = container["volumeMounts"].as_array().unwrap().iter().find(|mount| mount["name"] == "backup");
        assert_eq!(backup.unwrap()["readOnly"], true, "what is proven is not touched");
        let command = container["command"].as_array().unwrap();
        for argument in ["--name=u-2", "--manifest=abc", "--storage=2147483648", "--memory=1073741824"] {
            assert!(command.contains(&json!(argument)), "{argument} is not in {command:?}");
        }
    }

    #[test]
    fn without_limits_none_are_handed_on() {
        let job = job(json!({"image": "mysql:9.7"}));
        let command = job["spec"]["template"]["spec"]["containers"][0]["command"].to_string();
        assert!(!command.contains("--storage") && !command.contains("--memory"), "{command}");
    }
}
