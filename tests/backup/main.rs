//! What the backup's Jobs run, as processes with the arguments and files that their pods give them, against a real S3 service on the loopback:
//! `tests/cluster/s3-server.sh run -- cargo test --test backup`. Scripts stand in for MySQL's programs, so that they can stop where a test wants.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bucket;
mod job;
mod refused;
#[allow(unreachable_pub)]
#[path = "../harness/s3.rs"]
mod s3;
