//! A migration that somebody left unfinished, with its plan: its resource was deleted, or lived in a cluster that is gone. Whoever
//! applies the same content again goes on with that plan, because one that is made anew would take what was done for the state before.

use sqlx::Row;

use super::super::connection::{Connection, SessionLimits, sql};
use super::super::deadline::{SHORT_STATEMENT, within};
use super::super::error::{Cause, Error};
use super::super::journal_tables;
use super::super::session::Engine;
use super::{Journal, table_in};
use crate::plan::{Identifier, Plan};

/// A migration that nobody has finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftUnfinished {
    /// Whose it was: namespace and name of the resource.
    pub owner: String,
    /// Digest of its plan.
    pub plan_digest: String,
    /// Its plan as it was stored, as JSON.
    pub plan: String,
    /// Operations that were announced and are not taken back.
    pub standing: u64,
}

impl Engine {
    /// The unfinished migration of that content on a schema of which something stands, where the journal has its plan; one that somebody
    /// is at work on included. Changes nothing.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn left_unfinished(
        &self,
        schema: &Identifier,
        content_digest: &str,
    ) -> Result<Option<LeftUnfinished>, Error> {
        let mut connection = self.target.connect(SessionLimits::default()).await?;
        let reading = self.read_left(schema, content_digest, &mut connection);
        let left = within(SHORT_STATEMENT, "looking for an unfinished migration of this content", reading).await?;
        connection.close().await?;
        Ok(left)
    }

    /// Who began what the journal has as unfinished on a schema last, as namespace/name. Changes nothing.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn owner_at_work(&self, schema: &Identifier) -> Result<Option<String>, Error> {
        let migrations = table_in(&self.settings.journal, schema, "migrations")?;
        let mut connection = self.target.connect(SessionLimits::default()).await?;
        let owner = within(SHORT_STATEMENT, "asking the journal who is at work", async {
            if !journal_tables::exists(&migrations, &mut connection).await? {
                return Ok(None);
            }
            let statement = format!(
                "SELECT owner FROM {} WHERE target_schema = ? AND state = 'Running' ORDER BY started_at DESC LIMIT 1",
                migrations.quoted()
            );
            let row = sqlx::query(sql(statement)).bind(schema.as_str()).fetch_optional(connection.raw()).await?;
            Ok(row.map(|row| row.try_get(0)).transpose()?)
        });
        let owner = owner.await?;
        connection.close().await?;
        Ok(owner)
    }

    async fn read_left(
        &self,
        schema: &Identifier,
        content_digest: &str,
        connection: &mut Connection,
    ) -> Result<Option<LeftUnfinished>, Error> {
        let table = |name| table_in(&self.settings.journal, schema, name);
        let (migrations, operations, plans) = (table("migrations")?, table("operations")?, table("plans")?);
        // The last that is made: where it is, so are the others. A journal of an earlier version lacks it.
        if !journal_tables::exists(&plans, connection).await? {
            return Ok(None);
        }
        let found = sqlx::query(sql(format!(
            "SELECT owner, plan_digest, plan, standing FROM (SELECT m.owner, m.plan_digest, p.plan, m.started_at, \
             (SELECT CAST(COUNT(*) AS UNSIGNED) FROM {} o WHERE o.migration = m.id AND o.state <> 'Undone') AS standing \
             FROM {} m JOIN {} p ON p.plan_digest = m.plan_digest \
             WHERE m.target_schema = ? AND m.content_digest = ? AND m.state = 'Running') AS unfinished \
             WHERE standing > 0 ORDER BY started_at DESC LIMIT 1",
            operations.quoted(),
            migrations.quoted(),
            plans.quoted()
        )))
        .bind(schema.as_str())
        .bind(content_digest)
        .fetch_optional(connection.raw())
        .await?;
        found
            .map(|row| {
                Ok(LeftUnfinished {
                    owner: row.try_get(0)?,
                    plan_digest: row.try_get(1)?,
                    plan: row.try_get(2)?,
                    standing: row.try_get(3)?,
                })
            })
            .transpose()
    }
}

impl Journal {
    /// Keeps the plan beside its migration, in the caller's transaction. Estimates are no part of its digest: the plan that was kept first
    /// stays.
    pub(super) async fn keep_plan(&self, plan: &Plan, connection: &mut Connection) -> Result<(), Error> {
        let text = serde_json::to_string(plan)
            .map_err(|error| Error::new(Cause::UnknownFormat, format!("the plan cannot be written down: {error}")))?;
        let plans = self.table("plans")?.quoted();
        sqlx::query(sql(format!(
            "INSERT INTO {plans} (plan_digest, plan, kept_at) VALUES (?, ?, UTC_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE plan_digest = plan_digest"
        )))
        .bind(&plan.digest)
        .bind(text)
        .execute(connection.raw())
        .await?;
        Ok(())
    }
}
