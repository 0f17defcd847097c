//! The processes of the local cluster as the machine sees them: its one node is the machine itself.

use std::fs;
use std::path::PathBuf;

use super::harness::Outcome;
use super::harness::kubectl::{Kubectl, run};
use super::harness::operator;

/// A process, by its number and the moment it started, since numbers are used again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) number: u32,
    started: String,
}

impl Process {
    fn of(number: u32) -> Option<Self> {
        Some(Self { number, started: started(number)? })
    }

    /// Whether it is still there.
    pub(crate) fn lives(&self) -> bool {
        started(self.number).as_ref() == Some(&self.started)
    }

    /// Sends a signal, such as `KILL`.
    pub(crate) fn signal(&self, signal: &str) -> Outcome<()> {
        if !self.lives() {
            return Err(format!("process {} has ended before it could be sent {signal}", self.number));
        }
        run("kill", &[&format!("-{signal}"), &self.number.to_string()], None).map(drop)
    }
}

/// The moment at which a process started; none if it has ended.
fn started(number: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    // The second field is the name in parentheses and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    if fields.first() == Some(&"Z") { None } else { fields.get(19).map(|field| (*field).to_owned()) }
}

/// The process of a pod's first container that runs a program.
pub(crate) fn of_pod(kubectl: &Kubectl, pod: &str, program: &str) -> Outcome<Process> {
    let found = kubectl.get("pod", pod)?.ok_or_else(|| format!("the pod {pod} does not exist"))?;
    let container = found["status"]["containerStatuses"][0]["containerID"].as_str().unwrap_or_default();
    let id = container.rsplit('/').next().filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| format!("the pod {pod} has no running container"))?;
    let processes = fs::read_dir("/proc").map_err(|error| format!("/proc: {error}"))?;
    let numbers = processes.flatten().filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    let read = |number: u32, file: &str| fs::read_to_string(format!("/proc/{number}/{file}")).unwrap_or_default();
    numbers
        .filter(|number| read(*number, "comm").trim_end() == program && read(*number, "cgroup").contains(id))
        .find_map(Process::of)
        .ok_or_else(|| format!("the pod {pod} has no process {program} on this machine: is this the local cluster?"))
}

/// The name of the operator's pod that leads, as the Lease has it.
pub(crate) fn leader() -> Outcome<String> {
    let lease = Kubectl::new(operator::NAMESPACE).get("lease", "holdfast")?.ok_or("the operator has no Lease yet")?;
    let holder = lease["spec"]["holderIdentity"].as_str().filter(|holder| !holder.is_empty());
    holder.map(str::to_owned).ok_or_else(|| "no replica of the operator leads".to_owned())
}

/// The API server of the local cluster, as its start wrote it down beside the kubeconfig.
pub(crate) fn api_server() -> Outcome<Process> {
    let kubeconfig = std::env::var("KUBECONFIG").map_err(|_| "KUBECONFIG is not set: run `make faults`".to_owned())?;
    let state = PathBuf::from(kubeconfig).parent().map(PathBuf::from).unwrap_or_default();
    let path = state.join("run/kube-apiserver.pid");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let number = text.split(' ').next().and_then(|number| number.parse().ok());
    let number = number.ok_or_else(|| format!("{}: no process number in {text:?}", path.display()))?;
    Process::of(number).ok_or_else(|| format!("the API server (process {number}) does not run"))
}
