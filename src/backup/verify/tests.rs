//! Backups that are restored by programs that stand in for MySQL's, and each thing that can be wrong with one.

#![allow(clippy::unwrap_used)]
use std::fs;
use std::os::unix::net::UnixListener;

use super::*;
use crate::backup::compression::Compression;
use crate::backup::manifest::hexadecimal;
use crate::backup::stand_ins::Folder;
use sha2::{Digest as _, Sha256};

const DUMP: &str = "-- Server version\t9.7.4\nCREATE TABLE `bookmarks` (\n  `id` int,\n  `share` float\n);\n\
    INSERT INTO `bookmarks` VALUES (1,0.5),(2,0.25);\n\
    CREATE TABLE `users` (\n  `id` int\n);\nINSERT INTO `users` VALUES (7);\n-- Dump completed on today\n";
const MYSQL: &str = "input=$(cat)\ncase \"$input\" in *VERSION*) echo 9.7.5;; *CREATE?TABLE*) printf '%s\\n' \"$input\" >\"$0.restored\";; esac";
const MYSQLD: &str = "case \"$*\" in *--initialize-insecure*) exit 0;; esac\nexec sleep 600";

struct World {
    folder: Folder,
    arguments: Arguments,
    _socket: UnixListener,
}

fn world(name: &str, restored: &str) -> World {
    world_of(name, restored, Compression::None)
}

/// A backup as the backup Job makes it, and programs that stand in for MySQL's; what is dumped after the restore is `restored`.
fn world_of(name: &str, restored: &str, compression: Compression) -> World {
    let folder = Folder::new(&format!("verify-{name}"));
    let arguments = Arguments {
        backup: folder.backup(DUMP, compression),
        folder: folder.join("scratch"),
        private: folder.join("private"),
        storage: None,
        memory: None,
        rehearsal: None,
        plan: Vec::new(),
        termination_message: folder.join("message"),
        mysqld: folder.program("mysqld", MYSQLD),
        mysql: folder.program("mysql", MYSQL),
        mysqldump: folder.printing("mysqldump", restored),
    };
    let socket = UnixListener::bind(folder.join("scratch/mysqld.sock")).unwrap();
    World { folder, arguments, _socket: socket }
}

impl World {
    /// Expects a failure that says all of this, in the termination message too, and hands it on.
    fn fails(&self, texts: &[&str]) -> String {
        let error = run(&self.arguments).unwrap_err();
        for text in texts {
            assert!(error.contains(text), "{text:?} is not in {error}");
        }
        assert!(matches!(self.folder.outcome(), Outcome::Failed(_)));
        error
    }

    fn backup(&self) -> PathBuf {
        self.folder.join("backup")
    }

    fn was_restored(&self) -> bool {
        self.folder.join("mysql.restored").exists()
    }
}

#[test]
fn a_backup_whose_restore_holds_the_same_is_proven() {
    let world = world("good", DUMP);
    run(&world.arguments).unwrap();
    let Outcome::Restored(restored) = world.folder.outcome() else { panic!("{:?}", world.folder.outcome()) };
    assert_eq!((restored.tables, restored.rows, restored.server_version.as_str()), (2, 3, "9.7.5"));
    assert_eq!((restored.lossy_columns, restored.lossy), (1, vec!["bookmarks.share".to_owned()]));
    assert_eq!(fs::read_to_string(world.folder.join("mysql.restored")).unwrap(), DUMP, "the dump itself was restored");
}

#[test]
fn a_compressed_backup_is_compared_as_it_is_stored_and_restored_as_it_was_written() {
    let world = world_of("compressed", DUMP, Compression::Zstd);
    let path = world.backup().join("uid-1.sql.zst");
    let stored = fs::read(&path).unwrap();
    run(&world.arguments).unwrap();
    assert_eq!(fs::read_to_string(world.folder.join("mysql.restored")).unwrap(), DUMP);
    fs::remove_file(world.folder.join("mysql.restored")).unwrap();

    let mut spoilt = stored.clone();
    spoilt[stored.len() / 2] ^= 1;
    for other in [spoilt, stored[..stored.len() - 1].to_vec()] {
        fs::write(&path, other).unwrap();
        world.fails(&["uid-1.sql.zst was changed after it was written", &hexadecimal(&Sha256::digest(&stored))]);
    }
    assert!(!world.was_restored());
}

#[test]
fn a_backup_that_was_made_before_an_upgrade_is_proven() {
    let mut world = world("older", DUMP);
    let path = world.backup().join("uid-1.manifest.json");
    let older = fs::read_to_string(&path).unwrap().replace("\"format\": 3", "\"format\": 2");
    fs::write(&path, &older).unwrap();
    world.arguments.backup.manifest = hexadecimal(&Sha256::digest(&older));
    run(&world.arguments).unwrap();
    let newer = older.replace("\"format\": 2", "\"format\": 4");
    fs::write(&path, &newer).unwrap();
    world.arguments.backup.manifest = hexadecimal(&Sha256::digest(&newer));
    world.fails(&["has format 4", "from 2 to 3"]);
}

#[test]
fn a_flipped_byte_is_found_before_anything_is_restored() {
    let world = world("flipped", DUMP);
    fs::write(world.backup().join("uid-1.sql"), DUMP.replace("(7)", "(6)")).unwrap();
    world.fails(&["uid-1.sql was changed after it was written", &hexadecimal(&Sha256::digest(DUMP))]);
    assert!(!world.was_restored());
}

#[test]
fn a_truncated_dump_and_a_missing_one_are_found() {
    let world = world("truncated", DUMP);
    fs::write(world.backup().join("uid-1.sql"), DUMP.get(..100).unwrap()).unwrap();
    world.fails(&["it has 100 bytes", &format!("had {}", DUMP.len())]);
    fs::remove_file(world.backup().join("uid-1.sql")).unwrap();
    world.fails(&["uid-1.sql is not there"]);
}

#[test]
fn a_changed_manifest_and_one_of_another_migration_are_found() {
    let mut world = world("manifest", DUMP);
    world.arguments.backup.migration = "another".to_owned();
    world.fails(&["belongs to the migration uid", "another"]);
    let path = world.backup().join("uid-1.manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, text.replace("\"rows\": 2", "\"rows\": 3")).unwrap();
    world.fails(&["uid-1.manifest.json was changed", &world.arguments.backup.manifest]);
}

#[test]
fn a_missing_table_and_a_missing_row_are_found_after_the_restore() {
    let without_table = DUMP.replace("CREATE TABLE `users` (\n  `id` int\n);\nINSERT INTO `users` VALUES (7);\n", "");
    world("table", &without_table).fails(&["the table users is missing", "1 rows"]);
    let world = world("row", &DUMP.replace(",(2,0.25)", ""));
    world.fails(&["the table bookmarks has 1 rows", "the backup holds 2"]);
    assert!(world.was_restored());
}

#[test]
fn a_server_of_another_major_version_restores_nothing() {
    let world = world("version", DUMP);
    world.folder.program("mysql", &MYSQL.replace("9.7.5", "8.0.36"));
    world.fails(&["MySQL 9.7.4", "8.0.36", "spec.backup.scratch.image"]);
    assert!(!world.was_restored());
}

#[test]
fn a_server_that_does_not_start_is_named_with_its_own_words() {
    let world = world("start", DUMP);
    world.folder.program("mysqld", "echo '2026 0 [ERROR] [MY-1] no such plugin' >&2; exit 1");
    world.fails(&["could not be made", "exit status: 1", "no such plugin"]);
    let _ = fs::remove_file(&world.arguments.mysqld);
    world.fails(&["starting", "spec.backup.scratch.image"]);
}

#[test]
fn a_client_that_fails_says_where() {
    let world = world("client", DUMP);
    let script =
        format!("case \"$*\" in *binary-mode*) echo 'ERROR 1064 (42000) at line 3: near' >&2; exit 1;; esac\n{MYSQL}");
    world.folder.program("mysql", &script);
    world.fails(&["restoring", "uid-1.sql", "ERROR 1064 (42000) at line 3"]);
}

#[test]
fn a_volume_that_is_too_small_is_named_as_such() {
    let mut world = world("small", DUMP);
    world.arguments.storage = Some(4096);
    fs::write(world.arguments.folder.join("ibdata1"), vec![1; 100_000]).unwrap();
    world.folder.program("mysqld", "exec sleep 600");
    world.fails(&["the scratch volume is too small", "spec.backup.scratch.storage allows 4096"]);
}

#[test]
fn a_full_disk_is_named_as_such() {
    let world = world("full", DUMP);
    let script = format!(
        "case \"$*\" in *binary-mode*) echo \"ERROR 1114 (HY000) at line 3: The table 'users' is full\" >&2; exit 1;; esac\n{MYSQL}"
    );
    world.folder.program("mysql", &script);
    world.fails(&["the scratch volume is full", "raise spec.backup.scratch.storage", "1114"]);
}
