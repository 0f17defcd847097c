//! One pass: observe, decide, write the status, carry out the effect.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use kube::api::PostParams;
use kube::runtime::controller::Action;
use kube::runtime::events::{Event, EventType};
use kube::{Api, Resource as _, ResourceExt as _};

use crate::api::{FIELD_MANAGER, SchemaMigration, SchemaMigrationStatus};

use super::context::{Context, PassError, asking};
use super::decide::decide;
use super::observe::observe;
use super::observed::TaskState;
use super::watched::Watched;
use super::{events, execute, project};

const PASS_LIMIT: Duration = Duration::from_secs(60);
/// After a conflict the cache needs a moment to see what was written.
const AFTER_CONFLICT: Duration = Duration::from_millis(200);
/// The least time between two passes, so that a decision that repeats itself does not spin.
const LEAST_PAUSE: Duration = Duration::from_millis(50);

/// A pass with a limit.
///
/// # Errors
/// When the API server does not answer or refuses.
pub async fn reconcile(seen: Arc<Watched>, context: Arc<Context>) -> Result<Action, PassError> {
    tokio::time::timeout(PASS_LIMIT, Box::pin(pass(&seen, &context)))
        .await
        .unwrap_or_else(|_| Err(PassError::Timeout(PASS_LIMIT.as_secs())))
}

/// When to try again after an error.
pub fn on_error(migration: Arc<Watched>, error: &PassError, _: Arc<Context>) -> Action {
    tracing::warn!(
        migration = migration.name_any(),
        namespace = migration.namespace(),
        error = with_causes(error),
        "pass failed; it is repeated"
    );
    Action::requeue(Duration::from_secs(5))
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = inner.source();
    }
    text
}

async fn pass(seen: &Watched, context: &Arc<Context>) -> Result<Action, PassError> {
    let namespace = seen.namespace().unwrap_or_default();
    let api: Api<SchemaMigration> = Api::namespaced(context.client.clone(), &namespace);
    // Read anew: a decision on an old status would do a step twice.
    let found = api.get_opt(&seen.name_any()).await.map_err(asking("reading the SchemaMigration"))?;
    let uid = found.as_ref().and_then(|migration| migration.metadata.uid.as_deref());
    context.tasks.abandon(&seen.name_any(), Some(&namespace), uid);
    let Some(migration) = found else { return Ok(Action::await_change()) };
    if !context.leads.load(Ordering::SeqCst) {
        return Ok(Action::await_change());
    }
    let now = Timestamp::now();
    let observed = observe(context, &migration, now).await?;
    if observed.missing.is_none() && observed.trouble.is_some() && matches!(observed.task, TaskState::Idle) {
        end_dependency_trouble(context, &migration);
    }
    let decision = decide(&migration, &observed, now);
    let before = migration.status.clone().unwrap_or_default();
    let after = project::project(&migration, &observed, &decision, now);
    let written = match write(&api, &migration, &before, after).await? {
        Written::Conflict => return Ok(Action::requeue(AFTER_CONFLICT)),
        Written::Object(written) => *written,
    };
    announce(context, &written, &before).await;
    execute::execute(context, &written, &decision.effect).await?;
    Ok(Action::requeue(decision.again.max(LEAST_PAUSE)))
}

/// Trouble that came from a missing object ends when it is there again; trouble of a task ends when the task succeeds.
fn end_dependency_trouble(context: &Context, migration: &SchemaMigration) {
    let waits = migration.status.iter().flat_map(|status| &status.conditions).any(|condition| {
        condition.type_ == "Reconciling" && condition.reason == crate::api::Reason::DependencyNotReady.as_str()
    });
    if waits {
        context.tasks.end_trouble(migration.metadata.uid.as_deref().unwrap_or_default());
    }
}

enum Written {
    Object(Box<SchemaMigration>),
    Conflict,
}

async fn write(
    api: &Api<SchemaMigration>,
    migration: &SchemaMigration,
    before: &SchemaMigrationStatus,
    after: SchemaMigrationStatus,
) -> Result<Written, PassError> {
    if *before == after && migration.status.is_some() {
        return Ok(Written::Object(Box::new(migration.clone())));
    }
    let mut object = migration.clone();
    object.status = Some(after);
    let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    match api.replace_status(&migration.name_any(), &parameters, &object).await {
        Ok(written) => Ok(Written::Object(Box::new(written))),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(Written::Conflict),
        Err(error) => Err(asking("writing the status")(error)),
    }
}

/// Publishes events; one that is lost is no reason to repeat a pass, the conditions say the same.
async fn announce(context: &Context, migration: &SchemaMigration, before: &SchemaMigrationStatus) {
    let Some(after) = &migration.status else { return };
    for told in events::between(before, after) {
        tracing::info!(
            migration = migration.name_any(),
            namespace = migration.namespace(),
            reason = told.reason,
            "{}",
            told.note
        );
        let event = Event {
            type_: if told.warning { EventType::Warning } else { EventType::Normal },
            reason: told.reason,
            note: Some(told.note),
            action: told.action,
            secondary: None,
        };
        if let Err(error) = context.recorder.publish(&event, &migration.object_ref(&())).await {
            tracing::warn!(migration = migration.name_any(), %error, "an event could not be published");
        }
    }
}
