//! Proves a backup by restoring it: the dump is checked against its manifest, restored into a server of this Job's own, dumped again, and
//! compared table by table.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::manifest::{self, FORMAT, Manifest, Outcome, hexadecimal};
use super::reader::Reader;
use super::restored::{Restored, compare, lossy, same_major_version};
use super::scratch::{Place, Scratch};
use crate::mysql::scratch_statements;
use crate::plan::Identifier;

const PIECE: usize = 256 * 1024;

/// Arguments of `holdfast verify-backup`.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Folder with the dump and its manifest.
    #[arg(long)]
    pub backup: PathBuf,
    /// Name of the dump without its ending.
    #[arg(long)]
    pub name: String,
    /// SHA-256 of the manifest, as the backup Job told it.
    #[arg(long)]
    pub manifest: String,
    /// Uid of the SchemaMigration.
    #[arg(long)]
    pub migration: String,
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

/// Restores the backup, leaves the outcome in the termination message and says whether the backup is proven.
///
/// # Errors
/// What is wrong with the backup, or why it could not be told; it is in the termination message as well.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    let proven = prove(arguments).map(|restored| {
        println!(
            "restored {}: {} rows in {} tables and {} other objects are those of the backup; the server's data took {} bytes",
            arguments.name, restored.rows, restored.tables, restored.objects, restored.bytes
        );
        Outcome::Restored(restored)
    });
    manifest::leave(&arguments.termination_message, proven)
}

fn prove(arguments: &Arguments) -> Result<Restored, String> {
    let started_at = Timestamp::now();
    let manifest = read_manifest(arguments)?;
    let dump = arguments.backup.join(&manifest.file);
    let place = Place {
        folder: &arguments.folder,
        private: &arguments.private,
        programs: [&arguments.mysqld, &arguments.mysql, &arguments.mysqldump],
        storage: arguments.storage,
        memory: arguments.memory,
    };
    // The server is made while the dump is read through.
    let scratch = Scratch::prepare(&place)?;
    check_dump(&dump, &manifest)?;
    let restored = restore(&scratch, &place, &dump, &manifest).map_err(|error| scratch.explain(error))?;
    Ok(Restored { started_at, ..restored })
}

fn restore(scratch: &Scratch, place: &Place<'_>, dump: &Path, manifest: &Manifest) -> Result<Restored, String> {
    scratch.start(place)?;
    let version = scratch.query(scratch_statements::VERSION)?.trim().to_owned();
    same_major_version(manifest.server_version.as_deref(), &version)?;
    let schema =
        Identifier::new(manifest.database.clone()).map_err(|error| format!("the manifest's schema: {error}"))?;
    scratch.query(&scratch_statements::create_schema(&schema))?;
    println!("restoring {} into MySQL {version}", manifest.file);
    scratch.restore(dump, schema.as_str())?;
    make_definers(scratch, &schema)?;
    println!("comparing");
    let mut again = scratch.dump(schema.as_str())?;
    let read = match again.child.stdout.take() {
        Some(stdout) => read_dump(stdout),
        None => Err("mysqldump has no output".to_owned()),
    };
    if read.is_err() {
        again.kill();
    }
    again.finish().map_err(|error| format!("dumping what was restored: {error}"))?;
    let found = read?.finish().map_err(|error| format!("dumping what was restored: {error}"))?;
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
    })
}

fn read_manifest(arguments: &Arguments) -> Result<Manifest, String> {
    let path = arguments.backup.join(format!("{}.manifest.json", arguments.name));
    let text = fs::read(&path).map_err(|error| format!("reading the backup's manifest {}: {error}", path.display()))?;
    let digest = hexadecimal(&Sha256::digest(&text));
    if digest != arguments.manifest {
        return Err(format!(
            "the backup's manifest {} was changed after it was written: its SHA-256 is {digest}, and was {}",
            path.display(),
            arguments.manifest
        ));
    }
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|error| format!("the backup's manifest {}: {error}", path.display()))?;
    if manifest.format != FORMAT || manifest.migration != arguments.migration {
        return Err(format!(
            "the backup's manifest {} has format {} and belongs to the migration {}, and format {FORMAT} of the migration {} is wanted",
            path.display(),
            manifest.format,
            manifest.migration,
            arguments.migration
        ));
    }
    Ok(manifest)
}

/// Whether the dump is still what the backup Job wrote.
fn check_dump(path: &Path, manifest: &Manifest) -> Result<(), String> {
    let explain = |error: io::Error| format!("reading the dump {}: {error}", path.display());
    let mut file = File::open(path).map_err(explain)?;
    let mut hash = Sha256::new();
    let mut bytes = 0;
    pieces(&mut file, |piece| {
        hash.update(piece);
        bytes += piece.len() as u64;
    })
    .map_err(explain)?;
    let sha256 = hexadecimal(&hash.finalize());
    if bytes == manifest.bytes && sha256 == manifest.sha256 {
        return Ok(());
    }
    Err(format!(
        "the dump {} was changed after it was written: it has {bytes} bytes with the SHA-256 {sha256}, and had {} with {}; look for what \
         writes to the volume, or for a fault of it",
        path.display(),
        manifest.bytes,
        manifest.sha256
    ))
}

fn read_dump(mut stdout: impl Read) -> Result<Reader, String> {
    let mut reader = Reader::default();
    pieces(&mut stdout, |piece| reader.push(piece)).map_err(|error| format!("reading mysqldump's output: {error}"))?;
    Ok(reader)
}

fn pieces(from: &mut impl Read, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(length) => each(piece.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Makes the definers of views and routines, locked: mysqldump does not read a view of an account that is not there, and accounts are no
/// part of a schema's dump.
fn make_definers(scratch: &Scratch, schema: &Identifier) -> Result<(), String> {
    let made = scratch.query(&scratch_statements::definers(schema))?;
    if !made.trim().is_empty() {
        scratch.query(&scratch_statements::in_schema(schema, &made))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
