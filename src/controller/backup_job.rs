//! The Job that dumps the database, as a manifest. Its container has the image with mysqldump, and the credentials of the database as mounted
//! files; the counts from before travel with it, so that it never exists without them.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Container;

use crate::api::SchemaMigration;
use crate::api::backup::{BackupCompression, Verification};
use crate::backup::manifest::backup_name;

use super::backup_place::BackupPlace;
use super::jobs::{
    PROGRAM, argument, database_access, metadata, mount, of_backup, pod_with_program, private_volume, program_volume,
    restricted,
};

/// Carries the row counts from before the backup, so that a Job never exists without them.
pub const BASELINE: &str = "holdfast.dev/row-counts-before";
/// Objects have 262,144 bytes for all annotations.
pub const MAX_BASELINE: usize = 250_000;

/// The backup Job. `None` where the spec asks for another kind of backup.
#[must_use]
pub fn backup(
    migration: &SchemaMigration,
    operator_image: &str,
    name: &str,
    attempt: i32,
    baseline: String,
) -> Option<Job> {
    let spec = &migration.spec;
    let job = spec.backup.job.as_ref()?;
    let place = BackupPlace::new(&job.destination, false)?;
    let uid = migration.metadata.uid.clone().unwrap_or_default();
    let access = database_access(migration);
    let mut command = vec![format!("{PROGRAM}/holdfast"), "backup".to_owned()];
    command.extend(access.arguments);
    command.extend([
        argument("database", &spec.database.name),
        argument("name", &backup_name(&uid, attempt)),
        argument("migration", &uid),
        argument("compression", compression(job.compression)),
    ]);
    command.extend(place.arguments);
    if is_read_back(migration) {
        command.push("--read-back".to_owned());
    }
    let mut volumes = vec![program_volume(), private_volume()];
    let mut mounts = vec![mount("program", PROGRAM, true)];
    volumes.extend(access.volumes);
    mounts.extend(access.mounts);
    volumes.extend(place.volumes);
    mounts.extend(place.mounts);
    let dump = Container {
        name: "backup".to_owned(),
        image: Some(job.image.clone()),
        command: Some(command),
        resources: job.resources.as_ref().map(Into::into),
        volume_mounts: Some(mounts),
        security_context: Some(restricted()),
        ..Container::default()
    };
    let pod = pod_with_program(operator_image, dump, volumes);
    let mut metadata = metadata(migration, name);
    metadata.annotations.get_or_insert_default().insert(BASELINE.to_owned(), baseline);
    Some(of_backup(metadata, pod))
}

/// How the backup Job's program calls it.
fn compression(compression: BackupCompression) -> &'static str {
    match compression {
        BackupCompression::Zstd => "zstd",
        BackupCompression::None => "none",
    }
}

/// Whether the backup Job looks at what was stored. One that is restored is read there anyway.
fn is_read_back(migration: &SchemaMigration) -> bool {
    let restored = migration.status.as_ref().and_then(|status| status.backup.as_ref()?.restore.as_ref());
    match migration.spec.backup.verification {
        Verification::None => false,
        Verification::Inspect => true,
        Verification::Restore => restored.is_some(),
    }
}
