//! `plan`: what an approval names, rendered from the stored plan itself after its digest was computed anew. The renderings that lie
//! beside it are not covered by the digest, so they are not what is shown. With a file, what would be planned for it.

use std::path::PathBuf;
use std::sync::Arc;

use super::connection::{Cluster, Connection, failed};
use super::database::Flags;
use super::failure::Failure;
use super::plan_file;
use super::terminal::print;
use crate::api::SchemaMigration;
use crate::controller::plan_store;
use crate::plan::{Plan, conditions, render, script};

/// Arguments of `plan`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Name of the SchemaMigration. With --filename it may be left out where the file holds one only.
    #[arg(required_unless_present = "filename")]
    name: Option<String>,
    /// Plan what this file says on the database of --url, without a cluster; `-` for standard input. The database is only read.
    #[arg(long, short, value_name = "FILE")]
    filename: Option<PathBuf>,
    /// What to print.
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Only with --filename. SELECT on the schema is enough; without PROCESS and SELECT on performance_schema it is said what is not known.
    #[command(flatten)]
    database: Flags,
}

/// Forms of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// The page to read before approving.
    Text,
    /// The statements in their order.
    Sql,
    /// The way back, newest first.
    RollbackSql,
    /// The whole plan.
    Json,
}

/// Shows the plan.
///
/// # Errors
/// When there is none, or it is not the one that the status names.
pub async fn run(connection: Connection, arguments: &Arguments) -> Result<(), Failure> {
    if let Some(file) = &arguments.filename {
        let database = arguments.database.database()?;
        let (plan, notes) = plan_file::planned(file, arguments.name.as_deref(), &database).await?;
        for note in notes {
            eprintln!("note: {note}");
        }
        return shown(&plan, arguments.output);
    }
    if arguments.database.names_a_server() {
        return Err(Failure::usage(
            "a plan of the cluster is stored there, and no database is read for it: leave --url and --host out, or name a manifest with --filename",
        ));
    }
    let cluster = connection.connect().await?;
    let migration = cluster.migration(arguments.name.as_deref().unwrap_or_default()).await?;
    shown(&*stored(&cluster, &migration).await?, arguments.output)
}

fn shown(plan: &Plan, output: Output) -> Result<(), Failure> {
    print(&match output {
        Output::Text => render::text(plan),
        Output::Sql => script::forward_sql(plan),
        Output::RollbackSql => script::rollback_sql(plan),
        Output::Json => {
            let text = conditions::json(plan);
            text.map_err(|error| Failure::unavailable(format!("writing the plan: {error}")))? + "\n"
        }
    })
}

/// The plan of a migration, whose content has the digest that the status names.
///
/// # Errors
/// As [`run`].
pub async fn stored(cluster: &Cluster, migration: &SchemaMigration) -> Result<Arc<Plan>, Failure> {
    let name = migration.metadata.name.as_deref().unwrap_or_default();
    let status = migration.status.as_ref();
    let Some(known) = status.and_then(|status| status.plan.as_ref()) else {
        let message = status.and_then(|status| status.message.clone());
        return Err(Failure::no(format!(
            "{name} has no plan yet: {}; kubectl holdfast status {name} --namespace {} shows where it stands",
            message.unwrap_or_else(|| "the operator has not looked at it".to_owned()),
            cluster.namespace
        )));
    };
    let read = plan_store::load(&cluster.client, &cluster.namespace, &known.digest, &known.config_maps).await;
    let plan = read.map_err(|error| failed("reading the ConfigMaps of the plan", &error))?;
    plan.map_err(|(_, message)| {
        let next = super::standing::command(migration, "replan", "");
        Failure::no(format!("{message}: do not approve it; before the first change, {next} makes a new one"))
    })
}
