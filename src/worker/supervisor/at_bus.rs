//! The runs that were handed to their bus and have no answer yet, or none that is on its way to the
//! journal. Pure data; `publishes` and `published` have the rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::event::Handed;
use super::in_hand::Taking;
use super::source::{ClaimId, QueueId, Source};
use crate::model::JobId;
use crate::model::members::Members;
use crate::model::run::Occurrence;
use crate::model::shard::{OwnershipKey, ShardId};

/// The most confirmed runs of a hand that wait for the others, before they are journaled.
const MOST_PASSED: usize = 64;

/// What the worker of a run has reported before the confirm of its message was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reported {
    Nothing,
    Something,
    End,
}

/// A run that was handed to its bus.
#[derive(Clone, Debug)]
pub(super) struct Leaving {
    pub(super) taking: Taking,
    /// The instant of the boot clock at which it was handed to the bus, in milliseconds.
    pub(super) since: u64,
    /// The reports of its worker.
    pub(super) reported: Reported,
    /// A try before this one came back and may have arrived all the same.
    pub(super) may_have_arrived: bool,
    /// The bus was asked to give it back, if it has not left.
    pub(super) is_withdrawn: bool,
    /// The store has its row no more, or its end: it does not wait on when it comes back.
    pub(super) is_gone: bool,
}

impl Leaving {
    /// A run that is handed to its bus at an instant of the boot clock.
    pub(super) fn new(taking: Taking, since: u64) -> Self {
        Self {
            taking,
            since,
            reported: Reported::Nothing,
            may_have_arrived: false,
            is_withdrawn: false,
            is_gone: false,
        }
    }

    pub(super) fn of(&self) -> Occurrence {
        self.taking.popped.source.occurrence(self.taking.popped.job)
    }

    /// The epoch that it was popped under.
    pub(super) fn key(&self) -> OwnershipKey {
        (self.taking.popped.source.shard, self.taking.popped.source.epoch)
    }

    pub(super) fn handed(&self) -> Handed {
        self.taking.popped.handed(Arc::clone(&self.taking.terms))
    }
}

/// The runs that were handed to a bus in one go.
#[derive(Debug, Default)]
struct Publish {
    /// Those without an answer.
    leaving: BTreeMap<Occurrence, Leaving>,
    /// Those that the broker has confirmed, and that no entry names yet.
    passed: Vec<Leaving>,
}

/// A run that came back from its bus and may have arrived all the same.
#[derive(Clone, Copy, Debug)]
struct Unconfirmed {
    attempt: u32,
    /// The reports of its worker since it came back.
    reported: Reported,
}

/// All runs that are at their bus.
#[derive(Debug, Default)]
pub(super) struct AtBus {
    hands: BTreeMap<ClaimId, Publish>,
    /// Runs that wait again, and of which nobody knows whether they have arrived.
    unconfirmed: BTreeMap<Occurrence, Unconfirmed>,
    /// Until when nothing is handed to a bus, by the boot clock, in milliseconds.
    rests: BTreeMap<(QueueId, ShardId), u64>,
    /// The same of single jobs.
    job_rests: BTreeMap<(QueueId, JobId), u64>,
}

impl AtBus {
    /// Adds the runs of a hand.
    pub(super) fn add(&mut self, claim: ClaimId, runs: impl IntoIterator<Item = Leaving>) {
        let leaving = runs.into_iter().map(|leaving| (leaving.of(), leaving)).collect();
        self.hands.insert(claim, Publish { leaving, passed: Vec::new() });
    }

    /// Takes out a run that has its answer.
    pub(super) fn take(&mut self, claim: ClaimId, of: Occurrence) -> Option<Leaving> {
        self.hands.get_mut(&claim)?.leaving.remove(&of)
    }

    /// Adds a run that the broker has confirmed.
    pub(super) fn add_passed(&mut self, claim: ClaimId, run: Leaving) {
        self.hands.entry(claim).or_default().passed.push(run);
    }

    /// Takes out the confirmed runs of a hand, if they are to be journaled now: nothing else of the
    /// hand is missing, they are many, or a worker speaks of one of them.
    pub(super) fn take_passed(&mut self, claim: ClaimId) -> Vec<Leaving> {
        let Some(hand) = self.hands.get_mut(&claim) else { return Vec::new() };
        let is_over = hand.leaving.is_empty();
        let is_time = hand.passed.len() >= MOST_PASSED
            || hand.passed.iter().any(|it| it.reported > Reported::Nothing);
        if !is_over && !is_time {
            return Vec::new();
        }
        let passed = std::mem::take(&mut hand.passed);
        if is_over {
            self.hands.remove(&claim);
        }
        passed
    }

    /// Counts runs without an answer as confirmed for which this holds: their answer says nothing
    /// any more.
    pub(super) fn pass(&mut self, mut holds: impl FnMut(&Leaving) -> bool) {
        for hand in self.hands.values_mut() {
            let passed = hand.leaving.extract_if(.., |_, run| holds(run));
            hand.passed.extend(passed.map(|(_, run)| run));
        }
    }

    /// Takes out all confirmed runs.
    pub(super) fn take_all_passed(&mut self) -> Vec<Leaving> {
        let passed = self.hands.values_mut().flat_map(|hand| std::mem::take(&mut hand.passed));
        let passed = passed.collect();
        self.hands.retain(|_, hand| !hand.leaving.is_empty());
        passed
    }

    /// Notes that the worker of a run has reported on it. Returns the hand that it is of.
    pub(super) fn note_report(
        &mut self,
        of: Occurrence,
        attempt: u32,
        ends: bool,
    ) -> Option<ClaimId> {
        let said = if ends { Reported::End } else { Reported::Something };
        let mut found = None;
        for (claim, hand) in &mut self.hands {
            let passed = hand.passed.iter_mut().filter(|run| run.of() == of);
            for run in hand.leaving.get_mut(&of).into_iter().chain(passed) {
                if attempt == 0 || attempt == run.taking.popped.source.attempt {
                    run.reported = run.reported.max(said);
                    found = Some(*claim);
                }
            }
        }
        found
    }

    /// Notes that a run came back that may have arrived.
    pub(super) fn note_unconfirmed(&mut self, of: Occurrence, attempt: u32) {
        let reported = Reported::Nothing;
        self.unconfirmed.insert(of, Unconfirmed { attempt, reported });
    }

    /// Notes that the worker of a run that came back has reported on it.
    pub(super) fn note_late_report(&mut self, of: Occurrence, attempt: u32, ends: bool) {
        let known = self.unconfirmed.get_mut(&of);
        if let Some(known) = known.filter(|known| attempt == 0 || attempt == known.attempt) {
            let said = if ends { Reported::End } else { Reported::Something };
            known.reported = known.reported.max(said);
        }
    }

    /// What the worker of a run has reported on an attempt since it came back; `None` where that
    /// attempt cannot have arrived. Nothing is remembered of it here from now on: it is taken, or
    /// handed out again, and then it is remembered there.
    pub(super) fn take_late_report(&mut self, of: Occurrence, attempt: u32) -> Option<Reported> {
        let known = self.unconfirmed.remove(&of).filter(|known| known.attempt == attempt);
        known.map(|known| known.reported)
    }

    /// Forgets runs that came back and do not wait any more.
    pub(super) fn forget_unconfirmed(&mut self, mut waits: impl FnMut(Occurrence) -> bool) {
        self.unconfirmed.retain(|of, _| waits(*of));
    }

    /// Asks for runs back for which this holds, unless that was done: those runs.
    pub(super) fn withdraw(&mut self, mut holds: impl FnMut(&mut Leaving) -> bool) -> Vec<Handed> {
        let all = self.hands.values_mut().flat_map(|hand| hand.leaving.values_mut());
        let barred = all.filter_map(|run| {
            if !holds(run) || run.is_withdrawn {
                return None;
            }
            run.is_withdrawn = true;
            Some(run.handed())
        });
        barred.collect()
    }

    /// All runs without an answer.
    pub(super) fn leaving(&mut self) -> impl Iterator<Item = &mut Leaving> {
        self.hands.values_mut().flat_map(|hand| hand.leaving.values_mut())
    }

    /// Notes that runs for which no dispatch waits are in a row of the store: the source is that of
    /// its members.
    pub(super) fn set_row(&mut self, row: &Source, members: &Members) {
        let all = self
            .hands
            .values_mut()
            .flat_map(|hand| hand.leaving.values_mut().chain(&mut hand.passed));
        // Runs that have their source in common have it in common afterwards.
        let mut last: Option<(Arc<Source>, Arc<Source>)> = None;
        for run in all {
            let of = run.of();
            let popped = &mut run.taking.popped;
            let is_its = popped.dispatch.is_none()
                && popped.source.attempt == row.attempt
                && row.occurrence(popped.job) == of
                && members.contains(popped.job);
            if !is_its || popped.source.pending == row.pending {
                continue;
            }
            let (_, now) = match last.take() {
                Some(known) if known.0 == popped.source => last.insert(known),
                _ => {
                    let its = &popped.source;
                    let now = Source { pending: row.pending, once: row.once, ..(**its).clone() };
                    last.insert((Arc::clone(its), Arc::new(now)))
                }
            };
            popped.source = Arc::clone(now);
        }
    }

    /// Says whether anything of an epoch is at its bus, or confirmed and not on its way to the
    /// journal.
    pub(super) fn has_any_of(&self, key: OwnershipKey) -> bool {
        let mut all =
            self.hands.values().flat_map(|hand| hand.leaving.values().chain(&hand.passed));
        all.any(|run| run.key() == key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.hands.is_empty()
    }

    /// Lets the bus of a queue rest for a shard, until an instant of the boot clock at least.
    pub(super) fn rest(&mut self, bus: (QueueId, ShardId), until: u64) {
        let rest = self.rests.entry(bus).or_default();
        *rest = until.max(*rest);
    }

    /// Says whether the bus of a queue rests for a shard.
    pub(super) fn rests(&self, bus: (QueueId, ShardId), now: u64) -> bool {
        self.rests.get(&bus).is_some_and(|until| *until > now)
    }

    /// Lets the runs of a job in a queue rest, until an instant of the boot clock at least.
    pub(super) fn rest_job(&mut self, job: (QueueId, JobId), until: u64) {
        let rest = self.job_rests.entry(job).or_default();
        *rest = until.max(*rest);
    }

    /// Says whether the runs of a job in a queue rest.
    pub(super) fn job_rests(&self, job: (QueueId, JobId), now: u64) -> bool {
        self.job_rests.get(&job).is_some_and(|until| *until > now)
    }

    /// Forgets rests that are over.
    pub(super) fn forget_rests(&mut self, now: u64) {
        self.rests.retain(|_, until| *until > now);
        self.job_rests.retain(|_, until| *until > now);
    }
}
