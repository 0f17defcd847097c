//! A transaction that cannot be committed by what runs inside it: XA START ... XA ROLLBACK. In between the server itself refuses
//! DDL and COMMIT. It lives no longer than its limit; then its connection is killed, which rolls it back.

use std::time::Duration;

use tokio::time::error::Elapsed;

use super::connection::{Connection, SessionLimits, Target};
use super::deadline::{SHORT_STATEMENT, within};
use super::error::{Cause, Error};
use crate::plan::Identifier;

/// ER_XA_RBDEADLOCK
const ROLLED_BACK_BY_DEADLOCK: u16 = 1614;

/// Tries of a cage that met a lock.
pub(crate) const TRIES: u32 = 3;

/// An open cage.
pub(crate) struct Cage {
    target: Target,
    /// Where its statements run.
    pub(crate) connection: Connection,
    name: String,
    limit: Duration,
    what: String,
}

impl Cage {
    /// Opens a cage on a connection of its own whose default schema is `schema`. `what` is for messages.
    ///
    /// # Errors
    /// What the server answers.
    pub(crate) async fn open(target: &Target, schema: &Identifier, limit: Duration, what: &str) -> Result<Self, Error> {
        let mut connection = target.connect(SessionLimits::default()).await?;
        // Unique per connection, and a connection holds one cage.
        let name = format!("'holdfast-{}-{}'", fastrand::u64(..), connection.id);
        within(SHORT_STATEMENT, format!("{what}: beginning"), async {
            connection.run(&format!("USE {}", schema.quoted())).await?;
            connection
                .run(
                    "SET SESSION sql_mode = CONCAT_WS(',', NULLIF(@@GLOBAL.sql_mode, ''), 'NO_AUTO_VALUE_ON_ZERO'), \
                     foreign_key_checks = 1, unique_checks = 1",
                )
                .await?;
            connection.run("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").await?;
            connection.run(&format!("XA START {name}")).await
        })
        .await?;
        Ok(Self { target: target.clone(), connection, name, limit, what: what.to_owned() })
    }

    /// How long what runs inside may take.
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// Rolls back whatever was done, and passes the outcome on; `Err(Elapsed)` is work that took longer than [`Self::limit`].
    ///
    /// # Errors
    /// What the work answered; [`Cause::LockWaitTimeout`] when it took too long; [`Cause::VerificationFailed`] when the transaction
    /// was not open any more at its end.
    pub(crate) async fn end<T>(mut self, outcome: Result<Result<T, Error>, Elapsed>) -> Result<T, Error> {
        let what = self.what.clone();
        let Ok(result) = outcome else {
            let id = self.connection.id;
            let killing = async {
                let mut killer = self.target.connect(SessionLimits::default()).await?;
                killer.run(&format!("KILL CONNECTION {id}")).await?;
                killer.close().await
            };
            within(SHORT_STATEMENT, format!("{what}: ending connection {id}"), killing).await?;
            return Err(Error::new(
                Cause::LockWaitTimeout,
                format!(
                    "{what}: not done within spec.execution.lockTimeout ({} ms); it was rolled back",
                    self.limit.as_millis()
                ),
            ));
        };
        let rolled_back = within(SHORT_STATEMENT, format!("{what}: rolling back"), self.roll_back()).await;
        let result = result?;
        rolled_back?;
        self.connection.close().await?;
        Ok(result)
    }

    async fn roll_back(&mut self) -> Result<(), Error> {
        // After a deadlock the transaction is rolled back already, and XA END says so.
        match self.connection.run(&format!("XA END {}", self.name)).await {
            Ok(_) => {}
            Err(error) if error.code == Some(ROLLED_BACK_BY_DEADLOCK) => {}
            Err(error) => {
                return Err(Error::new(
                    Cause::VerificationFailed,
                    format!("the transaction is not open any more, so its changes may stand: {error}"),
                ));
            }
        }
        self.connection.run(&format!("XA ROLLBACK {}", self.name)).await?;
        Ok(())
    }
}

/// Waits a little before the next try of a cage that met a lock; gives the error back where another try does not help.
pub(crate) async fn try_again(error: Error, tries: u32) -> Result<(), Error> {
    if error.cause != Cause::LockWaitTimeout || tries >= TRIES {
        return Err(error);
    }
    tokio::time::sleep(Duration::from_millis(fastrand::u64(50..250))).await;
    Ok(())
}
