//! Counts what stands in the way of a plan, without changing anything: children without a parent, rows that a unique constraint
//! would refuse, rows that a backfill could not fill. The same report is made before and after cleanup.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::Row;

use super::connection::{Connection, sql};
use super::deadline::within;
use super::error::{Cause, Error};
use super::orphan_query::{OrphanQuery, count};
use crate::plan::Plan;
use crate::plan::identifier::{Identifier, TableName, quoted_list};
use crate::plan::model::{Action, DuplicatePolicy, OrphanPolicy, Section};

/// Longest time that one count may take.
const COUNT_DEADLINE: Duration = Duration::from_secs(3600);
/// Keys that are shown of each finding.
const SAMPLES: u32 = 5;

/// What was counted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ValidationReport {
    /// One for each thing that was counted, zeros included, in the order of the plan.
    pub findings: Vec<Finding>,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was counted: `orphans: bookmarks.user_id -> users.id`.
    pub issue_type: String,
    /// How many.
    pub count: u64,
    /// Up to five keys that are concerned. The application's data: not for status and events.
    pub samples: Vec<String>,
    /// The policy treats it as a reason to stop: [`Cause::OrphansFound`], [`Cause::DuplicatesFound`] or [`Cause::UnmappedRows`].
    #[serde(skip)]
    pub stops: Option<Cause>,
}

impl ValidationReport {
    /// Rows that cleanup would remove or change: what an approval's `maxRows` is compared with.
    #[must_use]
    pub fn rows_to_clean(&self) -> u64 {
        let cleaned = |finding: &&Finding| {
            finding.issue_type.starts_with("orphans: ") || finding.issue_type.starts_with("duplicates: ")
        };
        self.findings.iter().filter(cleaned).map(|finding| finding.count).sum()
    }

    /// An error that names everything the policies stop at.
    ///
    /// # Errors
    /// The cause of the first such finding, and all of them by name.
    pub fn check(&self) -> Result<(), Error> {
        let stopping: Vec<_> = self.findings.iter().filter(|finding| finding.stops.is_some()).collect();
        let Some(cause) = stopping.iter().find_map(|finding| finding.stops) else { return Ok(()) };
        let text: Vec<_> =
            stopping.iter().map(|finding| format!("{} | {}", finding.issue_type, finding.count)).collect();
        Err(Error::new(
            cause,
            format!("{}: clean these rows up yourself, or choose a policy that does", text.join("; ")),
        ))
    }
}

/// Counts everything that the plan would have to treat.
///
/// # Errors
/// What the server answers, with what was being counted.
pub async fn validate(connection: &mut Connection, plan: &Plan) -> Result<ValidationReport, Error> {
    let mut findings = Vec::new();
    for operation in &plan.operations {
        match &operation.action {
            Action::AddForeignKey { key, policy } => {
                if let Some(query) = OrphanQuery::read_if_there(connection, key).await? {
                    findings.push(orphans(connection, plan, &query, *policy).await?);
                }
            }
            // The last pass looks at the same rows.
            Action::Backfill { .. } if operation.section == Section::FillAgain => {}
            Action::Backfill { table, column, lookup_table, matches, take, max_unmapped } => {
                let fill = Fill { table, column, lookup_table, matches, take, max_unmapped: *max_unmapped };
                findings.extend(backfill(connection, plan, &fill).await?);
            }
            Action::RemoveDuplicates { table, columns, policy, .. } => {
                let issue_type = format!("duplicates: {}", place(plan, table, columns));
                let known = findings.iter().any(|finding: &Finding| finding.issue_type == issue_type);
                if !known && columns_exist(connection, table, columns).await? {
                    findings.push(duplicates(connection, issue_type, table, columns, *policy).await?);
                }
            }
            Action::RemoveOrphans { .. }
            | Action::AddColumn { .. }
            | Action::ModifyColumn { .. }
            | Action::AddIndex { .. }
            | Action::AddUnique { .. }
            | Action::Sql(_) => {}
        }
    }
    for key in &plan.adopted {
        let query = OrphanQuery::read(connection, key).await?;
        findings.push(orphans(connection, plan, &query, OrphanPolicy::Fail).await?);
    }
    Ok(ValidationReport { findings })
}

/// Counts the children without a parent of every key that the plan adds or found there, once the keys are in.
///
/// # Errors
/// What the server answers, with what was being counted.
pub async fn orphans_of_keys(connection: &mut Connection, plan: &Plan) -> Result<ValidationReport, Error> {
    let added = plan.operations.iter().filter_map(|operation| match &operation.action {
        Action::AddForeignKey { key, .. } => Some(key),
        _ => None,
    });
    let mut findings = Vec::new();
    for key in added.chain(&plan.adopted) {
        let query = OrphanQuery::read(connection, key).await?;
        findings.push(orphans(connection, plan, &query, OrphanPolicy::Fail).await?);
    }
    Ok(ValidationReport { findings })
}

async fn orphans(
    connection: &mut Connection,
    plan: &Plan,
    query: &OrphanQuery,
    policy: OrphanPolicy,
) -> Result<Finding, Error> {
    let key = &query.key;
    let issue_type = format!(
        "orphans: {} -> {}",
        place(plan, &key.child, &key.columns),
        place(plan, &key.parent, &key.parent_columns)
    );
    let count = within(COUNT_DEADLINE, "validating", count(connection, query)).await?;
    let samples = samples(connection, count, &issue_type, query.sample_statement(SAMPLES)).await?;
    let stops = (count > 0 && policy == OrphanPolicy::Fail).then_some(Cause::OrphansFound);
    Ok(Finding { issue_type, count, samples, stops })
}

async fn duplicates(
    connection: &mut Connection,
    issue_type: String,
    table: &TableName,
    columns: &[Identifier],
    policy: DuplicatePolicy,
) -> Result<Finding, Error> {
    // Grouped by the columns themselves, so in their own collation, as the constraint will compare them; NULLs may repeat.
    let present: Vec<_> = columns.iter().map(|column| format!("{} IS NOT NULL", column.quoted())).collect();
    let groups = format!(
        "FROM {} WHERE {} GROUP BY {} HAVING COUNT(*) > 1",
        table.quoted(),
        present.join(" AND "),
        quoted_list(columns)
    );
    let statement = format!(
        "SELECT CAST(COALESCE(SUM(holdfast_rows - 1), 0) AS UNSIGNED) FROM (SELECT COUNT(*) AS holdfast_rows {groups}) AS g"
    );
    let count = number(connection, &issue_type, statement).await?;
    let values: Vec<_> = columns.iter().map(|column| format!("CAST({} AS CHAR)", column.quoted())).collect();
    let sample = format!("SELECT CONCAT_WS(', ', {}) {groups} LIMIT {SAMPLES}", values.join(", "));
    let samples = samples(connection, count, &issue_type, sample).await?;
    let stops = (count > 0 && policy == DuplicatePolicy::Fail).then_some(Cause::DuplicatesFound);
    Ok(Finding { issue_type, count, samples, stops })
}

/// A backfill of the plan.
struct Fill<'a> {
    table: &'a TableName,
    column: &'a Identifier,
    lookup_table: &'a TableName,
    matches: &'a [(Identifier, Identifier)],
    take: &'a Identifier,
    max_unmapped: u64,
}

async fn backfill(connection: &mut Connection, plan: &Plan, fill: &Fill<'_>) -> Result<Vec<Finding>, Error> {
    let target = place(plan, fill.table, std::slice::from_ref(fill.column));
    let theirs: Vec<_> = fill.matches.iter().map(|(_, other)| other.clone()).collect();
    let equal: Vec<_> =
        (fill.matches.iter()).map(|(own, other)| format!("l.{} = t.{}", other.quoted(), own.quoted())).collect();
    // Only NULLs are filled; before the column is added every row is one.
    let open = if columns_exist(connection, fill.table, std::slice::from_ref(fill.column)).await? {
        format!(" WHERE t.{} IS NULL", fill.column.quoted())
    } else {
        String::new()
    };
    let statement = format!(
        "SELECT CAST(COUNT(*) AS UNSIGNED), CAST(COALESCE(SUM(l.holdfast_values = 1), 0) AS UNSIGNED), \
         CAST(COALESCE(SUM(l.holdfast_values > 1), 0) AS UNSIGNED) FROM {} AS t LEFT JOIN \
         (SELECT {columns}, COUNT(DISTINCT {take}) AS holdfast_values FROM {} WHERE {take} IS NOT NULL GROUP BY {columns}) AS l \
         ON {}{open}",
        fill.table.quoted(),
        fill.lookup_table.quoted(),
        equal.join(" AND "),
        columns = quoted_list(&theirs),
        take = fill.take.quoted(),
    );
    let what = format!("counting rows that the backfill of {target} can map");
    let row =
        within(COUNT_DEADLINE, &what, async { Ok(sqlx::raw_sql(sql(statement)).fetch_one(connection.raw()).await?) })
            .await
            .map_err(|error| error.while_doing(&what))?;
    let (total, mapped, ambiguous): (u64, u64, u64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let unmapped = total.saturating_sub(mapped);
    let line = |kind: &str, count: u64, stops: Option<Cause>| Finding {
        issue_type: format!("backfill {kind}: {target}"),
        count,
        samples: Vec::new(),
        stops,
    };
    Ok(vec![
        line("total", total, None),
        line("mapped", mapped, None),
        line("unmapped", unmapped, (unmapped > fill.max_unmapped).then_some(Cause::UnmappedRows)),
        line("ambiguous", ambiguous, None),
    ])
}

/// `users.id`, or `versions.(protocol_id, version)`; the schema only where it is another one.
fn place(plan: &Plan, table: &TableName, columns: &[Identifier]) -> String {
    let table = if table.schema == plan.schema { table.table.to_string() } else { table.to_string() };
    match columns {
        [column] => format!("{table}.{column}"),
        several => {
            let names: Vec<_> = several.iter().map(Identifier::as_str).collect();
            format!("{table}.({})", names.join(", "))
        }
    }
}

async fn number(connection: &mut Connection, issue_type: &str, statement: String) -> Result<u64, Error> {
    let what = format!("counting {issue_type}");
    within(COUNT_DEADLINE, &what, async {
        Ok(sqlx::raw_sql(sql(statement)).fetch_one(connection.raw()).await?.try_get(0)?)
    })
    .await
}

async fn samples(
    connection: &mut Connection,
    count: u64,
    issue_type: &str,
    statement: String,
) -> Result<Vec<String>, Error> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let what = format!("sampling {issue_type}");
    within(COUNT_DEADLINE, &what, async {
        let rows = sqlx::raw_sql(sql(statement)).fetch_all(connection.raw()).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    })
    .await
}

async fn columns_exist(connection: &mut Connection, table: &TableName, columns: &[Identifier]) -> Result<bool, Error> {
    let rows = sqlx::query(
        "SELECT CAST(COLUMN_NAME AS CHAR) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?",
    )
    .bind(table.schema.as_str())
    .bind(table.table.as_str())
    .fetch_all(connection.raw())
    .await?;
    let found = rows
        .iter()
        .map(|row| Ok(row.try_get::<String, _>(0)?.to_lowercase()))
        .collect::<Result<Vec<_>, sqlx::Error>>()?;
    Ok(columns.iter().all(|column| found.contains(&column.as_str().to_lowercase())))
}
