//! The messages that a broker returned, by channel. `inbound` adds them as it reads them, so a
//! return is known before the confirm that follows it; `publish` takes them when its chunk is over.
//! A chunk has at most as many returns as messages that have left for the broker. It also knows
//! whether the broker has closed a channel, over which the library forgets nothing (`connection`).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A returned message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Return {
    /// Its id; empty if it has none.
    pub(crate) id: String,
    /// The reply code.
    pub(crate) code: u16,
    /// The reply text.
    pub(crate) text: String,
}

/// The returns of a connection.
#[derive(Debug, Default)]
pub(crate) struct Returns {
    chunks: Mutex<HashMap<u16, OfChunk>>,
    has_closed: AtomicBool,
}

/// The chunk that holds a channel.
#[derive(Debug, Default)]
struct OfChunk {
    /// The messages that have left.
    published: usize,
    returned: Vec<Return>,
}

impl Returns {
    /// Begins a chunk on a channel.
    pub(crate) fn begin(&self, channel: u16) {
        self.lock().insert(channel, OfChunk::default());
    }

    /// Notes that a message leaves.
    pub(crate) fn published(&self, channel: u16) {
        if let Some(chunk) = self.lock().get_mut(&channel) {
            chunk.published += 1;
        }
    }

    /// Adds a return; `false` if more come back than have left. Without a chunk on the channel, the
    /// return is for one that is over, and nobody asks for it any more.
    #[must_use]
    pub(crate) fn add(&self, channel: u16, returned: Return) -> bool {
        let mut chunks = self.lock();
        let Some(chunk) = chunks.get_mut(&channel) else { return true };
        if chunk.returned.len() >= chunk.published {
            return false;
        }
        chunk.returned.push(returned);
        true
    }

    /// The return of a message by its id, as far as it is known.
    pub(crate) fn of(&self, channel: u16, id: &str) -> Option<Return> {
        let chunks = self.lock();
        chunks.get(&channel)?.returned.iter().find(|returned| returned.id == id).cloned()
    }

    /// Ends the chunk on a channel, and takes its returns.
    pub(crate) fn end(&self, channel: u16) -> Vec<Return> {
        self.lock().remove(&channel).unwrap_or_default().returned
    }

    /// Notes that the broker closes a channel.
    pub(crate) fn note_closed(&self) {
        self.has_closed.store(true, Ordering::SeqCst);
    }

    /// Whether the broker has closed a channel.
    pub(crate) fn has_closed(&self) -> bool {
        self.has_closed.load(Ordering::SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u16, OfChunk>> {
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn returned(id: &str) -> Return {
        Return { id: id.to_owned(), code: 312, text: "NO_ROUTE".to_owned() }
    }

    #[test]
    fn no_more_come_back_than_have_left() {
        let returns = Returns::default();
        returns.begin(1);
        assert!(!returns.add(1, returned("a")));
        returns.published(1);
        returns.published(2);
        assert!(returns.add(1, returned("b")));
        assert!(!returns.add(1, returned("c")));
        assert_eq!((returns.of(1, "b"), returns.of(1, "c")), (Some(returned("b")), None));
        assert!(returns.add(2, returned("late")));
        assert_eq!((returns.end(1), returns.end(2)), (vec![returned("b")], vec![]));
        returns.begin(1);
        assert!(!returns.add(1, returned("d")), "each chunk counts anew");
    }
}
