//! Evidence between environments: what staging shows, truly or not, the key that evidence is signed with, and what is written here. It
//! draws from a generator of its own, so that histories without promotion are what they were.

use fastrand::Rng;
use holdfast::api::conditions::is_true;
use holdfast::api::status::{EvidenceStatus, Phase};
use holdfast::api::{ConditionType, Reason, SchemaMigration, SchemaMigrationStatus};
use holdfast::controller::evidence::{self, FoundEvidence, OwnEvidence};
use holdfast::controller::observed::{Task, TaskState};
use holdfast::evidence::{Document, PrivateKey, Signed};
use serde_json::{Value, json};

use crate::cluster::Refused;
use crate::database::Ending;
use crate::plans::NAMES;
use crate::world::World;

/// Chosen so that the histories of `regressions.txt` have no promotion: `property.rs` looks whether it is so.
const SEED: u64 = 0x5eed_0002;

/// The world beside this environment.
#[derive(Debug)]
pub(crate) struct Promotion {
    rng: Rng,
    /// Whether anybody promotes at all.
    used: bool,
    /// What lies in the ConfigMap that each migration names.
    shown: [Option<String>; 2],
    /// Content that staging truly showed to each, with all that was ever shown.
    truly: Vec<(usize, String)>,
    /// Whether the Secret with the signing key is there.
    key: bool,
    /// The evidence that was written, by uid and plan.
    written: Vec<Document>,
}

impl Promotion {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed ^ SEED);
        let used = rng.u32(0..4) == 0;
        Self { rng, used, shown: [None, None], truly: Vec::new(), key: true, written: Vec::new() }
    }

    /// Whether anybody promotes at all.
    pub(crate) fn is_used(&self) -> bool {
        self.used
    }

    /// What a person writes into the spec, if anything.
    pub(crate) fn spec(&mut self) -> Option<Value> {
        if !self.used || self.rng.u32(0..4) == 0 {
            return None;
        }
        let mut required = json!({"environment": "staging", "publicKeySecretRef": {"name": "staging", "key": "public.pem"},
            "evidence": {"configMapRef": {"name": "staging", "key": "evidence.json"}}});
        if self.rng.bool() {
            required["maxAge"] = json!("24h");
        }
        let requires = if self.rng.u32(0..4) > 0 { vec![required] } else { Vec::new() };
        Some(json!({"environment": "production", "requires": requires,
            "signingKeySecretRef": {"name": "holdfast-evidence-key", "key": "private.pem"}}))
    }
}

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_seed(&[seed; 32])
}

fn requires(migration: &SchemaMigration) -> bool {
    migration.spec.promotion.as_ref().is_some_and(|promotion| !promotion.requires.is_empty())
}

impl World {
    fn promoted(&self, which: usize) -> Option<&SchemaMigration> {
        self.cluster.migrations.get(NAMES[which]).map(AsRef::as_ref).filter(|migration| requires(migration))
    }

    /// Sometimes somebody commits evidence, good or not, takes it away, or deletes the key.
    pub(crate) fn evidence_moves(&mut self) {
        if !self.promotion.used || self.promotion.rng.u32(0..40) > 0 {
            return;
        }
        let which = self.promotion.rng.usize(0..2);
        match self.promotion.rng.u32(0..8) {
            0 if self.faults => {
                self.promotion.key = !self.promotion.key;
                let key = self.promotion.key;
                self.tell(|| format!("the signing key is there: {key}"));
            }
            1 => self.promotion.shown[which] = None,
            2..5 => self.show_truly(which),
            cheat if self.promoted(which).is_some() => self.cheat(which, cheat),
            _ => {}
        }
    }

    fn document(&self, which: usize) -> Option<Document> {
        let (promoted, status) = (self.promoted(which)?, self.status(which));
        // What is begun stays what it was planned as, whatever became of the PodTemplates since.
        let begun = status.content_digest.filter(|_| status.started_at.is_some());
        let content = begun.unwrap_or_else(|| self.content_digest(promoted));
        let document = json!({
            "type": "holdfast.dev/evidence", "format": 1, "result": "Complete", "environment": "staging",
            "contentDigest": content, "planDigest": "sha256:there", "serverUuid": "there",
            "migration": {"namespace": "staging", "name": NAMES[which], "uid": "there"},
            "versions": {"holdfast": "0.1.0", "server": "9.7.4"},
            "startedAt": self.now, "finishedAt": self.now, "phases": [], "found": {"orphans": 0, "duplicates": 0},
            "quarantined": {"orphans": 0, "duplicates": 0, "cascaded": 0, "values": 0},
            "proof": {"provenAt": "", "foreignKeys": 0, "uniqueConstraints": 0, "expectations": 0, "replicas": 0,
                "checksOffGlobally": false, "keys": []},
            "tests": {"probes": 0, "unprobed": 0, "scenarios": 0, "jobs": 0},
        });
        Some(serde_json::from_value(document).unwrap())
    }

    /// Staging rolled the same content out, and somebody commits the evidence of it.
    pub(crate) fn show_truly(&mut self, which: usize) {
        let Some(document) = self.document(which) else { return };
        self.tell(|| format!("somebody commits evidence for {}", NAMES[which]));
        let text = Signed::new(&document, Some(&key(1))).unwrap().text().unwrap();
        self.promotion.truly.push((which, document.content_digest));
        self.promotion.shown[which] = Some(text);
    }

    fn cheat(&mut self, which: usize, how: u32) {
        let Some(mut document) = self.document(which) else { return };
        self.tell(|| format!("somebody commits bad evidence for {}", NAMES[which]));
        let text = |document: &Document, seed| Signed::new(document, Some(&key(seed))).unwrap().text().unwrap();
        let shown = match how {
            5 => text(&document, 2),
            6 => {
                document.environment = "dev".to_owned();
                text(&document, 1)
            }
            _ => {
                let content = std::mem::replace(&mut document.content_digest, "content-of-others".to_owned());
                text(&document, 1).replace("content-of-others", &content)
            }
        };
        self.promotion.shown[which] = Some(shown);
    }

    /// What `src/controller/evidence_store.rs` finds of others.
    pub(crate) fn found_evidence(
        &self,
        migration: &SchemaMigration,
        status: &SchemaMigrationStatus,
    ) -> Vec<FoundEvidence> {
        if !evidence::is_asked(status) || !requires(migration) {
            return Vec::new();
        }
        let which = crate::world::place(migration.metadata.name.as_deref().unwrap_or_default());
        let text =
            self.promotion.shown[which].clone().ok_or_else(|| "the ConfigMap shop/staging does not exist".to_owned());
        vec![FoundEvidence { text, public_key: Ok(key(1).public().to_pem().unwrap().into_bytes()) }]
    }

    /// What it finds of this migration's own.
    pub(crate) fn own_evidence(
        &self,
        migration: &SchemaMigration,
        status: &SchemaMigrationStatus,
        task: &TaskState,
    ) -> OwnEvidence {
        let proven = matches!(task, TaskState::Ended(Task::Prove, Ok(_)));
        if migration.spec.promotion.is_none() || !proven {
            return OwnEvidence::NotAsked;
        }
        if !self.promotion.key {
            return OwnEvidence::Unusable("the Secret shop/holdfast-evidence-key does not exist".to_owned());
        }
        match self.written(migration, status) {
            None => OwnEvidence::Missing { kubernetes: None },
            Some(document) => OwnEvidence::Written(EvidenceStatus {
                config_map: "evidence".to_owned(),
                digest: document.plan_digest.clone(),
                signed_by: Some("key".to_owned()),
            }),
        }
    }

    fn written(&self, migration: &SchemaMigration, status: &SchemaMigrationStatus) -> Option<&Document> {
        let digest = &status.plan.as_ref()?.digest;
        let uid = migration.metadata.uid.as_ref()?;
        let same = |each: &&Document| each.migration.uid == *uid && each.plan_digest == *digest;
        self.promotion.written.iter().find(same)
    }

    /// Evidence is written, unless it is there.
    pub(crate) fn write_evidence(&mut self, migration: &SchemaMigration, document: &Document) -> Result<(), Refused> {
        if !self.promotion.key {
            return Err(Refused::NoAnswer);
        }
        let ended =
            |each: &crate::database::Migration| each.digest == document.plan_digest && each.ending == Ending::Complete;
        if !self.database.journal.iter().any(ended) {
            self.violated(format!("evidence is written of what is not proven: {document:?}"));
        }
        let status = migration.status.clone().unwrap_or_default();
        if self.written(migration, &status).is_none() {
            self.promotion.written.push(document.clone());
        }
        Ok(())
    }

    /// What a status says of evidence that is not so.
    pub(crate) fn evidence_contradicts(
        &self,
        which: usize,
        migration: &SchemaMigration,
        (before, after): (&SchemaMigrationStatus, &SchemaMigrationStatus),
        ended: Option<Reason>,
    ) -> Option<String> {
        // One that takes over what another resource began has its own first change in the cleanup.
        let starts = before.started_at.is_none() && after.started_at.is_some() && after.phase == Some(Phase::CleanUp);
        let cleaned = |status: &SchemaMigrationStatus| is_true(&status.conditions, ConditionType::CleanedUp);
        let begins = starts || (cleaned(after) && !cleaned(before));
        let content = after.content_digest.clone().unwrap_or_default();
        if begins && requires(migration) && !self.promotion.truly.contains(&(which, content.clone())) {
            return Some(format!("the first change is about to be made, and no evidence of {content} was ever shown"));
        }
        let shows = migration.spec.promotion.is_some() && ended == Some(Reason::Complete);
        if shows && (after.evidence.is_none() || self.written(migration, after).is_none()) {
            return Some("Complete, and the evidence of it is not written".to_owned());
        }
        None
    }

    /// Does what a wait for evidence asks for.
    pub(crate) fn answer_evidence(&mut self, which: usize, reason: Reason) {
        if reason == Reason::EvidenceNotWritten {
            self.tell(|| "somebody brings the signing key back".to_owned());
            self.promotion.key = true;
        } else {
            self.show_truly(which);
        }
        self.wake(which);
    }
}
