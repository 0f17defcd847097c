#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use crate::plan::catalogue::{ReferentialAction, Table};
use crate::plan::tests;

/// Columns as `name type`, with `?` where NULL is allowed and `!` where the server counts; the first list of names is the primary key,
/// the others are unique.
fn table(name: &str, columns: &str, keys: &[&str]) -> Table {
    let texts: Vec<&str> = columns.split(", ").collect();
    let plain: Vec<String> = texts.iter().map(|text| text.replace('!', "")).collect();
    let mut table = tests::table(name, &plain.iter().map(String::as_str).collect::<Vec<_>>());
    for (column, text) in table.columns.iter_mut().zip(texts) {
        if text.ends_with('!') {
            column.extra = "auto_increment".to_owned();
        }
    }
    let index = |(number, names): (usize, &&str)| {
        let name = if number == 0 { "PRIMARY".to_owned() } else { format!("uq{number}") };
        tests::index(&name, true, &names.split(' ').collect::<Vec<_>>())
    };
    table.indexes = keys.iter().enumerate().map(index).collect();
    table
}

fn catalogue(tables: Vec<Table>) -> Catalogue {
    let tables = tables.into_iter().map(|table| (table.name.to_string(), table)).collect();
    Catalogue { tables, foreign_keys: Vec::new(), ..tests::catalogue() }
}

fn by_names(tables: Vec<Table>) -> Discovery {
    let catalogue = catalogue(tables);
    let (candidates, left_out) = candidates(&catalogue);
    let weighed = candidates.into_iter().map(|candidate| (candidate, Evidence::NotAsked)).collect();
    judge(&catalogue, weighed, left_out, Confidence::Medium)
}

fn told(found: &[Discovered]) -> Vec<String> {
    let list = |names: &[Identifier]| names.iter().map(Identifier::as_str).collect::<Vec<_>>().join(",");
    let mut all: Vec<String> = found
        .iter()
        .map(|found| {
            let key = &found.key;
            format!("{}.{}->{}.{}", key.child.table, list(&key.columns), key.parent.table, list(&key.parent_columns))
        })
        .collect();
    all.sort();
    all
}

#[test]
fn conventions_of_names_are_known_in_every_style() {
    for (parent, key, child) in [
        ("users", "id", "user_id"),
        ("user", "id", "userId"),
        ("Users", "Id", "UserId"),
        ("USERS", "ID", "USER_ID"),
        ("users", "user_id", "user_id"),
        ("users", "userid", "userid"),
        ("categories", "id", "category_id"),
        ("people", "id", "person_id"),
        ("addresses", "id", "billing_address_id"),
        ("addresses", "address_id", "billing_address_id"),
        ("customers", "customerNumber", "customerNumber"),
        ("users", "id", "fk_user"),
        ("users", "uuid", "user_uuid"),
        ("users", "id", "created_by"),
    ] {
        let found = by_names(vec![
            table(parent, &format!("{key} int!"), &[key]),
            table("posts", &format!("id int!, {child} int"), &["id"]),
        ]);
        assert_eq!(told(&found.proposed), [format!("posts.{child}->{parent}.{key}")], "{found:?}");
    }
}

#[test]
fn a_prefix_of_all_tables_is_no_part_of_their_names() {
    let found = by_names(vec![
        table("wp_users", "id bigint!", &["id"]),
        table("wp_posts", "id bigint!, user_id bigint", &["id"]),
        table("wp_terms", "id bigint!", &["id"]),
        table("wp_links", "id bigint!, term_id bigint?", &["id"]),
    ]);
    assert_eq!(told(&found.proposed), ["wp_links.term_id->wp_terms.id", "wp_posts.user_id->wp_users.id"]);
}

#[test]
fn a_key_that_several_tables_have_belongs_to_the_one_that_is_named_by_it() {
    let found = by_names(vec![
        table("hosts", "hostid bigint!, proxy_hostid bigint?", &["hostid"]),
        table("host_inventory", "hostid bigint, os varchar(9)", &["hostid"]),
        table("items", "itemid bigint!, hostid bigint", &["itemid"]),
    ]);
    assert_eq!(
        told(&found.proposed),
        ["host_inventory.hostid->hosts.hostid", "hosts.proxy_hostid->hosts.hostid", "items.hostid->hosts.hostid"]
    );
    let action = |table: &str| {
        found.proposed.iter().find(|found| found.key.child.table.as_str() == table).unwrap().key.on_delete
    };
    assert_eq!(action("host_inventory"), ReferentialAction::Cascade);
    assert_eq!(action("items"), ReferentialAction::Restrict);
}

#[test]
fn the_columns_of_a_composite_key_are_found_together() {
    let found = by_names(vec![
        table(
            "triggers",
            "sched_name varchar(120), trigger_name varchar(190), trigger_group varchar(190)",
            &["sched_name trigger_name trigger_group"],
        ),
        table(
            "simple_triggers",
            "sched_name varchar(120), trigger_name varchar(190), trigger_group varchar(190)",
            &["sched_name trigger_name trigger_group"],
        ),
        table("orders", "tenant_id int, id int", &["tenant_id id"]),
        table("order_lines", "tenant_id int, order_id int, line int", &["tenant_id order_id line"]),
    ]);
    assert_eq!(
        told(&found.proposed),
        [
            "order_lines.tenant_id,order_id->orders.tenant_id,id",
            "simple_triggers.sched_name,trigger_name,trigger_group->triggers.sched_name,trigger_name,trigger_group"
        ]
    );
}

#[test]
fn what_types_forbid_is_told_with_the_change_that_would_allow_it() {
    let found = by_names(vec![
        table("users", "id bigint unsigned!", &["id"]),
        table("posts", "id int!, user_id int", &["id"]),
        table("notes", "id int!, user_id varchar(20)", &["id"]),
    ]);
    assert!(found.proposed.is_empty());
    assert_eq!(told(&found.uncertain), ["posts.user_id->users.id"]);
    let Some(Obstacle::Type { wanted, .. }) = &found.uncertain[0].obstacle else { panic!("{found:?}") };
    assert_eq!(wanted, "BIGINT UNSIGNED");
    assert_eq!(found.left_out[0].place, "notes.user_id");
}

#[test]
fn a_column_beside_one_that_names_its_table_refers_to_several() {
    let found = by_names(vec![
        table("posts", "id int!", &["id"]),
        table("comments", "id int!, subject_type varchar(20), subject_id int, post_id int", &["id"]),
    ]);
    assert_eq!(told(&found.proposed), ["comments.post_id->posts.id"]);
    assert_eq!(found.left_out.len(), 1);
    assert!(found.left_out[0].why.contains("subject_type"), "{found:?}");
}

#[test]
fn a_reference_that_fits_no_table_is_told() {
    let found = by_names(vec![table("posts", "id int!, gizmo_id int, title varchar(9)", &["id"])]);
    assert_eq!(found.left_out.iter().map(|left| left.place.as_str()).collect::<Vec<_>>(), ["posts.gizmo_id"]);
}

#[test]
fn data_that_speaks_against_a_name_takes_the_key_out() {
    let catalogue = catalogue(vec![
        table("users", "id int!", &["id"]),
        table("posts", "id int!, user_id int, created_by int?", &["id"]),
    ]);
    let (candidates, left_out) = candidates(&catalogue);
    let evidence = |orphans| {
        Evidence::Read(Inclusion { reading: Reading::Exact, rows: 100, distinct: 50, orphans, empty: 0, density: None })
    };
    let weighed = candidates
        .into_iter()
        .map(|candidate| {
            let orphans = if candidate.key.columns[0].as_str() == "user_id" { 1 } else { 95 };
            (candidate, evidence(orphans))
        })
        .collect();
    let found = judge(&catalogue, weighed, left_out, Confidence::Medium);
    assert_eq!(told(&found.proposed), ["posts.user_id->users.id"]);
    assert_eq!(found.left_out[0].place, "posts.created_by");
    assert!(found.left_out[0].why.contains("95 orphans"), "{found:?}");
}

#[test]
fn names_of_keys_differ_from_each_other_and_from_those_that_are_there() {
    let long = "a".repeat(60);
    let mut catalogue = catalogue(vec![
        table("users", "id int!", &["id"]),
        table(&format!("{long}_x"), "id int!, user_id int", &["id"]),
        table(&format!("{long}_y"), "id int!, user_id int", &["id"]),
    ]);
    catalogue.foreign_keys.clear();
    let (candidates, left_out) = candidates(&catalogue);
    let weighed = candidates.into_iter().map(|candidate| (candidate, Evidence::NotAsked)).collect();
    let found = judge(&catalogue, weighed, left_out, Confidence::Medium);
    let names: BTreeSet<&str> = found.proposed.iter().map(|found| found.key.name.as_str()).collect();
    assert_eq!(names.len(), 2);
    assert!(names.iter().all(|name| name.chars().count() <= 64));
}
