//! The reports that are not settled: to be looked at, kept until something can be committed again,
//! or waiting for the records of their runs. `reporting` has them, and says what becomes of each.
//! Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::Arc;

use super::report_standing::Asked;
use crate::bus::Receipt;
use crate::command::Change;
use crate::model::claim::HandOutQuestion;
use crate::model::run_id::RunName;
use crate::model::run_report::MAX_REPORTS;
use crate::model::shard::shard_of;

/// The longest wait for a run, in milliseconds.
pub(super) const PATIENCE_MS: u64 = 3_000;
/// The least time between two looks at what a change may be about, in milliseconds.
const LOOK_MS: u64 = 100;
/// The pause after a command that could not be committed, in milliseconds; it doubles.
const FIRST_PAUSE_MS: u64 = 100;
/// The longest pause.
const LONGEST_PAUSE_MS: u64 = 5_000;
/// The most reports that wait. The messages of those beyond come again.
const MOST: usize = 50_000;

/// A report that is not settled.
pub(super) struct OpenReport {
    pub(super) asked: Asked,
    pub(super) receipt: Receipt,
    /// The instant of the boot clock up to which its run is waited for.
    pub(super) until: u64,
    /// The supervisor knows that it waits.
    pub(super) is_shown: bool,
    /// The owner of its run has denied the attempt since the last wait.
    pub(super) is_denied: bool,
}

/// The reports that are not settled.
#[derive(Default)]
pub(super) struct OpenReports {
    /// To be looked at.
    ready: VecDeque<OpenReport>,
    /// To be proposed when the pause is over.
    kept: VecDeque<OpenReport>,
    /// Wait for the records of their runs.
    waiting: BTreeMap<RunName, Vec<OpenReport>>,
    /// How many of them there are.
    waits: usize,
    /// Until when they wait, the first one first. Some of these have been woken since.
    lates: BinaryHeap<Reverse<(u64, RunName)>>,
    /// The instant at which all that waits is looked at again.
    look_at: Option<u64>,
    /// Have waited long enough: the owners of their runs are to be asked.
    doubted: Vec<(OpenReport, HandOutQuestion)>,
    /// Commands in a row that could not be committed.
    failures: u32,
    /// The instant before which nothing is proposed.
    paused_until: u64,
}

impl OpenReports {
    /// Whether as many reports are open as may be.
    pub(super) fn is_full(&self) -> bool {
        let asked = self.doubted.len();
        self.ready.len() + self.kept.len() + self.waits + asked >= MOST
    }

    /// Whether something waits for the record of its run.
    pub(super) fn any_waits(&self) -> bool {
        self.waits > 0
    }

    /// Adds a report that nobody has looked at.
    pub(super) fn add(&mut self, report: OpenReport) {
        self.ready.push_back(report);
    }

    /// Lets a report wait for the record of its run.
    pub(super) fn wait(&mut self, mut report: OpenReport) {
        report.is_denied = false;
        self.waits += 1;
        self.lates.push(Reverse((report.until, report.asked.name)));
        self.waiting.entry(report.asked.name).or_default().push(report);
    }

    /// Lets a report wait for the owner of its run to be asked.
    pub(super) fn doubt(&mut self, report: OpenReport, question: HandOutQuestion) {
        self.doubted.push((report, question));
    }

    /// Takes out those whose owners are to be asked, with the questions.
    pub(super) fn take_doubted(&mut self) -> (Vec<OpenReport>, Vec<HandOutQuestion>) {
        std::mem::take(&mut self.doubted).into_iter().unzip()
    }

    /// Whether nothing may be proposed now.
    pub(super) fn is_paused(&self, now: u64) -> bool {
        now < self.paused_until
    }

    /// Lets a report wait for the end of the pause, behind the others.
    pub(super) fn keep(&mut self, mut report: OpenReport) {
        report.is_denied = false;
        self.kept.push_back(report);
    }

    /// Notes that something was committed.
    pub(super) fn note_commit(&mut self) {
        self.failures = 0;
    }

    /// Keeps reports for another try after a pause. They are in front of the others, so that the
    /// order stays.
    pub(super) fn try_later(&mut self, reports: Vec<OpenReport>, now: u64) {
        if !self.is_paused(now) {
            let pause = FIRST_PAUSE_MS << self.failures.min(10);
            self.failures += 1;
            self.paused_until = now + pause.min(LONGEST_PAUSE_MS);
        }
        for mut report in reports.into_iter().rev() {
            // The record of its run was not committed meanwhile, either.
            report.until = self.paused_until + PATIENCE_MS;
            report.is_denied = false;
            self.kept.push_front(report);
        }
    }

    fn wake(&mut self, name: RunName) {
        if let Some(reports) = self.waiting.remove(&name) {
            self.waits -= reports.len();
            self.ready.extend(reports);
        }
        if self.waits == 0 {
            self.lates.clear();
        }
    }

    /// Wakes all that waits.
    pub(super) fn wake_all(&mut self) {
        self.waits = 0;
        self.look_at = None;
        self.lates.clear();
        self.ready.extend(std::mem::take(&mut self.waiting).into_values().flatten());
    }

    /// Wakes those that have waited long enough, and those that were kept until now.
    pub(super) fn wake_late(&mut self, now: u64) {
        if !self.is_paused(now) {
            while let Some(report) = self.kept.pop_back() {
                self.ready.push_front(report);
            }
        }
        if self.look_at.is_some_and(|at| at <= now) {
            return self.wake_all();
        }
        while let Some(Reverse((until, name))) = self.lates.peek().copied()
            && until <= now
        {
            self.lates.pop();
            self.wake(name);
        }
    }

    /// The next instant at which something is to be looked at that is not ready.
    pub(super) fn next_wake(&self) -> Option<u64> {
        let late = self.lates.peek().map(|Reverse((until, _))| *until);
        let paused = (!self.kept.is_empty()).then_some(self.paused_until);
        late.into_iter().chain(self.look_at).chain(paused).min()
    }

    /// Takes in a change: what it names is looked at at once, what it may be about a little later.
    pub(super) fn note(&mut self, change: &Arc<Change>, now: u64) {
        if change.replaced {
            return self.wake_all();
        }
        for of in &change.runs {
            self.wake(RunName::of(*of));
        }
        // Offers are named by their rows.
        let is_about = |name: &RunName| {
            let shard = shard_of(name.job());
            !change.offers.is_empty()
                || change.pending.contains(&shard)
                || change.crowded.contains(&shard)
        };
        if self.look_at.is_none() && self.waiting.keys().any(is_about) {
            self.look_at = Some(now + LOOK_MS);
        }
    }

    /// How many are ready to be looked at.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Takes the reports of the next look, without those whose messages come again anyway.
    pub(super) fn take(&mut self) -> Vec<OpenReport> {
        let mut next = Vec::new();
        while next.len() < MAX_REPORTS
            && let Some(report) = self.ready.pop_front()
        {
            if !report.receipt.is_void() {
                next.push(report);
            }
        }
        next
    }
}
