//! Ending a statement that runs: dropping its connection does not, because the server looks for its client only when it writes to it.

use std::future::Future;
use std::time::Duration;

use super::connection::{Connection, Role, SessionLimits, Target};
use super::deadline::{SHORT_STATEMENT, within};
use super::error::{Cause, Error, code};
use super::work::Stop;

/// How long a statement may take to end before it is ended once more: what meets the pause between two statements ends neither.
const AGAIN: Duration = Duration::from_secs(1);

/// What is to be ended.
#[derive(Debug, Clone, Copy)]
pub struct Running<'a> {
    /// Where the killer connects to.
    pub target: &'a Target,
    /// What the server there is.
    pub role: Role<'a>,
    /// The server that the statement runs on.
    pub server_uuid: &'a str,
    /// The connection that it runs on.
    pub id: u64,
    /// What it does, for messages.
    pub what: &'a str,
}

impl Running<'_> {
    /// Waits for a statement, or several one after another; once a stop is asked for or the deadline passes, has the server end
    /// what runs and waits for its answer.
    ///
    /// # Errors
    /// [`Cause::Stopped`], [`Cause::Unreachable`] after the deadline, or what the statement answers.
    pub async fn until_stopped<T>(
        self,
        stop: &Stop,
        deadline: Duration,
        statement: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let Self { id, what, .. } = self;
        tokio::pin!(statement);
        let reason = tokio::select! {
            result = &mut statement => return result.map_err(|error| error.while_doing(what)),
            () = stop.0.cancelled() => Error::new(Cause::Stopped, format!("{what}: stopped at a safe point, as asked")),
            () = tokio::time::sleep(deadline) => {
                Error::new(Cause::Unreachable, format!("{what}: not done within {} s", deadline.as_secs()))
            }
        };
        let ending = async {
            loop {
                self.kill().await?;
                // Finished or interrupted: either way it is over, and the reason to stop stands.
                if tokio::time::timeout(AGAIN, &mut statement).await.is_ok() {
                    return Ok::<(), Error>(());
                }
            }
        };
        match tokio::time::timeout(SHORT_STATEMENT, ending).await {
            Ok(Ok(())) => Err(reason),
            Ok(Err(error)) => Err(error.while_doing(format!("ending the statement of connection {id} ({what})"))),
            Err(_) => Err(reason.while_doing(format!("connection {id} did not end its statement after KILL QUERY"))),
        }
    }

    async fn kill(self) -> Result<(), Error> {
        let mut killer = self.target.connect_as(self.role, SessionLimits::default()).await?;
        if killer.server_uuid != self.server_uuid {
            // The number means somebody else's connection there.
            return Err(Error::new(
                Cause::FenceLost,
                format!("{} is now the server {}, not {}", self.target.host, killer.server_uuid, self.server_uuid),
            ));
        }
        let answer = within(SHORT_STATEMENT, "KILL QUERY", killer.run(&format!("KILL QUERY {}", self.id))).await;
        close(killer).await;
        match answer {
            Ok(_) => Ok(()),
            // The connection ended by itself meanwhile.
            Err(error) if error.code == Some(code::NO_SUCH_THREAD) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

async fn close(killer: Connection) {
    if let Err(error) = killer.close().await {
        tracing::debug!(%error, "a connection that had ended a statement was gone already");
    }
}
