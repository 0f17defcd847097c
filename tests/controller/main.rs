//! The operator as the process that it is, on a real API server and a real MySQL. What a node would do for its Jobs is done here
//! (`node.rs`), since there is none.
//!
//! It needs the kubeconfig of an administrator in HOLDFAST_TEST_KUBECONFIG, the definitions of CSI's snapshots in the folder
//! HOLDFAST_TEST_SNAPSHOT_CRDS, helm, kubectl and kstatus on the PATH, and a MySQL in HOLDFAST_TEST_MYSQL: `make test-controller` starts all, and `make test-gitops` what
//! the ignored ones need.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod argocd;
mod at_rest;
#[cfg(feature = "failpoints")]
mod boundaries;
#[path = "../mysql/common.rs"]
#[allow(dead_code)]
mod common;
mod contention;
mod deletion;
mod failover;
mod fixture;
mod flux;
mod health;
mod job_expiry;
mod kstatus;
mod link;
mod node;
mod operator;
mod own_pair;
mod own_script;
mod own_server;
mod place;
mod policies;
mod promotion;
#[path = "../mysql/served.rs"]
#[allow(dead_code)]
mod served;
#[path = "../api/server.rs"]
mod server;
mod shutdown;
mod taken_over;
mod upgrade;
mod volume_snapshots;
