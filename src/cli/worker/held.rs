//! The runs that this worker holds: from the answer to their claim until their end is answered.
//! Claims put them in, heartbeats name them, deadlines are kept here, and each run waits here for
//! its directive. No lock is held across a wait.
//!
//! An answer to a heartbeat counts for the attempt that was asked about only: the same run may have
//! come back under another attempt meanwhile.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use super::assignment::Assignment;
use super::directive::Directive;
use super::progress_line::RunProgress;
use super::silence_deadline::SilenceDeadline;

/// A run in a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HeartbeatEntry {
    /// The execution id.
    pub(super) id: String,
    /// The attempt.
    pub(super) attempt: u32,
    /// The progress, if the command told some.
    pub(super) progress: Option<RunProgress>,
}

/// The answer to a heartbeat: ids of runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HeartbeatAnswer {
    /// To be stopped and reported as cancelled.
    pub(super) cancel: HashSet<String>,
    /// To be stopped; nothing is reported.
    pub(super) gone: HashSet<String>,
    /// Not heard by their owner.
    pub(super) unknown: HashSet<String>,
}

/// The reason for a heartbeat out of turn. A later one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum HeartbeatNews {
    /// A command told of progress.
    Progress,
    /// No heartbeat has confirmed a run.
    Unheard,
    /// No heartbeat has confirmed a run, and its command waits for that.
    Awaited,
}

/// The runs that this worker holds.
#[derive(Debug, Default)]
pub(super) struct HeldRuns {
    runs: Mutex<HashMap<String, HeldRun>>,
    /// Told at each change: a new run, progress, an end.
    changed: Notify,
}

#[derive(Debug)]
struct HeldRun {
    attempt: u32,
    timeout: Option<u64>,
    deadline: SilenceDeadline,
    is_heard: bool,
    /// The command has ended; only the answer to the report is missing.
    is_over: bool,
    progress: Option<RunProgress>,
    /// The progress has not been in a heartbeat.
    is_new: bool,
    directive: watch::Sender<Directive>,
}

impl HeldRun {
    /// Gives a directive, unless one that wins over it was given.
    fn tell(&self, directive: Directive) {
        self.directive.send_if_modified(|known| {
            let wins = !self.is_over && directive > *known;
            if wins {
                *known = directive;
            }
            wins
        });
    }

    fn directive(&self) -> Directive {
        *self.directive.borrow()
    }

    /// Returns whether heartbeats name the run. What is over elsewhere, or was stopped because
    /// nobody answered, is this worker's no more.
    fn is_named(&self) -> bool {
        !matches!(self.directive(), Directive::Gone | Directive::Unanswered)
    }
}

impl HeldRuns {
    /// Takes in a run whose claim was sent at an instant, and gives where its directives come.
    /// Without `now` its command does not begin. `None` if the run is held already: its earlier
    /// attempt has not ended here.
    pub(super) fn take(
        &self,
        run: &Assignment,
        sent: u64,
        now: Option<u64>,
    ) -> Option<watch::Receiver<Directive>> {
        let mut runs = self.runs();
        if runs.contains_key(&run.id) {
            return None;
        }
        let timeout = run.heartbeat_timeout;
        let deadline = SilenceDeadline::of_claim(timeout, sent);
        let begins = now.is_some_and(|now| deadline.may_begin(now));
        let first = if begins { Directive::Go } else { Directive::Hold };
        let (directive, told) = watch::channel(first);
        let held = HeldRun {
            attempt: run.attempt,
            timeout,
            deadline,
            is_heard: false,
            is_over: false,
            progress: None,
            is_new: false,
            directive,
        };
        runs.insert(run.id.clone(), held);
        drop(runs);
        self.changed.notify_waiters();
        Some(told)
    }

    /// Notes that the command of a run has ended, or never begins. Heartbeats name the run on until
    /// its report is answered, so that nobody takes it for lost.
    pub(super) fn command_ended(&self, id: &str) {
        if let Some(held) = self.runs().get_mut(id) {
            held.is_over = true;
        }
    }

    /// Lets an attempt of a run go: nothing is to be said about it any more.
    pub(super) fn let_go(&self, id: &str, attempt: u32) {
        let mut runs = self.runs();
        if runs.get(id).is_some_and(|held| held.attempt == attempt) {
            runs.remove(id);
        }
        drop(runs);
        self.changed.notify_waiters();
    }

    /// Notes the progress of a run.
    pub(super) fn note_progress(&self, id: &str, progress: RunProgress) {
        if let Some(held) = self.runs().get_mut(id) {
            held.is_new |= held.progress.as_ref() != Some(&progress);
            held.progress = Some(progress);
        }
        self.changed.notify_waiters();
    }

    /// The number of runs.
    pub(super) fn count(&self) -> usize {
        self.runs().len()
    }

    /// Waits until at most so many runs are held, and returns how many are.
    pub(super) async fn at_most(&self, most: usize) -> usize {
        loop {
            let changed = self.changed.notified();
            let count = self.count();
            if count <= most {
                return count;
            }
            changed.await;
        }
    }

    /// Waits until some run is held.
    pub(super) async fn some(&self) {
        loop {
            let changed = self.changed.notified();
            if self.count() > 0 {
                return;
            }
            changed.await;
        }
    }

    /// Waits until heartbeats have some run to name.
    pub(super) async fn named(&self) {
        loop {
            let changed = self.changed.notified();
            if self.runs().values().any(HeldRun::is_named) {
                return;
            }
            changed.await;
        }
    }

    /// Waits for news of a kind, or of one that wins over it.
    pub(super) async fn news(&self, least: HeartbeatNews) {
        loop {
            let changed = self.changed.notified();
            if self.has_news() >= Some(least) {
                return;
            }
            changed.await;
        }
    }

    /// The news that no heartbeat has told.
    pub(super) fn has_news(&self) -> Option<HeartbeatNews> {
        let runs = self.runs();
        let news = |held: &HeldRun| match (held.is_heard, held.directive()) {
            (false, Directive::Hold) => Some(HeartbeatNews::Awaited),
            (false, _) => Some(HeartbeatNews::Unheard),
            (true, _) => held.is_new.then_some(HeartbeatNews::Progress),
        };
        runs.values().filter(|held| held.is_named()).filter_map(news).max()
    }

    /// The runs for a heartbeat, whose progress counts as told from now on.
    pub(super) fn for_heartbeat(&self) -> Vec<HeartbeatEntry> {
        let entry = |(id, held): (&String, &mut HeldRun)| {
            held.is_new = false;
            let progress = held.progress.clone();
            HeartbeatEntry { id: id.clone(), attempt: held.attempt, progress }
        };
        self.runs().iter_mut().filter(|(_, held)| held.is_named()).map(entry).collect()
    }

    /// The shortest heartbeat timeout, in milliseconds; `None` where nobody expects heartbeats.
    pub(super) fn shortest_timeout(&self) -> Option<u64> {
        self.runs().values().filter_map(|held| held.timeout).min()
    }

    /// Takes in the answer to a heartbeat that was sent at an instant.
    pub(super) fn take_answer(&self, asked: &[HeartbeatEntry], sent: u64, told: &HeartbeatAnswer) {
        let mut runs = self.runs();
        for HeartbeatEntry { id, attempt, .. } in asked {
            let Some(held) = runs.get_mut(id).filter(|held| held.attempt == *attempt) else {
                continue;
            };
            if told.gone.contains(id) {
                held.is_heard = true;
                held.tell(Directive::Gone);
            } else if told.cancel.contains(id) {
                held.is_heard = true;
                held.deadline.heard(sent);
                held.tell(Directive::Cancel);
            } else if !told.unknown.contains(id) {
                held.is_heard = true;
                held.deadline.heard(sent);
                held.tell(Directive::Go);
            }
        }
        drop(runs);
        self.changed.notify_waiters();
    }

    /// Stops each run whose time has passed, and returns the instant of the next one. What has not
    /// begun is not stopped: it waits for an answer, and does nothing meanwhile.
    pub(super) fn stop_unanswered(&self, now: u64) -> Option<u64> {
        let runs = self.runs();
        let begun =
            runs.values().filter(|held| !held.is_over && held.directive() > Directive::Hold);
        let mut next = None;
        for held in begun {
            if held.deadline.is_passed(now) {
                held.tell(Directive::Unanswered);
                continue;
            }
            let until = held.deadline.until();
            next = next.into_iter().chain(until).min();
        }
        next
    }

    /// Gives back what has not begun.
    pub(super) fn give_back_unbegun(&self) {
        for held in self.runs().values().filter(|held| held.directive() == Directive::Hold) {
            held.tell(Directive::GiveBack);
        }
    }

    /// Abandons all commands.
    pub(super) fn abandon_all(&self) {
        self.runs().values().for_each(|held| held.tell(Directive::Abandon));
    }

    /// The runs are whole after every statement, so a panic elsewhere spoils nothing.
    fn runs(&self) -> MutexGuard<'_, HashMap<String, HeldRun>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
