//! What the planner takes from a specification: names checked, fields of the API turned into the planner's own words, each with
//! the path that messages name. The only file of the planner that knows the API's types.

use std::collections::{BTreeMap, BTreeSet};

use super::catalogue::{ForeignKey, ReferentialAction};
use super::identifier::{Identifier, TableName};
use super::model::{DuplicatePolicy, Expectation, OrphanPolicy};
use super::own_statement::{self, OwnStatement};
use super::problem::Problem;
use super::sql_text::split;
use crate::api::execution::Hazard;
use crate::api::refusals::refusals;
use crate::api::type_fixes::{self, Change};
use crate::api::{SchemaMigrationSpec, constraints, digest};

/// The whole input.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) content_digest: String,
    /// Tables whose triggers may fire.
    pub(crate) triggers: BTreeSet<TableName>,
    /// Tables on which a step may have an inverse that blocks writers.
    pub(crate) offline_inverse: BTreeSet<TableName>,
    /// Tables to which a deletion may come round again.
    pub(crate) circles: BTreeSet<TableName>,
    pub(crate) fixes: Vec<TypeFix>,
    pub(crate) uniques: Vec<Unique>,
    pub(crate) stages: Vec<Stage>,
}

/// One type fix.
#[derive(Debug, Clone)]
pub(crate) enum TypeFix {
    Column(Fix),
    Sql(SqlFix),
}

/// Statements of the user's own.
#[derive(Debug, Clone)]
pub(crate) struct SqlFix {
    pub(crate) path: String,
    pub(crate) name: String,
    /// The only table that the statements may change, where one is named.
    pub(crate) table: Option<TableName>,
    pub(crate) up: Vec<OwnStatement>,
    pub(crate) down: Vec<OwnStatement>,
    pub(crate) verify: String,
}

/// One column to add or change.
#[derive(Debug, Clone)]
pub(crate) struct Fix {
    pub(crate) path: String,
    pub(crate) table: TableName,
    pub(crate) column: Identifier,
    /// As written; parsed by the planner.
    pub(crate) column_type: String,
    pub(crate) kind: FixKind,
}

#[derive(Debug, Clone)]
pub(crate) enum FixKind {
    Add { nullable: bool, backfill: Option<Backfill> },
    Modify,
}

#[derive(Debug, Clone)]
pub(crate) struct Backfill {
    pub(crate) lookup: TableName,
    /// Pairs of columns: of the table that is filled, of the one looked up.
    pub(crate) matches: Vec<(Identifier, Identifier)>,
    pub(crate) take: Identifier,
    pub(crate) max_unmapped: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Unique {
    pub(crate) path: String,
    pub(crate) name: Identifier,
    pub(crate) table: TableName,
    pub(crate) columns: Vec<Identifier>,
    pub(crate) policy: DuplicatePolicy,
    pub(crate) order_by: Option<Identifier>,
}

#[derive(Debug, Clone)]
pub(crate) struct Stage {
    pub(crate) path: String,
    pub(crate) name: String,
    pub(crate) keys: Vec<WantedKey>,
    pub(crate) expect: Vec<Expectation>,
}

#[derive(Debug, Clone)]
pub(crate) struct WantedKey {
    pub(crate) path: String,
    pub(crate) key: ForeignKey,
    pub(crate) policy: OrphanPolicy,
}

/// The tables that a specification names: those whose catalogue the planner needs.
///
/// # Errors
/// Names that are none.
pub fn tables(spec: &SchemaMigrationSpec) -> Result<Vec<TableName>, Vec<Problem>> {
    let input = convert(spec, &BTreeMap::new())?;
    let mut tables = BTreeSet::new();
    for fix in &input.fixes {
        match fix {
            TypeFix::Column(fix) => {
                tables.insert(fix.table.clone());
                if let FixKind::Add { backfill: Some(backfill), .. } = &fix.kind {
                    tables.insert(backfill.lookup.clone());
                }
            }
            TypeFix::Sql(fix) => {
                for statement in fix.up.iter().chain(&fix.down) {
                    tables.insert(statement.table.clone());
                    tables.extend(statement.reads.iter().cloned());
                }
            }
        }
    }
    tables.extend(input.uniques.iter().map(|unique| unique.table.clone()));
    for wanted in input.stages.iter().flat_map(|stage| &stage.keys) {
        tables.insert(wanted.key.child.clone());
        tables.insert(wanted.key.parent.clone());
    }
    Ok(tables.into_iter().collect())
}

/// Reads names, collecting all that are none.
struct Names {
    schema: Identifier,
    problems: Vec<Problem>,
}

impl Names {
    fn name(&mut self, path: &str, text: &str) -> Identifier {
        match Identifier::new(text) {
            Ok(name) => name,
            Err(error) => {
                self.problems.push(Problem::new(path, error.to_string()));
                // Stands in until the problems are returned; no plan is made of it.
                self.schema.clone()
            }
        }
    }

    fn list(&mut self, path: &str, texts: &[String]) -> Vec<Identifier> {
        texts.iter().enumerate().map(|(place, text)| self.name(&format!("{path}[{place}]"), text)).collect()
    }

    fn table(&mut self, path: &str, text: &str) -> TableName {
        TableName::new(self.schema.clone(), self.name(path, text))
    }
}

/// Turns a specification into the planner's input; `pod_templates` are digests of the templates it names.
pub(crate) fn convert(
    spec: &SchemaMigrationSpec,
    pod_templates: &BTreeMap<String, String>,
) -> Result<Input, Vec<Problem>> {
    let schema = Identifier::new(spec.database.name.as_str())
        .map_err(|error| vec![Problem::new("spec.database.name", error.to_string())])?;
    let content_digest = digest::content_digest(spec, pod_templates)
        .map_err(|error| vec![Problem::new("spec", format!("has no JSON form: {error}"))])?;
    let mut names = Names { schema, problems: Vec::new() };
    names.problems.extend(refusals(spec).into_iter().map(|refusal| Problem::new(refusal.path, refusal.message)));
    names.problems.extend(pattern_of_logs(spec));
    let mut triggers = BTreeSet::new();
    let (mut offline_inverse, mut circles) = (BTreeSet::new(), BTreeSet::new());
    for (place, acknowledgement) in spec.acknowledge.iter().enumerate() {
        let table = names.table(&format!("spec.acknowledge[{place}].table"), &acknowledgement.table);
        match acknowledgement.hazard {
            Hazard::Triggers => drop(triggers.insert(table)),
            Hazard::OfflineInverse => drop(offline_inverse.insert(table)),
            Hazard::CascadeCircle => drop(circles.insert(table)),
            Hazard::ReplaceOnCascadeParent => {}
        }
    }
    let fixes = fixes(spec, &mut names);
    let uniques =
        spec.unique_constraints.iter().enumerate().map(|(place, unique)| read_unique(place, unique, &mut names));
    let uniques = uniques.collect();
    let stages = spec.stages.iter().enumerate().map(|(place, stage)| read_stage(place, stage, &mut names)).collect();
    if names.problems.is_empty() {
        Ok(Input { content_digest, triggers, offline_inverse, circles, fixes, uniques, stages })
    } else {
        Err(names.problems)
    }
}

/// A pattern that no line could be held against would be found only once everything is changed.
fn pattern_of_logs(spec: &SchemaMigrationSpec) -> Option<Problem> {
    let logs = spec.soak.as_ref()?.logs.as_ref()?;
    let problem = logs.regex().err()?;
    let message = format!("{:?} is no regular expression that can be used ({problem}): correct it", logs.pattern);
    Some(Problem::new("spec.soak.logs.pattern", message))
}

fn fixes(spec: &SchemaMigrationSpec, names: &mut Names) -> Vec<TypeFix> {
    let mut fixes = Vec::new();
    for (place, fix) in spec.type_fixes.iter().enumerate() {
        let path = format!("spec.typeFixes[{place}]");
        match fix.change() {
            Ok(Change::AddColumn { table, column, backfill }) => {
                let backfill = backfill.map(|backfill| {
                    let lookup = &backfill.from_lookup;
                    let inner = format!("{path}.backfill.fromLookup");
                    Backfill {
                        lookup: names.table(&format!("{inner}.table"), &lookup.table),
                        matches: (lookup.matching.iter().enumerate())
                            .map(|(place, pair)| {
                                let own = names.name(&format!("{inner}.match[{place}].column"), &pair.column);
                                (own, names.name(&format!("{inner}.match[{place}].equals"), &pair.equals))
                            })
                            .collect(),
                        take: names.name(&format!("{inner}.take"), &lookup.take),
                        // The schema's minimum is 0.
                        max_unmapped: u64::try_from(fix.verify.max_unmapped).unwrap_or(0),
                    }
                });
                fixes.push(TypeFix::Column(Fix {
                    table: names.table(&format!("{path}.table"), table),
                    column: names.name(&format!("{path}.addColumn.name"), &column.name),
                    column_type: column.column_type.clone(),
                    kind: FixKind::Add { nullable: column.nullable, backfill },
                    path,
                }));
            }
            Ok(Change::ModifyColumn { table, column }) => {
                if fix.backfill.is_some() {
                    names.problems.push(Problem::new(
                        format!("{path}.backfill"),
                        "a backfill fills a column that addColumn adds: remove it from a modifyColumn",
                    ));
                }
                fixes.push(TypeFix::Column(Fix {
                    table: names.table(&format!("{path}.table"), table),
                    column: names.name(&format!("{path}.modifyColumn.name"), &column.name),
                    column_type: column.column_type.clone(),
                    kind: FixKind::Modify,
                    path,
                }));
            }
            Ok(Change::Sql(sql)) => fixes.push(TypeFix::Sql(read_sql(path, fix, sql, names))),
            Err(error) => names.problems.push(Problem::new(path, error.to_string())),
        }
    }
    fixes
}

fn read_sql(path: String, fix: &type_fixes::TypeFix, sql: &type_fixes::SqlFix, names: &mut Names) -> SqlFix {
    if fix.backfill.is_some() {
        names.problems.push(Problem::new(
            format!("{path}.backfill"),
            "a backfill fills a column that addColumn adds: remove it from sql, and fill with an UPDATE in up",
        ));
    }
    if fix.verify.max_unmapped != 0 {
        names.problems.push(Problem::new(
            format!("{path}.verify.maxUnmapped"),
            "it belongs to a backfill: remove it from sql, and let sql.verify say what must hold",
        ));
    }
    let mut statements = |field: &str, text: &str| {
        let found = split(text).unwrap_or_else(|error| {
            names.problems.push(Problem::new(format!("{path}.sql.{field}"), error.to_string()));
            Vec::new()
        });
        let schema = names.schema.clone();
        let mut read = Vec::new();
        for statement in &found {
            match own_statement::read(statement, &schema) {
                Ok(statement) => read.push(statement),
                Err(reason) => names.problems.push(Problem::new(format!("{path}.sql.{field}"), reason)),
            }
        }
        read
    };
    let (up, down) = (statements("up", &sql.up), statements("down", &sql.down));
    let verify = match split(&sql.verify).as_deref() {
        Ok([only]) => own_statement::check_query(only, &names.schema).map(|()| only.text.clone()),
        Ok(several) => Err(format!("it must be one SELECT, and holds {} statements", several.len())),
        Err(error) => Err(error.to_string()),
    };
    let verify = verify.unwrap_or_else(|reason| {
        names.problems.push(Problem::new(format!("{path}.sql.verify"), reason));
        String::new()
    });
    let table = fix.table.as_deref().map(|table| names.table(&format!("{path}.table"), table));
    SqlFix { name: fix.name.clone(), table, up, down, verify, path }
}

fn read_unique(place: usize, unique: &constraints::UniqueConstraint, names: &mut Names) -> Unique {
    let path = format!("spec.uniqueConstraints[{place}]");
    Unique {
        name: names.name(&format!("{path}.name"), &unique.name),
        table: names.table(&format!("{path}.table"), &unique.table),
        columns: names.list(&format!("{path}.columns"), &unique.columns),
        policy: match unique.duplicates.policy {
            constraints::DuplicatePolicy::Fail => DuplicatePolicy::Fail,
            constraints::DuplicatePolicy::KeepNewest => DuplicatePolicy::KeepNewest,
            constraints::DuplicatePolicy::KeepOldest => DuplicatePolicy::KeepOldest,
        },
        order_by: (unique.duplicates.order_by.as_deref())
            .map(|column| names.name(&format!("{path}.duplicates.orderBy"), column)),
        path,
    }
}

fn read_stage(place: usize, stage: &constraints::Stage, names: &mut Names) -> Stage {
    let path = format!("spec.stages[{place}]");
    let keys = (stage.foreign_keys.iter().enumerate())
        .map(|(place, key)| read_key(&format!("{path}.foreignKeys[{place}]"), key, names))
        .collect();
    let expect = (stage.expect.iter().enumerate())
        .map(|(place, expectation)| Expectation {
            referenced_table: (expectation.referenced_table.as_deref())
                .map(|table| names.name(&format!("{path}.expect[{place}].referencedTable"), table)),
            at_least: u64::try_from(expectation.at_least).unwrap_or(0),
        })
        .collect();
    Stage { name: stage.name.clone(), keys, expect, path }
}

fn read_key(path: &str, key: &constraints::ForeignKey, names: &mut Names) -> WantedKey {
    let parent_schema = match &key.references.schema {
        Some(schema) => names.name(&format!("{path}.references.schema"), schema),
        None => names.schema.clone(),
    };
    WantedKey {
        key: ForeignKey {
            name: names.name(&format!("{path}.name"), &key.name),
            child: names.table(&format!("{path}.table"), &key.table),
            columns: names.list(&format!("{path}.columns"), &key.columns),
            parent: TableName::new(
                parent_schema,
                names.name(&format!("{path}.references.table"), &key.references.table),
            ),
            parent_columns: names.list(&format!("{path}.references.columns"), &key.references.columns),
            on_delete: action(key.on_delete),
            on_update: action(key.on_update),
        },
        policy: match key.orphans {
            constraints::OrphanPolicy::Fail => OrphanPolicy::Fail,
            constraints::OrphanPolicy::Delete => OrphanPolicy::Delete,
            constraints::OrphanPolicy::SetNull => OrphanPolicy::SetNull,
        },
        path: path.to_owned(),
    }
}

fn action(action: constraints::ReferentialAction) -> ReferentialAction {
    match action {
        constraints::ReferentialAction::Restrict => ReferentialAction::Restrict,
        constraints::ReferentialAction::NoAction => ReferentialAction::NoAction,
        constraints::ReferentialAction::Cascade => ReferentialAction::Cascade,
        constraints::ReferentialAction::SetNull => ReferentialAction::SetNull,
    }
}
