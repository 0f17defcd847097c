//! What is migrated: the sample application's schema and data, and 36 keys over 24 of its tables.

use std::str::FromStr;

use holdfast::api::{SchemaMigration, SchemaMigrationSpec};
use holdfast::mysql::Target;
use serde_json::{Value, json};
use sqlx::Connection as _;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};

use crate::figure::Failure;
use crate::sample::connection::Server;
use crate::sample::relations::{self, Relation};
use crate::sample::schema::execute;
use crate::sample::{generate, schema};

pub(crate) const SCHEMA: &str = "holdfast_bench_rollout";
pub(crate) const JOURNAL: &str = "holdfast_bench_rollout_journal";
const MIGRATION: &str = include_str!("../../../deploy/sample/migration.yaml");
/// Connections that fill the tables.
const CONNECTIONS: usize = 4;
/// Relations without which 36 over 24 tables remain. The first three need another column first, which is no matter of keys; the
/// others refer to small tables and are not the only ones of theirs.
const LEFT_OUT: [&str; 9] = [
    "fk_bookmark_folders_owner",
    "fk_integration_logs_user",
    "fk_integration_logs_agency",
    "fk_user_preferences_county",
    "fk_protocols_category",
    "fk_queries_county",
    "fk_subscriptions_plan",
    "fk_bookmarks_folder",
    "fk_conversion_events_subscription",
];

/// The keys, in the order of the sample's stages.
pub(crate) fn keys() -> impl Iterator<Item = &'static Relation> {
    relations::all().filter(|relation| !LEFT_OUT.contains(&relation.name))
}

/// How many there are, and over how many tables.
pub(crate) fn extent() -> (usize, usize) {
    let tables: std::collections::BTreeSet<&str> = keys().map(|relation| relation.child).collect();
    (keys().count(), tables.len())
}

/// One filled database.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) target: Target,
}

impl World {
    /// Makes the tables and fills them; what an earlier run left goes.
    pub(crate) async fn make(target: &Target, rows: u64) -> Result<Self, Failure> {
        clear().await?;
        let options = options()?;
        let mut connection = Server::new(options.clone()).connect().await?;
        execute(&mut connection, &format!("CREATE SCHEMA {SCHEMA}")).await?;
        connection.close().await?;
        let server = Server::new(options.database(SCHEMA));
        schema::recreate(&server, None).await?;
        generate::generate(&server, rows, 1, CONNECTIONS).await?;
        Ok(Self { server, target: target.clone() })
    }

    /// A connection of the application's, with the server's own settings.
    pub(crate) async fn connect(&self) -> Result<MySqlConnection, Failure> {
        Ok(self.server.connect().await?)
    }
}

/// Drops everything.
pub(crate) async fn clear() -> Result<(), Failure> {
    let mut connection = Server::new(options()?).connect().await?;
    for schema in [SCHEMA, JOURNAL] {
        execute(&mut connection, &format!("DROP SCHEMA IF EXISTS {schema}")).await?;
    }
    Ok(connection.close().await?)
}

fn options() -> Result<MySqlConnectOptions, Failure> {
    let address =
        std::env::var("HOLDFAST_TEST_MYSQL").map_err(|_| "HOLDFAST_TEST_MYSQL is not set: run `make bench`")?;
    Ok(MySqlConnectOptions::from_str(&address)?)
}

/// The sample's migration with these keys alone.
pub(crate) fn specification() -> Result<SchemaMigrationSpec, Failure> {
    let migration: SchemaMigration = serde_yaml::from_str(MIGRATION)?;
    let mut spec = serde_json::to_value(migration.spec)?;
    for field in ["typeFixes", "uniqueConstraints", "acknowledge"] {
        spec[field] = json!([]);
    }
    spec["database"]["name"] = json!(SCHEMA);
    spec["journal"] = json!({"schema": JOURNAL});
    for stage in spec["stages"].as_array_mut().ok_or("the sample's migration has no stages")? {
        stage["expect"] = json!([]);
        let wanted: Vec<Value> = (stage["foreignKeys"].as_array().into_iter().flatten())
            .filter(|key| key["name"].as_str().is_some_and(|name| keys().any(|relation| relation.name == name)))
            .cloned()
            .collect();
        stage["foreignKeys"] = json!(wanted);
    }
    Ok(serde_json::from_value(spec)?)
}

/// How many of the keys the schema has, each from and to the tables that it is meant for.
pub(crate) async fn count_keys(connection: &mut MySqlConnection) -> Result<usize, Failure> {
    let found: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT CAST(constraint_name AS CHAR), CAST(table_name AS CHAR), CAST(referenced_table_name AS CHAR) \
         FROM information_schema.referential_constraints WHERE constraint_schema = DATABASE()",
    )
    .fetch_all(connection)
    .await?;
    let there = |key: &Relation| {
        found.iter().any(|(name, child, parent)| (&**name, &**child, &**parent) == (key.name, key.child, key.parent))
    };
    Ok(keys().filter(|key| there(key)).count())
}
