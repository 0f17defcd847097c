//! A migration whose end is recorded, while whoever recorded it was killed before it could say so: it is taken over once more, so that its
//! end can be proven again and told, or taken back.

use sqlx::Row;

use super::super::connection::sql;
use super::super::deadline::{SHORT_STATEMENT, within};
use super::super::error::Error;
use super::Journal;
use crate::plan::Plan;

impl Journal {
    /// Takes over the last migration of the same plan if it is complete, in place of the one that was just begun: its end is recorded
    /// here, and whoever recorded it was interrupted before telling anybody. The caller holds the fence.
    ///
    /// # Errors
    /// [`Cause::FenceLost`], or what the server answers.
    pub(crate) async fn take_over_complete(&mut self, plan: &Plan) -> Result<bool, Error> {
        let (migrations, operations) = (self.table("migrations")?.quoted(), self.table("operations")?.quoted());
        let what = "looking for a complete migration of the same plan";
        let taken = within(SHORT_STATEMENT, what, async {
            let mut connection = self.lend().await?;
            connection.run("START TRANSACTION").await?;
            self.assert_epoch(&mut connection).await?;
            let last = sqlx::query(sql(format!(
                "SELECT id, epoch, state FROM {migrations} WHERE target_schema = ? AND plan_digest = ? AND EXISTS \
                 (SELECT 1 FROM {operations} WHERE migration = {migrations}.id) ORDER BY started_at DESC LIMIT 1 FOR UPDATE"
            )))
            .bind(plan.schema.as_str())
            .bind(&plan.digest)
            .fetch_optional(connection.raw())
            .await?;
            let mut complete = None;
            if let Some(row) = last
                && row.try_get::<String, _>(2)? == "Complete"
            {
                let (id, epoch): (String, u64) = (row.try_get(0)?, row.try_get::<u64, _>(1)? + 1);
                for (statement, migration) in [
                    ("SET state = 'RolledBack', finished_at = UTC_TIMESTAMP(6)", &self.migration),
                    ("SET epoch = epoch + 1, state = 'Running', finished_at = NULL", &id),
                ] {
                    let statement = sql(format!("UPDATE {migrations} {statement} WHERE id = ?"));
                    sqlx::query(statement).bind(migration).execute(connection.raw()).await?;
                }
                complete = Some((id, epoch));
            }
            connection.commit("taking a complete migration over again").await?;
            connection.give_back();
            Ok(complete)
        })
        .await?;
        let Some((id, epoch)) = taken else { return Ok(false) };
        (self.migration, self.epoch, self.resumed) = (id, epoch, true);
        Ok(true)
    }
}
