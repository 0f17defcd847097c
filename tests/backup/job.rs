//! A Job's container: its arguments, its mounted files, and what it leaves.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use holdfast::backup::{Outcome, Summary};

use crate::s3::{OWNER, S3Server, files};

pub(crate) const BUCKET: &str = "dumps";
pub(crate) const PREFIX: &str = "shop/production";
pub(crate) const MIGRATION: &str = "6f0c2f6e-0000-4000-8000-00000000abcd";
const LIMIT: Duration = Duration::from_secs(60);

/// A small dump.
pub(crate) const DUMP: &str = "-- Server version\t9.7.4\nCREATE TABLE `users` (\n  `id` int\n);\nINSERT INTO `users` VALUES (7),(8);\n\
    -- Dump completed on today\n";

/// A bucket, and the files of the containers that use it.
pub(crate) struct Place {
    pub(crate) server: S3Server,
    pub(crate) bucket: PathBuf,
    pub(crate) folder: PathBuf,
    pub(crate) account: (&'static str, &'static str),
    /// How dumps are compressed.
    pub(crate) compression: &'static str,
    /// Arguments that take the place of those with the same name.
    pub(crate) instead: Vec<String>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A shell script that stands in for a program.
pub(crate) fn program(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Waits for something that a process does.
pub(crate) fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < until, "waited {} s for {what}", LIMIT.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        Self::on(name, S3Server::start("127.0.0.1", name, false))
    }

    pub(crate) fn encrypted(name: &str) -> Self {
        Self::on(name, S3Server::start("127.0.0.1", name, true))
    }

    fn on(name: &str, server: S3Server) -> Self {
        let folder = std::env::temp_dir().join(format!("holdfast-backup-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        for each in ["credentials", "bucket-credentials", "private", "scratch"] {
            fs::create_dir_all(folder.join(each)).unwrap();
        }
        fs::write(folder.join("credentials/username"), "migrator").unwrap();
        fs::write(folder.join("credentials/password"), "correct horse").unwrap();
        let bucket = server.bucket(BUCKET);
        let place = Self { server, bucket, folder, account: OWNER, compression: "none", instead: Vec::new() };
        fs::write(place.folder.join("dump.sql"), DUMP).unwrap();
        place.mysqldump(&format!("cat '{}'", place.path("dump.sql")));
        place
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// What stands in for mysqldump.
    pub(crate) fn mysqldump(&self, script: &str) {
        program(&self.folder.join("mysqldump"), script);
    }

    /// An object's file.
    pub(crate) fn object(&self, name: &str) -> PathBuf {
        self.bucket.join(PREFIX).join(name)
    }

    pub(crate) fn dump(&self, attempt: i32) -> PathBuf {
        let ending = if self.compression == "zstd" { ".zst" } else { "" };
        self.object(&format!("{MIGRATION}-{attempt}.sql{ending}"))
    }

    /// The objects, and the parts of uploads that are not finished.
    pub(crate) fn stored(&self) -> (Vec<String>, Vec<String>) {
        let (parts, objects) = files(&self.bucket).into_iter().partition(|file| file.starts_with(".sgwtmp/multipart/"));
        let objects: Vec<String> = objects;
        (objects.into_iter().filter(|file| !file.starts_with(".sgwtmp")).collect(), parts)
    }

    fn command(&self, subcommand: &str, more: &[String]) -> Command {
        fs::write(self.folder.join("bucket-credentials/accessKeyId"), format!("{}\n", self.account.0)).unwrap();
        fs::write(self.folder.join("bucket-credentials/secretAccessKey"), format!("{}\n", self.account.1)).unwrap();
        let mut arguments = vec![
            format!("--bucket={BUCKET}"),
            format!("--prefix={PREFIX}"),
            "--region=us-east-1".to_owned(),
            format!("--endpoint={}", self.server.endpoint()),
            format!("--bucket-credentials={}", self.path("bucket-credentials")),
            format!("--migration={MIGRATION}"),
            format!("--termination-message={}", self.path("message")),
            "--patience=2".to_owned(),
        ];
        arguments.extend(more.iter().cloned());
        for given in &self.instead {
            let name = given.split('=').next().unwrap();
            arguments.retain(|argument| argument.split('=').next() != Some(name));
            arguments.push(given.clone());
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        command.arg(subcommand).args(arguments).env_clear().env("PATH", "/usr/bin:/bin");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The backup Job's program.
    pub(crate) fn backup(&self, attempt: i32) -> Command {
        let more = [
            "--host=mysql".to_owned(),
            "--port=3306".to_owned(),
            "--database=shop".to_owned(),
            format!("--credentials={}", self.path("credentials")),
            "--ssl-mode=REQUIRED".to_owned(),
            format!("--private={}", self.path("private")),
            format!("--name={MIGRATION}-{attempt}"),
            format!("--program={}", self.path("mysqldump")),
            format!("--compression={}", self.compression),
            "--read-back".to_owned(),
        ];
        self.command("backup", &more)
    }

    /// That of the Job that restores; what is dumped after the restore is what was restored.
    pub(crate) fn verify(&self, attempt: i32, manifest: &str) -> Outcome {
        let restored = self.path("restored");
        program(
            &self.folder.join("mysql"),
            &format!(
                "case \"$*\" in *binary-mode*) cat >'{restored}';; *) input=$(cat); case \"$input\" in *VERSION*) echo 9.7.5;; esac;; esac"
            ),
        );
        program(&self.folder.join("mysqldump-again"), &format!("cat '{restored}'"));
        program(&self.folder.join("mysqld"), "case \"$*\" in *--initialize-insecure*) exit 0;; esac\nexec sleep 600");
        let socket = self.folder.join("scratch/mysqld.sock");
        let _ = fs::remove_file(&socket);
        let _socket = UnixListener::bind(socket).unwrap();
        let more = [
            format!("--name={MIGRATION}-{attempt}"),
            format!("--manifest={manifest}"),
            format!("--folder={}", self.path("scratch")),
            format!("--private={}", self.path("private")),
            format!("--mysqld={}", self.path("mysqld")),
            format!("--mysql={}", self.path("mysql")),
            format!("--mysqldump={}", self.path("mysqldump-again")),
        ];
        self.run(self.command("verify-backup", &more))
    }

    /// That of the Job that removes.
    pub(crate) fn remove(&self, attempts: i32) -> Outcome {
        self.run(self.command("remove-backups", &[format!("--attempts={attempts}")]))
    }

    /// Runs a container to its end.
    pub(crate) fn run(&self, mut command: Command) -> Outcome {
        self.ended(&command.output().unwrap())
    }

    /// What it left. No secret is ever told.
    pub(crate) fn ended(&self, output: &Output) -> Outcome {
        let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let message = fs::read_to_string(self.path("message")).unwrap_or_else(|error| panic!("{error}: {told}"));
        for secret in [self.account.1, "correct horse"] {
            assert!(!told.contains(secret) && !message.contains(secret), "{told} {message}");
        }
        let outcome = serde_json::from_str(&message).unwrap();
        let good = !matches!(outcome, Outcome::Failed(_));
        assert_eq!(output.status.success(), good, "{told} {message}");
        outcome
    }

    /// A backup that is made.
    pub(crate) fn made(&self, attempt: i32) -> Summary {
        match self.run(self.backup(attempt)) {
            Outcome::Made(summary) => summary,
            other => panic!("{other:?}"),
        }
    }

    /// A failure that says all of this.
    pub(crate) fn fails(&self, outcome: Outcome, texts: &[&str]) -> String {
        let Outcome::Failed(message) = outcome else { panic!("{outcome:?}") };
        for text in texts {
            assert!(message.contains(text), "{text:?} is not in: {message}");
        }
        message
    }
}
