//! What a backup says about itself: the manifest beside the dump, and the shorter summary that the Job leaves in its termination
//! message for the operator.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Kubernetes keeps this much of a termination message.
pub const MAX_TERMINATION_MESSAGE: usize = 4096;

/// The file beside the dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 1 in this version.
    pub format: u32,
    /// Name of the dump's file.
    pub file: String,
    /// The MySQL schema.
    pub database: String,
    /// Just before the dump began; its data are not older.
    pub taken_at: Timestamp,
    /// When the dump was on disk.
    pub finished_at: Timestamp,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of the dump, in hexadecimal digits.
    pub sha256: String,
    /// Rows by table, tables without rows included.
    pub tables: BTreeMap<String, u64>,
    /// Warnings that mysqldump wrote.
    pub warnings: Vec<String>,
}

/// What the Job's container leaves behind: one of the two members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// A backup was made.
    Made(Summary),
    /// None was made, and why.
    Failed(String),
}

/// A manifest small enough for a termination message: the names of the tables are replaced by their digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Name of the dump's file.
    pub file: String,
    /// Just before the dump began.
    pub taken_at: Timestamp,
    /// When the dump was on disk.
    pub finished_at: Timestamp,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of the dump, in hexadecimal digits.
    pub sha256: String,
    /// SHA-256 of the sorted names of the tables, each followed by a zero byte.
    pub names: String,
    /// Rows of each table in the order of the sorted names.
    pub rows: Vec<u64>,
}

impl Manifest {
    /// The summary of this manifest.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            file: self.file.clone(),
            taken_at: self.taken_at,
            finished_at: self.finished_at,
            bytes: self.bytes,
            sha256: self.sha256.clone(),
            names: digest_of_names(self.tables.keys().map(String::as_str)),
            rows: self.tables.values().copied().collect(),
        }
    }
}

/// The digest of sorted names of tables.
pub fn digest_of_names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for name in names {
        hash.update(name.as_bytes());
        hash.update([0]);
    }
    hexadecimal(&hash.finalize())
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The outcome as the text of a termination message.
///
/// # Errors
/// When there are so many tables that the summary does not fit.
pub fn termination_message(outcome: &Outcome) -> Result<String, String> {
    let text = match outcome {
        Outcome::Made(_) => serde_json::to_string(outcome),
        Outcome::Failed(message) => {
            // Escaping at most doubles what is kept here, apart from control characters, which messages do not hold.
            let message = message.replace(|c: char| c.is_control(), " ");
            serde_json::to_string(&Outcome::Failed(message.chars().take(500).collect()))
        }
    }
    .map_err(|error| error.to_string())?;
    if text.len() > MAX_TERMINATION_MESSAGE {
        return Err(format!(
            "the schema has so many tables that their row counts do not fit into the {MAX_TERMINATION_MESSAGE} bytes of a Job's \
             termination message ({} are needed), so the backup cannot be proven by counting",
            text.len()
        ));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn manifest(tables: usize) -> Manifest {
        Manifest {
            format: 1,
            file: "0b1c8f0e-1111-2222-3333-444455556666-1.sql".to_owned(),
            database: "shop".to_owned(),
            taken_at: Timestamp::UNIX_EPOCH,
            finished_at: Timestamp::UNIX_EPOCH,
            bytes: u64::MAX,
            sha256: "0".repeat(64),
            tables: (0..tables).map(|each| (format!("table_{each:04}"), 99_999_999)).collect(),
            warnings: Vec::new(),
        }
    }

    #[test]
    fn a_few_hundred_tables_fit_into_a_termination_message_and_come_back() {
        let outcome = Outcome::Made(manifest(350).summary());
        let text = termination_message(&outcome).unwrap();
        assert_eq!(serde_json::from_str::<Outcome>(&text).unwrap(), outcome);
    }

    #[test]
    fn too_many_tables_are_refused_rather_than_cut() {
        assert!(
            termination_message(&Outcome::Made(manifest(2000).summary())).unwrap_err().contains("termination message")
        );
    }

    #[test]
    fn a_long_failure_is_shortened() {
        let text = termination_message(&Outcome::Failed("\"ä\n".repeat(4000))).unwrap();
        assert!(text.len() <= MAX_TERMINATION_MESSAGE);
        assert!(matches!(serde_json::from_str(&text).unwrap(), Outcome::Failed(_)));
    }
}
