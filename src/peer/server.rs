//! The server behind `RaftAddress`. Each message is authenticated (`auth`) before its handler sees
//! it, and before its body is read. A refusal is logged once a minute for each sender and status.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;
use tower_http::timeout::TimeoutBody;

use super::auth::admit;
use super::headers::{LEVEL, NODE, level};
use super::peers::Peers;
use super::refusal::Refusal;
use crate::listen::{self, Connection, Listeners};
use crate::telemetry::LogLimit;

/// The longest message body that is read, in bytes (snapshots are streamed and not bound by it).
pub const MAX_BODY: usize = 64 << 20;
/// The most bytes of message bodies in memory at once; more wait for their turn.
const BODIES: usize = 256 << 20;
/// The bytes of one unit of room for bodies.
const ROOM: usize = 1_024;
/// The longest pause in the bytes of a body.
const BODY_SILENCE: Duration = Duration::from_secs(30);

/// The number of connections that there may be at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Those that have not shown the cluster's token.
    pub strangers: usize,
    /// Those that have.
    pub members: usize,
}

impl Default for Bounds {
    /// The bounds of a cluster of three on a system with enough descriptors.
    fn default() -> Self {
        Self { strangers: 40, members: 1_024 }
    }
}

/// The state of the middleware that every message passes.
#[derive(Clone)]
struct PeerServer {
    peers: Peers,
    /// The log lines about refusals, by status and sender.
    lines: Arc<LogLimit<(u16, Option<IpAddr>)>>,
    /// Room for message bodies, in units of [`ROOM`].
    room: Arc<Semaphore>,
}

/// Serves peer routes on a listener until `stop` resolves. Run it on the core runtime.
pub async fn serve(
    listeners: Listeners,
    peers: Peers,
    routes: Router,
    bounds: Bounds,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let room = Arc::new(Semaphore::new(BODIES / ROOM));
    let server = PeerServer { peers, lines: Arc::default(), room };
    let app = routes
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(server, enter));
    let bounds = listen::Bounds::raft(bounds.strangers, bounds.members);
    listen::serve(listeners, app, bounds, stop).await;
}

async fn enter(State(server): State<PeerServer>, mut request: Request, next: Next) -> Response {
    let connection = request.extensions().get::<Connection>().cloned();
    let admitted = admit(&server.peers, connection.as_ref(), request.headers());
    let caller = match admitted {
        Ok(caller) => caller,
        Err(refusal) => {
            let from = connection.map(|connection| connection.address().ip());
            if let Some(unsaid) = server.lines.admit((refusal.status.as_u16(), from)) {
                tracing::warn!(
                    status = %refusal.status,
                    from = from.map(tracing::field::display),
                    unsaid,
                    message = %refusal.message,
                    "a peer message was refused"
                );
            }
            return refusal.into_response();
        }
    };
    // Held until the message is answered. A message without a length is a stream, which its handler
    // does not gather.
    let length = request.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    let units = length.unwrap_or(0_usize).min(MAX_BODY).div_ceil(ROOM) as u32;
    let Ok(_room) = server.room.acquire_many(units).await else {
        return Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "this node stops").into_response();
    };
    server.peers.note_level(caller.node, level(request.headers()));
    request.extensions_mut().insert(caller);
    let request = request.map(|body| Body::new(TimeoutBody::new(BODY_SILENCE, body)));
    let mut response = next.run(request).await;
    let own = server.peers.identity();
    if own.level > 1 {
        response.headers_mut().insert(NODE, HeaderValue::from(own.node));
        response.headers_mut().insert(LEVEL, HeaderValue::from(own.level));
    }
    response
}
