//! What cleanup has taken, counted against what people approved.

use sqlx::Row;

use super::connection::{Connection, sql};
use super::deadline::{SHORT_STATEMENT, within};
use super::error::{Cause, Error};
use super::quarantine::registered;
use super::session::Work;

/// A statement over many tables is planned longer, and one for each is sent as often as there are tables.
const TABLES_TO_A_STATEMENT: usize = 50;

/// Counts against the approval: rows and values that the migration has taken and not put back.
#[derive(Debug)]
pub(crate) struct Ledger {
    allowed: Option<u64>,
    taken: u64,
}

impl Ledger {
    /// Reads what was taken already.
    pub(crate) async fn read(work: &Work<'_>, connection: &mut Connection) -> Result<Self, Error> {
        let mut taken = 0;
        let tables = match work.allowance.max_rows {
            Some(_) => registered(work, connection).await?,
            None => Vec::new(),
        };
        for some in tables.chunks(TABLES_TO_A_STATEMENT) {
            let counts: Vec<String> = some
                .iter()
                .map(|table| {
                    format!(
                        "(SELECT COUNT(*) FROM {} WHERE holdfast_migration = ? AND holdfast_kind IN ('Row', 'Value') \
                         AND holdfast_reason <> 'Column' AND holdfast_restored_at IS NULL)",
                        table.name.quoted()
                    )
                })
                .collect();
            let mut query = sqlx::query(sql(format!("SELECT CAST({} AS UNSIGNED)", counts.join(" + "))));
            for _ in some {
                query = query.bind(work.journal.migration());
            }
            let what = "counting what is in quarantine";
            let row = within(SHORT_STATEMENT, what, async { Ok(query.fetch_one(connection.raw()).await?) }).await?;
            taken += row.try_get::<u64, _>(0)?;
        }
        Ok(Self { allowed: work.allowance.max_rows, taken })
    }

    /// Refuses when `more` entries would exceed the approval.
    ///
    /// # Errors
    /// [`Cause::ApprovalExceeded`].
    pub(crate) fn check(&self, more: u64, what: &str) -> Result<(), Error> {
        match self.allowed {
            Some(allowed) if self.taken + more > allowed => Err(Error::new(
                Cause::ApprovalExceeded,
                format!(
                    "{what} would take {more} rows and values to quarantine, {} are there already, and the approval allows {allowed}: \
                     approve the plan again with maxRows of at least {}",
                    self.taken,
                    self.taken + more
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Notes what a committed transaction took.
    pub(crate) fn add(&mut self, taken: u64) {
        self.taken += taken;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_approval_is_exceeded_only_beyond_its_limit() {
        let ledger = Ledger { allowed: Some(10), taken: 4 };
        assert!(ledger.check(6, "cleaning").is_ok());
        let error = ledger.check(7, "cleaning").unwrap_err();
        assert_eq!(error.cause, Cause::ApprovalExceeded);
        assert!(error.message.contains("allows 10") && error.message.contains("at least 11"), "{error}");
        assert!(Ledger { allowed: None, taken: 4 }.check(u64::MAX / 2, "cleaning").is_ok());
    }
}
