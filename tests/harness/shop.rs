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

/// Lines that part the answers of a snapshot.
const TABLE_MARK: &str = "--table--";
/// The same, before the number of rows.
const ROWS_MARK: &str = "--rows--";

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

/// The images that the sample's manifests name, and what is to be run instead.
#[derive(Debug, Clone)]
pub struct Images {
    /// The sample application.
    pub sample: String,
    /// A MySQL with the interface of the official image.
    pub mysql: String,
}

impl Default for Images {
    fn default() -> Self {
        Self { sample: "holdfast.test/sample:dev".to_owned(), mysql: "holdfast.test/mysql:9.7".to_owned() }
    }
}

impl Images {
    /// A manifest with these images.
    fn put_into(&self, manifest: &str) -> String {
        let written = Self::default();
        manifest
            .replace(&format!("image: {}\n", written.sample), &format!("image: {}\n", self.sample))
            .replace(&format!("image: {}\n", written.mysql), &format!("image: {}\n", self.mysql))
    }
}

/// The sample application.
#[derive(Debug, Clone)]
pub struct Shop {
    pub kubectl: Kubectl,
    pub images: Images,
}

impl Shop {
    pub fn new(namespace: &str) -> Self {
        Self { kubectl: Kubectl::new(namespace), images: Images::default() }
    }

    /// Starts the database and waits until it answers.
    pub fn start_database(&self) -> Outcome<()> {
        self.kubectl.create_namespace()?;
        run("bash", &[&format!("{MANIFESTS}/secrets.sh"), &self.kubectl.namespace], None)?;
        self.apply_file("mysql.yaml")?;
        self.apply_file("backups.yaml")?;
        let limit = format!("--timeout={}s", START_LIMIT.as_secs());
        self.kubectl.run(&["rollout", "status", "statefulset/mysql", &limit])?;
        Ok(())
    }

    /// Applies a folder of manifests by its kustomization.
    pub fn apply_folder(&self, folder: &str) -> Outcome<()> {
        let manifests = self.kubectl.run(&["kustomize", folder])?;
        self.kubectl.apply(&self.images.put_into(&manifests))?;
        Ok(())
    }

    fn manifest(&self, file: &str) -> Outcome<String> {
        let path = format!("{MANIFESTS}/{file}");
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        Ok(self.images.put_into(&text))
    }

    fn apply_file(&self, file: &str) -> Outcome<()> {
        self.kubectl.apply(&self.manifest(file)?)?;
        Ok(())
    }

    /// Starts the tables over with about so many rows, and returns the truth that the generator wrote about them.
    pub fn generate(&self, rows: u64, seed: u64) -> Outcome<Value> {
        let manifest = self.manifest("generate.yaml")?;
        // By text: YAML's octal numbers do not survive a parser of another dialect.
        let wanted = format!("--rows, \"{rows}\", --seed, \"{seed}\"");
        let job = manifest.replace("--rows, \"1000000\", --seed, \"1\"", &wanted);
        if !job.contains(&wanted) {
            return Err("generate.yaml: the generator's arguments are not where they were".to_owned());
        }
        self.kubectl.run(&["delete", "job", "generate", "--ignore-not-found", "--wait"])?;
        self.kubectl.apply(&job)?;
        self.wait_for_job("generate", GENERATE_LIMIT)?;
        self.last_log_line("generate")
    }

    /// Starts the application's traffic.
    pub fn start_traffic(&self) -> Outcome<()> {
        self.kubectl.run(&["delete", "job", "traffic", "--ignore-not-found", "--wait"])?;
        self.apply_file("traffic.yaml")?;
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

    /// Counts the children without a parent of every foreign key by plain SQL, keyed as `child.column -> parent.column`.
    pub fn orphans(&self) -> Outcome<BTreeMap<String, u64>> {
        let keys = self.sql(
            "SELECT CONSTRAINT_NAME, TABLE_NAME, REFERENCED_TABLE_NAME, \
             GROUP_CONCAT(COLUMN_NAME ORDER BY ORDINAL_POSITION), GROUP_CONCAT(REFERENCED_COLUMN_NAME ORDER BY ORDINAL_POSITION) \
             FROM information_schema.KEY_COLUMN_USAGE \
             WHERE CONSTRAINT_SCHEMA = 'shop' AND REFERENCED_TABLE_NAME IS NOT NULL GROUP BY 1, 2, 3",
        )?;
        let mut counts = Vec::new();
        for key in keys.lines() {
            let [_, child, parent, columns, parent_columns] = key.split('\t').collect::<Vec<_>>()[..] else {
                return Err(format!("the catalogue's answer {key:?} has not five columns"));
            };
            let columns: Vec<&str> = columns.split(',').collect();
            let parent_columns: Vec<&str> = parent_columns.split(',').collect();
            let present: Vec<_> = columns.iter().map(|column| format!("c.`{column}` IS NOT NULL")).collect();
            let equal: Vec<_> = columns
                .iter()
                .zip(&parent_columns)
                .map(|(column, other)| format!("p.`{other}` = c.`{column}`"))
                .collect();
            let name = format!("{child}.{} -> {parent}.{}", together(&columns), together(&parent_columns));
            counts.push(format!(
                "SELECT '{name}', COUNT(*) FROM `{child}` AS c WHERE {} AND NOT EXISTS (SELECT 1 FROM `{parent}` AS p WHERE {})",
                present.join(" AND "),
                equal.join(" AND ")
            ));
        }
        let answers = self.sql(&counts.join(";\n"))?;
        answers
            .lines()
            .map(|line| {
                let (name, count) = line.split_once('\t').ok_or_else(|| format!("unexpected answer {line:?}"))?;
                Ok((name.to_owned(), count.parse().map_err(|error| format!("{name}: {count:?}: {error}"))?))
            })
            .collect()
    }

    /// Reads the state of every table. Nothing may write meanwhile.
    pub fn snapshot(&self) -> Outcome<Snapshot> {
        let tables = self
            .sql("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop' ORDER BY TABLE_NAME")?;
        let statements: Vec<String> = tables
            .lines()
            .map(|table| {
                format!(
                    "SELECT '{TABLE_MARK}'; SHOW CREATE TABLE `{table}`; SELECT '{ROWS_MARK}'; \
                     SELECT COUNT(*) FROM `{table}`; CHECKSUM TABLE `{table}`;"
                )
            })
            .collect();
        let answer = self.sql(&statements.join("\n"))?;
        // The definitions are printed by --raw over several lines; lines of their own stand around them.
        let parts: Vec<&str> = answer.split(TABLE_MARK).skip(1).collect();
        if parts.len() != statements.len() {
            return Err(format!("asked for {} tables, {} were answered", statements.len(), parts.len()));
        }
        let states = tables.lines().zip(parts).map(|(table, text)| Ok((table.to_owned(), table_state(table, text)?)));
        Ok(Snapshot(states.collect::<Outcome<_>>()?))
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

/// `id`, or `(protocol_id, version)`.
fn together(columns: &[&str]) -> String {
    match columns {
        [column] => (*column).to_owned(),
        several => format!("({})", several.join(", ")),
    }
}

/// One table's part of the answer to a snapshot's statements.
fn table_state(table: &str, text: &str) -> Outcome<TableState> {
    let (definition, rest) =
        text.split_once(ROWS_MARK).ok_or_else(|| format!("table {table}: unexpected answer {text:?}"))?;
    let mut lines = rest.trim_start().lines();
    let rows = lines
        .next()
        .and_then(|line| line.trim().parse().ok())
        .ok_or_else(|| format!("table {table}: no count in {rest:?}"))?;
    let checksum = lines
        .next()
        .and_then(|line| line.split('\t').nth(1))
        .ok_or_else(|| format!("table {table}: no checksum in {rest:?}"))?;
    Ok(TableState { definition: without_counter(definition.trim()), rows, checksum: checksum.to_owned() })
}

/// Removes the table option AUTO_INCREMENT=n, which stands in the definition's last line.
fn without_counter(definition: &str) -> String {
    let (head, options) = definition.trim_end().rsplit_once('\n').unwrap_or(("", definition));
    let kept: Vec<&str> = options.split(' ').filter(|option| !option.starts_with("AUTO_INCREMENT=")).collect();
    format!("{head}\n{}", kept.join(" "))
}
