//! The application's schema file: what the schema-update Job writes anew from the catalogue. It is printed, and kept in the table
//! `app_schema_version`, where the application's next release would look.

use sqlx::{Connection, Row};

use super::connection::Server;
use super::failure::{Result, WhileDoing};

/// Writes the foreign keys that the catalogue has now; returns how many.
pub(crate) async fn record(server: &Server, source: &str) -> Result<u64> {
    let mut connection = server.connect().await?;
    let rows = sqlx::raw_sql(
        "SELECT CAST(r.table_name AS CHAR), CAST(r.constraint_name AS CHAR), \
                CAST(GROUP_CONCAT(k.column_name ORDER BY k.ordinal_position SEPARATOR ', ') AS CHAR), \
                CAST(r.referenced_table_name AS CHAR), \
                CAST(GROUP_CONCAT(k.referenced_column_name ORDER BY k.ordinal_position SEPARATOR ', ') AS CHAR), \
                CAST(r.delete_rule AS CHAR) \
         FROM information_schema.referential_constraints AS r \
         JOIN information_schema.key_column_usage AS k \
           ON k.constraint_schema = r.constraint_schema AND k.constraint_name = r.constraint_name AND k.table_name = r.table_name \
         WHERE r.constraint_schema = DATABASE() \
         GROUP BY r.table_name, r.constraint_name, r.referenced_table_name, r.delete_rule \
         ORDER BY r.table_name, r.constraint_name",
    )
    .fetch_all(&mut connection)
    .await
    .while_doing("reading the foreign keys")?;
    let mut text = format!("-- Foreign keys of the application's schema ({source}).\n");
    for row in &rows {
        let part = |place: usize| row.try_get::<String, _>(place).while_doing("reading a foreign key");
        text += &format!(
            "ALTER TABLE {} ADD CONSTRAINT {} FOREIGN KEY ({}) REFERENCES {} ({}) ON DELETE {};\n",
            part(0)?,
            part(1)?,
            part(2)?,
            part(3)?,
            part(4)?,
            part(5)?
        );
    }
    let count = rows.len() as u64;
    sqlx::query("INSERT INTO app_schema_version (source, foreign_keys, schema_file) VALUES (?, ?, ?)")
        .bind(source)
        .bind(count)
        .bind(&text)
        .execute(&mut connection)
        .await
        .while_doing("recording the schema file")?;
    connection.close().await.while_doing("closing the connection")?;
    print!("{text}");
    println!("-- {count} foreign keys recorded in app_schema_version as {source}");
    Ok(count)
}
