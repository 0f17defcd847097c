//! Values that are changed to something other than NULL: the old one goes to quarantine before, the new one after, so that the way
//! back can tell whether the application has changed it since.

use super::connection::Connection;
use super::error::Error;
use super::orphans::equal;
use super::quarantine::{Kind, Quarantine, Reason, Tag};
use super::session::Work;
use crate::plan::identifier::Identifier;

/// What is being changed in one transaction.
pub(crate) struct Change<'a> {
    pub(crate) operation: &'a str,
    pub(crate) batch: u64,
    pub(crate) reason: Reason,
    pub(crate) columns: &'a [Identifier],
}

/// Takes the old values of the rows `t` that `source` finds (and locks), runs `update` on exactly those (`e` is the entry, `t` the
/// row), and takes the new values. `update` is the part between the joined tables and WHERE: further joins and SET.
pub(crate) async fn change(
    work: &Work<'_>,
    connection: &mut Connection,
    quarantine: &Quarantine,
    what: &Change<'_>,
    (source, values): (&str, &[u64]),
    update: &str,
) -> Result<u64, Error> {
    let mut tag = Tag {
        operation: what.operation,
        batch: what.batch,
        kind: Kind::Value,
        reason: what.reason.clone(),
        depth: 0,
        columns: what.columns,
    };
    let taken = quarantine.take(work, connection, &tag, ("t", "NULL"), source, values).await?;
    if taken == 0 {
        return Ok(0);
    }
    let subject = tag.reason.subject().unwrap_or_default().to_owned();
    let entries = format!(
        "{} e STRAIGHT_JOIN {} t FORCE INDEX (PRIMARY) ON {}",
        quarantine.quoted(),
        quarantine.shape.name.quoted(),
        quarantine.same_row("e", "t")?
    );
    let chosen = "WHERE e.holdfast_batch = ? AND e.holdfast_kind = 'Value' AND e.holdfast_subject = ?";
    let changed = sqlx::query(super::connection::sql(format!("UPDATE {entries} {update} {chosen}")))
        .bind(what.batch)
        .bind(&subject)
        .execute(connection.raw())
        .await?
        .rows_affected();
    equal(&quarantine.shape.name, taken, changed)?;
    tag.kind = Kind::After;
    let after = format!(
        "FROM {entries} WHERE e.holdfast_batch = ? AND e.holdfast_kind = 'Value' AND e.holdfast_subject = '{}'",
        subject.replace('\\', "\\\\").replace('\'', "''")
    );
    let noted = quarantine.take(work, connection, &tag, ("t", "e.holdfast_id"), &after, &[what.batch]).await?;
    equal(&quarantine.shape.name, taken, noted)?;
    Ok(taken)
}
