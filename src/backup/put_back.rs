//! Restores the tables of a backup into a schema of the live server, beside the one that they were dumped from, and compares what came out
//! with the manifest as the proof on a scratch server does. Nothing but tables: views, routines and triggers stay as they are, and an event
//! would run. Putting the tables in place is the operator's.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use jiff::Timestamp;

use super::login::{self, OptionFile};
use super::manifest::{self, Manifest, Outcome};
use super::programs::Program;
use super::reader::Reader;
use super::restored::{Restored, compare, lossy};
use super::storage::{self, Interrupted, Storage};
use super::verify::{contents_of, read_manifest};
use crate::mysql::scratch_statements;

/// Arguments of `holdfast restore-tables`.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// The server.
    #[command(flatten)]
    pub server: login::Arguments,
    /// Where the dump and its manifest are.
    #[command(flatten)]
    pub backup: storage::Arguments,
    /// Name of the dump without its ending.
    #[arg(long)]
    pub name: String,
    /// SHA-256 of the manifest, as the backup Job told it.
    #[arg(long)]
    pub manifest: String,
    /// Uid of the SchemaMigration.
    #[arg(long)]
    pub migration: String,
    /// The schema that the tables are restored into. It must be there and empty.
    #[arg(long)]
    pub schema: String,
    /// File whose content Kubernetes keeps as the termination message.
    #[arg(long, default_value = "/dev/termination-log")]
    pub termination_message: PathBuf,
    /// The client that restores.
    #[arg(long, default_value = "mysql")]
    pub mysql: PathBuf,
    /// The program that dumps what was restored.
    #[arg(long, default_value = "mysqldump")]
    pub mysqldump: PathBuf,
}

/// What to look at when a program is not there.
const NO_PROGRAM: &str = "does the image of spec.backup.scratch.image hold mysql and mysqldump?";

/// Restores the tables, leaves the outcome in the termination message and says whether they are those of the backup.
///
/// # Errors
/// What is wrong with the backup, or why it could not be restored; it is in the termination message as well.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    let restored = restore(arguments).map(|restored| {
        println!(
            "restored {} into {}: {} rows in {} tables are those of the backup",
            arguments.name, arguments.schema, restored.rows, restored.tables
        );
        Outcome::Restored(restored)
    });
    manifest::leave(&arguments.termination_message, restored)
}

fn restore(arguments: &Arguments) -> Result<Restored, String> {
    let started_at = Timestamp::now();
    let storage = storage::open(&arguments.backup)?;
    let storage = storage.as_ref();
    let manifest = read_manifest(storage, (&arguments.name, &arguments.manifest, &arguments.migration))?;
    let (lossy_columns, lossy) = lossy(&manifest);
    if lossy_columns > 0 {
        return Err(format!(
            "a dump holds six digits of a FLOAT, so this backup is not put back: {lossy_columns} columns would come back rounded ({})",
            lossy.join(", ")
        ));
    }
    manifest.check(&storage.place(&manifest.file), storage::weigh(storage, &manifest.file)?)?;
    let option_file = OptionFile::write(&arguments.server, "mysql.cnf")?;
    let restored = fill_and_compare(arguments, option_file.path(), storage, &manifest);
    let removed = option_file.remove();
    let (server_version, tables, rows) = restored?;
    removed?;
    Ok(Restored {
        server_version,
        tables,
        rows,
        objects: 0,
        bytes: 0,
        lossy_columns,
        lossy,
        started_at,
        finished_at: Timestamp::now(),
        rehearsal: None,
    })
}

/// The server's version, and how many tables and rows are there.
fn fill_and_compare(
    arguments: &Arguments,
    option_file: &Path,
    storage: &dyn Storage,
    manifest: &Manifest,
) -> Result<(String, u64, u64), String> {
    let schema = arguments.schema.as_str();
    let version = query(arguments, option_file, scratch_statements::VERSION)?;
    let there = query(arguments, option_file, scratch_statements::TABLES)?;
    if there != "0" {
        return Err(format!(
            "the schema {schema} is not empty ({there} tables): nothing is restored over what is there"
        ));
    }
    println!("restoring the tables of {} into {schema} on MySQL {version}", manifest.file);
    fill(arguments, option_file, storage, manifest)?;
    println!("comparing");
    let found = contents_of(Program::mysqldump(&arguments.mysqldump, option_file, schema, NO_PROGRAM)?)?;
    let tables_only = Manifest { objects: Default::default(), ..manifest.clone() };
    compare(&tables_only, &found, &version)?;
    Ok((version, found.tables.len() as u64, found.tables.values().map(|table| table.rows).sum()))
}

/// The only row of a query in the schema.
fn query(arguments: &Arguments, option_file: &Path, statement: &str) -> Result<String, String> {
    let mut client = client(arguments, option_file, &["--batch", "--raw", "--skip-column-names"], Stdio::piped())?;
    let written = client.child.stdin.take().map(|mut stdin| stdin.write_all(statement.as_bytes()));
    let mut row = String::new();
    let read = client.child.stdout.take().map(|mut stdout| stdout.read_to_string(&mut row));
    client.finish()?;
    match (written, read) {
        (Some(Ok(())), Some(Ok(_))) => Ok(row.trim().to_owned()),
        (Some(Err(error)), _) | (_, Some(Err(error))) => Err(format!("talking to mysql: {error}")),
        _ => Err("mysql has no input or no output".to_owned()),
    }
}

fn client(arguments: &Arguments, option_file: &Path, options: &[&str], stdout: Stdio) -> Result<Program, String> {
    let options = [options, &["--max-allowed-packet=1G", "--", arguments.schema.as_str()]].concat();
    Program::start("mysql", &arguments.mysql, option_file, &options, (Stdio::piped(), stdout), NO_PROGRAM)
}

/// Hands the statements of the dump that make and fill tables to the client.
fn fill(arguments: &Arguments, option_file: &Path, storage: &dyn Storage, manifest: &Manifest) -> Result<(), String> {
    let from = storage.place(&manifest.file);
    let mut dump = storage::existing(storage, &manifest.file)?;
    let options = ["--binary-mode", "--default-character-set=utf8mb4"];
    let mut client = client(arguments, option_file, &options, Stdio::null())?;
    let Some(mut stdin) = client.child.stdin.take() else { return Err("mysql has no input".to_owned()) };
    let mut reader = Reader::default();
    let mut hand = |piece: &[u8]| stdin.write_all(piece).map_err(|error| format!("handing {from} to mysql: {error}"));
    let copied = hand(scratch_statements::BEFORE_TABLES.as_bytes())
        .map_err(Interrupted::Taking)
        .and_then(|()| storage::pieces(&mut dump, |piece| reader.push_tables(piece, &mut hand)));
    if matches!(copied, Err(Interrupted::Reading(_))) {
        // It would take what came so far for the whole.
        client.kill();
    }
    drop(stdin);
    let ended = client.finish().map_err(|error| format!("restoring {from}: {error}"));
    match copied {
        // A client that stopped at an error says which.
        Ok(()) | Err(Interrupted::Taking(_)) if ended.is_err() => ended.map(drop),
        copied => copied.map_err(|interrupted| interrupted.text(&from)),
    }
}

#[cfg(test)]
mod tests;
