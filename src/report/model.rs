//! The report: what every form of it shows, in the order in which it is read. Plain data; its JSON is for tools.

use jiff::Timestamp;
use serde::Serialize;

use crate::cli::board::State;
use crate::plan::catalogue::ReferentialAction;
use crate::plan::model::LockClass;

/// The whole.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What, where and how it stands.
    pub heading: Heading,
    /// What could not be read, each with the reason: it is not on the page.
    pub missing: Vec<String>,
    /// Tables and keys before and after.
    pub schema: Schema,
    /// What a deletion takes along, the furthest reach first.
    pub cascades: Vec<Cascade>,
    /// Phases and stages in time.
    pub timeline: Timeline,
    /// Whether the journal was read.
    pub has_journal: bool,
    /// The operations of the plan, in order, and those that the work itself found to be needed.
    pub operations: Vec<OperationLine>,
    /// The validation report.
    pub validation: Vec<Counted>,
    /// What is in quarantine.
    pub quarantine: Vec<Fact>,
    /// How the application was and is pressed: limits, lock classes, waits.
    pub pressure: Vec<Fact>,
    /// The gates.
    pub gates: Vec<GateLine>,
    /// The decisions of people.
    pub approvals: Vec<ApprovalLine>,
    /// The backup and its restore.
    pub backup: Vec<Fact>,
    /// The run on the restored copy.
    pub rehearsal: Vec<Fact>,
    /// Its operations that took longest.
    pub slowest: Vec<Slow>,
    /// Probes, scenarios and Jobs.
    pub tests: Vec<Fact>,
    /// What was proven, and how it is signed.
    pub evidence: Vec<Fact>,
    /// What a person asked for, and the rollback.
    pub steering: Vec<Fact>,
    /// What the plan warns of.
    pub warnings: Vec<String>,
    /// The conditions.
    pub conditions: Vec<ConditionLine>,
    /// What happened, the latest first, as far as the cluster still knows.
    pub events: Vec<EventLine>,
}

/// A name and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

/// What, where and how it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Heading {
    /// The SchemaMigration.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Where it stands, in a word or two.
    pub word: &'static str,
    /// How that is to be taken.
    pub tone: crate::cli::standing::Tone,
    /// The same in a sentence.
    pub outcome: String,
    /// For whom or what is waited.
    pub waits_for: Option<String>,
    /// What a person may do next: commands.
    pub next: Vec<String>,
    /// The few figures that people look for first.
    pub figures: Vec<Fact>,
    /// Database, versions, digests, times.
    pub about: Vec<Fact>,
    /// When the report was made.
    pub made_at: Timestamp,
}

/// Tables and keys.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Schema {
    /// Where this comes from.
    pub source: &'static str,
    /// Stages, in order.
    pub stages: Vec<String>,
    /// Tables by name.
    pub tables: Vec<Table>,
    /// Keys; those that were there before come first.
    pub keys: Vec<Key>,
}

/// One table.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Table {
    /// Its name; with its schema where that is another one than the migrated.
    pub name: String,
    /// What else the plan changes in it.
    pub changes: Vec<String>,
    /// Rows of other tables that the deletion of its worst row takes along or sets to NULL, over the furthest-reaching path.
    pub takes_along: Option<u64>,
}

/// One foreign key.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Key {
    /// Its name.
    pub name: String,
    /// The table that refers, by its place among the tables.
    pub child: usize,
    /// Its columns.
    pub columns: Vec<String>,
    /// The table referred to, by its place among the tables.
    pub parent: usize,
    /// Its columns.
    pub parent_columns: Vec<String>,
    /// What a parent's deletion does.
    pub on_delete: ReferentialAction,
    /// What a change of the parent's key does.
    pub on_update: ReferentialAction,
    /// The stage that adds it, by its place; none where it was there before.
    pub stage: Option<usize>,
    /// How it stands.
    pub state: KeyState,
    /// Whether one of the furthest-reaching deletions goes over it.
    pub hot: bool,
}

/// How a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum KeyState {
    /// It was there before, and the migration leaves it as it is.
    There,
    /// It was there before, the migration wants it, and only proves it.
    Adopted,
    /// Its turn has not come.
    Planned,
    /// Its stage is worked on.
    InWork,
    /// It is there and proven.
    Proven,
    /// Its stage failed.
    Failed,
    /// It was taken back.
    TakenBack,
}

/// One way that a deletion takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cascade {
    /// The tables, the deleted row's first.
    pub tables: Vec<String>,
    /// Rows of the last one, at worst; none where they were not measured.
    pub rows: Option<u64>,
    /// Whether all rows were counted, not a sample.
    pub exact: bool,
    /// Whether they stay and only lose their reference.
    pub sets_null: bool,
}

/// Phases and stages in time.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeline {
    /// In the order in which they began.
    pub entries: Vec<Entry>,
}

/// A phase or a stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Whether it is a stage, inside of the phase before it.
    pub is_stage: bool,
    /// How far it is.
    pub state: State,
    /// When it began.
    pub started: Timestamp,
    /// When it ended, or the moment of the report.
    pub until: Timestamp,
    /// Whether it has ended.
    pub ended: bool,
    /// What it took when the plan was rehearsed, in milliseconds.
    pub rehearsed: Option<u64>,
    /// What the statistics let expect, in milliseconds.
    pub estimated: Option<u64>,
    /// What it waited for.
    pub waits: Vec<Wait>,
    /// Whether writers of a table waited meanwhile, because it was copied.
    pub writers_waited: bool,
    /// How it ended, as its condition says.
    pub remark: String,
}

/// Time in which something was waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wait {
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// What for.
    pub what: String,
}

/// One operation of the plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationLine {
    /// Its id.
    pub id: String,
    /// The part of the rollout that it belongs to.
    pub part: String,
    /// The stage that it belongs to, by its place.
    pub stage: Option<usize>,
    /// What it does.
    pub what: String,
    /// How it meets the application's traffic.
    pub lock: LockClass,
    /// Rows that it was expected to read or write.
    pub rows: u64,
    /// What it was expected to take, in milliseconds.
    pub estimated: u64,
    /// What it took in the rehearsal, in milliseconds, where it was one of the slowest.
    pub rehearsed: Option<u64>,
    /// Whether it is done and stands.
    pub done: bool,
    /// What the journal has of it, where that was read.
    pub journal: Option<Taken>,
}

/// What an operation took, as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Taken {
    /// When it was begun.
    pub began: Timestamp,
    /// How long it took, in milliseconds; none where it has not ended.
    pub milliseconds: Option<u64>,
    /// Tries of its statement.
    pub tries: u32,
    /// Longest time in milliseconds that its statement waited for, or held, locks in one try.
    pub locks: u64,
    /// Rows that went to quarantine, and values.
    pub quarantined: u64,
    /// When it was taken back.
    pub undone: Option<Timestamp>,
}

/// A line of the validation report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counted {
    /// What was counted.
    pub what: String,
    /// How many there were before cleanup.
    pub before: u64,
    /// How many there are now, where that is proven.
    pub after: Option<u64>,
}

/// A gate.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GateLine {
    /// What it stands before.
    pub before: String,
    /// Whether it lets through.
    pub open: bool,
    /// Why, as in conditions.
    pub reason: String,
    /// Why, in words.
    pub message: String,
    /// Since when.
    pub since: Option<Timestamp>,
    /// When work may go on, where the spec limits it.
    pub window: Option<String>,
}

/// A person's decision.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalLine {
    /// Name of the MigrationApproval.
    pub name: String,
    /// What it stands before.
    pub before: String,
    /// Approve or Deny.
    pub decision: &'static str,
    /// Who decided.
    pub who: String,
    /// Why.
    pub why: Option<String>,
    /// When.
    pub at: Option<Timestamp>,
    /// Rows that cleanup may take.
    pub max_rows: Option<u64>,
    /// Whether it is about the plan as it is now.
    pub of_this_plan: bool,
    /// Whether it is what opened or keeps closed a gate.
    pub counted: bool,
}

/// An operation of the rehearsal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Slow {
    /// Its id.
    pub operation: String,
    /// Its table.
    pub table: String,
    /// How it meets the application's traffic, where that is known.
    pub lock: Option<String>,
    /// What it took, in milliseconds.
    pub milliseconds: u64,
}

/// A condition.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConditionLine {
    /// Its type.
    pub name: String,
    /// True, False or Unknown.
    pub status: String,
    /// Why.
    pub reason: String,
    /// Why, in words.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventLine {
    /// When, the last time.
    pub at: Option<Timestamp>,
    /// Whether it is bad news.
    pub warning: bool,
    /// Reason.
    pub reason: String,
    /// What it is about.
    pub about: String,
    /// Note.
    pub note: String,
    /// How often.
    pub times: u64,
}
