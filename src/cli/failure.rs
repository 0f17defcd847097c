//! Why a command of the plugin ends otherwise than well: the exit code for scripts, and the sentence for people.

use std::fmt;

/// How a command ended, for scripts. `--help` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The answer is no: lint found something, the operator refused, nothing waits for that gate, the migration did not end well.
    No = 1,
    /// The command line cannot be carried out as it is written.
    Usage = 2,
    /// It could not be asked: no API server, no right, no such object, no file.
    Unavailable = 3,
    /// No answer came before the deadline.
    Timeout = 4,
}

/// The list of exit codes, for `--help`.
pub const EXIT_CODES: &str = "Exit codes:
  0  done, and the answer is good
  1  the answer is no: lint found something, the operator refused, nothing waits for that gate, the migration did not end well
  2  the command line cannot be carried out as it is written
  3  it could not be asked: no API server, no right, no such object, no file
  4  no answer came before the deadline";

/// Why a command ended otherwise than well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For scripts.
    pub exit: Exit,
    /// For people: what is wrong and the next step. Empty where all is said already.
    pub message: String,
}

impl Failure {
    /// The answer is no.
    pub fn no(message: impl Into<String>) -> Self {
        Self { exit: Exit::No, message: message.into() }
    }

    /// The command line cannot be carried out.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into() }
    }

    /// It could not be asked.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self { exit: Exit::Unavailable, message: message.into() }
    }

    /// No answer came.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self { exit: Exit::Timeout, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
