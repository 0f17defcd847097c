//! Restores the tables of a backup into a schema of the live server, beside the one that they were dumped from, and compares what came out
//! with the manifest as the proof on a scratch server does. Nothing but tables: views, routines and triggers stay as they are, and an event
//! would run. Putting the tables in place is the operator's.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::client::Client;
use super::compression;
use super::login::{self, OptionFile};
use super::made;
use super::manifest::{self, Manifest, Outcome};
use super::programs::Program;
use super::reader::Reader;
use super::restored::{Restored, compare, lossy};
use super::storage::{self, Storage};
use super::verify::contents_of;
use crate::mysql::scratch_statements;

/// Arguments of `holdfast restore-tables`.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// The server.
    #[command(flatten)]
    pub server: login::Arguments,
    /// The backup.
    #[command(flatten)]
    pub backup: made::Arguments,
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
            arguments.backup.name, arguments.schema, restored.rows, restored.tables
        );
        Outcome::Restored(restored)
    });
    manifest::leave(&arguments.termination_message, restored)
}

fn restore(arguments: &Arguments) -> Result<Restored, String> {
    let started_at = Timestamp::now();
    let storage = storage::open(&arguments.backup.storage)?;
    let storage = storage.as_ref();
    let manifest = arguments.backup.manifest(storage)?;
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
    let client = Client { path: &arguments.mysql, option_file, schema: Some(schema), hint: NO_PROGRAM };
    let ask = |statement| client.query(statement).map(|row| row.trim().to_owned());
    let version = ask(scratch_statements::VERSION)?;
    let there = ask(scratch_statements::TABLES)?;
    if there != "0" {
        return Err(format!(
            "the schema {schema} is not empty ({there} tables): nothing is restored over what is there"
        ));
    }
    println!("restoring the tables of {} into {schema} on MySQL {version}", manifest.file);
    let mut dump = compression::reading(storage::existing(storage, &manifest.file)?, manifest.compression)?;
    let mut reader = Reader::default();
    let mut before = Some(scratch_statements::BEFORE_TABLES);
    client.restore(&mut dump, &storage.place(&manifest.file), |piece, hand| {
        before.take().map_or(Ok(()), |statements| hand(statements.as_bytes()))?;
        reader.push_tables(piece, hand)
    })?;
    println!("comparing");
    let found = contents_of(Program::mysqldump(&arguments.mysqldump, option_file, schema, NO_PROGRAM)?)?;
    let tables_only = Manifest { objects: Default::default(), ..manifest.clone() };
    compare(&tables_only, &found, &version)?;
    Ok((version, found.tables.len() as u64, found.tables.values().map(|table| table.rows).sum()))
}

#[cfg(test)]
mod tests;
