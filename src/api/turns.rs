//! Turns of large bodies: a few are in memory at once, and no client has all of them. `input` takes
//! one when a body has become large; it is given back when the request has been worked on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::listen::Principal;

/// How many large bodies (above [`super::input::SMALL`]) are in memory at once.
const ALL: usize = 4;
/// How many of them are one client's, or those of all that are no client.
const EACH: usize = ALL / 2;
/// How long a large body waits for its turn.
const WAIT: Duration = Duration::from_mins(1);

/// The turns of a node. Who waits is served in order, each client among its own.
#[derive(Debug)]
pub(super) struct Turns {
    all: Arc<Semaphore>,
    each: Mutex<HashMap<Option<Principal>, Arc<Semaphore>>>,
}

/// The right to have a large body in memory, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _own: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Default for Turns {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(ALL)), each: Mutex::default() }
    }
}

impl Turns {
    /// A turn for this client; `None` when none came within a minute.
    pub(super) async fn take(&self, of: Option<Principal>) -> Option<Turn> {
        tokio::time::timeout(WAIT, self.wait(of)).await.ok()?
    }

    async fn wait(&self, of: Option<Principal>) -> Option<Turn> {
        // First among its own: a client that waits for itself must not stand in others' way. Nobody
        // closes the semaphores.
        let own = self.own(of).acquire_owned().await.ok()?;
        let of_all = self.all.clone().acquire_owned().await.ok()?;
        Some(Turn { _own: own, _of_all: of_all })
    }

    fn own(&self, of: Option<Principal>) -> Arc<Semaphore> {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        // Who has a turn, or waits for one, has the semaphore too.
        each.retain(|_, own| Arc::strong_count(own) > 1);
        each.entry(of).or_insert_with(|| Arc::new(Semaphore::new(EACH))).clone()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_client_has_half_of_the_turns_and_waits_in_nobody_elses_way() {
        let turns = Turns::default();
        let [one, other] = [1, 2].map(Principal::new);
        let first = turns.take(one).await.unwrap();
        let second = turns.take(one).await.unwrap();
        let mut third = Box::pin(turns.take(one));
        assert!(third.as_mut().now_or_never().is_none());
        let others = (turns.take(other).await.unwrap(), turns.take(None).await.unwrap());
        let mut fourth = Box::pin(turns.take(other));
        assert!(fourth.as_mut().now_or_never().is_none(), "all four are taken");
        // Of those that wait for any turn, who came first is served first.
        drop(first);
        assert!(fourth.await.is_some());
        assert!(third.await.is_some());
        drop(second);
        drop(others);
        drop(turns.take(one).await);
        assert_eq!(turns.each.lock().unwrap().len(), 1, "of who has gone nothing is kept");
    }
}
