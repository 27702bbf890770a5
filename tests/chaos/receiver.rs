//! The receivers, one for each destination on a port of its own. They record each arrival with its
//! sender. They fail, hang, answer late or not at all as `inject` tells them, and answer 200
//! otherwise. They never de-duplicate: `judge` counts repetitions.

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

/// The number of destinations.
pub(crate) const DESTINATIONS: usize = 4;

/// The misbehavior of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behavior {
    /// It answers with this status.
    Fails(u16),
    /// It never answers.
    Hangs,
    /// It accepts after this time.
    Slow(Duration),
    /// It does the work and closes the connection without an answer.
    Mute,
    /// It refuses all jobs of a batch by name, and its answer breaks off at any byte.
    Cuts,
}

/// The answer to an arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 200.
    Accepted,
    /// Another status.
    Refused(u16),
    /// None.
    Nothing,
}

/// One job in one request.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// The occurrence.
    pub(crate) occurrence: Occurrence,
    /// The execution id.
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
    /// The sending node, where its address tells it.
    pub(crate) sender: Option<u64>,
    /// The receiver's wall clock, in milliseconds since the epoch.
    pub(crate) at: i64,
    /// The receiver's monotonic clock, since the run began.
    pub(crate) mono: Duration,
    /// The answer.
    pub(crate) answer: Answer,
}

/// All destinations; dropping it stops them.
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
    /// Number, destination and behavior; the latest is last. The number removes it.
    behaviors: Mutex<Vec<(u64, usize, Behavior)>>,
    next: AtomicU64,
    /// Requests that do not follow the contract.
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

    /// The URL of a destination.
    pub(crate) fn url(&self, destination: usize) -> String {
        format!("http://{}:{}/hook", self.gateway, self.ports[destination])
    }

    /// Sets the behavior of a destination; the returned number removes it.
    pub(crate) fn set(&self, destination: usize, behavior: Behavior) -> u64 {
        let number = self.inner.next.fetch_add(1, Ordering::Relaxed);
        self.inner.behaviors.lock().unwrap().push((number, destination, behavior));
        number
    }

    /// Removes a behavior.
    pub(crate) fn unset(&self, number: u64) {
        self.inner.behaviors.lock().unwrap().retain(|(own, ..)| *own != number);
    }

    /// All arrivals so far, in the order of their requests.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        let mut arrivals = self.inner.arrivals.lock().unwrap().clone();
        arrivals.sort_by_key(|arrival| arrival.mono);
        arrivals
    }

    /// Notes what came on another way. A message that the broker hands out again, since its
    /// receiver has not confirmed it, is no arrival.
    pub(crate) fn note(&self, arrival: Arrival, is_again: bool) {
        let mut arrivals = self.inner.arrivals.lock().unwrap();
        let same = |one: &Arrival| {
            (&one.id, one.attempt, one.fence) == (&arrival.id, arrival.attempt, arrival.fence)
        };
        if !(is_again && arrivals.iter().rev().any(same)) {
            arrivals.push(arrival);
        }
    }

    /// Notes what does not follow the contract.
    pub(crate) fn note_broken(&self, text: String) {
        self.inner.broken.lock().unwrap().push(text);
    }

    /// The receiver's monotonic clock, since the run began.
    pub(crate) fn mono(&self) -> Duration {
        self.inner.begun.elapsed()
    }

    /// The number of requests so far.
    pub(crate) fn requests(&self) -> u64 {
        self.inner.requests.load(Ordering::Relaxed)
    }

    /// Requests that do not follow the contract.
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
            // An error is a connection that the node or a behavior has closed.
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

    /// Receives a request. The error closes the connection without an answer.
    async fn receive(
        &self,
        request: Request<Body>,
        destination: usize,
        peer: SocketAddr,
    ) -> Result<Response<Body>, NoAnswer> {
        let (at, mono) = (now(), self.begun.elapsed());
        let (head, body) = request.into_parts();
        // A request that is cut off in the middle has not arrived.
        let body = to_bytes(body, 32 << 20).await.map_err(|_| NoAnswer)?;
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let single = head.uri.path().ends_with("/single");
        // A request for a single occurrence has no jobs to name.
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
                sender: self.net.node_at(peer),
                at,
                mono,
                answer,
            })
        };
        // A request for a single occurrence has an empty body here, a batch has an array.
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
            Some(Behavior::Mute) => return Err(NoAnswer),
            Some(Behavior::Hangs) => tokio::time::sleep(Duration::from_secs(30)).await,
            Some(Behavior::Slow(_)) => tokio::time::sleep(took).await,
            None | Some(Behavior::Fails(_) | Behavior::Cuts) => {}
        }
        let status = match answer {
            Answer::Accepted => 200,
            Answer::Refused(status) => status,
            Answer::Nothing => return Err(NoAnswer),
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        Ok(response)
    }
}

/// A 200 that announces a body and closes the connection within it.
fn cut(whole: &str, at: usize) -> Response<Body> {
    let first = axum::body::Bytes::copy_from_slice(&whole.as_bytes()[..at]);
    let pieces = futures_util::stream::iter([Ok(first), Err(NoAnswer)]);
    let mut response = Response::new(Body::from_stream(pieces));
    response.headers_mut().insert("content-length", whole.len().into());
    response
}

/// The connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("no answer")]
struct NoAnswer;
