//! What the watch of SchemaMigrations keeps of each: who it is, and which version was seen. Every pass reads its object anew, so
//! more would be kept in vain; a status, managed fields and an applied manifest of a hundred kilobytes, a thousand times over.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::runtime::watcher;
use serde::{Deserialize, Deserializer};

use crate::api::SchemaMigration;

/// A SchemaMigration that was seen.
#[derive(Debug, Clone)]
pub struct Watched {
    metadata: ObjectMeta,
    /// A digest of what others than the operator change.
    asked: u64,
}

impl Watched {
    /// Changes when somebody changes what is asked for: specification, annotations, finalizers, or the object is being deleted. Not when
    /// only its status does, which the operator writes itself.
    #[must_use]
    pub fn asked(&self) -> Option<u64> {
        Some(self.asked)
    }

    /// Lets a deletion be noticed as a change.
    #[must_use]
    pub fn noticing_deletion(event: watcher::Event<Self>) -> watcher::Event<Self> {
        match event {
            watcher::Event::Delete(gone) => watcher::Event::Delete(Self { asked: !gone.asked, ..gone }),
            other => other,
        }
    }
}

/// Reads a few fields and passes over the others, so that they are not even built.
impl<'de> Deserialize<'de> for Watched {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Object {
            metadata: Metadata,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Metadata {
            name: Option<String>,
            namespace: Option<String>,
            uid: Option<String>,
            resource_version: Option<String>,
            generation: Option<i64>,
            deletion_timestamp: Option<String>,
            #[serde(default)]
            annotations: BTreeMap<String, String>,
            #[serde(default)]
            finalizers: Vec<String>,
        }
        let Metadata {
            name,
            namespace,
            uid,
            resource_version,
            generation,
            deletion_timestamp,
            annotations,
            finalizers,
        } = Object::deserialize(deserializer)?.metadata;
        let mut hasher = DefaultHasher::new();
        (generation, deletion_timestamp, annotations, finalizers).hash(&mut hasher);
        let metadata = ObjectMeta { name, namespace, uid, resource_version, ..ObjectMeta::default() };
        Ok(Self { metadata, asked: hasher.finish() })
    }
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
    fn only_what_the_operator_writes_itself_goes_unnoticed() {
        let asked = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut object = serde_json::json!({
                "apiVersion": "holdfast.dev/v1alpha1", "kind": "SchemaMigration",
                "metadata": {"name": "m", "namespace": "shop", "uid": "u", "resourceVersion": "7", "generation": 2, "finalizers": ["f"]},
                "spec": {"gates": []}, "status": {"phase": "Complete"},
            });
            change(&mut object);
            serde_json::from_value::<Watched>(object).unwrap().asked()
        };
        let before = asked(&|_| {});
        let own: [&dyn Fn(&mut serde_json::Value); 2] =
            [&|object| object["status"]["phase"] = "Validate".into(), &|object| {
                object["metadata"]["resourceVersion"] = "8".into()
            }];
        for change in own {
            assert_eq!(asked(change), before);
        }
        let others: [&dyn Fn(&mut serde_json::Value); 4] = [
            &|object| object["metadata"]["generation"] = 3.into(),
            &|object| object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into(),
            &|object| object["metadata"]["annotations"] = serde_json::json!({"holdfast.dev/retry-at": "1"}),
            &|object| object["metadata"]["finalizers"] = serde_json::json!([]),
        ];
        for change in others {
            assert_ne!(asked(change), before);
        }
        let seen: Watched = serde_json::from_value(serde_json::json!({"metadata": {"name": "m"}})).unwrap();
        let before = seen.asked();
        match Watched::noticing_deletion(watcher::Event::Delete(seen)) {
            watcher::Event::Delete(gone) => assert_ne!(gone.asked(), before),
            other => panic!("{other:?}"),
        }
    }

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
