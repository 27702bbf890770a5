//! The receivers: one a destination, on ports of their own, recording each arrival with who sent it.
//! They fail, hang, take their time or swallow the answer as `inject` tells them, and answer 200
//! otherwise. They never de-duplicate: `judge` counts what came twice.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use scheduler0::model::attempt::parse_execution_id;
use scheduler0::model::run::Occurrence;
use scheduler0::model::time::parse_rfc3339;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::hosts::now;
use crate::net::Net;

/// How many destinations there are.
pub(crate) const DESTINATIONS: usize = 4;

/// What is wrong with a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behavior {
    /// It answers with this status.
    Fails(u16),
    /// It never answers.
    Hangs,
    /// It takes so long, and accepts.
    Slow(Duration),
    /// It does the work and closes the connection without a word.
    Mute,
    /// It refuses all jobs of a batch by name, and its answer breaks off at any byte.
    Cuts,
}

/// What an arrival was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 200.
    Accepted,
    /// Another status.
    Refused(u16),
    /// Nothing.
    Nothing,
}

/// One job in one request.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// Which occurrence.
    pub(crate) occurrence: Occurrence,
    /// The execution id as it came.
    pub(crate) id: String,
    /// The scheduled instant that the request named, in milliseconds.
    pub(crate) scheduled: i64,
    /// The number of the attempt.
    pub(crate) attempt: u32,
    /// The shard.
    pub(crate) shard: u16,
    /// The shard's epoch.
    pub(crate) fence: u64,
    /// The destination.
    pub(crate) destination: usize,
    /// The node that it came from, where that can be told.
    pub(crate) sender: Option<u64>,
    /// The receiver's wall clock, in milliseconds since the epoch.
    pub(crate) at: i64,
    /// The receiver's monotonic clock, since the run began.
    pub(crate) mono: Duration,
    /// What it was answered.
    pub(crate) answer: Answer,
}

/// All destinations; they stop when dropped.
pub(crate) struct Receivers {
    inner: Arc<Inner>,
    ports: Vec<u16>,
    gateway: Ipv4Addr,
    _tasks: JoinSet<()>,
}

struct Inner {
    net: Arc<Net>,
    begun: Instant,
    arrivals: Mutex<Vec<Arrival>>,
    requests: AtomicU64,
    /// By destination, the latest last; the numbers take them back.
    behaviors: Mutex<Vec<(u64, usize, Behavior)>>,
    next: AtomicU64,
    /// Requests that were not what the contract says.
    broken: Mutex<Vec<String>>,
}

impl Receivers {
    /// Starts them.
    pub(crate) async fn start(net: Arc<Net>) -> anyhow::Result<Self> {
        let gateway = net.gateway();
        let inner = Arc::new(Inner {
            net,
            begun: Instant::now(),
            arrivals: Mutex::default(),
            requests: AtomicU64::new(0),
            behaviors: Mutex::default(),
            next: AtomicU64::new(1),
            broken: Mutex::default(),
        });
        let (mut ports, mut tasks) = (Vec::new(), JoinSet::new());
        for destination in 0..DESTINATIONS {
            let listener = TcpListener::bind((gateway, 0)).await?;
            ports.push(listener.local_addr()?.port());
            tasks.spawn(listen(listener, Arc::clone(&inner), destination));
        }
        Ok(Self { inner, ports, gateway, _tasks: tasks })
    }

    /// Where a destination is.
    pub(crate) fn url(&self, destination: usize) -> String {
        format!("http://{}:{}/hook", self.gateway, self.ports[destination])
    }

    /// Changes what a destination does; the number takes it back.
    pub(crate) fn set(&self, destination: usize, behavior: Behavior) -> u64 {
        let number = self.inner.next.fetch_add(1, Ordering::Relaxed);
        self.inner.behaviors.lock().unwrap().push((number, destination, behavior));
        number
    }

    /// Takes a mood back.
    pub(crate) fn unset(&self, number: u64) {
        self.inner.behaviors.lock().unwrap().retain(|(own, ..)| *own != number);
    }

    /// Every job that came so far, in the order in which requests came.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        let mut arrivals = self.inner.arrivals.lock().unwrap().clone();
        arrivals.sort_by_key(|arrival| arrival.mono);
        arrivals
    }

    /// How many requests came so far.
    pub(crate) fn requests(&self) -> u64 {
        self.inner.requests.load(Ordering::Relaxed)
    }

    /// Requests that were not what the contract says.
    pub(crate) fn broken(&self) -> Vec<String> {
        self.inner.broken.lock().unwrap().clone()
    }
}

async fn listen(listener: TcpListener, inner: Arc<Inner>, destination: usize) {
    let mut open = JoinSet::new();
    loop {
        while open.try_join_next().is_some() {}
        let Ok((stream, peer)) = listener.accept().await else { continue };
        let inner = Arc::clone(&inner);
        open.spawn(async move {
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let inner = Arc::clone(&inner);
                async move { inner.receive(request.map(Body::new), destination, peer).await }
            });
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new());
            // An error here is a connection that the other end, or a mood, has closed.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

impl Inner {
    fn behavior(&self, destination: usize) -> Option<Behavior> {
        let behaviors = self.behaviors.lock().unwrap();
        behaviors
            .iter()
            .rev()
            .find(|(_, own, _)| *own == destination)
            .map(|(_, _, behavior)| *behavior)
    }

    /// Takes a request in. `Err` closes the connection without an answer.
    async fn receive(
        &self,
        request: Request<Body>,
        destination: usize,
        peer: SocketAddr,
    ) -> Result<Response<Body>, Unsaid> {
        let (at, mono) = (now(), self.begun.elapsed());
        let (head, body) = request.into_parts();
        // Cut off in the middle: nothing has arrived.
        let body = to_bytes(body, 32 << 20).await.map_err(|_| Unsaid)?;
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let single = head.uri.path().ends_with("/single");
        // A single call has nothing to name.
        let behavior =
            self.behavior(destination).filter(|behavior| *behavior != Behavior::Cuts || !single);
        let (answer, took) = match behavior {
            None => (Answer::Accepted, Duration::ZERO),
            Some(Behavior::Slow(time)) => (Answer::Accepted, time),
            Some(Behavior::Fails(status)) => (Answer::Refused(status), Duration::ZERO),
            Some(Behavior::Hangs | Behavior::Mute | Behavior::Cuts) => {
                (Answer::Nothing, Duration::ZERO)
            }
        };
        let one = |id: &str| {
            Some(Arrival {
                occurrence: parse_execution_id(id)?,
                id: id.to_owned(),
                scheduled: parse_rfc3339(header("scheduler-scheduled-at")?)?,
                attempt: header("scheduler-attempt")?.parse().ok()?,
                shard: header("scheduler-shard")?.parse().ok()?,
                fence: header("scheduler-fence")?.parse().ok()?,
                destination,
                sender: self.net.whose(peer),
                at,
                mono,
                answer,
            })
        };
        // A single call has an empty body here, a batch has an array.
        let arrivals: Option<Vec<Arrival>> = if single {
            header("webhook-id").and_then(one).map(|arrival| vec![arrival])
        } else {
            serde_json::from_slice(&body).ok().and_then(|jobs: Vec<serde_json::Value>| {
                jobs.iter().map(|job| job["executionId"].as_str().and_then(one)).collect()
            })
        };
        let nth = self.requests.fetch_add(1, Ordering::Relaxed);
        if let (Some(Behavior::Cuts), Some(arrivals)) = (behavior, &arrivals) {
            let ids: Vec<&str> = arrivals.iter().map(|arrival| arrival.id.as_str()).collect();
            let whole = serde_json::json!({ "note": "not now", "failed": ids }).to_string();
            let response = cut(&whole, nth as usize % whole.len());
            self.arrivals.lock().unwrap().extend(arrivals.iter().cloned());
            return Ok(response);
        }
        if let Some(arrivals) = arrivals {
            self.arrivals.lock().unwrap().extend(arrivals);
        } else {
            let text = format!("{} {:?} {body:?}", head.uri, head.headers);
            self.broken.lock().unwrap().push(text);
        }
        match behavior {
            Some(Behavior::Mute) => return Err(Unsaid),
            Some(Behavior::Hangs) => tokio::time::sleep(Duration::from_secs(30)).await,
            Some(Behavior::Slow(_)) => tokio::time::sleep(took).await,
            None | Some(Behavior::Fails(_) | Behavior::Cuts) => {}
        }
        let status = match answer {
            Answer::Accepted => 200,
            Answer::Refused(status) => status,
            Answer::Nothing => return Err(Unsaid),
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        Ok(response)
    }
}

/// A 200 that announces a body and closes the connection within it.
fn cut(whole: &str, at: usize) -> Response<Body> {
    let first = axum::body::Bytes::copy_from_slice(&whole.as_bytes()[..at]);
    let pieces = futures_util::stream::iter([Ok(first), Err(Unsaid)]);
    let mut response = Response::new(Body::from_stream(pieces));
    response.headers_mut().insert("content-length", whole.len().into());
    response
}

/// The connection is closed instead of an answer.
#[derive(Debug, thiserror::Error)]
#[error("nothing is said")]
struct Unsaid;
