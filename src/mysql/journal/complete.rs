//! A migration whose end is recorded, while whoever recorded it was killed before it could say so: it is taken over once more, so that its
//! end can be proven again and told, or taken back. It stays complete until something changes: neither a stop nor a crash of whoever
//! takes it over leaves it unfinished.

use sqlx::Row;

use super::super::catalogue::read_catalogue;
use super::super::connection::{Connection, sql};
use super::super::deadline::{SHORT_STATEMENT, within};
use super::super::drift;
use super::super::error::Error;
use super::Journal;
use crate::plan::{Plan, TableName};

impl Journal {
    /// The last migration of the same plan and its epoch, if it is complete and stands: then its end is recorded here, and whoever
    /// recorded it was interrupted before telling anybody. Where the catalogue is as it was planned for, somebody took it back by hand,
    /// and it is begun from the start. The caller holds the fence.
    pub(super) async fn complete_and_standing(&self, plan: &Plan) -> Result<Option<(String, u64)>, Error> {
        let (migrations, operations) = (self.table("migrations")?.quoted(), self.table("operations")?.quoted());
        let mut connection = self.lend().await?;
        let what = "looking for a complete migration of the same plan";
        let last = within(SHORT_STATEMENT, what, async {
            let last = sqlx::query(sql(format!(
                "SELECT id, epoch, state FROM {migrations} WHERE target_schema = ? AND plan_digest = ? AND EXISTS \
                 (SELECT 1 FROM {operations} WHERE migration = {migrations}.id) ORDER BY started_at DESC LIMIT 1"
            )))
            .bind(plan.schema.as_str())
            .bind(&plan.digest)
            .fetch_optional(connection.raw())
            .await?;
            let Some(row) = last else { return Ok(None) };
            let (id, epoch, state): (String, u64, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            Ok((state == "Complete").then_some((id, epoch)))
        })
        .await?;
        let mut standing = None;
        if let Some(complete) = last {
            // Not from the names in `tables`: both parts of one may hold a dot.
            let tables: Vec<TableName> = plan.touched().into_iter().cloned().collect();
            let catalogue = read_catalogue(&mut connection, &plan.schema, &tables).await?;
            standing = drift::since_planned(plan, &catalogue).map(|_| complete);
        }
        connection.give_back();
        Ok(standing)
    }

    /// Says, in the caller's transaction and before what it changes, that a complete migration is at work again.
    pub(super) async fn open_again(&self, connection: &mut Connection) -> Result<(), Error> {
        let migrations = self.table("migrations")?.quoted();
        let statement = format!(
            "UPDATE {migrations} SET state = 'Running', finished_at = NULL WHERE id = ? AND epoch = ? AND state = 'Complete'"
        );
        sqlx::query(sql(statement)).bind(&self.migration).bind(self.epoch).execute(connection.raw()).await?;
        Ok(())
    }
}
