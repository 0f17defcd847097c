//! Runs mysqldump and decides whether what came out is a backup: exit code, error output, trailer, checksum, rows, and every byte
//! on disk before the file gets its name.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::manifest::{self, Manifest, Outcome, hexadecimal};
use super::option_file::{self, Login};
use super::rows::RowCounter;

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
    /// File whose content Kubernetes keeps as the termination message.
    #[arg(long, default_value = "/dev/termination-log")]
    pub termination_message: PathBuf,
    /// The program to run.
    #[arg(long, default_value = "mysqldump")]
    pub program: PathBuf,
}

const PIECE: usize = 256 * 1024;
/// More error output than this is counted, not kept.
const KEPT_LINES: usize = 20;

/// Makes the backup, leaves the outcome in the termination message and says whether it succeeded.
///
/// # Errors
/// When the backup failed, with the reason; it is in the termination message as well.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    let made = make(arguments).and_then(|manifest| {
        let text = manifest::termination_message(&Outcome::Made(manifest.summary()))?;
        Ok((manifest, text))
    });
    let (result, text) = match made {
        Ok((manifest, text)) => {
            println!(
                "backup {}: {} bytes, {} tables, {} rows, SHA-256 {}",
                manifest.file,
                manifest.bytes,
                manifest.tables.len(),
                manifest.tables.values().sum::<u64>(),
                manifest.sha256
            );
            (Ok(()), text)
        }
        Err(message) => {
            let text = manifest::termination_message(&Outcome::Failed(message.clone()))?;
            (Err(message), text)
        }
    };
    fs::write(&arguments.termination_message, text).map_err(|error| {
        format!("writing the termination message {}: {error}", arguments.termination_message.display())
    })?;
    result
}

fn make(arguments: &Arguments) -> Result<Manifest, String> {
    let option_file = arguments.private.join("mysqldump.cnf");
    write_option_file(arguments, &option_file)?;
    let file = format!("{}.sql", arguments.name);
    let final_path = arguments.destination.join(&file);
    let partial = arguments.destination.join(format!("{file}.partial"));
    let dumped = dump(arguments, &option_file, &partial, file);
    let removed = fs::remove_file(&option_file).map_err(|error| format!("removing the option file: {error}"));
    let published = dumped.and_then(|manifest| {
        removed?;
        publish(arguments, &manifest, &partial, &final_path)?;
        Ok(manifest)
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

/// Writes the manifest and gives the dump its name; each on disk before the next.
fn publish(arguments: &Arguments, manifest: &Manifest, partial: &Path, final_path: &Path) -> Result<(), String> {
    let write = || -> io::Result<()> {
        let path = arguments.destination.join(format!("{}.manifest.json", arguments.name));
        let mut file = new_file(&path)?;
        file.write_all(&serde_json::to_vec_pretty(manifest)?)?;
        file.sync_all()?;
        fs::rename(partial, final_path)?;
        File::open(&arguments.destination)?.sync_all()
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
    // A container that is started again finds the file of its predecessor.
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(format!("replacing the option file: {error}")),
    }
    option_file::write(path, &login).map_err(|error| format!("writing mysqldump's option file: {error}"))
}

fn dump(arguments: &Arguments, option_file: &Path, partial: &Path, file: String) -> Result<Manifest, String> {
    let taken_at = Timestamp::now();
    let mut output = new_file(partial).map_err(|error| explain_write(&error, partial, 0))?;
    let mut child = spawn(arguments, option_file)?;
    let errors = child.stderr.take().map(|stderr| std::thread::spawn(move || read_errors(stderr)));
    let copied = match child.stdout.take() {
        Some(stdout) => copy(stdout, &mut output, partial),
        None => Err("mysqldump has no output".to_owned()),
    };
    if copied.is_err() {
        // It may have ended by itself already; then there is nothing to kill.
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| format!("waiting for mysqldump: {error}"))?;
    let errors = match errors.map(std::thread::JoinHandle::join) {
        Some(Ok(errors)) => errors,
        _ => return Err("mysqldump's error output could not be read".to_owned()),
    };
    let (bytes, sha256, counter) = copied?;
    if !status.success() {
        return Err(format!("mysqldump ended with {status}: {}", errors.text()));
    }
    if !errors.lines.is_empty() {
        return Err(format!("mysqldump reported errors although it ended with success: {}", errors.text()));
    }
    let tables = counter.finish()?;
    output.sync_all().map_err(|error| explain_write(&error, partial, bytes))?;
    Ok(Manifest {
        format: 1,
        file,
        database: arguments.database.clone(),
        taken_at,
        finished_at: Timestamp::now(),
        bytes,
        sha256,
        tables,
        warnings: errors.warnings,
    })
}

fn spawn(arguments: &Arguments, option_file: &Path) -> Result<Child, String> {
    Command::new(&arguments.program)
        // Must come first, or it is refused.
        .arg(format!("--defaults-file={}", option_file.display()))
        .args([
            "--single-transaction",
            "--quick",
            "--routines",
            "--triggers",
            "--events",
            "--hex-blob",
            "--no-tablespaces",
            "--default-character-set=utf8mb4",
            // Not known to every client that carries the name mysqldump, and harmless where it is unknown.
            "--loose-set-gtid-purged=OFF",
            "--loose-column-statistics=0",
        ])
        // The name ends the options, however it begins.
        .arg("--")
        .arg(&arguments.database)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| {
            format!(
                "starting {}: {error}: does the image of spec.backup.job.image hold mysqldump?",
                arguments.program.display()
            )
        })
}

fn copy(mut from: impl Read, to: &mut File, path: &Path) -> Result<(u64, String, RowCounter), String> {
    let mut hash = Sha256::new();
    let mut counter = RowCounter::default();
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
        counter.push(part);
        bytes += part.len() as u64;
    }
    Ok((bytes, hexadecimal(&hash.finalize()), counter))
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

#[derive(Debug, Default)]
struct ErrorOutput {
    lines: Vec<String>,
    more: usize,
    warnings: Vec<String>,
}

impl ErrorOutput {
    fn text(&self) -> String {
        match (self.lines.is_empty(), self.more) {
            (true, _) => "no error output".to_owned(),
            (false, 0) => self.lines.join("; "),
            (false, more) => format!("{}; and {more} lines more", self.lines.join("; ")),
        }
    }
}

/// Sorts the error output: everything that does not call itself a warning is an error.
fn read_errors(stderr: impl Read) -> ErrorOutput {
    let mut output = ErrorOutput::default();
    for line in BufReader::new(stderr).split(b'\n') {
        let line = match line {
            Ok(line) => String::from_utf8_lossy(&line).trim().to_owned(),
            Err(error) => format!("reading the error output: {error}"),
        };
        if line.is_empty() {
            continue;
        }
        eprintln!("{line}");
        let lower = line.to_lowercase();
        let is_warning = lower.contains("[warning]") || lower.starts_with("warning:") || lower.contains(": warning:");
        match (is_warning, output.lines.len()) {
            (true, _) if output.warnings.len() < KEPT_LINES => output.warnings.push(line),
            (true, _) => {}
            (false, kept) if kept < KEPT_LINES => output.lines.push(line),
            (false, _) => output.more += 1,
        }
    }
    output
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
        let manifest: Manifest =
            serde_json::from_slice(&fs::read(world.arguments.destination.join("uid-1.manifest.json")).unwrap())
                .unwrap();
        assert_eq!(manifest.warnings, ["mysqldump: [Warning] careful"]);
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
