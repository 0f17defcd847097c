//! A Git repository that Argo CD reads from the Git server beside it, and a clone of it in which a test commits.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A clone, which goes with this; the repository itself goes with the Git server.
pub(crate) struct Repository {
    clone: PathBuf,
    /// By which Argo CD reads it.
    pub(crate) url: String,
}

impl Drop for Repository {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.clone);
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: these tests need Argo CD and its Git server. `make test-gitops` starts both")
    })
}

/// The address of the Git server.
pub(crate) fn server() -> String {
    variable("HOLDFAST_TEST_GIT_URL")
}

impl Repository {
    /// A new one at that path of the server, with the files of a folder, not yet committed.
    pub(crate) fn new(path: &str, files: &Path) -> Self {
        let bare = Path::new(&variable("HOLDFAST_TEST_GIT_FOLDER")).join(path);
        let clone = Path::new(env!("CARGO_TARGET_TMPDIR")).join(path.replace('/', "-"));
        let _ = fs::remove_dir_all(&clone);
        let copied = Command::new("cp").arg("-r").args([files, &clone]).status().unwrap();
        assert!(copied.success(), "{} was not copied", files.display());
        let repository = Self { clone, url: format!("{}/{path}", server()) };
        repository.git(&["init", "--quiet", "--bare", "--initial-branch", "main", bare.to_str().unwrap()]);
        repository.git(&["init", "--quiet", "--initial-branch", "main"]);
        repository.git(&["remote", "add", "origin", bare.to_str().unwrap()]);
        repository
    }

    /// Runs git in the clone, whatever the machine's own settings are.
    fn git(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=developer", "-c", "user.email=developer@example.com"]).args(arguments);
        command.current_dir(&self.clone).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
        let output = command.output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Writes a file.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.clone.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Replaces a text that is in a file.
    pub(crate) fn edit(&self, path: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.clone.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(text.contains(from), "{path} does not have {from:?}");
        self.write(path, &text.replace(from, to));
    }

    /// Removes a file.
    pub(crate) fn remove(&self, path: &str) {
        fs::remove_file(self.clone.join(path)).unwrap();
    }

    /// Where a file lies, for programs that write it.
    pub(crate) fn path(&self, path: &str) -> String {
        self.clone.join(path).to_str().unwrap().to_owned()
    }

    /// Commits what was changed; the revision.
    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
        self.push()
    }

    /// Takes the last commit back by another one; the revision.
    pub(crate) fn revert(&self) -> String {
        self.git(&["revert", "--no-edit", "HEAD"]);
        self.push()
    }

    fn push(&self) -> String {
        self.git(&["push", "--quiet", "origin", "main"]);
        self.git(&["rev-parse", "HEAD"])
    }
}
