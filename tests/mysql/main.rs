//! The engine on a real server, whose address HOLDFAST_TEST_MYSQL gives.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod backfill;
mod blast_radius;
mod catalogue;
mod common;
mod database;
mod drift;
mod duplicates;
mod fence;
mod interruption;
mod journal;
mod lending;
mod names;
mod online_ddl;
mod orphans;
mod planning;
mod preflight;
mod probes;
mod purge;
mod restore;
mod rows;
mod statements;
mod undo;
mod validation;
mod whole;
