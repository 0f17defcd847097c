//! The Job that restores a backup and rehearses a plan on the copy, as a manifest. Its one container runs the scratch server and everything that
//! talks to it, by a socket on the container's own volume: there is no port, no Service and no credential of the database, and with the pod
//! everything goes. The plan comes as files from its ConfigMaps, so that the pod needs no API token.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, Container, DownwardAPIVolumeFile, DownwardAPIVolumeSource, EmptyDirVolumeSource,
    ObjectFieldSelector, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::backup::Scratch;
use crate::api::{SchemaMigration, SchemaMigrationSpec, quantity};
use crate::backup::manifest::backup_name;
use crate::backup::rehearsal::Instructions;
use crate::mysql::{Error, JournalLocation, KillBlockers, Settings};
use crate::plan::Identifier;

use super::backup_place::BackupPlace;
use super::jobs::{
    PRIVATE, PROGRAM, argument, metadata, mount, of_backup, pod_with_program, private_volume, program_volume,
    restricted,
};
use super::{target, work};

/// Carries the instructions for a rehearsal, which are a file in the pod.
const INSTRUCTIONS: &str = "holdfast.dev/rehearsal";
/// Objects have 256 KiB for all annotations.
pub const MAX_INSTRUCTIONS: usize = 200_000;
const SCRATCH: &str = "/scratch";
const REHEARSAL: &str = "/rehearsal";
/// The journal of a rehearsal is of no use afterwards; its schema lies beside the one that is compared.
const JOURNAL: &str = "holdfast_rehearsal";
/// Nothing in the pod is worth a clean end.
const GRACE_SECONDS: i64 = 1;
/// What the Job may take beyond the rehearsal's own deadline, which says what it was doing: the last comparison.
const AFTERWARDS: Duration = Duration::from_secs(4 * 3600);

/// What is restored.
#[derive(Debug, Clone, Copy)]
pub struct Backup<'a> {
    /// Which backup of the migration.
    pub attempt: i32,
    /// SHA-256 of its manifest.
    pub manifest: &'a str,
}

/// The Job. `plan` is the digest of the plan that is rehearsed on the copy, where one is.
///
/// # Errors
/// What the spec or the status lacks; planning refuses a spec that does.
pub fn verify(
    migration: &SchemaMigration,
    operator_image: &str,
    name: &str,
    backup: Backup<'_>,
    plan: Option<&str>,
) -> Result<Job, String> {
    let spec = &migration.spec;
    let scratch = spec.backup.scratch.as_ref().ok_or("spec.backup.scratch is not set")?;
    let destination = spec.backup.job.as_ref().map(|job| &job.destination);
    let place = destination.and_then(|destination| BackupPlace::new(destination, true));
    let place = place.ok_or("spec.backup.job and its destination are not both set")?;
    let uid = migration.metadata.uid.clone().unwrap_or_default();
    let mut command = vec![
        format!("{PROGRAM}/holdfast"),
        "verify-backup".to_owned(),
        argument("name", &backup_name(&uid, backup.attempt)),
        argument("manifest", backup.manifest),
        argument("migration", &uid),
        argument("folder", SCRATCH),
        argument("private", PRIVATE),
    ];
    command.extend(place.arguments);
    command.extend(limits(scratch));
    let data = Volume {
        name: "scratch".to_owned(),
        empty_dir: Some(EmptyDirVolumeSource { medium: None, size_limit: scratch.storage.clone() }),
        ..Volume::default()
    };
    let mut volumes = vec![program_volume(), private_volume(), data];
    volumes.extend(place.volumes);
    let mut mounts =
        vec![mount("program", PROGRAM, true), mount("private", PRIVATE, false), mount("scratch", SCRATCH, false)];
    mounts.extend(place.mounts);
    let rehearsal = plan.map(|digest| rehearsal(migration, digest)).transpose()?;
    if let Some(rehearsal) = &rehearsal {
        command.extend(rehearsal.arguments.iter().cloned());
        volumes.extend(rehearsal.volumes.iter().cloned());
        mounts.extend(rehearsal.mounts.iter().cloned());
    }
    let container = Container {
        name: "verify".to_owned(),
        image: Some(scratch.image.clone()),
        command: Some(command),
        resources: scratch.resources.as_ref().map(Into::into),
        volume_mounts: Some(mounts),
        security_context: Some(restricted()),
        ..Container::default()
    };
    let mut pod = pod_with_program(operator_image, container, volumes);
    pod.termination_grace_period_seconds = Some(GRACE_SECONDS);
    let mut job = of_backup(metadata(migration, name), pod);
    if let (Some(rehearsal), Some(of_job)) = (rehearsal, &mut job.spec) {
        let annotations = [(INSTRUCTIONS.to_owned(), rehearsal.instructions)].into();
        of_job.template.metadata = Some(ObjectMeta { annotations: Some(annotations), ..ObjectMeta::default() });
        let more = spec.rehearsal.deadline.get() + AFTERWARDS;
        let more = i64::try_from(more.as_secs()).unwrap_or(i64::MAX);
        of_job.active_deadline_seconds = of_job.active_deadline_seconds.map(|seconds| seconds.saturating_add(more));
    }
    Ok(job)
}

/// What a rehearsal adds to the Job.
struct Rehearsal {
    arguments: Vec<String>,
    volumes: Vec<Volume>,
    mounts: Vec<VolumeMount>,
    instructions: String,
}

fn rehearsal(migration: &SchemaMigration, digest: &str) -> Result<Rehearsal, String> {
    let plan = migration.status.as_ref().and_then(|status| status.plan.as_ref());
    let plan = plan.filter(|plan| plan.digest == digest);
    let plan = plan.ok_or_else(|| format!("the plan {digest} is not the one in the status"))?;
    let file = "instructions.json";
    let annotation = DownwardAPIVolumeFile {
        path: file.to_owned(),
        field_ref: Some(ObjectFieldSelector {
            api_version: None,
            field_path: format!("metadata.annotations['{INSTRUCTIONS}']"),
        }),
        ..DownwardAPIVolumeFile::default()
    };
    let source = DownwardAPIVolumeSource { items: Some(vec![annotation]), default_mode: None };
    let place = format!("{REHEARSAL}/instructions");
    let mut rehearsal = Rehearsal {
        arguments: vec![argument("rehearsal", &format!("{place}/{file}"))],
        volumes: vec![Volume { name: "instructions".to_owned(), downward_api: Some(source), ..Volume::default() }],
        mounts: vec![mount("instructions", &place, true)],
        instructions: instructions(&migration.spec, digest).map_err(|error| error.message)?,
    };
    for (number, name) in plan.config_maps.iter().enumerate() {
        let (volume, place) = (format!("plan-{number}"), format!("{REHEARSAL}/plan/{number}"));
        rehearsal.arguments.push(argument("plan", &place));
        rehearsal.mounts.push(mount(&volume, &place, true));
        let source = ConfigMapVolumeSource { name: name.clone(), ..ConfigMapVolumeSource::default() };
        rehearsal.volumes.push(Volume { name: volume, config_map: Some(source), ..Volume::default() });
    }
    Ok(rehearsal)
}

/// What the Job has to know beside the plan, as text.
///
/// # Errors
/// [`crate::mysql::Cause::InvalidSpec`] when a name in the spec is no MySQL name.
pub fn instructions(spec: &SchemaMigrationSpec, digest: &str) -> Result<String, Error> {
    let invalid = |error: String| Error::new(crate::mysql::Cause::InvalidSpec, error);
    let journal = Identifier::new(JOURNAL).map_err(|error| invalid(error.to_string()))?;
    let instructions = Instructions {
        plan_digest: digest.to_owned(),
        deadline: spec.rehearsal.deadline.get(),
        settings: Settings {
            // Nobody else is there.
            kill_blockers: KillBlockers::Never,
            journal: JournalLocation::Schema(journal),
            ..target::settings(spec)?
        },
        checks: work::wanted(&spec.tests),
    };
    serde_json::to_string(&instructions).map_err(|error| invalid(error.to_string()))
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

    const BACKUP: Backup<'_> = Backup { attempt: 2, manifest: "abc" };

    fn migration(scratch: Value) -> SchemaMigration {
        let mut spec = serde_json::to_value(example::spec()).unwrap();
        spec["backup"]["scratch"] = scratch;
        spec["rehearsal"] = json!({"enabled": true, "deadline": "2h"});
        spec["tests"] = json!({"scenarios": [{"name": "it's \"quoted\"", "steps": [{"sql": "SELECT 1"}]}]});
        let mut migration = SchemaMigration::new("m", serde_json::from_value(spec).unwrap());
        (migration.metadata.uid, migration.metadata.namespace) = (Some("u".to_owned()), Some("shop".to_owned()));
        let plan = json!({"digest": "sha256:1", "configMaps": ["m-plan-0", "m-plan-1"], "generation": 1,
            "computedAt": "2026-11-24T10:00:04Z", "counts": {}, "estimates": {}});
        migration.status = Some(serde_json::from_value(json!({"plan": plan})).unwrap());
        migration
    }

    fn job(scratch: Value, plan: Option<&str>) -> Value {
        serde_json::to_value(verify(&migration(scratch), "operator:1", "m-verify", BACKUP, plan).unwrap()).unwrap()
    }

    #[test]
    fn the_pod_satisfies_the_restricted_standard_and_holds_no_credential_of_the_database() {
        let scratch = json!({"image": "mysql:9.7", "storage": "2Gi", "resources": {"limits": {"memory": "1Gi"}}});
        let job = job(scratch, None);
        let pod = &job["spec"]["template"]["spec"];
        assert_eq!(pod["automountServiceAccountToken"], false);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        let container = &pod["containers"][0];
        assert_eq!(container["image"], "mysql:9.7");
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert_eq!(container["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
        assert!(container.get("ports").is_none() && container.get("env").is_none(), "{container}");
        let volumes: Vec<_> = pod["volumes"].as_array().unwrap().iter().map(|volume| &volume["name"]).collect();
        assert_eq!(volumes, ["program", "private", "scratch", "backup"]);
        assert_eq!(pod["volumes"][2]["emptyDir"]["sizeLimit"], "2Gi");
        let backup = container["volumeMounts"].as_array().unwrap().iter().find(|mount| mount["name"] == "backup");
        assert_eq!(backup.unwrap()["readOnly"], true, "what is proven is not touched");
        let command = container["command"].as_array().unwrap();
        for argument in ["--name=u-2", "--manifest=abc", "--storage=2147483648", "--memory=1073741824"] {
            assert!(command.contains(&json!(argument)), "{argument} is not in {command:?}");
        }
    }

    #[test]
    fn without_limits_none_are_handed_on() {
        let job = job(json!({"image": "mysql:9.7"}), None);
        let command = job["spec"]["template"]["spec"]["containers"][0]["command"].to_string();
        assert!(!command.contains("--storage") && !command.contains("--memory"), "{command}");
    }

    #[test]
    fn a_rehearsal_gets_the_plan_and_its_instructions_as_files_and_nothing_that_opens_the_database() {
        let job = job(json!({"image": "mysql:9.7"}), Some("sha256:1"));
        let (template, seconds) = (&job["spec"]["template"], &job["spec"]["activeDeadlineSeconds"]);
        assert_eq!(seconds, &json!(86_400 + 2 * 3600 + 4 * 3600), "beyond the rehearsal's own deadline");
        let pod = &template["spec"];
        assert_eq!(pod["automountServiceAccountToken"], false);
        let volumes = pod["volumes"].as_array().unwrap();
        let maps: Vec<_> = volumes.iter().filter_map(|volume| volume["configMap"]["name"].as_str()).collect();
        assert_eq!(maps, ["m-plan-0", "m-plan-1"]);
        assert!(volumes.iter().all(|volume| volume.get("secret").is_none()), "{volumes:?}");
        let container = &pod["containers"][0];
        let command = container["command"].to_string();
        for argument in [
            "--rehearsal=/rehearsal/instructions/instructions.json",
            "--plan=/rehearsal/plan/0\",\"--plan=/rehearsal/plan/1",
        ] {
            assert!(command.contains(argument), "{argument} is not in {command}");
        }
        let writable = container["volumeMounts"].as_array().unwrap().iter().filter(|mount| mount["readOnly"] == false);
        assert_eq!(writable.map(|mount| &mount["name"]).collect::<Vec<_>>(), ["private", "scratch"]);
        let file = &volumes.iter().find(|volume| volume["name"] == "instructions").unwrap()["downwardAPI"]["items"][0];
        assert_eq!(file["fieldRef"]["fieldPath"], "metadata.annotations['holdfast.dev/rehearsal']");
        let text = template["metadata"]["annotations"][INSTRUCTIONS].as_str().unwrap();
        let instructions: Instructions = serde_json::from_str(text).unwrap();
        assert_eq!((instructions.plan_digest.as_str(), instructions.deadline.as_secs()), ("sha256:1", 7200));
        assert!(instructions.checks.probes);
        assert_eq!(instructions.checks.scenarios[0].name, "it's \"quoted\"");
    }

    #[test]
    fn a_plan_that_is_not_the_one_of_the_status_is_not_rehearsed() {
        let migration = migration(json!({"image": "mysql:9.7"}));
        let error = verify(&migration, "operator:1", "m-verify", BACKUP, Some("sha256:2")).unwrap_err();
        assert!(error.contains("sha256:2"), "{error}");
    }
}
