//! The other nodes, as this one knows them: addresses, bindings, which process speaks for each, and
//! the claims against this node. `cluster` teaches it what is replicated; `auth` and `client` ask
//! it. It sends nothing: that is `client`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use reqwest::Client;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::claims::Claims;
use super::error::Error;
use super::forwards::Forwards;
use super::identity::Identity;
use super::speakers::Speakers;
use crate::listen::RAFT_IDLE;
use crate::model::NodeId;
use crate::store::nodes::Bound;

/// The time for which an idle connection is kept: less than the other side keeps it, so that no
/// message is sent on one that is being closed over there.
const IDLE: Duration = Duration::from_secs(90);
const _: () = assert!(IDLE.as_secs() < RAFT_IDLE.as_secs());

/// The other nodes: addresses, what is known of them, and a pool of connections. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Peers(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) identity: Identity,
    pub(super) runtime: Handle,
    pub(super) client: Client,
    known: RwLock<Known>,
    /// The requests that are forwarded.
    pub(super) forwards: Forwards,
    /// The process that speaks for each other node.
    speakers: Speakers,
    /// The level that each other node announced last.
    levels: Mutex<BTreeMap<NodeId, u32>>,
    /// The highest log index at which another node says that this one was bound.
    told: watch::Sender<u64>,
    failed: watch::Sender<Option<String>>,
    /// The claims of others against this node.
    pub(super) claims: Claims,
    /// The leader of the current term, as Raft knows it; 0 for none.
    leader: AtomicU64,
    pub(super) alone: AtomicBool,
    /// Another node said that this process is over, and that was logged.
    pub(super) said_over: AtomicBool,
}

#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) generation: u128,
    pub(super) addresses: BTreeMap<NodeId, String>,
    pub(super) bound: BTreeMap<NodeId, Bound>,
}

impl Peers {
    /// Makes the HTTP client on the current runtime. `addresses` are `host:port` of each member's
    /// `RaftAddress`, this node's included; `pool` bounds the idle connections a node, and what is
    /// forwarded at a time ([`Peers::place`]). A process on a copy of a node's folder is taken for
    /// that node after a `silence` of the one before.
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
            levels: Mutex::default(),
            told: watch::Sender::new(0),
            failed: watch::Sender::new(None),
            claims: Claims::default(),
            leader: AtomicU64::new(0),
            alone: AtomicBool::new(false),
            said_over: AtomicBool::new(false),
        })))
    }

    /// This node's identity.
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// The cluster's line of descent (`NodeRegistry::generation`); 0 before it is known.
    pub fn generation(&self) -> u128 {
        self.known(|known| known.generation)
    }

    pub(super) fn known<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        look(&self.0.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.0.known.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// True if a node is a member.
    pub fn is_member(&self, node: NodeId) -> bool {
        self.known(|known| known.addresses.contains_key(&node))
    }

    /// The data folder that a node id is bound to, by this node's state.
    pub fn bound(&self, node: NodeId) -> Option<Bound> {
        self.known(|known| known.bound.get(&node).copied())
    }

    /// The log index at which this node was bound to its data folder, as far as it knows or was
    /// told; 0 while it is not.
    pub fn bound_since(&self) -> u64 {
        self.own().map_or(0, |bound| bound.since).max(*self.0.told.borrow())
    }

    /// This node's binding, once its own state has it.
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

    /// The level that a node announced last; `None` when it has not been heard.
    pub fn level(&self, node: NodeId) -> Option<u32> {
        let levels = self.0.levels.lock().unwrap_or_else(PoisonError::into_inner);
        levels.get(&node).copied()
    }

    /// Takes the level that an authenticated message, or an answer, of a node announces.
    pub(super) fn note_level(&self, node: NodeId, level: u32) {
        self.0.levels.lock().unwrap_or_else(PoisonError::into_inner).insert(node, level);
    }

    /// Takes the leader of the current term, as this node's own Raft knows it.
    pub fn learn_leader(&self, leader: Option<NodeId>) {
        self.0.leader.store(leader.unwrap_or(0), Ordering::Relaxed);
    }

    /// The addresses of the other members.
    pub fn others(&self) -> Vec<(NodeId, String)> {
        let others = |known: &Known| {
            let others = known.addresses.iter().filter(|(id, _)| **id != self.0.identity.node);
            others.map(|(id, address)| (*id, address.clone())).collect()
        };
        self.known(others)
    }

    /// Takes a claim that this node must not take part. That ends nothing: the task that waits for
    /// [`Peers::doubted`] asks the others.
    pub fn doubt(&self, by: NodeId, why: &str) {
        self.0.claims.doubt(by, why);
    }

    /// Waits until somebody claims that this node must not take part.
    pub async fn doubted(&self) {
        self.0.claims.doubted().await;
    }

    /// Takes a node's answer that this one must end. The answer counts if the node is a member, and
    /// was asked at the address that the cluster has for it.
    pub(super) fn accused(&self, by: NodeId, at: Option<&str>, why: &str) {
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

    /// Takes whether this node leads and has lost its majority: its messages say so.
    pub fn leads_alone(&self, alone: bool) {
        self.0.alone.store(alone, Ordering::Relaxed);
    }

    /// The process that speaks for each other node, as far as this one has heard.
    pub fn speakers(&self) -> &Speakers {
        &self.0.speakers
    }

    /// Takes the line of descent and the bindings from the replicated state.
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

    /// The reason why this node must stop, if it must.
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
}
