//! Foreign keys for a live MySQL: staged, proven and reversible, from one Kubernetes resource.
//!
//! `api` holds the resources, `plan` turns a specification and the catalogue into operations, `mysql` carries them out, and
//! `controller` joins them; `cli` is the kubectl plugin, `draft` writes the manifests that it proposes, `report` the pages that it
//! shows, `evidence` is what one environment shows another, and `results` reads what a Job's tests came to. `api`, `plan`, `draft`, `report` and `evidence` do no I/O; `mysql`
//! knows nothing of Kubernetes.

pub mod api;
pub mod backup;
pub mod cli;
pub mod controller;
pub mod definitions;
pub mod draft;
pub mod evidence;
pub mod mysql;
pub mod plan;
pub mod report;
pub mod results;
pub mod telemetry;
