//! What a migration has in quarantine, counted in the tables themselves: the reports of single runs lack what a run did that was
//! cut short.

use sqlx::Row as _;

use super::connection::sql;
use super::error::Error;
use super::quarantine::{Kind, Reason, registered};
use super::report::QuarantineCounts;
use super::row_session::{Isolation, interruptible, open};
use super::session::Work;

/// Counts the entries of this migration that were not put back.
///
/// # Errors
/// What the server answers; [`super::Cause::Stopped`].
pub(crate) async fn count(work: &Work<'_>) -> Result<QuarantineCounts, Error> {
    let mut connection = open(work, Isolation::ReadCommitted).await?;
    let mut counts = QuarantineCounts::default();
    for table in registered(work, &mut connection).await? {
        let statement = format!(
            "SELECT holdfast_kind, holdfast_reason, COUNT(*) FROM {} WHERE holdfast_migration = ? AND holdfast_restored_at IS NULL \
             GROUP BY holdfast_kind, holdfast_reason",
            table.name.quoted()
        );
        let (id, what) = (connection.id, format!("counting what of {} is in quarantine", table.source));
        let rows = interruptible(work, id, &what, async {
            Ok(sqlx::query(sql(statement)).bind(work.journal.migration()).fetch_all(connection.raw()).await?)
        })
        .await?;
        for row in &rows {
            let entries = u64::try_from(row.try_get::<i64, _>(2)?).unwrap_or(0);
            add(&mut counts, &row.try_get::<String, _>(0)?, &row.try_get::<String, _>(1)?, entries);
        }
    }
    connection.close().await?;
    Ok(counts)
}

/// What an entry counts as: whole rows by why they were taken, everything else as a value.
fn add(counts: &mut QuarantineCounts, kind: &str, reason: &str, entries: u64) {
    let row = kind == Kind::Row.text();
    if row && reason == Reason::ORPHAN {
        counts.orphans += entries;
    } else if row && reason == Reason::DUPLICATE {
        counts.duplicates += entries;
    } else if row && reason == Reason::CASCADED {
        counts.cascaded += entries;
    } else if row || kind == Kind::Column.text() || (kind == Kind::Value.text() && reason != Reason::COLUMN) {
        counts.values += entries;
    }
    // What is left are notes for the way back: the NULLs that a backfill replaced, and what values became.
}
