//! Shards that come and go, and what the store says of their offers and runs. A notification only
//! says where to look: each read replaces what was known, but for what is in the own journal and
//! not recorded yet.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::event::{Effect, Found, Loaded, Moment, Source};
use super::offers::{Group, Stage};
use super::state::{Range, Supervisor};
use super::taken::{Record, TakenRun};
use super::waiting::Waiting;
use crate::model::JobId;
use crate::model::attempt::{JournalEntry, ResultOrigin};
use crate::model::offer::{Offer, Taken};
use crate::model::run::{Occurrence, Phase, Run};
use crate::model::run_report::RunState;
use crate::model::shard::{Shard, ShardId, shard_of};

impl Supervisor {
    /// Takes in which epochs of some shards are this node's.
    pub(super) fn take_shards(&mut self, at: &Moment<'_>, shards: &[Shard], out: &mut Vec<Effect>) {
        for shard in shards {
            let closing = shard.closing.as_ref().filter(|closing| closing.node == self.node);
            let closing = closing.map(|closing| closing.epoch);
            let owns = shard.owner == self.node && shard.epoch > 0;
            let epoch = owns.then_some(shard.epoch);
            let is_closing = shard.closing.is_some();
            let ranges = self.shards.entry(shard.id).or_default();
            ranges.closing = closing;
            let before = ranges.current.as_ref().map(|range| range.epoch);
            let is_same = before == epoch;
            match (&mut ranges.current, epoch) {
                (Some(range), _) if is_same => {
                    // What the closing owner handed out is in the store now.
                    if range.is_closing && !is_closing {
                        range.loads += 1;
                        out.push(Effect::Load { shard: shard.id, epoch: range.epoch });
                    }
                    range.is_closing = is_closing;
                }
                (current, Some(epoch)) => {
                    *current = Some(Range { epoch, is_closing, loads: 1, loaded: None });
                    out.push(Effect::Load { shard: shard.id, epoch });
                }
                (current, None) => *current = None,
            }
            if before.is_some() && epoch.is_none() {
                self.forget_lost_buses(shard.id);
            }
            if !is_same {
                self.drop_runs(shard.id);
            }
            self.drop_offers(shard.id, out);
        }
        self.offer_what_waits(at, out);
        self.withdraw_barred(at, out);
    }

    fn drop_runs(&mut self, shard: ShardId) {
        for of in self.taken.of_shard(shard) {
            self.forget_run(of);
        }
    }

    /// Forgets what is known of a run beside the store.
    pub(super) fn forget_run(&mut self, of: Occurrence) -> Option<TakenRun> {
        self.cancels.remove(&of);
        self.progress.remove(&of);
        self.taken.remove(of)
    }

    /// Drops the offers of epochs that are not this node's any more; what is not journaled yet
    /// goes back to the engine, unless this node closes that epoch.
    fn drop_offers(&mut self, shard: ShardId, out: &mut Vec<Effect>) {
        let (current, closing) = self.shards.get(&shard).map_or((None, None), |ranges| {
            (ranges.current.as_ref().map(|range| range.epoch), ranges.closing)
        });
        let stale = self.offers.of_shard(shard, |group| {
            let epoch = Some(group.source.epoch);
            let waits = !matches!(group.stage, Stage::Offered);
            epoch != current && !(waits && epoch == closing)
        });
        for id in stale {
            if self
                .offers
                .get(id)
                .is_some_and(|group| matches!(group.stage, Stage::Offering { .. }))
            {
                continue; // its append settles it
            }
            let Some(group) = self.offers.remove_group(id) else { continue };
            self.changed_queues.insert(group.source.queue);
            if let Some(dispatch) = group.dispatch() {
                let members = group.waiting.members();
                out.push(Effect::Returned { dispatch, members });
                self.settle(dispatch, group.waiting.len(), out);
            }
        }
    }

    /// Asks for shards to be read again.
    pub(super) fn reload(&mut self, shards: &[ShardId], out: &mut Vec<Effect>) {
        for id in shards {
            let current = self.shards.get_mut(id).and_then(|ranges| ranges.current.as_mut());
            if let Some(range) = current {
                range.loads += 1;
                out.push(Effect::Load { shard: *id, epoch: range.epoch });
            }
        }
    }

    /// Takes in all that the store and the own journal have of a shard.
    pub(super) fn take_loaded(&mut self, at: &Moment<'_>, loaded: Loaded, out: &mut Vec<Effect>) {
        let Loaded { shard, epoch, offers, runs, journal, read_upto, recorded, gone } = loaded;
        let now = self.missed.now(at);
        let current = self.shards.get_mut(&shard).and_then(|ranges| ranges.current.as_mut());
        let Some(range) = current.filter(|range| range.epoch == epoch) else { return };
        range.loads = range.loads.saturating_sub(1);
        range.loaded.get_or_insert(now);
        let known = self.offers.of_shard(shard, |group| {
            // What was journaled behind what was read is in neither of the two.
            let is_read = group.journaled <= read_upto;
            group.source.epoch == epoch && matches!(group.stage, Stage::Offered) && is_read
        });
        for id in known {
            if let Some(group) = self.offers.remove_group(id) {
                self.changed_queues.insert(group.source.queue);
            }
        }
        let found: BTreeSet<_> = runs.iter().map(|run| run.occurrence).collect();
        for of in self.taken.of_shard(shard) {
            let is_known = |run: &TakenRun| run.record != Record::Missing && !found.contains(&of);
            if self.taken.get(of).is_some_and(is_known) {
                self.forget_run(of);
            }
        }
        for run in &runs {
            self.take_run(at, run, out);
        }
        let unrecorded = journal.into_iter().filter(|(seq, _)| *seq > recorded);
        let mut waiting = Vec::new();
        for (seq, entry) in unrecorded {
            match entry {
                JournalEntry::Taken(taken) if taken.offer.shard == shard => {
                    self.take_journaled(at, seq, &taken, out);
                }
                JournalEntry::Offered(offer) if (offer.shard, offer.epoch) == (shard, epoch) => {
                    waiting.push(offer);
                }
                _ => {}
            }
        }
        for offer in offers {
            self.put_row(offer, out);
        }
        for offer in waiting {
            self.put_journaled_offer(&offer);
        }
        self.end_offers_of(at, &gone, out);
    }

    /// Takes in a *Taken* of the own journal that the store has not recorded.
    fn take_journaled(&mut self, at: &Moment<'_>, seq: u64, taken: &Taken, out: &mut Vec<Effect>) {
        let Taken { offer, phase, worker, .. } = taken;
        for job in offer.members.iter() {
            let of = Occurrence { job, scheduled: offer.scheduled, run: offer.run };
            if self.taken.get(of).is_some_and(|run| run.attempt >= offer.attempt) {
                continue;
            }
            let run = TakenRun {
                attempt: offer.attempt,
                worker: self.taken.worker(worker),
                terms: self.taken.shared(&offer.terms),
                phase: *phase,
                heard: self.missed.now(at),
                has_spoken: true,
                record: Record::Missing,
                said_end: false,
            };
            self.taken.put(of, run, at.now.boot);
            self.taken.note_journaled(seq, of);
            // It may have been given out again before the journal was read.
            let waiting = self.offers.find(offer.shard, of);
            if waiting.is_some_and(|(_, group)| group.source.attempt <= offer.attempt)
                && let Some(popped) = self.offers.remove(offer.shard, of)
                && let Some((dispatch, _)) = popped.dispatch
            {
                self.settle(dispatch, 1, out);
            }
        }
    }

    /// Takes in an *Offered* of the own journal that the store has not recorded.
    fn put_journaled_offer(&mut self, offer: &Offer) {
        let source = Source {
            project: offer.project,
            shard: offer.shard,
            epoch: offer.epoch,
            due: offer.due,
            scheduled: offer.scheduled,
            run: offer.run,
            attempt: offer.attempt,
            pending: offer.pending,
            queue: offer.terms.executor,
            once: false,
        };
        let jobs = self.untaken(&source, offer.members.iter());
        let jobs: Vec<_> = jobs
            .into_iter()
            .filter(|job| self.offers.find(source.shard, source.occurrence(*job)).is_none())
            .collect();
        self.grew(source.queue);
        let waiting = Waiting::from_sorted(jobs);
        // Its row will say since when it has waited; that is later.
        let start_by = offer.terms.start_timeout.map(|long| source.due.saturating_add(long));
        let group = Group::new(Arc::new(source), waiting, Stage::Offered);
        self.offers.add(group.starting_by(start_by));
    }

    /// The jobs whose occurrence nobody has under this attempt, nor is about to get.
    pub(super) fn untaken(&self, source: &Source, jobs: impl Iterator<Item = JobId>) -> Vec<JobId> {
        jobs.filter(|job| {
            let of = source.occurrence(*job);
            let attempt = self.taken.get(of).map(|run| run.attempt);
            let in_hand = self.in_hand.get(of).is_some_and(|holding| holding.stands_for(source));
            !in_hand && attempt.is_none_or(|other| other < source.attempt)
        })
        .collect()
    }

    /// Takes in what the store has of the run of an occurrence.
    pub(super) fn take_found(
        &mut self,
        at: &Moment<'_>,
        of: Occurrence,
        found: &Found,
        out: &mut Vec<Effect>,
    ) {
        if let Found::Run(run) = found
            && run.worker.is_some()
        {
            let shard = shard_of(of.job);
            let ranges = self.shards.get(&shard).and_then(|ranges| ranges.current.as_ref());
            if ranges.is_some_and(|range| range.loaded.is_some()) {
                self.take_run(at, run, out);
            }
            return;
        }
        if matches!(found, Found::End { state: RunState::Cancelled, .. }) {
            self.drop_cancelled(of, out);
        }
        // What was just journaled is not in the store yet.
        if !self.taken.get(of).is_some_and(|run| run.record != Record::Missing) {
            return;
        }
        let Some(run) = self.forget_run(of) else { return };
        let by_other =
            matches!(found, Found::End { origin, .. } if *origin != ResultOrigin::Reported);
        if by_other && !run.said_end {
            out.push(Effect::TellCancel {
                of,
                attempt: run.attempt,
                worker: run.worker,
                terms: run.terms,
            });
        }
    }

    /// Drops an occurrence that a client has cancelled from the members in hand. A run that has
    /// begun and is in no row yet has no other notice of that; what waits is looked up later.
    fn drop_cancelled(&mut self, of: Occurrence, out: &mut Vec<Effect>) {
        if self.in_hand.get(of).is_none() {
            return;
        }
        let hands = self.hands.values_mut();
        let looked_up: Vec<_> = hands.filter_map(|hand| hand.members.remove(&of)).collect();
        for popped in looked_up {
            self.in_hand.remove(&popped);
            self.may_publish(popped.source.queue);
            if let Some((dispatch, _)) = popped.dispatch {
                self.settle(dispatch, 1, out);
            }
        }
        self.withdraw_cancelled(of, out);
    }

    /// Takes in a run that the store says somebody has.
    fn take_run(&mut self, at: &Moment<'_>, run: &Run, out: &mut Vec<Effect>) {
        let (of, Some(kept)) = (run.occurrence, run.worker.as_deref()) else { return };
        let known = self.taken.get(of);
        if known.is_some_and(|known| known.record == Record::Missing && known.attempt > run.attempt)
        {
            return; // the store will hear of that
        }
        let same = known
            .filter(|known| known.attempt == run.attempt && *known.worker == *kept.worker.as_str());
        let now = self.missed.now(at);
        let (heard, has_spoken, said_end) = same
            .map_or((now, true, false), |known| (known.heard, known.has_spoken, known.said_end));
        let had_begun = same.is_some_and(|known| known.phase >= Phase::Running);
        // Somebody said so: a sign of life.
        let begins = same.is_some() && !had_begun && kept.phase >= Phase::Running;
        let heard = if begins { now } else { heard };
        let has_terms = same.is_some_and(|known| *known.terms == kept.terms);
        let taken = TakenRun {
            attempt: run.attempt,
            worker: self.taken.worker(&kept.worker),
            terms: self.taken.shared(&kept.terms),
            phase: kept.phase,
            heard,
            has_spoken,
            record: Record::Read,
            said_end,
        };
        if has_terms {
            if let Some(known) = self.taken.get_mut(of) {
                *known = taken;
            }
            if begins {
                // Its silence is judged from now on.
                self.taken.look_at(of, at.now.boot);
            }
        } else {
            self.taken.put(of, taken, at.now.boot);
        }
        // The run is the store's now: a dispatch of this node does not wait for it any more.
        if let Some((dispatch, _)) = self.offers.remove(run.shard, of).and_then(|it| it.dispatch) {
            self.settle(dispatch, 1, out);
        }
        self.note_cancelling(at, of, out);
    }
}
