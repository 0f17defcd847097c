//! Bad input and bad surroundings, and the good case, end to end: a real cluster, a real MySQL, the operator installed from its charts.
//! Each case ends as promised, with a reason, a message that names the object and the next step, and nothing changed or
//! everything back, which plain SQL checks.
//!
//! `make test-e2e` starts the cluster and runs them. They run beside each other: cases that change nothing share one schema, the
//! others have one each, all on one server.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod application;
mod backup;
mod bucket;
mod complete;
mod findings;
#[path = "../harness/mod.rs"]
mod harness;
mod input;
mod library;
mod put_back;
mod rehearsal;
mod restore;
mod rights;
mod rollout;
mod secrecy;
mod session;
mod soak;
mod surroundings;
mod transactions;
