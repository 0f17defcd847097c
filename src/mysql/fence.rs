//! The fence: a session lock of the server that lets one controller at a time work on a schema. It lives as long as its
//! connection, which a task keeps alive and watches; when it is lost, all work of its holder stops.

use std::time::Duration;

use sha2::{Digest, Sha256};
use sqlx::Row;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::connection::{Connection, SessionLimits, Target};
use super::deadline::{SHORT_STATEMENT, within};
use super::error::{Cause, Error};
use super::failpoints;
use crate::plan::Identifier;

/// How long to wait for a fence that somebody else holds, in seconds.
const WAIT_SECONDS: u32 = 3;
/// How often the holder looks whether it still holds the fence.
const KEEPALIVE: Duration = Duration::from_secs(1);
/// How long one such look may take.
const KEEPALIVE_DEADLINE: Duration = Duration::from_secs(5);
/// After how many silent seconds the server ends the fence's session: the holder is dead or cut off.
const SILENCE_SECONDS: u32 = 60;

/// The name of the lock that spans a migration. Names of locks end at 64 characters, names of schemas do not fit in.
pub(crate) fn fence_name(schema: &Identifier) -> String {
    let digest = Sha256::digest(schema.as_str().as_bytes());
    let mut name = String::from("holdfast:");
    for byte in digest.iter().take(20) {
        name.push_str(&format!("{byte:02x}"));
    }
    name
}

/// The name of the lock that the connection of a running schema change holds, so that one whose controller died is seen.
pub(crate) fn change_lock_name(schema: &Identifier) -> String {
    format!("{}:ddl", fence_name(schema))
}

/// Takes a named lock on a connection, or says that somebody else has it.
pub(crate) async fn get_lock(connection: &mut Connection, name: &str, seconds: u32) -> Result<bool, Error> {
    let limit = Duration::from_secs(u64::from(seconds)) + SHORT_STATEMENT;
    let what = format!("GET_LOCK({name:?})");
    failpoints::before(&what);
    let taken = within(limit, &what, async {
        let answer: Option<i64> = sqlx::query("SELECT CAST(GET_LOCK(?, ?) AS SIGNED)")
            .bind(name)
            .bind(seconds)
            .fetch_one(connection.raw())
            .await?
            .try_get(0)?;
        answer
            .map(|taken| taken == 1)
            .ok_or_else(|| Error::new(Cause::Server, "the server could not take the lock and gave no reason"))
    })
    .await?;
    failpoints::after(&what);
    Ok(taken)
}

/// Gives a named lock back.
pub(crate) async fn release_lock(connection: &mut Connection, name: &str) -> Result<(), Error> {
    let what = format!("RELEASE_LOCK({name:?})");
    failpoints::before(&what);
    within(SHORT_STATEMENT, &what, async {
        sqlx::query("SELECT CAST(RELEASE_LOCK(?) AS SIGNED)").bind(name).fetch_one(connection.raw()).await?;
        Ok(())
    })
    .await?;
    failpoints::after(&what);
    Ok(())
}

/// Who holds a named lock, for messages: `user@host, connection 12`.
pub(crate) async fn holder(connection: &mut Connection, name: &str) -> Result<Option<String>, Error> {
    within(SHORT_STATEMENT, "asking who holds the lock", async {
        let id: Option<u64> = sqlx::query("SELECT CAST(IS_USED_LOCK(?) AS UNSIGNED)")
            .bind(name)
            .fetch_one(connection.raw())
            .await?
            .try_get(0)?;
        let Some(id) = id else { return Ok(None) };
        let who = sqlx::query(connection.dialect.session_by_id()).bind(id).fetch_optional(connection.raw()).await?;
        Ok(Some(match who {
            None => format!("connection {id}"),
            Some(row) => {
                let (user, host): (Option<String>, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
                let user = user.unwrap_or_else(|| "unknown".to_owned());
                format!("{user}@{}, connection {id}", host.unwrap_or_else(|| "unknown".to_owned()))
            }
        }))
    })
    .await
}

/// The fence in the hands of its holder. Dropping it gives it back too, only later.
#[derive(Debug)]
pub(crate) struct Fence {
    lost: CancellationToken,
    ending: CancellationToken,
    keeper: Option<JoinHandle<Result<(), Error>>>,
}

/// A fence that was just taken and is not watched yet.
#[derive(Debug)]
pub(crate) struct Taken {
    /// The connection that holds the locks.
    pub(crate) connection: Connection,
    names: Vec<String>,
}

impl Taken {
    /// Takes the fences of all schemas in order, and waits for schema changes of an earlier holder that still run.
    ///
    /// # Errors
    /// [`Cause::LockHeld`] naming the holder.
    pub(crate) async fn take(target: &Target, schemas: &[Identifier]) -> Result<Self, Error> {
        let mut connection = target.connect(SessionLimits::default()).await?;
        connection.run(&format!("SET SESSION wait_timeout = {SILENCE_SECONDS}")).await?;
        let mut names = Vec::new();
        for schema in schemas {
            let name = fence_name(schema);
            if !get_lock(&mut connection, &name, WAIT_SECONDS).await? {
                let holder =
                    holder(&mut connection, &name).await?.unwrap_or_else(|| "somebody who just let go".to_owned());
                return Err(Error::new(
                    Cause::LockHeld,
                    format!(
                        "the fence of schema {schema} (lock {name}) is held by {holder}: another controller is at work on it"
                    ),
                ));
            }
            names.push(name);
            let change = change_lock_name(schema);
            if !get_lock(&mut connection, &change, WAIT_SECONDS).await? {
                let holder = holder(&mut connection, &change)
                    .await?
                    .unwrap_or_else(|| "a connection that just ended".to_owned());
                return Err(Error::new(
                    Cause::LockHeld,
                    format!(
                        "a schema change of an earlier session still runs on {schema} ({holder}): it is waited for"
                    ),
                ));
            }
        }
        Ok(Self { connection, names })
    }

    /// Lets schema changes begin, and watches the fence from now on.
    pub(crate) async fn watch(mut self, schemas: &[Identifier]) -> Result<Fence, Error> {
        for schema in schemas {
            release_lock(&mut self.connection, &change_lock_name(schema)).await?;
        }
        let (lost, ending) = (CancellationToken::new(), CancellationToken::new());
        let keeper = tokio::spawn(keep(self.connection, self.names, lost.clone(), ending.clone()).in_current_span());
        Ok(Fence { lost, ending, keeper: Some(keeper) })
    }
}

async fn keep(
    mut connection: Connection,
    names: Vec<String>,
    lost: CancellationToken,
    ending: CancellationToken,
) -> Result<(), Error> {
    loop {
        tokio::select! {
            () = ending.cancelled() => {
                lost.cancel();
                failpoints::before("giving the fence back");
                // Closing the session gives its locks back.
                let given_back = within(SHORT_STATEMENT, "giving the fence back", connection.close()).await;
                failpoints::after("giving the fence back");
                return given_back;
            }
            () = tokio::time::sleep(KEEPALIVE) => {}
        }
        for name in &names {
            let look = within(KEEPALIVE_DEADLINE, "looking after the fence", async {
                let mine: Option<i64> = sqlx::query("SELECT CAST(IS_USED_LOCK(?) = CONNECTION_ID() AS SIGNED)")
                    .bind(name)
                    .fetch_one(connection.raw())
                    .await?
                    .try_get(0)?;
                Ok(mine == Some(1))
            })
            .await;
            let error = match look {
                Ok(true) => continue,
                Ok(false) => Error::new(Cause::FenceLost, format!("lock {name} is not held by this session any more")),
                Err(error) => error,
            };
            lost.cancel();
            tracing::error!(lock = %name, error = %error, "the fence is lost; all work on the schema stops");
            return Err(error);
        }
    }
}

impl Fence {
    /// Cancelled once the fence is not held any more.
    pub(crate) fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// An error once the fence is lost.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.lost.is_cancelled() {
            return Err(lost_error());
        }
        Ok(())
    }

    /// Gives the fence back.
    ///
    /// # Errors
    /// When it had been lost before, or the server does not answer.
    pub(crate) async fn release(mut self) -> Result<(), Error> {
        self.ending.cancel();
        match self.keeper.take() {
            None => Ok(()),
            Some(keeper) => match keeper.await {
                Ok(result) => result,
                Err(error) => Err(Error::new(Cause::FenceLost, format!("the task that kept the fence ended: {error}"))),
            },
        }
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        self.ending.cancel();
    }
}

/// What every call answers once the fence is lost.
pub(crate) fn lost_error() -> Error {
    Error::new(
        Cause::FenceLost,
        "the fence was lost (its connection ended or was killed): another session may be at work, so everything stopped; the migration \
         has to be taken over anew",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lock_names_fit_for_the_longest_schema_and_differ_by_schema() {
        let long = Identifier::new("é".repeat(64)).unwrap();
        assert!(change_lock_name(&long).len() <= 64);
        assert_ne!(fence_name(&long), fence_name(&Identifier::new("shop").unwrap()));
        assert_eq!(fence_name(&long).len(), "holdfast:".len() + 40);
    }
}
