//! The service of a port: connections are accepted, bounded and served with HTTP/1 until the stop;
//! then requests under way are answered. `server` serves the API with it, `peer` the messages
//! between nodes. The [`Application`] makes the answers. This file knows no route, no credential
//! and no text.
//!
//! | event | effect |
//! |---|---|
//! | too many connections, idle ones, slow heads and answers | `registry` closes some |
//! | a head that is too long, or not HTTP/1 | [`Application::unreadable`], then closed in stages |
//! | a body below the least speed | its reader gets [`Slow`](super::Slow) |
//! | an answer on an anonymous connection | the last one after 401, or after some |
//! | the stop | idle connections have `Bounds::linger`, requests `Bounds::drain` |

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpStream;
use tower::ServiceExt;

use super::answer::Answer;
use super::bounds::Bounds;
use super::connection::Registry as _;
use super::listeners::Listeners;
use super::registry::{ConnectionRegistry, ConnectionSlot};
use super::socket::Socket;
use super::upload::Upload;
use crate::telemetry::LogLimit;

/// The time between two checks whether all connections have ended.
const END_POLL: Duration = Duration::from_millis(10);
/// The time after which a slot is sought again for a newcomer, where anonymous connections have
/// slots of their own: one may have become old enough to be closed.
const YOUNG_RETRY: Duration = Duration::from_millis(10);
/// The time before the next accept when the process is out of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// The application that answers the requests of a port.
pub trait Application: Clone + Send + Sync + 'static {
    /// The answer to one request. The extensions of the request hold its
    /// [`Connection`](super::Connection).
    fn answer(&self, request: Request) -> impl Future<Output = Response> + Send;

    /// The last bytes to a client whose head hyper refused; `None` for no answer. `line` is the
    /// length of the first line of the head, in bytes.
    fn unreadable(&self, _: &hyper::Error, _line: usize) -> Option<Vec<u8>> {
        None
    }
}

impl Application for Router {
    async fn answer(&self, request: Request) -> Response {
        let answered: Result<_, Infallible> = self.clone().oneshot(request).await;
        answered.unwrap_or_else(|never| match never {})
    }
}

/// Serves until `stop` ends and the requests under way then are answered, or took too long.
pub async fn serve(
    listeners: impl Into<Listeners>,
    application: impl Application,
    bounds: Bounds,
    stop: impl Future<Output = ()> + Send,
) {
    let listeners = listeners.into();
    let (linger, drain) = (bounds.linger, bounds.drain);
    let mut port = Port::new(application, bounds);
    let mut stop = std::pin::pin!(stop);
    let mut tick = tokio::time::interval(port.registry.bounds.tick());
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = &mut stop => break,
            _ = tick.tick() => port.registry.sweep(port.registry.now()),
            () = port.accept(&listeners) => {}
        }
    }
    // Clients that the system has connected already are not turned away.
    if let Some((stream, address)) = port.waiting.take() {
        port.serve_connection(stream, port.registry.admit_late(address));
    }
    for listener in listeners.into_std() {
        while let Ok((stream, address)) = listener.accept() {
            if stream.set_nonblocking(true).is_ok()
                && let Ok(stream) = TcpStream::from_std(stream)
            {
                port.serve_connection(stream, port.registry.admit_late(address));
            }
        }
    }
    let Port { registry, graceful, .. } = port;
    let ended = async {
        let all_ended = async {
            while graceful.count() > 0 {
                tokio::time::sleep(END_POLL).await;
            }
        };
        // In either case the connections that are left are asked to end.
        let _ = tokio::time::timeout(linger, all_ended).await;
        tokio::time::timeout(drain, graceful.shutdown()).await
    };
    let sweeps = async {
        loop {
            tick.tick().await;
            registry.sweep(registry.now());
        }
    };
    let in_time = tokio::select! {
        ended = ended => ended.is_ok(),
        () = sweeps => false,
    };
    if !in_time {
        tracing::warn!("requests were still under way when the time to stop was over");
    }
}

/// An open port.
struct Port<A> {
    application: A,
    http: http1::Builder,
    registry: Arc<ConnectionRegistry>,
    graceful: GracefulShutdown,
    /// A newcomer for which there is no slot yet.
    waiting: Option<(TcpStream, SocketAddr)>,
    lines: LogLimit<()>,
}

impl<A: Application> Port<A> {
    fn new(application: A, bounds: Bounds) -> Self {
        let mut http = http1::Builder::new();
        // The registry bounds the time of a head.
        http.header_read_timeout(None).max_buf_size(bounds.head_bytes).max_headers(bounds.headers);
        let (registry, graceful) = (ConnectionRegistry::new(bounds), GracefulShutdown::new());
        Self { application, http, registry, graceful, waiting: None, lines: LogLimit::new() }
    }

    /// Takes the next connection and serves it. Nothing is lost when the future is dropped.
    async fn accept(&mut self, listeners: &Listeners) {
        if self.waiting.is_none() {
            match listeners.accept_any().await {
                Ok(accepted) => self.waiting = Some(accepted),
                Err(error) => return self.failed(&error).await,
            }
        }
        let Some((_, address)) = &self.waiting else { return };
        // A connection that ends between the check and the wait leaves a notification.
        self.registry.set_wanted(true);
        let slot = self.registry.admit(*address, self.registry.now());
        if slot.is_none() {
            let freed = self.registry.freed();
            if self.registry.bounds.anonymous.is_none() {
                return freed.await;
            }
            // A slot was freed, or a connection is older now: the next call checks again.
            let _ = tokio::time::timeout(YOUNG_RETRY, freed).await;
            return;
        }
        self.registry.set_wanted(false);
        if let (Some((stream, _)), Some(slot)) = (self.waiting.take(), slot) {
            self.serve_connection(stream, slot);
            if self.registry.bounds.anonymous.is_some() {
                // The connection is read before the next one is accepted, as it may be a member's.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Handles a failed accept: the client is gone again, or the process has too many files open.
    async fn failed(&mut self, error: &std::io::Error) {
        if let Some(unsaid) = self.lines.admit(()) {
            let port = self.registry.bounds.name;
            tracing::warn!(%error, port, unsaid, "a connection could not be accepted");
        }
        self.registry.close_waiting();
        tokio::time::sleep(ACCEPT_RETRY).await;
    }

    /// Serves one connection in a task of its own.
    fn serve_connection(&self, stream: TcpStream, slot: ConnectionSlot) {
        // Small answers must not wait for more; a socket that refuses it works too.
        let _ = stream.set_nodelay(true);
        let (application, connection) = (self.application.clone(), slot.connection.clone());
        let anonymous_requests = self.registry.bounds.anonymous_requests;
        let socket = Socket::new(stream, connection.clone());
        let last_words = application.clone();
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let (application, connection) = (application.clone(), connection.clone());
            async move {
                let Some(under_way) = connection.begin_request() else {
                    // The task is being aborted.
                    return std::future::pending().await;
                };
                let mut request: Request<Body> = request.map(Upload::wrap);
                request.extensions_mut().insert(connection.clone());
                let mut response = application.answer(request).await;
                if connection.ends_with(response.status(), anonymous_requests) {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(Answer::of(response, under_way))
            }
        });
        let connection = slot.connection.clone();
        let served = self.http.serve_connection(TokioIo::new(socket.clone()), service);
        let served = self.graceful.watch(served);
        let task = tokio::spawn(async move {
            match served.await {
                Ok(()) => socket.finish(None).await,
                Err(error) => {
                    tracing::debug!(%error, "a connection ended early");
                    if error.is_parse() {
                        let line = socket.unanswered();
                        let last = line.and_then(|line| last_words.unreadable(&error, line));
                        socket.finish(last).await;
                    }
                }
            }
            drop(slot);
        });
        connection.set_abort(task.abort_handle());
    }
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
