//! The uses of keys, for the cluster to know when each was used last. `check` notes them in memory;
//! a task of the node tells the cluster of them now and then. So a request costs no entry of the
//! log, and a node that stops forgets a few minutes of uses.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::pairs::Pairs;
use crate::command::Command;
use crate::model::credential::KeyUse;

/// The least time between two entries of one node.
pub(super) const INTERVAL: Duration = Duration::from_mins(10);

/// Uses that the cluster does not know yet.
#[derive(Default)]
pub(super) struct Uses {
    /// The newest of each credential. There is at most one for each that exists.
    new: Mutex<HashMap<u64, KeyUse>>,
}

impl Uses {
    /// Notes a use, unless one of that hour or a later one is noted.
    pub(super) fn note(&self, used: KeyUse) {
        let mut new = self.new.lock().unwrap_or_else(PoisonError::into_inner);
        let known = new.entry(used.id).or_insert(used);
        if known.hour < used.hour {
            *known = used;
        }
    }

    /// Takes the uses in hours that the cluster does not know, by the pairs as they are now. Keys
    /// that open nothing any more are left out.
    fn take(&self, pairs: &Pairs) -> Vec<KeyUse> {
        let new = std::mem::take(&mut *self.new.lock().unwrap_or_else(PoisonError::into_inner));
        let stored = pairs.by_key.values().map(|pair| (pair.id, pair.last_hour));
        let stored: HashMap<u64, Option<i64>> = stored.collect();
        let is_new = |used: &KeyUse| {
            stored.get(&used.id).is_some_and(|known| known.is_none_or(|hour| hour < used.hour))
        };
        let mut found: Vec<_> = new.into_values().filter(is_new).collect();
        found.sort_unstable_by_key(|used| used.id);
        found
    }

    /// The command that tells the cluster of the uses that it does not know; `None` where there are
    /// none.
    pub(super) fn command(&self, pairs: &Pairs) -> Option<Command> {
        let uses = self.take(pairs);
        (!uses.is_empty()).then_some(Command::TouchCredentials(uses))
    }

    /// Notes the uses of a command again that the cluster could not be told of.
    pub(super) fn put_back(&self, command: Command) {
        if let Command::TouchCredentials(uses) = command {
            for used in uses {
                self.note(used);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::pairs::Pair;

    fn used(id: u64, hour: i64) -> KeyUse {
        KeyUse { id, hour, from: None }
    }

    fn pairs(rows: &[(u64, Option<i64>)]) -> Pairs {
        let pair = |&(id, last_hour): &(u64, Option<i64>)| {
            (id.to_string(), Pair { id, root: id, last_hour, ..Pair::default() })
        };
        Pairs { by_key: rows.iter().map(pair).collect(), ..Pairs::default() }
    }

    #[test]
    fn the_cluster_is_told_of_what_it_does_not_know_and_once() {
        let uses = Uses::default();
        assert_eq!(uses.command(&pairs(&[(1, None)])), None, "nothing was used");
        for one in [used(1, 5), used(2, 5), used(3, 4), used(3, 6), used(3, 5), used(9, 5)] {
            uses.note(one);
        }
        // Another node has told of 2 meanwhile, and 9 is archived.
        let known = pairs(&[(1, None), (2, Some(5)), (3, Some(5)), (4, None)]);
        let command = uses.command(&known);
        assert_eq!(command, Some(Command::TouchCredentials(vec![used(1, 5), used(3, 6)])));
        assert_eq!(uses.command(&known), None);
        uses.put_back(command.unwrap());
        uses.note(used(1, 7));
        let again = uses.command(&known);
        assert_eq!(again, Some(Command::TouchCredentials(vec![used(1, 7), used(3, 6)])));
    }
}
