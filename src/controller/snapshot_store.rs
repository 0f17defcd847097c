//! Where the VolumeSnapshot of a backup lies: found by its name, and created. The operator may do no more to one than that; whoever wants
//! to be rid of a backup deletes it.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{DynamicObject, PostParams};
use kube::{Api, Client, ResourceExt as _};

use crate::api::backup::{BackupMethod, VolumeSnapshotBackup};
use crate::api::conditions::is_true;
use crate::api::status::SchemaMigrationStatus;
use crate::api::{ConditionType, FIELD_MANAGER, SchemaMigration};

use super::context::{PassError, asking};
use super::failpoints::{Boundary, around};
use super::names;
use super::volume_snapshot::{API_VERSION, SnapshotView, manifest, resource, unfit, view};

/// What to do where the operator lacks a right that its chart gives.
const UPGRADE: &str = "bring the operator's installation up to date, which gives it the right";

/// What a migration asks for, as long as it may still need it: once the first change is made no backup is made any more.
fn wanted<'a>(migration: &'a SchemaMigration, status: &SchemaMigrationStatus) -> Option<&'a VolumeSnapshotBackup> {
    let over = status.started_at.is_some() && is_true(&status.conditions, ConditionType::BackedUp);
    match migration.spec.backup.method() {
        Ok(BackupMethod::VolumeSnapshot(wanted)) if !over => Some(wanted),
        _ => None,
    }
}

/// The VolumeSnapshot of the backup that is next, is being made or was made last; why none can be made, where that is so.
///
/// # Errors
/// When the API server does not answer.
pub(super) async fn find(
    client: &Client,
    migration: &SchemaMigration,
    status: &SchemaMigrationStatus,
) -> Result<Result<SnapshotView, String>, PassError> {
    let Some(wanted) = wanted(migration, status) else { return Ok(Ok(SnapshotView::NotAsked)) };
    let namespace = migration.namespace().unwrap_or_default();
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &namespace);
    let claim = match claims.get_opt(&wanted.claim_name).await {
        Ok(claim) => claim,
        Err(kube::Error::Api(status)) if status.code == 403 => {
            return Ok(Err(format!("the operator may not read PersistentVolumeClaims in {namespace}: {UPGRADE}")));
        }
        Err(error) => return Err(asking(format!("reading the PersistentVolumeClaim {}", wanted.claim_name))(error)),
    };
    if let Some(unfit) = unfit(&namespace, &wanted.claim_name, claim.as_ref()) {
        return Ok(Err(unfit));
    }
    let uid = migration.metadata.uid.as_deref().unwrap_or_default();
    let attempt = status.backup.as_ref().map_or(1, |backup| backup.attempt.max(1));
    let name = names::volume_snapshot(&migration.name_any(), uid, attempt);
    match snapshots(client, &namespace).get(&name).await {
        Ok(object) => match view(&object, migration, wanted) {
            Ok(view) => Ok(Ok(view)),
            Err(error) => Err(PassError::Content(format!("the VolumeSnapshot {name} cannot be read: {error}"))),
        },
        // Of an object that is missing the answer has the name; where the whole resource is not known it has none.
        Err(kube::Error::Api(status)) if status.code == 404 => {
            let known = status.details.as_ref().is_some_and(|details| details.name == name);
            Ok(if known { Ok(SnapshotView::Missing) } else { Err(not_installed()) })
        }
        Err(kube::Error::Api(status)) if status.code == 403 => {
            Ok(Err(format!("the operator may not read VolumeSnapshots in {namespace}: {UPGRADE}")))
        }
        Err(error) => Err(asking(format!("reading the VolumeSnapshot {name}"))(error)),
    }
}

fn not_installed() -> String {
    format!(
        "spec.backup.type is VolumeSnapshot, and the API server does not know VolumeSnapshots ({API_VERSION}): install the definitions and the \
         snapshot controller that belong to the volume's CSI driver, or use type Job or External"
    )
}

fn snapshots(client: &Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &resource())
}

/// Asks for the VolumeSnapshot.
///
/// # Errors
/// When the API server refuses or does not answer.
pub(super) async fn create(client: &Client, migration: &SchemaMigration, name: &str) -> Result<(), PassError> {
    let Ok(BackupMethod::VolumeSnapshot(wanted)) = migration.spec.backup.method() else {
        return Err(PassError::Content("spec.backup.volumeSnapshot is not set".to_owned()));
    };
    let object = manifest(migration, wanted, name);
    let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    let api = snapshots(client, &migration.namespace().unwrap_or_default());
    match around(Boundary::VolumeSnapshotCreated, api.create(&parameters, &object)).await {
        Ok(_) => Ok(()),
        // Made by a pass that ended before it could see it, or somebody else's: the next one looks.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(asking(format!("creating the VolumeSnapshot {name}"))(error)),
    }
}
