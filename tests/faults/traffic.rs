//! An application at work on the library's tables while faults happen: it writes down what was committed, and afterwards looks whether
//! all of it is there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::harness::Outcome;
use super::server::{Refused, Server, Sql};

/// Sessions of the application.
const SESSIONS: u64 = 3;
/// Between two units of work of a session.
const PACE: Duration = Duration::from_millis(15);
/// Before a session that lost its connection opens another one.
const RECONNECT: Duration = Duration::from_millis(200);
/// The ids of the rows that the application writes begin here; all rows from before have smaller ones.
pub(crate) const FIRST_ID: u64 = 10_000_000;
const IDS_OF_A_SESSION: u64 = 1_000_000;

/// What is known of a row that the application wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Known {
    Is(String),
    Gone,
    /// The connection broke while it was written.
    Unknown,
}

/// Rows by table and id.
type Ledger = BTreeMap<(&'static str, u64), Known>;

/// The application.
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    committed: Arc<AtomicU64>,
    sessions: Vec<JoinHandle<Ledger>>,
}

impl Traffic {
    /// Begins to work.
    pub(crate) fn start(runtime: &tokio::runtime::Handle, server: &Server, schema: &str) -> Self {
        let (stop, committed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let sessions = (0..SESSIONS)
            .map(|number| {
                let session = Session {
                    server: server.clone(),
                    schema: schema.to_owned(),
                    open: None,
                    next: FIRST_ID + number * IDS_OF_A_SESSION,
                    random: fastrand::Rng::with_seed(number),
                    ledger: Ledger::new(),
                };
                runtime.spawn(session.work(stop.clone(), committed.clone()))
            })
            .collect();
        Self { stop, committed, sessions }
    }

    /// Units of work that were committed so far.
    pub(crate) fn committed(&self) -> u64 {
        self.committed.load(Ordering::Relaxed)
    }

    /// Stops, and gives every committed row that is not as it was written, in words.
    pub(crate) async fn stop(self, server: &Server, schema: &str) -> Outcome<Vec<String>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut untrue = Vec::new();
        let mut sql = server.open(schema).await?;
        for session in self.sessions {
            let ledger = session.await.map_err(|error| format!("the application's session ended: {error}"))?;
            compare(&mut sql, &ledger, &mut untrue).await?;
        }
        Ok(untrue)
    }
}

async fn compare(sql: &mut Sql, ledger: &Ledger, untrue: &mut Vec<String>) -> Outcome<()> {
    for (table, column) in [("bookmarks", "note"), ("feedback", "body")] {
        let rows = sql.rows(&format!("SELECT id, {column} FROM {table} WHERE id >= {FIRST_ID}")).await?;
        let there: BTreeMap<u64, String> = rows
            .into_iter()
            .filter_map(|row| match &row[..] {
                [Some(id), Some(text)] => Some((id.parse().ok()?, text.clone())),
                _ => None,
            })
            .collect();
        for ((_, id), known) in ledger.iter().filter(|((of, _), _)| *of == table) {
            match (known, there.get(id)) {
                (Known::Unknown, _) | (Known::Gone, None) => {}
                (Known::Is(written), Some(now)) if written == now => {}
                (known, now) => untrue.push(format!("{table} {id}: {known:?} was committed, and it is {now:?}")),
            }
        }
    }
    Ok(())
}

struct Session {
    server: Server,
    schema: String,
    open: Option<Sql>,
    next: u64,
    random: fastrand::Rng,
    ledger: Ledger,
}

impl Session {
    async fn work(mut self, stop: Arc<AtomicBool>, committed: Arc<AtomicU64>) -> Ledger {
        while !stop.load(Ordering::Relaxed) {
            match self.unit().await {
                Ok(()) => {
                    committed.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(PACE).await;
                }
                // Refused, so nothing of it was carried out: a lock was not free, or a key says no.
                Err(refused) if refused.number.is_some() && self.open.is_some() => tokio::time::sleep(PACE).await,
                Err(_) => {
                    self.open = None;
                    tokio::time::sleep(RECONNECT).await;
                }
            }
        }
        self.ledger
    }

    /// One unit of work: a row is written, changed or deleted, each committed by itself.
    async fn unit(&mut self) -> Result<(), Refused> {
        let mut sql = match self.open.take() {
            Some(sql) => sql,
            None => self.server.open(&self.schema).await?,
        };
        let own: Vec<(&'static str, u64)> = (self.ledger.iter())
            .filter(|(_, known)| matches!(known, Known::Is(_)))
            .map(|(row, _)| *row)
            .rev()
            .take(20)
            .collect();
        let action = if own.is_empty() { 0 } else { self.random.u32(0..10) };
        let row = if action < 7 || own.is_empty() {
            self.next += 1;
            (if self.random.bool() { "bookmarks" } else { "feedback" }, self.next)
        } else {
            own[self.random.usize(0..own.len())]
        };
        let (table, id) = row;
        let column = if table == "bookmarks" { "note" } else { "body" };
        let text = format!("written {}", self.random.u64(..));
        let user = self.random.u32(1..=1000);
        let (statement, after) = match action {
            0..7 if table == "bookmarks" => (
                format!(
                    "INSERT INTO bookmarks (id, user_id, protocol_id, note) VALUES ({id}, {user}, {}, '{text}')",
                    self.random.u32(1..=300)
                ),
                Known::Is(text),
            ),
            0..7 => {
                (format!("INSERT INTO feedback (id, user_id, body) VALUES ({id}, {user}, '{text}')"), Known::Is(text))
            }
            7..9 => (format!("UPDATE {table} SET {column} = '{text}' WHERE id = {id}"), Known::Is(text)),
            _ => (format!("DELETE FROM {table} WHERE id = {id}"), Known::Gone),
        };
        let result = sql.run(&statement).await;
        match &result {
            Ok(_) => _ = self.ledger.insert(row, after),
            // The server's own end of a session in the middle of a statement comes with a number, too.
            Err(refused) if matches!(refused.number, None | Some(1053 | 1317 | 3169)) => {
                self.ledger.insert(row, Known::Unknown);
                return Err(Refused { number: None, message: refused.message.clone() });
            }
            Err(_) => {}
        }
        self.open = Some(sql);
        result.map(drop)
    }
}
