//! Where dumps lie: a folder (of a PersistentVolumeClaim) or a bucket of an S3 service. What makes, proves or removes a backup knows only
//! this: a named object is written as a stream, appears when it is whole, is never overwritten, and is read and removed by its name.

mod bucket;
mod bucket_error;
mod bucket_http;
mod bucket_upload;
mod folder;

use std::io::{self, Read};
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::manifest::hexadecimal;

const PIECE: usize = 256 * 1024;

/// Arguments that say where the dumps lie: `--destination`, or `--bucket` and what belongs to it.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(skip)]
pub struct Arguments {
    /// Folder that holds the dumps.
    #[arg(long, conflicts_with = "bucket", required_unless_present = "bucket")]
    pub destination: Option<PathBuf>,
    /// Bucket that holds them.
    #[arg(long, requires_all = ["region", "bucket_credentials"])]
    pub bucket: Option<String>,
    /// What the keys of the bucket's objects begin with, before a slash.
    #[arg(long, requires = "bucket")]
    pub prefix: Option<String>,
    /// Region of the bucket.
    #[arg(long, requires = "bucket")]
    pub region: Option<String>,
    /// URL of the S3 service.
    #[arg(long, requires = "bucket")]
    pub endpoint: Option<String>,
    /// Folder with the files `accessKeyId`, `secretAccessKey` and, for temporary credentials, `sessionToken`.
    #[arg(long, requires = "bucket")]
    pub bucket_credentials: Option<PathBuf>,
    /// File of the certificate authority of the S3 service in PEM.
    #[arg(long, requires = "bucket")]
    pub bucket_certificate_authority: Option<PathBuf>,
    /// Seconds that an answer of the S3 service may take, and for which a request that fails is repeated.
    #[arg(long, default_value_t = 180)]
    pub patience: u64,
}

impl Arguments {
    /// A folder.
    #[must_use]
    pub fn folder(path: PathBuf) -> Self {
        Self { destination: Some(path), ..Self::default() }
    }
}

/// A place that holds dumps.
pub(super) trait Storage {
    /// Where people find the object of this name.
    fn place(&self, name: &str) -> String;

    /// Begins an object that does not exist yet.
    fn begin(&self, name: &str) -> Result<Box<dyn Upload + '_>, String>;

    /// Writes a small object that does not exist yet.
    fn put(&self, name: &str, content: &[u8]) -> Result<(), String>;

    /// Reads an object; `None`: there is none of this name.
    fn read(&self, name: &str) -> Result<Option<Box<dyn Read + '_>>, String>;

    /// Removes an object; whether there was one.
    fn remove(&self, name: &str) -> Result<bool, String>;

    /// Removes what earlier programs began under names with this beginning and did not finish, where that is no object yet.
    fn sweep(&self, beginning: &str) -> Result<(), String>;
}

/// An object that is being written. Until it is finished there is no object of its name.
pub(super) trait Upload {
    /// Writes more of it.
    fn write(&mut self, piece: &[u8]) -> Result<(), String>;

    /// Everything is written: the object gets its name once all of it is stored. After an error nothing of it is left, unless only the answer
    /// that it has its name was lost.
    fn finish(self: Box<Self>) -> Result<(), String>;

    /// Removes what was written so far.
    fn abandon(self: Box<Self>) -> Result<(), String>;
}

/// Opens the place that the arguments name.
///
/// # Errors
/// When the credentials of a bucket cannot be read, or its address is none.
pub(super) fn open(arguments: &Arguments) -> Result<Box<dyn Storage>, String> {
    match (&arguments.destination, &arguments.bucket) {
        (Some(path), None) => Ok(Box::new(folder::Folder::new(path.clone()))),
        (None, Some(bucket)) => Ok(Box::new(bucket::Bucket::open(bucket, arguments)?)),
        _ => Err("exactly one of --destination and --bucket must be given".to_owned()),
    }
}

/// An object that must be there.
pub(super) fn existing<'a>(storage: &'a dyn Storage, name: &str) -> Result<Box<dyn Read + 'a>, String> {
    storage.read(name)?.ok_or_else(|| format!("{} is not there", storage.place(name)))
}

/// Hands a stream on, piece by piece.
pub(super) fn pieces(
    from: &mut dyn Read,
    mut each: impl FnMut(&[u8]) -> Result<(), String>,
) -> Result<(), Interrupted> {
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(length) => each(piece.get(..length).unwrap_or_default()).map_err(Interrupted::Taking)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Interrupted::Reading(error)),
        }
    }
}

/// Why a stream was not handed on to its end.
pub(super) enum Interrupted {
    /// It could not be read.
    Reading(io::Error),
    /// What it was handed to could not take it.
    Taking(String),
}

impl Interrupted {
    /// In words, for a stream of this name.
    pub(super) fn text(self, of: &str) -> String {
        match self {
            Self::Reading(error) => format!("reading {of}: {error}"),
            Self::Taking(text) => text,
        }
    }
}

/// Size and SHA-256 of a stream.
#[derive(Default)]
pub(super) struct Sum {
    hash: Sha256,
    bytes: u64,
}

impl Sum {
    pub(super) fn add(&mut self, piece: &[u8]) {
        self.hash.update(piece);
        self.bytes += piece.len() as u64;
    }

    pub(super) fn finish(self) -> (u64, String) {
        (self.bytes, hexadecimal(&self.hash.finalize()))
    }
}

/// Reads an object through and says what it weighs.
pub(super) fn weigh(storage: &dyn Storage, name: &str) -> Result<(u64, String), String> {
    let mut sum = Sum::default();
    let mut object = existing(storage, name)?;
    pieces(&mut object, |piece| {
        sum.add(piece);
        Ok(())
    })
    .map_err(|interrupted| interrupted.text(&storage.place(name)))?;
    Ok(sum.finish())
}

/// Reads a small object.
pub(super) fn read_whole(storage: &dyn Storage, name: &str) -> Result<Option<Vec<u8>>, String> {
    let Some(mut object) = storage.read(name)? else { return Ok(None) };
    let mut content = Vec::new();
    object.read_to_end(&mut content).map_err(|error| format!("reading {}: {error}", storage.place(name)))?;
    Ok(Some(content))
}
