//! Names of what the controller makes: the same for the same migration, purpose and try, different for everything else.

use sha2::{Digest, Sha256};

use crate::api::status::JobPurpose;
use crate::backup::manifest::hexadecimal;

/// Kubernetes puts the name of a Job into a label of its pods.
const MAX_LABEL: usize = 63;

/// The name of a Job. The digest holds the uid, so that a migration that was deleted and made again has Jobs of its own.
#[must_use]
pub fn job(
    migration: &str,
    uid: &str,
    generation: i64,
    purpose: JobPurpose,
    test: Option<&str>,
    attempt: i32,
) -> String {
    let what = match (purpose, test) {
        (JobPurpose::Backup, _) => "backup",
        (JobPurpose::VerifyBackup, _) => "verify",
        (JobPurpose::Rehearse, _) => "rehearse",
        (JobPurpose::RemoveBackups, _) => "remove-backups",
        (JobPurpose::RestoreBackup, _) => "restore-backup",
        (JobPurpose::SchemaUpdate, _) => "schema-update",
        (JobPurpose::UndoSchemaUpdate, _) => "undo-schema-update",
        (JobPurpose::Test, _) => "test",
    };
    let subject = format!("{uid}/{generation}/{what}/{}", test.unwrap_or_default());
    let tail = format!("-{what}-{}-{attempt}", digest(&subject));
    let head: String = migration.chars().take(MAX_LABEL.saturating_sub(tail.len())).collect();
    format!("{}{tail}", head.trim_end_matches(['-', '.']).replace('.', "-"))
}

/// The name of a VolumeSnapshot. No backup of a migration has the number of another one, whatever its spec was.
#[must_use]
pub fn volume_snapshot(migration: &str, uid: &str, attempt: i32) -> String {
    let tail = format!("-backup-{}-{attempt}", digest(&format!("{uid}/volume-snapshot")));
    let head: String = migration.chars().take(MAX_LABEL.saturating_sub(tail.len())).collect();
    format!("{}{tail}", head.trim_end_matches(['-', '.']).replace('.', "-"))
}

/// The name of one of the ConfigMaps that hold a plan.
#[must_use]
pub fn plan(migration: &str, uid: &str, digest: &str, part: usize) -> String {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    let head: String = migration.chars().take(180).collect();
    format!("{head}-plan-{}-{}-{part}", self::digest(uid), hex.chars().take(16).collect::<String>())
}

/// The name of the ConfigMap that holds the evidence of a migration that carried out a plan.
#[must_use]
pub fn evidence(migration: &str, uid: &str, plan_digest: &str) -> String {
    let hex = plan_digest.strip_prefix("sha256:").unwrap_or(plan_digest);
    let head: String = migration.chars().take(180).collect();
    format!("{head}-evidence-{}-{}", digest(uid), hex.chars().take(16).collect::<String>())
}

fn digest(text: &str) -> String {
    hexadecimal(&Sha256::digest(text.as_bytes())).chars().take(8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_jobs_fit_into_a_label_and_differ_by_migration_and_try() {
        let name = |uid, attempt| job(&"long.name-".repeat(30), uid, 1, JobPurpose::UndoSchemaUpdate, None, attempt);
        assert!(name("a", 1).len() <= MAX_LABEL && !name("a", 1).contains('.'));
        assert_ne!(name("a", 1), name("b", 1));
        assert_ne!(name("a", 1), name("a", 2));
        assert_eq!(job("m", "a", 1, JobPurpose::Backup, None, 1), job("m", "a", 1, JobPurpose::Backup, None, 1));
        let snapshot = |uid, attempt| volume_snapshot(&"long.name-".repeat(30), uid, attempt);
        assert!(snapshot("a", 1).len() <= MAX_LABEL && !snapshot("a", 1).contains('.'));
        assert_ne!(snapshot("a", 1), snapshot("b", 1));
        assert_ne!(snapshot("a", 1), snapshot("a", 2));
    }
}
