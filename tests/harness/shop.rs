//! The sample application in a namespace: its database server, its rows and its traffic.

use std::time::Duration;

use serde_json::Value;

use super::database::Database;
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

/// The images that the sample's manifests name, and what is to be run instead.
#[derive(Debug, Clone)]
pub struct Images {
    /// What fills the sample's database and keeps it busy.
    pub sample: String,
    /// The sample application, with its Jobs.
    pub application: String,
    /// A MySQL with the interface of the official image.
    pub mysql: String,
}

impl Default for Images {
    fn default() -> Self {
        Self {
            sample: "holdfast.test/sample:dev".to_owned(),
            application: "holdfast.test/application:dev".to_owned(),
            mysql: "holdfast.test/mysql:9.7".to_owned(),
        }
    }
}

impl Images {
    /// A manifest with these images.
    fn put_into(&self, manifest: &str) -> String {
        let written = Self::default();
        let mut manifest = manifest.to_owned();
        for (name, wanted) in
            [(written.sample, &self.sample), (written.application, &self.application), (written.mysql, &self.mysql)]
        {
            manifest = manifest.replace(&format!("image: {name}\n"), &format!("image: {wanted}\n"));
        }
        manifest
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
        self.apply_file("volumes.yaml")?;
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

    /// The application's schema on that server.
    pub fn database(&self) -> Database {
        Database { kubectl: self.kubectl.clone(), name: "shop".to_owned() }
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
