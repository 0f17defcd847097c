//! Decisions, tested through whole histories.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod failures;
mod forward;
mod gates;
mod world;
