//! What every pass shares: the client, the flags, the tasks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use kube::Client;
use kube::runtime::events::{Recorder, Reporter};

use crate::api::gates::GatedPhase;

use super::tasks::Tasks;

/// Flags of `holdfast controller`.
#[derive(Debug, Clone, clap::Args)]
pub struct Flags {
    /// Namespaces to watch, separated by commas; none given: all of the cluster.
    #[arg(long, value_delimiter = ',', env = "WATCH_NAMESPACES")]
    pub watch_namespaces: Vec<String>,
    /// The operator's own image: the backup Job takes this program out of it.
    #[arg(long, env = "OPERATOR_IMAGE")]
    pub operator_image: String,
    /// Phases before which an approval is required whatever a spec says, separated by commas.
    #[arg(long, value_delimiter = ',', value_parser = gated_phase)]
    pub required_gates: Vec<GatedPhase>,
    /// Open gates although the admission policies that protect approvals are not installed.
    #[arg(long)]
    pub allow_without_policies: bool,
    /// Address of /livez and /readyz.
    #[arg(long, default_value = "0.0.0.0:8080")]
    pub health_address: SocketAddr,
    /// Namespace of the Lease by which one of several replicas leads.
    #[arg(long, env = "POD_NAMESPACE", default_value = "default")]
    pub lease_namespace: String,
    /// Name of the Lease.
    #[arg(long, default_value = "holdfast")]
    pub lease_name: String,
    /// Name of this replica.
    #[arg(long, env = "POD_NAME")]
    pub identity: String,
    /// Migrations that are looked at in the same moment.
    #[arg(long, default_value_t = 8)]
    pub concurrency: u16,
}

fn gated_phase(text: &str) -> Result<GatedPhase, String> {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).map_err(|error| error.to_string())
}

/// What every pass shares.
pub struct Context {
    /// The client.
    pub client: Client,
    /// The flags.
    pub flags: Flags,
    /// Long work.
    pub tasks: Tasks,
    /// Publishes events.
    pub recorder: Recorder,
    /// Whether this replica leads.
    pub leads: Arc<AtomicBool>,
}

impl Context {
    /// Joins them.
    #[must_use]
    pub fn new(client: Client, flags: Flags, tasks: Tasks, leads: Arc<AtomicBool>) -> Self {
        let reporter = Reporter { controller: "holdfast".to_owned(), instance: Some(flags.identity.clone()) };
        let recorder = Recorder::new(client.clone(), reporter);
        Self { client, flags, tasks, recorder, leads }
    }
}

/// What can go wrong in a pass; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The API server.
    #[error("{0}: {1}")]
    Api(String, #[source] Box<kube::Error>),
    /// Something that should be text or JSON is not.
    #[error("{0}")]
    Content(String),
    /// A pass that does not end is as bad as one that fails.
    #[error("the pass did not end within {0} s: the API server does not answer")]
    Timeout(u64),
}

/// Says what was being asked of the API server.
pub fn asking(what: impl Into<String>) -> impl FnOnce(kube::Error) -> PassError {
    let what = what.into();
    move |error| PassError::Api(what, Box::new(error))
}
