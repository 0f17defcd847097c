//! The specification that a random world asks for: the real API type, filled as a user's manifest fills it.

use holdfast::api::{SchemaMigration, SchemaMigrationSpec};
use serde_json::{Value, json};

use crate::values::KeyKind;
use crate::world::{Act, Kind, Orphans, Via, World};

/// Everything that a specification needs beside its content.
const SAMPLE: &str = include_str!("../../deploy/sample/migration.yaml");

fn action(action: Act) -> &'static str {
    match action {
        Act::Restrict => "Restrict",
        Act::NoAction => "NoAction",
        Act::Cascade => "Cascade",
        Act::SetNull => "SetNull",
    }
}

fn type_fixes(world: &World) -> Vec<Value> {
    let mut fixes = Vec::new();
    for (place, relation) in world.relations.iter().enumerate() {
        let (child, parent) = (&world.tables[relation.child], &world.tables[relation.parent]);
        match &relation.via {
            Via::Column => {}
            Via::Widened(kind) => fixes.push(json!({
                "name": format!("widen-{place}"), "table": child.name,
                "modifyColumn": {"name": child.columns[relation.columns[0]].name, "type": kind.sql(world.dialect)},
            })),
            Via::Added { column, matcher } => fixes.push(json!({
                "name": format!("add-{place}"), "table": child.name,
                "addColumn": {"name": column, "type": parent_type(world, relation.parent, relation.parent_columns[0]).sql(world.dialect), "nullable": true},
                "backfill": {"fromLookup": {
                    "table": parent.name,
                    "match": [{"column": child.columns[*matcher].name, "equals": parent.label.map(|label| parent.columns[label].name.clone())}],
                    "take": parent.columns[relation.parent_columns[0]].name,
                }},
                "verify": {"maxUnmapped": 100_000},
            })),
        }
    }
    fixes
}

fn parent_type(world: &World, table: usize, column: usize) -> KeyKind {
    match world.tables[table].columns[column].kind {
        Kind::Key(kind) => kind,
        other => unreachable!("{other:?} is no key"),
    }
}

/// The specification.
pub(crate) fn specification(world: &World, schema: &str, journal: &str) -> SchemaMigrationSpec {
    let uniques: Vec<Value> = world
        .uniques
        .iter()
        .map(|unique| {
            json!({
                "name": unique.name, "table": world.tables[unique.table].name,
                "columns": world.column_names(unique.table, &unique.columns),
                "duplicates": {"policy": unique.policy, "orderBy": world.tables[unique.table].columns[unique.order_by].name},
            })
        })
        .collect();
    let key = |relation: &crate::world::Relation| {
        json!({
            "name": relation.name, "table": world.tables[relation.child].name, "columns": world.child_columns(relation),
            "references": {"table": world.tables[relation.parent].name, "columns": world.parent_columns(relation)},
            "onDelete": action(relation.on_delete), "onUpdate": action(relation.on_update),
            "orphans": match relation.orphans {
                Orphans::Fail => "Fail",
                Orphans::Delete => "Delete",
                Orphans::SetNull => "SetNull",
            },
        })
    };
    let stages: Vec<Value> = (0..world.stages)
        .filter_map(|stage| {
            let keys: Vec<Value> =
                world.relations.iter().filter(|relation| relation.wanted && relation.stage == stage).map(key).collect();
            (!keys.is_empty()).then(|| json!({"name": format!("stage-{stage}"), "foreignKeys": keys}))
        })
        .collect();
    let migration: SchemaMigration = serde_yaml::from_str(SAMPLE).unwrap();
    let mut spec = serde_json::to_value(migration.spec).unwrap();
    spec["typeFixes"] = json!(type_fixes(world));
    spec["uniqueConstraints"] = json!(uniques);
    spec["stages"] = json!(stages);
    spec["acknowledge"] = json!([]);
    spec["database"]["name"] = json!(schema);
    spec["journal"] = json!({"schema": journal});
    serde_json::from_value(spec).unwrap()
}
