//! Everything that a finished rollout is tested with: a probe of every key of the plan, and the user's own scenarios.

use serde::{Deserialize, Serialize};

use super::connection::Target;
use super::error::Error;
use super::probes::{ProbeReport, probe};
use super::scenarios::{Scenario, ScenarioReport, run_scenarios};
use super::work::Stop;
use crate::plan::Plan;
use crate::plan::catalogue::ForeignKey;
use crate::plan::model::Action;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Checks {
    /// Whether keys are probed.
    pub probes: bool,
    /// The user's own.
    pub scenarios: Vec<Scenario>,
}

/// What was shown. It exists only where everything behaved as it should.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    /// The probes.
    pub probes: ProbeReport,
    /// The scenarios.
    pub scenarios: Vec<ScenarioReport>,
}

/// Runs the checks, each at most `lock_timeout` long.
///
/// # Errors
/// [`super::Cause::TestFailed`] naming the key or scenario that did not behave as it should, [`super::Cause::Stopped`], or what the
/// server answers.
pub async fn run(
    target: &Target,
    plan: &Plan,
    lock_timeout: std::time::Duration,
    checks: &Checks,
    stop: &Stop,
) -> Result<Checked, Error> {
    let mut checked = Checked::default();
    if checks.probes {
        checked.probes = probe(target, &plan.schema, lock_timeout, &keys(plan)).await?;
    }
    stop.check()?;
    checked.scenarios = run_scenarios(target, &plan.schema, lock_timeout, &checks.scenarios).await?;
    Ok(checked)
}

/// Every key that the plan adds or found as wanted.
fn keys(plan: &Plan) -> Vec<ForeignKey> {
    let added = plan.operations.iter().filter_map(|operation| match &operation.action {
        Action::AddForeignKey { key, .. } => Some(key),
        _ => None,
    });
    added.chain(&plan.adopted).cloned().collect()
}
