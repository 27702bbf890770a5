//! The install of a snapshot that is under way: for how long, and whether it is being tried again.
//! The state is not read meanwhile, so that a node which cannot finish must not look ready.
//! `machine` says when an install begins, is repeated and ends; `cluster` shows it to the api's
//! probes. Nothing here installs anything, nor says why: that is in [`super::failures`].

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// An install may take so long before probes are told.
pub const UNNOTICED: Duration = Duration::from_secs(3);

/// The install that is under way, if there is one.
#[derive(Debug, Default)]
pub struct Installing(Mutex<Option<Current>>);

/// The install that is under way.
#[derive(Debug)]
struct Current {
    since: Instant,
    repeated: bool,
}

/// The mark of an install under way, until it is dropped.
#[derive(Debug)]
pub struct UnderWay<'a>(&'a Installing);

impl Installing {
    fn current(&self) -> MutexGuard<'_, Option<Current>> {
        // It is replaced as a whole, or one flag is set.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An install begins; there is one at a time.
    pub fn begin(&self) -> UnderWay<'_> {
        *self.current() = Some(Current { since: Instant::now(), repeated: false });
        UnderWay(self)
    }

    /// Notes that the install under way has failed and is tried again.
    pub fn repeat(&self) {
        if let Some(current) = self.current().as_mut() {
            current.repeated = true;
        }
    }

    /// The reason why the node is not to be used now: an install is tried again, or has been under
    /// way for longer than [`UNNOTICED`]. The text holds no error and no path.
    pub fn trouble(&self) -> Option<&'static str> {
        self.trouble_at(Instant::now())
    }

    fn trouble_at(&self, now: Instant) -> Option<&'static str> {
        match self.current().as_ref()? {
            Current { repeated: true, .. } => Some(
                "a snapshot cannot be put in place and is tried again: the log and `scheduler0 status` \
                 say why",
            ),
            Current { since, .. } if now.saturating_duration_since(*since) > UNNOTICED => {
                Some("a snapshot is being put in place")
            }
            Current { .. } => None,
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        *self.0.current() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_install_and_one_that_is_repeated_are_told() {
        let installing = Installing::default();
        let later = Instant::now() + 2 * UNNOTICED;
        assert_eq!(installing.trouble_at(later), None);
        let under_way = installing.begin();
        assert_eq!(installing.trouble_at(Instant::now()), None, "most are through by then");
        let long = installing.trouble_at(later + UNNOTICED);
        assert_eq!(long, Some("a snapshot is being put in place"));
        installing.repeat();
        let said = installing.trouble_at(Instant::now()).unwrap();
        assert!(said.contains("tried again"), "{said}");
        drop(under_way);
        assert_eq!(installing.trouble_at(later + UNNOTICED), None);
        installing.repeat();
        assert_eq!(installing.trouble_at(later), None, "nothing is under way");
    }
}
