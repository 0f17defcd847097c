//! Runs mysqldump and decides whether what came out is a backup: exit code, error output, trailer, checksum, rows, and every byte
//! stored before the dump gets its name.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::compression::{self, Compression};
use super::contents::Contents;
use super::interruption;
use super::login::{self, OptionFile};
use super::manifest::{self, FORMAT, Manifest, Outcome, hexadecimal};
use super::programs::Program;
use super::progress::Teller;
use super::reader::Reader;
use super::row_counts;
use super::storage::{self, Storage, Upload};

/// Arguments of `holdfast backup`.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// The server.
    #[command(flatten)]
    pub server: login::Arguments,
    /// The MySQL schema to dump.
    #[arg(long)]
    pub database: String,
    /// Where the dump goes.
    #[command(flatten)]
    pub destination: storage::Arguments,
    /// How the dump is compressed.
    #[arg(long, value_enum, default_value_t)]
    pub compression: Compression,
    /// Read the dump back once it is stored, and compare it with what was written.
    #[arg(long)]
    pub read_back: bool,
    /// Name of the dump without its ending.
    #[arg(long)]
    pub name: String,
    /// Uid of the SchemaMigration, for the manifest.
    #[arg(long)]
    pub migration: String,
    /// File whose content Kubernetes keeps as the termination message.
    #[arg(long, default_value = "/dev/termination-log")]
    pub termination_message: PathBuf,
    /// The program to run.
    #[arg(long, default_value = "mysqldump")]
    pub program: PathBuf,
}

/// What to look at when the program is not there.
const NO_PROGRAM: &str = "does the image of spec.backup.job.image hold mysqldump?";

/// Makes the backup, leaves the outcome in the termination message and says whether it succeeded.
///
/// # Errors
/// When the backup failed, with the reason; it is in the termination message as well.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    let made = make(arguments).and_then(|(manifest, digest)| {
        println!(
            "backup {}: {} bytes{}, {} tables, {} rows, SHA-256 {}",
            manifest.file,
            manifest.bytes,
            manifest.uncompressed_bytes.map(|bytes| format!(" ({bytes} before compression)")).unwrap_or_default(),
            manifest.tables.len(),
            manifest.tables.values().map(|table| table.rows).sum::<u64>(),
            manifest.sha256
        );
        let fitted = row_counts::fitted(manifest.summary(digest));
        let (summary, lines) = fitted.map_err(|error| format!("writing the summary of the manifest: {error}"))?;
        lines.iter().for_each(|line| println!("{line}"));
        Ok(Outcome::Made(summary))
    });
    manifest::leave(&arguments.termination_message, made)
}

/// The manifest, and the SHA-256 of its file.
fn make(arguments: &Arguments) -> Result<(Manifest, String), String> {
    let storage = storage::open(&arguments.destination)?;
    let storage = storage.as_ref();
    let option_file = OptionFile::write(&arguments.server, "mysqldump.cnf")?;
    let dumped = dump(arguments, storage, option_file.path());
    let removed = option_file.remove();
    let manifest = dumped?;
    let published = removed.and_then(|()| publish(arguments, storage, &manifest));
    match published {
        Ok(digest) => Ok((manifest, digest)),
        // Without its manifest it is no backup. Nobody else can have made it.
        Err(error) => Err(match storage.remove(&manifest.file) {
            Ok(_) => error,
            Err(more) => format!("{error} (and {more})"),
        }),
    }
}

/// Writes the manifest, which makes the dump a backup. The SHA-256 of the manifest's file.
fn publish(arguments: &Arguments, storage: &dyn Storage, manifest: &Manifest) -> Result<String, String> {
    if arguments.read_back {
        let stored = storage::weigh(storage, &manifest.file)?;
        manifest.check(&storage.place(&manifest.file), stored)?;
    }
    let text = serde_json::to_vec_pretty(manifest).map_err(|error| format!("writing the manifest: {error}"))?;
    storage.put(&manifest::file_name(&arguments.name), &text)?;
    Ok(hexadecimal(&Sha256::digest(&text)))
}

fn dump(arguments: &Arguments, storage: &dyn Storage, option_file: &Path) -> Result<Manifest, String> {
    // Before the database has any work of it.
    let beginning = format!("{}-", arguments.migration);
    storage.sweep(&beginning)?;
    let file = manifest::dump_name(&arguments.name, arguments.compression);
    let manifest = manifest::file_name(&arguments.name);
    if storage.read(&manifest)?.is_some() {
        return Err(format!("{} exists already, and nothing is overwritten", storage.place(&manifest)));
    }
    let mut upload = storage.begin(&file)?;
    interruption::clear_up_on_sigterm(&arguments.destination, beginning, &arguments.termination_message)?;
    let taken_at = Timestamp::now();
    match run_program(arguments, option_file, upload.as_mut()) {
        Ok(Dumped { uncompressed, bytes, sha256, contents, warnings }) => {
            if let Err(error) = upload.finish()
                && !storage::weigh(storage, &file).is_ok_and(|stored| stored == (bytes, sha256.clone()))
            {
                return Err(error);
            }
            Ok(Manifest {
                format: FORMAT,
                migration: arguments.migration.clone(),
                file,
                database: arguments.database.clone(),
                server_version: contents.server_version,
                tool: contents.tool,
                taken_at,
                finished_at: Timestamp::now(),
                compression: arguments.compression,
                uncompressed_bytes: (!arguments.compression.is_none()).then_some(uncompressed),
                bytes,
                sha256,
                tables: contents.tables,
                objects: contents.objects,
                warnings,
            })
        }
        // Half a dump is of no use and takes the space that the next attempt needs.
        Err(error) => Err(match upload.abandon() {
            Ok(()) => error,
            Err(more) => format!("{error} (and {more})"),
        }),
    }
}

/// What mysqldump wrote.
struct Dumped {
    uncompressed: u64,
    /// What of it was stored.
    bytes: u64,
    sha256: String,
    contents: Contents,
    warnings: Vec<String>,
}

fn run_program(arguments: &Arguments, option_file: &Path, upload: &mut dyn Upload) -> Result<Dumped, String> {
    let mut program = Program::mysqldump(&arguments.program, option_file, &arguments.database, NO_PROGRAM)?;
    let mut stored = compression::Writer::new(upload, arguments.compression)?;
    let mut uncompressed = 0;
    let mut reader = Reader::default();
    let mut teller = Teller::new();
    let copied = match program.child.stdout.take() {
        Some(mut stdout) => storage::pieces(&mut stdout, |piece| {
            stored.write(piece)?;
            uncompressed += piece.len() as u64;
            reader.push(piece);
            teller.tell(|| {
                let (tables, rows) = reader.so_far();
                (uncompressed, tables, rows)
            });
            Ok(())
        })
        .map_err(|interrupted| interrupted.text("mysqldump's output")),
        None => Err("mysqldump has no output".to_owned()),
    };
    if copied.is_err() {
        program.kill();
    }
    let ended = program.finish();
    copied?;
    let warnings = ended?;
    let contents = reader.finish()?;
    let (bytes, sha256) = stored.finish()?;
    Ok(Dumped { uncompressed, bytes, sha256, contents, warnings })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::super::row_counts::RowCounts;
    use super::super::stand_ins::Folder;
    use super::*;

    /// A folder, and what the Job is told in it, with a script that stands in for mysqldump.
    fn world(name: &str, script: &str) -> (Folder, Arguments) {
        let folder = Folder::new(&format!("dump-{name}"));
        let arguments = folder.dump(folder.program("mysqldump", script));
        (folder, arguments)
    }

    fn files(folder: &Folder) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder.join("backup"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    const GOOD: &str =
        "printf 'CREATE TABLE `t` (\\n);\\nINSERT INTO `t` VALUES (1),(2);\\n-- Dump completed on today\\n'";

    #[test]
    fn a_good_dump_is_named_summed_and_described() {
        let (folder, arguments) = world("good", &format!("echo 'mysqldump: [Warning] careful' >&2; {GOOD}"));
        run(&arguments).unwrap();
        assert_eq!(files(&folder), ["uid-1.manifest.json", "uid-1.sql"]);
        let dump = fs::read(folder.join("backup").join("uid-1.sql")).unwrap();
        let Outcome::Made(summary) = folder.outcome() else { panic!("{:?}", folder.outcome()) };
        assert_eq!((summary.rows, summary.bytes), (RowCounts::Here(vec![2]), dump.len() as u64));
        assert_eq!(summary.sha256, hexadecimal(&Sha256::digest(&dump)));
        let text = fs::read(folder.join("backup").join("uid-1.manifest.json")).unwrap();
        assert_eq!(summary.manifest, hexadecimal(&Sha256::digest(&text)));
        let manifest: Manifest = serde_json::from_slice(&text).unwrap();
        assert_eq!(manifest.warnings, ["mysqldump: [Warning] careful"]);
        assert_eq!((manifest.migration.as_str(), manifest.tables["t"].rows), ("uid", 2));
        assert!(!arguments.server.private.join("mysqldump.cnf").exists(), "the password is gone");
    }

    #[test]
    fn a_compressed_dump_is_named_and_summed_as_it_is_stored_and_read_before() {
        let (folder, arguments) = world("compressed", GOOD);
        run(&Arguments { compression: Compression::Zstd, ..arguments }).unwrap();
        assert_eq!(files(&folder), ["uid-1.manifest.json", "uid-1.sql.zst"]);
        let stored = fs::read(folder.join("backup/uid-1.sql.zst")).unwrap();
        let manifest = fs::read(folder.join("backup/uid-1.manifest.json")).unwrap();
        let manifest: Manifest = serde_json::from_slice(&manifest).unwrap();
        assert_eq!((manifest.bytes, &manifest.sha256), (stored.len() as u64, &hexadecimal(&Sha256::digest(&stored))));
        let dump = zstd::decode_all(stored.as_slice()).unwrap();
        assert_eq!((manifest.uncompressed_bytes, manifest.tables["t"].rows), (Some(dump.len() as u64), 2));
        assert!(dump.ends_with(b"-- Dump completed on today\n"));
    }

    #[test]
    fn a_backup_of_thousands_of_tables_is_made_and_told_of() {
        let tables = "for table in $(seq 3000); do printf 'CREATE TABLE `t%s` (\\n);\\nINSERT INTO `t%s` VALUES (1),(2);\\n' \
                      $table $table; done; printf -- '-- Dump completed on today\\n'";
        let (folder, arguments) = world("many", tables);
        run(&arguments).unwrap();
        let Outcome::Made(summary) = folder.outcome() else { panic!("{:?}", folder.outcome()) };
        assert_eq!((summary.rows.tables(), summary.rows.total()), (3000, 6000));
        assert!(matches!(summary.rows, RowCounts::InTheLog(_)), "{:?}", summary.rows);
    }

    #[test]
    fn the_password_is_in_the_option_file_and_not_in_the_arguments() {
        let (folder, arguments) =
            world("password", &format!("echo \"$@\" > \"$0.args\"; cp \"${{1#*=}}\" \"$0.cnf\"; {GOOD}"));
        run(&arguments).unwrap();
        let arguments = fs::read_to_string(folder.join("mysqldump.args")).unwrap();
        assert!(arguments.starts_with("--defaults-file=") && !arguments.contains("correct horse"), "{arguments}");
        assert!(fs::read_to_string(folder.join("mysqldump.cnf")).unwrap().contains("correct horse"));
    }

    #[test]
    fn an_error_line_fails_the_backup_even_when_the_exit_code_is_zero() {
        let (folder, arguments) =
            world("stderr", &format!("echo \"mysqldump: Couldn't execute 'SHOW EVENTS'\" >&2; {GOOD}"));
        assert!(run(&arguments).unwrap_err().contains("SHOW EVENTS"));
        assert!(matches!(folder.outcome(), Outcome::Failed(message) if message.contains("SHOW EVENTS")));
        assert_eq!(files(&folder), Vec::<String>::new(), "half a dump does not stay");
    }

    #[test]
    fn an_exit_code_fails_the_backup() {
        let (_folder, arguments) = world("exit", &format!("{GOOD}; echo 'mysqldump: Got error: 1045' >&2; exit 2"));
        let message = run(&arguments).unwrap_err();
        assert!(message.contains("exit status: 2") && message.contains("1045"), "{message}");
    }

    #[test]
    fn a_dump_without_its_trailer_is_no_backup() {
        let (_folder, arguments) = world("trailer", "printf 'CREATE TABLE `t` (\\n);\\n'");
        assert!(run(&arguments).unwrap_err().contains("Dump completed"));
    }

    #[test]
    fn an_image_without_the_tool_is_named_as_such() {
        let (_folder, mut arguments) = world("tool", "");
        arguments.program = PathBuf::from("/nowhere/mysqldump");
        assert!(run(&arguments).unwrap_err().contains("spec.backup.job.image"));
    }
}
