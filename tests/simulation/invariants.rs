//! What must hold after every step, and at every effect and every write of a status. Nothing here shares code with what it judges.

use std::collections::{BTreeMap, BTreeSet};

use holdfast::api::approval::ApprovalDecision;
use holdfast::api::backup::Verification;
use holdfast::api::conditions::{ConditionType, find, is_true};
use holdfast::api::duration::Retention;
use holdfast::api::gates::{Before, Gate, GatedPhase, Window};
use holdfast::api::state_diagram;
use holdfast::api::status::{JobPurpose, JobState, JobStatus, Phase};
use holdfast::api::steering::SteeringAction;
use holdfast::api::{MigrationApproval, Reason, SchemaMigration, SchemaMigrationStatus};
use holdfast::controller::decision::{Effect, JobRequest};
use holdfast::controller::observed::Task;
use holdfast::plan::model::Section;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::cluster::Job;
use crate::database::{Ending, Migration, Standing};
use crate::plans::{self, Kind, NAMES};
use crate::world::{World, place};

/// A deletion of backups that fails is tried so often.
pub(crate) const MOST_REMOVALS: i32 = 5;

/// What the judge remembers.
#[derive(Debug, Default)]
pub(crate) struct Memories {
    /// Every approval that ever was.
    pub(crate) approvals: Vec<MigrationApproval>,
    /// Jobs that somebody deleted.
    pub(crate) deleted_by_hand: BTreeSet<String>,
    /// Objects that somebody dropped.
    pub(crate) dropped: BTreeSet<String>,
    /// Whether something is missing for ever.
    pub(crate) for_ever: bool,
    /// Requests that were answered: uid, action, token.
    answered: BTreeSet<(String, SteeringAction, String)>,
    /// What the Job of a name is for: uid of the migration, purpose, and how often it was made.
    jobs: BTreeMap<String, (String, JobPurpose, u32)>,
    /// When the Job of a name was written down first.
    written_down: BTreeMap<String, Timestamp>,
    /// Rows that were taken, by plan.
    rows: BTreeMap<String, u64>,
}

fn section_of(condition: ConditionType, section: Section) -> bool {
    match section {
        Section::CleanUp => condition == ConditionType::CleanedUp,
        Section::FixTypes => condition == ConditionType::TypesFixed,
        Section::AddUniques => condition == ConditionType::UniquesAdded,
        Section::Stage(_) => condition == ConditionType::ForeignKeysAdded,
        Section::FillAgain => condition == ConditionType::SchemaUpdated,
    }
}

/// Whether the application is being watched already.
fn soaks(migration: &SchemaMigration) -> bool {
    let soak = migration.status.as_ref().and_then(|status| status.soak.as_ref());
    soak.is_some_and(|soak| soak.started_at.is_some())
}

/// Whether a daily window is open, by reckoning of its own.
fn open(window: &Window, now: Timestamp) -> bool {
    let hour: i64 = window.start[..2].parse().unwrap();
    let time = now.to_zoned(TimeZone::UTC);
    let second = i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    let since = (second - hour * 3600).rem_euclid(86_400);
    since < i64::try_from(window.duration.get().as_secs()).unwrap()
}

impl World {
    /// What holds at any moment.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        if let Some(contradiction) = self.database.contradiction() {
            self.violated(contradiction);
        }
        match self.violation.take() {
            Some(violation) => Err(violation),
            None => Ok(()),
        }
    }

    fn approved(&self, name: &str, before: &Before, digest: &str) -> bool {
        self.most_rows_approved(name, before, digest).is_some()
    }

    pub(crate) fn most_rows_approved(&self, name: &str, before: &Before, digest: &str) -> Option<u64> {
        let counts = self.memories.approvals.iter().filter(|approval| {
            approval.spec.migration_ref.name == name
                && approval.spec.before == *before
                && approval.spec.plan_digest == digest
                && approval.spec.decision == ApprovalDecision::Approve
        });
        counts.map(|approval| u64::try_from(approval.spec.max_rows.unwrap_or(0)).unwrap()).max()
    }

    /// The gates that stand before what begins.
    fn gates_before(migration: &SchemaMigration, effect: &Effect) -> Vec<Before> {
        let phase = |phase: GatedPhase| vec![Before::from(phase)];
        match effect {
            Effect::StartTask(Task::Section(Section::CleanUp), _) => phase(GatedPhase::CleanUp),
            Effect::StartTask(Task::Section(Section::FixTypes), _) => phase(GatedPhase::FixTypes),
            Effect::StartTask(Task::Section(Section::AddUniques), _) => phase(GatedPhase::AddUniques),
            Effect::StartTask(Task::Section(Section::Stage(at)), _) => {
                let stage = migration.spec.stages[*at].name.clone();
                let mut points = vec![Before { phase: None, stage: Some(stage) }];
                if *at == 0 {
                    points.push(GatedPhase::AddForeignKeys.into());
                }
                points
            }
            Effect::CreateJob(JobRequest::VerifyBackup { plan: Some(_), .. }) => {
                vec![GatedPhase::BackUp.into(), GatedPhase::Rehearse.into()]
            }
            Effect::CreateVolumeSnapshot(_)
            | Effect::StartTask(Task::CountBeforeBackup(_), _)
            | Effect::CreateJob(JobRequest::Backup { .. } | JobRequest::VerifyBackup { .. }) => {
                phase(GatedPhase::BackUp)
            }
            Effect::CreateJob(JobRequest::Rehearse { .. }) => phase(GatedPhase::Rehearse),
            Effect::StartTask(Task::Validate, _) => phase(GatedPhase::Validate),
            Effect::StartTask(Task::Test, _) => phase(GatedPhase::Test),
            // Once it has begun, no window closes over it.
            Effect::StartTask(Task::Look, _) if !soaks(migration) => phase(GatedPhase::Soak),
            Effect::StartTask(Task::Prove, _) => phase(GatedPhase::Complete),
            Effect::StartTask(Task::Purge, _) => phase(GatedPhase::Purge),
            Effect::StartTask(Task::PrepareRestore(_) | Task::PutBack, _) => phase(GatedPhase::RestoreBackup),
            Effect::CreateJob(JobRequest::User { purpose: JobPurpose::SchemaUpdate, .. }) => {
                phase(GatedPhase::UpdateSchema)
            }
            Effect::CreateJob(JobRequest::User { purpose: JobPurpose::Test, .. }) => phase(GatedPhase::Test),
            _ => Vec::new(),
        }
    }

    /// The window that holds for a change: that of the last gate with one at or before it.
    fn window_for<'a>(migration: &'a SchemaMigration, before: &Before) -> Option<&'a Gate> {
        let place = |before: &Before| match (before.phase, &before.stage) {
            (Some(GatedPhase::CleanUp), _) => Some(0),
            (Some(GatedPhase::FixTypes), _) => Some(1),
            (Some(GatedPhase::AddUniques), _) => Some(2),
            (Some(GatedPhase::AddForeignKeys), _) => Some(3),
            (None, Some(stage)) => migration.spec.stages.iter().position(|each| each.name == *stage).map(|at| 4 + at),
            _ => None,
        };
        let mut with = migration.spec.gates.iter().filter(|gate| gate.window.is_some());
        match place(before) {
            None => with.rfind(|gate| gate.before == *before),
            Some(here) => with
                .filter(|gate| place(&gate.before).is_some_and(|at| at <= here))
                .max_by_key(|gate| place(&gate.before)),
        }
    }

    /// Just before an effect: is it allowed?
    pub(crate) fn effect_begins(&mut self, migration: &SchemaMigration, effect: &Effect, now: Timestamp) {
        let name = migration.metadata.name.clone().unwrap_or_default();
        let fresh = SchemaMigrationStatus::default();
        let status = migration.status.as_ref().unwrap_or(&fresh);
        let digest = status.plan.as_ref().map(|plan| plan.digest.clone()).unwrap_or_default();
        let starts = matches!(effect, Effect::StartTask(..) | Effect::CreateJob(_) | Effect::CreateVolumeSnapshot(_));
        if starts && migration.spec.suspend {
            self.violated(format!("{name} is suspended and begins {effect:?}"));
        }
        if starts && migration.metadata.deletion_timestamp.is_some() {
            self.violated(format!("{name} is being deleted and begins {effect:?}"));
        }
        if matches!(effect, Effect::CreateJob(JobRequest::RemoveBackups { .. })) {
            // By the policy that was read: a newer one may have come since.
            let policy = &migration.spec.backup.retention;
            if removal_due(policy, status).is_none_or(|due| now < due) {
                self.violated(format!(
                    "{name} deletes its backups, and {policy:?} does not say so: {:?}",
                    self.status(place(&name))
                ));
            }
        }
        self.put_back_begins(migration, effect, &digest);
        let points = Self::gates_before(migration, effect);
        for before in &points {
            let gates = migration.spec.gates.iter();
            for gate in gates.filter(|gate| gate.before == *before && gate.approval.is_some()) {
                if !self.approved(&name, &gate.before, &digest) {
                    self.violated(format!("{name} begins {effect:?} before its gate {before:?} is open"));
                }
            }
        }
        // The rows were counted inside it just before the backup's Job.
        let counted = matches!(effect, Effect::CreateJob(JobRequest::Backup { .. }));
        if let Some(before) = points.first().filter(|_| !counted)
            && let Some(window) = Self::window_for(migration, before).and_then(|gate| gate.window.as_ref())
            && !open(window, now)
        {
            self.violated(format!("{name} begins {effect:?} at {now}, outside {window:?}"));
        }
        let changes = matches!(effect, Effect::StartTask(Task::Section(_), _));
        if changes && status.started_at.is_none() {
            self.violated(format!("{name} begins {effect:?} before its start is in the status"));
        }
        let uid = migration.metadata.uid.clone().unwrap_or_default();
        // What was taken over is on its way already.
        let begun = self.journal_of(&digest).is_some_and(|journal| !journal.entries.is_empty());
        let rehearsed = begun || self.cluster.rehearsed.contains(&(uid, digest.clone()));
        if changes && migration.spec.rehearsal.enabled && !rehearsed {
            self.violated(format!("{name} begins {effect:?}, and its plan {digest} was not rehearsed"));
        }
        if let Effect::StartTask(Task::Undo, _) = effect {
            let uid = migration.metadata.uid.clone().unwrap_or_default();
            let running = self.cluster.jobs.iter().find(|(_, job)| job.owner == uid && !job.over);
            if let Some((job, _)) = running {
                let text = format!("{name} takes changes back while its Job {job} runs");
                self.violated(text);
            }
        }
    }

    /// When the backups of a migration may be deleted.
    pub(crate) fn removal_due(&self, which: usize) -> Option<Timestamp> {
        let migration = self.cluster.migrations.get(NAMES[which])?;
        removal_due(&migration.spec.backup.retention, migration.status.as_ref()?)
    }

    /// Rows are taken: no more than anybody approved.
    pub(crate) fn takes_rows(&mut self, name: &str, digest: &str, rows: u64) {
        let taken = self.memories.rows.entry(digest.to_owned()).or_default();
        *taken += rows;
        let before = Before::from(GatedPhase::CleanUp);
        let gated = self.cluster.migrations.get(name).is_some_and(|migration| {
            let status = migration.status.as_ref();
            let asked = status
                .is_some_and(|status| status.gates.iter().any(|gate| gate.before == before && gate.approval.is_some()));
            asked && migration.spec.gates.iter().any(|gate| gate.before == before && gate.approval.is_some())
        });
        let journal = self.journal_of(digest).map_or(0, Migration::quarantined) + rows;
        if gated && self.most_rows_approved(name, &before, digest).is_none_or(|most| journal > most) {
            self.violated(format!("{name} takes {journal} rows, more than anybody approved"));
        }
    }

    fn journal_of(&self, digest: &str) -> Option<&Migration> {
        let of_plan = || self.database.journal.iter().filter(|migration| migration.digest == digest);
        of_plan().rfind(|migration| !migration.entries.is_empty()).or_else(|| of_plan().next_back())
    }

    /// A Job is made.
    pub(crate) fn job_made(&mut self, migration: &SchemaMigration, name: &str, job: &Job) {
        let uid = migration.metadata.uid.clone().unwrap_or_default();
        let known = self.memories.jobs.entry(name.to_owned()).or_insert((uid.clone(), job.purpose, 0));
        let (owner, purpose, times) = known;
        *times += 1;
        let (same, again) = (*owner == uid && *purpose == job.purpose, *times > 1);
        if !same {
            self.violated(format!("the name {name} is used for another purpose: {job:?}"));
        } else if again && !self.memories.deleted_by_hand.contains(name) {
            self.violated(format!("the Job {name} is made twice"));
        }
    }

    /// A status was written.
    pub(crate) fn status_written(&mut self, which: usize, written: &SchemaMigration, before: &SchemaMigrationStatus) {
        let fresh = SchemaMigrationStatus::default();
        let after = written.status.as_ref().unwrap_or(&fresh);
        let uid = written.metadata.uid.clone().unwrap_or_default();
        self.requests(&uid, before, after);
        self.jobs_written_down(&uid, before, after);
        if let Some(text) = outcome_moved(written, before, after) {
            self.violated(format!("{}: {text}", NAMES[which]));
        }
        if let Some(text) = self.contradicts(written, before, after) {
            self.violated(format!("{}: {text}", NAMES[which]));
        }
        if let Some(text) = self.soak_contradicts(written, before, after) {
            self.violated(format!("{}: {text}", NAMES[which]));
        }
        if let Some(text) = self.evidence_contradicts(which, written, (before, after), newly_ended(before, after)) {
            self.violated(format!("{}: {text}", NAMES[which]));
        }
        if let Some(text) = self.snapshot_contradicts(written, before, after) {
            self.violated(format!("{}: {text}", NAMES[which]));
        }
        if let Err(text) = state_diagram::check(before, after) {
            self.violated(format!("{}: {text}", NAMES[which]));
        }
    }

    fn requests(&mut self, uid: &str, before: &SchemaMigrationStatus, after: &SchemaMigrationStatus) {
        for answer in after.steering.iter().filter(|answer| !before.steering.contains(answer)) {
            if !self.memories.answered.insert((uid.to_owned(), answer.action, answer.token.clone())) {
                self.violated(format!("the request {} {} is acted on twice", answer.action, answer.token));
            }
        }
    }

    fn jobs_written_down(&mut self, uid: &str, before: &SchemaMigrationStatus, after: &SchemaMigrationStatus) {
        for entry in &after.jobs {
            let known = before.jobs.iter().find(|job| job.name == entry.name);
            if known.is_none() {
                self.memories.written_down.insert(entry.name.clone(), self.now);
            }
            let newly = entry.state == JobState::Succeeded && known.is_none_or(|known| known.state != entry.state);
            if !newly {
                continue;
            }
            // Under whatever name it lies: one that was made before it was wanted has done something else.
            let made = self.cluster.jobs.values().filter(|job| job.owner == uid && job.purpose == entry.purpose);
            let since = self.memories.written_down.get(&entry.name).copied().unwrap_or(self.now);
            let fresh = made.clone().any(|job| job.made >= since && job.over);
            if !fresh && !self.memories.deleted_by_hand.contains(&entry.name) {
                self.violated(format!("the Job {} counts as succeeded, and none was made for it", entry.name));
            }
        }
    }

    /// What a status says that is not so.
    fn contradicts(
        &self,
        migration: &SchemaMigration,
        before: &SchemaMigrationStatus,
        after: &SchemaMigrationStatus,
    ) -> Option<String> {
        let holds = |condition| is_true(&after.conditions, condition);
        // A spec that changed since is not what was backed up for.
        let same = after.observed_generation == migration.metadata.generation.unwrap_or(0);
        let restored = after.backup.as_ref().is_some_and(|backup| backup.restore.is_some());
        let wanted = migration.spec.backup.verification == Verification::Restore;
        if holds(ConditionType::BackedUp) && same && after.started_at.is_none() && wanted && !restored {
            return Some("BackedUp is True, and nothing was restored".to_owned());
        }
        let digest = after.plan.as_ref().map(|plan| plan.digest.clone()).unwrap_or_default();
        let uid = migration.metadata.uid.clone().unwrap_or_default();
        let wanted = migration.spec.rehearsal.enabled && same && after.started_at.is_none();
        if holds(ConditionType::Rehearsed) && wanted && !self.cluster.rehearsed.contains(&(uid, digest.clone())) {
            return Some(format!("Rehearsed is True, and the plan {digest} was not rehearsed"));
        }
        let plan = self.cluster.plans.get(&digest);
        let journal = self.journal_of(&digest);
        let done = |id: &str| {
            journal.and_then(|journal| journal.entry(id)).is_some_and(|entry| entry.standing == Standing::Done)
        };
        for operation in plan.iter().flat_map(|plan| &plan.operations) {
            let condition = [
                ConditionType::CleanedUp,
                ConditionType::TypesFixed,
                ConditionType::UniquesAdded,
                ConditionType::ForeignKeysAdded,
            ]
            .into_iter()
            .find(|condition| section_of(*condition, operation.section));
            if let Some(condition) = condition.filter(|condition| holds(*condition))
                && !done(&operation.id)
            {
                return Some(format!("{condition} is True, and {} is not done: {journal:?}", operation.id));
            }
        }
        if let Some(text) = failed_and_true(after) {
            return Some(text);
        }
        match newly_ended(before, after)? {
            Reason::Complete => {
                if journal.is_none_or(|journal| journal.ending != Ending::Complete) {
                    return Some(format!("Complete, and the journal has no proof: {journal:?}"));
                }
                let keys = plan.iter().flat_map(|plan| &plan.operations);
                let missing = keys.filter(|operation| plans::kind(&operation.id) == Kind::Key).find(|operation| {
                    !self.database.objects.contains(&operation.id) && !self.memories.dropped.contains(&operation.id)
                });
                missing.map(|operation| format!("Complete, and {} is not there", operation.id))
            }
            Reason::RollbackSucceeded => self.not_back(migration, journal),
            _ => None,
        }
    }

    /// What is not as it was before.
    fn not_back(&self, migration: &SchemaMigration, journal: Option<&Migration>) -> Option<String> {
        let uid = migration.metadata.uid.clone().unwrap_or_default();
        for entry in journal.iter().flat_map(|journal| &journal.entries) {
            if entry.standing != Standing::Undone || entry.quarantined > 0 {
                return Some(format!("RolledBack, and this stands: {entry:?}"));
            }
            if self.database.objects.contains(&entry.id) {
                return Some(format!("RolledBack, and {} is there", entry.id));
            }
        }
        if self.cluster.schema_file_changed.get(&uid).copied().unwrap_or(false) {
            return Some("RolledBack, and the application's schema file is the changed one".to_owned());
        }
        let running = self.cluster.jobs.iter().find(|(_, job)| job.owner == uid && !job.over);
        running.map(|(name, _)| format!("RolledBack, and the Job {name} runs"))
    }
}

/// The deletion of backups is no part of the migration: it moves nothing that was told of its end.
fn outcome_moved(
    migration: &SchemaMigration,
    before: &SchemaMigrationStatus,
    after: &SchemaMigrationStatus,
) -> Option<String> {
    let removal = |status: &SchemaMigrationStatus| status.backup.as_ref().and_then(|backup| backup.removal.clone());
    let removing = |status: &SchemaMigrationStatus| {
        status.jobs.iter().filter(|job| job.purpose == JobPurpose::RemoveBackups).cloned().collect::<Vec<_>>()
    };
    let told = |status: &SchemaMigrationStatus| (status.conditions.clone(), status.phase, status.finished_at.clone());
    let over = is_true(&before.conditions, ConditionType::Finished);
    let deleting = removal(before) != removal(after) || removing(before) != removing(after);
    let failures = removal(after).unwrap_or_default().failures;
    if failures > MOST_REMOVALS {
        return Some(format!("{failures} times the backups were tried to be deleted"));
    }
    // Begun anew it forgets what was told, and what was deleted; and what a person changed meanwhile is told in the same write.
    let anew = before.attempt != after.attempt || before.observed_generation != after.observed_generation;
    (over && deleting && !anew && told(before) != told(after))
        .then(|| format!("the deletion of the backups of {:?} moved its outcome", migration.metadata.name))
}

/// When backups may be deleted, by reckoning of its own: not while changes stand that somebody has yet to decide about.
fn removal_due(policy: &Retention, status: &SchemaMigrationStatus) -> Option<Timestamp> {
    let Retention::For(time) = policy else { return None };
    let finished = find(&status.conditions, ConditionType::Finished).filter(|each| each.status == "True")?;
    let decided = !["Held", "RollbackFailed"].contains(&finished.reason.as_str());
    // The first may have come to nothing.
    let made = status.backup.as_ref().is_some_and(|backup| backup.attempt > 1 || backup.taken_at.is_some());
    let end = status.finished_at.as_ref().filter(|_| decided && made)?;
    Some(end.0 + time.get())
}

/// The reason of an end that was not there before.
fn newly_ended(before: &SchemaMigrationStatus, after: &SchemaMigrationStatus) -> Option<Reason> {
    let over = |status: &SchemaMigrationStatus| is_true(&status.conditions, ConditionType::Finished);
    let finished = find(&after.conditions, ConditionType::Finished).filter(|_| over(after) && !over(before))?;
    Reason::from_name(&finished.reason)
}

/// A step whose last Job failed is not done.
fn failed_and_true(status: &SchemaMigrationStatus) -> Option<String> {
    let last = |purpose: JobPurpose| {
        let jobs = status.jobs.iter().filter(|job| job.purpose == purpose);
        let latest = jobs.clone().map(|job: &JobStatus| job.attempt).max();
        jobs.filter(|job| Some(job.attempt) == latest).cloned().collect::<Vec<_>>()
    };
    let places = [
        (JobPurpose::Backup, ConditionType::BackedUp),
        (JobPurpose::VerifyBackup, ConditionType::BackedUp),
        (JobPurpose::Rehearse, ConditionType::Rehearsed),
        (JobPurpose::SchemaUpdate, ConditionType::SchemaUpdated),
        (JobPurpose::Test, ConditionType::Tested),
    ];
    for (purpose, condition) in places {
        // A Job that proved the backup and then failed in the rehearsal has proven it.
        let restored = status.backup.iter().filter_map(|backup| backup.restore.as_ref());
        let proved = |job: &JobStatus| restored.clone().any(|restore| restore.job == job.name);
        if let Some(job) = last(purpose).into_iter().find(|job| job.state == JobState::Failed && !proved(job))
            && is_true(&status.conditions, condition)
        {
            return Some(format!("{condition} is True, and its Job {} failed", job.name));
        }
    }
    let rollback = status.rollback.as_ref()?;
    let person = [Reason::Aborted, Reason::RollbackRequested, Reason::ApprovalDenied];
    let by_person = person.iter().any(|reason| reason.as_str() == rollback.reason);
    let condition = rollback.failed_phase.condition().filter(|_| rollback.failed_phase != Phase::RollBack)?;
    (!by_person && is_true(&status.conditions, condition))
        .then(|| format!("{condition} is True, and {} failed: {}", rollback.failed_phase, rollback.message))
}
