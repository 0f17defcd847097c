//! Schema changes on tables in use: begun only when nobody has held the tables for long, tried again with pauses, and believed
//! only once the catalogue shows them.

use std::time::{Duration, Instant};

use super::blockers::{describe, holders};
use super::connection::SessionLimits;
use super::ddl_attempt::{Ended, attempt};
use super::error::{Cause, Error, code};
use super::fence::{change_lock_name, get_lock};
use super::goal::{Goal, Standing};
use super::idle_blockers;
use super::observe::observe;
use super::replicas::PATIENCE;
use super::session::Work;
use crate::plan::TableName;
use crate::plan::model::{Estimate, LockClass};

/// Least time that a build may take before it is given up.
const BUILD_DEADLINE: Duration = Duration::from_secs(3600);
/// A statement that worked longer than this before it was lost counts as a lost build.
const BUILD: Duration = Duration::from_secs(1);
/// Builds that may be lost before giving up: each costs the server, and its replicas, the whole work.
const LOST_BUILDS: u32 = 2;

/// One schema change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<'a> {
    /// For people: `adding fk_bookmarks_user`.
    pub(crate) label: &'a str,
    /// The statement.
    pub(crate) statement: &'a str,
    /// How it meets the traffic.
    pub(crate) lock: LockClass,
    /// What it is expected to cost.
    pub(crate) estimate: Estimate,
    /// What the catalogue shows once it happened.
    pub(crate) goal: Goal<'a>,
}

/// What carrying a change out took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// Tries, those included that found a blocker beforehand; 0 when there was nothing to do.
    pub(crate) tries: u32,
    /// Longest time of one try in which it may have held others up.
    pub(crate) longest: Duration,
}

/// Carries a change out. The caller has just seen that the catalogue does not show it.
///
/// # Errors
/// [`Cause::RetriesExhausted`] naming the last blocker, [`Cause::Drifted`] when the catalogue is neither as before nor as
/// wanted, [`Cause::Stopped`], or what the server answers.
pub(crate) async fn apply(work: &Work<'_>, change: &Change<'_>) -> Result<Applied, Error> {
    let tables = change.goal.tables();
    let tries = work.settings.max_retries.max(1);
    let mut applied = Applied::default();
    let mut lost_builds = 0;
    let mut obstacle = String::from("nothing was tried");
    work.progress.update(|reading| change.label.clone_into(&mut reading.activity));
    while applied.tries < tries {
        if applied.tries > 0 {
            work.progress.update(|reading| reading.waiting = Some(format!("{}: {obstacle}", change.label)));
            work.pause(pause_before(applied.tries)).await?;
        }
        work.stop.check()?;
        make_sure_of_replicas(work, change.label, &tables).await?;
        applied.tries += 1;
        let mut observer = work.lend().await?;
        let mut blockers = holders(&mut observer, &tables, work.settings.lock_timeout).await?;
        let mut spared = String::new();
        if !blockers.is_empty() {
            let outcome = Box::pin(idle_blockers::end(work, change.label, &mut observer, &blockers)).await?;
            spared = outcome.spared;
            if outcome.ended > 0 {
                blockers = holders(&mut observer, &tables, work.settings.lock_timeout).await?;
            }
        }
        if !blockers.is_empty() {
            obstacle = describe(&blockers) + &spared;
            observer.give_back();
            continue;
        }
        let attempt = attempt(work, change, observer).await?;
        let held = if change.lock == LockClass::Metadata { attempt.elapsed } else { attempt.waited };
        applied.longest = applied.longest.max(held);
        if matches!(&attempt.result, Err(error) if error.cause == Cause::Unreachable) {
            await_orphan(work, change).await?;
        }
        if reached(work, change).await? {
            work.progress.update(|reading| reading.waiting = None);
            // A change of metadata takes a replica no longer than the server; a build takes it as long again.
            Box::pin(work.replicas.wait_until_applied(work, change.label, &tables, attempt.elapsed)).await?;
            return Ok(applied);
        }
        let error = match attempt.result {
            // A statement of the user's own may leave the definition as it was.
            Ok(()) if matches!(change.goal, Goal::OtherDefinition { .. }) => {
                Box::pin(work.replicas.wait_until_applied(work, change.label, &tables, attempt.elapsed)).await?;
                return Ok(applied);
            }
            Ok(()) => {
                return Err(Error::new(
                    Cause::Drifted,
                    format!(
                        "{}: the server reported success, but the catalogue does not show it: {}",
                        change.label, change.statement
                    ),
                ));
            }
            Err(error) => error,
        };
        match attempt.ended {
            Some(Ended::Stopped) => {
                work.stop.check()?;
                return Err(error.while_doing(change.label));
            }
            Some(Ended::Blind(blind)) => {
                return Err(blind.while_doing(format!("{} (stopped, because it could not be watched)", change.label)));
            }
            Some(Ended::TooLong) => {
                return Err(Error::new(
                    Cause::RetriesExhausted,
                    format!(
                        "{} was ended after {:.0} s, far beyond its estimate",
                        change.label,
                        attempt.elapsed.as_secs_f64()
                    ),
                ));
            }
            Some(Ended::Deadline) | None => {
                let timed_out = attempt.ended.is_some() || error.code == Some(code::LOCK_WAIT_TIMEOUT);
                work.progress.update(|reading| reading.lock_wait_timeouts += u64::from(timed_out));
            }
        }
        if !worth_retrying(&error) {
            return Err(explain(error, change));
        }
        obstacle = last_obstacle(work, &tables, &error, &attempt.ended).await?;
        if change.lock != LockClass::Metadata && attempt.elapsed.saturating_sub(attempt.waited) > BUILD {
            lost_builds += 1;
            if lost_builds > LOST_BUILDS {
                return Err(Error::new(
                    Cause::RetriesExhausted,
                    format!(
                        "{}: the whole build was lost {lost_builds} times, last to {obstacle}; choose a quieter hour",
                        change.label
                    ),
                ));
            }
        }
    }
    Err(Error::new(
        Cause::RetriesExhausted,
        format!(
            "{}: no lock within {} ms in {tries} tries; last in the way: {obstacle}. End that transaction, raise spec.execution.maxRetries, or \
             choose a quieter hour",
            change.label,
            work.settings.lock_timeout.as_millis()
        ),
    ))
}

/// Waits until no replica lags, and none has a session that a change of the tables would have to wait for.
async fn make_sure_of_replicas(work: &Work<'_>, label: &str, tables: &[TableName]) -> Result<(), Error> {
    if work.replicas.is_empty() {
        return Ok(());
    }
    let mut primary = work.lend().await?;
    let reporting = (work.progress, work.stop);
    Box::pin(work.replicas.wait_for_lag(&mut primary, label, PATIENCE, reporting)).await?;
    primary.give_back();
    Box::pin(work.replicas.wait_until_free(work, label, tables)).await
}

/// Whether the catalogue shows the change.
async fn reached(work: &Work<'_>, change: &Change<'_>) -> Result<bool, Error> {
    match change.goal.standing(&observe(work, &change.goal.tables()).await?) {
        Standing::Reached => Ok(true),
        Standing::NotReached => Ok(false),
        Standing::Contradicted(found) => Err(Error::new(
            Cause::Drifted,
            format!("{}: {found}; somebody changed it outside this migration", change.label),
        )),
    }
}

/// Grows from a quarter of a second to five, each time anywhere between half and whole, so that tries do not fall into step
/// with the application.
fn pause_before(try_number: u32) -> Duration {
    let whole = 0.25 * f64::from(2_u32.pow(try_number.saturating_sub(1).min(6)));
    Duration::from_secs_f64(whole.min(5.0) * (0.5 + fastrand::f64() / 2.0))
}

fn worth_retrying(error: &Error) -> bool {
    error.cause == Cause::Unreachable
        || matches!(error.code, Some(code::LOCK_WAIT_TIMEOUT | code::QUERY_INTERRUPTED | code::DEADLOCK))
}

fn explain(error: Error, change: &Change<'_>) -> Error {
    let advice = match error.code {
        Some(code::ALGORITHM_NOT_SUPPORTED | code::ALGORITHM_NOT_SUPPORTED_REASON) => {
            " (the server cannot do this online, and a copy of the table is never made unasked: plan it as a COPY that waits for its approval)"
        }
        Some(code::ONLINE_LOG_TOO_BIG) => {
            " (more was written meanwhile than innodb_online_alter_log_max_size holds: raise it, or choose a quieter hour)"
        }
        _ => "",
    };
    let mut error = error.while_doing(format!("{}: {}", change.label, change.statement));
    error.message.push_str(advice);
    error
}

async fn last_obstacle(
    work: &Work<'_>,
    tables: &[TableName],
    error: &Error,
    ended: &Option<Ended>,
) -> Result<String, Error> {
    let mut observer = work.lend().await?;
    let blockers = holders(&mut observer, tables, Duration::from_millis(50)).await?;
    observer.give_back();
    if !blockers.is_empty() {
        return Ok(describe(&blockers));
    }
    Ok(match ended {
        Some(_) => format!(
            "a session that held the table for more than {} ms and is gone now",
            work.settings.lock_timeout.as_millis()
        ),
        None => error.message.clone(),
    })
}

/// How long a build may take before it is given up.
pub(crate) fn longest_duration(change: &Change<'_>) -> Duration {
    BUILD_DEADLINE.max(Duration::from_millis(change.estimate.milliseconds.saturating_mul(20)))
}

/// After the connection of a change broke: waits until the server has ended the statement, so that the catalogue can be believed.
async fn await_orphan(work: &Work<'_>, change: &Change<'_>) -> Result<(), Error> {
    let lock = change_lock_name(&work.plan.schema);
    let longest = longest_duration(change);
    let started = Instant::now();
    work.progress.update(|reading| {
        reading.waiting = Some(format!("{}: its connection broke; the server may still be at it", change.label));
    });
    loop {
        let mut connection = work.connect(SessionLimits::default()).await?;
        if get_lock(&mut connection, &lock, 5).await? {
            return connection.close().await;
        }
        connection.close().await?;
        work.stop.check()?;
        if started.elapsed() > longest {
            return Err(Error::new(
                Cause::RetriesExhausted,
                format!(
                    "{}: its connection broke, and after {} s the server is still at it",
                    change.label,
                    started.elapsed().as_secs()
                ),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_are_bounded() {
        for number in 1..40 {
            let pause = pause_before(number).as_secs_f64();
            assert!((0.125..=5.0).contains(&pause), "{pause}");
        }
        assert!(pause_before(1).as_secs_f64() <= 0.25);
        assert!(pause_before(10).as_secs_f64() >= 2.5);
    }

    #[test]
    fn a_refused_algorithm_is_not_tried_again() {
        let error =
            Error { code: Some(code::ALGORITHM_NOT_SUPPORTED_REASON), ..Error::new(Cause::Server, String::new()) };
        assert!(!worth_retrying(&error));
    }
}
