//! The plan: ordered operations, each with its statement forward and back, what must hold before and after it, and what it
//! costs. It is what a person approves, what the journal refers to, and what an operator of a later version still executes,
//! hence plain serializable data with a format number.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::build::same;
use super::cascades::CascadePath;
use super::catalogue::{Catalogue, Column, ForeignKey, Server};
use super::identifier::{Identifier, TableName};

/// The format that this version writes and executes; any other one holds the migration.
pub const PLAN_FORMAT: u32 = 1;

/// The limit of the last pass of a backfill: a NULL may be right by then, where a key that sets NULL took its parent's deletion over.
pub const NO_LIMIT: u64 = u64::MAX;

/// A whole plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Always [`PLAN_FORMAT`] in plans of this version.
    pub format: u32,
    /// `sha256:` and 64 hex digits over the content, the statements and the before-images: what an approval names.
    pub digest: String,
    /// Digest of the content part of the specification.
    pub content_digest: String,
    /// The server that was planned for.
    pub server: Server,
    /// The schema that is migrated.
    pub schema: Identifier,
    /// Before-images of every touched table, by `schema.table`: SHOW CREATE TABLE without its AUTO_INCREMENT value.
    pub tables: BTreeMap<String, String>,
    /// What to do, in order.
    pub operations: Vec<Operation>,
    /// Foreign keys that exist already exactly as wanted: not added, only proven; never undone.
    pub adopted: Vec<ForeignKey>,
    /// Names of the stages, in order; [`Section::Stage`] counts into it.
    pub stages: Vec<StagePlan>,
    /// Tables whose triggers may fire when their rows are cleaned up or put back, as the specification acknowledges.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acknowledged_triggers: Vec<TableName>,
    /// Every way that a deletion takes over a key of the plan, and how far. Not part of the digest: rows change all the time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cascades: Vec<CascadePath>,
    /// What a reader should know before approving: one sentence each.
    pub warnings: Vec<String>,
}

impl Plan {
    /// The tables whose rows or definitions operations change.
    #[must_use]
    pub fn changed(&self) -> BTreeSet<&TableName> {
        self.operations.iter().map(|operation| operation.action.table()).collect()
    }

    /// The tables whose before-images the plan holds: those that operations name, as subject, parent, child or source.
    #[must_use]
    pub fn touched(&self) -> BTreeSet<&TableName> {
        let mut touched = BTreeSet::new();
        for operation in &self.operations {
            touched.insert(operation.action.table());
            match &operation.action {
                Action::RemoveOrphans { key, .. } | Action::AddForeignKey { key, .. } => {
                    touched.insert(&key.parent);
                }
                Action::RemoveDuplicates { dependents, .. } => touched.extend(dependents.iter().map(|key| &key.child)),
                Action::Backfill { lookup_table, .. } => {
                    touched.insert(lookup_table);
                }
                Action::Sql(step) => touched.extend(&step.reads),
                Action::AddColumn { .. }
                | Action::ModifyColumn { .. }
                | Action::AddIndex { .. }
                | Action::AddUnique { .. } => {}
            }
        }
        for key in &self.adopted {
            touched.extend([&key.child, &key.parent]);
        }
        touched
    }
}

/// One stage's name and what its end must show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagePlan {
    /// Name from the specification.
    pub name: String,
    /// Keys of the whole schema that must exist after the stage.
    pub expect: Vec<Expectation>,
}

/// A lower bound on foreign keys after a stage, those there before included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectation {
    /// Count only keys that refer to a table of this name, in whichever schema it lies; `None` counts all of the schema.
    pub referenced_table: Option<Identifier>,
    /// How many at least.
    pub at_least: u64,
}

impl Expectation {
    /// How many of the catalogue's keys count: those of tables of its schema.
    #[must_use]
    pub fn counted(&self, catalogue: &Catalogue) -> u64 {
        // Where names of tables distinguish upper and lower case, two tables may differ in nothing else.
        let exact = catalogue.server.lower_case_table_names == 0;
        let refers = |key: &&ForeignKey| {
            self.referenced_table
                .as_ref()
                .is_none_or(|table| if exact { *table == key.parent.table } else { same(table, &key.parent.table) })
        };
        let own = catalogue.foreign_keys.iter().filter(|key| key.child.schema == catalogue.schema);
        own.filter(refers).count() as u64
    }
}

/// The part of the rollout that an operation belongs to, in the order of execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Section {
    /// Orphans and duplicates go to quarantine.
    CleanUp,
    /// Columns are added, filled and changed.
    FixTypes,
    /// Unique constraints are added.
    AddUniques,
    /// Foreign keys of one stage, by its place in [`Plan::stages`].
    Stage(usize),
    /// Columns are filled once more: what the application has written since, before its own schema was up to date.
    FillAgain,
}

/// How an operation meets the application's traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LockClass {
    /// A change of metadata: an exclusive lock for an instant.
    Metadata,
    /// A build that lets readers and writers go on, with an exclusive lock for an instant at its end.
    OnlineBuild,
    /// Rows are changed in short transactions.
    Batched,
    /// The table is copied: writers wait for the whole of it. Needs an approval that says so.
    Copy,
}

/// What an operation is expected to cost. Not part of the digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Estimate {
    /// Rows that are read or written, by the server's statistics.
    pub rows: u64,
    /// Bytes that are read or written, by the server's statistics.
    pub bytes: u64,
    /// Expected duration in milliseconds.
    pub milliseconds: u64,
}

/// One step of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Unique within the plan and stable for the same content: place and subject, for example `017-add-key-fk_bookmarks_user`.
    pub id: String,
    /// When it runs.
    pub section: Section,
    /// What it does.
    pub action: Action,
    /// The statement, for schema changes: exactly what is executed, ALGORITHM and LOCK stated. `None` where rows are changed in batches.
    pub forward: Option<String>,
    /// The statement that undoes it exactly; `None` where quarantine is what undoes it.
    pub inverse: Option<String>,
    /// How it meets the traffic.
    pub lock: LockClass,
    /// What it costs.
    pub estimate: Estimate,
    /// The same two of the inverse, where it differs: taking a change of metadata back may copy the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inverse_cost: Option<InverseCost>,
    /// Where the specification asks for it, for messages: `spec.stages[0].foreignKeys[3]`.
    pub path: String,
}

/// How the inverse of an operation meets the application's traffic, and what it is expected to cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InverseCost {
    /// How it meets the traffic.
    pub lock: LockClass,
    /// What it costs.
    pub estimate: Estimate,
}

impl Operation {
    /// How the inverse meets the traffic, and what it costs.
    #[must_use]
    pub fn inverse_cost(&self) -> InverseCost {
        let same = InverseCost { lock: self.lock, estimate: self.estimate };
        match &self.action {
            Action::Sql(SqlStep { kind: SqlKind::Change { inverse_lock, .. }, .. }) => {
                InverseCost { lock: *inverse_lock, ..self.inverse_cost.unwrap_or(same) }
            }
            _ => self.inverse_cost.unwrap_or(same),
        }
    }
}

/// What to do with children without a parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrphanPolicy {
    /// Stop the migration.
    Fail,
    /// Move the rows to quarantine.
    Delete,
    /// Set the referring columns to NULL, their values to quarantine.
    SetNull,
}

/// Which one of several equal rows stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DuplicatePolicy {
    /// Stop the migration.
    Fail,
    /// The row with the greatest value of the ordering column stays.
    KeepNewest,
    /// The row with the least value of the ordering column stays.
    KeepOldest,
}

/// What an operation does, with everything that its execution needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Finds children without a parent and treats them by the policy. Planned in [`Section::CleanUp`] (children before
    /// their parents) and again in the stage, where columns that were added meanwhile exist.
    RemoveOrphans {
        /// The key that is going to be added.
        key: ForeignKey,
        /// What to do with orphans.
        policy: OrphanPolicy,
    },
    /// Finds rows that a unique constraint would refuse and treats them by the policy.
    RemoveDuplicates {
        /// The table.
        table: TableName,
        /// The columns that must be unique together.
        columns: Vec<Identifier>,
        /// Which row stays.
        policy: DuplicatePolicy,
        /// The column that says which row is newest.
        order_by: Identifier,
        /// Keys (wanted or existing) whose children are pointed to the row that stays.
        dependents: Vec<ForeignKey>,
    },
    /// Adds a column.
    AddColumn {
        /// The table.
        table: TableName,
        /// The column.
        column: Identifier,
    },
    /// Fills a column from another table, in batches by key range.
    Backfill {
        /// The table to fill.
        table: TableName,
        /// The column to fill; only its NULLs are filled.
        column: Identifier,
        /// Where values come from.
        lookup_table: TableName,
        /// Pairs of columns that must be equal: of `table`, of `lookup_table`.
        matches: Vec<(Identifier, Identifier)>,
        /// The column of `lookup_table` whose value is taken.
        take: Identifier,
        /// More rows than this without exactly one match fail the operation; [`NO_LIMIT`]: they are counted only.
        max_unmapped: u64,
    },
    /// Changes a column's type, all other attributes restated.
    ModifyColumn {
        /// The table.
        table: TableName,
        /// The column before.
        before: Column,
        /// The type after, as the catalogue will spell it.
        after_type: String,
        /// Its collation after, of a column of text; `None` where it has none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after_collation: Option<String>,
    },
    /// Adds an index for a foreign key.
    AddIndex {
        /// The table.
        table: TableName,
        /// Name of the index.
        index: Identifier,
        /// Its columns.
        columns: Vec<Identifier>,
    },
    /// Adds a unique constraint.
    AddUnique {
        /// The table.
        table: TableName,
        /// Name of the constraint and its index.
        index: Identifier,
        /// Its columns.
        columns: Vec<Identifier>,
    },
    /// Adds a foreign key online, then proves it: catalogue, barrier, no orphan on a fresh snapshot.
    AddForeignKey {
        /// The key.
        key: ForeignKey,
        /// What to do with orphans that the barrier brings to light.
        policy: OrphanPolicy,
    },
    /// Runs a statement of the user's own.
    Sql(SqlStep),
}

/// One statement of a type fix of the user's own. The statement is the operation's `forward`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SqlStep {
    /// Name of the type fix.
    pub step: String,
    /// The table that it changes.
    pub table: TableName,
    /// Other tables that it reads, as far as its words tell.
    pub reads: Vec<TableName>,
    /// How it is run, settled after a crash, and taken back.
    pub kind: SqlKind,
    /// A SELECT that must return no rows once the statement is done; on the last one of a type fix.
    pub verify: Option<String>,
}

/// How a statement of the user's own is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SqlKind {
    /// Changes the table's definition, by which it is known whether it ran. `inverse` takes it back.
    Change {
        /// How the inverse meets the traffic.
        inverse_lock: LockClass,
        /// Columns with values of their own that the inverse drops: the values are kept first.
        dropped: Vec<Identifier>,
    },
    /// Fills columns that the migration added, again and again until it finds no row. Dropping the columns takes it back.
    Update,
}

impl Action {
    /// The table that the operation changes.
    #[must_use]
    pub fn table(&self) -> &TableName {
        match self {
            Self::RemoveOrphans { key, .. } | Self::AddForeignKey { key, .. } => &key.child,
            Self::RemoveDuplicates { table, .. }
            | Self::AddColumn { table, .. }
            | Self::Backfill { table, .. }
            | Self::ModifyColumn { table, .. }
            | Self::AddIndex { table, .. }
            | Self::AddUnique { table, .. } => table,
            Self::Sql(step) => &step.table,
        }
    }
}
