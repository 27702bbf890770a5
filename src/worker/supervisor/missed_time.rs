//! Time in which workers could not be heard: the task stood still, or the node had no lease. It is
//! not counted as silence (*only heard time counts*). `step` notes it before each event, `silence`
//! asks for it. Pure data; nothing here judges.

use super::event::Moment;

/// The time after which the task has stood still, in milliseconds: what it did not hear meanwhile
/// may still wait to be read.
const STALL: u64 = 1_000;
/// The time in which what waited while nobody could be heard is heard afterwards, in milliseconds:
/// heartbeats wait in sockets while the node stands still, and come again after a time without a
/// lease, whose beginning is noticed up to a lease late.
const HEARD_AFTER: u64 = 5_000;

/// The instant at which something was heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HeardAt {
    /// By the boot clock, in milliseconds.
    pub(super) boot: u64,
    /// All that was missed up to then, in milliseconds.
    missed: u64,
}

/// The time that was missed since the start of the process.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MissedTime {
    total: u64,
    /// The instant of the boot clock up to which it was looked at.
    looked: Option<u64>,
}

impl MissedTime {
    /// Looks at the time since the last look: all of it was missed when it is so long that the task
    /// has stood still, or when there was a moment without a lease. Without a stall the time
    /// between two ticks is looked at as a whole.
    pub(super) fn look(&mut self, at: &Moment<'_>, is_tick: bool) {
        let now = at.now.boot;
        let last = *self.looked.get_or_insert(now);
        let passed = now.saturating_sub(last);
        let has_stalled = passed > STALL;
        if !is_tick && !has_stalled {
            return;
        }
        if has_stalled || at.lease.usable_since().is_none_or(|since| since > last) {
            self.total = self.total.saturating_add(passed);
        }
        self.looked = Some(now);
    }

    /// Forgets what was missed since an earlier look: without the rule it counts as heard.
    #[cfg(test)]
    pub(super) fn forget_since(&mut self, before: Self) {
        self.total = before.total;
    }

    /// The present instant.
    pub(super) fn now(&self, at: &Moment<'_>) -> HeardAt {
        HeardAt { boot: at.now.boot, missed: self.total }
    }

    /// The instant of the boot clock at which something was not heard for a time. What was missed
    /// since then is added to it, and the time that hearing may take afterwards, once.
    pub(super) fn until(&self, heard: HeardAt, time: u64) -> u64 {
        let missed = self.total.saturating_sub(heard.missed);
        let after = if missed > 0 { HEARD_AFTER } else { 0 };
        heard.boot.saturating_add(time).saturating_add(missed).saturating_add(after)
    }
}
