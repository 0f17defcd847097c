//! The connection that changes rows: its session settings, its retries, how large its batches are, and how it gives way when the
//! server is busy. Everything that touches rows goes through here, so that none of it can press harder than it was allowed to.

use std::future::Future;
use std::time::Duration;

use sqlx::Row;
use tokio::time::Instant;

use super::connection::{Connection, Role, SessionLimits};
use super::deadline::{SHORT_STATEMENT, within};
use super::error::{Cause, Error, code};
use super::interruption::Running;
use super::replicas::PATIENCE;
use super::session::Work;

/// How long one transaction on a batch of rows may take before its connection counts as lost.
pub(crate) const BATCH_DEADLINE: Duration = Duration::from_secs(60);
/// How long looking through a whole table may take.
pub(crate) const SCAN_DEADLINE: Duration = Duration::from_secs(12 * 60 * 60);
/// How long batches wait for a busy server to calm down.
const CALM_DEADLINE: Duration = Duration::from_secs(15 * 60);
const SMALLEST_BATCH: u64 = 10;
const LARGEST_BATCH: u64 = 20_000;

/// What a transaction sees and locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// Reads lock nothing: for looking through whole tables.
    ReadCommitted,
    /// Locking reads also keep out rows that do not exist yet: for batches that must not overlook one.
    RepeatableRead,
}

/// Opens a connection whose session copies every value exactly: no strictness that refuses old values, no renumbering of
/// zeros, no time zone that shifts timestamps; foreign keys and unique keys are enforced.
pub(crate) async fn open(work: &Work<'_>, isolation: Isolation) -> Result<Connection, Error> {
    let lock_wait = work.settings.lock_timeout.max(Duration::from_secs(1));
    let limits = SessionLimits { metadata_lock_wait: lock_wait, row_lock_wait: lock_wait };
    let mut connection = work.connect(limits).await?;
    within(SHORT_STATEMENT, "preparing a session for rows", async {
        connection
            .run(
                "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00', foreign_key_checks = 1, unique_checks = 1, \
                 sql_safe_updates = 0",
            )
            .await?;
        isolate(&mut connection, isolation).await
    })
    .await?;
    Ok(connection)
}

/// Changes what later transactions of the session see and lock.
pub(crate) async fn isolate(connection: &mut Connection, isolation: Isolation) -> Result<(), Error> {
    connection
        .run(match isolation {
            Isolation::ReadCommitted => "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
            Isolation::RepeatableRead => "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        })
        .await?;
    Ok(())
}

/// Waits for a long statement of the connection `id`, and has the server stop it when the work is to stop or the deadline passes.
///
/// # Errors
/// [`Cause::Stopped`], [`Cause::Unreachable`] after the deadline, or what the statement answers.
pub(crate) async fn interruptible<T>(
    work: &Work<'_>,
    id: u64,
    what: &str,
    statement: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let (target, server_uuid) = (work.journal.target(), work.journal.server_uuid());
    let running = Running { target, role: Role::Primary, server_uuid, id, what };
    running.until_stopped(work.stop, SCAN_DEADLINE, statement).await
}

/// The tries of one transaction under the migration's epoch: again after a deadlock or a lock that was not to be had.
///
/// A caller loops: [`Self::begin`] and the batch within [`BATCH_DEADLINE`], then [`Self::end`], until that gives the result.
pub(crate) struct Attempts<'a> {
    work: &'a Work<'a>,
    what: &'a str,
    failed: u32,
}

impl<'a> Attempts<'a> {
    /// None made so far.
    pub(crate) fn new(work: &'a Work<'a>, what: &'a str) -> Self {
        Self { work, what, failed: 0 }
    }

    /// Begins the transaction.
    ///
    /// # Errors
    /// [`Cause::Stopped`], [`Cause::FenceLost`], or what the server answers.
    pub(crate) async fn begin(&self, connection: &mut Connection) -> Result<(), Error> {
        self.work.stop.check()?;
        connection.run("START TRANSACTION").await?;
        self.work.journal.assert_epoch(connection).await
    }

    /// Commits what went well and gives its result; rolls back what did not, and gives nothing where another try may help.
    ///
    /// # Errors
    /// What the batch answered; [`Cause::RetriesExhausted`].
    pub(crate) async fn end<T>(
        &mut self,
        connection: &mut Connection,
        outcome: Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let (work, what) = (self.work, self.what);
        let error = match outcome {
            Ok(result) => {
                within(BATCH_DEADLINE, format!("{what}: committing"), connection.commit(what)).await?;
                return Ok(Some(result));
            }
            Err(error) => error,
        };
        if error.cause == Cause::Unreachable {
            // No answer can be expected; the server rolls back when it notices.
            return Err(error);
        }
        within(SHORT_STATEMENT, format!("rolling back after: {error}"), connection.run("ROLLBACK")).await?;
        if !error.is_lock_conflict() {
            return Err(error);
        }
        if error.code == Some(code::LOCK_WAIT_TIMEOUT) {
            work.progress.update(|reading| reading.lock_wait_timeouts += 1);
        }
        self.failed += 1;
        if self.failed > work.settings.max_retries {
            return Err(Error {
                cause: Cause::RetriesExhausted,
                message: format!("{} tries, the last one ended with: {error}", self.failed),
                code: error.code,
                left: Vec::new(),
            });
        }
        work.progress.update(|reading| reading.waiting = Some(format!("{what}: trying again after {error}")));
        work.pause(Duration::from_millis(fastrand::u64(20..200) * u64::from(self.failed.min(10)))).await?;
        work.progress.update(|reading| reading.waiting = None);
        Ok(None)
    }
}

/// Waits until no more threads run than allowed, and no replica is further behind than it may be.
///
/// # Errors
/// [`Cause::NotReady`] when the server stays busy; [`Cause::ReplicaNotReady`] when a replica stays behind, or cannot be read;
/// [`Cause::Stopped`].
pub(crate) async fn wait_until_calm(work: &Work<'_>, connection: &mut Connection) -> Result<(), Error> {
    let reporting = (work.progress, work.stop);
    work.replicas.wait_for_lag(connection, "the next batch of rows", PATIENCE, reporting).await?;
    let begun = Instant::now();
    let mut waited = false;
    loop {
        work.stop.check()?;
        let running = within(SHORT_STATEMENT, "reading Threads_running", async {
            let row = sqlx::raw_sql("SHOW GLOBAL STATUS LIKE 'Threads_running'").fetch_one(connection.raw()).await?;
            let text: String = row.try_get(1)?;
            text.parse::<u64>()
                .map_err(|_| Error::new(Cause::Server, format!("Threads_running is {text:?}, not a number")))
        })
        .await?;
        let limit = work.settings.max_threads_running;
        if running <= limit {
            if waited {
                work.progress.update(|reading| reading.waiting = None);
            }
            return Ok(());
        }
        if begun.elapsed() > CALM_DEADLINE {
            return Err(Error::new(
                Cause::NotReady,
                format!(
                    "Threads_running stayed above {limit} (now {running}) for {} min: wait for a quieter time or raise \
                     spec.preflight.maxThreadsRunning",
                    CALM_DEADLINE.as_secs() / 60
                ),
            ));
        }
        waited = true;
        work.progress.update(|reading| {
            reading.waiting =
                Some(format!("the server is busy: Threads_running is {running}, batches go on at {limit}"));
        });
        work.pause(Duration::from_millis(fastrand::u64(100..300))).await?;
    }
}

/// How many rows the next batch takes, so that one takes about the time that it should.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchSize {
    rows: u64,
    target: Duration,
}

impl BatchSize {
    /// Begins with the size and the duration of the settings.
    pub(crate) fn new(work: &Work<'_>) -> Self {
        Self::starting(work.settings.batch_rows, work.settings.target_batch_time)
    }

    fn starting(rows: u64, target: Duration) -> Self {
        Self { rows: rows.clamp(SMALLEST_BATCH, LARGEST_BATCH), target }
    }

    /// Rows of the next batch.
    pub(crate) fn rows(self) -> u64 {
        self.rows
    }

    /// Learns how long a batch of [`Self::rows`] took. The size at most doubles or halves, so that one odd batch decides little.
    pub(crate) fn took(&mut self, elapsed: Duration) {
        let target = self.target.as_micros().max(1);
        let elapsed = elapsed.as_micros().max(1);
        let fitting = u128::from(self.rows) * target / elapsed;
        let fitting = u64::try_from(fitting).unwrap_or(LARGEST_BATCH);
        self.rows = fitting.clamp(self.rows / 2, self.rows * 2).clamp(SMALLEST_BATCH, LARGEST_BATCH);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_took_too_long_is_followed_by_a_smaller_one() {
        let mut size = BatchSize::starting(1000, Duration::from_millis(100));
        size.took(Duration::from_millis(125));
        assert_eq!(size.rows(), 800);
        size.took(Duration::from_secs(10));
        assert_eq!(size.rows(), 400);
    }

    #[test]
    fn a_quick_batch_at_most_doubles_the_next_one_and_sizes_stay_in_bounds() {
        let mut size = BatchSize::starting(1000, Duration::from_millis(100));
        size.took(Duration::from_millis(1));
        assert_eq!(size.rows(), 2000);
        for _ in 0..20 {
            size.took(Duration::from_millis(1));
        }
        assert_eq!(size.rows(), LARGEST_BATCH);
        for _ in 0..20 {
            size.took(Duration::from_secs(60));
        }
        assert_eq!(size.rows(), SMALLEST_BATCH);
    }
}
