//! The engine on a real server, whose address HOLDFAST_TEST_MYSQL gives.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod catalogue;
mod common;
mod database;
mod fence;
mod journal;
mod online_ddl;
mod planning;
mod undo;
