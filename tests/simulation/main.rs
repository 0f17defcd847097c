//! Whole histories of migrations in a simulated world. The code under test is real: `decide` and `project`, gates, approvals, names of
//! Jobs. Around it a world that is not: an API server, a database with journal and fence, the engine's tasks, Jobs, a clock,
//! controllers that die between any two effects, and people who press buttons. Everything follows from a seed.
//!
//! The world of `src/controller/decide/tests` answers each decision with a canned result, for tests of one rule. This one keeps the truth
//! that decisions are about, so that a status can be held against it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cluster;
mod controller;
mod database;
mod defects;
mod engine;
mod faults;
mod history;
mod invariants;
mod operations;
mod people;
mod plans;
mod promotion;
mod property;
mod put_back;
mod readings;
mod snapshots;
mod soak;
mod state_diagram;
mod world;
