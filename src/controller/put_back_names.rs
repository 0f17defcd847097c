//! What putting a backup back asks of a spec, and the schemas that it needs beside the live one: where the backup's tables are restored, and
//! where those go that were there.

use sha2::{Digest, Sha256};

use crate::api::SchemaMigration;
use crate::api::backup::{BackupType, Verification};
use crate::api::execution::JournalPlace;
use crate::backup::manifest::hexadecimal;
use crate::plan::Identifier;

/// Hexadecimal digits that tell one try of one migration from every other.
const DIGITS: usize = 12;

/// The two schemas of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schemas {
    /// Takes the backup's tables.
    pub restored: Identifier,
    /// Keeps those that were there.
    pub kept: Identifier,
}

/// Why a spec leads to no backup that could be put back; `None`: it does. The API server refuses such a spec where its definitions are ours.
#[must_use]
pub fn unfit(migration: &SchemaMigration) -> Option<String> {
    let backup = &migration.spec.backup;
    if (backup.backup_type, backup.verification) != (BackupType::Job, Verification::Restore) {
        return Some(
            "only a backup that was made here and restored for proof is put back: spec.backup.type Job with spec.backup.verification Restore"
                .to_owned(),
        );
    }
    journal_schema(migration).err()
}

/// The journal's schema, whose name those of the two begin with, so that one pattern grants what is needed.
///
/// # Errors
/// When the journal lies in the migrated schema, or its name is too long.
fn journal_schema(migration: &SchemaMigration) -> Result<String, String> {
    let name = match migration.spec.journal.place() {
        Ok(JournalPlace::Schema(name)) => name.to_owned(),
        Ok(JournalPlace::TablePrefix(_)) => {
            return Err("it needs schemas beside the migrated one, and spec.journal.tablePrefix says that there may be none: set spec.journal.schema"
                .to_owned());
        }
        Err(error) => return Err(format!("spec.journal: {error}")),
    };
    of(&name, "", 0).map(|_| name)
}

/// The schemas of a try of a migration. No try has those of another one.
///
/// # Errors
/// As of [`journal_schema`].
pub fn schemas(migration: &SchemaMigration, attempt: i32) -> Result<Schemas, String> {
    let journal = journal_schema(migration)?;
    of(&journal, migration.metadata.uid.as_deref().unwrap_or_default(), attempt)
}

fn of(journal: &str, uid: &str, attempt: i32) -> Result<Schemas, String> {
    let digest = hexadecimal(&Sha256::digest(format!("{uid}/restore-backup/{attempt}").as_bytes()));
    let own: String = digest.chars().take(DIGITS).collect();
    let name = |what: &str| {
        Identifier::new(format!("{journal}_{what}_{own}"))
            .map_err(|error| format!("spec.journal.schema is too long for the schemas beside it: {error}"))
    };
    Ok(Schemas { restored: name("restored")?, kept: name("kept")? })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_try_has_schemas_of_its_own_whose_names_begin_with_the_journals() {
        let one = of("holdfast", "u", 1).unwrap();
        assert!(one.restored.as_str().starts_with("holdfast_restored_"), "{one:?}");
        assert!(one.kept.as_str().starts_with("holdfast_kept_"), "{one:?}");
        assert_ne!(one, of("holdfast", "u", 2).unwrap());
        assert_ne!(one, of("holdfast", "v", 1).unwrap());
        assert!(of(&"x".repeat(50), "u", 1).unwrap_err().contains("spec.journal.schema"));
    }
}
