//! Limits and habits of the run: what must be true before, how hard it may press the server, where it writes its journal.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Duration,
    reference::{LocalReference, UnionError},
};

/// What must be true of the server before anything starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Preflight {
    /// Oldest version that is accepted, as `8.0` or `8.0.34`. Default 8.0.
    #[schemars(length(min = 1, max = 16), regex(pattern = r"^[0-9]{1,3}(\.[0-9]{1,3}){0,2}$"))]
    pub minimum_server_version: String,
    /// Most client sessions that may be connected. Default 200.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_active_sessions: i32,
    /// Most statements that may be running at once (Threads_running). Default 50.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_threads_running: i32,
    /// Greatest age of an open transaction. Default 30s.
    #[schemars(extend("x-kubernetes-validations" = [{"rule": "!self.matches('^([0-9]{1,9}(ms|s|m|h)){1,4}$') || duration(self) >= duration('1s') && duration(self) <= duration('24h')", "message": "must be between 1s and 24h"}]))]
    pub max_transaction_age: Duration,
    /// Greatest lag of a replica listed in `database.replicas`; lag that cannot be read counts as too much. Default 10s.
    #[schemars(extend("x-kubernetes-validations" = [{"rule": "!self.matches('^([0-9]{1,9}(ms|s|m|h)){1,4}$') || duration(self) >= duration('100ms') && duration(self) <= duration('24h')", "message": "must be between 100ms and 24h"}]))]
    pub max_replica_lag: Duration,
}

impl Default for Preflight {
    fn default() -> Self {
        Self {
            minimum_server_version: "8.0".to_owned(),
            max_active_sessions: 200,
            max_threads_running: 50,
            max_transaction_age: Duration::from_millis(30_000),
            max_replica_lag: Duration::from_millis(10_000),
        }
    }
}

/// How hard the run may press the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Execution {
    /// Longest time that one statement may keep other sessions of a table waiting, all its locks together; then it is killed and tried again. Default 500ms.
    #[schemars(extend("x-kubernetes-validations" = [{"rule": "!self.matches('^([0-9]{1,9}(ms|s|m|h)){1,4}$') || duration(self) >= duration('10ms') && duration(self) <= duration('30s')", "message": "must be between 10ms and 30s"}]))]
    pub lock_timeout: Duration,
    /// How often a statement that met `lockTimeout` is tried again before the migration fails with RetriesExhausted. Default 20.
    #[schemars(range(min = 0, max = 1000))]
    pub max_retries: i32,
    /// Longest wait for transactions that were open when a key was added. Default 10m.
    #[schemars(extend("x-kubernetes-validations" = [{"rule": "!self.matches('^([0-9]{1,9}(ms|s|m|h)){1,4}$') || duration(self) >= duration('1s') && duration(self) <= duration('24h')", "message": "must be between 1s and 24h"}]))]
    pub barrier_timeout: Duration,
    /// Whether sessions that stand in the way are killed. Never (default): they are named in the message and waited for. IdleTransactions: sessions that hold a table of the change in an open transaction, have run no statement for 5 s and have changed at most 100 rows; each is told by an event. Spared are locks of other kinds (LOCK TABLES, FLUSH TABLES, GET_LOCK, HANDLER), XA, the migration's own account and sessions on replicas. Needs CONNECTION_ADMIN.
    pub kill_blockers: KillBlockers,
    /// Rows that cleanup and backfill change in one transaction at most. Default 1000.
    #[schemars(range(min = 1, max = 100_000))]
    pub batch_rows: i32,
    /// Time that one such transaction should take; batches shrink to meet it. Default 100ms.
    #[schemars(extend("x-kubernetes-validations" = [{"rule": "!self.matches('^([0-9]{1,9}(ms|s|m|h)){1,4}$') || duration(self) >= duration('1ms') && duration(self) <= duration('10s')", "message": "must be between 1ms and 10s"}]))]
    pub target_batch_time: Duration,
}

impl Default for Execution {
    fn default() -> Self {
        Self {
            lock_timeout: Duration::from_millis(500),
            max_retries: 20,
            barrier_timeout: Duration::from_millis(600_000),
            kill_blockers: KillBlockers::default(),
            batch_rows: 1000,
            target_batch_time: Duration::from_millis(100),
        }
    }
}

/// Whether sessions that stand in the way are killed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum KillBlockers {
    /// They are named and waited for.
    #[default]
    Never,
    /// Those that hold a light transaction open and run no statement.
    IdleTransactions,
}

/// A danger that the planner found, or will find, and that the author accepts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Acknowledgement {
    /// Triggers: the table has triggers that cleanup fires. ReplaceOnCascadeParent: the application uses REPLACE on a table whose
    /// children are deleted with it. OfflineInverse: a step whose way back blocks writers. CascadeCircle: a deletion in the table comes round to it by
    /// CASCADE or SET NULL keys, which MySQL 9.7 with innodb_native_foreign_keys=OFF does not follow to its end.
    pub hazard: Hazard,
    /// The table concerned.
    #[schemars(length(min = 1, max = 64))]
    pub table: String,
}

/// Dangers that need an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Hazard {
    /// The table has triggers that fire when cleanup changes rows.
    Triggers,
    /// REPLACE on a parent deletes the children of a Cascade key.
    ReplaceOnCascadeParent,
    /// The inverse of a step blocks writers.
    OfflineInverse,
    /// A deletion can come round to the table again by keys that the server does not follow to their end.
    CascadeCircle,
}

/// Where the journal and the quarantine are kept: on the same server, in a schema of their own or beside the application's tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "has(self.schema) != has(self.tablePrefix)", "message": "exactly one of schema and tablePrefix must be set"}]))]
pub struct Journal {
    /// Schema of the journal, made if it is missing. `holdfast` when `journal` is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub schema: Option<String>,
    /// Prefix of the journal's tables inside the migrated schema, where a new schema is not allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub table_prefix: Option<String>,
}

impl Default for Journal {
    fn default() -> Self {
        Self { schema: Some("holdfast".to_owned()), table_prefix: None }
    }
}

impl Journal {
    /// Where the journal is kept.
    ///
    /// # Errors
    /// When not exactly one member is set. The API server refuses such an object.
    pub fn place(&self) -> Result<JournalPlace<'_>, UnionError> {
        match (&self.schema, &self.table_prefix) {
            (Some(schema), None) => Ok(JournalPlace::Schema(schema)),
            (None, Some(prefix)) => Ok(JournalPlace::TablePrefix(prefix)),
            _ => Err(UnionError { members: "schema and tablePrefix" }),
        }
    }
}

/// Where the journal is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalPlace<'a> {
    /// In a schema of its own.
    Schema(&'a str),
    /// In the migrated schema, under names that start so.
    TablePrefix(&'a str),
}

/// How the user's own Jobs (schema update, tests) run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Jobs {
    /// Service account of the user's Jobs. Left out: what the pod template names, else the namespace's default. No API token is mounted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account_name: Option<String>,
    /// Secret of this namespace, with the keys `username` and `password`, that the user's Jobs get as mounted files. Never the migrator's. Left out: no credentials are mounted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<LocalReference>,
    /// Seconds after which a Job is ended as failed. Default 3600.
    #[schemars(range(min = 1, max = 604_800))]
    pub active_deadline_seconds: i64,
    /// How often a failed pod of a Job is started again. Default 0.
    #[schemars(range(min = 0, max = 20))]
    pub backoff_limit: i32,
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            service_account_name: None,
            credentials_secret_ref: None,
            active_deadline_seconds: 3600,
            backoff_limit: 0,
        }
    }
}
