//! The plan in immutable ConfigMaps, named by its digest and owned by its migration: what was approved is what is executed,
//! whatever happens to the spec, the catalogue or the operator meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client, Resource as _, ResourceExt as _};

use crate::api::{FIELD_MANAGER, Reason, SchemaMigration};
use crate::plan::Plan;
use crate::plan::model::PLAN_FORMAT;

use super::names;

/// An object may have 1 MiB, metadata included.
const MAX_PART: usize = 900_000;
const KEY: &str = "plan.json";

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
    for (number, part) in parts(&text).into_iter().enumerate() {
        let name = names::plan(&migration.name_any(), uid, &plan.digest, number);
        let map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                owner_references: migration.controller_owner_ref(&()).map(|owner| vec![owner]),
                ..ObjectMeta::default()
            },
            immutable: Some(true),
            data: Some(BTreeMap::from([(KEY.to_owned(), part.to_owned())])),
            binary_data: None,
        };
        match maps.create(&parameters, &map).await {
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
        match map.data.as_mut().and_then(|data| data.remove(KEY)) {
            Some(part) => text.push_str(&part),
            None => {
                return Ok(Err((Reason::DriftDetected, format!("the ConfigMap {namespace}/{name} has no key {KEY}"))));
            }
        }
    }
    Ok(parse(&text, digest).map(Arc::new))
}

fn parse(text: &str, digest: &str) -> Result<Plan, (Reason, String)> {
    let unreadable = |error: String| (Reason::DriftDetected, format!("the stored plan cannot be read: {error}"));
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
    let format = value.get("format").and_then(serde_json::Value::as_u64);
    if format != Some(u64::from(PLAN_FORMAT)) {
        let found = format.map_or_else(|| "none".to_owned(), |format| format.to_string());
        let message = format!(
            "the stored plan has the format {found}; this version of the operator knows {PLAN_FORMAT}: install the version that made the plan"
        );
        return Err((Reason::UnknownPlanFormat, message));
    }
    let plan: Plan = serde_json::from_value(value).map_err(|error| unreadable(error.to_string()))?;
    if plan.digest != digest {
        return Err((Reason::DriftDetected, format!("the stored plan has the digest {}, not {digest}", plan.digest)));
    }
    Ok(plan)
}

/// The text in pieces that fit into an object, cut between characters.
fn parts(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while rest.len() > MAX_PART {
        let mut end = MAX_PART;
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (part, after) = rest.split_at(end);
        parts.push(part);
        rest = after;
    }
    parts.push(rest);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_plans_are_cut_between_characters_and_join_again() {
        let text = format!("x{}", "ä".repeat(MAX_PART));
        let parts = parts(&text);
        assert_eq!(parts.len(), 3);
        assert!(parts.iter().all(|part| part.len() <= MAX_PART));
        assert_eq!(parts.concat(), text);
    }

    #[test]
    fn a_plan_of_another_format_is_named_as_such() {
        let (reason, message) =
            parse("{\"format\": 99}", "sha256:0").map(|_| ()).err().unwrap_or((Reason::Failed, String::new()));
        assert_eq!(reason, Reason::UnknownPlanFormat);
        assert!(message.contains("99"), "{message}");
    }
}
