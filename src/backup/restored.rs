//! Whether a restored database is what the backup says. The proof: a dump of what was restored holds the same tables, rows and objects as the
//! dump that was restored.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::contents::Contents;
use super::manifest::Manifest;
use super::rehearsed::Rehearsed;

/// Differences that a message names.
const NAMED: usize = 3;
/// FLOAT columns that the result names.
const NAMED_COLUMNS: usize = 10;

/// A backup was restored, and is what its manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Restored {
    /// Version of the server that it was restored into.
    pub server_version: String,
    /// Tables that were compared.
    pub tables: u64,
    /// Rows that were compared.
    pub rows: u64,
    /// Views, triggers, procedures, functions and events that were compared.
    pub objects: u64,
    /// Bytes that the restored server's data take.
    pub bytes: u64,
    /// FLOAT columns: a dump holds six of their digits.
    pub lossy_columns: u64,
    /// The first of them, as `table.column`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lossy: Vec<String>,
    /// When the Job's program began.
    pub started_at: Timestamp,
    /// When everything was compared.
    pub finished_at: Timestamp,
    /// What the plan came to that was run on the copy afterwards, where one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<Box<Rehearsed>>,
}

impl Restored {
    /// Leaves something out that matters least; `false`: there is nothing more to leave out.
    pub(super) fn shorten(&mut self) -> bool {
        self.rehearsal.as_mut().is_some_and(|rehearsal| rehearsal.shorten()) || self.lossy.pop().is_some()
    }
}

/// The FLOAT columns of a backup: how many, and the first of them.
pub(super) fn lossy(manifest: &Manifest) -> (u64, Vec<String>) {
    let columns = || {
        let tables = manifest.tables.iter();
        tables.flat_map(|(name, table)| table.lossy_columns.iter().map(move |column| format!("{name}.{column}")))
    };
    (columns().count() as u64, columns().take(NAMED_COLUMNS).collect())
}

/// Whether the restoring server is of the major version that was backed up.
///
/// # Errors
/// Both versions, and what to do.
pub(super) fn same_major_version(backed_up: Option<&str>, restoring: &str) -> Result<(), String> {
    let major = |version: &str| version.split('.').next().and_then(|number| number.parse::<u32>().ok());
    match backed_up {
        None => {
            Err("the dump does not say of which server it is, so it is not known which server can restore it"
                .to_owned())
        }
        Some(version) if major(version).is_some() && major(version) == major(restoring) => Ok(()),
        Some(version) => Err(format!(
            "the backup is of MySQL {version}, and the scratch server is {restoring}: name an image of the same major version in \
             spec.backup.scratch.image"
        )),
    }
}

/// Compares what a dump of the restored database holds with the manifest of the backup.
///
/// # Errors
/// The first differences: what, expected and found.
pub(super) fn compare(manifest: &Manifest, found: &Contents, restoring: &str) -> Result<(), String> {
    let mut differences = Vec::new();
    for (name, table) in &manifest.tables {
        let Some(restored) = found.tables.get(name) else {
            differences.push(format!("the table {name} is missing, of which the backup holds {} rows", table.rows));
            continue;
        };
        if restored.rows != table.rows {
            differences
                .push(format!("the table {name} has {} rows, and the backup holds {}", restored.rows, table.rows));
        } else if restored.content != table.content {
            differences.push(format!(
                "the {} rows of the table {name} are not those of the backup (their digest is {}, and {} in the manifest)",
                table.rows, restored.content, table.content
            ));
        }
        if restored.definition != table.definition {
            differences.push(format!(
                "the table {name} has another definition (SHA-256 {}, and {} in the manifest); servers of different versions show some \
                 definitions differently: the backup is of MySQL {}, the scratch server is {restoring}",
                restored.definition,
                table.definition,
                manifest.server_version.as_deref().unwrap_or_default()
            ));
        }
    }
    for name in found.tables.keys().filter(|name| !manifest.tables.contains_key(*name)) {
        differences.push(format!("the table {name} is there, and the backup does not hold it"));
    }
    for (name, digest) in &manifest.objects {
        match found.objects.get(name) {
            Some(restored) if restored == digest => {}
            Some(restored) => {
                differences
                    .push(format!("the {name} is another one (SHA-256 {restored}, and {digest} in the manifest)"));
            }
            None => differences.push(format!("the {name} is missing")),
        }
    }
    for name in found.objects.keys().filter(|name| !manifest.objects.contains_key(*name)) {
        differences.push(format!("the {name} is there, and the backup does not hold it"));
    }
    if differences.is_empty() {
        return Ok(());
    }
    let more = differences.len().saturating_sub(NAMED);
    differences.truncate(NAMED);
    let more = if more > 0 { format!("; and {more} differences more") } else { String::new() };
    Err(format!("what was restored is not what was backed up: {}{more}", differences.join("; ")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::backup::contents::Table;

    fn table(rows: u64, content: &str, definition: &str) -> Table {
        let (definition, content) = (definition.to_owned(), content.to_owned());
        Table { rows, definition, content, lossy_columns: Vec::new() }
    }

    fn contents() -> Contents {
        Contents {
            tool: None,
            server_version: Some("9.7.4".to_owned()),
            tables: [("bookmarks".to_owned(), table(50, "c1", "d1")), ("users".to_owned(), table(7, "c2", "d2"))]
                .into(),
            objects: [("VIEW v".to_owned(), "o1".to_owned())].into(),
        }
    }

    fn manifest() -> Manifest {
        let contents = contents();
        Manifest {
            format: super::super::manifest::FORMAT,
            migration: "u".to_owned(),
            file: "u-1.sql".to_owned(),
            database: "shop".to_owned(),
            server_version: contents.server_version,
            tool: None,
            taken_at: Timestamp::UNIX_EPOCH,
            finished_at: Timestamp::UNIX_EPOCH,
            compression: Default::default(),
            uncompressed_bytes: None,
            bytes: 1,
            sha256: String::new(),
            tables: contents.tables,
            objects: contents.objects,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn what_is_equal_is_proven() {
        assert_eq!(compare(&manifest(), &contents(), "9.7.4"), Ok(()));
    }

    #[test]
    fn every_difference_is_named_with_what_was_expected_and_found() {
        let differs = |change: fn(&mut Contents)| {
            let mut found = contents();
            change(&mut found);
            compare(&manifest(), &found, "9.7.5").unwrap_err()
        };
        type Change = fn(&mut Contents);
        let cases: [(Change, &[&str]); 8] = [
            (|found| _ = found.tables.remove("bookmarks"), &["the table bookmarks is missing", "50 rows"]),
            (|found| _ = found.tables.insert("x".to_owned(), table(1, "", "")), &["the table x is there"]),
            (
                |found| found.tables.get_mut("users").unwrap().rows = 6,
                &["the table users has 6 rows", "the backup holds 7"],
            ),
            (|found| found.tables.get_mut("users").unwrap().content = "c3".to_owned(), &["table users", "c3", "c2"]),
            (
                |found| found.tables.get_mut("users").unwrap().definition = "d3".to_owned(),
                &["users", "d3", "d2", "9.7.4", "9.7.5"],
            ),
            (|found| found.objects.clear(), &["VIEW v is missing"]),
            (
                |found| _ = found.objects.insert("VIEW v".to_owned(), "o2".to_owned()),
                &["VIEW v is another one", "o2", "o1"],
            ),
            (|found| _ = found.objects.insert("EVENT e".to_owned(), "o2".to_owned()), &["EVENT e is there"]),
        ];
        for (change, texts) in cases {
            let message = differs(change);
            for text in texts {
                assert!(message.contains(text), "{text:?} is not in {message}");
            }
        }
    }

    #[test]
    fn only_the_first_differences_are_named() {
        let mut found = contents();
        (found.tables, found.objects) = Default::default();
        let mut manifest = manifest();
        manifest.objects.insert("EVENT e".to_owned(), "o3".to_owned());
        let message = compare(&manifest, &found, "9.7.4").unwrap_err();
        assert!(message.contains("EVENT e is missing; and 1 differences more"), "{message}");
    }

    #[test]
    fn only_a_server_of_the_same_major_version_counts() {
        assert_eq!(same_major_version(Some("8.0.36-28"), "8.4.1"), Ok(()));
        let message = same_major_version(Some("8.0.36"), "9.7.4").unwrap_err();
        assert!(
            message.contains("8.0.36") && message.contains("9.7.4") && message.contains("spec.backup.scratch.image")
        );
        assert!(same_major_version(None, "9.7.4").is_err());
        assert!(same_major_version(Some("unknown"), "unknown").is_err());
    }
}
