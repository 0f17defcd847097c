//! Generated rows that the running application may refer to and change: sound ones only, so that nothing planted is touched.

use sqlx::mysql::MySqlConnection;
use sqlx::{Connection, Row};

use super::super::connection::{Server, sql};
use super::super::failure::{Failure, Result, WhileDoing};
use super::super::relations::FIRST_APPLICATION_ID;

/// Rows of each table at most.
const MOST: usize = 2_000;

/// Ids of sound generated rows.
#[derive(Debug)]
pub(crate) struct Seeds {
    tables: Vec<(&'static str, Vec<u64>)>,
    /// Names of agencies.
    pub(crate) agency_names: Vec<String>,
}

/// Rows are sound where all that they need exists: the joins say so, as they do in the application.
const QUERIES: &[(&str, &str)] = &[
    ("users", "users AS it"),
    ("counties", "counties AS it"),
    ("agencies", "agencies AS it JOIN counties ON counties.id = it.county_id"),
    ("protocol_categories", "protocol_categories AS it"),
    ("plans", "plans AS it JOIN subscriptions ON subscriptions.plan_id = it.id"),
    (
        "protocols",
        "protocols AS it JOIN counties ON counties.id = it.county_id JOIN protocol_categories ON protocol_categories.id = it.category_id \
         JOIN users ON users.id = it.author_id",
    ),
    (
        "protocol_chunks",
        "protocol_chunks AS it JOIN protocol_versions AS v ON v.protocol_id = it.protocol_id AND v.version = it.version \
         JOIN protocols ON protocols.id = it.protocol_id JOIN counties ON counties.id = protocols.county_id",
    ),
    ("user_sessions", "user_sessions AS it JOIN users ON users.id = it.user_id"),
    (
        "subscriptions",
        "subscriptions AS it JOIN users ON users.id = it.user_id JOIN plans ON plans.id = it.plan_id \
         JOIN invoices ON invoices.subscription_id = it.id",
    ),
];

impl Seeds {
    /// Reads them.
    pub(crate) async fn read(server: &Server) -> Result<Self> {
        let mut connection = server.connect().await?;
        let mut tables = Vec::new();
        for (table, from) in QUERIES {
            let query = format!(
                "SELECT DISTINCT CAST(it.id AS SIGNED) FROM {from} WHERE it.id < {FIRST_APPLICATION_ID} LIMIT {MOST}"
            );
            let ids =
                column::<i64>(&mut connection, query).await?.into_iter().map(i64::unsigned_abs).collect::<Vec<_>>();
            if ids.is_empty() {
                return Err(Failure::Invalid(format!(
                    "{table} has no rows that the application could use: run `sample generate` first"
                )));
            }
            tables.push((*table, ids));
        }
        let names = format!("SELECT name FROM agencies WHERE id < {FIRST_APPLICATION_ID} LIMIT {MOST}");
        let agency_names = column::<String>(&mut connection, names).await?;
        connection.close().await.while_doing("closing the connection")?;
        Ok(Self { tables, agency_names })
    }

    /// The ids of this table.
    pub(crate) fn of(&self, table: &str) -> &[u64] {
        self.tables
            .iter()
            .find(|(name, _)| *name == table)
            .map_or_else(|| panic!("{table} is not in QUERIES"), |(_, ids)| ids)
    }
}

async fn column<T>(connection: &mut MySqlConnection, query: String) -> Result<Vec<T>>
where
    T: for<'r> sqlx::Decode<'r, sqlx::MySql> + sqlx::Type<sqlx::MySql>,
{
    let rows = sqlx::raw_sql(sql(query.clone())).fetch_all(connection).await.while_doing(query.clone())?;
    rows.iter().map(|row| row.try_get(0).while_doing(query.clone())).collect()
}
