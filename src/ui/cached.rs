//! A value that many pages show and that takes long to find, a few seconds old at most: it is asked
//! for once at a time, whoever waits for it. `state` has one for each such value.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::app::Error;
use crate::model::reach::Reach;

/// The age up to which a value is shown again.
const FRESH: Duration = Duration::from_secs(2);
/// The longest wait for a newer value while there is an older one: a page waits for no node.
const PATIENCE: Duration = Duration::from_millis(300);
/// The age from which on a value is not shown any more.
const STALE: Duration = Duration::from_secs(30);

/// A value that is kept for a moment, for each reach by itself: what one finds may be out of reach
/// of another.
pub(crate) struct Cached<T>(Mutex<Vec<(Reach, Arc<Slot<T>>)>>);

/// The most reaches for each of which a value is kept.
const MOST: usize = 32;

struct Slot<T> {
    known: Mutex<Option<(Instant, Arc<T>)>>,
    /// Held by whoever asks; the others wait for the answer.
    asking: tokio::sync::Mutex<()>,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Slot<T> {
    fn known(&self, most: Duration) -> Option<Arc<T>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|(at, _)| at.elapsed() < most).map(|(_, value)| Arc::clone(value))
    }
}

impl<T: Send + Sync + 'static> Cached<T> {
    /// The slot of a reach, which is the last one from now on.
    fn slot(&self, reach: &Reach) -> Arc<Slot<T>> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = slots.iter().position(|(of, _)| of == reach).map(|place| slots.remove(place));
        let new = || {
            let slot = Slot { known: Mutex::default(), asking: tokio::sync::Mutex::default() };
            (reach.clone(), Arc::new(slot))
        };
        let (of, slot) = known.unwrap_or_else(new);
        if slots.len() >= MOST {
            slots.remove(0);
        }
        slots.push((of, Arc::clone(&slot)));
        slot
    }

    /// The value, by `ask` where none is fresh. While an older one is there, no caller waits long;
    /// the answer is kept for the next one then.
    ///
    /// # Errors
    ///
    /// Those of `ask`. They are not kept.
    pub(crate) async fn get(
        &self,
        reach: &Reach,
        ask: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<Arc<T>, Error> {
        let own = self.slot(reach);
        if let Some(fresh) = own.known(FRESH) {
            return Ok(fresh);
        }
        let slot = Arc::clone(&own);
        let task = tokio::spawn(async move {
            let _asking = slot.asking.lock().await;
            // Another one may have asked while this one waited.
            if let Some(fresh) = slot.known(FRESH) {
                return Ok(fresh);
            }
            let found = Arc::new(ask.await?);
            let mut known = slot.known.lock().unwrap_or_else(PoisonError::into_inner);
            *known = Some((Instant::now(), Arc::clone(&found)));
            Ok(found)
        });
        let done = match own.known(STALE) {
            None => task.await,
            Some(older) => match tokio::time::timeout(PATIENCE, task).await {
                Ok(done) => done,
                Err(_) => return Ok(older),
            },
        };
        // A task that panicked has said so in the log.
        done.unwrap_or_else(|_| Err(Error::internal()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn all_that_wait_get_the_answer_to_one_question_and_an_error_is_not_kept() {
        let (cached, asked) = (Cached::default(), Arc::new(AtomicUsize::new(0)));
        let (all, bound) = (Reach::all(), Reach::of_projects(1, Some(&[1])));
        let ask = |answer: Result<u64, Error>| {
            let asked = Arc::clone(&asked);
            async move {
                asked.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                answer
            }
        };
        assert!(cached.get(&all, ask(Err(Error::internal()))).await.is_err());
        let asks = (0..20).map(|n| cached.get(&all, ask(Ok(n))));
        let found = futures_util::future::join_all(asks).await;
        let first = found[0].as_ref().unwrap();
        assert!(found.iter().all(|one| Arc::ptr_eq(one.as_ref().unwrap(), first)));
        assert_eq!(asked.load(Ordering::SeqCst), 2, "once for all of them");
        let other = cached.get(&bound, ask(Ok(99))).await.unwrap();
        assert_eq!((*other, asked.load(Ordering::SeqCst)), (99, 3), "not what others see");
    }
}
