//! A value that was read from the store and holds until the change feed says otherwise. A change
//! that comes while the value is being read makes that read void for the next caller.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The value.
#[derive(Debug)]
pub(super) struct Cached<T>(Mutex<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    value: Option<T>,
    changes: u64,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self(Mutex::new(Inner { value: None, changes: 0 }))
    }
}

impl<T> Cached<T> {
    fn inner(&self) -> MutexGuard<'_, Inner<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the value; `None` where there is none.
    pub(super) fn look<R>(&self, look: impl FnOnce(&T) -> R) -> Option<R> {
        self.inner().value.as_ref().map(look)
    }

    /// The number of changes so far: to be asked before a read.
    pub(super) fn changes(&self) -> u64 {
        self.inner().changes
    }

    /// Changes the value by what was read, unless it was made void since.
    pub(super) fn put(&self, changes: u64, change: impl FnOnce(&mut Option<T>)) {
        let mut inner = self.inner();
        if inner.changes == changes {
            change(&mut inner.value);
        }
    }

    /// Makes the value void.
    pub(super) fn clear(&self) {
        let mut inner = self.inner();
        inner.value = None;
        inner.changes += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_that_a_change_overtook_is_not_kept() {
        let cached = Cached::default();
        let begun = cached.changes();
        cached.clear();
        cached.put(begun, |value| *value = Some(1));
        assert_eq!(cached.look(|value| *value), None);
        cached.put(cached.changes(), |value| *value = Some(2));
        assert_eq!(cached.look(|value| *value), Some(2));
        cached.clear();
        assert_eq!(cached.look(|value| *value), None);
    }
}
