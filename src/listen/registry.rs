//! The registry of the connections of one port: their number, by network and by principal. The
//! accept loop (`serve`) asks for a slot for each newcomer and calls [`ConnectionRegistry::sweep`]
//! once a second. The registry closes connections, and carries out no request. Instants are
//! milliseconds of its own clock. A connection is anonymous until a request on it carried a valid
//! credential.
//!
//! | bound | what is closed, and when |
//! |---|---|
//! | `head`, `idle` | an idle connection: after the first byte of a head, or its last answer |
//! | `write` | one whose client takes no answer for so long, or is below [`LEAST_SPEED`] |
//! | `authenticate_within` | an anonymous connection: so long after it was accepted |
//! | `per_network` | of a network with more anonymous ones, those that wait longest |
//! | `anonymous` | with as many, for a newcomer: the anonymous ones that wait longest |
//! | `connections` | on a full port, for a newcomer: those that wait longest (below) |
//!
//! On a full port, anonymous connections of the network with most of them are closed first. If
//! there is none, idle connections of the principal with most of them are closed, unless anonymous
//! ones have slots of their own. Where they have, one is closed for a newcomer only when it was
//! read and is 50 ms old.
//!
//! A request under way is cut off only by the second row, and on an anonymous connection also where
//! its answer is not taken for a second: then it waits for its client like an idle one. A newcomer
//! that finds no connection to be closed waits in the queue of the system.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::bounds::{Bounds, LEAST_SPEED};
use super::connection::{Connection, ConnectionState, Crowded, Principal, Registry};
use crate::telemetry::LogLimit;

/// The time that a connection must have waited before it is closed for others, in milliseconds, as
/// its next request may be on its way. On a full port it does not hold for anonymous connections.
const GRACE_MS: u64 = 1_000;
/// The age before which an anonymous connection is not closed for a newcomer, in milliseconds,
/// where anonymous connections have slots of their own: the first message of a member may be on its
/// way. Its task must have looked for bytes, too. With a longer time, a client that goes on
/// connecting could fill the queue of the system.
const YOUNG_MS: u64 = 50;
/// The share of all connections that is closed at once on a full port, so that the search for them
/// costs little for each newcomer.
const SHARE: usize = 64;

/// The connections of one port.
#[derive(Debug)]
pub(super) struct ConnectionRegistry {
    pub(super) bounds: Bounds,
    began: Instant,
    counts: Mutex<Counts>,
    /// Whether a newcomer waits for a slot.
    wanted: AtomicBool,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Counts {
    next: u64,
    connections: HashMap<u64, Connection>,
    /// The number of anonymous connections.
    anonymous: usize,
    /// The same by network.
    by_network: HashMap<IpAddr, usize>,
    /// The number of authenticated connections by principal.
    by_principal: HashMap<Principal, usize>,
    /// Connections closed for others since that was logged last.
    closed: usize,
    lines: LogLimit<()>,
}

/// The slot of a connection, free again when this is dropped.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    registry: Arc<ConnectionRegistry>,
    pub(super) connection: Connection,
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.registry.counts().remove(&self.connection);
        self.registry.on_idle();
    }
}

impl ConnectionRegistry {
    pub(super) fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            bounds,
            began: Instant::now(),
            counts: Mutex::default(),
            wanted: AtomicBool::new(false),
            changed: Notify::new(),
        })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A slot for a newcomer. On a full port others are closed for it; `None` when none can be
    /// closed now.
    pub(super) fn admit(self: &Arc<Self>, address: SocketAddr, now: u64) -> Option<ConnectionSlot> {
        let mut counts = self.counts();
        if counts.is_full(&self.bounds) {
            counts.close_waiting(now, &self.bounds);
        }
        (!counts.is_full(&self.bounds)).then(|| self.add(&mut counts, address))
    }

    /// A slot beyond the bound, for a client that was connected when the port closed.
    pub(super) fn admit_late(self: &Arc<Self>, address: SocketAddr) -> ConnectionSlot {
        self.add(&mut self.counts(), address)
    }

    fn add(self: &Arc<Self>, counts: &mut Counts, address: SocketAddr) -> ConnectionSlot {
        counts.next += 1;
        let connection = Connection::of(counts.next, address, self.clone());
        counts.connections.insert(connection.id(), connection.clone());
        counts.anonymous += 1;
        *counts.by_network.entry(connection.network()).or_default() += 1;
        ConnectionSlot { registry: self.clone(), connection }
    }

    /// Closes some connections that wait, where the process has no descriptor for a newcomer.
    pub(super) fn close_waiting(&self) {
        self.counts().close_waiting(self.now(), &self.bounds);
    }

    /// Waits until a slot may be free for a newcomer.
    pub(super) async fn freed(&self) {
        self.changed.notified().await;
    }

    /// Notes whether a newcomer waits for [`ConnectionRegistry::freed`].
    pub(super) fn set_wanted(&self, wanted: bool) {
        self.wanted.store(wanted, Ordering::SeqCst);
    }

    /// Closes the connections whose time is over, and those that wait longest of the networks that
    /// have too many.
    pub(super) fn sweep(&self, now: u64) {
        let mut counts = self.counts();
        let mut over = Vec::new();
        let mut waiting: HashMap<IpAddr, Vec<(u64, Connection)>> = HashMap::new();
        for connection in counts.connections.values() {
            let state = connection.state(now);
            if self.is_stalled(&state) {
                tracing::debug!(address = %connection.address(), "an answer is not taken: closed");
                connection.close();
                over.push(connection.clone());
                continue;
            }
            let anonymous = connection.principal().is_none();
            let mut add = |waits| {
                waiting.entry(connection.network()).or_default().push((waits, connection.clone()));
            };
            if let Some(untaken) = state.untaken_ms() {
                if anonymous && untaken >= GRACE_MS {
                    add(untaken);
                }
                continue;
            }
            if !state.idle {
                continue;
            }
            let longest = if state.in_head { self.bounds.head } else { self.bounds.idle };
            let is_over = |age: u64, most: Duration| age >= most.as_millis() as u64;
            if is_over(state.waits_ms, longest)
                || anonymous
                    && self.bounds.authenticate_within.is_some_and(|m| is_over(state.age_ms, m))
            {
                if connection.close_idle() {
                    over.push(connection.clone());
                }
            } else if anonymous && state.waits_ms >= GRACE_MS {
                add(state.waits_ms);
            }
        }
        for connection in &over {
            counts.remove(connection);
        }
        for (network, mut waiting) in waiting {
            let there = counts.by_network.get(&network).copied().unwrap_or_default();
            let excess = self.bounds.per_network.map_or(0, |most| there.saturating_sub(most));
            if excess > 0 {
                waiting.sort_by_key(|(waits, it)| (Reverse(*waits), it.id()));
                waiting.truncate(excess);
                counts.close(now, waiting.into_iter().map(|(_, connection)| connection));
            }
        }
        counts.log(&self.bounds);
    }

    fn is_stalled(&self, state: &ConnectionState) -> bool {
        let Some(refused) = state.refused_ms else { return false };
        let write = self.bounds.write.as_millis() as u64;
        let earned = state.taken.saturating_mul(1_000) / LEAST_SPEED;
        refused >= write || refused + state.refused_before_ms >= write + earned
    }

    #[cfg(test)]
    fn counted(&self) -> (usize, usize, usize) {
        let counts = self.counts();
        assert_eq!(counts.anonymous, counts.by_network.values().sum::<usize>());
        (counts.connections.len(), counts.anonymous, counts.by_principal.values().sum())
    }
}

impl Registry for ConnectionRegistry {
    fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    fn authenticate(&self, connection: &Connection, principal: Principal) -> Result<(), Crowded> {
        let mut counts = self.counts();
        if !counts.connections.contains_key(&connection.id()) {
            // It is being closed, and counts no more.
            return Ok(());
        }
        let own = counts.by_principal.get(&principal).copied().unwrap_or_default();
        let authenticated = counts.connections.len() - counts.anonymous;
        let is_new = connection.principal().is_none();
        if is_new && self.bounds.authenticated.is_some_and(|most| authenticated >= most) {
            return Err(Crowded);
        }
        let is_scarce = counts.connections.len() > self.bounds.connections / 4 * 3;
        if is_scarce && self.bounds.per_principal.is_some_and(|most| own >= most) {
            return Err(Crowded);
        }
        counts.uncount(connection);
        connection.set_principal(principal);
        *counts.by_principal.entry(principal).or_default() += 1;
        drop(counts);
        // The slot of an anonymous connection is free.
        self.on_idle();
        Ok(())
    }

    fn on_idle(&self) {
        if self.wanted.load(Ordering::SeqCst) {
            self.changed.notify_one();
        }
    }
}

impl Counts {
    /// Whether there is no slot for a newcomer, which is anonymous at first.
    fn is_full(&self, bounds: &Bounds) -> bool {
        self.connections.len() >= bounds.connections
            || bounds.anonymous.is_some_and(|most| self.anonymous >= most)
    }

    /// Closes the connections that wait longest, of the network with most anonymous connections, or
    /// else of the principal with most connections.
    fn close_waiting(&mut self, now: u64, bounds: &Bounds) {
        let most = bounds.anonymous.unwrap_or(bounds.connections);
        let share = (most / SHARE).max(1);
        // Where anonymous connections have slots of their own, no other one is closed for them.
        let others_too = bounds.anonymous.is_none();
        let (mut anonymous, mut authenticated) = (Vec::new(), Vec::new());
        for connection in self.connections.values() {
            let state = connection.state(now);
            let untaken = state.untaken_ms().filter(|ms| *ms >= GRACE_MS);
            if !state.idle && untaken.is_none() {
                continue;
            }
            let waits = untaken.unwrap_or(state.waits_ms);
            match connection.principal() {
                // Where anonymous connections have slots of their own, it may be a member's.
                None if !others_too && (!state.found_empty || state.age_ms < YOUNG_MS) => {}
                None => {
                    let all =
                        self.by_network.get(&connection.network()).copied().unwrap_or_default();
                    anonymous.push((all, waits, connection.clone()));
                }
                Some(principal) if others_too && state.idle && state.waits_ms >= GRACE_MS => {
                    let all = self.by_principal.get(&principal).copied().unwrap_or_default();
                    authenticated.push((all, state.waits_ms, connection.clone()));
                }
                Some(_) => {}
            }
        }
        for mut found in [anonymous, authenticated] {
            // Among those of the same millisecond the older one is closed.
            found.sort_by_key(|(all, waits, it)| (Reverse(*all), Reverse(*waits), it.id()));
            found.truncate(share);
            if self.close(now, found.into_iter().map(|(_, _, connection)| connection)) > 0 {
                return;
            }
        }
    }

    /// Closes the connections on which no request has begun meanwhile, or whose answer is still not
    /// taken. Returns their number.
    fn close(&mut self, now: u64, connections: impl Iterator<Item = Connection>) -> usize {
        let mut closed = 0;
        let may_go = |it: &Connection| it.close_idle() || it.close_untaken(now, GRACE_MS);
        for connection in connections.filter(may_go) {
            self.remove(&connection);
            closed += 1;
        }
        self.closed += closed;
        closed
    }

    fn remove(&mut self, connection: &Connection) {
        if self.connections.remove(&connection.id()).is_some() {
            self.uncount(connection);
        }
    }

    /// Takes a connection out of the count by network or by principal.
    fn uncount(&mut self, connection: &Connection) {
        match connection.principal() {
            None => {
                self.anonymous -= 1;
                decrement(&mut self.by_network, &connection.network());
            }
            Some(principal) => decrement(&mut self.by_principal, &principal),
        }
    }

    /// Logs, once a minute at most, that connections were closed for others.
    fn log(&mut self, bounds: &Bounds) {
        if self.closed == 0 || self.lines.admit(()).is_none() {
            return;
        }
        let most = self.by_network.iter().max_by_key(|(_, count)| **count);
        tracing::warn!(
            closed = self.closed,
            open = self.connections.len(),
            most_from = most.map(|(network, _)| network.to_string()),
            port = bounds.name,
            "idle connections were closed: there are too many, or too many without a credential \
             from one address"
        );
        self.closed = 0;
    }
}

/// Counts one less; an entry of 0 is removed.
fn decrement<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
