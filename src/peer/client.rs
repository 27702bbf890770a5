//! The caller's side: who the others are, and how to say something to them.
//!
//! Everything runs on the runtime that [`Peers`] was made on (the node's core runtime), also when
//! the caller lives on another one: connections are shared with Raft, and their tasks must not
//! wait behind somebody's bulk work.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Body, Client, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::claims::Claims;
use super::error::Error;
use super::forwards::{Forwards, Origin, Place};
use super::speakers::Speakers;
use crate::listen::RAFT_IDLE;
use crate::model::NodeId;
use crate::model::process::Process;
use crate::store::nodes::Bound;

/// How long a connection is kept on which nothing goes on: less than the other side keeps it, so that no
/// message is sent on one that is being closed over there.
const IDLE: Duration = Duration::from_secs(90);
const _: () = assert!(IDLE.as_secs() < RAFT_IDLE.as_secs());

/// Header: the cluster's id, 32 hex digits; zeros before it is known.
pub(super) const CLUSTER: &str = "x-scheduler0-cluster";
/// Header: the sender's node id.
pub(super) const NODE: &str = "x-scheduler0-node";
/// Header: the sender's instance id, 32 hex digits.
pub(super) const INSTANCE: &str = "x-scheduler0-instance";
/// Header: the sender's process, as `id-place-boot`, hex.
pub(super) const PROCESS: &str = "x-scheduler0-process";
/// Header: the log index at which the sender's node id was bound to its instance, where it knows.
pub(super) const BOUND: &str = "x-scheduler0-bound";
/// Header: the sender founds the cluster, by its configuration.
pub(super) const FOUNDER: &str = "x-scheduler0-founder";
/// Header: the sender leads, and has lost its majority.
pub(super) const ALONE: &str = "x-scheduler0-alone";
/// Header: the instance that the sender expects the receiver to be, where it knows.
pub(super) const EXPECTS: &str = "x-scheduler0-expects";
/// Header: the log index at which that was bound.
pub(super) const EXPECTS_SINCE: &str = "x-scheduler0-expects-since";
/// Header of an answer that tells the caller that it must stop.
pub(super) const STOP: &str = "x-scheduler0-stop";

/// Who this node is, in every message that it sends.
#[derive(Clone)]
pub struct Identity {
    /// Its node id.
    pub node: NodeId,
    /// The random id of its data folder.
    pub instance: u128,
    /// This process; `id` 0 for none, then no rule about copies of the folder applies to it.
    pub process: Process,
    /// It founds the cluster (`Bootstrap`).
    pub founder: bool,
    /// The token that all nodes of a cluster share; never logged.
    pub token: Arc<str>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity(node {}, instance {:032x})", self.node, self.instance)
    }
}

/// The other nodes: addresses, what is known of them, and a pool of connections. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Peers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    identity: Identity,
    runtime: Handle,
    client: Client,
    known: RwLock<Known>,
    /// The requests that are forwarded.
    forwards: Forwards,
    /// Which process speaks for each other node.
    pub(super) speakers: Speakers,
    /// The highest log index at which another node says that this one was bound.
    told: watch::Sender<u64>,
    failed: watch::Sender<Option<String>>,
    /// What others say against this node.
    claims: Claims,
    /// The leader of the current term, as Raft knows it; 0 for none.
    leader: AtomicU64,
    alone: AtomicBool,
    /// Another node said that this process is over, and that was logged.
    said_over: AtomicBool,
}

#[derive(Debug, Default)]
struct Known {
    generation: u128,
    addresses: BTreeMap<NodeId, String>,
    bound: BTreeMap<NodeId, Bound>,
}

impl Peers {
    /// Makes the client on the current runtime. `addresses` are `host:port` of each member's
    /// `RaftAddress`, this node's included; `pool` bounds the idle connections a node, and what is forwarded at a time
    /// ([`Peers::place`]). A process on a
    /// copy of a node's folder is taken for that node after a `silence` of the one before.
    pub fn new(
        identity: Identity,
        addresses: impl IntoIterator<Item = (NodeId, String)>,
        pool: usize,
        connect_timeout: Duration,
        silence: Duration,
    ) -> Result<Self, Error> {
        // Peers speak plain HTTP, but the client insists on a TLS provider; a second installation
        // is refused and that is all right.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .no_proxy()
            .http1_only()
            .tcp_nodelay(true)
            .pool_max_idle_per_host(pool.max(1))
            .pool_idle_timeout(IDLE)
            .connect_timeout(connect_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| Error::Unreachable { to: identity.node, message: e.to_string() })?;
        let known = Known { addresses: addresses.into_iter().collect(), ..Known::default() };
        Ok(Self(Arc::new(Inner {
            identity,
            runtime: Handle::current(),
            client,
            known: RwLock::new(known),
            forwards: Forwards::new(pool),
            speakers: Speakers::new(silence),
            told: watch::Sender::new(0),
            failed: watch::Sender::new(None),
            claims: Claims::default(),
            leader: AtomicU64::new(0),
            alone: AtomicBool::new(false),
            said_over: AtomicBool::new(false),
        })))
    }

    /// Who this node is.
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// The cluster's line of descent (`Roll::generation`); 0 before it is known.
    pub fn generation(&self) -> u128 {
        self.known(|known| known.generation)
    }

    fn known<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        look(&self.0.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.0.known.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Whether a node is a member.
    pub fn is_member(&self, node: NodeId) -> bool {
        self.known(|known| known.addresses.contains_key(&node))
    }

    /// What a node id is bound to, by the books of this node.
    pub fn bound(&self, node: NodeId) -> Option<Bound> {
        self.known(|known| known.bound.get(&node).copied())
    }

    /// The log index at which this node was bound to its data folder, as far as it knows or was
    /// told; 0 while it is not.
    pub fn bound_since(&self) -> u64 {
        self.own().map_or(0, |bound| bound.since).max(*self.0.told.borrow())
    }

    /// This node's binding, once its own books have it.
    pub(super) fn own(&self) -> Option<Bound> {
        let mine = &self.0.identity;
        self.bound(mine.node).filter(|b| b.instance == mine.instance && !b.removed)
    }

    /// The highest log index at which others say that this node was bound; 0 before anybody did.
    pub fn told(&self) -> watch::Receiver<u64> {
        self.0.told.subscribe()
    }

    pub(super) fn tell(&self, since: u64) {
        self.0.told.send_if_modified(|told| {
            let news = since > *told;
            *told = since.max(*told);
            news
        });
    }

    /// Takes who leads in the current term, as this node's own Raft knows it.
    pub fn learn_leader(&self, leader: Option<NodeId>) {
        self.0.leader.store(leader.unwrap_or(0), Ordering::Relaxed);
    }

    /// Where the other members are.
    pub fn others(&self) -> Vec<(NodeId, String)> {
        let others = |known: &Known| {
            let others = known.addresses.iter().filter(|(id, _)| **id != self.0.identity.node);
            others.map(|(id, address)| (*id, address.clone())).collect()
        };
        self.known(others)
    }

    /// Somebody claims that this node must not take part. That ends nothing: whoever waits for
    /// [`Peers::doubted`] asks the others.
    pub fn doubt(&self, by: NodeId, why: &str) {
        self.0.claims.doubt(by, why);
    }

    /// Waits until somebody claims that this node must not take part.
    pub async fn doubted(&self) {
        self.0.claims.doubted().await;
    }

    /// A node has answered that this one must end. It counts if it is a member, and was asked at the
    /// address that the cluster has for it.
    fn accused(&self, by: NodeId, at: Option<&str>, why: &str) {
        let (there, others) = self.known(|known| {
            let address = known.addresses.get(&by).map(String::as_str);
            let own = usize::from(known.addresses.contains_key(&self.0.identity.node));
            (
                address.is_some() && at.is_none_or(|at| address == Some(at)),
                known.addresses.len() - own,
            )
        });
        let leads = self.0.leader.load(Ordering::Relaxed) == by;
        if there && by != self.0.identity.node && self.0.claims.accuse(by, why, leads, others) {
            self.fail(why.to_owned());
        }
    }

    /// Whether this node leads and has lost its majority: its messages say so.
    pub fn leads_alone(&self, alone: bool) {
        self.0.alone.store(alone, Ordering::Relaxed);
    }

    /// Which process speaks for each other node, as far as this one has heard.
    pub fn speakers(&self) -> &Speakers {
        &self.0.speakers
    }

    /// Takes what the replicated state says: the line of descent and who is bound to what.
    pub fn learn(&self, generation: u128, bound: impl IntoIterator<Item = Bound>) {
        self.change(|known| {
            known.generation = generation;
            known.bound = bound.into_iter().map(|bound| (bound.node, bound)).collect();
        });
    }

    /// Takes the members' addresses, in place of those known before.
    pub fn learn_members(&self, members: impl IntoIterator<Item = (NodeId, String)>) {
        self.change(|known| known.addresses = members.into_iter().collect());
    }

    /// Takes the address of one node, which said so itself, or which is about to become a member.
    pub fn learn_address(&self, node: NodeId, address: &str) {
        self.change(|known| {
            known.addresses.insert(node, address.to_owned());
        });
    }

    /// Becomes `Some` when another node has found that this one must not take part: a second
    /// instance under a known node id, another cluster's data. The process must exit with it.
    pub fn failed(&self) -> watch::Receiver<Option<String>> {
        self.0.failed.subscribe()
    }

    /// Why this node must stop, if it must.
    pub fn failure(&self) -> Option<String> {
        self.0.failed.borrow().clone()
    }

    /// Says that this node must stop, and why; the first reason stands.
    pub fn fail(&self, message: String) {
        self.0.failed.send_if_modified(|failed| {
            let first = failed.is_none();
            if first {
                tracing::error!("this node must end: {message}");
                *failed = Some(message);
            }
            first
        });
    }

    /// Sends a message and waits for its answer, at most `timeout`. Callable from any runtime.
    pub async fn call<Req, Resp>(
        &self,
        to: NodeId,
        path: &str,
        request: &Req,
        timeout: Duration,
    ) -> Result<Resp, Error>
    where
        Req: Serialize + ?Sized,
        Resp: DeserializeOwned,
    {
        read(to, &self.send(to, path, written(to, request)?, timeout).await?)
    }

    /// As [`Peers::call`], at an address instead of the one that is known.
    pub async fn call_at<Req, Resp>(
        &self,
        to: NodeId,
        address: &str,
        path: &str,
        request: &Req,
        timeout: Duration,
    ) -> Result<Resp, Error>
    where
        Req: Serialize + ?Sized,
        Resp: DeserializeOwned,
    {
        let body = written(to, request)?;
        read(to, &self.exchange(to, Some(address), path, body, timeout).await?)
    }

    /// Waits for a place among the requests that this node forwards to another: with as many idle
    /// connections as are kept by default 32 for clients, and 64 for what fires. Nothing is sent by
    /// then; who came first is served first.
    pub async fn place(&self, to: NodeId, origin: Origin) -> Place {
        self.0.forwards.place(to, origin).await
    }

    /// As [`Peers::call`], in a place at that node. It is free again when the exchange has ended, also
    /// where the caller is gone by then.
    pub async fn call_in<Req, Resp>(
        &self,
        place: Place,
        path: &str,
        request: &Req,
        timeout: Duration,
    ) -> Result<Resp, Error>
    where
        Req: Serialize + ?Sized,
        Resp: DeserializeOwned,
    {
        let to = place.to;
        let body = written(to, request)?;
        read(to, &self.send_in(Some(place), to, path, body, timeout).await?)
    }

    /// Sends a body as it is (a stream, for a snapshot) and gives the answer's bytes.
    pub async fn send(
        &self,
        to: NodeId,
        path: &str,
        body: Body,
        timeout: Duration,
    ) -> Result<Bytes, Error> {
        self.send_in(None, to, path, body, timeout).await
    }

    async fn send_in(
        &self,
        place: Option<Place>,
        to: NodeId,
        path: &str,
        body: Body,
        timeout: Duration,
    ) -> Result<Bytes, Error> {
        if Handle::try_current().is_ok_and(|h| h.id() == self.0.runtime.id()) {
            let answer = self.exchange(to, None, path, body, timeout).await;
            drop(place);
            return answer;
        }
        let (peers, path) = (self.clone(), path.to_owned());
        let task = self.0.runtime.spawn(async move {
            let answer = peers.exchange(to, None, &path, body, timeout).await;
            drop(place);
            answer
        });
        task.await.map_err(|e| Error::Lost { to, message: e.to_string() })?
    }

    async fn exchange(
        &self,
        to: NodeId,
        at: Option<&str>,
        path: &str,
        body: Body,
        timeout: Duration,
    ) -> Result<Bytes, Error> {
        let mine = &self.0.identity;
        let since = self.bound_since();
        // Books that are being replayed may be of an earlier line of descent.
        let replays = since > 0 && self.own().is_none();
        let mut request = self.known(|known| {
            let address = at.or_else(|| known.addresses.get(&to).map(String::as_str));
            let address = address.ok_or(Error::Unknown(to))?;
            let mut request = self
                .0
                .client
                .post(format!("http://{address}{path}"))
                .bearer_auth(&mine.token)
                .header(CLUSTER, format!("{:032x}", if replays { 0 } else { known.generation }))
                .header(NODE, mine.node)
                .header(INSTANCE, format!("{:032x}", mine.instance))
                .header(BOUND, since);
            if mine.process.id != 0 {
                request = request.header(PROCESS, coded(mine.process));
            }
            if self.0.alone.load(Ordering::Relaxed) {
                request = request.header(ALONE, "1");
            }
            // A restored cluster has books and nobody in them: its first node founds it anew.
            if mine.founder || (known.generation != 0 && known.bound.is_empty()) {
                request = request.header(FOUNDER, "1");
            }
            // Where an address is given, who is there is the question.
            match known.bound.get(&to).filter(|_| at.is_none()) {
                Some(bound) if !bound.removed => {
                    request = request
                        .header(EXPECTS, format!("{:032x}", bound.instance))
                        .header(EXPECTS_SINCE, bound.since);
                }
                _ => {}
            }
            Ok(request)
        })?;
        request = request.timeout(timeout).body(body);
        let response = request.send().await.map_err(|e| transport(to, &e))?;
        let status = response.status();
        let stop = response.headers().contains_key(STOP);
        let body = response.bytes().await.map_err(|e| transport(to, &e))?;
        if status == StatusCode::OK {
            self.0.claims.acquit(to);
            return Ok(body);
        }
        let message = String::from_utf8_lossy(&body[..body.len().min(2_000)]).into_owned();
        if stop {
            self.accused(to, at, &message);
        }
        if status == StatusCode::TOO_EARLY && !self.0.said_over.swap(true, Ordering::Relaxed) {
            tracing::warn!(to, "this process is not served yet: {message}");
        }
        Err(Error::Refused { to, status: status.as_u16(), message, stop })
    }
}

/// A process as it travels in a header.
fn coded(process: Process) -> String {
    format!("{:x}-{:x}-{:x}", process.id, process.place, process.boot)
}

/// Reads what [`coded`] wrote.
pub(super) fn decoded(text: &str) -> Option<Process> {
    let mut numbers = text.splitn(3, '-').map(|part| u64::from_str_radix(part, 16).ok());
    let mut next = || numbers.next().flatten();
    Some(Process { id: next()?, place: next()?, boot: next()? })
}

fn written<Req: Serialize + ?Sized>(to: NodeId, request: &Req) -> Result<Body, Error> {
    let coded = postcard::to_allocvec(request);
    coded.map(Body::from).map_err(|e| Error::Codec { to, message: e.to_string() })
}

/// What cannot be read was carried out over there: only what cannot be written was never sent.
fn read<Resp: DeserializeOwned>(to: NodeId, answer: &[u8]) -> Result<Resp, Error> {
    let unread = |e: postcard::Error| Error::Unreadable { to, message: e.to_string() };
    postcard::from_bytes(answer).map_err(unread)
}

/// The transport's error without the URL (it says nothing more) but with its causes.
fn transport(to: NodeId, error: &reqwest::Error) -> Error {
    let mut message = String::new();
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(e) = cause {
        if !message.is_empty() {
            message.push_str(": ");
        }
        message.push_str(&e.to_string());
        cause = e.source();
    }
    if error.is_connect() {
        Error::Unreachable { to, message }
    } else {
        Error::Lost { to, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_that_cannot_be_read_leaves_the_outcome_open() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        // As a newer node may answer: with something that this one has no word for.
        let router = axum::Router::new().route("/x", axum::routing::post(async || vec![9_u8]));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let identity = Identity {
            node: 1,
            instance: 1,
            process: Process::default(),
            founder: false,
            token: "a token".into(),
        };
        let patience = Duration::from_secs(10);
        let peers = Peers::new(identity, [(2, address)], 1, patience, patience).unwrap();
        let answer: Result<Result<u64, u64>, Error> = peers.call(2, "/x", &(), patience).await;
        let error = answer.unwrap_err();
        assert!(!error.is_unsent(), "it may have been carried out: {error}");
    }

    #[test]
    fn a_place_is_taken_until_the_exchange_ends_though_nobody_waits_for_it() {
        let core = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let patience = Duration::from_secs(10);
        let (came, mut comes) = tokio::sync::mpsc::unbounded_channel();
        let answer = Arc::new(tokio::sync::Notify::new());
        let answers = answer.clone();
        let peers = core.block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let slow = axum::routing::post(async move || {
                came.send(()).unwrap();
                answers.notified().await;
            });
            let router = axum::Router::new().route("/x", slow);
            tokio::spawn(async move { axum::serve(listener, router).await });
            let identity = Identity {
                node: 1,
                instance: 1,
                process: Process::default(),
                founder: false,
                token: "a token".into(),
            };
            Peers::new(identity, [(2, address)], 1, patience, patience).unwrap()
        });
        let free = || peers.0.forwards.free(2, Origin::Client);
        let all = free();
        let callers = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        callers.block_on(async {
            let place = peers.place(2, Origin::Client).await;
            tokio::select! {
                answer = peers.call_in::<_, ()>(place, "/x", &(), patience) => panic!("{answer:?}"),
                came = comes.recv() => came.unwrap(),
            }
            assert_eq!(free(), all - 1, "the caller is gone, its request is not");
            answer.notify_one();
            while free() < all {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
    }
}
