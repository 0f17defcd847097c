//! `plan --filename`: what the operator would plan for a manifest on a database, without a cluster and without writing anything. For a
//! pipeline that looks at a change before anybody applies it.

use std::collections::BTreeMap;
use std::path::Path;

use super::bars::counted;
use super::database::{self, Database};
use super::failure::Failure;
use super::lint;
use crate::api::SchemaMigration;
use crate::mysql::catalogue::{read_catalogue, read_for_planning};
use crate::mysql::{Cause, Connection, Error, SessionLimits, blast_radius, statements};
use crate::plan::statement_use::unacknowledged_replace;
use crate::plan::{Identifier, Plan, Problem, TableName, build_with_templates, input};

/// Makes the plan of a file's migration: that of a name, or the only one. Notes about what the operator may see otherwise come with it.
///
/// # Errors
/// When the manifest or the database cannot be read, or the plan has problems: those are listed, each with its field.
pub async fn planned(file: &Path, name: Option<&str>, database: &Database) -> Result<(Plan, Vec<String>), Failure> {
    let mut migration = in_file(file, name)?;
    let mut notes = Vec::new();
    let schema = database.schema.as_str();
    if migration.spec.database.name != schema {
        notes.push(format!(
            "planned for the schema {schema} of the command line, in place of spec.database.name {:?}: the plan's digest is another one there",
            migration.spec.database.name
        ));
        schema.clone_into(&mut migration.spec.database.name);
    }
    if names_templates(&migration) {
        notes.push(
            "PodTemplates are not read, so the digests of content and plan are not those that the operator computes"
                .to_owned(),
        );
    }
    let spec = &migration.spec;
    let tables = input::tables(spec).map_err(|found| problems(file, &found))?;
    let mut connection =
        database.target.connect_to_read(SessionLimits::default()).await.map_err(|error| database::failed(&error))?;
    let read = read(&mut connection, &migration, &tables, &mut notes).await;
    connection.close().await.map_err(|error| database::failed(&error))?;
    let plan = read.map_err(|error| database::failed(&error))?.map_err(|found| problems(file, &found))?;
    Ok((plan, notes))
}

/// Everything that is asked of the server.
async fn read(
    connection: &mut Connection,
    migration: &SchemaMigration,
    tables: &[TableName],
    notes: &mut Vec<String>,
) -> Result<Result<Plan, Vec<Problem>>, Error> {
    let spec = &migration.spec;
    // Found before: it is a name, or the tables could not have been listed.
    let schema = Identifier::new(spec.database.name.clone())
        .map_err(|error| Error::new(Cause::InvalidSpec, format!("spec.database.name: {error}")))?;
    let catalogue = match read_for_planning(connection, &schema, tables).await {
        // An account that reads the schema alone may not count INSTANT changes (PROCESS).
        Err(error) if error.cause == Cause::PrivilegeMissing => {
            notes.push(format!("how many INSTANT changes tables have behind them is not known: {error}"));
            read_catalogue(connection, &schema, tables).await?
        }
        read => read?,
    };
    let mut plan = match build_with_templates(spec, &BTreeMap::new(), &catalogue) {
        Ok(plan) => plan,
        Err(found) => return Ok(Err(found)),
    };
    let touched: Vec<TableName> = plan.touched().into_iter().cloned().collect();
    match statements::read(connection, &touched, plan.server.lower_case_table_names).await {
        Ok(seen) => {
            let found = unacknowledged_replace(spec, &plan, &seen);
            if !found.is_empty() {
                return Ok(Err(found));
            }
            let warnings = seen.warnings(&plan);
            plan.warnings.extend(warnings);
        }
        Err(error) => notes.push(format!("which statements the application uses is not known: {error}")),
    }
    blast_radius::measure(connection, &catalogue, &mut plan, blast_radius::EXACT_LIMIT).await?;
    Ok(Ok(plan))
}

fn names_templates(migration: &SchemaMigration) -> bool {
    migration.spec.schema_update.is_some() || !migration.spec.tests.jobs.is_empty()
}

fn problems(file: &Path, found: &[Problem]) -> Failure {
    let listed: Vec<String> = found.iter().map(|problem| format!("\n{}: {}", problem.path, problem.message)).collect();
    Failure::no(format!("{} in {}:{}", counted(found.len() as u64, "problem"), file.display(), listed.concat()))
}

/// The migration of a file, as kubectl would read it.
fn in_file(file: &Path, name: Option<&str>) -> Result<SchemaMigration, Failure> {
    let text = lint::read(file)?;
    let unreadable = |error: String| {
        let file = file.display();
        Failure::unavailable(format!(
            "{file} cannot be read as a SchemaMigration: {error}; kubectl holdfast lint {file} says what is wrong"
        ))
    };
    let documents = lint::documents(&text).map_err(|error| unreadable(error.to_string()))?;
    let mut migrations: Vec<_> = documents.iter().filter(|value| value["kind"] == "SchemaMigration").collect();
    if let Some(name) = name {
        migrations.retain(|value| value["metadata"]["name"] == name);
    }
    let [migration] = migrations[..] else {
        let of = name.map(|name| format!(" of the name {name}")).unwrap_or_default();
        let which = if name.is_none() && migrations.len() > 1 { ": name one" } else { "" };
        return Err(unreadable(format!("it holds {}{of}{which}", counted(migrations.len() as u64, "SchemaMigration"))));
    };
    serde_json::from_value(migration.clone()).map_err(|error| unreadable(error.to_string()))
}
