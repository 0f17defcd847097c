//! kubectl and helm as commands, with their errors kept.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::Outcome;

/// Marks the namespaces that were made here. No other is ever deleted.
const MADE_HERE: &str = "app.kubernetes.io/managed-by=holdfast-sample";

/// Runs a program to its end and returns its standard output.
///
/// # Errors
/// The command, its exit status and what it wrote to standard error.
pub fn run(program: &str, arguments: &[&str], input: Option<&str>) -> Outcome<String> {
    let told = || format!("{program} {}", arguments.join(" "));
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", told()))?;
    if let (Some(text), Some(mut stdin)) = (input, child.stdin.take()) {
        stdin.write_all(text.as_bytes()).map_err(|error| format!("{}: {error}", told()))?;
    }
    let output = child.wait_with_output().map_err(|error| format!("{}: {error}", told()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{}: {}: {}", told(), output.status, String::from_utf8_lossy(&output.stderr).trim()))
}

/// kubectl in one namespace.
#[derive(Debug, Clone)]
pub struct Kubectl {
    /// The namespace of every command.
    pub namespace: String,
}

impl Kubectl {
    pub fn new(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned() }
    }

    /// Runs kubectl with these arguments.
    pub fn run(&self, arguments: &[&str]) -> Outcome<String> {
        self.run_with_input(arguments, None)
    }

    /// Runs kubectl with something to read.
    pub fn run_with_input(&self, arguments: &[&str], input: Option<&str>) -> Outcome<String> {
        let mut all = vec!["--namespace", self.namespace.as_str()];
        all.extend_from_slice(arguments);
        run("kubectl", &all, input)
    }

    /// Applies a manifest.
    pub fn apply(&self, manifest: &str) -> Outcome<String> {
        self.run_with_input(&["apply", "--filename", "-"], Some(manifest))
    }

    /// Reads one object; `None` when it does not exist.
    pub fn get(&self, kind: &str, name: &str) -> Outcome<Option<Value>> {
        let text = self.run(&["get", kind, name, "--ignore-not-found", "--output", "json"])?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        serde_json::from_str(&text).map(Some).map_err(|error| format!("reading {kind}/{name}: {error}"))
    }

    /// Makes the namespace, if it is not there.
    pub fn create_namespace(&self) -> Outcome<()> {
        if self.namespace_is_there(&[])? {
            return self.check_namespace();
        }
        run("kubectl", &["create", "namespace", &self.namespace], None)?;
        run("kubectl", &["label", "namespace", &self.namespace, MADE_HERE], None)?;
        Ok(())
    }

    /// Deletes the namespace with everything in it and waits until it is gone.
    ///
    /// # Errors
    /// When it was not made here: it is left alone.
    pub fn delete_namespace(&self) -> Outcome<()> {
        if !self.namespace_is_there(&[])? {
            return Ok(());
        }
        self.check_namespace()?;
        run("kubectl", &["delete", "namespace", &self.namespace, "--wait", "--timeout=180s"], None)?;
        Ok(())
    }

    fn check_namespace(&self) -> Outcome<()> {
        if self.namespace_is_there(&["--selector", MADE_HERE])? {
            return Ok(());
        }
        Err(format!(
            "namespace {} exists and lacks the label {MADE_HERE}, so it is somebody else's and is left alone: choose another name",
            self.namespace
        ))
    }

    fn namespace_is_there(&self, more: &[&str]) -> Outcome<bool> {
        let field = format!("metadata.name={}", self.namespace);
        let mut arguments = vec!["get", "namespace", "--field-selector", &field, "--output", "name"];
        arguments.extend_from_slice(more);
        Ok(!run("kubectl", &arguments, None)?.trim().is_empty())
    }
}
