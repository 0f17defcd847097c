//! What is told of a migration while it goes on: events, and what the lines of the log are about.

use kube::runtime::events::{Event, EventType};
use kube::{Resource as _, ResourceExt};
use tracing::Span;

use crate::api::{SchemaMigration, SchemaMigrationStatus};

use super::context::Context;
use super::events::{self, Told};
use super::failpoints::{Boundary, around};

/// What lines of the log are about while work goes on for a migration. Of the highest level, so that lines of every level have it.
pub(super) fn work_span(migration: &SchemaMigration) -> Span {
    let span = pass_span(migration);
    tell_phase(&span, migration);
    span
}

/// The same before the migration is read: its phase is told later.
pub(super) fn pass_span(migration: &impl ResourceExt) -> Span {
    let (name, namespace) = (migration.name_any(), migration.namespace());
    tracing::error_span!("work", migration = name, namespace, phase = tracing::field::Empty)
}

pub(super) fn tell_phase(span: &Span, migration: &SchemaMigration) {
    if let Some(phase) = migration.status.as_ref().and_then(|status| status.phase) {
        span.record("phase", phase.as_str());
    }
}

/// Publishes events; one that is lost is no reason to repeat a pass, the conditions say the same.
pub(super) async fn announce(context: &Context, migration: &SchemaMigration, before: &SchemaMigrationStatus) {
    let Some(after) = &migration.status else { return };
    for told in events::between(before, after) {
        publish(context, migration, told).await;
    }
}

/// Publishes one event.
pub(super) async fn publish(context: &Context, migration: &SchemaMigration, told: Told) {
    tracing::info!(reason = told.reason, "{}", told.note);
    let event = Event {
        type_: if told.warning { EventType::Warning } else { EventType::Normal },
        reason: told.reason,
        note: Some(told.note),
        action: told.action,
        secondary: None,
    };
    let about = migration.object_ref(&());
    if let Err(error) = around(Boundary::EventPublished, context.recorder.publish(&event, &about)).await {
        tracing::warn!(%error, "an event could not be published");
    }
}
