//! `holdfast wait`: what an application's init container runs, so that the application starts when its migration has come far enough.

use std::fmt;
use std::str::FromStr;

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::runtime::{WatchStreamExt as _, watcher};

use crate::api::conditions::{find, is_true};
use crate::api::{ConditionType, Reason, SchemaMigration};

use super::connection::Connection;
use super::failure::Failure;
use super::status::watch_failure;
use super::terminal::print;

/// The list of exit codes, for `--help`.
const EXIT_CODES: &str = "Exit codes:
  0  it holds
  1  the migration ended otherwise, or was denied
  2  the command line cannot be carried out as it is written
  3  it could not be asked: no API server, no right, no definitions of the resources
  4  it did not hold before the deadline";

/// Arguments of `wait`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(flatten)]
    connection: Connection,
    /// Name of the SchemaMigration; it may be created later.
    name: String,
    /// What is waited for: Complete, or the type of a condition, such as ForeignKeysAdded or Finished (however it ended).
    #[arg(long = "for", value_name = "WHAT")]
    goal: Goal,
    /// Longest time to wait.
    #[arg(long, default_value = "1h")]
    timeout: crate::api::Duration,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Everything is done and proven.
    Complete,
    /// This condition is True.
    Condition(ConditionType),
}

impl FromStr for Goal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "Complete" {
            return Ok(Self::Complete);
        }
        ConditionType::from_name(text).map(Self::Condition).ok_or_else(|| {
            let names: Vec<_> = ConditionType::ALL.iter().map(|each| each.as_str()).collect();
            format!("{text:?} is neither Complete nor the type of a condition: use one of {}", names.join(", "))
        })
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => f.write_str("Complete"),
            Self::Condition(kind) => kind.fmt(f),
        }
    }
}

/// How a migration stands to what is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It holds.
    Holds,
    /// It will not, unless a person begins the migration again; why.
    Ended(String),
    /// It may come; what is done or waited for meanwhile.
    NotYet(String),
}

/// Looks at a migration.
#[must_use]
pub fn standing(migration: &SchemaMigration, goal: Goal) -> Standing {
    let generation = migration.metadata.generation.unwrap_or(0);
    let status = match &migration.status {
        Some(status) if status.observed_generation == generation => status,
        // Its conditions speak of another specification.
        _ => return Standing::NotYet("the operator has not seen this version of it yet".to_owned()),
    };
    let reason_of = |kind| find(&status.conditions, kind).map(|found| found.reason.as_str());
    let holds = match goal {
        Goal::Complete => {
            is_true(&status.conditions, ConditionType::Succeeded)
                && reason_of(ConditionType::Succeeded) == Some(Reason::Complete.as_str())
        }
        Goal::Condition(kind) => is_true(&status.conditions, kind),
    };
    let message = status.message.clone().unwrap_or_default();
    if holds {
        return Standing::Holds;
    }
    if is_true(&status.conditions, ConditionType::Finished) {
        let reason = reason_of(ConditionType::Finished).unwrap_or_default();
        return Standing::Ended(format!("{reason}: {message}"));
    }
    let phase = status.phase.map(|phase| format!("{phase}: ")).unwrap_or_default();
    Standing::NotYet(format!("{phase}{message}"))
}

/// Waits.
///
/// # Errors
/// When it ended otherwise, could not be asked, or did not hold in time.
pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { connection, name, goal, timeout } = arguments;
    let limit = timeout.get();
    let mut last = "nothing was seen of it".to_owned();
    let waiting = tokio::time::timeout(limit, Box::pin(watch(connection, &name, goal, &mut last))).await;
    waiting.unwrap_or_else(|_| {
        Err(Failure::timeout(format!("{name} was not {goal} within {} s; seen last: {last}", limit.as_secs())))
    })
}

async fn watch(connection: Connection, name: &str, goal: Goal, last: &mut String) -> Result<(), Failure> {
    let cluster = connection.connect().await?;
    let stream = watcher::watch_object(cluster.api::<SchemaMigration>(), name).default_backoff();
    let mut stream = std::pin::pin!(stream);
    while let Some(seen) = stream.next().await {
        let now = match seen {
            Ok(Some(migration)) => match standing(&migration, goal) {
                Standing::Holds => {
                    return print(&format!("{} is {goal}\n", migration.name_any()));
                }
                Standing::Ended(why) => {
                    return Err(Failure::no(format!(
                        "{name} ended, and will not be {goal} unless it is begun again: {why}"
                    )));
                }
                Standing::NotYet(what) => what,
            },
            Ok(None) => format!("there is no SchemaMigration {name} in namespace {}", cluster.namespace),
            Err(error) => match watch_failure(name, &error) {
                (failure, true) => return Err(failure),
                (failure, false) => format!("{failure}; trying again"),
            },
        };
        // One line for each thing that is new: this is the log of an init container.
        if now != *last {
            print(&format!("{} waiting for {name} to be {goal}: {now}\n", Timestamp::now()))?;
            *last = now;
        }
    }
    Err(Failure::unavailable(format!("the watch of {name} ended: run the command again")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    fn migration(generation: i64, status: Value) -> SchemaMigration {
        let mut object = crate::cli::example::migration(Value::Null);
        object.metadata.generation = Some(generation);
        object.status = serde_json::from_value(status).unwrap();
        object
    }

    fn condition(kind: &str, status: &str, reason: &str) -> Value {
        json!({"type": kind, "status": status, "reason": reason, "message": "", "lastTransitionTime": "2026-11-24T10:00:00Z"})
    }

    #[test]
    fn only_what_is_said_of_this_specification_counts() {
        let complete = |observed: i64| {
            let conditions = [condition("Succeeded", "True", "Complete"), condition("Finished", "True", "Complete")];
            json!({"observedGeneration": observed, "conditions": conditions})
        };
        assert_eq!(standing(&migration(2, complete(2)), Goal::Complete), Standing::Holds);
        for other in [-1, 1] {
            assert!(matches!(standing(&migration(2, complete(other)), Goal::Complete), Standing::NotYet(_)));
        }
        assert!(matches!(standing(&migration(1, Value::Null), Goal::Complete), Standing::NotYet(_)));
    }

    #[test]
    fn an_end_of_another_kind_is_told_at_once() {
        let ended = |succeeded: &str, reason: &str| {
            let conditions = [condition("Succeeded", succeeded, reason), condition("Finished", "True", reason)];
            migration(1, json!({"observedGeneration": 1, "conditions": conditions, "message": "why"}))
        };
        for (succeeded, reason) in [("False", "RollbackSucceeded"), ("False", "Held"), ("True", "PlanOnly")] {
            let told = Standing::Ended(format!("{reason}: why"));
            assert_eq!(standing(&ended(succeeded, reason), Goal::Complete), told);
            assert_eq!(standing(&ended(succeeded, reason), Goal::Condition(ConditionType::TypesFixed)), told);
            assert_eq!(standing(&ended(succeeded, reason), Goal::Condition(ConditionType::Finished)), Standing::Holds);
        }
    }

    #[test]
    fn a_condition_on_the_way_is_enough_for_who_asks_for_it() {
        let conditions =
            [condition("ForeignKeysAdded", "True", "Succeeded"), condition("Finished", "False", "Progressing")];
        let working = migration(
            1,
            json!({"observedGeneration": 1, "phase": "Test", "message": "running probes", "conditions": conditions}),
        );
        assert_eq!(standing(&working, "ForeignKeysAdded".parse().unwrap()), Standing::Holds);
        let not_yet = Standing::NotYet("Test: running probes".to_owned());
        assert_eq!(standing(&working, Goal::Complete), not_yet);
        assert_eq!(standing(&working, "Tested".parse().unwrap()), not_yet);
        assert!("Done".parse::<Goal>().unwrap_err().contains("\"Done\" is neither"));
    }
}
