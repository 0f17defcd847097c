//! Evidence that a migration completed: a document that says what was proven, signed with the key of its environment, so that another
//! environment can ask for it before it begins. Pure: neither a file nor a cluster is read here.
//!
//! What is signed is the document in its canonical form (RFC 8785: members in the order of their names, no spaces), so that Git, YAML
//! and editors may lay it out as they like, and what was signed is what is read.

pub mod document;
pub mod key;
pub mod signed;
pub mod verify;

pub use document::Document;
pub use key::{PrivateKey, PublicKey};
pub use signed::Signed;
pub use verify::{Refusal, Wanted};

/// The key of the ConfigMap under which evidence lies.
pub const EVIDENCE_KEY: &str = "evidence.json";
