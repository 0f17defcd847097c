//! What is new in a migration's status since it was last looked at, as lines for a log: for a pipe, where nothing can be redrawn.

use super::standing::{self, has_ended};
use crate::api::SchemaMigration;
use crate::api::conditions::{ConditionStatus, find, is_true};
use crate::api::status::{Phase, SchemaMigrationStatus};

/// Something new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A phase began.
    Began(String),
    /// A phase ended, or the whole.
    Ended(String),
    /// It waits, for what and with which command to go on.
    Waits(String),
    /// What is done just now; the next of its kind replaces it.
    Passing(String),
}

impl News {
    /// The line.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Began(text) | Self::Ended(text) | Self::Waits(text) | Self::Passing(text) => text,
        }
    }
}

/// Remembers what was told.
#[derive(Debug, Default)]
pub struct Chronicle {
    phases: Vec<(Phase, bool)>,
    activity: String,
    waits: String,
    ended: bool,
}

impl Chronicle {
    /// What is new.
    pub fn news(&mut self, migration: &SchemaMigration) -> Vec<News> {
        let status = standing::status(migration);
        let mut news = Vec::new();
        for phase in &status.phases {
            let (name, finished) = (phase.name, phase.finished.is_some());
            let place = self.phases.iter().position(|(known, _)| *known == name);
            match place {
                None => {
                    self.phases.push((name, finished));
                    news.push(if finished { ended(&status, name) } else { News::Began(format!("▸ {name}")) });
                }
                Some(place) if finished && !self.phases[place].1 => {
                    self.phases[place].1 = true;
                    news.push(ended(&status, name));
                }
                // A phase may be done again.
                Some(place) if !finished && self.phases[place].1 => {
                    self.phases[place].1 = false;
                    news.push(News::Began(format!("▸ {name} again")));
                }
                Some(_) => {}
            }
        }
        let now = standing::standing(migration);
        if has_ended(&status) {
            if !std::mem::replace(&mut self.ended, true) {
                let mark =
                    if is_true(&status.conditions, crate::api::ConditionType::Succeeded) { "✓" } else { "✗" };
                news.push(News::Ended(format!("{mark} {}: {}", now.word, now.now)));
            }
            return news;
        }
        self.ended = false;
        let next = now.next.first().map(|command| format!("; {command}")).unwrap_or_default();
        let waits = now.waits_for.map(|who| format!("‖ waits for {who}: {}{next}", now.now)).unwrap_or_default();
        if waits != self.waits && !waits.is_empty() {
            news.push(News::Waits(waits.clone()));
        }
        self.waits = waits;
        if let Some(activity) = activity(&status).filter(|activity| *activity != self.activity && self.waits.is_empty())
        {
            news.push(News::Passing(activity.clone()));
            self.activity = activity;
        }
        news
    }
}

fn ended(status: &SchemaMigrationStatus, phase: Phase) -> News {
    let condition = phase.condition().and_then(|condition| find(&status.conditions, condition));
    let failed = condition.is_some_and(|condition| condition.status == ConditionStatus::False.as_str());
    let message = condition.map(|condition| format!(": {}", condition.message)).unwrap_or_default();
    News::Ended(format!("{} {phase}{message}", if failed { "✗" } else { "✓" }))
}

fn activity(status: &SchemaMigrationStatus) -> Option<String> {
    let current = status.current.as_ref().or(status.message.as_ref()).filter(|current| !current.is_empty())?;
    let steps = status.steps.as_ref().map(|steps| steps.progress.as_str()).unwrap_or_default();
    Some(format!("{steps:>7}  {current}").trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::json;

    use super::*;
    use crate::cli::example::{migration, waiting};

    #[test]
    fn each_thing_is_told_once_and_in_order() {
        let mut chronicle = Chronicle::default();
        let first = chronicle.news(&migration(json!({
            "observedGeneration": 1, "phase": "Plan", "message": "computing the plan",
            "conditions": [{"type": "Ready", "status": "Unknown", "reason": "Progressing", "message": "computing the plan", "lastTransitionTime": "2026-11-24T10:00:00Z"},
                {"type": "PreflightPassed", "status": "True", "reason": "Succeeded", "message": "MySQL 9.7.0", "lastTransitionTime": "2026-11-24T10:00:00Z"}],
            "phases": [{"name": "Preflight", "started": "2026-11-24T10:00:00Z", "finished": "2026-11-24T10:00:01Z"},
                {"name": "Plan", "started": "2026-11-24T10:00:01Z"}],
        })));
        let text: Vec<_> = first.iter().map(News::text).collect();
        assert_eq!(text, ["✓ Preflight: MySQL 9.7.0", "▸ Plan", "         computing the plan"]);
        assert_eq!(first[2], News::Passing("         computing the plan".to_owned()));
        let next = chronicle.news(&waiting());
        let text: Vec<_> = next.iter().map(News::text).collect();
        assert!(text[0].starts_with("✓ Plan: 8 operations"), "{text:?}");
        assert!(text.last().unwrap().starts_with("‖ waits for a person who may approve: #db-oncall: an approval is needed before CleanUp and before Copy; "), "{text:?}");
        assert!(
            text.last()
                .unwrap()
                .ends_with("; kubectl holdfast approve referential-integrity --namespace shop --before CleanUp")
        );
        assert_eq!(chronicle.news(&waiting()), []);
    }
}
