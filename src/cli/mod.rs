//! `kubectl holdfast`: what a team drives a rollout with. Each command is a file; what it shows is computed by pure functions, so that
//! the text that people read is tested without a cluster.

pub mod approval_page;
pub mod approve;
pub mod bars;
pub mod board;
pub mod chronicle;
pub mod connection;
pub mod dashboard;
pub mod database;
pub mod diff;
pub mod discover;
pub mod evidence;
#[cfg(test)]
pub(crate) mod example;
pub mod failure;
pub mod import;
pub mod init;
pub mod keygen;
pub mod lint;
pub mod manifest;
pub mod plan;
pub mod plan_file;
pub mod report;
pub mod standing;
pub mod status;
pub mod steer;
pub mod terminal;
pub mod wait;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::api::steering::SteeringAction;
use connection::Connection;
use failure::{EXIT_CODES, Failure};

/// Foreign keys for a live MySQL: read, approve and steer a rollout.
#[derive(Debug, Parser)]
#[command(name = "kubectl holdfast", bin_name = "kubectl holdfast", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show where migrations stand: phases, progress, what is waited for and for whom.
    Status(status::Arguments),
    /// Show the plan that an approval names: the page to read, the statements, or the whole of it. Or plan a file on a database, without a cluster.
    Plan(plan::Arguments),
    /// Compare a migration with that of another environment, or with a file: content, environment, statements.
    Diff(diff::Arguments),
    /// Show what waits for an approval, ask, and approve it.
    Approve(approve::Approve),
    /// Deny what waits for an approval: the migration ends before its first change, or changes are taken back.
    Deny(approve::Deny),
    /// Stop at the next safe point until the migration is resumed.
    Suspend(steer::Plain),
    /// Let a suspended migration go on.
    Resume(steer::Plain),
    /// Try again what failed, or look again at once at what is waited for.
    Retry(steer::Plain),
    /// Stop now, then do what spec.rollback.onFailure says.
    Abort(steer::Confirmed),
    /// Take every change back.
    Rollback(steer::Confirmed),
    /// Compute the plan anew from the catalogue as it is now.
    Replan(steer::Plain),
    /// Delete what an ended migration has in quarantine, for good.
    Purge(steer::Confirmed),
    /// Write a report about a whole migration: schema before and after, timeline, what was found, approvals, evidence.
    Report(report::Arguments),
    /// Serve the same page on this machine, read-only, where it updates itself.
    Dashboard(dashboard::Arguments),
    /// Take the evidence of a complete migration to another environment, check it, or make the keys that sign it.
    Evidence(evidence::Arguments),
    /// Check manifests without a cluster.
    Lint(lint::Arguments),
    /// Print a manifest to begin with, which stops after the plan.
    Init(init::Arguments),
    /// Propose foreign keys for a schema that has none: by names, types and data, as a manifest to edit.
    Discover(discover::Arguments),
    /// Write a manifest that does what SQL migration files would do, or that brings one schema to where another is, and list what it cannot do.
    Import(import::Arguments),
    /// Print the completion script of a shell.
    #[command(
        after_help = "For bash: source <(kubectl holdfast completion bash) completes kubectl-holdfast. For `kubectl holdfast`, kubectl runs\n\
a program named kubectl_complete-holdfast: install the script that README shows."
    )]
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// The plugin's command line, for those who check what is written about it.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the plugin.
#[must_use]
pub fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                eprintln!("kubectl holdfast: {failure}");
            }
            ExitCode::from(failure.exit as u8)
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    match &cli.command {
        Command::Lint(arguments) => return lint::run(arguments),
        Command::Init(arguments) => return init::run(arguments, cli.connection.namespace()),
        Command::Completion { shell } => {
            return terminal::print(&completion(*shell));
        }
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::unavailable(format!("starting the asynchronous runtime: {error}")))?;
    let namespace = cli.connection.namespace().map(str::to_owned);
    match cli.command {
        Command::Discover(arguments) => runtime.block_on(Box::pin(discover::run(&arguments, namespace.as_deref()))),
        Command::Import(arguments) => runtime.block_on(Box::pin(import::run(&arguments, namespace.as_deref()))),
        command => runtime.block_on(Box::pin(ask(Cli { command, ..cli }))),
    }
}

/// The completion script of a shell.
fn completion(shell: clap_complete::Shell) -> String {
    let generated = |name: &'static str| {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command().name(name).bin_name(name), name, &mut script);
        String::from_utf8_lossy(&script).into_owned()
    };
    if shell == clap_complete::Shell::Bash {
        // The generator writes a dash in the program's name in two ways, so that no option would be found.
        return generated("kubectl_holdfast").replace("default kubectl_holdfast\n", "default kubectl-holdfast\n");
    }
    generated("kubectl-holdfast")
}

async fn ask(cli: Cli) -> Result<(), Failure> {
    // Not all of it needs a cluster.
    if let Command::Evidence(arguments) = &cli.command {
        return evidence::run(cli.connection, arguments).await;
    }
    if let Command::Diff(arguments) = &cli.command {
        return diff::run(cli.connection, arguments).await;
    }
    if let Command::Plan(arguments) = &cli.command {
        return plan::run(cli.connection, arguments).await;
    }
    let cluster = cli.connection.connect().await?;
    match cli.command {
        Command::Status(arguments) => status::run(&cluster, &arguments).await,
        Command::Report(arguments) => report::run(&cluster, &arguments).await,
        Command::Dashboard(arguments) => dashboard::run(cluster, &arguments).await,
        Command::Approve(arguments) => approve::approve(&cluster, &arguments).await,
        Command::Deny(arguments) => approve::deny(&cluster, &arguments).await,
        Command::Suspend(arguments) => steer::suspend(&cluster, &arguments, true).await,
        Command::Resume(arguments) => steer::suspend(&cluster, &arguments, false).await,
        Command::Retry(arguments) => steer::request(&cluster, &arguments, SteeringAction::Retry).await,
        Command::Replan(arguments) => steer::request(&cluster, &arguments, SteeringAction::Replan).await,
        Command::Abort(arguments) => steer::confirmed(&cluster, &arguments, SteeringAction::Abort).await,
        Command::Rollback(arguments) => steer::confirmed(&cluster, &arguments, SteeringAction::Rollback).await,
        Command::Purge(arguments) => steer::confirmed(&cluster, &arguments, SteeringAction::Purge).await,
        // These were run before.
        Command::Evidence(_)
        | Command::Plan(_)
        | Command::Diff(_)
        | Command::Lint(_)
        | Command::Init(_)
        | Command::Discover(_)
        | Command::Import(_)
        | Command::Completion { .. } => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
