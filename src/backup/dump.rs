//! Runs mysqldump and decides whether what came out is a backup: exit code, error output, trailer, checksum, rows, and every byte
//! on disk before the file gets its name.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::manifest::{self, FORMAT, Manifest, Outcome, hexadecimal};
use super::option_file::{self, Login};
use super::programs::Program;
use super::reader::Reader;

/// Arguments of `holdfast backup`.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Host name of the server.
    #[arg(long)]
    pub host: String,
    /// TCP port of the server.
    #[arg(long)]
    pub port: u16,
    /// The MySQL schema to dump.
    #[arg(long)]
    pub database: String,
    /// Folder with the files `username` and `password`.
    #[arg(long)]
    pub credentials: PathBuf,
    /// `ssl-mode` of the connection: DISABLED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY.
    #[arg(long)]
    pub ssl_mode: String,
    /// File of the certificate authority in PEM.
    #[arg(long)]
    pub certificate_authority: Option<PathBuf>,
    /// Folder in memory for the option file.
    #[arg(long)]
    pub private: PathBuf,
    /// Folder that takes the dump.
    #[arg(long)]
    pub destination: PathBuf,
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

const PIECE: usize = 256 * 1024;
/// What to look at when the program is not there.
const NO_PROGRAM: &str = "does the image of spec.backup.job.image hold mysqldump?";

/// Makes the backup, leaves the outcome in the termination message and says whether it succeeded.
///
/// # Errors
/// When the backup failed, with the reason; it is in the termination message as well.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    let made = make(arguments).map(|(manifest, digest)| {
        println!(
            "backup {}: {} bytes, {} tables, {} rows, SHA-256 {}",
            manifest.file,
            manifest.bytes,
            manifest.tables.len(),
            manifest.tables.values().map(|table| table.rows).sum::<u64>(),
            manifest.sha256
        );
        Outcome::Made(manifest.summary(digest))
    });
    manifest::leave(&arguments.termination_message, made)
}

/// The manifest, and the SHA-256 of its file.
fn make(arguments: &Arguments) -> Result<(Manifest, String), String> {
    let option_file = arguments.private.join("mysqldump.cnf");
    write_option_file(arguments, &option_file)?;
    let file = format!("{}.sql", arguments.name);
    let final_path = arguments.destination.join(&file);
    let partial = arguments.destination.join(format!("{file}.partial"));
    let dumped = dump(arguments, &option_file, &partial, file);
    let removed = fs::remove_file(&option_file).map_err(|error| format!("removing the option file: {error}"));
    let published = dumped.and_then(|manifest| {
        removed?;
        let digest = publish(arguments, &manifest, &partial, &final_path)?;
        Ok((manifest, digest))
    });
    published.map_err(|message| {
        // Half a dump is of no use and takes the space that the next attempt needs.
        match fs::remove_file(&partial) {
            Ok(()) => message,
            Err(error) if error.kind() == io::ErrorKind::NotFound => message,
            Err(error) => {
                format!("{message} (and the unfinished file {} could not be removed: {error})", partial.display())
            }
        }
    })
}

/// Writes the manifest and gives the dump its name; each on disk before the next. The SHA-256 of the manifest's file.
fn publish(arguments: &Arguments, manifest: &Manifest, partial: &Path, final_path: &Path) -> Result<String, String> {
    let write = || -> io::Result<String> {
        let path = arguments.destination.join(format!("{}.manifest.json", arguments.name));
        let text = serde_json::to_vec_pretty(manifest)?;
        let mut file = new_file(&path)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(partial, final_path)?;
        File::open(&arguments.destination)?.sync_all()?;
        Ok(hexadecimal(&Sha256::digest(&text)))
    };
    write().map_err(|error| explain_write(&error, final_path, manifest.bytes))
}

fn write_option_file(arguments: &Arguments, path: &Path) -> Result<(), String> {
    let read = |name: &str| {
        let path = arguments.credentials.join(name);
        fs::read_to_string(&path)
            .map_err(|error| format!("reading the key {name:?} of the credentials Secret: {error}"))
    };
    let username = read("username")?;
    let password = read("password")?;
    let authority = arguments.certificate_authority.as_ref().map(|path| path.to_string_lossy().into_owned());
    let login = Login {
        host: &arguments.host,
        port: arguments.port,
        username: &username,
        password: &password,
        ssl_mode: &arguments.ssl_mode,
        certificate_authority: authority.as_deref(),
    };
    option_file::write(path, &login).map_err(|error| format!("writing mysqldump's option file: {error}"))
}

fn dump(arguments: &Arguments, option_file: &Path, partial: &Path, file: String) -> Result<Manifest, String> {
    let taken_at = Timestamp::now();
    let mut output = new_file(partial).map_err(|error| explain_write(&error, partial, 0))?;
    let mut program = Program::mysqldump(&arguments.program, option_file, &arguments.database, NO_PROGRAM)?;
    let copied = match program.child.stdout.take() {
        Some(stdout) => copy(stdout, &mut output, partial),
        None => Err("mysqldump has no output".to_owned()),
    };
    if copied.is_err() {
        program.kill();
    }
    let ended = program.finish();
    let (bytes, sha256, reader) = copied?;
    let warnings = ended?;
    let contents = reader.finish()?;
    output.sync_all().map_err(|error| explain_write(&error, partial, bytes))?;
    Ok(Manifest {
        format: FORMAT,
        migration: arguments.migration.clone(),
        file,
        database: arguments.database.clone(),
        server_version: contents.server_version,
        tool: contents.tool,
        taken_at,
        finished_at: Timestamp::now(),
        bytes,
        sha256,
        tables: contents.tables,
        objects: contents.objects,
        warnings,
    })
}

fn copy(mut from: impl Read, to: &mut File, path: &Path) -> Result<(u64, String, Reader), String> {
    let mut hash = Sha256::new();
    let mut reader = Reader::default();
    let mut bytes: u64 = 0;
    let mut piece = vec![0; PIECE];
    loop {
        let length = match from.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(format!("reading mysqldump's output: {error}")),
        };
        let Some(part) = piece.get(..length) else {
            return Err("reading mysqldump's output: more than asked for".to_owned());
        };
        to.write_all(part).map_err(|error| explain_write(&error, path, bytes))?;
        hash.update(part);
        reader.push(part);
        bytes += part.len() as u64;
    }
    Ok((bytes, hexadecimal(&hash.finalize()), reader))
}

fn new_file(path: &Path) -> io::Result<File> {
    fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn explain_write(error: &io::Error, path: &Path, bytes: u64) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => format!(
            "the backup volume is full: writing {} stopped after {bytes} bytes ({error}); give the PersistentVolumeClaim more space \
             or remove old dumps from it",
            path.display()
        ),
        io::ErrorKind::PermissionDenied => format!(
            "writing {}: {error}: the volume must be writable for group 65532, which fsGroup arranges on most kinds of volume",
            path.display()
        ),
        _ => format!("writing {}: {error}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct World {
        folder: PathBuf,
        arguments: Arguments,
    }

    impl Drop for World {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }

    /// A folder with credentials and a program that stands in for mysqldump.
    fn world(name: &str, script: &str) -> World {
        let folder = std::env::temp_dir().join(format!("holdfast-dump-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        for each in ["credentials", "private", "backup"] {
            fs::create_dir_all(folder.join(each)).unwrap();
        }
        fs::write(folder.join("credentials/username"), "migrator").unwrap();
        fs::write(folder.join("credentials/password"), "correct horse").unwrap();
        let program = folder.join("mysqldump");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let arguments = Arguments {
            host: "mysql".to_owned(),
            port: 3306,
            database: "shop".to_owned(),
            credentials: folder.join("credentials"),
            ssl_mode: "REQUIRED".to_owned(),
            certificate_authority: None,
            private: folder.join("private"),
            destination: folder.join("backup"),
            name: "uid-1".to_owned(),
            migration: "uid".to_owned(),
            termination_message: folder.join("message"),
            program,
        };
        World { folder, arguments }
    }

    impl World {
        fn outcome(&self) -> Outcome {
            serde_json::from_slice(&fs::read(&self.arguments.termination_message).unwrap()).unwrap()
        }

        fn files(&self) -> Vec<String> {
            let mut names: Vec<String> = fs::read_dir(&self.arguments.destination)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
                .collect();
            names.sort();
            names
        }
    }

    const GOOD: &str =
        "printf 'CREATE TABLE `t` (\\n);\\nINSERT INTO `t` VALUES (1),(2);\\n-- Dump completed on today\\n'";

    #[test]
    fn a_good_dump_is_named_summed_and_described() {
        let world = world("good", &format!("echo 'mysqldump: [Warning] careful' >&2; {GOOD}"));
        run(&world.arguments).unwrap();
        assert_eq!(world.files(), ["uid-1.manifest.json", "uid-1.sql"]);
        let dump = fs::read(world.arguments.destination.join("uid-1.sql")).unwrap();
        let Outcome::Made(summary) = world.outcome() else { panic!("{:?}", world.outcome()) };
        assert_eq!((summary.rows, summary.bytes), (vec![2], dump.len() as u64));
        assert_eq!(summary.sha256, hexadecimal(&Sha256::digest(&dump)));
        let text = fs::read(world.arguments.destination.join("uid-1.manifest.json")).unwrap();
        assert_eq!(summary.manifest, hexadecimal(&Sha256::digest(&text)));
        let manifest: Manifest = serde_json::from_slice(&text).unwrap();
        assert_eq!(manifest.warnings, ["mysqldump: [Warning] careful"]);
        assert_eq!((manifest.migration.as_str(), manifest.tables["t"].rows), ("uid", 2));
        assert!(!world.arguments.private.join("mysqldump.cnf").exists(), "the password is gone");
    }

    #[test]
    fn the_password_is_in_the_option_file_and_not_in_the_arguments() {
        let world = world("password", &format!("echo \"$@\" > \"$0.args\"; cp \"${{1#*=}}\" \"$0.cnf\"; {GOOD}"));
        run(&world.arguments).unwrap();
        let arguments = fs::read_to_string(world.folder.join("mysqldump.args")).unwrap();
        assert!(arguments.starts_with("--defaults-file=") && !arguments.contains("correct horse"), "{arguments}");
        assert!(fs::read_to_string(world.folder.join("mysqldump.cnf")).unwrap().contains("correct horse"));
    }

    #[test]
    fn an_error_line_fails_the_backup_even_when_the_exit_code_is_zero() {
        let world = world("stderr", &format!("echo \"mysqldump: Couldn't execute 'SHOW EVENTS'\" >&2; {GOOD}"));
        assert!(run(&world.arguments).unwrap_err().contains("SHOW EVENTS"));
        assert!(matches!(world.outcome(), Outcome::Failed(message) if message.contains("SHOW EVENTS")));
        assert_eq!(world.files(), Vec::<String>::new(), "half a dump does not stay");
    }

    #[test]
    fn an_exit_code_fails_the_backup() {
        let world = world("exit", &format!("{GOOD}; echo 'mysqldump: Got error: 1045' >&2; exit 2"));
        let message = run(&world.arguments).unwrap_err();
        assert!(message.contains("exit status: 2") && message.contains("1045"), "{message}");
    }

    #[test]
    fn a_dump_without_its_trailer_is_no_backup() {
        let world = world("trailer", "printf 'CREATE TABLE `t` (\\n);\\n'");
        assert!(run(&world.arguments).unwrap_err().contains("Dump completed"));
    }

    #[test]
    fn a_full_volume_is_named_as_such() {
        let error = explain_write(&io::Error::from(io::ErrorKind::StorageFull), Path::new("/backup/a.sql"), 12);
        assert!(error.contains("the backup volume is full") && error.contains("PersistentVolumeClaim"), "{error}");
    }

    #[test]
    fn an_image_without_the_tool_is_named_as_such() {
        let mut world = world("tool", "");
        world.arguments.program = PathBuf::from("/nowhere/mysqldump");
        assert!(run(&world.arguments).unwrap_err().contains("spec.backup.job.image"));
    }
}
