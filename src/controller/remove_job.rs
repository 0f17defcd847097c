//! The Job that removes the backups of a migration that has ended, as a manifest. It runs the operator's own image: no program of MySQL is
//! needed, and no credential of the database.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Container;

use crate::api::SchemaMigration;

use super::backup_place::BackupPlace;
use super::jobs::{argument, metadata, of_program, pod, restricted};

/// A few objects are read and removed; what takes longer is stuck.
const DEADLINE_SECONDS: i64 = 1800;

/// The Job. `None` where the spec has no place that dumps are in.
#[must_use]
pub fn remove(migration: &SchemaMigration, operator_image: &str, name: &str, attempts: i32) -> Option<Job> {
    let place = BackupPlace::new(&migration.spec.backup.job.as_ref()?.destination, false)?;
    let uid = migration.metadata.uid.clone().unwrap_or_default();
    let mut arguments =
        vec!["remove-backups".to_owned(), argument("migration", &uid), argument("attempts", &attempts.to_string())];
    arguments.extend(place.arguments);
    let container = Container {
        name: "remove".to_owned(),
        image: Some(operator_image.to_owned()),
        args: Some(arguments),
        volume_mounts: Some(place.mounts),
        security_context: Some(restricted()),
        ..Container::default()
    };
    Some(of_program(metadata(migration, name), pod(container, place.volumes), DEADLINE_SECONDS))
}
