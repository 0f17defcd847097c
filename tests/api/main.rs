//! What a real API server makes of the resources: manifests good and bad with the messages that users read, defaults, what cannot
//! change once a migration has begun, and the admission policies with users who have a right and users who have not.
//!
//! It needs a control plane (no node), the kubeconfig of its administrator in HOLDFAST_TEST_KUBECONFIG, and on the PATH what
//! tests/cluster/api-server.sh puts there: helm and kubectl; argo-lua and promtool only for the ignored ones (`make test-gitops`, `make test-monitoring`).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod accounts;
mod admission;
mod argocd;
mod charts;
mod cluster;
mod gitops;
mod lifecycle;
mod manifests;
mod metrics;
mod monitoring;
mod oldest;
mod operator;
mod plugin;
mod plugin_diff;
mod plugin_evidence;
mod plugin_report;
mod plugin_steering;
mod queries;
mod schema;
mod server;
mod steering;
mod stored_plan;
mod users;
mod waiting;
