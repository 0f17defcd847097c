//! Evidence as it is stored and committed: the document, and its signature.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::document::{Document, FORMAT, TYPE};
use super::key::{PrivateKey, PublicKey};
use super::verify::Refusal;
use crate::api::digest::{canonical_json, sha256};

/// The one algorithm of this format.
const ALGORITHM: &str = "Ed25519";

/// A document and its signature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    document: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<Signature>,
}

/// A signature of the canonical form of the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Signature {
    algorithm: String,
    /// What the key is called, for messages: nothing is concluded from it.
    public_key: String,
    /// In hexadecimal digits.
    value: String,
}

impl Signed {
    /// Signs a document; without a key it bears no signature, and no environment takes it.
    ///
    /// # Errors
    /// When it has no JSON form, which none of its types allows.
    pub fn new(document: &Document, key: Option<&PrivateKey>) -> Result<Self, serde_json::Error> {
        let document = serde_json::to_value(document)?;
        let signature = key.map(|key| Signature {
            algorithm: ALGORITHM.to_owned(),
            public_key: key.public().id(),
            value: key.sign(&canonical_json(&document)),
        });
        Ok(Self { document, signature })
    }

    /// Reads evidence, of which nothing is known to be true yet.
    ///
    /// # Errors
    /// When it is none, or of another format.
    pub fn read(text: &str) -> Result<Self, Refusal> {
        let signed: Self = serde_json::from_str(text).map_err(|error| Refusal::Malformed(error.to_string()))?;
        let kind = signed.document["type"].as_str().unwrap_or_default();
        if kind != TYPE {
            return Err(Refusal::Malformed(format!("its document has the type {kind:?}, not {TYPE:?}")));
        }
        let format = &signed.document["format"];
        if *format != FORMAT {
            return Err(Refusal::AnotherFormat(format.to_string()));
        }
        Ok(signed)
    }

    /// The document, which is what was signed with the private key of this pair.
    ///
    /// # Errors
    /// When it bears no signature, or not that one.
    pub fn verified(&self, key: &PublicKey) -> Result<Document, Refusal> {
        let signature = self.signature.as_ref().ok_or(Refusal::Unsigned)?;
        if signature.algorithm != ALGORITHM {
            let what = format!("its signature has the algorithm {:?}, not {ALGORITHM:?}", signature.algorithm);
            return Err(Refusal::Malformed(what));
        }
        if !key.verifies(&canonical_json(&self.document), &signature.value) {
            let (signed_by, wanted) = (signature.public_key.clone(), key.id());
            return Err(if signed_by == wanted { Refusal::Edited } else { Refusal::AnotherKey { signed_by, wanted } });
        }
        self.unverified()
    }

    /// The document as anybody may have written it.
    ///
    /// # Errors
    /// When something in it is not what it should be.
    pub fn unverified(&self) -> Result<Document, Refusal> {
        serde_json::from_value(self.document.clone()).map_err(|error| Refusal::Malformed(error.to_string()))
    }

    /// SHA-256 of what is signed, whatever the layout.
    #[must_use]
    pub fn digest(&self) -> String {
        sha256(canonical_json(&self.document).as_bytes())
    }

    /// What the key is called with which it says to be signed.
    #[must_use]
    pub fn signed_by(&self) -> Option<&str> {
        self.signature.as_ref().map(|signature| signature.public_key.as_str())
    }

    /// As text, laid out for people.
    ///
    /// # Errors
    /// When it cannot be written, which none of its types allows.
    pub fn text(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}
