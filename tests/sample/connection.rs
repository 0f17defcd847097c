//! How the sample application reaches its database: the same way in a Job that Holdfast runs, in a pod of its own and on a
//! developer's machine. Credentials come from files or from `MYSQL_PWD`, never from an argument.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions};

use super::failure::{Failure, Result, WhileDoing, file};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the database is and who asks.
#[derive(Debug, Args)]
pub(crate) struct ConnectionArguments {
    /// Host of the server.
    #[arg(long, env = "MYSQL_HOST", default_value = "127.0.0.1", global = true)]
    host: String,
    /// Port of the server.
    #[arg(long, env = "MYSQL_TCP_PORT", default_value_t = 3306, global = true)]
    port: u16,
    /// The application's database.
    #[arg(long, env = "MYSQL_DATABASE", default_value = "shop", global = true)]
    database: String,
    /// Folder with the files `username` and `password`.
    #[arg(long, env = "SAMPLE_CREDENTIALS", default_value = "/var/run/holdfast/credentials", global = true)]
    credentials: PathBuf,
    /// User name; the password then comes from MYSQL_PWD (unset: none) and the credentials folder is not read.
    #[arg(long, global = true)]
    user: Option<String>,
    /// Certificate authority in PEM; the server's certificate must be signed by it and carry the host's name.
    #[arg(long, env = "SAMPLE_CA", default_value = "/var/run/holdfast/tls/ca.crt", global = true)]
    ca: PathBuf,
    /// Do not encrypt: for a server on the same machine.
    #[arg(long, global = true)]
    no_tls: bool,
}

/// A server and the application's database on it.
#[derive(Clone)]
pub(crate) struct Server {
    options: MySqlConnectOptions,
}

impl ConnectionArguments {
    /// Reads the credentials.
    pub(crate) fn server(&self) -> Result<Server> {
        let read = |name: &str| {
            let path = self.credentials.join(name);
            std::fs::read_to_string(&path)
                .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
                .map_err(file(path))
        };
        let (user, password) = match &self.user {
            Some(user) => (user.clone(), std::env::var("MYSQL_PWD").unwrap_or_default()),
            None => (read("username")?, read("password")?),
        };
        let mut options =
            MySqlConnectOptions::new().host(&self.host).port(self.port).username(&user).database(&self.database);
        if !password.is_empty() {
            options = options.password(&password);
        }
        options = if self.no_tls {
            options.ssl_mode(MySqlSslMode::Disabled)
        } else {
            // Read here, so that a missing file is named instead of shown as a failed handshake.
            let authority = std::fs::read(&self.ca).map_err(file(&self.ca))?;
            options.ssl_mode(MySqlSslMode::VerifyIdentity).ssl_ca_from_pem(authority)
        };
        Ok(Server::new(options))
    }
}

impl Server {
    /// A server by its options; the session keeps the server's own settings, as the application's would.
    pub(crate) fn new(options: MySqlConnectOptions) -> Self {
        let options = options.pipes_as_concat(false).no_engine_substitution(false).disable_statement_logging();
        Self { options }
    }

    /// Host, port and database.
    #[cfg(test)]
    pub(crate) fn address(&self) -> (String, u16, String) {
        let database = self.options.get_database().unwrap_or_default();
        (self.options.get_host().to_owned(), self.options.get_port(), database.to_owned())
    }

    /// A new connection.
    pub(crate) async fn connect(&self) -> Result<MySqlConnection> {
        let place = format!("{}:{}", self.options.get_host(), self.options.get_port());
        match tokio::time::timeout(CONNECT_TIMEOUT, self.options.connect()).await {
            Ok(connection) => connection.while_doing(format!("connecting to {place}")),
            Err(_) => Err(Failure::Invalid(format!("no answer from {place} within {} s", CONNECT_TIMEOUT.as_secs()))),
        }
    }
}

/// Marks SQL as made of this program's own names and literals.
pub(crate) fn sql(text: impl Into<String>) -> AssertSqlSafe<String> {
    AssertSqlSafe(text.into())
}
