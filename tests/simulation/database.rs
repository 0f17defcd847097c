//! The database server: what the catalogue shows, rows without a parent, the quarantine, the journal, the fence and who is connected.
//! Every write of a migration passes [`Database::write`], which is where two writers would be seen.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::put_back::Exchange;

/// A connection; never used twice.
pub(crate) type Connection = u64;

/// Where an operation stands in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Intended,
    Done,
    Undone,
}

/// One operation in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) standing: Standing,
    /// Rows in quarantine that it took.
    pub(crate) quarantined: u64,
}

/// How a migration stands in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Running,
    Complete,
    RolledBack,
    Failed,
}

/// One migration in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Migration {
    pub(crate) owner: String,
    pub(crate) digest: String,
    pub(crate) epoch: u64,
    pub(crate) ending: Ending,
    pub(crate) entries: Vec<Entry>,
    /// Of its tables for those of its backup.
    pub(crate) exchange: Exchange,
}

impl Migration {
    pub(crate) fn entry(&self, id: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    pub(crate) fn entry_mut(&mut self, id: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.id == id)
    }

    /// Rows that it has in quarantine.
    pub(crate) fn quarantined(&self) -> u64 {
        self.entries.iter().map(|entry| entry.quarantined).sum()
    }
}

/// A statement that the server carries out, even if its connection dies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) connection: Connection,
    pub(crate) migration: usize,
    pub(crate) object: String,
    pub(crate) adds: bool,
    pub(crate) ends: Timestamp,
}

#[derive(Debug, Default)]
pub(crate) struct Database {
    /// Answers of the server by `server_uuid`; changes at a failover.
    pub(crate) server: String,
    /// Whether it can be reached.
    pub(crate) reachable: bool,
    /// Whether it meets `spec.preflight`.
    pub(crate) busy: bool,
    /// What the catalogue shows.
    pub(crate) objects: BTreeSet<String>,
    /// Objects that a migration added, by its place in the journal.
    pub(crate) made_by: BTreeMap<String, usize>,
    /// Rows without a parent, by table.
    pub(crate) orphans: [u64; 2],
    pub(crate) journal: Vec<Migration>,
    /// How often migrations of each plan have announced, done or undone something.
    pub(crate) changes: BTreeMap<String, u64>,
    pub(crate) fence: Option<Connection>,
    /// Open connections that hold a fence, with the moment at which the server notices that the other end is dead.
    pub(crate) connections: BTreeMap<Connection, Option<Timestamp>>,
    pub(crate) statement: Option<Statement>,
    pub(crate) next_connection: Connection,
    /// What must never happen and did.
    pub(crate) violation: Option<String>,
}

impl Database {
    pub(crate) fn new() -> Self {
        Self { server: "server-0".to_owned(), reachable: true, orphans: [3, 2], ..Self::default() }
    }

    /// A migration announced, did or undid something.
    pub(crate) fn changed_by(&mut self, migration: usize) {
        *self.changes.entry(self.journal[migration].digest.clone()).or_default() += 1;
    }

    /// What migrations of other plans have changed.
    pub(crate) fn changes_of_others(&self, digest: &str) -> String {
        let others = self.changes.iter().filter(|(of, _)| of.as_str() != digest);
        format!("{} changes", others.map(|(_, changes)| changes).sum::<u64>())
    }

    pub(crate) fn connect(&mut self) -> Connection {
        self.next_connection += 1;
        self.connections.insert(self.next_connection, None);
        self.next_connection
    }

    /// Ends a connection as its owner does, or as the server does that notices its death.
    pub(crate) fn disconnect(&mut self, connection: Connection) {
        self.connections.remove(&connection);
        if self.fence == Some(connection) {
            self.fence = None;
        }
    }

    /// The client is gone; the server notices at a later moment.
    pub(crate) fn orphan(&mut self, connection: Connection, until: Timestamp) {
        if let Some(death) = self.connections.get_mut(&connection) {
            *death = Some(until);
        }
    }

    /// Whether a connection is of use.
    pub(crate) fn alive(&self, connection: Connection) -> bool {
        self.connections.contains_key(&connection)
    }

    /// What the server does by itself as time passes.
    pub(crate) fn advance(&mut self, now: Timestamp) {
        let dead: Vec<Connection> = self
            .connections
            .iter()
            .filter(|(_, death)| death.is_some_and(|death| death <= now))
            .map(|(connection, _)| *connection)
            .collect();
        for connection in dead {
            self.disconnect(connection);
        }
        if self.statement.as_ref().is_some_and(|statement| statement.ends <= now)
            && let Some(statement) = self.statement.take()
        {
            self.finish(&statement);
        }
    }

    fn finish(&mut self, statement: &Statement) {
        let object = statement.object.clone();
        let changed = if statement.adds { self.objects.insert(object.clone()) } else { self.objects.remove(&object) };
        if !changed {
            let did = if statement.adds { "added" } else { "dropped" };
            self.fault(format!("{object} was {did} twice"));
        }
        if statement.adds {
            self.made_by.insert(object, statement.migration);
        } else {
            self.made_by.remove(&object);
        }
    }

    /// A write by a migration's session: the place where two writers at work on one schema are seen.
    pub(crate) fn write(&mut self, connection: Connection, migration: usize, epoch: u64) {
        if self.fence != Some(connection) {
            self.fault(format!(
                "a second writer: connection {connection} writes while {:?} holds the fence",
                self.fence
            ));
        }
        if self.journal[migration].epoch != epoch || self.journal[migration].ending != Ending::Running {
            self.fault(format!("a writer of epoch {epoch} writes into {:?}", self.journal[migration]));
        }
        if let Some(statement) = self.statement.as_ref().filter(|statement| statement.connection != connection) {
            let text = format!("a second writer: connection {connection} writes while {statement:?} runs");
            self.fault(text);
        }
    }

    pub(crate) fn fault(&mut self, text: String) {
        self.violation.get_or_insert(text);
    }

    /// What contradicts itself in the database.
    pub(crate) fn contradiction(&self) -> Option<String> {
        if let Some(fault) = &self.violation {
            return Some(fault.clone());
        }
        for (object, maker) in self.made_by.iter().filter(|(object, _)| self.objects.contains(*object)) {
            let entry = self.journal[*maker].entry(object);
            if entry.is_none_or(|entry| entry.standing == Standing::Undone) {
                return Some(format!("{object} is there, and the journal that made it says {entry:?}"));
            }
        }
        None
    }
}
