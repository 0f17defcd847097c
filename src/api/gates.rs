//! `spec.gates`, `spec.rollback` and `spec.quarantine`: who must agree, when work may begin, and what happens on failure.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Duration, duration::Retention, names::names, reference::UnionError};

/// A condition that must be met before a phase begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "has(self.approval) || has(self.window)", "message": "a gate needs approval or window, else it is always open"}]))]
pub struct Gate {
    /// What the gate stands before.
    pub before: Before,
    /// Required: a MigrationApproval of the current plan's digest. Left out: nobody is asked, only the window counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// When work may go on: nothing begins outside the window, and what its end finds at work stops at the next safe point and goes on in the next one. A window before CleanUp, FixTypes, AddUniques, AddForeignKeys or a stage holds for the changes that follow too, until another gate with a window. Left out: at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
}

/// Whether a person must agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Approval {
    /// A MigrationApproval is needed.
    Required,
}

/// What a gate stands before. Exactly one of `phase` and `stage` is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "has(self.phase) != has(self.stage)", "message": "exactly one of phase and stage must be set"}]))]
pub struct Before {
    /// A phase, or one of the steps that are gated wherever they come up: Copy (a change that copies a table), RestoreBackup and Purge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<GatedPhase>,
    /// Name of a stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub stage: Option<String>,
}

names! {
    /// Phases and steps that a gate can stand before.
    #[derive(Serialize, Deserialize, JsonSchema)]
    GatedPhase {
        /// The backup.
        BackUp,
        /// The run on the restored copy.
        Rehearse,
        /// The count of orphans and duplicates.
        Validate,
        /// The first change: orphans and duplicates go to quarantine.
        CleanUp,
        /// Columns are added and changed.
        FixTypes,
        /// Unique constraints are added.
        AddUniques,
        /// Foreign keys are added, stage by stage.
        AddForeignKeys,
        /// The application's schema file is brought up to date.
        UpdateSchema,
        /// Probes, scenarios and the application's tests.
        Test,
        /// The application is watched.
        Soak,
        /// The end; a gate here leaves time for tests by hand.
        Complete,
        /// A change that copies a table, wherever it comes up. Gated even if unlisted.
        Copy,
        /// The restore of the backup over the database. Gated even if unlisted.
        RestoreBackup,
        /// The deletion of the quarantined rows.
        Purge,
    }
}

/// What a gate stands before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GatePoint<'a> {
    /// A phase or step.
    Phase(GatedPhase),
    /// A stage of foreign keys.
    Stage(&'a str),
}

impl fmt::Display for GatePoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Phase(phase) => write!(f, "{phase}"),
            Self::Stage(name) => write!(f, "stage {name}"),
        }
    }
}

impl Before {
    /// What the gate stands before.
    ///
    /// # Errors
    /// When not exactly one member is set. The API server refuses such an object.
    pub fn point(&self) -> Result<GatePoint<'_>, UnionError> {
        match (self.phase, &self.stage) {
            (Some(phase), None) => Ok(GatePoint::Phase(phase)),
            (None, Some(stage)) => Ok(GatePoint::Stage(stage)),
            _ => Err(UnionError { members: "phase and stage" }),
        }
    }
}

impl From<GatedPhase> for Before {
    fn from(phase: GatedPhase) -> Self {
        Self { phase: Some(phase), stage: None }
    }
}

impl From<GatePoint<'_>> for Before {
    fn from(point: GatePoint<'_>) -> Self {
        match point {
            GatePoint::Phase(phase) => phase.into(),
            GatePoint::Stage(name) => Self { phase: None, stage: Some(name.to_owned()) },
        }
    }
}

/// When work may go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// Days of the week on which the window opens. Left out: every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub days: Vec<Weekday>,
    /// Time of day at which the window opens, as `02:00`. Where the clocks are put forward over it, it opens as much later; where they are put back over it, at the first of the two times.
    #[schemars(length(max = 5), regex(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub start: String,
    /// How long it stays open, whatever the clocks do meanwhile.
    #[schemars(extend("x-kubernetes-validations" = [{"rule": "!self.matches('^([0-9]{1,9}(ms|s|m|h)){1,4}$') || duration(self) >= duration('1m') && duration(self) <= duration('168h')", "message": "must be between 1m and 168h"}]))]
    pub duration: Duration,
    /// IANA name of the time zone, such as America/Los_Angeles. Default UTC.
    #[serde(default = "default_time_zone")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// What happens when a step after the first change fails.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Rollback {
    /// Undo (default): every change is taken back and quarantined rows return. Hold: everything stays where it is until a person decides.
    /// RestoreBackup: the backup is put back after an approval of its own, because later writes are lost; needs backup.type Job with verification Restore, and journal.schema.
    pub on_failure: OnFailure,
}

/// What happens when a step after the first change fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnFailure {
    /// Take every change back.
    #[default]
    Undo,
    /// Leave everything where it is.
    Hold,
    /// Put the backup back.
    RestoreBackup,
}

/// How long quarantined rows are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Quarantine {
    /// Keep (default): until purged by hand. Or a duration after Complete.
    pub retention: Retention,
}

fn default_time_zone() -> String {
    "UTC".to_owned()
}
