//! The faults: how each is brought about, and how it is taken away again. What could outlive its case is written down before it is
//! brought about, so that an end of the campaign in between takes it away, too.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::harness::Outcome;
use super::harness::kubectl::{Kubectl, run};
use super::harness::operator;
use super::harness::wait;
use super::processes::{self, Process};
use super::server::Server;

/// The table of rules in the network namespace of the operator's pod.
const TABLE: &str = "holdfast_faults";
/// Longest time until what was killed or deleted is there again.
const RECOVERY: Duration = Duration::from_secs(90);

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGKILL to the operator that leads.
    OperatorKilled,
    /// SIGSTOP to it, and SIGCONT so many seconds later.
    OperatorPaused(u64),
    /// SIGKILL to the database server.
    DatabaseKilled,
    /// The operator's connections to the database are reset, and new ones refused, for so many seconds.
    ConnectionCut(u64),
    /// Packets between the operator and the database vanish for so many seconds.
    ConnectionSilent(u64),
    /// Most packets from the operator to the database are lost for so many seconds.
    ConnectionSlow(u64),
    /// The API server stands still for so many seconds.
    ApiServerStopped(u64),
    /// The operator that leads cannot reach the API server for so many seconds.
    LeaderPartitioned(u64),
    /// The pods of the migration's Jobs are deleted.
    JobPodDeleted,
    /// The migrator's Secret is gone for so many seconds.
    SecretDeleted(u64),
    /// The migrator's password is changed on the server, its sessions are ended, and the Secret follows so many seconds later.
    PasswordRotated(u64),
    /// The volume of the backup is too small from the start.
    DiskFull,
    /// The window of the first gate closes.
    WindowCloses,
}

impl Fault {
    /// As the table names it.
    pub(crate) fn name(self) -> String {
        match self {
            Self::OperatorKilled => "operator killed (SIGKILL)".to_owned(),
            Self::OperatorPaused(seconds) => format!("operator paused for {seconds} s (SIGSTOP)"),
            Self::DatabaseKilled => "mysqld killed (SIGKILL)".to_owned(),
            Self::ConnectionCut(seconds) => format!("connection to MySQL cut for {seconds} s"),
            Self::ConnectionSilent(seconds) => format!("connection to MySQL half open for {seconds} s"),
            Self::ConnectionSlow(seconds) => format!("connection to MySQL slow for {seconds} s"),
            Self::ApiServerStopped(seconds) => format!("API server stopped for {seconds} s"),
            Self::LeaderPartitioned(seconds) => format!("leader cut off from the API for {seconds} s"),
            Self::JobPodDeleted => "pod of a Job deleted".to_owned(),
            Self::SecretDeleted(seconds) => format!("migrator's Secret gone for {seconds} s"),
            Self::PasswordRotated(seconds) => format!("migrator's password changed, Secret {seconds} s later"),
            Self::DiskFull => "backup volume full".to_owned(),
            Self::WindowCloses => "window closes midway".to_owned(),
        }
    }
}

type Lifting = Box<dyn FnOnce() -> Outcome<()> + Send>;

/// Faults that last, with how each is taken away.
static LASTING: Mutex<Vec<(String, Lifting)>> = Mutex::new(Vec::new());

fn lasting() -> MutexGuard<'static, Vec<(String, Lifting)>> {
    LASTING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes every fault away that lasts, the last one first.
///
/// # Errors
/// What could not be taken away; the others are.
pub(crate) fn lift_all() -> Outcome<()> {
    let mut failures = Vec::new();
    loop {
        let Some((what, lift)) = lasting().pop() else { break };
        if let Err(error) = lift() {
            failures.push(format!("{what}: {error}"));
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("; ")) }
}

/// Brings a fault about that lasts for so long.
fn last(
    what: &str,
    seconds: u64,
    begin: impl FnOnce() -> Outcome<()>,
    lift: impl FnOnce() -> Outcome<()> + Send + 'static,
) -> Outcome<()> {
    lasting().push((what.to_owned(), Box::new(lift)));
    begin()?;
    std::thread::sleep(Duration::from_secs(seconds));
    lift_all()
}

/// What faults are brought about in: found before the moment comes, so that nothing is looked up then.
#[derive(Debug)]
pub(crate) struct Site {
    kubectl: Kubectl,
    root: Server,
    migration: String,
    leader: Process,
    database: Process,
    api_server: Process,
}

impl Site {
    /// Everything as it is now.
    pub(crate) fn look(kubectl: &Kubectl, root: &Server, migration: &str) -> Outcome<Self> {
        let operator = Kubectl::new(operator::NAMESPACE);
        Ok(Self {
            kubectl: kubectl.clone(),
            root: root.clone(),
            migration: migration.to_owned(),
            leader: processes::of_pod(&operator, &processes::leader()?, "holdfast")?,
            database: processes::of_pod(kubectl, "mysql-0", "mysqld")?,
            api_server: processes::api_server()?,
        })
    }

    /// The operator that leads; another one than was found, if that one has ended since.
    fn leader(&self) -> Outcome<Process> {
        if self.leader.lives() {
            return Ok(self.leader.clone());
        }
        processes::of_pod(&Kubectl::new(operator::NAMESPACE), &processes::leader()?, "holdfast")
    }

    /// Brings a fault about, and takes it away where it lasts.
    pub(crate) fn strike(&self, runtime: &tokio::runtime::Handle, fault: Fault) -> Outcome<()> {
        let stopped = |process: &Process, seconds: u64| {
            let (stop, go_on) = (process.clone(), process.clone());
            // One that was killed meanwhile, as by its liveness probe, has nothing to go on with.
            let lift = move || if go_on.lives() { go_on.signal("CONT") } else { Ok(()) };
            last(&fault.name(), seconds, move || stop.signal("STOP"), lift)
        };
        match fault {
            Fault::OperatorKilled => self.leader()?.signal("KILL"),
            Fault::OperatorPaused(seconds) => stopped(&self.leader()?, seconds),
            Fault::DatabaseKilled => self.database.signal("KILL"),
            Fault::ConnectionCut(seconds) => {
                self.rules(fault, seconds, "output", "tcp dport 3306 counter reject with tcp reset")
            }
            Fault::ConnectionSilent(seconds) => self.rules(fault, seconds, "output", "tcp dport 3306 counter drop"),
            Fault::ConnectionSlow(seconds) => {
                self.rules(fault, seconds, "output", "tcp dport 3306 limit rate over 20/second burst 10 packets drop")
            }
            Fault::ApiServerStopped(seconds) => stopped(&self.api_server, seconds),
            Fault::LeaderPartitioned(seconds) => self.rules(fault, seconds, "output", "tcp dport 443 counter drop"),
            Fault::JobPodDeleted => self.delete_pods(),
            Fault::SecretDeleted(seconds) => self.delete_secret(fault, seconds),
            Fault::PasswordRotated(seconds) => self.rotate(runtime, seconds),
            // They are in the manifest, and their moment is waited for by the case.
            Fault::DiskFull | Fault::WindowCloses => Ok(()),
        }
    }

    /// Rules in the network namespace of the operator's pod, which is the only place that they touch.
    fn rules(&self, fault: Fault, seconds: u64, hook: &str, rule: &str) -> Outcome<()> {
        // Held open, since the process may end meanwhile and the pod keeps its namespace.
        let path = format!("/proc/{}/ns/net", self.leader()?.number);
        let namespace = File::open(&path).map_err(|error| format!("{path}: {error}"))?;
        let inside = format!("--net=/proc/{}/fd/{}", std::process::id(), namespace.as_raw_fd());
        let script =
            format!("table inet {TABLE} {{ chain faults {{ type filter hook {hook} priority 0; {rule}; }}; }}\n");
        let lift = {
            let inside = inside.clone();
            move || {
                let _held = namespace;
                run("nsenter", &[&inside, "nft", "delete", "table", "inet", TABLE], None).map(drop)
            }
        };
        let begin = || run("nsenter", &[&inside, "nft", "--file", "-"], Some(&script)).map(drop);
        last(&fault.name(), seconds, begin, lift)
    }

    fn delete_pods(&self) -> Outcome<()> {
        let text = self.kubectl.run(&["get", "jobs", "--output", "json"])?;
        let jobs: Value = serde_json::from_str(&text).map_err(|error| format!("reading Jobs: {error}"))?;
        let mut deleted = 0;
        for job in jobs["items"].as_array().into_iter().flatten() {
            let owner = job["metadata"]["ownerReferences"][0]["name"].as_str();
            let name = job["metadata"]["name"].as_str().unwrap_or_default();
            if owner == Some(self.migration.as_str()) && job["status"]["active"].as_u64().unwrap_or(0) > 0 {
                let selector = format!("batch.kubernetes.io/job-name={name}");
                self.kubectl.run(&["delete", "pods", "--selector", &selector, "--now", "--wait=false"])?;
                deleted += 1;
            }
        }
        if deleted == 0 {
            Err(format!("{} has no Job at work whose pod could be deleted", self.migration))
        } else {
            Ok(())
        }
    }

    fn delete_secret(&self, fault: Fault, seconds: u64) -> Outcome<()> {
        let name = "shop-migrator";
        let stored = self.kubectl.get("secret", name)?.ok_or_else(|| format!("the Secret {name} does not exist"))?;
        let again = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": stored["data"]});
        let (before, after) = (self.kubectl.clone(), self.kubectl.clone());
        last(
            &fault.name(),
            seconds,
            move || before.run(&["delete", "secret", name]).map(drop),
            move || after.apply(&again.to_string()).map(drop),
        )
    }

    fn rotate(&self, runtime: &tokio::runtime::Handle, seconds: u64) -> Outcome<()> {
        let password = format!("{:032x}", fastrand::u128(..));
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shop-migrator"},
            "stringData": {"username": "migrator", "password": password}});
        let (root, kubectl) = (self.root.clone(), self.kubectl.clone());
        let change = async move {
            let mut sql = root.open("").await?;
            sql.run(&format!("ALTER USER 'migrator'@'%' IDENTIFIED BY '{password}'")).await?;
            let sessions = "SELECT id FROM information_schema.processlist WHERE user = 'migrator'";
            for session in sql.rows(sessions).await?.into_iter().filter_map(|row| row.into_iter().next().flatten()) {
                match sql.run(&format!("KILL {session}")).await {
                    // It has gone by itself.
                    Ok(_) | Err(super::server::Refused { number: Some(1094), .. }) => {}
                    Err(refused) => return Err(refused.message),
                }
            }
            Ok::<(), String>(())
        };
        last(
            "the migrator's Secret has the old password",
            seconds,
            || runtime.block_on(change),
            move || kubectl.apply(&secret.to_string()).map(drop),
        )
    }
}

/// Brings back what faults have ended, with the delays forgotten by which the kubelet starts it again: new pods.
pub(crate) fn recover(kubectl: &Kubectl) -> Outcome<()> {
    let operator = Kubectl::new(operator::NAMESPACE);
    for (kubectl, selector, rollout) in [
        (&operator, "app.kubernetes.io/name=holdfast", "deployment/holdfast"),
        (kubectl, "app.kubernetes.io/name=mysql", "statefulset/mysql"),
    ] {
        let text = kubectl.run(&["get", "pods", "--selector", selector, "--output", "json"])?;
        let pods: Value = serde_json::from_str(&text).map_err(|error| format!("reading pods: {error}"))?;
        for pod in pods["items"].as_array().into_iter().flatten() {
            let restarts = pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap_or(0);
            if restarts > 0 {
                let name = pod["metadata"]["name"].as_str().unwrap_or_default();
                kubectl.run(&["delete", "pod", name, "--wait", "--timeout=90s"])?;
            }
        }
        kubectl.run(&["rollout", "status", rollout, &format!("--timeout={}s", RECOVERY.as_secs())])?;
    }
    wait::until("a replica of the operator to lead", RECOVERY, || {
        let leader = match processes::leader() {
            Ok(leader) => leader,
            Err(error) => return Ok(Err(error)),
        };
        Ok(processes::of_pod(&operator, &leader, "holdfast").map(drop))
    })
}
