//! Rows that a unique constraint would refuse: one of each group stays, the others go to quarantine, and their children are pointed
//! to the one that stays, all in the same transaction.

use std::collections::BTreeMap;

use sqlx::Row;

use super::batches::{Batch, Batches};
use super::cascades::{Cascades, refuse_triggers};
use super::connection::{Connection, sql};
use super::dialect::Dialect;
use super::error::{Cause, Error, code};
use super::ledger::Ledger;
use super::orphans::{MAX_ROUNDS, delete_batch, equal};
use super::quarantine::{Kind, Quarantine, Reason, Tag, new_batch};
use super::report::RowsReport;
use super::row_session::{Isolation, interruptible, isolate, open};
use super::row_shape::{every, pairs, same_column};
use super::session::Work;
use super::value_changes::{Change, change};
use super::work_table::{WorkTable, own_column};
use crate::plan::Operation;
use crate::plan::catalogue::ForeignKey;
use crate::plan::identifier::{Identifier, TableName, quoted_list};
use crate::plan::model::{Action, DuplicatePolicy};

/// Everything a batch needs to know.
struct Job<'a> {
    work: &'a Work<'a>,
    operation: &'a Operation,
    table: &'a TableName,
    columns: &'a [Identifier],
    dependents: &'a [ForeignKey],
    order_by: &'a Identifier,
    newest: bool,
    quarantine: Quarantine,
    children: BTreeMap<TableName, Quarantine>,
    cascades: Cascades,
    /// The primary key, and the names under which a work table keeps the row that stays.
    primary: Vec<Identifier>,
    survivor: Vec<Identifier>,
}

/// Removes duplicates by the operation's policy.
///
/// # Errors
/// [`Cause::DuplicatesFound`] under the policy Fail, or when children cannot be pointed to the row that stays;
/// [`Cause::ApprovalExceeded`] before more is taken than allowed.
pub(crate) async fn remove_duplicates(work: &Work<'_>, operation: &Operation) -> Result<RowsReport, Error> {
    let Action::RemoveDuplicates { table, columns, policy, order_by, dependents } = &operation.action else {
        return Err(Error::new(Cause::UnknownFormat, format!("operation {} removes no duplicates", operation.id)));
    };
    let mut reader = work.lend().await?;
    if *policy == DuplicatePolicy::Fail {
        refuse_any(work, &mut reader, table, columns, &operation.path).await?;
        reader.give_back();
        return Ok(RowsReport::nothing_found());
    }
    let found = any(work, &mut reader, table, columns).await?;
    reader.give_back();
    if !found {
        return Ok(RowsReport::nothing_found());
    }
    let mut connection = open(work, Isolation::ReadCommitted).await?;
    let quarantine = Quarantine::of_table(work, &mut connection, table).await?;
    refuse_triggers(work, &quarantine.shape, &["DELETE"])?;
    quarantine.shape.require(order_by)?;
    let primary = quarantine.shape.require_primary_key()?.to_vec();
    let survivor =
        (0..primary.len()).map(|index| own_column(format!("stays_{index}"))).collect::<Result<Vec<_>, Error>>()?;
    let mut children = BTreeMap::new();
    for key in dependents {
        let child = Quarantine::of_table(work, &mut connection, &key.child).await?;
        refuse_triggers(work, &child.shape, &["UPDATE"])?;
        child.shape.require_primary_key()?;
        children.insert(key.child.clone(), child);
    }
    let cascades = Cascades::read(work, &mut connection, &quarantine).await?;
    let newest = *policy == DuplicatePolicy::KeepNewest;
    let job = Job {
        work,
        operation,
        table,
        columns,
        dependents,
        order_by,
        newest,
        quarantine,
        children,
        cascades,
        primary,
        survivor,
    };
    let mut ledger = Ledger::read(work, &mut connection).await?;
    let mut report = RowsReport::default();
    loop {
        report.rounds += 1;
        job.round(&mut connection, &mut ledger, &mut report).await?;
        if !any(work, &mut connection, table, columns).await? {
            report.rounds += 1;
            break;
        }
        if report.rounds >= MAX_ROUNDS {
            return Err(Error::new(
                Cause::RetriesExhausted,
                format!(
                    "{MAX_ROUNDS} passes over {table} still found duplicates of ({}): the application goes on making them",
                    quoted_list(columns)
                ),
            ));
        }
    }
    connection.close().await?;
    if report.rows_removed > 0 {
        report.shrunk = job.cascades.tables().cloned().collect();
    }
    if report.values_changed > 0 {
        report.repointed = dependents.iter().map(|key| key.child.clone()).collect();
    }
    Ok(report)
}

/// The values that occur more than once, in the columns' own collation; NULL equals nothing.
fn groups(table: &TableName, columns: &[Identifier]) -> String {
    let list = quoted_list(columns);
    format!(
        "SELECT {list} FROM {} t WHERE {} GROUP BY {list} HAVING COUNT(*) > 1",
        table.quoted(),
        every("t", columns, "IS NOT NULL")
    )
}

/// Whether there are duplicates: a list of the rows costs tables that are made and dropped, and is made only where there is
/// something to list.
async fn any(
    work: &Work<'_>,
    connection: &mut Connection,
    table: &TableName,
    columns: &[Identifier],
) -> Result<bool, Error> {
    let statement = format!("SELECT EXISTS ({})", groups(table, columns));
    let id = connection.id;
    let found: i64 = interruptible(work, id, &format!("looking for duplicates in {table}"), async {
        Ok(sqlx::raw_sql(sql(statement)).fetch_one(connection.raw()).await?.try_get(0)?)
    })
    .await?;
    Ok(found != 0)
}

async fn refuse_any(
    work: &Work<'_>,
    connection: &mut Connection,
    table: &TableName,
    columns: &[Identifier],
    path: &str,
) -> Result<(), Error> {
    let values: Vec<String> = columns.iter().map(|column| format!("CAST(d.{} AS CHAR)", column.quoted())).collect();
    let statement = format!(
        "SELECT CONCAT_WS(', ', {}), COUNT(*) OVER () FROM ({}) d LIMIT 5",
        values.join(", "),
        groups(table, columns)
    );
    let id = connection.id;
    let rows = interruptible(work, id, &format!("looking for duplicates in {table}"), async {
        Ok(sqlx::raw_sql(sql(statement)).fetch_all(connection.raw()).await?)
    })
    .await?;
    let Some(first) = rows.first() else { return Ok(()) };
    let count: i64 = first.try_get(1)?;
    let sample = rows.iter().map(|row| Ok(row.try_get::<String, _>(0)?)).collect::<Result<Vec<_>, Error>>()?;
    Err(Error::new(
        Cause::DuplicatesFound,
        format!(
            "{count} values of ({}) occur more than once in {table} (first ones: {}): clean them up, or set {path}.duplicates.policy to \
             KeepNewest or KeepOldest",
            quoted_list(columns),
            sample.join("; ")
        ),
    ))
}

impl Job<'_> {
    async fn round(
        &self,
        connection: &mut Connection,
        ledger: &mut Ledger,
        report: &mut RowsReport,
    ) -> Result<(), Error> {
        let (work, shape) = (self.work, &self.quarantine.shape);
        let what = format!("removing duplicates from {}", self.table);
        isolate(connection, Isolation::ReadCommitted).await?;
        let mut typed = Vec::new();
        for (name, stays) in self.primary.iter().zip(&self.survivor) {
            typed.push((name.clone(), shape.require(name)?));
            typed.push((stays.clone(), shape.require(name)?));
        }
        let list = WorkTable::create(work, connection, &self.operation.id, &typed).await?;
        let found =
            list.fill(work, connection, &format!("looking for duplicates in {}", self.table), &self.losers()).await?;
        let batches = Batches { work, what: &what, list, again: false };
        batches.run(connection, (ledger, report), found, self).await
    }

    /// Every row that goes, with the row of its group that stays.
    fn losers(&self) -> String {
        let direction = if self.newest { "DESC" } else { "ASC" };
        let mut order = vec![format!("t.{} {direction}", self.order_by.quoted())];
        order.extend(self.primary.iter().map(|name| format!("t.{} {direction}", name.quoted())));
        let partition: Vec<String> = self.columns.iter().map(|name| format!("t.{}", name.quoted())).collect();
        let mut ranked = Vec::new();
        let mut wanted = Vec::new();
        for (name, stays) in self.primary.iter().zip(&self.survivor) {
            ranked.push(format!("t.{0} AS {0}, FIRST_VALUE(t.{0}) OVER ranking AS {1}", name.quoted(), stays.quoted()));
            wanted.push(format!("r.{}, r.{}", name.quoted(), stays.quoted()));
        }
        format!(
            "SELECT {} FROM (SELECT {}, ROW_NUMBER() OVER ranking AS holdfast_rank FROM {} t JOIN ({}) d ON {} \
             WINDOW ranking AS (PARTITION BY {} ORDER BY {})) r WHERE r.holdfast_rank > 1",
            wanted.join(", "),
            ranked.join(", "),
            self.table.quoted(),
            groups(self.table, self.columns),
            pairs("t", self.columns, "d", self.columns),
            partition.join(", "),
            order.join(", "),
        )
    }

    /// The rows of a batch that equal the row that stays still, `t` with `s`, both to be locked.
    fn still_equal(&self, dialect: Dialect, list: &WorkTable) -> String {
        let table = self.table.quoted();
        format!(
            "FROM {} w STRAIGHT_JOIN {table} t FORCE INDEX (PRIMARY) ON {} STRAIGHT_JOIN {table} s FORCE INDEX (PRIMARY) ON {} \
             WHERE w.n > ? AND w.n <= ? AND {} {}",
            list.quoted(),
            pairs("t", &self.primary, "w", &self.primary),
            pairs("s", &self.primary, "w", &self.survivor),
            pairs("t", self.columns, "s", self.columns),
            dialect.lock_to_write("t, s"),
        )
    }

    /// Points the children of the batch's rows to the rows that stay. Children that go themselves are left alone.
    async fn repoint(
        &self,
        connection: &mut Connection,
        list: &WorkTable,
        key: &ForeignKey,
        batch: u64,
    ) -> Result<u64, Error> {
        let child = self
            .children
            .get(&key.child)
            .ok_or_else(|| Error::new(Cause::Drifted, format!("no quarantine was prepared for {}", key.child)))?;
        let differs: Vec<String> =
            key.parent_columns.iter().map(|column| format!("NOT (s.{0} <=> q.{0})", column.quoted())).collect();
        let source = format!(
            "FROM {} q STRAIGHT_JOIN {} w ON {} STRAIGHT_JOIN {} s FORCE INDEX (PRIMARY) ON {} STRAIGHT_JOIN {} t ON {} \
             WHERE q.holdfast_batch = ? AND q.holdfast_kind = 'Row' AND ({}) AND NOT EXISTS \
             (SELECT 1 FROM {} x WHERE x.holdfast_batch = ? AND x.holdfast_kind = 'Row' AND {}) {}",
            self.quarantine.quoted(),
            list.quoted(),
            pairs("w", &self.primary, "q", &self.primary),
            self.table.quoted(),
            pairs("s", &self.primary, "w", &self.survivor),
            key.child.quoted(),
            pairs("t", &key.columns, "q", &key.parent_columns),
            differs.join(" OR "),
            child.quoted(),
            child.same_row("x", "t")?,
            connection.dialect.lock_to_write("t"),
        );
        let set: Vec<String> = key
            .columns
            .iter()
            .zip(&key.parent_columns)
            .map(|(column, parent)| format!("t.{} = s.{}", column.quoted(), parent.quoted()))
            .collect();
        let update = format!(
            "STRAIGHT_JOIN {} q ON q.holdfast_batch = e.holdfast_batch AND q.holdfast_kind = 'Row' AND {} \
             STRAIGHT_JOIN {} w ON {} STRAIGHT_JOIN {} s FORCE INDEX (PRIMARY) ON {} SET {}{}",
            self.quarantine.quoted(),
            pairs("e", &key.columns, "q", &key.parent_columns),
            list.quoted(),
            pairs("w", &self.primary, "q", &self.primary),
            self.table.quoted(),
            pairs("s", &self.primary, "w", &self.survivor),
            set.join(", "),
            child.shape.keep_timestamps("t", &key.columns),
        );
        let what = Change {
            operation: &self.operation.id,
            batch,
            reason: Reason::Key { name: key.name.clone(), repointed: true },
            columns: &key.columns,
        };
        change(self.work, connection, child, &what, (&source, &[batch, batch]), &update).await.map_err(|error| {
            if error.code == Some(code::DUPLICATE_ENTRY) {
                return Error::new(
                    Cause::DuplicatesFound,
                    format!(
                        "rows of {} that refer to a duplicate of {} cannot be pointed to the row that stays, since that would make \
                         duplicates there ({error}): put the duplicates of {} first in spec.uniqueConstraints, or clean them by hand",
                        key.child, self.table, key.child
                    ),
                );
            }
            error
        })
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
        let operation = self.operation.id.as_str();
        let tag = Tag { operation, batch, kind: Kind::Row, reason: Reason::Duplicate, depth: 0, columns: &[] };
        let taken = self
            .quarantine
            .take(self.work, connection, &tag, ("t", "NULL"), &self.still_equal(connection.dialect, list), &[from, to])
            .await?;
        let mut repointed = 0;
        for key in self.dependents {
            repointed += self.repoint(connection, list, key, batch).await?;
        }
        let (rows, values) = self.cascades.take_along(self.work, connection, operation, batch).await?;
        ledger.check(taken + rows + values + repointed, &format!("removing duplicates from {}", self.table))?;
        let deleted = delete_batch(connection, &self.quarantine, batch).await?;
        if !self.cascades.reaches_itself(self.table) {
            equal(self.table, taken, deleted)?;
        }
        self.cascades.assert_gone(connection, batch).await?;
        Ok((taken + rows, values + repointed))
    }
}

/// Whether a name is among several.
pub(crate) fn among(names: &[Identifier], name: &Identifier) -> bool {
    names.iter().any(|other| same_column(other, name))
}
