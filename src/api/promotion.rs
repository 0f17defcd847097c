//! `spec.promotion`: evidence from other environments without which this one does not begin.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Duration, reference::KeyReference};

/// Which environment this is, and what must have been shown elsewhere first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "!has(self.requires) || self.requires.all(required, required.environment != self.environment)", "message": "an environment cannot show evidence to itself: name another one, or remove it", "fieldPath": ".requires"}]))]
pub struct Promotion {
    /// Name of this environment, such as `production`. It is written into this migration's own evidence.
    #[schemars(length(min = 1, max = 63))]
    pub environment: String,
    /// Key of a Secret of this namespace that holds the ed25519 private key of this environment in PEM, with which the migration's evidence is signed. Whoever may read it can sign for this environment. Left out: the evidence is written without a signature, and no environment takes it; so it is for the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key_secret_ref: Option<KeyReference>,
    /// Evidence without which the first change is not made: of the same contentDigest, complete, and signed by that environment. It is a part of the gate before CleanUp. Left out: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["environment"]))]
    pub requires: Vec<RequiredEvidence>,
}

/// Evidence that the same content completed in another environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequiredEvidence {
    /// The environment that the evidence must come from.
    #[schemars(length(min = 1, max = 63))]
    pub environment: String,
    /// Greatest age of the evidence, from the end of the migration there to the first change here. Left out: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Duration>,
    /// Key of a Secret of this namespace that holds the ed25519 public key of that environment in PEM.
    pub public_key_secret_ref: KeyReference,
    /// Where the evidence is.
    pub evidence: EvidenceSource,
}

/// Where evidence is. Exactly one of `configMapRef` and `inline` is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "has(self.configMapRef) != has(self.inline)", "message": "exactly one of configMapRef and inline must be set"}]))]
pub struct EvidenceSource {
    /// Key of a ConfigMap of this namespace. It may come later, and be exchanged until the first change: the migration waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<KeyReference>,
    /// The signed document itself, as `kubectl holdfast evidence export` prints it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65536))]
    pub inline: Option<String>,
}
