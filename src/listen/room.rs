//! The connections of one port, counted: how many there are, from where, and whose. The accept loop
//! (`super::serve`) asks for a place for each newcomer and calls [`Room::sweep`] once a second. It
//! closes connections, and carries out no request. Instants are milliseconds of the room's clock.
//!
//! | who is closed | when |
//! |---|---|
//! | a connection on which no request is under way | `Bounds::idle` after its last answer, `Bounds::head` after the first byte of a head |
//! | a client that does not take its answer | after `Bounds::write` without progress, or below [`LEAST_SPEED`] |
//! | a connection without a credential | `Bounds::prove_within` after it was accepted |
//! | the longest waiting without a credential that was read and is 50 ms old | while a newcomer finds `Bounds::unproved` of them |
//! | the longest waiting without a credential, of one network | while it has more than `Bounds::per_network` of them |
//! | the longest waiting without a credential, of the network with most of them | a newcomer finds the port full |
//! | else the longest waiting of the principal with most connections | the same, where strangers have no places of their own |
//!
//! A request that is under way is never cut off but by the second row, and, without a credential, for
//! the sake of others when its answer is not taken for a second: then it waits for its client like one
//! that is idle. A newcomer that finds nobody to be closed waits in the system's queue.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::LEAST_SPEED;
use super::bounds::Bounds;
use super::connection::{Connection, Crowded, Look, Principal};
use crate::telemetry::LogLimit;

/// A connection is not closed for the sake of others before it has waited for so long, in
/// milliseconds, except one without a credential on a full port: its first request may be on its way.
const GRACE_MS: u64 = 1_000;
/// Where strangers have places of their own, none is closed for a newcomer before it is so old, in
/// milliseconds, and before its task has looked for bytes: a member's first message may be on its way.
/// A longer time would let a stranger who goes on connecting fill the system's queue.
const YOUNG_MS: u64 = 50;
/// On a full port so large a share of all connections is closed at once, so that looking for them
/// costs little for each newcomer.
const SHARE: usize = 64;

/// The connections of one port.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) bounds: Bounds,
    began: Instant,
    held: Mutex<Held>,
    /// A newcomer waits.
    wanted: AtomicBool,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Held {
    next: u64,
    connections: HashMap<u64, Connection>,
    /// How many of them have proved nobody.
    strangers: usize,
    /// The same by network.
    unproved: HashMap<IpAddr, usize>,
    /// How many of them have proved to be somebody's.
    proved: HashMap<Principal, usize>,
    /// Closed for the sake of others since that was said last.
    closed: usize,
    lines: LogLimit<()>,
}

/// A connection's place, free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    room: Arc<Room>,
    pub(super) connection: Connection,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.held().remove(&self.connection);
        self.room.idles();
    }
}

impl Room {
    pub(super) fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            bounds,
            began: Instant::now(),
            held: Mutex::default(),
            wanted: AtomicBool::new(false),
            changed: Notify::new(),
        })
    }

    /// This room's clock, in milliseconds.
    pub(super) fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a newcomer; where there is none, one that is made by closing others; `None` when
    /// nobody can be closed now.
    pub(super) fn admit(self: &Arc<Self>, address: SocketAddr, now: u64) -> Option<Place> {
        let mut held = self.held();
        if held.is_full(&self.bounds) {
            held.make_room(now, &self.bounds);
        }
        (!held.is_full(&self.bounds)).then(|| self.place(&mut held, address))
    }

    /// A place beyond the bound, for who was connected when the port closed.
    pub(super) fn admit_late(self: &Arc<Self>, address: SocketAddr) -> Place {
        self.place(&mut self.held(), address)
    }

    fn place(self: &Arc<Self>, held: &mut Held, address: SocketAddr) -> Place {
        held.next += 1;
        let connection = Connection::of(held.next, address, self);
        held.connections.insert(connection.id(), connection.clone());
        held.strangers += 1;
        *held.unproved.entry(connection.network()).or_default() += 1;
        Place { room: self.clone(), connection }
    }

    /// Closes some that wait, where the process has no descriptor for a newcomer.
    pub(super) fn make_room(&self) {
        self.held().make_room(self.now(), &self.bounds);
    }

    /// Waits until a place may be free for a newcomer.
    pub(super) async fn freed(&self) {
        self.changed.notified().await;
    }

    /// Says whether a newcomer waits for [`Room::freed`].
    pub(super) fn set_wanted(&self, wanted: bool) {
        self.wanted.store(wanted, Ordering::SeqCst);
    }

    /// A connection ended, or a request on it.
    pub(super) fn idles(&self) {
        if self.wanted.load(Ordering::SeqCst) {
            self.changed.notify_one();
        }
    }

    /// Counts a connection as this principal's.
    pub(super) fn prove(
        &self,
        connection: &Connection,
        principal: Principal,
    ) -> Result<(), Crowded> {
        let mut held = self.held();
        if !held.connections.contains_key(&connection.id()) {
            // It is being closed, and counts no more.
            return Ok(());
        }
        let own = held.proved.get(&principal).copied().unwrap_or_default();
        let proved = held.connections.len() - held.strangers;
        let is_new = connection.principal().is_none();
        if is_new && self.bounds.proved.is_some_and(|most| proved >= most) {
            return Err(Crowded);
        }
        let is_scarce = held.connections.len() > self.bounds.connections / 4 * 3;
        if is_scarce && self.bounds.per_principal.is_some_and(|most| own >= most) {
            return Err(Crowded);
        }
        held.uncount(connection);
        connection.set_principal(principal);
        *held.proved.entry(principal).or_default() += 1;
        drop(held);
        // A stranger's place is free.
        self.idles();
        Ok(())
    }

    /// Closes whose time is over, and the longest waiting of networks that have too many.
    pub(super) fn sweep(&self, now: u64) {
        let mut held = self.held();
        let mut over = Vec::new();
        let mut waiting: HashMap<IpAddr, Vec<(u64, Connection)>> = HashMap::new();
        for connection in held.connections.values() {
            let look = connection.look(now);
            if self.is_stalled(&look) {
                tracing::debug!(address = %connection.address(), "an answer is not taken: closed");
                connection.close();
                over.push(connection.clone());
                continue;
            }
            let stranger = connection.principal().is_none();
            let mut add = |waits| {
                waiting.entry(connection.network()).or_default().push((waits, connection.clone()));
            };
            if let Some(untaken) = look.untaken_ms() {
                if stranger && untaken >= GRACE_MS {
                    add(untaken);
                }
                continue;
            }
            if !look.idle {
                continue;
            }
            let longest = if look.in_head { self.bounds.head } else { self.bounds.idle };
            let is_over = |age: u64, most: Duration| age >= most.as_millis() as u64;
            if is_over(look.waits_ms, longest)
                || stranger && self.bounds.prove_within.is_some_and(|m| is_over(look.age_ms, m))
            {
                if connection.close_idle() {
                    over.push(connection.clone());
                }
            } else if stranger && look.waits_ms >= GRACE_MS {
                add(look.waits_ms);
            }
        }
        for connection in &over {
            held.remove(connection);
        }
        for (network, mut waiting) in waiting {
            let there = held.unproved.get(&network).copied().unwrap_or_default();
            let excess = self.bounds.per_network.map_or(0, |most| there.saturating_sub(most));
            if excess > 0 {
                waiting.sort_by_key(|(waits, it)| (Reverse(*waits), it.id()));
                waiting.truncate(excess);
                held.close(now, waiting.into_iter().map(|(_, connection)| connection));
            }
        }
        held.say(&self.bounds);
    }

    fn is_stalled(&self, look: &Look) -> bool {
        let Some(refused) = look.refused_ms else { return false };
        let write = self.bounds.write.as_millis() as u64;
        let earned = look.taken.saturating_mul(1_000) / LEAST_SPEED;
        refused >= write || refused + look.refused_before_ms >= write + earned
    }

    #[cfg(test)]
    fn counted(&self) -> (usize, usize, usize) {
        let held = self.held();
        assert_eq!(held.strangers, held.unproved.values().sum::<usize>());
        (held.connections.len(), held.strangers, held.proved.values().sum())
    }
}

impl Held {
    /// Whether there is no place for a newcomer, who has shown no credential yet.
    fn is_full(&self, bounds: &Bounds) -> bool {
        self.connections.len() >= bounds.connections
            || bounds.unproved.is_some_and(|most| self.strangers >= most)
    }

    /// Closes the longest waiting of the network, or else of the principal, with most connections.
    fn make_room(&mut self, now: u64, bounds: &Bounds) {
        let most = bounds.unproved.unwrap_or(bounds.connections);
        let share = (most / SHARE).max(1);
        // Where strangers have places of their own, no other gives way to them.
        let others_too = bounds.unproved.is_none();
        let (mut strangers, mut known) = (Vec::new(), Vec::new());
        for connection in self.connections.values() {
            let look = connection.look(now);
            let untaken = look.untaken_ms().filter(|ms| *ms >= GRACE_MS);
            if !look.idle && untaken.is_none() {
                continue;
            }
            let waits = untaken.unwrap_or(look.waits_ms);
            match connection.principal() {
                // Where strangers have places of their own, it may be a member's.
                None if !others_too && (!look.found_empty || look.age_ms < YOUNG_MS) => {}
                None => {
                    let all = self.unproved.get(&connection.network()).copied().unwrap_or_default();
                    strangers.push((all, waits, connection.clone()));
                }
                Some(principal) if others_too && look.idle && look.waits_ms >= GRACE_MS => {
                    let all = self.proved.get(&principal).copied().unwrap_or_default();
                    known.push((all, look.waits_ms, connection.clone()));
                }
                Some(_) => {}
            }
        }
        for mut found in [strangers, known] {
            // Of the same millisecond the older one.
            found.sort_by_key(|(all, waits, it)| (Reverse(*all), Reverse(*waits), it.id()));
            found.truncate(share);
            if self.close(now, found.into_iter().map(|(_, _, connection)| connection)) > 0 {
                return;
            }
        }
    }

    /// Closes those on which no request has begun meanwhile, or whose answer is still not taken; how
    /// many.
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

    /// Counts it no more, by what it has proved so far.
    fn uncount(&mut self, connection: &Connection) {
        match connection.principal() {
            None => {
                self.strangers -= 1;
                less(&mut self.unproved, &connection.network());
            }
            Some(principal) => less(&mut self.proved, &principal),
        }
    }

    /// Says in the log, now and then, that connections were closed for the sake of others.
    fn say(&mut self, bounds: &Bounds) {
        if self.closed == 0 || self.lines.admit(()).is_none() {
            return;
        }
        let most = self.unproved.iter().max_by_key(|(_, count)| **count);
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

/// One less of them; an entry of none is gone.
fn less<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
#[path = "room_tests.rs"]
mod tests;
