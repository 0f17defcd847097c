//! Keys beside other keys: what a plan says of deletions that go further than one table, and of keys that say the same.

use serde_json::{Value, json};

use super::*;
use crate::plan::cascades::Reach;
use crate::plan::render;

/// Keys from each table to the one before it, all Cascade, and their tables.
fn chain(tables: &[&str]) -> (Value, Catalogue) {
    let catalogue = change(|catalogue| {
        for each in tables {
            catalogue.tables.insert(format!("shop.{each}"), table(each, &["id bigint unsigned", "up bigint unsigned"]));
        }
    });
    let pairs = tables.windows(2).map(|pair| link(pair[1], pair[0])).collect::<Vec<_>>();
    (keys(&pairs), catalogue)
}

fn link(child: &str, parent: &str) -> Value {
    json!({"name": format!("fk_{child}_{parent}"), "table": child, "columns": ["up"],
        "references": {"table": parent, "columns": ["id"]}, "onDelete": "Cascade"})
}

fn warnings(content: Value, catalogue: &Catalogue) -> Vec<String> {
    build(&spec(content), catalogue).unwrap().warnings
}

#[test]
fn every_path_of_a_wanted_key_is_listed_shortest_first_and_setting_to_null_ends_it() {
    let (mut content, catalogue) = chain(&["a", "b", "c", "d"]);
    content["stages"][0]["foreignKeys"][1]["onDelete"] = json!("SetNull");
    let nullable = |catalogue: &mut Catalogue| {
        catalogue.tables.get_mut("shop.c").unwrap().columns[1].nullable = true;
    };
    let mut catalogue = catalogue;
    nullable(&mut catalogue);
    let plan = build(&spec(content), &catalogue).unwrap();
    let shown: Vec<String> = plan.cascades.iter().map(render::cascade).collect();
    let heads: Vec<&str> = shown.iter().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(heads, ["a -> b", "b -> c", "c -> d", "a -> b -> c"]);
    assert!(shown[1].contains("rows set to NULL"), "{shown:?}");
    assert!(plan.cascades.iter().all(|path| path.reach == Reach::NotMeasured));
}

#[test]
fn paths_of_keys_that_are_there_already_are_listed_only_with_a_wanted_one() {
    let (mut content, mut catalogue) = chain(&["a", "b", "c"]);
    let mut there = existing("there", &["up"], ReferentialAction::Cascade);
    (there.child, there.parent) = (name("b"), name("a"));
    catalogue.foreign_keys.push(there);
    let wanted = content["stages"][0]["foreignKeys"].as_array_mut().unwrap();
    wanted.remove(0);
    let plan = build(&spec(content), &catalogue).unwrap();
    let heads: Vec<String> =
        plan.cascades.iter().map(|path| render::cascade(path).split(':').next().unwrap().to_owned()).collect();
    assert_eq!(heads, ["b -> c", "a -> b -> c"]);
}

#[test]
fn deep_chains_are_warned_of() {
    let names: Vec<String> = (0..17).map(|number| format!("t{number:02}")).collect();
    let tables: Vec<&str> = names.iter().map(String::as_str).collect();
    let deep = |count: usize| {
        let (content, catalogue) = chain(&tables[..count]);
        warnings(content, &catalogue).iter().filter(|warning| warning.contains("3008")).count()
    };
    assert_eq!((deep(16), deep(17)), (0, 1));
}

#[test]
fn circles_are_named_once_and_keys_to_the_table_itself_too() {
    let (mut content, catalogue) = chain(&["a", "b"]);
    content["stages"][0]["foreignKeys"].as_array_mut().unwrap().push(link("a", "b"));
    content["acknowledge"] = json!([{"hazard": "CascadeCircle", "table": "b"}]);
    let found = warnings(content, &catalogue);
    assert_eq!(
        found.iter().filter(|warning| warning.contains("round in a circle: a -> b -> a")).count(),
        1,
        "{found:?}"
    );
    let found = warnings(keys(&[link("a", "a")]), &catalogue);
    assert!(found.iter().any(|warning| warning.starts_with("shop.a refers to itself by fk_a_a")), "{found:?}");
}

/// The problems of a plan on a server that carries foreign keys out itself, by path and the keys that they name; none on any other server.
fn rounds(content: &Value, catalogue: &Catalogue) -> Vec<(String, String)> {
    let mut native = catalogue.clone();
    native.server.native_foreign_keys = true;
    build(&spec(content.clone()), &native).unwrap();
    let Err(problems) = build(&spec(content.clone()), catalogue) else { return Vec::new() };
    let named =
        |message: &str| message.split_once("by the keys ").unwrap().1.split_once(", and this").unwrap().0.to_owned();
    problems.into_iter().map(|problem| (problem.path, named(&problem.message))).collect()
}

#[test]
fn a_deletion_that_comes_round_needs_an_acknowledgement_where_the_server_would_not_follow_it() {
    let path = |place: usize| format!("spec.stages[0].foreignKeys[{place}].onDelete");
    let (content, mut catalogue) = chain(&["a", "b"]);
    for each in ["a", "b"] {
        catalogue.tables.get_mut(&format!("shop.{each}")).unwrap().columns[1].nullable = true;
    }
    let keys = |content: &mut Value, key: Value| content["stages"][0]["foreignKeys"].as_array_mut().unwrap().push(key);
    assert_eq!(rounds(&content, &catalogue), []);
    let own = link("a", "a");
    // To itself alone it is followed; with another key beside it, it is not.
    assert_eq!(rounds(&super::keys(std::slice::from_ref(&own)), &catalogue), []);
    let mut beside = content.clone();
    keys(&mut beside, own);
    assert_eq!(rounds(&beside, &catalogue), [(path(0), "fk_a_a, fk_b_a".to_owned())]);
    // A key below what is there already is part of it, too.
    let mut there = [
        existing("fk_a_a", &["up"], ReferentialAction::Cascade),
        existing("fk_b_a", &["up"], ReferentialAction::Cascade),
    ];
    for (key, child) in there.iter_mut().zip(["a", "b"]) {
        (key.child, key.parent) = (name(child), name("a"));
    }
    let (mut deeper, mut below) = chain(&["a", "b", "c"]);
    below.foreign_keys.extend(there);
    deeper["stages"][0]["foreignKeys"].as_array_mut().unwrap().remove(0);
    assert_eq!(rounds(&deeper, &below), [(path(0), "fk_a_a, fk_b_a, fk_c_b".to_owned())]);
    beside["stages"][0]["foreignKeys"][0]["onDelete"] = json!("Restrict");
    assert_eq!(rounds(&beside, &catalogue), []);
    for (back, comes_round) in [("Cascade", true), ("SetNull", true), ("Restrict", false)] {
        let mut content = content.clone();
        let mut key = link("a", "b");
        key["onDelete"] = json!(back);
        keys(&mut content, key);
        let expected: &[_] = if comes_round { &[(path(0), "fk_b_a, fk_a_b".to_owned())] } else { &[] };
        assert_eq!(rounds(&content, &catalogue), expected, "{back}");
        content["acknowledge"] = json!([{"hazard": "CascadeCircle", "table": "a"}]);
        let told = warnings(content, &catalogue).iter().any(|warning| warning.starts_with("Acknowledged: a deletion"));
        assert_eq!(told, comes_round, "{back}");
    }
}

#[test]
fn triggers_that_will_not_fire_are_named() {
    let (content, mut catalogue) = chain(&["a", "b"]);
    catalogue.tables.get_mut("shop.b").unwrap().triggers.push("watch".into());
    let found = warnings(content, &catalogue);
    assert!(
        found.iter().any(|warning| warning.starts_with("shop.b has triggers (watch), which do not fire")),
        "{found:?}"
    );
}

#[test]
fn the_same_pairs_in_another_order_are_the_same_key() {
    let columns = |own: [&str; 2], other: [&str; 2]| json!({"name": "fk", "table": "b", "columns": own, "references": {"table": "a", "columns": other}, "onDelete": "Restrict"});
    let (_, mut catalogue) = chain(&["a", "b"]);
    let mut there = existing("there", &["id", "up"], ReferentialAction::Restrict);
    (there.child, there.parent, there.parent_columns) = (name("b"), name("a"), vec![id("id"), id("up")]);
    catalogue.foreign_keys.push(there);
    let plan = build(&spec(keys(&[columns(["up", "id"], ["up", "id"])])), &catalogue).unwrap();
    assert_eq!((plan.adopted.len(), plan.operations.len()), (1, 0));
    // The same columns in other pairs are another key, and the parent has no index for it.
    assert!(build(&spec(keys(&[columns(["up", "id"], ["id", "up"])])), &catalogue).is_err());
}

#[test]
fn keys_that_say_the_same_or_have_two_parents_are_pointed_out() {
    let (content, mut catalogue) = chain(&["a", "b"]);
    let mut wide = existing("wide", &["up", "id"], ReferentialAction::Restrict);
    (wide.child, wide.parent, wide.parent_columns) = (name("b"), name("a"), vec![id("id"), id("up")]);
    let mut elsewhere = existing("elsewhere", &["up"], ReferentialAction::Restrict);
    (elsewhere.child, elsewhere.parent) = (name("b"), name("users"));
    catalogue.foreign_keys.extend([wide, elsewhere]);
    let found = warnings(content, &catalogue);
    assert!(found.iter().any(|warning| warning.contains("wide says already what fk_b_a says")), "{found:?}");
    assert!(found.iter().any(|warning| warning.contains("each row needs a parent in both")), "{found:?}");
}
