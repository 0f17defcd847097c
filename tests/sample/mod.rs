//! The sample application: a library of treatment protocols for emergency medical services, on a MySQL without one foreign key.
//! It knows nothing of Holdfast: what it plants, writes and compares is what Holdfast's tests hold against Holdfast's own counts.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub(crate) mod connection;
pub(crate) mod failure;
pub(crate) mod generate;
pub(crate) mod layout;
pub(crate) mod literals;
pub(crate) mod relations;
pub(crate) mod rows;
pub(crate) mod schema;
pub(crate) mod tables;
#[cfg(test)]
pub(crate) mod test_server;
pub(crate) mod traffic;
pub(crate) mod truth;
pub(crate) mod verify;

use connection::ConnectionArguments;
use failure::{Failure, Result};

/// The sample application of Holdfast's demo and tests.
#[derive(Debug, Parser)]
#[command(name = "sample")]
pub(crate) struct Arguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Drops every table of the database and creates the application's, empty.
    Schema {
        /// Another schema that is dropped with them, such as the journal of an earlier migration.
        #[arg(long)]
        drop_schema: Option<String>,
    },
    /// Fills the empty tables with rows and plants known defects.
    Generate {
        /// About how many rows, over all tables.
        #[arg(long, default_value_t = 1_000_000)]
        rows: u64,
        /// The same seed and number of rows give the same data.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Connections that insert at the same time.
        #[arg(long, default_value_t = 4)]
        connections: usize,
        /// Where the truth is written: a file, or - for one line on the standard output.
        #[arg(long, default_value = "-")]
        truth: PathBuf,
    },
    /// Works as the application does, until told to stop, and then holds what it wrote against the database.
    Traffic(traffic::TrafficArguments),
    /// Checks by plain SQL that the database contains what a truth says; for a database that nothing has cleaned yet.
    VerifyTruth {
        /// The truth that `generate` wrote.
        #[arg(long)]
        truth: PathBuf,
    },
}

/// Runs one command.
pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    let server = arguments.connection.server()?;
    match arguments.command {
        Command::Schema { drop_schema } => schema::recreate(&server, drop_schema.as_deref()).await?,
        Command::Generate { rows, seed, connections, truth } => {
            generate::write_truth(&generate::generate(&server, rows, seed, connections).await?, &truth)?;
        }
        Command::Traffic(arguments) => {
            let report = traffic::run(&server, &arguments).await?;
            return Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::VerifyTruth { truth } => {
            let differences = verify::differences(&server, &generate::read_truth(&truth)?).await?;
            if !differences.is_empty() {
                return Err(Failure::Invalid(differences.join("\n")));
            }
            println!("the database contains what the truth says");
        }
    }
    Ok(ExitCode::SUCCESS)
}
