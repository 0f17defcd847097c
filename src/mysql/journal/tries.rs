//! The tries of a short transaction of the journal. Migrations of other schemas write to the same tables: of two transactions that wait for
//! each other the server rolls one back, which then is simply run again.

use std::time::Duration;

use super::super::error::Error;

/// Such transactions take milliseconds: one that meets others so often in a row means something else.
const MOST: u32 = 10;

/// The tries so far.
#[derive(Debug, Default)]
pub(super) struct Tries(u32);

impl Tries {
    /// Waits a little before the next try, after one that ended with this error.
    ///
    /// # Errors
    /// The error, where another try would be of no use.
    pub(super) async fn again(&mut self, error: Error) -> Result<(), Error> {
        self.0 += 1;
        if !error.is_lock_conflict() || self.0 >= MOST {
            return Err(error);
        }
        tracing::debug!(%error, tries = self.0, "a transaction of the journal is run again");
        tokio::time::sleep(Duration::from_millis(fastrand::u64(5..50) * u64::from(self.0))).await;
        Ok(())
    }
}
