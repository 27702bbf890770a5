//! The permits of large bodies: a few are in memory at once, and no client has all of them.
//! `http::body` takes one when a body has become large and gives it back when the request has been
//! worked on.

use std::sync::Arc;
use std::time::Duration;

use crate::app::reads::permits::{Permit, Permits, Sizes};
use crate::listen::Principal;

/// Large bodies in memory at once.
const TOTAL: usize = 4;
/// Large bodies of one client at once. All requests without a principal count as one client.
const EACH: usize = TOTAL / 2;
/// The longest wait of a large body for its permit.
const WAIT: Duration = Duration::from_mins(1);

/// The permits of a node.
pub(crate) struct BodyPermits(Arc<Permits>);

impl Default for BodyPermits {
    fn default() -> Self {
        // Each waiter is a connection, and connections are bounded.
        let sizes = Sizes { total: TOTAL, alone: EACH, shared: EACH, waiting: usize::MAX };
        Self(Permits::new(sizes))
    }
}

impl BodyPermits {
    /// A permit for this client; `None` when none was free within a minute.
    pub(crate) async fn acquire(&self, client: Option<Principal>) -> Option<Permit> {
        tokio::time::timeout(WAIT, self.0.acquire(client)).await.ok()?
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_client_has_half_of_the_permits_and_waits_in_nobody_elses_way() {
        let permits = BodyPermits::default();
        let [one, other] = [1, 2].map(Principal::new);
        let first = permits.acquire(one).await.unwrap();
        let second = permits.acquire(one).await.unwrap();
        let mut third = Box::pin(permits.acquire(one));
        assert!(third.as_mut().now_or_never().is_none());
        let (theirs, nobodys) =
            (permits.acquire(other).await.unwrap(), permits.acquire(None).await.unwrap());
        let mut fourth = Box::pin(permits.acquire(other));
        assert!(fourth.as_mut().now_or_never().is_none(), "all four are taken");
        drop(nobodys);
        assert!(fourth.await.is_some(), "the third waits for its own client alone");
        drop(first);
        assert!(third.await.is_some());
        drop((second, theirs));
    }
}
