//! The sample application in a namespace: its database, its rows, its traffic, and what its tables hold.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::kubectl::{Kubectl, run};
use super::{Outcome, wait};

/// Where the sample's manifests lie.
const MANIFESTS: &str = "deploy/sample";
/// How long a database may take to start, image pulled.
const START_LIMIT: Duration = Duration::from_secs(180);
/// How long generating a million rows may take on a slow machine.
const GENERATE_LIMIT: Duration = Duration::from_secs(600);
/// How long the traffic may take to compare the database with its ledger.
const REPORT_LIMIT: Duration = Duration::from_secs(90);

/// The definition, the number of rows and the checksum of every table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot(pub BTreeMap<String, TableState>);

/// One table's part of a [`Snapshot`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableState {
    /// SHOW CREATE TABLE without the AUTO_INCREMENT value.
    pub definition: String,
    /// COUNT(*).
    pub rows: u64,
    /// CHECKSUM TABLE.
    pub checksum: String,
}

/// The sample application.
#[derive(Debug, Clone)]
pub struct Shop {
    pub kubectl: Kubectl,
}

impl Shop {
    pub fn new(namespace: &str) -> Self {
        Self { kubectl: Kubectl::new(namespace) }
    }

    /// Starts the database and waits until it answers.
    pub fn start_database(&self) -> Outcome<()> {
        self.kubectl.create_namespace()?;
        run("bash", &[&format!("{MANIFESTS}/secrets.sh"), &self.kubectl.namespace], None)?;
        self.kubectl.run(&[
            "apply",
            "--filename",
            &format!("{MANIFESTS}/mysql.yaml"),
            "--filename",
            &format!("{MANIFESTS}/backups.yaml"),
        ])?;
        let limit = format!("--timeout={}s", START_LIMIT.as_secs());
        self.kubectl.run(&["rollout", "status", "statefulset/mysql", &limit])?;
        Ok(())
    }

    /// Starts the tables over with about so many rows, and returns the truth that the generator wrote about them.
    pub fn generate(&self, rows: u64, seed: u64) -> Outcome<Value> {
        let path = format!("{MANIFESTS}/generate.yaml");
        let manifest = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        // By text: YAML's octal numbers do not survive a parser of another dialect.
        let wanted = format!("--rows, \"{rows}\", --seed, \"{seed}\"");
        let job = manifest.replace("--rows, \"1000000\", --seed, \"1\"", &wanted);
        if !job.contains(&wanted) {
            return Err(format!("{path}: the generator's arguments are not where they were"));
        }
        self.kubectl.run(&["delete", "job", "generate", "--ignore-not-found", "--wait"])?;
        self.kubectl.apply(&job)?;
        self.wait_for_job("generate", GENERATE_LIMIT)?;
        self.last_log_line("generate")
    }

    /// Starts the application's traffic.
    pub fn start_traffic(&self) -> Outcome<()> {
        self.kubectl.run(&["delete", "job", "traffic", "--ignore-not-found", "--wait"])?;
        self.kubectl.run(&["apply", "--filename", &format!("{MANIFESTS}/traffic.yaml")])?;
        self.kubectl.run(&[
            "wait",
            "--for=condition=Ready",
            "pod",
            "--selector",
            "job-name=traffic",
            "--timeout=60s",
        ])?;
        Ok(())
    }

    /// What the traffic measured last; `None` before its first reading.
    pub fn traffic_reading(&self) -> Option<Value> {
        self.last_log_line("traffic").ok()
    }

    /// Stops the traffic and returns its report, the comparison of the database with its ledger included.
    pub fn stop_traffic(&self) -> Outcome<Value> {
        self.kubectl.run(&["exec", "job/traffic", "--", "sh", "-c", "kill 1"])?;
        self.wait_for_job("traffic", REPORT_LIMIT)?;
        self.last_log_line("traffic")
    }

    /// Runs a statement as root and returns its rows, tab-separated.
    pub fn sql(&self, statement: &str) -> Outcome<String> {
        let client =
            "MYSQL_PWD=$(cat /etc/mysql-root/password) exec mysql --user=root --batch --skip-column-names --raw shop";
        self.kubectl.run_with_input(
            &["exec", "--stdin", "mysql-0", "--container", "mysql", "--", "sh", "-c", client],
            Some(statement),
        )
    }

    /// Every foreign key of the database, as the catalogue has it.
    pub fn foreign_keys(&self) -> Outcome<Vec<String>> {
        let text = self.sql(
            "SELECT CONSTRAINT_NAME, TABLE_NAME, REFERENCED_TABLE_NAME, DELETE_RULE FROM information_schema.REFERENTIAL_CONSTRAINTS \
             WHERE CONSTRAINT_SCHEMA = 'shop' ORDER BY CONSTRAINT_NAME",
        )?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Reads the state of every table. Nothing may write meanwhile.
    pub fn snapshot(&self) -> Outcome<Snapshot> {
        let tables = self
            .sql("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop' ORDER BY TABLE_NAME")?;
        let mut snapshot = BTreeMap::new();
        for table in tables.lines() {
            // The definition is printed by --raw over several lines; a line of its own ends it.
            let text = self.sql(&format!(
                "SHOW CREATE TABLE `{table}`; SELECT '--rows--'; SELECT COUNT(*) FROM `{table}`; CHECKSUM TABLE `{table}`"
            ))?;
            let (definition, rest) =
                text.split_once("--rows--\n").ok_or_else(|| format!("table {table}: unexpected answer {text:?}"))?;
            let mut lines = rest.lines();
            let rows = lines
                .next()
                .and_then(|line| line.trim().parse().ok())
                .ok_or_else(|| format!("table {table}: no count in {rest:?}"))?;
            let checksum = lines
                .next()
                .and_then(|line| line.split('\t').nth(1))
                .ok_or_else(|| format!("table {table}: no checksum in {rest:?}"))?;
            let state = TableState { definition: without_counter(definition), rows, checksum: checksum.to_owned() };
            snapshot.insert(table.to_owned(), state);
        }
        Ok(Snapshot(snapshot))
    }

    fn wait_for_job(&self, name: &str, limit: Duration) -> Outcome<()> {
        wait::until(&format!("Job {name} to end"), limit, || {
            let job = self.kubectl.get("job", name)?.ok_or_else(|| format!("Job {name} is gone"))?;
            let has = |kind: &str| {
                job["status"]["conditions"]
                    .as_array()
                    .is_some_and(|all| all.iter().any(|one| one["type"] == kind && one["status"] == "True"))
            };
            if has("Failed") {
                let log = self.kubectl.run(&["logs", &format!("job/{name}"), "--all-containers", "--tail=20"])?;
                return Err(format!("Job {name} failed: {log}"));
            }
            if has("Complete") { Ok(Ok(())) } else { Ok(Err(job["status"].to_string())) }
        })
    }

    fn last_log_line(&self, job: &str) -> Outcome<Value> {
        let line = self.kubectl.run(&["logs", &format!("job/{job}"), "--tail=1"])?;
        serde_json::from_str(line.trim()).map_err(|error| format!("the log of Job {job} ends in {line:?}: {error}"))
    }
}

impl Snapshot {
    /// What differs, one sentence for each table; empty when all is equal. The table `growing` may have more rows than before.
    pub fn differences(&self, after: &Self, growing: &str) -> Vec<String> {
        let names: std::collections::BTreeSet<_> = self.0.keys().chain(after.0.keys()).collect();
        names
            .into_iter()
            .filter_map(|name| match (self.0.get(name), after.0.get(name)) {
                (Some(was), Some(is)) if was == is => None,
                (Some(was), Some(is)) if was.definition != is.definition => {
                    Some(format!("{name}: the definition was\n{}\nand is\n{}", was.definition, is.definition))
                }
                (Some(was), Some(is)) if name == growing && was.rows <= is.rows => None,
                (Some(was), Some(is)) => Some(format!(
                    "{name}: {} rows, checksum {} became {} rows, checksum {}",
                    was.rows, was.checksum, is.rows, is.checksum
                )),
                (Some(_), None) => Some(format!("{name}: is gone")),
                (None, _) => Some(format!("{name}: was not there")),
            })
            .collect()
    }

    /// Rows of all tables.
    pub fn rows(&self) -> u64 {
        self.0.values().map(|table| table.rows).sum()
    }
}

/// Removes the table option AUTO_INCREMENT=n, which stands in the definition's last line.
fn without_counter(definition: &str) -> String {
    let (head, options) = definition.trim_end().rsplit_once('\n').unwrap_or(("", definition));
    let kept: Vec<&str> = options.split(' ').filter(|option| !option.starts_with("AUTO_INCREMENT=")).collect();
    format!("{head}\n{}", kept.join(" "))
}
