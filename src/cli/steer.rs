//! `suspend`, `resume`, `retry`, `abort`, `rollback`, `replan` and `purge`: a request to the operator, and its answer.

use std::time::Duration;

use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::runtime::wait::await_condition;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use super::connection::{Cluster, failed, told};
use super::failure::Failure;
use super::standing::{self, command, has_ended, waits_for_approval};
use super::terminal::{confirm, print};
use crate::api::gates::{Before, GatedPhase};
use crate::api::status::SchemaMigrationStatus;
use crate::api::steering::{SteeringAction, SteeringAnswer};
use crate::api::{CLI_FIELD_MANAGER, Reason, SchemaMigration};
use crate::plan::render::grouped;

/// Arguments of a request.
#[derive(Debug, Clone, clap::Args)]
pub struct Plain {
    /// Name of the SchemaMigration.
    name: String,
    /// Longest wait for the operator's answer; the request stands whatever comes of it.
    #[arg(long, default_value = "30s")]
    timeout: crate::api::Duration,
}

/// Arguments of a request that a person confirms.
#[derive(Debug, Clone, clap::Args)]
pub struct Confirmed {
    #[command(flatten)]
    plain: Plain,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

/// Asks for something after a person has confirmed it.
///
/// # Errors
/// When the person does not, and as [`request`].
pub async fn confirmed(cluster: &Cluster, arguments: &Confirmed, action: SteeringAction) -> Result<(), Failure> {
    let migration = cluster.migration(&arguments.plain.name).await?;
    confirm(&question(&migration, action), &migration.name_any(), arguments.yes)?;
    request(cluster, &arguments.plain, action).await
}

/// What a person is asked, with what it comes to.
fn question(migration: &SchemaMigration, action: SteeringAction) -> String {
    let status = standing::status(migration);
    let standing = standing::standing(migration);
    let name = format!("{} in {}", migration.name_any(), migration.namespace().unwrap_or_default());
    let steps = status.steps.clone().unwrap_or_default();
    let kept = status.quarantine.clone().unwrap_or_default();
    let kept = kept.orphans + kept.duplicates + kept.cascaded + kept.values;
    let kept = grouped(u64::try_from(kept).unwrap_or(0));
    let stands = format!(
        "{name} stands at {}, with {} of {} operations done and {kept} rows and values in quarantine.",
        standing.word, steps.done, steps.total
    );
    match action {
        SteeringAction::Purge => {
            format!(
                "{stands} Purging deletes what is in quarantine for good: nothing of it can be put back afterwards."
            )
        }
        SteeringAction::Rollback => {
            format!("{stands} Rolling back takes every change back and puts quarantined rows back.")
        }
        SteeringAction::Abort if status.started_at.is_none() => {
            format!("{stands} Aborting ends it; nothing was changed.")
        }
        SteeringAction::Abort => {
            format!(
                "{stands} Aborting stops it, then does what spec.rollback.onFailure says: {:?}.",
                migration.spec.rollback.on_failure
            )
        }
        SteeringAction::Retry | SteeringAction::Replan => stands,
    }
}

/// Asks for something and tells the operator's answer.
///
/// # Errors
/// When the API server or the operator refuses, or no answer comes in time.
pub async fn request(cluster: &Cluster, arguments: &Plain, action: SteeringAction) -> Result<(), Failure> {
    let name = &arguments.name;
    let token = Timestamp::now().to_string();
    patch(
        cluster,
        name,
        json!({"metadata": {"annotations": {action.annotation(): token}}}),
        &format!("asking for {action}"),
    )
    .await?;
    let wanted = token.clone();
    let done = move |migration: Option<&SchemaMigration>| {
        let Some(migration) = migration else { return true };
        let status = standing::status(migration);
        answer(&status, action, &wanted).is_some() || purge_waits(&status, action)
    };
    let what = format!("an answer to {action} ({}={token})", action.annotation());
    let migration = wait(cluster, name, arguments.timeout.get(), done, &what).await?;
    let status = standing::status(&migration);
    match answer(&status, action, &token) {
        Some(answer) if answer.accepted => print(&format!("{action} accepted: {}\n", answer.message)),
        Some(answer) => Err(Failure::no(format!("{action} refused: {}", answer.message))),
        None => Err(Failure::timeout(format!(
            "{action} waits for an approval and is done after it: {}",
            standing::approvals(&migration, &status).join("; ")
        ))),
    }
}

fn answer<'a>(status: &'a SchemaMigrationStatus, action: SteeringAction, token: &str) -> Option<&'a SteeringAnswer> {
    status.steering.iter().find(|answer| answer.action == action && answer.token == token)
}

fn purge_waits(status: &SchemaMigrationStatus, action: SteeringAction) -> bool {
    let purge = Before::from(GatedPhase::Purge);
    action == SteeringAction::Purge && status.gates.iter().any(|gate| gate.before == purge && waits_for_approval(gate))
}

/// Suspends or resumes, and waits until the operator has taken notice.
///
/// # Errors
/// When there is nothing to suspend, the API server refuses, or the operator takes no notice in time.
pub async fn suspend(cluster: &Cluster, arguments: &Plain, suspended: bool) -> Result<(), Failure> {
    let name = &arguments.name;
    let migration = cluster.migration(name).await?;
    if suspended && has_ended(&standing::status(&migration)) {
        let standing = standing::standing(&migration);
        return Err(Failure::no(format!("{name} has ended ({}), so there is nothing to suspend", standing.word)));
    }
    let doing = if suspended { "suspending" } else { "resuming" };
    patch(cluster, name, json!({"spec": {"suspend": suspended}}), doing).await?;
    let done = move |migration: Option<&SchemaMigration>| {
        let Some(migration) = migration else { return true };
        let status = standing::status(migration);
        let reason = standing::reason(&status);
        has_ended(&status) || (reason.is_some() && (reason == Some(Reason::Suspended)) == suspended)
    };
    let what = format!("the operator to notice spec.suspend={suspended}");
    let migration = wait(cluster, name, arguments.timeout.get(), done, &what).await?;
    let standing = standing::standing(&migration);
    print(&format!("{}: {}\n", standing.word, standing.now))
}

async fn patch(cluster: &Cluster, name: &str, change: Value, doing: &str) -> Result<(), Failure> {
    let parameters = PatchParams { field_manager: Some(CLI_FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let api: Api<SchemaMigration> = cluster.api();
    match api.patch(name, &parameters, &Patch::Merge(&change)).await {
        Ok(_) => Ok(()),
        // The words of a missing object, rather than the API server's.
        Err(kube::Error::Api(status)) if status.code == 404 => cluster.migration(name).await.map(|_| ()),
        Err(error) => Err(failed(doing, &error)),
    }
}

/// Watches the object until something holds.
async fn wait(
    cluster: &Cluster,
    name: &str,
    limit: Duration,
    done: impl Fn(Option<&SchemaMigration>) -> bool,
    what: &str,
) -> Result<SchemaMigration, Failure> {
    let api: Api<SchemaMigration> = cluster.api();
    let stands = "the request stands";
    match tokio::time::timeout(limit, Box::pin(await_condition(api, name, done))).await {
        Ok(Ok(Some(migration))) => Ok(migration),
        Ok(Ok(None)) => Err(Failure::unavailable(format!("the SchemaMigration {name} was deleted meanwhile"))),
        Ok(Err(error)) => Err(Failure::unavailable(format!(
            "{stands}, but its answer cannot be watched for: {}; see it with kubectl holdfast status {name} --namespace {}",
            told(&error),
            cluster.namespace
        ))),
        Err(_) => {
            let migration = cluster.migration(name).await?;
            let standing = standing::standing(&migration);
            Err(Failure::timeout(format!(
                "waited {} s for {what}; {stands}. It stands at {}: {}. See that the operator runs (kubectl get pods --all-namespaces --selector \
                 app.kubernetes.io/name=holdfast), and look again with {}",
                limit.as_secs(),
                standing.word,
                standing.now,
                command(&migration, "status", "")
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::example::waiting;

    #[test]
    fn a_person_is_told_what_a_request_comes_to() {
        let migration = waiting();
        assert_eq!(
            question(&migration, SteeringAction::Purge),
            "referential-integrity in shop stands at WAITS FOR APPROVAL, with 0 of 8 operations done and 0 rows and values in quarantine. \
             Purging deletes what is in quarantine for good: nothing of it can be put back afterwards."
        );
        assert!(question(&migration, SteeringAction::Abort).ends_with("Aborting ends it; nothing was changed."));
    }
}
