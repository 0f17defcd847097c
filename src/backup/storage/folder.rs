//! Dumps as files of a folder: a file gets its name once every byte of it is on disk.

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::{Storage, Upload};

/// What the name of a file ends with that is not finished.
const PARTIAL: &str = ".partial";

pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A file that is being written has another name, which nobody takes for a dump.
    fn partial(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}{PARTIAL}"))
    }

    fn free(&self, name: &str) -> Result<(), String> {
        let path = self.file(name);
        match path.try_exists() {
            Ok(false) => Ok(()),
            Ok(true) => Err(format!("{} exists already, and nothing is overwritten", path.display())),
            Err(error) => Err(explain(&error, &path, 0)),
        }
    }
}

impl Storage for Folder {
    fn place(&self, name: &str) -> String {
        self.file(name).display().to_string()
    }

    fn begin(&self, name: &str) -> Result<Box<dyn Upload + '_>, String> {
        self.free(name)?;
        let partial = self.partial(name);
        // One that is left there is this Job's own, of a container that was ended.
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&partial);
        let file = file.map_err(|error| explain(&error, &partial, 0))?;
        Ok(Box::new(Writing { folder: self, name: name.to_owned(), partial, file, bytes: 0 }))
    }

    fn put(&self, name: &str, content: &[u8]) -> Result<(), String> {
        let mut writing = self.begin(name)?;
        match writing.write(content) {
            Ok(()) => writing.finish(),
            Err(error) => Err(abandoned(writing, error)),
        }
    }

    fn read(&self, name: &str) -> Result<Option<Box<dyn Read + '_>>, String> {
        let path = self.file(name);
        match File::open(&path) {
            Ok(file) => Ok(Some(Box::new(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("opening {}: {error}", path.display())),
        }
    }

    fn remove(&self, name: &str) -> Result<bool, String> {
        let path = self.file(name);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(format!("removing {}: {error}", path.display())),
        }
    }

    fn sweep(&self, beginning: &str) -> Result<(), String> {
        let explain = |error: io::Error| format!("looking for unfinished files in {}: {error}", self.path.display());
        for entry in fs::read_dir(&self.path).map_err(explain)? {
            let entry = entry.map_err(explain)?;
            let name = entry.file_name();
            if name.to_str().is_some_and(|name| name.starts_with(beginning) && name.ends_with(PARTIAL)) {
                remove_unfinished(&entry.path())?;
            }
        }
        Ok(())
    }
}

struct Writing<'a> {
    folder: &'a Folder,
    name: String,
    partial: PathBuf,
    file: File,
    bytes: u64,
}

impl Upload for Writing<'_> {
    fn write(&mut self, piece: &[u8]) -> Result<(), String> {
        self.file.write_all(piece).map_err(|error| explain(&error, &self.partial, self.bytes))?;
        self.bytes += piece.len() as u64;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), String> {
        let publish = || -> io::Result<()> {
            self.file.sync_all()?;
            fs::rename(&self.partial, self.folder.file(&self.name))?;
            File::open(&self.folder.path)?.sync_all()
        };
        let published = self
            .folder
            .free(&self.name)
            .and_then(|()| publish().map_err(|error| explain(&error, &self.partial, self.bytes)));
        published.map_err(|error| abandoned(self, error))
    }

    fn abandon(self: Box<Self>) -> Result<(), String> {
        remove_unfinished(&self.partial)
    }
}

fn remove_unfinished(path: &Path) -> Result<(), String> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(format!("removing the unfinished file {}: {error}", path.display())),
    }
}

/// The error, after what was written so far was removed: half a dump is of no use and takes the space that the next attempt needs.
fn abandoned(writing: Box<dyn Upload + '_>, error: String) -> String {
    match writing.abandon() {
        Ok(()) => error,
        Err(more) => format!("{error} (and {more})"),
    }
}

fn explain(error: &io::Error, path: &Path, bytes: u64) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => format!(
            "the backup volume is full: writing {} stopped after {bytes} bytes ({error}); give the PersistentVolumeClaim more space \
             or remove old dumps from it",
            path.display()
        ),
        io::ErrorKind::PermissionDenied => format!(
            "writing {}: {error}: the volume must be writable for group 65532, which fsGroup arranges on most kinds of volume",
            path.display()
        ),
        _ => format!("writing {}: {error}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_full_volume_is_named_as_such() {
        let error = explain(&io::Error::from(io::ErrorKind::StorageFull), Path::new("/backup/a.sql"), 12);
        assert!(error.contains("the backup volume is full") && error.contains("PersistentVolumeClaim"), "{error}");
    }

    #[test]
    fn an_existing_file_is_not_overwritten_and_an_unfinished_one_goes() {
        let path = std::env::temp_dir().join(format!("holdfast-folder-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let folder = Folder::new(path.clone());
        folder.put("a", b"first").unwrap();
        assert!(folder.put("a", b"second").unwrap_err().contains("exists already"));
        let mut late = folder.begin("b").unwrap();
        late.write(b"second").unwrap();
        fs::write(path.join("b"), "somebody's").unwrap();
        assert!(late.finish().unwrap_err().contains("exists already"));
        let mut names: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(fs::read(path.join("a")).unwrap(), b"first");
        assert_eq!(fs::read(path.join("b")).unwrap(), b"somebody's");
        fs::remove_dir_all(path).unwrap();
    }
}
