//! The barrier: waiting until every transaction that is older than a new key has ended. Only then does a count of orphans prove
//! anything: an older transaction may have removed a parent and not yet committed.
//!
//! `information_schema.innodb_trx` is a cache that another reader can keep stale, so a reading counts only if it shows a canary
//! transaction that was opened after the key. Where it never does, the transaction events of the performance schema and XA
//! RECOVER are asked instead; where they cannot be read either, the barrier does not pass.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::Row;

use super::connection::{Connection, SessionLimits};
use super::deadline::{SHORT_STATEMENT, within};
use super::error::{Cause, Error};
use super::failpoints;
use super::session::Work;

/// Between two readings: InnoDB renews its cache only after 0.1 s without a reader, and a reading that comes earlier begins that
/// time anew.
const BETWEEN_READINGS: Duration = Duration::from_millis(105);
/// How long the cache may hide the canary before the other source is asked.
const CANARY_DEADLINE: Duration = Duration::from_secs(5);

/// What a reading waits beyond that, after so many in vain: readers that follow each other at the same pace keep the list stale for
/// all of them, for as long as they read.
fn spread(in_vain: u32) -> Duration {
    let most = if in_vain == 0 { 0 } else { 2_u32.pow((in_vain - 1).min(3)) };
    BETWEEN_READINGS.mul_f64(f64::from(most) * fastrand::f64())
}

/// Transactions by what identifies them, each with words for people.
type Transactions = BTreeMap<String, String>;

/// Where transactions are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    InnodbTrx,
    /// With the statement that reads them.
    TransactionEvents(&'static str),
}

/// When the session last read `innodb_trx`, so that the next reading waits no longer than it must to be a new one.
#[derive(Debug, Default)]
pub(crate) struct LastReading(Mutex<Option<Instant>>);

impl LastReading {
    /// Waits until InnoDB renews its cache for the next reader, as far as this session's own readings keep it from that.
    ///
    /// # Errors
    /// [`Cause::Stopped`].
    pub(crate) async fn pause(&self, work: &Work<'_>) -> Result<(), Error> {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match last.map(|last| BETWEEN_READINGS.saturating_sub(last.elapsed())) {
            Some(rest) if !rest.is_zero() => work.pause(rest).await,
            _ => Ok(()),
        }
    }

    /// Remembers that the list was read just now.
    pub(crate) fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

/// Waits until all transactions that were open when this is called have ended.
///
/// # Errors
/// [`Cause::BarrierTimeout`] naming those that have not, [`Cause::Stopped`], [`Cause::PrivilegeMissing`] when transactions
/// cannot be read.
pub(crate) async fn wait(work: &Work<'_>, label: &str) -> Result<(), Error> {
    failpoints::before("the barrier");
    // A connection of its own: an earlier barrier's canary in a stale reading must not be taken for this one's.
    let mut canary = work.connect(SessionLimits::default()).await?;
    within(SHORT_STATEMENT, "opening the canary transaction", canary.run("START TRANSACTION WITH CONSISTENT SNAPSHOT"))
        .await?;
    let mut reader = work.lend().await?;
    let (source, mut waiting_for) = first_reading(work, &mut reader, canary.id).await?;
    let started = Instant::now();
    // The first reading came after the canary began; the canary has served.
    within(SHORT_STATEMENT, "closing the canary transaction", canary.close()).await?;
    let mut in_vain = 0;
    while !waiting_for.is_empty() {
        let names = waiting_for.values().take(3).cloned().collect::<Vec<_>>().join("; ");
        work.progress.update(|reading| {
            reading.waiting =
                Some(format!("{label}: {} transaction(s) older than the change: {names}", waiting_for.len()));
        });
        if started.elapsed() > work.settings.barrier_timeout {
            return Err(Error::new(
                Cause::BarrierTimeout,
                format!(
                    "{label}: transactions older than the change have not ended within {} s: {names}. End them, or raise \
                     spec.execution.barrierTimeout",
                    work.settings.barrier_timeout.as_secs()
                ),
            ));
        }
        let now = match source {
            Source::InnodbTrx => {
                work.pause(spread(in_vain)).await?;
                innodb_trx(work, &mut reader).await?
            }
            Source::TransactionEvents(statement) => {
                work.pause(BETWEEN_READINGS).await?;
                transaction_events(&mut reader, statement).await?
            }
        };
        // A stale reading shows too much rather than too little: what it no longer shows has ended, or was prepared by XA, which
        // takes it from its session and leaves it open.
        waiting_for.retain(|transaction, _| now.contains_key(transaction) || now.contains_key(&detached(transaction)));
        in_vain += 1;
    }
    work.progress.update(|reading| reading.waiting = None);
    reader.give_back();
    failpoints::after("the barrier");
    Ok(())
}

/// How `innodb_trx` shows a transaction once its session has prepared it: without the session.
fn detached(transaction: &str) -> String {
    let started = transaction.split_once(' ').map_or(transaction, |(_, started)| started);
    format!("0 {started}")
}

/// The first reading that surely is later than the canary, without the canary itself.
async fn first_reading(work: &Work<'_>, reader: &mut Connection, canary: u64) -> Result<(Source, Transactions), Error> {
    let started = Instant::now();
    let own = format!("{canary} ");
    let deadline = match reader.dialect.transaction_events() {
        Some(_) => CANARY_DEADLINE,
        // Without another list there is nothing to do but to wait for a fresh reading.
        None => work.settings.barrier_timeout,
    };
    let mut in_vain = 0;
    while started.elapsed() < deadline {
        let mut reading = innodb_trx(work, reader).await?;
        let before = reading.len();
        reading.retain(|transaction, _| !transaction.starts_with(&own));
        if reading.len() < before {
            return Ok((Source::InnodbTrx, reading));
        }
        in_vain += 1;
        work.pause(spread(in_vain)).await?;
    }
    let Some(events) = reader.dialect.transaction_events() else {
        return Err(Error::new(
            Cause::BarrierTimeout,
            format!(
                "information_schema.innodb_trx has not shown a transaction opened {} s ago, and this server has no other list of transactions: \
                 stop the tool that reads innodb_trx more often than every 0.1 s, which keeps it stale, and grant PROCESS",
                deadline.as_secs()
            ),
        ));
    };
    tracing::warn!(
        "another reader keeps information_schema.innodb_trx stale; transaction events and XA RECOVER are read instead"
    );
    let mut reading = transaction_events(reader, events).await?;
    let before = reading.len();
    reading.retain(|transaction, _| !transaction.starts_with(&own));
    if reading.len() == before {
        return Err(Error::new(
            Cause::PrivilegeMissing,
            "neither information_schema.innodb_trx nor performance_schema.events_transactions_current shows a transaction opened just now: \
             grant PROCESS and SELECT on performance_schema, and switch the consumer events_transactions_current on",
        ));
    }
    Ok((Source::TransactionEvents(events), reading))
}

/// Reads `innodb_trx` as soon as it may have been renewed since this session read it.
async fn innodb_trx(work: &Work<'_>, reader: &mut Connection) -> Result<Transactions, Error> {
    work.last_reading.pause(work).await?;
    within(SHORT_STATEMENT, "reading information_schema.innodb_trx", async {
        let rows = sqlx::query(reader.dialect.open_transactions()).fetch_all(reader.raw()).await?;
        work.last_reading.note();
        rows.iter()
            .map(|row| {
                let (thread, started): (u64, String) = (row.try_get(0)?, row.try_get(1)?);
                let (user, host): (Option<String>, Option<String>) = (row.try_get(2)?, row.try_get(3)?);
                let words = if thread == 0 {
                    format!("a transaction without a session since {started} (prepared XA: see XA RECOVER)")
                } else {
                    let (user, host) =
                        (user.unwrap_or_else(|| "unknown".into()), host.unwrap_or_else(|| "unknown".into()));
                    format!("connection {thread} ({user}@{host}) since {started}")
                };
                Ok((format!("{thread} {started}"), words))
            })
            .collect()
    })
    .await
}

async fn transaction_events(reader: &mut Connection, statement: &'static str) -> Result<Transactions, Error> {
    within(SHORT_STATEMENT, "reading transaction events and XA RECOVER", async {
        let rows = sqlx::query(statement).fetch_all(reader.raw()).await?;
        let mut found = Transactions::new();
        for row in rows {
            let (thread, event): (u64, u64) = (row.try_get(0)?, row.try_get(1)?);
            let (user, host): (Option<String>, Option<String>) = (row.try_get(2)?, row.try_get(3)?);
            let (user, host) = (user.unwrap_or_else(|| "unknown".into()), host.unwrap_or_else(|| "unknown".into()));
            found.insert(format!("{thread} {event}"), format!("connection {thread} ({user}@{host})"));
        }
        for row in sqlx::raw_sql(reader.dialect.prepared_transactions()).fetch_all(reader.raw()).await? {
            let xid: String = row.try_get("data")?;
            found.insert(format!("xa {xid}"), format!("prepared XA transaction {xid}"));
        }
        Ok(found)
    })
    .await
}
