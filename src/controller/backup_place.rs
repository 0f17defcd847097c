//! The place of the dumps, as a Job's container sees it: arguments for our program, and what is mounted for it. The credentials of a bucket are
//! files, never arguments or environment.

use k8s_openapi::api::core::v1::{Volume, VolumeMount};

use crate::api::backup::{BackupDestination, Destination, S3Destination};

use super::jobs::{argument, claim_volume, mount, secret_volume};

/// Where a claim is mounted.
const CLAIM: &str = "/backup";
const CREDENTIALS: &str = "/var/run/holdfast/bucket-credentials";
const TLS: &str = "/var/run/holdfast/bucket-tls";

/// The place.
pub(super) struct BackupPlace {
    pub(super) arguments: Vec<String>,
    pub(super) volumes: Vec<Volume>,
    pub(super) mounts: Vec<VolumeMount>,
}

impl BackupPlace {
    /// For a destination whose union is in order; what is not, the API server refuses.
    pub(super) fn new(destination: &BackupDestination, read_only: bool) -> Option<Self> {
        match destination.destination().ok()? {
            Destination::PersistentVolumeClaim(claim) => Some(Self {
                arguments: vec![argument("destination", CLAIM)],
                volumes: vec![claim_volume("backup", claim)],
                mounts: vec![mount("backup", CLAIM, read_only)],
            }),
            Destination::S3(s3) => Some(Self::bucket(s3)),
        }
    }

    fn bucket(s3: &S3Destination) -> Self {
        let mut place = Self {
            arguments: vec![
                argument("bucket", &s3.bucket),
                argument("region", s3.region()),
                argument("bucket-credentials", CREDENTIALS),
            ],
            volumes: vec![secret_volume("bucket-credentials", &s3.credentials_secret_ref.name, None)],
            mounts: vec![mount("bucket-credentials", CREDENTIALS, true)],
        };
        let more = [("prefix", &s3.prefix), ("endpoint", &s3.endpoint)];
        let given = more.into_iter().filter_map(|(name, value)| Some(argument(name, value.as_ref()?)));
        place.arguments.extend(given);
        if let Some(authority) = &s3.ca_secret_ref {
            place.arguments.push(argument("bucket-certificate-authority", &format!("{TLS}/ca.crt")));
            place.volumes.push(secret_volume("bucket-tls", &authority.name, Some(&authority.key)));
            place.mounts.push(mount("bucket-tls", TLS, true));
        }
        place
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::super::{backup_job, remove_job, verify_job};
    use crate::api::backup::BackupCompression;
    use crate::api::{SchemaMigration, example};

    /// The migration, with a bucket.
    fn migration(verification: &str) -> SchemaMigration {
        let mut spec = serde_json::to_value(example::spec()).unwrap();
        spec["backup"]["verification"] = json!(verification);
        spec["backup"]["job"]["destination"] = json!({"type": "S3", "s3": {"bucket": "dumps", "prefix": "shop", "endpoint": "https://minio:9000",
            "credentialsSecretRef": {"name": "dumps"}, "caSecretRef": {"name": "minio-ca", "key": "tls.crt"}}});
        let mut migration = SchemaMigration::new("m", serde_json::from_value(spec).unwrap());
        (migration.metadata.uid, migration.metadata.namespace) = (Some("u".to_owned()), Some("shop".to_owned()));
        migration
    }

    fn pod(job: impl serde::Serialize) -> Value {
        serde_json::to_value(job).unwrap()["spec"]["template"]["spec"].clone()
    }

    /// The arguments of the container, and where it mounts what: name of the Secret, path, and whether it is read-only.
    fn container(pod: &Value) -> (Vec<String>, Vec<(String, String, bool)>) {
        let container = &pod["containers"][0];
        assert!(container.get("env").is_none() && container.get("envFrom").is_none(), "{container}");
        let given = ["command", "args"].map(|field| container[field].as_array().cloned().unwrap_or_default());
        let arguments = given.concat().iter().map(|argument| argument.as_str().unwrap().to_owned()).collect();
        let secret = |name: &Value| {
            let volume = pod["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == *name).unwrap();
            volume["secret"]["secretName"].as_str().map(str::to_owned)
        };
        let mounts = container["volumeMounts"].as_array().unwrap().iter().filter_map(|mount| {
            let path = mount["mountPath"].as_str().unwrap().to_owned();
            Some((secret(&mount["name"])?, path, mount["readOnly"].as_bool().unwrap()))
        });
        (arguments, mounts.collect())
    }

    const BUCKET: [&str; 6] = [
        "--bucket=dumps",
        "--prefix=shop",
        "--region=us-east-1",
        "--endpoint=https://minio:9000",
        "--bucket-credentials=/var/run/holdfast/bucket-credentials",
        "--bucket-certificate-authority=/var/run/holdfast/bucket-tls/ca.crt",
    ];

    #[test]
    fn every_job_gets_the_buckets_credentials_as_files_and_by_no_other_way() {
        let migration = migration("Restore");
        let backup = backup_job::backup(&migration, "operator:1", "b", 1, String::new()).unwrap();
        let verify =
            verify_job::verify(&migration, "operator:1", "v", verify_job::Backup { attempt: 1, manifest: "abc" }, None)
                .unwrap();
        let remove = remove_job::remove(&migration, "operator:1", "r", 2).unwrap();
        let migrator = migration.spec.database.credentials_secret_ref.name.as_str();
        for (job, of_database) in [(backup, true), (verify, false), (remove, false)] {
            let pod = pod(job);
            let (arguments, mounts) = container(&pod);
            for argument in BUCKET {
                assert!(arguments.iter().any(|each| each == argument), "{argument} is not in {arguments:?}");
            }
            let mounted = |secret: &str, path: &str| mounts.contains(&(secret.to_owned(), path.to_owned(), true));
            assert!(mounted("dumps", "/var/run/holdfast/bucket-credentials"), "{mounts:?}");
            assert!(mounted("minio-ca", "/var/run/holdfast/bucket-tls"), "{mounts:?}");
            assert_eq!(mounts.iter().any(|(secret, ..)| secret == migrator), of_database, "{mounts:?}");
            assert!(!pod.to_string().contains("persistentVolumeClaim"), "{pod}");
            assert_eq!(pod["automountServiceAccountToken"], false);
            assert_eq!(pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"], true);
        }
    }

    #[test]
    fn a_dump_is_compressed_unless_the_spec_says_otherwise() {
        let compression = |migration: &SchemaMigration| {
            let job = backup_job::backup(migration, "operator:1", "b", 1, String::new()).unwrap();
            container(&pod(job))
                .0
                .into_iter()
                .filter(|argument| argument.starts_with("--compression="))
                .collect::<Vec<_>>()
        };
        let mut migration = migration("None");
        assert_eq!(compression(&migration), ["--compression=zstd"]);
        migration.spec.backup.job.as_mut().unwrap().compression = BackupCompression::None;
        assert_eq!(compression(&migration), ["--compression=none"]);
    }

    #[test]
    fn the_job_that_removes_runs_the_operators_image_alone() {
        let pod = pod(remove_job::remove(&migration("Inspect"), "operator:1", "r", 2).unwrap());
        assert_eq!(pod["containers"][0]["image"], "operator:1");
        assert!(pod.get("initContainers").is_none());
        let (arguments, _) = container(&pod);
        assert_eq!(arguments[..3], ["remove-backups", "--migration=u", "--attempts=2"]);
    }

    #[test]
    fn a_dump_is_read_back_where_nothing_else_reads_it() {
        let read_back = |migration: &SchemaMigration| {
            let job = backup_job::backup(migration, "operator:1", "b", 1, String::new()).unwrap();
            container(&pod(job)).0.iter().any(|argument| argument == "--read-back")
        };
        assert!(read_back(&migration("Inspect")));
        assert!(!read_back(&migration("None")));
        let mut restoring = migration("Restore");
        assert!(!read_back(&restoring), "the restore reads it");
        let status = json!({"backup": {"attempt": 2, "restore": {"job": "v", "attempt": 1, "startedAt": "2026-01-01T00:00:00Z",
            "finishedAt": "2026-01-01T00:00:00Z", "serverVersion": "9.7.4", "tables": 1, "rows": 1, "objects": 0, "bytes": 1}}});
        restoring.status = Some(serde_json::from_value(status).unwrap());
        assert!(read_back(&restoring), "one that repeats a restored one is inspected");
    }
}
