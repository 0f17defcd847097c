//! What kind of server answers: flavour, version and identity, and whether InnoDB enforces foreign keys itself. Plans and
//! refusals depend on it, so an unknown answer is an error, never a guess.

use sqlx::Row;

use super::connection::Connection;
use super::error::{Cause, Error};
use crate::plan::catalogue::Server;

/// Reads flavour, version and identity.
///
/// # Errors
/// What the server answers.
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
        flavour: connection.dialect.flavour(),
        version: connection.dialect.version(),
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
