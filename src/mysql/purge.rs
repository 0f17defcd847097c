//! Purging: deleting for good what an ended migration has in quarantine, because a person asked for it. Announced in the journal
//! before the first entry goes and recorded after the last; the entries of other migrations, the journal itself and the (then
//! perhaps empty) quarantine tables stay. What was begun can be begun again after any interruption.

use std::time::Duration;

use sqlx::Row;

use super::connection::{Connection, SessionLimits, sql};
use super::deadline::{SHORT_STATEMENT, within};
use super::error::{Cause, Error};
use super::fence::{Fence, Taken};
use super::journal::table_in;
use super::journal_tables;
use super::put_back;
use super::quarantine::{Registered, registered_in};
use super::report::PurgeReport;
use super::session::Engine;
use super::work::{Progress, Stop};
use super::work_table;
use crate::plan::Operation;
use crate::plan::identifier::{Identifier, TableName};

/// Entries that one transaction deletes.
const BATCH: u64 = 5_000;
/// Dropping a large table removes its file, which may take its time.
pub(super) const DROP_DEADLINE: Duration = Duration::from_secs(3600);

/// What the purge of one schema's migrations works with.
struct Purge<'a> {
    engine: &'a Engine,
    schema: &'a Identifier,
    progress: &'a Progress,
    stop: &'a Stop,
    fence: &'a Fence,
}

impl Engine {
    /// Deletes what the ended migrations of a plan have in the quarantine of a schema, and lists of rows that a crash left behind.
    ///
    /// # Errors
    /// [`Cause::LockHeld`] while another controller works on the schema, [`Cause::Drifted`] when the journal says that a migration of
    /// the plan has not ended, [`Cause::Stopped`], or what the server answers.
    pub async fn purge(
        &self,
        schema: &Identifier,
        plan_digest: &str,
        progress: &Progress,
        stop: &Stop,
    ) -> Result<PurgeReport, Error> {
        let schemas = [schema.clone()];
        let fence = Taken::take(&self.target, &schemas).await?.watch(&schemas).await?;
        let result = Purge { engine: self, schema, progress, stop, fence: &fence }.run(plan_digest).await;
        let released = fence.release().await;
        let report = result?;
        released?;
        Ok(report)
    }
}

impl Purge<'_> {
    fn table(&self, name: &str) -> Result<TableName, Error> {
        table_in(&self.engine.settings.journal, self.schema, name)
    }

    async fn run(&self, plan_digest: &str) -> Result<PurgeReport, Error> {
        let mut connection = self.engine.target.connect(SessionLimits::default()).await?;
        journal_tables::ensure(&self.engine.settings.journal, self.schema, &mut connection).await?;
        let migrations = self.ended_migrations(&mut connection, plan_digest).await?;
        let purges = self.table("purges")?.quoted();
        within(
            SHORT_STATEMENT,
            "preparing the journal of purges",
            connection.run(&format!(
                "CREATE TABLE IF NOT EXISTS {purges} (migration CHAR(36) NOT NULL, quarantine_table VARCHAR(64) NOT NULL, \
                 entries BIGINT UNSIGNED NOT NULL, intended_at DATETIME(6) NOT NULL, purged_at DATETIME(6) NULL, \
                 PRIMARY KEY (migration, quarantine_table)) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
            )),
        )
        .await?;
        let tables = within(
            SHORT_STATEMENT,
            "listing the quarantine",
            registered_in(&self.table("quarantine_tables")?, &mut connection),
        )
        .await?;
        let mut report = PurgeReport::default();
        for migration in &migrations {
            for table in &tables {
                let deleted = self.empty(&mut connection, migration, table).await?;
                report.entries += deleted;
                report.tables += u64::from(deleted > 0);
            }
            self.remove_work_tables(&mut connection, migration).await?;
            let mut check = |what: &str| {
                self.stop.check()?;
                self.fence.check()?;
                self.progress.update(|reading| what.clone_into(&mut reading.activity));
                Ok(())
            };
            report.kept_tables +=
                put_back::purge(&mut connection, &self.table("restores")?, migration, &mut check).await?;
        }
        connection.close().await?;
        Ok(report)
    }

    /// The migrations of the plan, all of which must have ended with nothing left to put back.
    async fn ended_migrations(&self, connection: &mut Connection, plan_digest: &str) -> Result<Vec<String>, Error> {
        let migrations = self.table("migrations")?.quoted();
        let rows = within(SHORT_STATEMENT, "reading the journal", async {
            let query = sqlx::query(sql(format!(
                "SELECT id, state FROM {migrations} WHERE target_schema = ? AND plan_digest = ? ORDER BY started_at"
            )));
            Ok(query.bind(self.schema.as_str()).bind(plan_digest).fetch_all(connection.raw()).await?)
        })
        .await?;
        rows.iter()
            .map(|row| {
                let (id, state): (String, String) = (row.try_get(0)?, row.try_get(1)?);
                if matches!(state.as_str(), "Complete" | "RolledBack") {
                    return Ok(id);
                }
                Err(Error::new(
                    Cause::Drifted,
                    format!(
                        "the journal says that migration {id} of this plan is {state}: its quarantined rows may still have to be put back"
                    ),
                ))
            })
            .collect()
    }

    /// Deletes a migration's entries of one quarantine table, and returns how many there were.
    async fn empty(&self, connection: &mut Connection, migration: &str, table: &Registered) -> Result<u64, Error> {
        let what = format!("purging what {} keeps of {}", table.name, table.source);
        let quarantine = table.name.quoted();
        let count = format!("SELECT COUNT(*) FROM {quarantine} WHERE holdfast_migration = ?");
        let entries: i64 = within(SHORT_STATEMENT, &what, async {
            Ok(sqlx::query(sql(count.as_str())).bind(migration).fetch_one(connection.raw()).await?.try_get(0)?)
        })
        .await?;
        let purges = self.table("purges")?.quoted();
        if entries > 0 {
            // The number that stood there first stays, should this be the second try.
            let announce = format!(
                "INSERT INTO {purges} (migration, quarantine_table, entries, intended_at) VALUES (?, ?, ?, UTC_TIMESTAMP(6)) \
                 ON DUPLICATE KEY UPDATE purged_at = NULL"
            );
            within(SHORT_STATEMENT, &what, async {
                let query = sqlx::query(sql(announce)).bind(migration).bind(table.name.table.as_str()).bind(entries);
                Ok(query.execute(connection.raw()).await?)
            })
            .await?;
        }
        let mut deleted = 0;
        loop {
            self.stop.check()?;
            self.fence.check()?;
            self.progress.update(|reading| reading.activity = format!("{what}: {deleted} of {entries} entries"));
            let batch = format!("DELETE FROM {quarantine} WHERE holdfast_migration = ? LIMIT {BATCH}");
            let gone = within(SHORT_STATEMENT, &what, async {
                Ok(sqlx::query(sql(batch)).bind(migration).execute(connection.raw()).await?.rows_affected())
            })
            .await?;
            if gone == 0 {
                break;
            }
            deleted += gone;
        }
        let record = format!(
            "UPDATE {purges} SET purged_at = UTC_TIMESTAMP(6) WHERE migration = ? AND quarantine_table = ? AND purged_at IS NULL"
        );
        within(SHORT_STATEMENT, &what, async {
            let query = sqlx::query(sql(record)).bind(migration).bind(table.name.table.as_str());
            Ok(query.execute(connection.raw()).await?)
        })
        .await?;
        Ok(deleted)
    }

    /// Drops the lists of rows of the migration's operations, where a crash left one behind.
    async fn remove_work_tables(&self, connection: &mut Connection, migration: &str) -> Result<(), Error> {
        let operations = self.table("operations")?.quoted();
        let rows = within(SHORT_STATEMENT, "reading the journal", async {
            let query = sqlx::query(sql(format!("SELECT definition FROM {operations} WHERE migration = ?")));
            Ok(query.bind(migration).fetch_all(connection.raw()).await?)
        })
        .await?;
        let known = rows.iter().map(|row| {
            let definition: String = row.try_get(0)?;
            serde_json::from_str(&definition).map_err(|error| {
                Error::new(
                    Cause::UnknownFormat,
                    format!("an operation in {operations} cannot be read by this version: {error}"),
                )
            })
        });
        let known = known.collect::<Result<Vec<Operation>, Error>>()?;
        work_table::remove_leftovers(connection, &self.table("work_")?, migration, &known).await
    }
}
