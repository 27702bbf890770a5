//! The judge: a pure function from the evidence of a run to a verdict. Each rule is one of the
//! promises in docs/reliability.md. Exceptions that a fault excuses are counted by their cause; all
//! others are violations.

use std::collections::{BTreeMap, BTreeSet};

use scheduler0::model::attempt::parse_execution_id;
use scheduler0::model::run::Occurrence;
use scheduler0::model::shard::shard_of;

use crate::evidence::{Entry, Evidence};
use crate::expected::{Due, ExpectedJob, MAX_JITTER};
use crate::faults::FaultKind;
use crate::inject::Window;
use crate::receiver::{Answer, Arrival};

/// The milliseconds by which the clocks of receiver and nodes may differ. A node whose clock
/// differs by more must not fire.
pub(crate) const CLOCKS: i64 = 1_000;
/// The milliseconds after a change in which a call may be sent without knowledge of it: a node that
/// is cut off fires while its lease holds (TTL, about 4 s here), by its own clock.
pub(crate) const UNAWARE: i64 = 6_000;
/// The milliseconds after a full disk in which its node may still end because of it.
const ENDS: i64 = 4_000;
/// The occurrences of jobs, by job and scheduled instant.
pub(crate) type DueByJob = BTreeMap<u64, BTreeMap<i64, Due>>;

/// The verdict about a run.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// The violations by kind, each with its description.
    pub(crate) violations: BTreeMap<&'static str, Vec<String>>,
    /// End states in the ledger, by state and reason.
    pub(crate) states: BTreeMap<String, u64>,
    /// Occurrences accepted more than once, by cause.
    pub(crate) duplicates: BTreeMap<String, u64>,
    /// First attempts that another owner repeated, by cause.
    pub(crate) repeated: BTreeMap<String, u64>,
    /// First attempts under an older fence than one that had arrived before, by cause.
    pub(crate) stale: BTreeMap<String, u64>,
    /// Runs that were handed to a worker again, by cause.
    pub(crate) handed_again: BTreeMap<String, u64>,
    /// Attempts after the first.
    pub(crate) retries: u64,
    /// The number of calls that were sent before the sender knew of a pause, an edit or a deletion.
    pub(crate) unaware: u64,
    /// The number of accepted occurrences that are not recorded so: the answer was lost with the
    /// sender.
    pub(crate) unheard: u64,
    /// The lags of first attempts in milliseconds, ascending.
    pub(crate) lags: Vec<i64>,
    /// The greatest lag in milliseconds of what was due during a fault that was alone, by fault.
    pub(crate) alone: BTreeMap<String, i64>,
}

impl Verdict {
    /// The number of violations.
    pub(crate) fn broken(&self) -> usize {
        self.violations.values().map(Vec::len).sum()
    }

    /// Adds a violation.
    pub(crate) fn violation(&mut self, kind: &'static str, text: String) {
        self.violations.entry(kind).or_default().push(text);
    }
}

/// Judges a run.
pub(crate) fn judge(evidence: &Evidence) -> Verdict {
    let mut judge = Judge { evidence, verdict: Verdict::default() };
    judge.writes();
    judge.hashes();
    judge.ledgers();
    judge.arrivals();
    judge.repetitions();
    judge.hand_outs();
    judge.cancels();
    judge.processes();
    judge.lags();
    judge.verdict
}

/// A judgement in progress.
pub(crate) struct Judge<'e> {
    /// The evidence.
    pub(crate) evidence: &'e Evidence,
    /// The findings so far.
    pub(crate) verdict: Verdict,
}

impl Judge<'_> {
    /// No acknowledged write is lost, and nothing exists that was not written.
    fn writes(&mut self) {
        for text in &self.evidence.wrong {
            self.verdict.violation("wrong answer", text.clone());
        }
        let mut known = 0;
        for tracked in self.evidence.expected.jobs.values() {
            let found = self.evidence.jobs.get(&tracked.id);
            match (found, tracked.deleted) {
                (None, Some(_)) => {}
                (Some(job), None) => {
                    known += 1;
                    let last = tracked.last();
                    let status = if last.paused { "inactive" } else { "active" };
                    // A job with a last date is completed after its last occurrence.
                    let ended = job["status"].as_str() == Some("completed");
                    let may_end = last.end.is_some();
                    let must_end =
                        last.end.is_some_and(|end| end + MAX_JITTER < self.evidence.horizon);
                    let stands =
                        (!must_end && job["status"].as_str() == Some(status)) || (may_end && ended);
                    let same = job["data"].as_str() == Some(&*tracked.data)
                        && (tracked.is_once()
                            || (job["version"].as_u64() == Some(tracked.version) && stands));
                    if !same {
                        let text = format!("expected {tracked:?}, found {job}");
                        self.verdict.violation("lost write", text);
                    }
                }
                (found, _) => {
                    known += u64::from(found.is_some());
                    let text = format!("expected {tracked:?}, found {found:?}");
                    self.verdict.violation("lost write", text);
                }
            }
        }
        let (all, idle) = (self.evidence.jobs.len() as u64, self.evidence.expected.idle_jobs);
        if all != known + idle {
            let text = format!("{all} jobs are there, {known} known and {idle} idle");
            self.verdict.violation("lost write", text);
        }
    }

    /// All nodes hold the same replicated state.
    fn hashes(&mut self) {
        let hashes = &self.evidence.hashes;
        let different: BTreeSet<_> = hashes.values().collect();
        if different.len() != 1 || hashes.values().any(Option::is_none) {
            self.verdict.violation("state differs", format!("{hashes:?}"));
        }
    }

    /// The ledger has each planned occurrence with an end state that it may have, and no other one.
    fn ledgers(&mut self) {
        if self.evidence.settled.is_none() {
            let text = format!("not everything has ended {:?} after", crate::evidence::PATIENCE);
            self.verdict.violation("unaccounted", text);
        }
        let mut accepted: BTreeMap<u64, BTreeSet<i64>> = BTreeMap::new();
        for one in self.evidence.arrivals.iter().filter(|one| one.answer == Answer::Accepted) {
            if one.occurrence.run == 0 {
                accepted.entry(one.occurrence.job).or_default().insert(one.occurrence.scheduled);
            }
        }
        let runs = self.evidence.arrivals.iter().filter(|one| one.answer == Answer::Accepted);
        let mut runs: BTreeSet<&str> = runs.map(|one| &*one.id).collect();
        for one in self.evidence.record.hand_outs.iter().filter(|one| one.said_done) {
            runs.insert(&one.id);
            if one.occurrence.run == 0 {
                accepted.entry(one.occurrence.job).or_default().insert(one.occurrence.scheduled);
            }
        }
        let none = BTreeSet::new();
        for tracked in self.evidence.expected.jobs.values() {
            let Some(ledger) = self.evidence.ledgers.get(&tracked.id) else {
                self.verdict.violation("unaccounted", format!("no ledger of {tracked:?}"));
                continue;
            };
            self.ledger(tracked, ledger, accepted.get(&tracked.id).unwrap_or(&none));
        }
        for (id, run) in &self.evidence.expected.runs {
            let state = self.evidence.runs.get(id).map_or("none", |state| state);
            *self.verdict.states.entry(format!("run {state}")).or_default() += 1;
            let tracked = &self.evidence.expected.jobs[&run.job];
            let of = parse_execution_id(id);
            let may_skip = || of.is_some_and(|of| self.may_skip_run(of, id));
            let may_fail = || of.is_some_and(|of| self.may_fail(of, id, run.scheduled));
            let may_end = match state {
                "dead" => tracked.may_die || may_fail(),
                "skipped" => tracked.kind.is_one_at_a_time() || may_skip(),
                _ => false,
            };
            let may_end_unseen =
                tracked.may_die || tracked.kind.is_run() || tracked.deleted.is_some();
            let may_go =
                self.may_be_forgotten(run.scheduled) && (runs.contains(&**id) || may_end_unseen);
            if state == "delivered" && !runs.contains(&**id) {
                let text = format!("run {id} says delivered, and never came: {tracked:?}");
                self.verdict.violation("lost delivery", text);
            }
            if state != "delivered" && !may_end && !(state == "forgotten" && may_go) {
                let text = format!("run {id} at {} is {state}", run.scheduled);
                self.verdict.violation("unaccounted", text);
            }
        }
    }

    fn ledger(
        &mut self,
        tracked: &ExpectedJob,
        ledger: &BTreeMap<i64, Entry>,
        accepted: &BTreeSet<i64>,
    ) {
        let due = tracked.due(self.evidence.horizon);
        let occurrence = |scheduled| Occurrence { job: tracked.id, scheduled, run: 0 };
        for (at, planned) in &due {
            let came = accepted.contains(at);
            // The receiver must have what the ledger has forgotten.
            let ended = planned.paused
                || tracked.deleted.is_some()
                || tracked.may_die
                || tracked.kind.is_run()
                || !tracked.never_misfires;
            let may_go = self.may_be_forgotten(planned.instant) && (came || ended);
            let Some(entry) = ledger.get(at) else {
                // After an edit or a deletion the old plan is forgotten with the history.
                if !planned.doubtful && !may_go {
                    let text = format!("{at} of {tracked:?} is not in the ledger");
                    self.verdict.violation("unaccounted", text);
                }
                continue;
            };
            let name = [&*entry.state, &entry.reason].join(" ").trim_end().to_owned();
            *self.verdict.states.entry(name).or_default() += 1;
            let may = match (&*entry.state, &*entry.reason) {
                ("delivered", _) => {
                    if !came {
                        let text =
                            format!("{} says delivered, and never came: {tracked:?}", entry.id);
                        self.verdict.violation("lost delivery", text);
                    }
                    !planned.paused || tracked.changed_before(planned.instant, UNAWARE)
                }
                ("skipped", "paused") => planned.paused,
                ("skipped", "ended") => tracked.deleted.is_some(),
                ("skipped", "misfire") => !tracked.never_misfires,
                ("skipped", reason) if tracked.kind.may_skip(reason) => true,
                ("skipped", "cancelled") => self.is_cancelled(&entry.id),
                ("skipped", "not_started") => {
                    self.may_not_start(occurrence(*at), &entry.id, planned.instant)
                }
                ("dead", _) => {
                    tracked.may_die || self.may_fail(occurrence(*at), &entry.id, planned.instant)
                }
                ("forgotten", _) => may_go,
                _ => false,
            };
            if !may || entry.due != planned.instant {
                let text = format!("{} is {entry:?}, planned {planned:?}, {tracked:?}", entry.id);
                self.verdict.violation("unaccounted", text);
            }
            // What a worker heard of its report is judged with the hand-outs.
            let is_heard = ["delivered", "forgotten"].contains(&&*entry.state);
            if came && !is_heard && !tracked.kind.is_run() {
                self.unheard(tracked, *at, entry);
            }
        }
        for (at, entry) in ledger.iter().filter(|(at, _)| !due.contains_key(at)) {
            let text = format!("{at} is {entry:?}, but was never planned: {tracked:?}");
            self.verdict.violation("unplanned", text);
        }
    }

    /// True when a leader may have forgotten what was due at an instant: its disk was full later.
    fn may_be_forgotten(&self, at: i64) -> bool {
        let full = |window: &&Window| {
            window.what == FaultKind::DiskFull
                && window.nodes.iter().any(|node| self.evidence.cut.contains(node))
        };
        self.evidence.windows.iter().filter(full).any(|window| at <= window.to.saturating_add(ENDS))
    }

    /// An accepted occurrence may be recorded otherwise only if a fault kept the sender from
    /// receiving or reporting the answer.
    fn unheard(&mut self, tracked: &ExpectedJob, at: i64, entry: &Entry) {
        let ours = |one: &&Arrival| {
            one.occurrence.run == 0
                && (one.occurrence.job, one.occurrence.scheduled) == (tracked.id, at)
                && one.answer == Answer::Accepted
        };
        let arrivals: Vec<_> = self.evidence.arrivals.iter().filter(ours).collect();
        let excused = arrivals.iter().all(|one| self.cause(one).is_some());
        self.verdict.unheard += 1;
        if !excused {
            let text = format!("{} was accepted, and is {entry:?}: {arrivals:?}", entry.id);
            self.verdict.violation("lost delivery", text);
        }
    }

    /// The occurrences of all jobs, beyond the horizon, too.
    pub(crate) fn due(&self) -> DueByJob {
        let until = self.evidence.horizon + MAX_JITTER;
        self.evidence.expected.jobs.iter().map(|(id, job)| (*id, job.due(until))).collect()
    }

    /// No arrival is early, unplanned, or under another id.
    fn arrivals(&mut self) {
        let due = self.due();
        for one in &self.evidence.arrivals {
            self.verdict.retries += u64::from(one.attempt > 1);
            self.arrival(one, &due);
        }
    }

    /// The same for one arrival; also for a hand-out, as an arrival at its worker.
    pub(crate) fn arrival(&mut self, one: &Arrival, due: &DueByJob) {
        let horizon = self.evidence.horizon;
        let (job, at) = (one.occurrence.job, one.occurrence.scheduled);
        let planned = due.get(&job).and_then(|due| due.get(&at));
        let planned = planned.filter(|_| one.occurrence.run == 0);
        let when = planned.map_or(one.scheduled, |planned| planned.instant);
        let tracked = self.evidence.expected.jobs.get(&job);
        if one.at + CLOCKS < when {
            let sent = one.at + CLOCKS;
            if tracked.is_some_and(|t| t.was_due_before_change(at, sent, UNAWARE + CLOCKS)) {
                self.verdict.unaware += 1;
            } else {
                let text = format!("{one:?}, due {when} of {tracked:?}");
                self.verdict.violation("early", text);
            }
        }
        if one.scheduled != at || one.shard != shard_of(job) {
            self.verdict.violation("wrong id", format!("{one:?}"));
        }
        if one.occurrence.run != 0 {
            if at <= horizon && !self.evidence.expected.runs.contains_key(&one.id) {
                self.verdict.violation("unplanned", format!("nobody asked for {one:?}"));
            }
            return;
        }
        let entry = self.evidence.ledgers.get(&job).and_then(|ledger| ledger.get(&at));
        if entry.is_some_and(|entry| entry.id != one.id) {
            self.verdict.violation("wrong id", format!("{one:?}, the ledger has {entry:?}"));
        }
        if when > horizon || planned.is_some_and(|due| !due.paused) {
            return;
        }
        if tracked.is_some_and(|tracked| tracked.changed_before(when, UNAWARE)) {
            self.verdict.unaware += 1;
        } else {
            let text = format!("{one:?} of {tracked:?}, planned {planned:?}");
            self.verdict.violation("unplanned", text);
        }
    }

    /// A node ends by itself only for a full disk, or because it has forgotten what it
    /// acknowledged. It never panics.
    fn processes(&mut self) {
        for line in &self.evidence.panics {
            self.verdict.violation("panic", line.clone());
        }
        for end in &self.evidence.ends {
            let may = |window: &&Window| {
                matches!(window.what, FaultKind::DiskFull | FaultKind::PutBack)
                    && window.nodes.contains(&end.node)
                    && (window.from..=window.to.saturating_add(ENDS)).contains(&end.at)
            };
            if !self.evidence.windows.iter().any(|window| may(&window)) {
                let text = format!("node {} at {}, exit code {:?}", end.node, end.at, end.code);
                self.verdict.violation("ended by itself", text);
            }
        }
    }
}
