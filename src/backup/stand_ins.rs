//! What the tests of the Jobs' programs share: a folder with credentials and a place for a backup, and scripts in it that stand in for MySQL's
//! programs, for what a real one would not do when it is wanted.

#![allow(clippy::unwrap_used)]
use std::fs;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::compression::Compression;
use super::manifest::Outcome;
use super::{dump, login, made, storage};

/// The folder; it goes with its test.
pub(super) struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Folder {
    /// A new one for a test of this name.
    pub(super) fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("holdfast-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        for each in ["credentials", "private", "backup", "scratch"] {
            fs::create_dir_all(folder.join(each)).unwrap();
        }
        fs::write(folder.join("credentials/username"), "migrator").unwrap();
        fs::write(folder.join("credentials/password"), "correct horse").unwrap();
        Self(folder)
    }

    /// A shell script under this name.
    pub(super) fn program(&self, name: &str, script: &str) -> PathBuf {
        let path = self.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// A program under this name that prints a text, as mysqldump does.
    pub(super) fn printing(&self, name: &str, text: &str) -> PathBuf {
        let printed = self.join(format!("{name}.printed"));
        fs::write(&printed, text).unwrap();
        self.program(name, &format!("cat '{}'", printed.display()))
    }

    /// How a Job would log in.
    pub(super) fn server(&self) -> login::Arguments {
        login::Arguments {
            host: "mysql".to_owned(),
            port: 3306,
            credentials: self.join("credentials"),
            ssl_mode: "REQUIRED".to_owned(),
            certificate_authority: None,
            private: self.join("private"),
        }
    }

    /// What the backup Job is told, with this program as its mysqldump.
    pub(super) fn dump(&self, program: PathBuf) -> dump::Arguments {
        dump::Arguments {
            server: self.server(),
            database: "shop".to_owned(),
            destination: storage::Arguments::folder(self.join("backup")),
            compression: Compression::None,
            read_back: true,
            name: "uid-1".to_owned(),
            migration: "uid".to_owned(),
            termination_message: self.join("message"),
            program,
        }
    }

    /// A backup of this text, made as the backup Job makes it.
    pub(super) fn backup(&self, text: &str, compression: Compression) -> made::Arguments {
        let arguments = dump::Arguments { compression, ..self.dump(self.printing("dump", text)) };
        dump::run(&arguments).unwrap();
        let Outcome::Made(summary) = self.outcome() else { panic!("{:?}", self.outcome()) };
        made::Arguments {
            storage: storage::Arguments::folder(self.join("backup")),
            name: "uid-1".to_owned(),
            manifest: summary.manifest,
            migration: "uid".to_owned(),
        }
    }

    /// The termination message.
    pub(super) fn outcome(&self) -> Outcome {
        serde_json::from_slice(&fs::read(self.join("message")).unwrap()).unwrap()
    }
}
