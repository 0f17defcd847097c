//! What a backup says about itself: the manifest beside the dump, which a restore is compared with, and the shorter summary that the
//! Job leaves in its termination message for the operator.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::compression::Compression;
use super::contents::Table;
use super::remove::Removed;
use super::restored::Restored;
use super::row_counts::RowCounts;

/// The format of manifests that this version writes. Since 3 a dump may be compressed.
pub const FORMAT: u32 = 3;
/// The oldest that it reads: a backup may have been made just before an upgrade.
pub const OLDEST_FORMAT: u32 = 2;
/// Kubernetes keeps this much of a termination message.
pub const MAX_TERMINATION_MESSAGE: usize = 4096;

/// The file beside the dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// Uid of the SchemaMigration that the dump was made for.
    pub migration: String,
    /// Name of the dump's file.
    pub file: String,
    /// The MySQL schema.
    pub database: String,
    /// Version of the server, as the dump says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_version: Option<String>,
    /// Version of mysqldump, as the dump says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// Just before the dump began; its data are not older.
    pub taken_at: Timestamp,
    /// When the dump was on disk.
    pub finished_at: Timestamp,
    /// How the dump is compressed; left out: not at all.
    #[serde(default, skip_serializing_if = "Compression::is_none")]
    pub compression: Compression,
    /// Size in bytes before it was compressed; left out: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncompressed_bytes: Option<u64>,
    /// Size in bytes, as it is stored.
    pub bytes: u64,
    /// SHA-256 of what is stored, in hexadecimal digits.
    pub sha256: String,
    /// Tables by name: rows, and digests of definition and rows.
    pub tables: BTreeMap<String, Table>,
    /// SHA-256 of each view, trigger, procedure, function and event, by kind and name.
    pub objects: BTreeMap<String, String>,
    /// Warnings that mysqldump wrote.
    pub warnings: Vec<String>,
}

/// What a Job's container leaves behind: one of the members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// A backup was made.
    Made(Summary),
    /// A backup was restored, and what came out is what its manifest says.
    Restored(Restored),
    /// The backups of a migration were removed.
    Removed(Removed),
    /// None of these, and why.
    Failed(String),
}

/// A manifest without what is of each table: the names of the tables are replaced by their digest, and so are their rows where they are many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Name of the dump's file.
    pub file: String,
    /// Just before the dump began.
    pub taken_at: Timestamp,
    /// When the dump was on disk.
    pub finished_at: Timestamp,
    /// Size in bytes, as it is stored.
    pub bytes: u64,
    /// SHA-256 of what is stored, in hexadecimal digits.
    pub sha256: String,
    /// SHA-256 of the manifest's file, in hexadecimal digits.
    pub manifest: String,
    /// SHA-256 of the sorted names of the tables, each followed by a zero byte.
    pub names: String,
    /// Rows of each table.
    pub rows: RowCounts,
}

impl Manifest {
    /// The summary of this manifest, whose file has this SHA-256.
    #[must_use]
    pub fn summary(&self, manifest: String) -> Summary {
        Summary {
            file: self.file.clone(),
            taken_at: self.taken_at,
            finished_at: self.finished_at,
            bytes: self.bytes,
            sha256: self.sha256.clone(),
            manifest,
            names: digest_of_names(self.tables.keys().map(String::as_str)),
            rows: RowCounts::Here(self.tables.values().map(|table| table.rows).collect()),
        }
    }
}

impl Manifest {
    /// Whether what is stored at this place is what was written there.
    ///
    /// # Errors
    /// What it is instead.
    pub(super) fn check(&self, place: &str, (bytes, sha256): (u64, String)) -> Result<(), String> {
        if bytes == self.bytes && sha256 == self.sha256 {
            return Ok(());
        }
        Err(format!(
            "the dump {place} was changed after it was written: it has {bytes} bytes with the SHA-256 {sha256}, and had {} with {}; look for what \
             else writes there, or for a fault of the storage",
            self.bytes, self.sha256
        ))
    }
}

/// The name of a backup, without an ending: of this migration, and which one.
#[must_use]
pub fn backup_name(migration: &str, attempt: i32) -> String {
    format!("{migration}-{attempt}")
}

/// Name of the dump of a backup.
pub(super) fn dump_name(name: &str, compression: Compression) -> String {
    format!("{name}.sql{}", compression.ending())
}

/// Name of the manifest beside it.
pub(super) fn file_name(name: &str) -> String {
    format!("{name}.manifest.json")
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

/// Leaves what a Job came to in the file that Kubernetes keeps, and says it to the program's caller.
///
/// # Errors
/// What failed, or why it could not be left.
pub(super) fn leave(path: &Path, result: Result<Outcome, String>) -> Result<(), String> {
    let (text, failed) = match result.and_then(|outcome| termination_message(&outcome)) {
        Ok(text) => (text, None),
        Err(message) => (termination_message(&Outcome::Failed(message.clone()))?, Some(message)),
    };
    fs::write(path, text).map_err(|error| format!("writing the termination message {}: {error}", path.display()))?;
    failed.map_or(Ok(()), Err)
}

/// The outcome as the text of a termination message.
///
/// # Errors
/// When it does not fit.
pub fn termination_message(outcome: &Outcome) -> Result<String, String> {
    let text = match outcome {
        Outcome::Made(_) | Outcome::Removed(_) => serde_json::to_string(outcome),
        Outcome::Restored(restored) => fitted(restored.clone()),
        Outcome::Failed(message) => {
            // Escaping at most doubles what is kept here, apart from control characters, which messages do not hold.
            let message = message.replace(|c: char| c.is_control(), " ");
            serde_json::to_string(&Outcome::Failed(message.chars().take(500).collect()))
        }
    }
    .map_err(|error| error.to_string())?;
    if text.len() > MAX_TERMINATION_MESSAGE {
        return Err(format!(
            "what the Job came to takes {} bytes, and a termination message holds {MAX_TERMINATION_MESSAGE}: its log tells it",
            text.len()
        ));
    }
    Ok(text)
}

/// What of a restore fits into a termination message; the rest is in the Job's log.
fn fitted(mut restored: Restored) -> serde_json::Result<String> {
    loop {
        let text = serde_json::to_string(&Outcome::Restored(restored.clone()))?;
        if text.len() <= MAX_TERMINATION_MESSAGE || !restored.shorten() {
            return Ok(text);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::backup::rehearsed::{End, Rehearsed, Slow};
    use crate::backup::row_counts;
    use crate::mysql::rehearsal::Step;
    use crate::plan::model::LockClass;

    fn manifest(tables: usize) -> Manifest {
        let table =
            Table { rows: 99_999_999, definition: "0".repeat(64), content: "0".repeat(64), lossy_columns: Vec::new() };
        Manifest {
            format: FORMAT,
            migration: "0b1c8f0e-1111-2222-3333-444455556666".to_owned(),
            server_version: Some("9.7.4".to_owned()),
            tool: Some("10.13  Distrib 9.7.4".to_owned()),
            file: "0b1c8f0e-1111-2222-3333-444455556666-1.sql".to_owned(),
            database: "shop".to_owned(),
            taken_at: Timestamp::UNIX_EPOCH,
            finished_at: Timestamp::UNIX_EPOCH,
            compression: Compression::Zstd,
            uncompressed_bytes: Some(u64::MAX),
            bytes: u64::MAX,
            sha256: "0".repeat(64),
            tables: (0..tables).map(|each| (format!("table_{each:04}"), table.clone())).collect(),
            objects: BTreeMap::new(),
            warnings: Vec::new(),
        }
    }

    #[test]
    fn the_row_counts_of_a_few_hundred_tables_are_in_the_termination_message() {
        let outcome = Outcome::Made(manifest(350).summary("0".repeat(64)));
        let text = termination_message(&outcome).unwrap();
        assert_eq!(serde_json::from_str::<Outcome>(&text).unwrap(), outcome);
    }

    #[test]
    fn those_of_any_number_of_tables_fit_by_what_is_bounded_of_them() {
        for tables in [500, 2_000, 20_000] {
            let (summary, lines) = row_counts::fitted(manifest(tables).summary("0".repeat(64))).unwrap();
            let text = termination_message(&Outcome::Made(summary)).unwrap();
            let Outcome::Made(summary) = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
            assert_eq!((summary.rows.tables(), summary.rows.total()), (tables as u64, 99_999_999 * tables as u64));
            let RowCounts::InTheLog(told) = summary.rows else { panic!("{text}") };
            assert_eq!(told.read(&lines.join("\n")).unwrap(), vec![99_999_999; tables]);
        }
    }

    #[test]
    fn a_long_failure_is_shortened() {
        let text = termination_message(&Outcome::Failed("\"ä\n".repeat(4000))).unwrap();
        assert!(text.len() <= MAX_TERMINATION_MESSAGE);
        assert!(matches!(serde_json::from_str(&text).unwrap(), Outcome::Failed(_)));
    }

    #[test]
    fn of_a_rehearsal_the_least_important_is_left_out_until_it_fits() {
        let long = "ü".repeat(64);
        let mut rehearsed = Rehearsed::begun(&format!("sha256:{}", "0".repeat(64)), Timestamp::UNIX_EPOCH);
        rehearsed.end = End::Failed {
            step: Some(Step::Test),
            operation: Some(long.clone()),
            message: format!("first {}", "\"x".repeat(4000)),
        };
        rehearsed.slowest = vec![
            Slow {
                operation: long.clone(),
                table: long.clone(),
                lock: Some(LockClass::OnlineBuild),
                milliseconds: u64::MAX
            };
            5
        ];
        let restored = Restored {
            server_version: "9.7.4".to_owned(),
            tables: 1,
            rows: 1,
            objects: 1,
            bytes: 1,
            lossy_columns: 10,
            lossy: vec![format!("{long}.{long}"); 10],
            started_at: Timestamp::UNIX_EPOCH,
            finished_at: Timestamp::UNIX_EPOCH,
            rehearsal: Some(Box::new(rehearsed)),
        };
        let text = termination_message(&Outcome::Restored(restored)).unwrap();
        assert!(text.len() <= MAX_TERMINATION_MESSAGE, "{}", text.len());
        let Outcome::Restored(found) = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
        let failure = found.rehearsal.unwrap().failure().unwrap();
        assert!(failure.contains(&long) && failure.contains("in the step Test: first"), "{failure}");
        assert_eq!(found.lossy_columns, 10, "how many there are is told, though not all by name");
    }
}
