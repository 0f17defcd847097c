//! All SQL, and nothing of Kubernetes: reading the catalogue, validating, changing rows and schema online, the journal, the proof
//! and the way back.

pub mod catalogue;
pub mod catalogue_keys;
pub mod connection;
pub(crate) mod create_statement;
mod deadline;
pub mod error;
mod journal;
mod journal_tables;
pub(crate) mod orphan_query;
pub mod report;
pub mod server;
mod session;
pub mod work;

pub use connection::{Connection, SessionLimits, Target, TlsMode};
pub use error::{Cause, Error};
pub use work::{Allowance, JournalLocation, Progress, Reading, Settings, Stop};
