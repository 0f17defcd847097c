//! `dashboard`: the page of `report`, served on loopback, where it replaces itself when the object changes. It only reads, with the rights
//! of whoever runs it, and only for those who know its address, which holds a token.

mod access;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use kube::api::ListParams;
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::access::{Asked, Door, Refused};
use super::connection::{Cluster, failed};
use super::failure::Failure;
use super::report::{Objects, Plans};
use super::status::watch_failure;
use super::terminal::print;
use crate::api::SchemaMigration;
use crate::report::{Kind, list, page, policy};

/// A page that asks for a later one is answered after so long at the latest: its times go on.
const LATEST: Duration = Duration::from_secs(20);

/// Arguments of `dashboard`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Name of the SchemaMigration. Left out: all of the namespace.
    name: Option<String>,
    /// TCP port of 127.0.0.1. Left out: one that is free.
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    port: u16,
}

/// What answers.
struct Server {
    cluster: Cluster,
    door: Door,
    plans: Plans,
    /// Counts what was seen to change.
    version: watch::Receiver<u64>,
}

/// Serves until it is interrupted.
///
/// # Errors
/// When the migration cannot be read or watched, or the port is taken.
pub async fn run(cluster: Cluster, arguments: &Arguments) -> Result<(), Failure> {
    // What is not there, or may not be read, is told at once.
    match &arguments.name {
        Some(name) => drop(cluster.migration(name).await?),
        None => drop(migrations(&cluster).await?),
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port));
    let taken =
        |error| Failure::unavailable(format!("{address} cannot be listened on: {error}; name another --port, or none"));
    let listener = TcpListener::bind(address).await.map_err(taken)?;
    let port = listener.local_addr().map_err(taken)?.port();
    let door = Door::new(port, arguments.name.clone())
        .map_err(|error| Failure::unavailable(format!("this machine gives no random numbers: {error}")))?;
    print(&format!(
        "{}\nRead-only, on this machine only, and up to date by itself. It ends with Ctrl-C.\n",
        door.address()
    ))?;
    let (told, version) = watch::channel(0);
    let watching = changes(cluster.clone(), arguments.name.clone(), told);
    let server = Arc::new(Server { cluster, door, plans: Plans::default(), version });
    let router = Router::new().fallback(answer).with_state(server);
    tokio::select! {
        served = axum::serve(listener, router).into_future() => {
            served.map_err(|error| Failure::unavailable(format!("serving {address}: {error}")))
        }
        failure = watching => Err(failure),
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.map_err(|error| Failure::unavailable(format!("waiting for Ctrl-C: {error}")))
        }
    }
}

async fn migrations(cluster: &Cluster) -> Result<Vec<SchemaMigration>, Failure> {
    let api = cluster.api::<SchemaMigration>();
    let list = api.list(&ListParams::default()).await;
    Ok(list.map_err(|error| failed("listing SchemaMigrations", &error))?.items)
}

/// Counts changes for as long as they can be watched, and returns why they cannot.
async fn changes(cluster: Cluster, name: Option<String>, told: watch::Sender<u64>) -> Failure {
    let api = cluster.api::<SchemaMigration>();
    let what = name.as_deref().unwrap_or_default();
    let config = match &name {
        Some(name) => watcher::Config::default().fields(&format!("metadata.name={name}")),
        None => watcher::Config::default(),
    };
    let mut stream = watcher(api, config).default_backoff().boxed();
    loop {
        match stream.try_next().await {
            Ok(Some(_)) => told.send_modify(|version| *version += 1),
            Ok(None) => return Failure::unavailable("the watch ended: run the command again"),
            Err(error) => {
                let (failure, lasting) = watch_failure(what, &error);
                if lasting {
                    return failure;
                }
                eprintln!("kubectl holdfast: {failure}; trying again");
            }
        }
    }
}

async fn answer(State(server): State<Arc<Server>>, request: Request) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let response = match server.door.ask(request.method(), host, request.uri()) {
        Ok(asked) => server.page(asked).await,
        Err(refused) => refusal(refused),
    };
    guarded(response)
}

fn refusal(refused: Refused) -> Response {
    let (status, text) = match refused {
        Refused::Method => (StatusCode::METHOD_NOT_ALLOWED, "this page can only be read: GET or HEAD\n"),
        Refused::Host => (StatusCode::MISDIRECTED_REQUEST, "this page is for 127.0.0.1 and localhost only\n"),
        Refused::Address => (StatusCode::NOT_FOUND, "no such page: use the address that the command printed\n"),
    };
    let mut response = (status, text).into_response();
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

/// What every answer bears: it is kept nowhere, shown in no frame, and taken for nothing else than it is.
fn guarded(mut response: Response) -> Response {
    let policy = format!("{}; frame-ancestors 'none'", policy(Kind::Live { version: "" }));
    let headers = [
        (header::CONTENT_SECURITY_POLICY, policy.as_str()),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

impl Server {
    /// The page that is asked for, at once or when it differs from the one that is known.
    async fn page(&self, asked: Asked) -> Response {
        let mut version = self.version.clone();
        if let Some(known) = asked.after {
            // When nothing changes for so long, the page is written anew all the same: its times go on.
            let _ = tokio::time::timeout(LATEST, version.wait_for(|version| *version != known)).await;
        }
        let version = version.borrow().to_string();
        let kind = Kind::Live { version: &version };
        let written = match &asked.name {
            Some(name) => {
                let objects = Objects::read(&self.cluster, name, &self.plans).await;
                objects.map(|objects| page(&objects.report(Timestamp::now()), kind))
            }
            None => migrations(&self.cluster).await.map(|migrations| list(&self.cluster.namespace, &migrations, kind)),
        };
        match written {
            Ok(page) => ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page.0).into_response(),
            Err(failure) => (StatusCode::BAD_GATEWAY, format!("{failure}\n")).into_response(),
        }
    }
}
