//! What evidence must be to count, and why it does not: each way to cheat by its name, with the way out.

use jiff::Timestamp;

use super::document::{COMPLETE, Document, FORMAT};
use crate::api::Duration;
use crate::api::duration::CLOCKS_DIFFER;

/// What is asked of evidence. What is left out is not asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// The environment that it must come from.
    pub environment: Option<&'a str>,
    /// What must have been rolled out.
    pub content_digest: Option<&'a str>,
    /// Its greatest age.
    pub max_age: Option<&'a Duration>,
}

/// Why evidence does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No evidence at all.
    #[error("it is malformed: {0}. Take it unchanged from kubectl holdfast evidence export")]
    Malformed(String),
    /// Of another version.
    #[error(
        "it has the format {0}, and this version knows {FORMAT}: use the version of Holdfast that wrote it, or have it written by this one"
    )]
    AnotherFormat(String),
    /// Without signature.
    #[error("it is unsigned: set spec.promotion.signingKeySecretRef in that environment before it is rolled out there")]
    Unsigned,
    /// Of somebody else.
    #[error(
        "it is signed with another key ({signed_by}; the Secret holds {wanted}): take evidence from the environment whose key this is, or \
         put the public key of that environment into the Secret"
    )]
    AnotherKey {
        /// What the key is called.
        signed_by: String,
        /// What the one is called that is asked for.
        wanted: String,
    },
    /// Changed.
    #[error(
        "it was edited after it was signed, or its signature was: take it unchanged from kubectl holdfast evidence export"
    )]
    Edited,
    /// Of a migration that did not end well.
    #[error("its result is {0:?}, not {COMPLETE:?}: roll it out there until it is complete")]
    NotComplete(String),
    /// Replayed.
    #[error("it comes from the environment {found:?}, not {wanted:?}: take the evidence of {wanted:?}")]
    AnotherEnvironment {
        /// Where from.
        found: String,
        /// Where it has to come from.
        wanted: String,
    },
    /// Of something else.
    #[error(
        "it is of other content ({found}; this is {wanted}): roll out there what is to be rolled out here, with the same types, keys, \
         tests and PodTemplates"
    )]
    AnotherContent {
        /// What was rolled out there.
        found: String,
        /// What is to be rolled out here.
        wanted: String,
    },
    /// Of a time that has not come.
    #[error("it is from the future ({0}): set the clocks right, and roll it out there again if it was that one's")]
    FromTheFuture(Timestamp),
    /// Too old.
    #[error("it is of {finished} and older than maxAge {max_age}: roll it out there once more, or allow more")]
    TooOld {
        /// When it was proven.
        finished: Timestamp,
        /// The greatest age.
        max_age: String,
    },
}

impl Wanted<'_> {
    /// Whether a document, known to be what its environment signed, is what is asked for.
    ///
    /// # Errors
    /// Why it is not.
    pub fn check(&self, document: &Document, now: Timestamp) -> Result<(), Refusal> {
        if document.result != COMPLETE {
            return Err(Refusal::NotComplete(document.result.clone()));
        }
        if let Some(wanted) = self.environment.filter(|wanted| *wanted != document.environment) {
            return Err(Refusal::AnotherEnvironment { found: document.environment.clone(), wanted: wanted.to_owned() });
        }
        if let Some(wanted) = self.content_digest.filter(|wanted| *wanted != document.content_digest) {
            return Err(Refusal::AnotherContent { found: document.content_digest.clone(), wanted: wanted.to_owned() });
        }
        let age = now.duration_since(document.finished_at);
        if age < -CLOCKS_DIFFER {
            return Err(Refusal::FromTheFuture(document.finished_at));
        }
        let too_old = |max: &&Duration| std::time::Duration::try_from(age).is_ok_and(|age| age > max.get());
        if let Some(max_age) = self.max_age.filter(too_old) {
            return Err(Refusal::TooOld { finished: document.finished_at, max_age: max_age.to_string() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
