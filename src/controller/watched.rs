//! What the watch of SchemaMigrations keeps of each: who it is, and which version was seen. Every pass reads its object anew, so
//! more would be kept in vain; a status, managed fields and an applied manifest of a hundred kilobytes, a thousand times over.

use std::borrow::Cow;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Deserializer};

use crate::api::SchemaMigration;

/// A SchemaMigration that was seen.
#[derive(Debug, Clone, Deserialize)]
pub struct Watched {
    #[serde(deserialize_with = "identity")]
    metadata: ObjectMeta,
}

/// Reads a few fields and passes over the others, so that they are not even built.
fn identity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Identity {
        name: Option<String>,
        namespace: Option<String>,
        uid: Option<String>,
        resource_version: Option<String>,
    }
    let Identity { name, namespace, uid, resource_version } = Identity::deserialize(deserializer)?;
    Ok(ObjectMeta { name, namespace, uid, resource_version, ..ObjectMeta::default() })
}

impl Resource for Watched {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        SchemaMigration::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        SchemaMigration::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        SchemaMigration::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        SchemaMigration::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn nothing_is_kept_but_the_identity() {
        let seen: Watched = serde_json::from_value(serde_json::json!({
            "apiVersion": "holdfast.dev/v1alpha1", "kind": "SchemaMigration",
            "metadata": {
                "name": "m", "namespace": "shop", "uid": "u", "resourceVersion": "7", "generation": 2,
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "long"},
                "managedFields": [{"manager": "holdfast", "fieldsV1": {"f:status": {}}}],
            },
            "spec": {"gates": []}, "status": {"phase": "Complete"},
        }))
        .unwrap();
        let expected = ObjectMeta {
            name: Some("m".to_owned()),
            namespace: Some("shop".to_owned()),
            uid: Some("u".to_owned()),
            resource_version: Some("7".to_owned()),
            ..ObjectMeta::default()
        };
        assert_eq!(seen.metadata, expected);
        assert_eq!(Watched::url_path(&(), Some("shop")), SchemaMigration::url_path(&(), Some("shop")));
    }
}
