//! All SQL, and nothing of Kubernetes: reading the catalogue, validating, changing rows and schema online, the journal, the proof
//! and the way back.

mod backfill;
mod barrier;
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
mod duplicates;
pub mod error;
mod fence;
mod goal;
mod journal;
mod journal_tables;
mod kept_columns;
mod ledger;
mod observe;
mod operations;
pub(crate) mod orphan_query;
mod orphans;
pub mod probes;
mod proof;
mod quarantine;
pub mod report;
mod restore;
mod row_operations;
mod row_session;
mod row_shape;
pub mod scenarios;
pub mod server;
pub mod session;
mod statement;
mod synthetic;
mod undo;
mod value_changes;
pub mod work;
mod work_table;

pub use connection::{Connection, SessionLimits, Target, TlsMode};
pub use error::{Cause, Error};
pub use work::{Allowance, JournalLocation, Progress, Reading, Settings, Stop};
