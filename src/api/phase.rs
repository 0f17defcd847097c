//! The phases of a migration: their order, and the condition that stands for each. Status, decisions and events all read it here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conditions::ConditionType;
use super::names::names;

names! {
    /// Where a migration stands. The three last are the ends.
    #[derive(Serialize, Deserialize, JsonSchema)]
    Phase {
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
        /// The result is proven: every key and constraint in the catalogue, no row that breaks one.
        Prove,
        /// Changes are taken back.
        RollBack,
        /// Done and proven; with `mode: Plan`, planned.
        Complete,
        /// Everything is as it was before.
        RolledBack,
        /// Ended otherwise; the conditions say how and what to do.
        Failed,
    }
}

impl Phase {
    /// The steps of every migration in order, each with the condition that is True once it is done. The proof, which follows them, has
    /// none: it ends the migration.
    pub const STEPS: [(Self, ConditionType); 12] = [
        (Self::Preflight, ConditionType::PreflightPassed),
        (Self::Plan, ConditionType::Planned),
        (Self::BackUp, ConditionType::BackedUp),
        (Self::Rehearse, ConditionType::Rehearsed),
        (Self::Validate, ConditionType::Validated),
        (Self::CleanUp, ConditionType::CleanedUp),
        (Self::FixTypes, ConditionType::TypesFixed),
        (Self::AddUniques, ConditionType::UniquesAdded),
        (Self::AddForeignKeys, ConditionType::ForeignKeysAdded),
        (Self::UpdateSchema, ConditionType::SchemaUpdated),
        (Self::Test, ConditionType::Tested),
        (Self::Soak, ConditionType::Soaked),
    ];

    /// The condition that stands for the phase.
    #[must_use]
    pub fn condition(self) -> Option<ConditionType> {
        if self == Self::RollBack {
            return Some(ConditionType::RolledBack);
        }
        Self::STEPS.into_iter().find(|(phase, _)| *phase == self).map(|(_, condition)| condition)
    }

    /// Whether nothing follows without a person's token or a new spec.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Complete | Self::RolledBack | Self::Failed)
    }
}
