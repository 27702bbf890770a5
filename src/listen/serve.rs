//! A port: connections are accepted, bounded and served with HTTP/1, until it is told to stop; then
//! what is under way is answered. `server` serves the API so, `peer` the messages between nodes. What
//! is answered is the [`Application`]'s; this file knows no route, no credential and no text.
//!
//! | bound | what happens |
//! |---|---|
//! | connections: how many, idle, without a credential; heads and answers that take too long | `super::room` closes them |
//! | a head that is too long, or no HTTP/1 | [`Application::unreadable`] answers, closed in stages |
//! | a body below the least speed | its reader gets [`super::Slow`] |
//! | an answer to who proved nothing | the last one on its connection after 401, or after some |
//! | the stop | idle connections `Bounds::linger`, requests under way `Bounds::drain` |

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
use super::room::{Place, Room};
use super::socket::Socket;
use super::upload::Upload;
use super::{Bounds, Listeners};
use crate::telemetry::LogLimit;

/// Between two looks at whether all connections have ended.
const AGAIN: Duration = Duration::from_millis(10);
/// How long a newcomer waits, where strangers have places of their own, before a place is looked for
/// again: one may have become old enough to be closed.
const YOUNG_AGAIN: Duration = Duration::from_millis(10);
/// How long to wait before accepting again when the process is out of file descriptors.
const BREATH: Duration = Duration::from_millis(100);

/// What answers the requests of a port.
pub trait Application: Clone + Send + Sync + 'static {
    /// The answer to one request. In its extensions is the [`super::Connection`] that it came by.
    fn answer(&self, request: Request) -> impl Future<Output = Response> + Send;

    /// The last bytes to a client whose head hyper refused without an answer of its own; `None`
    /// where nothing is to be said. `line` is the length of its first line, in bytes.
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

/// Serves until `stop` ends and what is under way then is answered, or took too long.
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
    let mut tick = tokio::time::interval(port.room.bounds.tick());
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = &mut stop => break,
            _ = tick.tick() => port.room.sweep(port.room.now()),
            () = port.accept(&listeners) => {}
        }
    }
    // Who is connected already, as far as the system is concerned, is not turned away.
    if let Some((stream, address)) = port.waiting.take() {
        port.attend(stream, port.room.admit_late(address));
    }
    for listener in listeners.into_std() {
        while let Ok((stream, address)) = listener.accept() {
            if stream.set_nonblocking(true).is_ok()
                && let Ok(stream) = TcpStream::from_std(stream)
            {
                port.attend(stream, port.room.admit_late(address));
            }
        }
    }
    let Port { room, graceful, .. } = port;
    let ended = async {
        let all_ended = async {
            while graceful.count() > 0 {
                tokio::time::sleep(AGAIN).await;
            }
        };
        // Whether they all have, or the time is over: what is left is asked to end.
        let _ = tokio::time::timeout(linger, all_ended).await;
        tokio::time::timeout(drain, graceful.shutdown()).await
    };
    let sweeps = async {
        loop {
            tick.tick().await;
            room.sweep(room.now());
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

/// A port that is open.
struct Port<A> {
    application: A,
    http: http1::Builder,
    room: Arc<Room>,
    graceful: GracefulShutdown,
    /// A newcomer for whom there was no place yet.
    waiting: Option<(TcpStream, SocketAddr)>,
    lines: LogLimit<()>,
}

impl<A: Application> Port<A> {
    fn new(application: A, bounds: Bounds) -> Self {
        let mut http = http1::Builder::new();
        // The room sees to how long a head takes.
        http.header_read_timeout(None).max_buf_size(bounds.head_bytes).max_headers(bounds.headers);
        let (room, graceful) = (Room::new(bounds), GracefulShutdown::new());
        Self { application, http, room, graceful, waiting: None, lines: LogLimit::new() }
    }

    /// Takes the next connection and serves it. Loses nothing when it is dropped on the way.
    async fn accept(&mut self, listeners: &Listeners) {
        if self.waiting.is_none() {
            match listeners.accept_any().await {
                Ok(accepted) => self.waiting = Some(accepted),
                Err(error) => return self.failed(&error).await,
            }
        }
        let Some((_, address)) = &self.waiting else { return };
        // What ends between the look and the wait has left its notice.
        self.room.set_wanted(true);
        let place = self.room.admit(*address, self.room.now());
        if place.is_none() {
            let freed = self.room.freed();
            if self.room.bounds.unproved.is_none() {
                return freed.await;
            }
            // Whether one was freed or one is older now: it is looked at again.
            let _ = tokio::time::timeout(YOUNG_AGAIN, freed).await;
            return;
        }
        self.room.set_wanted(false);
        if let (Some((stream, _)), Some(place)) = (self.waiting.take(), place) {
            self.attend(stream, place);
            if self.room.bounds.unproved.is_some() {
                // What was accepted is read before the next comes: it may be a member.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Either that one client is gone again, or the process has too many files open.
    async fn failed(&mut self, error: &std::io::Error) {
        if let Some(unsaid) = self.lines.admit(()) {
            let port = self.room.bounds.name;
            tracing::warn!(%error, port, unsaid, "a connection could not be accepted");
        }
        self.room.make_room();
        tokio::time::sleep(BREATH).await;
    }

    /// Serves one connection, in a task of its own.
    fn attend(&self, stream: TcpStream, place: Place) {
        // Small answers must not wait for more; a socket that refuses it works too.
        let _ = stream.set_nodelay(true);
        let (application, connection) = (self.application.clone(), place.connection.clone());
        let unproved_requests = self.room.bounds.unproved_requests;
        let socket = Socket::new(stream, connection.clone());
        let last_words = application.clone();
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let (application, connection) = (application.clone(), connection.clone());
            async move {
                let Some(under_way) = connection.begin() else {
                    // Its task is being ended.
                    return std::future::pending().await;
                };
                let mut request: Request<Body> = request.map(Upload::wrap);
                request.extensions_mut().insert(connection.clone());
                let mut response = application.answer(request).await;
                if connection.ends_with(response.status(), unproved_requests) {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(Answer::of(response, under_way))
            }
        });
        let connection = place.connection.clone();
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
            drop(place);
        });
        connection.set_abort(task.abort_handle());
    }
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
