//! The client `mysql`, as the Jobs use it: it is asked for rows, or handed a dump to restore.

use std::io::{Read, Write as _};
use std::path::Path;
use std::process::Stdio;

use super::programs::Program;
use super::storage::{self, Interrupted};

/// Which client, and where it connects.
pub(super) struct Client<'a> {
    pub(super) path: &'a Path,
    pub(super) option_file: &'a Path,
    /// The default schema; `None` for statements that name theirs.
    pub(super) schema: Option<&'a str>,
    /// What to look at when it does not start.
    pub(super) hint: &'a str,
}

/// Hands bytes to the client.
pub(super) type Hand<'a> = dyn FnMut(&[u8]) -> Result<(), String> + 'a;

impl Client<'_> {
    /// Runs statements and returns their rows.
    pub(super) fn query(&self, statements: &str) -> Result<String, String> {
        let mut client = self.start(&["--batch", "--raw", "--skip-column-names"], Stdio::piped())?;
        let written = client.child.stdin.take().map(|mut stdin| stdin.write_all(statements.as_bytes()));
        let mut rows = String::new();
        let read = client.child.stdout.take().map(|mut stdout| stdout.read_to_string(&mut rows));
        client.finish()?;
        match (written, read) {
            (Some(Ok(())), Some(Ok(_))) => Ok(rows),
            (Some(Err(error)), _) | (_, Some(Err(error))) => Err(format!("talking to mysql: {error}")),
            _ => Err("mysql has no input or no output".to_owned()),
        }
    }

    /// Restores a dump as a person would: by handing it to the client. `from` is where it lies, `pass_on` hands on what of each piece is to
    /// be restored.
    pub(super) fn restore(
        &self,
        dump: &mut dyn Read,
        from: &str,
        mut pass_on: impl FnMut(&[u8], &mut Hand<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut client = self.start(&["--binary-mode", "--default-character-set=utf8mb4"], Stdio::null())?;
        let Some(mut stdin) = client.child.stdin.take() else { return Err("mysql has no input".to_owned()) };
        let mut hand =
            |bytes: &[u8]| stdin.write_all(bytes).map_err(|error| format!("handing {from} to mysql: {error}"));
        let copied = storage::pieces(dump, |piece| pass_on(piece, &mut hand));
        if matches!(copied, Err(Interrupted::Reading(_))) {
            // It would take what came so far for the whole.
            client.kill();
        }
        drop(stdin);
        let ended = client.finish().map_err(|error| format!("restoring {from}: {error}"));
        match copied {
            // A client that stopped at an error says which.
            Ok(()) | Err(Interrupted::Taking(_)) if ended.is_err() => ended.map(drop),
            copied => copied.map_err(|interrupted| interrupted.text(from)),
        }
    }

    fn start(&self, options: &[&str], stdout: Stdio) -> Result<Program, String> {
        let mut arguments = options.to_vec();
        if let Some(schema) = self.schema {
            // The name ends the options, however it begins.
            arguments.extend(["--", schema]);
        }
        Program::start("mysql", self.path, self.option_file, &arguments, (Stdio::piped(), stdout), self.hint)
    }
}
