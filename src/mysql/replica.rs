//! One replica of the server. A connection to it is a type of its own that only reads: it has no way to send another statement, and
//! its session refuses whatever writes. Whatever keeps it from being read is an error that names the field, the host and the way out.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::Row;

use super::blockers::{Blocker, held_on_replica};
use super::catalogue_keys::read_keys_of_children;
use super::connection::{Connection, Role, SessionLimits, Target};
use super::deadline::{SHORT_STATEMENT, within};
use super::error::{Cause, Error};
use super::interruption::Running;
use super::orphan_query::{Answer, count_orphans};
use super::preflight::{Reader, check_performance_schema, check_version, readers};
use super::privileges;
use super::replication::{Channel, problem};
use super::server::{read_server, variable};
use super::work::Stop;
use crate::plan::TableName;
use crate::plan::catalogue::{Flavour, ForeignKey, Version};
use crate::plan::identifier::Identifier;

/// How long looking through one of its tables may take.
const COUNT_DEADLINE: Duration = Duration::from_secs(12 * 60 * 60);

/// How long an idle connection may take to answer before another one is opened instead.
const ALIVE_DEADLINE: Duration = Duration::from_secs(5);

/// Where a replica is and how to log in: as on the server that it follows.
#[derive(Debug, Clone)]
pub struct ReplicaTarget {
    target: Target,
    path: String,
}

impl ReplicaTarget {
    /// A replica of that server. `path` is the field of the specification that names it.
    #[must_use]
    pub fn new(primary: &Target, host: String, port: u16, path: String) -> Self {
        Self { target: Target { host, port, ..primary.clone() }, path }
    }

    /// `replica mysql-replica:3306 (spec.database.replicas[0])`
    pub(crate) fn name(&self) -> String {
        format!("replica {} ({})", self.place(), self.path)
    }

    /// Host and port.
    pub(crate) fn place(&self) -> String {
        format!("{}:{}", self.target.host, self.target.port)
    }

    /// The error of something that keeps the replica from being watched.
    pub(crate) fn not_ready(&self, what: impl std::fmt::Display) -> Error {
        Error::new(
            Cause::ReplicaNotReady,
            format!(
                "{}: {what}. Nothing is changed until that is put right; it is looked at again by itself. Where it is gone for good, let its \
                 name lead to another replica of this server",
                self.name()
            ),
        )
    }

    /// What cannot be read of a replica is not passed, whatever the reason.
    fn unreadable(&self, error: Error) -> Error {
        if matches!(error.cause, Cause::Stopped | Cause::ReplicaNotReady) {
            return error;
        }
        let way_out = match error.cause {
            Cause::AccessDenied | Cause::PrivilegeMissing => {
                ": the account of spec.database.credentialsSecretRef needs the same password there, SELECT on the schema and on performance_schema"
            }
            _ => "",
        };
        self.not_ready(format!("{}{way_out}", error.message))
    }

    /// Opens a connection that only reads.
    ///
    /// # Errors
    /// [`Cause::ReplicaNotReady`].
    pub(crate) async fn connect(&self) -> Result<ReplicaConnection, Error> {
        let opening = async {
            let mut connection = self.target.connect_as(Role::Replica(&self.path), SessionLimits::default()).await?;
            if connection.dialect.flavour() != Flavour::MySql {
                return Err(Error::new(Cause::ServerUnsupported, "replicas are watched on MySQL only"));
            }
            within(SHORT_STATEMENT, "preparing a session that only reads", async {
                connection.run("SET SESSION TRANSACTION READ ONLY").await?;
                connection.run("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").await?;
                if let Some(statement) = connection.dialect.fresh_statistics() {
                    connection.run(statement).await?;
                }
                Ok(())
            })
            .await?;
            Ok(connection)
        };
        let connection = opening.await.map_err(|error| self.unreadable(error))?;
        Ok(ReplicaConnection { connection, of: self.clone() })
    }
}

/// A connection to a replica. Everything that can be asked of it is below, and none of it writes.
#[derive(Debug)]
pub(crate) struct ReplicaConnection {
    connection: Connection,
    of: ReplicaTarget,
}

impl ReplicaConnection {
    /// The server that answered when it was opened.
    pub(crate) fn server_uuid(&self) -> &str {
        &self.connection.server_uuid
    }

    /// Says goodbye to the server.
    pub(crate) async fn close(self) -> Result<(), Error> {
        self.connection.close().await
    }

    /// Whether it is the session still that was opened: it may have been idle for days.
    pub(crate) async fn is_alive(&mut self) -> bool {
        match within(ALIVE_DEADLINE, "asking whether it answers", self.connection.ready_again("")).await {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(replica = self.of.place(), %error, "an idle connection is gone; another one is opened");
                false
            }
        }
    }

    /// Makes sure that the replica follows one of `sources` as it should.
    ///
    /// # Errors
    /// [`Cause::ReplicaNotReady`].
    pub(crate) async fn check(&mut self, sources: &BTreeSet<String>) -> Result<(), Error> {
        let reading = async {
            within(SHORT_STATEMENT, "asking whether it replicates", async {
                let rows = sqlx::raw_sql(self.connection.dialect.channels()).fetch_all(self.connection.raw()).await?;
                rows.iter()
                    .map(|row| {
                        Ok(Channel {
                            name: row.try_get(0)?,
                            source: row.try_get(1)?,
                            receiver: row.try_get(2)?,
                            receiver_error: row.try_get(3)?,
                            applier: row.try_get(4)?,
                            applier_error: row.try_get(5)?,
                        })
                    })
                    .collect::<Result<Vec<_>, Error>>()
            })
            .await
        };
        let channels = reading.await.map_err(|error| self.of.unreadable(error))?;
        match problem(&channels, sources) {
            None => Ok(()),
            Some(problem) => Err(self.of.not_ready(problem)),
        }
    }

    /// Whether it has applied all of these transactions, after waiting for so many seconds at most.
    ///
    /// # Errors
    /// [`Cause::ReplicaNotReady`].
    pub(crate) async fn has_applied(&mut self, transactions: &str, seconds: u32) -> Result<bool, Error> {
        let limit = SHORT_STATEMENT + Duration::from_secs(u64::from(seconds));
        let asking = within(limit, "asking what it has applied", async {
            let question = if seconds == 0 {
                sqlx::query("SELECT CAST(1 - GTID_SUBSET(?, @@global.gtid_executed) AS SIGNED)").bind(transactions)
            } else {
                sqlx::query("SELECT CAST(WAIT_FOR_EXECUTED_GTID_SET(?, ?) AS SIGNED)").bind(transactions).bind(seconds)
            };
            let row = question.fetch_one(self.connection.raw()).await?;
            Ok(row.try_get::<Option<i64>, _>(0)?)
        });
        match asking.await {
            Ok(Some(answer)) => Ok(answer == 0),
            Ok(None) => Err(self.of.not_ready("it does not say which transactions it has applied (gtid_executed)")),
            Err(error) => Err(self.of.unreadable(error)),
        }
    }

    /// Who holds one of the tables there, for so long at least, other than replication itself.
    ///
    /// # Errors
    /// [`Cause::ReplicaNotReady`].
    pub(crate) async fn holders(&mut self, tables: &[TableName], age: Duration) -> Result<Vec<Blocker>, Error> {
        held_on_replica(&mut self.connection, tables, age).await.map_err(|error| self.of.unreadable(error))
    }

    /// Who reads its binary log.
    ///
    /// # Errors
    /// [`Cause::ReplicaNotReady`].
    pub(crate) async fn readers(&mut self) -> Result<Vec<Reader>, Error> {
        within(SHORT_STATEMENT, "asking who reads its binary log", readers(&mut self.connection))
            .await
            .map_err(|error| self.of.unreadable(error))
    }

    /// The foreign keys of a schema there.
    ///
    /// # Errors
    /// [`Cause::ReplicaNotReady`].
    pub(crate) async fn keys(&mut self, schema: &Identifier) -> Result<Vec<ForeignKey>, Error> {
        within(COUNT_DEADLINE, "reading its keys", read_keys_of_children(&mut self.connection, schema))
            .await
            .map_err(|error| self.of.unreadable(error))
    }

    /// Children without a parent there; the server ends the count when the work is to stop.
    ///
    /// # Errors
    /// [`Cause::ReplicaNotReady`], [`Cause::Stopped`].
    pub(crate) async fn orphans(&mut self, key: &ForeignKey, stop: &Stop) -> Result<Answer, Error> {
        let (target, server_uuid, id) = (&self.of.target, self.connection.server_uuid.clone(), self.connection.id);
        let what = format!("counting orphans of {}", key.name);
        let running =
            Running { target, role: Role::Replica(&self.of.path), server_uuid: &server_uuid, id, what: &what };
        let counting = count_orphans(&mut self.connection, key);
        running.until_stopped(stop, COUNT_DEADLINE, counting).await.map_err(|error| self.of.unreadable(error))
    }

    /// Makes sure that everything can be read there that will be.
    ///
    /// # Errors
    /// [`Cause::ReplicaNotReady`].
    pub(crate) async fn check_surroundings(
        &mut self,
        minimum: Version,
        schema: &Identifier,
        tables: &[TableName],
    ) -> Result<(), Error> {
        let checking = async {
            let server = read_server(&mut self.connection).await?;
            check_version(&server, minimum)?;
            check_performance_schema(variable(&mut self.connection, "performance_schema").await?.as_deref())?;
            privileges::missing_to_read(&mut self.connection, schema, tables).await
        };
        let missing =
            within(SHORT_STATEMENT, "looking at it", checking).await.map_err(|error| self.of.unreadable(error))?;
        if missing.is_empty() {
            return Ok(());
        }
        Err(self.of.not_ready(format!(
            "the account lacks privileges that reading it needs: {} (TO the account)",
            missing.join("; ")
        )))
    }
}
