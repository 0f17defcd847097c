//! What a rehearsal came to, small enough for a termination message. Everything else is in the log of its Job.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::mysql::rehearsal::Step;
use crate::plan::model::LockClass;

/// A rehearsal and what it showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rehearsed {
    /// The plan.
    pub plan_digest: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// How it ended.
    pub end: End,
    /// Rows without a parent that validation found.
    pub orphans: u64,
    /// Rows that a unique constraint would refuse.
    pub duplicates: u64,
    /// Rows that went to quarantine, those that cascades took along included.
    pub quarantined_rows: u64,
    /// Values that went to quarantine.
    pub quarantined_values: u64,
    /// Keys that were proven.
    pub foreign_keys: u64,
    /// Unique constraints that were there.
    pub unique_constraints: u64,
    /// Keys whose delete action was seen.
    pub probes: u64,
    /// Keys that could not be probed.
    pub unprobed: u64,
    /// Scenarios that went as they should.
    pub scenarios: u64,
    /// Operations that were taken back.
    pub undone: u64,
    /// Tables whose definition was afterwards as before.
    pub tables_identical: u64,
    /// What each step took.
    pub steps: Vec<StepTook>,
    /// The operations that took longest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slowest: Vec<Slow>,
}

/// How a rehearsal ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum End {
    /// It began, and its container ended before it did.
    Interrupted,
    /// Everything went as planned, and everything is as it was before.
    Passed {
        /// What differs afterwards although everything was taken back, where that was acknowledged.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// The copy's tables are not those that the plan was made for.
    OtherCatalogue(String),
    /// It met what the real migration would have met.
    Failed {
        /// In which step; none, where it could not begin.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<Step>,
        /// At which operation, on which table, and where the specification asks for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        operation: Option<String>,
        /// What it met.
        message: String,
    },
}

/// What a step took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepTook {
    /// The step.
    pub step: Step,
    /// Its duration in milliseconds.
    pub milliseconds: u64,
}

/// What an operation took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Slow {
    /// Its id in the plan.
    pub operation: String,
    /// Its table.
    pub table: String,
    /// How it meets traffic; none for one that the work itself found to be needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<LockClass>,
    /// Its duration in milliseconds.
    pub milliseconds: u64,
}

impl Rehearsed {
    /// One of this plan that has just begun.
    #[must_use]
    pub fn begun(plan_digest: &str, now: Timestamp) -> Self {
        Self {
            plan_digest: plan_digest.to_owned(),
            started_at: now,
            finished_at: now,
            end: End::Interrupted,
            orphans: 0,
            duplicates: 0,
            quarantined_rows: 0,
            quarantined_values: 0,
            foreign_keys: 0,
            unique_constraints: 0,
            probes: 0,
            unprobed: 0,
            scenarios: 0,
            undone: 0,
            tables_identical: 0,
            steps: Vec::new(),
            slowest: Vec::new(),
        }
    }

    /// Why it did not pass, in words.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        match &self.end {
            End::Passed { .. } => None,
            End::Interrupted => Some("its container ended before it did".to_owned()),
            End::OtherCatalogue(difference) => {
                Some(format!("the backup holds other tables than the plan was made for: {difference}"))
            }
            End::Failed { step, operation, message } => {
                let at = operation.as_ref().map(|operation| format!("at {operation}, ")).unwrap_or_default();
                let step = step.map(|step| format!("in the step {step:?}: ")).unwrap_or_default();
                Some(format!("{at}{step}{message}"))
            }
        }
    }

    /// Leaves something out that matters least; `false`: there is nothing more to leave out.
    pub(super) fn shorten(&mut self) -> bool {
        if self.slowest.pop().is_some() {
            return true;
        }
        let text = match &mut self.end {
            End::Failed { message, .. } | End::OtherCatalogue(message) => message,
            End::Passed { note: Some(note) } => note,
            End::Passed { note: None } | End::Interrupted => return false,
        };
        let length = text.chars().count();
        if length <= SHORTEST {
            return false;
        }
        *text = text.chars().take((length * 3 / 4).max(SHORTEST)).collect::<String>() + "...";
        true
    }
}

/// Characters of a message that are always left.
const SHORTEST: usize = 200;
