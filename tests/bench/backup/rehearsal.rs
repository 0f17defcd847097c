//! How long the plan takes on the restored copy and on the database itself, and how far what the approver reads was off.

use std::fs;

use holdfast::backup::rehearsal::Instructions;
use holdfast::backup::rehearsed::End;
use holdfast::backup::{Rehearsed, Summary};
use holdfast::mysql::checks::Checks;
use holdfast::mysql::rehearsal::Step;
use holdfast::mysql::{SessionLimits, Target};
use holdfast::plan::{Plan, stored};

use super::place::Place;
use super::restores::proven;
use crate::figure::Failure;
use crate::rollout::engine::{self, DEADLINE, Ran, planned, settings};

/// A plan that was carried out twice.
#[derive(Debug)]
pub(crate) struct Rehearsal {
    /// Seconds from the first change to the last proof that the plan's own estimate says, from statistics.
    pub(crate) planned: f64,
    /// On the copy.
    pub(crate) rehearsed: f64,
    /// On the database, without traffic.
    pub(crate) real: f64,
    /// Each step of it, on the copy and on the database.
    pub(crate) steps: Vec<(&'static str, f64, f64)>,
    /// The whole rehearsal with its validation, its way back and its comparison.
    pub(crate) whole: f64,
}

/// Rehearses on the backup in the folder `ours`, then changes the database, and takes the changes back.
pub(crate) async fn measure(place: &Place, target: &Target, summary: &Summary) -> Result<Rehearsal, Failure> {
    let mut connection = target.connect(SessionLimits::default()).await?;
    let plan = planned(&mut connection).await?;
    connection.close().await?;
    let rehearsed = rehearse(place, &plan, summary)?;
    let real = engine::run("up").await?;
    engine::run("undo").await?;
    let on_copy = |steps: &[Step]| {
        let took = rehearsed.steps.iter().filter(|took| steps.contains(&took.step));
        took.map(|took| took.milliseconds as f64 / 1000.0).sum::<f64>()
    };
    let steps = vec![
        ("cleanup", on_copy(&[Step::CleanUp]), real.phase("clean up")),
        ("indexes and keys, with barrier and proof", on_copy(&[Step::AddForeignKeys]), real.phase("stage")),
        ("probes", on_copy(&[Step::Test]), real.phase("probe")),
        ("the last proof", on_copy(&[Step::Prove]), real.phase("prove")),
    ];
    let whole = rehearsed.finished_at.duration_since(rehearsed.started_at).as_secs_f64();
    Ok(Rehearsal {
        planned: plan.operations.iter().map(|operation| operation.estimate.milliseconds as f64 / 1000.0).sum(),
        rehearsed: steps.iter().map(|(_, copy, _)| copy).sum(),
        real: change(&real),
        steps,
        whole,
    })
}

/// From the first change to the last proof.
fn change(ran: &Ran) -> f64 {
    ["clean up", "stage", "probe", "prove"].iter().map(|phase| ran.phase(phase)).sum()
}

fn rehearse(place: &Place, plan: &Plan, summary: &Summary) -> Result<Rehearsed, Failure> {
    let folder = place.empty("plan")?;
    fs::write(format!("{folder}/{}", stored::KEY), serde_json::to_string(plan)?)?;
    let instructions = Instructions {
        plan_digest: plan.digest.clone(),
        deadline: DEADLINE,
        settings: settings()?,
        checks: Checks { probes: true, scenarios: Vec::new() },
    };
    let file = place.path("instructions.json");
    fs::write(&file, serde_json::to_vec(&instructions)?)?;
    let (_, restored) = proven(place, summary, &[format!("--rehearsal={file}"), format!("--plan={folder}")])?;
    match restored.rehearsal {
        Some(rehearsed) if matches!(rehearsed.end, End::Passed { .. }) => Ok(*rehearsed),
        other => Err(format!("the rehearsal came to {other:?}").into()),
    }
}
