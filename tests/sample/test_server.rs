//! A database of its own for each test, on the server that `HOLDFAST_TEST_MYSQL` names.

use std::str::FromStr;

use sqlx::Connection;
use sqlx::mysql::MySqlConnectOptions;

use super::connection::Server;
use super::schema::execute;

/// Creates the database and the application's empty tables in it.
pub(crate) async fn server_with_schema(database: &str) -> Server {
    let address = std::env::var("HOLDFAST_TEST_MYSQL").expect(
        "HOLDFAST_TEST_MYSQL is not set: run `make test`, or start a MySQL for tests and set it, as in mysql://root@127.0.0.1:3306",
    );
    let options = MySqlConnectOptions::from_str(&address).expect("HOLDFAST_TEST_MYSQL is a URL");
    let mut connection = Server::new(options.clone()).connect().await.unwrap();
    execute(&mut connection, &format!("DROP DATABASE IF EXISTS {database}")).await.unwrap();
    execute(&mut connection, &format!("CREATE DATABASE {database}")).await.unwrap();
    connection.close().await.unwrap();
    let server = Server::new(options.database(database));
    super::schema::recreate(&server, None).await.unwrap();
    server
}
