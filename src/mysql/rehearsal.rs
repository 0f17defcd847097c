//! A rehearsal: the whole way of a migration, there and back, on a server that holds a copy of the data. The same calls in the same order
//! as on the real one, without people and traffic in between: what fails here would have failed there.

use std::future::Future;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::catalogue::read_catalogue;
use super::checks::{self, Checked, Checks};
use super::connection::SessionLimits;
use super::error::{Cause, Error};
use super::operations::milliseconds;
use super::report::{MigrationOutcome, OperationReport, QuarantineCounts, UndoReport};
use super::session::{Engine, Session};
use super::validation::{Finding, validate};
use super::work::{Allowance, Progress, Stop};
use super::{drift, server};
use crate::plan::model::Section;
use crate::plan::{Plan, TableName};

/// The steps, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Orphans, duplicates and what backfills would meet are counted.
    Validate,
    /// They go to quarantine.
    CleanUp,
    /// Columns are added, filled and changed.
    FixTypes,
    /// Unique constraints are added.
    AddUniques,
    /// Keys are added and proven, stage by stage.
    AddForeignKeys,
    /// Columns are filled once more.
    FillAgain,
    /// Probes and scenarios.
    Test,
    /// The last proof.
    Prove,
    /// Everything is taken back.
    Undo,
}

impl From<Section> for Step {
    fn from(section: Section) -> Self {
        match section {
            Section::CleanUp => Self::CleanUp,
            Section::FixTypes => Self::FixTypes,
            Section::AddUniques => Self::AddUniques,
            Section::Stage(_) => Self::AddForeignKeys,
            Section::FillAgain => Self::FillAgain,
        }
    }
}

/// What is rehearsed, and where.
#[derive(Debug, Clone, Copy)]
pub struct Play<'a> {
    /// The server with the copy.
    pub engine: &'a Engine,
    /// The plan.
    pub plan: &'a Plan,
    /// What the result is tested with.
    pub checks: &'a Checks,
    /// Where to report.
    pub progress: &'a Progress,
    /// The sign to stop.
    pub stop: &'a Stop,
}

/// How far a rehearsal came, and what it found and measured; filled while it goes on, so that it tells as much of one that fails.
#[derive(Debug, Clone, Default)]
pub struct Rehearsal {
    /// The step at work, or the last one; `None`: the copy was not looked at, or is not what was planned for.
    pub at: Option<Step>,
    /// What each step took, in the order of their beginning.
    pub took: Vec<(Step, Duration)>,
    /// What validation counted.
    pub findings: Vec<Finding>,
    /// What each operation took.
    pub operations: Vec<OperationReport>,
    /// What was in quarantine before anything was put back.
    pub quarantined: QuarantineCounts,
    /// What probes and scenarios showed.
    pub checked: Checked,
    /// Keys that were proven at the end.
    pub keys: u64,
    /// Unique constraints that were there at the end.
    pub uniques: u64,
    /// What was taken back.
    pub undone: UndoReport,
}

impl Rehearsal {
    async fn step<T>(&mut self, step: Step, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tracing::info!(?step, "step begun");
        self.at = Some(step);
        let started = Instant::now();
        let result = work.await;
        let took = started.elapsed();
        match self.took.iter_mut().find(|(earlier, _)| *earlier == step) {
            Some((_, sum)) => *sum += took,
            None => self.took.push((step, took)),
        }
        if result.is_ok() {
            tracing::info!(?step, milliseconds = milliseconds(took), "step done");
        }
        result
    }
}

/// Rehearses a plan, and takes it back. Copies of tables are made without being asked for: nobody waits.
///
/// # Errors
/// What the plan meets. [`Cause::Drifted`] before the first step: the copy is not what was planned for.
pub async fn rehearse(play: Play<'_>, so_far: &mut Rehearsal) -> Result<(), Error> {
    let Play { engine, plan, checks, progress, stop } = play;
    prepare(engine, plan).await?;
    let report = so_far.step(Step::Validate, Box::pin(count(engine, plan))).await?;
    so_far.findings.clone_from(&report.findings);
    for finding in &report.findings {
        tracing::info!(count = finding.count, "{}", finding.issue_type);
    }
    report.check()?;
    so_far.at = Some(Step::CleanUp);
    let session = Box::pin(engine.begin("the rehearsal", plan)).await?;
    let allowance = Allowance { max_rows: None, copy: true, until: None };
    for section in sections(plan) {
        stop.check()?;
        let running = Box::pin(session.run(section, allowance, progress, stop));
        let report = so_far.step(section.into(), running).await?;
        so_far.operations.extend(report.operations);
        so_far.quarantined = report.quarantined;
    }
    let limit = engine.settings.lock_timeout;
    so_far.checked = so_far.step(Step::Test, Box::pin(checks::run(&engine.target, plan, limit, checks, stop))).await?;
    let proof = so_far.step(Step::Prove, Box::pin(session.prove(progress, stop))).await?;
    (so_far.keys, so_far.uniques) = (proof.keys.len() as u64, proof.uniques.len() as u64);
    so_far.undone = so_far.step(Step::Undo, Box::pin(back(session, progress, stop))).await?;
    Ok(())
}

/// Gives the server the settings of the one that was planned for, and compares the copy with the plan.
async fn prepare(engine: &Engine, plan: &Plan) -> Result<(), Error> {
    let mut connection = engine.target.connect(SessionLimits::default()).await?;
    server::take_over(&mut connection, &plan.server.settings).await?;
    let tables: Vec<TableName> = plan.touched().into_iter().cloned().collect();
    let catalogue = read_catalogue(&mut connection, &plan.schema, &tables).await?;
    connection.close().await?;
    match drift::since_planned(plan, &catalogue) {
        Some(difference) => Err(Error::new(Cause::Drifted, difference)),
        None => Ok(()),
    }
}

async fn count(engine: &Engine, plan: &Plan) -> Result<super::validation::ValidationReport, Error> {
    let mut connection = engine.target.connect(SessionLimits::default()).await?;
    let report = validate(&mut connection, plan).await?;
    connection.close().await?;
    Ok(report)
}

/// The sections that have something to do. A stage without operations has its expectations all the same.
fn sections(plan: &Plan) -> Vec<Section> {
    let all = [Section::CleanUp, Section::FixTypes, Section::AddUniques];
    let stages = (0..plan.stages.len()).map(Section::Stage);
    let all = all.into_iter().chain(stages).chain([Section::FillAgain]);
    let has_work = |section: &Section| {
        matches!(section, Section::Stage(_)) || plan.operations.iter().any(|operation| operation.section == *section)
    };
    all.filter(has_work).collect()
}

async fn back(session: Session, progress: &Progress, stop: &Stop) -> Result<UndoReport, Error> {
    let report = session.undo(progress, stop).await?;
    session.finish(MigrationOutcome::RolledBack).await?;
    Ok(report)
}
