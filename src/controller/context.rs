//! What every pass shares: the client, the flags, the tasks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::runtime::events::{Recorder, Reporter};
use kube::{Api, Client};
use tokio::sync::Semaphore;

use crate::api::gates::GatedPhase;
use crate::telemetry::logs::LogLevels;
use crate::telemetry::metrics::Metrics;

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
    /// Address of /metrics.
    #[arg(long, default_value = "0.0.0.0:8081")]
    pub metrics_address: SocketAddr,
    /// From which level on is logged: off, error, warn, info, debug or trace, and others for modules: info,holdfast::mysql=debug.
    #[arg(long, env = "HOLDFAST_LOG_LEVEL", default_value = "info,kube_lease_manager=warn")]
    pub log_level: LogLevels,
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
    /// What is told about the work.
    pub metrics: Arc<Metrics>,
    /// Turns for passes, handed out in the order in which they were asked for. What is due waits in no order of its own in
    /// kube-runtime, so that some migrations would be looked at again and again while others wait.
    pub turns: Semaphore,
}

impl Context {
    /// Joins them.
    #[must_use]
    pub fn new(client: Client, flags: Flags, tasks: Tasks, leads: Arc<AtomicBool>, metrics: Arc<Metrics>) -> Self {
        let reporter = Reporter { controller: "holdfast".to_owned(), instance: Some(flags.identity.clone()) };
        let recorder = Recorder::new(client.clone(), reporter);
        let turns = Semaphore::new(usize::from(flags.concurrency.max(1)));
        Self { client, flags, tasks, recorder, leads, metrics, turns }
    }

    /// Makes sure that this replica leads at this moment, which the API server is asked: a process that was paused or cut off learns
    /// last that it leads no more. For the moment before something is done that cannot be taken back.
    ///
    /// # Errors
    /// [`PassError::NotLeading`], or when the API server cannot be asked.
    pub async fn check_leads(&self) -> Result<(), PassError> {
        let (namespace, name) = (&self.flags.lease_namespace, &self.flags.lease_name);
        let not_leading = |holder: String| PassError::NotLeading(format!("{namespace}/{name}"), holder);
        if !self.leads.load(Ordering::SeqCst) {
            return Err(not_leading("another replica".to_owned()));
        }
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), namespace);
        let lease = leases.get(name).await.map_err(asking(format!("reading the Lease {namespace}/{name}")))?;
        let spec = lease.spec.unwrap_or_default();
        if holds(&spec, &self.flags.identity, Timestamp::now()) {
            return Ok(());
        }
        Err(not_leading(spec.holder_identity.unwrap_or_else(|| "nobody".to_owned())))
    }
}

/// Whether a Lease is a replica's now. One that ran out may be taken by another one in this instant.
fn holds(lease: &LeaseSpec, identity: &str, now: Timestamp) -> bool {
    let Some(renewed) = &lease.renew_time else { return false };
    let seconds = lease.lease_duration_seconds.unwrap_or(0);
    let fresh = now.duration_since(renewed.0).as_secs() < i64::from(seconds);
    fresh && lease.holder_identity.as_deref() == Some(identity)
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
    /// Another replica leads.
    #[error("the Lease {0} is held by {1} by now, so nothing is begun here")]
    NotLeading(String, String),
    /// A pass that does not end is as bad as one that fails.
    #[error("the pass did not end within {0} s: the API server does not answer")]
    Timeout(u64),
}

/// Says what was being asked of the API server.
pub fn asking(what: impl Into<String>) -> impl FnOnce(kube::Error) -> PassError {
    let what = what.into();
    move |error| PassError::Api(what, Box::new(error))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

    #[test]
    fn a_lease_is_held_by_whom_it_names_until_it_runs_out() {
        let renewed: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let lease = LeaseSpec {
            holder_identity: Some("one".to_owned()),
            renew_time: Some(MicroTime(renewed)),
            lease_duration_seconds: Some(15),
            ..LeaseSpec::default()
        };
        let after = |seconds: i64| renewed + jiff::SignedDuration::from_secs(seconds);
        assert!(holds(&lease, "one", after(14)));
        assert!(!holds(&lease, "one", after(15)), "it may be taken in this instant");
        assert!(!holds(&lease, "two", after(1)));
        assert!(!holds(&LeaseSpec { renew_time: None, ..lease.clone() }, "one", renewed));
        assert!(!holds(&LeaseSpec { holder_identity: None, ..lease }, "one", renewed));
    }
}
