//! The API's server: `crate::listen` accepts and bounds the connections, and what holds of every
//! request before a route sees it, and what an answer leaves of its body, stands here. `node` binds the listener,
//! hands over the router that `api::router` made, and a future that ends when it is time to stop. It
//! knows no route.
//!
//! | bound | value | what happens |
//! |---|---|---|
//! | connections, heads, idle time, answers that are not taken | `Options::bounds` | see `listen` |
//! | a head | `Bounds::head_bytes`, `Bounds::headers` | 431, 414, by `head` where hyper says nothing |
//! | a body | `api::input` | 413, 408, 503 |
//! | what is left of a refused one | `body`, then `listen` | read and dropped, then closed in stages |
//!
//! A node that is about to stop says `Connection: close` with each answer, and lets go of what is idle
//! last: whose request meets the close of its connection cannot know whether it was carried out.

mod body;
mod head;

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

use crate::listen::{self, Application, Bounds, Listeners};

/// How long a browser may remember what it may send, in seconds.
const PREFLIGHT_AGE: Duration = Duration::from_hours(1);

/// How the server behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// What a stranger could make many, large or slow.
    pub bounds: Bounds,
    /// Set when the node is about to stop: from then on each answer is the last on its connection.
    pub leaving: Arc<AtomicBool>,
    /// `Access-Control-Allow-Origin`; `None`: browsers of other origins are not let in.
    pub allowed_origin: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { bounds: Bounds::api(4_096, Some(64)), leaving: Arc::default(), allowed_origin: None }
    }
}

/// Serves until `stop` ends and what is under way then is answered (or took too long).
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

/// The API as a port sees it.
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

/// Adds what browsers ask for, if an origin is allowed.
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
mod tests;
