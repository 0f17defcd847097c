//! What keeps a specification from becoming a plan.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One finding; all of them are reported at once, so that a specification is corrected in one go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Problem {
    /// Field of the specification: `spec.stages[0].foreignKeys[3].columns[0]`.
    pub path: String,
    /// The object, what is wrong with it, and the way out.
    pub message: String,
}

impl Problem {
    /// Makes a problem.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.message)
    }
}
