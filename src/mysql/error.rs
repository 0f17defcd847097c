//! What can go wrong between Holdfast and a server, sorted by what the caller has to do about it. Messages are read by people
//! in conditions and events: they name the object and the way out, and never hold a credential.

use sqlx::mysql::MySqlDatabaseError;

/// Server error numbers that decisions depend on
/// (<https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html>).
pub mod code {
    /// ER_NO_SUCH_THREAD
    pub const NO_SUCH_THREAD: u16 = 1094;
    /// ER_KILL_DENIED_ERROR
    pub const KILL_DENIED: u16 = 1095;
    /// ER_DBACCESS_DENIED_ERROR
    pub const DATABASE_ACCESS_DENIED: u16 = 1044;
    /// ER_CON_COUNT_ERROR
    pub const TOO_MANY_CONNECTIONS: u16 = 1040;
    /// ER_ACCESS_DENIED_ERROR
    pub const ACCESS_DENIED: u16 = 1045;
    /// ER_TABLE_EXISTS_ERROR
    pub const TABLE_EXISTS: u16 = 1050;
    /// ER_SERVER_SHUTDOWN
    pub const SERVER_SHUTDOWN: u16 = 1053;
    /// ER_DUP_ENTRY
    pub const DUPLICATE_ENTRY: u16 = 1062;
    /// ER_TABLEACCESS_DENIED_ERROR
    pub const TABLE_ACCESS_DENIED: u16 = 1142;
    /// ER_TOO_MANY_USER_CONNECTIONS
    pub const TOO_MANY_USER_CONNECTIONS: u16 = 1203;
    /// ER_LOCK_WAIT_TIMEOUT
    pub const LOCK_WAIT_TIMEOUT: u16 = 1205;
    /// ER_LOCK_DEADLOCK
    pub const DEADLOCK: u16 = 1213;
    /// ER_SPECIFIC_ACCESS_DENIED_ERROR
    pub const SPECIFIC_ACCESS_DENIED: u16 = 1227;
    /// ER_USER_LIMIT_REACHED
    pub const USER_LIMIT_REACHED: u16 = 1226;
    /// ER_QUERY_INTERRUPTED
    pub const QUERY_INTERRUPTED: u16 = 1317;
    /// ER_ROW_IS_REFERENCED_2
    pub const ROW_IS_REFERENCED: u16 = 1451;
    /// ER_NO_REFERENCED_ROW_2
    pub const NO_REFERENCED_ROW: u16 = 1452;
    /// ER_CHECK_CONSTRAINT_VIOLATED
    pub const CHECK_VIOLATED: u16 = 3819;
    /// MariaDB's ER_CONSTRAINT_FAILED
    pub const CHECK_VIOLATED_MARIADB: u16 = 4025;
    /// ER_INNODB_ONLINE_LOG_TOO_BIG
    pub const ONLINE_LOG_TOO_BIG: u16 = 1799;
    /// ER_ALTER_OPERATION_NOT_SUPPORTED
    pub const ALGORITHM_NOT_SUPPORTED: u16 = 1845;
    /// ER_ALTER_OPERATION_NOT_SUPPORTED_REASON
    pub const ALGORITHM_NOT_SUPPORTED_REASON: u16 = 1846;
    /// ER_MUST_CHANGE_PASSWORD: connected, and nothing but a new password is accepted
    pub const PASSWORD_MUST_CHANGE: u16 = 1820;
    /// ER_MUST_CHANGE_PASSWORD_LOGIN
    pub const PASSWORD_EXPIRED: u16 = 1862;
    /// ER_ACCOUNT_HAS_BEEN_LOCKED
    pub const ACCOUNT_LOCKED: u16 = 3118;
    /// ER_ACCOUNT_HAS_BEEN_LOCKED of MariaDB
    pub const MARIADB_ACCOUNT_LOCKED: u16 = 4151;
    /// Answers whose texts name tables, columns, keys and accounts, and hold no value of a row: those above, and ER_BAD_TABLE_ERROR,
    /// ER_BAD_FIELD_ERROR, ER_CANT_DROP_FIELD_OR_KEY, ER_NO_SUCH_TABLE, ER_KEY_COLUMN_DOES_NOT_EXITS, ER_DROP_INDEX_FK, ER_QUERY_TIMEOUT.
    pub(super) const NAME_OBJECTS_ONLY: [u16; 20] = [
        DATABASE_ACCESS_DENIED,
        ACCESS_DENIED,
        TABLE_ACCESS_DENIED,
        SPECIFIC_ACCESS_DENIED,
        TABLE_EXISTS,
        LOCK_WAIT_TIMEOUT,
        DEADLOCK,
        QUERY_INTERRUPTED,
        ROW_IS_REFERENCED,
        NO_REFERENCED_ROW,
        ONLINE_LOG_TOO_BIG,
        ALGORITHM_NOT_SUPPORTED,
        ALGORITHM_NOT_SUPPORTED_REASON,
        1051,
        1054,
        1091,
        1146,
        1072,
        1553,
        3024,
    ];
    /// ER_SESSION_WAS_KILLED
    pub const SESSION_KILLED: u16 = 3169;
    /// ER_CLIENT_INTERACTION_TIMEOUT
    pub const IDLE_SESSION_ENDED: u16 = 4031;
}

/// What an error means for the migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// No connection, or it broke: worth trying again.
    Unreachable,
    /// The server refused the user or its password.
    AccessDenied,
    /// TLS could not be set up as the specification asks.
    TlsFailed,
    /// Flavour, version or topology that Holdfast does not support.
    ServerUnsupported,
    /// Replicas read from the server that the specification does not list.
    ReplicaNotListed,
    /// A listed replica cannot be read, does not follow the server, lags, or would be held up.
    ReplicaNotReady,
    /// A privilege that the migration needs is missing.
    PrivilegeMissing,
    /// The surroundings are not fit to begin: too many sessions, an old transaction.
    NotReady,
    /// The specification names something that does not exist or does not fit.
    InvalidSpec,
    /// Children without a parent, under the policy Fail.
    OrphansFound,
    /// Duplicate rows under the policy Fail.
    DuplicatesFound,
    /// Rows that a backfill could not map.
    UnmappedRows,
    /// More rows would be removed or changed than the approval allows.
    ApprovalExceeded,
    /// Another migration or controller holds the fence of this schema.
    LockHeld,
    /// A lock on a table could not be had within the limits.
    LockWaitTimeout,
    /// Retries are used up.
    RetriesExhausted,
    /// Transactions older than a key did not end in time.
    BarrierTimeout,
    /// The catalogue is not what plan and journal say.
    Drifted,
    /// Another server answers than the one that the work belongs to.
    ServerChanged,
    /// This controller lost the fence: somebody else may be at work.
    FenceLost,
    /// The caller asked for a stop; everything done so far is recorded.
    Stopped,
    /// The next operation is expected to last beyond the time in which work may go on.
    TimeTooShort,
    /// A proof did not hold.
    VerificationFailed,
    /// A test scenario or probe did not behave as expected.
    TestFailed,
    /// The rollback could not put everything back.
    RollbackIncomplete,
    /// The stored plan or journal has a format that this version does not know.
    UnknownFormat,
    /// Any other answer of the server.
    Server,
}

/// An error of the engine.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What it means.
    pub cause: Cause,
    /// For people: object, value and way out.
    pub message: String,
    /// The server's error number, where a server answered.
    pub code: Option<u16>,
    /// With [`Cause::RollbackIncomplete`]: what is not back, in the order in which it is to be taken back.
    pub left: Vec<Left>,
}

/// Something that a rollback left as the migration had changed it. It goes into the status, so it holds no value of any row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Id of the operation that is not taken back; none where a table differs for another reason.
    pub operation: Option<String>,
    /// What it is about, in words.
    pub what: String,
    /// The statement that takes the operation back, where one does.
    pub inverse: Option<String>,
}

impl Error {
    /// Makes an error of a cause.
    pub fn new(cause: Cause, message: impl Into<String>) -> Self {
        Self { cause, message: message.into(), code: None, left: Vec::new() }
    }

    /// Puts before the message what was being done.
    #[must_use]
    pub fn while_doing(mut self, what: impl std::fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// Whether the server does not let anybody in, or not to write, as the specification says it should.
    #[must_use]
    pub fn shuts_out(&self) -> bool {
        matches!(self.cause, Cause::AccessDenied | Cause::TlsFailed | Cause::ServerUnsupported)
    }

    /// Whether the server rolled back a statement, or its whole transaction, because of another transaction's locks.
    #[must_use]
    pub(crate) fn is_lock_conflict(&self) -> bool {
        matches!(self.code, Some(code::DEADLOCK | code::LOCK_WAIT_TIMEOUT))
    }

    /// The message without what the server quotes of rows, as in "Duplicate entry 'jane@example.com'": of answers that are not known to
    /// name objects only, the number is left.
    #[must_use]
    pub fn without_values(&self) -> String {
        match self.code {
            Some(code) if !code::NAME_OBJECTS_ONLY.contains(&code) => {
                format!("the server refused it with MySQL error {code}")
            }
            _ => self.message.clone(),
        }
    }

    /// Whether the same step may succeed when it is tried again, nothing else changed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self.cause,
            Cause::Unreachable | Cause::NotReady | Cause::ReplicaNotReady | Cause::LockHeld | Cause::LockWaitTimeout
        )
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::Database(database) = &error
            && let Some(answer) = database.try_downcast_ref::<MySqlDatabaseError>()
        {
            let number = answer.number();
            let cause = match number {
                code::ACCESS_DENIED
                | code::DATABASE_ACCESS_DENIED
                | code::PASSWORD_EXPIRED
                | code::PASSWORD_MUST_CHANGE
                | code::ACCOUNT_LOCKED
                | code::MARIADB_ACCOUNT_LOCKED => Cause::AccessDenied,
                code::TABLE_ACCESS_DENIED | code::SPECIFIC_ACCESS_DENIED => Cause::PrivilegeMissing,
                // One of two that wait for each other is rolled back at once, and not told to wait: nothing else differs.
                code::LOCK_WAIT_TIMEOUT | code::DEADLOCK => Cause::LockWaitTimeout,
                // The server goes, or has no room for another connection: as if it did not answer.
                code::SERVER_SHUTDOWN
                | code::SESSION_KILLED
                | code::IDLE_SESSION_ENDED
                | code::TOO_MANY_CONNECTIONS
                | code::TOO_MANY_USER_CONNECTIONS
                | code::USER_LIMIT_REACHED => Cause::Unreachable,
                _ => Cause::Server,
            };
            let message = format!("MySQL error {number}: {}", answer.message());
            return Self { cause, message, code: Some(number), left: Vec::new() };
        }
        match error {
            sqlx::Error::Tls(cause) => Self::new(Cause::TlsFailed, format!("TLS: {cause}")),
            sqlx::Error::Io(cause) => Self::new(Cause::Unreachable, format!("connection: {cause}")),
            sqlx::Error::Protocol(cause) => Self::new(Cause::Unreachable, format!("protocol: {cause}")),
            other => Self::new(Cause::Server, other.to_string()),
        }
    }
}
