//! What a report is built from.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;

use crate::api::{MigrationApproval, SchemaMigration};
use crate::evidence::Signed;
use crate::mysql::JournalEntry;
use crate::plan::Plan;

/// Something that was asked for: what came, or why it did not come. The page says the latter: what is missing must not look like nothing.
pub type Read<T> = Result<T, String>;

/// The objects of one migration.
pub struct Sources<'a> {
    /// The resource.
    pub migration: &'a SchemaMigration,
    /// Its plan, whose digest was computed anew; none where none was made yet.
    pub plan: Option<Read<&'a Plan>>,
    /// The approvals of its namespace.
    pub approvals: Read<&'a [MigrationApproval]>,
    /// The events about it.
    pub events: Read<&'a [Event]>,
    /// Its evidence, known to be what the operator wrote; none where none was written.
    pub evidence: Option<Read<&'a Signed>>,
    /// The journal, in its order; none where no database was named, or there is none of this plan.
    pub journal: Option<&'a [JournalEntry]>,
    /// The moment.
    pub now: Timestamp,
}
