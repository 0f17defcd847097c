//! The tests' own way to the server. Nothing of it is shared with the engine that it judges.

use std::str::FromStr as _;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _};

/// What the server answered instead of a result.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The server's error number; none where it did not answer at all.
    pub(crate) number: Option<u16>,
    pub(crate) message: String,
}

/// What the server's own words are chosen by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub(crate) mariadb: bool,
    /// MySQL has them since 8.0.23.
    pub(crate) invisible_columns: bool,
}

/// One session.
pub(crate) struct Sql(MySqlConnection);

/// An identifier as SQL.
pub(crate) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Identifiers as an SQL list.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(quoted).collect::<Vec<_>>().join(", ")
}

/// A text as an SQL literal that no sql_mode reads otherwise.
pub(crate) fn text(value: &str) -> String {
    if value.is_empty() {
        return "''".to_owned();
    }
    let digits: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("_utf8mb4 x'{digits}'")
}

/// The address of the server, and whether it is reached by TLS: MySQL 8.0.15 speaks none that is still accepted.
pub(crate) fn address() -> (String, bool) {
    let address = std::env::var("HOLDFAST_TEST_MYSQL").expect(
        "HOLDFAST_TEST_MYSQL must name a MySQL server that tests may use, such as mysql://root@127.0.0.1:3306; `make test` starts one and sets it",
    );
    match address.strip_suffix("?ssl-mode=DISABLED") {
        Some(plain) => (plain.to_owned(), false),
        None => (address, true),
    }
}

impl Sql {
    /// A session without a default schema.
    pub(crate) async fn connect() -> Result<Self, Refused> {
        let (address, tls) = address();
        let options = MySqlConnectOptions::from_str(&address)
            .expect("HOLDFAST_TEST_MYSQL must be a URL such as mysql://root@127.0.0.1:3306")
            .ssl_mode(if tls { MySqlSslMode::Required } else { MySqlSslMode::Disabled })
            .disable_statement_logging();
        options.connect().await.map(Self).map_err(refused)
    }

    /// A session in a schema.
    pub(crate) async fn open(schema: &str) -> Self {
        let mut sql = Self::connect().await.expect("the server of the tests answers");
        sql.must(&format!("USE {}", quoted(schema))).await;
        sql
    }

    pub(crate) async fn dialect(&mut self) -> Dialect {
        let version = self.rows("SELECT VERSION()").await[0][0].clone().unwrap_or_default();
        let mariadb = version.contains("MariaDB");
        let number = |part: &str| part.parse::<u32>().unwrap_or_else(|_| panic!("no version: {version}"));
        let parts: Vec<u32> = version.split(['.', '-']).take(3).map(number).collect();
        Dialect { mariadb, invisible_columns: mariadb || parts >= vec![8, 0, 23] }
    }

    /// Runs a statement; gives the number of rows that it found.
    pub(crate) async fn run(&mut self, statement: &str) -> Result<u64, Refused> {
        let done = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut self.0).await;
        done.map(|done| done.rows_affected()).map_err(refused)
    }

    /// Runs a statement that the test itself needs.
    pub(crate) async fn must(&mut self, statement: &str) -> u64 {
        self.run(statement).await.unwrap_or_else(|refused| panic!("{statement}: {}", refused.message))
    }

    /// All rows of a query, every value as text.
    pub(crate) async fn try_rows(&mut self, query: &str) -> Result<Vec<Vec<Option<String>>>, Refused> {
        let rows = sqlx::raw_sql(AssertSqlSafe(query.to_owned())).fetch_all(&mut self.0).await.map_err(refused)?;
        Ok(rows.iter().map(|row| (0..row.len()).map(|place| row.try_get_unchecked(place).unwrap()).collect()).collect())
    }

    /// All rows of a query that the test itself needs.
    pub(crate) async fn rows(&mut self, query: &str) -> Vec<Vec<Option<String>>> {
        self.try_rows(query).await.unwrap_or_else(|refused| panic!("{query}: {}", refused.message))
    }

    /// The first value of a query as a number.
    pub(crate) async fn number(&mut self, query: &str) -> u64 {
        let rows = self.rows(query).await;
        rows[0][0].as_deref().unwrap_or("0").parse().unwrap_or_else(|_| panic!("{query}: no number but {:?}", rows[0]))
    }
}

fn refused(error: sqlx::Error) -> Refused {
    let number = match &error {
        sqlx::Error::Database(answer) => {
            answer.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number)
        }
        _ => None,
    };
    Refused { number, message: error.to_string() }
}
