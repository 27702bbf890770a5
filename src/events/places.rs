//! The places of readers: how many may read the events of a node at once, and how many of them one
//! client. `feed` takes a place for each subscription.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::listen::Principal;

/// The most streams of a node.
pub const MAX_STREAMS: u32 = 1_024;
/// The most streams of one client at a node: of all keys of a tree, or of all operators.
pub const MAX_STREAMS_OF_ONE: u32 = 32;

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crowded {
    /// All places of the node are taken.
    Node,
    /// The client has as many streams as it may have.
    Client,
}

/// The places of a node. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    all: u32,
    by_client: HashMap<Principal, u32>,
}

/// A place; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    client: Principal,
}

impl Places {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a client.
    pub(super) fn take(&self, client: Principal) -> Result<Place, Crowded> {
        let mut taken = self.taken();
        if taken.all >= MAX_STREAMS {
            return Err(Crowded::Node);
        }
        let own = taken.by_client.entry(client).or_default();
        if *own >= MAX_STREAMS_OF_ONE {
            return Err(Crowded::Client);
        }
        *own += 1;
        taken.all += 1;
        Ok(Place { places: self.clone(), client })
    }

    /// The number of places that are taken.
    pub(super) fn count(&self) -> u32 {
        self.taken().all
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all = taken.all.saturating_sub(1);
        if let Some(own) = taken.by_client.get_mut(&self.client) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.by_client.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_some_places_and_the_node_has_more() {
        let places = Places::default();
        let client = |n: u64| Principal::new(n).unwrap();
        let take = |n| (0..MAX_STREAMS_OF_ONE).map(move |_| n);
        let mut held: Vec<_> = take(1).map(|n| places.take(client(n)).unwrap()).collect();
        assert_eq!(places.take(client(1)).unwrap_err(), Crowded::Client);
        for n in 2..=u64::from(MAX_STREAMS / MAX_STREAMS_OF_ONE) {
            held.extend(take(n).map(|n| places.take(client(n)).unwrap()));
        }
        assert_eq!(places.count(), MAX_STREAMS);
        assert_eq!(places.take(client(99)).unwrap_err(), Crowded::Node);
        held.pop();
        assert!(places.take(client(99)).is_ok());
        held.clear();
        assert_eq!(places.count(), 0);
        assert!(places.taken().by_client.is_empty());
    }
}
