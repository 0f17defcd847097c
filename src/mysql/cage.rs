//! A transaction that cannot be committed by what runs inside it: XA START ... XA ROLLBACK. In between the server itself refuses
//! DDL and COMMIT. It lives no longer than its limit; then its connection is killed, which rolls it back.

use std::future::Future;
use std::time::Duration;

use super::connection::{Connection, SessionLimits, Target};
use super::deadline::{SHORT_STATEMENT, within};
use super::error::{Cause, Error, code};

/// Tries of a cage that met a lock.
const TRIES: u32 = 3;

/// Runs `body` in a cage on a connection of its own whose default schema is `schema`, and rolls back whatever it did.
///
/// # Errors
/// What the body answers; [`Cause::LockWaitTimeout`] when it took longer than `limit` in every try.
pub(crate) async fn caged<T>(
    target: &Target,
    schema: &crate::plan::Identifier,
    limit: Duration,
    what: &str,
    mut body: impl AsyncFnMut(&mut Connection) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut tries = 1;
    loop {
        let error = match attempt(target, schema, limit, what, &mut body).await {
            Ok(result) => return Ok(result),
            Err(error) => error,
        };
        let locked = error.cause == Cause::LockWaitTimeout || error.code == Some(code::DEADLOCK);
        if !locked || tries == TRIES {
            return Err(error);
        }
        tries += 1;
        tokio::time::sleep(Duration::from_millis(fastrand::u64(50..250))).await;
    }
}

async fn attempt<T>(
    target: &Target,
    schema: &crate::plan::Identifier,
    limit: Duration,
    what: &str,
    body: &mut impl AsyncFnMut(&mut Connection) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut connection = target.connect(SessionLimits::default()).await?;
    let id = connection.id;
    // Unique per connection, and a connection holds one cage.
    let name = format!("'holdfast-{}-{id}'", fastrand::u64(..));
    within(SHORT_STATEMENT, format!("{what}: beginning"), async {
        connection.run(&format!("USE {}", schema.quoted())).await?;
        connection
            .run("SET SESSION sql_mode = CONCAT_WS(',', NULLIF(@@GLOBAL.sql_mode, ''), 'NO_AUTO_VALUE_ON_ZERO'), foreign_key_checks = 1, unique_checks = 1")
            .await?;
        connection.run("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").await?;
        connection.run(&format!("XA START {name}")).await
    })
    .await?;
    let Ok(result) = tokio::time::timeout(limit, body(&mut connection)).await else {
        let killing = async {
            let mut killer = target.connect(SessionLimits::default()).await?;
            killer.run(&format!("KILL CONNECTION {id}")).await?;
            killer.close().await
        };
        within(SHORT_STATEMENT, format!("{what}: ending connection {id}"), killing).await?;
        return Err(Error::new(
            Cause::LockWaitTimeout,
            format!("{what}: not done within spec.execution.lockTimeout ({} ms); it was rolled back", limit.as_millis()),
        ));
    };
    let rolled_back = within(SHORT_STATEMENT, format!("{what}: rolling back"), roll_back(&mut connection, &name)).await;
    let result = result?;
    rolled_back?;
    connection.close().await?;
    Ok(result)
}

fn roll_back<'a>(connection: &'a mut Connection, name: &'a str) -> impl Future<Output = Result<(), Error>> + 'a {
    async move {
        // After a deadlock the transaction is rolled back already, and XA END answers so (1614).
        match connection.run(&format!("XA END {name}")).await {
            Ok(_) => {}
            Err(error) if error.code == Some(1614) => {}
            Err(error) => return Err(error.while_doing("the transaction is not open any more, so it may have been committed")),
        }
        connection.run(&format!("XA ROLLBACK {name}")).await?;
        Ok(())
    }
}
