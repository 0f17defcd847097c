//! `GET /metrics`, on an address of its own, so that who may scrape need not reach the probes, and the other way round.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers until it is stopped.
///
/// # Errors
/// When the address cannot be had.
pub async fn serve(address: SocketAddr, metrics: Arc<Metrics>, stop: CancellationToken) -> Result<(), String> {
    let router = Router::new().route("/metrics", get(scrape)).with_state(metrics);
    let listener =
        tokio::net::TcpListener::bind(address).await.map_err(|error| format!("listening on {address}: {error}"))?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "metrics are served");
    }
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { stop.cancelled().await })
        .await
        .map_err(|error| format!("serving {address}: {error}"))
}

async fn scrape(State(metrics): State<Arc<Metrics>>) -> Response {
    match metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("the metrics cannot be written: {error}\n")).into_response()
        }
    }
}
