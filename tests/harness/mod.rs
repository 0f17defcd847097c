//! What the demo and the end-to-end tests share: kubectl and helm as a user types them, the operator's installation, and the sample
//! application in a namespace. Each user of it needs another part.
#![allow(dead_code, unreachable_pub, missing_docs)]

pub mod database;
pub mod kubectl;
pub mod migration;
pub mod operator;
pub mod s3;
pub mod shop;
pub mod wait;

/// What goes wrong is told to a person, so a sentence is enough.
pub type Outcome<T> = Result<T, String>;
