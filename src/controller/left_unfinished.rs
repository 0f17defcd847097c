//! What a resource that is gone left unfinished in the journal, taken over by one of the same content: in this cluster or in another.

use kube::{Api, ResourceExt as _};

use crate::mysql::{Cause, Error, LeftUnfinished};
use crate::plan::Plan;

use super::plan_store;
use super::watched::Watched;
use super::work::Work;

/// The plan to go on with, and what people are told of it; `None`: nothing is left, or it is still somebody's.
///
/// # Errors
/// When the journal or the API server cannot be asked, or the plan that is kept there cannot be used.
pub(super) async fn plan_left(work: &Work, content_digest: &str) -> Result<Option<(Plan, String)>, Error> {
    let schema = work.schema()?;
    let Some(left) = work.engine.left_unfinished(&schema, content_digest).await? else { return Ok(None) };
    // A resource that lives has its plan; whoever holds the fence is at work. The last look before the first change waits for both.
    if is_anothers(work, &left.owner).await? || work.engine.fence_holder(&schema).await?.is_some() {
        return Ok(None);
    }
    let LeftUnfinished { owner, plan_digest, plan, standing } = left;
    let plan = plan_store::parse(&plan, &plan_digest).map_err(|(reason, message)| {
        let cause = if reason == crate::api::Reason::UnknownPlanFormat { Cause::UnknownFormat } else { Cause::Drifted };
        Error::new(cause, format!("taking over what {owner} left unfinished on schema {schema}: {message}"))
    })?;
    let of = plan.operations.len();
    Ok(Some((
        plan,
        format!("taken over from {owner}, which is gone: {standing} changes stand, of {of} planned operations"),
    )))
}

/// Whether the resource is there and is not the one that asks. One that may not be read counts as there.
async fn is_anothers(work: &Work, owner: &str) -> Result<bool, Error> {
    let Some((namespace, name)) = owner.split_once('/') else { return Ok(false) };
    let own = work.migration.namespace().as_deref() == Some(namespace) && work.migration.name_any() == name;
    if own {
        return Ok(false);
    }
    let api: Api<Watched> = Api::namespaced(work.context.client.clone(), namespace);
    match api.get_opt(name).await {
        Ok(found) => Ok(found.is_some()),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(true),
        Err(error) => {
            Err(Error::new(Cause::NotReady, format!("looking whether SchemaMigration {owner} is there: {error}")))
        }
    }
}
