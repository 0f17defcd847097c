//! Condition types, their reasons, and how a condition is written.
//!
//! Conditions are the contract with people and tools (`kubectl wait`, kstatus, Argo CD, Flux), so types and
//! reasons are enums here and nowhere strings.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::names::names;

names! {
    /// Types of the conditions of a SchemaMigration.
    ConditionType {
        /// True when it is done, Unknown while it works or waits, False when it failed or was rolled back.
        Ready,
        /// Unknown while active, True on Complete (or on PlanOnly), False on Failed and RolledBack.
        Succeeded,
        /// True on every end, so that a wait for it always returns.
        Finished,
        /// Present, and True, only while work or a wait goes on.
        Reconciling,
        /// Present, and True, only after a failure that needs a person.
        Stalled,
        /// The server meets `spec.preflight`.
        PreflightPassed,
        /// A plan is computed and stored.
        Planned,
        /// A backup is made and proven as asked.
        BackedUp,
        /// The plan ran on the restored copy.
        Rehearsed,
        /// Orphans and duplicates are counted.
        Validated,
        /// Every gate that came up so far is open.
        Approved,
        /// Orphans and duplicates are in quarantine.
        CleanedUp,
        /// The type fixes are done.
        TypesFixed,
        /// The unique constraints are there.
        UniquesAdded,
        /// The foreign keys are there and proven.
        ForeignKeysAdded,
        /// The application's schema file is up to date.
        SchemaUpdated,
        /// Probes, scenarios and test Jobs passed.
        Tested,
        /// The application stayed well while it was watched.
        Soaked,
        /// The catalogue is not what plan and journal say.
        Drifted,
        /// Every change was taken back and compared with the state before.
        RolledBack,
    }
}

impl ConditionType {
    /// Whether the condition is present only while it is True.
    #[must_use]
    pub const fn only_while_true(self) -> bool {
        matches!(self, Self::Reconciling | Self::Stalled)
    }
}

names! {
    /// Reasons of conditions.
    Reason {
        /// Work goes on.
        Progressing,
        /// Done.
        Succeeded,
        /// Failed; the message says what and what to do.
        Failed,
        /// `spec.suspend` is true.
        Suspended,
        /// Nothing to do in this phase.
        Skipped,
        /// The turn of this phase has not come.
        Pending,
        /// `spec.mode` is Plan and the plan is there.
        PlanOnly,
        /// The whole migration is done and proven.
        Complete,
        /// A Secret, PodTemplate or another object is missing.
        DependencyNotReady,
        /// The spec cannot be carried out; the message names the fields.
        InvalidSpec,
        /// The server cannot be reached.
        DatabaseUnreachable,
        /// The server refuses the credentials.
        AccessDenied,
        /// A privilege is missing.
        PrivilegeMissing,
        /// The server, its version or its topology is not supported.
        UnsupportedServer,
        /// A replica reads from the server that `spec.database.replicas` does not list.
        ReplicaNotListed,
        /// A listed replica cannot be read, does not follow the server, lags, or would be held up by a change.
        ReplicaNotReady,
        /// The server does not meet `spec.preflight`.
        PreflightFailed,
        /// The stored plan has a format that this version does not know.
        UnknownPlanFormat,
        /// The catalogue is not what plan and journal say.
        DriftDetected,
        /// Another server answers than the one that was planned for.
        ServerChanged,
        /// Orphans were found where the policy is Fail.
        OrphansFound,
        /// Duplicates were found where the policy is Fail.
        DuplicatesFound,
        /// The backup failed.
        BackupFailed,
        /// The backup is there but not proven.
        BackupUnverified,
        /// The backup is older than `spec.backup.maxAge`.
        BackupTooOld,
        /// A backup takes longer than `spec.backup.maxAge`.
        BackupCannotBeFresh,
        /// The run on the restored copy failed.
        RehearsalFailed,
        /// A MigrationApproval is waited for.
        ApprovalPending,
        /// A person denied.
        ApprovalDenied,
        /// The approval names another plan.
        ApprovalForAnotherPlan,
        /// Cleanup would take more rows than were approved.
        MoreRowsThanApproved,
        /// The admission policies that protect approvals are not installed.
        ApprovalPolicyMissing,
        /// Evidence of another environment is waited for.
        EvidencePending,
        /// Evidence of another environment is there and does not count; the message says why.
        EvidenceRefused,
        /// Everything is done and proven, and the evidence of it cannot be written.
        EvidenceNotWritten,
        /// Every gate so far is open.
        Approved,
        /// The window is closed.
        OutsideWindow,
        /// Another session or another migration holds the lock.
        LockHeld,
        /// A statement met `spec.execution.lockTimeout`.
        LockWaitTimeout,
        /// `spec.execution.maxRetries` is used up.
        RetriesExhausted,
        /// A proof did not hold.
        ProofFailed,
        /// More rows stayed unmapped than `verify.maxUnmapped` allows.
        BackfillIncomplete,
        /// A user's Job failed.
        JobFailed,
        /// A probe, scenario or test Job failed.
        TestsFailed,
        /// A threshold of the soak was passed.
        SoakBreached,
        /// Nothing of what the soak watches can be watched.
        SoakNotWatched,
        /// A person asked to abort.
        Aborted,
        /// A person asked to roll back.
        RollbackRequested,
        /// The rollback goes on.
        RollingBack,
        /// Everything is as it was before.
        RollbackSucceeded,
        /// Something could not be taken back; the message lists what.
        RollbackFailed,
        /// `spec.rollback.onFailure` is Hold; a person decides.
        Held,
    }
}

/// The three values of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionStatus {
    /// It is so.
    True,
    /// It is not so.
    False,
    /// It is not known yet.
    Unknown,
}

impl ConditionStatus {
    /// The value as it is written in a condition.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// Longest message that is written; the API allows 32 kB, people read less.
pub const MAX_MESSAGE_BYTES: usize = 4096;

/// The conditions of one status, written for one generation at one time.
#[derive(Debug)]
pub struct ConditionWriter<'a> {
    conditions: &'a mut Vec<Condition>,
    generation: i64,
    now: Timestamp,
}

impl<'a> ConditionWriter<'a> {
    /// A writer of `conditions` for the object's `generation`.
    pub fn new(conditions: &'a mut Vec<Condition>, generation: i64, now: Timestamp) -> Self {
        Self { conditions, generation, now }
    }

    /// Sets a condition. `lastTransitionTime` changes only if the status does.
    pub fn set(
        &mut self,
        condition: ConditionType,
        status: ConditionStatus,
        reason: Reason,
        message: impl Into<String>,
    ) {
        let message = shortened(message.into(), MAX_MESSAGE_BYTES);
        match self.conditions.iter_mut().find(|each| each.type_ == condition.as_str()) {
            Some(present) => {
                if present.status != status.as_str() {
                    status.as_str().clone_into(&mut present.status);
                    present.last_transition_time = Time(self.now);
                }
                reason.as_str().clone_into(&mut present.reason);
                present.message = message;
                present.observed_generation = Some(self.generation);
            }
            None => self.conditions.push(Condition {
                type_: condition.as_str().to_owned(),
                status: status.as_str().to_owned(),
                reason: reason.as_str().to_owned(),
                message,
                observed_generation: Some(self.generation),
                last_transition_time: Time(self.now),
            }),
        }
    }

    /// Removes a condition that is present only while it is True.
    pub fn remove(&mut self, condition: ConditionType) {
        self.conditions.retain(|each| each.type_ != condition.as_str());
    }
}

/// The condition of that type.
#[must_use]
pub fn find(conditions: &[Condition], condition: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|each| each.type_ == condition.as_str())
}

/// Whether the condition of that type is there and True.
#[must_use]
pub fn is_true(conditions: &[Condition], condition: ConditionType) -> bool {
    find(conditions, condition).is_some_and(|each| each.status == ConditionStatus::True.as_str())
}

/// The text, cut at a character's border so that it has at most `max` bytes, with dots where it was cut.
#[must_use]
pub fn shortened(mut text: String, max: usize) -> String {
    const DOTS: &str = "...";
    if text.len() > max {
        let mut end = max.saturating_sub(DOTS.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str(DOTS);
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let mut conditions = Vec::new();
        ConditionWriter::new(&mut conditions, 1, at(1)).set(
            ConditionType::Ready,
            ConditionStatus::Unknown,
            Reason::Progressing,
            "planning",
        );
        ConditionWriter::new(&mut conditions, 2, at(2)).set(
            ConditionType::Ready,
            ConditionStatus::Unknown,
            Reason::ApprovalPending,
            "waiting",
        );
        let ready = find(&conditions, ConditionType::Ready).unwrap();
        assert_eq!(
            (ready.last_transition_time.0, ready.reason.as_str(), ready.message.as_str(), ready.observed_generation),
            (at(1), "ApprovalPending", "waiting", Some(2))
        );
        ConditionWriter::new(&mut conditions, 2, at(3)).set(
            ConditionType::Ready,
            ConditionStatus::True,
            Reason::Complete,
            "done",
        );
        assert_eq!(find(&conditions, ConditionType::Ready).unwrap().last_transition_time.0, at(3));
        assert_eq!(conditions.len(), 1);
        assert!(is_true(&conditions, ConditionType::Ready));
    }

    #[test]
    fn a_removed_condition_is_gone_and_others_stay() {
        let mut conditions = Vec::new();
        let mut writer = ConditionWriter::new(&mut conditions, 1, at(1));
        writer.set(ConditionType::Reconciling, ConditionStatus::True, Reason::Progressing, "");
        writer.set(ConditionType::Ready, ConditionStatus::Unknown, Reason::Progressing, "");
        writer.remove(ConditionType::Reconciling);
        assert!(find(&conditions, ConditionType::Reconciling).is_none());
        assert!(find(&conditions, ConditionType::Ready).is_some());
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let text = shortened("ä".repeat(10), 10);
        assert_eq!(text, "äää...");
        assert_eq!(shortened("short".to_owned(), 10), "short");
    }

    #[test]
    fn names_are_found_again_and_fit_the_api() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_name(reason.as_str()), Some(*reason));
            assert!(reason.as_str().chars().all(|c| c.is_ascii_alphanumeric()));
        }
        for condition in ConditionType::ALL {
            assert_eq!(ConditionType::from_name(condition.as_str()), Some(*condition));
        }
    }
}
