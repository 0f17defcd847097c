//! Proves a backup by restoring it: the dump is checked against its manifest, restored into a server of this Job's own, dumped again, and
//! compared table by table.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::manifest::{self, FORMAT, Manifest, Outcome, hexadecimal};
use super::reader::Reader;
use super::restored::{Restored, compare, lossy, same_major_version};
use super::scratch::{Place, Scratch};
use crate::plan::Identifier;

const PIECE: usize = 256 * 1024;

/// Arguments of `holdfast verify-backup`.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Folder with the dump and its manifest.
    #[arg(long)]
    pub backup: PathBuf,
    /// Name of the dump without its ending.
    #[arg(long)]
    pub name: String,
    /// SHA-256 of the manifest, as the backup Job told it.
    #[arg(long)]
    pub manifest: String,
    /// Uid of the SchemaMigration.
    #[arg(long)]
    pub migration: String,
    /// Folder for the server's data.
    #[arg(long)]
    pub folder: PathBuf,
    /// Folder in memory for the server's password.
    #[arg(long)]
    pub private: PathBuf,
    /// Bytes that the server's data may take.
    #[arg(long)]
    pub storage: Option<u64>,
    /// Bytes of memory that the container may take.
    #[arg(long)]
    pub memory: Option<u64>,
    /// File whose content Kubernetes keeps as the termination message.
    #[arg(long, default_value = "/dev/termination-log")]
    pub termination_message: PathBuf,
    /// The server.
    #[arg(long, default_value = "mysqld")]
    pub mysqld: PathBuf,
    /// The client that restores.
    #[arg(long, default_value = "mysql")]
    pub mysql: PathBuf,
    /// The program that dumps what was restored.
    #[arg(long, default_value = "mysqldump")]
    pub mysqldump: PathBuf,
}

/// Restores the backup, leaves the outcome in the termination message and says whether the backup is proven.
///
/// # Errors
/// What is wrong with the backup, or why it could not be told; it is in the termination message as well.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    let proven = prove(arguments).map(|restored| {
        println!(
            "restored {}: {} rows in {} tables and {} other objects are those of the backup; the server's data took {} bytes",
            arguments.name, restored.rows, restored.tables, restored.objects, restored.bytes
        );
        Outcome::Restored(restored)
    });
    manifest::leave(&arguments.termination_message, proven)
}

fn prove(arguments: &Arguments) -> Result<Restored, String> {
    let started_at = Timestamp::now();
    let manifest = read_manifest(arguments)?;
    let dump = arguments.backup.join(&manifest.file);
    let place = Place {
        folder: &arguments.folder,
        private: &arguments.private,
        programs: [&arguments.mysqld, &arguments.mysql, &arguments.mysqldump],
        storage: arguments.storage,
        memory: arguments.memory,
    };
    // The server is made while the dump is read through.
    let scratch = Scratch::prepare(&place)?;
    check_dump(&dump, &manifest)?;
    let restored = restore(&scratch, &place, &dump, &manifest).map_err(|error| scratch.explain(error))?;
    Ok(Restored { started_at, ..restored })
}

fn restore(scratch: &Scratch, place: &Place<'_>, dump: &Path, manifest: &Manifest) -> Result<Restored, String> {
    scratch.start(place)?;
    let version = scratch.query("SELECT VERSION()")?.trim().to_owned();
    same_major_version(manifest.server_version.as_deref(), &version)?;
    let schema =
        Identifier::new(manifest.database.clone()).map_err(|error| format!("the manifest's schema: {error}"))?;
    scratch.query(&format!("CREATE DATABASE {}", schema.quoted()))?;
    println!("restoring {} into MySQL {version}", manifest.file);
    scratch.restore(dump, schema.as_str())?;
    make_definers(scratch, &schema)?;
    println!("comparing");
    let mut again = scratch.dump(schema.as_str())?;
    let read = match again.child.stdout.take() {
        Some(stdout) => read_dump(stdout),
        None => Err("mysqldump has no output".to_owned()),
    };
    if read.is_err() {
        again.kill();
    }
    again.finish().map_err(|error| format!("dumping what was restored: {error}"))?;
    let found = read?.finish().map_err(|error| format!("dumping what was restored: {error}"))?;
    compare(manifest, &found, &version)?;
    let (lossy_columns, lossy) = lossy(manifest);
    Ok(Restored {
        server_version: version,
        tables: found.tables.len() as u64,
        rows: found.tables.values().map(|table| table.rows).sum(),
        objects: found.objects.len() as u64,
        bytes: scratch.size()?,
        lossy_columns,
        lossy,
        started_at: Timestamp::now(),
        finished_at: Timestamp::now(),
    })
}

fn read_manifest(arguments: &Arguments) -> Result<Manifest, String> {
    let path = arguments.backup.join(format!("{}.manifest.json", arguments.name));
    let text = fs::read(&path).map_err(|error| format!("reading the backup's manifest {}: {error}", path.display()))?;
    let digest = hexadecimal(&Sha256::digest(&text));
    if digest != arguments.manifest {
        return Err(format!(
            "the backup's manifest {} was changed after it was written: its SHA-256 is {digest}, and was {}",
            path.display(),
            arguments.manifest
        ));
    }
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|error| format!("the backup's manifest {}: {error}", path.display()))?;
    if manifest.format != FORMAT || manifest.migration != arguments.migration {
        return Err(format!(
            "the backup's manifest {} has format {} and belongs to the migration {}, and format {FORMAT} of the migration {} is wanted",
            path.display(),
            manifest.format,
            manifest.migration,
            arguments.migration
        ));
    }
    Ok(manifest)
}

/// Whether the dump is still what the backup Job wrote.
fn check_dump(path: &Path, manifest: &Manifest) -> Result<(), String> {
    let explain = |error: io::Error| format!("reading the dump {}: {error}", path.display());
    let mut file = File::open(path).map_err(explain)?;
    let mut hash = Sha256::new();
    let mut bytes = 0;
    pieces(&mut file, |piece| {
        hash.update(piece);
        bytes += piece.len() as u64;
    })
    .map_err(explain)?;
    let sha256 = hexadecimal(&hash.finalize());
    if bytes == manifest.bytes && sha256 == manifest.sha256 {
        return Ok(());
    }
    Err(format!(
        "the dump {} was changed after it was written: it has {bytes} bytes with the SHA-256 {sha256}, and had {} with {}; look for what \
         writes to the volume, or for a fault of it",
        path.display(),
        manifest.bytes,
        manifest.sha256
    ))
}

fn read_dump(mut stdout: impl Read) -> Result<Reader, String> {
    let mut reader = Reader::default();
    pieces(&mut stdout, |piece| reader.push(piece)).map_err(|error| format!("reading mysqldump's output: {error}"))?;
    Ok(reader)
}

fn pieces(from: &mut impl Read, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(length) => each(piece.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Statements that make the accounts which the views and routines of the schema in use name as their definer. `*` is the schema in use.
const DEFINERS: &str = "\
    SELECT DISTINCT CONCAT('CREATE USER IF NOT EXISTS ', account, ' ACCOUNT LOCK; GRANT ALL ON * TO ', account, ';') FROM \
    (SELECT CONCAT(QUOTE(LEFT(DEFINER, CHAR_LENGTH(DEFINER) - CHAR_LENGTH(SUBSTRING_INDEX(DEFINER, '@', -1)) - 1)), '@', \
    QUOTE(SUBSTRING_INDEX(DEFINER, '@', -1))) AS account FROM \
    (SELECT DEFINER FROM information_schema.VIEWS WHERE TABLE_SCHEMA = DATABASE() \
    UNION SELECT DEFINER FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE()) AS definers) AS accounts \
    WHERE account <> '\\'root\\'@\\'localhost\\''";

/// Makes the definers of views and routines, locked: mysqldump does not read a view of an account that is not there, and accounts are no
/// part of a schema's dump.
fn make_definers(scratch: &Scratch, schema: &Identifier) -> Result<(), String> {
    let begin = format!("SET NAMES utf8mb4; USE {};", schema.quoted());
    let statements = scratch.query(&format!("{begin} {DEFINERS}"))?;
    if !statements.trim().is_empty() {
        scratch.query(&format!("{begin} {statements}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::backup::dump;

    const DUMP: &str = "-- Server version\t9.7.4\nCREATE TABLE `bookmarks` (\n  `id` int,\n  `share` float\n);\n\
        INSERT INTO `bookmarks` VALUES (1,0.5),(2,0.25);\n\
        CREATE TABLE `users` (\n  `id` int\n);\nINSERT INTO `users` VALUES (7);\n-- Dump completed on today\n";
    const MYSQL: &str = "input=$(cat)\ncase \"$input\" in *VERSION*) echo 9.7.5;; *CREATE?TABLE*) printf '%s\\n' \"$input\" >\"$0.restored\";; esac";
    const MYSQLD: &str = "case \"$*\" in *--initialize-insecure*) exit 0;; esac\nexec sleep 600";

    struct World {
        folder: PathBuf,
        arguments: Arguments,
        _socket: UnixListener,
    }

    impl Drop for World {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }

    fn program(path: &Path, script: &str) {
        fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A backup as the backup Job makes it, and programs that stand in for MySQL's; what is dumped after the restore is `restored`.
    fn world(name: &str, restored: &str) -> World {
        let folder = std::env::temp_dir().join(format!("holdfast-verify-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        for each in ["credentials", "private", "backup", "scratch"] {
            fs::create_dir_all(folder.join(each)).unwrap();
        }
        fs::write(folder.join("credentials/username"), "migrator").unwrap();
        fs::write(folder.join("credentials/password"), "correct horse").unwrap();
        fs::write(folder.join("source.sql"), DUMP).unwrap();
        fs::write(folder.join("restored.sql"), restored).unwrap();
        program(&folder.join("dump"), &format!("cat '{}'", folder.join("source.sql").display()));
        program(&folder.join("mysqldump"), &format!("cat '{}'", folder.join("restored.sql").display()));
        program(&folder.join("mysql"), MYSQL);
        program(&folder.join("mysqld"), MYSQLD);
        let dump = dump::Arguments {
            host: "mysql".to_owned(),
            port: 3306,
            database: "shop".to_owned(),
            credentials: folder.join("credentials"),
            ssl_mode: "REQUIRED".to_owned(),
            certificate_authority: None,
            private: folder.join("private"),
            destination: folder.join("backup"),
            name: "u-1".to_owned(),
            migration: "u".to_owned(),
            termination_message: folder.join("message"),
            program: folder.join("dump"),
        };
        dump::run(&dump).unwrap();
        let made: Outcome = serde_json::from_slice(&fs::read(folder.join("message")).unwrap()).unwrap();
        let Outcome::Made(summary) = made else { panic!("{made:?}") };
        let arguments = Arguments {
            backup: folder.join("backup"),
            name: "u-1".to_owned(),
            manifest: summary.manifest,
            migration: "u".to_owned(),
            folder: folder.join("scratch"),
            private: folder.join("private"),
            storage: None,
            memory: None,
            termination_message: folder.join("message"),
            mysqld: folder.join("mysqld"),
            mysql: folder.join("mysql"),
            mysqldump: folder.join("mysqldump"),
        };
        let socket = UnixListener::bind(folder.join("scratch/mysqld.sock")).unwrap();
        World { folder, arguments, _socket: socket }
    }

    impl World {
        fn outcome(&self) -> Outcome {
            serde_json::from_slice(&fs::read(&self.arguments.termination_message).unwrap()).unwrap()
        }

        /// Expects a failure that says all of this, in the termination message too, and hands it on.
        fn fails(&self, texts: &[&str]) -> String {
            let error = run(&self.arguments).unwrap_err();
            for text in texts {
                assert!(error.contains(text), "{text:?} is not in {error}");
            }
            assert!(matches!(self.outcome(), Outcome::Failed(_)));
            error
        }

        fn was_restored(&self) -> bool {
            self.folder.join("mysql.restored").exists()
        }
    }

    #[test]
    fn a_backup_whose_restore_holds_the_same_is_proven() {
        let world = world("good", DUMP);
        run(&world.arguments).unwrap();
        let Outcome::Restored(restored) = world.outcome() else { panic!("{:?}", world.outcome()) };
        assert_eq!((restored.tables, restored.rows, restored.server_version.as_str()), (2, 3, "9.7.5"));
        assert_eq!((restored.lossy_columns, restored.lossy), (1, vec!["bookmarks.share".to_owned()]));
        assert_eq!(
            fs::read_to_string(world.folder.join("mysql.restored")).unwrap(),
            DUMP,
            "the dump itself was restored"
        );
    }

    #[test]
    fn a_flipped_byte_is_found_before_anything_is_restored() {
        let world = world("flipped", DUMP);
        fs::write(world.arguments.backup.join("u-1.sql"), DUMP.replace("(7)", "(6)")).unwrap();
        world.fails(&["u-1.sql was changed after it was written", &hexadecimal(&Sha256::digest(DUMP))]);
        assert!(!world.was_restored());
    }

    #[test]
    fn a_truncated_dump_and_a_missing_one_are_found() {
        let world = world("truncated", DUMP);
        fs::write(world.arguments.backup.join("u-1.sql"), DUMP.get(..100).unwrap()).unwrap();
        world.fails(&["it has 100 bytes", &format!("had {}", DUMP.len())]);
        fs::remove_file(world.arguments.backup.join("u-1.sql")).unwrap();
        world.fails(&["reading the dump", "u-1.sql"]);
    }

    #[test]
    fn a_changed_manifest_and_one_of_another_migration_are_found() {
        let mut world = world("manifest", DUMP);
        world.arguments.migration = "another".to_owned();
        world.fails(&["belongs to the migration u", "another"]);
        let path = world.arguments.backup.join("u-1.manifest.json");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, text.replace("\"rows\": 2", "\"rows\": 3")).unwrap();
        world.fails(&["u-1.manifest.json was changed", &world.arguments.manifest]);
    }

    #[test]
    fn a_missing_table_and_a_missing_row_are_found_after_the_restore() {
        let without_table =
            DUMP.replace("CREATE TABLE `users` (\n  `id` int\n);\nINSERT INTO `users` VALUES (7);\n", "");
        world("table", &without_table).fails(&["the table users is missing", "1 rows"]);
        let world = world("row", &DUMP.replace(",(2,0.25)", ""));
        world.fails(&["the table bookmarks has 1 rows", "the backup holds 2"]);
        assert!(world.was_restored());
    }

    #[test]
    fn a_server_of_another_major_version_restores_nothing() {
        let world = world("version", DUMP);
        program(&world.arguments.mysql, &MYSQL.replace("9.7.5", "8.0.36"));
        world.fails(&["MySQL 9.7.4", "8.0.36", "spec.backup.scratch.image"]);
        assert!(!world.was_restored());
    }

    #[test]
    fn a_server_that_does_not_start_is_named_with_its_own_words() {
        let world = world("start", DUMP);
        program(&world.arguments.mysqld, "echo '2026 0 [ERROR] [MY-1] no such plugin' >&2; exit 1");
        world.fails(&["could not be made", "exit status: 1", "no such plugin"]);
        let _ = fs::remove_file(&world.arguments.mysqld);
        world.fails(&["starting", "spec.backup.scratch.image"]);
    }

    #[test]
    fn a_client_that_fails_says_where() {
        let world = world("client", DUMP);
        let script = format!(
            "case \"$*\" in *binary-mode*) echo 'ERROR 1064 (42000) at line 3: near' >&2; exit 1;; esac\n{MYSQL}"
        );
        program(&world.arguments.mysql, &script);
        world.fails(&["restoring", "u-1.sql", "ERROR 1064 (42000) at line 3"]);
    }

    #[test]
    fn a_volume_that_is_too_small_is_named_as_such() {
        let mut world = world("small", DUMP);
        world.arguments.storage = Some(4096);
        fs::write(world.arguments.folder.join("ibdata1"), vec![1; 100_000]).unwrap();
        program(&world.arguments.mysqld, "exec sleep 600");
        world.fails(&["the scratch volume is too small", "spec.backup.scratch.storage allows 4096"]);
    }

    #[test]
    fn a_full_disk_is_named_as_such() {
        let world = world("full", DUMP);
        let script = format!(
            "case \"$*\" in *binary-mode*) echo \"ERROR 1114 (HY000) at line 3: The table 'users' is full\" >&2; exit 1;; esac\n{MYSQL}"
        );
        program(&world.arguments.mysql, &script);
        world.fails(&["the scratch volume is full", "raise spec.backup.scratch.storage", "1114"]);
    }
}
