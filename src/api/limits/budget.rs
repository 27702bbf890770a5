//! A budget of bytes that may be in memory at once, half of it for one client. `node` makes the one
//! of requests' bodies, and `answers` has one for answers. It frees nothing itself: a [`Share`]
//! comes back when it is dropped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::listen::Principal;
use crate::telemetry::LogLimit;

/// The longest body that any route takes, in bytes.
pub(crate) const LARGEST_BODY: usize = 64 << 20;
/// The budget for bodies of a node without `MaxMemory`, in bytes: two of the longest bodies, for
/// which one client has permits, fit into half of it, and small bodies of the same client beside
/// them.
const BODIES: u64 = 4 * LARGEST_BODY as u64 + (16 << 20);

/// A budget of bytes. One principal may have half of it; all requests without one count as one.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes: u64,
    held: Mutex<Held>,
    /// Bounds the log lines about refusals.
    pub(crate) log: LogLimit<()>,
}

#[derive(Debug, Default)]
struct Held {
    all: u64,
    by: HashMap<Option<Principal>, u64>,
}

/// A refusal: the budget, or the principal's half of it, has too few bytes left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full {
    /// Bytes that all principals hold.
    pub(crate) all: u64,
    /// Bytes that the principal holds.
    pub(crate) own: u64,
    /// Bytes of the budget.
    pub(crate) budget: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(BODIES)
    }
}

impl Budget {
    /// A budget of so many bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        Self { bytes, held: Mutex::default(), log: LogLimit::new() }
    }

    /// The budget for bodies of a node that may use so much memory: 272 MiB, or a quarter of
    /// `MaxMemory` if that is less.
    pub(crate) fn within(max_memory: Option<u64>) -> Self {
        Self::new(max_memory.map_or(BODIES, |most| (most / 4).min(BODIES)))
    }

    /// The most bytes of one principal: nothing larger is ever admitted.
    pub(crate) fn largest(&self) -> u64 {
        self.bytes / 2
    }

    /// An empty share of a principal.
    pub(crate) fn share(self: &Arc<Self>, of: Option<Principal>) -> Share {
        Share { budget: self.clone(), of, bytes: 0 }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of a budget, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    of: Option<Principal>,
    bytes: u64,
}

impl Share {
    /// Takes so many bytes more, if the budget and the principal's half of it have them.
    pub(crate) fn grow(&mut self, bytes: u64) -> Result<(), Full> {
        let mut held = self.budget.held();
        let own = held.by.get(&self.of).copied().unwrap_or_default();
        let fits = |used: u64, most: u64| used.saturating_add(bytes) <= most;
        if !fits(held.all, self.budget.bytes) || !fits(own, self.budget.largest()) {
            return Err(Full { all: held.all, own, budget: self.budget.bytes });
        }
        held.add(self.of, bytes);
        self.bytes += bytes;
        Ok(())
    }

    /// Takes so many bytes more, even beyond the budget.
    pub(crate) fn force(&mut self, bytes: u64) {
        self.budget.held().add(self.of, bytes);
        self.bytes += bytes;
    }
}

impl Held {
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
        let mut held = self.budget.held();
        held.all -= self.bytes;
        if let Some(own) = held.by.get_mut(&self.of) {
            *own -= self.bytes;
            if *own == 0 {
                held.by.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_principal_has_half_and_what_is_dropped_is_free_again() {
        let budget = Arc::new(Budget::new(100));
        let [first, second, third] = [1, 2, 3].map(Principal::new);
        let mut one = budget.share(first);
        assert!(one.grow(30).is_ok() && one.grow(20).is_ok());
        assert_eq!(one.grow(1), Err(Full { all: 50, own: 50, budget: 100 }), "half is 50");
        assert!(budget.share(first).grow(1).is_err());
        let mut two = budget.share(second);
        assert!(two.grow(40).is_ok());
        let mut three = budget.share(third);
        assert!(three.grow(11).is_err() && three.grow(10).is_ok(), "the whole is 100");
        let mut nobody = budget.share(None);
        assert!(nobody.grow(1).is_err());
        drop(one);
        assert_eq!(budget.held().all, 50);
        assert!(nobody.grow(50).is_ok());
        nobody.force(60);
        assert_eq!(budget.held().all, 160, "what is forced counts");
        drop((two, three, nobody));
        let held = budget.held();
        assert_eq!((held.all, held.by.len()), (0, 0));
    }

    #[test]
    fn a_client_with_all_its_permits_has_room_for_two_of_the_longest_bodies() {
        let budget = Arc::new(Budget::default());
        let client = Principal::new(1);
        let (mut one, mut two, mut small) =
            (budget.share(client), budget.share(client), budget.share(client));
        let (large, little) = (LARGEST_BODY as u64, 1 << 20);
        assert!(one.grow(large).is_ok() && two.grow(large).is_ok() && small.grow(little).is_ok());
    }

    #[test]
    fn little_memory_means_a_small_budget() {
        assert_eq!(Budget::within(None).largest(), 136 << 20);
        assert_eq!(Budget::within(Some(200_000_000)).largest(), 25_000_000);
        assert_eq!(Budget::within(Some(64_000_000_000)).largest(), 136 << 20);
    }
}
