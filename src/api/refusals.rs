//! What the schema offers and this version does not do yet. Nothing of it is accepted and ignored: planning stops with these messages.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{
    SchemaMigrationSpec,
    backup::{Backup, Verification},
    quantity,
};

/// A field whose value this version cannot honour.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct Refusal {
    /// Path of the field.
    pub path: String,
    /// What is not done, and the way out.
    pub message: &'static str,
}

/// Everything in the spec that this version does not do yet.
#[must_use]
pub fn refusals(spec: &SchemaMigrationSpec) -> Vec<Refusal> {
    let mut found = Vec::new();
    let mut refuse = |refused: bool, path: &str, message: &'static str| {
        if refused {
            found.push(Refusal { path: path.to_owned(), message });
        }
    };

    backup(spec, &mut refuse);
    found
}

/// What of a scratch server is handed to it as a number.
fn scratch_quantities(backup: &Backup) -> [(&'static str, Option<&Quantity>); 2] {
    let scratch = backup.scratch.as_ref();
    let memory = scratch.and_then(|scratch| scratch.resources.as_ref()?.limits.get("memory"));
    [
        ("spec.backup.scratch.storage", scratch.and_then(|scratch| scratch.storage.as_ref())),
        ("spec.backup.scratch.resources.limits.memory", memory),
    ]
}

fn backup(spec: &SchemaMigrationSpec, refuse: &mut impl FnMut(bool, &str, &'static str)) {
    let backup = &spec.backup;
    refuse(
        backup.scratch.is_some() && backup.verification != Verification::Restore,
        "spec.backup.scratch",
        "a scratch server is started for verification Restore only in this version: use Restore, or remove scratch",
    );
    for (path, quantity) in scratch_quantities(backup) {
        let unusable = quantity.is_some_and(|quantity| quantity::bytes(quantity).is_none());
        refuse(unusable, path, "is no number of bytes that is understood in this version: write it as 2Gi or 512Mi");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::{Value, json};

    use super::*;
    use crate::api::example;

    #[test]
    fn what_this_version_does_is_not_refused() {
        assert_eq!(refusals(&example::spec()), []);
    }

    #[test]
    fn a_scratch_server_that_restores_is_not_refused_and_its_sizes_are_understood() {
        let refused = |scratch: Value| {
            let mut spec = serde_json::to_value(example::spec()).unwrap();
            (spec["backup"]["verification"], spec["backup"]["scratch"]) = (json!("Restore"), scratch);
            let found = refusals(&serde_json::from_value(spec).unwrap());
            found.into_iter().map(|refusal| refusal.path).collect::<Vec<_>>()
        };
        let good =
            json!({"image": "mysql:9.7", "storage": "2Gi", "resources": {"limits": {"memory": "1Gi", "cpu": "500m"}}});
        assert_eq!(refused(good), Vec::<String>::new());
        assert_eq!(refused(json!({"image": "mysql:9.7", "storage": "2 GB"})), ["spec.backup.scratch.storage"]);
        let memory = json!({"image": "mysql:9.7", "resources": {"limits": {"memory": "much"}}});
        assert_eq!(refused(memory), ["spec.backup.scratch.resources.limits.memory"]);
    }

    #[test]
    fn the_sample_applications_migration_is_not_refused() {
        let manifest = include_str!("../../deploy/sample/migration.yaml");
        let sample: crate::api::SchemaMigration = serde_yaml::from_str(manifest).unwrap();
        assert_eq!(refusals(&sample.spec), []);
    }

    #[test]
    fn each_thing_that_is_not_done_yet_is_refused_by_its_path() {
        let cases = [("spec.backup.scratch", "/backup/verification", json!("Inspect"))];
        for (path, pointer, value) in cases {
            let mut spec = serde_json::to_value(example::spec()).unwrap();
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            match spec.pointer_mut(parent).unwrap() {
                Value::Array(items) => items[name.parse::<usize>().unwrap()] = value.clone(),
                parent => parent[name] = value.clone(),
            }
            let found = refusals(&serde_json::from_value(spec).unwrap());
            assert_eq!(found.iter().map(|each| each.path.as_str()).collect::<Vec<_>>(), [path], "{value}");
            assert!(found[0].message.contains("in this version"), "{}", found[0]);
        }
    }
}
