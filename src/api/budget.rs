//! How many bytes of requests' bodies may be in memory at once. `node` makes one budget, `input` counts
//! by it. It frees nothing itself: a [`Share`] comes back when it is dropped. What answers hold is
//! counted by `answers`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::input::BULK;
use crate::listen::Principal;
use crate::telemetry::LogLimit;

/// Bodies up to this length, in bytes, do not count: there is one a connection at most.
pub(super) const UNCOUNTED: usize = 4_096;
/// The budget of a node without `MaxMemory`, in bytes: two of the longest bodies, for which one client
/// has turns, fit into half of it, and what else that client sends beside them.
const MOST: u64 = 4 * BULK as u64 + (16 << 20);
const FULL: &str = "as many bytes of bodies are in memory as may be, or half of them of one client";

/// A budget of bytes. One principal may have half of it; all that have none count as one.
#[derive(Debug)]
pub struct Budget {
    bytes: u64,
    held: Mutex<Ledger>,
    lines: LogLimit<()>,
}

#[derive(Debug, Default)]
struct Ledger {
    all: u64,
    by: HashMap<Option<Principal>, u64>,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(MOST)
    }
}

impl Budget {
    /// A budget of so many bytes.
    pub fn new(bytes: u64) -> Self {
        Self { bytes, held: Mutex::default(), lines: LogLimit::new() }
    }

    /// That of a node that may use so much memory: 272 MiB, or a quarter of `MaxMemory` if that is less.
    pub fn within(max_memory: Option<u64>) -> Self {
        Self::new(max_memory.map_or(MOST, |most| (most / 4).min(MOST)))
    }

    /// The most that one principal may have: nothing larger is ever admitted.
    pub fn largest(&self) -> u64 {
        self.bytes / 2
    }

    /// An empty share of this principal's.
    pub fn share(self: &Arc<Self>, of: Option<Principal>) -> Share {
        Share { budget: self.clone(), of, bytes: 0 }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of a budget, given back when this is dropped.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    of: Option<Principal>,
    bytes: u64,
}

impl Share {
    /// Takes so many bytes more, if the budget and the principal's half of it have them; whether so.
    #[must_use]
    pub fn grow(&mut self, bytes: u64) -> bool {
        let mut ledger = self.budget.ledger();
        let own = ledger.by.get(&self.of).copied().unwrap_or_default();
        let fits = |used: u64, most: u64| used.saturating_add(bytes) <= most;
        if !fits(ledger.all, self.budget.bytes) || !fits(own, self.budget.largest()) {
            if let Some(unsaid) = self.budget.lines.admit(()) {
                let (used, most) = (ledger.all, self.budget.bytes);
                tracing::warn!(used, most, own, bytes, unsaid, "a body was refused: {FULL}");
            }
            return false;
        }
        ledger.add(self.of, bytes);
        self.bytes += bytes;
        true
    }
}

impl Ledger {
    fn add(&mut self, of: Option<Principal>, bytes: u64) {
        if bytes == 0 {
            return;
        }
        self.all += bytes;
        *self.by.entry(of).or_default() += bytes;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut ledger = self.budget.ledger();
        ledger.all -= self.bytes;
        if let Some(own) = ledger.by.get_mut(&self.of) {
            *own -= self.bytes;
            if *own == 0 {
                ledger.by.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::input::SMALL;
    use super::*;

    #[test]
    fn one_principal_has_half_and_what_is_dropped_is_free_again() {
        let budget = Arc::new(Budget::new(100));
        let [first, second, third] = [1, 2, 3].map(Principal::new);
        let mut one = budget.share(first);
        assert!(one.grow(30) && !one.grow(21) && one.grow(20), "half is 50");
        assert!(!budget.share(first).grow(1));
        let mut two = budget.share(second);
        assert!(two.grow(40));
        let mut three = budget.share(third);
        assert!(!three.grow(11) && three.grow(10), "the whole is 100");
        let mut nobody = budget.share(None);
        assert!(!nobody.grow(1));
        drop(one);
        assert_eq!(budget.ledger().all, 50);
        assert!(nobody.grow(50));
        drop((two, three, nobody));
        let ledger = budget.ledger();
        assert_eq!((ledger.all, ledger.by.len()), (0, 0));
    }

    #[test]
    fn a_client_that_has_its_turns_has_room_for_two_of_the_longest_bodies() {
        let budget = Arc::new(Budget::default());
        let client = Principal::new(1);
        let (mut one, mut two, mut small) =
            (budget.share(client), budget.share(client), budget.share(client));
        assert!(one.grow(BULK as u64) && two.grow(BULK as u64) && small.grow(SMALL as u64));
    }

    #[test]
    fn little_memory_means_a_small_budget() {
        assert_eq!(Budget::within(None).largest(), 136 << 20);
        assert_eq!(Budget::within(Some(200_000_000)).largest(), 25_000_000);
        assert_eq!(Budget::within(Some(64_000_000_000)).largest(), 136 << 20);
    }
}
