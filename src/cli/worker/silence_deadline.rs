//! Self-fencing: the instant until which a worker may go on with a run that no node has confirmed.
//!
//! The owner of the run's shard counts the silence of a worker from the moment at which it heard
//! from it, and gives the run to another worker when the silence is longer than the heartbeat
//! timeout. The worker counts from the moment at which it *sent* what was answered, which lies
//! before that. So it stops earlier than the owner judges, whatever happens to the network between
//! them: no two workers perform one run. All instants are of the boot clock, which goes on while
//! the machine sleeps. Pure.

/// The time in which the owner expects the first heartbeat after a claim, if the timeout is not
/// shorter, in milliseconds.
const FIRST_HEARTBEAT: u64 = 15_000;
/// The most time that a stop may take, in milliseconds: that much earlier it begins.
const MAX_MARGIN: u64 = 1_000;

/// The deadline of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SilenceDeadline {
    /// The heartbeat timeout; `None` where nobody judges silence.
    timeout: Option<u64>,
    until: u64,
}

impl SilenceDeadline {
    /// The deadline of a run whose claim was sent at an instant.
    pub(super) fn of_claim(timeout: Option<u64>, sent: u64) -> Self {
        let first = timeout.unwrap_or(FIRST_HEARTBEAT).min(FIRST_HEARTBEAT);
        Self { timeout, until: sent + within(first) }
    }

    /// Takes in that a heartbeat that was sent at an instant was answered.
    pub(super) fn heard(&mut self, sent: u64) {
        let Some(timeout) = self.timeout else { return };
        self.until = self.until.max(sent + within(timeout));
    }

    /// The instant at which the run has to be stopped; `None` for never.
    pub(super) fn until(&self) -> Option<u64> {
        self.timeout.map(|_| self.until)
    }

    /// Returns whether the run has to be stopped.
    pub(super) fn is_passed(&self, now: u64) -> bool {
        self.until().is_some_and(|until| now >= until)
    }

    /// Returns whether a command may begin before a heartbeat is answered: there is time left for
    /// some tries. After a claim that waited for long there is not.
    pub(super) fn may_begin(&self, now: u64) -> bool {
        let Some(timeout) = self.timeout else { return true };
        now + within(timeout.min(FIRST_HEARTBEAT)) / 4 < self.until
    }
}

/// A timeout less the time that a stop may take.
fn within(timeout: u64) -> u64 {
    timeout - (timeout / 10).min(MAX_MARGIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_counts_from_its_sending_and_the_first_heartbeat_is_due_in_15_s() {
        let deadline = SilenceDeadline::of_claim(Some(60_000), 1_000);
        assert_eq!(deadline.until(), Some(15_000));
        assert!(!deadline.is_passed(14_999) && deadline.is_passed(15_000));
        assert_eq!(SilenceDeadline::of_claim(Some(3_000), 1_000).until(), Some(3_700));
    }

    #[test]
    fn an_answered_heartbeat_counts_from_its_sending_and_none_counts_backwards() {
        let mut deadline = SilenceDeadline::of_claim(Some(60_000), 0);
        deadline.heard(5_000);
        assert_eq!(deadline.until(), Some(64_000));
        // An answer that was overtaken by a later one.
        deadline.heard(4_000);
        assert_eq!(deadline.until(), Some(64_000));
    }

    /// For all timeouts: the deadline is passed before the owner may judge, which hears no earlier
    /// than the worker sends.
    #[test]
    fn the_worker_stops_before_the_owner_may_judge() {
        for timeout in [1, 10, 999, 1_000, 5_000, 15_000, 15_001, 60_000, 86_400_000] {
            let mut deadline = SilenceDeadline::of_claim(Some(timeout), 7);
            assert!(deadline.is_passed(7 + timeout.min(15_000)), "{timeout}");
            deadline.heard(9);
            assert!(deadline.is_passed(9 + timeout), "{timeout}");
            if timeout >= 10 {
                assert!(!deadline.is_passed(9 + timeout * 8 / 10), "{timeout}");
            }
        }
    }

    #[test]
    fn a_run_without_heartbeats_is_never_stopped() {
        let mut deadline = SilenceDeadline::of_claim(None, 0);
        deadline.heard(1);
        assert!(
            !deadline.is_passed(u64::MAX)
                && deadline.until().is_none()
                && deadline.may_begin(u64::MAX)
        );
    }

    #[test]
    fn a_command_begins_at_once_unless_the_claim_waited_for_long() {
        let deadline = SilenceDeadline::of_claim(Some(60_000), 0);
        assert!(deadline.may_begin(0) && deadline.may_begin(10_000) && !deadline.may_begin(12_000));
        let short = SilenceDeadline::of_claim(Some(3_000), 0);
        assert!(short.may_begin(100) && !short.may_begin(10_000));
    }
}
