//! For whom a migration waits that finds its schema in another's hands. MySQL's lock knows a connection only, and people look for a
//! resource: the journal knows whose the connection is.

use kube::ResourceExt as _;

use crate::mysql::{Cause, Error};

use super::work::Work;

/// The same error, which names the other migration where the journal tells of one. It is an answer to a person, so a journal that cannot
/// be asked takes nothing away from it.
pub(super) async fn naming_the_owner(work: &Work, mut error: Error) -> Error {
    if error.cause != Cause::LockHeld {
        return error;
    }
    let Ok(schema) = work.schema() else { return error };
    let own = format!("{}/{}", work.migration.namespace().unwrap_or_default(), work.migration.name_any());
    match work.engine.owner_at_work(&schema).await {
        Ok(Some(owner)) if owner != own && !error.message.contains(&owner) => {
            error.message.push_str(&format!("; the journal says that it is the SchemaMigration {owner}"));
        }
        Ok(_) => {}
        Err(unread) => tracing::info!(error = %unread, "the journal does not tell whose the fence is"),
    }
    error
}
