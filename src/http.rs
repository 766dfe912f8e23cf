//! `/metrics`, `/healthz` and `/readyz`.

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// What the endpoints ask the service.
pub trait Inside: Send + Sync + 'static {
    /// The text that Prometheus scrapes (OpenMetrics).
    ///
    /// # Errors
    /// Only if writing to a string fails.
    fn metrics(&self) -> Result<String, fmt::Error>;

    /// # Errors
    /// One line: why the process should be restarted.
    fn healthy(&self) -> Result<(), String>;

    /// # Errors
    /// One line: what the service waits for.
    fn ready(&self) -> Result<(), String>;
}

/// Takes the address, so that a port in use is known before anything else starts.
///
/// # Errors
/// A message that names the address and the key to change.
pub fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    let listener = TcpListener::bind(address)
        .map_err(|e| format!("cannot listen on {address} for metrics and health: {e}; set http.listen to another"))?;
    listener.set_nonblocking(true).map_err(|e| format!("cannot listen on {address}: {e}"))?;
    Ok(listener)
}

/// Answers until the runtime ends.
///
/// # Errors
/// When the listener breaks.
pub async fn serve(listener: TcpListener, inside: Arc<dyn Inside>) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    axum::serve(listener, router(inside)).await
}

fn router(inside: Arc<dyn Inside>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|State(inside): State<Arc<dyn Inside>>| async move { verdict(inside.healthy()) }))
        .route("/readyz", get(|State(inside): State<Arc<dyn Inside>>| async move { verdict(inside.ready()) }))
        .with_state(inside)
}

async fn metrics(State(inside): State<Arc<dyn Inside>>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match inside.metrics() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn verdict(result: Result<(), String>) -> (StatusCode, String) {
    match result {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason + "\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_said_plainly() {
        let taken = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = taken.local_addr().unwrap();
        let message = bind(address).unwrap_err();
        assert!(message.contains(&address.to_string()) && message.contains("http.listen"), "{message}");
    }
}
