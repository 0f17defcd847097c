//! Evidence of other environments, before the first change; and this migration's own, before its end.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::super::super::evidence::FoundEvidence;
use super::super::super::observed::Task;
use super::world::{DIGEST, World, gated};
use crate::api::conditions::find;
use crate::api::status::GateState;
use crate::api::steering::SteeringAction;
use crate::api::{ConditionType, Reason};
use crate::evidence::{Document, PrivateKey, Signed};
use crate::mysql::Cause;
use crate::mysql::report::QuarantineCounts;

fn key() -> PrivateKey {
    PrivateKey::from_seed(&[7; 32])
}

/// With evidence of staging, some days old at most, before the first change.
fn promoted(manifest: &mut Value) {
    manifest["spec"]["promotion"] = json!({"environment": "production", "requires": [{
        "environment": "staging", "maxAge": "72h", "publicKeySecretRef": {"name": "staging", "key": "public.pem"},
        "evidence": {"configMapRef": {"name": "evidence", "key": "evidence.json"}},
    }]});
}

/// What a migration of that environment and content shows, a minute after the world began.
fn document(environment: &str, content: &str) -> Document {
    let mut world = World::new(|manifest| manifest["spec"]["promotion"] = json!({"environment": environment}));
    assert_eq!(world.run(&[]), Reason::Complete);
    let mut document = world.written.remove(0);
    document.content_digest = content.to_owned();
    document
}

fn found(document: &Document) -> Vec<FoundEvidence> {
    let text = Signed::new(document, Some(&key())).unwrap().text().unwrap();
    let public_key = key().public().to_pem().unwrap().into_bytes();
    vec![FoundEvidence { text: Ok(text), public_key: Ok(public_key) }]
}

fn missing() -> Vec<FoundEvidence> {
    let public_key = key().public().to_pem().unwrap().into_bytes();
    vec![FoundEvidence {
        text: Err("the ConfigMap shop/evidence does not exist".to_owned()),
        public_key: Ok(public_key),
    }]
}

#[test]
fn nothing_is_changed_before_evidence_of_the_same_content_is_there() {
    let mut world = World::new(promoted);
    assert_eq!(world.settle(), Reason::EvidencePending, "not read yet");
    world.evidence = missing();
    assert_eq!(world.settle(), Reason::EvidencePending);
    let message = world.status().message.unwrap();
    assert_eq!(message, "waiting for evidence from staging: the ConfigMap shop/evidence does not exist");
    assert_eq!(world.status().current.as_deref(), Some("waiting: EvidencePending"));
    world.evidence = found(&document("staging", "other"));
    assert_eq!(world.settle(), Reason::EvidenceRefused);
    assert!(world.status().message.unwrap().contains("other content (other; this is content)"), "{:?}", world.status());
    assert!(!world.changed_anything() && world.status().started_at.is_none());
    assert_eq!(world.reason(ConditionType::Approved), Reason::EvidenceRefused);
    world.evidence = found(&document("staging", "content"));
    assert_eq!(world.run(&[]), Reason::Complete);
    let gate = &world.status().gates[0];
    assert_eq!((gate.state, gate.evidence[0].environment.as_str()), (GateState::Open, "staging"));
    assert_eq!(gate.evidence[0].digest, Signed::new(&document("staging", "content"), None).unwrap().digest());
}

#[test]
fn a_key_that_is_missing_or_none_keeps_the_gate_closed() {
    let mut world = World::new(promoted);
    world.evidence = found(&document("staging", "content"));
    world.evidence[0].public_key = Err("the Secret shop/staging does not exist".to_owned());
    assert_eq!(world.settle(), Reason::EvidencePending);
    world.evidence[0].public_key = Ok(b"key".to_vec());
    assert_eq!(world.settle(), Reason::EvidenceRefused);
    assert!(world.status().message.unwrap().contains("the Secret shop/staging is no ed25519 public key"));
    assert!(!world.changed_anything());
}

#[test]
fn evidence_is_asked_for_before_an_approval_and_both_are_needed() {
    let mut world = World::new(|manifest| {
        gated(manifest);
        promoted(manifest);
    });
    world.approve("CleanUp", DIGEST, "Approve", Some(9));
    world.evidence = missing();
    assert_eq!(world.settle(), Reason::EvidencePending);
    assert_eq!(world.status().gates[0].approval.as_ref().unwrap().approved_by, "alice", "kept in sight");
    world.approvals.clear();
    world.evidence = found(&document("staging", "content"));
    assert_eq!(world.settle(), Reason::ApprovalPending);
    world.approve("CleanUp", DIGEST, "Approve", Some(9));
    assert_eq!(world.run(&[]), Reason::Complete);
    let message = world.status().gates[0].message.clone().unwrap();
    assert!(
        message.starts_with("approved by alice") && message.contains("staging shows that shop/m completed"),
        "{message}"
    );
}

#[test]
fn a_denial_counts_whatever_is_shown() {
    let mut world = World::new(|manifest| {
        gated(manifest);
        promoted(manifest);
    });
    world.evidence = missing();
    world.approve("CleanUp", DIGEST, "Deny", None);
    assert_eq!(world.run(&[]), Reason::ApprovalDenied);
}

#[test]
fn evidence_that_grows_too_old_while_something_else_is_waited_for_closes_the_gate_again() {
    let mut world = World::new(|manifest| {
        gated(manifest);
        promoted(manifest);
    });
    world.evidence = found(&document("staging", "content"));
    assert_eq!(world.settle(), Reason::ApprovalPending);
    world.now = world.now.checked_add(SignedDuration::from_hours(72)).unwrap();
    assert_eq!(world.settle(), Reason::EvidenceRefused);
    world.approve("CleanUp", DIGEST, "Approve", Some(9));
    assert_eq!(world.settle(), Reason::EvidenceRefused);
    assert!(!world.changed_anything());
}

#[test]
fn evidence_that_is_taken_away_during_the_last_look_before_the_first_change_keeps_it_from_being_made() {
    let mut world = World::new(promoted);
    world.evidence = found(&document("staging", "content"));
    world.lasting = vec![Task::CheckBeforeStart];
    world.run_to(Task::CheckBeforeStart);
    world.evidence = missing();
    world.lasting.clear();
    assert_eq!(world.settle(), Reason::EvidencePending);
    assert!(world.status().started_at.is_none());
}

#[test]
fn from_the_first_change_on_evidence_is_not_asked_for_again() {
    let mut world = World::new(promoted);
    world.evidence = found(&document("staging", "content"));
    let cleanup = Task::Section(crate::plan::Section::CleanUp);
    world.failures = vec![(cleanup, Cause::Unreachable, false)];
    world.run_to(cleanup);
    world.evidence.clear();
    assert_eq!(world.run(&[]), Reason::Complete);
    assert_eq!(world.status().gates[0].evidence.len(), 1, "what opened the gate stays written down");
}

#[test]
fn a_rollout_shows_what_it_did() {
    let mut world = World::new(|manifest| manifest["spec"]["promotion"] = json!({"environment": "staging"}));
    world.quarantined = QuarantineCounts { orphans: 3, ..QuarantineCounts::default() };
    assert_eq!(world.run(&[]), Reason::Complete);
    assert_eq!(world.written.len(), 1);
    let (document, status) = (&world.written[0], world.status());
    assert_eq!((document.environment.as_str(), document.result.as_str()), ("staging", "Complete"));
    assert_eq!((document.content_digest.as_str(), document.plan_digest.as_str()), ("content", DIGEST));
    assert_eq!((document.migration.name.as_str(), document.migration.uid.as_str()), ("m", "u"));
    assert_eq!(document.versions.kubernetes.as_deref(), Some("v1.36.3"));
    assert_eq!((document.found.orphans, document.quarantined.orphans), (3, 3));
    assert_eq!((document.tests.probes, document.tests.jobs), (1, 1));
    assert_eq!(document.started_at, status.started_at.unwrap().0);
    let named: Vec<&str> = document.phases.iter().map(|phase| phase.name.as_str()).collect();
    assert!(named.contains(&"CleanUp") && named.last() == Some(&"Prove"), "{named:?}");
    assert_eq!(status.evidence.unwrap().config_map, "evidence");
    assert!(status.message.unwrap().ends_with("; the evidence is in the ConfigMap evidence, unsigned"));
}

#[test]
fn without_promotion_no_evidence_is_written_and_neither_is_it_of_a_plan_alone() {
    let mut world = World::new(|_| {});
    assert_eq!(world.run(&[]), Reason::Complete);
    assert!(world.written.is_empty() && world.status().evidence.is_none());
    let mut world = World::new(|manifest| {
        manifest["spec"]["mode"] = json!("Plan");
        manifest["spec"]["promotion"] = json!({"environment": "staging"});
    });
    assert_eq!(world.run(&[]), Reason::PlanOnly);
    assert!(world.written.is_empty());
}

#[test]
fn an_end_that_cannot_be_shown_waits_without_a_limit_and_takes_nothing_back() {
    let mut world = World::new(|manifest| manifest["spec"]["promotion"] = json!({"environment": "staging"}));
    world.unwritable = Some("the Secret shop/key does not exist");
    assert_eq!(world.settle(), Reason::EvidenceNotWritten);
    world.now = world.now.checked_add(SignedDuration::from_hours(100)).unwrap();
    assert_eq!(world.settle(), Reason::EvidenceNotWritten);
    let message = find(&world.status().conditions, ConditionType::Ready).unwrap().message.clone();
    assert!(message.contains("cannot be written: the Secret shop/key does not exist"), "{message}");
    assert_eq!((world.times(Task::Prove), world.times(Task::Undo)), (1, 0), "not proven again and again");
    // A restart forgets the proof.
    world.restart();
    assert_eq!(world.settle(), Reason::EvidenceNotWritten);
    world.unwritable = None;
    assert_eq!(world.run(&[]), Reason::Complete);
}

#[test]
fn evidence_that_a_dying_process_wrote_is_the_one_that_counts() {
    let mut world = World::new(|manifest| manifest["spec"]["promotion"] = json!({"environment": "staging"}));
    while world.written.is_empty() {
        world.pass();
    }
    world.restart();
    assert_eq!(world.run(&[]), Reason::Complete);
    assert_eq!(world.written.len(), 1);
    assert_eq!(world.times(Task::Prove), 2);
}

#[test]
fn a_person_may_still_take_back_what_waits_for_its_evidence() {
    let mut world = World::new(|manifest| manifest["spec"]["promotion"] = json!({"environment": "staging"}));
    world.unwritable = Some("the Secret shop/key does not exist");
    world.settle();
    world.ask(SteeringAction::Rollback, "1");
    assert_eq!(world.run(&[]), Reason::RollbackSucceeded);
}

#[test]
fn the_plan_says_that_evidence_will_be_unsigned() {
    let planned = |signing: Value| {
        let mut world = World::new(|manifest| {
            manifest["spec"]["promotion"] = json!({"environment": "staging", "signingKeySecretRef": signing});
        });
        world.run(&[]);
        find(&world.status().conditions, ConditionType::Planned).unwrap().message.clone()
    };
    assert!(planned(Value::Null).contains("the evidence will be unsigned"));
    assert!(!planned(json!({"name": "key", "key": "private.pem"})).contains("unsigned"));
}
