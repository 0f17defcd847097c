//! The documents of a file, and everything that is asked about each of them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::Deserialize as _;
use serde_json::Value;

use super::finding::Finding;
use super::{lines, rules, structure};
use crate::api::{GROUP, MigrationApproval, SchemaMigration, VERSION, crd};
use crate::controller::gates;
use crate::plan::input;

/// What was found in a file: each finding with its line and the object that it is about.
#[derive(Debug, Default)]
pub struct Report {
    /// Objects of Holdfast that were looked at.
    pub objects: u64,
    /// What is wrong.
    pub findings: Vec<(Option<usize>, String, Finding)>,
}

/// Looks at the text of a file as it is at a moment: a window may be impossible at one and not at another.
#[must_use]
pub fn look(text: &str, now: Timestamp) -> Report {
    let mut report = Report::default();
    let lines = lines::of_documents(text);
    let nowhere = BTreeMap::new();
    for (number, document) in serde_yaml::Deserializer::from_str(text).enumerate() {
        let lines = lines.get(number).unwrap_or(&nowhere);
        match read(document) {
            Ok(value) => object(&value, "", lines, now, &mut report),
            Err(error) => {
                let line = error.location().map(|location| location.line());
                let finding = Finding::new("", format!("cannot be read as YAML: {error}"), "Correct the file there.");
                report.findings.push((line, String::new(), finding));
                // What follows in the file cannot be told apart from what is broken.
                break;
            }
        }
    }
    report.findings.sort_by_key(|(line, ..)| *line);
    report
}

/// The documents of a file as kubectl reads them.
///
/// # Errors
/// What of it is no YAML.
pub fn documents(text: &str) -> Result<Vec<Value>, serde_yaml::Error> {
    serde_yaml::Deserializer::from_str(text).map(read).collect()
}

/// A document as kubectl reads it: merge keys followed. A key that is there twice, of which JSON would keep the last, is an error.
fn read(document: serde_yaml::Deserializer<'_>) -> Result<Value, serde_yaml::Error> {
    let mut value = serde_yaml::Value::deserialize(document)?;
    value.apply_merge()?;
    serde_yaml::from_value(value)
}

/// An object, or each item of a List; `at` is its path in the document.
fn object(value: &Value, at: &str, lines: &BTreeMap<String, usize>, now: Timestamp, report: &mut Report) {
    let (version, kind) =
        (value["apiVersion"].as_str().unwrap_or_default(), value["kind"].as_str().unwrap_or_default());
    if kind.ends_with("List") && value["items"].is_array() {
        for (number, item) in value["items"].as_array().into_iter().flatten().enumerate() {
            let at = if at.is_empty() { format!("items[{number}]") } else { format!("{at}.items[{number}]") };
            object(item, &at, lines, now, report);
        }
        return;
    }
    let ours = version.split('/').next() == Some(GROUP) || matches!(kind, "SchemaMigration" | "MigrationApproval");
    if !ours {
        return;
    }
    report.objects += 1;
    let name = value["metadata"]["name"].as_str().unwrap_or("without a name");
    let subject = format!("{kind} {name}");
    for finding in findings(value, version, kind, now) {
        let path = match (at.is_empty(), finding.path.is_empty()) {
            (true, _) => finding.path.clone(),
            (false, true) => at.to_owned(),
            (false, false) => format!("{at}.{}", finding.path),
        };
        report.findings.push((lines::line(lines, &path), subject.clone(), finding));
    }
}

fn findings(value: &Value, version: &str, kind: &str, now: Timestamp) -> Vec<Finding> {
    if version != format!("{GROUP}/{VERSION}") {
        let way_out = format!("Write {GROUP}/{VERSION}.");
        return vec![Finding::new("apiVersion", "is not served by Holdfast", way_out).with_value(&value["apiVersion"])];
    }
    let definition = match kind {
        "SchemaMigration" => crd::schema_migration(),
        "MigrationApproval" => crd::migration_approval(),
        _ => {
            let way_out = "Write SchemaMigration or MigrationApproval.";
            return vec![Finding::new("kind", "is no kind of Holdfast", way_out).with_value(&value["kind"])];
        }
    };
    let schema = definition.map_err(|error| error.to_string()).and_then(|definition| schema(&definition));
    let schema = match schema {
        Ok(schema) => schema,
        Err(error) => return vec![Finding::new("", error, "This is a defect of the plugin: report it.")],
    };
    let mut found = Vec::new();
    match value["metadata"]["name"].as_str() {
        Some(name) if !is_object_name(name) => {
            let way_out = "Use lower-case letters, digits, - and ., beginning and ending with a letter or digit, at most 253 of them.";
            found.push(
                Finding::new("metadata.name", "is no name of an object", way_out)
                    .with_value(&value["metadata"]["name"]),
            );
        }
        None if value["metadata"]["generateName"].as_str().is_none() => {
            found.push(Finding::new("metadata.name", "is required and missing", "Give the object a name."));
        }
        _ => {}
    }
    // What every object has is not in the definition's schema.
    let mut own = value.clone();
    if let Some(own) = own.as_object_mut() {
        own.retain(|name, _| !matches!(name.as_str(), "apiVersion" | "kind" | "metadata"));
    }
    found.extend(structure::check(&schema, &own, ""));
    // As the API server, which looks at the rules only where the structure holds; and the operator sees only what has passed it.
    if found.iter().all(|finding| finding.problem == structure::UNKNOWN) {
        let broken = rules::check(&schema, value);
        found.extend(if broken.is_empty() { meaning(value, kind, now) } else { broken });
    }
    found
}

/// Whether the API server takes it as a name: an RFC 1123 subdomain.
#[must_use]
pub fn is_object_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        bytes.first().copied().is_some_and(plain)
            && bytes.last().copied().is_some_and(plain)
            && bytes.iter().all(|byte| plain(*byte) || *byte == b'-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

fn schema(definition: &CustomResourceDefinition) -> Result<Value, String> {
    let schema = definition.spec.versions.first().and_then(|version| version.schema.as_ref());
    serde_json::to_value(schema.and_then(|schema| schema.open_api_v3_schema.as_ref()))
        .map_err(|error| error.to_string())
}

/// What the operator would say before it looks at the database.
fn meaning(value: &Value, kind: &str, now: Timestamp) -> Vec<Finding> {
    let unreadable = |error: serde_json::Error| {
        vec![Finding::new("", format!("cannot be read as a {kind}: {error}"), "Correct the value that is named.")]
    };
    if kind == "MigrationApproval" {
        return serde_json::from_value::<MigrationApproval>(value.clone()).map_or_else(unreadable, |_| Vec::new());
    }
    let migration: SchemaMigration = match serde_json::from_value(value.clone()) {
        Ok(migration) => migration,
        Err(error) => return unreadable(error),
    };
    let gates = gates::problems(&migration, now);
    // With what this version does not do.
    let planning = input::tables(&migration.spec).err().unwrap_or_default();
    let planning = planning.into_iter().map(|problem| (problem.path, problem.message));
    planning.chain(gates).map(|(path, message)| with_value(value, path, message)).collect()
}

/// What the operator says about a field, with its value. The message names the way out.
fn with_value(value: &Value, path: String, message: String) -> Finding {
    let at = at_path(value, &path).filter(|value| !value.is_object() && !value.is_array()).cloned();
    let finding = Finding::new(path, message, "");
    match at {
        Some(at) => finding.with_value(&at),
        None => finding,
    }
}

/// The value at a path such as `spec.gates[0].before`.
fn at_path<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let pointer = path.replace('[', ".").replace(']', "").replace('.', "/");
    value.pointer(&format!("/{pointer}"))
}
