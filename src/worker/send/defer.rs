//! Deferring: occurrences that their destination does not take now become a pending row with the
//! attempt number unchanged, and in the end a dead letter. Senders call this in place of a call;
//! nothing here waits.

use super::classify::max_deferral;
use super::route::Route;
use super::sender::Sender;
use super::work::Head;
use crate::delivery::attempt::MAX_RETRY_AFTER;
use crate::model::Millis;
use crate::model::attempt::{AttemptRecord, Verdict};
use crate::model::delivery::{seed, spread_after};
use crate::model::members::Members;
use crate::model::postponement::Obstacle;
use crate::model::time::rfc3339;
use crate::worker::ports::{Dispatcher, Lease, StateStore};

/// The least time until the next look at what a destination asked to wait, in milliseconds.
const SOONEST_ASKED_MS: Millis = 1_000;

/// The least time until the next look at anything else that is deferred, in milliseconds.
const SOONEST_MS: Millis = 5_000;

/// The most that is added to that time, in milliseconds: a tenth of the wait so far, so that not
/// everything comes back at once.
const SPREAD_MS: Millis = 30_000;

/// The most that is added to the time that a destination asked for, in milliseconds. Each such wait
/// costs a record, so this is longer.
const SPREAD_ASKED_MS: Millis = 300_000;

impl<B: StateStore, H: Dispatcher, L: Lease> Sender<B, H, L> {
    /// Defers jobs as one, or makes them dead when they have waited too long. `until` is the
    /// instant of the next look and the obstacle; `None` when they wait for a place.
    pub(super) fn defer(
        &self,
        head: &Head,
        route: &Route,
        members: Members,
        until: Option<(Millis, Obstacle)>,
    ) -> AttemptRecord {
        let now = self.time.now();
        let waited = (now - head.postponed_since()).max(0);
        let (until, obstacle) = until.unwrap_or((now, Obstacle::Full));
        // A replay has its series behind it, whenever it was due. It waits without end where its
        // destination takes nothing, but not where its node is at fault. An occurrence that comes
        // late is deferred at least once.
        let since = match obstacle {
            _ if head.base == 0 => Some(head.due),
            Obstacle::Node(_) => Some(head.postponed_since()),
            _ => None,
        };
        let since = since.filter(|_| head.row.is_some());
        let asked = obstacle == Obstacle::Asked
            || head.postponed.as_ref().is_some_and(|before| before.obstacle == Obstacle::Asked);
        let day = if asked { MAX_RETRY_AFTER.as_millis() as Millis } else { 0 };
        let longest = max_deferral(&route.retry).saturating_add(day);
        if let Some(since) = since.filter(|since| now - since > longest) {
            let since = rfc3339(since);
            let error = match obstacle {
                Obstacle::Failing => {
                    format!("the destination has been failing since {since} or longer")
                }
                Obstacle::Asked => format!("the destination has asked to wait since {since}"),
                Obstacle::Full => format!("the destination has had no place for it since {since}"),
                Obstacle::Node(why) => format!("its node could not make the call: {why}"),
            };
            let verdict = Verdict::Dead;
            let (once, error) = (route.once, Some(error));
            return AttemptRecord {
                started: now,
                error,
                once,
                ..head.record(route.project, verdict, members)
            };
        }
        let asks = obstacle == Obstacle::Asked;
        let (soonest, spread) =
            if asks { (SOONEST_ASKED_MS, SPREAD_ASKED_MS) } else { (SOONEST_MS, SPREAD_MS) };
        let mut at = until.max(now.saturating_add(soonest));
        if asks {
            let first = members.iter().next().unwrap_or_default();
            let seed = seed(first, head.scheduled, head.run, head.attempt);
            at = now.saturating_add(spread_after(at - now, seed));
        }
        let verdict = Verdict::Postponed { at: at.saturating_add((waited / 10).min(spread)) };
        let error = Some(head.postpone(obstacle, route.destination()).to_text());
        AttemptRecord {
            started: now,
            once: route.once,
            error,
            ..head.record(route.project, verdict, members)
        }
    }
}
