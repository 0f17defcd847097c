//! What kind of server answers: flavour, version and identity, and whether InnoDB enforces foreign keys itself. Plans and
//! refusals depend on it, so an unknown answer is an error, never a guess.

use sqlx::Row;

use super::connection::Connection;
use super::error::{Cause, Error};
use crate::plan::catalogue::{Flavour, Server, Version};

/// Reads flavour, version and identity.
///
/// # Errors
/// [`Cause::ServerUnsupported`] when the version's text is none that we know; else what the server answers.
pub async fn read_server(connection: &mut Connection) -> Result<Server, Error> {
    let row = sqlx::raw_sql(
        "SELECT CAST(@@version AS CHAR), CAST(@@version_comment AS CHAR), CAST(@@lower_case_table_names AS UNSIGNED)",
    )
    .fetch_one(connection.raw())
    .await?;
    let version: String = row.try_get(0)?;
    let comment: String = row.try_get(1)?;
    let lower_case: u64 = row.try_get(2)?;
    let native: Option<String> = variable(connection, "innodb_native_foreign_keys").await?;
    Ok(Server {
        flavour: flavour(&version, &comment),
        version: parse_version(&version)?,
        version_text: format!("{version} ({comment})"),
        server_uuid: connection.server_uuid.clone(),
        // The variable came with the enforcement outside InnoDB; servers without it know only InnoDB's own.
        native_foreign_keys: native.is_none_or(|value| matches!(value.to_uppercase().as_str(), "ON" | "1")),
        lower_case_table_names: u8::try_from(lower_case)
            .map_err(|_| Error::new(Cause::Server, format!("@@lower_case_table_names is {lower_case}")))?,
    })
}

/// A global variable's value as text; `None` where the server does not know the variable.
pub(crate) async fn variable(connection: &mut Connection, name: &'static str) -> Result<Option<String>, Error> {
    let row = sqlx::raw_sql(super::connection::sql(format!("SHOW GLOBAL VARIABLES LIKE '{name}'")))
        .fetch_optional(connection.raw())
        .await?;
    row.map(|row| row.try_get::<String, _>(1).map_err(Error::from)).transpose()
}

fn flavour(version: &str, comment: &str) -> Flavour {
    if version.contains("MariaDB") || comment.contains("MariaDB") || comment.contains("mariadb") {
        Flavour::MariaDb
    } else {
        Flavour::MySql
    }
}

/// Reads `8.0.36-0ubuntu0.22.04.1` and the like: leading numbers count, what follows does not.
pub(crate) fn parse_version(text: &str) -> Result<Version, Error> {
    // Old replication compatibility: MariaDB may put 5.5.5- before its own number.
    let text = text.strip_prefix("5.5.5-").unwrap_or(text);
    let numeric: String = text.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let mut numbers = numeric.split('.').filter(|part| !part.is_empty()).map(str::parse::<u32>);
    let unknown = || {
        Error::new(
            Cause::ServerUnsupported,
            format!(
                "the server calls its version {text:?}, which is no version number; Holdfast supports MySQL 8.0 and later"
            ),
        )
    };
    let mut next = || numbers.next().transpose().map_err(|_| unknown());
    let (major, minor, patch) = (next()?, next()?, next()?);
    Ok(Version { major: major.ok_or_else(unknown)?, minor: minor.unwrap_or(0), patch: patch.unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn versions_are_read_with_and_without_suffixes() {
        for (text, major, minor, patch) in [
            ("9.7.4-2", 9, 7, 4),
            ("8.0.36-0ubuntu0.22.04.1", 8, 0, 36),
            ("8.4", 8, 4, 0),
            ("8", 8, 0, 0),
            ("5.5.5-10.11.6-MariaDB", 10, 11, 6),
        ] {
            assert_eq!(parse_version(text).unwrap(), Version { major, minor, patch }, "{text}");
        }
        assert_eq!(parse_version("tidb").unwrap_err().cause, Cause::ServerUnsupported);
    }
}
