//! Other migrations of a schema that are not finished. One that nothing stands of is ended for whoever left it; any other is in the way,
//! and the message says which entry of the journal it is and how to bring it to its end, whether or not its resource is still there.

use sqlx::Row;

use super::super::connection::{Connection, sql};
use super::super::deadline::{SHORT_STATEMENT, within};
use super::super::error::{Cause, Error};
use super::super::journal_tables;
use super::super::work::JournalLocation;
use super::{Journal, table_in};
use crate::plan::{Identifier, Plan};

/// An unfinished migration of another plan.
#[derive(Debug)]
struct Unfinished {
    id: String,
    owner: String,
    content_digest: String,
    plan_digest: String,
    /// Operations that were announced and are not taken back.
    standing: i64,
}

/// Makes sure that no unfinished migration of another plan has changed anything of the schema, and that nobody is at work on it: `holder` is
/// the session of somebody else that holds the fence. Writes nothing.
///
/// # Errors
/// [`Cause::LockHeld`] with the way to its end.
pub(crate) async fn check(
    location: &JournalLocation,
    plan: &Plan,
    holder: Option<&str>,
    connection: &mut Connection,
) -> Result<(), Error> {
    let migrations = table_in(location, &plan.schema, "migrations")?;
    let what = "looking for unfinished migrations";
    within(SHORT_STATEMENT, what, async {
        let others = match journal_tables::exists(&migrations, connection).await? {
            true => read(location, plan, connection, "").await?,
            false => Vec::new(),
        };
        let standing = others.iter().find(|other| other.standing > 0);
        match (holder, standing) {
            // Whoever holds the fence ended, or could not pass, all that others left: the last one is its own.
            (Some(holder), _) => Err(at_work(&plan.schema, holder, standing.or(others.last()))),
            (None, Some(other)) => Err(in_the_way(location, &plan.schema, other)?),
            (None, None) => Ok(()),
        }
    })
    .await
}

async fn read(
    location: &JournalLocation,
    plan: &Plan,
    connection: &mut Connection,
    lock: &str,
) -> Result<Vec<Unfinished>, Error> {
    let migrations = table_in(location, &plan.schema, "migrations")?.quoted();
    let operations = table_in(location, &plan.schema, "operations")?.quoted();
    let rows = sqlx::query(sql(format!(
        "SELECT id, owner, content_digest, plan_digest, (SELECT CAST(COUNT(*) AS SIGNED) FROM {operations} o WHERE o.migration = m.id \
         AND o.state <> 'Undone') FROM {migrations} m WHERE target_schema = ? AND state = 'Running' AND plan_digest <> ? \
         ORDER BY started_at {lock}"
    )))
    .bind(plan.schema.as_str())
    .bind(&plan.digest)
    .fetch_all(connection.raw())
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Unfinished {
                id: row.try_get(0)?,
                owner: row.try_get(1)?,
                content_digest: row.try_get(2)?,
                plan_digest: row.try_get(3)?,
                standing: row.try_get(4)?,
            })
        })
        .collect()
}

fn at_work(schema: &Identifier, holder: &str, migration: Option<&Unfinished>) -> Error {
    let whose = match migration {
        Some(Unfinished { owner, id, .. }) => format!("the migration of {owner} ({holder}; entry {id} of the journal)"),
        None => format!("another migration ({holder})"),
    };
    Error::new(Cause::LockHeld, format!("the schema {schema} is in the hands of {whose}: it is waited for"))
}

fn in_the_way(location: &JournalLocation, schema: &Identifier, other: &Unfinished) -> Result<Error, Error> {
    let (migrations, operations) =
        (table_in(location, schema, "migrations")?.quoted(), table_in(location, schema, "operations")?.quoted());
    let Unfinished { id, owner, content_digest, plan_digest, standing } = other;
    Ok(Error::new(
        Cause::LockHeld,
        format!(
            "the migration of {owner} on schema {schema} is not finished (entry {id} of {migrations}, {standing} operations stand): let it \
             end, or roll it back. If {owner} was deleted, apply it again with the content {content_digest}: it goes on with the plan {plan_digest}, or \
             takes it back. Else take it back by hand: run what SELECT inverse_statement FROM {operations} WHERE migration = '{id}' \
             AND state <> 'Undone' ORDER BY sequence DESC gives, put back what it has in quarantine, then UPDATE {migrations} SET state = \
             'RolledBack' WHERE id = '{id}'"
        ),
    ))
}

impl Journal {
    /// Ends other unfinished migrations of the schema of which nothing stands, in the caller's transaction. The caller holds the fence,
    /// so nobody is at work on them.
    ///
    /// # Errors
    /// [`Cause::LockHeld`] for one of which something stands, with the way to its end.
    pub(super) async fn settle_others(&self, plan: &Plan, connection: &mut Connection) -> Result<(), Error> {
        let migrations = self.table("migrations")?.quoted();
        for other in read(&self.location, plan, connection, "FOR UPDATE").await? {
            if other.standing > 0 {
                return Err(in_the_way(&self.location, &plan.schema, &other)?);
            }
            let statement =
                format!("UPDATE {migrations} SET state = 'RolledBack', finished_at = UTC_TIMESTAMP(6) WHERE id = ?");
            sqlx::query(sql(statement)).bind(&other.id).execute(connection.raw()).await?;
        }
        Ok(())
    }
}
