//! What the status says about the soak: what the application did before the first change, what is watched since the last one, and
//! the counters from which the next sample is reckoned, so that a restart of the operator loses nothing.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::names::names;

/// The watch over the application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SoakStatus {
    /// What was measured before the first change. Left out: nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<SoakBaseline>,
    /// When the first sample was taken. Left out until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When the last sample will be taken: `startedAt` and `spec.soak.duration`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// When the newest sample was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampled_at: Option<Time>,
    /// Samples so far.
    #[serde(default)]
    pub samples: i32,
    /// How long the server had been up at the newest sample: less than that and the time since at the next one means that its counters
    /// began anew.
    #[serde(default)]
    pub uptime_seconds: i64,
    /// How often the server's counters began anew meanwhile.
    #[serde(default)]
    pub resets: i32,
    /// What is watched, each with its own figures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub watches: Vec<SoakWatch>,
}

names! {
    /// What is held against a threshold.
    #[derive(Serialize, Deserialize, JsonSchema)]
    Watched {
        /// Errors 1216, 1217, 1451 and 1452.
        ForeignKeyErrors,
        /// Errors 1205 and 1213.
        LockErrors,
        /// What SELECT takes.
        ReadLatency,
        /// What INSERT, UPDATE and REPLACE take.
        WriteLatency,
        /// What DELETE takes.
        DeleteLatency,
        /// Lines of the application's log.
        LogMatches,
    }
}

names! {
    /// Kinds of statements whose latency is measured.
    #[derive(Serialize, Deserialize, JsonSchema)]
    StatementKind {
        /// SELECT.
        Read,
        /// INSERT, UPDATE and REPLACE.
        Write,
        /// DELETE.
        Delete,
    }
}

/// One thing that is watched. The counters are those of the server where the interval that is open began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SoakWatch {
    /// What.
    pub name: Watched,
    /// When the interval that is open began. Of the log: until when it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Errors or statements until then. Of the log: matching lines since the soak began.
    #[serde(default)]
    pub count: i64,
    /// Microseconds that those statements took.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub microseconds: i64,
    /// Microseconds that they would have taken at their average before the first change.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub expected_microseconds: i64,
    /// Intervals that were judged.
    #[serde(default)]
    pub judged: i32,
    /// The last of these, in a row, that were beyond the threshold.
    #[serde(default)]
    pub beyond: i32,
    /// Looks of which a part could not be read, and was not read again.
    #[serde(default, skip_serializing_if = "is_none_of_them")]
    pub gaps: i32,
    /// What the last judgement showed, beside what is allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<String>,
    /// What of it was not watched, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_watched: Option<String>,
}

impl SoakWatch {
    /// Nothing watched yet.
    #[must_use]
    pub fn new(name: Watched) -> Self {
        Self {
            name,
            since: None,
            count: 0,
            microseconds: 0,
            expected_microseconds: 0,
            judged: 0,
            beyond: 0,
            gaps: 0,
            measured: None,
            not_watched: None,
        }
    }
}

/// What the application did before the first change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SoakBaseline {
    /// When the measurement began, with the plan.
    pub from: Time,
    /// When it ended, just before the first change. Left out while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// How long the server had been up when it began.
    #[serde(default)]
    pub uptime_seconds: i64,
    /// Errors 1205 and 1213 in that time; while it goes on, the server's counter at its beginning. Left out: it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_errors: Option<i64>,
    /// The statements on the plan's tables that were executed most, at most eight of each kind, with what they took in that time (or
    /// since the server remembers them, where that were too few); while it goes on, the server's counters at its beginning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub statements: Vec<StatementBaseline>,
    /// What could not be measured, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub not_measured: Vec<String>,
}

/// A statement of the application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatementBaseline {
    /// What it does.
    pub kind: StatementKind,
    /// SCHEMA_NAME in performance_schema.events_statements_summary_by_digest.
    pub schema: String,
    /// The first 16 digits of its DIGEST there.
    pub digest: String,
    /// How often it was executed.
    pub count: i64,
    /// Microseconds that this took in all.
    pub microseconds: i64,
}

fn is_none_of_them(number: &i32) -> bool {
    *number == 0
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}
