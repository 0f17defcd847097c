//! Creates the application's tables, empty, whatever the database held before.

use sqlx::mysql::MySqlConnection;
use sqlx::{Connection, Row};

use super::connection::{Server, sql};
use super::failure::{Result, WhileDoing};
use super::relations::SCHEMA;

/// Drops every table of the database and creates the application's; another schema may be dropped with them.
pub(crate) async fn recreate(server: &Server, drop_schema: Option<&str>) -> Result<()> {
    let mut connection = server.connect().await?;
    // A database that was migrated before has keys, which forbid most orders of dropping.
    execute(&mut connection, "SET SESSION foreign_key_checks = 0").await?;
    if let Some(schema) = drop_schema {
        execute(&mut connection, &format!("DROP SCHEMA IF EXISTS `{}`", schema.replace('`', "``"))).await?;
    }
    for table in tables(&mut connection).await? {
        execute(&mut connection, &format!("DROP TABLE `{table}`")).await?;
    }
    for statement in statements() {
        execute(&mut connection, statement).await?;
    }
    connection.close().await.while_doing("closing the connection")
}

/// The statements of the schema.
pub(crate) fn statements() -> impl Iterator<Item = &'static str> {
    SCHEMA.split(";\n").map(str::trim).filter(|statement| !statement.is_empty())
}

/// The base tables of the database, by name.
pub(crate) async fn tables(connection: &mut MySqlConnection) -> Result<Vec<String>> {
    let rows = sqlx::raw_sql(
        "SELECT CAST(table_name AS CHAR) FROM information_schema.tables \
         WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' ORDER BY table_name",
    )
    .fetch_all(connection)
    .await
    .while_doing("listing the tables")?;
    rows.iter().map(|row| row.try_get(0).while_doing("reading a table's name")).collect()
}

/// Runs one statement of this program's own.
pub(crate) async fn execute(connection: &mut MySqlConnection, statement: &str) -> Result<u64> {
    let done = sqlx::raw_sql(sql(statement)).execute(connection).await;
    let beginning: String = statement.chars().take(120).collect();
    done.map(|result| result.rows_affected()).while_doing(beginning)
}
