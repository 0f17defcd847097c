//! Fills a column from another table. Only NULLs are filled, only from exactly one value, and whether enough rows can be filled is
//! known before the first one is.

use tokio::time::Instant;

use sqlx::Row;

use super::cascades::refuse_triggers;
use super::connection::{Connection, sql};
use super::deadline::within;
use super::error::{Cause, Error};
use super::orphans::MAX_ROUNDS;
use super::quarantine::{Quarantine, Reason, new_batch};
use super::report::RowsReport;
use super::row_session::{Attempts, BATCH_DEADLINE, BatchSize, Isolation, open, wait_until_calm};
use super::row_shape::{every, of, pairs, read, same_column};
use super::session::Work;
use super::value_changes::{Change, change};
use super::work_table::{WorkTable, own_column};
use crate::plan::Operation;
use crate::plan::identifier::{Identifier, TableName, quoted_list};
use crate::plan::model::Action;

struct Job<'a> {
    work: &'a Work<'a>,
    operation: &'a Operation,
    table: &'a TableName,
    column: &'a Identifier,
    lookup_table: &'a TableName,
    take: &'a Identifier,
    own: Vec<Identifier>,
    theirs: Vec<Identifier>,
    max_unmapped: u64,
    quarantine: Quarantine,
    /// The plan adds the column, so dropping it undoes this; else every filled value is recorded.
    column_is_ours: bool,
    value: Identifier,
    matches: Identifier,
}

/// What one look at the table found.
struct Found {
    mapped: u64,
    unmapped: u64,
    ambiguous: u64,
}

/// Fills a column by its operation. Can be repeated: filled rows are not looked at again.
///
/// # Errors
/// [`Cause::UnmappedRows`] with samples, before anything is filled.
pub(crate) async fn backfill(work: &Work<'_>, operation: &Operation) -> Result<RowsReport, Error> {
    let Action::Backfill { table, column, lookup_table, matches, take, max_unmapped } = &operation.action else {
        return Err(Error::new(Cause::UnknownFormat, format!("operation {} fills no column", operation.id)));
    };
    let mut connection = open(work, Isolation::ReadCommitted).await?;
    let quarantine = Quarantine::of_table(work, &mut connection, table).await?;
    quarantine.shape.require(column)?;
    refuse_triggers(work, &quarantine.shape, &["UPDATE"])?;
    let column_is_ours = work.plan.operations.iter().any(|other| {
        matches!(&other.action, Action::AddColumn { table: of, column: added } if of == table && same_column(added, column))
    });
    let (own, theirs) = matches.iter().cloned().unzip();
    let (value, count) = (own_column("holdfast_value".to_owned())?, own_column("holdfast_matches".to_owned())?);
    let job = Job {
        work,
        operation,
        table,
        column,
        lookup_table,
        take,
        own,
        theirs,
        max_unmapped: *max_unmapped,
        quarantine,
        column_is_ours,
        value,
        matches: count,
    };
    let mut report = RowsReport::default();
    loop {
        report.rounds += 1;
        let (found, changed) = job.round(&mut connection).await?;
        report.values_changed += changed;
        if found.mapped == 0 {
            report.total = Some(report.values_changed + found.unmapped + found.ambiguous);
            report.mapped = Some(report.values_changed);
            report.unmapped = Some(found.unmapped + found.ambiguous);
            report.ambiguous = Some(found.ambiguous);
            break;
        }
        if report.rounds >= MAX_ROUNDS {
            return Err(Error::new(
                Cause::RetriesExhausted,
                format!(
                    "{MAX_ROUNDS} passes over {table} still found rows without {column}: the application goes on making them"
                ),
            ));
        }
    }
    connection.close().await?;
    Ok(report)
}

impl Job<'_> {
    async fn round(&self, connection: &mut Connection) -> Result<(Found, u64), Error> {
        let (work, shape) = (self.work, &self.quarantine.shape);
        let primary = shape.require_primary_key()?;
        let lookup = read(connection, self.lookup_table).await?;
        let mut typed =
            primary.iter().map(|name| Ok((name.clone(), shape.require(name)?))).collect::<Result<Vec<_>, Error>>()?;
        typed.push((self.value.clone(), lookup.require(self.take)?));
        let mut counter = shape.require(&primary[0])?.clone();
        counter.column_type = "bigint".to_owned();
        counter.character_set = None;
        typed.push((self.matches.clone(), &counter));
        let list = WorkTable::create(work, connection, &self.operation.id, &typed).await?;
        let what = format!("looking up values for {}.{}", self.table, self.column);
        list.fill(work, connection, &what, &self.look_up(primary)).await?;
        let found = self.count(connection, &list).await?;
        if found.unmapped + found.ambiguous > self.max_unmapped {
            let error = self.unmapped(connection, &list, &found).await?;
            list.remove(connection).await?;
            return Err(error);
        }
        let (mut from, last, mut size, mut changed) = (0, list.last(connection).await?, BatchSize::new(work), 0);
        while found.mapped > 0 && from < last {
            wait_until_calm(work, connection).await?;
            let what = format!("filling {}.{}", self.table, self.column);
            work.progress.update(|reading| reading.activity = format!("{what}: {from} of {last}"));
            let (to, begun) = (from.saturating_add(size.rows()), Instant::now());
            let mut attempts = Attempts::new(work, &what);
            let filled = loop {
                let attempt = async {
                    attempts.begin(connection).await?;
                    self.batch(connection, &list, (from, to)).await
                };
                let outcome = within(BATCH_DEADLINE, &what, attempt).await;
                if let Some(done) = attempts.end(connection, outcome).await? {
                    break done;
                }
            };
            changed += filled;
            size.took(begun.elapsed());
            from = to;
        }
        list.remove(connection).await?;
        Ok((found, changed))
    }

    /// Every row without a value, in the order of the primary key, with the number of values found for it and one of them.
    fn look_up(&self, primary: &[Identifier]) -> String {
        let keys = of("t", primary);
        let names = quoted_list(&self.theirs);
        format!(
            "SELECT {keys}, l.holdfast_value, COALESCE(l.holdfast_matches, 0) FROM {} t LEFT JOIN \
             (SELECT {names}, MIN({1}) AS holdfast_value, COUNT(DISTINCT {1}) AS holdfast_matches FROM {2} k \
             WHERE {1} IS NOT NULL AND {3} GROUP BY {names}) l ON {4} WHERE t.{5} IS NULL ORDER BY {keys}",
            self.table.quoted(),
            self.take.quoted(),
            self.lookup_table.quoted(),
            every("k", &self.theirs, "IS NOT NULL"),
            pairs("t", &self.own, "l", &self.theirs),
            self.column.quoted(),
        )
    }

    async fn count(&self, connection: &mut Connection, list: &WorkTable) -> Result<Found, Error> {
        let statement = format!(
            "SELECT COUNT(CASE WHEN holdfast_matches = 1 THEN 1 END), COUNT(CASE WHEN holdfast_matches = 0 THEN 1 END), \
             COUNT(CASE WHEN holdfast_matches > 1 THEN 1 END) FROM {}",
            list.quoted()
        );
        within(BATCH_DEADLINE, "counting what was looked up", async {
            let row = sqlx::raw_sql(sql(statement)).fetch_one(connection.raw()).await?;
            let number =
                |index: usize| -> Result<u64, Error> { Ok(u64::try_from(row.try_get::<i64, _>(index)?).unwrap_or(0)) };
            Ok(Found { mapped: number(0)?, unmapped: number(1)?, ambiguous: number(2)? })
        })
        .await
    }

    async fn unmapped(&self, connection: &mut Connection, list: &WorkTable, found: &Found) -> Result<Error, Error> {
        let shape = &self.quarantine.shape;
        let none = list.sample(connection, shape, "w.holdfast_matches = 0").await?;
        let several = list.sample(connection, shape, "w.holdfast_matches > 1").await?;
        let total = found.mapped + found.unmapped + found.ambiguous;
        Ok(Error::new(
            Cause::UnmappedRows,
            format!(
                "of {total} rows of {} without {}, {} find no value in {} (primary keys: {}) and {} find several (primary keys: {}), \
                 {} are allowed: correct the rows, or raise verify.maxUnmapped at {}",
                self.table,
                self.column,
                found.unmapped,
                self.lookup_table,
                none.join("; "),
                found.ambiguous,
                several.join("; "),
                self.max_unmapped,
                self.operation.path
            ),
        ))
    }

    async fn batch(&self, connection: &mut Connection, list: &WorkTable, (from, to): (u64, u64)) -> Result<u64, Error> {
        let shape = &self.quarantine.shape;
        let primary = shape.require_primary_key()?;
        let column = self.column.quoted();
        // The row still lacks its value, and the lookup still gives that value for it.
        let mut rows =
            format!("{} t FORCE INDEX (PRIMARY) ON {}", self.table.quoted(), pairs("t", primary, "w", primary));
        let mut still = format!("w.n > ? AND w.n <= ? AND w.holdfast_matches = 1 AND t.{column} IS NULL");
        let (lookup, gives) = (
            self.lookup_table.quoted(),
            format!("{} AND k.{} = w.holdfast_value", pairs("k", &self.theirs, "t", &self.own), self.take.quoted()),
        );
        if self.column_is_ours && self.lookup_table == self.table {
            // A table that is updated can be joined to itself, but not be read by a subquery (error 1093).
            rows.push_str(&format!(" STRAIGHT_JOIN {lookup} k ON {gives}"));
        } else {
            still.push_str(&format!(" AND EXISTS (SELECT 1 FROM {lookup} k WHERE {gives})"));
        }
        let columns = std::slice::from_ref(self.column);
        let set = format!("SET t.{column} = w.holdfast_value{}", shape.keep_timestamps("t", columns));
        if self.column_is_ours {
            let statement = format!("UPDATE {} w STRAIGHT_JOIN {rows} {set} WHERE {still}", list.quoted());
            return Ok(sqlx::query(sql(statement))
                .bind(from)
                .bind(to)
                .execute(connection.raw())
                .await?
                .rows_affected());
        }
        let batch = new_batch(connection).await?;
        let what =
            Change { operation: &self.operation.id, batch, reason: Reason::Column(self.column.clone()), columns };
        let source = format!(
            "FROM {} w STRAIGHT_JOIN {rows} WHERE {still} {}",
            list.quoted(),
            connection.dialect.lock_to_write("t")
        );
        let update = format!("STRAIGHT_JOIN {} w ON {} {set}", list.quoted(), pairs("w", primary, "e", primary));
        change(self.work, connection, &self.quarantine, &what, (&source, &[from, to]), &update).await
    }
}
