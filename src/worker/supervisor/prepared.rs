//! What members of a hand were looked up as, and what follows: some are taken or handed to their
//! bus, some are over, some wait on. Nothing of it is handed out before the lease was asked again.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::event::{ClaimId, Effect, Moment, Prepared, QueueId, Source};
use super::heartbeats::is_adoption;
use super::in_hand::Taking;
use super::offering::{note_ended, offer, put_off, skipped};
use super::offers::{Group, Popped, Stage};
use super::publishes::is_publish;
use super::state::{Following, Hand, Supervisor};
use super::waiting::Waiting;
use crate::model::JobId;
use crate::model::attempt::{JournalEntry, SkipReason};
use crate::model::members::Members;
use crate::model::offer::Taken;
use crate::model::run::{Occurrence, Phase};
use crate::model::run_terms::{BusKind, RunTerms};
use crate::model::shard::ShardId;

/// What becomes of the members of a hand.
#[derive(Default)]
struct Sorted {
    entries: Vec<JournalEntry>,
    following: Following,
    /// Members that may be handed out.
    ready: Vec<Taking>,
    /// The queues and shards of those that wait on.
    back: BTreeSet<(QueueId, ShardId)>,
}

impl Supervisor {
    /// Takes in what members were looked up as.
    pub(super) fn take_prepared(
        &mut self,
        at: &Moment<'_>,
        id: ClaimId,
        parts: Vec<Prepared>,
        out: &mut Vec<Effect>,
    ) {
        let Some(mut hand) = self.hands.remove(&id) else { return };
        let mut sorted = Sorted::default();
        for part in parts {
            self.sort_ready(at, id, (&mut hand, &part), &mut sorted, out);
            self.sort_over(at, (&mut hand, &part), &mut sorted);
            let source = &part.source;
            let later = part.later.into_iter().map(|job| source.occurrence(job));
            for popped in self.taken_out(&mut hand, later) {
                sorted.back.insert((source.queue, source.shard));
                self.give_back(popped, out);
            }
        }
        // What is left is the store's to say.
        let rest: Vec<_> = hand.members.keys().copied().collect();
        for popped in self.taken_out(&mut hand, rest.into_iter()) {
            if let Some((dispatch, _)) = popped.dispatch {
                self.settle(dispatch, 1, out);
            }
        }
        let Sorted { entries, mut following, ready, back } = sorted;
        for taking in &ready {
            self.in_hand.put(&taking.popped, true);
        }
        if is_publish(id) {
            self.append(entries, following, out);
            return self.publish(at, (id, &hand), ready, back, out);
        }
        if ready.is_empty() {
            self.append(entries, following, out);
            match hand.is_claim {
                true if !back.is_empty() => {
                    self.answer(at, id, hand.worker, hand.key, Vec::new(), out);
                }
                // Others may wait behind those that are over.
                true => self.fill(at, id, hand, out),
                false => {}
            }
            return;
        }
        following.claim = Some((id, ready));
        self.hands.insert(id, hand);
        self.append(entries, following, out);
    }

    /// Sorts the members of a part that may be handed out, as far as the lease lets them.
    fn sort_ready(
        &mut self,
        at: &Moment<'_>,
        id: ClaimId,
        (hand, part): (&mut Hand, &Prepared),
        sorted: &mut Sorted,
        out: &mut Vec<Effect>,
    ) {
        let source = &part.source;
        for (jobs, terms) in &part.ready {
            let members = self.taken_out(hand, jobs.iter().map(|job| source.occurrence(*job)));
            // Its worker has what is adopted. What is late is not popped again.
            let is_late = |popped: &Popped| !is_adoption(id) && popped.is_late(at.now.sched);
            let (late, members): (Vec<_>, Vec<_>) = members.into_iter().partition(is_late);
            for popped in late {
                self.give_back(popped, out);
            }
            // Since an edit, the queue may have another bus than the one that has come.
            let has_bus = !is_publish(id) || terms.bus == BusKind::Rabbitmq;
            if !has_bus {
                self.buses.remove(&(source.queue, source.shard));
            }
            let is_open = self.is_open(at, (source.shard, is_own(&members)))
                && self.is_current(source.shard, source.epoch);
            if !is_open || !has_bus {
                sorted.back.insert((source.queue, source.shard));
                for popped in members {
                    self.give_back(popped, out);
                }
                continue;
            }
            if !is_publish(id) {
                sorted.following.keys.insert((source.shard, source.epoch));
                let taken = take(at, source, &members, &hand.worker, terms);
                sorted.entries.extend(taken.map(JournalEntry::Taken));
            }
            let terms = self.taken.shared(terms);
            let ready = members.into_iter();
            sorted.ready.extend(ready.map(|popped| Taking { popped, terms: Arc::clone(&terms) }));
        }
    }

    /// Sorts the members of a part that are over for this queue: their entries.
    fn sort_over(
        &mut self,
        at: &Moment<'_>,
        (hand, part): (&mut Hand, &Prepared),
        sorted: &mut Sorted,
    ) {
        let source = &part.source;
        let Sorted { entries, following, .. } = sorted;
        let mut over = |supervisor: &mut Self, jobs: &[JobId]| {
            let ended = jobs.iter().map(|job| source.occurrence(*job));
            let ended = supervisor.taken_out(hand, ended);
            for popped in &ended {
                note_ended(popped, following);
            }
            ended.iter().map(|popped| popped.job).collect::<Vec<_>>()
        };
        let gone = std::iter::once((&part.gone, SkipReason::Ended));
        let skips = part.skipped.iter().map(|(jobs, reason)| (jobs, *reason));
        for (jobs, reason) in gone.chain(skips) {
            let jobs = over(self, jobs);
            if !jobs.is_empty() {
                entries.push(skipped(source, &jobs, reason, at.now.sched));
            }
        }
        let rerouted = over(self, &part.rerouted);
        if !rerouted.is_empty() {
            entries.push(put_off(source, &rerouted, at.now.sched));
        }
        for (jobs, terms) in &part.moved {
            let jobs = jobs.iter().map(|job| source.occurrence(*job));
            let moved = self.taken_out(hand, jobs);
            entries.extend(self.change_queue(&moved, terms, following));
        }
    }

    /// Takes members out of a hand.
    fn taken_out(&mut self, hand: &mut Hand, all: impl Iterator<Item = Occurrence>) -> Vec<Popped> {
        let found = all.filter_map(|of| {
            let popped = hand.members.remove(&of)?;
            self.in_hand.remove(&popped);
            Some(popped)
        });
        found.collect()
    }

    /// Lets members wait for another queue: the entry that says so.
    fn change_queue(
        &mut self,
        moved: &[Popped],
        terms: &Arc<RunTerms>,
        following: &mut Following,
    ) -> Option<JournalEntry> {
        let first = moved.first()?;
        let source = Source { queue: terms.executor, ..(*first.source).clone() };
        let jobs: Vec<_> = moved.iter().map(|popped| popped.job).collect();
        for popped in moved {
            note_ended(popped, following);
        }
        let members = Members::from_sorted(jobs.iter().copied());
        let entry = JournalEntry::Offered(offer(&source, members, terms));
        let (own, asks, since) = (first.own, first.asks, first.since);
        let start_by = terms.start_timeout.map(|long| since.saturating_add(long));
        let waiting = Waiting::from_sorted(jobs);
        let group = Group::new(Arc::new(source), waiting, Stage::Offering { dispatch: None });
        let group = group.of(own, asks).waiting_since(since).starting_by(start_by);
        following.offered.extend(self.offers.add(group));
        Some(entry)
    }
}

fn is_own(members: &[Popped]) -> bool {
    members.iter().all(|popped| popped.own)
}

/// The entry that says that a worker has members.
fn take(
    at: &Moment<'_>,
    source: &Source,
    members: &[Popped],
    worker: &Arc<str>,
    terms: &RunTerms,
) -> Option<Taken> {
    if members.is_empty() {
        return None;
    }
    let jobs = Members::from_sorted(members.iter().map(|popped| popped.job));
    let offer = offer(source, jobs, terms);
    Some(Taken { offer, phase: Phase::Running, worker: worker.to_string(), started: at.now.sched })
}
