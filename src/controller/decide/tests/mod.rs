//! Decisions, tested through whole histories.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod backup;
mod between;
mod drift;
mod failures;
mod forward;
mod gates;
mod promotion;
mod put_back;
mod rehearsal;
mod removal;
mod soak;
mod steering;
mod test_results;
mod volume_snapshot;
mod windows;
mod world;
