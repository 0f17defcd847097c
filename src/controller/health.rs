//! `/livez` and `/readyz`. A cluster without the resource definitions makes the operator not ready, but does not restart it:
//! a restart would not bring them.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Why the operator is not ready; `None`: it is.
pub type NotReady = Option<String>;

/// Answers until it is stopped.
///
/// # Errors
/// When the address cannot be had.
pub async fn serve(
    address: SocketAddr,
    readiness: watch::Receiver<NotReady>,
    stop: CancellationToken,
) -> Result<(), String> {
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(Arc::new(readiness));
    let listener =
        tokio::net::TcpListener::bind(address).await.map_err(|error| format!("listening on {address}: {error}"))?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "health is served");
    }
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { stop.cancelled().await })
        .await
        .map_err(|error| format!("serving {address}: {error}"))
}

async fn ready(State(readiness): State<Arc<watch::Receiver<NotReady>>>) -> (StatusCode, String) {
    match readiness.borrow().clone() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}
