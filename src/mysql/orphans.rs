//! Children without a parent: found once without locks, then removed (or their reference nulled) in short transactions that look
//! again, with the parent's place locked, so that a parent committed meanwhile wins.

use sqlx::Row;

use super::batches::{Batch, Batches};
use super::cascades::{Cascades, refuse_triggers};
use super::connection::{Connection, sql};
use super::dialect::Dialect;
use super::error::{Cause, Error};
use super::ledger::Ledger;
use super::orphan_query::{self, Answer, OrphanQuery};
use super::quarantine::{Kind, Quarantine, Reason, Tag, new_batch};
use super::report::RowsReport;
use super::restricting::{Restricting, restricted};
use super::row_session::{Isolation, interruptible, isolate, open};
use super::row_shape::{End, Shape, live_keys, pairs, read, same_column};
use super::session::Work;
use super::work_table::WorkTable;
use crate::plan::catalogue::{ForeignKey, ReferentialAction};
use crate::plan::identifier::{Identifier, TableName, quoted_list};
use crate::plan::model::{Action, OrphanPolicy};
use crate::plan::{Operation, Section};

/// Passes over one table before the application counts as making orphans faster than they are removed.
pub(crate) const MAX_ROUNDS: u64 = 32;
/// A parent without an index on the key is looked through, and locked, by every batch: only up to this size.
const SMALL_PARENT: u64 = 10_000;

/// Everything a batch needs to know.
struct Job<'a> {
    work: &'a Work<'a>,
    operation: &'a str,
    key: &'a ForeignKey,
    policy: OrphanPolicy,
    quarantine: Quarantine,
    query: OrphanQuery,
    /// `FORCE INDEX (...)` for the parent: a batch must lock the parents it looks for and no others.
    parent_index: String,
    /// For SetNull: the columns that become NULL.
    nulled: Vec<Identifier>,
    cascades: Option<Cascades>,
    restricting: Restricting,
}

/// The key and the policy of an operation that concerns orphans.
pub(crate) fn key_and_policy(operation: &Operation) -> Result<(&ForeignKey, OrphanPolicy), Error> {
    match &operation.action {
        Action::RemoveOrphans { key, policy } | Action::AddForeignKey { key, policy } => Ok((key, *policy)),
        _ => Err(Error::new(Cause::UnknownFormat, format!("operation {} removes no orphans", operation.id))),
    }
}

/// Counts a key's orphans without locking anything.
pub(crate) async fn count(work: &Work<'_>, connection: &mut Connection, key: &ForeignKey) -> Result<Answer, Error> {
    let id = connection.id;
    interruptible(work, id, "looking for orphans", orphan_query::count_orphans(connection, key)).await
}

/// Counts with a query that was prepared before: a list of the rows costs tables that are made and dropped, and is made only where
/// there is something to list.
async fn count_again(work: &Work<'_>, connection: &mut Connection, query: &OrphanQuery) -> Result<u64, Error> {
    let id = connection.id;
    interruptible(work, id, "looking for orphans", orphan_query::count(connection, query)).await
}

/// Refuses orphans that are there, naming some.
async fn refuse(
    work: &Work<'_>,
    connection: &mut Connection,
    query: &OrphanQuery,
    orphans: u64,
    path: &str,
) -> Result<RowsReport, Error> {
    let key = &query.key;
    let id = connection.id;
    let sample: Vec<String> = interruptible(work, id, "sampling orphans", async {
        let rows = sqlx::raw_sql(sql(query.sample_statement(5))).fetch_all(connection.raw()).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    })
    .await?;
    Err(Error::new(
        Cause::OrphansFound,
        format!(
            "{orphans} rows of {} refer to no row of {} (key {}; values of {} without a parent: {}): clean them up, or set \
             {path}.orphans to Delete or SetNull",
            key.child,
            key.parent,
            key.name,
            key.columns.iter().map(Identifier::as_str).collect::<Vec<_>>().join(", "),
            sample.join("; ")
        ),
    ))
}

/// Removes the orphans of one key by its policy; also for an AddForeignKey whose barrier brought some to light.
///
/// # Errors
/// [`Cause::OrphansFound`] under the policy Fail, [`Cause::ApprovalExceeded`] before more is taken than allowed,
/// [`Cause::InvalidSpec`] where the policy does not fit the table.
pub(crate) async fn remove_orphans(work: &Work<'_>, operation: &Operation) -> Result<RowsReport, Error> {
    let (key, policy) = key_and_policy(operation)?;
    let counted = work.counted.take(&operation.id);
    if counted == Some(0) {
        return Ok(RowsReport::nothing_found());
    }
    // Most keys have nothing to clean up most of the time: only what has is worth a session of its own.
    let mut reader = work.lend().await?;
    let query = OrphanQuery::read(&mut reader, key).await?;
    let orphans = match counted {
        Some(orphans) => orphans,
        None => count_again(work, &mut reader, &query).await?,
    };
    match orphans {
        0 => {
            reader.give_back();
            return Ok(RowsReport::nothing_found());
        }
        orphans if policy == OrphanPolicy::Fail => {
            return refuse(work, &mut reader, &query, orphans, &operation.path).await;
        }
        _ => reader.give_back(),
    }
    let mut connection = open(work, Isolation::ReadCommitted).await?;
    let parent = read(&mut connection, &key.parent).await?;
    let parent_index = match parent.index_on(&key.parent_columns) {
        Some(index) => format!("FORCE INDEX ({})", index.name.quoted()),
        None if parent.estimated_rows <= SMALL_PARENT => String::new(),
        // The unique constraint of the parent comes between cleanup and the stage, where the same key is cleaned again.
        None if operation.section == Section::CleanUp => {
            connection.close().await?;
            return Ok(RowsReport::default());
        }
        None => {
            return Err(Error::new(
                Cause::InvalidSpec,
                format!(
                    "table {} has no index on ({}), so orphans of {} cannot be removed without locking all of it: add a unique constraint there",
                    key.parent,
                    quoted_list(&key.parent_columns),
                    key.name
                ),
            ));
        }
    };
    let quarantine = Quarantine::of_table(work, &mut connection, &key.child).await?;
    quarantine.shape.require_primary_key()?;
    let (nulled, cascades) = if policy == OrphanPolicy::SetNull {
        refuse_triggers(work, &quarantine.shape, &["UPDATE"])?;
        (nullable_columns(&mut connection, &quarantine.shape, key, &operation.path).await?, None)
    } else {
        refuse_triggers(work, &quarantine.shape, &["DELETE"])?;
        (Vec::new(), Some(Cascades::read(work, &mut connection, &quarantine).await?))
    };
    let restricting =
        cascades.as_ref().map(|cascades| Restricting::among(cascades, &quarantine.shape)).unwrap_or_default();
    let job = Job {
        work,
        operation: &operation.id,
        key,
        policy,
        quarantine,
        query,
        parent_index,
        nulled,
        cascades,
        restricting,
    };
    let mut ledger = Ledger::read(work, &mut connection).await?;
    let mut report = RowsReport::default();
    let looks_again = operation.section != Section::CleanUp || job.can_leave_orphans();
    loop {
        report.rounds += 1;
        let removed = report.rows_removed;
        job.round(&mut connection, &mut ledger, &mut report).await?;
        if !looks_again {
            break;
        }
        let left = count_again(work, &mut connection, &job.query).await?;
        if left == 0 {
            report.rounds += 1;
            break;
        }
        if !job.restricting.is_empty() && report.rows_removed == removed {
            return Err(job.restricting.refusal(&key.child, left));
        }
        if report.rounds >= MAX_ROUNDS {
            return Err(Error::new(
                Cause::RetriesExhausted,
                format!(
                    "{MAX_ROUNDS} passes over {} still found orphans of {}: the application goes on making them; stop that first",
                    key.child, key.name
                ),
            ));
        }
    }
    connection.close().await?;
    if report.rows_removed > 0 {
        report.shrunk = job.cascades.iter().flat_map(Cascades::tables).cloned().collect();
    }
    Ok(report)
}

/// The columns that SetNull sets: those of the key that may be NULL. One NULL is enough to end a reference.
async fn nullable_columns(
    connection: &mut Connection,
    shape: &Shape,
    key: &ForeignKey,
    path: &str,
) -> Result<Vec<Identifier>, Error> {
    let mut nulled = Vec::new();
    for name in &key.columns {
        let column = shape.require(name)?;
        if column.nullable && !column.generated {
            nulled.push(column.name.clone());
        }
    }
    if nulled.is_empty() {
        return Err(Error::new(
            Cause::InvalidSpec,
            format!(
                "{path}.orphans is SetNull, but no column of {} in {} may be NULL: choose Delete or Fail",
                key.name, key.child
            ),
        ));
    }
    for live in live_keys(connection, &key.child, End::Parent).await? {
        let follows = matches!(live.on_update, ReferentialAction::Cascade | ReferentialAction::SetNull);
        if follows && live.parent_columns.iter().any(|column| nulled.iter().any(|name| same_column(name, column))) {
            return Err(Error::new(
                Cause::InvalidSpec,
                format!(
                    "{path}.orphans is SetNull, but the existing key {} of {} would carry the change on to its rows: choose Delete or Fail",
                    live.name, live.child
                ),
            ));
        }
    }
    Ok(nulled)
}

impl Job<'_> {
    /// Whether orphans of the key can be there after a pass: rows that others refer to wait for those, and what goes may be a parent.
    /// What the application makes meanwhile is no reason to read the whole table again: the stage counts before it adds the key, and
    /// once more when no older transaction is left.
    fn can_leave_orphans(&self) -> bool {
        !self.restricting.is_empty()
            || self.cascades.iter().flat_map(Cascades::tables).any(|table| *table == self.key.parent)
    }

    /// One pass: finds orphans and removes them in batches.
    async fn round(
        &self,
        connection: &mut Connection,
        ledger: &mut Ledger,
        report: &mut RowsReport,
    ) -> Result<(), Error> {
        let (work, shape) = (self.work, &self.quarantine.shape);
        let primary = shape.require_primary_key()?;
        let what = format!("removing orphans of {}", self.key.name);
        isolate(connection, Isolation::ReadCommitted).await?;
        let typed =
            primary.iter().map(|name| Ok((name.clone(), shape.require(name)?))).collect::<Result<Vec<_>, Error>>()?;
        let list = WorkTable::create(work, connection, self.operation, &typed).await?;
        let what_first = format!("looking for orphans of {}", self.key.name);
        let statement = self.query.rows_statement(primary) + &self.restricting.order("c");
        let found = list.fill(work, connection, &what_first, &statement).await?;
        // What went may have been all that referred to others of the same rows.
        let batches = Batches { work, what: &what, list, again: !self.restricting.is_empty() };
        batches.run(connection, (ledger, report), found, self).await
    }

    /// The rows of a batch that are orphans still, with the places of their parents locked until the transaction ends.
    fn still_orphans(&self, dialect: Dialect, list: &WorkTable) -> Result<String, Error> {
        let primary = self.quarantine.shape.require_primary_key()?;
        Ok(format!(
            "FROM {} w STRAIGHT_JOIN {} t FORCE INDEX (PRIMARY) ON {} LEFT JOIN {} p {} ON {} \
             WHERE w.n > ? AND w.n <= ? AND {} AND p.{} IS NULL{} {}",
            list.quoted(),
            self.key.child.quoted(),
            pairs("t", primary, "w", primary),
            self.key.parent.quoted(),
            self.parent_index,
            self.query.matches("t", "p"),
            self.query.not_null("t"),
            self.key.parent_columns.first().map(Identifier::quoted).unwrap_or_default(),
            self.restricting.unreferenced("t"),
            dialect.lock_to_write_and_read("t", "p"),
        ))
    }

    async fn set_null(&self, connection: &mut Connection, batch: u64) -> Result<u64, Error> {
        let shape = &self.quarantine.shape;
        let nulls: Vec<String> = self.nulled.iter().map(|column| format!("t.{} = NULL", column.quoted())).collect();
        let statement = format!(
            "UPDATE {} e STRAIGHT_JOIN {} t FORCE INDEX (PRIMARY) ON {} SET {}{} WHERE e.holdfast_batch = ? AND e.holdfast_kind = 'Value'",
            self.quarantine.quoted(),
            shape.name.quoted(),
            self.quarantine.same_row("e", "t")?,
            nulls.join(", "),
            shape.keep_timestamps("t", &self.nulled),
        );
        Ok(sqlx::query(sql(statement)).bind(batch).execute(connection.raw()).await?.rows_affected())
    }
}

impl Batch for Job<'_> {
    async fn batch(
        &self,
        connection: &mut Connection,
        list: &WorkTable,
        (from, to): (u64, u64),
        ledger: &Ledger,
    ) -> Result<(u64, u64), Error> {
        let batch = new_batch(connection).await?;
        let set_null = self.policy == OrphanPolicy::SetNull;
        let tag = Tag {
            operation: self.operation,
            batch,
            kind: if set_null { Kind::Value } else { Kind::Row },
            reason: Reason::Orphan,
            depth: 0,
            columns: &self.nulled,
        };
        let source = self.still_orphans(connection.dialect, list)?;
        let taken = self.quarantine.take(self.work, connection, &tag, ("t", "NULL"), &source, &[from, to]).await?;
        let what = format!("removing orphans of {}", self.key.name);
        match &self.cascades {
            None => {
                ledger.check(taken, &what)?;
                let changed = self.set_null(connection, batch).await?;
                equal(&self.key.child, taken, changed)?;
                Ok((0, taken))
            }
            Some(cascades) => {
                let (rows, values) = cascades.take_along(self.work, connection, self.operation, batch).await?;
                ledger.check(taken + rows + values, &what)?;
                let deleted = delete_batch(connection, &self.quarantine, batch).await?;
                if !cascades.reaches_itself(&self.key.child) {
                    equal(&self.key.child, taken, deleted)?;
                }
                cascades.assert_gone(connection, batch).await?;
                Ok((taken + rows, values))
            }
        }
    }
}

/// Deletes the rows that a batch was meant for; the server deletes what hangs on them.
pub(crate) async fn delete_batch(
    connection: &mut Connection,
    quarantine: &Quarantine,
    batch: u64,
) -> Result<u64, Error> {
    // A DELETE over several tables looks for its alias in the default schema.
    connection.run(&format!("USE {}", quarantine.shape.name.schema.quoted())).await?;
    let statement = format!(
        "DELETE t FROM {} e STRAIGHT_JOIN {} t FORCE INDEX (PRIMARY) ON {} \
         WHERE e.holdfast_batch = ? AND e.holdfast_kind = 'Row' AND e.holdfast_depth = 0",
        quarantine.quoted(),
        quarantine.shape.name.quoted(),
        quarantine.same_row("e", "t")?,
    );
    let deleted = sqlx::query(sql(statement)).bind(batch).execute(connection.raw()).await.map_err(Error::from);
    Ok(deleted.map_err(|error| restricted(&quarantine.shape.name, error))?.rows_affected())
}

/// Refuses to commit a batch whose numbers do not agree.
pub(crate) fn equal(table: &TableName, taken: u64, changed: u64) -> Result<(), Error> {
    if taken == changed {
        return Ok(());
    }
    Err(Error::new(
        Cause::VerificationFailed,
        format!("{taken} rows of {table} went to quarantine but {changed} were changed: the batch was rolled back"),
    ))
}
