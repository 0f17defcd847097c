//! A list of rows worked off in batches: each a short transaction under the migration's epoch, about as long as it should be, and begun only
//! while the server is calm and the approval allows it.

use tokio::time::Instant;

use super::connection::Connection;
use super::deadline::within;
use super::error::Error;
use super::ledger::Ledger;
use super::report::RowsReport;
use super::row_session::{Attempts, BATCH_DEADLINE, BatchSize, Isolation, isolate, wait_until_calm};
use super::session::Work;
use super::work_table::WorkTable;

/// What is done to the rows of one batch.
pub(super) trait Batch {
    /// Does it to those of the list from behind the first place to the second, in the transaction that is open. Returns how many rows were
    /// removed and how many values changed.
    fn batch(
        &self,
        connection: &mut Connection,
        list: &WorkTable,
        places: (u64, u64),
        ledger: &Ledger,
    ) -> impl Future<Output = Result<(u64, u64), Error>> + Send;
}

/// What goes in batches.
pub(super) struct Batches<'a> {
    pub(super) work: &'a Work<'a>,
    /// What is done, for people.
    pub(super) what: &'a str,
    /// The rows that it concerns.
    pub(super) list: WorkTable,
    /// Whether a place of the list is looked at again while rows of it go.
    pub(super) again: bool,
}

impl Batches<'_> {
    /// Works the list off, in which `found` rows are, and removes it.
    ///
    /// # Errors
    /// [`super::Cause::ApprovalExceeded`] before anything is taken, what the batches and the server answer.
    pub(super) async fn run(
        self,
        connection: &mut Connection,
        (ledger, report): (&mut Ledger, &mut RowsReport),
        found: u64,
        of: &impl Batch,
    ) -> Result<(), Error> {
        let Self { work, what, list, again } = self;
        if let Err(error) = ledger.check(found, what) {
            list.remove(connection).await?;
            return Err(error);
        }
        isolate(connection, Isolation::RepeatableRead).await?;
        let (mut from, last, mut size) = (0, list.last(connection).await?, BatchSize::new(work));
        while from < last {
            wait_until_calm(work, connection).await?;
            work.progress.update(|reading| reading.activity = format!("{what}: {from} of {last}"));
            let (to, begun) = (from.saturating_add(size.rows()), Instant::now());
            let mut attempts = Attempts::new(work, what);
            let (rows, values) = loop {
                let attempt = async {
                    attempts.begin(connection).await?;
                    of.batch(connection, &list, (from, to), ledger).await
                };
                let outcome = within(BATCH_DEADLINE, what, attempt).await;
                if let Some(done) = attempts.end(connection, outcome).await? {
                    break done;
                }
            };
            size.took(begun.elapsed());
            ledger.add(rows + values);
            report.rows_removed += rows;
            report.values_changed += values;
            if !again || rows == 0 {
                from = to;
            }
        }
        work.progress.update(|reading| reading.activity = format!("{what}: {last} of {last}"));
        list.remove(connection).await
    }
}
