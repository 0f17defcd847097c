//! What every piece of the engine's work is given: limits, what the approval allows, a place to report progress, and the sign to stop.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::error::{Cause, Error};

/// How hard the engine may press, from `spec.execution`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settings {
    /// Longest time that one try may hold up the application's statements, in total.
    pub lock_timeout: Duration,
    /// Tries of one schema change before giving up.
    pub max_retries: u32,
    /// How long to wait for transactions older than a new key.
    pub barrier_timeout: Duration,
    /// Rows in the first batch; later ones follow `target_batch_time`.
    pub batch_rows: u64,
    /// How long one batch should take.
    pub target_batch_time: Duration,
    /// Batches wait while more threads than this run.
    pub max_threads_running: u64,
    /// Whether sessions that stand in the way of a schema change are ended.
    pub kill_blockers: KillBlockers,
    /// The schema that holds journal and quarantine.
    pub journal: JournalLocation,
}

/// Whether sessions that stand in the way of a schema change are ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum KillBlockers {
    /// They are named and waited for.
    #[default]
    Never,
    /// Those that hold a light transaction open and do nothing in it.
    IdleTransactions,
}

/// Where journal and quarantine tables lie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum JournalLocation {
    /// A schema of their own.
    Schema(crate::plan::Identifier),
    /// In the migrated schema, their names beginning with this prefix.
    Prefix(crate::plan::Identifier),
}

/// What people have allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowance {
    /// Rows that cleanup may remove or change over the whole migration; `None`: no approval limits it.
    pub max_rows: Option<u64>,
    /// Whether operations of class Copy may run.
    pub copy: bool,
    /// When a section must have come to a safe point, and beyond which no operation may be expected to last; `None`: at no time.
    pub until: Option<Timestamp>,
}

/// A reading of how far the work is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// What is being done, for people: `adding fk_bookmarks_user`.
    pub activity: String,
    /// Operations of the section that are done.
    pub operations_done: u64,
    /// Operations of the section.
    pub operations_total: u64,
    /// What the work waits for, with the blocker named; `None` while it advances.
    pub waiting: Option<String>,
    /// Statements that were ended because they had waited for a lock, or held others up, as long as they may.
    pub lock_wait_timeouts: u64,
}

/// Something that was done and that people should be told of, once, whatever the work does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A session was ended.
    BlockerKilled {
        /// Its connection.
        connection: u64,
        /// Whose it was, why it was ended, and what it had done.
        text: String,
    },
}

/// Where work reports its progress; cheap to clone, read by whoever holds the other end.
#[derive(Debug, Clone)]
pub struct Progress {
    reading: watch::Sender<Reading>,
    notices: Option<mpsc::UnboundedSender<Notice>>,
}

impl Progress {
    /// A new one with the end to read it from.
    #[must_use]
    pub fn new() -> (Self, watch::Receiver<Reading>) {
        let (sender, receiver) = watch::channel(Reading::default());
        (Self { reading: sender, notices: None }, receiver)
    }

    /// The same, whose notices go to a listener.
    #[must_use]
    pub fn telling(self, listener: mpsc::UnboundedSender<Notice>) -> Self {
        Self { notices: Some(listener), ..self }
    }

    /// Changes the reading.
    pub fn update(&self, change: impl FnOnce(&mut Reading)) {
        self.reading.send_modify(change);
    }

    /// Tells of something that was done. It is in the log already.
    pub fn tell(&self, notice: Notice) {
        if let Some(listener) = &self.notices
            && let Err(unheard) = listener.send(notice)
        {
            tracing::debug!(notice = ?unheard.0, "nobody listens to notices any more");
        }
    }
}

/// The sign to stop at the next safe point.
#[derive(Debug, Clone, Default)]
pub struct Stop(pub CancellationToken);

impl Stop {
    /// An error once a stop was asked for.
    ///
    /// # Errors
    /// [`Cause::Stopped`].
    pub fn check(&self) -> Result<(), Error> {
        if self.0.is_cancelled() { Err(stopped()) } else { Ok(()) }
    }

    /// Reads something, which is given up once a stop was asked for: a server that does not answer must not hold up what waits for the
    /// end of the work.
    ///
    /// # Errors
    /// [`Cause::Stopped`], or what the reading meets.
    pub(crate) async fn reading<T>(&self, reading: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::select! {
            read = reading => read,
            () = self.0.cancelled() => Err(stopped()),
        }
    }
}

fn stopped() -> Error {
    Error::new(Cause::Stopped, "stopped at a safe point, as asked; what was done is recorded")
}
