//! One case: a schema of its own, an application at work on it, a migration, a fault at its moment, and what the judge says in the end.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::cases::{Case, End, Way, When};
use super::faults::{self, Fault, Site};
use super::harness::Outcome;
use super::harness::database::Database;
use super::harness::kubectl::{Kubectl, run};
use super::harness::migration::{Migration, condition, status_of, summary};
use super::harness::wait;
use super::judge::{self, Before};
use super::library;
use super::server::{Server, Sql};
use super::traffic::Traffic;

/// Longest time until the moment of the fault.
const MOMENT: Duration = Duration::from_secs(120);
/// Longest time from the fault to the end.
const END: Duration = Duration::from_secs(300);
/// How often the journal is looked at for the moment.
const LOOK: Duration = Duration::from_millis(1);
/// Less than the dump of the library's tables.
const SMALL: &str = "64Ki";

/// What came of a case.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) end: End,
    /// Rows and values from before that are lost, committed rows of the application that are not as written.
    pub(crate) lost: usize,
    /// From the fault to the end.
    pub(crate) took: Duration,
}

/// Where cases run.
pub(crate) struct Place {
    pub(crate) kubectl: Kubectl,
    pub(crate) root: Server,
    pub(crate) application: Server,
    pub(crate) runtime: tokio::runtime::Runtime,
}

impl Place {
    /// Tries a case of this number.
    ///
    /// # Errors
    /// What does not hold.
    pub(crate) fn run(&self, number: usize, case: Case) -> Outcome<Judged> {
        let name = format!("fault-{number}");
        let schema = name.replace('-', "_");
        let server = Database { kubectl: self.kubectl.clone(), name: "mysql".to_owned() };
        server.sql(&format!("DROP DATABASE IF EXISTS `{schema}`; CREATE DATABASE `{schema}`"))?;
        Database { kubectl: self.kubectl.clone(), name: schema.clone() }.sql(library::TABLES)?;
        let before = self.runtime.block_on(async { Before::read(&mut self.root.open(&schema).await?).await })?;
        let migration = Migration::new(&self.kubectl, &name);
        let traffic = Traffic::start(self.runtime.handle(), &self.application, &schema);
        wait::until("the application to be at work", MOMENT, || {
            Ok(if traffic.committed() > 20 { Ok(()) } else { Err(format!("{} committed", traffic.committed())) })
        })?;
        let site = Site::look(&self.kubectl, &self.root, &name)?;
        self.kubectl.apply(&self.manifest(&name, &schema, case)?.to_string())?;
        let found = self.meet(case, &migration, &schema, &site);
        faults::lift_all()?;
        let struck = found?;
        let object = ended(&migration)?;
        let took = struck.elapsed();
        let end = end_of(&object)?;
        // The end may be told before a server that was killed is back.
        wait::until("the database to answer", MOMENT, || {
            let answer = self.runtime.block_on(async { self.root.open(&schema).await });
            Ok(answer.map(drop).map_err(|refused| refused.message))
        })?;
        let judged = self.runtime.block_on(self.judge(&schema, &before, end, traffic));
        let lost = judged.map_err(|error| format!("{error}; {}", summary(&object)))?;
        if !case.ends.contains(&end) {
            return Err(format!("ended as {end:?}, expected was one of {:?}: {}", case.ends, summary(&object)));
        }
        self.kubectl.run(&["delete", "schemamigration", &name, "--wait", "--timeout=60s"])?;
        server.sql(&format!("DROP DATABASE `{schema}`"))?;
        Ok(Judged { end, lost, took })
    }

    fn manifest(&self, name: &str, schema: &str, case: Case) -> Outcome<Value> {
        let mut manifest = library::migration(name, schema);
        let spec = &mut manifest["spec"];
        spec["tests"] = json!({"probes": "Derived"});
        if case.way == Way::Back {
            spec["tests"]["jobs"] = json!([{"name": "sign-up", "podTemplateRef": {"name": "early-bookmark"}}]);
        }
        match case.fault {
            Fault::DiskFull => {
                // A name of its own each time: the volume lasts as long as the cluster.
                let volume = format!("full-{:08x}", fastrand::u32(..));
                run("tests/cluster/cluster.sh", &["volume", &volume, SMALL], None)?;
                let claim = json!({
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": volume},
                    "spec": {"storageClassName": "holdfast-small", "volumeName": volume, "accessModes": ["ReadWriteOnce"],
                        "resources": {"requests": {"storage": SMALL}}}
                });
                self.kubectl.apply(&claim.to_string())?;
                spec["backup"]["job"]["destination"]["persistentVolumeClaim"]["claimName"] = json!(volume);
            }
            Fault::WindowCloses => {
                let now = Timestamp::now().to_zoned(TimeZone::UTC);
                // It closes with the second or third minute from now, when the first key is held up.
                let start = format!("{:02}:{:02}", now.hour(), now.minute());
                spec["gates"] = json!([{"before": {"phase": "CleanUp"}, "window": {"start": start, "duration": "2m", "timeZone": "UTC"}}]);
                // It is held up all that time.
                spec["execution"] = json!({"maxRetries": 1000});
            }
            _ => {}
        }
        Ok(manifest)
    }

    /// Waits for the moment, brings the fault about and takes it away; gives when it began.
    fn meet(&self, case: Case, migration: &Migration, schema: &str, site: &Site) -> Outcome<Instant> {
        let reader = match case.fault {
            // Held up, so that the window closes in the middle.
            Fault::WindowCloses => Some(self.runtime.block_on(self.hold(schema))?),
            _ => None,
        };
        match case.when {
            When::Always => {}
            When::Phase(phase) => self.phase(migration, phase)?,
            When::JobRuns(_) => self.job_runs(&migration.name, case)?,
            When::Journal(told, query) => {
                let query = query.replace("{schema}", schema);
                self.runtime.block_on(self.journal(told, &query, schema))?;
            }
        }
        let struck = Instant::now();
        site.strike(self.runtime.handle(), case.fault)?;
        if let Some(reader) = reader {
            // Not while it says that it is stopping.
            let stopped = |object: &Value| {
                condition(object, "Ready").is_some_and(|ready| {
                    let message = ready["message"].as_str().unwrap_or_default();
                    ready["reason"] == "OutsideWindow" && message.starts_with("the window")
                })
            };
            wait::until("the window to close on the work", END, || {
                let object = migration.read()?;
                Ok(if stopped(&object) { Ok(()) } else { Err(summary(&object)) })
            })?;
            drop(reader);
            let before = self.runtime.block_on(self.operations_done(schema))?;
            // Two looks of the operator later nothing more is done.
            std::thread::sleep(Duration::from_secs(5));
            let after = self.runtime.block_on(self.operations_done(schema))?;
            if before != after {
                return Err(format!("{before} operations were done when the window closed, and {after} later"));
            }
            let open = json!({"spec": {"gates": []}}).to_string();
            self.kubectl.run(&["patch", "schemamigration", &migration.name, "--type=merge", "--patch", &open])?;
        }
        Ok(struck)
    }

    /// Follows the status, so that a phase that takes no time is seen, too.
    fn phase(&self, migration: &Migration, phase: &str) -> Outcome<()> {
        let limit = format!("--request-timeout={}s", MOMENT.as_secs());
        let watch =
            ["get", "schemamigration", &migration.name, "--watch", "--output", "jsonpath={.status.phase}{\"\\n\"}"];
        let mut child = Command::new("kubectl")
            .args(["--namespace", &self.kubectl.namespace, &limit])
            .args(watch)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("kubectl get --watch: {error}"))?;
        let lines = child.stdout.take().map(|output| BufReader::new(output).lines());
        let mut seen = Vec::new();
        for line in lines.into_iter().flatten() {
            seen.push(line.map_err(|error| format!("kubectl get --watch: {error}"))?);
            if seen.last().is_some_and(|last| last == phase) {
                break;
            }
        }
        // It may have ended by itself.
        let _ = child.kill();
        let _ = child.wait();
        if seen.last().is_some_and(|last| last == phase) {
            return Ok(());
        }
        Err(format!("waited {} s for the phase {phase}; seen were {seen:?}", MOMENT.as_secs()))
    }

    fn job_runs(&self, migration: &str, case: Case) -> Outcome<()> {
        let purpose = if case.way == Way::Back { "Test" } else { "Backup" };
        wait::until_every(Duration::from_millis(20), &format!("the pod of a Job for {purpose}"), MOMENT, || {
            let object = self.kubectl.get("schemamigration", migration)?.unwrap_or_default();
            let jobs = object["status"]["jobs"].as_array().cloned().unwrap_or_default();
            let name = jobs.iter().find(|job| job["purpose"] == purpose).and_then(|job| job["name"].as_str());
            let Some(name) = name else { return Ok(Err(summary(&object))) };
            let selector = format!("batch.kubernetes.io/job-name={name}");
            let phases = self.kubectl.run(&[
                "get",
                "pods",
                "--selector",
                &selector,
                "--output",
                "jsonpath={.items[*].status.phase}",
            ])?;
            Ok(if matches!(phases.trim(), "Pending" | "Running") { Ok(()) } else { Err(summary(&object)) })
        })
    }

    async fn journal(&self, told: &str, query: &str, schema: &str) -> Outcome<()> {
        let begun = Instant::now();
        let mut sql = self.root.open(schema).await?;
        while begun.elapsed() < MOMENT {
            match sql.number(query).await {
                Ok(0) => {}
                Ok(_) => return Ok(()),
                // The journal is not there yet.
                Err(refused) if matches!(refused.number, Some(1049 | 1146)) => {}
                Err(refused) => return Err(format!("waiting for {told}: {}", refused.message)),
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(format!("waited {} s for the moment {told:?}, which never came", MOMENT.as_secs()))
    }

    /// A session that has read from a table and stays in its transaction.
    async fn hold(&self, schema: &str) -> Outcome<Sql> {
        let mut sql = self.root.open(schema).await?;
        sql.run("START TRANSACTION").await?;
        sql.rows("SELECT COUNT(*) FROM protocols").await?;
        Ok(sql)
    }

    async fn operations_done(&self, schema: &str) -> Outcome<u64> {
        let query = format!(
            "SELECT COUNT(*) FROM holdfast.operations o JOIN holdfast.migrations m ON m.id = o.migration WHERE m.target_schema = \
             '{schema}' AND o.state = 'Done'"
        );
        Ok(self.root.open("").await?.number(&query).await?)
    }

    async fn judge(&self, schema: &str, before: &Before, end: End, traffic: Traffic) -> Outcome<usize> {
        let untrue = traffic.stop(&self.application, schema).await?;
        let mut sql = self.root.open(schema).await?;
        let mut lost = judge::lost(&mut sql, schema, before).await?;
        lost.extend(untrue);
        let faults = match end {
            End::Complete => judge::unmet(&mut sql).await?,
            End::RolledBack | End::Failed => judge::changed(&mut sql, before).await?,
        };
        if lost.is_empty() && faults.is_empty() {
            return Ok(lost.len());
        }
        let mut told: Vec<String> = lost.into_iter().chain(faults).collect();
        told.truncate(10);
        Err(format!("ended as {end:?}, and the judge finds: {}", told.join("; ")))
    }
}

/// Waits for the end. After a fault of the API server a look may fail, too.
fn ended(migration: &Migration) -> Outcome<Value> {
    wait::until(&format!("{} to end", migration.name), END, || match migration.read() {
        Ok(object) if status_of(&object, "Finished") == Some("True") => Ok(Ok(object)),
        Ok(object) => Ok(Err(summary(&object))),
        Err(error) => Ok(Err(error)),
    })
}

/// Which of the three ends it is, and that it is one only.
fn end_of(object: &Value) -> Outcome<End> {
    let holds = |name: &str| status_of(object, name) == Some("True");
    let (succeeded, back) = (holds("Succeeded"), holds("RolledBack"));
    let phase = object["status"]["phase"].as_str().unwrap_or_default();
    match (succeeded, back, phase) {
        (true, false, "Complete") => Ok(End::Complete),
        (false, true, "RolledBack") => Ok(End::RolledBack),
        (false, false, "Failed") => Ok(End::Failed),
        _ => Err(format!("no end is told, or more than one: Succeeded {succeeded}, RolledBack {back}, phase {phase}")),
    }
}
