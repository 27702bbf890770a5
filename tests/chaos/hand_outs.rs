//! The judge's rules about what workers were handed: nothing early or unplanned, no run twice at
//! the same time or again without a cause, no two runs of a job whose runs must not overlap, and
//! what a worker was told stands in the ledger. `judge` calls them.
//!
//! A cause is a fault that met nodes while a hand-out could still get lost, a claim without an
//! answer, or what the worker itself did: it failed, went silent, or had no answer in time. For
//! what came over the broker its faults are causes, too, and that it delivers a message again. All
//! workers keep the rule that who has no answer stops.

use std::collections::BTreeMap;
use std::time::Duration;

use scheduler0::model::run::Occurrence;
use scheduler0::model::shard::shard_of;

use crate::broker::MESSAGES;
use crate::duplicates::{AFTER, count, excuse};
use crate::faults::FaultKind;
use crate::inject::Window;
use crate::judge::{DueByJob, Judge};
use crate::receiver::{Answer, Arrival};
use crate::workers::record::{Ending, HandOut};

/// The number of the workers among the destinations: no fault of a destination meets it.
const WORKERS: usize = usize::MAX;

/// The milliseconds from the broker's confirm of a report until the nodes have it, where no fault
/// is left.
const HEARD: i64 = 10_000;

/// The hand-outs of one run, in the order of their attempts.
type OfRun<'e> = Vec<&'e HandOut>;

impl HandOut {
    /// The hand-out as an arrival.
    fn arrival(&self) -> Arrival {
        Arrival {
            occurrence: self.occurrence,
            id: self.id.clone(),
            scheduled: self.occurrence.scheduled,
            attempt: self.attempt as u32,
            shard: shard_of(self.occurrence.job),
            fence: 0,
            destination: WORKERS,
            sender: None,
            at: self.from,
            mono: Duration::ZERO,
            answer: Answer::Nothing,
        }
    }
}

impl Judge<'_> {
    /// Judges all hand-outs.
    pub(crate) fn hand_outs(&mut self) {
        let evidence = self.evidence;
        for text in &evidence.record.wrong {
            self.verdict.violation("wrong answer", text.clone());
        }
        let due = self.due();
        let mut by_run: BTreeMap<&str, OfRun> = BTreeMap::new();
        for one in &evidence.record.hand_outs {
            self.arrival(&one.arrival(), &due);
            by_run.entry(&one.id).or_default().push(one);
        }
        for all in by_run.values_mut() {
            all.sort_by_key(|one| (one.attempt, one.from));
            self.run(all, &due);
        }
        self.overlaps(&by_run);
    }

    /// Judges the hand-outs of one run.
    fn run(&mut self, all: &[&HandOut], due: &DueByJob) {
        let mut broken: Vec<(&'static str, &str)> = Vec::new();
        let mut expected = 1;
        let may_end = self.is_deleted(all[0]) || self.is_cancelled(&all[0].id);
        for (at, one) in all.iter().enumerate() {
            match one.ending {
                Ending::Held if self.is_judged(one, due) => {
                    broken.push(("stuck run", "it was never let go"));
                }
                Ending::Cancelled | Ending::Stopped if !may_end && !self.may_be_stopped(one) => {
                    broken.push(("needless cancel", "nobody cancelled it"));
                }
                Ending::Gone | Ending::Refused(_)
                    if all.len() == 1 && !may_end && !self.has_cause(one, one.answered) =>
                {
                    broken.push(("run taken away", "it was taken from its only worker"));
                }
                Ending::Completed => broken.extend(self.completed(one)),
                Ending::Stopped => broken.extend(self.stopped(one)),
                _ => {}
            }
            if one.attempt > expected && !self.has_lost_attempt(one) {
                broken.push(("needless hand-out", "an attempt reached nobody"));
            }
            expected = one.attempt + 1;
            for later in &all[at + 1..] {
                let until = later.from.max(one.from);
                if one.from.max(later.from) < one.until.min(later.until)
                    && !self.has_cause(one, until)
                {
                    broken.push(("two workers", "two workers had it at once"));
                }
                let is_over = one.ending == Ending::Completed && later.asked > one.answered;
                // The broker has the word of a worker before the nodes have it.
                if is_over && !(one.is_message() && self.has_cause(one, until)) {
                    broken.push(("needless hand-out", "it was handed out after its end"));
                }
                if later.attempt > one.attempt && one.asked > later.from {
                    broken.push(("attempt fell", "a lower attempt came after a higher one"));
                }
            }
            if at + 1 < all.len() {
                let cause = self.cause_of_next(all, at);
                count(&mut self.verdict.handed_again, cause.as_deref());
                if cause.is_none() {
                    broken.push(("needless hand-out", "it was handed out again without a cause"));
                }
            }
        }
        for (kind, what) in broken {
            self.verdict.violation(kind, format!("{what}: {all:?}"));
        }
    }

    /// The state of an occurrence at the end, with its reason; a manual run has none. `None` where
    /// nobody asked.
    pub(crate) fn end_of(&self, of: Occurrence, id: &str) -> Option<(&str, &str)> {
        if of.run != 0 {
            return self.evidence.runs.get(id).map(|state| (state.as_str(), ""));
        }
        let entry = self.evidence.ledgers.get(&of.job)?.get(&of.scheduled)?;
        Some((entry.state.as_str(), entry.reason.as_str()))
    }

    /// A completion that was accepted is in the ledger. One that the broker has kept is, too,
    /// unless the run was over when the nodes heard of it.
    fn completed(&self, one: &HandOut) -> Option<(&'static str, &'static str)> {
        let (state, reason) = self.end_of(one.occurrence, &one.id)?;
        // The ledger may have been read before the answer.
        let is_late = one.answered > self.evidence.horizon && state == "dead";
        let is_heard_late = one.answered + HEARD > self.evidence.horizon;
        let was_over = || match reason {
            "cancelled" => self.is_cancelled(&one.id),
            "ended" => self.is_deleted(one),
            "not_started" => self.may_not_start(one.occurrence, &one.id, one.asked),
            _ => one.occurrence.run != 0 && self.may_skip_run(one.occurrence, &one.id),
        };
        let stands = ["delivered", "forgotten"].contains(&state)
            || is_late
            || one.is_message() && (is_heard_late || state == "skipped" && was_over());
        (!stands).then_some(("lost completion", "its accepted completion is not in the ledger"))
    }

    /// What a worker has stopped, and was told so, was not done.
    fn stopped(&self, one: &HandOut) -> Option<(&'static str, &'static str)> {
        let (state, _) = self.end_of(one.occurrence, &one.id)?;
        let stands = ["skipped", "forgotten"].contains(&state);
        (!stands).then_some(("lost cancel", "its worker has stopped it, and it has another end"))
    }

    /// True for a run over the broker that may have been cancelled by nobody: it did not begin in
    /// time, or is over by a fault.
    fn may_be_stopped(&self, one: &HandOut) -> bool {
        let of = one.occurrence;
        one.is_message()
            && (self.may_not_start(of, &one.id, one.asked) || self.has_cause(one, one.until))
    }

    /// True for a run over the broker that may end because nobody says in time that it begins: a
    /// worker had it and did not go on, or a fault met nodes, the broker or workers.
    pub(crate) fn may_not_start(&self, of: Occurrence, id: &str, due: i64) -> bool {
        let jobs = &self.evidence.expected.jobs;
        let is_over_broker = jobs.get(&of.job).is_some_and(|job| job.kind.is_over_broker());
        let stray = |one: &HandOut| {
            let may_be_unheard = matches!(
                one.ending,
                Ending::Held | Ending::Silent | Ending::Fenced | Ending::Returned | Ending::Copy
            );
            one.id == id && may_be_unheard
        };
        let met = |window: &Window| {
            let counts = excuse(window.what).is_some()
                || window.destination == Some(MESSAGES)
                || window.what == FaultKind::WorkerFreeze;
            counts && window.to.saturating_add(AFTER) >= due
        };
        is_over_broker
            && (self.evidence.record.hand_outs.iter().any(stray)
                || self.evidence.windows.iter().any(met)
                || self.evidence.stalls.iter().any(|(_, to)| to + AFTER >= due))
    }

    /// True for a manual run that may be skipped once it was handed out.
    pub(crate) fn may_skip_run(&self, of: Occurrence, id: &str) -> bool {
        let job = self.evidence.expected.jobs.get(&of.job);
        job.is_some_and(|job| job.deleted.is_some())
            || self.is_cancelled(id)
            || self.may_not_start(of, id, of.scheduled)
    }

    /// True for a run that may be dead although it has retries left: it was to stop, and its worker
    /// said that it failed.
    pub(crate) fn may_fail(&self, of: Occurrence, id: &str, due: i64) -> bool {
        let mut hand_outs = self.evidence.record.hand_outs.iter();
        (self.is_cancelled(id) || self.may_not_start(of, id, due))
            && hand_outs.any(|one| one.id == id && one.ending == Ending::Failed)
    }

    /// True for what must have come to an end: it was due before the faults ended.
    fn is_judged(&self, one: &HandOut, due: &DueByJob) -> bool {
        let of = one.occurrence;
        let planned = due.get(&of.job).and_then(|due| due.get(&of.scheduled));
        planned.map_or(of.scheduled, |due| due.instant) <= self.evidence.horizon
    }

    fn is_deleted(&self, one: &HandOut) -> bool {
        let job = self.evidence.expected.jobs.get(&one.occurrence.job);
        job.is_some_and(|job| job.deleted.is_some())
    }

    /// The reason why a run was handed out again after the hand-out at a place.
    fn cause_of_next(&self, all: &[&HandOut], at: usize) -> Option<String> {
        let (one, next) = (all[at], all[at + 1]);
        if next.attempt == one.attempt {
            if next.is_redelivered() {
                return Some("redelivered".to_owned());
            }
        } else {
            // A message may have come several times, to some that did not perform it.
            let first = if one.is_message() { 0 } else { at };
            for one in all[first..=at].iter().rev() {
                match one.ending {
                    Ending::Failed | Ending::Released | Ending::Silent | Ending::Fenced => {
                        return Some(format!("{:?}", one.ending));
                    }
                    _ if one.overdue => return Some("overdue".to_owned()),
                    _ => {}
                }
            }
        }
        let from = if one.is_message() { one.asked.min(next.asked) } else { one.asked };
        self.cause_in(one.is_message(), from, next.from.max(one.from))
    }

    fn has_cause(&self, one: &HandOut, until: i64) -> bool {
        self.cause_in(one.is_message(), one.asked, until).is_some()
    }

    /// The fault by which a hand-out, what was told of it or heartbeats could get lost within some
    /// time: of nodes, or also of the broker.
    pub(crate) fn cause_in(&self, is_message: bool, from: i64, until: i64) -> Option<String> {
        let near = |begin: i64, end: i64| begin <= until && end.saturating_add(AFTER) >= from;
        let windows = self.evidence.windows.iter().filter(|window| near(window.from, window.to));
        let rank = |window: &Window| {
            let is_of_broker = is_message && window.destination == Some(MESSAGES);
            excuse(window.what).or(is_of_broker.then_some(u32::MAX))
        };
        let window = windows.filter(|window| rank(window).is_some());
        let stall = || self.evidence.stalls.iter().find(|(begin, end)| near(*begin, *end));
        match window.min_by_key(|window| rank(window)) {
            Some(window) => Some(format!("{:?}", window.what)),
            None => stall().map(|_| "machine stalled".to_owned()),
        }
    }

    /// True when attempts before a hand-out may have reached nobody: claims whose answers got lost,
    /// or a fault.
    fn has_lost_attempt(&self, one: &HandOut) -> bool {
        let mut unanswered = self.evidence.record.unanswered.iter();
        !one.is_message() && unanswered.any(|claim| claim.from < one.from)
            || self.evidence.windows.iter().any(|window| window.from < one.from)
    }

    /// True when a run may be over for the nodes, while a worker still has it: it was cancelled,
    /// and the worker was not told or did not say that it stops; over the broker also by a fault.
    fn may_be_over(&self, one: &HandOut, other: i64) -> bool {
        let end = self.end_of(one.occurrence, &one.id);
        let is_ended = end.is_some_and(|(state, _)| ["skipped", "dead"].contains(&state));
        let (is_cancelled, has_cause) = (self.is_cancelled(&one.id), self.has_cause(one, other));
        let may_be_over =
            if one.is_message() { is_cancelled || has_cause } else { is_cancelled && has_cause };
        is_ended && may_be_over
    }

    /// No two runs of a job whose runs must not overlap are performed at the same time. A run is
    /// over when the first of its workers says that it is done, whoever else has it by then.
    fn overlaps(&mut self, by_run: &BTreeMap<&str, OfRun>) {
        let mut by_job: BTreeMap<u64, Vec<(i64, i64, &HandOut)>> = BTreeMap::new();
        for all in by_run.values() {
            let done = all.iter().filter(|one| one.said_done).map(|one| one.until).min();
            for one in all {
                let until = one.until.min(done.unwrap_or(i64::MAX));
                by_job.entry(one.occurrence.job).or_default().push((one.from, until, one));
            }
        }
        for (job, mut all) in by_job {
            let tracked = self.evidence.expected.jobs.get(&job);
            // What a worker has of a deleted job is over before the worker knows.
            if tracked.is_none_or(|job| !job.kind.is_one_at_a_time() || job.deleted.is_some()) {
                continue;
            }
            all.sort_by_key(|(from, ..)| *from);
            for (at, (_, until, one)) in all.iter().enumerate() {
                let beside = all[at + 1..].iter().take_while(|(from, ..)| from < until);
                for (from, end, other) in beside {
                    if other.id != one.id && from < end && !self.may_be_over(one, *from) {
                        let text = format!("{one:?} and {other:?}");
                        self.verdict.violation("overlapping runs", text);
                    }
                }
            }
        }
    }
}
