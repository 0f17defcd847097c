//! How the programs of a Job reach the database: the arguments that say where it is, and the option file that they become.

use std::fs;
use std::path::{Path, PathBuf};

use super::option_file::{self, Login};

/// Where the database is and how to log in.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Arguments {
    /// Host name of the server.
    #[arg(long)]
    pub host: String,
    /// TCP port of the server.
    #[arg(long)]
    pub port: u16,
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
}

/// An option file that is there as long as it is needed.
pub(super) struct OptionFile {
    path: PathBuf,
}

impl OptionFile {
    /// Writes it under a name in the folder for it.
    pub(super) fn write(arguments: &Arguments, name: &str) -> Result<Self, String> {
        let read = |name: &str| {
            let path = arguments.credentials.join(name);
            fs::read_to_string(&path)
                .map_err(|error| format!("reading the key {name:?} of the credentials Secret: {error}"))
        };
        let (username, password) = (read("username")?, read("password")?);
        let authority = arguments.certificate_authority.as_ref().map(|path| path.to_string_lossy().into_owned());
        let login = Login {
            host: &arguments.host,
            port: arguments.port,
            username: &username,
            password: &password,
            ssl_mode: &arguments.ssl_mode,
            certificate_authority: authority.as_deref(),
        };
        let path = arguments.private.join(name);
        option_file::write(&path, &login).map_err(|error| format!("writing the option file: {error}"))?;
        Ok(Self { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it.
    pub(super) fn remove(self) -> Result<(), String> {
        fs::remove_file(&self.path).map_err(|error| format!("removing the option file: {error}"))
    }
}
