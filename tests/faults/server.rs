//! The campaign's own way to the database. Nothing of it is shared with the engine that it judges.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _};

use super::harness::Outcome;
use super::harness::kubectl::Kubectl;

/// Longest time that one statement, or a login, may take.
const STATEMENT_LIMIT: Duration = Duration::from_secs(20);

/// What the server answered instead of a result.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The server's error number; none where the connection is gone, and nobody knows whether the statement was carried out.
    pub(crate) number: Option<u16>,
    pub(crate) message: String,
}

impl From<Refused> for String {
    fn from(refused: Refused) -> Self {
        refused.message
    }
}

/// A server, and one account on it.
#[derive(Debug, Clone)]
pub(crate) struct Server(MySqlConnectOptions);

/// One session.
pub(crate) struct Sql(MySqlConnection);

impl Server {
    /// The Service `mysql` of a namespace, as the account that a Secret holds.
    pub(crate) fn of(kubectl: &Kubectl, secret: &str) -> Outcome<Self> {
        let service = kubectl.get("service", "mysql")?.ok_or("the Service mysql does not exist")?;
        let address = service["spec"]["clusterIP"].as_str().ok_or("the Service mysql has no address")?;
        let stored = kubectl.get("secret", secret)?.ok_or_else(|| format!("the Secret {secret} does not exist"))?;
        let stored: Secret = serde_json::from_value(stored).map_err(|error| format!("the Secret {secret}: {error}"))?;
        let key = |name: &str| {
            let bytes = stored.data.as_ref().and_then(|data| data.get(name)).map(|bytes| bytes.0.clone());
            let bytes = bytes.ok_or_else(|| format!("the Secret {secret} has no key {name}"))?;
            String::from_utf8(bytes).map_err(|_| format!("the key {name} of the Secret {secret} is not text"))
        };
        let options = MySqlConnectOptions::new().host(address).port(3306).username(&key("username")?);
        Ok(Self(options.password(&key("password")?).ssl_mode(MySqlSslMode::Required).disable_statement_logging()))
    }

    /// A session in a schema; an empty name is none.
    pub(crate) async fn open(&self, schema: &str) -> Result<Sql, Refused> {
        let mut options = self.0.clone();
        if !schema.is_empty() {
            options = options.database(schema);
        }
        limited(options.connect()).await.map(Sql)
    }
}

impl Sql {
    /// Runs a statement; gives the number of rows that it changed.
    pub(crate) async fn run(&mut self, statement: &str) -> Result<u64, Refused> {
        let done = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut self.0);
        Ok(limited(done).await?.rows_affected())
    }

    /// All rows of a query, every value as text.
    pub(crate) async fn rows(&mut self, query: &str) -> Result<Vec<Vec<Option<String>>>, Refused> {
        let rows = limited(sqlx::raw_sql(AssertSqlSafe(query.to_owned())).fetch_all(&mut self.0)).await?;
        let text = |error: sqlx::Error| Refused { number: None, message: format!("{query}: {error}") };
        rows.iter()
            .map(|row| (0..row.len()).map(|place| row.try_get_unchecked(place).map_err(text)).collect())
            .collect()
    }

    /// The first value of a query as a number.
    pub(crate) async fn number(&mut self, query: &str) -> Result<u64, Refused> {
        let rows = self.rows(query).await?;
        let value = rows.first().and_then(|row| row.first()).cloned().flatten().unwrap_or_default();
        value.parse().map_err(|_| Refused { number: None, message: format!("{query}: no number but {value:?}") })
    }
}

async fn limited<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Refused> {
    match tokio::time::timeout(STATEMENT_LIMIT, work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            let number = match &error {
                sqlx::Error::Database(answer) => {
                    answer.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number)
                }
                _ => None,
            };
            Err(Refused { number, message: error.to_string() })
        }
        Err(_) => Err(Refused { number: None, message: format!("no answer within {} s", STATEMENT_LIMIT.as_secs()) }),
    }
}
