//! The statements of docs/runbook.md by which people take back what a migration left in the middle, run as they stand there.

use holdfast::mysql::{Cause, Connection, SessionLimits};
use holdfast::plan::model::OrphanPolicy;
use holdfast::plan::{Plan, Section};
use sqlx::{AssertSqlSafe, Row};

use crate::common::target;
use crate::database::{Database, PARENT_AND_CHILD, run_section};
use crate::rows::{key, remove_orphans};

const RUNBOOK: &str = include_str!("../../docs/runbook.md");

const BESIDE: &[&str] = &[
    "CREATE TABLE beside (id INT NOT NULL PRIMARY KEY, code INT NULL)",
    "INSERT INTO beside VALUES (0, 10), (1, 11)",
    "CREATE TABLE feedback (id INT NOT NULL PRIMARY KEY, user_id INT NULL, KEY by_user (user_id))",
    "INSERT INTO feedback VALUES (1, 1), (2, 77), (3, NULL), (4, 78)",
    "INSERT INTO child (id, parent_id, note) VALUES (500, 77, 1), (501, 78, 2)",
];

/// The statements of the runbook's section about doing it by hand, for this database.
struct Statements {
    all: Vec<String>,
}

impl Statements {
    fn of(database: &Database, migration: &str) -> Self {
        let section = RUNBOOK.split("## Finish or take back by hand").nth(1).unwrap().split("\n## ").next().unwrap();
        let blocks = section.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap());
        let (schema, journal) = (database.schema.as_str(), database.journal.as_str());
        let own = |statement: &str| {
            statement
                .replace("holdfast.", &format!("{journal}."))
                .replace("`holdfast`", &format!("`{journal}`"))
                .replace("'holdfast'", &format!("'{journal}'"))
                .replace("'shop'", &format!("'{schema}'"))
                .replace("shop.", &format!("{schema}."))
                .replace("'ID'", &format!("'{migration}'"))
        };
        let statements = blocks.flat_map(|block| block.split(";\n")).map(str::trim).filter(|text| !text.is_empty());
        Self { all: statements.map(own).collect() }
    }

    /// The one statement that holds these words.
    fn with(&self, words: &str) -> String {
        let found: Vec<&String> = self.all.iter().filter(|statement| statement.contains(words)).collect();
        assert_eq!(found.len(), 1, "{words:?} is in {} statements of the runbook", found.len());
        found[0].clone()
    }
}

/// The rows that a statement gives, as texts.
async fn texts(connection: &mut Connection, statement: &str) -> Vec<Vec<Option<String>>> {
    let rows = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).fetch_all(connection.raw()).await;
    let rows = rows.unwrap_or_else(|error| panic!("{statement}: {error}"));
    let text = |row: &sqlx::mysql::MySqlRow, place| {
        let bytes: Option<Vec<u8>> = row.try_get_unchecked(place).unwrap();
        bytes.map(|bytes| String::from_utf8(bytes).unwrap())
    };
    rows.iter().map(|row| (0..row.len()).map(|place| text(row, place)).collect()).collect()
}

async fn run(connection: &mut Connection, statement: &str) {
    connection.run(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

#[tokio::test]
async fn the_statements_of_the_runbook_take_back_what_a_migration_left() {
    let database = Database::fresh("by_hand", PARENT_AND_CHILD).await;
    database.run(BESIDE).await;
    let before = (database.checksum("child").await, database.checksum("feedback").await);
    let of_child = key(&database, "fk_child", ("child", &["parent_id"]), ("parent", &["id"]));
    let of_feedback = key(&database, "fk_feedback", ("feedback", &["user_id"]), ("parent", &["id"]));
    let operations = vec![
        remove_orphans(of_child, OrphanPolicy::Delete),
        remove_orphans(of_feedback, OrphanPolicy::SetNull),
        database.add_column("beside", "extra"),
        database.add_unique("beside", "one_code", "code"),
        database.add_index("child", "by_note", "note"),
        database.add_key("child", "parent", "fk_new", OrphanPolicy::Fail),
    ];
    // Its operations' names would be too long together.
    let plan = Plan { digest: "sha256:left-behind".to_owned(), ..database.plan(operations).await };
    let session = database.engine().begin("shop/left-behind", &plan).await.unwrap();
    for section in [Section::CleanUp, Section::FixTypes, Section::AddUniques, Section::Stage(0)] {
        run_section(&session, section).await.unwrap();
    }
    session.release().await.unwrap();
    assert_eq!(database.number("SELECT COUNT(*) FROM child WHERE id >= 500").await, 0);
    let other = database.plan(vec![database.add_index("beside", "by_id", "id")]).await;
    let held_up = database.engine().check_unfinished(&other).await.unwrap_err();
    assert_eq!(held_up.cause, Cause::LockHeld);

    let mut person = target().connect(SessionLimits::default()).await.unwrap();
    let statements = Statements::of(&database, "");
    for words in ["GET_LOCK", "IS_FREE_LOCK"] {
        let answer = texts(&mut person, &format!("SELECT CAST(({}) AS CHAR)", statements.with(words))).await;
        assert_eq!(answer, [[Some("1".to_owned())]], "{words}");
    }
    let refused = database.engine().begin("shop/left-behind", &plan).await.unwrap_err();
    assert_eq!(refused.cause, Cause::LockHeld, "{refused}");
    run(&mut person, &statements.with("lock_wait_timeout")).await;
    let listed = texts(&mut person, &statements.with("started_at, finished_at FROM")).await;
    assert_eq!(listed[0][1].as_deref(), Some("shop/left-behind"));
    assert_eq!(listed[0][2].as_deref(), Some("Running"));
    let migration = listed[0][0].clone().unwrap();

    let statements = Statements::of(&database, &migration);
    let kept = texts(&mut person, &statements.with("JSON_TABLE").replace("DIGEST", &plan.digest)).await;
    let planned: Vec<_> = plan
        .operations
        .iter()
        .map(|each| vec![Some(each.id.clone()), each.forward.clone(), each.inverse.clone()])
        .collect();
    assert_eq!(kept, planned);
    assert_eq!(texts(&mut person, &statements.with("forward_statement")).await.len(), 6);
    for row in texts(&mut person, &statements.with("AND state <> 'Undone' ORDER BY sequence DESC")).await {
        if let Some(inverse) = &row[1] {
            run(&mut person, inverse).await;
        }
    }
    run(&mut person, &statements.with("group_concat_max_len")).await;
    let back = texts(&mut person, &statements.with("AS put_back")).await;
    assert_eq!(back.len(), 2, "{back:?}");
    for row in back {
        run(&mut person, "START TRANSACTION").await;
        for statement in row.iter().flatten() {
            run(&mut person, statement).await;
        }
        run(&mut person, "COMMIT").await;
    }
    let quarantine = database
        .text(&format!("SELECT name FROM {}.quarantine_tables WHERE source_table = 'feedback'", database.journal))
        .await;
    run(&mut person, &statements.with("QUARANTINE_TABLE").replace("QUARANTINE_TABLE", &quarantine.unwrap())).await;

    assert_eq!((database.checksum("child").await, database.checksum("feedback").await), before);
    for (name, definition) in &plan.tables {
        assert_eq!(&database.definition(&database.table(name.rsplit('.').next().unwrap())).await, definition);
    }
    assert_eq!(texts(&mut person, &statements.with("SELECT operation, before_image")).await.len(), 6);
    run(&mut person, &statements.with("SET state = 'Undone'")).await;
    run(&mut person, &statements.with("SET state = 'RolledBack'")).await;
    person.close().await.unwrap();
    database.engine().check_unfinished(&other).await.unwrap();
}
