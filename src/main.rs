//! Entry point: the operator itself, and what its Jobs run.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use holdfast::cli::wait;
use holdfast::telemetry::logs;
use holdfast::{backup, controller, definitions, results};

/// Foreign keys for a live MySQL: staged, proven and reversible.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator.
    Controller(Box<controller::context::Flags>),
    /// Make a backup with mysqldump and look whether it is one; what the backup Job runs.
    Backup(Box<backup::dump::Arguments>),
    /// Prove a backup by restoring it into a server of its own, and rehearse a plan there; what the Job of verification Restore runs.
    VerifyBackup(Box<backup::verify::Arguments>),
    /// Restore the tables of a backup into a schema of the live server and compare them; what the Job of `rollback.onFailure` RestoreBackup runs.
    RestoreTables(Box<backup::put_back::Arguments>),
    /// Remove the backups of a migration that has ended; what the Job of `spec.backup.retention` runs.
    RemoveBackups(Box<backup::remove::Arguments>),
    /// Wait until the tests of a Job have ended and count their results; what runs beside a test Job that writes them.
    CountTestResults(results::Arguments),
    /// Print the custom resource definitions, or write them to files.
    Crds(definitions::Arguments),
    /// Wait until a migration has come far enough; for an application's init container.
    Wait(Box<wait::Arguments>),
    /// Copy this program to a path, for a container whose image lacks it.
    InstallSelf {
        /// Where to.
        destination: PathBuf,
    },
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Controller(flags) => controller::runtime::run(*flags),
        Command::Backup(arguments) => backup::dump::run(&arguments),
        Command::VerifyBackup(arguments) => verify(&arguments),
        Command::RestoreTables(arguments) => backup::put_back::run(&arguments),
        Command::RemoveBackups(arguments) => backup::remove::run(&arguments),
        Command::CountTestResults(arguments) => results::run(&arguments),
        Command::Crds(arguments) => definitions::run(&arguments),
        Command::Wait(arguments) => return waited(*arguments),
        Command::InstallSelf { destination } => {
            backup::install::install_self(&destination).map_err(|error| error.to_string())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("holdfast: {message}");
            ExitCode::FAILURE
        }
    }
}

/// The engine, which rehearses the plan, tells in the log what it does.
fn verify(arguments: &backup::verify::Arguments) -> Result<(), String> {
    logs::begin(&"info".parse()?)?;
    backup::verify::run(arguments)
}

/// With exit codes of its own, by which a script tells an end from a deadline.
fn waited(arguments: wait::Arguments) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("holdfast: starting the asynchronous runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(Box::pin(wait::run(arguments))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("holdfast: {failure}");
            ExitCode::from(failure.exit as u8)
        }
    }
}
