//! Steering: the annotations by which a person asks for something, and how the status answers.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SchemaMigration;
use super::conditions::shortened;

/// Longest token that is told apart from others; annotations may be far longer.
const MAX_TOKEN_BYTES: usize = 253;

/// Annotations by which a person steers a migration. A new value is a new request; the handled value is
/// acknowledged in `status.lastHandled`.
pub mod annotations {
    /// Try again what failed.
    pub const RETRY_AT: &str = "holdfast.dev/retry-at";
    /// Stop now, then follow `spec.rollback.onFailure`.
    pub const ABORT_AT: &str = "holdfast.dev/abort-at";
    /// Undo a migration, whatever `spec.rollback.onFailure` says.
    pub const ROLLBACK_AT: &str = "holdfast.dev/rollback-at";
    /// Compute the plan anew from the catalogue.
    pub const REPLAN_AT: &str = "holdfast.dev/replan-at";
    /// Delete the quarantined rows for good.
    pub const PURGE_AT: &str = "holdfast.dev/purge-at";
    /// All steering annotations.
    pub const ALL: [&str; 5] = [RETRY_AT, ABORT_AT, ROLLBACK_AT, REPLAN_AT, PURGE_AT];
}

/// What a person can ask for by an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SteeringAction {
    /// Stop now, then follow the rollback strategy.
    Abort,
    /// Take every change back.
    Rollback,
    /// Compute the plan anew.
    Replan,
    /// Try again what failed.
    Retry,
    /// Delete the quarantined rows for good.
    Purge,
}

impl SteeringAction {
    /// All of them, in the order in which they are handled when several are asked for at once: the one that stops more comes first.
    pub const ALL: [Self; 5] = [Self::Abort, Self::Rollback, Self::Replan, Self::Retry, Self::Purge];

    /// The annotation that asks for it.
    #[must_use]
    pub const fn annotation(self) -> &'static str {
        match self {
            Self::Abort => annotations::ABORT_AT,
            Self::Rollback => annotations::ROLLBACK_AT,
            Self::Replan => annotations::REPLAN_AT,
            Self::Retry => annotations::RETRY_AT,
            Self::Purge => annotations::PURGE_AT,
        }
    }
}

impl fmt::Display for SteeringAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Something that a person asks for and that was not answered yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub action: SteeringAction,
    /// The annotation's value, shortened.
    pub token: String,
}

/// The first request that was not answered yet.
#[must_use]
pub fn next_request(migration: &SchemaMigration) -> Option<Request> {
    let handled = migration.status.as_ref().map(|status| &status.last_handled);
    SteeringAction::ALL.into_iter().find_map(|action| {
        let value = migration.annotations().get(action.annotation()).filter(|value| !value.is_empty())?;
        let token = shortened(value.clone(), MAX_TOKEN_BYTES);
        let known = handled.and_then(|handled| handled.token(action));
        (known != Some(&token)).then_some(Request { action, token })
    })
}

/// Values of the steering annotations that were handled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LastHandled {
    /// Of `holdfast.dev/retry-at`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<String>,
    /// Of `holdfast.dev/abort-at`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abort_at: Option<String>,
    /// Of `holdfast.dev/rollback-at`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback_at: Option<String>,
    /// Of `holdfast.dev/replan-at`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replan_at: Option<String>,
    /// Of `holdfast.dev/purge-at`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purge_at: Option<String>,
}

impl LastHandled {
    /// Whether nothing was handled yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn place(&mut self, action: SteeringAction) -> &mut Option<String> {
        match action {
            SteeringAction::Abort => &mut self.abort_at,
            SteeringAction::Rollback => &mut self.rollback_at,
            SteeringAction::Replan => &mut self.replan_at,
            SteeringAction::Retry => &mut self.retry_at,
            SteeringAction::Purge => &mut self.purge_at,
        }
    }

    /// The last value that was handled.
    #[must_use]
    pub fn token(&self, action: SteeringAction) -> Option<&String> {
        match action {
            SteeringAction::Abort => self.abort_at.as_ref(),
            SteeringAction::Rollback => self.rollback_at.as_ref(),
            SteeringAction::Replan => self.replan_at.as_ref(),
            SteeringAction::Retry => self.retry_at.as_ref(),
            SteeringAction::Purge => self.purge_at.as_ref(),
        }
    }

    /// Acknowledges a value.
    pub fn acknowledge(&mut self, action: SteeringAction, token: &str) {
        *self.place(action) = Some(token.to_owned());
    }
}

/// The answer to the last request of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SteeringAnswer {
    /// What was asked for.
    pub action: SteeringAction,
    /// The annotation's value.
    pub token: String,
    /// Whether it was acted on.
    pub accepted: bool,
    /// What was done, or why nothing was.
    pub message: String,
    /// When it was answered.
    pub at: Time,
}
