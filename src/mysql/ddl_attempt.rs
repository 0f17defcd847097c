//! One try of a schema change: the statement on a connection of its own, and a second connection that watches it and ends it
//! before readers and writers are held up longer than allowed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::Row;
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, SessionLimits};
use super::ddl::{Change, longest_duration};
use super::deadline::{SHORT_STATEMENT, within};
use super::error::{Cause, Error, code};
use super::fence::{change_lock_name, get_lock};
use super::goal::Goal;
use super::lending::Lent;
use super::session::Work;
use super::sql_steps;
use crate::plan::model::LockClass;

/// How often a long build is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How long the answer to a KILL QUERY may take: rolling a build back is quick, a busy machine is not.
const KILL_DEADLINE: Duration = Duration::from_secs(60);

/// Why a statement was ended from outside.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It waited for locks, or held them, as long as it may.
    Deadline,
    /// The caller asked for a stop.
    Stopped,
    /// It took far longer than estimated.
    TooLong,
    /// It could not be watched.
    Blind(Error),
}

/// How one try went.
pub(crate) struct Try {
    /// What the server answered.
    pub(crate) result: Result<(), Error>,
    /// Why it was ended from outside, if it was.
    pub(crate) ended: Option<Ended>,
    /// How long it took.
    pub(crate) elapsed: Duration,
    /// How long of that it was seen waiting for a lock; not known for changes of metadata.
    pub(crate) waited: Duration,
}

/// One try: the statement on a connection of its own, `observer` watching.
pub(crate) async fn attempt(work: &Work<'_>, change: &Change<'_>, mut observer: Lent) -> Result<Try, Error> {
    let seconds = Duration::from_secs(work.settings.lock_timeout.as_secs_f64().ceil().max(1.0) as u64);
    let mut connection = work.connect(SessionLimits { metadata_lock_wait: seconds, row_lock_wait: seconds }).await?;
    let lock = change_lock_name(&work.plan.schema);
    if !get_lock(&mut connection, &lock, 5).await? {
        return Err(Error::new(
            Cause::LockHeld,
            format!("{}: another schema change runs on {}", change.label, work.plan.schema),
        ));
    }
    // With this lock held nobody can take the migration over, so what is ours now stays ours until the statement ends.
    within(SHORT_STATEMENT, "checking the epoch", work.journal.assert_epoch(&mut connection)).await?;
    let checks = if matches!(change.goal, Goal::Key(_)) { 0 } else { 1 };
    let mut session = format!("SET SESSION foreign_key_checks = {checks}");
    if let Some(alone) = connection.dialect.build_alone().filter(|_| change.lock == LockClass::OnlineBuild) {
        session = format!("{session}; {alone}");
    }
    within(SHORT_STATEMENT, "setting the session up", connection.run(&session)).await?;

    let own = matches!(change.goal, Goal::OtherDefinition { .. });
    if own {
        let preparing = sql_steps::prepare(&mut connection, &work.plan.schema);
        within(SHORT_STATEMENT, "setting the session up", preparing).await?;
    }

    let id = connection.id;
    let waited = AtomicU64::new(0);
    let over = CancellationToken::new();
    let started = Instant::now();
    let elapsed;
    let (result, ended, in_order) = {
        let running = async {
            if own { connection.run_single(change.statement).await } else { connection.run(change.statement).await }
        };
        tokio::pin!(running);
        let mut watching = Box::pin(watch(work, change, &mut observer, id, &waited, &over));
        tokio::select! {
            result = &mut running => {
                elapsed = started.elapsed();
                // A look that is under way comes to its end, so that nothing of it is left on the connection.
                over.cancel();
                (result, None, watching.await.is_none())
            }
            Some(ended) = &mut watching => {
                drop(watching);
                if let Err(error) = kill(work, &mut observer, id).await {
                    tracing::warn!(connection = id, error = %error, "KILL QUERY failed; the server's own lock_wait_timeout ends the change");
                }
                let answer = tokio::time::timeout(KILL_DEADLINE, &mut running).await;
                elapsed = started.elapsed();
                (answer.unwrap_or_else(|_| Err(Error::new(Cause::Unreachable, format!("no answer to KILL QUERY {id}")))), Some(ended), false)
            }
        }
    };
    // Closing gives the lock back; where the connection broke, the server does so once the statement ends.
    if result.is_ok() {
        within(SHORT_STATEMENT, "closing the connection of the change", connection.close()).await?;
    } else {
        drop(connection);
    }
    if in_order {
        observer.give_back();
    }
    let waited = Duration::from_micros(waited.load(Ordering::Relaxed));
    Ok(Try { result: result.map(|_| ()), ended, elapsed, waited })
}

/// Watches a running statement and answers once it has to be ended; `None`: it is over by itself.
async fn watch(
    work: &Work<'_>,
    change: &Change<'_>,
    observer: &mut Connection,
    id: u64,
    waited: &AtomicU64,
    over: &CancellationToken,
) -> Option<Ended> {
    let started = Instant::now();
    if change.lock == LockClass::Metadata {
        return tokio::select! {
            () = tokio::time::sleep(work.settings.lock_timeout) => Some(Ended::Deadline),
            () = work.stop.0.cancelled() => Some(Ended::Stopped),
            () = over.cancelled() => None,
        };
    }
    let longest = longest_duration(change);
    let mut last_look = Instant::now();
    loop {
        let look = within(Duration::from_secs(5), "watching the change", async {
            let dialect = observer.dialect;
            let row =
                sqlx::query(dialect.statement_progress()).bind(id).fetch_optional(observer.raw()).await?.ok_or_else(
                    || {
                        Error::new(
                            Cause::PrivilegeMissing,
                            format!(
                                "{} does not show connection {id}: is it on, may this user read it?",
                                dialect.sessions_source()
                            ),
                        )
                    },
                )?;
            let state: Option<String> = row.try_get(0)?;
            let (completed, estimated): (Option<u64>, Option<u64>) = (row.try_get(1)?, row.try_get(2)?);
            Ok((
                state.is_some_and(|state| state.starts_with("Waiting for") && state.contains("lock")),
                completed.zip(estimated),
            ))
        })
        .await;
        let (waiting, stage) = match look {
            Ok(found) => found,
            Err(error) => return Some(Ended::Blind(error)),
        };
        // The time since the look before counts as waited: rather too much than too little.
        if waiting {
            let micros = u64::try_from(last_look.elapsed().as_micros()).unwrap_or(u64::MAX);
            let total = waited.fetch_add(micros, Ordering::Relaxed).saturating_add(micros);
            if Duration::from_micros(total) >= work.settings.lock_timeout {
                return Some(Ended::Deadline);
            }
        }
        last_look = Instant::now();
        if started.elapsed() > longest {
            return Some(Ended::TooLong);
        }
        let done = stage
            .filter(|(_, estimated)| *estimated > 0)
            .map(|(completed, estimated)| (completed * 100 / estimated).min(100));
        work.progress.update(|reading| {
            reading.activity = match done {
                Some(percent) => format!("{}: {percent} % after {} s", change.label, started.elapsed().as_secs()),
                None => format!("{}: {} s", change.label, started.elapsed().as_secs()),
            };
            reading.waiting = waiting.then(|| format!("{}: a lock on the table", change.label));
        });
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = work.stop.0.cancelled() => return Some(Ended::Stopped),
            () = over.cancelled() => return None,
        }
    }
}

/// Ends a statement, by a new connection if the watching one is gone.
async fn kill(work: &Work<'_>, observer: &mut Connection, id: u64) -> Result<(), Error> {
    let statement = format!("KILL QUERY {id}");
    let first = within(Duration::from_secs(2), "ending the change", observer.run(&statement)).await;
    let error = match first {
        Ok(_) => return Ok(()),
        Err(error) if error.cause != Cause::Unreachable => return gone_is_fine(error),
        Err(error) => error,
    };
    tracing::warn!(connection = id, error = %error, "the watching connection is lost; ending the change by a new one");
    let mut connection = work.connect(SessionLimits::default()).await?;
    match within(SHORT_STATEMENT, "ending the change", connection.run(&statement)).await {
        Ok(_) => Ok(()),
        Err(error) => gone_is_fine(error),
    }
}

fn gone_is_fine(error: Error) -> Result<(), Error> {
    // The connection ended by itself meanwhile.
    if error.code == Some(code::NO_SUCH_THREAD) { Ok(()) } else { Err(error) }
}
