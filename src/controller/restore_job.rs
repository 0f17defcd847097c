//! The Job that restores a backup's tables into a schema beside the live one, as a manifest. Its container has the image of the scratch
//! server, which has proven that it can restore this backup, and the credentials of the database as mounted files.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Container;

use crate::api::SchemaMigration;
use crate::backup::manifest::backup_name;

use super::backup_place::BackupPlace;
use super::jobs::{
    PROGRAM, argument, database_access, metadata, mount, of_backup, pod_with_program, private_volume, program_volume,
    restricted,
};
use super::verify_job::Backup;

/// The Job.
///
/// # Errors
/// What the spec lacks; planning refuses a spec that does.
pub fn restore(
    migration: &SchemaMigration,
    operator_image: &str,
    name: &str,
    backup: Backup<'_>,
    schema: &str,
) -> Result<Job, String> {
    let spec = &migration.spec;
    let scratch = spec.backup.scratch.as_ref().ok_or("spec.backup.scratch is not set")?;
    let job = spec.backup.job.as_ref().ok_or("spec.backup.job is not set")?;
    let place = BackupPlace::new(&job.destination, true).ok_or("the destination of spec.backup.job is not set")?;
    let uid = migration.metadata.uid.clone().unwrap_or_default();
    let access = database_access(migration);
    let mut command = vec![format!("{PROGRAM}/holdfast"), "restore-tables".to_owned()];
    command.extend(access.arguments);
    command.extend([
        argument("name", &backup_name(&uid, backup.attempt)),
        argument("manifest", backup.manifest),
        argument("migration", &uid),
        argument("schema", schema),
    ]);
    command.extend(place.arguments);
    let mut volumes = vec![program_volume(), private_volume()];
    volumes.extend(access.volumes);
    volumes.extend(place.volumes);
    let mut mounts = vec![mount("program", PROGRAM, true)];
    mounts.extend(access.mounts);
    mounts.extend(place.mounts);
    let container = Container {
        name: "restore".to_owned(),
        image: Some(scratch.image.clone()),
        command: Some(command),
        resources: job.resources.as_ref().map(Into::into),
        volume_mounts: Some(mounts),
        security_context: Some(restricted()),
        ..Container::default()
    };
    Ok(of_backup(metadata(migration, name), pod_with_program(operator_image, container, volumes)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::api::example;

    /// The program's own arguments, as it reads them.
    #[derive(clap::Parser)]
    struct Parsed {
        #[command(flatten)]
        own: crate::backup::put_back::Arguments,
    }

    #[test]
    fn the_pod_reads_the_backup_and_gets_the_credentials_as_files() {
        let mut spec = serde_json::to_value(example::spec()).unwrap();
        spec["backup"]["verification"] = json!("Restore");
        spec["backup"]["scratch"] = json!({"image": "mysql:9.7"});
        let mut migration = SchemaMigration::new("m", serde_json::from_value(spec).unwrap());
        (migration.metadata.uid, migration.metadata.namespace) = (Some("u".to_owned()), Some("shop".to_owned()));
        let backup = Backup { attempt: 2, manifest: "abc" };
        let job = restore(&migration, "operator:1", "m-restore", backup, "holdfast_restored_1").unwrap();
        let job = serde_json::to_value(job).unwrap();
        let pod = &job["spec"]["template"]["spec"];
        assert_eq!((&job["spec"]["backoffLimit"], &pod["automountServiceAccountToken"]), (&json!(0), &json!(false)));
        let container = &pod["containers"][0];
        assert_eq!(container["image"], "mysql:9.7");
        let command = container["command"].as_array().unwrap();
        for argument in ["restore-tables", "--name=u-2", "--manifest=abc", "--schema=holdfast_restored_1"] {
            assert!(command.contains(&json!(argument)), "{argument} is not in {command:?}");
        }
        let arguments = command.iter().skip(1).map(|argument| argument.as_str().unwrap());
        let own = <Parsed as clap::Parser>::try_parse_from(arguments).unwrap().own;
        assert_eq!((own.server.host.as_str(), own.backup.migration.as_str()), ("mysql.shop.svc", "u"));
        assert!(container.get("env").is_none(), "no credential in the environment: {container}");
        let mounts = container["volumeMounts"].as_array().unwrap();
        let read_only = |name: &str| mounts.iter().find(|mount| mount["name"] == name).unwrap()["readOnly"].clone();
        assert_eq!([read_only("credentials"), read_only("backup")], [json!(true), json!(true)]);
    }
}
