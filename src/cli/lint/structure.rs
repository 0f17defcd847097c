//! Compares a manifest with the schema of its custom resource definition, as the API server does, and stricter in one point: a field
//! that the schema does not know, which the API server drops with a warning at best, is a finding.

use std::collections::BTreeMap;

use jiff::Timestamp;
use regex::Regex;
use serde_json::{Map, Value};

use super::finding::Finding;

/// Names less alike than this are not proposed for a misspelt one.
const ALIKE: f64 = 0.75;
/// What is said of a field that the schema does not know.
pub(super) const UNKNOWN: &str = "is no field of this resource";

/// What is wrong with the value at a path.
#[must_use]
pub(super) fn check(schema: &Value, value: &Value, path: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    any(schema, value, path, &mut found);
    found
}

fn any(schema: &Value, value: &Value, path: &str, found: &mut Vec<Finding>) {
    if schema["x-kubernetes-int-or-string"] == true {
        match value {
            Value::Number(_) => {}
            Value::String(text) => string(schema, text, value, path, found),
            other => found.push(wrong(schema, path, other, "must be a number or a string")),
        }
        return;
    }
    let wanted = schema["type"].as_str().unwrap_or_default();
    match (wanted, value) {
        ("object", Value::Object(map)) => object(schema, map, path, found),
        ("array", Value::Array(items)) => array(schema, items, path, found),
        ("string", Value::String(text)) => string(schema, text, value, path, found),
        ("integer", Value::Number(number)) if number.is_i64() || number.is_u64() => {
            bounds(schema, number.as_i64(), value, path, found);
        }
        ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) | ("", _) => {}
        _ => {
            let article = if matches!(wanted, "object" | "array" | "integer") { "an" } else { "a" };
            found.push(wrong(schema, path, value, &format!("must be {article} {wanted}")));
        }
    }
}

fn object(schema: &Value, map: &Map<String, Value>, path: &str, found: &mut Vec<Finding>) {
    let properties = schema["properties"].as_object();
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        // A null is how a tool leaves a field out.
        if map.get(name).is_none_or(Value::is_null) {
            let description = described(&schema["properties"][name]);
            found.push(Finding::new(join(path, name), "is required and missing", description));
        }
    }
    for (name, value) in map.iter().filter(|(_, value)| !value.is_null()) {
        let path = join(path, name);
        match (properties.and_then(|properties| properties.get(name)), &schema["additionalProperties"]) {
            (Some(property), _) => any(property, value, &path, found),
            (None, Value::Object(_)) => any(&schema["additionalProperties"], value, &path, found),
            (None, Value::Bool(true)) => {}
            (None, _) if schema["x-kubernetes-preserve-unknown-fields"] == true || properties.is_none() => {}
            (None, _) => found.push(Finding::new(path, UNKNOWN, spelling(name, properties))),
        }
    }
    let most = schema["maxProperties"].as_u64();
    if let Some(most) = most.filter(|most| map.len() as u64 > *most) {
        found.push(wrong(schema, path, &Value::from(map.len()), &format!("must have at most {most} members")));
    }
}

/// What was probably meant.
fn spelling(name: &str, properties: Option<&Map<String, Value>>) -> String {
    let names: Vec<&str> = properties.into_iter().flat_map(Map::keys).map(String::as_str).collect();
    let alike = names.iter().map(|known| (strsim::jaro_winkler(name, known), known)).filter(|(like, _)| *like >= ALIKE);
    match alike.max_by(|one, other| one.0.total_cmp(&other.0)) {
        Some((_, known)) => format!("The API server would drop it; write {known}, or remove it."),
        None => format!("The API server would drop it; remove it, or write one of {}.", names.join(", ")),
    }
}

fn array(schema: &Value, items: &[Value], path: &str, found: &mut Vec<Finding>) {
    let count = Value::from(items.len());
    if let Some(least) = schema["minItems"].as_u64().filter(|least| (items.len() as u64) < *least) {
        found.push(wrong(schema, path, &count, &format!("must have at least {least} items")));
    }
    if let Some(most) = schema["maxItems"].as_u64().filter(|most| items.len() as u64 > *most) {
        found.push(wrong(schema, path, &count, &format!("must have at most {most} items")));
    }
    let keys: Vec<&str> =
        schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let set = schema["x-kubernetes-list-type"] == "set";
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        any(&schema["items"], item, &path, found);
        let identity: Vec<&Value> = if set { vec![item] } else { keys.iter().map(|key| &item[*key]).collect() };
        if identity.is_empty() {
            continue;
        }
        let text = identity.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        if let Some(first) = seen.get(&text) {
            let problem = format!("is there already, as item {first}");
            found.push(Finding::new(path, problem, "Give each its own, or remove one.").with_value(identity[0]));
        } else {
            seen.insert(text, index);
        }
    }
}

fn string(schema: &Value, text: &str, value: &Value, path: &str, found: &mut Vec<Finding>) {
    let allowed = schema["enum"].as_array();
    if let Some(allowed) = allowed.filter(|allowed| !allowed.contains(value)) {
        let names: Vec<String> = allowed.iter().map(|name| name.as_str().unwrap_or_default().to_owned()).collect();
        found.push(wrong(schema, path, value, &format!("must be one of {}", names.join(", "))));
        return;
    }
    let length = text.chars().count() as u64;
    if let Some(least) = schema["minLength"].as_u64().filter(|least| length < *least) {
        let problem =
            if least == 1 { "must not be empty".to_owned() } else { format!("must have at least {least} characters") };
        found.push(wrong(schema, path, value, &problem));
        return;
    }
    if let Some(most) = schema["maxLength"].as_u64().filter(|most| length > *most) {
        found.push(wrong(schema, path, value, &format!("has {length} characters and may have {most}")));
        return;
    }
    if schema["format"] == "date-time" && text.parse::<Timestamp>().is_err() {
        found.push(wrong(schema, path, value, "must be a time such as 2026-11-24T10:00:00Z"));
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        match Regex::new(pattern) {
            Ok(regex) if regex.is_match(text) => {}
            Ok(_) => found.push(wrong(schema, path, value, &format!("must match {pattern}"))),
            Err(error) => {
                found.push(wrong(schema, path, value, &format!("cannot be compared with {pattern}: {error}")))
            }
        }
    }
}

fn bounds(schema: &Value, number: Option<i64>, value: &Value, path: &str, found: &mut Vec<Finding>) {
    let range = match schema["format"].as_str() {
        Some("int32") => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => (i64::MIN, i64::MAX),
    };
    let bound = |name: &str| schema[name].as_f64().map(|bound| bound as i64);
    let (least, most) = (bound("minimum").unwrap_or(range.0), bound("maximum").unwrap_or(range.1));
    if number.is_none_or(|number| number < least || number > most) {
        let problem = match (bound("minimum"), bound("maximum")) {
            (Some(least), None) => format!("must be {least} or more"),
            _ => format!("must be between {least} and {most}"),
        };
        found.push(wrong(schema, path, value, &problem));
    }
}

/// A finding whose way out is what the schema says about the field.
fn wrong(schema: &Value, path: &str, value: &Value, problem: &str) -> Finding {
    Finding::new(path, problem, described(schema)).with_value(value)
}

fn described(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(schema: &Value, value: &Value) -> Vec<String> {
        check(schema, value, "spec").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_misspelt_field_is_named_with_the_one_that_was_meant() {
        let schema = json!({"type": "object", "properties": {"gates": {"type": "array", "items": {}}, "suspend": {"type": "boolean"}}});
        let findings = check(&schema, &json!({"gate": []}), "spec");
        assert_eq!(findings[0].to_string(), "spec.gate: is no field of this resource");
        assert_eq!(findings[0].way_out, "The API server would drop it; write gates, or remove it.");
        let findings = check(&schema, &json!({"x": 1}), "spec");
        assert_eq!(findings[0].way_out, "The API server would drop it; remove it, or write one of gates, suspend.");
    }

    #[test]
    fn a_null_is_a_field_that_is_left_out() {
        let schema = json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "string", "description": "The a."}, "b": {"type": "string"}}});
        assert_eq!(found(&schema, &json!({"a": "x", "b": null})), Vec::<String>::new());
        assert_eq!(found(&schema, &json!({"a": null})), ["spec.a: is required and missing"]);
    }

    #[test]
    fn values_out_of_bounds_are_told_with_their_bounds() {
        let integer = json!({"type": "integer", "format": "int32", "minimum": 1, "maximum": 10});
        assert_eq!(found(&integer, &json!(11)), ["spec: 11: must be between 1 and 10"]);
        assert_eq!(found(&json!({"type": "integer", "minimum": 0}), &json!(-1)), ["spec: -1: must be 0 or more"]);
        assert_eq!(
            found(&json!({"type": "integer", "format": "int32"}), &json!(3_000_000_000_i64)),
            ["spec: 3000000000: must be between -2147483648 and 2147483647"]
        );
        assert_eq!(found(&integer, &json!("1")), ["spec: \"1\": must be an integer"]);
    }

    #[test]
    fn items_of_a_set_or_a_named_list_are_there_once() {
        let named = json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": {}});
        assert_eq!(
            found(&named, &json!([{"name": "a"}, {"name": "a"}])),
            ["spec[1]: \"a\": is there already, as item 0"]
        );
        let set = json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}});
        assert_eq!(found(&set, &json!(["Mon", "Tue", "Mon"])), ["spec[2]: \"Mon\": is there already, as item 0"]);
    }
}
