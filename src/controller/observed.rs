//! Everything that a decision depends on, as plain data: gathered by `observe`, read by `decide` and `project`.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::status::{
    BackupProgress, BackupStatus, OperationLock, Phase, PlanStatus, RehearsalStatus, RehearsedOperation,
    RehearsedPhase, RestoreStatus, SoakBaseline, StageStatus, TestedStatus, ValidationCount,
};
use crate::api::{MigrationApproval, Reason};
use crate::backup::Rehearsed;
use crate::backup::rehearsed::End;
use crate::mysql::loss::Loss;
use crate::mysql::rehearsal::Step;
use crate::mysql::report::{Proof, PutBackReport, SectionReport, UndoReport};
use crate::mysql::{Error, Reading};
use crate::plan::Plan;
use crate::plan::model::{LockClass, Section};

use super::evidence::{FoundEvidence, OwnEvidence};
use super::soak::Look;
use super::volume_snapshot::SnapshotView;

/// Long work, run beside the passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Task {
    /// Look at the server and its surroundings.
    Preflight,
    /// Read the catalogue, build the plan and store it.
    Plan,
    /// Count rows before the backup of this attempt.
    CountBeforeBackup(i32),
    /// Compare the backup of this attempt with the database.
    CheckBackup(i32),
    /// Count orphans and duplicates.
    Validate,
    /// Look whether the fence is free and the catalogue is as planned.
    CheckBeforeStart,
    /// Carry out a section of the plan.
    Section(Section),
    /// Run probes and scenarios.
    Test,
    /// Look at the application during the soak.
    Look,
    /// Look for orphans after it.
    Scan,
    /// Prove the result and close the journal.
    Prove,
    /// Take everything back and close the journal.
    Undo,
    /// Count what putting the backup back would lose.
    CountLoss,
    /// Make room for the backup's tables, for this try of restoring them.
    PrepareRestore(i32),
    /// Exchange the live tables for the backup's and close the journal.
    PutBack,
    /// Delete what is in quarantine for good.
    Purge,
}

impl Task {
    /// What the task does, for messages.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Preflight => "looking at the server",
            Self::Plan => "computing the plan",
            Self::CountBeforeBackup(_) => "counting rows before the backup",
            Self::CheckBackup(_) => "comparing the backup with the database",
            Self::Validate => "counting orphans and duplicates",
            Self::CheckBeforeStart => "checking that nothing changed since the plan",
            Self::Section(Section::CleanUp) => "moving orphans and duplicates to quarantine",
            Self::Section(Section::FixTypes) => "fixing column types",
            Self::Section(Section::AddUniques) => "adding unique constraints",
            Self::Section(Section::Stage(_)) => "adding foreign keys",
            Self::Section(Section::FillAgain) => "filling columns again",
            Self::Test => "running probes and scenarios",
            Self::Look => "looking at the application",
            Self::Scan => "looking for orphans after the soak",
            Self::Prove => "proving the result",
            Self::Undo => "taking every change back",
            Self::CountLoss => "counting what the backup would lose",
            Self::PrepareRestore(_) => "making room for the backup's tables",
            Self::PutBack => "putting the backup's tables in place",
            Self::Purge => "deleting the quarantined rows",
        }
    }
}

/// What a task found or did.
#[derive(Debug, Clone)]
pub enum TaskResult {
    /// The server meets `spec.preflight`; what it is.
    PreflightPassed {
        /// For people: software and version.
        server: String,
    },
    /// The plan is stored.
    Planned {
        /// For the status.
        status: Box<PlanStatus>,
        /// The server planned for.
        server_uuid: String,
        /// Digest of the content.
        content_digest: String,
        /// The stages, all pending.
        stages: Vec<StageStatus>,
        /// Operations in all.
        operations: i64,
        /// What is gone on with, where the plan is that of a migration which was left unfinished.
        left: Option<String>,
        /// The begin of what is measured before the first change, where a soak is asked for.
        baseline: Option<SoakBaseline>,
    },
    /// Every problem found while planning: path and message.
    PlanProblems(Vec<(String, String)>),
    /// Rows were counted; the text that the Job carries as an annotation.
    Counted {
        /// Serialized baseline.
        baseline: String,
        /// What other migrations had changed in the schema until then.
        changes: String,
    },
    /// The backup agrees with the database.
    BackupProven,
    /// Another migration has changed the schema since just before the backup; what is known of it.
    BackupOutdated(String),
    /// The backup does not agree, or that cannot be told.
    BackupUnproven(String),
    /// The validation report.
    Validated {
        /// Its lines.
        report: Vec<ValidationCount>,
        /// Why the policies of the spec stop here.
        stops: Option<Arc<Error>>,
    },
    /// Nothing stands in the way of the first change.
    MayStart {
        /// What the application did before it, where a soak is asked for.
        baseline: Option<Box<SoakBaseline>>,
        /// What another migration has changed in the schema since just before the backup.
        changed: Option<String>,
    },
    /// The catalogue is not what was planned for.
    Drifted(String),
    /// A section is done.
    Section(SectionReport),
    /// Probes and scenarios passed.
    Tested(TestedStatus),
    /// The application was looked at.
    Looked(Box<Look>),
    /// Children without a parent were looked for.
    Scanned {
        /// Keys that were looked at.
        keys: i64,
        /// Those with some, with their number.
        orphans: Vec<String>,
        /// Digests of statements that are new since the soak began and slow; or why that is not known.
        slow: Result<Vec<String>, String>,
    },
    /// The result is proven.
    Proven(Box<Proof>),
    /// Everything is back.
    Undone(Box<UndoReport>),
    /// What putting the backup back would lose.
    LossCounted(Loss),
    /// There is room for the backup's tables.
    RestorePrepared {
        /// The backup is in place already: nothing is to be restored.
        in_place: bool,
        /// The schema that takes them.
        schema: String,
    },
    /// The backup is in place.
    PutBack(Box<PutBackReport>),
    /// The quarantine of this migration is empty.
    Purged {
        /// Rows and values that were deleted.
        entries: u64,
        /// Quarantine tables that held some.
        tables: u64,
        /// Tables that a backup had taken the place of.
        kept_tables: u64,
    },
}

/// What is known of the task of a migration.
#[derive(Debug, Clone, Default)]
pub enum TaskState {
    /// None runs and no result waits to be recorded.
    #[default]
    Idle,
    /// One runs.
    Running(Task, Reading),
    /// One ended, and nothing was decided about it yet.
    Ended(Task, Result<TaskResult, Arc<Error>>),
}

/// Trouble that may pass, as this process has seen it: since when, and when to try again. The status knows when it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trouble {
    /// When it began.
    pub since: Timestamp,
    /// Tries so far.
    pub tries: u32,
    /// Not before this moment.
    pub next: Timestamp,
}

/// What a Job looks like from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobView {
    /// No such Job.
    Missing,
    /// A Job of that name which is not this migration's.
    Foreign(String),
    /// Neither of the two conditions is True.
    Running {
        /// Uid of the Job.
        uid: String,
        /// Why its pod does not start, where that will not pass by itself.
        problem: Option<String>,
        /// How far a dump is.
        progress: Option<Box<BackupProgress>>,
    },
    /// The condition Complete is True.
    Succeeded {
        /// Uid of the Job.
        uid: String,
        /// Termination message of its container.
        message: Option<String>,
    },
    /// The condition Failed is True.
    Failed {
        /// Uid of the Job.
        uid: String,
        /// The Job's own reason and message.
        reason: String,
        /// Termination message of its container.
        message: Option<String>,
        /// The last lines of its log, for user Jobs.
        log: Option<String>,
    },
}

/// Whether the admission policies that protect approvals are in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Policies {
    /// They are.
    Installed {
        /// When the youngest of them was created: from then on an approval is surely in the approver's own name.
        since: Timestamp,
    },
    /// These are missing.
    Missing(Vec<String>),
    /// The administrator said that they need not be.
    NotRequired,
    /// Not looked at, since a task is at work: no gate opens by this.
    NotRead,
}

/// The stored plan.
#[derive(Debug, Clone, Default)]
pub enum StoredPlan {
    /// None is recorded in the status.
    #[default]
    None,
    /// Read and equal to its digest.
    Loaded(Arc<Plan>),
    /// It cannot be used, and why.
    Unusable(Reason, String),
}

/// Everything that was observed.
#[derive(Debug, Clone)]
pub struct Observed {
    /// Parts of the spec that this version refuses: path and message.
    pub refusals: Vec<(String, String)>,
    /// A Secret, PodTemplate or another named object that is missing or unfit: message. `None`: all are there.
    pub missing: Option<String>,
    /// Digest of the content part of the spec and the templates, as it is now; `None` while something is missing.
    pub content_digest: Option<String>,
    /// The stored plan.
    pub plan: StoredPlan,
    /// The task.
    pub task: TaskState,
    /// Whether a session of this migration holds the fence.
    pub session: bool,
    /// Trouble that may pass.
    pub trouble: Option<Trouble>,
    /// Whether the task has run so long, without waiting for anything, that trouble before it is over.
    pub advanced: bool,
    /// Jobs by name: those of the status and the one that comes next.
    pub jobs: BTreeMap<String, JobView>,
    /// The VolumeSnapshot that is the backup, as long as one is or may be made.
    pub snapshot: SnapshotView,
    /// Approvals that name this migration.
    pub approvals: Vec<MigrationApproval>,
    /// The admission policies.
    pub policies: Policies,
    /// Gates that the administrator requires everywhere.
    pub required_gates: Vec<crate::api::gates::GatedPhase>,
    /// What `spec.promotion.requires` names, in its order; empty from the first change on.
    pub evidence: Vec<FoundEvidence>,
    /// This migration's own evidence.
    pub own_evidence: OwnEvidence,
}

impl Observed {
    /// The Job of that name.
    #[must_use]
    pub fn job(&self, name: &str) -> &JobView {
        self.jobs.get(name).unwrap_or(&JobView::Missing)
    }

    /// The plan, if it is loaded.
    #[must_use]
    pub fn loaded_plan(&self) -> Option<&Plan> {
        match &self.plan {
            StoredPlan::Loaded(plan) => Some(plan),
            StoredPlan::None | StoredPlan::Unusable(..) => None,
        }
    }
}

/// A number of things as Kubernetes writes it: none is as large as to be cut off.
pub(super) fn signed(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// The backup as its Job described it, before it is proven.
#[must_use]
pub fn backup_status(summary: &crate::backup::Summary, job: &str, attempt: i32, location: String) -> BackupStatus {
    BackupStatus {
        job: Some(job.to_owned()),
        attempt,
        taken_at: Some(Time(summary.taken_at)),
        finished_at: Some(Time(summary.finished_at)),
        location: Some(location),
        bytes: Some(signed(summary.bytes)),
        sha256: Some(summary.sha256.clone()),
        manifest_sha256: Some(summary.manifest.clone()),
        tables: Some(signed(summary.rows.tables())),
        rows: Some(signed(summary.rows.total())),
        ..BackupStatus::default()
    }
}

/// How far a dump is, of so many tables and rows.
#[must_use]
pub fn backup_progress(progress: &crate::backup::Progress, tables: u64, rows: u64) -> BackupProgress {
    let a_second = |count: u64| count.saturating_mul(1000).checked_div(progress.milliseconds).unwrap_or(0);
    // Rows that came since they were counted are not waited for.
    let left = rows.saturating_sub(progress.rows);
    let milliseconds = u128::from(progress.milliseconds) * u128::from(left);
    let seconds_left = milliseconds.checked_div(u128::from(progress.rows) * 1000).map(signed);
    BackupProgress {
        bytes: signed(progress.bytes),
        bytes_per_second: signed(a_second(progress.bytes)),
        tables: signed(progress.tables),
        tables_in_all: signed(tables),
        rows: signed(progress.rows),
        rows_in_all: signed(rows),
        seconds_left,
    }
}

/// A restore as its Job described it.
#[must_use]
pub fn restore_status(restored: &crate::backup::Restored, job: &str, attempt: i32) -> RestoreStatus {
    RestoreStatus {
        job: job.to_owned(),
        attempt,
        started_at: Time(restored.started_at),
        finished_at: Time(restored.finished_at),
        server_version: restored.server_version.clone(),
        tables: signed(restored.tables),
        rows: signed(restored.rows),
        objects: signed(restored.objects),
        bytes: signed(restored.bytes),
        lossy_columns: signed(restored.lossy_columns),
        lossy: restored.lossy.clone(),
    }
}

/// A rehearsal as its Job described it; `failure`: what ended the Job, where it did not succeed.
#[must_use]
pub fn rehearsal_status(rehearsed: &Rehearsed, job: &str, backup: i32, failure: Option<String>) -> RehearsalStatus {
    let (passed, reason, message) = match (&rehearsed.end, rehearsed.failure()) {
        (End::Passed { note }, _) => (true, None, note.clone()),
        // The Job's own end says more.
        (End::Interrupted, told) => (false, Some(Reason::RehearsalFailed), failure.or(told)),
        (End::OtherCatalogue(_), told) => (false, Some(Reason::DriftDetected), told),
        (End::Failed { .. }, told) => (false, Some(Reason::RehearsalFailed), told),
    };
    let phases: Vec<RehearsedPhase> = (rehearsed.steps.iter())
        .map(|took| RehearsedPhase { name: phase_of(took.step), milliseconds: signed(took.milliseconds) })
        .collect();
    let sum = |counts: fn(Phase) -> bool| {
        phases.iter().filter(|phase| counts(phase.name)).map(|phase| phase.milliseconds).sum()
    };
    let slowest = rehearsed.slowest.iter().map(|slow| RehearsedOperation {
        operation: slow.operation.clone(),
        table: slow.table.clone(),
        lock: slow.lock.map(lock_of),
        milliseconds: signed(slow.milliseconds),
    });
    RehearsalStatus {
        started_at: Time(rehearsed.started_at),
        finished_at: Some(Time(rehearsed.finished_at)),
        plan_digest: Some(rehearsed.plan_digest.clone()),
        job: Some(job.to_owned()),
        backup_attempt: Some(backup),
        passed: Some(passed),
        reason: reason.map(|reason| reason.as_str().to_owned()),
        message,
        orphans: Some(signed(rehearsed.orphans)),
        duplicates: Some(signed(rehearsed.duplicates)),
        quarantined_rows: Some(signed(rehearsed.quarantined_rows)),
        quarantined_values: Some(signed(rehearsed.quarantined_values)),
        foreign_keys: Some(signed(rehearsed.foreign_keys)),
        probes: Some(signed(rehearsed.probes)),
        scenarios: Some(signed(rehearsed.scenarios)),
        change_milliseconds: passed.then(|| sum(|phase| !matches!(phase, Phase::Validate | Phase::RollBack))),
        undo_milliseconds: passed.then(|| sum(|phase| phase == Phase::RollBack)),
        identical: passed.then_some(rehearsed.end == End::Passed { note: None }),
        phases,
        slowest: slowest.collect(),
    }
}

fn lock_of(lock: LockClass) -> OperationLock {
    match lock {
        LockClass::Metadata => OperationLock::Metadata,
        LockClass::OnlineBuild => OperationLock::OnlineBuild,
        LockClass::Batched => OperationLock::Batched,
        LockClass::Copy => OperationLock::Copy,
    }
}

/// The phase in which the real migration does what a step of the rehearsal does.
fn phase_of(step: Step) -> Phase {
    match step {
        Step::Validate => Phase::Validate,
        Step::CleanUp => Phase::CleanUp,
        Step::FixTypes => Phase::FixTypes,
        Step::AddUniques => Phase::AddUniques,
        Step::AddForeignKeys => Phase::AddForeignKeys,
        Step::FillAgain => Phase::UpdateSchema,
        Step::Test => Phase::Test,
        Step::Prove => Phase::Prove,
        Step::Undo => Phase::RollBack,
    }
}
