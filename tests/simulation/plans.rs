//! What the two simulated migrations want, and the plans that follow from it and from the catalogue.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use holdfast::api::status::{PlanStatus, StageState, StageStatus};
use holdfast::plan::Plan;
use holdfast::plan::model::{LockClass, Operation, Section};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

/// The names of the two migrations, both on the schema `shop`.
pub(crate) const NAMES: [&str; 2] = ["first", "second"];

/// What a migration wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Wish {
    /// Its place in [`NAMES`].
    pub(crate) which: usize,
    /// With a type fix.
    pub(crate) fix: bool,
    /// With a unique constraint.
    pub(crate) unique: bool,
    /// The key of the second stage is added by a copy of its table.
    pub(crate) copy: bool,
}

/// What an operation does to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Moves orphans of a table to quarantine.
    Rows,
    /// Adds something that the catalogue shows.
    Object,
    /// Adds a key, which needs that no orphan is left.
    Key,
}

/// What the operation of an id does.
pub(crate) fn kind(id: &str) -> Kind {
    match id {
        _ if id.starts_with("rows-") => Kind::Rows,
        _ if id.starts_with("fk-") => Kind::Key,
        _ => Kind::Object,
    }
}

/// The table whose orphans an operation takes.
pub(crate) fn table(id: &str) -> usize {
    if id.ends_with("-a") { 0 } else { 1 }
}

/// All operations, by the migration that they belong to.
static OPERATIONS: LazyLock<[Vec<Operation>; 2]> = LazyLock::new(|| {
    let name = |table: &str| json!({"schema": "shop", "table": table});
    let key = |id: &str| {
        json!({"name": id, "child": name("child"), "columns": ["parent_id"], "parent": name("parent"),
            "parent_columns": ["id"], "on_delete": "Cascade", "on_update": "NoAction"})
    };
    let operation = |id: &str, section: Value| {
        let action = match kind(id) {
            Kind::Rows => json!({"RemoveOrphans": {"key": key(id), "policy": "Delete"}}),
            Kind::Key => json!({"AddForeignKey": {"key": key(id), "policy": "Delete"}}),
            Kind::Object => json!({"AddIndex": {"table": name("child"), "index": id, "columns": ["parent_id"]}}),
        };
        let lock = if kind(id) == Kind::Rows { "Batched" } else { "Metadata" };
        serde_json::from_value(json!({"id": id, "section": section, "action": action, "forward": null, "inverse": null,
            "lock": lock, "estimate": {"rows": 1, "bytes": 1, "milliseconds": 1000}, "path": "spec"}))
        .unwrap()
    };
    [
        vec![
            operation("rows-a", json!("CleanUp")),
            operation("fix-a", json!("FixTypes")),
            operation("unique-a", json!("AddUniques")),
            operation("fk-a", json!({"Stage": 0})),
            operation("index-b", json!({"Stage": 1})),
            operation("fk-b", json!({"Stage": 1})),
        ],
        vec![operation("rows-c", json!("CleanUp")), operation("fk-c", json!({"Stage": 0}))],
    ]
});

static EMPTY: LazyLock<Plan> = LazyLock::new(|| {
    serde_json::from_value(
        json!({"format": 1, "digest": "", "content_digest": "", "schema": "shop", "tables": {}, "adopted": [],
        "warnings": [], "stages": [], "acknowledged_triggers": [], "operations": [],
        "server": {"flavour": "MySql", "version": {"major": 9, "minor": 7, "patch": 0}, "version_text": "9.7.0",
            "server_uuid": "", "native_foreign_keys": false, "lower_case_table_names": 0}}),
    )
    .unwrap()
});

/// The names of a migration's stages.
pub(crate) fn stages(which: usize) -> &'static [&'static str] {
    if which == 0 { &["users", "rest"] } else { &["users"] }
}

/// Computes a plan, and with it the objects that it leaves alone because they are there.
pub(crate) fn plan(wish: Wish, content_digest: &str, catalogue: &BTreeSet<String>, server: &str) -> Plan {
    let mut plan = EMPTY.clone();
    plan.operations = OPERATIONS[wish.which]
        .iter()
        .filter(|operation| match operation.section {
            Section::FixTypes => wish.fix,
            Section::AddUniques => wish.unique,
            _ => true,
        })
        .filter(|operation| !catalogue.contains(&operation.id))
        .cloned()
        .collect();
    for operation in &mut plan.operations {
        if wish.copy && operation.id == "fk-b" {
            operation.lock = LockClass::Copy;
        }
    }
    let stage = |name: &&str| serde_json::from_value(json!({"name": name, "expect": []})).unwrap();
    plan.stages = stages(wish.which).iter().map(stage).collect();
    plan.content_digest = content_digest.to_owned();
    plan.server.server_uuid = server.to_owned();
    // The definitions of the tables: they show every object.
    plan.tables = [("shop.child".to_owned(), definition(catalogue))].into();
    let mut hasher = DefaultHasher::new();
    (wish, content_digest, catalogue).hash(&mut hasher);
    plan.digest = format!("sha256:{}", format!("{:016x}", hasher.finish()).repeat(4));
    plan
}

/// What SHOW CREATE TABLE would show.
pub(crate) fn definition(catalogue: &BTreeSet<String>) -> String {
    catalogue.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
}

/// The plan as the status shows it.
pub(crate) fn status(plan: &Plan, generation: i64, now: Timestamp) -> PlanStatus {
    PlanStatus {
        digest: plan.digest.clone(),
        config_maps: vec!["plan".to_owned()],
        generation,
        computed_at: Time(now),
        counts: Default::default(),
        estimates: Default::default(),
        warnings: Vec::new(),
    }
}

/// The stages as the status shows them.
pub(crate) fn stage_statuses(plan: &Plan) -> Vec<StageStatus> {
    let keys = |at: usize| {
        plan.operations
            .iter()
            .filter(|operation| operation.section == Section::Stage(at) && kind(&operation.id) == Kind::Key)
            .count()
    };
    plan.stages
        .iter()
        .enumerate()
        .map(|(at, stage)| StageStatus {
            name: stage.name.clone(),
            state: StageState::Pending,
            foreign_keys: i64::try_from(keys(at)).unwrap(),
            added: 0,
            verified: 0,
            started: None,
            finished: None,
        })
        .collect()
}
