//! The rates of API keys: how many requests each may make in a second, on this node. `pairs` makes
//! one for each key, `check` asks it once a request whose secret was right. It reads no clock (the
//! caller passes the time), and knows nothing of other nodes.
//!
//! A key counts its requests by its own rate, and by those of all keys above it: otherwise a key
//! could make others, and each of them would have a rate to itself. Where the root of a tree has
//! no rate, all keys of the tree count together by that of the configuration, too.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::model::credential::Credential;

/// The time that a full bucket stands for.
const BURST: Duration = Duration::from_secs(1);

/// The requests that were counted, as the time at which they would be over if they came evenly (the
/// generic cell rate algorithm), in nanoseconds.
#[derive(Debug, Default)]
pub(super) struct Bucket(AtomicU64);

impl Bucket {
    /// Counts a request at a time.
    ///
    /// # Errors
    ///
    /// The time to wait, where there were too many.
    fn take(&self, per_second: u32, now: Duration) -> Result<(), Duration> {
        let burst = BURST.as_nanos() as u64;
        let each = burst / u64::from(per_second.max(1));
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let mut over = self.0.load(Ordering::Relaxed);
        loop {
            let next = over.max(now).saturating_add(each);
            if let Some(wait) = next.checked_sub(now.saturating_add(burst)).filter(|ns| *ns > 0) {
                return Err(Duration::from_nanos(wait));
            }
            match self.0.compare_exchange_weak(over, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(seen) => over = seen,
            }
        }
    }
}

/// The buckets of keys by id: of those with a rate, and of the roots of trees.
pub(super) type Buckets = HashMap<u64, Arc<Bucket>>;

/// A key that has a rate, and those above it that have one.
#[derive(Debug)]
struct Rated {
    rate: u32,
    bucket: Arc<Bucket>,
    above: Option<Arc<Self>>,
}

/// The limits of one key.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits {
    /// Its own, and all of keys above it.
    rated: Option<Arc<Rated>>,
    /// The bucket of its tree, for the rate of the configuration. It holds where the root of the
    /// tree has no rate of its own.
    tree: Option<Arc<Bucket>>,
}

impl Limits {
    /// Counts a request of the key at a time. `usual` is the rate of the configuration.
    ///
    /// # Errors
    ///
    /// The time to wait, where there were too many.
    pub(super) fn take(&self, usual: Option<u32>, now: Duration) -> Result<(), Duration> {
        let mut at = self.rated.as_deref();
        while let Some(Rated { rate, bucket, above }) = at {
            bucket.take(*rate, now)?;
            at = above.as_deref();
        }
        match (usual, &self.tree) {
            (Some(usual), Some(tree)) => tree.take(usual, now),
            _ => Ok(()),
        }
    }
}

/// The limits of keys.
pub(super) struct Rates {
    rated: HashMap<u64, Option<Arc<Rated>>>,
    /// The roots with a rate of their own.
    rated_roots: HashSet<u64>,
    buckets: Buckets,
}

impl Rates {
    /// The limits of these credentials, whose roots are known. `old` are the buckets so far, which
    /// go on to count.
    pub(super) fn of(rows: &[Credential], roots: &HashMap<u64, u64>, old: &Buckets) -> Self {
        let of = |row: &Credential| Some((row.id, row.terms.rate?));
        let per_second: HashMap<u64, u32> = rows.iter().filter_map(of).collect();
        let kept = |id: &u64| (*id, old.get(id).cloned().unwrap_or_default());
        let buckets: Buckets = per_second.keys().chain(roots.values()).map(kept).collect();
        let rated = if per_second.is_empty() {
            HashMap::new()
        } else {
            chains(rows, &per_second, &buckets)
        };
        let rated_roots =
            roots.values().copied().filter(|id| per_second.contains_key(id)).collect();
        Self { rated, rated_roots, buckets }
    }

    /// The limits of a key.
    pub(super) fn limits(&self, id: u64, root: u64) -> Limits {
        let is_rated = self.rated_roots.contains(&root);
        Limits {
            rated: self.rated.get(&id).cloned().flatten(),
            tree: self.buckets.get(&root).filter(|_| !is_rated).cloned(),
        }
    }

    /// The buckets, for the next limits.
    pub(super) fn into_buckets(self) -> Buckets {
        self.buckets
    }
}

/// The keys with a rate on the way from each key to its root. Each key is visited once.
fn chains(
    rows: &[Credential],
    rates: &HashMap<u64, u32>,
    buckets: &Buckets,
) -> HashMap<u64, Option<Arc<Rated>>> {
    let parents: HashMap<u64, Option<u64>> = rows.iter().map(|row| (row.id, row.parent)).collect();
    let mut known: HashMap<u64, Option<Arc<Rated>>> = HashMap::with_capacity(rows.len());
    for row in rows {
        let (mut path, mut at) = (Vec::new(), row.id);
        let mut above = loop {
            if let Some(found) = known.get(&at) {
                break found.clone();
            }
            // A walk that meets it again has gone in a circle, which no command makes.
            known.insert(at, None);
            path.push(at);
            match parents.get(&at).copied().flatten().filter(|id| parents.contains_key(id)) {
                Some(parent) => at = parent,
                None => break None,
            }
        };
        for id in path.into_iter().rev() {
            if let (Some(&rate), Some(bucket)) = (rates.get(&id), buckets.get(&id)) {
                above = Some(Arc::new(Rated { rate, bucket: Arc::clone(bucket), above }));
            }
            known.insert(id, above.clone());
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::key_terms::KeyTerms;

    fn row(id: u64, parent: Option<u64>, rate: Option<u32>) -> Credential {
        let terms = KeyTerms { rate, ..KeyTerms::default() };
        Credential { id, terms, parent, ..Credential::default() }
    }

    fn limits(rows: &[Credential], id: u64, root: u64) -> Limits {
        let roots = rows.iter().map(|row| (row.id, root)).collect();
        Rates::of(rows, &roots, &Buckets::new()).limits(id, root)
    }

    /// The number of requests that pass within a time, when there are always more.
    fn passed(limits: &Limits, usual: Option<u32>, from: u64, to: u64) -> usize {
        let each = (from..to).flat_map(|ms| [ms; 3]);
        each.filter(|ms| limits.take(usual, Duration::from_millis(*ms)).is_ok()).count()
    }

    #[test]
    fn a_second_of_requests_may_come_at_once_and_then_the_rate_holds() {
        for rate in [1, 10, 1_000] {
            let limits = limits(&[row(1, None, Some(rate))], 1, 1);
            let at = Duration::from_secs(5);
            let burst = (0..5_000).filter(|_| limits.take(None, at).is_ok()).count();
            assert_eq!(burst, rate as usize);
            let wait = limits.take(None, at).unwrap_err();
            assert!(wait <= Duration::from_secs(1) && limits.take(None, at + wait).is_ok());
            let later = passed(&limits, None, 10_000, 20_000);
            let most = rate as usize * 11;
            assert!((most - rate as usize..=most).contains(&later), "{rate}: {later}");
        }
    }

    #[test]
    fn without_a_rate_the_configuration_says_it_for_a_whole_tree() {
        let rows = [row(1, None, None), row(2, Some(1), None)];
        let roots = HashMap::from([(1, 1), (2, 1)]);
        let rates = Rates::of(&rows, &roots, &Buckets::new());
        let (parent, child) = (rates.limits(1, 1), rates.limits(2, 1));
        assert_eq!(passed(&parent, None, 0, 1_000), 3_000);
        let at = Duration::from_secs(9);
        let both = [&parent, &child].into_iter().cycle().take(100);
        assert_eq!(both.filter(|limits| limits.take(Some(10), at).is_ok()).count(), 10);
    }

    #[test]
    fn a_key_in_the_middle_of_a_tree_has_its_rate_with_all_that_it_made() {
        let rows = [
            row(1, None, Some(100)),
            row(2, Some(1), Some(5)),
            row(3, Some(2), Some(5)),
            row(4, Some(2), Some(5)),
        ];
        let roots = (1..=4).map(|id| (id, 1)).collect();
        let rates = Rates::of(&rows, &roots, &Buckets::new());
        let at = Duration::from_secs(9);
        let passed = |id: u64| {
            let limits = rates.limits(id, 1);
            (0..9).filter(|_| limits.take(Some(1), at).is_ok()).count()
        };
        assert_eq!([passed(3), passed(4), passed(2), passed(1)], [5, 0, 0, 9]);
    }

    #[test]
    fn a_key_below_one_without_a_rate_counts_by_the_configuration_too() {
        let rows = [row(1, None, None), row(2, Some(1), Some(1_000))];
        let limits = limits(&rows, 2, 1);
        let at = Duration::from_secs(9);
        assert_eq!((0..99).filter(|_| limits.take(Some(10), at).is_ok()).count(), 10);
    }

    #[test]
    fn keys_that_a_key_made_have_no_more_than_it_together() {
        // 3 was made by 2, which has no rate of its own any more.
        let rows = [
            row(1, None, Some(10)),
            row(2, Some(1), None),
            row(3, Some(2), Some(4)),
            row(4, Some(1), Some(10)),
        ];
        let roots = (1..=4).map(|id| (id, 1)).collect();
        let rates = Rates::of(&rows, &roots, &Buckets::new());
        let at = Duration::from_secs(9);
        let take = |id: u64, many: usize| {
            let limits = rates.limits(id, 1);
            (0..many).filter(|_| limits.take(None, at).is_ok()).count()
        };
        assert_eq!((take(3, 9), take(2, 3), take(4, 9), take(1, 9)), (4, 3, 3, 0));
    }

    #[test]
    fn what_was_counted_is_not_forgotten_when_credentials_change() {
        let rows = [row(1, None, Some(10))];
        let roots = HashMap::from([(1, 1)]);
        let rates = Rates::of(&rows, &roots, &Buckets::new());
        let at = Duration::from_secs(9);
        assert_eq!(passed(&rates.limits(1, 1), None, 9_000, 9_001), 3);
        (0..7).for_each(|_| rates.limits(1, 1).take(None, at).unwrap());
        let next = Rates::of(&rows, &roots, &rates.into_buckets());
        assert!(next.limits(1, 1).take(None, at).is_err());
    }
}
