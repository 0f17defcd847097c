//! The user's own checks: statements on rows, each with the error that it must meet, run in a cage and rolled back.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::Row;
use tokio::time::Instant;

use super::cage::{Cage, try_again};
use super::connection::{Connection, SessionLimits, Target};
use super::error::{Cause, Error, code};
use super::statement::{check, words};
use crate::plan::Identifier;

/// An error that a step must meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExpectedError {
    /// A foreign key refuses the statement (1451, 1452).
    ForeignKeyViolation,
    /// A unique constraint refuses it (1062).
    UniqueViolation,
    /// A NOT NULL column refuses it (1048).
    NotNullViolation,
    /// A CHECK constraint refuses it (3819; MariaDB: 4025).
    CheckViolation,
}

impl ExpectedError {
    /// The server's error numbers that it stands for. Users without rights on the tables get the shorter foreign-key errors.
    fn numbers(self) -> &'static [u16] {
        match self {
            Self::ForeignKeyViolation => &[code::ROW_IS_REFERENCED, code::NO_REFERENCED_ROW, 1216, 1217],
            Self::UniqueViolation => &[code::DUPLICATE_ENTRY],
            Self::NotNullViolation => &[1048],
            Self::CheckViolation => &[code::CHECK_VIOLATED, code::CHECK_VIOLATED_MARIADB],
        }
    }
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The statement.
    pub sql: String,
    /// The error that it must meet; `None`: it must succeed.
    pub expect_error: Option<ExpectedError>,
}

/// Statements that run in order in one transaction that is rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scenario {
    /// What it shows, in words.
    pub name: String,
    /// The statements.
    pub steps: Vec<Step>,
}

/// A scenario that behaved as expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioReport {
    /// Its name.
    pub name: String,
    /// How many steps it has.
    pub steps: usize,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
}

/// Runs scenarios one after the other, each at most `limit` long.
///
/// # Errors
/// [`Cause::TestFailed`] naming the first scenario and step that did not behave as expected.
pub async fn run_scenarios(
    target: &Target,
    schema: &Identifier,
    limit: Duration,
    scenarios: &[Scenario],
) -> Result<Vec<ScenarioReport>, Error> {
    for scenario in scenarios {
        for (number, step) in (1..).zip(&scenario.steps) {
            check(&step.sql).map_err(|reason| failed(&scenario.name, number, &reason))?;
        }
    }
    refuse_other_engines(target, scenarios).await?;
    let mut reports = Vec::with_capacity(scenarios.len());
    for scenario in scenarios {
        let begun = Instant::now();
        let what = format!("scenario {:?}", scenario.name);
        let mut tries = 1;
        loop {
            let mut cage = Cage::open(target, schema, limit, &what).await?;
            let outcome = tokio::time::timeout(cage.limit(), run_steps(&mut cage.connection, scenario)).await;
            match cage.end(outcome).await {
                Ok(()) => break,
                Err(error) => try_again(error, tries).await?,
            }
            tries += 1;
        }
        reports.push(ScenarioReport {
            name: scenario.name.clone(),
            steps: scenario.steps.len(),
            milliseconds: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
    }
    Ok(reports)
}

fn failed(scenario: &str, step: usize, reason: &str) -> Error {
    Error::new(Cause::TestFailed, format!("scenario {scenario:?}, step {step}: {reason}"))
}

async fn run_steps(connection: &mut Connection, scenario: &Scenario) -> Result<(), Error> {
    for (number, step) in (1..).zip(&scenario.steps) {
        let result = connection.run(&step.sql).await;
        if let Err(error) = &result
            && (error.code.is_none() || error.is_lock_conflict())
        {
            return result.map(|_| ());
        }
        match (result, step.expect_error) {
            (Ok(_), None) => {}
            (Ok(rows), Some(expected)) => {
                return Err(failed(
                    &scenario.name,
                    number,
                    &format!("expected {expected:?}, but it succeeded ({rows} rows)"),
                ));
            }
            (Err(error), Some(expected)) if error.code.is_some_and(|number| expected.numbers().contains(&number)) => {}
            (Err(error), Some(expected)) => {
                return Err(failed(&scenario.name, number, &format!("expected {expected:?}, got {error}")));
            }
            (Err(error), None) => {
                return Err(failed(&scenario.name, number, &format!("expected no error, got {error}")));
            }
        }
    }
    Ok(())
}

/// Rows in tables of another engine than InnoDB are changed at once, whatever is rolled back later.
async fn refuse_other_engines(target: &Target, scenarios: &[Scenario]) -> Result<(), Error> {
    let mut connection = target.connect(SessionLimits::default()).await?;
    let rows = sqlx::raw_sql(
        "SELECT CAST(table_name AS CHAR), CAST(engine AS CHAR) FROM information_schema.tables WHERE table_type = 'BASE TABLE' \
         AND engine <> 'InnoDB' AND table_schema NOT IN ('mysql', 'sys', 'performance_schema', 'information_schema')",
    )
    .fetch_all(connection.raw())
    .await?;
    connection.close().await?;
    for row in &rows {
        let (table, engine): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        for scenario in scenarios {
            for (number, step) in (1..).zip(&scenario.steps) {
                let named = words(&step.sql).map_err(|reason| failed(&scenario.name, number, &reason))?;
                if named.contains(&table.to_uppercase()) {
                    return Err(failed(
                        &scenario.name,
                        number,
                        &format!("it names table {table} of engine {engine}, whose changes no rollback takes back"),
                    ));
                }
            }
        }
    }
    Ok(())
}
