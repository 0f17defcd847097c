//! The API server: objects with versions and generations, Jobs, approvals, and what it does by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use holdfast::api::status::JobPurpose;
use holdfast::api::{MigrationApproval, SchemaMigration, SchemaMigrationStatus};
use holdfast::backup::rehearsed::End;
use holdfast::backup::{Outcome, Rehearsed, Removed, Restored, RowCounts, Summary};
use holdfast::controller::observed::{JobView, Policies};
use holdfast::plan::Plan;
use jiff::{SignedDuration, Timestamp};

/// How a Job will go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Succeeds,
    Fails,
    NeverStarts,
}

/// A Job.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) uid: String,
    /// Uid of the SchemaMigration.
    pub(crate) owner: String,
    pub(crate) purpose: JobPurpose,
    pub(crate) made: Timestamp,
    pub(crate) ends: Timestamp,
    pub(crate) fate: Fate,
    pub(crate) over: bool,
    /// The plan that it rehearses, and how that ends.
    pub(crate) rehearsal: Option<(String, End)>,
}

/// Why a call did not do what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Conflict,
    NotFound,
    /// The Lease names another process.
    NotLeading,
    /// No answer; it may have been done all the same.
    NoAnswer,
}

#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) migrations: BTreeMap<&'static str, Arc<SchemaMigration>>,
    pub(crate) jobs: BTreeMap<String, Job>,
    pub(crate) plans: BTreeMap<String, Arc<Plan>>,
    pub(crate) approvals: Vec<MigrationApproval>,
    pub(crate) policies: Policies,
    /// Why a named object is missing.
    pub(crate) missing: Option<String>,
    /// Version of the PodTemplates.
    pub(crate) templates: u32,
    version: u64,
    pub(crate) uids: u64,
    /// Whether the application's schema file is the one from before: changed by the Jobs as they run.
    pub(crate) schema_file_changed: BTreeMap<String, bool>,
    /// The definition of the tables in each backup: by uid of the migration, and which of its backups.
    pub(crate) backups: BTreeMap<(String, i32), String>,
    /// Plans that were rehearsed to a good end, by uid of the migration.
    pub(crate) rehearsed: BTreeSet<(String, String)>,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        Self {
            migrations: BTreeMap::new(),
            jobs: BTreeMap::new(),
            plans: BTreeMap::new(),
            approvals: Vec::new(),
            policies: Policies::Installed { since: Timestamp::UNIX_EPOCH },
            missing: None,
            templates: 1,
            version: 0,
            uids: 0,
            schema_file_changed: BTreeMap::new(),
            backups: BTreeMap::new(),
            rehearsed: BTreeSet::new(),
        }
    }

    pub(crate) fn new_uid(&mut self) -> String {
        self.uids += 1;
        format!("uid-{}", self.uids)
    }

    fn next_version(&mut self) -> Option<String> {
        self.version += 1;
        Some(self.version.to_string())
    }

    /// Puts a new object in.
    pub(crate) fn create(&mut self, name: &'static str, mut migration: SchemaMigration) {
        migration.metadata.uid = Some(self.new_uid());
        migration.metadata.resource_version = self.next_version();
        migration.metadata.generation = Some(1);
        self.migrations.insert(name, Arc::new(migration));
    }

    /// A person changes something; the generation moves with the spec.
    pub(crate) fn edit(&mut self, name: &str, change: impl FnOnce(&mut SchemaMigration)) {
        let version = self.next_version();
        let Some(migration) = self.migrations.get_mut(name).map(Arc::make_mut) else { return };
        let spec = migration.spec.clone();
        change(migration);
        if migration.spec != spec {
            migration.metadata.generation = migration.metadata.generation.map(|generation| generation + 1);
        }
        migration.metadata.resource_version = version;
    }

    /// Replaces the status, if the object is the one that was read.
    pub(crate) fn replace_status(
        &mut self,
        name: &str,
        read: &SchemaMigration,
        status: SchemaMigrationStatus,
        checked: bool,
    ) -> Result<Arc<SchemaMigration>, Refused> {
        let version = self.next_version();
        let stored = self.migrations.get_mut(name).ok_or(Refused::NotFound)?;
        let migration = Arc::make_mut(stored);
        if migration.metadata.uid != read.metadata.uid {
            return Err(Refused::Conflict);
        }
        if checked && migration.metadata.resource_version != read.metadata.resource_version {
            return Err(Refused::Conflict);
        }
        migration.status = Some(status);
        migration.metadata.resource_version = version;
        Ok(stored.clone())
    }

    /// Changes the finalizers, if the object is the one that was read. An object that is being deleted goes with its last one.
    pub(crate) fn set_finalizers(
        &mut self,
        name: &str,
        read: &SchemaMigration,
        finalizers: Vec<String>,
    ) -> Result<(), Refused> {
        let version = self.next_version();
        let migration = self.migrations.get_mut(name).map(Arc::make_mut).ok_or(Refused::NotFound)?;
        if migration.metadata.resource_version != read.metadata.resource_version {
            return Err(Refused::Conflict);
        }
        migration.metadata.finalizers = (!finalizers.is_empty()).then_some(finalizers);
        migration.metadata.resource_version = version;
        self.collect(name);
        Ok(())
    }

    /// A person deletes an object.
    pub(crate) fn delete(&mut self, name: &str, now: Timestamp) {
        let version = self.next_version();
        if let Some(migration) = self.migrations.get_mut(name).map(Arc::make_mut) {
            migration
                .metadata
                .deletion_timestamp
                .get_or_insert(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now));
            migration.metadata.resource_version = version;
        }
        self.collect(name);
    }

    fn collect(&mut self, name: &str) {
        let gone = self.migrations.get(name).is_some_and(|migration| {
            migration.metadata.deletion_timestamp.is_some()
                && migration.metadata.finalizers.as_ref().is_none_or(Vec::is_empty)
        });
        if gone && let Some(migration) = self.migrations.remove(name) {
            let uid = migration.metadata.uid.clone().unwrap_or_default();
            self.jobs.retain(|_, job| job.owner != uid);
        }
    }

    /// What Jobs do as time passes; the names of those that ended.
    pub(crate) fn advance(&mut self, now: Timestamp) -> Vec<String> {
        let mut ended = Vec::new();
        for (name, job) in &mut self.jobs {
            if job.over || job.fate == Fate::NeverStarts {
                continue;
            }
            match job.purpose {
                // A Job that runs has perhaps changed the file already; only one that succeeds puts it back.
                JobPurpose::SchemaUpdate => {
                    self.schema_file_changed.insert(job.owner.clone(), true);
                }
                JobPurpose::UndoSchemaUpdate if job.ends <= now && job.fate == Fate::Succeeds => {
                    self.schema_file_changed.insert(job.owner.clone(), false);
                }
                _ => {}
            }
            if job.ends <= now {
                job.over = true;
                if let (Some((plan, End::Passed { .. })), Fate::Succeeds) = (&job.rehearsal, job.fate) {
                    self.rehearsed.insert((job.owner.clone(), plan.clone()));
                }
                ended.push(name.clone());
            }
        }
        ended
    }

    /// A Job as the controller sees it.
    pub(crate) fn view(&self, name: &str, owner: &str, now: Timestamp) -> JobView {
        let Some(job) = self.jobs.get(name) else { return JobView::Missing };
        if job.owner != owner {
            return JobView::Foreign(job.owner.clone());
        }
        let uid = job.uid.clone();
        if !job.over {
            let age = now.duration_since(job.made);
            let stuck = job.fate == Fate::NeverStarts && age >= SignedDuration::from_secs(60);
            return JobView::Running {
                uid,
                problem: stuck.then(|| "the image cannot be pulled".to_owned()),
                progress: None,
            };
        }
        if job.fate == Fate::Fails {
            return JobView::Failed {
                uid,
                reason: "BackoffLimitExceeded".to_owned(),
                message: None,
                log: Some("boom".to_owned()),
            };
        }
        let outcome = match job.purpose {
            JobPurpose::Backup => Some(Outcome::Made(Summary {
                file: format!("{name}.sql"),
                taken_at: job.made,
                finished_at: job.ends,
                bytes: 1,
                sha256: "0".repeat(64),
                manifest: "0".repeat(64),
                names: String::new(),
                rows: RowCounts::Here(vec![1]),
            })),
            JobPurpose::VerifyBackup | JobPurpose::Rehearse | JobPurpose::RestoreBackup => {
                Some(Outcome::Restored(Restored {
                    server_version: "9.7.4".to_owned(),
                    tables: 1,
                    rows: 1,
                    objects: 0,
                    bytes: 1,
                    lossy_columns: 0,
                    lossy: Vec::new(),
                    started_at: job.made,
                    finished_at: job.ends,
                    rehearsal: job
                        .rehearsal
                        .clone()
                        .map(|(plan, end)| Box::new(Rehearsed { end, ..Rehearsed::begun(&plan, job.made) })),
                }))
            }
            JobPurpose::RemoveBackups => Some(Outcome::Removed(Removed { backups: 1, bytes: 1, left: Vec::new() })),
            JobPurpose::SchemaUpdate | JobPurpose::UndoSchemaUpdate | JobPurpose::Test => None,
        };
        let message = outcome.map(|outcome| serde_json::to_string(&outcome).unwrap());
        match &job.rehearsal {
            None | Some((_, End::Passed { .. })) => JobView::Succeeded { uid, message },
            Some(_) => JobView::Failed { uid, reason: "BackoffLimitExceeded".to_owned(), message, log: None },
        }
    }
}
