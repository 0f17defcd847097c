//! What all cases share, made once: the operator, a MySQL with the sample application's Secrets, and the schema that no case changes.

use std::sync::OnceLock;

use super::harness::Outcome;
use super::harness::database::{Database, Snapshot};
use super::harness::kubectl::{Kubectl, run};
use super::harness::operator;
use super::harness::shop::Shop;
use super::library;

/// The namespace of all cases.
pub(crate) const NAMESPACE: &str = "holdfast-e2e";
const OPERATOR_IMAGE: &str = "holdfast.test/operator:dev";
/// The schema of the cases that end before the first change.
const UNCHANGED: &str = "case_unchanged";

/// The surroundings.
pub(crate) struct Surroundings {
    pub(crate) shop: Shop,
    /// The schema that no case changes, and what it holds.
    pub(crate) unchanged: (Database, Snapshot),
}

/// The surroundings, made by whoever asks first.
pub(crate) fn surroundings() -> &'static Surroundings {
    static MADE: OnceLock<Outcome<Surroundings>> = OnceLock::new();
    MADE.get_or_init(make).as_ref().unwrap_or_else(|error| panic!("making the surroundings of all cases: {error}"))
}

/// Also where an earlier run has left its own.
fn make() -> Outcome<Surroundings> {
    let shop = Shop::new(NAMESPACE);
    std::thread::scope(|scope| {
        let database = scope.spawn(|| shop.start_database());
        install_operator()?;
        database.join().map_err(|_| "starting the database panicked".to_owned())?
    })?;
    let leftovers = "schemamigration,migrationapproval,job";
    shop.kubectl.run(&["delete", leftovers, "--all", "--wait", "--timeout=120s"])?;
    let server = Database { kubectl: shop.kubectl.clone(), name: "mysql".to_owned() };
    // The journal, which the cases share, too.
    let earlier = server.sql(
        "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE 'case\\_%' OR SCHEMA_NAME = 'holdfast' \
         OR SCHEMA_NAME LIKE 'holdfast\\_restored\\_%' OR SCHEMA_NAME LIKE 'holdfast\\_kept\\_%'",
    )?;
    for schema in earlier.lines() {
        server.sql(&format!("DROP DATABASE `{schema}`"))?;
    }
    // The rights that the sample's accounts have in the sample's schema, and those that putting a backup back needs beside it.
    server.sql(
        "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES \
         ON `case\\_%`.* TO 'migrator'@'%'; GRANT SELECT, INSERT, UPDATE, DELETE ON `case\\_%`.* TO 'application'@'%'; \
         GRANT SELECT, INSERT, CREATE, DROP, ALTER, REFERENCES, SHOW VIEW, TRIGGER, EVENT ON `holdfast\\_restored\\_%`.* TO 'migrator'@'%'; \
         GRANT SELECT, INSERT, CREATE, DROP, ALTER ON `holdfast\\_kept\\_%`.* TO 'migrator'@'%'",
    )?;
    let unchanged = schema(&shop.kubectl, UNCHANGED, library::TABLES)?;
    let snapshot = unchanged.snapshot()?;
    Ok(Surroundings { shop, unchanged: (unchanged, snapshot) })
}

/// Both charts. A new build behind the same tag starts new pods.
fn install_operator() -> Outcome<()> {
    let sum = run("sha256sum", &[env!("CARGO_BIN_EXE_holdfast")], None)?;
    let annotation = format!("podAnnotations.program={}", sum.get(..16).unwrap_or_default());
    operator::install(OPERATOR_IMAGE, &[&annotation])
}

/// A schema with these tables.
pub(crate) fn schema(kubectl: &Kubectl, name: &str, tables: &str) -> Outcome<Database> {
    let server = Database { kubectl: kubectl.clone(), name: "mysql".to_owned() };
    server.sql(&format!("CREATE DATABASE `{name}`"))?;
    let database = Database { kubectl: kubectl.clone(), name: name.to_owned() };
    database.sql(tables)?;
    Ok(database)
}
