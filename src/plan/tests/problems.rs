//! Every problem that the planner knows, once.

use serde_json::{Value, json};

use super::*;
use crate::plan::Problem;

#[test]
fn every_problem_is_found_at_its_path_and_names_the_way_out() {
    let user = key("user_id");
    let uniques = |unique: Value| json!({"uniqueConstraints": [unique]});
    let fixes = |fix: Value| json!({"typeFixes": [fix]});
    let stage = "spec.stages[0].foreignKeys[0]";
    let cases: Vec<(Value, Catalogue, String, &str)> = vec![
        (
            keys(&[with(user.clone(), "/table", json!("absent"))]),
            catalogue(),
            format!("{stage}.table"),
            "does not exist",
        ),
        (
            keys(&[with(user.clone(), "/references/table", json!("absent"))]),
            catalogue(),
            format!("{stage}.references.table"),
            "does not exist",
        ),
        (keys(&[key("absent")]), catalogue(), format!("{stage}.columns[0]"), "has no column"),
        (
            keys(&[with(user.clone(), "/references/columns/0", json!("absent"))]),
            catalogue(),
            format!("{stage}.references.columns[0]"),
            "has no column",
        ),
        (
            keys(&[with(user.clone(), "/references/columns", json!(["id", "email"]))]),
            catalogue(),
            format!("{stage}.references.columns"),
            "name as many",
        ),
        (
            keys(&[key("owner_id")]),
            catalogue(),
            format!("{stage}.columns[0]"),
            "modifyColumn: {name: owner_id, type: \"bigint unsigned\"}",
        ),
        (
            keys(std::slice::from_ref(&user)),
            edit("bookmarks", |table| table.columns[1].column_type = "bigint".into()),
            format!("{stage}.columns[0]"),
            "signed",
        ),
        (
            keys(&[with(with(key("email"), "/references/columns", json!(["email"])), "/name", json!("fk"))]),
            edit("users", |table| {
                table.columns[1].collation = Some("utf8mb4_bin".into());
                table.indexes.push(index("uq_email", true, &["email"]));
            }),
            format!("{stage}.columns[0]"),
            "collations differ",
        ),
        (
            keys(&[with(key("email"), "/references/columns", json!(["email"]))]),
            catalogue(),
            format!("{stage}.references.columns"),
            "add one to spec.uniqueConstraints",
        ),
        (
            keys(std::slice::from_ref(&user)),
            edit("users", |table| table.engine = "MyISAM".into()),
            format!("{stage}.references.table"),
            "MyISAM",
        ),
        (
            keys(std::slice::from_ref(&user)),
            edit("bookmarks", |table| table.partitioned = true),
            format!("{stage}.table"),
            "partitioned",
        ),
        (
            keys(std::slice::from_ref(&user)),
            edit("bookmarks", |table| {
                table.columns[2].data_type = "date".into();
                table.columns[2].default = Some("0000-00-00".into());
            }),
            format!("{stage}.table"),
            "1067",
        ),
        (
            keys(std::slice::from_ref(&user)),
            edit("bookmarks", |table| {
                table.columns[2].data_type = "datetime".into();
                table.columns[2].default = Some("2020-01-00 00:00:00".into());
            }),
            format!("{stage}.table"),
            "1067",
        ),
        (
            keys(std::slice::from_ref(&user)),
            edit("users", |table| table.engine = "VIEW".into()),
            format!("{stage}.references.table"),
            "name the table behind it",
        ),
        (
            keys(&[with(key("maybe_id"), "/orphans", json!("SetNull"))]),
            edit("bookmarks", |table| {
                table.columns[4].extra = "STORED GENERATED".into();
                table.columns[4].generation_expression = Some("(`owner_id` + 1)".into());
            }),
            format!("{stage}.orphans"),
            "is generated",
        ),
        (
            fixes(add("agency_id", true)),
            edit("bookmarks", |table| table.row_versions = Some(254)),
            "spec.typeFixes[0].addColumn".into(),
            "254 of at most 255",
        ),
        (
            fixes(add("agency_id", true)),
            change(|catalogue| {
                catalogue.server.version.major = 8;
                catalogue.server.version.minor = 4;
                catalogue.tables.get_mut("shop.bookmarks").unwrap().row_versions = Some(63);
            }),
            "spec.typeFixes[0].addColumn".into(),
            "FORCE",
        ),
        (
            keys(std::slice::from_ref(&user)),
            edit("bookmarks", |table| {
                table.columns[1].extra = "VIRTUAL GENERATED".into();
                table.columns[1].generation_expression = Some("1".into());
            }),
            format!("{stage}.columns[0]"),
            "virtual",
        ),
        (
            keys(&[with(user.clone(), "/onDelete", json!("SetNull"))]),
            catalogue(),
            format!("{stage}.onDelete"),
            "NOT NULL",
        ),
        (
            keys(&[with(user.clone(), "/orphans", json!("SetNull"))]),
            catalogue(),
            format!("{stage}.orphans"),
            "NOT NULL",
        ),
        (
            keys(&[with(key("maybe_id"), "/onDelete", json!("SetNull"))]),
            edit("bookmarks", |table| table.checks.push(("positive".into(), "(`Maybe_ID` > 0)".into()))),
            format!("{stage}.onDelete"),
            "3823",
        ),
        (
            keys(std::slice::from_ref(&user)),
            edit("bookmarks", |table| {
                table.columns[2].extra = "STORED GENERATED".into();
                table.columns[2].generation_expression = Some("(`USER_id` + 1)".into());
            }),
            format!("{stage}.onDelete"),
            "3192",
        ),
        (
            keys(std::slice::from_ref(&user)),
            edit("bookmarks", |table| table.indexes.clear()),
            format!("{stage}.orphans"),
            "no primary key",
        ),
        (
            keys(std::slice::from_ref(&user)),
            edit("bookmarks", |table| table.triggers.push("watch".into())),
            format!("{stage}.orphans"),
            "hazard: Triggers, table: bookmarks",
        ),
        (
            keys(std::slice::from_ref(&user)),
            change(|catalogue| {
                catalogue.foreign_keys.push(existing("FK_USER_ID", &["maybe_id"], ReferentialAction::Restrict))
            }),
            format!("{stage}.name"),
            "unique in a schema",
        ),
        (
            keys(std::slice::from_ref(&user)),
            change(|catalogue| catalogue.foreign_keys.push(existing("old", &["user_id"], ReferentialAction::Restrict))),
            stage.into(),
            "drop it first",
        ),
        (
            keys(&[user.clone(), with(user.clone(), "/name", json!("again"))]),
            catalogue(),
            "spec.stages[0].foreignKeys[1]".into(),
            "remove one of them",
        ),
        (
            json!({"stages": [{"name": "only", "foreignKeys": [user.clone()], "expect": [{"referencedTable": "Users", "atLeast": 1}]}]}),
            catalogue(),
            "spec.stages[0].expect[0].atLeast".into(),
            "there will be 0",
        ),
        (
            json!({"stages": [{"name": "only", "foreignKeys": [user.clone()], "expect": [{"referencedTable": "users", "atLeast": 2}]}]}),
            catalogue(),
            "spec.stages[0].expect[0].atLeast".into(),
            "there will be 1",
        ),
        (keys(&[with(user.clone(), "/name", json!("x "))]), catalogue(), format!("{stage}.name"), "space"),
        (uniques(unique(&["absent"])), catalogue(), "spec.uniqueConstraints[0].columns[0]".into(), "has no column"),
        (
            uniques(unique(&["user_id", "USER_ID"])),
            catalogue(),
            "spec.uniqueConstraints[0].columns[1]".into(),
            "named twice",
        ),
        (uniques(unique(&["note"])), catalogue(), "spec.uniqueConstraints[0].columns[0]".into(), "whole values"),
        (
            uniques(with(unique(&["email"]), "/duplicates/orderBy", json!("absent"))),
            catalogue(),
            "spec.uniqueConstraints[0].duplicates.orderBy".into(),
            "has no column",
        ),
        (
            uniques(with(unique(&["email"]), "/duplicates", json!({"policy": "KeepNewest"}))),
            catalogue(),
            "spec.uniqueConstraints[0].duplicates.orderBy".into(),
            "name a column",
        ),
        (
            uniques(unique(&["email"])),
            edit("bookmarks", |table| table.indexes.push(index("UQ", false, &["id"]))),
            "spec.uniqueConstraints[0].name".into(),
            "choose another name",
        ),
        (
            uniques(unique(&["user_id", "owner_id"])),
            change(|catalogue| {
                catalogue.foreign_keys.push(existing("made", &["user_id"], ReferentialAction::Restrict));
                catalogue.tables.get_mut("shop.bookmarks").unwrap().indexes.push(index("made", false, &["user_id"]));
            }),
            "spec.uniqueConstraints[0]".into(),
            "RENAME INDEX",
        ),
        (
            fixes(modify("owner_id", "BIGINT; DROP TABLE users")),
            catalogue(),
            "spec.typeFixes[0].modifyColumn.type".into(),
            "no part of a type",
        ),
        (
            fixes(modify("email", "INT")),
            catalogue(),
            "spec.typeFixes[0].modifyColumn.type".into(),
            "add a column with a backfill instead",
        ),
        (
            json!({"typeFixes": [modify("owner_id", "BIGINT"), with(modify("OWNER_ID", "BIGINT UNSIGNED"), "/name", json!("again"))]}),
            catalogue(),
            "spec.typeFixes[1].modifyColumn.name".into(),
            "is changed by spec.typeFixes[0] already",
        ),
        (
            fixes(modify("email", "VARCHAR(60)")),
            catalogue(),
            "spec.typeFixes[0].modifyColumn.type".into(),
            "hazard: OfflineInverse, table: bookmarks",
        ),
        (
            fixes(modify("user_id", "BIGINT")),
            change(|catalogue| catalogue.foreign_keys.push(existing("old", &["user_id"], ReferentialAction::Restrict))),
            "spec.typeFixes[0].modifyColumn.name".into(),
            "drop the key first",
        ),
        (fixes(add("owner_id", true)), catalogue(), "spec.typeFixes[0].addColumn.name".into(), "exists already"),
        (
            fixes(add("agency_id", false)),
            catalogue(),
            "spec.typeFixes[0].addColumn.nullable".into(),
            "must be nullable",
        ),
        (
            fixes(with(add("agency_id", true), "/backfill/fromLookup/take", json!("name"))),
            catalogue(),
            "spec.typeFixes[0].backfill.fromLookup.take".into(),
            "does not fit",
        ),
        (
            fixes(with(add("agency_id", true), "/backfill/fromLookup/match/0/column", json!("user_id"))),
            catalogue(),
            "spec.typeFixes[0].backfill.fromLookup.match[0]".into(),
            "cannot be compared",
        ),
        (
            fixes(add("agency_id", true)),
            edit("bookmarks", |table| table.row_format = "Compressed".into()),
            "spec.typeFixes[0].addColumn".into(),
            "rebuilt",
        ),
    ];
    for (content, catalogue, path, message) in cases {
        let problems: Vec<Problem> =
            build(&spec(content.clone()), &catalogue).expect_err(&format!("{path} {message}: {content}"));
        assert!(
            problems.iter().any(|problem| problem.path == path && problem.message.contains(message)),
            "{path}: {message} is not in {problems:?}"
        );
        assert_eq!(problems.len(), 1, "{problems:?}");
    }
}

#[test]
fn all_problems_are_reported_at_once() {
    let problems = build(&spec(keys(&[key("owner_id"), key("absent")])), &catalogue()).unwrap_err();
    assert_eq!(
        problems.iter().map(|problem| problem.path.as_str()).collect::<Vec<_>>(),
        ["spec.stages[0].foreignKeys[0].columns[0]", "spec.stages[0].foreignKeys[1].columns[0]"]
    );
}
