//! The delay of firings by the minute, for the chart of the overview: how many firings of each of
//! the last 180 minutes had which delay. `node::view` ends the minutes and shows them to other
//! nodes. Nothing is stored: a node that was restarted knows nothing of the minutes before. It
//! never reads a clock: the caller passes the time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::lag::{BOUNDS_MS, BUCKETS, Lag, Quantiles};

/// The number of minutes that are known at most, with the one that is not over.
pub const LAG_MINUTES: usize = 180;
const MINUTE_MS: i64 = 60_000;

/// The firings of a minute by their delay: how many there are in each bucket of the histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MinuteLag([u32; BUCKETS]);

impl MinuteLag {
    fn between(before: &[u64; BUCKETS], after: &[u64; BUCKETS]) -> Self {
        Self(std::array::from_fn(|i| {
            u32::try_from(after[i].saturating_sub(before[i])).unwrap_or(u32::MAX)
        }))
    }

    /// Adds the firings of another node, or of another minute.
    pub fn join(&mut self, other: &Self) {
        for (own, more) in self.0.iter_mut().zip(other.0) {
            *own = own.saturating_add(more);
        }
    }

    /// The median and the delay that 99 of 100 do not exceed, each as the upper bound of its
    /// bucket; `None` without a firing. Beyond the last bound it is that bound.
    pub fn quantiles(&self) -> Option<Quantiles> {
        let total: u64 = self.0.iter().map(|count| u64::from(*count)).sum();
        let at = |share: u64| {
            let mut seen = 0;
            let found = self.0.iter().position(|count| {
                seen += u64::from(*count);
                seen >= (total * share).div_ceil(100)
            });
            let last = BOUNDS_MS.len() - 1;
            BOUNDS_MS[found.map_or(last, |bucket| bucket.min(last))]
        };
        (total > 0).then(|| Quantiles { p50: at(50), p99: at(99) })
    }
}

/// The minutes of a node. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct LagMinutes(Arc<Mutex<History>>);

#[derive(Debug, Default)]
struct History {
    /// The minute that is not over, and the counts at its begin.
    open: Option<(i64, [u64; BUCKETS])>,
    over: VecDeque<(i64, MinuteLag)>,
}

impl LagMinutes {
    /// Ends the minute if it is over; `now` is in milliseconds since 1970. To be called more often
    /// than once a minute: what was fired since the last call belongs to the minute of that call. A
    /// clock that was put back begins no minute again.
    pub fn turn(&self, lag: &Lag, now: i64) {
        let mut history = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        history.turn(&lag.buckets(), now);
    }

    /// The minutes that are known, as numbers since 1970, oldest first, with the one that is not
    /// over.
    pub fn show(&self, lag: &Lag, now: i64) -> Vec<(i64, MinuteLag)> {
        let mut history = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = lag.buckets();
        history.turn(&counts, now);
        let open =
            history.open.as_ref().map(|(at, begin)| (*at, MinuteLag::between(begin, &counts)));
        history.over.iter().copied().chain(open).collect()
    }
}

impl History {
    fn turn(&mut self, counts: &[u64; BUCKETS], now: i64) {
        let minute = now.div_euclid(MINUTE_MS);
        match &mut self.open {
            Some((open, _)) if minute <= *open => {}
            Some((open, begin)) => {
                self.over.push_back((*open, MinuteLag::between(begin, counts)));
                (*open, *begin) = (minute, *counts);
                while self.over.len() >= LAG_MINUTES {
                    self.over.pop_front();
                }
            }
            None => self.open = Some((minute, *counts)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_minute_has_its_own_firings() {
        let (lag, minutes) = (Lag::default(), LagMinutes::default());
        lag.observe(3, 7); // before the first look
        minutes.turn(&lag, 60_000);
        lag.observe(4, 98);
        lag.observe(700, 2);
        minutes.turn(&lag, 119_999);
        minutes.turn(&lag, 120_000);
        lag.observe(1, 1);
        let shown = minutes.show(&lag, 130_000);
        let quantiles: Vec<_> = shown.iter().map(|(at, one)| (*at, one.quantiles())).collect();
        let (first, second) = (Quantiles { p50: 5, p99: 1_000 }, Quantiles { p50: 1, p99: 1 });
        assert_eq!(quantiles, [(1, Some(first)), (2, Some(second))]);
        // The node slept through a minute: nothing is known of it.
        let shown = minutes.show(&lag, 240_000);
        let numbers: Vec<_> = shown.iter().map(|(at, _)| *at).collect();
        assert_eq!(numbers, [1, 2, 4]);
        assert_eq!(shown[2].1.quantiles(), None);
        minutes.turn(&lag, 0);
        assert_eq!(minutes.show(&lag, 240_000), shown, "the clock was put back and set right");
    }

    #[test]
    fn three_hours_are_kept_and_joined_over_nodes() {
        let (lag, minutes) = (Lag::default(), LagMinutes::default());
        for minute in 0..LAG_MINUTES as i64 + 10 {
            minutes.turn(&lag, minute * MINUTE_MS);
            lag.observe(u64::MAX, 1);
        }
        let shown = minutes.show(&lag, (LAG_MINUTES as i64 + 9) * MINUTE_MS);
        assert_eq!((shown.len(), shown[0].0), (LAG_MINUTES, 10));
        let mut joined = shown[0].1;
        joined.join(&shown[1].1);
        assert_eq!(joined.0.iter().sum::<u32>(), 2);
        assert_eq!(joined.quantiles(), Some(Quantiles { p50: 60_000, p99: 60_000 }));
    }
}
