//! MySQL's own programs, as the Jobs run them: with an option file, and with everything that they write to standard error kept, for
//! an exit code alone proves little.

use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

/// More error output than this is counted, not kept.
const KEPT_LINES: usize = 20;

/// A program that runs.
pub(super) struct Program {
    name: &'static str,
    pub(super) child: Child,
    errors: Option<JoinHandle<ErrorOutput>>,
}

impl Program {
    /// Starts one with this option file. `hint` says what may be wrong where it does not start.
    pub(super) fn start(
        name: &'static str,
        path: &Path,
        option_file: &Path,
        arguments: &[&str],
        (stdin, stdout): (Stdio, Stdio),
        hint: &str,
    ) -> Result<Self, String> {
        let mut child = Command::new(path)
            // Must come first, or it is refused.
            .arg(format!("--defaults-file={}", option_file.display()))
            .args(arguments)
            .stdin(stdin)
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("starting {}: {error}: {hint}", path.display()))?;
        let errors = child.stderr.take().map(|stderr| std::thread::spawn(move || read_errors(stderr)));
        Ok(Self { name, child, errors })
    }

    /// mysqldump of a schema. The same options always, so that two dumps can be compared.
    pub(super) fn mysqldump(path: &Path, option_file: &Path, schema: &str, hint: &str) -> Result<Self, String> {
        let arguments = [
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
            // The name ends the options, however it begins.
            "--",
            schema,
        ];
        Self::start("mysqldump", path, option_file, &arguments, (Stdio::null(), Stdio::piped()), hint)
    }

    /// Ends it. It may have ended by itself already; then there is nothing to kill.
    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
    }

    /// Waits for its end, which must be a success without a line of error output; its warnings.
    pub(super) fn finish(mut self) -> Result<Vec<String>, String> {
        let name = self.name;
        let status = self.child.wait().map_err(|error| format!("waiting for {name}: {error}"))?;
        let errors = match self.errors.take().map(JoinHandle::join) {
            Some(Ok(errors)) => errors,
            _ => return Err(format!("{name}'s error output could not be read")),
        };
        if !status.success() {
            return Err(format!("{name} ended with {status}: {}", errors.text()));
        }
        if !errors.lines.is_empty() {
            return Err(format!("{name} reported errors although it ended with success: {}", errors.text()));
        }
        Ok(errors.warnings)
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
