//! Serves a router on the listeners of the API, with CORS where an origin is allowed.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::header::CONNECTION;
use axum::http::{HeaderName, HeaderValue, Method};
use axum::response::Response;
use tower::ServiceExt;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::head;
use crate::listen::{self, Application, Bounds, Listeners};

/// The time for which a browser may remember the answer to a preflight request.
const PREFLIGHT_AGE: Duration = Duration::from_hours(1);

/// The options of the server.
#[derive(Clone, Debug)]
pub struct Options {
    /// The bounds of connections, heads and times.
    pub bounds: Bounds,
    /// Set when the node is about to stop: each answer after that is the last on its connection.
    pub leaving: Arc<AtomicBool>,
    /// The value of `Access-Control-Allow-Origin`; without it browsers of other origins are
    /// refused.
    pub allowed_origin: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { bounds: Bounds::api(4_096, Some(64)), leaving: Arc::default(), allowed_origin: None }
    }
}

/// Serves until `stop` ends and the requests under way then are answered, or took too long.
pub async fn serve(
    listeners: impl Into<Listeners>,
    router: Router,
    options: Options,
    stop: impl Future<Output = ()> + Send,
) {
    let Options { bounds, leaving, allowed_origin } = options;
    let router = with_cors(router, allowed_origin.as_deref());
    listen::serve(listeners, Api { router, leaving }, bounds, stop).await;
}

/// The API as an application of `listen`.
#[derive(Clone)]
struct Api {
    router: Router,
    leaving: Arc<AtomicBool>,
}

impl Application for Api {
    async fn answer(&self, request: Request) -> Response {
        let mut answer = head::enter(request, |request| self.route(request)).await;
        if self.leaving.load(Ordering::Relaxed) {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }

    fn unreadable(&self, error: &hyper::Error, line: usize) -> Option<Vec<u8>> {
        head::unreadable(error, line)
    }
}

impl Api {
    async fn route(&self, request: Request) -> Response {
        let answered: Result<_, Infallible> = self.router.clone().oneshot(request).await;
        answered.unwrap_or_else(|never| match never {})
    }
}

/// Adds the CORS headers, if an origin is allowed.
fn with_cors(router: Router, origin: Option<&str>) -> Router {
    let Some(origin) = origin else { return router };
    let allowed = match HeaderValue::from_str(origin) {
        Ok(_) if origin == "*" => AllowOrigin::any(),
        Ok(value) => AllowOrigin::exact(value),
        Err(_) => {
            tracing::warn!("AllowedOrigin is not a valid header value: no origin is allowed");
            return router;
        }
    };
    let requested = [
        "content-type",
        "authorization",
        "x-api-key",
        "x-secret-key",
        "x-account-id",
        "x-peer",
        "idempotency-key",
        "if-match",
        "if-none-match",
        "prefer",
    ];
    let exposed = ["location", "etag", "retry-after", "preference-applied", "x-scheduler0-warning"];
    router.layer(
        CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            .allow_headers(requested.map(HeaderName::from_static))
            .expose_headers(exposed.map(HeaderName::from_static))
            .max_age(PREFLIGHT_AGE),
    )
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
