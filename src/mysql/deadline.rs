//! Deadlines for short statements. A connection whose other end has vanished never answers; nothing in the engine may wait for
//! it without an end.

use std::future::Future;
use std::time::Duration;

use super::error::{Cause, Error};

/// How long a statement that should take milliseconds may take before its connection counts as lost.
pub(crate) const SHORT_STATEMENT: Duration = Duration::from_secs(30);

/// Waits for `future` at most `limit`.
///
/// # Errors
/// What the future answers, or [`Cause::Unreachable`] naming what was waited for. The server may still carry the statement out:
/// the caller drops the connection and settles from the catalogue or the journal.
pub(crate) async fn within<T>(
    limit: Duration,
    what: impl std::fmt::Display,
    future: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(limit, future).await {
        Ok(result) => result.map_err(|error| error.while_doing(what)),
        Err(_) => Err(Error::new(
            Cause::Unreachable,
            format!("{what}: no answer from the server within {:.1} s", limit.as_secs_f64()),
        )),
    }
}
