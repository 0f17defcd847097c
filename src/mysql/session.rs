//! What one piece of work is given: the server, the limits, the plan, the journal under whose epoch it writes, and how to stop it.

use super::connection::{Connection, SessionLimits, Target};
use super::error::{Cause, Error};
use super::journal::Journal;
use super::work::{Allowance, Progress, Settings, Stop};
use crate::plan::Plan;

/// The context of a running operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work<'a> {
    /// The server.
    pub(crate) target: &'a Target,
    /// Limits.
    pub(crate) settings: &'a Settings,
    /// The whole plan.
    pub(crate) plan: &'a Plan,
    /// The journal of this migration.
    pub(crate) journal: &'a Journal,
    /// What people have allowed.
    pub(crate) allowance: Allowance,
    /// Where to report.
    pub(crate) progress: &'a Progress,
    /// The sign to stop, also given when the fence is lost.
    pub(crate) stop: &'a Stop,
}

impl Work<'_> {
    /// Opens a connection to the server that holds the fence.
    ///
    /// # Errors
    /// When it cannot be opened, or another server answers.
    pub(crate) async fn connect(&self, limits: SessionLimits) -> Result<Connection, Error> {
        self.journal.connect(limits).await
    }

    /// Waits, unless a stop is asked for meanwhile.
    ///
    /// # Errors
    /// [`Cause::Stopped`].
    pub(crate) async fn pause(&self, duration: std::time::Duration) -> Result<(), Error> {
        tokio::select! {
            () = tokio::time::sleep(duration) => Ok(()),
            () = self.stop.0.cancelled() => {
                Err(Error::new(Cause::Stopped, "stopped at a safe point, as asked; what was done is recorded"))
            }
        }
    }
}
