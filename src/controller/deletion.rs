//! What is told when a resource is deleted in the middle of its work: nothing is undone then, so whoever deleted it must learn what stands
//! and where it is kept. From the status alone, since the database and its Secret may be gone.

use crate::api::execution::JournalPlace;
use crate::api::status::Phase;
use crate::api::{SchemaMigration, conditions::shortened};

use super::events::{EventReason, MAX_NOTE, Told};

/// The event; none where nothing was changed, or where the migration had come to its end.
pub(super) fn left_midway(migration: &SchemaMigration) -> Option<Told> {
    migration.metadata.deletion_timestamp.as_ref()?;
    let status = migration.status.as_ref()?;
    status.started_at.as_ref()?;
    let phase = status.phase.filter(|phase| !matches!(phase, Phase::Complete | Phase::RolledBack | Phase::Failed))?;
    let (done, total) = status.steps.as_ref().map_or((0, 0), |steps| (steps.done, steps.total));
    let schema = &migration.spec.database.name;
    let journal = match migration.spec.journal.place() {
        Ok(JournalPlace::Schema(journal)) => format!("the schema {journal}"),
        Ok(JournalPlace::TablePrefix(prefix)) => format!("the tables {prefix}* of the schema {schema}"),
        Err(_) => "what spec.journal names".to_owned(),
    };
    let note = format!(
        "deleted in {phase}, when {done} of {total} operations on the schema {schema} were recorded as done: nothing is undone. Journal and \
         quarantine stay in {journal}. A SchemaMigration of the same content (status.contentDigest {}) goes on from there, or takes it \
         back: docs/runbook.md, \"A resource that was deleted midway\"",
        status.content_digest.as_deref().unwrap_or("unknown"),
    );
    Some(Told {
        warning: true,
        reason: EventReason::LeftMidway.as_str().to_owned(),
        action: phase.as_str().to_owned(),
        note: shortened(note, MAX_NOTE),
    })
}
