//! The phases of a migration, as its status shows them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a migration stands. The three last are the ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// The server is looked at.
    Preflight,
    /// The plan is computed.
    Plan,
    /// The backup is made.
    BackUp,
    /// The plan runs on the restored copy.
    Rehearse,
    /// Orphans and duplicates are counted.
    Validate,
    /// They go to quarantine.
    CleanUp,
    /// Columns are added and changed.
    FixTypes,
    /// Unique constraints are added.
    AddUniques,
    /// Foreign keys are added, stage by stage.
    AddForeignKeys,
    /// The application's schema file is brought up to date.
    UpdateSchema,
    /// Probes, scenarios and test Jobs run.
    Test,
    /// The application is watched.
    Soak,
    /// Changes are taken back.
    RollBack,
    /// Done and proven; with `mode: Plan`, planned.
    Complete,
    /// Everything is as it was before.
    RolledBack,
    /// Ended otherwise; the conditions say how and what to do.
    Failed,
}

impl Phase {
    /// The name as it is written in the status.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Preflight => "Preflight",
            Self::Plan => "Plan",
            Self::BackUp => "BackUp",
            Self::Rehearse => "Rehearse",
            Self::Validate => "Validate",
            Self::CleanUp => "CleanUp",
            Self::FixTypes => "FixTypes",
            Self::AddUniques => "AddUniques",
            Self::AddForeignKeys => "AddForeignKeys",
            Self::UpdateSchema => "UpdateSchema",
            Self::Test => "Test",
            Self::Soak => "Soak",
            Self::RollBack => "RollBack",
            Self::Complete => "Complete",
            Self::RolledBack => "RolledBack",
            Self::Failed => "Failed",
        }
    }

    /// Whether nothing follows without a person's token or a new spec.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Complete | Self::RolledBack | Self::Failed)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
