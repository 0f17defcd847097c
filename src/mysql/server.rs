//! What kind of server answers: flavour, version and identity, and whether InnoDB enforces foreign keys itself. Plans and
//! refusals depend on it, so an unknown answer is an error, never a guess.

use std::collections::BTreeMap;

use sqlx::Row;

use super::connection::{Connection, sql};
use super::error::{Cause, Error};
use crate::plan::catalogue::Server;

/// Global variables that decide what statements do, or how fast. All can be set while a server runs.
const SETTINGS: [&str; 11] = [
    "sql_mode",
    "explicit_defaults_for_timestamp",
    "innodb_strict_mode",
    "innodb_default_row_format",
    "innodb_flush_log_at_trx_commit",
    "innodb_online_alter_log_max_size",
    "character_set_server",
    "collation_server",
    "restrict_fk_on_non_standard_key",
    "sql_require_primary_key",
    "sql_generate_invisible_primary_key",
];

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
        settings: settings(connection).await?,
    })
}

/// Those of [`SETTINGS`] that the server knows.
async fn settings(connection: &mut Connection) -> Result<BTreeMap<String, String>, Error> {
    let names = SETTINGS.map(|name| format!("'{name}'")).join(", ");
    let rows = sqlx::raw_sql(sql(format!("SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})")))
        .fetch_all(connection.raw())
        .await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Gives a server the settings of another one; those that it does not know are left out.
///
/// # Errors
/// [`Cause::Server`] for a value of a form that none of them has, or what the server answers.
pub(crate) async fn take_over(connection: &mut Connection, wanted: &BTreeMap<String, String>) -> Result<(), Error> {
    let known = settings(connection).await?;
    let set = SETTINGS.into_iter().filter_map(|name| Some((name, wanted.get(name)?, known.get(name)?)));
    for (name, value, _) in set.filter(|(_, value, now)| value != now) {
        if !value.chars().all(|each| each.is_ascii_alphanumeric() || matches!(each, '_' | ',' | '-')) {
            return Err(Error::new(
                Cause::Server,
                format!("the planned server's {name} is {value:?}, which is no setting"),
            ));
        }
        let number = value.parse::<u64>().is_ok();
        let value = if number { value.clone() } else { format!("'{value}'") };
        connection.run(&format!("SET GLOBAL {name} = {value}")).await?;
    }
    Ok(())
}

/// A global variable's value as text; `None` where the server does not know the variable.
pub(crate) async fn variable(connection: &mut Connection, name: &'static str) -> Result<Option<String>, Error> {
    let row =
        sqlx::raw_sql(sql(format!("SHOW GLOBAL VARIABLES LIKE '{name}'"))).fetch_optional(connection.raw()).await?;
    row.map(|row| row.try_get::<String, _>(1).map_err(Error::from)).transpose()
}
