//! Whole rollouts on a real server, whose address HOLDFAST_TEST_MYSQL gives: random ones, each judged by a checker that shares no code
//! with the engine, and ones whose engine or server is killed at every point where it could be.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod checker;
#[cfg(feature = "failpoints")]
mod crash;
mod data;
mod driver;
mod migration;
mod names;
mod property;
mod records;
mod sql;
mod values;
mod world;
mod writers;
