//! The application's side of a migration: its schema update, its tests and the watch over it afterwards.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Duration, reference::LocalReference};

/// Jobs that bring the application's own schema file up to date, and back. Columns that type fixes fill are filled once more after the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SchemaUpdate {
    /// PodTemplate (core/v1) of this namespace that is run as a Job after the last stage.
    pub pod_template_ref: LocalReference,
    /// PodTemplate that is run when the migration is undone after the update. Left out: the application's schema file is not put back, which the message of the rollback says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_pod_template_ref: Option<LocalReference>,
}

/// How the result is tested before the migration is complete.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tests {
    /// Derived (default): the delete action of every key is exercised on synthetic rows in a transaction that is rolled back. None: no probes.
    #[serde(default)]
    pub probes: Probes,
    /// Statements of your own, each scenario in a transaction that is rolled back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub scenarios: Vec<Scenario>,
    /// The application's tests, as Jobs that run one after the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub jobs: Vec<TestJob>,
}

/// Where the probes come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Probes {
    /// From the catalogue: one for every key of the spec.
    #[default]
    Derived,
    /// No probes.
    None,
}

/// DML statements that are run in order in one transaction that is rolled back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scenario {
    /// What the scenario shows, in words; unique among the scenarios.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// The statements.
    #[schemars(length(min = 1, max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub steps: Vec<ScenarioStep>,
}

/// One statement of a scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScenarioStep {
    /// One INSERT, UPDATE, DELETE, REPLACE or SELECT on InnoDB tables.
    #[schemars(length(min = 1, max = 8192))]
    pub sql: String,
    /// The error that the statement must meet. Left out: it must succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_error: Option<ExpectedError>,
}

/// Errors that a scenario may expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ExpectedError {
    /// A foreign key refuses the statement (1451, 1452).
    ForeignKeyViolation,
    /// A unique constraint refuses it (1062).
    UniqueViolation,
    /// A NOT NULL column refuses it (1048).
    NotNullViolation,
    /// A CHECK constraint refuses it (3819).
    CheckViolation,
}

/// A Job of the application's tests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TestJob {
    /// Name, unique among the test Jobs.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// PodTemplate (core/v1) of this namespace that is run.
    pub pod_template_ref: LocalReference,
}

/// A watch over the application on the database after the last change. What is measured before the first change is what it is held against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Soak {
    /// How long the application is watched, from the first sample on; time in which the migration is suspended is part of it.
    #[schemars(extend("x-kubernetes-validations" = [{"rule": "!self.matches('^([0-9]{1,9}(ms|s|m|h)){1,4}$') || duration(self) >= duration('10s') && duration(self) <= duration('168h')", "message": "must be between 10s and 168h"}]))]
    pub duration: Duration,
    /// Most errors of foreign keys (1216, 1217, 1451, 1452) that all accounts but the migration's own may meet in a minute, in the whole server. Lock wait timeouts and deadlocks (1205, 1213) may be so many more in a minute than before the first change. Default 5.
    #[serde(default = "default_max_foreign_key_errors")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_foreign_key_errors_per_minute: i32,
    /// How much slower statements on the plan's tables may be, on the average, than the same statements were before the first change. A quarter of what they took then, and half a millisecond at least, is allowed beside it: two readings of the same load differ by as much.
    #[serde(default)]
    pub max_added_latency: AddedLatency,
    /// What the application's log may say. Left out: logs are not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<SoakLogs>,
}

/// How much slower statements may become.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AddedLatency {
    /// SELECT. Default 0ms: not measurably slower.
    pub read: Duration,
    /// INSERT, UPDATE and REPLACE. Default 5ms.
    pub write: Duration,
    /// DELETE. Default 10ms.
    pub delete: Duration,
}

impl Default for AddedLatency {
    fn default() -> Self {
        Self { read: Duration::from_millis(0), write: Duration::from_millis(5), delete: Duration::from_millis(10) }
    }
}

/// Which log lines count as trouble.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SoakLogs {
    /// Labels of the application's pods, which are looked for in the migration's namespace.
    #[schemars(extend(
        "minProperties" = 1,
        "maxProperties" = 16,
        "additionalProperties" = {"type": "string", "maxLength": 63}
    ))]
    pub selector: BTreeMap<String, String>,
    /// Regular expression that a line of trouble matches somewhere, in the syntax of the Rust crate regex (without backreferences and look-around). No line is ever shown.
    #[schemars(length(min = 1, max = 512))]
    pub pattern: String,
    /// Most lines that may match in the whole soak. Default 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_matches: i32,
}

/// Memory that a pattern may take once it is compiled, in bytes.
const MOST_OF_A_PATTERN: usize = 1 << 20;

impl SoakLogs {
    /// The pattern, ready to use. Matching takes time in proportion to the line, whatever the pattern is.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn regex(&self) -> Result<regex::bytes::Regex, String> {
        let compiled = regex::bytes::RegexBuilder::new(&self.pattern).size_limit(MOST_OF_A_PATTERN).build();
        compiled.map_err(|error| error.to_string().lines().last().unwrap_or_default().trim().to_owned())
    }
}

fn default_max_foreign_key_errors() -> i32 {
    5
}
