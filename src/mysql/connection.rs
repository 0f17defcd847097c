//! Connections to one server: how they are opened, and what is checked on every one of them before it is used. Each is
//! dedicated to one purpose, because session settings and locks must not leak; only those of [`super::lending`] serve again and
//! again, and they hold neither.

use std::path::PathBuf;
use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection as _, Row};

use super::authorities;
use super::dialect::Dialect;
use super::error::{Cause, Error};
use super::failpoints;
use super::relay::Relay;

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// Encrypted; the certificate is signed by the authority and carries the host's name.
    VerifyIdentity,
    /// Encrypted; the certificate is signed by the authority.
    VerifyCa,
    /// Encrypted; the certificate is not checked.
    Required,
    /// Not encrypted.
    Disabled,
}

/// What the specification says that a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role<'a> {
    /// The one that is worked on: it must be writable.
    Primary,
    /// A replica, which is only read. With the field of the specification that names it.
    Replica(&'a str),
    /// Any server, which is only read, and no specification names.
    Reader,
}

impl Role<'_> {
    fn field(self) -> String {
        match self {
            Self::Primary => "spec.database".to_owned(),
            Self::Replica(path) => path.to_owned(),
            Self::Reader => String::new(),
        }
    }

    /// What to do about a server that is not there.
    fn check_place(self) -> String {
        match self {
            Self::Reader => ": check host and port, and that the server can be reached from here".to_owned(),
            _ => format!(": check {}.host and port, the Service and its endpoints", self.field()),
        }
    }

    /// What to do about a connection that cannot be encrypted as wanted.
    fn check_tls(self) -> &'static str {
        match self {
            Self::Reader => ": check the TLS mode, the certificate authority and the names in the server's certificate",
            _ => ": check spec.database.tls and the names in the server's certificate",
        }
    }
}

/// Where the server is and how to log in. `Debug` shows no password.
#[derive(Clone)]
pub struct Target {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// A socket of this machine, by which the server is reached instead of host and port.
    pub socket: Option<PathBuf>,
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
    /// Protection of the connection.
    pub tls: TlsMode,
    /// Certificate authority in PEM form, for the two modes that verify; without one the system's authorities count. The public ones of
    /// Mozilla's list, which the program brings, count beside either.
    pub certificate_authority: Option<Vec<u8>>,
    /// How long opening a connection may take.
    pub connect_timeout: Duration,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Target")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("socket", &self.socket)
            .field("username", &self.username)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// Session settings that every connection gets.
#[derive(Debug, Clone, Copy)]
pub struct SessionLimits {
    /// `lock_wait_timeout`, in whole seconds of at least 1: how long a statement waits for a metadata lock.
    pub metadata_lock_wait: Duration,
    /// `innodb_lock_wait_timeout`, in whole seconds of at least 1: how long it waits for a row lock.
    pub row_lock_wait: Duration,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self { metadata_lock_wait: Duration::from_secs(1), row_lock_wait: Duration::from_secs(1) }
    }
}

/// An open connection whose server is known.
#[derive(Debug)]
pub struct Connection {
    inner: MySqlConnection,
    /// `CONNECTION_ID()`: what KILL QUERY and the process list name.
    pub id: u64,
    /// `@@server_uuid` of the server that answered (MariaDB: `@@server_id`, `@@hostname` and `@@port`).
    pub server_uuid: String,
    /// How this server wants our statements.
    pub(crate) dialect: Dialect,
    /// Whether the server must be writable.
    writable: bool,
}

/// Puts where and as whom before a connection's error, and what to do about it behind.
fn refused(error: Error, role: Role<'_>, place: &str, username: &str) -> Error {
    let mut error = error.while_doing(format!("connecting to {place} as {username:?}"));
    match error.cause {
        Cause::Unreachable => error.message.push_str(&role.check_place()),
        Cause::TlsFailed => error.message.push_str(role.check_tls()),
        _ => {}
    }
    error
}

/// Marks SQL text as checked: its identifiers come quoted from [`crate::plan::identifier`], its values are bound or literals of
/// ours. Every statement that is not a constant passes through here.
#[must_use]
pub(crate) fn sql(text: impl Into<String>) -> AssertSqlSafe<String> {
    AssertSqlSafe(text.into())
}

impl Target {
    /// Opens a connection, sets its session up and learns which server answered.
    ///
    /// # Errors
    /// When the server cannot be reached in time, refuses the login or the TLS mode, or is read-only.
    pub async fn connect(&self, limits: SessionLimits) -> Result<Connection, Error> {
        self.connect_as(Role::Primary, limits).await
    }

    /// Opens a connection to any server, in which nothing can be written: the server itself refuses it.
    ///
    /// # Errors
    /// As [`Self::connect`]; the server may be read-only.
    pub async fn connect_to_read(&self, limits: SessionLimits) -> Result<Connection, Error> {
        let mut connection = self.connect_as(Role::Reader, limits).await?;
        connection.run("SET SESSION TRANSACTION READ ONLY").await?;
        Ok(connection)
    }

    /// Opens a connection to a server that is what `role` says.
    ///
    /// # Errors
    /// As [`Self::connect`]; a replica may be read-only.
    pub(super) async fn connect_as(&self, role: Role<'_>, limits: SessionLimits) -> Result<Connection, Error> {
        let place = match &self.socket {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", self.host, self.port),
        };
        let opening = async {
            let inner = self.open().await?;
            Connection::prepare(inner, role, limits).await
        };
        match tokio::time::timeout(self.connect_timeout, opening).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(refused(error, role, &place, &self.username)),
            Err(_) => Err(Error::new(
                Cause::Unreachable,
                format!("no answer from {place} within {} s{}", self.connect_timeout.as_secs(), role.check_place()),
            )),
        }
    }

    async fn open(&self) -> Result<MySqlConnection, Error> {
        if let Some(socket) = &self.socket {
            return Ok(self.options().socket(socket).connect().await?);
        }
        // Only Linux has sockets without a file; elsewhere no operator runs, and a plugin opens few connections.
        if !cfg!(target_os = "linux") {
            return Ok(self.options().connect().await?);
        }
        let relay = Relay::to(&self.host, self.port, self.connect_timeout).await.map_err(sqlx::Error::Io)?;
        Ok(self.options().socket(relay.path()).connect().await?)
    }

    fn options(&self) -> MySqlConnectOptions {
        let mode = match self.tls {
            TlsMode::VerifyIdentity => MySqlSslMode::VerifyIdentity,
            TlsMode::VerifyCa => MySqlSslMode::VerifyCa,
            TlsMode::Required => MySqlSslMode::Required,
            TlsMode::Disabled => MySqlSslMode::Disabled,
        };
        // sqlx's own session settings would leak into stored routines and change how rows are counted: all off.
        let options = MySqlConnectOptions::new()
            .host(&self.host)
            .port(self.port)
            .username(&self.username)
            .password(&self.password)
            .ssl_mode(mode)
            .pipes_as_concat(false)
            .no_engine_substitution(false)
            .timezone(None)
            .charset("utf8mb4")
            .disable_statement_logging();
        match (&self.certificate_authority, self.tls) {
            (Some(pem), _) => options.ssl_ca_from_pem(pem.clone()),
            (None, TlsMode::VerifyIdentity | TlsMode::VerifyCa) => {
                options.ssl_ca_from_pem(authorities::of_the_system().to_vec())
            }
            (None, TlsMode::Required | TlsMode::Disabled) => options,
        }
    }
}

impl Connection {
    async fn prepare(mut inner: MySqlConnection, role: Role<'_>, limits: SessionLimits) -> Result<Self, Error> {
        let row = sqlx::raw_sql("SELECT CAST(@@version AS CHAR), CAST(@@version_comment AS CHAR)")
            .fetch_one(&mut inner)
            .await?;
        let (version, comment): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let dialect = Dialect::of(&version, &comment)?;
        let writable = role == Role::Primary;
        let mut connection = Self { inner, id: 0, server_uuid: String::new(), dialect, writable };
        (connection.id, connection.server_uuid) = connection.who_answers("").await?;
        connection.set_limits(limits).await?;
        Ok(connection)
    }

    /// The session and the server that answer, after `first` (statements that end with a semicolon) in the same round trip.
    async fn who_answers(&mut self, first: &str) -> Result<(u64, String), Error> {
        let statement = format!("{first}SELECT CONNECTION_ID(), {}, @@global.read_only", self.dialect.identity());
        let row = sqlx::raw_sql(sql(statement)).fetch_one(&mut self.inner).await?;
        let read_only: i64 = row.try_get(2)?;
        if self.writable && read_only != 0 {
            return Err(Error::new(
                Cause::ServerUnsupported,
                "the server is read-only (@@global.read_only): name the writable primary in database.host",
            ));
        }
        Ok((row.try_get(0)?, row.try_get(1)?))
    }

    /// Runs `statements`, each ended by a semicolon, and makes sure that it is still the session of the server that answered when
    /// the connection was opened.
    ///
    /// # Errors
    /// [`Cause::ServerUnsupported`] when another session answers, or the server is read-only now; [`Cause::Unreachable`] when the
    /// connection is gone.
    pub(crate) async fn ready_again(&mut self, statements: &str) -> Result<(), Error> {
        let (id, server_uuid) = self.who_answers(statements).await?;
        if (id, &server_uuid) == (self.id, &self.server_uuid) {
            return Ok(());
        }
        Err(Error::new(
            Cause::ServerUnsupported,
            format!(
                "connection {} of server {} is answered by connection {id} of server {server_uuid}: a proxy in between shares connections; \
                 name the server itself in database.host",
                self.id, self.server_uuid
            ),
        ))
    }

    /// Sets how long statements wait for locks.
    ///
    /// # Errors
    /// When the server refuses or the connection is gone.
    pub async fn set_limits(&mut self, limits: SessionLimits) -> Result<(), Error> {
        let seconds = |duration: Duration| duration.as_secs().max(1);
        self.run(&format!(
            "SET SESSION lock_wait_timeout = {}, innodb_lock_wait_timeout = {}",
            seconds(limits.metadata_lock_wait),
            seconds(limits.row_lock_wait)
        ))
        .await?;
        Ok(())
    }

    /// Runs one statement as text (the protocol that accepts every statement) and returns the affected rows.
    ///
    /// # Errors
    /// What the server answers.
    pub async fn run(&mut self, statement: &str) -> Result<u64, Error> {
        failpoints::before_statement(statement);
        let rows = sqlx::raw_sql(sql(statement)).execute(&mut self.inner).await?.rows_affected();
        failpoints::after_statement(statement);
        Ok(rows)
    }

    /// Commits the open transaction. `what` names what it holds.
    ///
    /// # Errors
    /// What the server answers; without an answer nobody knows whether it is committed.
    pub(crate) async fn commit(&mut self, what: &str) -> Result<(), Error> {
        failpoints::before(what);
        self.run("COMMIT").await?;
        failpoints::after(what);
        Ok(())
    }

    /// Runs one statement by the protocol that takes no more than one, and not every kind, and returns the affected rows.
    ///
    /// # Errors
    /// What the server answers.
    pub(crate) async fn run_single(&mut self, statement: &str) -> Result<u64, Error> {
        failpoints::before_statement(statement);
        let rows = sqlx::query(sql(statement)).persistent(false).execute(&mut self.inner).await?.rows_affected();
        failpoints::after_statement(statement);
        Ok(rows)
    }

    /// The connection itself, for statements with bound values.
    pub fn raw(&mut self) -> &mut MySqlConnection {
        &mut self.inner
    }

    /// Says goodbye to the server, so that locks of the session are free when this returns.
    ///
    /// # Errors
    /// When the connection is gone already.
    pub async fn close(self) -> Result<(), Error> {
        self.inner.close().await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_fails_says_where_as_whom_and_what_to_check() {
        let message =
            |cause| refused(Error::new(cause, "because"), Role::Primary, "mysql.shop.svc:3306", "migrator").message;
        let begin = "connecting to mysql.shop.svc:3306 as \"migrator\": because";
        assert_eq!(message(Cause::AccessDenied), begin);
        assert!(
            message(Cause::Unreachable).starts_with(begin) && message(Cause::Unreachable).contains("its endpoints")
        );
        assert!(message(Cause::TlsFailed).contains("spec.database.tls"));
    }
}
