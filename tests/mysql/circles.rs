//! Deletions that come round to their table again, which a MySQL that carries foreign keys out itself does not follow to their end: what the
//! planner says of a server is what the server does. Where this fails on a newer MySQL, it may have been mended there.

use holdfast::mysql::catalogue::read_catalogue;
use holdfast::plan::build;
use holdfast::plan::input::tables;
use serde_json::{Value, json};

use crate::database::Database;
use crate::planning::spec;

/// A table that refers to itself, and two below it.
const TREE: &[&str] = &[
    "CREATE TABLE node (id INT PRIMARY KEY, up INT NULL, KEY (up))",
    "CREATE TABLE leaf (id INT PRIMARY KEY, node_id INT NULL, KEY (node_id))",
    "CREATE TABLE mark (id INT PRIMARY KEY, leaf_id INT NULL, KEY (leaf_id))",
    "INSERT INTO node VALUES (1, NULL), (2, 1)",
    "INSERT INTO leaf VALUES (1, 1), (2, 2), (3, NULL)",
    "INSERT INTO mark VALUES (1, 1), (2, 3)",
];

/// Two tables that refer to each other.
const PAIR: &[&str] = &[
    "CREATE TABLE user (id INT PRIMARY KEY, home_id INT NULL, KEY (home_id))",
    "CREATE TABLE address (id INT PRIMARY KEY, user_id INT NULL, KEY (user_id))",
    "INSERT INTO user VALUES (1, 1), (2, 1)",
    "INSERT INTO address VALUES (1, 1), (2, 2)",
];

fn link(child: &str, column: &str, parent: &str, on_delete: &str) -> Value {
    json!({"name": format!("fk_{child}_{column}"), "table": child, "columns": [column],
        "references": {"table": parent, "columns": ["id"]}, "onDelete": on_delete})
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// Planned, and followed to its end.
    Followed,
    /// Refused by the planner, and by the server, or rows stay without a parent.
    Broken,
}

/// Plans these keys, adds them as anybody would, and deletes. Returns whether the server carries foreign keys out itself, too.
async fn delete_with(name: &str, schema: &[&str], keys: &[Value], deletion: &str) -> (bool, Found) {
    let database = Database::fresh(name, schema).await;
    let spec = spec(&database.schema, json!({"stages": [{"name": "all", "foreignKeys": keys}]}));
    let mut connection = database.application().await;
    let catalogue = read_catalogue(&mut connection, &database.schema, &tables(&spec).unwrap()).await.unwrap();
    let refused = match build(&spec, &catalogue) {
        Ok(_) => false,
        Err(problems) => {
            assert!(problems.iter().all(|problem| problem.message.contains("CascadeCircle")), "{problems:?}");
            true
        }
    };
    for key in keys {
        let action = if key["onDelete"] == "Cascade" { "CASCADE" } else { "SET NULL" };
        let (child, column, parent) = (&key["table"], &key["columns"][0], &key["references"]["table"]);
        let [child, column, parent] = [child, column, parent].map(|text| text.as_str().unwrap());
        connection
            .run(&format!("ALTER TABLE {child} ADD FOREIGN KEY ({column}) REFERENCES {parent} (id) ON DELETE {action}"))
            .await
            .unwrap();
    }
    let mut broken = match connection.run(deletion).await {
        Ok(_) => false,
        Err(error) if error.code == Some(6575) => true,
        Err(error) => panic!("{deletion}: {error}"),
    };
    for key in keys {
        let (child, column, parent) = (&key["table"], &key["columns"][0], &key["references"]["table"]);
        let [child, column, parent] = [child, column, parent].map(|text| text.as_str().unwrap());
        let orphans = format!(
            "SELECT COUNT(*) FROM {child} c LEFT JOIN {parent} p ON p.id = c.{column} WHERE c.{column} IS NOT NULL AND p.id IS NULL"
        );
        broken |= database.number(&orphans).await > 0;
    }
    assert_eq!(refused, broken, "what the planner says, and what the server does");
    (!catalogue.server.native_foreign_keys, if broken { Found::Broken } else { Found::Followed })
}

#[tokio::test]
async fn deletions_that_come_round_are_refused_at_planning_where_the_server_does_not_follow_them() {
    let leaves = link("leaf", "node_id", "node", "Cascade");
    let tree = [link("node", "up", "node", "Cascade"), leaves, link("mark", "leaf_id", "leaf", "SetNull")];
    let deletion = "DELETE FROM node WHERE id = 1";
    // Without the key to itself, and without the others, deletions are followed everywhere.
    let (itself, found) = delete_with("round_no_tree", TREE, &tree[1..], deletion).await;
    assert_eq!(found, Found::Followed);
    assert_eq!(delete_with("round_alone", TREE, &tree[..1], deletion).await, (itself, Found::Followed));
    let round = if itself { Found::Broken } else { Found::Followed };
    assert_eq!(delete_with("round_tree", TREE, &tree, deletion).await.1, round);
    let pair = [link("address", "user_id", "user", "Cascade"), link("user", "home_id", "address", "Cascade")];
    assert_eq!(delete_with("round_pair", PAIR, &pair, "DELETE FROM user WHERE id = 1").await.1, round);
}
