//! VolumeSnapshots as backups: the objects, the driver that makes them ready or does not, and people who delete them or take their names. It
//! draws from a generator of its own, so that histories without are what they were.

use std::collections::BTreeMap;

use fastrand::Rng;
use holdfast::api::conditions::is_true;
use holdfast::api::status::Phase;
use holdfast::api::{ConditionType, SchemaMigration, SchemaMigrationStatus};
use holdfast::controller::names;
use holdfast::controller::volume_snapshot::{SnapshotView, manifest, resource, view};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::cluster::Refused;
use crate::plans::NAMES;
use crate::world::World;

/// Chosen so that the histories of `regressions.txt` have no VolumeSnapshot: `property.rs` looks whether it is so.
const SEED: u64 = 0x5eed_0003;

/// What the driver will make of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Ready after a while.
    Ready,
    /// First an error, then ready.
    ErrorThenReady,
    /// An error for ever.
    Error,
    /// Nobody takes it up.
    Ignored,
    /// Taken, and never ready.
    NeverReady,
}

/// One that a migration asked for.
#[derive(Debug, Clone)]
struct Made {
    /// Uid of the migration.
    owner: String,
    at: Timestamp,
    /// When it will be what its fate says.
    settles: Timestamp,
    fate: Fate,
    /// When somebody deleted it.
    deleted: Option<Timestamp>,
}

impl Made {
    fn is_ready(&self, now: Timestamp) -> bool {
        matches!(self.fate, Fate::Ready | Fate::ErrorThenReady) && self.settles <= now
    }

    /// Its status as the driver writes it.
    fn status(&self, now: Timestamp) -> Value {
        let settled = self.settles <= now;
        let error = json!({"error": {"message": "the storage is busy"}, "readyToUse": false});
        let taken = json!({"boundVolumeSnapshotContentName": "content", "creationTime": self.at, "readyToUse": self.is_ready(now),
            "restoreSize": "1Gi"});
        match self.fate {
            Fate::Ignored => Value::Null,
            Fate::Error => error,
            Fate::ErrorThenReady if !settled => error,
            Fate::Ready | Fate::NeverReady if !settled => json!({"boundVolumeSnapshotContentName": "content"}),
            Fate::Ready | Fate::ErrorThenReady | Fate::NeverReady => taken,
        }
    }
}

/// The VolumeSnapshots of this world.
#[derive(Debug)]
pub(crate) struct Snapshots {
    rng: Rng,
    used: bool,
    /// What the API server has, by name.
    there: BTreeMap<String, DynamicObject>,
    /// What migrations made, those that were deleted included, by name.
    made: BTreeMap<String, Made>,
}

impl Snapshots {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed ^ SEED);
        let used = rng.u32(0..4) == 0;
        Self { rng, used, there: BTreeMap::new(), made: BTreeMap::new() }
    }

    /// Whether any migration backs up so.
    pub(crate) fn is_used(&self) -> bool {
        self.used
    }

    /// What a person writes into the spec, if anything.
    pub(crate) fn spec(&mut self) -> Option<Value> {
        if !self.used || self.rng.u32(0..4) == 0 {
            return None;
        }
        let verification = if self.rng.u32(0..4) == 0 { "None" } else { "Inspect" };
        Some(json!({"type": "VolumeSnapshot", "verification": verification, "volumeSnapshot": {"claimName": "data"}}))
    }
}

fn next_name(migration: &SchemaMigration) -> String {
    let uid = migration.metadata.uid.as_deref().unwrap_or_default();
    let backup = migration.status.as_ref().and_then(|status| status.backup.as_ref());
    let name = migration.metadata.name.as_deref().unwrap_or_default();
    names::volume_snapshot(name, uid, backup.map_or(1, |backup| backup.attempt.max(1)))
}

impl World {
    /// What `src/controller/snapshot_store.rs` finds.
    pub(crate) fn seen_snapshot(
        &mut self,
        migration: &SchemaMigration,
        status: &SchemaMigrationStatus,
    ) -> Result<SnapshotView, Refused> {
        let over = status.started_at.is_some() && is_true(&status.conditions, ConditionType::BackedUp);
        let Some(wanted) = migration.spec.backup.volume_snapshot.as_ref().filter(|_| !over) else {
            return Ok(SnapshotView::NotAsked);
        };
        self.call()?;
        let name = next_name(migration);
        let Some(object) = self.snapshots.there.get(&name) else { return Ok(SnapshotView::Missing) };
        let mut object = object.clone();
        if let Some(made) = self.snapshots.made.get(&name) {
            object.data["status"] = made.status(self.now);
        }
        Ok(view(&object, migration, wanted).unwrap())
    }

    /// The effect.
    pub(crate) fn create_snapshot(&mut self, migration: &SchemaMigration, name: &str) -> Result<(), Refused> {
        self.call()?;
        let wanted = migration.spec.backup.volume_snapshot.as_ref().unwrap();
        if self.snapshots.there.contains_key(name) {
            return Ok(());
        }
        let fate = match self.snapshots.rng.u32(0..20) {
            0 if self.faults => Fate::Error,
            1 if self.faults => Fate::Ignored,
            2 if self.faults => Fate::NeverReady,
            3..5 => Fate::ErrorThenReady,
            _ => Fate::Ready,
        };
        let settles = self.now + SignedDuration::from_secs(self.snapshots.rng.i64(1..200));
        let owner = migration.metadata.uid.clone().unwrap_or_default();
        let made = Made { owner, at: self.now, settles, fate, deleted: None };
        if let Some(before) = self.snapshots.made.insert(name.to_owned(), made)
            && before.deleted.is_none()
        {
            self.violated(format!("the VolumeSnapshot {name} is made twice"));
        }
        let mut object = manifest(migration, wanted, name);
        object.metadata.uid = Some(self.cluster.new_uid());
        self.snapshots.there.insert(name.to_owned(), object);
        self.call()
    }

    /// Sometimes somebody deletes one, or takes the name of one.
    pub(crate) fn snapshots_move(&mut self) {
        if !self.snapshots.used || self.snapshots.rng.u32(0..100) > 0 {
            return;
        }
        if self.snapshots.rng.u32(0..5) == 0 {
            let which = self.snapshots.rng.usize(0..2);
            let Some(name) = self.cluster.migrations.get(NAMES[which]).map(|migration| next_name(migration)) else {
                return;
            };
            if self.snapshots.there.contains_key(&name) {
                return;
            }
            self.tell(|| format!("somebody makes a VolumeSnapshot named {name}"));
            let mut object = DynamicObject::new(&name, &resource());
            object.data = json!({"spec": {"source": {"persistentVolumeClaimName": "data"}}, "status": {"readyToUse": true,
                "creationTime": self.now, "boundVolumeSnapshotContentName": "of-others", "restoreSize": "1Gi"}});
            self.snapshots.there.insert(name, object);
            return;
        }
        let names: Vec<String> = self.snapshots.there.keys().cloned().collect();
        if names.is_empty() {
            return;
        }
        let name = names[self.snapshots.rng.usize(0..names.len())].clone();
        let now = self.now;
        if self.snapshots.rng.bool() {
            self.tell(|| format!("somebody begins to delete the VolumeSnapshot {name}"));
            let object = self.snapshots.there.get_mut(&name).unwrap();
            object.metadata.deletion_timestamp.get_or_insert(Time(now));
        } else {
            self.tell(|| format!("somebody deletes the VolumeSnapshot {name}"));
            self.snapshots.there.remove(&name);
        }
        if let Some(made) = self.snapshots.made.get_mut(&name) {
            made.deleted.get_or_insert(now);
        }
    }

    /// What a status says of a VolumeSnapshot that is not so.
    pub(crate) fn snapshot_contradicts(
        &self,
        migration: &SchemaMigration,
        before: &SchemaMigrationStatus,
        after: &SchemaMigrationStatus,
    ) -> Option<String> {
        // A spec that changed since is not what was backed up for.
        let same = after.observed_generation == migration.metadata.generation.unwrap_or(0);
        migration.spec.backup.volume_snapshot.as_ref().filter(|_| same)?;
        let holds = |status: &SchemaMigrationStatus| is_true(&status.conditions, ConditionType::BackedUp);
        let backup = after.backup.as_ref();
        let name = backup.and_then(|backup| backup.volume_snapshot.as_ref()).map(|snapshot| snapshot.name.as_str());
        let made = name.and_then(|name| self.snapshots.made.get(name));
        if holds(after) && !holds(before) {
            let uid = migration.metadata.uid.as_deref().unwrap_or_default();
            let Some(made) = made.filter(|made| made.owner == uid && made.is_ready(self.now)) else {
                return Some(format!("BackedUp is True, and the VolumeSnapshot {name:?} is not ready: {made:?}"));
            };
            let taken_at = backup.and_then(|backup| backup.taken_at.as_ref()).map(|time| time.0);
            if taken_at != Some(made.at) {
                return Some(format!("the backup of {} was taken at {taken_at:?} by its status", made.at));
            }
        }
        // One that takes over what another resource began has its own first change in the cleanup.
        let starts = before.started_at.is_none() && after.started_at.is_some() && after.phase == Some(Phase::CleanUp);
        let gone =
            made.and_then(|made| made.deleted).filter(|deleted| self.now.duration_since(*deleted).as_secs() > 60);
        (starts && (made.is_none() || gone.is_some()))
            .then(|| format!("the first change is about to be made, and the VolumeSnapshot {name:?} is not there"))
    }
}
