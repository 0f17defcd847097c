//! One connection's share of the application's work: chooses what to do next, does it, and enters it in the ledger.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use fastrand::Rng;
use tokio_util::sync::CancellationToken;

use super::ledger::{Ledger, Loss, RowKey, Values};
use super::seeds::Seeds;
use super::session::{Session, Shared, Trouble, lock};
use super::shapes::SHAPES;

/// Own rows from which on a connection rather deletes than inserts.
const MOST_ROWS: usize = 3_000;
/// Pause before a connection is opened again, so that a server that is down is not hammered.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

/// The foreign keys that the schema has, by name; kept fresh by a connection of its own.
pub(crate) type Keys = Arc<RwLock<HashSet<String>>>;

/// Longest pause before a deadlock's retry; the shortest is a quarter of it.
const RETRY_PAUSE_MS: u64 = 400;

/// What the application does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// A user with an authentication provider and preferences.
    SignUp,
    /// A row of one of the [`SHAPES`].
    Insert(usize),
    /// A question with its results.
    Ask,
    /// A protocol with a version and its chunks.
    Publish,
    /// Another text in an own row.
    Edit,
    /// A bookmark moves to another folder.
    Refile,
    /// A column of a generated row that the application keeps up to date.
    Touch,
    /// A row goes, and what depends on it.
    Delete(Option<&'static str>),
    /// A query.
    Read,
    /// A violation on purpose.
    Provoke,
}

impl Work {
    fn writes(self) -> bool {
        self != Self::Read
    }
}

/// What a unit of work did, for the ledger.
#[derive(Debug)]
pub(crate) enum Effect {
    Inserted(RowKey, Values),
    Updated(RowKey, &'static str, Option<String>),
    Touched(RowKey, &'static str, String),
    Deleted(Loss),
}

/// One connection.
pub(crate) struct Worker {
    /// Its number among all, and how many there are: generated rows are divided by it.
    pub(crate) number: (usize, usize),
    /// What makes this run's texts differ from those of other runs.
    pub(crate) run: String,
    pub(crate) counter: u64,
    pub(crate) rng: Rng,
    pub(crate) session: Session,
    pub(crate) ledger: Ledger,
    pub(crate) seeds: Arc<Seeds>,
    pub(crate) keys: Keys,
    pub(crate) shared: Shared,
    /// Whether the unit of work at hand is done again after a deadlock.
    pub(crate) retrying: bool,
    /// Rows that the unit of work at hand changes.
    pub(crate) in_flight: BTreeSet<RowKey>,
}

impl Worker {
    /// Works at this pace until told to stop; returns the ledger.
    pub(crate) async fn work(mut self, pace: Duration, stop: CancellationToken) -> Ledger {
        let mut ticks = tokio::time::interval(pace);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            let work = self.choose();
            self.perform(work).await;
        }
        self.ledger
    }

    fn choose(&mut self) -> Work {
        if self.ledger.len() > MOST_ROWS {
            return Work::Delete(Some("users"));
        }
        match self.rng.u32(0..100) {
            0..6 => Work::SignUp,
            6..34 => {
                let total: u32 = SHAPES.iter().map(|shape| shape.weight).sum();
                let mut left = self.rng.u32(0..total);
                for (place, shape) in SHAPES.iter().enumerate() {
                    if left < shape.weight {
                        return Work::Insert(place);
                    }
                    left -= shape.weight;
                }
                Work::SignUp
            }
            34..39 => Work::Ask,
            39..41 => Work::Publish,
            41..50 => Work::Edit,
            50..53 => Work::Refile,
            53..63 => Work::Touch,
            63..71 => Work::Delete(None),
            71..72 => Work::Delete(Some("users")),
            72..74 => Work::Delete(Some("bookmark_folders")),
            74..75 => Work::Delete(Some("protocols")),
            75..76 => Work::Delete(Some("protocol_comments")),
            76..98 => Work::Read,
            _ => Work::Provoke,
        }
    }

    /// Does one unit of work, a deadlock once more, as an application would.
    async fn perform(&mut self, work: Work) {
        let seed = self.rng.u64(..);
        self.retrying = false;
        let mut result = self.attempt(work, seed).await;
        if matches!(result, Err(Trouble::Deadlock)) {
            lock(&self.shared).error("1213".to_owned());
            self.retrying = true;
            let pause = Duration::from_millis(fastrand::u64(RETRY_PAUSE_MS / 4..=RETRY_PAUSE_MS));
            tokio::time::sleep(pause).await;
            // The server has rolled back already; this closes a transaction that it did not see as one.
            result = match self.session.transaction("ROLLBACK").await {
                Ok(()) => self.attempt(work, seed).await,
                Err(trouble) => Err(trouble),
            };
            if result.is_ok() {
                lock(&self.shared).counts().deadlocks_retried += 1;
            }
        }
        match result {
            Ok(effects) => {
                if !effects.is_empty() {
                    lock(&self.shared).counts().committed += 1;
                }
                for effect in effects {
                    self.enter(effect);
                }
            }
            Err(trouble) => self.fail(work, trouble).await,
        }
    }

    async fn attempt(&mut self, work: Work, seed: u64) -> Result<Vec<Effect>, Trouble> {
        self.rng = Rng::with_seed(seed);
        self.in_flight.clear();
        match work {
            Work::SignUp => self.sign_up().await,
            Work::Insert(shape) => self.insert_one(&SHAPES[shape]).await,
            Work::Ask => self.ask().await,
            Work::Publish => self.publish().await,
            Work::Edit => self.edit().await,
            Work::Refile => self.refile().await,
            Work::Touch => self.touch().await,
            Work::Delete(table) => self.delete(table).await,
            Work::Read => self.browse().await,
            Work::Provoke => self.provoke().await,
        }
    }

    fn enter(&mut self, effect: Effect) {
        match effect {
            Effect::Inserted(row, values) => self.ledger.inserted(row, values),
            Effect::Updated(row, column, value) => self.ledger.updated(row, column, value),
            Effect::Touched(row, column, value) => self.ledger.touched(row, column, value),
            Effect::Deleted(loss) => self.ledger.deleted(&loss),
        }
    }

    async fn fail(&mut self, work: Work, trouble: Trouble) {
        {
            let mut measurements = lock(&self.shared);
            measurements.error(trouble.code());
            if work.writes() {
                measurements.counts().write_errors += 1;
            } else {
                measurements.counts().read_errors += 1;
            }
        }
        eprintln!("traffic: {work:?} failed: error {} {}", trouble.code(), trouble.detail());
        let broken = match trouble {
            Trouble::Connection(_) => true,
            Trouble::Deadlock | Trouble::Server(_) | Trouble::Missing(_) => {
                self.session.transaction("ROLLBACK").await.is_err()
            }
        };
        if broken {
            self.ledger.lose_sight_of(std::mem::take(&mut self.in_flight));
            self.session.drop_connection();
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    }

    /// Whether the schema has all of these keys, when last looked.
    pub(crate) fn has_keys<'a>(&self, mut names: impl Iterator<Item = &'a str>) -> bool {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        names.all(|name| keys.contains(name))
    }

    /// A text that no other row has.
    pub(crate) fn unique(&mut self, prefix: &str) -> String {
        self.counter += 1;
        format!("{prefix}{}{}-{}", self.run, self.number.0, self.counter)
    }
}
