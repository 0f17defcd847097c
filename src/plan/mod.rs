//! From a specification and a picture of the catalogue to an ordered list of reversible operations. Pure: no I/O, so that
//! every decision about a production schema can be tested without one.

pub mod build;
pub mod cascades;
pub mod catalogue;
mod circles;
mod column_change;
pub(crate) mod column_type;
pub mod conditions;
pub mod digest;
pub mod digest_text;
mod estimate;
mod fixes;
pub mod identifier;
pub mod input;
mod keys;
pub mod model;
mod order;
pub(crate) mod own_statement;
pub(crate) mod own_statement_refusals;
pub mod problem;
pub mod render;
pub mod script;
mod sql_look;
mod sql_steps;
pub mod sql_text;
mod stages;
pub mod statement_use;
pub mod stored;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod uniques;

pub use build::{build, build_with_templates};
pub use identifier::{Identifier, TableName};
pub use model::{Operation, Plan, Section};
pub use problem::Problem;
