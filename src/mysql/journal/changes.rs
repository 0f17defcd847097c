//! What other migrations have changed in a schema, as one text that is another one once they have changed something more. It is kept with a
//! backup: one from before such a change is not the way back from what comes after it. No clock but the server's own is compared.

use sqlx::Row;

use super::super::connection::{Connection, SessionLimits, sql};
use super::super::deadline::{SHORT_STATEMENT, within};
use super::super::error::Error;
use super::super::journal_tables;
use super::super::session::Engine;
use super::table_in;
use crate::plan::Plan;

impl Engine {
    /// How many operations other migrations have announced in the schema of this plan, and when they last did, undid or exchanged something.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn changes_of_others(&self, plan: &Plan) -> Result<String, Error> {
        let mut connection = self.target.connect(SessionLimits::default()).await?;
        let reading = self.read_changes(plan, &mut connection);
        let changes = within(SHORT_STATEMENT, "reading what other migrations changed", reading).await?;
        connection.close().await?;
        Ok(changes)
    }

    async fn read_changes(&self, plan: &Plan, connection: &mut Connection) -> Result<String, Error> {
        let table = |name| table_in(&self.settings.journal, &plan.schema, name);
        // The last that is made of those that every journal has.
        if !journal_tables::exists(&table("journal_format")?, connection).await? {
            return Ok("0 changes".to_owned());
        }
        let (migrations, operations) = (table("migrations")?.quoted(), table("operations")?.quoted());
        let (changes, at) = self.read_times(
            connection,
            plan,
            &format!(
                "SELECT COUNT(*) AS many, MAX(GREATEST(o.intended_at, COALESCE(o.completed_at, o.intended_at), COALESCE(o.undone_at, o.intended_at))) AS latest \
                 FROM {operations} o JOIN {migrations} m ON m.id = o.migration WHERE m.target_schema = ? AND m.plan_digest <> ?"
            ),
        )
        .await?;
        let last = at.map(|at| format!(", the last one at {at}")).unwrap_or_default();
        let mut text = format!("{changes} changes{last}");
        let restores = table("restores")?;
        if journal_tables::exists(&restores, connection).await? {
            let statement = format!(
                "SELECT COUNT(*) AS many, MAX(r.swapping_at) AS latest FROM {} r JOIN {migrations} m ON m.id = r.migration \
                 WHERE r.swapping_at IS NOT NULL AND m.target_schema = ? AND m.plan_digest <> ?",
                restores.quoted()
            );
            if let (_, Some(at)) = self.read_times(connection, plan, &statement).await? {
                text.push_str(&format!(", and a backup put back at {at}"));
            }
        }
        Ok(text)
    }

    /// A number, and a time where there is one.
    async fn read_times(
        &self,
        connection: &mut Connection,
        plan: &Plan,
        statement: &str,
    ) -> Result<(i64, Option<String>), Error> {
        let as_text = format!(
            "SELECT CAST(many AS SIGNED), DATE_FORMAT(latest, '%Y-%m-%dT%H:%i:%s.%fZ') FROM ({statement}) AS found"
        );
        let row = sqlx::query(sql(as_text)).bind(plan.schema.as_str()).bind(&plan.digest).fetch_one(connection.raw());
        let row = row.await?;
        Ok((row.try_get(0)?, row.try_get(1)?))
    }
}
