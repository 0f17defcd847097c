//! Removes the backups of a migration that has ended: those whose name and manifest carry its uid, and nothing else that lies beside them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::compression::Compression;
use super::manifest::{self, Outcome};
use super::storage::{self, Storage};

/// Things that are told to be left; a termination message has little room.
const TOLD: usize = 5;

/// Arguments of `holdfast remove-backups`.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Where the backups are.
    #[command(flatten)]
    pub destination: storage::Arguments,
    /// Uid of the SchemaMigration.
    #[arg(long)]
    pub migration: String,
    /// How many backups of it were begun.
    #[arg(long)]
    pub attempts: i32,
    /// File whose content Kubernetes keeps as the termination message.
    #[arg(long, default_value = "/dev/termination-log")]
    pub termination_message: PathBuf,
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Removed {
    /// Backups.
    pub backups: u64,
    /// Bytes of their dumps.
    pub bytes: u64,
    /// What lies under a name of this migration's backups and was left, with the reason: the first few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
}

/// What has to be known of a manifest, of whatever format.
#[derive(Deserialize)]
struct Owner {
    migration: String,
    file: String,
    bytes: u64,
}

/// Removes the backups and leaves in the termination message what came of it.
///
/// # Errors
/// What could not be removed; it is in the termination message as well. What was removed stays removed, and the next try goes on from there.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    let removed = remove(arguments).map(|removed| {
        println!("removed {} backups, {} bytes", removed.backups, removed.bytes);
        for left in &removed.left {
            println!("left: {left}");
        }
        Outcome::Removed(removed)
    });
    manifest::leave(&arguments.termination_message, removed)
}

fn remove(arguments: &Arguments) -> Result<Removed, String> {
    let storage = storage::open(&arguments.destination)?;
    let mut removed = Removed::default();
    for attempt in 1..=arguments.attempts {
        remove_one(storage.as_ref(), &arguments.migration, attempt, &mut removed)?;
    }
    storage.sweep(&format!("{}-", arguments.migration))?;
    Ok(removed)
}

fn remove_one(storage: &dyn Storage, migration: &str, attempt: i32, removed: &mut Removed) -> Result<(), String> {
    let name = manifest::backup_name(migration, attempt);
    // By its manifest it is known which of them it is.
    let dumps = Compression::ALL.map(|compression| manifest::dump_name(&name, compression));
    let manifest = manifest::file_name(&name);
    let mut left = |what: &str, why: String| {
        if removed.left.len() < TOLD {
            removed.left.push(format!("{}: {why}", storage.place(what)));
        }
    };
    let Some(text) = storage::read_whole(storage, &manifest)? else {
        for dump in &dumps {
            if storage.read(dump)?.is_some() {
                left(dump, "it has no manifest that says whose it is".to_owned());
            }
        }
        return Ok(());
    };
    let owner: Owner = match serde_json::from_slice(&text) {
        Ok(owner) => owner,
        Err(error) => {
            left(&manifest, format!("it is no manifest of a backup: {error}"));
            return Ok(());
        }
    };
    if owner.migration != migration || !dumps.contains(&owner.file) {
        left(&manifest, format!("it is about {:?} of the migration {:?}", owner.file, owner.migration));
        return Ok(());
    }
    // The dump first: by its manifest the next try knows what is half removed.
    if storage.remove(&owner.file)? {
        removed.bytes += owner.bytes;
    }
    storage.remove(&manifest)?;
    removed.backups += 1;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    fn manifest(migration: &str, file: &str) -> String {
        serde_json::json!({"format": 99, "migration": migration, "file": file, "bytes": 4, "more": true}).to_string()
    }

    #[test]
    fn only_what_carries_the_migrations_uid_in_name_and_manifest_is_removed() {
        let folder = std::env::temp_dir().join(format!("holdfast-remove-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
        for (name, text) in [
            ("u-1.sql", "dump"),
            ("u-1.manifest.json", manifest("u", "u-1.sql").as_str()),
            // Whose manifest another program wrote.
            ("u-2.sql", "of somebody"),
            ("u-2.manifest.json", manifest("another", "u-2.sql").as_str()),
            // Whose manifest points elsewhere.
            ("u-3.sql", "kept"),
            ("u-3.manifest.json", manifest("u", "../precious").as_str()),
            ("u-4.sql", "without a manifest"),
            ("u-5.manifest.json", "no JSON"),
            // Half removed by a try that was killed.
            ("u-6.manifest.json", manifest("u", "u-6.sql").as_str()),
            ("u-7.sql.partial", "of a killed Job"),
            // Compressed.
            ("u-8.sql.zst", "dump"),
            ("u-8.manifest.json", manifest("u", "u-8.sql.zst").as_str()),
            // Later than the last that was begun, and others'.
            ("u-9.sql", "dump"),
            ("u-9.manifest.json", manifest("u", "u-9.sql").as_str()),
            ("v-1.sql", "dump"),
            ("v-1.manifest.json", manifest("v", "v-1.sql").as_str()),
            ("notes.txt", "mine"),
        ] {
            write(name, text);
        }
        let arguments = Arguments {
            destination: storage::Arguments::folder(folder.clone()),
            migration: "u".to_owned(),
            attempts: 8,
            termination_message: folder.join("message"),
        };
        run(&arguments).unwrap();
        let text = fs::read(&arguments.termination_message).unwrap();
        let Outcome::Removed(removed) = serde_json::from_slice(&text).unwrap() else { panic!("{text:?}") };
        assert_eq!((removed.backups, removed.bytes), (3, 8), "{removed:?}");
        assert_eq!(removed.left.len(), 4, "{removed:?}");
        let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        let left = [
            "message",
            "notes.txt",
            "u-2.manifest.json",
            "u-2.sql",
            "u-3.manifest.json",
            "u-3.sql",
            "u-4.sql",
            "u-5.manifest.json",
            "u-9.manifest.json",
            "u-9.sql",
            "v-1.manifest.json",
            "v-1.sql",
        ];
        assert_eq!(names, left);
        // Another try finds nothing to do, and no error.
        run(&arguments).unwrap();
        fs::remove_dir_all(folder).unwrap();
    }
}
