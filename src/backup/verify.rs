//! Proves a backup by restoring it: the dump is checked against its manifest, restored into a server of this Job's own, dumped again, and
//! compared table by table. Then, where that is asked for, the plan is rehearsed on the copy.

use std::io::Read;
use std::path::PathBuf;

use jiff::Timestamp;

use super::compression;
use super::contents::Contents;
use super::made;
use super::manifest::{self, Manifest, Outcome};
use super::programs::Program;
use super::reader::Reader;
use super::rehearsal::Rehearsal;
use super::restored::{Restored, compare, lossy, same_major_version};
use super::scratch::{Place, Scratch};
use super::storage::{self, Storage};
use crate::mysql::scratch_statements;
use crate::plan::Identifier;

/// Arguments of `holdfast verify-backup`.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// The backup.
    #[command(flatten)]
    pub backup: made::Arguments,
    /// Folder for the server's data.
    #[arg(long)]
    pub folder: PathBuf,
    /// Folder in memory for the server's password.
    #[arg(long)]
    pub private: PathBuf,
    /// Bytes that the server's data may take.
    #[arg(long)]
    pub storage: Option<u64>,
    /// Bytes of memory that the container may take.
    #[arg(long)]
    pub memory: Option<u64>,
    /// File with the instructions for a rehearsal of the plan on the restored copy. Left out: none is done.
    #[arg(long, requires = "plan")]
    pub rehearsal: Option<PathBuf>,
    /// Folder with a part of the plan; several in order.
    #[arg(long)]
    pub plan: Vec<PathBuf>,
    /// File whose content Kubernetes keeps as the termination message.
    #[arg(long, default_value = "/dev/termination-log")]
    pub termination_message: PathBuf,
    /// The server.
    #[arg(long, default_value = "mysqld")]
    pub mysqld: PathBuf,
    /// The client that restores.
    #[arg(long, default_value = "mysql")]
    pub mysql: PathBuf,
    /// The program that dumps what was restored.
    #[arg(long, default_value = "mysqldump")]
    pub mysqldump: PathBuf,
}

/// Restores the backup, rehearses the plan on it where that is asked for, leaves the outcome in the termination message and says whether the
/// backup is proven and the rehearsal passed.
///
/// # Errors
/// What is wrong with the backup or failed in the rehearsal, or why it could not be told; it is in the termination message as well.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    let proven = prove(arguments);
    let failure =
        proven.as_ref().ok().and_then(|restored| restored.rehearsal.as_ref()).and_then(|rehearsed| rehearsed.failure());
    manifest::leave(&arguments.termination_message, proven.map(Outcome::Restored))?;
    // The backup is proven all the same, which the termination message says.
    failure.map_or(Ok(()), |failure| Err(format!("the rehearsal failed: {failure}")))
}

fn prove(arguments: &Arguments) -> Result<Restored, String> {
    let started_at = Timestamp::now();
    let storage = storage::open(&arguments.backup.storage)?;
    let storage = storage.as_ref();
    let manifest = arguments.backup.manifest(storage)?;
    let rehearsal = arguments.rehearsal.as_ref().map(|file| Rehearsal::read(file, &arguments.plan)).transpose();
    let rehearsal = rehearsal.map_err(|error| format!("the rehearsal cannot begin: {error}"))?;
    let place = Place {
        folder: &arguments.folder,
        private: &arguments.private,
        programs: [&arguments.mysqld, &arguments.mysql, &arguments.mysqldump],
        storage: arguments.storage,
        memory: arguments.memory,
        options: rehearsal.as_ref().map(|each| each.server_options(arguments.memory)).unwrap_or_default(),
    };
    // The server is made while the dump is read through.
    let scratch = Scratch::prepare(&place)?;
    manifest.check(&storage.place(&manifest.file), storage::weigh(storage, &manifest.file)?)?;
    let restored = restore(&scratch, &place, storage, &manifest).map_err(|error| scratch.explain(error))?;
    let mut restored = Restored { started_at, ..restored };
    println!(
        "restored {}: {} rows in {} tables and {} other objects are those of the backup; the server's data took {} bytes",
        arguments.backup.name, restored.rows, restored.tables, restored.objects, restored.bytes
    );
    if let Some(rehearsal) = rehearsal {
        restored.rehearsal = Some(Box::new(rehearsal.begun()));
        // What ends the container from here on ends the rehearsal, and leaves the backup proven.
        manifest::leave(&arguments.termination_message, Ok(Outcome::Restored(restored.clone())))?;
        println!("rehearsing the plan");
        restored.rehearsal = Some(Box::new(rehearsal.run(&scratch, &manifest)));
    }
    Ok(restored)
}

fn restore(
    scratch: &Scratch,
    place: &Place<'_>,
    storage: &dyn Storage,
    manifest: &Manifest,
) -> Result<Restored, String> {
    scratch.start(place)?;
    let version = scratch.query(scratch_statements::VERSION)?.trim().to_owned();
    same_major_version(manifest.server_version.as_deref(), &version)?;
    let schema =
        Identifier::new(manifest.database.clone()).map_err(|error| format!("the manifest's schema: {error}"))?;
    scratch.query(&scratch_statements::create_schema(&schema))?;
    println!("restoring {} into MySQL {version}", manifest.file);
    let mut dump = compression::reading(storage::existing(storage, &manifest.file)?, manifest.compression)?;
    scratch.restore(&mut dump, &storage.place(&manifest.file), schema.as_str())?;
    drop(dump);
    make_definers(scratch, &schema)?;
    println!("comparing");
    let found = contents(scratch, &schema)?;
    compare(manifest, &found, &version)?;
    let (lossy_columns, lossy) = lossy(manifest);
    Ok(Restored {
        server_version: version,
        tables: found.tables.len() as u64,
        rows: found.tables.values().map(|table| table.rows).sum(),
        objects: found.objects.len() as u64,
        bytes: scratch.size()?,
        lossy_columns,
        lossy,
        started_at: Timestamp::now(),
        finished_at: Timestamp::now(),
        rehearsal: None,
    })
}

/// What the scratch server holds of a schema, read as the backup was: from a dump.
pub(super) fn contents(scratch: &Scratch, schema: &Identifier) -> Result<Contents, String> {
    contents_of(scratch.dump(schema.as_str())?)
}

/// What a running dump holds.
pub(super) fn contents_of(mut dump: Program) -> Result<Contents, String> {
    let read = match dump.child.stdout.take() {
        Some(stdout) => read_dump(stdout),
        None => Err("mysqldump has no output".to_owned()),
    };
    if read.is_err() {
        dump.kill();
    }
    let explained = |error: String| format!("dumping what was restored: {error}");
    dump.finish().map_err(explained)?;
    read?.finish().map_err(explained)
}

fn read_dump(mut stdout: impl Read) -> Result<Reader, String> {
    let mut reader = Reader::default();
    storage::pieces(&mut stdout, |piece| {
        reader.push(piece);
        Ok(())
    })
    .map_err(|interrupted| interrupted.text("mysqldump's output"))?;
    Ok(reader)
}

/// Makes the definers of views, routines and triggers, locked: accounts are no part of a schema's dump, and without them mysqldump does not
/// read a view and no trigger runs.
fn make_definers(scratch: &Scratch, schema: &Identifier) -> Result<(), String> {
    let made = scratch.query(&scratch_statements::definers(schema))?;
    if !made.trim().is_empty() {
        scratch.query(&scratch_statements::in_schema(schema, &made))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
