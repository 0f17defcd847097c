//! A plan's scripts as a person runs them: the whole text through the server's own command-line client, forward and back.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use holdfast::mysql::SessionLimits;
use holdfast::mysql::catalogue::read_for_planning;
use holdfast::plan::input::tables;
use holdfast::plan::{build, script};
use serde_json::json;

use crate::common::target;
use crate::database::Database;
use crate::planning::spec;
use crate::programs::programs;

/// Names and texts that a client which splits a script wrongly would stumble over.
const SCHEMA: &[&str] = &[
    "CREATE TABLE users (id INT NOT NULL PRIMARY KEY, email VARCHAR(50) NOT NULL)",
    "CREATE TABLE `or;der's -- \"x\"` (id INT NOT NULL PRIMARY KEY, `us``er` INT NULL, name VARCHAR(20) NULL)",
    "CREATE TABLE lines_of (id INT NOT NULL PRIMARY KEY, order_id INT NOT NULL)",
    "INSERT INTO users VALUES (1, 'a@example.org'), (2, 'b@example.org')",
    "INSERT INTO `or;der's -- \"x\"` VALUES (1, 1, 'one'), (2, NULL, NULL)",
    "INSERT INTO lines_of VALUES (1, 1), (2, 1), (3, 2)",
];
const ORDERS: &str = "or;der's -- \"x\"";

/// Gives a script to the client; returns what its queries answered, or its words where a statement failed.
fn run(client: &std::path::Path, schema: &str, script: &str) -> Result<Vec<String>, String> {
    let target = target();
    let mut child = Command::new(client)
        .args(["--no-defaults", "--batch", "--skip-column-names", "--protocol=TCP"])
        .arg(format!("--host={}", target.host))
        .arg(format!("--port={}", target.port))
        .arg(format!("--user={}", target.username))
        .arg(format!("--database={schema}"))
        .env("MYSQL_PWD", &target.password)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    match output.status.success() {
        true => Ok(text(output.stdout).lines().map(str::to_owned).collect()),
        false => Err(text(output.stderr)),
    }
}

#[tokio::test]
async fn the_scripts_carry_a_plan_out_and_take_it_back_by_the_client() {
    let database = Database::fresh("scripts", SCHEMA).await;
    let content = json!({
        "typeFixes": [
            {"name": "add", "table": ORDERS, "addColumn": {"name": "note; it's", "type": "INT", "nullable": true}},
            {"name": "own", "sql": {
                "up": "ALTER TABLE `or;der's -- \"x\"` ADD COLUMN own VARCHAR(20) NOT NULL DEFAULT 'a;b -- c' COMMENT 'it''s; so', ALGORITHM=INPLACE, LOCK=NONE",
                "down": "ALTER TABLE `or;der's -- \"x\"` DROP COLUMN own, ALGORITHM=INPLACE, LOCK=NONE",
                "verify": "SELECT id FROM `or;der's -- \"x\"` WHERE own <> 'a;b -- c'"}},
        ],
        "uniqueConstraints": [{"name": "unique;email", "table": "users", "columns": ["email"], "duplicates": {"policy": "Fail"}}],
        "stages": [{"name": "first; of\ntwo", "foreignKeys": [
            {"name": "fk`user", "table": ORDERS, "columns": ["us`er"],
             "references": {"table": "users", "columns": ["id"]}, "onDelete": "SetNull", "orphans": "SetNull"},
        ]}, {"name": "second", "foreignKeys": [
            {"name": "fk_order", "table": "lines_of", "columns": ["order_id"],
             "references": {"table": ORDERS, "columns": ["id"]}, "onDelete": "Cascade", "orphans": "Fail"},
        ]}],
    });
    let spec = spec(&database.schema, content);
    let mut connection = target().connect(SessionLimits::default()).await.unwrap();
    let catalogue = read_for_planning(&mut connection, &database.schema, &tables(&spec).unwrap()).await.unwrap();
    let plan = build(&spec, &catalogue).unwrap_or_else(|problems| panic!("{problems:?}"));
    connection.close().await.unwrap();
    let tables_of = ["users", ORDERS, "lines_of"].map(|name| database.table(name));
    let mut before = Vec::new();
    for table in &tables_of {
        before.push(database.definition(table).await);
    }
    let folder = std::env::temp_dir().join(format!("holdfast-scripts-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let [_, client, _] = programs(&folder);
    let schema = database.schema.as_str();

    let answers = run(&client, schema, &script::forward_sql(&plan)).unwrap();
    // One for each key's cleanup and proof, and one for the duplicates: nothing is left to do.
    assert!(answers.len() >= 5 && answers.iter().all(|answer| answer == "0"), "{answers:?}");
    assert_eq!((database.keys_named("fk`user").await, database.keys_named("fk_order").await), (1, 1));
    database.run(&["DELETE FROM users WHERE id = 1", "DELETE FROM `or;der's -- \"x\"` WHERE id = 1"]).await;
    assert_eq!(database.number("SELECT COUNT(*) FROM lines_of").await, 1, "the keys act");

    assert_eq!(run(&client, schema, &script::rollback_sql(&plan)).unwrap(), Vec::<String>::new());
    for (table, before) in tables_of.iter().zip(before) {
        assert_eq!(database.definition(table).await, before);
    }
    // What stands there already is not done twice in silence.
    run(&client, schema, &script::forward_sql(&plan)).unwrap();
    let again = run(&client, schema, &script::forward_sql(&plan)).unwrap_err();
    assert!(again.contains("Duplicate column name"), "{again}");
    fs::remove_dir_all(&folder).unwrap();
}
