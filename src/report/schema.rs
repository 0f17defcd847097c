//! Tables and keys before and after: those of the before-images, and those that the plan adds. Without a plan, what the spec asks for.

use std::collections::{BTreeMap, BTreeSet};

use super::create_table::foreign_keys;
use super::model::{Cascade, Key, KeyState, Schema, Table};
use crate::api::status::{SchemaMigrationStatus, StageState};
use crate::api::{Reason, SchemaMigration, constraints};
use crate::cli::standing;
use crate::plan::cascades::{CascadePath, Reach};
use crate::plan::catalogue::{ForeignKey, ReferentialAction};
use crate::plan::model::{Action, Section};
use crate::plan::render::changed_type;
use crate::plan::{Plan, TableName};

/// Paths whose keys stand out in the picture.
const HOT: usize = 5;
/// Fewer rows are no danger, whichever path is the worst.
const HOT_ROWS: u64 = 100;

/// The schema by a plan.
pub(super) fn of_plan(migration: &SchemaMigration, plan: &Plan) -> Schema {
    let status = standing::status(migration);
    let mut tables = Tables::new(plan);
    let adopted: BTreeSet<(&TableName, &str)> =
        plan.adopted.iter().map(|key| (&key.child, key.name.as_str())).collect();
    let mut before: BTreeMap<(TableName, String), ForeignKey> = BTreeMap::new();
    let of_images = plan.tables.iter().filter_map(|(name, image)| Some(foreign_keys(tables.named(name)?, image)));
    // Keys of tables that no operation touches are known by the paths that lead over them.
    let of_paths = plan.cascades.iter().flat_map(|path| path.keys.iter().cloned());
    let wanted: BTreeSet<(&TableName, &str)> = plan.operations.iter().filter_map(added).map(identity).collect();
    for key in of_images.flatten().chain(plan.adopted.iter().cloned()).chain(of_paths) {
        if !wanted.contains(&identity(&key)) {
            before.entry((key.child.clone(), key.name.as_str().to_owned())).or_insert(key);
        }
    }
    let hot = hot(plan);
    let mut keys = Vec::new();
    for key in before.values() {
        let state = if adopted.contains(&identity(key)) { KeyState::Adopted } else { KeyState::There };
        keys.push(tables.key(key, None, state, hot.contains(&identity(key))));
    }
    for operation in &plan.operations {
        let stage = match operation.section {
            Section::Stage(place) => Some(place),
            _ => None,
        };
        if let Some(key) = added(operation) {
            let state = state(&status, stage);
            keys.push(tables.key(key, stage, state, hot.contains(&identity(key))));
        }
        tables.changed(&operation.action);
    }
    for path in &plan.cascades {
        tables.takes_along(path);
    }
    Schema {
        source: "the plan: the tables that it touches as they were when it was made, and the keys that it adds",
        stages: plan.stages.iter().map(|stage| stage.name.clone()).collect(),
        tables: tables.list,
        keys,
    }
}

/// The schema by the spec alone.
pub(super) fn of_spec(migration: &SchemaMigration) -> Schema {
    let status = standing::status(migration);
    let own = &migration.spec.database.name;
    let mut names: Vec<String> = Vec::new();
    let mut place = |name: String| match names.iter().position(|known| *known == name) {
        Some(place) => place,
        None => {
            names.push(name);
            names.len() - 1
        }
    };
    let mut keys = Vec::new();
    for (stage, of_stage) in migration.spec.stages.iter().enumerate() {
        for key in &of_stage.foreign_keys {
            let parent = match &key.references.schema {
                Some(schema) if schema != own => format!("{schema}.{}", key.references.table),
                _ => key.references.table.clone(),
            };
            keys.push(Key {
                name: key.name.clone(),
                child: place(key.table.clone()),
                columns: key.columns.clone(),
                parent: place(parent),
                parent_columns: key.references.columns.clone(),
                on_delete: action(key.on_delete),
                on_update: action(key.on_update),
                stage: Some(stage),
                state: state(&status, Some(stage)),
                hot: false,
            });
        }
    }
    let table = |name| Table { name, changes: Vec::new(), takes_along: None };
    Schema {
        source: "the spec: without the plan it is not known which keys there were before",
        stages: migration.spec.stages.iter().map(|stage| stage.name.clone()).collect(),
        tables: names.into_iter().map(table).collect(),
        keys,
    }
}

/// The paths, the furthest reach first.
pub(super) fn cascades(plan: &Plan) -> Vec<Cascade> {
    let mut paths: Vec<&CascadePath> = plan.cascades.iter().collect();
    paths.sort_by_key(|path| std::cmp::Reverse(path.reach.rows()));
    let named = |table: &TableName| name(&plan.schema, table);
    let cascade = |path: &CascadePath| Cascade {
        tables: std::iter::once(&path.from).chain(path.keys.iter().map(|key| &key.child)).map(named).collect(),
        rows: path.reach.rows(),
        exact: matches!(path.reach, Reach::Exact(_)),
        sets_null: path.sets_null(),
    };
    paths.into_iter().map(cascade).collect()
}

fn added(operation: &crate::plan::Operation) -> Option<&ForeignKey> {
    match &operation.action {
        Action::AddForeignKey { key, .. } => Some(key),
        _ => None,
    }
}

fn identity(key: &ForeignKey) -> (&TableName, &str) {
    (&key.child, key.name.as_str())
}

/// The keys of the furthest-reaching paths.
fn hot(plan: &Plan) -> BTreeSet<(&TableName, &str)> {
    let mut paths: Vec<&CascadePath> =
        plan.cascades.iter().filter(|path| path.reach.rows().is_some_and(|rows| rows >= HOT_ROWS)).collect();
    paths.sort_by_key(|path| std::cmp::Reverse(path.reach.rows()));
    paths.into_iter().take(HOT).flat_map(|path| &path.keys).map(identity).collect()
}

/// How the keys of a stage stand: the status tells no more of a single one.
fn state(status: &SchemaMigrationStatus, stage: Option<usize>) -> KeyState {
    if standing::reason(status) == Some(Reason::RollbackSucceeded) {
        return KeyState::TakenBack;
    }
    match stage.and_then(|stage| status.stages.get(stage)).map(|stage| stage.state) {
        Some(StageState::Complete) => KeyState::Proven,
        Some(StageState::Running) => KeyState::InWork,
        Some(StageState::Failed) => KeyState::Failed,
        Some(StageState::Pending) | None => KeyState::Planned,
    }
}

const fn action(action: constraints::ReferentialAction) -> ReferentialAction {
    match action {
        constraints::ReferentialAction::Restrict => ReferentialAction::Restrict,
        constraints::ReferentialAction::NoAction => ReferentialAction::NoAction,
        constraints::ReferentialAction::Cascade => ReferentialAction::Cascade,
        constraints::ReferentialAction::SetNull => ReferentialAction::SetNull,
    }
}

fn name(own: &crate::plan::Identifier, table: &TableName) -> String {
    if table.schema == *own { table.table.to_string() } else { table.to_string() }
}

/// The tables by their names, with their places.
struct Tables<'a> {
    plan: &'a Plan,
    /// By the name under which a before-image lies.
    touched: BTreeMap<String, &'a TableName>,
    places: BTreeMap<String, usize>,
    list: Vec<Table>,
}

impl<'a> Tables<'a> {
    fn new(plan: &'a Plan) -> Self {
        let touched: BTreeMap<String, &TableName> =
            plan.touched().into_iter().map(|table| (table.to_string(), table)).collect();
        let mut names: Vec<String> = touched.values().map(|table| name(&plan.schema, table)).collect();
        names.sort();
        let list =
            names.iter().map(|name| Table { name: name.clone(), changes: Vec::new(), takes_along: None }).collect();
        let places = names.into_iter().enumerate().map(|(place, name)| (name, place)).collect();
        Self { plan, touched, places, list }
    }

    fn named(&self, name: &str) -> Option<&'a TableName> {
        self.touched.get(name).copied()
    }

    fn place(&mut self, table: &TableName) -> usize {
        let name = name(&self.plan.schema, table);
        *self.places.entry(name.clone()).or_insert_with(|| {
            self.list.push(Table { name, changes: Vec::new(), takes_along: None });
            self.list.len() - 1
        })
    }

    fn key(&mut self, key: &ForeignKey, stage: Option<usize>, state: KeyState, hot: bool) -> Key {
        let texts = |columns: &[crate::plan::Identifier]| columns.iter().map(ToString::to_string).collect();
        Key {
            name: key.name.to_string(),
            child: self.place(&key.child),
            columns: texts(&key.columns),
            parent: self.place(&key.parent),
            parent_columns: texts(&key.parent_columns),
            on_delete: key.on_delete,
            on_update: key.on_update,
            stage,
            state,
            hot,
        }
    }

    /// What else is changed in a table, beside its keys.
    fn changed(&mut self, action: &Action) {
        let change = match action {
            Action::AddColumn { column, .. } => format!("column {column} added"),
            Action::ModifyColumn { before, after_type, after_collation, .. } => {
                let types = changed_type(before, after_type, after_collation.as_deref());
                format!("column {} changed {types}", before.name)
            }
            Action::AddUnique { index, .. } => format!("unique constraint {index} added"),
            Action::AddIndex { index, .. } => format!("index {index} added"),
            Action::Sql(step) => format!("statement of your own: {}", step.step),
            Action::RemoveOrphans { .. }
            | Action::RemoveDuplicates { .. }
            | Action::Backfill { .. }
            | Action::AddForeignKey { .. } => return,
        };
        let place = self.place(action.table());
        if let Some(table) = self.list.get_mut(place)
            && !table.changes.contains(&change)
        {
            table.changes.push(change);
        }
    }

    fn takes_along(&mut self, path: &CascadePath) {
        let place = self.place(&path.from);
        if let Some(table) = self.list.get_mut(place) {
            table.takes_along = table.takes_along.max(path.reach.rows());
        }
    }
}
