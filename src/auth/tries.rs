//! The bound on sign-ins of the web UI: by name, and for the whole node. Behind a proxy all
//! browsers have one address, so addresses say little here; `limiter` counts those beside it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::check_error::AuthError;
use super::limiter::CredentialKind;
use crate::model::Millis;

/// The tries of one name within a minute.
const OF_NAME: u32 = 10;
/// The tries of all names within a minute.
const OF_NODE: u32 = 300;
const MINUTE: Millis = 60_000;

/// The tries within the present minute. It holds at most [`OF_NODE`] names.
#[derive(Default)]
struct Counted {
    minute: Millis,
    all: u32,
    names: HashMap<String, u32>,
}

/// The bound of one node.
#[derive(Default)]
pub(super) struct Tries(Mutex<Counted>);

impl Tries {
    /// Counts a try of a name.
    ///
    /// # Errors
    ///
    /// `Limited` where it may not try once more, with the rest of the minute.
    pub(super) fn admit(&self, name: &str, now: Millis) -> Result<(), AuthError> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now.div_euclid(MINUTE);
        if counted.minute != minute {
            *counted = Counted { minute, ..Counted::default() };
        }
        let rest = (MINUTE - now.rem_euclid(MINUTE)).unsigned_abs();
        let (kind, wait) = (CredentialKind::Password, Duration::from_millis(rest));
        let limited = Err(AuthError::Limited { kind, wait });
        if counted.all >= OF_NODE {
            return limited;
        }
        let own = counted.names.entry(name.to_owned()).or_default();
        *own += 1;
        let admitted = *own <= OF_NAME;
        counted.all += u32::from(admitted);
        if admitted { Ok(()) } else { limited }
    }

    /// Takes back the tries of a name that was right.
    pub(super) fn forget(&self, name: &str) {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = counted.names.remove(name).unwrap_or_default();
        counted.all = counted.all.saturating_sub(own);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_ten_tries_a_minute_and_the_node_three_hundred() {
        let tries = Tries::default();
        let admitted =
            |name: &str, n: u32, now| (0..n).filter(|_| tries.admit(name, now).is_ok()).count();
        assert_eq!(admitted("a", 50, 0), 10);
        assert_eq!(admitted("b", 1, 0), 1, "another name is not limited by it");
        assert_eq!(admitted("a", 50, MINUTE), 10, "the next minute");
        let all: usize = (0..100).map(|n| admitted(&format!("n{n}"), 5, 2 * MINUTE)).sum();
        assert_eq!(all, 300);
        tries.forget("n0");
        assert_eq!(admitted("n0", 10, 2 * MINUTE), 5, "who is right gives its tries back");
    }
}
