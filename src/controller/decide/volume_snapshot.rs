//! The backup by a CSI snapshot: asked for once under a name that the status has before, and waited for. It counts from the moment whose data it
//! holds, as the storage says it. Nothing that was asked for is ever deleted here.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;

use crate::api::backup::{Verification, VolumeSnapshotBackup};
use crate::api::duration::CLOCKS_DIFFER;
use crate::api::status::{BackupStatus, Phase, SnapshotStatus};
use crate::api::{ConditionType, Reason, quantity};

use super::super::decision::{Decision, Effect, Fact, Verdict};
use super::super::names;
use super::super::observed::signed;
use super::super::volume_snapshot::{Snapshot, SnapshotView};
use super::before::passed;
use super::case::Case;
use super::change::back_up_again;

/// Within it somebody takes a snapshot up, says when it was taken, or gets over an error; else nobody will.
const PATIENCE: SignedDuration = SignedDuration::from_secs(300);
/// A snapshot that is not ready after a day is stuck, as a Job would be.
const DEADLINE: SignedDuration = SignedDuration::from_secs(86_400);
/// Nothing calls when a snapshot changes: it is not the operator's to watch.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Between two tries to create one.
const PAUSE: SignedDuration = SignedDuration::from_secs(5);
/// How often its creation is tried before it counts as refused.
const MOST_TRIES: i32 = 12;

/// Asks for the snapshot and waits for it.
pub(super) fn take(case: &Case<'_>, wanted: &VolumeSnapshotBackup, attempt: i32) -> Decision {
    let name = names::volume_snapshot(&case.migration.name_any(), case.uid(), attempt);
    let known = case.status.backup.as_ref().and_then(|backup| backup.volume_snapshot.as_ref());
    let Some(known) = known.filter(|known| known.name == name) else {
        let begun = SnapshotStatus {
            name: name.clone(),
            uid: None,
            requested_at: Time(case.now),
            tries: 0,
            error: None,
            error_since: None,
        };
        return Decision::new(Verdict::Working(Phase::BackUp, format!("asking for the VolumeSnapshot {name}")))
            .fact(recorded(case, attempt, begun))
            .at_once();
    };
    let failed = |message: String| case.fail(Phase::BackUp, Reason::BackupFailed, &message);
    match &case.observed.snapshot {
        SnapshotView::NotAsked => Decision::new(Verdict::Unchanged),
        SnapshotView::Missing if known.uid.is_some() => failed(deleted(&name)),
        SnapshotView::Missing if known.tries >= MOST_TRIES => failed(format!(
            "the VolumeSnapshot {name} could not be created in {MOST_TRIES} tries: the migration's events have the API server's answers"
        )),
        // A pass that could not create it is repeated at once, since it wrote the status.
        SnapshotView::Missing if known.tries > 0 && case.now.duration_since(known.requested_at.0) < PAUSE => {
            Decision::new(Verdict::Unchanged).after(LOOK_AGAIN)
        }
        SnapshotView::Missing => {
            // Its limits run from here: whatever held the migration up before was not its storage.
            let (requested_at, tries) = (Time(case.now), known.tries.saturating_add(1));
            let again = SnapshotStatus { requested_at, tries, ..known.clone() };
            Decision::new(Verdict::Working(Phase::BackUp, format!("creating the VolumeSnapshot {name}")))
                .fact(recorded(case, attempt, again))
                .effect(Effect::CreateVolumeSnapshot(name))
                .at_once()
        }
        SnapshotView::Foreign(why) => failed(format!(
            "a VolumeSnapshot named {name} exists that is not this migration's ({why}): it is left alone; delete it, or begin again, which \
             takes another name"
        )),
        SnapshotView::Ours(snapshot) if known.uid.as_ref().is_some_and(|uid| *uid != snapshot.uid) => {
            failed(format!("the VolumeSnapshot {name} was replaced by another one of the same name"))
        }
        SnapshotView::Ours(snapshot) if snapshot.deleting => failed(deleted(&name)),
        SnapshotView::Ours(snapshot) => match snapshot.taken_at {
            // Whatever the verification is: by this moment it is told whether a backup is too old.
            Some(taken_at) if case.now.duration_since(taken_at) < -CLOCKS_DIFFER => {
                let text = format!(
                    "the VolumeSnapshot {name} was taken at {taken_at}, which lies in the future: correct the storage's clock or this one's"
                );
                case.fail(Phase::BackUp, Reason::BackupUnverified, &text)
            }
            Some(taken_at) if snapshot.ready => taken(case, wanted, attempt, known, snapshot, taken_at),
            _ => waiting(case, attempt, known, snapshot),
        },
    }
}

/// Whether the storage is at work on one, which no window ends.
pub(super) fn is_at_work(case: &Case<'_>) -> bool {
    let unfinished = case.status.backup.as_ref().filter(|backup| backup.verified.is_none());
    let asked = unfinished.is_some_and(|backup| backup.volume_snapshot.is_some());
    asked && matches!(case.observed.snapshot, SnapshotView::Ours(_))
}

/// Before the first change: a snapshot that somebody deleted is no backup any more.
pub(super) fn gone(case: &Case<'_>) -> Option<Decision> {
    let known = case.status.backup.as_ref()?.volume_snapshot.as_ref()?;
    let gone = match &case.observed.snapshot {
        SnapshotView::NotAsked => false,
        SnapshotView::Missing | SnapshotView::Foreign(_) => true,
        SnapshotView::Ours(snapshot) => snapshot.deleting || known.uid.as_ref() != Some(&snapshot.uid),
    };
    let message =
        format!("the VolumeSnapshot {} that was the backup is not there any more; another one is made", known.name);
    gone.then(|| back_up_again(case, Reason::BackupFailed, &message))
}

fn deleted(name: &str) -> String {
    format!("the VolumeSnapshot {name} was deleted before it was ready")
}

fn recorded(case: &Case<'_>, attempt: i32, snapshot: SnapshotStatus) -> Fact {
    let known = case.status.backup.clone().unwrap_or_default();
    Fact::Backup(Box::new(BackupStatus { attempt, volume_snapshot: Some(snapshot), ..known }))
}

/// One that is not ready yet.
fn waiting(case: &Case<'_>, attempt: i32, known: &SnapshotStatus, snapshot: &Snapshot) -> Decision {
    let error_since = snapshot.error.as_ref().map(|_| known.error_since.clone().unwrap_or(Time(case.now)));
    let seen =
        SnapshotStatus { uid: Some(snapshot.uid.clone()), error: snapshot.error.clone(), error_since, ..known.clone() };
    let hopeless = hopeless(case, &seen, snapshot);
    let name = seen.name.clone();
    let fact = recorded(case, attempt, seen);
    if let Some((reason, message)) = hopeless {
        return case.fail(Phase::BackUp, reason, &format!("the VolumeSnapshot {name} {message}")).fact(fact);
    }
    let said = snapshot.error.as_ref().map(|error| format!("; its driver says: {error}")).unwrap_or_default();
    Decision::new(Verdict::Working(Phase::BackUp, format!("the VolumeSnapshot {name} is being made{said}")))
        .fact(fact)
        .after(LOOK_AGAIN)
}

/// Why one that is not ready will not be waited for any longer.
fn hopeless(case: &Case<'_>, known: &SnapshotStatus, snapshot: &Snapshot) -> Option<(Reason, String)> {
    let since = |time: Timestamp| case.now.duration_since(time);
    let age = since(known.requested_at.0);
    let max_age = &case.migration.spec.backup.max_age;
    match (snapshot.taken_at, &known.error, &known.error_since) {
        // What is reported while it is copied away may be of long ago: the snapshot controller takes an error back only when it is ready.
        (Some(taken_at), error, _) => {
            let said = error.as_ref().map(|error| format!(" (its driver says: {error})")).unwrap_or_default();
            let text = format!(
                "was taken at {taken_at}, is not ready yet{said}, and is older than spec.backup.maxAge {max_age}: allow more"
            );
            let old = Duration::try_from(since(taken_at)).is_ok_and(|age| age > max_age.get());
            return old.then_some((Reason::BackupCannotBeFresh, text));
        }
        (None, Some(error), Some(begun)) => {
            let seconds = since(begun.0).as_secs();
            let text = format!("is not made: for {seconds} s its driver has said: {error}");
            return (since(begun.0) >= PATIENCE).then_some((Reason::BackupFailed, text));
        }
        (None, ..) => {}
    }
    if snapshot.ready && age >= PATIENCE {
        let text = "is ready, and its driver does not say when it was taken (status.creationTime), so that its age is not known: use backup type \
                    Job or External";
        return Some((Reason::BackupUnverified, text.to_owned()));
    }
    if snapshot.content.is_none() && age >= PATIENCE {
        let text = format!(
            "was taken up by nobody for {} s: does a snapshot controller run, and does the driver of the claim's volume take snapshots?",
            age.as_secs()
        );
        return Some((Reason::BackupFailed, text));
    }
    (age >= DEADLINE).then(|| (Reason::BackupFailed, format!("is not ready after {} s", age.as_secs())))
}

/// One that is ready.
fn taken(
    case: &Case<'_>,
    wanted: &VolumeSnapshotBackup,
    attempt: i32,
    known: &SnapshotStatus,
    snapshot: &Snapshot,
    taken_at: Timestamp,
) -> Decision {
    let name = &known.name;
    let size = snapshot.restore_size.as_ref().and_then(|size| quantity::bytes(&Quantity(size.clone())));
    let seen = SnapshotStatus { uid: Some(snapshot.uid.clone()), error: None, error_since: None, ..known.clone() };
    let verification = case.migration.spec.backup.verification;
    let status = BackupStatus {
        taken_at: Some(Time(taken_at)),
        finished_at: Some(Time(case.now)),
        location: Some(format!("volumesnapshot/{name}")),
        bytes: size.map(signed),
        verified: Some(verification),
        attempt,
        volume_snapshot: Some(seen),
        ..case.status.backup.clone().unwrap_or_default()
    };
    let what = format!(
        "the VolumeSnapshot {name} of the claim {:?} holds the data of {taken_at}, as a loss of power would have left them",
        wanted.claim_name
    );
    let message = match verification {
        Verification::Inspect => {
            let problems = problems(known, snapshot, size, taken_at);
            if !problems.is_empty() {
                let text = format!(
                    "the VolumeSnapshot {name} is ready, but {}; verification None takes it on trust",
                    problems.join(", and ")
                );
                return case.fail(Phase::BackUp, Reason::BackupUnverified, &text);
            }
            let content = snapshot.content.as_deref().unwrap_or_default();
            format!(
                "{what}; it is ready, bound to the VolumeSnapshotContent {content}, and {} bytes large",
                size.unwrap_or(0)
            )
        }
        Verification::None => format!("{what}; taken on trust, as spec.backup.verification None says"),
        // The API server refuses such an object.
        Verification::Restore => {
            let text = "spec.backup.verification is Restore, and a VolumeSnapshot is not restored by the operator: use Inspect or None";
            return case.fail(Phase::BackUp, Reason::InvalidSpec, text);
        }
    };
    passed(Phase::BackUp, ConditionType::BackedUp, message).fact(Fact::Backup(Box::new(status)))
}

/// What keeps a snapshot that is ready from being proven as far as it can be.
fn problems(known: &SnapshotStatus, snapshot: &Snapshot, size: Option<u64>, taken_at: Timestamp) -> Vec<String> {
    let mut found = Vec::new();
    if taken_at.duration_since(known.requested_at.0) < -CLOCKS_DIFFER {
        found.push(format!("it was taken at {taken_at}, before it was asked for at {}", known.requested_at.0));
    }
    if snapshot.content.is_none() {
        found.push("it is bound to no VolumeSnapshotContent".to_owned());
    }
    match (&snapshot.restore_size, size) {
        (_, Some(1..)) => {}
        (Some(said), _) => found.push(format!("its restoreSize is {said:?}")),
        (None, _) => found.push("its driver reports no restoreSize".to_owned()),
    }
    found
}
