//! The API's listener: HTTP/1.1 with bounds on everything a stranger could make large or slow, and a
//! graceful end. `node` binds the listener, hands over the router that `api::router` made, and a
//! future that ends when it is time to stop. It knows no route.
//!
//! | bound | value | what happens |
//! |---|---|---|
//! | connections at once | `Options::connections` | more wait in the kernel's queue |
//! | a request's head, and an idle connection | `HEAD_WITHIN` | closed |
//! | a head | `HEAD_BYTES`, `HEADERS` | 431, 414, by `head` where hyper says nothing |
//! | a body | `api::input` | 413, 408 |
//! | what is left of a refused one | `body`, then `socket` | read and dropped, then closed in stages |
//! | an idle connection after the stop | `LINGER` | closed |
//! | the end of open requests after that | `Options::drain` | closed |
//!
//! A node that is about to stop says `Connection: close` with each answer, and lets go of what is idle
//! last: whose request meets the close of its connection cannot know whether it was carried out.

mod body;
mod head;
mod socket;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::header::CONNECTION;
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::{from_fn, map_response};
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tower_http::cors::{AllowOrigin, CorsLayer};

use self::socket::Socket;
use crate::listen::{Connection, Listeners};

/// How long a head may take, and how long a connection may be idle. Not a round number: clients that
/// poll every 5, 10 or 15 s would meet the close with their next request.
const HEAD_WITHIN: Duration = Duration::from_secs(13);
/// The longest head, in bytes.
const HEAD_BYTES: usize = 64 * 1_024;
/// The most headers.
const HEADERS: usize = 100;
/// How long a browser may remember what it may send, in seconds.
const PREFLIGHT_AGE: Duration = Duration::from_hours(1);
/// How long after the stop a connection on which nothing is under way may still bring a request: it may
/// be on its way, or the connection is so new that nothing was read from it.
const LINGER: Duration = Duration::from_secs(1);
/// Between two looks at whether all connections have ended.
const AGAIN: Duration = Duration::from_millis(10);
/// How long to wait before accepting again when the process is out of file descriptors.
const BREATH: Duration = Duration::from_millis(100);

/// How the server behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// The most connections at once.
    pub connections: usize,
    /// How long requests that are under way may take after the stop.
    pub drain: Duration,
    /// Set when the node is about to stop: from then on each answer is the last on its connection.
    pub leaving: Arc<AtomicBool>,
    /// `Access-Control-Allow-Origin`; `None`: browsers of other origins are not let in.
    pub allowed_origin: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 4_096,
            drain: Duration::from_secs(10),
            leaving: Arc::default(),
            allowed_origin: None,
        }
    }
}

/// Serves until `stop` ends and what is under way then is answered (or took too long).
pub async fn serve(
    listeners: impl Into<Listeners>,
    router: Router,
    options: Options,
    stop: impl Future<Output = ()> + Send,
) {
    let listeners = listeners.into();
    let leaving = options.leaving;
    let router = with_cors(router, options.allowed_origin.as_deref())
        .layer(map_response(move |answer| std::future::ready(last_if(&leaving, answer))))
        .layer(from_fn(head::enter));
    let service = TowerToHyperService::new(router);
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .pipeline_flush(true);
    let room = Arc::new(Semaphore::new(options.connections));
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    let attend = |stream: TcpStream, address: SocketAddr, place: Option<Place>| {
        // Small answers must not wait for more; a socket that refuses it works too.
        let _ = stream.set_nodelay(true);
        let socket = Socket::new(stream);
        let (service, connection) = (service.clone(), Connection::new(address));
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(connection.clone());
            service.call(request)
        });
        let served = http.serve_connection(TokioIo::new(socket.clone()), service);
        let served = graceful.watch(served);
        tokio::spawn(async move {
            match served.await {
                Ok(()) => socket.finish(None).await,
                Err(error) => {
                    tracing::debug!(%error, "a connection ended early");
                    if error.is_parse() {
                        let last = socket.unanswered();
                        let last = last.and_then(|line| head::unreadable(&error, line));
                        socket.finish(last).await;
                    }
                }
            }
            drop(place);
        });
    };
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listeners, &room) => accepted,
        };
        if let Some((stream, address, place)) = accepted {
            attend(stream, address, Some(place));
        }
    }
    // Who is connected already, as far as the system is concerned, is not turned away.
    for listener in listeners.into_std() {
        while let Ok((stream, address)) = listener.accept() {
            if stream.set_nonblocking(true).is_ok()
                && let Ok(stream) = TcpStream::from_std(stream)
            {
                attend(stream, address, None);
            }
        }
    }
    let all_ended = async {
        while graceful.count() > 0 {
            tokio::time::sleep(AGAIN).await;
        }
    };
    // Whether they all have, or the time is over: what is left is asked to end.
    let _ = tokio::time::timeout(LINGER, all_ended).await;
    if tokio::time::timeout(options.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still under way when the time to stop was over");
    }
}

type Place = tokio::sync::OwnedSemaphorePermit;

async fn accept(
    listeners: &Listeners,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, Place)> {
    let place = room.clone().acquire_owned().await.ok()?;
    match listeners.accept_any().await {
        Ok((stream, address)) => Some((stream, address, place)),
        Err(error) => {
            // Either that one client is gone again, or the process has too many files open.
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(BREATH).await;
            None
        }
    }
}

/// The last answer of its connection, if the node is about to stop.
fn last_if(leaving: &AtomicBool, mut answer: Response) -> Response {
    if leaving.load(Ordering::Relaxed) {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
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
