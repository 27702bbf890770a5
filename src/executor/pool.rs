//! Connections that are kept for the next request to the same origin. `Client` takes them out and
//! `Response` brings them back; nothing here connects or sends.
//!
//! Bounds: a connection is kept idle for [`IDLE`] (and closed at most as long again later), is taken
//! for a call only in the first [`LIFE_MS`] after it was made, and no more than [`most_idle`] are kept
//! in all; of more, the one goes that was used longest ago.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::connection::Connection;
use crate::clock::Clock;

/// Idle connections are closed after this long: before the five seconds after which many receivers
/// (Node's default among them) close them, perhaps just as a request is on its way.
const IDLE: Duration = Duration::from_secs(4);

/// How old a connection may be when a call takes it, in milliseconds: a name may lead elsewhere by
/// then. It lives two minutes at most with that, but for the call that it carries.
const LIFE_MS: u64 = 110_000;

/// So many idle connections may be kept, however few calls there are at a time.
const LEAST: usize = 128;

/// How many idle connections are kept at most: as many as there may be calls at a time.
pub(super) fn most_idle(max_workers: usize) -> usize {
    max_workers.max(LEAST)
}

/// See the head of this file.
pub(super) struct Pool {
    most: usize,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By origin, and the identity that is shown there.
    idle: HashMap<Box<str>, Vec<Idle>>,
    count: usize,
    /// A task looks for those that have been idle for too long.
    sweeping: bool,
}

struct Idle {
    connection: Connection,
    /// Since when, in boot-clock milliseconds.
    since: u64,
}

impl Idle {
    fn is_fresh(&self, now: u64) -> bool {
        now.saturating_sub(self.since) < IDLE.as_millis() as u64
            && now.saturating_sub(self.connection.made) < LIFE_MS
            && self.connection.is_ready()
    }
}

impl Pool {
    /// An empty one for so many connections.
    pub(super) fn new(most: usize, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { most, clock, state: Mutex::default() })
    }

    /// Takes the connection that was used last, if one is there.
    pub(super) fn take(&self, key: &str) -> Option<Connection> {
        let now = self.clock.boot();
        let mut state = self.lock();
        let State { idle, count, .. } = &mut *state;
        let kept = idle.get_mut(key)?;
        while let Some(last) = kept.pop() {
            *count -= 1;
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
        // Its task has not come to rest yet, or the receiver answered before it had the whole request.
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
        if state.count >= self.most {
            state.drop_oldest();
        }
        state.count += 1;
        let idle = Idle { connection, since: now };
        match state.idle.get_mut(key) {
            Some(kept) => kept.push(idle),
            None => drop(state.idle.insert(key.into(), vec![idle])),
        }
        if !std::mem::replace(&mut state.sweeping, true) {
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Closes what has been idle for too long; whether something is left.
    fn close_idle(&self) -> bool {
        let now = self.clock.boot();
        let mut state = self.lock();
        // Also the places of origins that have none left.
        state.idle.retain(|_, kept| {
            kept.retain(|idle| idle.is_fresh(now));
            !kept.is_empty()
        });
        state.count = state.idle.values().map(Vec::len).sum();
        state.sweeping = state.count > 0;
        state.sweeping
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn drop_oldest(&mut self) {
        // Within an origin the first is the oldest.
        let since = |kept: &&mut Vec<Idle>| kept.first().map_or(u64::MAX, |idle| idle.since);
        if let Some(oldest) = self.idle.values_mut().min_by_key(|kept| since(kept))
            && !oldest.is_empty()
        {
            oldest.remove(0);
            self.count -= 1;
        }
    }
}

/// Looks at the idle connections as long as there are any.
async fn sweep(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(IDLE).await;
        if !pool.upgrade().is_some_and(|pool| pool.close_idle()) {
            return;
        }
    }
}
