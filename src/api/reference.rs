//! References from a migration to other objects of its namespace.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An object of the migration's namespace, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LocalReference {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// One key of a Secret or ConfigMap of the migration's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyReference {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in the object's data.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A union whose members are not set as they must be. The API server refuses such an object; this is for files read elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("exactly one of {members} must be set")]
pub struct UnionError {
    /// The members of the union.
    pub members: &'static str,
}
