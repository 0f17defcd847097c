//! All SQL, and nothing of Kubernetes: reading the catalogue, validating, changing rows and schema online, the journal, the proof
//! and the way back.

mod add_keys;
mod backfill;
mod barrier;
pub mod blast_radius;
mod blockers;
mod cage;
mod cascades;
pub mod catalogue;
pub mod catalogue_keys;
mod clean_up;
pub mod connection;
pub(crate) mod create_statement;
mod ddl;
mod ddl_attempt;
mod deadline;
mod dialect;
pub mod drift;
mod duplicates;
pub mod error;
#[cfg(feature = "failpoints")]
pub mod failpoints;
#[cfg(not(feature = "failpoints"))]
mod failpoints;
mod fence;
mod goal;
mod held;
mod idle_blockers;
pub mod interruption;
mod journal;
mod journal_tables;
mod kept_columns;
mod ledger;
mod lending;
mod observe;
mod operations;
pub(crate) mod orphan_query;
mod orphans;
pub mod preflight;
mod privileges;
pub mod probes;
mod proof;
mod purge;
mod quarantine;
mod quarantine_counts;
pub mod report;
mod restore;
pub mod row_counters;
mod row_operations;
mod row_session;
mod row_shape;
pub mod scenarios;
pub mod server;
pub mod session;
mod sql_steps;
mod statement;
pub mod statements;
mod synthetic;
mod undo;
pub mod validation;
mod value_changes;
pub mod work;
mod work_table;

pub use connection::{Connection, SessionLimits, Target, TlsMode};
pub use error::{Cause, Error};
pub use work::{Allowance, JournalLocation, KillBlockers, Notice, Progress, Reading, Settings, Stop};
