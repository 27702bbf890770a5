//! Start timeouts: what has waited for too long is not handed out any more (*not past its start
//! timeout*). It waits on, outside the lanes, until the leader ends it: only log time can say that
//! it is over. `step` calls it before each event.

use super::offers::Offers;
use crate::model::Millis;

impl Offers {
    /// Takes the groups out of their lanes whose last instant is over. They, and what comes back to
    /// them, have no place there from now on.
    pub(super) fn close_late(&mut self, now: Millis) {
        self.now = self.now.max(now);
        while let Some((start_by, id)) = self.limits.first().copied() {
            if start_by >= self.now {
                break;
            }
            self.limits.pop_first();
            self.seat(id);
        }
    }
}
