//! The connections that are kept for the next request to the same origin. `client` takes them out,
//! and its responses give them back. Nothing here connects or sends.
//!
//! Three bounds hold. A connection is kept idle for [`IDLE`], and closed at most as long again
//! later. A call takes a connection only in the first [`LIFE_MS`] after it was made. No more than
//! [`Options::max_idle`](super::Options) are kept in all: beyond that, the one goes that was used
//! longest ago, however many origins there are.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::connection::Connection;
use crate::clock::Clock;

/// The time after which idle connections are closed. It is shorter than the five seconds after
/// which many receivers (Node's default among them) close them, perhaps just as a request is on its
/// way.
const IDLE: Duration = Duration::from_secs(4);

/// The age up to which a call may take a connection, in milliseconds, since a name may lead
/// elsewhere by then. So it lives two minutes at most, and longer only for the call that it
/// carries.
const LIFE_MS: u64 = 110_000;

/// The pool.
pub(super) struct Pool {
    most: usize,
    clock: Arc<dyn Clock>,
    state: Mutex<State<Connection>>,
}

/// The kept connections, of type `C`.
struct State<C> {
    /// Connections by origin and client certificate.
    origins: HashMap<Arc<str>, Origin<C>>,
    /// The numbers of the connections that were given back, with their origin, the oldest first.
    /// Some of them were taken since.
    order: VecDeque<(u64, Arc<str>)>,
    /// The number of the next one that is given back.
    next: u64,
    count: usize,
    /// Whether a task looks for connections that have been idle for too long.
    sweeping: bool,
}

struct Origin<C> {
    name: Arc<str>,
    /// The oldest first.
    idle: Vec<Idle<C>>,
}

struct Idle<C> {
    connection: C,
    number: u64,
    /// The instant since which it is idle, in boot-clock milliseconds.
    since: u64,
}

impl Idle<Connection> {
    fn is_fresh(&self, now: u64) -> bool {
        now.saturating_sub(self.since) < IDLE.as_millis() as u64
            && now.saturating_sub(self.connection.made) < LIFE_MS
            && self.connection.is_ready()
    }
}

impl Pool {
    /// An empty pool for `most` connections.
    pub(super) fn new(most: usize, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { most, clock, state: Mutex::default() })
    }

    /// Takes the connection of an origin that was used last, if there is one.
    pub(super) fn take(&self, key: &str) -> Option<Connection> {
        let now = self.clock.boot();
        let mut state = self.lock();
        while let Some(last) = state.take(key) {
            if last.is_fresh(now) {
                return Some(last.connection);
            }
        }
        None
    }

    /// Keeps a connection whose answer has been read to its end.
    pub(super) fn give_back(self: &Arc<Self>, key: &str, mut connection: Connection) {
        connection.rest();
        if connection.is_ready() {
            self.keep(key, connection);
            return;
        }
        // Its task is still at work, or the receiver answered before it had the whole request.
        let (pool, key) = (Arc::clone(self), Box::from(key));
        tokio::spawn(async move {
            let ready = tokio::time::timeout(IDLE, connection.becomes_ready()).await;
            if ready == Ok(true) {
                pool.keep(&key, connection);
            }
        });
    }

    fn keep(self: &Arc<Self>, key: &str, connection: Connection) {
        let now = self.clock.boot();
        let mut state = self.lock();
        state.keep(key, connection, now, self.most);
        if !std::mem::replace(&mut state.sweeping, true) {
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Closes what has been idle for too long; true if connections are left.
    fn close_idle(&self) -> bool {
        let now = self.clock.boot();
        let mut state = self.lock();
        state.retain(|idle| idle.is_fresh(now));
        state.sweeping = state.count > 0;
        state.sweeping
    }

    fn lock(&self) -> MutexGuard<'_, State<Connection>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C> Default for State<C> {
    fn default() -> Self {
        let (origins, order) = (HashMap::new(), VecDeque::new());
        Self { origins, order, next: 0, count: 0, sweeping: false }
    }
}

impl<C> State<C> {
    /// Takes out the connection of an origin that was given back last.
    fn take(&mut self, key: &str) -> Option<Idle<C>> {
        let last = self.origins.get_mut(key)?.idle.pop()?;
        self.count -= 1;
        if self.order.back().is_some_and(|(number, _)| *number == last.number) {
            self.order.pop_back();
        }
        Some(last)
    }

    /// Keeps a connection, and `most` in all.
    fn keep(&mut self, key: &str, connection: C, now: u64, most: usize) {
        if self.count >= most {
            self.drop_oldest();
        }
        if self.order.len() > 2 * most {
            self.forget_taken();
        }
        let number = self.next;
        self.next += 1;
        self.count += 1;
        let origin = if let Some(known) = self.origins.get_mut(key) {
            known
        } else {
            let name: Arc<str> = key.into();
            let new = Origin { name: Arc::clone(&name), idle: Vec::new() };
            self.origins.entry(name).or_insert(new)
        };
        origin.idle.push(Idle { connection, number, since: now });
        self.order.push_back((number, Arc::clone(&origin.name)));
    }

    fn drop_oldest(&mut self) {
        while let Some((number, name)) = self.order.pop_front() {
            if let Some(origin) = self.origins.get_mut(&name)
                && origin.idle.first().is_some_and(|first| first.number == number)
            {
                origin.idle.remove(0);
                self.count -= 1;
                return;
            }
        }
    }

    /// Closes the connections for which `keep` is false, and forgets origins that have none left.
    fn retain(&mut self, keep: impl Fn(&Idle<C>) -> bool) {
        self.origins.retain(|_, origin| {
            origin.idle.retain(&keep);
            !origin.idle.is_empty()
        });
        self.count = self.origins.values().map(|origin| origin.idle.len()).sum();
        self.forget_taken();
    }

    /// Drops the numbers of connections that are not kept any more.
    fn forget_taken(&mut self) {
        let origins = &self.origins;
        self.order.retain(|(number, name)| {
            let idle = origins.get(name).map(|origin| &origin.idle);
            idle.is_some_and(|idle| idle.binary_search_by_key(number, |of| of.number).is_ok())
        });
    }
}

/// Closes idle connections in time, as long as there are any.
async fn sweep(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(IDLE).await;
        if !pool.upgrade().is_some_and(|pool| pool.close_idle()) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(state: &State<u32>) -> Vec<u32> {
        let mut all: Vec<u32> = state
            .origins
            .values()
            .flat_map(|origin| origin.idle.iter().map(|idle| idle.connection))
            .collect();
        all.sort_unstable();
        assert_eq!(all.len(), state.count);
        all
    }

    #[test]
    fn beyond_the_bound_the_connection_goes_that_was_given_back_longest_ago() {
        let mut state = State::default();
        for (key, connection) in [("a", 1), ("b", 2), ("a", 3), ("c", 4)] {
            state.keep(key, connection, 0, 4);
        }
        // The last one of an origin is taken first; given back, it is the newest.
        let taken = state.take("a").map(|idle| idle.connection);
        assert_eq!((taken, state.take("d").is_none()), (Some(3), true));
        state.keep("a", 3, 0, 4);
        for (next, kept) in [(5, [2, 3, 4, 5]), (6, [3, 4, 5, 6]), (7, [3, 5, 6, 7])] {
            state.keep("e", next, 0, 4);
            assert_eq!(left(&state), kept);
        }
        state.retain(|idle| idle.connection > 5);
        assert_eq!((left(&state), state.origins.len()), (vec![6, 7], 1));
    }

    #[test]
    fn the_numbers_of_connections_that_were_taken_are_bounded() {
        let mut state = State::default();
        for round in 0..1_000 {
            let keys = [round % 7, round % 5].map(|n| n.to_string());
            for key in &keys {
                state.keep(key, round, 0, 8);
            }
            // They are not taken in the order in which they came.
            for key in &keys {
                assert!(state.take(key).is_some());
            }
            assert!(state.order.len() <= 17, "{}", state.order.len());
        }
        state.keep("last", 1, 0, 8);
        state.retain(|_| true);
        assert_eq!((state.order.len(), state.count), (1, 1));
    }
}
