//! Copies the running program into a volume, so that the container with the user's own image can run it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Copies this program to `destination` and makes it executable.
///
/// # Errors
/// When the program cannot be read or the destination cannot be written; the message names both.
pub fn install_self(destination: &Path) -> io::Result<()> {
    let source = std::env::current_exe()?;
    install(&source, destination)
}

fn install(source: &Path, destination: &Path) -> io::Result<()> {
    let explain = |error: io::Error| {
        io::Error::new(error.kind(), format!("copying {} to {}: {error}", source.display(), destination.display()))
    };
    // A name of its own first: whoever looks at the destination never sees half a program.
    let unfinished = destination.with_extension("partial");
    fs::copy(source, &unfinished).map_err(explain)?;
    fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o755)).map_err(explain)?;
    fs::rename(&unfinished, destination).map_err(explain)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_copy_is_complete_and_executable() {
        let folder = std::env::temp_dir().join(format!("holdfast-install-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let source = folder.join("source");
        fs::write(&source, b"program").unwrap();
        fs::set_permissions(&source, fs::Permissions::from_mode(0o600)).unwrap();
        let destination = folder.join("holdfast");
        install(&source, &destination).unwrap();
        assert_eq!(fs::read(&destination).unwrap(), b"program");
        assert_eq!(fs::metadata(&destination).unwrap().permissions().mode() & 0o777, 0o755);
        fs::remove_dir_all(folder).unwrap();
    }
}
