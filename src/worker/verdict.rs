//! What follows from an answer: delivered, tried again, split, given up. Pure; `worker::fire` asks.

use std::time::Duration;

use crate::executor::reply::failed_ids;
use crate::executor::{Answer, Class};
use crate::model::block::{MAX_ERROR, Verdict, parse_execution_id};
use crate::model::{JobId, Millis};

/// The longest delay that doubling comes to, in milliseconds.
const MAX_DELAY_MS: i64 = 3_600_000;

/// How often and how soon a failed attempt is repeated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    /// Retries after the first attempt.
    pub(super) retry_max: u32,
    /// Before the first retry; doubles from there.
    pub(super) retry_delay: Duration,
}

/// What to do with the jobs of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing more.
    Delivered,
    /// The receiver accepted all but these.
    Partly {
        /// Ascending.
        failed: Vec<JobId>,
        /// What they come to.
        verdict: Verdict,
    },
    /// All of them failed alike.
    Failed(Verdict),
    /// One of them may be at fault for all: send them again in pieces.
    Split,
    /// The receiver has seen a newer owner; if there is none, it is a failure.
    Fenced(Verdict),
}

impl Policy {
    /// Judges the answer to a request for these jobs (ascending).
    pub(super) fn judge(
        &self,
        answer: &Answer,
        jobs: &[JobId],
        scheduled: Millis,
        attempt: u32,
        now: Millis,
    ) -> Next {
        match answer.class() {
            Class::Success => {
                let named = failed_ids(&answer.body).unwrap_or_default();
                let occurrence = |id: &String| parse_execution_id(id);
                let mut failed: Vec<JobId> = named
                    .iter()
                    .filter_map(occurrence)
                    .filter(|of| of.scheduled == scheduled && jobs.binary_search(&of.job).is_ok())
                    .map(|of| of.job)
                    .collect();
                failed.sort_unstable();
                failed.dedup();
                if failed.is_empty() {
                    return Next::Delivered;
                }
                Next::Partly { failed, verdict: self.again(attempt, None, now) }
            }
            Class::Retry { after } => Next::Failed(self.again(attempt, after, now)),
            Class::Refused | Class::Gone if jobs.len() > 1 => Next::Split,
            Class::Refused | Class::Gone => Next::Failed(Verdict::Dead),
            Class::Fenced => Next::Fenced(self.again(attempt, None, now)),
        }
    }

    /// The next attempt after this one, or the end.
    fn again(&self, attempt: u32, after: Option<Duration>, now: Millis) -> Verdict {
        if attempt > self.retry_max {
            return Verdict::Dead;
        }
        let doubled = 1_i64.checked_shl(attempt.saturating_sub(1).min(40)).unwrap_or(i64::MAX);
        let delay = (self.retry_delay.as_millis() as i64).saturating_mul(doubled).min(MAX_DELAY_MS);
        let delay = after.map_or(delay, |after| after.as_millis() as i64);
        Verdict::Retry { at: now + delay }
    }
}

/// An error text, cut to what is kept.
pub(super) fn bounded(mut error: String) -> String {
    if error.len() > MAX_ERROR {
        let end = (0..=MAX_ERROR).rev().find(|i| error.is_char_boundary(*i)).unwrap_or(0);
        error.truncate(end);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::block::execution_id;
    use bytes::Bytes;

    const POLICY: Policy = Policy { retry_max: 3, retry_delay: Duration::from_secs(5) };

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            retry_after: None,
            started_boot: 0,
            duration_ms: 1,
            sent: true,
            error: None,
            accepted_async: false,
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    fn next(answer: &Answer, jobs: &[JobId], attempt: u32) -> Next {
        POLICY.judge(answer, jobs, 7_000, attempt, 100_000)
    }

    #[test]
    fn failures_are_retried_later_and_later_and_then_given_up() {
        let down = answer(503, "");
        let at = |at| Next::Failed(Verdict::Retry { at });
        assert_eq!(next(&down, &[1, 2], 1), at(105_000));
        assert_eq!(next(&down, &[1, 2], 2), at(110_000));
        assert_eq!(next(&down, &[1, 2], 3), at(120_000));
        assert_eq!(next(&down, &[1, 2], 4), Next::Failed(Verdict::Dead));
        let long = Policy { retry_max: 90, ..POLICY };
        assert_eq!(long.judge(&down, &[1], 0, 80, 0), at(MAX_DELAY_MS), "an hour is the most");
        let asked = Answer { retry_after: Some(Duration::from_secs(42)), ..down };
        assert_eq!(next(&asked, &[1], 1), at(142_000));
    }

    #[test]
    fn a_refused_batch_is_split_and_a_refused_job_is_dead() {
        for status in [400, 404, 410, 413] {
            assert_eq!(next(&answer(status, ""), &[1, 2], 1), Next::Split, "{status}");
            assert_eq!(next(&answer(status, ""), &[1], 1), Next::Failed(Verdict::Dead), "{status}");
        }
    }

    #[test]
    fn a_receiver_may_name_what_failed() {
        let ids = format!(
            "{{\"failed\":[\"{}\",\"{}\",\"{}\",\"nonsense\"]}}",
            execution_id(1 << 96, 2, 7_000),
            execution_id(1 << 96, 9, 7_000),
            execution_id(1 << 96, 1, 8_000),
        );
        let verdict = Verdict::Retry { at: 105_000 };
        assert_eq!(next(&answer(200, &ids), &[1, 2], 1), Next::Partly { failed: vec![2], verdict });
        assert_eq!(next(&answer(204, ""), &[1, 2], 1), Next::Delivered);
        assert_eq!(next(&answer(200, "{\"failed\":[]}"), &[1], 1), Next::Delivered);
    }

    #[test]
    fn errors_are_cut_at_a_letter() {
        let long = "ü".repeat(MAX_ERROR);
        let cut = bounded(long);
        assert!(cut.len() <= MAX_ERROR && cut.ends_with('ü'));
    }
}
