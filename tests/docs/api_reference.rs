//! docs/api.md is what the custom resource definitions say.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use holdfast::api::{SchemaMigration, crd, refusals};
use serde_json::Value;

use crate::pages::root;

const PATH: &str = "docs/api.md";
const UPDATE: &str = "HOLDFAST_UPDATE=1 cargo test --locked --test docs api_reference";

#[test]
fn the_reference_is_current() {
    let (path, page) = (root().join(PATH), page());
    if std::env::var_os("HOLDFAST_UPDATE").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == page, "{PATH} is not current: {UPDATE}");
}

fn page() -> String {
    let mut page =
        format!("<!-- Made from the custom resource definitions by {UPDATE}. -->\n# API reference\n\n{PREFACE}");
    for definition in crd::definitions().unwrap() {
        let names = &definition.spec.names;
        let version = &definition.spec.versions[0];
        let schema = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
        let schema = serde_json::to_value(schema).unwrap();
        let short: Vec<String> = names.short_names.iter().flatten().map(|name| format!(", short `{name}`")).collect();
        let _ = write!(
            page,
            "\n## {}\n\n`apiVersion: {}/{}`, `kind: {}`; in kubectl `{}`{}. {}\n",
            names.kind,
            definition.spec.group,
            version.name,
            names.kind,
            names.plural,
            short.concat(),
            described(&schema)
        );
        let columns: Vec<String> = (version.additional_printer_columns.iter().flatten())
            .map(|column| {
                format!("{}{}", column.name, if column.priority.unwrap_or(0) > 0 { " (with `-o wide`)" } else { "" })
            })
            .collect();
        if !columns.is_empty() {
            let _ = writeln!(page, "\n`kubectl get` shows: {}.", columns.join(", "));
        }
        for part in ["spec", "status"] {
            let top = &schema["properties"][part];
            if top.is_object() {
                sections(part, top, &mut page);
            }
        }
    }
    page.push_str(&refused());
    page
}

const PREFACE: &str = "Every field, as the API server knows it. `[]` stands for each item of a list, `{}` for each value of a map. A field that has no
default and is not required may be left out; its meaning says what that comes to. `kubectl explain smig.spec.gates` shows the same in a terminal.

- A *duration* is written as `500ms`, `90s`, `10m`, `1h30m`. A *quantity* is written as Kubernetes writes it: `512Mi`, `100m`.
- A name of a Secret, a PodTemplate, a ConfigMap or a PersistentVolumeClaim is that of an object in the migration's namespace.
- From the first change on (`status.startedAt`) only `gates`, `suspend`, `rollback` and `contact` of `spec` may change.
";

/// A part of the object: its plain fields in one table, and a table for each field that has fields of its own.
fn sections(path: &str, schema: &Value, page: &mut String) {
    let _ = write!(page, "\n### `{path}`\n\n{}\n", described(schema));
    let mut rows = Vec::new();
    let mut nested = Vec::new();
    for (name, property, required) in properties(schema) {
        rows.push(row(&name, property, required));
        if has_fields(property) {
            nested.push((format!("{path}.{name}"), property));
        }
    }
    table(&rows, page);
    list(&messages(schema).collect::<Vec<_>>(), page);
    for (path, property) in nested {
        let _ = writeln!(page, "\n#### `{path}`");
        let mut rows = Vec::new();
        let mut broken = Vec::new();
        below("", property, &mut rows, &mut broken);
        table(&rows, page);
        list(&broken, page);
    }
}

/// The fields of an object, or of the objects in a list or a map, with the names of those that are required.
fn properties(schema: &Value) -> Vec<(String, &Value, bool)> {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = schema["properties"].as_object();
    (properties.into_iter().flatten())
        .map(|(name, one)| (name.clone(), one, required.contains(&name.as_str())))
        .collect()
}

/// What is in a list or a map, with how a path says so.
fn inner(schema: &Value) -> Option<(&'static str, &Value)> {
    match (&schema["items"], &schema["additionalProperties"]) {
        (items @ Value::Object(_), _) => Some(("[]", items)),
        (_, values @ Value::Object(_)) => Some(("{}", values)),
        _ => None,
    }
}

fn has_fields(schema: &Value) -> bool {
    let within = inner(schema).is_some_and(|(_, inner)| has_fields(inner));
    within || schema["properties"].as_object().is_some_and(|properties| !properties.is_empty())
}

/// Every field below one, with its path from there, and the rules that bind several.
fn below(path: &str, schema: &Value, rows: &mut Vec<String>, broken: &mut Vec<String>) {
    broken.extend(
        messages(schema).map(|message| if path.is_empty() { message.clone() } else { format!("`{path}`: {message}") }),
    );
    if let Some((sign, inner)) = inner(schema) {
        below(&format!("{path}{sign}"), inner, rows, broken);
    }
    for (name, property, required) in properties(schema) {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        rows.push(row(&path, property, required));
        if has_fields(property) {
            below(&path, property, rows, broken);
        }
    }
}

fn table(rows: &[String], page: &mut String) {
    page.push_str("\n| field | type | default | bounds | meaning |\n|---|---|---|---|---|\n");
    rows.iter().for_each(|row| page.push_str(row));
}

/// The rules that bind several fields, in words.
fn list(rules: &[String], page: &mut String) {
    if !rules.is_empty() {
        page.push('\n');
    }
    for rule in rules {
        let _ = writeln!(page, "- {rule}");
    }
}

/// What the API server says where a rule does not hold; rules of a single value are among its bounds.
fn messages(schema: &Value) -> impl Iterator<Item = String> {
    let object = schema["type"] == "object" || schema["type"] == "array";
    let rules = schema["x-kubernetes-validations"].as_array().filter(|_| object);
    rules.into_iter().flatten().filter_map(|rule| rule["message"].as_str().map(one_line))
}

fn row(path: &str, schema: &Value, required: bool) -> String {
    let default = match &schema["default"] {
        Value::Null if required => "required".to_owned(),
        Value::Null => String::new(),
        value => format!("`{}`", value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
    };
    format!(
        "| `{path}` | {} | {default} | {} | {} |\n",
        kind(schema),
        bounds(schema),
        described(schema).replace('|', "\\|")
    )
}

fn kind(schema: &Value) -> String {
    if schema["x-kubernetes-int-or-string"] == true {
        return "quantity".to_owned();
    }
    let pattern = schema["pattern"].as_str().unwrap_or_default();
    match schema["type"].as_str().unwrap_or_default() {
        "array" => format!("list of {}", kind(&schema["items"])),
        "object" if schema["additionalProperties"].is_object() => {
            format!("map of {}", kind(&schema["additionalProperties"]))
        }
        "string" if schema["format"] == "date-time" => "time".to_owned(),
        "string" if pattern.contains("(ms|s|m|h)") && pattern.contains("Keep") => "`Keep` or duration".to_owned(),
        "string" if pattern.contains("(ms|s|m|h)") => "duration".to_owned(),
        other => other.to_owned(),
    }
}

/// What the API server accepts of a value.
fn bounds(schema: &Value) -> String {
    let number = |name: &str| schema[name].as_f64().map(|bound| format!("{bound}"));
    let known = kind(schema);
    let mut found: Vec<String> = Vec::new();
    if let Some(values) = schema["enum"].as_array() {
        return values
            .iter()
            .filter_map(Value::as_str)
            .map(|value| format!("`{value}`"))
            .collect::<Vec<_>>()
            .join(", ");
    }
    match (number("minimum"), number("maximum")) {
        (Some(least), Some(most)) => found.push(format!("{least} to {most}")),
        (Some(least), None) => found.push(format!("{least} or more")),
        (None, Some(most)) => found.push(format!("up to {most}")),
        (None, None) => {}
    }
    if known == "string" {
        match (schema["minLength"].as_u64(), schema["maxLength"].as_u64()) {
            (Some(least), Some(most)) => found.push(format!("{least} to {most} characters")),
            (None, Some(most)) => found.push(format!("up to {most} characters")),
            _ => {}
        }
        // In a cell of a table a bar ends it, even in code.
        found.extend(schema["pattern"].as_str().map(|pattern| format!("`{}`", pattern.replace('|', "\\|"))));
    }
    match (schema["minItems"].as_u64(), schema["maxItems"].as_u64()) {
        (Some(least), Some(most)) => found.push(format!("{least} to {most} items")),
        (None, Some(most)) => found.push(format!("up to {most} items")),
        _ => {}
    }
    found.extend(schema["maxProperties"].as_u64().map(|most| format!("up to {most} entries")));
    if schema["items"]["enum"].is_array() {
        found.push(bounds(&schema["items"]));
    }
    // Durations are bounded by a rule, because no pattern can do it.
    if let Some(rule) = schema["x-kubernetes-validations"].as_array().filter(|_| schema["type"] == "string") {
        found.extend(
            rule.iter()
                .filter_map(|rule| rule["message"].as_str())
                .map(|text| text.trim_start_matches("must be ").to_owned()),
        );
    }
    found.join("; ")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn described(schema: &Value) -> String {
    one_line(schema["description"].as_str().unwrap_or_default())
}

/// What planning refuses of all this: what it says of manifests that ask for everything.
fn refused() -> String {
    let place = regex::Regex::new(r"\[\d+\]").unwrap();
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(root().join("tests/api/manifests/good")).unwrap().map(Result::unwrap) {
        let text = fs::read_to_string(entry.path()).unwrap();
        if text.contains("kind: SchemaMigration") {
            let migration: SchemaMigration = serde_yaml::from_str(&text).unwrap();
            let refused = refusals::refusals(&migration.spec).into_iter();
            found.extend(
                refused
                    .map(|one| format!("| `{}` | {} |\n", place.replace_all(&one.path, "[]"), one_line(one.message))),
            );
        }
    }
    let rows: String = found.into_iter().collect();
    format!(
        "\n## What this version refuses\n\nThe definitions have these fields and values, and planning refuses them, as `kubectl holdfast lint` does.\n\n\
         | field | what it says |\n|---|---|\n{rows}"
    )
}
