//! Errors of the sample application: what was being done, and why it failed.

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The database refused or could not be reached.
    #[error("{doing}: {source}")]
    Database {
        /// What was being done.
        doing: String,
        /// What the driver says.
        source: sqlx::Error,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Something is not as it must be.
    #[error("{0}")]
    Invalid(String),
}

/// Result of a command.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// Adds what was being done to an error of the database.
pub(crate) trait WhileDoing<T> {
    /// Names what was being done.
    fn while_doing(self, doing: impl Into<String>) -> Result<T>;
}

impl<T> WhileDoing<T> for std::result::Result<T, sqlx::Error> {
    fn while_doing(self, doing: impl Into<String>) -> Result<T> {
        self.map_err(|source| Failure::Database { doing: doing.into(), source })
    }
}

/// An error about a file.
pub(crate) fn file(path: impl AsRef<std::path::Path>) -> impl FnOnce(std::io::Error) -> Failure {
    move |source| Failure::File { path: path.as_ref().display().to_string(), source }
}

/// The server's error number, or `None` where the connection itself failed.
pub(crate) fn server_error(error: &sqlx::Error) -> Option<u16> {
    error
        .as_database_error()?
        .try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>()
        .map(sqlx::mysql::MySqlDatabaseError::number)
}
