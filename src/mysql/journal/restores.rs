//! What the journal says of a backup that is put back: the schema that it is restored into, the one that keeps the tables which were
//! there, and how far the exchange of the two is. A table of its own, made where a backup is put back for the first time, so that
//! journals without one stay as they are.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row;

use super::super::connection::{Connection, SessionLimits, sql};
use super::super::deadline::{SHORT_STATEMENT, within};
use super::super::error::{Cause, Error};
use super::super::journal_tables;
use super::Journal;
use crate::plan::identifier::{Identifier, TableName};

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RestoreState {
    /// The schema for the backup's tables was announced; they may be in it, as a whole or in part.
    Prepared,
    /// The exchange was announced; the catalogue says whether it happened.
    Swapping,
    /// The backup's tables are in place.
    Swapped,
    /// The tables that were there before are being deleted, or are.
    Purged,
}

impl RestoreState {
    const ALL: [Self; 4] = [Self::Prepared, Self::Swapping, Self::Swapped, Self::Purged];

    fn text(self) -> &'static str {
        match self {
            Self::Prepared => "Prepared",
            Self::Swapping => "Swapping",
            Self::Swapped => "Swapped",
            Self::Purged => "Purged",
        }
    }
}

/// A backup that is put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Restore {
    /// The schema that the backup is restored into.
    pub(crate) restored: Identifier,
    /// The schema that keeps what was there before.
    pub(crate) kept: Identifier,
    /// How far it is.
    pub(crate) state: RestoreState,
    /// From Swapping on: the tables that were there.
    pub(crate) live: Vec<Identifier>,
    /// From Swapping on: the backup's tables.
    pub(crate) tables: Vec<Identifier>,
}

/// Reads what a journal says of one migration; `None`: no backup was put back.
///
/// # Errors
/// [`Cause::UnknownFormat`] for what this version does not know; else what the server answers.
pub(crate) async fn read(
    restores: &TableName,
    migration: &str,
    connection: &mut Connection,
) -> Result<Option<Restore>, Error> {
    if !journal_tables::exists(restores, connection).await? {
        return Ok(None);
    }
    let statement = format!(
        "SELECT restored_schema, kept_schema, state, live_tables, restored_tables FROM {} WHERE migration = ?",
        restores.quoted()
    );
    let row = sqlx::query(sql(statement)).bind(migration).fetch_optional(connection.raw()).await?;
    let Some(row) = row else { return Ok(None) };
    let unknown = |what: String| Error::new(Cause::UnknownFormat, format!("{restores}: {what}"));
    let schema = |place| Identifier::new(row.try_get::<String, _>(place)?).map_err(|error| unknown(error.to_string()));
    let state: String = row.try_get(2)?;
    let known = RestoreState::ALL.into_iter().find(|known| known.text() == state);
    let state = known.ok_or_else(|| unknown(format!("the state {state:?} is none that this version knows")))?;
    Ok(Some(Restore {
        restored: schema(0)?,
        kept: schema(1)?,
        state,
        live: parsed(&row.try_get::<String, _>(3)?).map_err(unknown)?,
        tables: parsed(&row.try_get::<String, _>(4)?).map_err(unknown)?,
    }))
}

fn parsed<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("a list of tables: {error}"))
}

fn json(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::new(Cause::UnknownFormat, format!("names as JSON: {error}")))
}

impl Journal {
    /// What is known of the backup that this migration puts back. One that finds nothing to take over may follow the one that put it back
    /// and could not tell anybody: nothing has changed since.
    ///
    /// # Errors
    /// As of [`read`].
    pub(crate) async fn restore(&self) -> Result<Option<Restore>, Error> {
        let restores = self.table("restores")?;
        within(SHORT_STATEMENT, "reading the journal", async {
            let mut connection = self.lend().await?;
            let mut found = read(&restores, &self.migration, &mut connection).await?;
            if found.is_none()
                && !self.resumed
                && let Some(before) = self.put_back_before(&restores, &mut connection).await?
            {
                found = read(&restores, &before, &mut connection).await?;
            }
            connection.give_back();
            Ok(found)
        })
        .await
    }

    /// The last migration of the same plan, if it ended with its backup in place.
    async fn put_back_before(
        &self,
        restores: &TableName,
        connection: &mut Connection,
    ) -> Result<Option<String>, Error> {
        if !journal_tables::exists(restores, connection).await? {
            return Ok(None);
        }
        let (migrations, operations) = (self.table("migrations")?.quoted(), self.table("operations")?.quoted());
        // One that only looked, as this one does, has done nothing. Once this one has begun, what is to be put back is its own.
        let statement = format!(
            "SELECT m.id, m.state, r.state FROM {migrations} own JOIN {migrations} m ON m.target_schema = own.target_schema \
             AND m.plan_digest = own.plan_digest AND m.id <> own.id LEFT JOIN {} r ON r.migration = m.id WHERE own.id = ? \
             AND NOT EXISTS (SELECT 1 FROM {operations} o WHERE o.migration = own.id) \
             AND (r.migration IS NOT NULL OR EXISTS (SELECT 1 FROM {operations} o WHERE o.migration = m.id)) ORDER BY m.started_at DESC LIMIT 1",
            restores.quoted()
        );
        let row = sqlx::query(sql(statement)).bind(&self.migration).fetch_optional(connection.raw()).await?;
        let Some(row) = row else { return Ok(None) };
        let (id, ended, restore): (String, String, Option<String>) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let in_place = [RestoreState::Swapped.text(), RestoreState::Purged.text()];
        let is = ended == "RolledBack" && restore.is_some_and(|state| in_place.contains(&state.as_str()));
        Ok(is.then_some(id))
    }

    /// Announces the schema that the backup is restored into, and the one that will keep what is there now.
    ///
    /// # Errors
    /// [`Cause::FenceLost`], or what the server answers.
    pub(crate) async fn preparing_restore(&self, restored: &Identifier, kept: &Identifier) -> Result<(), Error> {
        let restores = self.table("restores")?;
        let what = "announcing the restore of the backup in the journal";
        let mut connection = self.connect(SessionLimits::default()).await?;
        within(
            SHORT_STATEMENT,
            "preparing the journal of restores",
            connection.run(&format!(
                "CREATE TABLE IF NOT EXISTS {} (migration CHAR(36) NOT NULL PRIMARY KEY, restored_schema VARCHAR(64) NOT NULL, \
                 kept_schema VARCHAR(64) NOT NULL, state VARCHAR(20) NOT NULL, live_tables LONGTEXT NOT NULL, \
                 restored_tables LONGTEXT NOT NULL, prepared_at DATETIME(6) NOT NULL, swapping_at DATETIME(6) NULL, \
                 swapped_at DATETIME(6) NULL, purged_at DATETIME(6) NULL) \
                 ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
                restores.quoted()
            )),
        )
        .await?;
        connection.close().await?;
        let (restored, kept) = (restored.as_str(), kept.as_str());
        let table = restores.quoted();
        if self.restore().await?.is_some() {
            let statement = format!(
                "UPDATE {table} SET restored_schema = ?, kept_schema = ?, state = 'Prepared', live_tables = '[]', restored_tables = '[]', \
                 prepared_at = UTC_TIMESTAMP(6), swapping_at = NULL WHERE migration = ? AND state IN ('Prepared', 'Swapping')"
            );
            return self.write(what.to_owned(), statement, &[Some(restored), Some(kept), Some(&self.migration)]).await;
        }
        let statement = format!(
            "INSERT INTO {table} (migration, restored_schema, kept_schema, state, live_tables, restored_tables, prepared_at) \
             VALUES (?, ?, ?, 'Prepared', '[]', '[]', UTC_TIMESTAMP(6))"
        );
        self.write(what.to_owned(), statement, &[Some(&self.migration), Some(restored), Some(kept)]).await
    }

    /// Announces the exchange of these tables for the backup's.
    ///
    /// # Errors
    /// [`Cause::FenceLost`], or what the server answers.
    pub(crate) async fn swapping(&self, live: &[Identifier], tables: &[Identifier]) -> Result<(), Error> {
        let statement = format!(
            "UPDATE {} SET state = 'Swapping', live_tables = ?, restored_tables = ?, swapping_at = UTC_TIMESTAMP(6) \
             WHERE migration = ? AND state IN ('Prepared', 'Swapping')",
            self.table("restores")?.quoted()
        );
        let (live, tables) = (json(&live)?, json(&tables)?);
        let what = "announcing the exchange of the tables in the journal".to_owned();
        self.write(what, statement, &[Some(&live), Some(&tables), Some(&self.migration)]).await
    }

    /// What the exchange has taken back and the journal does not say so yet, newest first; and whether something was begun after it.
    ///
    /// # Errors
    /// What the server answers.
    pub(crate) async fn standing_beside_exchange(&self) -> Result<(Vec<String>, bool), Error> {
        let (operations, restores) = (self.table("operations")?.quoted(), self.table("restores")?.quoted());
        within(SHORT_STATEMENT, "reading the journal", async {
            let mut connection = self.lend().await?;
            let statement = format!(
                "SELECT o.operation, CAST(o.intended_at < r.swapping_at AS SIGNED) FROM {operations} o \
                 JOIN {restores} r ON r.migration = o.migration WHERE o.migration = ? AND o.state <> 'Undone' ORDER BY o.sequence DESC"
            );
            let rows = sqlx::query(sql(statement)).bind(&self.migration).fetch_all(connection.raw()).await?;
            connection.give_back();
            let (mut before, mut after) = (Vec::new(), false);
            for row in &rows {
                match row.try_get::<Option<i64>, _>(1)? {
                    Some(1) => before.push(row.try_get(0)?),
                    _ => after = true,
                }
            }
            Ok((before, after))
        })
        .await
    }

    /// Records that the exchange happened.
    ///
    /// # Errors
    /// [`Cause::FenceLost`], or what the server answers.
    pub(crate) async fn swapped(&self) -> Result<(), Error> {
        let statement = format!(
            "UPDATE {} SET state = 'Swapped', swapped_at = COALESCE(swapped_at, UTC_TIMESTAMP(6)) \
             WHERE migration = ? AND state IN ('Swapping', 'Swapped')",
            self.table("restores")?.quoted()
        );
        self.write("recording the exchange of the tables".to_owned(), statement, &[Some(&self.migration)]).await
    }
}
