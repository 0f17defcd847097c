//! Values of a column that is dropped on the way back: the application may have written some of its own, so they are kept.

use super::deadline::within;
use super::error::Error;
use super::quarantine::{Kind, Quarantine, Reason, Tag, new_batch, short_hash};
use super::row_session::{Attempts, BATCH_DEADLINE, Isolation, interruptible, open, wait_until_calm};
use super::row_shape::{of, pairs};
use super::session::Work;
use super::work_table::WorkTable;
use crate::plan::identifier::{Identifier, TableName};

/// The name under which the values of a column are kept.
pub(crate) fn operation_name(table: &TableName, column: &Identifier) -> String {
    format!("keep-{}", short_hash(&[&table.to_string(), column.as_str()]))
}

/// Copies a column's values to quarantine before the column is dropped on the way back. Values that are there already, from a try
/// that was cut short, are not copied twice. Returns how many were copied.
///
/// # Errors
/// What the server answers; [`Cause::FenceLost`]; [`Cause::Stopped`].
pub(crate) async fn keep_column_values(work: &Work<'_>, table: &TableName, column: &Identifier) -> Result<u64, Error> {
    let mut connection = open(work, Isolation::ReadCommitted).await?;
    let quarantine = Quarantine::of_table(work, &mut connection, table).await?;
    quarantine.shape.require(column)?;
    let operation = operation_name(table, column);
    let (what, source) = (format!("keeping the values of {table}.{column}"), table.quoted());
    let columns = std::slice::from_ref(column);
    let mut tag = Tag {
        operation: &operation,
        batch: new_batch(&mut connection).await?,
        kind: Kind::Column,
        reason: Reason::Column(column.clone()),
        depth: 0,
        columns,
    };
    if quarantine.shape.primary_key.is_empty() {
        // Without a key a value alone says nothing: whole rows are kept, in one transaction.
        tag.kind = Kind::Row;
        let id = connection.id;
        let kept = interruptible(work, id, &what, async {
            connection.run("START TRANSACTION").await?;
            work.journal.assert_epoch(&mut connection).await?;
            let rows = format!("FROM {source} t WHERE t.{} IS NOT NULL", column.quoted());
            let kept = quarantine.take(work, &mut connection, &tag, ("t", "NULL"), &rows, &[]).await?;
            connection.commit(&what).await?;
            Ok(kept)
        })
        .await?;
        connection.close().await?;
        return Ok(kept);
    }
    let key = quarantine.shape.require_primary_key()?.to_vec();
    let typed = key
        .iter()
        .map(|name| Ok((name.clone(), quarantine.shape.require(name)?)))
        .collect::<Result<Vec<_>, Error>>()?;
    let list = WorkTable::create(work, &mut connection, &operation, &typed).await?;
    let same = quarantine.same_row("e", "t")?;
    let select = format!(
        "SELECT {keys} FROM {source} t LEFT JOIN {kept} e ON {same} AND e.{value} <=> t.{value} AND e.holdfast_kind = 'Column' \
         WHERE t.{value} IS NOT NULL AND e.holdfast_id IS NULL ORDER BY {keys}",
        keys = of("t", &key),
        kept = quarantine.quoted(),
        value = column.quoted(),
    );
    list.fill(work, &mut connection, &what, &select).await?;
    let (mut from, last, mut kept) = (0, list.last(&mut connection).await?, 0);
    while from < last {
        wait_until_calm(work, &mut connection).await?;
        let to = from + work.settings.batch_rows.max(1);
        let rows = format!(
            "FROM {} w STRAIGHT_JOIN {source} t FORCE INDEX (PRIMARY) ON {} WHERE w.n > ? AND w.n <= ? AND t.{} IS NOT NULL {}",
            list.quoted(),
            pairs("t", &key, "w", &key),
            column.quoted(),
            connection.dialect.lock_to_read("t")
        );
        let mut attempts = Attempts::new(work, &what);
        kept += loop {
            let attempt = async {
                attempts.begin(&mut connection).await?;
                quarantine.take(work, &mut connection, &tag, ("t", "NULL"), &rows, &[from, to]).await
            };
            let result = within(BATCH_DEADLINE, &what, attempt).await;
            if let Some(done) = attempts.end(&mut connection, result).await? {
                break done;
            }
        };
        from = to;
    }
    list.remove(&mut connection).await?;
    connection.close().await?;
    Ok(kept)
}
