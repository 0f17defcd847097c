//! A Job that is deleted in the middle: its program is told by SIGTERM, and removes what it has stored so far before it is killed.

use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};

use super::manifest;
use super::storage;

/// From now on SIGTERM ends the program, after what was begun under names with this beginning was removed. As the first process of its container
/// it would not end at all otherwise.
///
/// # Errors
/// When the signal cannot be waited for.
pub(super) fn clear_up_on_sigterm(
    destination: &storage::Arguments,
    beginning: String,
    termination_message: &Path,
) -> Result<(), String> {
    let explain = |error: std::io::Error| format!("waiting for SIGTERM: {error}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(explain)?;
    let mut sigterm = {
        let _inside = runtime.enter();
        signal(SignalKind::terminate()).map_err(explain)?
    };
    let (destination, termination_message) = (destination.clone(), termination_message.to_owned());
    std::thread::spawn(move || {
        if runtime.block_on(sigterm.recv()).is_none() {
            return;
        }
        let cleared = storage::open(&destination).and_then(|storage| storage.sweep(&beginning));
        let cleared = cleared.err().map(|error| format!(" ({error})")).unwrap_or_default();
        let told = manifest::leave(&termination_message, Err(format!("stopped from outside, by SIGTERM{cleared}")));
        if let Err(message) = told {
            eprintln!("holdfast: {message}");
        }
        // With it mysqldump is ended: it cannot write any more.
        std::process::exit(1);
    });
    Ok(())
}
