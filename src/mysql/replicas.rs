//! The replicas that a specification lists, and when work waits for them: before and after every schema change, before every batch of
//! rows, and for the proof. One that cannot be read stops the work there and then.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use sqlx::Row;
use tokio::sync::{Mutex, MutexGuard};

use super::blockers::describe;
use super::connection::Connection;
use super::deadline::{SHORT_STATEMENT, within};
use super::error::{Cause, Error};
use super::replica::{ReplicaConnection, ReplicaTarget};
use super::replication::LagWatch;
use super::session::Work;
use super::work::{Progress, Stop};
use crate::plan::TableName;
use crate::plan::catalogue::Flavour;

/// How long work waits for a replica before it is given back, to be begun again once the replica is as it should be. Nothing is held
/// or half done meanwhile.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// Between two looks at a replica that is waited for.
const LOOK: Duration = Duration::from_millis(200);
/// One that has held a table for so long while the applier waits is in its way.
const STALLING: Duration = Duration::from_millis(50);
/// How long one question whether transactions are applied waits for them, in seconds.
const ASK_SECONDS: u32 = 1;

/// Replicas that are watched.
#[derive(Debug, Clone, Default)]
pub struct Replicas {
    /// Each of them.
    pub targets: Vec<ReplicaTarget>,
    /// How far behind one may be.
    pub max_lag: Duration,
}

/// The replicas of a session, with a connection to each that serves again and again.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    replicas: Vec<Watch>,
    max_lag: Duration,
}

#[derive(Debug)]
struct Watch {
    target: ReplicaTarget,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    connection: Option<ReplicaConnection>,
    lag: LagWatch,
}

/// A replica in the hands of one piece of work. Its connection is kept only if it is given back.
pub(crate) struct InHand<'a> {
    target: &'a ReplicaTarget,
    state: MutexGuard<'a, State>,
    connection: ReplicaConnection,
}

impl Watched {
    pub(crate) fn new(replicas: &Replicas) -> Self {
        let watch = |target: &ReplicaTarget| Watch { target: target.clone(), state: Mutex::default() };
        Self { replicas: replicas.targets.iter().map(watch).collect(), max_lag: replicas.max_lag }
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.replicas.is_empty()
    }

    /// Says goodbye to all of them.
    pub(crate) async fn close(&self) {
        for Watch { target, state } in &self.replicas {
            let Some(connection) = state.lock().await.connection.take() else { continue };
            if let Err(error) = within(SHORT_STATEMENT, "closing an idle connection", connection.close()).await {
                tracing::debug!(replica = target.place(), %error, "an idle connection was gone already");
            }
        }
    }

    /// All of them in hand, each of which has just proved to follow the primary or another of them.
    ///
    /// # Errors
    /// [`Cause::ReplicaNotReady`].
    pub(crate) async fn in_hand(&self, primary: &str) -> Result<Vec<InHand<'_>>, Error> {
        let mut all = Vec::with_capacity(self.replicas.len());
        let mut sources = BTreeSet::from([primary.to_owned()]);
        for Watch { target, state } in &self.replicas {
            let mut state = state.lock().await;
            let mut kept = state.connection.take();
            if let Some(connection) = &mut kept
                && !connection.is_alive().await
            {
                kept = None;
            }
            let connection = match kept {
                Some(connection) => connection,
                None => target.connect().await?,
            };
            if !sources.insert(connection.server_uuid().to_owned()) {
                return Err(target.not_ready(
                    "it is the server of spec.database.host itself, or one that is listed before it: list each replica once",
                ));
            }
            all.push(InHand { target, state, connection });
        }
        for one in &mut all {
            let mut others = sources.clone();
            others.remove(one.connection.server_uuid());
            one.connection.check(&others).await?;
        }
        Ok(all)
    }

    /// Waits until no replica is further behind than it may be. `what` goes on then. `connection` is one to the primary.
    ///
    /// # Errors
    /// [`Cause::ReplicaNotReady`] when one cannot be read or stays behind; [`Cause::Stopped`].
    pub(crate) async fn wait_for_lag(
        &self,
        connection: &mut Connection,
        what: &str,
        patience: Duration,
        (progress, stop): (&Progress, &Stop),
    ) -> Result<(), Error> {
        if self.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        let mut waited = false;
        loop {
            stop.check()?;
            let now = Instant::now();
            let transactions = committed(connection).await?;
            let mut behind = None;
            for mut one in self.in_hand(&connection.server_uuid).await? {
                one.state.lag.sample(now, &transactions, self.max_lag);
                while let Some(asked) = one.state.lag.asked() {
                    if !one.connection.has_applied(asked, 0).await? {
                        break;
                    }
                    one.state.lag.applied();
                }
                if !one.state.lag.is_within(Instant::now(), self.max_lag) {
                    behind = Some((one.target, one.state.lag.unapplied(Instant::now())));
                }
                one.give_back();
            }
            let Some((behind, unapplied)) = behind else {
                if waited {
                    progress.update(|reading| reading.waiting = None);
                }
                return Ok(());
            };
            let lag = format!(
                "what was committed {:.1} s ago is not applied there, and spec.preflight.maxReplicaLag is {:.1} s",
                unapplied.as_secs_f64(),
                self.max_lag.as_secs_f64()
            );
            if begun.elapsed() > patience {
                return Err(behind.not_ready(format!(
                    "{lag}; {what} has waited for {} s: see what holds its applier up, or raise the limit",
                    begun.elapsed().as_secs()
                )));
            }
            // The first look of all only takes a sample; that is no lag.
            if begun.elapsed() > self.max_lag.min(LOOK * 2) {
                waited = true;
                progress.update(|reading| {
                    reading.waiting = Some(format!("{what} waits for {}: {lag}", behind.name()));
                });
            }
            pause(LOOK, stop).await?;
        }
    }

    /// Waits until no session has held one of the tables on a replica for longer than a schema change may wait: what arrives there
    /// after it would stall the replica, and every reader of the tables there.
    ///
    /// # Errors
    /// [`Cause::ReplicaNotReady`] naming the session; [`Cause::Stopped`].
    pub(crate) async fn wait_until_free(
        &self,
        work: &Work<'_>,
        label: &str,
        tables: &[TableName],
    ) -> Result<(), Error> {
        let begun = Instant::now();
        while !self.is_empty() {
            work.stop.check()?;
            let mut obstacle = None;
            for mut one in self.in_hand(work.journal.server_uuid()).await? {
                let holders = one.connection.holders(tables, work.settings.lock_timeout).await?;
                if !holders.is_empty() && obstacle.is_none() {
                    obstacle = Some((one.target, describe(&holders)));
                }
                one.give_back();
            }
            let Some((target, holders)) = obstacle else { break };
            if begun.elapsed() > PATIENCE {
                return Err(target.not_ready(format!(
                    "{label} would hold its applier up, because of sessions there: {holders}; end them, or choose a quieter hour"
                )));
            }
            work.progress.update(|reading| {
                reading.waiting = Some(format!("{label}: on {}: {holders}", target.name()));
            });
            work.pause(LOOK).await?;
        }
        Ok(())
    }

    /// Waits until every replica has applied what is committed by now, and tells who holds one up.
    ///
    /// # Errors
    /// [`Cause::ReplicaNotReady`] when one cannot be read, or has not within `patience`; [`Cause::Stopped`].
    pub(crate) async fn wait_until_applied(
        &self,
        work: &Work<'_>,
        label: &str,
        tables: &[TableName],
        took: Duration,
    ) -> Result<String, Error> {
        if self.is_empty() {
            return Ok(String::new());
        }
        let mut primary = work.lend().await?;
        let transactions = committed(&mut primary).await?;
        primary.give_back();
        let (begun, patience) = (Instant::now(), PATIENCE.max(took * 10));
        for place in 0..self.replicas.len() {
            loop {
                work.stop.check()?;
                let mut all = self.in_hand(work.journal.server_uuid()).await?;
                let one = &mut all[place];
                if one.connection.has_applied(&transactions, 0).await? {
                    all.into_iter().for_each(InHand::give_back);
                    break;
                }
                let holders = one.connection.holders(tables, STALLING).await?;
                let holders = if holders.is_empty() {
                    String::new()
                } else {
                    format!("; sessions there that hold its tables: {}", describe(&holders))
                };
                let waited = begun.elapsed();
                if waited > patience {
                    return Err(one.target.not_ready(format!(
                        "{label} is done, and it has not applied that within {} s{holders}",
                        waited.as_secs()
                    )));
                }
                let name = one.target.name();
                // Most have it at once, and are not worth a word.
                if waited > LOOK * 2 {
                    work.progress.update(|reading| {
                        reading.waiting = Some(format!(
                            "{label} is done; {name} is to apply it ({} s so far){holders}",
                            waited.as_secs()
                        ));
                    });
                }
                let applied = one.connection.has_applied(&transactions, ASK_SECONDS).await?;
                all.into_iter().for_each(InHand::give_back);
                if applied {
                    break;
                }
            }
        }
        work.progress.update(|reading| reading.waiting = None);
        Ok(transactions)
    }
}

impl<'a> InHand<'a> {
    /// Which one it is.
    pub(crate) fn target(&self) -> &'a ReplicaTarget {
        self.target
    }

    /// Its connection.
    pub(crate) fn connection(&mut self) -> &mut ReplicaConnection {
        &mut self.connection
    }

    /// Keeps the connection for the next who needs it. Only after success: what ended with an error may have left something open.
    pub(crate) fn give_back(self) {
        let Self { mut state, connection, .. } = self;
        state.connection = Some(connection);
    }
}

/// Every transaction that the primary has committed.
///
/// # Errors
/// [`Cause::ReplicaNotReady`] where transactions have no such names (`gtid_mode`).
pub(crate) async fn committed(primary: &mut Connection) -> Result<String, Error> {
    if primary.dialect.flavour() != Flavour::MySql {
        return Err(Error::new(
            Cause::ReplicaNotReady,
            "spec.database.replicas lists replicas, and this version watches those of MySQL only: migrate a server without replicas",
        ));
    }
    let (mode, transactions) = within(SHORT_STATEMENT, "asking what is committed", async {
        let row = sqlx::raw_sql("SELECT CAST(@@global.gtid_mode AS CHAR), CAST(@@global.gtid_executed AS CHAR)")
            .fetch_one(primary.raw())
            .await?;
        Ok((row.try_get::<String, _>(0)?, row.try_get::<String, _>(1)?))
    })
    .await?;
    if mode != "ON" {
        return Err(Error::new(
            Cause::ReplicaNotReady,
            format!(
                "spec.database.replicas lists replicas, and gtid_mode is {mode} on the server: what a replica has applied is told by GTIDs, and \
                 cannot be proven without. Set gtid_mode to ON (an online change, see MySQL's manual), or migrate a server without replicas"
            ),
        ));
    }
    Ok(transactions.replace(['\n', ' '], ""))
}

async fn pause(duration: Duration, stop: &Stop) -> Result<(), Error> {
    tokio::select! {
        () = tokio::time::sleep(duration) => Ok(()),
        () = stop.0.cancelled() => stop.check(),
    }
}
