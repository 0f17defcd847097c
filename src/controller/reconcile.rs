//! One pass: observe, decide, write the status, carry out the effect.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::api::PostParams;
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt as _};
use tracing::{Instrument as _, Span};

use crate::api::{FIELD_MANAGER, SchemaMigration, SchemaMigrationStatus};
use crate::telemetry::metrics::PassResult;
use crate::telemetry::samples::Name;

use super::context::{Context, PassError, asking};
use super::decide::decide;
use super::decision::{Decision, LOOK_AGAIN};
use super::failpoints::{Boundary, around};
use super::observe::observe;
use super::observed::{Observed, TaskState};
use super::telling::{announce, pass_span, tell_phase};
use super::watched::Watched;
use super::{execute, job_expiry, project};

const PASS_LIMIT: Duration = Duration::from_secs(60);
/// After a conflict the cache needs a moment to see what was written.
const AFTER_CONFLICT: Duration = Duration::from_millis(200);
/// The least time between two passes, so that a decision that repeats itself does not spin.
const LEAST_PAUSE: Duration = Duration::from_millis(10);

/// A pass with a limit.
///
/// # Errors
/// When the API server does not answer or refuses.
pub async fn reconcile(seen: Arc<Watched>, context: Arc<Context>) -> Result<Action, PassError> {
    // No turns any more: this replica does not lead any more.
    let Ok(_turn) = context.turns.acquire().await else { return Ok(Action::await_change()) };
    let began = Instant::now();
    let span = pass_span(&*seen);
    let result = tokio::time::timeout(PASS_LIMIT, Box::pin(pass(&seen, &context).instrument(span)))
        .await
        .unwrap_or_else(|_| Err(PassError::Timeout(PASS_LIMIT.as_secs())));
    let counted = match &result {
        Ok(Passed::Done(_)) => PassResult::Succeeded,
        Ok(Passed::Conflict) => PassResult::Conflict,
        Err(_) => PassResult::Failed,
    };
    context.metrics.count_pass(counted, began.elapsed());
    Ok(match result? {
        Passed::Done(action) => action,
        Passed::Conflict => Action::requeue(AFTER_CONFLICT),
    })
}

/// What a migration is called in metrics.
pub(super) fn name_of(migration: &str, namespace: Option<&str>) -> Name {
    Name { namespace: namespace.unwrap_or_default().to_owned(), migration: migration.to_owned() }
}

/// How a pass went.
enum Passed {
    Done(Action),
    Conflict,
}

/// When to try again after an error.
pub fn on_error(migration: Arc<Watched>, error: &PassError, _: Arc<Context>) -> Action {
    let _about = pass_span(&*migration).entered();
    tracing::warn!(error = with_causes(error), "pass failed; it is repeated");
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

async fn pass(seen: &Watched, context: &Arc<Context>) -> Result<Passed, PassError> {
    let namespace = seen.namespace().unwrap_or_default();
    let api: Api<SchemaMigration> = Api::namespaced(context.client.clone(), &namespace);
    // Read anew: a decision on an old status would do a step twice.
    let found = api.get_opt(&seen.name_any()).await.map_err(asking("reading the SchemaMigration"))?;
    let uid = found.as_ref().and_then(|migration| migration.metadata.uid.as_deref());
    context.tasks.abandon(&seen.name_any(), Some(&namespace), uid);
    let Some(migration) = found else {
        context.metrics.forget(&name_of(&seen.name_any(), Some(&namespace)));
        return Ok(Passed::Done(Action::await_change()));
    };
    tell_phase(&Span::current(), &migration);
    if !context.leads.load(Ordering::SeqCst) {
        return Ok(Passed::Done(Action::await_change()));
    }
    let now = Timestamp::now();
    let mut observed = observe(context, &migration, now).await?;
    if is_there_again(&migration, &observed) {
        context.tasks.end_trouble(migration.metadata.uid.as_deref().unwrap_or_default());
        observed.trouble = None;
    }
    let decision = decide(&migration, &observed, now);
    let before = migration.status.clone().unwrap_or_default();
    let after = project::project(&migration, &observed, &decision, now);
    let again = next_pass(&decision, &observed, before != after);
    let written = match write(&api, &migration, &before, after).await? {
        Written::Conflict => return Ok(Passed::Conflict),
        Written::Object(written) => *written,
    };
    if let Some(after) = &written.status {
        context.metrics.see(name_of(&written.name_any(), Some(&namespace)), &before, after);
    }
    tell_phase(&Span::current(), &written);
    announce(context, &written, &before).await;
    job_expiry::let_go(context, &written, &before).await;
    execute::execute(context, &written, &decision.effect).await?;
    Ok(Passed::Done(Action::requeue(again)))
}

/// When the next pass is due. What was written may let the next step begin, unless a task is at work, which calls when it gets on, or
/// nothing is to be done for a long time.
#[must_use]
pub fn next_pass(decision: &Decision, observed: &Observed, written: bool) -> Duration {
    let goes_on = written && decision.again <= LOOK_AGAIN && !matches!(observed.task, TaskState::Running(..));
    if goes_on { LEAST_PAUSE } else { decision.again.max(LEAST_PAUSE) }
}

/// Whether an object that was missing, as the status says, is there: then nothing is left to wait for. Trouble of a task ends when the task
/// succeeds.
#[must_use]
pub fn is_there_again(migration: &SchemaMigration, observed: &Observed) -> bool {
    let mut conditions = migration.status.iter().flat_map(|status| &status.conditions);
    observed.missing.is_none()
        && observed.trouble.is_some()
        && matches!(observed.task, TaskState::Idle)
        && conditions.any(|condition| {
            condition.type_ == "Reconciling" && condition.reason == crate::api::Reason::DependencyNotReady.as_str()
        })
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
    let name = migration.name_any();
    let writing = api.replace_status(&name, &parameters, &object);
    match around(Boundary::StatusWritten, writing).await {
        Ok(written) => Ok(Written::Object(Box::new(written))),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(Written::Conflict),
        Err(error) => Err(asking("writing the status")(error)),
    }
}
