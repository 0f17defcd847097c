//! A fresh schema for every test, gone when it ends, on the server that HOLDFAST_TEST_MYSQL names.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use holdfast::mysql::{Connection, SessionLimits, Target, TlsMode};
use holdfast::plan::{Identifier, TableName};

use crate::served::Served;

static SERIAL: AtomicU32 = AtomicU32::new(0);

/// One test's schema.
#[derive(Clone)]
pub(crate) struct Fresh {
    /// The server.
    pub(crate) target: Target,
    /// The schema, empty at first.
    pub(crate) schema: Identifier,
    /// What the server is.
    pub(crate) served: Served,
}

impl Fresh {
    /// A connection whose default schema is the test's.
    pub(crate) async fn connect(&self) -> Connection {
        let mut connection = self.target.connect(SessionLimits::default()).await.unwrap();
        connection.run(&format!("USE {}", self.schema.quoted())).await.unwrap();
        connection
    }

    /// Runs statements, separated by semicolons, in the test's schema.
    pub(crate) async fn run(&self, statements: &str) {
        let mut connection = self.connect().await;
        connection.run(&self.served.words(statements)).await.unwrap();
        connection.close().await.unwrap();
    }

    /// A table of the test's schema.
    pub(crate) fn table(&self, name: &str) -> TableName {
        TableName::new(self.schema.clone(), identifier(name))
    }
}

/// A name that is valid.
pub(crate) fn identifier(name: &str) -> Identifier {
    Identifier::new(name).unwrap()
}

/// The server of the tests.
pub(crate) fn target() -> Target {
    let url = std::env::var("HOLDFAST_TEST_MYSQL").expect(
        "HOLDFAST_TEST_MYSQL must name a MySQL server that tests may use, such as mysql://root@127.0.0.1:3306; `make test` starts one and sets it",
    );
    parse(&url)
}

/// The replica of that server; `None` where it has none.
pub(crate) fn replica() -> Option<Target> {
    std::env::var("HOLDFAST_TEST_REPLICA").ok().map(|url| parse(&url))
}

pub(crate) fn parse(url: &str) -> Target {
    let (url, options) = url.split_once('?').unwrap_or((url, ""));
    let rest = url.strip_prefix("mysql://").expect("the address of a test's server must begin with mysql://");
    let (login, place) = rest.rsplit_once('@').expect("the address must name a user: mysql://USER@HOST:PORT");
    let (username, password) = login.split_once(':').unwrap_or((login, ""));
    let (host, port) = place.trim_end_matches('/').rsplit_once(':').unwrap_or((place, "3306"));
    Target {
        host: host.to_owned(),
        port: port.parse().expect("the port must be a number"),
        socket: None,
        username: username.to_owned(),
        password: password.to_owned(),
        // Without TLS a server wants a password exchange by RSA, which is not built in, except of the oldest kind of password.
        tls: if options == "ssl-mode=DISABLED" { TlsMode::Disabled } else { TlsMode::Required },
        certificate_authority: None,
        connect_timeout: Duration::from_secs(10),
    }
}

/// Runs a test in a schema of its own, which is dropped whether the test passes or not.
pub(crate) async fn in_fresh_schema<F, R>(body: F)
where
    F: FnOnce(Fresh) -> R,
    R: Future<Output = ()> + Send + 'static,
{
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let schema = identifier(&format!("holdfast_test_{}_{serial}", std::process::id()));
    let mut connection = target().connect(SessionLimits::default()).await.unwrap();
    let fresh = Fresh { target: target(), schema: schema.clone(), served: Served::read(&mut connection).await };
    connection.run(&format!("CREATE SCHEMA {}", schema.quoted())).await.unwrap();
    let outcome = tokio::spawn(body(fresh)).await;
    connection.run(&format!("DROP SCHEMA {}", schema.quoted())).await.unwrap();
    connection.close().await.unwrap();
    if let Err(failure) = outcome {
        std::panic::resume_unwind(failure.into_panic());
    }
}
