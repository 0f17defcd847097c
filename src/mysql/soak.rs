//! What the application meets on the server, as the server itself counts it: errors by number, and how long its statements on some
//! tables take. The counters only grow; who reads them twice knows what happened in between.

use std::collections::BTreeSet;

use sqlx::Row;

use super::connection::{Connection, sql};
use super::deadline::{SHORT_STATEMENT, within};
use super::error::{Cause, Error};
pub use crate::plan::digest_text::{StatementKind, Tables};

/// Errors of foreign keys. The two without a name of the key are for accounts that may not see the other table.
pub const FOREIGN_KEY_ERRORS: [u16; 4] = [1216, 1217, 1451, 1452];
/// Lock wait timeout and deadlock.
pub const LOCK_ERRORS: [u16; 2] = [1205, 1213];
/// Statements of each kind that are followed.
const MOST_STATEMENTS: usize = 8;
/// Statements that are looked at to find them, those that are executed most first.
const MOST_LOOKED_AT: u32 = 5_000;
/// Digits by which a statement's digest is known.
const DIGITS: usize = 16;

const ERROR_CONSUMERS: &str = "'global_instrumentation', 'thread_instrumentation'";
const STATEMENT_CONSUMERS: &str = "'global_instrumentation', 'thread_instrumentation', 'statements_digest'";
const STATEMENT_INSTRUMENTS: &str = "'statement/sql/select', 'statement/sql/insert', 'statement/sql/insert_select', 'statement/sql/update', \
     'statement/sql/update_multi', 'statement/sql/replace', 'statement/sql/replace_select', 'statement/sql/delete', \
     'statement/sql/delete_multi', 'statement/com/Query', 'statement/com/Execute'";
/// What is missing where the performance schema is off unless somebody switched it on.
const NO_STATISTICS: &str = "this kind of server keeps no such statistics";

/// What is missing where the server was started without it.
const SWITCHED_OFF: &str =
    "the server was started with performance_schema=OFF and counts nothing: start it with performance_schema=ON";

/// What was read, or why it cannot be.
pub type Readable<T> = Result<T, String>;

/// One reading of the counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// How long the server has been up.
    pub uptime_seconds: u64,
    /// Errors.
    pub errors: Readable<ErrorCounts>,
    /// Statements.
    pub statements: Readable<StatementCounts>,
}

/// Errors that all accounts but our own have met since the server was started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ErrorCounts {
    /// Those of [`FOREIGN_KEY_ERRORS`].
    pub foreign_keys: u64,
    /// Those of [`LOCK_ERRORS`].
    pub locks: u64,
    /// What the server does not count of them.
    pub gap: Option<String>,
}

/// Statements on the tables.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatementCounts {
    /// Each with its counters.
    pub statements: Vec<StatementCount>,
    /// What the server does not count of them.
    pub gap: Option<String>,
}

/// A statement and how long it took so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementCount {
    /// What it does.
    pub kind: StatementKind,
    /// The default schema of its sessions.
    pub schema: String,
    /// The first digits of its digest.
    pub digest: String,
    /// How often it was executed.
    pub count: u64,
    /// Microseconds that this took.
    pub microseconds: u64,
}

/// Which statements are counted.
#[derive(Debug, Clone, Copy)]
pub enum Statements<'a> {
    /// Those on these tables that are executed most, some of each kind.
    On(Tables<'a>),
    /// These, known by schema and digest; their counters in the list do not matter.
    Known(&'a [StatementCount]),
}

/// Reads the counters.
///
/// # Errors
/// When the connection fails. What the server refuses to tell is a part of the sample.
pub async fn sample(connection: &mut Connection, wanted: Statements<'_>) -> Result<Sample, Error> {
    within(SHORT_STATEMENT, "reading the server's statistics for the soak", async {
        let uptime = sqlx::raw_sql("SHOW GLOBAL STATUS LIKE 'Uptime'").fetch_one(connection.raw()).await?;
        let uptime: String = uptime.try_get(1)?;
        let uptime_seconds = uptime
            .parse()
            .map_err(|_| Error::new(Cause::Server, format!("the server's Uptime is {uptime:?}, which is no number")))?;
        let (errors, statements) = if let Some(why) = no_statistics(connection).await? {
            (Err(why.clone()), Err(why))
        } else {
            let errors = readable(errors(connection).await)?;
            (errors, readable(statements(connection, wanted).await)?)
        };
        Ok(Sample { uptime_seconds, errors, statements })
    })
    .await
}

/// Why the server counts nothing at all. Its tables are there all the same then, without a row, not even of what is switched off.
async fn no_statistics(connection: &mut Connection) -> Result<Option<String>, Error> {
    if !connection.dialect.has_performance_schema() {
        return Ok(Some(NO_STATISTICS.to_owned()));
    }
    let row = sqlx::raw_sql("SELECT CAST(@@global.performance_schema AS SIGNED)").fetch_one(connection.raw()).await?;
    let on: i64 = row.try_get(0)?;
    Ok((on != 1).then(|| SWITCHED_OFF.to_owned()))
}

/// What the server refuses is no error of the sample; what breaks the connection is.
fn readable<T>(read: Result<Readable<T>, Error>) -> Result<Readable<T>, Error> {
    let told = |error: Error| format!("performance_schema cannot be read ({})", error.message);
    match read {
        Err(error) if matches!(error.cause, Cause::PrivilegeMissing | Cause::AccessDenied) => {
            Ok(Err(format!("{}: grant the account SELECT on performance_schema.*", told(error))))
        }
        Err(error) if error.cause == Cause::Server && error.code.is_some() => Ok(Err(told(error))),
        other => other,
    }
}

async fn errors(connection: &mut Connection) -> Result<Readable<ErrorCounts>, Error> {
    if let Some(off) = switched_off(connection, ERROR_CONSUMERS, "NAME = 'error' AND ENABLED <> 'YES'").await? {
        return Ok(Err(off));
    }
    let numbers: Vec<u16> = FOREIGN_KEY_ERRORS.into_iter().chain(LOCK_ERRORS).collect();
    let list: Vec<String> = numbers.iter().map(|number| format!("SELECT {number} AS number")).collect();
    // By user and number, as the table is indexed: it has a row for each of thousands of errors of every user.
    let statement = format!(
        "SELECT CAST(e.ERROR_NUMBER AS UNSIGNED), CAST(SUM(e.SUM_ERROR_RAISED) AS UNSIGNED) \
         FROM ({}) AS wanted JOIN performance_schema.users AS u \
         JOIN performance_schema.events_errors_summary_by_user_by_error AS e ON e.USER = u.USER AND e.ERROR_NUMBER = wanted.number \
         WHERE u.USER <> (SELECT o.PROCESSLIST_USER FROM performance_schema.threads AS o WHERE o.PROCESSLIST_ID = CONNECTION_ID()) \
         GROUP BY e.ERROR_NUMBER",
        list.join(" UNION ALL ")
    );
    let mut counts = ErrorCounts::default();
    for row in &sqlx::raw_sql(sql(statement)).fetch_all(connection.raw()).await? {
        let (number, raised): (u64, u64) = (row.try_get(0)?, row.try_get(1)?);
        let locks = LOCK_ERRORS.iter().any(|each| u64::from(*each) == number);
        *(if locks { &mut counts.locks } else { &mut counts.foreign_keys }) += raised;
    }
    let mut gaps: Vec<String> = not_instrumented(connection).await?.into_iter().collect();
    gaps.extend(lost(connection, "Performance_schema_users_lost", "sessions", "performance_schema_users_size").await?);
    counts.gap = together(gaps);
    Ok(Ok(counts))
}

async fn statements(connection: &mut Connection, wanted: Statements<'_>) -> Result<Readable<StatementCounts>, Error> {
    let off = format!("NAME IN ({STATEMENT_INSTRUMENTS}) AND (ENABLED <> 'YES' OR TIMED <> 'YES')");
    if let Some(off) = switched_off(connection, STATEMENT_CONSUMERS, &off).await? {
        return Ok(Err(off));
    }
    let statements = match wanted {
        Statements::On(tables) => most_executed(connection, tables).await?,
        Statements::Known(known) => counted(connection, known).await?,
    };
    let mut gaps: Vec<String> = not_instrumented(connection).await?.into_iter().collect();
    if !connection.dialect.counts_prepared_statements() {
        gaps.push("a server of this version may not count prepared statements".to_owned());
    }
    let (room, of) = ("performance_schema_digests_size", "statements");
    gaps.extend(lost(connection, "Performance_schema_digest_lost", of, room).await?);
    Ok(Ok(StatementCounts { statements, gap: together(gaps) }))
}

/// What a row of the statistics counts: schema, digest, executions, microseconds.
const COUNTERS: &str = "CAST(COALESCE(SCHEMA_NAME, '') AS CHAR), CAST(LEFT(DIGEST, 16) AS CHAR), CAST(COUNT_STAR AS UNSIGNED), \
     CAST(SUM_TIMER_WAIT DIV 1000000 AS UNSIGNED)";

async fn most_executed(connection: &mut Connection, tables: Tables<'_>) -> Result<Vec<StatementCount>, Error> {
    let schemas: BTreeSet<&str> = tables.names.iter().map(|table| table.schema.as_str()).collect();
    if schemas.is_empty() {
        return Ok(Vec::new());
    }
    // A session of another schema writes the name of this one before its table's.
    let here = "LOWER(SCHEMA_NAME) = LOWER(?) OR LOCATE(LOWER(CONCAT('`', ?, '`')), LOWER(DIGEST_TEXT)) > 0";
    let statement = format!(
        "SELECT {COUNTERS}, CAST(DIGEST_TEXT AS CHAR) FROM performance_schema.events_statements_summary_by_digest \
         WHERE DIGEST_TEXT REGEXP '^(EXECUTE )?(SELECT|INSERT|UPDATE|REPLACE|DELETE) ' AND ({}) \
         ORDER BY COUNT_STAR DESC LIMIT {MOST_LOOKED_AT}",
        vec![here; schemas.len()].join(" OR ")
    );
    let mut query = sqlx::query(sql(statement));
    for schema in schemas {
        query = query.bind(schema).bind(schema);
    }
    let mut found: Vec<StatementCount> = Vec::new();
    for row in &query.fetch_all(connection.raw()).await? {
        let (schema, text): (String, String) = (row.try_get(0)?, row.try_get(4)?);
        let Some(kind) = tables.kind_of(&text, &schema) else { continue };
        if found.iter().filter(|each| each.kind == kind).count() < MOST_STATEMENTS {
            let (digest, count, microseconds) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
            found.push(StatementCount { kind, schema, digest, count, microseconds });
        }
    }
    Ok(found)
}

/// Digests of statements on the tables that the server has seen for the first time in the last `seconds`, and of which one took longer than
/// `long_query_time`: what a slow log would show, by the same statistics.
///
/// # Errors
/// When the connection fails.
pub async fn new_and_slow(
    connection: &mut Connection,
    tables: Tables<'_>,
    seconds: u64,
) -> Result<Readable<Vec<String>>, Error> {
    within(SHORT_STATEMENT, "reading which statements are new and slow", async {
        if let Some(why) = no_statistics(connection).await? {
            return Ok(Err(why));
        }
        let reading = async {
            let statement = format!(
                "SELECT {COUNTERS}, CAST(DIGEST_TEXT AS CHAR) FROM performance_schema.events_statements_summary_by_digest \
                 WHERE FIRST_SEEN >= NOW(6) - INTERVAL {seconds} SECOND AND MAX_TIMER_WAIT >= @@global.long_query_time * 1000000000000 \
                 ORDER BY MAX_TIMER_WAIT DESC LIMIT {MOST_LOOKED_AT}"
            );
            let mut digests = Vec::new();
            for row in &sqlx::raw_sql(sql(statement)).fetch_all(connection.raw()).await? {
                let (schema, digest, text): (String, Option<String>, Option<String>) =
                    (row.try_get(0)?, row.try_get(1)?, row.try_get(4)?);
                if tables.kind_of(&text.unwrap_or_default(), &schema).is_some() {
                    digests.extend(digest);
                }
            }
            Ok(Ok(digests))
        };
        readable(reading.await)
    })
    .await
}

async fn counted(connection: &mut Connection, known: &[StatementCount]) -> Result<Vec<StatementCount>, Error> {
    if known.is_empty() {
        return Ok(Vec::new());
    }
    let places = vec!["?"; known.len()].join(", ");
    let statement = format!(
        "SELECT {COUNTERS} FROM performance_schema.events_statements_summary_by_digest WHERE LEFT(DIGEST, {DIGITS}) IN ({places})"
    );
    let mut query = sqlx::query(sql(statement));
    for each in known {
        query = query.bind(each.digest.as_str());
    }
    // One that the server has forgotten was not executed since.
    let mut counts: Vec<StatementCount> =
        known.iter().map(|each| StatementCount { count: 0, microseconds: 0, ..each.clone() }).collect();
    for row in &query.fetch_all(connection.raw()).await? {
        let (schema, digest): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let (count, microseconds): (u64, u64) = (row.try_get(2)?, row.try_get(3)?);
        for each in counts.iter_mut().filter(|each| each.schema == schema && each.digest == digest) {
            each.count += count;
            each.microseconds += microseconds;
        }
    }
    Ok(counts)
}

/// What of the consumers, and of the instruments that a condition finds, is switched off.
async fn switched_off(
    connection: &mut Connection,
    consumers: &str,
    instruments: &str,
) -> Result<Option<String>, Error> {
    let statement = format!(
        "SELECT CONCAT('the consumer ', NAME) AS what FROM performance_schema.setup_consumers WHERE NAME IN ({consumers}) AND ENABLED <> 'YES' \
         UNION ALL SELECT CONCAT('the instrument ', NAME) FROM performance_schema.setup_instruments WHERE {instruments} ORDER BY what"
    );
    let mut off = Vec::new();
    for row in &sqlx::raw_sql(sql(statement)).fetch_all(connection.raw()).await? {
        off.push(row.try_get::<String, _>(0)?);
    }
    let told = || format!("{} of performance_schema is switched off: switch it on (ENABLED, TIMED)", off.join(", "));
    Ok((!off.is_empty()).then(told))
}

/// Whether sessions of some accounts are not counted.
async fn not_instrumented(connection: &mut Connection) -> Result<Option<String>, Error> {
    let row = sqlx::raw_sql(
        "SELECT CAST(COALESCE(SUM(HOST = '%' AND USER = '%' AND ENABLED = 'YES'), 0) AS UNSIGNED), \
         CAST(COALESCE(SUM(ENABLED <> 'YES'), 0) AS UNSIGNED) FROM performance_schema.setup_actors",
    )
    .fetch_one(connection.raw())
    .await?;
    let (everybody, switched_off): (u64, u64) = (row.try_get(0)?, row.try_get(1)?);
    let told = "performance_schema.setup_actors leaves sessions of some accounts out";
    Ok((everybody == 0 || switched_off > 0).then(|| told.to_owned()))
}

/// How much found no room in the statistics.
async fn lost(connection: &mut Connection, counter: &str, of: &str, room: &str) -> Result<Option<String>, Error> {
    let statement = format!("SHOW GLOBAL STATUS LIKE '{counter}'");
    let row = sqlx::raw_sql(sql(statement)).fetch_optional(connection.raw()).await?;
    let lost: Option<String> = row.map(|row| row.try_get(1)).transpose()?;
    Ok(match lost.as_deref() {
        Some("0") => None,
        Some(lost) => Some(format!("{lost} {of} found no room in the server's statistics ({room})")),
        None => Some(format!("the server does not say whether its statistics had room for all {of}")),
    })
}

fn together(gaps: Vec<String>) -> Option<String> {
    (!gaps.is_empty()).then(|| gaps.join("; "))
}
