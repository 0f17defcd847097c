//! `lint`: what is wrong with manifests, found without a cluster. It asks what the API server would ask (the schema and the rules of the
//! custom resource definitions, unknown fields), and what the operator would answer (what this version does not do, gates, windows, names).

mod document;
mod finding;
mod lines;
mod rules;
mod structure;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::bars::counted;
use super::failure::Failure;
use super::terminal::{Style, print};

pub use document::{Report, documents, is_object_name, look};
pub use finding::Finding;

/// Arguments of `lint`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Manifests, `-` for standard input; documents of other kinds are passed over.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Checks manifests.
///
/// # Errors
/// When something is found, a file cannot be read, or nothing of Holdfast is in any of them.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let style = Style::of_standard_output();
    let (mut findings, mut objects) = (0_u64, 0_u64);
    for file in &arguments.files {
        let report = look(&read(file)?, Timestamp::now());
        let name = file.display().to_string();
        let mut text = String::new();
        for (line, subject, finding) in &report.findings {
            text.push_str(&told(&name, *line, subject, finding, style));
        }
        print(&text)?;
        findings += report.findings.len() as u64;
        objects += report.objects;
    }
    let files = counted(arguments.files.len() as u64, "file");
    match (findings, objects) {
        (0, 0) => Err(Failure::no(format!(
            "{files} hold no SchemaMigration and no MigrationApproval, so nothing was checked: name the manifests"
        ))),
        (0, _) => print(&format!("{} in {files}: nothing found\n", counted(objects, "object"))),
        _ => Err(Failure::no(format!("{} in {} of {files}", counted(findings, "finding"), counted(objects, "object")))),
    }
}

/// The text of a file, or of standard input for `-`.
pub(super) fn read(file: &Path) -> Result<String, Failure> {
    if file == Path::new("-") {
        let mut text = String::new();
        let read = std::io::stdin().lock().read_to_string(&mut text);
        read.map_err(|error| Failure::unavailable(format!("standard input cannot be read as text: {error}")))?;
        return Ok(text);
    }
    fs::read_to_string(file).map_err(|error| {
        Failure::unavailable(format!("{} cannot be read: {error}; name a file that is there, or -", file.display()))
    })
}

/// A finding as it is printed: file and line as compilers write them, then the way out.
fn told(file: &str, line: Option<usize>, subject: &str, finding: &Finding, style: Style) -> String {
    let place = line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"));
    let subject = if subject.is_empty() { String::new() } else { format!("{subject}: ") };
    let mut text = format!("{}: {subject}{}\n", style.strong(&place), style.bad(&finding.to_string()));
    if !finding.way_out.is_empty() {
        text.push_str(&format!("    {}\n", finding.way_out));
    }
    text
}

#[cfg(test)]
mod tests;
