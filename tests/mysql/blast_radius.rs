//! How far one deletion reaches, counted and concluded from a sample, against tables whose rows are known.

use std::time::Duration;

use holdfast::mysql::blast_radius::{EXACT_LIMIT, measure};
use holdfast::mysql::catalogue::read_for_planning;
use holdfast::plan::cascades::Reach;
use holdfast::plan::input::tables;
use holdfast::plan::{Plan, build, render};
use serde_json::json;

use crate::common::{Fresh, in_fresh_schema};
use crate::planning::spec;

/// 100 parents, 20,000 children of which the first parent has every second, two grandchildren each for the first 1,000 children.
const SCHEMA: &str = "SET SESSION cte_max_recursion_depth = 100000;
    CREATE TABLE parent (id INT PRIMARY KEY);
    CREATE TABLE child (id INT PRIMARY KEY, parent_id INT, note INT);
    CREATE TABLE grandchild (id INT PRIMARY KEY AUTO_INCREMENT, child_id INT, parent_id INT);
    INSERT INTO parent WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 100) SELECT n FROM n;
    INSERT INTO child WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)
        SELECT n, IF(n % 2 = 0, 1, n % 100 + 1), 0 FROM n;
    INSERT INTO grandchild (child_id, parent_id) SELECT id, 50 FROM child WHERE id <= 1000;
    INSERT INTO grandchild (child_id, parent_id) SELECT id, 4711 FROM child WHERE id <= 1000;
    ANALYZE TABLE parent, child, grandchild";

async fn measured(fresh: &Fresh, exact_limit: Duration) -> Plan {
    let key = |table: &str, column: &str, parent: &str, on_delete: &str| {
        json!({"name": format!("fk_{table}_{parent}"), "table": table, "columns": [column],
            "references": {"table": parent, "columns": ["id"]}, "onDelete": on_delete})
    };
    let stages = json!({"stages": [{"name": "only", "foreignKeys": [
        key("child", "parent_id", "parent", "Cascade"),
        key("grandchild", "child_id", "child", "Cascade"),
        key("grandchild", "parent_id", "parent", "SetNull"),
        key("child", "added", "child", "Cascade"),
    ]}], "typeFixes": [{"name": "added", "table": "child", "addColumn": {"name": "added", "type": "INT", "nullable": true}}],
        "acknowledge": [{"hazard": "CascadeCircle", "table": "child"}]});
    let spec = spec(&fresh.schema, stages);
    let mut connection = fresh.connect().await;
    let catalogue = read_for_planning(&mut connection, &fresh.schema, &tables(&spec).unwrap()).await.unwrap();
    let mut plan = build(&spec, &catalogue).unwrap();
    let digest = plan.digest.clone();
    measure(&mut connection, &catalogue, &mut plan, exact_limit).await.unwrap();
    assert_eq!(holdfast::plan::digest::plan_digest(&plan).unwrap(), digest, "rows are no part of the digest");
    plan
}

fn reach(plan: &Plan, path: &str) -> Reach {
    let found = plan.cascades.iter().find(|each| render::cascade(each).starts_with(&format!("{path}:")));
    found.unwrap_or_else(|| panic!("{path} is not in {:?}", plan.cascades)).reach
}

#[tokio::test]
async fn small_tables_are_counted_and_orphans_are_nobodys_children() {
    in_fresh_schema(|fresh| async move {
        fresh.run(SCHEMA).await;
        let plan = measured(&fresh, EXACT_LIMIT).await;
        assert_eq!(reach(&plan, "parent -> child"), Reach::Exact(10_000));
        // Of the first 1,000 children, 500 are the first parent's, with two grandchildren each.
        assert_eq!(reach(&plan, "parent -> child -> grandchild"), Reach::Exact(1_000));
        assert_eq!(reach(&plan, "child -> grandchild"), Reach::Exact(2));
        // The thousand rows that refer to 4711, which does not exist, are taken along by nobody.
        assert_eq!(reach(&plan, "parent -> grandchild"), Reach::Exact(1_000));
        assert!(plan.cascades.iter().all(|path| path.reach != Reach::NotMeasured
            || path.keys.iter().any(|key| key.name.as_str() == "fk_child_child")));
        let page = render::text(&plan);
        assert!(page.contains("  - parent -> child: 10,000 rows deleted (exact)"), "{page}");
        assert!(page.contains("  - parent -> grandchild: 1,000 rows set to NULL (exact)"), "{page}");
    })
    .await;
}

#[tokio::test]
async fn where_counting_would_take_too_long_a_sample_says_about_how_many() {
    in_fresh_schema(|fresh| async move {
        fresh.run(SCHEMA).await;
        let plan = measured(&fresh, Duration::ZERO).await;
        let Reach::Sampled(rows) = reach(&plan, "parent -> child") else { panic!("{:?}", plan.cascades) };
        assert!((8_000..=12_000).contains(&rows), "{rows} of 10,000");
        let Reach::Sampled(rows) = reach(&plan, "parent -> grandchild") else { panic!("{:?}", plan.cascades) };
        assert!((700..=1_300).contains(&rows), "{rows} of 1,000: orphans do not count");
    })
    .await;
}
