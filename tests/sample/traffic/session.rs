//! One connection of the application: runs statements, measures each, and says what went wrong in the terms that matter here.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::mysql::{MySqlConnection, MySqlRow};

use super::super::connection::{Server, sql};
use super::super::failure::{Failure, server_error};
use super::measure::{Class, Measurements};

/// Why a unit of work did not succeed.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The server broke a deadlock by rolling this transaction back.
    Deadlock,
    /// The server refused, by its error number.
    Server(u16),
    /// The connection is gone: what it was doing may have happened or not.
    Connection(String),
    /// Rows that must be there were not.
    Missing(String),
}

impl Trouble {
    fn of(error: &sqlx::Error) -> Self {
        match server_error(error) {
            Some(1213) => Self::Deadlock,
            Some(code) => Self::Server(code),
            None => Self::Connection(error.to_string()),
        }
    }

    /// What is known beyond the code.
    pub(crate) fn detail(&self) -> &str {
        match self {
            Self::Deadlock | Self::Server(_) => "",
            Self::Connection(text) | Self::Missing(text) => text,
        }
    }

    /// The name under which it is counted.
    pub(crate) fn code(&self) -> String {
        match self {
            Self::Deadlock => "1213".to_owned(),
            Self::Server(code) => code.to_string(),
            Self::Connection(_) => "connection".to_owned(),
            Self::Missing(_) => "missing row".to_owned(),
        }
    }
}

/// What a statement did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    /// Rows that it found or made.
    pub(crate) rows: u64,
    /// The id that it was given.
    pub(crate) id: u64,
}

/// The measurements, shared by all connections.
pub(crate) type Shared = Arc<Mutex<Measurements>>;

/// Locks the measurements; a panic elsewhere leaves them usable.
pub(crate) fn lock(shared: &Shared) -> MutexGuard<'_, Measurements> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection, opened when it is needed.
pub(crate) struct Session {
    server: Server,
    connection: Option<MySqlConnection>,
    was_open: bool,
    shared: Shared,
    /// A statement that takes longer is given up, with its connection.
    deadline: Duration,
}

impl Session {
    /// A session that is not open yet.
    pub(crate) fn new(server: Server, shared: Shared, deadline: Duration) -> Self {
        Self { server, connection: None, was_open: false, shared, deadline }
    }

    async fn open(&mut self) -> Result<&mut MySqlConnection, Trouble> {
        if self.connection.is_none() {
            let connection = self.server.connect().await.map_err(|error| match error {
                Failure::Database { source, .. } => Trouble::of(&source),
                other => Trouble::Connection(other.to_string()),
            })?;
            if self.was_open {
                lock(&self.shared).counts().reconnects += 1;
            }
            self.was_open = true;
            self.connection = Some(connection);
        }
        self.connection.as_mut().ok_or_else(|| Trouble::Connection("not open".to_owned()))
    }

    /// Closes the connection, whatever it was doing.
    pub(crate) fn drop_connection(&mut self) {
        self.connection = None;
    }

    /// Runs a statement that changes rows of this table: prepared where it has values, so that few texts serve many rows.
    pub(crate) async fn write(
        &mut self,
        table: &str,
        statement: &str,
        values: &[Option<String>],
    ) -> Result<Done, Trouble> {
        self.measured(Class::Write, table, async |connection| {
            if values.is_empty() {
                let done = sqlx::raw_sql(sql(statement)).execute(connection).await?;
                return Ok(Done { rows: done.rows_affected(), id: done.last_insert_id() });
            }
            let mut query = sqlx::query(sql(statement));
            for value in values {
                query = query.bind(value.as_deref());
            }
            let done = query.execute(connection).await?;
            Ok(Done { rows: done.rows_affected(), id: done.last_insert_id() })
        })
        .await
    }

    /// Runs a query on this table and returns its rows.
    pub(crate) async fn read(&mut self, table: &str, query: &str) -> Result<Vec<MySqlRow>, Trouble> {
        self.measured(Class::Read, table, async |connection| sqlx::raw_sql(sql(query)).fetch_all(connection).await)
            .await
    }

    /// `START TRANSACTION`, `COMMIT` or `ROLLBACK`; a commit counts as a write.
    pub(crate) async fn transaction(&mut self, statement: &'static str) -> Result<(), Trouble> {
        let class = if statement == "COMMIT" { Class::Write } else { Class::Read };
        let run = async |connection: &mut MySqlConnection| sqlx::raw_sql(statement).execute(connection).await.map(drop);
        self.measured(class, statement, run).await
    }

    async fn measured<T>(
        &mut self,
        class: Class,
        table: &str,
        run: impl AsyncFnOnce(&mut MySqlConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Trouble> {
        let deadline = self.deadline;
        let connection = self.open().await?;
        let started = Instant::now();
        let result = tokio::time::timeout(deadline, run(connection)).await;
        lock(&self.shared).statement(class, table, started.elapsed());
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Trouble::of(&error)),
            Err(_) => Err(Trouble::Connection(format!("no answer within {} s", deadline.as_secs()))),
        }
    }
}
