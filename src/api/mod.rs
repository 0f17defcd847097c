//! The resources `SchemaMigration` and `MigrationApproval` as Rust types.
//!
//! Everything here is data and pure functions over it: the custom resource definitions, what the API
//! server checks, what a status says. No connection is opened, so that planning and deciding can be tested alone.

pub mod admission;
pub mod application;
pub mod approval;
pub mod backup;
pub mod conditions;
pub mod constraints;
pub mod crd;
pub mod database;
pub mod digest;
pub mod duration;
#[cfg(test)]
pub(crate) mod example;
pub mod execution;
pub mod gates;
pub(crate) mod names;
mod phase;
pub mod promotion;
pub mod quantity;
pub mod reference;
pub mod refusals;
pub mod spec;
pub mod state_diagram;
pub mod status;
mod status_plan;
mod status_put_back;
mod status_soak;
mod status_work;
pub mod steering;
pub mod type_fixes;
pub mod unknown_fields;

pub use approval::{MigrationApproval, MigrationApprovalSpec};
pub use conditions::{ConditionType, Reason};
pub use duration::Duration;
pub use spec::{SchemaMigration, SchemaMigrationSpec};
pub use status::{Phase, SchemaMigrationStatus};
pub use steering::annotations;

/// API group of both resources.
pub const GROUP: &str = "holdfast.dev";
/// API version of both resources; changes to it are additive only.
pub const VERSION: &str = "v1alpha1";
/// The verb on `schemamigrations` that allows changing gates, suspension, the rollback strategy and the steering annotations.
pub const APPROVE_VERB: &str = "approve";
/// The finalizer held while a Job or the database's lock is live.
pub const FINALIZER: &str = "holdfast.dev/release";
/// Field manager of the operator.
pub const FIELD_MANAGER: &str = "holdfast";
/// Field manager of the command line plugin.
pub const CLI_FIELD_MANAGER: &str = "holdfast-cli";
