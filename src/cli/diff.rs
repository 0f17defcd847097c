//! `diff`: what two migrations do differently, such as those of staging and production, or what is applied and what a file says. Content and
//! environment stand apart: promotion compares the content, and overlays change the environment.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use super::bars::{counted, cut};
use super::connection::{Cluster, Connection};
use super::failure::Failure;
use super::lint;
use super::terminal::{Style, print};
use crate::api::SchemaMigration;
use crate::api::digest::CONTENT_FIELDS;
use crate::plan::Plan;

/// Longest value on a line, in characters; JSON has the whole of it.
const WIDTH: usize = 90;

/// Arguments of `diff`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Name of the SchemaMigration.
    name: String,
    /// Compare with the SchemaMigration in this file, `-` for standard input.
    #[arg(long, short, conflicts_with_all = ["with", "with_namespace", "with_context"])]
    file: Option<PathBuf>,
    /// Compare with the SchemaMigration of this name. Left out: of the same name.
    #[arg(long, value_name = "NAME")]
    with: Option<String>,
    /// Namespace of the other one. Left out: the same one, or with --with-context that of the context.
    #[arg(long, value_name = "NAMESPACE")]
    with_namespace: Option<String>,
    /// Context of the kubeconfig in which the other one is. Left out: the same one.
    #[arg(long, value_name = "CONTEXT")]
    with_context: Option<String>,
    /// What to print.
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Forms of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// The same, as JSON.
    Json,
}

/// A value that is not the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Where, such as `spec.stages[users].foreignKeys[fk_bookmarks_user].onDelete`.
    pub path: String,
    /// In the first one; null where it has none.
    pub here: Value,
    /// In the other one; null where it has none.
    pub there: Value,
}

/// A statement that only one of two plans has.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Statement {
    /// Of the operation.
    pub id: String,
    /// The statement in the first plan.
    pub here: Option<String>,
    /// The statement in the other plan.
    pub there: Option<String>,
}

/// What is not the same in two migrations.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Comparison {
    /// In the content.
    pub content: Vec<Difference>,
    /// In the rest.
    pub environment: Vec<Difference>,
    /// In the plans; `None`: one of them has none to compare.
    pub statements: Option<Vec<Statement>>,
}

impl Comparison {
    /// Whether both do the same to their databases, as far as that is known.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.content.is_empty() && self.statements.iter().flatten().next().is_none()
    }
}

/// Compares.
///
/// # Errors
/// When one of them cannot be read, or they do not do the same.
pub async fn run(connection: Connection, arguments: &Arguments) -> Result<(), Failure> {
    let other = connection.other(arguments.with_context.as_deref(), arguments.with_namespace.as_deref());
    let cluster = connection.connect().await?;
    let here = cluster.migration(&arguments.name).await?;
    let (there, comparison, titles) = match &arguments.file {
        Some(file) => {
            let there = in_file(file, &arguments.name)?;
            let comparison = compare(&here, &there, None);
            (there, comparison, [title(&cluster, &here), file.display().to_string()])
        }
        None => {
            let name = arguments.with.as_deref().unwrap_or(&arguments.name);
            if arguments.with.is_none() && arguments.with_context.is_none() && arguments.with_namespace.is_none() {
                return Err(Failure::usage(
                    "nothing to compare with: name a file with --file, or another migration with --with, --with-namespace or --with-context",
                ));
            }
            let elsewhere = other.connect().await?;
            let there = elsewhere.migration(name).await?;
            let plans = match (planned(&cluster, &here).await?, planned(&elsewhere, &there).await?) {
                (Some(here), Some(there)) => Some((here, there)),
                _ => None,
            };
            let plans = plans.as_ref().map(|(here, there)| (&**here, &**there));
            let titles = [title(&cluster, &here), title(&elsewhere, &there)];
            let comparison = compare(&here, &there, plans);
            (there, comparison, titles)
        }
    };
    print(&match arguments.output {
        Output::Json => {
            let text = serde_json::to_string_pretty(&comparison);
            text.map_err(|error| Failure::unavailable(format!("writing the comparison: {error}")))? + "\n"
        }
        Output::Text => text(&comparison, [&titles[0], &titles[1]], [&here, &there], Style::of_standard_output()),
    })?;
    if comparison.is_same() { Ok(()) } else { Err(Failure::no("")) }
}

fn title(cluster: &Cluster, migration: &SchemaMigration) -> String {
    let name = migration.metadata.name.as_deref().unwrap_or_default();
    format!("{name} in {} ({})", cluster.namespace, migration.spec.database.host)
}

async fn planned(cluster: &Cluster, migration: &SchemaMigration) -> Result<Option<std::sync::Arc<Plan>>, Failure> {
    match migration.status.as_ref().and_then(|status| status.plan.as_ref()) {
        Some(_) => super::plan::stored(cluster, migration).await.map(Some),
        None => Ok(None),
    }
}

/// The migration of a file: the one of that name, or the only one.
fn in_file(file: &std::path::Path, name: &str) -> Result<SchemaMigration, Failure> {
    let text = lint::read(file)?;
    let unreadable = |error: String| {
        Failure::unavailable(format!(
            "{} cannot be read as a SchemaMigration: {error}; kubectl holdfast lint {} says what is wrong",
            file.display(),
            file.display()
        ))
    };
    let documents = lint::documents(&text).map_err(|error| unreadable(error.to_string()))?;
    let mut migrations: Vec<&Value> = documents.iter().filter(|value| value["kind"] == "SchemaMigration").collect();
    if migrations.len() > 1 {
        migrations.retain(|value| value["metadata"]["name"] == name);
    }
    let [migration] = migrations[..] else {
        return Err(unreadable(format!(
            "it holds {} of the name {name}",
            counted(migrations.len(), "SchemaMigration")
        )));
    };
    serde_json::from_value(migration.clone()).map_err(|error| unreadable(error.to_string()))
}

/// What is not the same.
#[must_use]
pub fn compare(here: &SchemaMigration, there: &SchemaMigration, plans: Option<(&Plan, &Plan)>) -> Comparison {
    let spec = |migration: &SchemaMigration| serde_json::to_value(&migration.spec).unwrap_or_default();
    let mut all = Vec::new();
    differences("spec", &spec(here), &spec(there), &mut all);
    let is_content = |difference: &Difference| {
        let field = difference.path.trim_start_matches("spec.").split(['.', '[']).next().unwrap_or_default();
        CONTENT_FIELDS.contains(&field)
    };
    let (content, environment) = all.into_iter().partition(is_content);
    Comparison { content, environment, statements: plans.map(|(here, there)| statements(here, there)) }
}

/// The differences of two values, each at its deepest place. Lists whose items have names are compared by name.
fn differences(path: &str, here: &Value, there: &Value, found: &mut Vec<Difference>) {
    match (here, there) {
        (Value::Object(one), Value::Object(other)) => {
            let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for name in names {
                let path = format!("{path}.{name}");
                differences(
                    &path,
                    one.get(name).unwrap_or(&Value::Null),
                    other.get(name).unwrap_or(&Value::Null),
                    found,
                );
            }
        }
        (Value::Array(one), Value::Array(other)) if one.iter().chain(other).all(|item| item["name"].is_string()) => {
            let of = |items: &[Value], name: &str| items.iter().find(|item| item["name"] == name).cloned();
            let names = |items: &[Value]| -> Vec<String> {
                items.iter().filter_map(|item| item["name"].as_str()).map(str::to_owned).collect()
            };
            let (first, second) = (names(one), names(other));
            let only_there = second.iter().filter(|name| !first.contains(name));
            for name in first.iter().chain(only_there) {
                let path = format!("{path}[{name}]");
                let (one, other) = (of(one, name).unwrap_or_default(), of(other, name).unwrap_or_default());
                differences(&path, &one, &other, found);
            }
            // Stages and keys are carried out in their order.
            let (mut one, mut other) = (first.clone(), second.clone());
            one.retain(|name| second.contains(name));
            other.retain(|name| first.contains(name));
            if one != other {
                let path = format!("{path} (order)");
                found.push(Difference { path, here: one.into(), there: other.into() });
            }
        }
        _ if here == there => {}
        _ => found.push(Difference { path: path.to_owned(), here: here.clone(), there: there.clone() }),
    }
}

/// The statements that are not the same, whatever the schemas are called.
fn statements(here: &Plan, there: &Plan) -> Vec<Statement> {
    let of = |plan: &Plan, id: &str| {
        let operation = plan.operations.iter().find(|operation| operation.id == id)?;
        let schema = format!("{}.", plan.schema.quoted());
        // What changes rows in batches has no statement of its own.
        Some(
            operation
                .forward
                .as_ref()
                .map_or_else(|| "changes rows in batches".to_owned(), |sql| sql.replace(&schema, "")),
        )
    };
    let ids: Vec<&String> = here.operations.iter().map(|operation| &operation.id).collect();
    let more = there.operations.iter().map(|operation| &operation.id).filter(|id| !ids.contains(id));
    ids.iter()
        .copied()
        .chain(more)
        .map(|id| Statement { id: id.clone(), here: of(here, id), there: of(there, id) })
        .filter(|statement| statement.here != statement.there)
        .collect()
}

/// The comparison for people.
#[must_use]
pub fn text(comparison: &Comparison, titles: [&str; 2], migrations: [&SchemaMigration; 2], style: Style) -> String {
    let mut page = format!("-  {}\n+  {}\n", style.strong(titles[0]), style.strong(titles[1]));
    let digest =
        |migration: &SchemaMigration| migration.status.as_ref().and_then(|status| status.content_digest.clone());
    let digests = (digest(migrations[0]), digest(migrations[1]));
    page.push_str("\nContent: ");
    page.push_str(&match (comparison.content.is_empty(), &digests) {
        (true, (Some(one), Some(other))) if one == other => style.good(&format!("the same, {one}\n")),
        (true, (Some(_), Some(_))) => {
            style.bad("the same fields, but another digest: a PodTemplate that the spec names differs\n")
        }
        (true, _) => style.good("the same fields\n"),
        (false, _) => style.bad(&format!("{}\n", counted(comparison.content.len(), "difference"))),
    });
    listed(&mut page, &comparison.content, style);
    page.push_str("\nEnvironment: ");
    page.push_str(&match comparison.environment.len() {
        0 => "the same\n".to_owned(),
        number => format!("{}, which promotion does not compare\n", counted(number, "difference")),
    });
    listed(&mut page, &comparison.environment, style);
    page.push_str("\nPlans: ");
    match &comparison.statements {
        None => page.push_str("not compared: not both have one\n"),
        Some(statements) if statements.is_empty() => page.push_str(&style.good("the same statements\n")),
        Some(statements) => {
            let number = counted(statements.len(), "operation");
            page.push_str(&style.bad(&format!("{number} not the same: the databases are not the same before\n")));
            for statement in statements {
                let told =
                    |text: &Option<String>| text.as_deref().map_or_else(|| "(none)".to_owned(), |sql| cut(sql, WIDTH));
                page.push_str(&format!("  {}\n", statement.id));
                page.push_str(&format!("    -  {}\n    +  {}\n", told(&statement.here), told(&statement.there)));
            }
        }
    }
    page
}

fn listed(page: &mut String, differences: &[Difference], style: Style) {
    let told = |value: &Value| match value {
        Value::Null => "(none)".to_owned(),
        Value::String(text) => cut(text, WIDTH),
        other => cut(&other.to_string(), WIDTH),
    };
    for difference in differences {
        page.push_str(&format!("  {}\n", style.strong(&difference.path)));
        page.push_str(&format!("    -  {}\n    +  {}\n", told(&difference.here), told(&difference.there)));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::api::example;

    fn with(change: impl FnOnce(&mut Value)) -> SchemaMigration {
        let mut spec = serde_json::to_value(example::spec()).unwrap();
        change(&mut spec);
        SchemaMigration::new("integrity", serde_json::from_value(spec).unwrap())
    }

    fn paths(differences: &[Difference]) -> Vec<&str> {
        differences.iter().map(|difference| difference.path.as_str()).collect()
    }

    #[test]
    fn a_database_and_gates_are_environment_and_a_delete_action_is_content() {
        let here = with(|_| {});
        let there = with(|spec| {
            spec["database"]["host"] = json!("elsewhere");
            spec["gates"] = json!([]);
            spec["stages"][0]["foreignKeys"][0]["onDelete"] = json!("Restrict");
        });
        let found = compare(&here, &there, None);
        let stage = here.spec.stages[0].name.as_str();
        let key = here.spec.stages[0].foreign_keys[0].name.as_str();
        assert_eq!(paths(&found.content), [format!("spec.stages[{stage}].foreignKeys[{key}].onDelete")]);
        assert_eq!(found.content[0].there, "Restrict");
        assert!(paths(&found.environment).contains(&"spec.database.host"), "{found:?}");
        assert!(!found.is_same());
        let page = text(&found, ["one", "other"], [&here, &there], Style::PLAIN);
        assert!(page.contains("Content: 1 difference\n"), "{page}");
        assert!(page.contains("    -  Cascade\n    +  Restrict\n"), "{page}");
    }

    #[test]
    fn the_same_content_in_another_environment_is_the_same() {
        let there = with(|spec| spec["database"]["host"] = json!("elsewhere"));
        let found = compare(&with(|_| {}), &there, None);
        assert!(found.is_same() && found.environment.len() == 1, "{found:?}");
    }

    #[test]
    fn what_only_one_has_and_another_order_are_found() {
        let found = |one: Value, other: Value| {
            let mut found = Vec::new();
            differences("list", &one, &other, &mut found);
            found.into_iter().map(|difference| difference.path).collect::<Vec<_>>()
        };
        let (a, b) = (json!({"name": "a", "x": 1}), json!({"name": "b"}));
        assert_eq!(found(json!([a, b]), json!([a])), ["list[b]"]);
        assert_eq!(found(json!([a]), json!([b])), ["list[a]", "list[b]"]);
        assert_eq!(found(json!([a, b]), json!([b, a])), ["list (order)"]);
        assert_eq!(found(json!([1, 2]), json!([2, 1])), ["list"]);
        assert_eq!(found(json!([a]), json!([a])), Vec::<String>::new());
    }
}
