//! Which statements the application uses, by the server's own statistics: they alone show what a plan cannot know.

use sqlx::Row;

use super::connection::{Connection, sql};
use super::deadline::{SHORT_STATEMENT, within};
use super::error::Error;
use crate::plan::identifier::TableName;
use crate::plan::statement_use::StatementUse;

/// What must be switched on for the statistics to hold the statements looked for.
const CONSUMERS: &str = "'global_instrumentation', 'statements_digest'";
const INSTRUMENTS: &str = "'statement/sql/replace', 'statement/sql/replace_select', 'statement/sql/truncate', 'statement/sql/set_option', 'statement/sql/load', 'statement/com/Execute'";
/// What is missing where the performance schema is off unless somebody switched it on.
const NO_STATISTICS: &str = "this kind of server keeps no statistics of statements";

/// Reads what the statistics hold of some tables, and says where they are known to miss something.
///
/// # Errors
/// When the statistics cannot be read.
pub async fn read(
    connection: &mut Connection,
    tables: &[TableName],
    lower_case_table_names: u8,
) -> Result<StatementUse, Error> {
    if !connection.dialect.has_performance_schema() {
        return Ok(StatementUse { not_seen: vec![NO_STATISTICS.to_owned()], ..StatementUse::default() });
    }
    let what = "reading from performance_schema which statements the application uses (the account needs SELECT on it)";
    within(SHORT_STATEMENT, what, async {
        let rows = sqlx::raw_sql(
            "SELECT CAST(DIGEST_TEXT AS CHAR), CAST(COALESCE(SCHEMA_NAME, '') AS CHAR) \
             FROM performance_schema.events_statements_summary_by_digest \
             WHERE DIGEST_TEXT REGEXP '^((PREPARE|EXECUTE) )?(REPLACE |TRUNCATE |LOAD .* REPLACE INTO TABLE |SET .*foreign_key_checks)'",
        )
        .fetch_all(connection.raw())
        .await?;
        let mut seen = StatementUse::default();
        for row in &rows {
            let (digest, schema): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            seen.see(&digest, &schema, tables, lower_case_table_names);
        }
        seen.not_seen = gaps(connection).await?;
        Ok(seen)
    })
    .await
}

/// Where the statistics are known to miss something.
async fn gaps(connection: &mut Connection) -> Result<Vec<String>, Error> {
    let mut gaps = Vec::new();
    if !connection.dialect.counts_prepared_statements() {
        gaps.push("a server of this version may not count prepared statements".to_owned());
    }
    for (kind, names) in [("consumer", CONSUMERS), ("instrument", INSTRUMENTS)] {
        let statement = format!(
            "SELECT CAST(NAME AS CHAR) FROM performance_schema.setup_{kind}s WHERE NAME IN ({names}) AND ENABLED <> 'YES' ORDER BY NAME"
        );
        for row in sqlx::raw_sql(sql(statement)).fetch_all(connection.raw()).await? {
            let name: String = row.try_get(0)?;
            gaps.push(format!("the {kind} {name} of performance_schema is switched off"));
        }
    }
    let lost: Option<u64> = sqlx::raw_sql(
        "SELECT CAST(VARIABLE_VALUE AS UNSIGNED) FROM performance_schema.global_status WHERE VARIABLE_NAME = 'Performance_schema_digest_lost'",
    )
    .fetch_optional(connection.raw())
    .await?
    .map(|row| row.try_get(0))
    .transpose()?;
    match lost {
        Some(0) => {}
        Some(lost) => gaps.push(format!(
            "{lost} statements found no room in the server's statistics (performance_schema_digests_size)"
        )),
        None => gaps.push("the server does not say whether its statistics had room for every statement".to_owned()),
    }
    Ok(gaps)
}
