//! The controller joins the resources with the engine. One pass over a migration is: observe (I/O), decide (pure), project the
//! status (pure) and write it, then carry out the one effect that was decided (I/O). What takes long runs as a task that later
//! passes only watch.

mod approvals;
pub mod backup_check;
mod backup_counts;
mod backup_place;
pub mod context;
pub mod decide;
pub mod decision;
pub mod events;
pub mod evidence;
mod evidence_store;
pub mod execute;
mod external_backup;
mod facts;
pub mod gates;
pub mod health;
pub mod job_view;
pub mod jobs;
mod left_unfinished;
mod loss;
pub mod names;
pub mod observe;
pub mod observed;
pub mod plan_store;
pub mod project;
pub mod put_back_names;
mod putting_back;
pub mod reading;
pub mod reconcile;
pub mod remove_job;
pub mod restore_job;
pub mod retention;
pub mod runtime;
mod snapshot_store;
pub mod soak;
mod soak_logs;
mod soak_reading;
mod taken_back;
pub mod target;
pub mod tasks;
mod telling;
pub mod verify_job;
pub mod volume_snapshot;
pub mod watched;
pub mod windows;
pub mod work;
