//! The custom resource definitions, as they are installed.
//!
//! What the derive macros cannot say is added here: the rules that compare an object with its former self,
//! the default status, and bounds on types that belong to Kubernetes.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::{MigrationApproval, SchemaMigration};

/// Why the definitions could not be made: a defect of the program, which its tests would show.
#[derive(Debug, thiserror::Error)]
#[error("the custom resource definition of {kind} could not be made: {source}")]
pub struct CrdError {
    kind: &'static str,
    source: serde_json::Error,
}

/// The fields of spec that stay as they are from the first change on.
pub const FROZEN_FIELDS: [&str; 17] = [
    "mode",
    "database",
    "preflight",
    "execution",
    "acknowledge",
    "journal",
    "jobs",
    "backup",
    "rehearsal",
    "typeFixes",
    "uniqueConstraints",
    "stages",
    "schemaUpdate",
    "tests",
    "soak",
    "promotion",
    "quarantine",
];

/// What of `spec.backup` stays as it is with them: a newer policy may say how long a backup is kept.
const FROZEN_IN_BACKUP: [&str; 6] = ["type", "job", "volumeSnapshot", "scratch", "verification", "maxAge"];

/// The fields of spec that may change at any time.
pub const OPEN_FIELDS: [&str; 4] = ["contact", "gates", "rollback", "suspend"];

/// The definitions of all resources.
///
/// # Errors
/// When a definition cannot be turned into JSON and back.
pub fn definitions() -> Result<Vec<CustomResourceDefinition>, CrdError> {
    Ok(vec![schema_migration()?, migration_approval()?])
}

/// The definition of SchemaMigration.
///
/// # Errors
/// When it cannot be turned into JSON and back.
pub fn schema_migration() -> Result<CustomResourceDefinition, CrdError> {
    finished("SchemaMigration", SchemaMigration::crd(), |root| {
        root["x-kubernetes-validations"] = FROZEN_FIELDS.iter().map(|field| frozen(field)).collect();
        let status = &mut root["properties"]["status"];
        status["default"] = json!({"observedGeneration": -1});
        bound_conditions(&mut status["properties"]["conditions"]);
    })
}

/// The definition of MigrationApproval.
///
/// # Errors
/// When it cannot be turned into JSON and back.
pub fn migration_approval() -> Result<CustomResourceDefinition, CrdError> {
    finished("MigrationApproval", MigrationApproval::crd(), |_| {})
}

/// Name of the file that holds a definition.
#[must_use]
pub fn file_name(definition: &CustomResourceDefinition) -> String {
    format!("{}.yaml", definition.metadata.name.as_deref().unwrap_or_default())
}

/// A definition as a YAML document.
///
/// # Errors
/// When it cannot be written.
pub fn yaml(definition: &CustomResourceDefinition) -> Result<String, serde_yaml::Error> {
    serde_yaml::to_string(definition)
}

/// A definition as a template of the chart `holdfast-crds`: Helm keeps it when the chart is uninstalled, since with it
/// every migration and its history would go.
///
/// # Errors
/// When it cannot be written.
pub fn chart_template(definition: &CustomResourceDefinition) -> Result<String, serde_yaml::Error> {
    let mut definition = definition.clone();
    definition
        .metadata
        .annotations
        .get_or_insert_default()
        .insert("helm.sh/resource-policy".to_owned(), "keep".to_owned());
    Ok(yaml(&definition)?.replace("{{", "{{ \"{{\" }}"))
}

fn finished(
    kind: &'static str,
    definition: CustomResourceDefinition,
    complete: impl FnOnce(&mut Value),
) -> Result<CustomResourceDefinition, CrdError> {
    let wrong = |source| CrdError { kind, source };
    let mut value = serde_json::to_value(definition).map_err(wrong)?;
    let root = &mut value["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    if let Some(root) = root.as_object_mut() {
        root.remove("title");
    }
    complete(root);
    tidy(root);
    serde_json::from_value(value).map_err(wrong)
}

/// A rule of the whole object, since only there spec and status are both in sight.
fn frozen(field: &str) -> Value {
    let started = "has(oldSelf.status) && has(oldSelf.status.startedAt)";
    let rolled_back = "has(oldSelf.status.conditions) && oldSelf.status.conditions.exists(c, c.type == 'RolledBack' && c.status == 'True')";
    let same = if field == "backup" {
        FROZEN_IN_BACKUP.map(|member| same(&format!("{field}.{member}"))).join(" && ")
    } else {
        same(field)
    };
    json!({
        "rule": format!("!({started}) || ({rolled_back}) || ({same})"),
        "fieldPath": format!(".spec.{field}"),
        "reason": "FieldValueForbidden",
        "message": format!(
            "spec.{field} cannot change once the migration has made its first change (status.startedAt): only gates, suspend, \
             rollback, contact and backup.retention may. Let it end, or roll it back with the annotation holdfast.dev/rollback-at and edit it then"
        ),
    })
}

fn same(path: &str) -> String {
    format!(
        "has(self.spec.{path}) == has(oldSelf.spec.{path}) && (!has(self.spec.{path}) || self.spec.{path} == oldSelf.spec.{path})"
    )
}

/// Kubernetes bounds these fields in its own types only by words; the cost of a rule is reckoned from the bounds.
fn bound_conditions(conditions: &mut Value) {
    conditions["maxItems"] = json!(32);
    let condition = &mut conditions["items"];
    condition["description"] = json!("One aspect of the state.");
    let properties = &mut condition["properties"];
    for (name, description, bounds) in [
        ("type", "The aspect.", json!({"maxLength": 316})),
        ("status", "True, False or Unknown.", json!({"enum": ["True", "False", "Unknown"]})),
        (
            "reason",
            "Why, as one word.",
            json!({"minLength": 1, "maxLength": 1024, "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"}),
        ),
        ("message", "Why, in words, and what to do.", json!({"maxLength": 32768})),
        ("observedGeneration", "Generation of the spec that this speaks of.", json!({"minimum": 0})),
        ("lastTransitionTime", "When the status last changed.", json!({})),
    ] {
        let property = &mut properties[name];
        property["description"] = json!(description);
        if let (Some(property), Value::Object(bounds)) = (property.as_object_mut(), bounds) {
            property.extend(bounds);
        }
    }
}

/// Takes out what the generator adds and the API server needs not: a null is never stored for a field that may be left
/// out, and Kubernetes' own long descriptions are in Kubernetes' own documentation.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            // A field of that name has a schema there, which is no boolean.
            if map.get("nullable").is_some_and(Value::is_boolean) {
                map.remove("nullable");
            }
            if map.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
                map.insert("pattern".to_owned(), json!(QUANTITY));
                map.insert("maxLength".to_owned(), json!(32));
                if map.get("description").and_then(Value::as_str).is_some_and(|text| text.starts_with("Quantity is")) {
                    map.remove("description");
                }
            }
            map.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// What an amount of memory, storage or processor time looks like.
const QUANTITY: &str = "^[0-9]+(\\.[0-9]+)?([EPTGMk]i?|Ki|[mun])?$";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    fn schema() -> Value {
        let value = serde_json::to_value(schema_migration().unwrap()).unwrap();
        value["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
    }

    fn walk(path: &str, schema: &Value, see: &mut impl FnMut(&str, &Value)) {
        see(path, schema);
        if let Some(properties) = schema["properties"].as_object() {
            for (name, property) in properties {
                walk(&format!("{path}.{name}"), property, see);
            }
        }
        for inner in ["items", "additionalProperties"] {
            if schema[inner].is_object() {
                walk(&format!("{path}[]"), &schema[inner], see);
            }
        }
    }

    #[test]
    fn files_are_what_the_program_generates() {
        for definition in definitions().unwrap() {
            let name = file_name(&definition);
            let generated = yaml(&definition).unwrap();
            let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds").join(&name);
            let written = fs::read_to_string(&crds).unwrap_or_default();
            assert!(written == generated, "crds/{name} is not what the program generates: run `make crds`");
        }
    }

    #[test]
    fn the_chart_carries_the_same_definitions_and_keeps_them_on_uninstall() {
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/holdfast-crds/templates");
        for definition in definitions().unwrap() {
            let name = file_name(&definition);
            let text = fs::read_to_string(chart.join(&name)).unwrap_or_default();
            assert!(
                text == chart_template(&definition).unwrap(),
                "charts/holdfast-crds/templates/{name} differs: run `make crds`"
            );
            assert!(text.contains("helm.sh/resource-policy: keep"), "{name}");
        }
    }

    #[test]
    fn definitions_stay_under_200_kilobytes_as_json() {
        for definition in definitions().unwrap() {
            let bytes = serde_json::to_vec(&definition).unwrap().len();
            assert!(bytes < 200_000, "{:?} has {bytes} bytes", definition.metadata.name);
        }
    }

    #[test]
    fn every_field_of_spec_is_either_frozen_or_open() {
        let schema = schema();
        let fields: BTreeSet<_> =
            schema["properties"]["spec"]["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let sorted: BTreeSet<_> = FROZEN_FIELDS.into_iter().chain(OPEN_FIELDS).collect();
        assert_eq!(fields, sorted);
        let backup = &schema["properties"]["spec"]["properties"]["backup"]["properties"];
        let members: BTreeSet<_> = backup.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, FROZEN_IN_BACKUP.into_iter().chain(["retention"]).collect());
    }

    #[test]
    fn every_field_is_described() {
        let mut missing = Vec::new();
        walk("", &schema(), &mut |path, schema| {
            let known_to_kubernetes = ["", ".apiVersion", ".kind", ".metadata"].contains(&path);
            if !known_to_kubernetes
                && !path.ends_with("[]")
                && schema["description"].as_str().unwrap_or_default().len() < 4
            {
                missing.push(path.to_owned());
            }
        });
        assert!(missing.is_empty(), "fields without a description: {missing:?}");
    }

    #[test]
    fn every_list_string_and_map_of_spec_is_bounded_and_every_list_has_a_type() {
        let mut wrong = Vec::new();
        walk("spec", &schema()["properties"]["spec"], &mut |path, schema| {
            let bounded = match schema["type"].as_str() {
                Some("string") => schema["maxLength"].is_number() || schema["enum"].is_array(),
                Some("array") => schema["maxItems"].is_number() && schema["x-kubernetes-list-type"].is_string(),
                Some("object") if schema["additionalProperties"].is_object() => schema["maxProperties"].is_number(),
                Some("integer") => schema["minimum"].is_number(),
                _ => true,
            };
            if !bounded {
                wrong.push(path.to_owned());
            }
        });
        assert!(wrong.is_empty(), "not bounded: {wrong:?}");
    }

    #[test]
    fn the_definition_knows_every_field_of_the_types() {
        let example = serde_json::to_value(crate::api::example::spec()).unwrap();
        let mut missing = Vec::new();
        unknown("spec", &example, &schema()["properties"]["spec"], &mut missing);
        assert!(missing.is_empty(), "not in the definition: {missing:?}");
    }

    fn unknown(path: &str, value: &Value, schema: &Value, missing: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                for (name, value) in map {
                    let path = format!("{path}.{name}");
                    let property = schema["properties"].get(name).or_else(|| schema.get("additionalProperties"));
                    match property {
                        Some(property) => unknown(&path, value, property, missing),
                        None => missing.push(path),
                    }
                }
            }
            Value::Array(items) => {
                items.iter().for_each(|item| unknown(&format!("{path}[]"), item, &schema["items"], missing))
            }
            _ => {}
        }
    }

    #[test]
    fn integers_are_signed() {
        walk("", &schema(), &mut |path, schema| {
            assert!(!schema["format"].as_str().unwrap_or_default().starts_with('u'), "{path}");
        });
    }

    #[test]
    fn a_new_object_has_a_status_that_says_it_was_not_seen() {
        assert_eq!(schema()["properties"]["status"]["default"], json!({"observedGeneration": -1}));
    }

    #[test]
    fn choices_that_matter_have_no_default() {
        let schema = schema();
        let spec = &schema["properties"]["spec"];
        for field in ["gates", "rehearsal", "backup", "database"] {
            assert!(spec["required"].as_array().unwrap().contains(&json!(field)), "{field}");
            assert!(spec["properties"][field].get("default").is_none(), "{field}");
        }
        assert!(spec["properties"]["backup"]["required"].as_array().unwrap().contains(&json!("verification")));
        assert!(spec["properties"]["rehearsal"]["required"].as_array().unwrap().contains(&json!("enabled")));
    }
}
