//! Eighteen ways of breaking the controller and the engine, each as small as a change in the code would be. They show that the simulation
//! finds what it is there to find: `property.rs` has a test for each.

use std::borrow::Cow;

use holdfast::api::application::Soak;
use holdfast::api::{Duration, SchemaMigration, SchemaMigrationStatus};
use holdfast::controller::decision::{Decision, Effect, End, Fact, Verdict};
use holdfast::controller::observed::{Observed, Task};
use holdfast::controller::volume_snapshot::SnapshotView;
use jiff::Timestamp;

use crate::put_back;

/// A way of breaking the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// `decide` does not look at the gates of the spec.
    GateSkipped,
    /// `decide` does not look at the evidence that the spec asks for.
    EvidenceSkipped,
    /// `decide` takes every VolumeSnapshot for ready.
    SnapshotTrusted,
    /// The status is written whatever version was read.
    ConflictIgnored,
    /// Names of Jobs hold something that a restart changes, so that what was begun before is begun again.
    EffectRepeated,
    /// The end is recorded when the proof begins.
    SuccessBeforeProof,
    /// The fence and the epoch of the journal are not looked at.
    LockIgnored,
    /// Undo takes the newest operation back, forgets the others, and compares nothing.
    RollbackStopsEarly,
    /// Names of Jobs lack the attempt.
    JobNameReused,
    /// A request is acted on and not acknowledged.
    TokenTwice,
    /// What was decided on a status that others have changed since is carried out all the same.
    StaleTrusted,
    /// Each failure begins the patience anew.
    NoDeadline,
    /// Whether this process still leads is not looked at just before an effect.
    LeaseTrusted,
    /// The errors that the application meets during the soak are held against nothing.
    ErrorsOverlooked,
    /// The soak ends before its time.
    SoakCutShort,
    /// What would be lost by the time the backup is put in place is held against nothing.
    LossOverlooked,
    /// The backup is put back by people who were not asked.
    LossUnasked,
    /// After a crash the catalogue is not asked whether the tables were exchanged.
    ExchangeForgotten,
}

/// The resource as a broken `decide` sees it.
pub(crate) fn seen(defect: Option<Defect>, migration: &SchemaMigration) -> Cow<'_, SchemaMigration> {
    let mut seen = Cow::Borrowed(migration);
    if defect == Some(Defect::GateSkipped) {
        seen.to_mut().spec.gates.clear();
    }
    if defect == Some(Defect::EvidenceSkipped)
        && let Some(promotion) = &mut seen.to_mut().spec.promotion
    {
        promotion.requires.clear();
    }
    let soak = defect.is_some_and(|defect| matches!(defect, Defect::ErrorsOverlooked | Defect::SoakCutShort));
    if let Some(soak) = seen.spec.soak.as_ref().filter(|_| soak).cloned() {
        let changed = match defect {
            Some(Defect::SoakCutShort) => Soak { duration: Duration::from_millis(10_000), ..soak },
            _ => Soak { max_foreign_key_errors_per_minute: i32::MAX, ..soak },
        };
        seen.to_mut().spec.soak = Some(changed);
    }
    seen
}

/// What is observed, as a broken `decide` sees it.
pub(crate) fn looked_at(
    defect: Option<Defect>,
    migration: &SchemaMigration,
    mut observed: Observed,
    now: Timestamp,
) -> Observed {
    if defect == Some(Defect::LossUnasked) {
        observed.approvals.extend(put_back::forged(migration));
    }
    if let (Some(Defect::SnapshotTrusted), SnapshotView::Ours(snapshot)) = (defect, &mut observed.snapshot) {
        snapshot.ready = true;
        snapshot.taken_at.get_or_insert(now);
    }
    observed
}

/// What a broken `decide` says.
pub(crate) fn decided(defect: Option<Defect>, mut decision: Decision, now: Timestamp) -> Decision {
    for fact in &mut decision.facts {
        if let (Some(Defect::NoDeadline), Fact::Retrying { since, .. }) = (defect, fact) {
            *since = now;
        }
    }
    if let (Some(Defect::LossOverlooked), Effect::StartTask(Task::PutBack, allowance)) = (defect, &mut decision.effect)
    {
        allowance.max_rows = Some(u64::MAX);
    }
    if defect == Some(Defect::SuccessBeforeProof) && matches!(decision.effect, Effect::StartTask(Task::Prove, _)) {
        decision.verdict = Verdict::Ended(End::Complete("proven".to_owned()));
        decision.effect = Effect::None;
    }
    decision
}

/// What a broken `project` writes.
pub(crate) fn projected(
    defect: Option<Defect>,
    before: &SchemaMigrationStatus,
    mut after: SchemaMigrationStatus,
) -> SchemaMigrationStatus {
    if defect == Some(Defect::TokenTwice) {
        after.last_handled = before.last_handled.clone();
    }
    after
}

/// The name under which a Job is made and looked for.
pub(crate) fn job_name(defect: Option<Defect>, name: &str, life: u32) -> String {
    match defect {
        Some(Defect::EffectRepeated) => format!("{name}.{life}"),
        Some(Defect::JobNameReused) => name.rsplit_once('-').map_or(name, |(head, _)| head).to_owned(),
        _ => name.to_owned(),
    }
}
