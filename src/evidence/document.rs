//! What evidence says. Nothing of it is a row, a host or a person: it is made to be committed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Says what a document is, so that a signature of something else with the same key counts for nothing here.
pub const TYPE: &str = "holdfast.dev/evidence";
/// The format of documents that this version writes and reads.
pub const FORMAT: u32 = 1;
/// The result of a migration that is done and proven; others write no evidence.
pub const COMPLETE: &str = "Complete";
/// Keys that a document names; of more it gives the number, and the plan's digest covers them all.
pub const MAX_KEYS: usize = 200;

/// The document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// [`TYPE`].
    #[serde(rename = "type")]
    pub kind: String,
    /// [`FORMAT`].
    pub format: u32,
    /// [`COMPLETE`].
    pub result: String,
    /// The environment that it comes from.
    pub environment: String,
    /// What was rolled out.
    pub content_digest: String,
    /// The plan that was carried out.
    pub plan_digest: String,
    /// The SchemaMigration.
    pub migration: MigrationName,
    /// Of what took part.
    pub versions: Versions,
    /// `@@server_uuid` of the server.
    pub server_uuid: String,
    /// When the first change was made.
    pub started_at: Timestamp,
    /// When the result was proven: what the age of evidence counts from.
    pub finished_at: Timestamp,
    /// The phases, in order.
    pub phases: Vec<PhaseTime>,
    /// What validation found.
    pub found: Found,
    /// What went to quarantine.
    pub quarantined: Quarantined,
    /// The proof, in short.
    pub proof: ProofInShort,
    /// What probes, scenarios and test Jobs showed.
    pub tests: Tests,
}

/// Which SchemaMigration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// Versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// The operator.
    pub holdfast: String,
    /// The MySQL server, as it calls itself.
    pub server: String,
    /// The Kubernetes API server; left out where it did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<String>,
}

/// A phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseTime {
    /// Its name.
    pub name: String,
    /// How long it took, in seconds.
    pub seconds: i64,
}

/// Rows that broke a rule before cleanup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Without a parent.
    pub orphans: i64,
    /// Equal to another one.
    pub duplicates: i64,
}

/// What the migration has in quarantine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Rows that had no parent.
    pub orphans: i64,
    /// Duplicate rows.
    pub duplicates: i64,
    /// Rows that existing Cascade keys took along.
    pub cascaded: i64,
    /// Values.
    pub values: i64,
}

/// The proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProofInShort {
    /// The server's time (UTC) at its end.
    pub proven_at: String,
    /// The transactions that every count has seen, at least (GTID set); left out where they have no identifiers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transactions: Option<String>,
    /// Foreign keys of the plan, those that existed before included; each of them proven.
    pub foreign_keys: i64,
    /// The first [`MAX_KEYS`] of them.
    pub keys: Vec<KeyInShort>,
    /// Unique constraints, each of them proven.
    pub unique_constraints: i64,
    /// Expectations of stages, each of them met.
    pub expectations: i64,
    /// Replicas on which the keys were proven too.
    pub replicas: i64,
    /// Sessions that could write past the keys at that moment; left out where the server does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions_without_checks: Option<i64>,
    /// Whether new sessions begin without checks.
    pub checks_off_globally: bool,
}

/// A foreign key that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyInShort {
    /// The table that it is on, with its schema.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Children without a parent: always 0.
    pub orphans: i64,
    /// The statement that counted them, for anybody to run again; left out by older versions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub query: String,
    /// How long counting them took, in milliseconds.
    pub milliseconds: i64,
}

/// The tests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tests {
    /// Keys whose delete action was seen.
    pub probes: i64,
    /// Keys that could not be probed.
    pub unprobed: i64,
    /// Scenarios that went as they should.
    pub scenarios: i64,
    /// Test Jobs that succeeded.
    pub jobs: i64,
}
