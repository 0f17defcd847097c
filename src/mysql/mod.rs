//! All SQL, and nothing of Kubernetes: reading the catalogue, validating, changing rows and schema online, the journal, the proof
//! and the way back.

pub mod connection;
pub mod error;
pub mod work;

pub use connection::{Connection, SessionLimits, Target, TlsMode};
pub use error::{Cause, Error};
pub use work::{Allowance, JournalLocation, Progress, Reading, Settings, Stop};
