//! What validation counts on a real server, against rows planted by hand.

use holdfast::mysql::catalogue::read_catalogue;
use holdfast::mysql::error::Cause;
use holdfast::mysql::validation::{ValidationReport, validate};
use holdfast::plan::build;
use holdfast::plan::input::tables;
use serde_json::{Value, json};

use crate::common::{Fresh, in_fresh_schema};
use crate::planning::spec;

async fn report(fresh: &Fresh, content: Value) -> ValidationReport {
    let spec = spec(&fresh.schema, content);
    let mut connection = fresh.connect().await;
    let catalogue = read_catalogue(&mut connection, &fresh.schema, &tables(&spec).unwrap()).await.unwrap();
    let plan = build(&spec, &catalogue).unwrap();
    validate(&mut connection, &plan).await.unwrap()
}

fn count(report: &ValidationReport, issue_type: &str) -> u64 {
    let found = report.findings.iter().find(|finding| finding.issue_type == issue_type);
    found.unwrap_or_else(|| panic!("{issue_type} is not among {:?}", report.findings)).count
}

fn key(table: &str, columns: &[&str], parent: &str, parent_columns: &[&str], orphans: &str) -> Value {
    json!({"name": format!("fk_{table}_{}", columns.join("_")), "table": table, "columns": columns,
        "references": {"table": parent, "columns": parent_columns}, "onDelete": "Restrict", "orphans": orphans})
}

#[tokio::test]
async fn orphans_are_counted_with_and_without_an_index_and_nulls_are_none() {
    in_fresh_schema(|fresh| async move {
        fresh
            .run(
                "CREATE TABLE parent (id INT PRIMARY KEY, a INT, b INT, UNIQUE (a, b));
                 CREATE TABLE plain (id INT AUTO_INCREMENT PRIMARY KEY, parent_id INT);
                 CREATE TABLE indexed (id INT AUTO_INCREMENT PRIMARY KEY, parent_id INT, KEY (parent_id));
                 CREATE TABLE pair (id INT AUTO_INCREMENT PRIMARY KEY, a INT, b INT);
                 INSERT INTO parent VALUES (1, 1, 1), (2, 1, 2), (3, NULL, 3);
                 INSERT INTO plain (parent_id) VALUES (1), (2), (9), (9), (8), (NULL);
                 INSERT INTO indexed (parent_id) VALUES (1), (2), (9), (9), (8), (NULL);
                 INSERT INTO pair (a, b) VALUES (1, 1), (1, 2), (2, 1), (NULL, 7), (7, NULL), (7, 7);
                 ANALYZE TABLE parent, plain, indexed, pair",
            )
            .await;
        let report = report(
            &fresh,
            json!({"stages": [{"name": "only", "foreignKeys": [
                key("plain", &["parent_id"], "parent", &["id"], "Delete"),
                key("indexed", &["parent_id"], "parent", &["id"], "Delete"),
                key("pair", &["a", "b"], "parent", &["a", "b"], "Fail"),
            ]}]}),
        )
        .await;
        assert_eq!(count(&report, "orphans: plain.parent_id -> parent.id"), 3);
        assert_eq!(count(&report, "orphans: indexed.parent_id -> parent.id"), 3);
        assert_eq!(count(&report, "orphans: pair.(a, b) -> parent.(a, b)"), 2);
        assert_eq!(report.rows_to_clean(), 8);
        let mut samples = report.findings[0].samples.clone();
        samples.sort();
        assert_eq!(samples, ["8", "9"]);
        let error = report.check().unwrap_err();
        assert_eq!(error.cause, Cause::OrphansFound);
        assert!(error.message.contains("pair.(a, b)") && !error.message.contains("plain"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn text_of_another_collation_counts_as_the_parents_will_compare_it() {
    in_fresh_schema(|fresh| async move {
        fresh
            .run(
                "CREATE TABLE parent (code VARCHAR(10) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PRIMARY KEY);
                 CREATE TABLE child (id INT AUTO_INCREMENT PRIMARY KEY, code VARCHAR(10) CHARACTER SET latin1 COLLATE latin1_swedish_ci, KEY (code));
                 INSERT INTO parent VALUES ('a'), ('b');
                 INSERT INTO child (code) VALUES ('a'), ('A'), ('b'), ('B'), (NULL)",
            )
            .await;
        let report = report(
            &fresh,
            json!({
                "typeFixes": [{"name": "code", "table": "child", "modifyColumn": {"name": "code", "type": "VARCHAR(10) COLLATE utf8mb4_bin"}}],
                "stages": [{"name": "only", "foreignKeys": [key("child", &["code"], "parent", &["code"], "Delete")]}],
            }),
        )
        .await;
        assert_eq!(count(&report, "orphans: child.code -> parent.code"), 2);
    })
    .await;
}

#[tokio::test]
async fn surplus_rows_and_unmappable_names_are_counted() {
    in_fresh_schema(|fresh| async move {
        fresh
            .run(
                "CREATE TABLE agencies (id INT PRIMARY KEY, name VARCHAR(20));
                 CREATE TABLE logs (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20), code VARCHAR(10));
                 INSERT INTO agencies VALUES (1, 'one'), (2, 'two'), (3, 'TWO'), (4, 'four');
                 INSERT INTO logs (name, code) VALUES ('one', 'x'), ('One', 'X'), ('two', 'y'), ('none', NULL), (NULL, NULL), ('four', 'x')",
            )
            .await;
        let content = |max_unmapped: u64, policy: &str| {
            json!({
                "typeFixes": [{"name": "agency", "table": "logs", "addColumn": {"name": "agency_id", "type": "INT"},
                    "backfill": {"fromLookup": {"table": "agencies", "match": [{"column": "name", "equals": "name"}], "take": "id"}},
                    "verify": {"maxUnmapped": max_unmapped}}],
                "uniqueConstraints": [{"name": "uq_code", "table": "logs", "columns": ["code"],
                    "duplicates": {"policy": policy, "orderBy": "id"}}],
            })
        };
        let loose = report(&fresh, content(3, "KeepNewest")).await;
        // 'x', 'X' and 'x' are one value in the column's collation; the two NULLs are none.
        assert_eq!(count(&loose, "duplicates: logs.code"), 2);
        assert_eq!(count(&loose, "backfill total: logs.agency_id"), 6);
        assert_eq!(count(&loose, "backfill mapped: logs.agency_id"), 3);
        assert_eq!(count(&loose, "backfill unmapped: logs.agency_id"), 3);
        assert_eq!(count(&loose, "backfill ambiguous: logs.agency_id"), 1);
        loose.check().unwrap();
        assert_eq!(report(&fresh, content(2, "KeepNewest")).await.check().unwrap_err().cause, Cause::UnmappedRows);
        assert_eq!(report(&fresh, content(3, "Fail")).await.check().unwrap_err().cause, Cause::DuplicatesFound);
    })
    .await;
}
