//! Commands typed as a person types them: in bash, in one folder, as somebody; at once, in another window, or on a terminal that asks.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::harness::Outcome;

/// How long one command may take.
const LIMIT: Duration = Duration::from_secs(300);
/// How often a command in another window is looked at.
const INTERVAL: Duration = Duration::from_millis(200);

/// Somebody at a keyboard.
#[derive(Debug, Clone)]
pub(crate) struct Typist {
    pub(crate) folder: PathBuf,
    /// Programs that are looked for before those of the machine.
    pub(crate) tools: PathBuf,
    pub(crate) kubeconfig: PathBuf,
}

/// What a command has shown, and how it ended.
#[derive(Debug)]
pub(crate) struct Typed {
    pub(crate) shown: String,
    pub(crate) status: ExitStatus,
}

/// A command in another window.
pub(crate) struct Window {
    pub(crate) told: String,
    child: Child,
    log: PathBuf,
}

impl Typist {
    fn command(&self, program: &str, arguments: &[&str]) -> Outcome<Command> {
        let limit = format!("{}s", LIMIT.as_secs());
        let mut path: OsString = self.tools.clone().into();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut command = Command::new("timeout");
        command.args(["--signal=TERM", "--kill-after=10s", &limit, program]).args(arguments);
        // What cargo has told this program is not for the cargo that somebody types: it would build again what depends on it.
        let of_cargo = |name: &str| name.starts_with("CARGO_") && !["CARGO_HOME", "CARGO_TARGET_DIR"].contains(&name);
        for name in std::env::vars().map(|(name, _)| name).filter(|name| of_cargo(name)) {
            command.env_remove(name);
        }
        command.current_dir(&self.folder).env("PATH", path).env("KUBECONFIG", &self.kubeconfig).env("NO_COLOR", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }

    /// Types a command, which nobody can ask anything.
    pub(crate) fn line(&self, text: &str) -> Outcome<Typed> {
        // One stream, as on a screen.
        let script = format!("exec 2>&1\n{text}\n");
        let output = self.command("bash", &["-euo", "pipefail", "-c", &script])?.output();
        let output = output.map_err(|error| format!("bash: {error}"))?;
        Ok(Typed { shown: String::from_utf8_lossy(&output.stdout).into_owned(), status: output.status })
    }

    /// Types a command on a terminal, and an answer once it has shown the question.
    pub(crate) fn asked(&self, text: &str, question: &str, answer: &str) -> Outcome<Typed> {
        let file = self.folder.join(".typed.sh");
        fs::write(&file, format!("set -euo pipefail\n{text}\n"))
            .map_err(|error| format!("{}: {error}", file.display()))?;
        let mut command =
            self.command("script", &["--quiet", "--return", "--flush", "--command", "bash .typed.sh", "/dev/null"])?;
        let mut child = command.stdin(Stdio::piped()).spawn().map_err(|error| format!("script: {error}"))?;
        let (mut screen, mut keyboard) = match (child.stdout.take(), child.stdin.take()) {
            (Some(screen), Some(keyboard)) => (screen, keyboard),
            _ => return Err("script has no streams".to_owned()),
        };
        let (mut shown, mut asked, mut part) = (Vec::new(), false, [0_u8; 4096]);
        loop {
            if !asked && String::from_utf8_lossy(&shown).contains(question) {
                asked = true;
                writeln!(keyboard, "{answer}").map_err(|error| format!("answering: {error}"))?;
            }
            match screen.read(&mut part).map_err(|error| format!("reading the terminal: {error}"))? {
                0 => break,
                read => shown.extend_from_slice(&part[..read]),
            }
        }
        let status = child.wait().map_err(|error| format!("script: {error}"))?;
        let shown = String::from_utf8_lossy(&shown).replace('\r', "");
        // What was not asked was not answered.
        if asked {
            Ok(Typed { shown, status })
        } else {
            Err(format!("it never asks {question:?}, but shows:\n{shown}"))
        }
    }

    /// Types a command in another window.
    pub(crate) fn aside(&self, told: &str, text: &str, log: &Path) -> Outcome<Window> {
        let opened = File::create(log).and_then(|file| Ok((file.try_clone()?, file)));
        let (one, other) = opened.map_err(|error| format!("{}: {error}", log.display()))?;
        let mut command = self.command("bash", &["-euo", "pipefail", "-c", text])?;
        let child = command.stdout(one).stderr(other).spawn().map_err(|error| format!("bash: {error}"))?;
        Ok(Window { told: told.to_owned(), child, log: log.to_owned() })
    }
}

impl Window {
    /// What it has shown so far.
    pub(crate) fn shown(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Whether it goes on.
    pub(crate) fn goes_on(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it shows a whole line with this in it, and returns the number behind it.
    pub(crate) fn number_behind(&mut self, wanted: &str) -> Outcome<String> {
        let begun = Instant::now();
        loop {
            let shown = self.shown();
            if let Some((rest, _)) = shown.split_once(wanted).and_then(|(_, rest)| rest.split_once('\n')) {
                return Ok(rest.chars().take_while(char::is_ascii_digit).collect());
            }
            if !self.goes_on() || begun.elapsed() > LIMIT {
                return Err(format!("$ {}\nit does not show {wanted:?}, but:\n{shown}", self.told));
            }
            std::thread::sleep(INTERVAL);
        }
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Outcome<Typed> {
        let status = self.child.wait().map_err(|error| format!("{}: {error}", self.told))?;
        Ok(Typed { shown: self.shown(), status })
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // `timeout` hands it on to all that it started.
        let _ = self.goes_on() && Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().is_ok();
        let _ = self.child.wait();
    }
}
