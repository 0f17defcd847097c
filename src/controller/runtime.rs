//! The operator as a process: logs, health, the Lease, the watches, and an orderly end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::TryStreamExt as _;
use futures::stream::{self, StreamExt as _};
use k8s_openapi::api::batch::v1::Job;
use kube::api::ListParams;
use kube::runtime::controller::Config;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{Controller, PredicateConfig, WatchStreamExt as _, reflector, watcher};
use kube::{Api, Client, ResourceExt as _};
use kube_lease_manager::LeaseManagerBuilder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use crate::api::{MigrationApproval, SchemaMigration};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::{endpoint, logs};

use super::context::{Context, Flags};
use super::failpoints::{Boundary, around};
use super::health::{self, NotReady};
use super::reconcile::{name_of, on_error, reconcile};
use super::tasks::Tasks;
use super::watched::Watched;

const LEASE_SECONDS: u64 = 15;
const LEASE_GRACE_SECONDS: u64 = 5;
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(20);
const LOOK_FOR_DEFINITIONS: Duration = Duration::from_secs(5);
/// Migrations that one answer of the API server may hold: it is in memory as a whole.
const PAGE: u32 = 25;
/// Passes begun in quick succession for one migration become one.
const DEBOUNCE: Duration = Duration::from_millis(10);

/// Runs the operator until it is told to stop.
///
/// # Errors
/// With a message, when it cannot go on: no API server, no address, the Lease lost.
pub fn run(flags: Flags) -> Result<(), String> {
    logs::begin(&flags.log_level)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("starting the asynchronous runtime: {error}"))?;
    runtime.block_on(Box::pin(operate(flags)))
}

async fn operate(flags: Flags) -> Result<(), String> {
    let stop = CancellationToken::new();
    listen_for_signals(&stop)?;
    // Served until the end of the work and not until it is asked for: who stops serving stops the process.
    let serving = CancellationToken::new();
    let (readiness, ready) = watch::channel::<NotReady>(Some("starting".to_owned()));
    let health = tokio::spawn(health::serve(flags.health_address, ready, serving.child_token()));
    let metrics = Arc::new(Metrics::new());
    let told = tokio::spawn(endpoint::serve(flags.metrics_address, metrics.clone(), serving.child_token()));
    let client = Client::try_default().await.map_err(|error| format!("connecting to the API server: {error}"))?;
    let result = tokio::select! {
        result = Box::pin(lead(client, flags, metrics, &readiness, &stop)) => result,
        ended = health => served("health", ended),
        ended = told => served("metrics", ended),
    };
    serving.cancel();
    result
}

/// How an endpoint ended, which none does while there is work.
fn served(name: &str, ended: Result<Result<(), String>, JoinError>) -> Result<(), String> {
    match ended {
        Ok(Ok(())) => Err(format!("the endpoint of {name} ended")),
        Ok(Err(message)) => Err(message),
        Err(error) => Err(format!("the endpoint of {name} ended: {error}")),
    }
}

fn listen_for_signals(stop: &CancellationToken) -> Result<(), String> {
    let listen = |kind| signal(kind).map_err(|error| format!("listening for signals: {error}"));
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let stop = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    });
    Ok(())
}

async fn lead(
    client: Client,
    flags: Flags,
    metrics: Arc<Metrics>,
    readiness: &watch::Sender<NotReady>,
    stop: &CancellationToken,
) -> Result<(), String> {
    if !definitions_present(&client, &flags, readiness, stop).await {
        return Ok(());
    }
    // A replica that only waits for the Lease is ready: it can take over at any moment.
    readiness.send_replace(None);
    let manager = LeaseManagerBuilder::new(client.clone(), &flags.lease_name)
        .with_namespace(&flags.lease_namespace)
        .with_identity(&flags.identity)
        .with_duration(LEASE_SECONDS)
        .with_grace(LEASE_GRACE_SECONDS)
        .build()
        .await
        .map_err(|error| format!("using the Lease {}/{}: {error}", flags.lease_namespace, flags.lease_name))?;
    let (mut leading, lease) = manager.watch().await;
    // The Lease is taken by a task of its own, so that the first of the two points may lie after it.
    let begun = tokio::select! {
        begun = around(Boundary::LeaseTaken, leading.wait_for(|leads| *leads)) => begun.is_ok(),
        () = stop.cancelled() => false,
    };
    let mut result = Ok(());
    if begun {
        tracing::info!(identity = flags.identity, "leading");
        metrics.lead(true);
        let (tasks, woken) = Tasks::new(metrics.clone());
        let leads = Arc::new(AtomicBool::new(true));
        let context = Arc::new(Context::new(client, flags, tasks, leads.clone(), metrics.clone()));
        let working = CancellationToken::new();
        let mut controllers = tokio::spawn(control(context.clone(), woken, working.clone()));
        tokio::select! {
            () = stop.cancelled() => {}
            _ = leading.wait_for(|leads| !*leads) => result = Err("the Lease was lost; another replica leads".to_owned()),
            ended = &mut controllers => result = Err(format!("the watches ended: {ended:?}")),
        }
        readiness.send_replace(Some("ending".to_owned()));
        leads.store(false, Ordering::SeqCst);
        metrics.lead(false);
        working.cancel();
        context.turns.close();
        context.tasks.shut_down(SHUTDOWN_LIMIT).await;
    }
    drop(leading);
    match tokio::time::timeout(SHUTDOWN_LIMIT, lease).await {
        Ok(Ok(Ok(_))) => {}
        Ok(Ok(Err(error))) => tracing::warn!(%error, "the Lease could not be given back; it expires"),
        Ok(Err(error)) => tracing::warn!(%error, "the Lease's task ended badly; the Lease expires"),
        Err(_) => tracing::warn!("the Lease could not be given back in time; it expires"),
    }
    result
}

/// Waits for the resource definitions, not ready meanwhile.
async fn definitions_present(
    client: &Client,
    flags: &Flags,
    readiness: &watch::Sender<NotReady>,
    stop: &CancellationToken,
) -> bool {
    loop {
        let api: Api<SchemaMigration> = match flags.watch_namespaces.first() {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        };
        let Err(error) = api.list(&ListParams::default().limit(1)).await else { return true };
        let reason = format!("SchemaMigrations cannot be listed: {error}: is the chart holdfast-crds installed?");
        tracing::warn!("{reason}");
        readiness.send_replace(Some(reason));
        tokio::select! {
            () = stop.cancelled() => return false,
            () = tokio::time::sleep(LOOK_FOR_DEFINITIONS) => {}
        }
    }
}

async fn control(
    context: Arc<Context>,
    mut woken: mpsc::UnboundedReceiver<ObjectRef<SchemaMigration>>,
    stop: CancellationToken,
) {
    let namespaces: Vec<Option<String>> = if context.flags.watch_namespaces.is_empty() {
        vec![None]
    } else {
        context.flags.watch_namespaces.iter().cloned().map(Some).collect()
    };
    let (calls, _) = broadcast::channel::<ObjectRef<SchemaMigration>>(1024);
    let forward = calls.clone();
    let forwarding = tokio::spawn(async move {
        while let Some(migration) = woken.recv().await {
            // No receiver: no controller listens any more.
            let _ = forward.send(migration);
        }
    });
    let controllers = namespaces.into_iter().map(|namespace| {
        let calls = stream::unfold(calls.subscribe(), |mut receiver| async move {
            loop {
                match receiver.recv().await {
                    Ok(migration) => return Some((migration, receiver)),
                    // A call that is lost is made up for by the regular look.
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        });
        let here = namespace.clone();
        let calls = calls.filter(move |migration| {
            let wanted = here.is_none() || migration.namespace == here;
            async move { wanted }
        });
        one_controller(context.clone(), namespace, calls, stop.clone())
    });
    futures::future::join_all(controllers).await;
    forwarding.abort();
}

async fn one_controller(
    context: Arc<Context>,
    namespace: Option<String>,
    calls: impl futures::Stream<Item = ObjectRef<SchemaMigration>> + Send + 'static,
    stop: CancellationToken,
) {
    let client = context.client.clone();
    let migrations: Api<Watched> = scoped(&client, namespace.as_deref());
    let jobs: Api<Job> = scoped(&client, namespace.as_deref());
    let approvals: Api<MigrationApproval> = scoped(&client, namespace.as_deref());
    let ours = watcher::Config::default().labels("app.kubernetes.io/managed-by=holdfast");
    let held = context.clone();
    let (reader, writer) = reflector::store();
    // A status that was written calls no pass by itself: the pass that wrote it knows when the next one is due.
    let seen = reflector(writer, watcher(migrations, watcher::Config::default().page_size(PAGE)))
        .map_ok(Watched::noticing_deletion)
        .touched_objects()
        .predicate_filter(Watched::asked, PredicateConfig::default());
    // How many passes there are at once is up to their turns.
    Controller::for_stream(seen, reader)
        .with_config(Config::default().debounce(DEBOUNCE))
        .owns(jobs, ours)
        .watches(approvals, watcher::Config::default(), |approval: MigrationApproval| {
            let namespace = approval.namespace().unwrap_or_default();
            Some(ObjectRef::new(&approval.spec.migration_ref.name).within(&namespace))
        })
        .reconcile_on(calls.map(|migration| migration.into_kind_unchecked(())))
        .graceful_shutdown_on(async move { stop.cancelled().await })
        .run(reconcile, on_error, context)
        .for_each(|result| {
            match result {
                Ok(_) => {}
                // Called for, and not there any more: for such a one there is no pass.
                Err(kube::runtime::controller::Error::ObjectNotFound(gone)) => {
                    held.tasks.abandon(&gone.name, gone.namespace.as_deref(), None);
                    held.metrics.forget(&name_of(&gone.name, gone.namespace.as_deref()));
                }
                // Errors of passes are told where they happen; what is left are those of the watches.
                Err(error) => tracing::debug!(%error, "watch"),
            }
            std::future::ready(())
        })
        .await;
}

fn scoped<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}
