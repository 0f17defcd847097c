//! `spec.backup` and `spec.rehearsal`: the copy that is made before anything changes, and what is done with it.

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1::ResourceRequirements, apimachinery::pkg::api::resource::Quantity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Duration,
    duration::Retention,
    reference::{KeyReference, LocalReference, UnionError},
};

/// The copy that is made before anything changes. `type` says which member is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "has(self.job) == (self.type == 'Job')", "message": "job must be set with type Job, and only then"}, {"rule": "has(self.volumeSnapshot) == (self.type == 'VolumeSnapshot')", "message": "volumeSnapshot must be set with type VolumeSnapshot, and only then"}, {"rule": "self.type != 'External' || self.verification == 'None'", "message": "a backup of type External is made elsewhere and cannot be looked at: its verification is None"}, {"rule": "self.type != 'External' || self.retention == 'Keep'", "message": "a backup of type External is not the operator's to delete: its retention is Keep"}, {"rule": "self.type != 'VolumeSnapshot' || self.verification != 'Restore'", "message": "a backup of type VolumeSnapshot is not restored by the operator: its verification is Inspect or None"}, {"rule": "self.type != 'VolumeSnapshot' || self.retention == 'Keep'", "message": "a backup of type VolumeSnapshot is not deleted by the operator: its retention is Keep"}, {"rule": "self.verification != 'Restore' || has(self.scratch)", "message": "verification Restore needs scratch: the server that the backup is restored into"}]))]
pub struct Backup {
    /// Job: a dump by a Job of the operator. VolumeSnapshot: a CSI snapshot of the server's volume, which is crash-consistent and stays when the migration is deleted. External: a backup made elsewhere, such as a managed service's snapshot: the gate before BackUp asks for its id and time, whether it is listed or not.
    #[serde(rename = "type")]
    pub backup_type: BackupType,
    /// With type Job: the dump.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<BackupJob>,
    /// With type VolumeSnapshot: the snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_snapshot: Option<VolumeSnapshotBackup>,
    /// The server on which the backup is restored and the migration rehearsed. Required with verification Restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scratch: Option<Scratch>,
    /// How the backup is proven; a choice that has no default. Restore: restored into the scratch server and compared. Inspect: exit code, error output, trailer, size, checksum and row counts; of a VolumeSnapshot what its driver reports of it. None: taken on trust.
    pub verification: Verification,
    /// Keep (default), or how long after the migration's end the backup is kept before the operator deletes what it made.
    #[serde(default)]
    pub retention: Retention,
    /// Greatest age of the backup when the first change is made; an older one is made again. Default 1h.
    #[serde(default = "default_max_age")]
    #[schemars(extend("x-kubernetes-validations" = [{"rule": "!self.matches('^([0-9]{1,9}(ms|s|m|h)){1,4}$') || duration(self) >= duration('1m') && duration(self) <= duration('168h')", "message": "must be between 1m and 168h"}]))]
    pub max_age: Duration,
}

/// The kind of backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BackupType {
    /// A dump by a Job.
    Job,
    /// A CSI snapshot.
    VolumeSnapshot,
    /// Made elsewhere.
    External,
}

/// How the backup is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BackupMethod<'a> {
    /// A dump by a Job.
    Job(&'a BackupJob),
    /// A CSI snapshot.
    VolumeSnapshot(&'a VolumeSnapshotBackup),
    /// Made elsewhere.
    External,
}

impl Backup {
    /// How the backup is made.
    ///
    /// # Errors
    /// When the member that `type` names is missing or another is set. The API server refuses such an object.
    pub fn method(&self) -> Result<BackupMethod<'_>, UnionError> {
        match (self.backup_type, &self.job, &self.volume_snapshot) {
            (BackupType::Job, Some(job), None) => Ok(BackupMethod::Job(job)),
            (BackupType::VolumeSnapshot, None, Some(snapshot)) => Ok(BackupMethod::VolumeSnapshot(snapshot)),
            (BackupType::External, None, None) => Ok(BackupMethod::External),
            _ => Err(UnionError {
                members: "job (type Job), volumeSnapshot (type VolumeSnapshot) or neither (type External)",
            }),
        }
    }

    /// The bucket that takes the dump, where it is one.
    #[must_use]
    pub fn bucket(&self) -> Option<&S3Destination> {
        self.job.as_ref()?.destination.s3.as_ref()
    }
}

/// A dump by a Job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupJob {
    /// The tool: Mysqldump.
    pub tool: BackupTool,
    /// Image that holds the tool and a shell.
    #[schemars(length(min = 1, max = 512))]
    pub image: String,
    /// What the Job's container asks for and is limited to. Left out: the namespace's defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Where the dump goes.
    pub destination: BackupDestination,
    /// How the dump is compressed before it is stored. Zstd (default): as the program zstd does, at its fastest level. None: not at all.
    #[serde(default)]
    pub compression: BackupCompression,
}

/// How a dump is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BackupCompression {
    /// As the program zstd does.
    #[default]
    Zstd,
    /// Not at all.
    None,
}

/// The tool that makes the dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BackupTool {
    /// MySQL's own. There is no Mydumper beside it: docs/backup.md says why.
    Mysqldump,
}

/// Where the dump goes. `type` says which member is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "has(self.persistentVolumeClaim) == (self.type == 'PersistentVolumeClaim')", "message": "persistentVolumeClaim must be set with type PersistentVolumeClaim, and only then"}, {"rule": "has(self.s3) == (self.type == 'S3')", "message": "s3 must be set with type S3, and only then"}]))]
pub struct BackupDestination {
    /// PersistentVolumeClaim or S3.
    #[serde(rename = "type")]
    pub destination_type: DestinationType,
    /// With type PersistentVolumeClaim: the claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<ClaimDestination>,
    /// With type S3: the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Destination>,
}

/// The kind of destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DestinationType {
    /// A volume of the migration's namespace.
    PersistentVolumeClaim,
    /// An S3 bucket.
    S3,
}

/// Where the dump goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Destination<'a> {
    /// A volume of the migration's namespace.
    PersistentVolumeClaim(&'a ClaimDestination),
    /// An S3 bucket.
    S3(&'a S3Destination),
}

impl Destination<'_> {
    /// Where a dump of this name lies, for people.
    #[must_use]
    pub fn location(&self, file: &str) -> String {
        match self {
            Self::PersistentVolumeClaim(claim) => format!("persistentvolumeclaim/{}/{file}", claim.claim_name),
            Self::S3(s3) => s3.url(file),
        }
    }
}

impl BackupDestination {
    /// Where the dump goes.
    ///
    /// # Errors
    /// When the member that `type` names is missing or another is set. The API server refuses such an object.
    pub fn destination(&self) -> Result<Destination<'_>, UnionError> {
        match (self.destination_type, &self.persistent_volume_claim, &self.s3) {
            (DestinationType::PersistentVolumeClaim, Some(claim), None) => {
                Ok(Destination::PersistentVolumeClaim(claim))
            }
            (DestinationType::S3, None, Some(s3)) => Ok(Destination::S3(s3)),
            _ => Err(UnionError { members: "persistentVolumeClaim (type PersistentVolumeClaim) or s3 (type S3)" }),
        }
    }
}

/// A volume that takes the dump.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimDestination {
    /// Name of a PersistentVolumeClaim of this namespace.
    #[schemars(length(min = 1, max = 253))]
    pub claim_name: String,
}

/// A bucket that takes the dump.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "has(self.region) || has(self.endpoint)", "message": "region must be set where endpoint is not: Amazon's services have one endpoint for each region"}, {"rule": "!has(self.caSecretRef) || has(self.endpoint) && self.endpoint.startsWith('https://')", "message": "caSecretRef is for an endpoint that begins with https://"}]))]
pub struct S3Destination {
    /// Name of the bucket, which must exist.
    #[schemars(length(min = 3, max = 63))]
    #[schemars(extend("pattern" = "^[A-Za-z0-9][A-Za-z0-9._-]*$"))]
    pub bucket: String,
    /// Folder in the bucket: keys are PREFIX/UID-ATTEMPT.sql.zst, or .sql without compression. Left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[schemars(extend("pattern" = "^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*/?$"))]
    pub prefix: Option<String>,
    /// Region of the bucket. Required without endpoint; left out with one: us-east-1, which most servers other than Amazon's take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    #[schemars(extend("pattern" = "^[A-Za-z0-9-]+$"))]
    pub region: Option<String>,
    /// URL of the service, for servers other than Amazon's: https, or http, which sends the dump in the clear. The bucket's name goes into the path. Left out: Amazon's for the region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[schemars(extend("pattern" = "^https?://[A-Za-z0-9.\\[\\]:_-]+/?$"))]
    pub endpoint: Option<String>,
    /// Secret of this namespace with the keys `accessKeyId` and `secretAccessKey`, and `sessionToken` for temporary credentials. No others are used.
    pub credentials_secret_ref: LocalReference,
    /// Certificate authority of the endpoint, in PEM; no other is trusted then. Left out: those of the Job's image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<KeyReference>,
}

/// Where most servers other than Amazon's say that their buckets are.
const USUAL_REGION: &str = "us-east-1";

impl S3Destination {
    /// Region of the bucket.
    #[must_use]
    pub fn region(&self) -> &str {
        self.region.as_deref().unwrap_or(USUAL_REGION)
    }

    /// URL of what lies there under a name, as people write it.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        let prefix = self.prefix.as_deref().unwrap_or_default().trim_end_matches('/');
        let slash = if prefix.is_empty() { "" } else { "/" };
        format!("s3://{}/{prefix}{slash}{name}", self.bucket)
    }
}

/// A CSI snapshot of the server's volume.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeSnapshotBackup {
    /// VolumeSnapshotClass. Left out: the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: Option<String>,
    /// PersistentVolumeClaim of the server's data, in this namespace.
    #[schemars(length(min = 1, max = 253))]
    pub claim_name: String,
}

/// The server that restores and rehearses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scratch {
    /// Image of a MySQL server of the same major version; it holds mysqld, mysql and mysqldump, as the official one does.
    #[schemars(length(min = 1, max = 512))]
    pub image: String,
    /// Size of its volume, an emptyDir on the node's disk: room for the database, its indexes, and 512Mi for the server itself; with a rehearsal also for the quarantine, new indexes and the largest table that is copied. Left out: no limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Quantity>,
    /// What its container asks for and is limited to. Left out: the namespace's defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

/// What a container asks for and is limited to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// What is reserved, by resource name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8))]
    pub requests: BTreeMap<String, Quantity>,
    /// What is not exceeded, by resource name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8))]
    pub limits: BTreeMap<String, Quantity>,
}

impl From<&Resources> for ResourceRequirements {
    fn from(resources: &Resources) -> Self {
        let some = |map: &BTreeMap<String, Quantity>| (!map.is_empty()).then(|| map.clone());
        Self { requests: some(&resources.requests), limits: some(&resources.limits), claims: None }
    }
}

/// How the backup is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Verification {
    /// Restored and compared.
    Restore,
    /// Looked at without restoring.
    Inspect,
    /// Taken on trust.
    None,
}

/// Whether the whole plan is run on the restored copy first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rehearsal {
    /// A choice that has no default. True: before anything is changed, the whole plan with its probes and scenarios is run on the restored backup (backup.type Job with verification Restore) and taken back; what fails there ends the migration. The Jobs of schemaUpdate and tests.jobs are not run there.
    pub enabled: bool,
    /// Longest time that the run on the copy may take; one that takes longer has failed. Default 24h.
    #[serde(default = "default_rehearsal_deadline")]
    #[schemars(extend("x-kubernetes-validations" = [{"rule": "!self.matches('^([0-9]{1,9}(ms|s|m|h)){1,4}$') || duration(self) >= duration('1m') && duration(self) <= duration('168h')", "message": "must be between 1m and 168h"}]))]
    pub deadline: Duration,
}

fn default_rehearsal_deadline() -> Duration {
    Duration::from_millis(86_400_000)
}

fn default_max_age() -> Duration {
    Duration::from_millis(3_600_000)
}
