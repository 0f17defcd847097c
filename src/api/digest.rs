//! Digests over JSON, and the digest of a migration's content.
//!
//! `contentDigest` says whether two environments roll out the same thing: it covers what is done to the database and how it
//! is tested, and leaves out where and under what limits (database, execution, backup, gates and the like), which overlays patch.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::SchemaMigrationSpec;

/// `sha256:` and the hexadecimal digits of the SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    let mut text = String::from("sha256:");
    for byte in Sha256::digest(bytes) {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// JSON without spaces and with the members of objects in the order of their names, so that equal values give equal text.
#[must_use]
pub fn canonical_json(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            let members: Vec<_> = sorted
                .into_iter()
                .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), canonical_json(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical_json).collect::<Vec<_>>().join(",")),
        scalar => scalar.to_string(),
    }
}

/// The digest of anything that has a JSON form.
///
/// # Errors
/// When it has none, such as a map whose keys are not strings.
pub fn of_json(value: &impl Serialize) -> Result<String, serde_json::Error> {
    Ok(sha256(canonical_json(&serde_json::to_value(value)?).as_bytes()))
}

/// The fields of spec that are content; the others are environment.
pub const CONTENT_FIELDS: [&str; 6] =
    ["acknowledge", "schemaUpdate", "stages", "tests", "typeFixes", "uniqueConstraints"];

/// The digest of the content part of a spec, with the digests ([`of_json`] of the PodTemplate's `template`) of the pod
/// templates that it names ([`SchemaMigrationSpec::pod_templates`]), by name.
///
/// # Errors
/// When the spec has no JSON form, which none of its types allows.
pub fn content_digest(
    spec: &SchemaMigrationSpec,
    pod_templates: &BTreeMap<String, String>,
) -> Result<String, serde_json::Error> {
    of_json(&content(spec, pod_templates))
}

fn content(spec: &SchemaMigrationSpec, pod_templates: &BTreeMap<String, String>) -> Value {
    let mut acknowledge = spec.acknowledge.clone();
    acknowledge.sort();
    json!({
        "acknowledge": acknowledge,
        "podTemplates": pod_templates,
        "schemaUpdate": spec.schema_update,
        "stages": spec.stages,
        "tests": spec.tests,
        "typeFixes": spec.type_fixes,
        "uniqueConstraints": spec.unique_constraints,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::api::example;

    #[test]
    fn canonical_json_orders_members_and_escapes_names() {
        let value: Value = serde_json::from_str(r#"{"b":[1,{"z":null,"y":"ü\n"}],"a\"":true}"#).unwrap();
        assert_eq!(canonical_json(&value), r#"{"a\"":true,"b":[1,{"y":"ü\n","z":null}]}"#);
    }

    #[test]
    fn sha256_is_the_published_one() {
        assert_eq!(sha256(b"abc"), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn the_digest_is_of_the_content_fields_and_of_what_they_name() {
        let content = content(&example::spec(), &BTreeMap::new());
        let fields: Vec<&str> = content.as_object().unwrap().keys().map(String::as_str).collect();
        let named: Vec<&str> = fields.into_iter().filter(|field| *field != "podTemplates").collect();
        assert_eq!(named, CONTENT_FIELDS);
    }

    #[test]
    fn the_environment_does_not_change_the_digest() {
        let spec = example::spec();
        let digest = content_digest(&spec, &BTreeMap::new()).unwrap();
        let mut other = spec.clone();
        other.database.host = "another".to_owned();
        other.suspend = true;
        other.gates.clear();
        other.execution.max_retries = 3;
        other.backup.max_age = crate::api::Duration::from_millis(60_000);
        other.contact = None;
        other.acknowledge.reverse();
        other.promotion = None;
        other.journal = serde_json::from_value(json!({"tablePrefix": "holdfast_"})).unwrap();
        other.rollback.on_failure = crate::api::gates::OnFailure::Undo;
        other.soak = Some(serde_json::from_value(json!({"duration": "15m"})).unwrap());
        assert_eq!(content_digest(&other, &BTreeMap::new()).unwrap(), digest);
    }

    #[test]
    fn every_part_of_the_content_changes_the_digest() {
        type Change = fn(&mut SchemaMigrationSpec);
        let changes: [(&str, Change); 6] = [
            ("type fix", |spec| spec.type_fixes[0].name.push('x')),
            ("unique constraint", |spec| spec.unique_constraints.clear()),
            ("foreign key", |spec| spec.stages[0].foreign_keys[0].columns.push("x".to_owned())),
            ("acknowledgement", |spec| spec.acknowledge.clear()),
            ("schema update", |spec| spec.schema_update = None),
            ("test", |spec| spec.tests.jobs.clear()),
        ];
        let digest = content_digest(&example::spec(), &BTreeMap::new()).unwrap();
        for (what, change) in changes {
            let mut spec = example::spec();
            change(&mut spec);
            assert_ne!(content_digest(&spec, &BTreeMap::new()).unwrap(), digest, "{what}");
        }
        let templates = BTreeMap::from([("app-tests".to_owned(), sha256(b"other"))]);
        assert_ne!(content_digest(&example::spec(), &templates).unwrap(), digest, "pod template");
    }
}
