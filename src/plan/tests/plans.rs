//! The text of statements, their order, how a plan is shown, and what its digest covers.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::plan::model::{Action, Expectation, Section};
use crate::plan::statement_use::{StatementUse, unacknowledged_replace};
use crate::plan::{conditions, render, script};

#[test]
fn a_stage_counts_keys_to_a_table_of_another_schema_too() {
    let expected = Expectation { referenced_table: Some(id("users")), at_least: 1 };
    let elsewhere = TableName::new(id("core"), id("users"));
    let mut found = change(|catalogue| {
        catalogue.foreign_keys =
            vec![ForeignKey { parent: elsewhere.clone(), ..existing("fk", &["user_id"], ReferentialAction::Restrict) }];
    });
    assert_eq!(expected.counted(&found), 1);
    found.foreign_keys[0].parent.table = id("Users");
    assert_eq!(expected.counted(&found), 0, "two tables may differ in nothing else");
    found.server.lower_case_table_names = 1;
    assert_eq!(expected.counted(&found), 1);
    found.foreign_keys[0].child.schema = id("core");
    assert_eq!(expected.counted(&found), 0, "it is another schema's key");
}

#[test]
fn statements_state_algorithm_and_lock_and_have_their_way_back() {
    let plan = plan(json!({
        "typeFixes": [modify("owner_id", "BIGINT UNSIGNED"), with(add("agency_id", true), "/name", json!("add"))],
        "uniqueConstraints": [{"name": "uq", "table": "users", "columns": ["email"]}],
        "stages": [{"name": "only", "foreignKeys": [key("owner_id")]}],
    }));
    let statements: Vec<_> =
        plan.operations.iter().filter_map(|each| Some((each.forward.as_deref()?, each.inverse.as_deref()?))).collect();
    assert_eq!(
        statements,
        [
            (
                "ALTER TABLE `shop`.`bookmarks` MODIFY COLUMN `owner_id` bigint unsigned NOT NULL, ALGORITHM=COPY, LOCK=SHARED",
                "ALTER TABLE `shop`.`bookmarks` MODIFY COLUMN `owner_id` int NOT NULL, ALGORITHM=COPY, LOCK=SHARED"
            ),
            (
                "ALTER TABLE `shop`.`bookmarks` ADD COLUMN `agency_id` int NULL, ALGORITHM=INSTANT",
                "ALTER TABLE `shop`.`bookmarks` DROP COLUMN `agency_id`, ALGORITHM=INSTANT"
            ),
            (
                "ALTER TABLE `shop`.`users` ADD UNIQUE INDEX `uq` (`email`), ALGORITHM=INPLACE, LOCK=NONE",
                "ALTER TABLE `shop`.`users` DROP INDEX `uq`, ALGORITHM=INPLACE, LOCK=NONE"
            ),
            (
                "ALTER TABLE `shop`.`bookmarks` ADD INDEX `fk_owner_id_idx` (`owner_id`), ALGORITHM=INPLACE, LOCK=NONE",
                "ALTER TABLE `shop`.`bookmarks` DROP INDEX `fk_owner_id_idx`, ALGORITHM=INPLACE, LOCK=NONE"
            ),
            (
                "ALTER TABLE `shop`.`bookmarks` ADD CONSTRAINT `fk_owner_id` FOREIGN KEY (`owner_id`) REFERENCES `shop`.`users` (`id`) ON DELETE CASCADE ON UPDATE NO ACTION, ALGORITHM=INPLACE, LOCK=NONE",
                "ALTER TABLE `shop`.`bookmarks` DROP FOREIGN KEY `fk_owner_id`, ALGORITHM=INPLACE, LOCK=NONE"
            ),
        ]
    );
}

#[test]
fn a_column_whose_name_the_server_could_not_hide_is_dropped_without_instant() {
    let back = |name: &str| plan(json!({"typeFixes": [add(name, true)]})).operations[0].inverse.clone().unwrap();
    assert!(back(&"x".repeat(64)).ends_with("ALGORITHM=INSTANT"));
    assert!(back(&"é".repeat(16)).ends_with("ALGORITHM=INSTANT"));
    assert!(back(&"é".repeat(32)).ends_with("ALGORITHM=INPLACE, LOCK=NONE"));
}

#[test]
fn an_index_is_added_only_where_none_serves() {
    let added = |existing: Index| {
        let catalogue = edit("bookmarks", |table| table.indexes.push(existing));
        let plan = build(&spec(keys(&[key("user_id")])), &catalogue).unwrap();
        plan.operations.iter().any(|operation| matches!(operation.action, Action::AddIndex { .. }))
    };
    assert!(!added(index("fits", false, &["user_id", "owner_id"])));
    assert!(added(index("wrong_order", false, &["owner_id", "user_id"])));
    assert!(added(Index { visible: false, ..index("unseen", false, &["user_id"]) }));
    let mut prefix = index("prefix", false, &["user_id"]);
    prefix.parts[0].prefix = Some(4);
    assert!(added(prefix));
}

#[test]
fn cleanup_takes_children_before_parents_and_what_stops_before_what_changes() {
    let mut all = catalogue();
    all.tables.insert("shop.notes".into(), table("notes", &["id int", "bookmark_id int"]));
    let of_note = json!({"name": "fk_note", "table": "notes", "columns": ["bookmark_id"],
        "references": {"table": "bookmarks", "columns": ["id"]}, "onDelete": "Cascade", "orphans": "Delete"});
    let stops = with(key("maybe_id"), "/orphans", json!("Fail"));
    let plan = build(&spec(keys(&[key("user_id"), of_note, stops])), &all).unwrap();
    let order: Vec<_> = plan
        .operations
        .iter()
        .filter(|operation| operation.section == Section::CleanUp)
        .map(|operation| operation.id.as_str())
        .collect();
    assert_eq!(
        order,
        ["001-remove-orphans-fk_maybe_id", "002-remove-orphans-fk_note", "003-remove-orphans-fk_user_id"]
    );
    let warned =
        plan.warnings.iter().any(|warning| warning.contains("shop.users reaches shop.bookmarks over several paths"));
    assert!(warned, "{:?}", plan.warnings);
}

#[test]
fn acknowledged_triggers_are_let_pass_and_carried_in_the_plan() {
    let catalogue = edit("bookmarks", |table| table.triggers.push("watch".into()));
    let mut content = keys(&[key("user_id")]);
    content["acknowledge"] = json!([{"hazard": "Triggers", "table": "bookmarks"}]);
    assert_eq!(build(&spec(content), &catalogue).unwrap().acknowledged_triggers, [name("bookmarks")]);
}

fn on(replaced: &str) -> StatementUse {
    StatementUse { replaced: [name(replaced)].into(), ..StatementUse::default() }
}

#[test]
fn replace_on_a_cascade_parent_needs_an_acknowledgement() {
    let mut content = keys(&[key("user_id")]);
    let open = plan(content.clone());
    let problems = unacknowledged_replace(&spec(content.clone()), &open, &on("users"));
    assert_eq!(problems[0].path, "spec.stages[0].foreignKeys[0].onDelete");
    for part in
        ["REPLACE on shop.users", "fk_user_id", "{hazard: ReplaceOnCascadeParent, table: users} in spec.acknowledge"]
    {
        assert!(problems[0].message.contains(part), "{part} is not in {}", problems[0].message);
    }
    assert_eq!(unacknowledged_replace(&spec(content.clone()), &open, &on("agencies")), []);
    content["acknowledge"] = json!([{"hazard": "ReplaceOnCascadeParent", "table": "users"}]);
    assert_eq!(unacknowledged_replace(&spec(content), &open, &on("users")), []);
    let restrict = with(key("user_id"), "/onDelete", json!("Restrict"));
    let content = keys(&[restrict]);
    assert_eq!(unacknowledged_replace(&spec(content.clone()), &plan(content), &on("users")), []);
}

#[test]
fn statements_that_keys_change_are_warned_of_with_what_they_will_do() {
    let told = |action: &str, seen: &StatementUse| {
        let key = with(key("maybe_id"), "/onDelete", json!(action));
        seen.warnings(&plan(keys(&[key]))).join(" ")
    };
    let parent = on("users");
    assert!(told("Cascade", &parent).contains("the children of fk_maybe_id"), "{}", told("Cascade", &parent));
    assert!(told("SetNull", &parent).contains("references of fk_maybe_id are set to NULL"));
    assert!(told("Restrict", &parent).contains("error 1451"));
    assert_eq!(told("Cascade", &on("bookmarks")), "", "a child may be replaced");
    let truncated = StatementUse { truncated: [name("users"), name("bookmarks")].into(), ..StatementUse::default() };
    let text = told("Cascade", &truncated);
    assert!(text.contains("TRUNCATE on shop.users") && !text.contains("TRUNCATE on shop.bookmarks"), "{text}");
    let blind = StatementUse { sets_checks: true, not_seen: vec!["it is full".to_owned()], ..StatementUse::default() };
    let text = told("Cascade", &blind);
    assert!(text.contains("set foreign_key_checks") && text.contains("it is full"), "{text}");
}

#[test]
fn the_page_marks_copies_and_the_scripts_hold_every_statement() {
    let plan = plan(
        json!({"typeFixes": [modify("owner_id", "BIGINT UNSIGNED")], "stages": [{"name": "first\nstage", "foreignKeys": [key("owner_id")]}]}),
    );
    let page = render::text(&plan);
    assert!(
        page.contains("!!! COPY: writers") && page.contains("!!! shop.bookmarks about < 1 s (1,000 rows)"),
        "{page}"
    );
    assert!(page.contains(&plan.digest), "{page}");
    let (forward, back) = (script::forward_sql(&plan), script::rollback_sql(&plan));
    for operation in &plan.operations {
        if let (Some(statement), Some(inverse)) = (&operation.forward, &operation.inverse) {
            assert!(forward.contains(&format!("{statement};")) && back.contains(&format!("{inverse};")));
        }
    }
    // A name with a line end stays inside its comment.
    assert!(forward.lines().all(|line| line.is_empty() || line.starts_with("--") || line.ends_with(';')), "{forward}");
    assert!(back.find("DROP FOREIGN KEY").unwrap() < back.find("DROP INDEX").unwrap());
    assert!(page.lines().any(|line| line.starts_with("Stage 1 of 1: first stage")), "{page}");
}

#[test]
fn the_scripts_say_what_a_statement_costs_and_show_what_is_left_to_do() {
    let plan = plan(json!({
        "typeFixes": [modify("owner_id", "BIGINT UNSIGNED"), with(add("agency_id", true), "/name", json!("add"))],
        "uniqueConstraints": [unique(&["email"])],
        "stages": [{"name": "only", "foreignKeys": [key("owner_id")]}],
    }));
    let (forward, back) = (script::forward_sql(&plan), script::rollback_sql(&plan));
    let copy = "-- !!! COPY, needs an approval (writers wait for the whole of it); 1,000 rows, 97.6 KiB, about < 1 s\n";
    let modify = "ALTER TABLE `shop`.`bookmarks` MODIFY COLUMN `owner_id`";
    assert!(back.contains(&format!("{copy}{modify}")), "narrowing copies too: {back}");
    let conditions = "-- Before: shop.bookmarks.owner_id is int.\n\
                      -- After: shop.bookmarks.owner_id is changed from int to bigint unsigned, and nothing else of it.\n";
    assert!(forward.contains(&format!("{copy}{conditions}{modify}")), "{forward}");
    let orphans = "SELECT COUNT(*) AS orphans FROM `shop`.`bookmarks` AS c WHERE c.`owner_id` IS NOT NULL \
                   AND NOT EXISTS (SELECT 1 FROM `shop`.`users` AS p WHERE p.`id` = c.`owner_id`);";
    // Before the rollout, before the stage, and after the key.
    assert_eq!(forward.matches(orphans).count(), 3, "{forward}");
    for query in [
        "SELECT COUNT(*) AS duplicated_values FROM (SELECT 1 FROM `shop`.`bookmarks` WHERE `email` IS NOT NULL GROUP BY `email` HAVING COUNT(*) > 1) AS d;",
        "SELECT GREATEST(COUNT(*), 0) - 0 AS rows_without_value FROM `shop`.`bookmarks` WHERE `agency_id` IS NULL;",
    ] {
        assert!(forward.contains(query), "{query} is not in {forward}");
    }
    assert!(
        back.contains("-- 001-remove-orphans-fk_owner_id: rows and values of shop.bookmarks come back from quarantine"),
        "{back}"
    );
}

#[test]
fn every_operation_of_the_json_says_what_must_hold_before_and_after_it() {
    let plan = plan(json!({
        "typeFixes": [modify("owner_id", "BIGINT UNSIGNED"), with(add("agency_id", true), "/name", json!("add"))],
        "uniqueConstraints": [unique(&["email"])],
        "stages": [{"name": "only", "foreignKeys": [key("owner_id")]}],
    }));
    let document: serde_json::Value = serde_json::from_str(&conditions::json(&plan).unwrap()).unwrap();
    let operations = document["operations"].as_array().unwrap();
    assert_eq!(operations.len(), plan.operations.len());
    for operation in operations {
        for condition in ["precondition", "postcondition"] {
            let text = operation[condition].as_str().unwrap_or_default();
            assert!(text.contains("bookmarks"), "{condition} of {}: {text}", operation["id"]);
        }
    }
    // What is printed is still a plan.
    assert_eq!(serde_json::from_value::<Plan>(document).unwrap(), plan);
}

#[test]
fn the_page_names_the_keys_that_are_there_already() {
    let catalogue =
        change(|catalogue| catalogue.foreign_keys.push(existing("old", &["user_id"], ReferentialAction::Cascade)));
    let page = render::text(&build(&spec(keys(&[key("user_id")])), &catalogue).unwrap());
    let line = "  - old: bookmarks (user_id) -> users (id) ON DELETE CASCADE ON UPDATE NO ACTION\n";
    assert!(page.contains(line), "{page}");
}

proptest! {
    #[test]
    fn statistics_never_change_the_digest_but_any_column_does(rows in any::<u32>(), bytes in any::<u32>(), added in "[a-z]{3,8}") {
        let content = || spec(keys(&[key("user_id")]));
        let digest = build(&content(), &catalogue()).unwrap().digest;
        let mut other = catalogue();
        for table in other.tables.values_mut() {
            table.estimated_rows = u64::from(rows);
            table.data_bytes = u64::from(bytes);
            table.indexes.iter_mut().for_each(|index| index.cardinality = Some(u64::from(rows)));
        }
        other.server.server_uuid = "another".into();
        prop_assert_eq!(&build(&content(), &other).unwrap().digest, &digest);
        let statement = &mut other.tables.get_mut("shop.users").unwrap().create_statement;
        *statement = statement.replace("PRIMARY KEY", &format!("`{added}` int,\n  PRIMARY KEY"));
        prop_assert_ne!(&build(&content(), &other).unwrap().digest, &digest);
    }
}

#[test]
fn pod_templates_are_part_of_the_digest() {
    let with_template = |digest: &str| {
        let templates = BTreeMap::from([("app-tests".to_owned(), digest.to_owned())]);
        crate::plan::build_with_templates(&spec(keys(&[key("user_id")])), &templates, &catalogue()).unwrap().digest
    };
    assert_eq!(with_template("a"), with_template("a"));
    assert_ne!(with_template("a"), with_template("b"));
}
