//! One case: a migration of a schema, what is known of the schema before, and the checks that every end must pass.

use std::time::Duration;

use serde_json::Value;

use super::harness::Outcome;
use super::harness::database::{Database, Snapshot};
use super::harness::migration::{Migration, condition, status_of, summary};
use super::harness::wait;
use super::secrecy;
use super::surroundings::{self, surroundings};

/// Longest time that a case may take to its end, the waits that the operator promises included.
pub(crate) const END: Duration = Duration::from_secs(240);
/// Longest time to the next thing that happens.
pub(crate) const SOON: Duration = Duration::from_secs(180);

/// A migration and the schema that it is for.
pub(crate) struct Rollout {
    pub(crate) database: Database,
    pub(crate) migration: Migration,
    pub(crate) before: Snapshot,
}

impl Rollout {
    /// On a schema of its own with the library's tables.
    pub(crate) fn on_own_schema(name: &str) -> Outcome<Self> {
        Self::on_schema_of(name, super::library::TABLES)
    }

    /// On a schema of its own with other tables.
    pub(crate) fn on_schema_of(name: &str, tables: &str) -> Outcome<Self> {
        let kubectl = &surroundings().shop.kubectl;
        let database = surroundings::schema(kubectl, &format!("case_{}", name.replace('-', "_")), tables)?;
        let before = database.snapshot()?;
        Ok(Self { database, migration: Migration::new(kubectl, name), before })
    }

    /// On the schema that stays as it is.
    pub(crate) fn without_changes(name: &str) -> Self {
        let (database, before) = surroundings().unchanged.clone();
        Self { migration: Migration::new(&database.kubectl, name), database, before }
    }

    /// The library's migration of this schema.
    pub(crate) fn manifest(&self) -> Value {
        super::library::migration(&self.migration.name, &self.database.name)
    }

    /// Applies a manifest, as `kubectl apply` does.
    pub(crate) fn apply(&self, manifest: &Value) -> Outcome<()> {
        self.migration.kubectl.apply(&manifest.to_string())?;
        Ok(())
    }

    /// Waits with kubectl until one of the conditions is True, and returns the object.
    pub(crate) fn wait_for(&self, condition_type: &str, limit: Duration) -> Outcome<Value> {
        self.kubectl_wait(&format!("condition={condition_type}"), limit)
    }

    /// Waits with kubectl until a condition has a reason, and returns the object.
    pub(crate) fn wait_for_reason(&self, condition_type: &str, reason: &str, limit: Duration) -> Outcome<Value> {
        self.kubectl_wait(
            &format!("jsonpath={{.status.conditions[?(@.type==\"{condition_type}\")].reason}}={reason}"),
            limit,
        )
    }

    /// Waits with kubectl until a field of the status is there, and returns the object.
    pub(crate) fn wait_for_field(&self, path: &str, limit: Duration) -> Outcome<Value> {
        self.kubectl_wait(&format!("jsonpath={{.status.{path}}}"), limit)
    }

    fn kubectl_wait(&self, what: &str, limit: Duration) -> Outcome<Value> {
        let name = format!("smig/{}", self.migration.name);
        let arguments = ["wait", &format!("--for={what}"), &name, &format!("--timeout={}s", limit.as_secs())];
        self.migration.kubectl.run(&arguments).map_err(|error| match self.migration.read() {
            Ok(object) => format!("{error}; {}", summary(&object)),
            Err(read) => format!("{error}; {read}"),
        })?;
        self.migration.read()
    }

    /// Waits until the message of a condition says something.
    pub(crate) fn wait_for_message(&self, condition_type: &str, text: &str) -> Outcome<Value> {
        wait::until(&format!("{condition_type} of {} to say {text:?}", self.migration.name), SOON, || {
            let object = self.migration.read()?;
            if status_of(&object, "Finished") == Some("True") {
                return Err(format!(
                    "{} ended before {condition_type} said {text:?}: {}",
                    self.migration.name,
                    summary(&object)
                ));
            }
            if message(&object, condition_type).contains(text) { Ok(Ok(object)) } else { Ok(Err(summary(&object))) }
        })
    }

    /// Asks for something with the annotation that the message of the end names.
    pub(crate) fn retry(&self) -> Outcome<()> {
        let token = "holdfast.dev/retry-at=now";
        self.migration.kubectl.run(&["annotate", "--overwrite", "smig", &self.migration.name, token])?;
        Ok(())
    }

    /// The reasons of the migration's events, each with its note.
    pub(crate) fn events(&self) -> Outcome<Vec<(String, String)>> {
        let selector = format!("involvedObject.kind=SchemaMigration,involvedObject.name={}", self.migration.name);
        let text = self.migration.kubectl.run(&["get", "events", "--field-selector", &selector, "--output", "json"])?;
        let list: Value = serde_json::from_str(&text).map_err(|error| format!("reading events: {error}"))?;
        let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
        let events = list["items"].as_array().into_iter().flatten();
        Ok(events.map(|event| (text(event, "reason"), text(event, "message"))).collect())
    }

    /// Waits for an event: they are published after the status was written.
    pub(crate) fn expect_event(&self, reason: &str, text: &str) -> Outcome<()> {
        wait::until(&format!("an event {reason} that says {text:?}"), SOON, || {
            let events = self.events()?;
            let told = events.iter().any(|(each, note)| each == reason && note.contains(text));
            if told { Ok(Ok(())) } else { Ok(Err(format!("{events:?}"))) }
        })
    }

    /// Checks an end before the first change: the reason, the phase's condition, what the message names, and that nothing happened.
    pub(crate) fn expect_failed(&self, object: &Value, phase: &str, reason: &str, texts: &[&str]) -> Outcome<()> {
        for (condition_type, status) in
            [("Finished", "True"), ("Succeeded", "False"), ("Ready", "False"), ("Stalled", "True"), (phase, "False")]
        {
            self.expect_condition(object, condition_type, status, reason);
        }
        assert_eq!(condition(object, "Reconciling"), None, "{}", summary(object));
        assert_eq!(object["status"]["startedAt"], Value::Null, "{}", summary(object));
        let told = message(object, "Finished");
        for text in texts.iter().chain(&["Nothing was changed"]) {
            assert!(told.contains(text), "the message does not say {text:?}: {told}");
        }
        self.expect_event("PhaseFailed", reason)?;
        self.expect_unchanged()?;
        secrecy::check(&self.migration.kubectl)
    }

    /// Checks a condition's status and reason.
    pub(crate) fn expect_condition(&self, object: &Value, condition_type: &str, status: &str, reason: &str) {
        let found = condition(object, condition_type).cloned().unwrap_or_default();
        assert_eq!(
            (found["status"].as_str(), found["reason"].as_str()),
            (Some(status), Some(reason)),
            "{condition_type}: {found}"
        );
        assert_eq!(found["observedGeneration"], object["metadata"]["generation"], "{condition_type}: {found}");
    }

    /// Checks that definitions and rows of every table are as they were.
    pub(crate) fn expect_unchanged(&self) -> Outcome<()> {
        let differences = self.before.differences(&self.database.snapshot()?);
        assert_eq!(differences, Vec::<String>::new(), "{} is not as it was", self.database.name);
        Ok(())
    }
}

/// The message of a condition.
pub(crate) fn message<'a>(object: &'a Value, condition_type: &str) -> &'a str {
    condition(object, condition_type).and_then(|found| found["message"].as_str()).unwrap_or_default()
}
