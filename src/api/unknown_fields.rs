//! Finds what a user applied and the API server did not keep.
//!
//! The schema prunes fields that it does not know. Most tools refuse such a manifest, but a plain POST drops the field with a
//! warning that a pipeline does not read, so that a misspelt gate or limit would vanish without a word.

use serde_json::Value;

/// Paths of the fields in the spec of `last_applied` (the annotation `kubectl.kubernetes.io/last-applied-configuration`)
/// that the spec of `stored` lacks. `stored` is the object as the API server gives it, not as this version's types know it.
///
/// # Errors
/// When the annotation is not JSON.
pub fn unknown_fields(last_applied: &str, stored: &Value) -> Result<Vec<String>, serde_json::Error> {
    let applied: Value = serde_json::from_str(last_applied)?;
    let mut found = Vec::new();
    compare("spec", &applied["spec"], &stored["spec"], &mut found);
    Ok(found)
}

fn compare(path: &str, applied: &Value, stored: &Value, found: &mut Vec<String>) {
    match (applied, stored) {
        (Value::Object(applied), Value::Object(stored)) => {
            for (name, value) in applied {
                let path = format!("{path}.{name}");
                match stored.get(name) {
                    Some(stored) => compare(&path, value, stored, found),
                    // A null is how a tool leaves a field out.
                    None if value.is_null() => {}
                    None => found.push(path),
                }
            }
        }
        (Value::Array(applied), Value::Array(stored)) => {
            for (index, value) in applied.iter().enumerate() {
                // Lists with names may have been merged in another order.
                let same = match value.get("name").and_then(Value::as_str) {
                    Some(name) => stored.iter().find(|each| each.get("name").and_then(Value::as_str) == Some(name)),
                    None => stored.get(index),
                };
                let path = format!("{path}[{index}]");
                match same {
                    Some(same) => compare(&path, value, same, found),
                    None => found.push(path),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::json;

    use super::*;

    fn check(applied: &Value, stored: &Value) -> Vec<String> {
        unknown_fields(&json!({"spec": applied}).to_string(), &json!({"spec": stored})).unwrap()
    }

    #[test]
    fn a_misspelt_field_is_named_with_its_path() {
        let applied =
            json!({"stages": [{"name": "a"}, {"name": "b", "foreignKeys": [{"name": "k", "orphan": "Delete"}]}]});
        let stored =
            json!({"stages": [{"name": "b", "foreignKeys": [{"name": "k", "orphans": "Fail"}]}, {"name": "a"}]});
        assert_eq!(check(&applied, &stored), ["spec.stages[1].foreignKeys[0].orphan"]);
    }

    #[test]
    fn defaults_that_the_server_added_and_changed_values_are_no_finding() {
        let applied = json!({"gates": [{"before": {"phase": "CleanUp"}}], "suspend": true, "contact": null});
        let stored = json!({"gates": [{"before": {"phase": "CleanUp"}}], "suspend": false, "mode": "Apply"});
        assert_eq!(check(&applied, &stored), Vec::<String>::new());
    }

    #[test]
    fn an_element_that_is_gone_is_named() {
        assert_eq!(check(&json!({"gates": [{"x": 1}]}), &json!({"gates": []})), ["spec.gates[0]"]);
        assert_eq!(check(&json!({"stages": [{"name": "a"}]}), &json!({"stages": [{"name": "b"}]})), ["spec.stages[0]"]);
    }

    #[test]
    fn an_annotation_that_is_no_json_is_an_error() {
        assert!(unknown_fields("{", &json!({})).is_err());
    }
}
