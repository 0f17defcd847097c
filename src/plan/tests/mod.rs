//! The planner against catalogues made by hand. This file makes the catalogues and specifications.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cascades;
mod plans;
mod problems;
mod sql_steps;

use serde_json::{Value, json};

use super::build;
use super::catalogue::{
    Catalogue, Column, Flavour, ForeignKey, Index, IndexPart, ReferentialAction, Server, Table, Version,
};
use super::identifier::{Identifier, TableName};
use super::model::Plan;
use crate::api::{SchemaMigrationSpec, example};

pub(crate) fn id(text: &str) -> Identifier {
    Identifier::new(text).unwrap()
}

fn name(table: &str) -> TableName {
    TableName::new(id("shop"), id(table))
}

/// A column from `name type`, with `?` at the end if it takes NULL.
pub(crate) fn column(text: &str) -> Column {
    let (column, column_type) = text.trim_end_matches('?').split_once(' ').unwrap();
    let is_text = column_type.starts_with("varchar") || column_type == "text";
    let length = column_type.split(['(', ')']).nth(1).and_then(|length| length.parse().ok()).filter(|_| is_text);
    Column {
        name: id(column),
        column_type: column_type.to_owned(),
        data_type: column_type.split(['(', ' ']).next().unwrap().to_owned(),
        nullable: text.ends_with('?'),
        default: None,
        extra: String::new(),
        character_set: is_text.then(|| "utf8mb4".to_owned()),
        collation: is_text.then(|| "utf8mb4_0900_ai_ci".to_owned()),
        generation_expression: None,
        comment: String::new(),
        character_maximum_length: length,
        character_octet_length: length.map(|length: u64| length * 4),
    }
}

pub(crate) fn index(index: &str, unique: bool, columns: &[&str]) -> Index {
    let part = |column: &&str| IndexPart { column: Some(id(column)), prefix: None, descending: false };
    Index {
        name: id(index),
        unique,
        visible: true,
        kind: "BTREE".to_owned(),
        cardinality: Some(1),
        parts: columns.iter().map(part).collect(),
    }
}

pub(crate) fn table(table: &str, columns: &[&str]) -> Table {
    let columns: Vec<Column> = columns.iter().map(|text| column(text)).collect();
    let lines: Vec<_> = columns
        .iter()
        .map(|column| {
            format!(
                "  {} {} {},\n",
                column.name.quoted(),
                column.column_type,
                if column.nullable { "DEFAULT NULL" } else { "NOT NULL" }
            )
        })
        .collect();
    Table {
        create_statement: format!("CREATE TABLE `{table}` (\n{}  PRIMARY KEY (`id`)\n) ENGINE=InnoDB", lines.concat()),
        name: name(table),
        engine: "InnoDB".to_owned(),
        row_format: "Dynamic".to_owned(),
        collation: Some("utf8mb4_0900_ai_ci".to_owned()),
        partitioned: false,
        columns,
        indexes: vec![index("PRIMARY", true, &["id"])],
        triggers: Vec::new(),
        checks: Vec::new(),
        estimated_rows: 1000,
        data_bytes: 100_000,
        index_bytes: 0,
        row_versions: Some(0),
    }
}

pub(crate) fn catalogue() -> Catalogue {
    let tables = [
        table("users", &["id bigint unsigned", "email varchar(50)", "name varchar(20)?"]),
        table(
            "bookmarks",
            &[
                "id int",
                "user_id bigint unsigned",
                "owner_id int",
                "email varchar(50)?",
                "maybe_id bigint unsigned?",
                "note text?",
            ],
        ),
        table("agencies", &["id int", "name varchar(20)"]),
    ];
    Catalogue {
        server: Server {
            flavour: Flavour::MySql,
            version: Version { major: 9, minor: 7, patch: 4 },
            version_text: "9.7.4".to_owned(),
            server_uuid: "u".to_owned(),
            native_foreign_keys: false,
            lower_case_table_names: 0,
            settings: Default::default(),
        },
        schema: id("shop"),
        tables: tables.into_iter().map(|table| (table.name.to_string(), table)).collect(),
        foreign_keys: Vec::new(),
    }
}

fn key(column: &str) -> Value {
    json!({"name": format!("fk_{column}"), "table": "bookmarks", "columns": [column],
        "references": {"table": "users", "columns": ["id"]}, "onDelete": "Cascade", "orphans": "Delete"})
}

fn with(mut value: Value, pointer: &str, new: Value) -> Value {
    match value.pointer_mut(pointer) {
        Some(place) => *place = new,
        None => value[pointer.trim_start_matches('/')] = new,
    }
    value
}

fn spec(content: Value) -> SchemaMigrationSpec {
    let mut spec = serde_json::to_value(example::spec()).unwrap();
    for field in ["typeFixes", "uniqueConstraints", "stages", "acknowledge"] {
        spec[field] = content.get(field).cloned().unwrap_or_else(|| json!([]));
    }
    spec["database"]["name"] = json!("shop");
    serde_json::from_value(spec).unwrap()
}

fn keys(keys: &[Value]) -> Value {
    json!({"stages": [{"name": "only", "foreignKeys": keys}]})
}

fn plan(content: Value) -> Plan {
    build(&spec(content), &catalogue()).unwrap()
}

fn change(edit: impl FnOnce(&mut Catalogue)) -> Catalogue {
    let mut catalogue = catalogue();
    edit(&mut catalogue);
    catalogue
}

fn edit(table: &str, edit: impl FnOnce(&mut Table)) -> Catalogue {
    change(|catalogue| edit(catalogue.tables.get_mut(&format!("shop.{table}")).unwrap()))
}

fn existing(key_name: &str, columns: &[&str], on_delete: ReferentialAction) -> ForeignKey {
    ForeignKey {
        name: id(key_name),
        child: name("bookmarks"),
        columns: columns.iter().map(|column| id(column)).collect(),
        parent: name("users"),
        parent_columns: vec![id("id")],
        on_delete,
        on_update: ReferentialAction::NoAction,
    }
}

fn unique(columns: &[&str]) -> Value {
    json!({"name": "uq", "table": "bookmarks", "columns": columns, "duplicates": {"policy": "KeepNewest", "orderBy": "id"}})
}

fn modify(column: &str, column_type: &str) -> Value {
    json!({"name": "fix", "table": "bookmarks", "modifyColumn": {"name": column, "type": column_type}})
}

fn add(column: &str, nullable: bool) -> Value {
    json!({"name": "fix", "table": "bookmarks", "addColumn": {"name": column, "type": "INT", "nullable": nullable},
        "backfill": {"fromLookup": {"table": "agencies", "match": [{"column": "email", "equals": "name"}], "take": "id"}}})
}
