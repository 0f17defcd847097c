//! All SQL, and nothing of Kubernetes: reading the catalogue, validating, changing rows and schema online, the journal, the proof
//! and the way back.

mod barrier;
mod blockers;
pub mod catalogue;
pub mod catalogue_keys;
pub mod connection;
pub(crate) mod create_statement;
mod ddl;
mod ddl_attempt;
mod deadline;
pub mod error;
mod fence;
mod goal;
mod journal;
mod journal_tables;
mod observe;
mod operations;
pub(crate) mod orphan_query;
mod proof;
pub mod report;
mod row_operations;
pub mod server;
pub mod session;
mod undo;
pub mod work;

pub use connection::{Connection, SessionLimits, Target, TlsMode};
pub use error::{Cause, Error};
pub use work::{Allowance, JournalLocation, Progress, Reading, Settings, Stop};
