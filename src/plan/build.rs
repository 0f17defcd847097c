//! From a specification and a catalogue to a plan, or to everything that stands in its way. The planner keeps a second picture of
//! the catalogue, which it changes as the operations will, so that each check sees what the earlier steps leave behind.

use std::collections::{BTreeMap, BTreeSet};

use super::cascades::CascadePath;
use super::catalogue::{Catalogue, Column, Index, IndexPart, Table};
use super::digest::plan_digest;
use super::identifier::{Identifier, TableName};
use super::input::{self, FixKind, Input, TypeFix};
use super::model::{Action, Estimate, LockClass, Operation, PLAN_FORMAT, Plan, Section, StagePlan};
use super::problem::Problem;
use crate::api::SchemaMigrationSpec;

/// Makes the plan of a specification that names no pod templates, or whose templates do not matter.
///
/// # Errors
/// All problems at once.
pub fn build(spec: &SchemaMigrationSpec, catalogue: &Catalogue) -> Result<Plan, Vec<Problem>> {
    build_with_templates(spec, &BTreeMap::new(), catalogue)
}

/// Makes the plan; `pod_templates` are the digests of the pod templates that the specification names, by name
/// ([`crate::api::digest::content_digest`]).
///
/// # Errors
/// All problems at once.
pub fn build_with_templates(
    spec: &SchemaMigrationSpec,
    pod_templates: &BTreeMap<String, String>,
    catalogue: &Catalogue,
) -> Result<Plan, Vec<Problem>> {
    let mut input = input::convert(spec, pod_templates)?;
    settle_names(&mut input, catalogue);
    let mut planner = Planner {
        input: &input,
        before: catalogue,
        now: catalogue.clone(),
        problems: Vec::new(),
        warnings: Vec::new(),
        adopted: Vec::new(),
        operations: Vec::new(),
    };
    planner.plan_fixes();
    planner.plan_uniques();
    planner.plan_stages();
    planner.plan_filling_again();
    planner.plan_cleanup();
    let cascades = planner.plan_cascades();
    planner.finish(cascades)
}

/// The planner at work.
pub(crate) struct Planner<'a> {
    pub(crate) input: &'a Input,
    /// The catalogue as it is.
    pub(crate) before: &'a Catalogue,
    /// The catalogue as it will be after the operations planned so far.
    pub(crate) now: Catalogue,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<String>,
    pub(crate) adopted: Vec<super::catalogue::ForeignKey>,
    /// In the order in which they were thought of; [`Planner::finish`] puts them in the order of their sections.
    pub(crate) operations: Vec<Operation>,
}

impl Planner<'_> {
    /// Notes a problem.
    pub(crate) fn problem(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem::new(path, message));
    }

    /// Notes a warning, once.
    pub(crate) fn warn(&mut self, sentence: String) {
        if !self.warnings.contains(&sentence) {
            self.warnings.push(sentence);
        }
    }

    /// A table that is going to be changed or referred to, if it is fit for that.
    pub(crate) fn usable_table(&mut self, path: &str, name: &TableName) -> Option<Table> {
        let Some(table) = self.now.table(name).cloned() else {
            self.problem(
                path,
                format!("the table {name} does not exist, or the account may not see it: correct the name, or grant the account SELECT on it"),
            );
            return None;
        };
        if table.engine.eq_ignore_ascii_case("VIEW") {
            self.problem(
                path,
                format!("{name} is a view, and foreign keys are between tables: name the table behind it"),
            );
            return None;
        }
        // The catalogue has these instead of an engine: MariaDB's other kinds of table.
        if let Some(kind) = ["SEQUENCE", "SYSTEM VERSIONED"].iter().find(|kind| table.engine.eq_ignore_ascii_case(kind))
        {
            self.problem(
                path,
                format!(
                    "{name} is of the kind {kind}, whose rows keep more than what is seen, so they cannot be taken out and put back: leave the table out"
                ),
            );
            return None;
        }
        if !table.engine.eq_ignore_ascii_case("InnoDB") {
            self.problem(
                path,
                format!("{name} is of the engine {}, where foreign keys are ignored: convert it (ALTER TABLE ... ENGINE=InnoDB) first", table.engine),
            );
            return None;
        }
        if table.partitioned {
            self.problem(
                path,
                format!("{name} is partitioned, which InnoDB does not combine with foreign keys: remove the partitioning, or leave the table out"),
            );
            return None;
        }
        Some(table)
    }

    /// A table that a statement is going to alter: besides, no default that stops every ALTER.
    pub(crate) fn alterable_table(&mut self, path: &str, name: &TableName) -> Option<Table> {
        let table = self.usable_table(path, name)?;
        // A month or day of zero is as bad as a whole date.
        let zero = |column: &&Column| {
            matches!(column.data_type.as_str(), "date" | "datetime" | "timestamp")
                && column.default.as_deref().is_some_and(|value| {
                    value.starts_with("0000-") || value.get(4..7) == Some("-00") || value.get(7..10) == Some("-00")
                })
        };
        if let Some(column) = table.columns.iter().find(zero) {
            self.problem(
                path,
                format!(
                    "{name}.{} has the default {}, with which every ALTER of the table fails in strict mode (error 1067): give it another default first",
                    column.name,
                    column.default.as_deref().unwrap_or_default()
                ),
            );
        }
        Some(table)
    }

    /// A column of a table, or a problem that names it.
    pub(crate) fn column(&mut self, path: &str, table: &Table, name: &Identifier) -> Option<Column> {
        let found = table.column(name).cloned();
        if found.is_none() {
            let names: Vec<_> = table.columns.iter().map(|column| column.name.as_str()).collect();
            self.problem(
                path,
                format!(
                    "{} has no column {name}: correct the name (it has {}), or add the column with a type fix",
                    table.name,
                    names.join(", ")
                ),
            );
        }
        found
    }

    /// Several columns; `None` if one is missing or named twice.
    pub(crate) fn columns(&mut self, path: &str, table: &Table, names: &[Identifier]) -> Option<Vec<Column>> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        for (place, name) in names.iter().enumerate() {
            let path = format!("{path}[{place}]");
            if !seen.insert(name.as_str().to_lowercase()) {
                self.problem(path, format!("the column {name} is named twice: remove one"));
            } else if let Some(column) = self.column(&path, table, name) {
                found.push(column);
            }
        }
        (found.len() == names.len()).then_some(found)
    }

    /// Rows can be taken out and put back only by primary key, and triggers fire when they are.
    pub(crate) fn can_change_rows(&mut self, path: &str, table: &Table, why: &str) {
        if table.primary_key().is_empty() {
            self.problem(
                path,
                format!("{why} rows of {}, which has no primary key by which they could be kept and put back: add one, or use the policy Fail", table.name),
            );
        }
        if !table.triggers.is_empty() && !self.input.triggers.contains(&table.name) {
            self.problem(
                path,
                format!(
                    "{why} rows of {}, whose triggers ({}) would fire: acknowledge it with {{hazard: Triggers, table: {}}} in spec.acknowledge, or drop the triggers for the time being",
                    table.name,
                    table.triggers.join(", "),
                    table.name.table
                ),
            );
        }
    }

    /// Adds an index to the picture.
    pub(crate) fn add_index(&mut self, table: &TableName, name: &Identifier, columns: &[Identifier], unique: bool) {
        if let Some(table) = self.now.tables.get_mut(&table.to_string()) {
            let part =
                |column: &Identifier| IndexPart { column: Some(column.clone()), prefix: None, descending: false };
            table.indexes.push(Index {
                name: name.clone(),
                unique,
                visible: true,
                kind: "BTREE".to_owned(),
                cardinality: None,
                parts: columns.iter().map(part).collect(),
            });
        }
    }

    /// Adds an operation; `slug` is its kind and subject.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn push(
        &mut self,
        section: Section,
        slug: String,
        action: Action,
        statements: Option<(String, String)>,
        lock: LockClass,
        estimate: Estimate,
        path: &str,
    ) -> &mut Operation {
        let (forward, inverse) = statements.unzip();
        self.operations.push(Operation {
            id: slug,
            section,
            action,
            forward,
            inverse,
            lock,
            estimate,
            inverse_cost: None,
            path: path.to_owned(),
        });
        let last = self.operations.len() - 1;
        &mut self.operations[last]
    }

    fn finish(mut self, cascades: Vec<CascadePath>) -> Result<Plan, Vec<Problem>> {
        self.operations.sort_by_key(|operation| operation.section);
        for (place, operation) in self.operations.iter_mut().enumerate() {
            let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' };
            operation.id = format!("{:03}-{}", place + 1, operation.id.chars().map(safe).collect::<String>());
        }
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        let mut plan = Plan {
            format: PLAN_FORMAT,
            digest: String::new(),
            content_digest: self.input.content_digest.clone(),
            server: self.before.server.clone(),
            schema: self.before.schema.clone(),
            tables: BTreeMap::new(),
            operations: self.operations,
            adopted: self.adopted,
            stages: (self.input.stages.iter())
                .map(|stage| StagePlan { name: stage.name.clone(), expect: stage.expect.clone() })
                .collect(),
            acknowledged_triggers: self.input.triggers.iter().cloned().collect(),
            cascades,
            warnings: self.warnings,
        };
        let image =
            |name: &TableName| self.before.table(name).map(|table| (name.to_string(), table.create_statement.clone()));
        plan.tables = plan.touched().into_iter().filter_map(image).collect();
        plan.digest = plan_digest(&plan)
            .map_err(|error| vec![Problem::new("spec", format!("the plan has no JSON form: {error}"))])?;
        Ok(plan)
    }
}

/// Spells tables as the server does, where it does not distinguish upper and lower case.
fn settle_names(input: &mut Input, catalogue: &Catalogue) {
    if catalogue.server.lower_case_table_names == 0 {
        return;
    }
    let settle = |name: &mut TableName| {
        let folded = name.to_string().to_lowercase();
        if let Some(table) = catalogue.tables.values().find(|table| table.name.to_string().to_lowercase() == folded) {
            *name = table.name.clone();
        }
    };
    for fix in &mut input.fixes {
        match fix {
            TypeFix::Column(fix) => {
                settle(&mut fix.table);
                if let FixKind::Add { backfill: Some(backfill), .. } = &mut fix.kind {
                    settle(&mut backfill.lookup);
                }
            }
            TypeFix::Sql(fix) => {
                fix.table.iter_mut().for_each(settle);
                for statement in fix.up.iter_mut().chain(&mut fix.down) {
                    settle(&mut statement.table);
                    statement.reads.iter_mut().for_each(settle);
                }
            }
        }
    }
    input.uniques.iter_mut().for_each(|unique| settle(&mut unique.table));
    for wanted in input.stages.iter_mut().flat_map(|stage| &mut stage.keys) {
        settle(&mut wanted.key.child);
        settle(&mut wanted.key.parent);
    }
    for acknowledged in [&mut input.triggers, &mut input.offline_inverse, &mut input.circles] {
        *acknowledged = std::mem::take(acknowledged)
            .into_iter()
            .map(|mut table| {
                settle(&mut table);
                table
            })
            .collect();
    }
}

/// Whether two names of columns, indexes or constraints are the same to the server.
pub(crate) fn same(one: &Identifier, other: &Identifier) -> bool {
    one.as_str().to_lowercase() == other.as_str().to_lowercase()
}

/// The same for lists, in order.
pub(crate) fn same_list(some: &[Identifier], others: &[Identifier]) -> bool {
    some.len() == others.len() && some.iter().zip(others).all(|(one, other)| same(one, other))
}
