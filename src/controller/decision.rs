//! What a pass decides: what the status is to say, and the one effect that follows once it was written.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::gates::OnFailure;
use crate::api::status::{
    BackupStatus, EvidenceStatus, GateStatus, JobPurpose, JobState, LossStatus, Phase, PlanStatus, PurgeStatus,
    RehearsalStatus, RemovalStatus, SoakBaseline, SoakStatus, StageState, StageStatus, TestResults, TestedStatus,
    ValidationCount,
};
use crate::api::steering::Request;
use crate::api::{ConditionType, Reason};
use crate::evidence::Document;
use crate::mysql::Allowance;
use crate::mysql::report::QuarantineCounts;

use super::observed::Task;

/// A decision.
#[derive(Debug, Clone)]
pub struct Decision {
    /// What the status says.
    pub verdict: Verdict,
    /// What was learned and is kept in the status, in order.
    pub facts: Vec<Fact>,
    /// The gates that stand before the next step, as they are now.
    pub gates: Vec<GateStatus>,
    /// What is done after the status was written.
    pub effect: Effect,
    /// When to look again although nothing called.
    pub again: Duration,
}

/// The state of the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Work goes on in this phase.
    Working(Phase, String),
    /// Something is waited for in this phase.
    Waiting(Phase, Reason, String),
    /// A phase's condition is True; the migration goes on.
    Passed(Phase, ConditionType, Reason, String),
    /// The first change is about to be made.
    Starting,
    /// The plan is out of date; everything from planning on is done anew.
    Replan(Reason, String),
    /// The backup is made anew.
    BackUpAgain(Reason, String),
    /// Everything is done anew, because the spec changed before the first change or a person asked for it.
    Anew(String),
    /// The catalogue is not what plan and journal say: it is waited for a person, and for it to be so again.
    Drifted(Phase, Reason, String),
    /// A step failed after the first change: changes are taken back.
    RollBack(Phase, Reason, String),
    /// A rollback that could not finish goes on.
    RollBackAgain(String),
    /// What was held goes on where it stopped.
    GoOn(String),
    /// An end.
    Ended(End),
    /// Nothing changes.
    Unchanged,
}

/// How a migration ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Done and proven.
    Complete(String),
    /// `mode: Plan`, planned.
    PlanOnly(String),
    /// Everything is as it was.
    RolledBack(String),
    /// Failed in this phase; what the reason means and what to do.
    Failed(Phase, Reason, String),
    /// Failed after the first change, and everything stays where it is until a person decides.
    Held {
        /// Where it failed.
        phase: Phase,
        /// Why.
        reason: Reason,
        /// What failed.
        failure: String,
        /// What failed, what stands, and what a person can do.
        message: String,
    },
}

/// Something learned that is kept in the status.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// Digest of the content, plan, server and stages.
    Planned {
        /// Plan.
        plan: Box<PlanStatus>,
        /// Content.
        content_digest: String,
        /// Server.
        server_uuid: String,
        /// Stages.
        stages: Vec<StageStatus>,
        /// Operations in all.
        operations: i64,
    },
    /// The plan is that of a migration that was left unfinished: its first change was made before.
    BegunBefore,
    /// The backup.
    Backup(Box<BackupStatus>),
    /// A rehearsal that ended.
    Rehearsal(Box<RehearsalStatus>),
    /// The validation report.
    Validation(Vec<ValidationCount>),
    /// A Job is about to be created.
    JobPlanned {
        /// Its name.
        name: String,
        /// What for.
        purpose: JobPurpose,
        /// Name of the test.
        test: Option<String>,
        /// Which try.
        attempt: i32,
    },
    /// A Job was seen.
    JobSeen {
        /// Its name.
        name: String,
        /// Its uid, if it exists.
        uid: Option<String>,
        /// Its state.
        state: JobState,
        /// What it said last.
        message: Option<String>,
    },
    /// What the tests of a Job came to.
    TestResults {
        /// The Job.
        name: String,
        /// The counts.
        results: TestResults,
    },
    /// What the migration has in quarantine now.
    Quarantined(QuarantineCounts),
    /// Operations done so far.
    StepsDone(i64),
    /// The stage or step at work.
    Current(Option<String>),
    /// A stage changed.
    Stage {
        /// Its place.
        index: usize,
        /// Its state.
        state: StageState,
        /// Keys that are there and proven.
        verified: Option<i64>,
    },
    /// The result of the rollback.
    Undone {
        /// Changes taken back.
        undone: i64,
        /// Tables compared.
        tables_identical: i64,
        /// What remains.
        remaining: Vec<String>,
    },
    /// What a rollback that could not finish left.
    Left(Vec<String>),
    /// What putting the backup back would lose; `None`: it is to be counted again.
    Loss(Option<Box<LossStatus>>),
    /// The schema that the backup's tables are restored into; `None`: what was restored is of no use.
    RestoredInto(Option<String>),
    /// The backup is in place, and whoever put it there could not tell.
    FoundInPlace,
    /// The backup is in place.
    PutBack {
        /// Tables of it.
        tables: i64,
        /// Tables that were there before.
        kept_tables: i64,
        /// Where they are kept.
        kept_schema: String,
    },
    /// The strategy of the rollback that begins.
    Strategy(OnFailure),
    /// The answer to a person's request.
    Answered {
        /// What was asked for.
        request: Request,
        /// Whether it is acted on.
        accepted: bool,
        /// What is done, or why nothing is.
        message: String,
    },
    /// The server that the work belongs to from now on; `None`: the one that answers next.
    Server(Option<String>),
    /// What probes and scenarios showed.
    Tested(TestedStatus),
    /// What the application did before the first change; `None`: it is not asked for.
    Baseline(Option<Box<SoakBaseline>>),
    /// What it did since the last one.
    Soak(Box<SoakStatus>),
    /// The migration's own evidence is written.
    Evidence(EvidenceStatus),
    /// The quarantine was purged.
    Purged,
    /// How far the purge is that comes by time.
    PurgeInTime(Box<PurgeStatus>),
    /// How far the deletion of the backups is.
    Removal(Box<RemovalStatus>),
    /// Something failed for a reason that may pass, and is tried again.
    Retrying {
        /// Why.
        reason: Reason,
        /// Since when.
        since: Timestamp,
        /// Until when.
        until: Timestamp,
    },
    /// Nothing is tried again any more: it succeeded, got on, or something else is waited for.
    TroubleOver,
}

/// One effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// None.
    None,
    /// Put the finalizer on.
    AddFinalizer,
    /// Begin a task.
    StartTask(Task, Allowance),
    /// Ask the task to stop at its next safe point.
    StopTask,
    /// Throw the result of the task away: it is recorded.
    ForgetTask(Task),
    /// Remember trouble that began, and look again.
    NoteTrouble,
    /// Remember that what was planned or done is not so, and look again: no limit runs.
    NoteDrift,
    /// Forget trouble, so that what met it is tried at once.
    EndTrouble,
    /// Create a Job.
    CreateJob(JobRequest),
    /// Delete a Job that will not start.
    DeleteJob(String),
    /// Create the VolumeSnapshot of this name, which is the backup.
    CreateVolumeSnapshot(String),
    /// Sign and store the migration's own evidence.
    WriteEvidence(Box<Document>),
    /// Give the fence back, delete running Jobs, take the finalizer off.
    Release,
}

impl Effect {
    /// Whether it changes something beyond this process, so that only who leads may begin it.
    #[must_use]
    pub fn reaches_out(&self) -> bool {
        match self {
            Self::AddFinalizer
            | Self::StartTask(..)
            | Self::CreateJob(_)
            | Self::DeleteJob(_)
            | Self::CreateVolumeSnapshot(_)
            | Self::WriteEvidence(_)
            | Self::Release => true,
            Self::None
            | Self::StopTask
            | Self::ForgetTask(_)
            | Self::NoteTrouble
            | Self::NoteDrift
            | Self::EndTrouble => false,
        }
    }
}

/// A Job to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobRequest {
    /// The backup.
    Backup {
        /// Name of the Job.
        name: String,
        /// Which try.
        attempt: i32,
        /// Serialized row counts from before.
        baseline: String,
    },
    /// The restore that proves the backup.
    VerifyBackup {
        /// Name of the Job.
        name: String,
        /// Which backup.
        attempt: i32,
        /// SHA-256 of its manifest.
        manifest: String,
        /// Digest of the plan that is rehearsed on the copy, where one is.
        plan: Option<String>,
    },
    /// A restore for a rehearsal alone.
    Rehearse {
        /// Name of the Job.
        name: String,
        /// Which backup.
        attempt: i32,
        /// SHA-256 of its manifest.
        manifest: String,
        /// Digest of the plan.
        plan: String,
    },
    /// The deletion of the backups after the end.
    RemoveBackups {
        /// Name of the Job.
        name: String,
        /// How many backups were begun.
        attempts: i32,
    },
    /// The restore of the backup's tables beside the live ones.
    RestoreTables {
        /// Name of the Job.
        name: String,
        /// Which backup.
        attempt: i32,
        /// SHA-256 of its manifest.
        manifest: String,
        /// The schema that takes them.
        schema: String,
    },
    /// One of the user's Jobs.
    User {
        /// Name of the Job.
        name: String,
        /// What for.
        purpose: JobPurpose,
        /// The PodTemplate.
        template: String,
    },
}

impl Decision {
    /// A decision without effect; the next pass comes when something calls.
    #[must_use]
    pub fn new(verdict: Verdict) -> Self {
        Self { verdict, facts: Vec::new(), gates: Vec::new(), effect: Effect::None, again: LOOK_AGAIN }
    }

    /// With an effect.
    #[must_use]
    pub fn effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    /// With a fact.
    #[must_use]
    pub fn fact(mut self, fact: Fact) -> Self {
        self.facts.push(fact);
        self
    }

    /// With several facts.
    #[must_use]
    pub fn facts(mut self, facts: impl IntoIterator<Item = Fact>) -> Self {
        self.facts.extend(facts);
        self
    }

    /// Looks again at once.
    #[must_use]
    pub fn at_once(mut self) -> Self {
        self.again = Duration::ZERO;
        self
    }

    /// Looks again after this time.
    #[must_use]
    pub fn after(mut self, time: Duration) -> Self {
        self.again = time;
        self
    }
}

/// Watches and tasks call when something changes; this is the net below them.
pub const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Evidence and keys lie in ConfigMaps and Secrets, which the operator may get and not watch.
pub const LOOK_FOR_EVIDENCE: Duration = Duration::from_secs(10);
