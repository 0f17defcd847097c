//! The sample application: a library of treatment protocols for emergency medical services, on a MySQL without one foreign key.
//! It knows nothing of Holdfast: what it plants, writes and compares is what Holdfast's tests hold against Holdfast's own counts.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub(crate) mod connection;
pub(crate) mod failure;
pub(crate) mod relations;
pub(crate) mod schema;

use connection::ConnectionArguments;
use failure::Result;

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
    Schema,
}

/// Runs one command.
pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    let server = arguments.connection.server()?;
    match arguments.command {
        Command::Schema => schema::recreate(&server).await?,
    }
    Ok(ExitCode::SUCCESS)
}
