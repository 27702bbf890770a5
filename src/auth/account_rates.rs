//! The rates of accounts: how many requests the keys and tokens of each may make in a second, on
//! this node. `check` asks once a request of an account that has such a limit. It knows nothing of
//! other nodes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::model::AccountId;

/// The time whose requests may come at once.
const BURST: Duration = Duration::from_secs(1);

/// The requests that were counted, for each account as the time at which they would be over if they
/// came evenly (the generic cell rate algorithm).
#[derive(Debug)]
pub(super) struct AccountRates {
    began: Instant,
    over: Mutex<HashMap<AccountId, Duration>>,
}

impl Default for AccountRates {
    fn default() -> Self {
        Self { began: Instant::now(), over: Mutex::default() }
    }
}

impl AccountRates {
    /// Counts a request of an account now.
    ///
    /// # Errors
    ///
    /// The time to wait, where there were too many.
    pub(super) fn take(&self, account: AccountId, per_second: u64) -> Result<(), Duration> {
        self.take_at(account, per_second, self.began.elapsed())
    }

    fn take_at(&self, account: AccountId, per_second: u64, now: Duration) -> Result<(), Duration> {
        // A rate beyond a request a nanosecond is none.
        let each = Duration::from_nanos(BURST.as_nanos() as u64 / per_second.max(1));
        let mut all = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        let over = all.entry(account).or_default();
        let next = (*over).max(now) + each;
        let wait = next.saturating_sub(now + BURST);
        if !wait.is_zero() {
            return Err(wait);
        }
        *over = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_a_second_at_once_and_then_its_rate() {
        let rates = AccountRates::default();
        let at = |ms| Duration::from_millis(ms);
        let taken =
            |account, now| (0..100).filter(|_| rates.take_at(account, 10, now).is_ok()).count();
        assert_eq!((taken(1, at(0)), taken(2, at(0))), (10, 10), "each has its own");
        assert_eq!(rates.take_at(1, 10, at(0)), Err(at(100)));
        assert_eq!(taken(1, at(250)), 2);
        assert_eq!(taken(1, at(60_000)), 10, "no more than a second is saved up");
        // Another limit holds at once.
        assert!(rates.take_at(2, 1_000_000, at(1)).is_ok());
    }
}
