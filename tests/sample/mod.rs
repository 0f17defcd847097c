//! The sample application: a library of treatment protocols for emergency medical services, on a MySQL without one foreign key.
//! It knows nothing of Holdfast: what it plants, writes and compares is what Holdfast's tests hold against Holdfast's own counts.

use std::path::{Path, PathBuf};
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
#[cfg(test)]
pub(crate) mod service;
pub(crate) mod snapshot;
pub(crate) mod tables;
#[cfg(test)]
pub(crate) mod test_server;
pub(crate) mod traffic;
pub(crate) mod truth;
pub(crate) mod verify;

use connection::ConnectionArguments;
use failure::{Failure, Result};
use traffic::measure::Report;

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
    /// Drops every table of the database, creates the application's, fills them with rows and plants known defects.
    Generate {
        /// Another schema that is dropped with the tables, such as the journal of an earlier migration.
        #[arg(long)]
        drop_schema: Option<String>,
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
    /// Takes a picture of every table's definition and generated rows.
    Snapshot {
        /// The file that it is written to.
        #[arg(long)]
        out: PathBuf,
    },
    /// Compares two pictures: prints every difference, then one line of JSON; fails where they differ.
    Compare {
        /// The picture before.
        before: PathBuf,
        /// The picture after.
        after: PathBuf,
        /// The last report of the traffic, or its whole log: it speaks for the application's own rows.
        #[arg(long)]
        ledger: Option<PathBuf>,
    },
    /// Checks by plain SQL that the database contains what a truth says; for a database that nothing has cleaned yet.
    VerifyTruth {
        /// The truth that `generate` wrote.
        #[arg(long)]
        truth: PathBuf,
    },
}

/// Runs one command.
pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    // Credentials are read only where a database is asked.
    let server = || arguments.connection.server();
    match arguments.command {
        Command::Compare { before, after, ledger } => return compare(&before, &after, ledger.as_deref()),
        Command::Generate { drop_schema, rows, seed, connections, truth } => {
            let server = server()?;
            schema::recreate(&server, drop_schema.as_deref()).await?;
            generate::write_truth(&generate::generate(&server, rows, seed, connections).await?, &truth)?;
        }
        Command::Traffic(arguments) => {
            let report = traffic::run(&server()?, &arguments).await?;
            return Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Snapshot { out } => snapshot::write(&snapshot::take(&server()?).await?, &out)?,
        Command::VerifyTruth { truth } => {
            let differences = verify::differences(&server()?, &generate::read_truth(&truth)?).await?;
            if !differences.is_empty() {
                return Err(Failure::Invalid(differences.join("\n")));
            }
            println!("the database contains what the truth says");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Compares two pictures: this needs no database.
fn compare(before: &Path, after: &Path, ledger: Option<&Path>) -> Result<ExitCode> {
    let report = ledger.map(snapshot::read::<Report>).transpose()?;
    let comparison = snapshot::compare(&snapshot::read(before)?, &snapshot::read(after)?, report.as_ref());
    for difference in &comparison.differences {
        println!("{difference}");
    }
    let line = serde_json::to_string(&comparison)
        .map_err(|error| Failure::Invalid(format!("writing the comparison: {error}")))?;
    println!("{line}");
    Ok(if comparison.differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
