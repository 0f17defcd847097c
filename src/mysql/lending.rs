//! Connections that a session lends for short readings and for its journal: a schema change needs a dozen of them, and opening one
//! costs more than what it is opened for. Statements that change the schema or rows never run on them: those have dedicated ones.
//!
//! Each is checked whenever it is lent: it must be the same session of the same server, which must be writable still, and it gets
//! the standing settings again. One that met an error is not given back, so that nothing is left open on it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::connection::Connection;
use super::deadline::within;
use super::error::{Cause, Error};

/// How long an idle connection may take to answer before another one is opened instead.
const CHECK_DEADLINE: Duration = Duration::from_secs(5);
/// Idle connections that are kept: more are never needed at once.
const KEPT: usize = 3;

/// The idle connections of a session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lender(Arc<Mutex<Vec<Connection>>>);

/// A lent connection. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct Lent {
    connection: Connection,
    lender: Lender,
}

impl Lender {
    /// An idle connection that proved to be in order; `None`: there is none, and a new one is to be opened.
    ///
    /// # Errors
    /// [`Cause::ServerUnsupported`] when the server became read-only or a proxy changed what is behind the connection.
    pub(crate) async fn idle(&self) -> Result<Option<Lent>, Error> {
        loop {
            let next = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(connection) = next else { return Ok(None) };
            let id = connection.id;
            match self.ready(connection).await {
                Ok(lent) => return Ok(Some(lent)),
                // Nothing ran on it that matters; what is wrong with the server shows when another one is opened.
                Err(error) if error.cause != Cause::ServerUnsupported => {
                    tracing::debug!(connection = id, error = %error, "an idle connection is gone; another one is opened");
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes a connection one of those that are lent.
    ///
    /// # Errors
    /// As [`Self::idle`], and when the connection is gone.
    pub(crate) async fn ready(&self, mut connection: Connection) -> Result<Lent, Error> {
        let standing = connection.dialect.standing();
        within(CHECK_DEADLINE, "preparing a connection for reading", connection.ready_again(&standing)).await?;
        Ok(Lent { connection, lender: self.clone() })
    }

    /// Closes all idle connections. One that is gone already is closed.
    pub(crate) async fn close(&self) {
        loop {
            let next = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(connection) = next else { return };
            let id = connection.id;
            if let Err(error) = within(CHECK_DEADLINE, "closing an idle connection", connection.close()).await {
                tracing::debug!(connection = id, error = %error, "an idle connection was gone already");
            }
        }
    }
}

impl Lent {
    /// Gives the connection back. Only after success: what ended with an error may have left something open.
    pub(crate) fn give_back(self) {
        let mut idle = self.lender.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push(self.connection);
        }
    }
}

impl std::ops::Deref for Lent {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl std::ops::DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}
