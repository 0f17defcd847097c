//! The plan in immutable ConfigMaps, named by its digest and owned by its migration: what was approved is what is executed,
//! whatever happens to the spec, the catalogue or the operator meanwhile. Beside it lie its renderings for people, which are
//! computed from the plan, never read back, and so not covered by the digest.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client, Resource as _, ResourceExt as _};

use crate::api::{FIELD_MANAGER, Reason, SchemaMigration};
use crate::plan::stored::{self, KEY, Unusable};
use crate::plan::{Plan, render, script};

use super::failpoints::{Boundary, around};
use super::names;

/// An object may have 1 MiB, metadata included.
const MAX_PART: usize = 900_000;
/// Its renderings: the page to read before approving, and the statements forward and back.
const TEXT: &str = "plan.txt";
const FORWARD: &str = "forward.sql";
const ROLLBACK: &str = "rollback.sql";

/// Stores a plan and returns the names of its ConfigMaps. Doing it twice does no harm.
///
/// # Errors
/// What the API server says, or that other content lies under the name.
pub async fn store(client: &Client, migration: &SchemaMigration, plan: &Plan) -> Result<Vec<String>, String> {
    let namespace = migration.namespace().unwrap_or_default();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let text = serde_json::to_string(plan).map_err(|error| format!("the plan cannot be written as JSON: {error}"))?;
    let uid = migration.metadata.uid.as_deref().unwrap_or_default();
    let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    let mut stored = Vec::new();
    // The page comes first, so that it begins in the first ConfigMap.
    let documents = [
        (TEXT, render::text(plan)),
        (FORWARD, script::forward_sql(plan)),
        (ROLLBACK, script::rollback_sql(plan)),
        (KEY, text),
    ];
    for (number, data) in parts(&documents).into_iter().enumerate() {
        let name = names::plan(&migration.name_any(), uid, &plan.digest, number);
        let map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                owner_references: migration.controller_owner_ref(&()).map(|owner| vec![owner]),
                ..ObjectMeta::default()
            },
            immutable: Some(true),
            data: Some(data),
            binary_data: None,
        };
        match around(Boundary::PlanStored, maps.create(&parameters, &map)).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let present =
                    maps.get(&name).await.map_err(|error| format!("reading the ConfigMap {name}: {error}"))?;
                // Estimates are no part of the digest: the plan that was stored first stays.
                let same = present.immutable == Some(true)
                    && present.metadata.owner_references == map.metadata.owner_references;
                if !same {
                    return Err(format!(
                        "the ConfigMap {namespace}/{name} exists and is not this migration's: delete it"
                    ));
                }
            }
            Err(error) => return Err(format!("storing the plan in the ConfigMap {name}: {error}")),
        }
        stored.push(name);
    }
    Ok(stored)
}

/// Reads a plan back and checks that it is the one of that digest.
///
/// # Errors
/// Why it cannot be used.
pub async fn load(
    client: &Client,
    namespace: &str,
    digest: &str,
    config_maps: &[String],
) -> Result<Result<Arc<Plan>, (Reason, String)>, kube::Error> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let mut text = String::new();
    for name in config_maps {
        let Some(mut map) = maps.get_opt(name).await? else {
            return Ok(Err((
                Reason::DriftDetected,
                format!("the ConfigMap {namespace}/{name} that holds the plan is gone"),
            )));
        };
        // Long renderings may fill a ConfigMap alone; a part that is missing leaves JSON that cannot be read.
        text.push_str(&map.data.as_mut().and_then(|data| data.remove(KEY)).unwrap_or_default());
    }
    Ok(parse(&text, digest).map(Arc::new))
}

/// A plan out of the text that was stored, which must be the one of that digest.
///
/// # Errors
/// Why it cannot be used.
pub(super) fn parse(text: &str, digest: &str) -> Result<Plan, (Reason, String)> {
    stored::parse(text, digest).map_err(|error| {
        let reason = match error {
            Unusable::UnknownFormat(_) => Reason::UnknownPlanFormat,
            Unusable::Changed(_) => Reason::DriftDetected,
        };
        (reason, error.to_string())
    })
}

/// Documents laid one after another into the data of as few objects as hold them. One that does not fit goes on under the same
/// key in the next object, cut between characters.
fn parts(documents: &[(&str, String)]) -> Vec<BTreeMap<String, String>> {
    let mut parts = vec![BTreeMap::new()];
    let mut room = MAX_PART;
    for (key, text) in documents {
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.floor_char_boundary(room));
            if !piece.is_empty()
                && let Some(part) = parts.last_mut()
            {
                part.insert((*key).to_owned(), piece.to_owned());
            }
            room -= piece.len();
            if !after.is_empty() {
                parts.push(BTreeMap::new());
                room = MAX_PART;
            }
            rest = after;
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_documents_are_cut_between_characters_and_join_again() {
        let documents = [
            (TEXT, "short\n".to_owned()),
            (FORWARD, String::new()),
            (ROLLBACK, "ä".repeat(MAX_PART)),
            (KEY, format!("x{}", "ß".repeat(MAX_PART / 4))),
        ];
        let parts = parts(&documents);
        assert_eq!(parts.len(), 3);
        assert!(parts.iter().all(|part| part.values().map(String::len).sum::<usize>() <= MAX_PART));
        assert_eq!(parts[0].get(TEXT), Some(&documents[0].1));
        for (key, text) in &documents {
            let joined: String = parts.iter().filter_map(|part| part.get(*key)).map(String::as_str).collect();
            assert_eq!(joined, *text, "{key}");
        }
    }
}
