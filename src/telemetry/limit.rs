//! Limits log lines about the same thing to one a minute. A caller that logs what a client, a
//! receiver or a full disk can cause many times a second asks [`LogLimit`] first. It counts the
//! lines left out and logs nothing itself. Used from any thread; it never waits longer than for a
//! map of a few entries.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Instant;

/// The time between two lines about one thing, in milliseconds.
pub const EVERY_MS: u64 = 60_000;
/// The most things with a line of their own within a minute; more of them share one line.
const MOST_KEYS: usize = 64;

/// The lines about one thing.
#[derive(Clone, Copy, Debug)]
struct Said {
    /// The time of the last line, in the caller's milliseconds.
    at: u64,
    /// Lines left out since.
    unsaid: u64,
}

#[derive(Debug)]
struct Lines<K> {
    keys: BTreeMap<K, Said>,
    /// The lines about things that had no place in the map.
    others: Option<Said>,
}

/// Says when a line is due: the first line about a key at once, then one a minute with the number
/// of those left out in between. Its memory is bounded whatever the keys are.
#[derive(Debug)]
pub struct LogLimit<K>(Mutex<Lines<K>>);

impl<K: Ord> Default for LogLimit<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K> LogLimit<K> {
    /// Makes a limit without lines.
    pub const fn new() -> Self {
        Self(Mutex::new(Lines { keys: BTreeMap::new(), others: None }))
    }
}

impl<K: Ord> LogLimit<K> {
    /// Returns the number of lines left out since the last one if a line about a key is due now.
    pub fn admit(&self, key: K) -> Option<u64> {
        static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
        self.admit_at(key, BEGUN.elapsed().as_millis() as u64)
    }

    /// Works like [`LogLimit::admit`] at a time of the caller's: milliseconds of a clock that never
    /// goes back.
    pub fn admit_at(&self, key: K, now: u64) -> Option<u64> {
        // A panic of a holder leaves the entries whole.
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Lines { keys, others } = &mut *lines;
        if let Some(said) = keys.get_mut(&key) {
            return said.admit(now);
        }
        if keys.len() >= MOST_KEYS {
            // An entry is dropped when it has been quiet for a minute and has nothing to report.
            keys.retain(|_, said| said.unsaid > 0 || !said.is_old(now));
        }
        if keys.len() >= MOST_KEYS {
            // A number of lines left out long ago is reported together with the others.
            let mut unsaid = 0;
            keys.retain(|_, said| {
                let kept = !said.is_old(now);
                unsaid += if kept { 0 } else { said.unsaid };
                kept
            });
            if let Some(others) = others {
                others.unsaid += unsaid;
            }
        }
        let fresh = Said { at: now, unsaid: 0 };
        if keys.len() < MOST_KEYS {
            keys.insert(key, fresh);
            return Some(0);
        }
        if let Some(others) = others {
            return others.admit(now);
        }
        *others = Some(fresh);
        Some(0)
    }
}

impl Said {
    fn is_old(&self, now: u64) -> bool {
        now >= self.at.saturating_add(EVERY_MS)
    }

    fn admit(&mut self, now: u64) -> Option<u64> {
        if !self.is_old(now) {
            self.unsaid += 1;
            return None;
        }
        self.at = now;
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_minute_and_key_with_the_number_of_those_left_out() {
        let limit = LogLimit::new();
        assert_eq!(limit.admit_at("a", 5), Some(0));
        for now in 5..1_005 {
            assert_eq!(limit.admit_at("a", now), None);
        }
        assert_eq!(limit.admit_at("b", 6), Some(0), "another thing");
        assert_eq!(limit.admit_at("a", 5 + EVERY_MS - 1), None);
        assert_eq!(limit.admit_at("a", 5 + EVERY_MS), Some(1_001));
        assert_eq!(limit.admit_at("a", 6 + EVERY_MS), None);
    }

    #[test]
    fn any_number_of_keys_gets_few_lines_and_little_memory() {
        let limit = LogLimit::new();
        let said =
            (0..100_000_u64).filter(|key| limit.admit_at(*key, key / 1_000).is_some()).count();
        assert_eq!(said, MOST_KEYS + 1);
        assert_eq!(limit.0.lock().unwrap().keys.len(), MOST_KEYS);
        // A minute later other keys have a turn, and no count is lost.
        let later = limit.admit_at(1_000_000, 100 + EVERY_MS);
        assert_eq!(later, Some(0));
        let unsaid = limit.0.lock().unwrap().others.map(|others| others.unsaid);
        assert_eq!(unsaid, Some(100_000 - MOST_KEYS as u64 - 1));
    }
}
