//! Good evidence counts, and every way to cheat is refused by its name.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::super::key::{PrivateKey, PublicKey};
use super::super::signed::Signed;
use super::*;

const DIGEST: &str = "sha256:content";

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_seed(&[seed; 32])
}

fn document() -> Value {
    json!({
        "type": "holdfast.dev/evidence", "format": 1, "result": "Complete", "environment": "staging",
        "contentDigest": DIGEST, "planDigest": "sha256:plan", "serverUuid": "s",
        "migration": {"namespace": "shop", "name": "m", "uid": "u"},
        "versions": {"holdfast": "0.1.0", "server": "9.7.4", "kubernetes": "v1.36.3"},
        "startedAt": "2026-11-24T10:00:00Z", "finishedAt": "2026-11-24T11:00:00Z",
        "phases": [{"name": "CleanUp", "seconds": 12}],
        "found": {"orphans": 3, "duplicates": 0},
        "quarantined": {"orphans": 3, "duplicates": 0, "cascaded": 0, "values": 0},
        "proof": {"provenAt": "2026-11-24 11:00:00.000", "foreignKeys": 1, "uniqueConstraints": 0, "expectations": 0, "replicas": 0,
            "sessionsWithoutChecks": 0, "checksOffGlobally": false,
            "keys": [{"table": "shop.bookmarks", "name": "fk", "orphans": 0, "milliseconds": 7}]},
        "tests": {"probes": 1, "unprobed": 0, "scenarios": 0, "jobs": 1},
    })
}

fn text(document: Value, key: Option<&PrivateKey>) -> String {
    Signed::new(&serde_json::from_value(document).unwrap(), key).unwrap().text().unwrap()
}

/// What a gate asks for, on an hour after the end.
fn judge(text: &str, key: &PublicKey) -> Result<(), Refusal> {
    let max_age: Duration = "2h".parse().unwrap();
    let wanted = Wanted { environment: Some("staging"), content_digest: Some(DIGEST), max_age: Some(&max_age) };
    wanted.check(&Signed::read(text)?.verified(key)?, "2026-11-24T12:00:00Z".parse().unwrap())
}

/// Signed evidence with one member of its document changed before the signature, or of the whole after it.
fn honest(change: impl FnOnce(&mut Value)) -> String {
    let mut document = document();
    change(&mut document);
    text(document, Some(&key(1)))
}

fn tampered(change: impl FnOnce(&mut Value)) -> String {
    let mut whole: Value = serde_json::from_str(&honest(|_| {})).unwrap();
    change(&mut whole);
    whole.to_string()
}

#[test]
fn good_evidence_counts_however_it_is_laid_out() {
    let good = honest(|_| {});
    assert_eq!(judge(&good, &key(1).public()), Ok(()));
    let value: Value = serde_json::from_str(&good).unwrap();
    assert_eq!(judge(&value.to_string(), &key(1).public()), Ok(()));
    assert_eq!(judge(&format!("\n\n{}  \n", good.replace('\n', "\r\n\t")), &key(1).public()), Ok(()));
    let read = Signed::read(&good).unwrap();
    assert_eq!(read.digest(), Signed::read(&value.to_string()).unwrap().digest());
    assert_eq!(read.signed_by(), Some(key(1).public().id().as_str()));
}

#[test]
fn what_a_later_version_adds_to_the_document_is_signed_and_passed_over() {
    let mut document = document();
    document["more"] = json!("of later versions");
    let canonical = crate::api::digest::canonical_json(&document);
    let signature =
        json!({"algorithm": "Ed25519", "publicKey": key(1).public().id(), "value": key(1).sign(&canonical)});
    let whole = json!({"document": document, "signature": signature});
    assert_eq!(judge(&whole.to_string(), &key(1).public()), Ok(()));
    let mut edited = whole;
    edited["document"]["more"] = json!("of somebody");
    assert_eq!(judge(&edited.to_string(), &key(1).public()), Err(Refusal::Edited));
}

#[test]
fn every_member_of_the_document_is_under_the_signature() {
    fn edits(value: &Value, path: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(name, value)| edits(value, &format!("{path}/{name}"), found)),
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(at, value)| edits(value, &format!("{path}/{at}"), found))
            }
            _ => found.push(path.to_owned()),
        }
    }
    let mut paths = Vec::new();
    edits(&document(), "", &mut paths);
    assert!(paths.len() > 30, "{paths:?}");
    for path in paths.iter().filter(|path| !["/type", "/format"].contains(&path.as_str())) {
        let edited = tampered(|whole| {
            let value = whole["document"].pointer_mut(path).unwrap();
            *value = match value {
                Value::Number(number) => json!(number.as_i64().unwrap() + 1),
                Value::Bool(value) => json!(!*value),
                _ => json!("2026-11-24T11:30:00Z"),
            };
        });
        assert_eq!(judge(&edited, &key(1).public()), Err(Refusal::Edited), "{path}");
    }
}

/// A text, the key that is asked for, and what the refusal must name.
type Cheat = (&'static str, String, u8, &'static str);

#[test]
fn every_way_to_cheat_is_refused_by_its_name() {
    let other_id = key(2).public().id();
    let cheats: [Cheat; 19] = [
        ("empty", String::new(), 1, "it is malformed"),
        ("no JSON", "evidence: good".to_owned(), 1, "it is malformed"),
        ("the document alone", document().to_string(), 1, "it is malformed"),
        ("cut off", honest(|_| {})[..400].to_owned(), 1, "it is malformed"),
        ("another type", tampered(|whole| whole["document"]["type"] = json!("invoice")), 1, "type \"invoice\""),
        (
            "a member missing",
            tampered(|whole| drop(whole["document"].as_object_mut().unwrap().remove("format"))),
            1,
            "format null",
        ),
        (
            "another format",
            tampered(|whole| whole["document"]["format"] = json!(2)),
            1,
            "the format 2, and this version knows 1",
        ),
        ("unsigned", text(document(), None), 1, "it is unsigned"),
        (
            "signature taken off",
            tampered(|whole| drop(whole.as_object_mut().unwrap().remove("signature"))),
            1,
            "it is unsigned",
        ),
        ("signature emptied", tampered(|whole| whole["signature"]["value"] = json!("")), 1, "it was edited"),
        (
            "another algorithm",
            tampered(|whole| whole["signature"]["algorithm"] = json!("none")),
            1,
            "the algorithm \"none\"",
        ),
        ("edited", tampered(|whole| whole["document"]["contentDigest"] = json!("sha256:other")), 1, "it was edited"),
        ("signed by somebody else", text(document(), Some(&key(2))), 1, "it is signed with another key"),
        (
            "signed by somebody else, and says otherwise",
            {
                let mut whole: Value = serde_json::from_str(&text(document(), Some(&key(2)))).unwrap();
                whole["signature"]["publicKey"] = json!(key(1).public().id());
                whole.to_string()
            },
            1,
            "it was edited after it was signed, or its signature was",
        ),
        (
            "of another environment",
            honest(|it| it["environment"] = json!("dev")),
            1,
            "from the environment \"dev\", not \"staging\"",
        ),
        (
            "of other content",
            honest(|it| it["contentDigest"] = json!("sha256:other")),
            1,
            "of other content (sha256:other; this is sha256:content)",
        ),
        (
            "of a migration that failed",
            honest(|it| it["result"] = json!("RolledBack")),
            1,
            "its result is \"RolledBack\"",
        ),
        ("too old", honest(|it| it["finishedAt"] = json!("2026-11-24T09:59:59Z")), 1, "older than maxAge 2h"),
        (
            "of the future",
            honest(|it| it["finishedAt"] = json!("2026-11-24T12:01:01Z")),
            1,
            "from the future (2026-11-24T12:01:01Z)",
        ),
    ];
    for (name, text, wanted, expected) in cheats {
        let refusal = judge(&text, &key(wanted).public()).err().unwrap_or_else(|| panic!("{name} counts"));
        assert!(refusal.to_string().contains(expected), "{name}: {refusal}");
    }
    let refusal = judge(&text(document(), Some(&key(2))), &key(1).public()).unwrap_err();
    assert_eq!(refusal, Refusal::AnotherKey { signed_by: other_id, wanted: key(1).public().id() });
}

#[test]
fn clocks_may_differ_by_a_minute_and_without_a_greatest_age_any_counts() {
    let good = honest(|it| it["finishedAt"] = json!("2026-11-24T12:01:00Z"));
    assert_eq!(judge(&good, &key(1).public()), Ok(()));
    let old = Signed::read(&honest(|it| it["finishedAt"] = json!("2020-01-01T00:00:00Z"))).unwrap();
    let document = old.verified(&key(1).public()).unwrap();
    let now = "2026-11-24T12:00:00Z".parse().unwrap();
    assert_eq!(Wanted::default().check(&document, now), Ok(()));
}
