//! A schema with a journal for a test of the whole engine, statements on it, and small plans built by hand.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use holdfast::mysql::replicas::Replicas;
use holdfast::mysql::session::{Engine, Session};
use holdfast::mysql::{
    Allowance, Connection, Error, JournalLocation, KillBlockers, Progress, SessionLimits, Settings, Stop,
};
use holdfast::plan::catalogue::{Flavour, ForeignKey, ReferentialAction, Server, Version};
use holdfast::plan::model::{Action, Estimate, LockClass, OrphanPolicy, PLAN_FORMAT, StagePlan};
use holdfast::plan::{Identifier, Operation, Plan, Section, TableName};
use sqlx::{AssertSqlSafe, Row};

use crate::common::{identifier as id, target};
use crate::served::Served;

/// Nothing in a test may take longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A fresh schema with a journal of its own.
pub(crate) struct Database {
    pub(crate) schema: Identifier,
    pub(crate) journal: Identifier,
    /// What the server is.
    pub(crate) served: Served,
}

impl Database {
    /// Makes the schema of a test and runs statements in it.
    pub(crate) async fn fresh(test: &str, statements: &[&str]) -> Self {
        let mut connection = target().connect(SessionLimits::default()).await.unwrap();
        let database = Self {
            schema: id(&format!("holdfast_test_{test}")),
            journal: id(&format!("holdfast_journal_{test}")),
            served: Served::read(&mut connection).await,
        };
        for schema in [&database.schema, &database.journal] {
            connection.run(&format!("DROP SCHEMA IF EXISTS {}", schema.quoted())).await.unwrap();
        }
        connection.run(&format!("CREATE SCHEMA {}", database.schema.quoted())).await.unwrap();
        connection.close().await.unwrap();
        database.run(statements).await;
        database
    }

    pub(crate) fn table(&self, name: &str) -> TableName {
        TableName::new(self.schema.clone(), id(name))
    }

    /// A session of the application.
    pub(crate) async fn application(&self) -> Connection {
        let mut connection = target().connect(SessionLimits::default()).await.unwrap();
        connection.run(&format!("USE {}", self.schema.quoted())).await.unwrap();
        connection
    }

    pub(crate) async fn run(&self, statements: &[&str]) {
        let mut connection = self.application().await;
        for statement in statements {
            let statement = self.served.words(statement);
            connection.run(&statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        connection.close().await.unwrap();
    }

    /// The first column of the first row as a number.
    pub(crate) async fn number(&self, query: &str) -> i64 {
        let mut connection = self.application().await;
        let row = sqlx::raw_sql(AssertSqlSafe(format!("SELECT CAST(({query}) AS SIGNED)")))
            .fetch_one(connection.raw())
            .await
            .unwrap();
        row.try_get(0).unwrap()
    }

    /// The first column of the first row as text; `None`: no row.
    pub(crate) async fn text(&self, query: &str) -> Option<String> {
        let mut connection = self.application().await;
        let row = sqlx::raw_sql(AssertSqlSafe(query.to_owned())).fetch_optional(connection.raw()).await.unwrap();
        row.map(|row| row.try_get(0).unwrap())
    }

    /// SHOW CREATE TABLE without the AUTO_INCREMENT value.
    pub(crate) async fn definition(&self, table: &TableName) -> String {
        let mut connection = self.application().await;
        let statement = format!("SHOW CREATE TABLE {}", table.quoted());
        let row = sqlx::raw_sql(AssertSqlSafe(statement)).fetch_one(connection.raw()).await.unwrap();
        let text: String = row.try_get(1).unwrap();
        let Some((before, after)) = text.split_once(" AUTO_INCREMENT=") else { return text };
        format!("{before}{}", after.trim_start_matches(|character: char| character.is_ascii_digit()))
    }

    /// How many keys of that name there are.
    pub(crate) async fn keys_named(&self, name: &str) -> i64 {
        self.number(&format!(
            "SELECT COUNT(*) FROM information_schema.referential_constraints WHERE constraint_schema = '{}' AND constraint_name = '{name}'",
            self.schema
        ))
        .await
    }

    pub(crate) fn engine(&self) -> Engine {
        Engine {
            target: target(),
            settings: Settings {
                lock_timeout: Duration::from_millis(500),
                max_retries: 8,
                barrier_timeout: Duration::from_secs(60),
                batch_rows: 100,
                target_batch_time: Duration::from_millis(100),
                max_threads_running: 100,
                kill_blockers: KillBlockers::Never,
                journal: JournalLocation::Schema(self.journal.clone()),
            },
            replicas: Replicas::default(),
        }
    }

    /// A plan of these operations, with the before-images of their tables as they are now.
    pub(crate) async fn plan(&self, operations: Vec<Operation>) -> Plan {
        let mut tables = BTreeMap::new();
        for operation in &operations {
            let mut touched = vec![operation.action.table().clone()];
            if let Action::AddForeignKey { key, .. } = &operation.action {
                touched.push(key.parent.clone());
            }
            for table in touched {
                tables.insert(table.to_string(), self.definition(&table).await);
            }
        }
        let names: Vec<&str> = operations.iter().map(|operation| operation.id.as_str()).collect();
        Plan {
            format: PLAN_FORMAT,
            digest: format!("sha256:{}", names.join("+")),
            content_digest: "sha256:content".to_owned(),
            server: Server {
                flavour: Flavour::MySql,
                version: Version { major: 9, minor: 7, patch: 0 },
                version_text: "test".to_owned(),
                server_uuid: "test".to_owned(),
                native_foreign_keys: false,
                lower_case_table_names: 0,
                settings: Default::default(),
            },
            schema: self.schema.clone(),
            tables,
            operations,
            adopted: vec![],
            stages: vec![StagePlan { name: "first".to_owned(), expect: vec![] }],
            acknowledged_triggers: vec![],
            cascades: vec![],
            warnings: vec![],
        }
    }

    fn operation(
        &self,
        id: &str,
        section: Section,
        action: Action,
        lock: LockClass,
        forward: String,
        inverse: String,
    ) -> Operation {
        Operation {
            id: id.to_owned(),
            section,
            action,
            forward: Some(forward),
            inverse: Some(inverse),
            lock,
            estimate: Estimate::default(),
            inverse_cost: None,
            path: format!("spec.test.{id}"),
        }
    }

    /// Adds an integer column.
    pub(crate) fn add_column(&self, table: &str, column: &str) -> Operation {
        let table = self.table(table);
        let column = id(column);
        let forward =
            format!("ALTER TABLE {} ADD COLUMN {} INT NULL, ALGORITHM=INSTANT", table.quoted(), column.quoted());
        let algorithm = self.served.drop_column();
        let inverse = format!("ALTER TABLE {} DROP COLUMN {}, {algorithm}", table.quoted(), column.quoted());
        let name = format!("add-column-{column}");
        self.operation(
            &name,
            Section::FixTypes,
            Action::AddColumn { table, column },
            LockClass::Metadata,
            forward,
            inverse,
        )
    }

    /// Adds an index of one column.
    pub(crate) fn add_index(&self, table: &str, index: &str, column: &str) -> Operation {
        let (table, index, column) = (self.table(table), id(index), id(column));
        let forward = format!(
            "ALTER TABLE {} ADD INDEX {} ({}), ALGORITHM=INPLACE, LOCK=NONE",
            table.quoted(),
            index.quoted(),
            column.quoted()
        );
        let inverse =
            format!("ALTER TABLE {} DROP INDEX {}, ALGORITHM=INPLACE, LOCK=NONE", table.quoted(), index.quoted());
        let name = format!("add-index-{index}");
        let action = Action::AddIndex { table, index, columns: vec![column] };
        self.operation(&name, Section::Stage(0), action, LockClass::OnlineBuild, forward, inverse)
    }

    /// Adds a unique constraint of one column.
    pub(crate) fn add_unique(&self, table: &str, index: &str, column: &str) -> Operation {
        let (table, index, column) = (self.table(table), id(index), id(column));
        let forward = format!(
            "ALTER TABLE {} ADD UNIQUE INDEX {} ({}), ALGORITHM=INPLACE, LOCK=NONE",
            table.quoted(),
            index.quoted(),
            column.quoted()
        );
        let inverse =
            format!("ALTER TABLE {} DROP INDEX {}, ALGORITHM=INPLACE, LOCK=NONE", table.quoted(), index.quoted());
        let name = format!("add-unique-{index}");
        let action = Action::AddUnique { table, index, columns: vec![column] };
        self.operation(&name, Section::AddUniques, action, LockClass::OnlineBuild, forward, inverse)
    }

    /// Adds a key from `child.parent_id` to `parent.id`.
    pub(crate) fn add_key(&self, child: &str, parent: &str, name: &str, policy: OrphanPolicy) -> Operation {
        let key = ForeignKey {
            name: id(name),
            child: self.table(child),
            columns: vec![id("parent_id")],
            parent: self.table(parent),
            parent_columns: vec![id("id")],
            on_delete: ReferentialAction::Cascade,
            on_update: ReferentialAction::NoAction,
        };
        let forward = format!(
            "ALTER TABLE {} ADD CONSTRAINT {} FOREIGN KEY (`parent_id`) REFERENCES {} (`id`) ON DELETE CASCADE ON UPDATE NO ACTION, \
             ALGORITHM=INPLACE, LOCK=NONE",
            key.child.quoted(),
            key.name.quoted(),
            key.parent.quoted()
        );
        let inverse = format!(
            "ALTER TABLE {} DROP FOREIGN KEY {}, ALGORITHM=INPLACE, LOCK=NONE",
            key.child.quoted(),
            key.name.quoted()
        );
        let action = Action::AddForeignKey { key, policy };
        self.operation(&format!("add-key-{name}"), Section::Stage(0), action, LockClass::Metadata, forward, inverse)
    }
}

/// A parent with ids 1 to 10 and a child with an index and 100 rows that refer to them.
pub(crate) const PARENT_AND_CHILD: &[&str] = &[
    "CREATE TABLE parent (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) NULL)",
    "CREATE TABLE child (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, parent_id INT NULL, note INT NULL, KEY by_parent (parent_id))",
    "INSERT INTO parent (name) VALUES ('a'), ('b'), ('c'), ('d'), ('e'), ('f'), ('g'), ('h'), ('i'), ('j')",
    "INSERT INTO child (parent_id, note) SELECT one.id, one.id * 10 + other.id FROM parent one JOIN parent other",
];

/// Runs one section with every allowance and without a stop.
pub(crate) async fn run_section(
    session: &Session,
    section: Section,
) -> Result<holdfast::mysql::report::SectionReport, Error> {
    let (progress, _reading) = Progress::new();
    let allowance = Allowance { copy: true, ..Allowance::default() };
    tokio::time::timeout(PATIENCE, session.run(section, allowance, &progress, &Stop::default()))
        .await
        .expect("the section ends in time")
}

/// Runs the first stage while a transaction has deleted the parent 3, which ten children of the usual tables refer to. It is committed
/// once the work waits for it: the count before the key has seen nothing of it by then.
pub(crate) async fn run_stage_during_deletion(
    database: &Database,
    session: &Session,
) -> Result<holdfast::mysql::report::SectionReport, Error> {
    let mut deleter = database.application().await;
    deleter.run("BEGIN").await.unwrap();
    deleter.run("DELETE FROM parent WHERE id = 3").await.unwrap();
    let (progress, mut reading) = Progress::new();
    let stop = Stop::default();
    let running = session.run(Section::Stage(0), Allowance::default(), &progress, &stop);
    let committing = async {
        reading.wait_for(|reading| reading.waiting.is_some()).await.unwrap();
        deleter.run("COMMIT").await.unwrap();
    };
    tokio::time::timeout(PATIENCE, futures::future::join(running, committing)).await.expect("the work ends").0
}

/// Polls until a condition holds, and fails naming what was waited for.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < PATIENCE, "waited too long for: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
