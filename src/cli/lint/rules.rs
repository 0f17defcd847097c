//! The CEL rules of the custom resource definitions (`x-kubernetes-validations`), evaluated as the API server does. Rules that compare
//! an object with its former self have nothing to say about a file.

use kube_cel::{ErrorKind, Validator};
use serde_json::Value;

use super::finding::Finding;

/// The rules that do not hold for an object whose structure does.
#[must_use]
pub(super) fn check(schema: &Value, object: &Value) -> Vec<Finding> {
    let Err(broken) = Validator::new().validate(schema, object, None) else { return Vec::new() };
    broken
        .into_iter()
        .map(|error| match error.kind {
            ErrorKind::ValidationFailure => Finding::new(error.field_path, error.message, ""),
            _ => {
                let problem = format!("the rule {} could not be evaluated: {}", error.rule, error.message);
                let way_out = "Try the manifest on a cluster: kubectl apply --dry-run=server --filename FILE";
                Finding::new(error.field_path, problem, way_out)
            }
        })
        .collect()
}
