//! Whether the server is one that a migration may begin on: what it is, how it is connected with others, what the account may do,
//! and how busy it is. Nothing is changed.

use std::time::Duration;

use sqlx::Row;

use super::blockers::{describe, holders};
use super::connection::{Connection, sql};
use super::deadline::within;
use super::dialect::Dialect;
use super::error::{Cause, Error};
use super::server::{read_server, variable};
use super::work::{JournalLocation, KillBlockers};
use super::{privileges, privileges_tried, topology};
use crate::plan::catalogue::{Flavour, Server, Version};
use crate::plan::identifier::{Identifier, TableName};

/// Older servers have no atomic DDL and no online rename of what Holdfast relies on; no specification can allow them.
const OLDEST: Version = Version { major: 8, minor: 0, patch: 12 };
/// Older ones have INSTANT changes and information schema tables of another kind.
const OLDEST_MARIADB: Version = Version { major: 10, minor: 11, patch: 0 };
/// Longest time that all of the checks together may take.
const DEADLINE: Duration = Duration::from_secs(60);
/// Servers that speak MySQL's protocol but not its DDL.
const REFUSED: [&str; 7] = ["Vitess", "PlanetScale", "TiDB", "OceanBase", "SingleStore", "StarRocks", "Doris"];

/// What must hold, from `spec.preflight` and `spec.journal`.
#[derive(Debug, Clone)]
pub struct PreflightLimits {
    /// Oldest version that the specification accepts.
    pub minimum_server_version: Version,
    /// Most client sessions that may be connected.
    pub max_active_sessions: u64,
    /// Most statements that may be running.
    pub max_threads_running: u64,
    /// Greatest age of a transaction on one of the tables.
    pub max_transaction_age: Duration,
    /// The schema that is migrated.
    pub schema: Identifier,
    /// Where journal and quarantine will be.
    pub journal: JournalLocation,
    /// Whether sessions in the way will be ended.
    pub kill_blockers: KillBlockers,
    /// Whether a failure will be answered with the backup.
    pub puts_back: bool,
}

/// What was found on a server that is fit to begin on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreflightReport {
    /// The server.
    pub server: Server,
    /// Who reads its binary log. The caller knows which of them are watched.
    pub readers: Vec<Reader>,
    /// What a person should know: one sentence each.
    pub warnings: Vec<String>,
}

/// A replica, or another reader of the binary log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// Address and account.
    pub place: String,
    /// Its server_uuid, where it says so.
    pub server_uuid: Option<String>,
}

/// Reads a version from a specification: `8.0` or `8.0.34`.
///
/// # Errors
/// [`Cause::InvalidSpec`].
pub fn parse_minimum_version(text: &str) -> Result<Version, Error> {
    super::dialect::parse_version(text).map_err(|_| {
        Error::new(
            Cause::InvalidSpec,
            format!("spec.preflight.minimumServerVersion is {text:?}: write it as 8.0 or 8.0.34"),
        )
    })
}

/// Checks the server, the account and the traffic.
///
/// # Errors
/// [`Cause::ServerUnsupported`], [`Cause::PrivilegeMissing`] or [`Cause::NotReady`], with what to do; else what the server answers.
pub async fn preflight(
    connection: &mut Connection,
    limits: &PreflightLimits,
    tables: &[TableName],
) -> Result<PreflightReport, Error> {
    // The inner result is taken out whole: its messages stand for themselves.
    within(DEADLINE, "preflight checks", async { Ok(check(connection, limits, tables).await) }).await?
}

async fn check(
    connection: &mut Connection,
    limits: &PreflightLimits,
    tables: &[TableName],
) -> Result<PreflightReport, Error> {
    let server = read_server(connection).await?;
    check_version(&server, limits.minimum_server_version)?;
    if connection.dialect.has_performance_schema() {
        check_performance_schema(variable(connection, "performance_schema").await?.as_deref())?;
    }
    topology::check(connection).await?;
    check_lock_list(connection).await?;
    check_killing(connection.dialect, limits.kill_blockers)?;
    let ends_others = limits.kill_blockers != KillBlockers::Never;
    let mut missing = privileges::missing(connection, &limits.schema, tables, &limits.journal, ends_others).await?;
    if limits.puts_back {
        missing.extend(privileges::missing_to_put_back(connection, &limits.journal).await?);
    }
    if missing.is_empty() {
        missing = privileges_tried::denied(connection, &limits.schema, tables).await?;
    }
    if !missing.is_empty() {
        return Err(Error::new(
            Cause::PrivilegeMissing,
            format!("the account lacks privileges that the migration needs: {} (TO the account)", missing.join("; ")),
        ));
    }
    check_foreign_key_checks(connection).await?;
    check_traffic(connection, limits, tables).await?;
    let mut warnings = Vec::new();
    warn_of_unchecked_sessions(connection, &mut warnings).await?;
    warn_of_prepared_transactions(connection, &mut warnings).await?;
    let readers = readers(connection).await?;
    Ok(PreflightReport { server, readers, warnings })
}

fn text(version: Version) -> String {
    format!("{}.{}.{}", version.major, version.minor, version.patch)
}

pub(super) fn check_version(server: &Server, minimum: Version) -> Result<(), Error> {
    let unsupported = |message: String| Err(Error::new(Cause::ServerUnsupported, message));
    if let Some(name) = REFUSED.iter().find(|name| server.version_text.to_lowercase().contains(&name.to_lowercase())) {
        return unsupported(format!(
            "the server is {name} ({}), which speaks MySQL's protocol but does not change schemas as MySQL does: \
             Holdfast needs MySQL {} or MariaDB {}, or later; use that server's own means of changing its schema",
            server.version_text,
            text(OLDEST),
            text(OLDEST_MARIADB)
        ));
    }
    let (name, oldest) = match server.flavour {
        Flavour::MySql => ("MySQL", OLDEST),
        Flavour::MariaDb => ("MariaDB", OLDEST_MARIADB),
    };
    if server.version < oldest {
        return unsupported(format!(
            "the server says {}; Holdfast needs {name} {} or later, whatever spec.preflight.minimumServerVersion says: upgrade it",
            server.version_text,
            text(oldest)
        ));
    }
    if server.version < minimum {
        return unsupported(format!(
            "the server says {}, spec.preflight.minimumServerVersion is {}: upgrade the server or lower the minimum",
            server.version_text,
            text(minimum)
        ));
    }
    Ok(())
}

/// Switched off, its tables are there and empty: no replica, no session and no lock would be seen.
pub(super) fn check_performance_schema(value: Option<&str>) -> Result<(), Error> {
    match value {
        Some("ON" | "1") => Ok(()),
        other => Err(Error::new(
            Cause::ServerUnsupported,
            format!(
                "performance_schema is {}, so neither replicas nor sessions nor who holds a table can be seen: start the server with \
                 performance_schema=ON",
                other.unwrap_or("unknown")
            ),
        )),
    }
}

/// Whether the server shows who holds a table: without it no change could tell when to stay away.
async fn check_lock_list(connection: &mut Connection) -> Result<(), Error> {
    let Some(statement) = connection.dialect.lock_list() else { return Ok(()) };
    if number(connection, statement).await? > 0 {
        return Ok(());
    }
    Err(Error::new(
        Cause::ServerUnsupported,
        "the server does not show which sessions hold a table, so changes could not stay out of their way: an administrator has to run INSTALL SONAME \
         'metadata_lock_info' once (a plugin that comes with MariaDB; no restart is needed)",
    ))
}

/// Sessions are ended only where it can be seen what they do.
fn check_killing(dialect: Dialect, wanted: KillBlockers) -> Result<(), Error> {
    if wanted == KillBlockers::Never || dialect.session_facts().is_some() {
        return Ok(());
    }
    Err(Error::new(
        Cause::ServerUnsupported,
        "spec.execution.killBlockers is IdleTransactions, and this server does not show what a session holds, so none could be ended safely: \
         use Never, and end them yourself when the message names them",
    ))
}

async fn check_foreign_key_checks(connection: &mut Connection) -> Result<(), Error> {
    match variable(connection, "foreign_key_checks").await?.as_deref() {
        Some("ON" | "1") => Ok(()),
        other => Err(Error::new(
            Cause::NotReady,
            format!(
                "@@global.foreign_key_checks is {}: new sessions would not be held to any key; SET GLOBAL foreign_key_checks = ON and let the application reconnect",
                other.unwrap_or("unknown")
            ),
        )),
    }
}

async fn check_traffic(
    connection: &mut Connection,
    limits: &PreflightLimits,
    tables: &[TableName],
) -> Result<(), Error> {
    let not_ready = |message: String| Err(Error::new(Cause::NotReady, message));
    let sessions = number(connection, connection.dialect.client_sessions())
        .await
        .map_err(|error| hint_at_performance_schema(error, "how many sessions are connected"))?;
    if sessions > limits.max_active_sessions {
        return not_ready(format!(
            "{sessions} client sessions are connected, spec.preflight.maxActiveSessions is {}: wait for a quieter hour or raise it",
            limits.max_active_sessions
        ));
    }
    let running = number(connection, connection.dialect.running_statements())
        .await
        .map_err(|error| hint_at_performance_schema(error, "Threads_running"))?;
    if running > limits.max_threads_running {
        return not_ready(format!(
            "{running} statements are running (Threads_running), spec.preflight.maxThreadsRunning is {}: wait for a quieter hour or raise it",
            limits.max_threads_running
        ));
    }
    let old = holders(connection, tables, limits.max_transaction_age).await?;
    if !old.is_empty() {
        return not_ready(format!(
            "transactions older than spec.preflight.maxTransactionAge ({} s) hold tables of the plan: {}; end them, or wait",
            limits.max_transaction_age.as_secs(),
            describe(&old)
        ));
    }
    Ok(())
}

async fn warn_of_unchecked_sessions(connection: &mut Connection, warnings: &mut Vec<String>) -> Result<(), Error> {
    let Some(statement) = connection.dialect.unchecked_sessions() else {
        warnings.push(
            "This server does not show other sessions' variables: whether one has foreign_key_checks off, so that no key holds for what it \
             writes, is not known."
                .to_owned(),
        );
        return Ok(());
    };
    let rows = sqlx::raw_sql(sql(format!("{statement} LIMIT 20")))
        .fetch_all(connection.raw())
        .await
        .map_err(|error| hint_at_performance_schema(error.into(), "which sessions have foreign_key_checks off"))?;
    for row in &rows {
        let (id, user, host): (u64, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        warnings.push(format!(
            "Connection {id} ({user}@{host}) has foreign_key_checks off: no key holds for what it writes."
        ));
    }
    Ok(())
}

async fn warn_of_prepared_transactions(connection: &mut Connection, warnings: &mut Vec<String>) -> Result<(), Error> {
    let rows = sqlx::raw_sql(connection.dialect.prepared_transactions()).fetch_all(connection.raw()).await?;
    for row in &rows {
        let xid: String = row.try_get(3)?;
        warnings.push(format!(
            "The XA transaction {xid} is prepared and holds its locks until somebody ends it: XA COMMIT or XA ROLLBACK it."
        ));
    }
    Ok(())
}

/// The replicas that read from this server, and other readers of its binary log.
///
/// # Errors
/// When the server cannot be asked.
pub async fn readers(connection: &mut Connection) -> Result<Vec<Reader>, Error> {
    let rows = sqlx::raw_sql(connection.dialect.replicas())
        .fetch_all(connection.raw())
        .await
        .map_err(|error| hint_at_performance_schema(error.into(), "which replicas are connected"))?;
    rows.iter()
        .map(|row| {
            let (user, host): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            Ok(Reader { place: format!("{host} (account {user})"), server_uuid: row.try_get(2)? })
        })
        .collect()
}

pub(super) async fn number(connection: &mut Connection, statement: &'static str) -> Result<u64, Error> {
    Ok(sqlx::raw_sql(sql(statement)).fetch_one(connection.raw()).await?.try_get(0)?)
}

pub(super) fn hint_at_performance_schema(error: Error, what: &str) -> Error {
    error.while_doing(format!(
        "reading {what} (on MySQL performance_schema must be on, and the account needs SELECT on it; on MariaDB it needs PROCESS)"
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn server(version: Version, version_text: &str) -> Server {
        Server {
            flavour: if version_text.contains("MariaDB") { Flavour::MariaDb } else { Flavour::MySql },
            version,
            version_text: version_text.to_owned(),
            server_uuid: String::new(),
            native_foreign_keys: true,
            lower_case_table_names: 0,
            settings: Default::default(),
        }
    }

    #[test]
    fn a_server_that_shows_nothing_of_itself_is_refused() {
        assert!(check_performance_schema(Some("ON")).is_ok());
        for value in [Some("OFF"), Some("0"), None] {
            let error = check_performance_schema(value).unwrap_err();
            assert_eq!(error.cause, Cause::ServerUnsupported);
            assert!(error.message.contains("performance_schema=ON"), "{error}");
        }
    }

    #[test]
    fn servers_are_refused_by_name_and_version() {
        let refused = |version: &str, text: &str, minimum: &str| {
            let version = super::super::dialect::parse_version(version).unwrap();
            let error = check_version(&server(version, text), parse_minimum_version(minimum).unwrap()).unwrap_err();
            assert_eq!(error.cause, Cause::ServerUnsupported);
            error.message
        };
        assert!(refused("8.0.30", "8.0.30-Vitess", "8.0").contains("Vitess"));
        assert!(refused("10.6.18", "10.6.18-MariaDB", "8.0").contains("MariaDB 10.11.0"));
        assert!(refused("8.0.11", "8.0.11 (MySQL)", "8.0").contains("MySQL 8.0.12"));
        assert!(refused("8.0.11", "8.0.11-TiDB-v8.5.0", "8.0").contains("TiDB"));
        let old = refused("5.7.44", "5.7.44 (MySQL)", "5.7");
        assert!(old.contains("whatever spec.preflight.minimumServerVersion says"), "{old}");
        let below = refused("8.0.30", "8.0.30 (MySQL)", "8.4");
        assert!(below.contains("8.0.30") && below.contains("spec.preflight.minimumServerVersion is 8.4.0"), "{below}");
    }

    #[test]
    fn sessions_are_ended_only_on_a_server_that_shows_what_they_do() {
        let check = |version: &str| check_killing(Dialect::of(version, "").unwrap(), KillBlockers::IdleTransactions);
        assert!(check("9.7.4").is_ok());
        let error = check("10.11.18-MariaDB").unwrap_err();
        assert!(error.cause == Cause::ServerUnsupported && error.message.contains("use Never"), "{error}");
        let mariadb = Dialect::of("10.11.18-MariaDB", "").unwrap();
        assert!(check_killing(mariadb, KillBlockers::Never).is_ok());
    }

    #[test]
    fn a_supported_server_passes() {
        let version = Version { major: 8, minor: 0, patch: 34 };
        assert!(check_version(&server(version, "8.0.34"), version).is_ok());
        assert_eq!(parse_minimum_version("x").unwrap_err().cause, Cause::InvalidSpec);
    }
}
