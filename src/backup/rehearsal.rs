//! The rehearsal in the Job that restores a backup: the plan, read from its mounted ConfigMaps and checked against its digest, is run on the
//! scratch server and taken back, and what is there afterwards is compared with the backup.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::manifest::Manifest;
use super::rehearsed::{End, Rehearsed, Slow, StepTook};
use super::restored::compare;
use super::scratch::{LEAST_BUFFER_POOL, Scratch};
use super::verify::contents;
use crate::mysql::checks::Checks;
use crate::mysql::rehearsal::{Play, Rehearsal as Record, Step, rehearse};
use crate::mysql::replicas::Replicas;
use crate::mysql::scratch_statements;
use crate::mysql::session::Engine;
use crate::mysql::{Cause, Progress, Settings, Stop, Target, TlsMode};
use crate::plan::{Plan, stored};

/// Operations whose duration is told.
const SLOWEST: usize = 5;
/// Between two looks at whether the server is still there.
const LOOK: Duration = Duration::from_millis(200);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What the operator gives the Job beside the plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Instructions {
    /// Digest of the plan.
    pub plan_digest: String,
    /// Longest time that the rehearsal may take.
    pub deadline: Duration,
    /// How hard the engine presses, as on the real server.
    pub settings: Settings,
    /// What the result is tested with.
    pub checks: Checks,
}

/// A plan that is to be rehearsed.
pub(super) struct Rehearsal {
    instructions: Instructions,
    plan: Plan,
}

impl Rehearsal {
    /// Reads the instructions, and the plan from the folders in which its ConfigMaps are mounted, in order.
    pub(super) fn read(instructions: &Path, plan: &[PathBuf]) -> Result<Self, String> {
        let text = fs::read_to_string(instructions)
            .map_err(|error| format!("reading the instructions {}: {error}", instructions.display()))?;
        let instructions: Instructions = serde_json::from_str(&text)
            .map_err(|error| format!("the instructions {} cannot be read: {error}", instructions.display()))?;
        let mut text = String::new();
        for folder in plan {
            let path = folder.join(stored::KEY);
            match fs::read_to_string(&path) {
                Ok(part) => text.push_str(&part),
                // Long renderings may fill a ConfigMap alone; a part that is missing leaves JSON that cannot be read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(format!("reading the plan {}: {error}", path.display())),
            }
        }
        let plan = stored::parse(&text, &instructions.plan_digest).map_err(|error| error.to_string())?;
        Ok(Self { instructions, plan })
    }

    /// What the server needs to be as the one that was planned for, and what the engine looks at; options that come last count.
    pub(super) fn server_options(&self, memory: Option<u64>) -> Vec<String> {
        let server = &self.plan.server;
        let native = if server.native_foreign_keys { "ON" } else { "OFF" };
        // The performance schema takes its part.
        let pool = memory.map(|limit| format!("--innodb-buffer-pool-size={}", (limit / 3).max(LEAST_BUFFER_POOL)));
        let options = [
            "--performance-schema=ON".to_owned(),
            format!("--lower-case-table-names={}", server.lower_case_table_names),
            // Not every version knows it.
            format!("--loose-innodb-native-foreign-keys={native}"),
        ];
        options.into_iter().chain(pool).collect()
    }

    /// One that has begun, and nothing is known of its end.
    pub(super) fn begun(&self) -> Rehearsed {
        Rehearsed::begun(&self.instructions.plan_digest, Timestamp::now())
    }

    /// Runs the plan, takes it back, and compares what is there then with the backup.
    pub(super) fn run(&self, scratch: &Scratch, manifest: &Manifest) -> Rehearsed {
        let mut rehearsed = self.begun();
        let mut record = Record::default();
        let (progress, reading) = Progress::new();
        rehearsed.end = match self.play(scratch, &progress, &mut record) {
            Ok(()) => self.compare(scratch, manifest),
            Err(Failure::OtherCatalogue(difference)) => End::OtherCatalogue(difference),
            Err(Failure::Met(message)) => End::Failed {
                step: record.at,
                operation: self.operation(record.at, &reading.borrow().activity),
                message: scratch.explain(message),
            },
        };
        rehearsed.finished_at = Timestamp::now();
        self.fill(&mut rehearsed, &record);
        rehearsed
    }

    fn play(&self, scratch: &Scratch, progress: &Progress, record: &mut Record) -> Result<(), Failure> {
        let Instructions { settings, checks, deadline, .. } = &self.instructions;
        // The engine's driver sends no password without TLS. It logs in by what the server remembers of a login by MySQL's own client.
        scratch.query(scratch_statements::VERSION).map_err(Failure::Met)?;
        let target = Target {
            host: "localhost".to_owned(),
            port: 0,
            socket: Some(scratch.socket()),
            username: scratch_statements::ADMINISTRATOR.to_owned(),
            password: scratch.password().to_owned(),
            tls: TlsMode::Disabled,
            certificate_authority: None,
            connect_timeout: CONNECT_TIMEOUT,
        };
        let engine = Engine { target, settings: settings.clone(), replicas: Replicas::default() };
        let play = Play { engine: &engine, plan: &self.plan, checks, progress, stop: &Stop::default() };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::Met(format!("starting the asynchronous runtime: {error}")))?;
        let ended = runtime.block_on(async {
            tokio::select! {
                played = Box::pin(rehearse(play, record)) => Ok(played),
                gone = gone(scratch) => Err(gone),
                () = tokio::time::sleep(*deadline) => Err(format!(
                    "it did not end within spec.rehearsal.deadline ({} s): allow more, or give the scratch server more memory",
                    deadline.as_secs()
                )),
            }
        });
        match ended {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if error.cause == Cause::Drifted && record.at.is_none() => {
                Err(Failure::OtherCatalogue(error.message))
            }
            Ok(Err(error)) => Err(Failure::Met(error.message)),
            Err(message) => Err(Failure::Met(message)),
        }
    }

    /// Whether everything is as it was before: the definition and the rows of every table, and every other object.
    fn compare(&self, scratch: &Scratch, manifest: &Manifest) -> End {
        let same = contents(scratch, &self.plan.schema)
            .and_then(|found| compare(manifest, &found, manifest.server_version.as_deref().unwrap_or_default()));
        match same {
            Ok(()) => End::Passed { note: None },
            // What triggers write is taken back by nobody, which the specification has acknowledged.
            Err(difference) if !self.plan.acknowledged_triggers.is_empty() => End::Passed { note: Some(difference) },
            Err(difference) => End::Failed {
                step: Some(Step::Undo),
                operation: None,
                message: scratch.explain(format!("everything was taken back, but {difference}")),
            },
        }
    }

    /// The operation that was at work, on which table, and where the specification asks for it. Of checks and counts the message tells.
    fn operation(&self, at: Option<Step>, activity: &str) -> Option<String> {
        if matches!(at, None | Some(Step::Validate | Step::Test | Step::Prove)) {
            return None;
        }
        let operation = self.plan.operations.iter().find(|operation| activity.contains(&operation.id))?;
        Some(format!("{} on {} ({})", operation.id, operation.action.table(), operation.path))
    }

    /// Fills in what was found and measured.
    fn fill(&self, rehearsed: &mut Rehearsed, record: &Record) {
        let counted = |kind: &str| -> u64 {
            let findings = record.findings.iter().filter(|finding| finding.issue_type.starts_with(kind));
            findings.map(|finding| finding.count).sum()
        };
        (rehearsed.orphans, rehearsed.duplicates) = (counted("orphans: "), counted("duplicates: "));
        let kept = record.quarantined;
        rehearsed.quarantined_rows = kept.orphans + kept.duplicates + kept.cascaded;
        rehearsed.quarantined_values = kept.values;
        (rehearsed.foreign_keys, rehearsed.unique_constraints) = (record.keys, record.uniques);
        rehearsed.probes = record.checked.probes.probed.len() as u64;
        rehearsed.unprobed = record.checked.probes.unprobed.len() as u64;
        rehearsed.scenarios = record.checked.scenarios.len() as u64;
        rehearsed.undone = record.undone.undone.len() as u64;
        rehearsed.tables_identical = record.undone.tables_compared.len() as u64;
        let milliseconds = |took: Duration| u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let steps = record.took.iter().map(|(step, took)| StepTook { step: *step, milliseconds: milliseconds(*took) });
        rehearsed.steps = steps.collect();
        let mut slowest: Vec<_> = record.operations.iter().collect();
        slowest.sort_by_key(|report| std::cmp::Reverse(report.milliseconds));
        let slow = slowest.into_iter().take(SLOWEST).map(|report| {
            let planned = self.plan.operations.iter().find(|operation| operation.id == report.operation);
            Slow {
                table: planned.map(|operation| operation.action.table().table.to_string()).unwrap_or_default(),
                lock: planned.map(|operation| operation.lock),
                operation: report.operation.clone(),
                milliseconds: report.milliseconds,
            }
        });
        rehearsed.slowest = slow.collect();
    }
}

/// Why a rehearsal did not come to its end.
enum Failure {
    /// The copy is not what was planned for.
    OtherCatalogue(String),
    /// It met something.
    Met(String),
}

/// Waits until the server has ended, which it does not do by itself.
async fn gone(scratch: &Scratch) -> String {
    let mut look = tokio::time::interval(LOOK);
    loop {
        look.tick().await;
        if !scratch.is_there() {
            return "the scratch server ended while the plan ran on it".to_owned();
        }
    }
}
