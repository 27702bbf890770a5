//! Classifying an answer: delivered, tried again, split, dead. `response` asks and acts on it.
//! Pure.

use std::time::Duration;

use crate::delivery::attempt::{Acceptance, Attempt, Class, Judged, MAX_RETRY_AFTER};
use crate::model::attempt::{MAX_RESPONSE, Verdict};
use crate::model::delivery::{Retry, seed, spread, spread_after};
use crate::model::run::Occurrence;
use crate::model::{JobId, Millis};

/// The time for which an occurrence may be deferred beyond its whole retry schedule, in
/// milliseconds.
const DEFERRAL_MARGIN: Millis = 3_600_000;

/// The consequence of an answer for the jobs of its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Disposition {
    /// All are delivered.
    Delivered,
    /// The receiver accepted the occurrence and reports later.
    Running,
    /// The receiver accepted all but these.
    PartlyFailed {
        /// The jobs that failed, ascending.
        failed: Vec<JobId>,
        /// Their verdict.
        verdict: Verdict,
    },
    /// All of them failed alike.
    Failed(Verdict),
    /// The receiver accepted the request, but the answer does not say which jobs: all count as
    /// failed.
    Unclear {
        /// Their verdict.
        verdict: Verdict,
        /// The error.
        why: String,
    },
    /// The receiver asks to wait so many milliseconds. That is no attempt.
    AskedToWait(Millis),
    /// One job may be at fault for all: they are sent again in pieces.
    Split,
    /// The receiver has seen a newer owner. If there is none, it is a failure with this verdict.
    Fenced(Verdict),
}

/// The facts about a request that its answer is judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct AnswerContext<'a> {
    /// The jobs, ascending.
    pub(super) jobs: &'a [JobId],
    /// Their scheduled instant.
    pub(super) scheduled: Millis,
    /// The number of the manual run; 0 for planned occurrences.
    pub(super) run: u64,
    /// The number of the attempt.
    pub(super) attempt: u32,
    /// The number of attempts of this series, this one included.
    pub(super) tried: u32,
    /// The instant from which on its receiver may have asked it to wait.
    pub(super) since: Millis,
    /// The retry terms.
    pub(super) retry: Retry,
    /// Whether the request is for one occurrence.
    pub(super) single: bool,
}

impl AnswerContext<'_> {
    /// Classifies the answer at an instant.
    pub(super) fn classify(&self, answer: &Attempt, now: Millis) -> Disposition {
        match answer.class {
            Class::Success if self.single => {
                if answer.accepted_async {
                    Disposition::Running
                } else {
                    Disposition::Delivered
                }
            }
            Class::Success => self.batch(answer, now),
            Class::Wait { after } if self.may_wait(after, now) => {
                Disposition::AskedToWait(after.as_millis() as Millis)
            }
            Class::Wait { after } => Disposition::Failed(self.after_failure(Some(after), now)),
            Class::Retry { after } => Disposition::Failed(self.after_failure(after, now)),
            Class::Refused | Class::Gone
                if self.jobs.len() > 1 && answer.judged == Judged::AsOne =>
            {
                Disposition::Split
            }
            Class::Refused | Class::Gone => Disposition::Failed(Verdict::Dead),
            Class::Fenced => Disposition::Fenced(self.after_failure(None, now)),
        }
    }

    /// Classifies a success of a batch: all jobs are delivered but those that the answer names.
    fn batch(&self, answer: &Attempt, now: Millis) -> Disposition {
        let named = match &answer.acceptance {
            Acceptance::All => return Disposition::Delivered,
            Acceptance::Unclear(why) => {
                let (verdict, why) = (self.after_failure(None, now), why.clone());
                return Disposition::Unclear { verdict, why };
            }
            Acceptance::AllBut(named) => named,
        };
        // Another occurrence does not belong to this request.
        let ours = |of: &&Occurrence| {
            (of.scheduled, of.run) == (self.scheduled, self.run)
                && self.jobs.binary_search(&of.job).is_ok()
        };
        let mut failed: Vec<JobId> = named.iter().filter(ours).map(|of| of.job).collect();
        failed.sort_unstable();
        failed.dedup();
        if failed.is_empty() {
            return Disposition::Delivered;
        }
        Disposition::PartlyFailed { failed, verdict: self.after_failure(None, now) }
    }

    /// The verdict after a failure: the next attempt, or dead.
    pub(super) fn after_failure(&self, after: Option<Duration>, now: Millis) -> Verdict {
        let Some(delay) = self.retry.after(self.tried) else { return Verdict::Dead };
        let seed = self.seed();
        let delay = match after {
            Some(after) => spread_after(after.as_millis() as Millis, seed),
            None => spread(delay, self.retry.max_delay, seed),
        };
        Verdict::Retry { at: now.saturating_add(delay) }
    }

    /// Says whether a receiver may still ask to wait without using up a retry: a day in all.
    fn may_wait(&self, wait: Duration, now: Millis) -> bool {
        let spent = (now - self.since).max(0);
        spent.saturating_add(wait.as_millis() as Millis) <= MAX_RETRY_AFTER.as_millis() as Millis
    }

    /// The seed of the retry's spread; see [`seed`].
    pub(super) fn seed(&self) -> u64 {
        let first = self.jobs.first().copied().unwrap_or_default();
        seed(first, self.scheduled, self.run, self.attempt)
    }
}

/// The time for which an occurrence may be deferred, attempts between, before it becomes a dead
/// letter, in milliseconds.
pub(super) fn max_deferral(retry: &Retry) -> Millis {
    let mut all = DEFERRAL_MARGIN;
    for tried in 1..=retry.max {
        let Some(delay) = retry.after(tried) else { break };
        if delay >= retry.max_delay || retry.factor <= 1_000 {
            let left = Millis::from(retry.max - tried + 1);
            return all.saturating_add(delay.saturating_mul(left));
        }
        all = all.saturating_add(delay);
    }
    all
}

/// The start of an answer, if it is text: without control characters, and cut to the length that is
/// kept.
pub(super) fn excerpt(body: &[u8]) -> Option<String> {
    let head = &body[..body.len().min(MAX_RESPONSE)];
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The cut went through a character.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let text: String = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control())
        .collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Retry = Retry { max: 3, delay: 5_000, factor: 2_000, max_delay: 3_600_000 };

    fn answer(class: Class) -> Attempt {
        Attempt { class, duration_ms: 1, sent: true, ..Attempt::default() }
    }

    /// The answer of a receiver that is down.
    fn down() -> Attempt {
        answer(Class::Retry { after: None })
    }

    /// A success that is about these jobs.
    fn success(acceptance: Acceptance) -> Attempt {
        Attempt { acceptance, ..answer(Class::Success) }
    }

    fn context(jobs: &[JobId], tried: u32) -> AnswerContext<'_> {
        AnswerContext {
            jobs,
            scheduled: 7_000,
            run: 0,
            attempt: tried,
            tried,
            since: 7_000,
            retry: RETRY,
            single: false,
        }
    }

    fn at_instant(at: Millis) -> Disposition {
        Disposition::Failed(Verdict::Retry { at })
    }

    /// The instant of the first retry of a batch that begins with job 1.
    fn first_retry() -> Millis {
        100_000 + spread(5_000, RETRY.max_delay, seed(1, 7_000, 0, 1))
    }

    fn next(answer: &Attempt, jobs: &[JobId], tried: u32) -> Disposition {
        context(jobs, tried).classify(answer, 100_000)
    }

    #[test]
    fn failures_are_retried_later_and_later_and_then_dead() {
        let down = down();
        for (tried, delay) in [(1, 5_000), (2, 10_000), (3, 20_000)] {
            let Disposition::Failed(Verdict::Retry { at }) = next(&down, &[1, 2], tried) else {
                panic!("{tried}");
            };
            let fifth = delay / 5;
            assert!((delay - fifth..=delay + fifth).contains(&(at - 100_000)), "{tried}: {at}");
            assert_eq!(next(&down, &[1, 2], tried), at_instant(at), "always the same");
        }
        assert_eq!(next(&down, &[1, 2], 4), Disposition::Failed(Verdict::Dead));
        let told = answer(Class::Retry { after: Some(Duration::from_secs(42)) });
        let Disposition::Failed(Verdict::Retry { at }) = next(&told, &[1], 1) else { panic!() };
        assert!((142_000..=142_000 + 8_400).contains(&at), "{at}");
        assert_eq!(next(&told, &[1], 4), Disposition::Failed(Verdict::Dead));
    }

    #[test]
    fn a_receiver_that_names_a_time_is_waited_for_a_day_in_all() {
        let busy = |after| answer(Class::Wait { after });
        let hours = Duration::from_hours;
        let at = |now, answer: &Attempt| context(&[1], 4).classify(answer, now);
        assert_eq!(at(7_000, &busy(hours(24))), Disposition::AskedToWait(86_400_000));
        assert_eq!(at(7_001, &busy(hours(24))), Disposition::Failed(Verdict::Dead));
        assert_eq!(at(7_000 + 80_000_000, &busy(hours(1))), Disposition::AskedToWait(3_600_000));
        assert_eq!(at(7_000 + 83_000_000, &busy(hours(1))), Disposition::Failed(Verdict::Dead));
        // A failure is an attempt, whether it names a time or not.
        assert_eq!(at(7_000, &down()), Disposition::Failed(Verdict::Dead));
        let bad = answer(Class::Retry { after: Some(hours(1)) });
        assert_eq!(at(7_000, &bad), Disposition::Failed(Verdict::Dead));
    }

    #[test]
    fn a_refused_batch_is_split_and_a_refused_job_is_dead() {
        for class in [Class::Refused, Class::Gone] {
            let refused = answer(class);
            let dead = Disposition::Failed(Verdict::Dead);
            assert_eq!(next(&refused, &[1, 2], 1), Disposition::Split, "{class:?}");
            assert_eq!(next(&refused, &[1], 1), dead, "{class:?}");
            let each = Attempt { judged: Judged::OneByOne, ..refused };
            assert_eq!(next(&each, &[1, 2], 1), dead, "nothing is to be found out");
        }
    }

    #[test]
    fn a_receiver_may_name_what_failed() {
        let of = |job, scheduled| Occurrence { job, scheduled, run: 0 };
        let named = success(Acceptance::AllBut(vec![
            of(2, 7_000),
            of(9, 7_000),
            of(1, 8_000),
            of(2, 7_000),
        ]));
        let verdict = Verdict::Retry { at: first_retry() };
        assert_eq!(
            next(&named, &[1, 2], 1),
            Disposition::PartlyFailed { failed: vec![2], verdict }
        );
        let manual = AnswerContext { run: 3, ..context(&[1, 2], 1) };
        assert_eq!(manual.classify(&named, 0), Disposition::Delivered, "other occurrences");
        assert_eq!(next(&success(Acceptance::All), &[1, 2], 1), Disposition::Delivered);
        let none = success(Acceptance::AllBut(Vec::new()));
        assert_eq!(next(&none, &[1], 1), Disposition::Delivered);
    }

    #[test]
    fn a_batch_whose_answer_cannot_be_told_is_a_failed_attempt() {
        let retry = Verdict::Retry { at: first_retry() };
        let why = |answer: &Attempt, tried| match next(answer, &[1, 2], tried) {
            Disposition::Unclear { verdict, why } => (verdict, why),
            other => panic!("{other:?}"),
        };
        let cut = success(Acceptance::Unclear("it broke off".to_owned()));
        assert_eq!(why(&cut, 1), (retry, "it broke off".to_owned()));
        assert_eq!(why(&cut, 4).0, Verdict::Dead);
        // Any other class is clear by itself, and so is a success for a single occurrence.
        let refused = Attempt { class: Class::Refused, ..cut.clone() };
        assert_eq!(next(&refused, &[1, 2], 1), Disposition::Split);
        let single = AnswerContext { single: true, ..context(&[1], 1) };
        assert_eq!(single.classify(&cut, 0), Disposition::Delivered);
    }

    #[test]
    fn a_single_request_is_over_with_its_answer_or_goes_on() {
        let single = |answer: &Attempt| {
            AnswerContext { single: true, ..context(&[1], 1) }.classify(answer, 100_000)
        };
        let fine = success(Acceptance::All);
        assert_eq!(single(&fine), Disposition::Delivered);
        assert_eq!(single(&down()), at_instant(first_retry()));
        for class in [Class::Refused, Class::Gone] {
            assert_eq!(single(&answer(class)), Disposition::Failed(Verdict::Dead));
        }
        let later = Attempt { accepted_async: true, ..fine };
        assert_eq!(single(&later), Disposition::Running);
        let failed = Attempt { accepted_async: true, ..down() };
        assert_eq!(single(&failed), at_instant(first_retry()));
        assert_eq!(next(&later, &[1], 1), Disposition::Delivered, "a batch has no runs");
    }

    #[test]
    fn patience_is_the_whole_retry_schedule_and_an_hour() {
        assert_eq!(max_deferral(&RETRY), 35_000 + 3_600_000);
        assert_eq!(max_deferral(&Retry { max: 0, ..RETRY }), 3_600_000);
        let steady = Retry { max: 10, factor: 1_000, ..RETRY };
        assert_eq!(max_deferral(&steady), 50_000 + 3_600_000);
        let capped = Retry { max: u32::MAX, max_delay: 10_000, ..RETRY };
        let expected = 5_000 + 10_000 * (i64::from(u32::MAX) - 1) + 3_600_000;
        assert_eq!(max_deferral(&capped), expected);
    }

    #[test]
    fn of_an_answer_the_start_of_its_text_is_kept() {
        assert_eq!(excerpt(b" done\r\n\x1b[31m"), Some("done  [31m".to_owned()));
        assert_eq!(excerpt(b" \n"), None);
        assert_eq!(excerpt(&[0xff, 0xfe, 0x00]), None);
        let long = "\u{e4}".repeat(MAX_RESPONSE);
        let kept = excerpt(&long.as_bytes()[..MAX_RESPONSE + 7]).unwrap();
        assert_eq!(kept.len(), MAX_RESPONSE);
        assert!(excerpt(format!("x{long}").as_bytes()).unwrap().len() < MAX_RESPONSE);
    }
}
