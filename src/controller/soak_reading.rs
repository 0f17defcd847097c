//! The tasks of the soak: what is read from the server before the first change, in each look at the application, and at the end.

use jiff::Timestamp;

use crate::api::status::{SoakBaseline, SoakStatus, Watched};
use crate::mysql::soak::{self as counters, Statements, Tables};
use crate::mysql::{Connection, Error, SessionLimits, validation};
use crate::plan::{Plan, TableName};

use super::observed::{TaskResult, signed};
use super::soak::{self, Look};
use super::soak_logs;
use super::work::Work;

async fn counted_on(
    connection: &mut Connection,
    tables: &[TableName],
    lower_case_table_names: u8,
) -> Result<counters::Sample, Error> {
    let tables = Tables { names: tables, lower_case_table_names };
    counters::sample(connection, Statements::On(tables)).await
}

/// Begins to measure what the application does before the first change, where a soak is asked for.
///
/// # Errors
/// When the connection fails.
pub(super) async fn begin(
    work: &Work,
    connection: &mut Connection,
    plan: &Plan,
    touched: &[TableName],
) -> Result<Option<SoakBaseline>, Error> {
    if work.migration.spec.soak.is_none() {
        return Ok(None);
    }
    let at = Timestamp::now();
    let sample = counted_on(connection, touched, plan.server.lower_case_table_names).await?;
    Ok(Some(soak::begin_baseline(at, &sample)))
}

/// What the application did until now, just before the first change.
///
/// # Errors
/// When the server does not answer.
pub(super) async fn end(work: &Work, plan: &Plan) -> Result<Option<Box<SoakBaseline>>, Error> {
    if work.migration.spec.soak.is_none() {
        return Ok(None);
    }
    let tables: Vec<TableName> = plan.touched().into_iter().cloned().collect();
    let mut connection = work.engine.target.connect(SessionLimits::default()).await?;
    let at = Timestamp::now();
    let sample = counted_on(&mut connection, &tables, plan.server.lower_case_table_names).await;
    connection.close().await?;
    let status = standing(work);
    let begun = status.baseline.as_ref().filter(|baseline| baseline.until.is_none());
    Ok(Some(Box::new(soak::end_baseline(begun, at, &sample?))))
}

fn standing(work: &Work) -> SoakStatus {
    work.migration.status.as_ref().and_then(|status| status.soak.clone()).unwrap_or_default()
}

/// One look at the application.
///
/// # Errors
/// When the server does not answer, or another one does.
pub(super) async fn look(work: &Work) -> Result<TaskResult, Error> {
    let status = standing(work);
    let followed = soak::followed(&status);
    let mut connection = work.engine.target.connect(SessionLimits::default()).await?;
    work.same_server(&connection.server_uuid)?;
    let at = Timestamp::now();
    let sample = counters::sample(&mut connection, Statements::Known(&followed)).await;
    connection.close().await?;
    let sample = sample?;
    let wanted = work.migration.spec.soak.as_ref().and_then(|soak| soak.logs.as_ref());
    let logs = match wanted {
        Some(wanted) => {
            let log = status.watches.iter().find(|watch| watch.name == Watched::LogMatches);
            let since = log.and_then(|log| log.since.as_ref()).map(|since| since.0);
            Some(soak_logs::read(work, wanted, since, at).await)
        }
        None => None,
    };
    work.stop.check()?;
    Ok(TaskResult::Looked(Box::new(Look { at, sample, logs })))
}

/// The last look for rows without a parent.
///
/// # Errors
/// What the server answers, or a stop.
pub(super) async fn scan(work: &Work) -> Result<TaskResult, Error> {
    let plan = work.plan().await?;
    let mut connection = work.engine.target.connect(SessionLimits::default()).await?;
    work.same_server(&connection.server_uuid)?;
    let tables: Vec<TableName> = plan.touched().into_iter().cloned().collect();
    let tables = Tables { names: &tables, lower_case_table_names: plan.server.lower_case_table_names };
    let began = standing(work).started_at.map_or_else(Timestamp::now, |began| began.0);
    let seconds = u64::try_from(Timestamp::now().duration_since(began).as_secs()).unwrap_or(0);
    let slow = counters::new_and_slow(&mut connection, tables, seconds).await?;
    let what = "looking for orphans after the soak";
    let report = work
        .stoppable(&mut connection, what, async |connection| validation::orphans_of_keys(connection, &plan).await)
        .await;
    connection.close().await?;
    let findings = report?.findings;
    let orphans = findings.iter().filter(|finding| finding.count > 0);
    let orphans = orphans.map(|finding| format!("{} | {}", finding.issue_type, finding.count)).collect();
    Ok(TaskResult::Scanned { keys: signed(findings.len()), orphans, slow })
}
