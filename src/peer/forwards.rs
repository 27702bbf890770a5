//! Places for forwarded requests: how many of them this node has under way at each other node.
//! `cluster` takes a place before it sends a proposal or a question to the leader; the place is
//! free again when the exchange has ended, also where nobody waits for its answer any more. Raft's
//! own messages, renewals of leases and everything else that a node says of its own accord take no
//! place and never wait here.
//!
//! A connection carries one message at a time, and the receiver bounds how many connections its
//! members have together. Without this bound a crowd of clients at one node would open a connection
//! each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::NodeId;

/// The most requests of clients under way at one node.
const CLIENTS: usize = 32;
/// The least, however few connections are kept.
const LEAST: usize = 4;
/// Requests on behalf of firings may be so many times as many.
const FIRING: usize = 2;

/// The party on whose behalf a request is forwarded. Each has places of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A client of the API.
    Client,
    /// A firing, or the node itself: it does not wait behind clients.
    Firing,
}

/// A place among the requests under way at a node; free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    pub(super) to: NodeId,
    _permit: Option<OwnedSemaphorePermit>,
}

/// The places at all other nodes.
#[derive(Debug)]
pub(super) struct Forwards {
    clients: usize,
    each: Mutex<BTreeMap<(NodeId, Origin), Arc<Semaphore>>>,
}

impl Forwards {
    /// Places for a node that keeps so many idle connections to each other one: a third as many
    /// requests of clients, 4 to 32, and twice as many of firings. Together they are no more than
    /// these connections, but where there are fewer than 12.
    pub(super) fn new(pool: usize) -> Self {
        Self { clients: (pool / (1 + FIRING)).clamp(LEAST, CLIENTS), each: Mutex::default() }
    }

    /// Waits for a place; who came first is served first. Nothing is lost when it is dropped.
    pub(super) async fn place(&self, to: NodeId, origin: Origin) -> Place {
        // Nobody closes the semaphore.
        Place { to, _permit: self.places(to, origin).acquire_owned().await.ok() }
    }

    fn places(&self, to: NodeId, origin: Origin) -> Arc<Semaphore> {
        let most = match origin {
            Origin::Client => self.clients,
            Origin::Firing => self.clients * FIRING,
        };
        // A panic while it was held leaves whole entries.
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        each.entry((to, origin)).or_insert_with(|| Arc::new(Semaphore::new(most))).clone()
    }

    #[cfg(test)]
    pub(super) fn free(&self, to: NodeId, origin: Origin) -> usize {
        self.places(to, origin).available_permits()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn each_node_takes_so_many_requests_of_clients_and_what_fires_waits_for_none_of_them() {
        let forwards = Forwards::new(100);
        let mut places = Vec::new();
        for _ in 0..CLIENTS {
            places.push(forwards.place(2, Origin::Client).now_or_never().expect("a place"));
        }
        let mut waits = Box::pin(forwards.place(2, Origin::Client));
        assert!(waits.as_mut().now_or_never().is_none(), "all are taken");
        assert!(forwards.place(3, Origin::Client).now_or_never().is_some(), "another leader");
        assert!(forwards.place(2, Origin::Firing).now_or_never().is_some());
        places.pop();
        assert_eq!(waits.now_or_never().expect("the one that is free again").to, 2);
    }

    #[test]
    fn who_keeps_few_connections_forwards_little_at_a_time() {
        let places = [0, 30, 1_000].map(|pool| {
            let forwards = Forwards::new(pool);
            (forwards.free(2, Origin::Client), forwards.free(2, Origin::Firing))
        });
        assert_eq!(places, [(4, 8), (10, 20), (32, 64)]);
    }
}
