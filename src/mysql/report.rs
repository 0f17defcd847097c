//! What the engine hands back about finished work: plain data that goes to status, events, evidence and reports.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::plan::catalogue::ForeignKey;
use crate::plan::identifier::{Identifier, TableName};
use crate::plan::model::Section;

/// What an operation on rows did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RowsReport {
    /// Rows that were moved to quarantine.
    pub rows_removed: u64,
    /// Values that were changed, their old ones in quarantine.
    pub values_changed: u64,
    /// Passes over the table until one found nothing.
    pub rounds: u64,
    /// Backfills: rows whose column had no value.
    pub total: Option<u64>,
    /// Backfills: rows that got a value.
    pub mapped: Option<u64>,
    /// Backfills: rows for which no value was found.
    pub unmapped: Option<u64>,
    /// Backfills: rows for which several values were found; they count as unmapped too.
    pub ambiguous: Option<u64>,
    /// Tables that lost rows: rows that refer to them may be orphans now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shrunk: Vec<TableName>,
    /// Tables whose rows were pointed to others: there may be duplicates among them now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repointed: Vec<TableName>,
}

impl RowsReport {
    /// Of a look that found nothing to do.
    pub(crate) fn nothing_found() -> Self {
        Self { rounds: 1, ..Self::default() }
    }

    /// Adds what the same operation did later.
    pub(crate) fn add(&mut self, more: &Self) {
        self.rows_removed += more.rows_removed;
        self.values_changed += more.values_changed;
        self.rounds += more.rounds;
        for (tables, later) in [(&mut self.shrunk, &more.shrunk), (&mut self.repointed, &more.repointed)] {
            for table in later {
                if !tables.contains(table) {
                    tables.push(table.clone());
                }
            }
        }
    }
}

/// What a migration has in quarantine: what it took and did not put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct QuarantineCounts {
    /// Rows that had no parent.
    pub orphans: u64,
    /// Rows that were equal to another one.
    pub duplicates: u64,
    /// Rows that existing keys with ON DELETE CASCADE took along.
    pub cascaded: u64,
    /// Values that were nulled, pointed elsewhere, or lay in a column that was dropped.
    pub values: u64,
}

/// What putting rows back did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RestoreReport {
    /// Rows that are back in their table.
    pub rows_restored: u64,
    /// Values that are back in their rows.
    pub values_restored: u64,
    /// Values whose row the application has deleted since: they stay in quarantine, and nothing is missing.
    #[serde(default)]
    pub values_of_deleted_rows: u64,
    /// Rows and values that stay in quarantine, each with the reason.
    pub conflicts: Vec<String>,
}

/// What one operation took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationReport {
    /// [`crate::plan::Operation::id`].
    pub operation: String,
    /// Duration in milliseconds. The wait for older transactions, which all keys of a section have in common, is not in it.
    pub milliseconds: u64,
    /// Tries of its statement; 0 where the operation was done before or needs no schema change.
    pub tries: u32,
    /// Longest time in milliseconds that its statement waited for, or held, locks in one try, as far as it was seen.
    pub longest_try_milliseconds: u64,
    /// What happened to rows, for operations that change rows.
    pub rows: Option<RowsReport>,
    /// For a column that was added or changed: its line in SHOW CREATE TABLE just after, so that a later change by somebody else is
    /// seen. Unknown in journals of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<String>,
    /// Operations that were found done: verified in the catalogue and not repeated.
    pub found_done: bool,
    /// SHOW CREATE TABLE without its AUTO_INCREMENT value after a statement of the user's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_image: Option<String>,
}

/// What one section took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SectionReport {
    /// Which section.
    pub section: Section,
    /// The server that it was carried out on.
    pub server_uuid: String,
    /// Its operations, in order.
    pub operations: Vec<OperationReport>,
    /// What the migration has in quarantine after it.
    pub quarantined: QuarantineCounts,
}

impl SectionReport {
    /// Rows removed and values changed by all operations.
    #[must_use]
    pub fn rows_touched(&self) -> u64 {
        self.operations
            .iter()
            .filter_map(|operation| operation.rows.as_ref())
            .map(|rows| rows.rows_removed + rows.values_changed)
            .sum()
    }
}

/// The proof of one foreign key. It exists only for a key that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyProof {
    /// The key, as the catalogue has it.
    pub key: ForeignKey,
    /// Children without a parent on a snapshot taken after every older transaction had ended: always 0.
    pub orphans: u64,
    /// The statement that counted them; empty in proofs of older versions.
    #[serde(default)]
    pub query: String,
    /// How long the check took, in milliseconds.
    pub milliseconds: u64,
}

/// What a replica showed of the keys, once it had applied everything that the server had committed when it was proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaProof {
    /// Host and port, as the specification names them.
    pub replica: String,
    /// The server that was asked.
    pub server_uuid: String,
    /// The transactions that it had applied before (GTID set).
    pub applied: String,
    /// Every key of the plan.
    pub keys: Vec<KeyProof>,
}

/// The proof of one unique constraint: the engine keeps it, so its row in the catalogue is the proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UniqueProof {
    /// The table.
    pub table: TableName,
    /// Name of the constraint.
    pub name: Identifier,
    /// Its columns.
    pub columns: Vec<Identifier>,
}

/// The proof of one expectation of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectationProof {
    /// The stage.
    pub stage: String,
    /// The table referred to; `None`: keys of the whole schema.
    pub referenced_table: Option<Identifier>,
    /// How many keys were expected at least.
    pub at_least: u64,
    /// How many there are.
    pub found: u64,
}

/// The proof that a migration reached what its plan says. It exists only where everything in it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The server that was asked.
    pub server_uuid: String,
    /// The server's time (UTC) at the end of the proof.
    pub proven_at: String,
    /// The transactions that every count has seen, at least (GTID set); `None` where they have no identifiers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transactions: Option<String>,
    /// Every key of the plan, those that existed before included.
    pub keys: Vec<KeyProof>,
    /// Every unique constraint of the plan.
    pub uniques: Vec<UniqueProof>,
    /// Every expectation of the stages.
    pub expectations: Vec<ExpectationProof>,
    /// Sessions that run with `foreign_key_checks = 0` and can write past the keys; `None` where it cannot be read.
    pub sessions_without_checks: Option<u64>,
    /// Whether new sessions begin with `foreign_key_checks = 0`.
    pub checks_off_globally: bool,
    /// What each listed replica showed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<ReplicaProof>,
}

/// What a rollback did. It exists only where everything is back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UndoReport {
    /// Ids of the operations that were undone, in the order of undoing.
    pub undone: Vec<String>,
    /// What became of quarantined rows, by operation id.
    pub restored: BTreeMap<String, RestoreReport>,
    /// Tables whose SHOW CREATE TABLE equals their before-image.
    pub tables_compared: Vec<String>,
    /// What is in quarantine still: values of columns that the migration had added.
    pub quarantined: QuarantineCounts,
}

/// A backup that was put back. It exists only where everything is as it was planned for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutBackReport {
    /// Tables of the backup that are in place.
    pub tables: u64,
    /// Tables that were there before and are kept.
    pub kept_tables: u64,
    /// The schema that keeps them.
    pub kept_schema: Identifier,
    /// What is taken back by it, and the tables whose SHOW CREATE TABLE equals their before-image.
    pub compared: UndoReport,
}

/// What a purge deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PurgeReport {
    /// Entries: rows, and values with the notes on what they became.
    pub entries: u64,
    /// Quarantine tables that held some of them.
    pub tables: u64,
    /// Tables that a backup had taken the place of.
    #[serde(default)]
    pub kept_tables: u64,
}

/// How a migration ended, for the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MigrationOutcome {
    /// Everything is in place and proven.
    Complete,
    /// Everything is as it was.
    RolledBack,
    /// It stopped in between; the journal keeps what was done.
    Failed,
}
