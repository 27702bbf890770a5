//! The caller's side: who the others are, and how to say something to them.
//!
//! Everything runs on the runtime that [`Peers`] was made on (the node's core runtime), also when
//! the caller lives on another one: connections are shared with Raft, and their tasks must not
//! wait behind somebody's bulk work.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Body, Client, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::model::NodeId;

/// Header: the cluster's id, 32 hex digits; zeros before it is known.
pub(super) const CLUSTER: &str = "x-scheduler0-cluster";
/// Header: the sender's node id.
pub(super) const NODE: &str = "x-scheduler0-node";
/// Header: the sender's instance id, 32 hex digits.
pub(super) const INSTANCE: &str = "x-scheduler0-instance";
/// Header: the instance that the sender expects the receiver to be, where it knows.
pub(super) const EXPECTS: &str = "x-scheduler0-expects";
/// Header of an answer that tells the caller that it must stop.
pub(super) const STOP: &str = "x-scheduler0-stop";

/// Why a message came to nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Not a member.
    #[error("node {0} is not a member of this cluster: check Replicas")]
    Unknown(NodeId),
    /// No connection: nothing was sent.
    #[error("node {to} cannot be reached: {message}")]
    Unreachable {
        /// Who was called.
        to: NodeId,
        /// What the transport says.
        message: String,
    },
    /// Bytes may have gone out and no answer came: whether it was carried out is unknown.
    #[error("no answer from node {to}: {message}")]
    Lost {
        /// Who was called.
        to: NodeId,
        /// What the transport says.
        message: String,
    },
    /// The receiver answered with an error.
    #[error("node {to} answered {status}: {message}")]
    Refused {
        /// Who was called.
        to: NodeId,
        /// The HTTP status.
        status: u16,
        /// Its message.
        message: String,
    },
    /// A message could not be put into bytes.
    #[error("a message to node {to} cannot be coded: {message}")]
    Codec {
        /// Who was called.
        to: NodeId,
        /// What postcard says.
        message: String,
    },
}

impl Error {
    /// Whether the receiver certainly did nothing.
    pub fn is_unsent(&self) -> bool {
        matches!(self, Error::Unknown(_) | Error::Unreachable { .. } | Error::Codec { .. })
    }
}

/// Who this node is, in every message that it sends.
#[derive(Clone)]
pub struct Identity {
    /// Its node id.
    pub node: NodeId,
    /// The random id of its data folder.
    pub instance: u128,
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
    failed: watch::Sender<Option<String>>,
}

#[derive(Debug, Default)]
struct Known {
    cluster: u128,
    addresses: BTreeMap<NodeId, String>,
    instances: BTreeMap<NodeId, u128>,
}

impl Peers {
    /// Makes the client on the current runtime. `addresses` are `host:port` of each member's
    /// `RaftAddress`, this node's included; `pool` bounds the idle connections a node.
    pub fn new(
        identity: Identity,
        addresses: impl IntoIterator<Item = (NodeId, String)>,
        pool: usize,
        connect_timeout: Duration,
    ) -> Result<Self, Error> {
        // Peers speak plain HTTP, but the client insists on a TLS provider; a second installation
        // is refused and that is all right.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .no_proxy()
            .http1_only()
            .tcp_nodelay(true)
            .pool_max_idle_per_host(pool.max(1))
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
            failed: watch::Sender::new(None),
        })))
    }

    /// Who this node is.
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// The cluster's id; 0 before it is known.
    pub fn cluster(&self) -> u128 {
        self.0.known.read().unwrap_or_else(PoisonError::into_inner).cluster
    }

    /// Whether a node is a member.
    pub fn is_member(&self, node: NodeId) -> bool {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        known.addresses.contains_key(&node)
    }

    /// The instance that a node is registered with, once it is.
    pub fn instance_of(&self, node: NodeId) -> Option<u128> {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        known.instances.get(&node).copied()
    }

    /// Takes what the replicated state says: the cluster's id and the registered instances.
    pub fn learn(&self, cluster: u128, instances: impl IntoIterator<Item = (NodeId, u128)>) {
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        known.cluster = cluster;
        known.instances = instances.into_iter().collect();
    }

    /// Takes the stored address of a member that the configuration does not name.
    pub fn learn_address(&self, node: NodeId, address: &str) {
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        known.addresses.entry(node).or_insert_with(|| address.to_owned());
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
                tracing::error!(%message, "this node must stop");
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
        let codec = |e: postcard::Error| Error::Codec { to, message: e.to_string() };
        let body = postcard::to_allocvec(request).map_err(codec)?;
        let answer = self.send(to, path, Body::from(body), timeout).await?;
        // It was carried out over there: only a request that cannot be coded was never sent.
        let unread = |e| Error::Lost { to, message: format!("its answer cannot be read: {e}") };
        postcard::from_bytes(&answer).map_err(unread)
    }

    /// Sends a body as it is (a stream, for a snapshot) and gives the answer's bytes.
    pub async fn send(
        &self,
        to: NodeId,
        path: &str,
        body: Body,
        timeout: Duration,
    ) -> Result<Bytes, Error> {
        if Handle::try_current().is_ok_and(|h| h.id() == self.0.runtime.id()) {
            return self.exchange(to, path, body, timeout).await;
        }
        let (peers, path) = (self.clone(), path.to_owned());
        let task =
            self.0.runtime.spawn(async move { peers.exchange(to, &path, body, timeout).await });
        task.await.map_err(|e| Error::Lost { to, message: e.to_string() })?
    }

    async fn exchange(
        &self,
        to: NodeId,
        path: &str,
        body: Body,
        timeout: Duration,
    ) -> Result<Bytes, Error> {
        let mine = &self.0.identity;
        let mut request = {
            let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
            let address = known.addresses.get(&to).ok_or(Error::Unknown(to))?;
            let request = self
                .0
                .client
                .post(format!("http://{address}{path}"))
                .bearer_auth(&mine.token)
                .header(CLUSTER, format!("{:032x}", known.cluster))
                .header(NODE, mine.node)
                .header(INSTANCE, format!("{:032x}", mine.instance));
            match known.instances.get(&to) {
                Some(instance) => request.header(EXPECTS, format!("{instance:032x}")),
                None => request,
            }
        };
        request = request.timeout(timeout).body(body);
        let response = request.send().await.map_err(|e| transport(to, &e))?;
        let status = response.status();
        let stop = response.headers().contains_key(STOP);
        let body = response.bytes().await.map_err(|e| transport(to, &e))?;
        if status == StatusCode::OK {
            return Ok(body);
        }
        let message = String::from_utf8_lossy(&body[..body.len().min(2_000)]).into_owned();
        if stop {
            self.fail(message.clone());
        }
        Err(Error::Refused { to, status: status.as_u16(), message })
    }
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
        let identity = Identity { node: 1, instance: 1, token: "a token".into() };
        let patience = Duration::from_secs(10);
        let peers = Peers::new(identity, [(2, address)], 1, patience).unwrap();
        let answer: Result<Result<u64, u64>, Error> = peers.call(2, "/x", &(), patience).await;
        let error = answer.unwrap_err();
        assert!(!error.is_unsent(), "it may have been carried out: {error}");
    }
}
