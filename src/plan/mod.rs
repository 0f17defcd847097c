//! From a specification and a picture of the catalogue to an ordered list of reversible operations. Pure: no I/O, so that
//! every decision about a production schema can be tested without one.

pub mod catalogue;
pub mod identifier;
pub mod model;

pub use identifier::{Identifier, TableName};
pub use model::{Operation, Plan, Section};
