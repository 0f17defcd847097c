//! What a test Job came to, from the results that it wrote: what the container beside a Job of the user's own runs. It waits until the tests
//! have ended, as Kubernetes tells such a container by SIGTERM, and leaves their counts where the operator reads them.

mod junit;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

use crate::api::status::TestResults;

/// Where a Job writes its results: one or more files NAME.xml in the form of JUnit.
pub const FOLDER: &str = "/var/run/holdfast/results";
/// A file that is longer is no summary of tests.
const MAX_FILE: u64 = 64 << 20;

/// Where what is.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Folder with the files.
    #[arg(long, default_value = FOLDER)]
    pub folder: PathBuf,
    /// File whose content Kubernetes keeps as the termination message.
    #[arg(long, default_value = "/dev/termination-log")]
    pub termination_message: PathBuf,
}

/// What is left for the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Left {
    /// The counts.
    TestResults(TestResults),
    /// Files are there that cannot be read.
    UnreadableTestResults(String),
}

/// Waits for SIGTERM, then reads the results. Without a file nothing is left.
///
/// # Errors
/// When the signal cannot be waited for, or nothing can be left.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    wait_for_sigterm().map_err(|error| format!("waiting for SIGTERM: {error}"))?;
    let left = match read(&arguments.folder) {
        Ok(None) => return Ok(()),
        Ok(Some(results)) => Left::TestResults(results),
        Err(message) => Left::UnreadableTestResults(message.chars().take(500).collect()),
    };
    let path = &arguments.termination_message;
    let text = serde_json::to_string(&left).map_err(|error| format!("writing the results: {error}"))?;
    fs::write(path, text).map_err(|error| format!("writing the termination message {}: {error}", path.display()))
}

fn wait_for_sigterm() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _inside = runtime.enter();
    let mut sigterm = signal(SignalKind::terminate())?;
    runtime.block_on(sigterm.recv());
    Ok(())
}

/// The results of all files together; `None` without any.
fn read(folder: &Path) -> Result<Option<TestResults>, String> {
    let explain = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let entries = fs::read_dir(folder).map_err(|error| explain(folder, &error))?;
    let paths: Result<Vec<PathBuf>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.map_err(|error| explain(folder, &error))?;
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "xml"));
    paths.sort();
    let mut all = None;
    for path in paths {
        let file = fs::File::open(&path).map_err(|error| explain(&path, &error))?;
        let mut text = String::new();
        file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(|error| explain(&path, &error))?;
        if text.len() as u64 > MAX_FILE {
            return Err(explain(&path, &format!("is longer than {MAX_FILE} bytes")));
        }
        junit::add(&text, all.get_or_insert_default()).map_err(|error| explain(&path, &error))?;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("holdfast-results-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn all_files_are_read_together_and_nothing_is_made_of_none() {
        let folder = folder("read");
        fs::write(folder.join("notes.txt"), "no results").unwrap();
        assert_eq!(read(&folder), Ok(None));
        for (name, text) in [
            ("a.xml", "<testsuite><testcase name='one'/></testsuite>"),
            ("b.xml", "<testsuite><testcase name='two'><failure/></testcase></testsuite>"),
        ] {
            fs::write(folder.join(name), text).unwrap();
        }
        let results = TestResults { tests: 2, failed: 1, skipped: 0, failures: vec!["two".to_owned()] };
        assert_eq!(read(&folder), Ok(Some(results.clone())));
        fs::write(folder.join("c.xml"), "<testsuite><testcase name='three'>").unwrap();
        let error = read(&folder).unwrap_err();
        assert!(error.contains("c.xml: "), "{error}");
        fs::remove_dir_all(folder).unwrap();

        let left = Left::TestResults(results);
        let text = serde_json::to_string(&left).unwrap();
        assert_eq!(text, r#"{"testResults":{"tests":2,"failed":1,"skipped":0,"failures":["two"]}}"#);
        assert_eq!(serde_json::from_str::<Left>(&text).unwrap(), left);
    }
}
