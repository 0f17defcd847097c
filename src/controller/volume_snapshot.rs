//! The VolumeSnapshot that is a backup: what is asked for, and what one that is there says, as one of a few cases. Pure.
//!
//! It has no owner. A backup that the garbage collector deletes together with the migration would be none, so labels say whose it is, and its
//! name holds the uid and the number of the backup, so that no other migration ever comes to the same one.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::{Resource as _, ResourceExt as _};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::SchemaMigration;
use crate::api::backup::VolumeSnapshotBackup;
use crate::api::conditions::shortened;

/// Group and version of the resource, which a driver's installation brings along.
pub const API_VERSION: &str = "snapshot.storage.k8s.io/v1";
/// The label by which a VolumeSnapshot is known as a migration's.
pub const UID_LABEL: &str = "holdfast.dev/migration-uid";
/// Names the migration, whose name may be longer than a label.
const NAME_ANNOTATION: &str = "holdfast.dev/migration";
/// Longest text of a driver that is kept, in bytes.
const MAX_ERROR: usize = 512;

/// What a VolumeSnapshot looks like from outside.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SnapshotView {
    /// The backup is of another kind, or none is made any more.
    #[default]
    NotAsked,
    /// There is none of that name.
    Missing,
    /// One of that name is not this migration's, or of something else than it asked for: why.
    Foreign(String),
    /// It is this migration's.
    Ours(Box<Snapshot>),
}

/// A VolumeSnapshot of this migration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// Its uid.
    pub uid: String,
    /// Whether somebody deleted it, and it is there for a little while yet.
    pub deleting: bool,
    /// Whether a volume can be made from it.
    pub ready: bool,
    /// The moment whose data it holds.
    pub taken_at: Option<Timestamp>,
    /// The VolumeSnapshotContent that it is bound to.
    pub content: Option<String>,
    /// Size of a volume that is made from it, as Kubernetes writes it.
    pub restore_size: Option<String>,
    /// What its driver reports in the way of it.
    pub error: Option<String>,
}

/// The resource.
#[must_use]
pub fn resource() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("snapshot.storage.k8s.io", "v1", "VolumeSnapshot"))
}

/// The VolumeSnapshot that is asked for.
#[must_use]
pub fn manifest(migration: &SchemaMigration, wanted: &VolumeSnapshotBackup, name: &str) -> DynamicObject {
    let mut object = DynamicObject::new(name, &resource());
    let labels = [
        ("app.kubernetes.io/managed-by", "holdfast"),
        ("app.kubernetes.io/component", "backup"),
        (UID_LABEL, migration.metadata.uid.as_deref().unwrap_or_default()),
    ];
    object.metadata.labels = Some(labels.map(|(label, value)| (label.to_owned(), value.to_owned())).into());
    object.metadata.annotations = Some([(NAME_ANNOTATION.to_owned(), migration.name_any())].into());
    let mut spec = json!({"source": {"persistentVolumeClaimName": wanted.claim_name}});
    if let Some(class) = &wanted.class_name {
        spec["volumeSnapshotClassName"] = json!(class);
    }
    object.data = json!({"spec": spec});
    object
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Fields {
    spec: Spec,
    status: Option<Status>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    source: Source,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Source {
    persistent_volume_claim_name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    bound_volume_snapshot_content_name: Option<String>,
    creation_time: Option<Timestamp>,
    ready_to_use: Option<bool>,
    /// Text, or a number.
    restore_size: Option<Value>,
    error: Option<Failure>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Failure {
    message: Option<String>,
}

/// Looks at a VolumeSnapshot of the name that a migration's has.
///
/// # Errors
/// When it is not what the definition says.
pub fn view(
    object: &DynamicObject,
    migration: &SchemaMigration,
    wanted: &VolumeSnapshotBackup,
) -> Result<SnapshotView, serde_json::Error> {
    let uid = migration.metadata.uid.as_deref().unwrap_or_default();
    let labelled = object.labels().get(UID_LABEL);
    if labelled.is_none_or(|label| label != uid) {
        let label = labelled.map_or_else(|| "has no label".to_owned(), |label| format!("has {label:?} in its label"));
        return Ok(SnapshotView::Foreign(format!("it {label} {UID_LABEL}, and this migration's uid is {uid:?}")));
    }
    let fields = Fields::deserialize(&object.data)?;
    let claim = fields.spec.source.persistent_volume_claim_name.unwrap_or_default();
    if claim != wanted.claim_name {
        let text = format!("it is of the PersistentVolumeClaim {claim:?}, and {:?} was asked for", wanted.claim_name);
        return Ok(SnapshotView::Foreign(text));
    }
    let status = fields.status.unwrap_or_default();
    let size = |size: Value| size.as_str().map_or_else(|| size.to_string(), str::to_owned);
    let error = status.error.map(|error| error.message.unwrap_or_else(|| "an error without a message".to_owned()));
    Ok(SnapshotView::Ours(Box::new(Snapshot {
        uid: object.meta().uid.clone().unwrap_or_default(),
        deleting: object.meta().deletion_timestamp.is_some(),
        ready: status.ready_to_use == Some(true),
        taken_at: status.creation_time,
        content: status.bound_volume_snapshot_content_name.filter(|name| !name.is_empty()),
        restore_size: status.restore_size.map(size),
        error: error.map(|text| shortened(text, MAX_ERROR)),
    })))
}

/// Why no snapshot of a claim can be taken; `None`: one can.
#[must_use]
pub fn unfit(namespace: &str, name: &str, claim: Option<&PersistentVolumeClaim>) -> Option<String> {
    let named =
        format!("spec.backup.volumeSnapshot.claimName is {name:?}, and the PersistentVolumeClaim {namespace}/{name}");
    let Some(claim) = claim else {
        return Some(format!("{named} does not exist: name the claim of the server's data"));
    };
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("not known");
    (phase != "Bound").then(|| {
        format!("{named} has no volume yet (its phase is {phase}, not Bound): name the claim of the server's data")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::api::example;

    fn migration() -> SchemaMigration {
        let mut migration = SchemaMigration::new("m", example::spec());
        migration.metadata.uid = Some("u".to_owned());
        migration
    }

    fn wanted() -> VolumeSnapshotBackup {
        VolumeSnapshotBackup { class_name: Some("fast".to_owned()), claim_name: "data".to_owned() }
    }

    fn seen(status: Value) -> SnapshotView {
        let mut object = manifest(&migration(), &wanted(), "s");
        object.metadata.uid = Some("its-own".to_owned());
        object.data["status"] = status;
        view(&object, &migration(), &wanted()).unwrap()
    }

    #[test]
    fn what_is_asked_for_has_labels_and_no_owner() {
        let object = serde_json::to_value(manifest(&migration(), &wanted(), "s")).unwrap();
        assert_eq!((&object["apiVersion"], &object["kind"]), (&json!(API_VERSION), &json!("VolumeSnapshot")));
        assert_eq!(object["metadata"].get("ownerReferences"), None, "the garbage collector would delete the backup");
        assert_eq!(object["metadata"]["labels"][UID_LABEL], "u");
        let spec = json!({"source": {"persistentVolumeClaimName": "data"}, "volumeSnapshotClassName": "fast"});
        assert_eq!(object["spec"], spec);
        let of_default = VolumeSnapshotBackup { class_name: None, ..wanted() };
        let object = manifest(&migration(), &of_default, "s");
        assert_eq!(object.data["spec"].get("volumeSnapshotClassName"), None, "an empty name is refused");
    }

    #[test]
    fn one_that_was_just_made_says_nothing_yet() {
        let ours = Snapshot { uid: "its-own".to_owned(), ..Snapshot::default() };
        assert_eq!(seen(Value::Null), SnapshotView::Ours(Box::new(ours.clone())));
        assert_eq!(seen(json!({"boundVolumeSnapshotContentName": ""})), SnapshotView::Ours(Box::new(ours)));
    }

    #[test]
    fn what_the_driver_reports_is_read() {
        let status = json!({"boundVolumeSnapshotContentName": "content", "creationTime": "2026-11-20T02:00:00Z", "readyToUse": true,
            "restoreSize": "10Gi", "error": {"time": "2026-11-20T02:00:00Z", "message": "no space"}});
        let SnapshotView::Ours(snapshot) = seen(status) else { panic!("it is ours") };
        assert_eq!(snapshot.taken_at, Some("2026-11-20T02:00:00Z".parse().unwrap()));
        assert_eq!((snapshot.ready, snapshot.content.as_deref()), (true, Some("content")));
        assert_eq!(snapshot.restore_size, Some("10Gi".to_owned()));
        assert_eq!(snapshot.error.as_deref(), Some("no space"));
        let SnapshotView::Ours(snapshot) = seen(json!({"restoreSize": 1024})) else { panic!("it is ours") };
        assert_eq!(snapshot.restore_size, Some("1024".to_owned()));
    }

    #[test]
    fn one_of_another_or_of_another_claim_is_never_taken_for_ours() {
        let foreign = |object: &DynamicObject| match view(object, &migration(), &wanted()).unwrap() {
            SnapshotView::Foreign(why) => why,
            other => panic!("{other:?}"),
        };
        let mut other = manifest(&migration(), &wanted(), "s");
        other.metadata.labels.get_or_insert_default().insert(UID_LABEL.to_owned(), "another".to_owned());
        assert!(foreign(&other).contains("\"another\""), "{}", foreign(&other));
        other.metadata.labels = None;
        assert!(foreign(&other).contains("has no label"), "{}", foreign(&other));
        let mut elsewhere = manifest(&migration(), &wanted(), "s");
        elsewhere.data["spec"]["source"] = json!({"persistentVolumeClaimName": "logs"});
        assert!(foreign(&elsewhere).contains("\"logs\""), "{}", foreign(&elsewhere));
    }

    #[test]
    fn a_claim_that_is_missing_or_has_no_volume_is_named() {
        let claim = |phase: &str| serde_json::from_value(json!({"metadata": {}, "status": {"phase": phase}})).unwrap();
        assert_eq!(unfit("shop", "data", Some(&claim("Bound"))), None);
        assert!(unfit("shop", "data", Some(&claim("Pending"))).unwrap().contains("shop/data has no volume yet"));
        assert!(unfit("shop", "data", Some(&claim("Lost"))).unwrap().contains("Lost"));
        assert!(unfit("shop", "data", None).unwrap().contains("shop/data does not exist"));
    }
}
