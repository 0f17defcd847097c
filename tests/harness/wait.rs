//! Waiting for a condition, never longer than a deadline, and saying what was waited for.

use std::time::{Duration, Instant};

use super::Outcome;

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(200);

/// Looks until `condition` gives a value.
///
/// # Errors
/// What was waited for and what was seen last, after `limit`; or the condition's own error, at once.
pub fn until<T>(what: &str, limit: Duration, condition: impl FnMut() -> Outcome<Result<T, String>>) -> Outcome<T> {
    until_every(INTERVAL, what, limit, condition)
}

/// As [`until`], looking so often: a look by kubectl costs a tenth of a second of a processor, which long waits take from what is
/// waited for.
pub fn until_every<T>(
    interval: Duration,
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Outcome<Result<T, String>>,
) -> Outcome<T> {
    let begun = Instant::now();
    loop {
        match condition()? {
            Ok(value) => return Ok(value),
            Err(seen) if begun.elapsed() > limit => {
                return Err(format!("waited {} s for {what}; seen last: {seen}", limit.as_secs()));
            }
            Err(_) => std::thread::sleep(interval),
        }
    }
}
