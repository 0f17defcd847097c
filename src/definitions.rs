//! The command `holdfast crds`: prints or writes the custom resource definitions, from which `crds/` and the chart
//! `holdfast-crds` are made.

use std::{fs, io::Write, path::PathBuf};

use crate::api::crd;

/// What is written, and where.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Write one file for each definition into this directory, instead of printing them.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Write templates of a Helm chart, which keeps the definitions when it is uninstalled.
    #[arg(long, requires = "directory")]
    helm: bool,
}

/// Prints or writes the definitions.
///
/// # Errors
/// With a message, when a definition cannot be made or a file cannot be written.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    for definition in crd::definitions().map_err(|error| error.to_string())? {
        let text = if arguments.helm { crd::chart_template(&definition) } else { crd::yaml(&definition) }
            .map_err(|error| error.to_string())?;
        match &arguments.directory {
            Some(directory) => {
                let path = directory.join(crd::file_name(&definition));
                fs::create_dir_all(directory)
                    .and_then(|()| fs::write(&path, text))
                    .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
            }
            None => std::io::stdout()
                .write_all(format!("---\n{text}").as_bytes())
                .map_err(|error| format!("cannot print the definitions: {error}"))?,
        }
    }
    Ok(())
}
