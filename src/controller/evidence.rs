//! What `spec.promotion` asks of other environments, which is a part of the gate before CleanUp, and what this migration shows to others
//! once it is proven. Pure, and closed whenever something is not known.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;

use crate::api::Reason;
use crate::api::gates::{GatePoint, GatedPhase};
use crate::api::promotion::{EvidenceSource, RequiredEvidence};
use crate::api::status::{AcceptedEvidence, EvidenceStatus, GateState, JobPurpose, JobState, SchemaMigrationStatus};
use crate::evidence::document::{
    COMPLETE, Document, FORMAT, Found, KeyInShort, MAX_KEYS, MigrationName, PhaseTime, ProofInShort, Quarantined, TYPE,
    Tests, Versions,
};
use crate::evidence::{PublicKey, Refusal, Signed, Wanted};
use crate::mysql::report::Proof;
use crate::plan::Plan;

use super::approvals;
use super::gates::View;
use super::observed::signed;

/// What one requirement of `spec.promotion.requires` names, as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundEvidence {
    /// The evidence; why it is not there.
    pub text: Result<String, String>,
    /// The public key in PEM; why it is not there.
    pub public_key: Result<Vec<u8>, String>,
}

/// This migration's own evidence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum OwnEvidence {
    /// Not asked for, or not yet.
    #[default]
    NotAsked,
    /// Not written.
    Missing {
        /// Version of the API server, where it said it.
        kubernetes: Option<String>,
    },
    /// Written.
    Written(EvidenceStatus),
    /// It cannot be written, and why.
    Unusable(String),
}

/// What the evidence of other environments comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing is asked for, or what was shown before the first change counts.
    NotAsked,
    /// All of it counts.
    Good(Vec<AcceptedEvidence>),
    /// Some of it is missing or does not count.
    Waiting(Reason, String),
}

/// The gate that evidence is a part of.
const HERE: GatePoint<'static> = GatePoint::Phase(GatedPhase::CleanUp);

/// Whether evidence still opens or closes the gate. One that was taken over was begun by another resource, and its own gate has not asked yet.
#[must_use]
pub fn is_asked(status: &SchemaMigrationStatus) -> bool {
    let opened = || approvals::of(status, HERE).is_some_and(|gate| gate.state == GateState::Open);
    status.started_at.is_none() || !opened()
}

/// Asks for the gate before a point.
pub(super) fn ask(view: View<'_>, point: GatePoint<'_>) -> Answer {
    let required = view.migration.spec.promotion.iter().flat_map(|promotion| &promotion.requires);
    let mut required = required.enumerate().peekable();
    let here = point == HERE && is_asked(view.status);
    if !here || required.peek().is_none() {
        return Answer::NotAsked;
    }
    let (mut good, mut waiting) = (Vec::new(), Vec::new());
    for (index, required) in required {
        match one(view, required, view.observed.evidence.get(index)) {
            Ok(accepted) => good.push(accepted),
            Err(why) => waiting.push(why),
        }
    }
    let refused = waiting.iter().any(|(reason, _)| *reason == Reason::EvidenceRefused);
    let reason = if refused { Reason::EvidenceRefused } else { Reason::EvidencePending };
    let messages: Vec<String> = waiting.into_iter().map(|(_, message)| message).collect();
    if messages.is_empty() { Answer::Good(good) } else { Answer::Waiting(reason, messages.join("; ")) }
}

/// As the API server keeps times: what is compared with a status must not have more than it.
fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

fn one(
    view: View<'_>,
    required: &RequiredEvidence,
    found: Option<&FoundEvidence>,
) -> Result<AcceptedEvidence, (Reason, String)> {
    let environment = &required.environment;
    let pending = |why: &str| (Reason::EvidencePending, format!("waiting for evidence from {environment}: {why}"));
    let found = found.ok_or_else(|| pending("it was not looked for yet"))?;
    let content_digest = view.status.content_digest.as_deref().ok_or_else(|| pending("nothing is planned yet"))?;
    let pem = found.public_key.as_ref().map_err(|why| pending(why))?;
    let text = found.text.as_ref().map_err(|why| pending(why))?;
    let namespace = view.migration.namespace().unwrap_or_default();
    let key = PublicKey::from_pem(pem).map_err(|error| {
        let reference = &required.public_key_secret_ref;
        let what = format!(
            "evidence from {environment} cannot be checked: the key {:?} of the Secret {namespace}/{} {error}",
            reference.key, reference.name
        );
        (Reason::EvidenceRefused, what)
    })?;
    let wanted = Wanted {
        environment: Some(environment),
        content_digest: Some(content_digest),
        max_age: required.max_age.as_ref(),
    };
    let checked = Signed::read(text).and_then(|signed| {
        let document = signed.verified(&key)?;
        wanted.check(&document, view.now)?;
        Ok((signed, document))
    });
    let (signed, document) = checked.map_err(|refusal: Refusal| {
        let place = place(&required.evidence, &namespace);
        (Reason::EvidenceRefused, format!("the evidence from {environment} ({place}) does not count: {refusal}"))
    })?;
    Ok(AcceptedEvidence {
        environment: environment.clone(),
        digest: signed.digest(),
        migration: format!("{}/{}", document.migration.namespace, document.migration.name),
        finished_at: Time(whole_second(document.finished_at)),
    })
}

/// Where evidence is, for messages.
fn place(source: &EvidenceSource, namespace: &str) -> String {
    match &source.config_map_ref {
        Some(reference) => format!("key {:?} of the ConfigMap {namespace}/{}", reference.key, reference.name),
        None => "inline in the spec".to_owned(),
    }
}

/// Evidence that counts, for people.
pub(super) fn told(accepted: &[AcceptedEvidence]) -> String {
    let each = accepted.iter().map(|each| {
        format!(
            "{} shows that {} completed the same content there at {}",
            each.environment, each.migration, each.finished_at.0
        )
    });
    each.collect::<Vec<_>>().join(", and ")
}

/// What this migration shows to others; `None` where it is not asked to.
pub(super) fn document(view: View<'_>, plan: &Plan, proof: &Proof, kubernetes: Option<&str>) -> Option<Document> {
    let (migration, status) = (view.migration, view.status);
    let environment = migration.spec.promotion.as_ref()?.environment.clone();
    let seconds = |from: &Time, to: Option<&Time>| {
        let to = to.map_or(view.now, |to| to.0);
        to.duration_since(from.0).as_secs()
    };
    let rows = |prefix: &str| {
        let lines = status.validation.iter().filter(|line| line.issue_type.starts_with(prefix));
        lines.map(|line| line.count).sum()
    };
    let quarantine = status.quarantine.clone().unwrap_or_default();
    let tested = status.tested.as_ref();
    let passed = |job: &&crate::api::status::JobStatus| {
        job.purpose == JobPurpose::Test && job.attempt == status.attempt && job.state == JobState::Succeeded
    };
    let keys = proof.keys.iter().take(MAX_KEYS).map(|proven| KeyInShort {
        table: proven.key.child.to_string(),
        name: proven.key.name.to_string(),
        orphans: signed(proven.orphans),
        query: proven.query.clone(),
        milliseconds: signed(proven.milliseconds),
    });
    Some(Document {
        kind: TYPE.to_owned(),
        format: FORMAT,
        result: COMPLETE.to_owned(),
        environment,
        content_digest: plan.content_digest.clone(),
        plan_digest: plan.digest.clone(),
        migration: MigrationName {
            namespace: migration.namespace().unwrap_or_default(),
            name: migration.name_any(),
            uid: migration.metadata.uid.clone().unwrap_or_default(),
        },
        versions: Versions {
            holdfast: env!("CARGO_PKG_VERSION").to_owned(),
            server: plan.server.version_text.clone(),
            kubernetes: kubernetes.map(str::to_owned),
        },
        server_uuid: proof.server_uuid.clone(),
        started_at: status.started_at.as_ref().map_or(view.now, |time| time.0),
        finished_at: whole_second(view.now),
        phases: status
            .phases
            .iter()
            .map(|phase| PhaseTime {
                name: phase.name.to_string(),
                seconds: seconds(&phase.started, phase.finished.as_ref()),
            })
            .collect(),
        found: Found { orphans: rows("orphans: "), duplicates: rows("duplicates: ") },
        quarantined: Quarantined {
            orphans: quarantine.orphans,
            duplicates: quarantine.duplicates,
            cascaded: quarantine.cascaded,
            values: quarantine.values,
        },
        proof: ProofInShort {
            proven_at: proof.proven_at.clone(),
            transactions: proof.transactions.clone(),
            foreign_keys: signed(proof.keys.len()),
            keys: keys.collect(),
            unique_constraints: signed(proof.uniques.len()),
            expectations: signed(proof.expectations.len()),
            replicas: signed(proof.replicas.len()),
            sessions_without_checks: proof.sessions_without_checks.map(signed),
            checks_off_globally: proof.checks_off_globally,
        },
        tests: Tests {
            probes: tested.map_or(0, |tested| tested.probes),
            unprobed: tested.map_or(0, |tested| tested.unprobed),
            scenarios: tested.map_or(0, |tested| tested.scenarios),
            jobs: signed(status.jobs.iter().filter(passed).count()),
        },
    })
}
