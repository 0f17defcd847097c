//! The journal: what a migration is about to do and has done, in the same server as the data. An intent is committed before the
//! change it announces, so that after any crash the journal and the catalogue together say where the work stands. Every write
//! checks the epoch, so that a controller that lost the fence can write nothing more.

mod changes;
mod complete;
pub(super) mod history;
pub(super) mod left;
mod opening;
pub(super) mod restores;
mod tries;
pub(super) mod unfinished;

use sqlx::Row;

use self::tries::Tries;
use super::connection::{Connection, SessionLimits, Target, sql};
use super::deadline::{SHORT_STATEMENT, within};
use super::error::{Cause, Error};
use super::lending::{Lender, Lent};
use super::report::MigrationOutcome;
use super::work::JournalLocation;
use crate::plan::Operation;
use crate::plan::identifier::{Identifier, TableName};

/// Distance between the sequence numbers of operations, which leaves room for one that must be undone after an older one.
pub(crate) const SEQUENCE_STEP: u64 = 10;

/// Where an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OperationState {
    /// Announced; the catalogue says whether it happened.
    Intended,
    /// Happened and verified.
    Done,
    /// Taken back.
    Undone,
}

impl OperationState {
    fn parse(text: &str) -> Result<Self, Error> {
        match text {
            "Intended" => Ok(Self::Intended),
            "Done" => Ok(Self::Done),
            "Undone" => Ok(Self::Undone),
            other => Err(Error::new(
                Cause::UnknownFormat,
                format!("the journal holds the operation state {other:?}, which this version does not know"),
            )),
        }
    }
}

/// One operation as the journal has it.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// The operation, as it was when it was announced.
    pub(crate) operation: Operation,
    /// Its place: undoing goes from the greatest to the least.
    pub(crate) sequence: u64,
    /// Where it stands.
    pub(crate) state: OperationState,
    /// SHOW CREATE TABLE of its table just before, without the AUTO_INCREMENT value.
    pub(crate) before_image: Option<String>,
    /// Its report as JSON, once done.
    pub(crate) report: Option<String>,
}

/// The journal of one migration, opened by the holder of the fence.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    target: Target,
    location: JournalLocation,
    schema: Identifier,
    server_uuid: String,
    migration: String,
    epoch: u64,
    resumed: bool,
    /// Whether it was complete when it was taken over: it stays so until something changes.
    complete: bool,
    lender: Lender,
}

/// The name of a table of Holdfast's own: in the journal's schema, or with its prefix in the migrated one.
///
/// # Errors
/// When prefix and name together are too long.
pub(crate) fn table_in(location: &JournalLocation, schema: &Identifier, name: &str) -> Result<TableName, Error> {
    let (schema, table) = match location {
        JournalLocation::Schema(journal) => (journal.clone(), name.to_owned()),
        JournalLocation::Prefix(prefix) => (schema.clone(), format!("{prefix}{name}")),
    };
    let table =
        Identifier::new(table).map_err(|error| Error::new(Cause::InvalidSpec, format!("spec.journal: {error}")))?;
    Ok(TableName::new(schema, table))
}

impl Journal {
    /// The migration's id, which quarantine tables carry too.
    pub(crate) fn migration(&self) -> &str {
        &self.migration
    }

    /// Whether an unfinished migration was taken over.
    pub(crate) fn resumed(&self) -> bool {
        self.resumed
    }

    /// Where the server is.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// The server that the fence was taken on.
    pub(crate) fn server_uuid(&self) -> &str {
        &self.server_uuid
    }

    /// The name of a table of Holdfast's own beside the journal, `quarantine_1` for example.
    ///
    /// # Errors
    /// When prefix and name together are too long.
    pub(crate) fn table(&self, name: &str) -> Result<TableName, Error> {
        table_in(&self.location, &self.schema, name)
    }

    /// Opens a connection to the server that holds the fence.
    ///
    /// # Errors
    /// When it cannot be opened, or another server answers.
    pub(crate) async fn connect(&self, limits: SessionLimits) -> Result<Connection, Error> {
        let connection = self.target.connect(limits).await?;
        if connection.server_uuid != self.server_uuid {
            return Err(Error::new(
                Cause::FenceLost,
                format!(
                    "{} is now server {}, the fence was taken on {}: after a failover the migration has to be taken over anew",
                    self.target.host, connection.server_uuid, self.server_uuid
                ),
            ));
        }
        Ok(connection)
    }

    /// Lends a connection to the server that holds the fence, for a short reading or an entry of the journal: an idle one that
    /// proved to be in order, or a new one.
    ///
    /// # Errors
    /// When none can be opened, or another server answers.
    pub(crate) async fn lend(&self) -> Result<Lent, Error> {
        match self.lender.idle().await? {
            Some(lent) => Ok(lent),
            None => self.lender.ready(self.connect(SessionLimits::default()).await?).await,
        }
    }

    /// Closes the connections that are not lent at the moment.
    pub(crate) async fn close_idle(&self) {
        self.lender.close().await;
    }

    /// Checks, inside the caller's transaction, that this migration is still ours, and keeps it ours until the transaction ends. One that
    /// is complete is at work again from here on: the caller is about to change something.
    ///
    /// # Errors
    /// [`Cause::FenceLost`] when another session took the migration over or ended it.
    pub(crate) async fn assert_epoch(&self, connection: &mut Connection) -> Result<(), Error> {
        let migrations = self.table("migrations")?.quoted();
        let lock = if self.complete { "FOR UPDATE" } else { connection.dialect.lock_row_to_read() };
        let row = sqlx::query(sql(format!("SELECT epoch, state FROM {migrations} WHERE id = ? {lock}")))
            .bind(&self.migration)
            .fetch_optional(connection.raw())
            .await?;
        let lost = match row {
            None => "is gone from the journal".to_owned(),
            Some(row) => {
                let (epoch, state): (u64, String) = (row.try_get(0)?, row.try_get(1)?);
                if epoch == self.epoch && state == "Running" {
                    return Ok(());
                }
                if epoch == self.epoch && state == "Complete" && self.complete {
                    return self.open_again(connection).await;
                }
                format!("is in state {state} and epoch {epoch}, this session holds epoch {}", self.epoch)
            }
        };
        Err(Error::new(
            Cause::FenceLost,
            format!("migration {} {lost}: another session has taken over", self.migration),
        ))
    }

    /// Runs a statement that changes one row, in a transaction of its own.
    async fn write(&self, what: String, statement: String, values: &[Option<&str>]) -> Result<(), Error> {
        let mut tries = Tries::default();
        loop {
            match within(SHORT_STATEMENT, &what, self.write_once(&what, &statement, values)).await {
                Ok(()) => return Ok(()),
                Err(error) => tries.again(error).await?,
            }
        }
    }

    /// One try; a connection that met an error is closed, and what was open on it goes with it.
    async fn write_once(&self, what: &str, statement: &str, values: &[Option<&str>]) -> Result<(), Error> {
        let mut connection = self.lend().await?;
        connection.run("START TRANSACTION").await?;
        self.assert_epoch(&mut connection).await?;
        let mut query = sqlx::query(sql(statement));
        for value in values {
            query = query.bind(*value);
        }
        let changed = query.execute(connection.raw()).await?.rows_affected();
        if changed != 1 {
            return Err(Error::new(
                Cause::Drifted,
                format!("{changed} rows of the journal changed where 1 should have"),
            ));
        }
        connection.commit(what).await?;
        connection.give_back();
        Ok(())
    }

    /// Announces an operation. Announcing it again, after a crash or after it was undone, keeps its place.
    ///
    /// # Errors
    /// [`Cause::FenceLost`], or what the server answers.
    pub(crate) async fn intend(
        &self,
        operation: &Operation,
        sequence: u64,
        before_image: Option<&str>,
    ) -> Result<(), Error> {
        let table = self.table("operations")?.quoted();
        let definition = serde_json::to_string(operation).map_err(|error| {
            Error::new(Cause::UnknownFormat, format!("operation {} cannot be written down: {error}", operation.id))
        })?;
        let what = format!("announcing {} in the journal", operation.id);
        if let Some(record) = self.read_operation(&operation.id).await? {
            if record.state == OperationState::Intended {
                return Ok(());
            }
            let statement = format!(
                "UPDATE {table} SET state = 'Intended', before_image = ?, report = NULL, intended_at = UTC_TIMESTAMP(6), completed_at = NULL, \
                 undone_at = NULL WHERE migration = ? AND operation = ?"
            );
            return self.write(what, statement, &[before_image, Some(&self.migration), Some(&operation.id)]).await;
        }
        let sequence = sequence.to_string();
        let statement = format!(
            "INSERT INTO {table} (migration, operation, sequence, state, definition, forward_statement, inverse_statement, before_image, \
             intended_at) VALUES (?, ?, ?, 'Intended', ?, ?, ?, ?, UTC_TIMESTAMP(6))"
        );
        let values = [
            Some(self.migration.as_str()),
            Some(operation.id.as_str()),
            Some(sequence.as_str()),
            Some(definition.as_str()),
            operation.forward.as_deref(),
            operation.inverse.as_deref(),
            before_image,
        ];
        self.write(what, statement, &values).await
    }

    /// Records that an announced operation happened and was verified.
    ///
    /// # Errors
    /// [`Cause::FenceLost`], or what the server answers.
    pub(crate) async fn complete(&self, operation: &str, report_json: &str) -> Result<(), Error> {
        let table = self.table("operations")?.quoted();
        let statement = format!(
            "UPDATE {table} SET state = 'Done', report = ?, completed_at = UTC_TIMESTAMP(6) WHERE migration = ? AND operation = ?"
        );
        self.write(
            format!("recording {operation}"),
            statement,
            &[Some(report_json), Some(&self.migration), Some(operation)],
        )
        .await
    }

    /// Records that an operation was taken back.
    ///
    /// # Errors
    /// [`Cause::FenceLost`], or what the server answers.
    pub(crate) async fn undone(&self, operation: &str) -> Result<(), Error> {
        let table = self.table("operations")?.quoted();
        let statement = format!(
            "UPDATE {table} SET state = 'Undone', undone_at = UTC_TIMESTAMP(6) WHERE migration = ? AND operation = ?"
        );
        self.write(
            format!("recording the undoing of {operation}"),
            statement,
            &[Some(&self.migration), Some(operation)],
        )
        .await
    }

    /// Records how the migration ended.
    ///
    /// # Errors
    /// [`Cause::FenceLost`], or what the server answers.
    pub(crate) async fn finish(&self, outcome: MigrationOutcome) -> Result<(), Error> {
        let table = self.table("migrations")?.quoted();
        let state = match outcome {
            MigrationOutcome::Complete => "Complete",
            MigrationOutcome::RolledBack => "RolledBack",
            MigrationOutcome::Failed => "Failed",
        };
        let statement = format!("UPDATE {table} SET state = ?, finished_at = UTC_TIMESTAMP(6) WHERE id = ?");
        self.write("recording the end of the migration".to_owned(), statement, &[Some(state), Some(&self.migration)])
            .await
    }

    /// All operations of this migration that were ever announced, oldest first.
    ///
    /// # Errors
    /// [`Cause::UnknownFormat`] when one cannot be read.
    pub(crate) async fn read_operations(&self) -> Result<Vec<Record>, Error> {
        self.read("ORDER BY sequence", None).await
    }

    /// One operation, if it was ever announced.
    ///
    /// # Errors
    /// [`Cause::UnknownFormat`] when it cannot be read.
    pub(crate) async fn read_operation(&self, operation: &str) -> Result<Option<Record>, Error> {
        Ok(self.read("AND operation = ?", Some(operation)).await?.pop())
    }

    async fn read(&self, which: &str, operation: Option<&str>) -> Result<Vec<Record>, Error> {
        let table = self.table("operations")?.quoted();
        within(SHORT_STATEMENT, "reading the journal", async {
            let mut connection = self.lend().await?;
            let mut query = sqlx::query(sql(format!(
                "SELECT definition, sequence, state, before_image, report FROM {table} WHERE migration = ? {which}"
            )))
            .bind(&self.migration);
            if let Some(operation) = operation {
                query = query.bind(operation);
            }
            let rows = query.fetch_all(connection.raw()).await?;
            connection.give_back();
            rows.iter()
                .map(|row| {
                    let definition: String = row.try_get(0)?;
                    Ok(Record {
                        operation: serde_json::from_str(&definition).map_err(|error| {
                            Error::new(
                                Cause::UnknownFormat,
                                format!("an operation in {table} cannot be read by this version: {error}"),
                            )
                        })?,
                        sequence: row.try_get(1)?,
                        state: OperationState::parse(&row.try_get::<String, _>(2)?)?,
                        before_image: row.try_get(3)?,
                        report: row.try_get(4)?,
                    })
                })
                .collect()
        })
        .await
    }

    /// The greatest sequence number of this migration's operations; 0 before the first one is announced.
    ///
    /// # Errors
    /// What the server answers.
    pub(crate) async fn greatest_sequence(&self) -> Result<u64, Error> {
        let table = self.table("operations")?.quoted();
        within(SHORT_STATEMENT, "reading the journal", async {
            let mut connection = self.lend().await?;
            let statement =
                format!("SELECT CAST(COALESCE(MAX(sequence), 0) AS UNSIGNED) FROM {table} WHERE migration = ?");
            let row = sqlx::query(sql(statement)).bind(&self.migration).fetch_one(connection.raw()).await?;
            connection.give_back();
            Ok(row.try_get(0)?)
        })
        .await
    }
}
