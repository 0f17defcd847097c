//! The migration that tests start from: everything that this version does, and nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::{SchemaMigration, SchemaMigrationSpec};

const MANIFEST: &str = include_str!("../../tests/api/manifests/good/everything-implemented.yaml");

/// The spec of the example.
pub(crate) fn spec() -> SchemaMigrationSpec {
    serde_yaml::from_str::<SchemaMigration>(MANIFEST).expect("the example is a SchemaMigration").spec
}
