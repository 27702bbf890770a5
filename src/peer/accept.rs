//! The connections of the Raft port: HTTP/1.1 alone, and bounds on what a stranger can open or hold.
//! `gate::serve` calls [`serve`] and tells it, by [`Entrance::vouch`], which connections have shown the
//! cluster's token. It knows no message and no token.
//!
//! | bound | value | what happens |
//! |---|---|---|
//! | connections without the token | [`Bounds::strangers`] | the oldest of them is closed |
//! | until the token is shown | [`TOKEN_WITHIN`] | closed |
//! | connections with it | [`Bounds::members`] | 503, closed |
//! | idle, or a head that does not end, with it | [`MEMBER_IDLE`] | closed |
//! | a head | [`HEAD_BYTES`], [`HEADERS`] | 431, closed |
//!
//! A member's client closes an idle connection before this side does ([`super::client`]), so no message
//! meets the close of its connection.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpStream;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt as _;

use crate::listen::Listeners;
use crate::telemetry::LogLimit;

/// How long a connection may take to show the cluster's token. Members send it at once.
const TOKEN_WITHIN: Duration = Duration::from_secs(5);
/// How long a member's connection may be idle, or take for a head.
pub(super) const MEMBER_IDLE: Duration = Duration::from_mins(2);
/// The longest head, and what is read at once of a body, in bytes.
const HEAD_BYTES: usize = 256 << 10;
/// The most headers.
const HEADERS: usize = 64;
/// How long to wait before accepting again when that failed: the process may be out of descriptors.
const BREATH: Duration = Duration::from_millis(100);

/// How many connections there may be at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Those that have not shown the cluster's token.
    pub strangers: usize,
    /// Those that have.
    pub members: usize,
}

impl Default for Bounds {
    /// As for a cluster of three on a system with enough descriptors.
    fn default() -> Self {
        Self { strangers: 40, members: 1_024 }
    }
}

/// One connection: an extension of every request that comes by it.
#[derive(Clone, Debug)]
pub(super) struct Entrance(Arc<Entered>);

#[derive(Debug)]
struct Entered {
    address: SocketAddr,
    number: u64,
    places: Arc<Places>,
    /// Its place among the members, once the token was shown.
    vouched: OnceLock<OwnedSemaphorePermit>,
    /// Another stranger needs its place.
    close: Notify,
}

/// All connections.
#[derive(Debug)]
struct Places {
    bound: usize,
    /// Those that have not shown the token, the oldest first.
    strangers: Mutex<VecDeque<(u64, Entrance)>>,
    members: Arc<Semaphore>,
    numbers: AtomicU64,
}

impl Entrance {
    /// Where the connection comes from.
    pub(super) fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Takes note that the connection has shown the cluster's token; false where there are too many of
    /// those.
    pub(super) fn vouch(&self) -> bool {
        if self.0.vouched.get().is_some() {
            return true;
        }
        let Ok(place) = self.0.places.members.clone().try_acquire_owned() else { return false };
        self.0.places.leave(self.0.number);
        // Requests of one connection come one after the other: nobody else has set it meanwhile.
        self.0.vouched.set(place).is_ok()
    }

    /// Ends when the connection is to be closed because it has not shown the token: in time, or before
    /// its place was needed.
    async fn overstayed(&self) {
        tokio::select! {
            () = self.0.close.notified() => {}
            () = tokio::time::sleep(TOKEN_WITHIN) => {}
        }
        if self.0.vouched.get().is_some() {
            std::future::pending::<()>().await;
        }
    }
}

impl Places {
    fn strangers(&self) -> MutexGuard<'_, VecDeque<(u64, Entrance)>> {
        // A panic while it was held leaves whole entries.
        self.strangers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a new connection a place; the oldest stranger goes if there is none.
    fn enter(self: &Arc<Self>, address: SocketAddr) -> Entrance {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (vouched, close) = (OnceLock::new(), Notify::new());
        let places = self.clone();
        let entrance = Entrance(Arc::new(Entered { address, number, places, vouched, close }));
        let mut strangers = self.strangers();
        if strangers.len() >= self.bound
            && let Some((_, oldest)) = strangers.pop_front()
        {
            oldest.0.close.notify_one();
        }
        strangers.push_back((number, entrance.clone()));
        entrance
    }

    fn leave(&self, number: u64) {
        let mut strangers = self.strangers();
        // Numbers ascend in it.
        if let Ok(at) = strangers.binary_search_by_key(&number, |(number, _)| *number) {
            strangers.remove(at);
        }
    }
}

/// Serves a router until `stop` ends; then idle connections are closed, and the others after their
/// answer.
pub(super) async fn serve(
    listeners: Listeners,
    router: Router,
    bounds: Bounds,
    stop: impl Future<Output = ()>,
) {
    let places = Arc::new(Places {
        bound: bounds.strangers.max(1),
        strangers: Mutex::default(),
        members: Arc::new(Semaphore::new(bounds.members)),
        numbers: AtomicU64::new(0),
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(MEMBER_IDLE)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS);
    let graceful = GracefulShutdown::new();
    let lines = LogLimit::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listeners.accept_any() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if let Some(unsaid) = lines.admit(()) {
                    tracing::warn!(%error, unsaid, "a peer connection could not be accepted");
                }
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        attend(&http, &graceful, stream, places.enter(address), router.clone());
    }
    drop(listeners);
    graceful.shutdown().await;
}

/// Answers the requests of one connection, in a task of its own.
fn attend(
    http: &hyper::server::conn::http1::Builder,
    graceful: &GracefulShutdown,
    stream: TcpStream,
    entrance: Entrance,
    router: Router,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set on a peer connection");
    }
    let of_requests = entrance.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(of_requests.clone());
        let router = router.clone();
        async move {
            let Ok(answer) = router.oneshot(request.map(Body::new)).await;
            Ok::<_, Infallible>(answer)
        }
    });
    let served = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
    tokio::spawn(async move {
        tokio::select! {
            served = served => if let Err(error) = served {
                tracing::debug!(%error, "a peer connection ended early");
            },
            () = entrance.overstayed() => {
                tracing::debug!(address = %entrance.address(), "a connection without the token is closed");
            }
        }
        entrance.0.places.leave(entrance.0.number);
    });
}

#[cfg(test)]
mod tests {
    use axum::Extension;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// `/token` stands for a message with the token.
    async fn start(bounds: Bounds) -> SocketAddr {
        let vouch = async |Extension(entrance): Extension<Entrance>| entrance.vouch().to_string();
        let router = Router::new().route("/token", get(vouch)).route("/", get(async || "no"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener.into(), router, bounds, std::future::pending()));
        address
    }

    async fn ask(stream: &mut TcpStream, path: &str) -> String {
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut answer = vec![0; 1_024];
        let read = stream.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..read]).into_owned()
    }

    #[tokio::test]
    async fn strangers_push_out_the_oldest_of_them_and_never_a_member() {
        let address = start(Bounds { strangers: 3, members: 2 }).await;
        let connect = async || TcpStream::connect(address).await.unwrap();
        let mut members = [connect().await, connect().await];
        for member in &mut members {
            assert!(ask(member, "/token").await.ends_with("true"));
        }
        let mut strangers = Vec::new();
        for _ in 0..50 {
            let mut stranger = connect().await;
            assert!(ask(&mut stranger, "/").await.ends_with("no"), "whoever comes is answered");
            strangers.push(stranger);
        }
        let kept = strangers.split_off(47);
        for mut stranger in strangers {
            assert_eq!(stranger.read(&mut [0; 8]).await.unwrap_or(0), 0, "it is closed");
        }
        for mut stranger in kept {
            assert!(ask(&mut stranger, "/token").await.ends_with("false"), "there are two members");
        }
        for member in &mut members {
            assert!(ask(member, "/token").await.ends_with("true"));
        }
        drop(members);
        // A place that is free again is given again, once the end of the connection was seen.
        while !ask(&mut connect().await, "/token").await.ends_with("true") {}
    }

    #[tokio::test]
    async fn who_does_not_show_the_token_in_time_is_closed_and_a_member_stays() {
        let address = start(Bounds::default()).await;
        let mut member = TcpStream::connect(address).await.unwrap();
        assert!(ask(&mut member, "/token").await.ends_with("true"));
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut halfway = TcpStream::connect(address).await.unwrap();
        halfway.write_all(b"POST /raft/append HTTP/1.1\r\nhost: x\r\n").await.unwrap();
        for stranger in [&mut silent, &mut halfway] {
            assert_eq!(stranger.read(&mut [0; 8]).await.unwrap_or(0), 0);
        }
        assert!(ask(&mut member, "/token").await.ends_with("true"));
    }

    #[tokio::test]
    async fn the_preface_of_another_protocol_is_no_request() {
        let address = start(Bounds::default()).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
}
