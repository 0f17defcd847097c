//! Opening the journal: whose migration it is that a session works on, a new one, one that was left unfinished, or a complete one.

use sqlx::Row;

use super::super::connection::{Connection, Target, sql};
use super::super::deadline::{SHORT_STATEMENT, within};
use super::super::error::Error;
use super::super::journal_tables;
use super::super::lending::Lender;
use super::super::work::JournalLocation;
use super::Journal;
use super::tries::Tries;
use crate::plan::Plan;

impl Journal {
    /// Opens the journal for a plan: creates its tables where they are missing, finds the unfinished migration of the same plan, or one
    /// that is complete and stands, or starts one, and takes it over by raising its epoch. The caller holds the fence.
    ///
    /// # Errors
    /// [`Cause::LockHeld`] when another migration of this schema is unfinished, [`Cause::UnknownFormat`] when the journal was
    /// written by a version that this one does not know.
    pub(crate) async fn open(
        target: &Target,
        location: &JournalLocation,
        plan: &Plan,
        owner: &str,
        connection: &mut Connection,
    ) -> Result<Self, Error> {
        let mut tries = Tries::default();
        while let Err(error) = journal_tables::ensure(location, &plan.schema, connection).await {
            tries.again(error).await?;
        }
        let mut journal = Self {
            target: target.clone(),
            location: location.clone(),
            schema: plan.schema.clone(),
            server_uuid: connection.server_uuid.clone(),
            migration: String::new(),
            epoch: 0,
            resumed: false,
            complete: false,
            lender: Lender::default(),
        };
        let complete = journal.complete_and_standing(plan).await?;
        loop {
            let taking = journal.take_over(plan, owner, complete.clone(), connection);
            let Err(error) = within(SHORT_STATEMENT, "opening the journal", taking).await else { return Ok(journal) };
            tries.again(error).await?;
            // Not every conflict ended more than its statement.
            connection.run("ROLLBACK").await?;
        }
    }

    async fn take_over(
        &mut self,
        plan: &Plan,
        owner: &str,
        complete: Option<(String, u64)>,
        connection: &mut Connection,
    ) -> Result<(), Error> {
        let migrations = self.table("migrations")?.quoted();
        // Others open the same journal: what is locked are rows that are there, not the places of those that are to come.
        connection.run("SET TRANSACTION ISOLATION LEVEL READ COMMITTED").await?;
        connection.run("START TRANSACTION").await?;
        if let Err(error) = self.settle_others(plan, connection).await {
            connection.run("ROLLBACK").await?;
            return Err(error);
        }
        let own = sqlx::query(sql(format!(
            "SELECT id, epoch FROM {migrations} WHERE target_schema = ? AND plan_digest = ? AND state IN ('Running', 'Failed') \
             ORDER BY started_at DESC LIMIT 1 FOR UPDATE"
        )))
        .bind(plan.schema.as_str())
        .bind(&plan.digest)
        .fetch_optional(connection.raw())
        .await?;
        (self.resumed, self.complete) = (false, false);
        let own = own.map(|row| Ok::<_, Error>((row.try_get(0)?, row.try_get::<u64, _>(1)?))).transpose()?;
        if let Some((id, epoch)) = own {
            self.epoch = epoch + 1;
            self.migration = id;
            self.resumed = true;
            sqlx::query(sql(format!(
                "UPDATE {migrations} SET epoch = ?, owner = ?, server_uuid = ?, state = 'Running', finished_at = NULL WHERE id = ?"
            )))
            .bind(self.epoch)
            .bind(owner)
            .bind(&self.server_uuid)
            .bind(&self.migration)
            .execute(connection.raw())
            .await?;
        } else if let Some((id, epoch)) = complete {
            (self.migration, self.epoch, self.resumed, self.complete) = (id, epoch + 1, true, true);
            sqlx::query(sql(format!("UPDATE {migrations} SET epoch = ?, owner = ?, server_uuid = ? WHERE id = ?")))
                .bind(self.epoch)
                .bind(owner)
                .bind(&self.server_uuid)
                .bind(&self.migration)
                .execute(connection.raw())
                .await?;
        } else {
            self.epoch = 1;
            self.migration =
                sqlx::raw_sql("SELECT CAST(UUID() AS CHAR)").fetch_one(connection.raw()).await?.try_get(0)?;
            sqlx::query(sql(format!(
                "INSERT INTO {migrations} (id, target_schema, content_digest, plan_digest, owner, state, epoch, server_uuid, started_at) \
                 VALUES (?, ?, ?, ?, ?, 'Running', ?, ?, UTC_TIMESTAMP(6))"
            )))
            .bind(&self.migration)
            .bind(plan.schema.as_str())
            .bind(&plan.content_digest)
            .bind(&plan.digest)
            .bind(owner)
            .bind(self.epoch)
            .bind(&self.server_uuid)
            .execute(connection.raw())
            .await?;
        }
        self.keep_plan(plan, connection).await?;
        connection.commit("taking the migration over").await
    }
}
