//! The claims with keys that are under way at a gateway. One that repeats another ends it: the
//! client of the older has gone, and would get runs that nobody performs. `claims` asks; nothing
//! here decides what becomes of a run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use crate::model::claim::ClaimRequest;

/// A worker and its key.
type Key = (String, String);

/// The claims with keys that are under way.
#[derive(Clone, Default)]
pub(super) struct Repeats(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    last: u64,
    /// What is dropped ends a claim.
    claims: HashMap<Key, (u64, oneshot::Sender<()>)>,
}

/// A claim under way, until this is dropped.
pub(super) struct Repeatable(Option<Keyed>);

struct Keyed {
    all: Repeats,
    key: Key,
    number: u64,
    repeated: oneshot::Receiver<()>,
}

impl Repeats {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a claim begins. It ends the one that it repeats.
    pub(super) fn begin(&self, ask: &ClaimRequest) -> Repeatable {
        let Some(key) = &ask.key else { return Repeatable(None) };
        let key = (ask.worker.clone(), key.clone());
        let (ends, repeated) = oneshot::channel();
        let mut inner = self.inner();
        inner.last += 1;
        let number = inner.last;
        inner.claims.insert(key.clone(), (number, ends));
        drop(inner);
        Repeatable(Some(Keyed { all: self.clone(), key, number, repeated }))
    }
}

impl Repeatable {
    /// Says whether another claim repeats this one.
    pub(super) fn is_repeated(&mut self) -> bool {
        let keyed = self.0.as_mut();
        keyed.is_some_and(|keyed| keyed.repeated.try_recv() != Err(TryRecvError::Empty))
    }

    /// Waits until another claim repeats this one. The caller does not ask again afterwards.
    pub(super) async fn repeated(&mut self) {
        match &mut self.0 {
            Some(keyed) => _ = (&mut keyed.repeated).await,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Keyed {
    fn drop(&mut self) {
        let mut inner = self.all.inner();
        if inner.claims.get(&self.key).is_some_and(|(number, _)| *number == self.number) {
            inner.claims.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::claim::ClaimOrder;

    #[test]
    fn a_claim_ends_the_one_that_it_repeats_and_no_other() {
        let repeats = Repeats::default();
        let ask = |worker: &str, key: Option<&str>| {
            let (order, key) = (ClaimOrder::Fair, key.map(str::to_owned));
            repeats.begin(&ClaimRequest {
                worker: worker.into(),
                queues: vec![7],
                max: 1,
                order,
                key,
            })
        };
        let (mut first, mut other) = (ask("a", Some("k")), ask("a", Some("l")));
        let (mut foreign, mut keyless) = (ask("b", Some("k")), ask("a", None));
        let mut second = ask("a", Some("k"));
        assert!(first.is_repeated());
        drop(first);
        for claim in [&mut second, &mut other, &mut foreign, &mut keyless] {
            assert!(!claim.is_repeated());
        }
        drop((second, other, foreign, keyless));
        assert!(repeats.inner().claims.is_empty());
    }
}
