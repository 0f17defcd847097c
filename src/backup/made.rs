//! A backup that was made before, as the Jobs that look into it are told of it: where it lies, and the sum of its manifest, by which they know
//! that it is the one that the backup Job told of.

use sha2::{Digest as _, Sha256};

use super::manifest::{self, FORMAT, Manifest, OLDEST_FORMAT, hexadecimal};
use super::storage::{self, Storage};

/// Where a backup is, and which.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Arguments {
    /// Where the dump and its manifest are.
    #[command(flatten)]
    pub storage: storage::Arguments,
    /// Name of the dump without its ending.
    #[arg(long)]
    pub name: String,
    /// SHA-256 of the manifest, as the backup Job told it.
    #[arg(long)]
    pub manifest: String,
    /// Uid of the SchemaMigration.
    #[arg(long)]
    pub migration: String,
}

impl Arguments {
    /// Reads the backup's manifest, which must be the one that the backup Job told of.
    pub(super) fn manifest(&self, storage: &dyn Storage) -> Result<Manifest, String> {
        let name = manifest::file_name(&self.name);
        let place = storage.place(&name);
        let text = storage::read_whole(storage, &name)?
            .ok_or_else(|| format!("the backup's manifest {place} is not there"))?;
        let digest = hexadecimal(&Sha256::digest(&text));
        if digest != self.manifest {
            return Err(format!(
                "the backup's manifest {place} was changed after it was written: its SHA-256 is {digest}, and was {}",
                self.manifest
            ));
        }
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|error| format!("the backup's manifest {place}: {error}"))?;
        if !(OLDEST_FORMAT..=FORMAT).contains(&manifest.format) || manifest.migration != self.migration {
            return Err(format!(
                "the backup's manifest {place} has format {} and belongs to the migration {}, and a format from {OLDEST_FORMAT} to {FORMAT} of the \
                 migration {} is wanted",
                manifest.format, manifest.migration, self.migration
            ));
        }
        Ok(manifest)
    }
}
