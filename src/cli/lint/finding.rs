//! One thing that is wrong with a manifest.

use std::fmt;

use serde_json::Value;

/// Longest value that is shown.
const LONGEST_VALUE: usize = 80;

/// One thing that is wrong with a manifest, wherever it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Path of the field: `spec.gates[0].before`. Empty: the document itself.
    pub path: String,
    /// The value that is wrong, shortened; none where one is missing.
    pub value: Option<String>,
    /// What is wrong.
    pub problem: String,
    /// What to do instead. Empty where the problem says it.
    pub way_out: String,
}

impl Finding {
    /// A finding about a field.
    pub fn new(path: impl Into<String>, problem: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self { path: path.into(), value: None, problem: problem.into(), way_out: way_out.into() }
    }

    /// With the value that is wrong.
    #[must_use]
    pub fn with_value(mut self, value: &Value) -> Self {
        let text = value.to_string();
        self.value = Some(match text.char_indices().nth(LONGEST_VALUE) {
            Some((end, _)) => format!("{}...", &text[..end]),
            None => text,
        });
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [Some(self.path.as_str()), self.value.as_deref(), Some(self.problem.as_str())];
        let parts: Vec<&str> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
        f.write_str(&parts.join(": "))
    }
}
