//! What becomes of runs that were handed to their bus. What the broker has confirmed is journaled
//! as taken, in phase *pending*, and counts whatever became of the epoch meanwhile (*confirmed is
//! taken*); what comes back waits on, and that was no attempt; what can never be handed out is
//! over. What has left and is not confirmed when its start timeout has passed is taken, too: the
//! confirm may come after the leader has ended it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::at_bus::{Leaving, Reported};
use super::event::{Effect, Handed, Moment, PublishOutcome, Source};
use super::in_hand::Taking;
use super::offering::{dead, note_ended, offer};
use super::publishes::LEAST_REST;
use super::source::ClaimId;
use super::state::{Following, Supervisor};
use super::taken::{Record, TakenRun};
use crate::model::attempt::JournalEntry;
use crate::model::members::Members;
use crate::model::offer::{OfferId, Taken};
use crate::model::on_offer::RECORDING;
use crate::model::run::{Occurrence, Phase};
use crate::model::run_terms::RunTerms;
use crate::model::shard::{OwnershipKey, shard_of};
use crate::model::{JobId, Millis};

/// The time after which a run that is at its bus is journaled as one that waits, in milliseconds: a
/// broker that does not answer holds no watermark back.
const WAITS_AFTER: u64 = 1_000;
/// The time after its start timeout at which a run that is at its bus counts as confirmed, in
/// milliseconds. What had not left by then has come back; for the record of the others the rest of
/// [`RECORDING`] is left.
const LEFT_AFTER: Millis = RECORDING / 4;

impl Supervisor {
    /// Takes in what became of a run that was handed to its bus.
    pub(super) fn take_published(
        &mut self,
        at: &Moment<'_>,
        (claim, of): (ClaimId, Occurrence),
        outcome: PublishOutcome,
        out: &mut Vec<Effect>,
    ) {
        let Some(run) = self.at_bus.take(claim, of) else { return };
        let queue = run.taking.popped.source.queue;
        match outcome {
            PublishOutcome::Passed => self.at_bus.add_passed(claim, run),
            // A worker that speaks of it has it, whatever became of its confirm (*status first*).
            _ if run.reported > Reported::Nothing => self.at_bus.add_passed(claim, run),
            PublishOutcome::Back { until, of_broker, may_be_out } => {
                // This try did not leave, but one before it may have arrived.
                if may_be_out || run.may_have_arrived {
                    self.at_bus.note_unconfirmed(of, run.taking.popped.source.attempt);
                }
                self.take_back(at, run, (until, of_broker), out);
            }
            PublishOutcome::Failed { error } => self.give_up(at, run, error, out),
        }
        let passed = self.at_bus.take_passed(claim);
        self.journal_passed(at, passed, out);
        self.may_publish(queue);
    }

    /// Takes in that a worker reported on a run that is at its bus, or has come back from it: it
    /// has come through, and its report waits for its entry.
    pub(super) fn note_report_at_bus(
        &mut self,
        at: &Moment<'_>,
        (of, attempt): (Occurrence, u32),
        ends: bool,
        out: &mut Vec<Effect>,
    ) {
        self.at_bus.note_late_report(of, attempt, ends);
        // Of most runs nothing is at a bus, and a look at each hand is spared.
        if self.in_hand.get(of).is_none() {
            return;
        }
        if let Some(claim) = self.at_bus.note_report(of, attempt, ends) {
            let passed = self.at_bus.take_passed(claim);
            self.journal_passed(at, passed, out);
        }
    }

    /// What time brings to runs at their bus: confirmed ones are journaled, also where others of
    /// their hand are missing; what has waited for its confirm for long is journaled as waiting.
    pub(super) fn look_at_published(&mut self, at: &Moment<'_>, out: &mut Vec<Effect>) {
        self.look_at_late(at, out);
        let passed = self.at_bus.take_all_passed();
        self.journal_passed(at, passed, out);
        self.withdraw_barred(at, out);
        self.offer_what_is_at_bus(at, out);
        let (offers, in_hand) = (&self.offers, &self.in_hand);
        self.at_bus.forget_unconfirmed(|of| {
            in_hand.get(of).is_some() || offers.find(shard_of(of.job), of).is_some()
        });
    }

    /// Asks for runs back whose start timeout has passed at their bus, and counts those as
    /// confirmed that have not come back since.
    fn look_at_late(&mut self, at: &Moment<'_>, out: &mut Vec<Effect>) {
        let now = at.now.sched;
        let is_late = |run: &mut Leaving| run.taking.popped.is_late(now);
        withdraw(self.at_bus.withdraw(is_late), out);
        self.at_bus.pass(|run| {
            let start_by = run.taking.popped.start_by;
            run.is_withdrawn
                && start_by.is_some_and(|start_by| start_by.saturating_add(LEFT_AFTER) <= now)
        });
    }

    /// Journals runs that the broker has confirmed as taken, by entries of those that are alike.
    pub(super) fn journal_passed(
        &mut self,
        at: &Moment<'_>,
        mut passed: Vec<Leaving>,
        out: &mut Vec<Effect>,
    ) {
        passed.sort_by_key(Leaving::of);
        let mut following = Following::default();
        following.keys.extend(passed.iter().map(Leaving::key));
        let taken = |(source, terms, jobs): Alike| {
            let offer = offer(&source, Members::from_sorted(jobs), &terms);
            let (worker, started) = (String::new(), at.now.sched);
            JournalEntry::Taken(Taken { offer, phase: Phase::Pending, worker, started })
        };
        let entries = alike(passed.iter().map(|run| &run.taking)).into_iter().map(taken).collect();
        following.published = passed;
        self.append(entries, following, out);
    }

    /// Takes in that runs that the broker has confirmed are in the own journal.
    pub(super) fn take_passed(
        &mut self,
        at: &Moment<'_>,
        seq: u64,
        passed: Vec<Leaving>,
        out: &mut Vec<Effect>,
    ) {
        for run in passed {
            let (of, Leaving { taking: Taking { popped, terms }, reported, .. }) = (run.of(), run);
            let source = &popped.source;
            self.in_hand.remove(&popped);
            self.may_publish(source.queue);
            if let Some((dispatch, _)) = popped.dispatch {
                self.settle(dispatch, 1, out);
            }
            let ranges = self.shards.get(&source.shard);
            if ranges.is_none_or(|ranges| ranges.current.is_none()) {
                continue;
            }
            // What the store has said of it meanwhile is newer: its worker may have begun.
            if self.taken.get(of).is_some_and(|known| known.attempt >= source.attempt) {
                continue;
            }
            let run = TakenRun {
                attempt: source.attempt,
                worker: self.taken.worker(""),
                terms,
                phase: Phase::Pending,
                heard: self.missed.now(at),
                has_spoken: true,
                record: Record::Missing,
                said_end: reported == Reported::End,
            };
            self.taken.put(of, run, at.now.boot);
            self.taken.note_journaled(seq, of);
        }
    }

    /// Lets a run wait on that was not handed out, and rest: its queue, where the whole broker is
    /// concerned, and otherwise its job, so that others of the queue do not wait behind it. What
    /// the store knows better by now does not wait.
    fn take_back(
        &mut self,
        at: &Moment<'_>,
        run: Leaving,
        (until, of_broker): (u64, bool),
        out: &mut Vec<Effect>,
    ) {
        let (of, key, popped) = (run.of(), run.key(), run.taking.popped);
        let (source, shard) = (Arc::clone(&popped.source), popped.source.shard);
        let until = until.max(at.now.boot.saturating_add(LEAST_REST));
        // What was withdrawn says nothing of its broker, and neither does what is late.
        if of_broker && !run.is_withdrawn && !popped.is_late(at.now.sched) {
            self.at_bus.rest((source.queue, shard), until);
        } else {
            self.at_bus.rest_job((source.queue, popped.job), until);
        }
        self.in_hand.remove(&popped);
        if run.is_gone || self.is_overtaken(&source, of) {
            if let Some((dispatch, _)) = popped.dispatch {
                self.settle(dispatch, 1, out);
            }
            return;
        }
        // Under another epoch its row was passed over while it was at the bus.
        let was_passed_over = !self.is_current(key.0, key.1) && popped.dispatch.is_none();
        self.give_back(popped, out);
        if was_passed_over {
            self.reload(&[shard], out);
        }
        let group = self.offers.find(shard, of).map(|(id, _)| id);
        self.end_gone(group.as_slice(), out);
    }

    /// Says whether an occurrence waits, or is had by somebody, under an attempt as high as that of
    /// a source.
    fn is_overtaken(&self, source: &Source, of: Occurrence) -> bool {
        let is_had = self.untaken(source, std::iter::once(of.job)).is_empty();
        let waiting = self.offers.find(source.shard, of);
        is_had || waiting.is_some_and(|(_, group)| group.source.attempt >= source.attempt)
    }

    /// Says whether an epoch of a shard is this node's, also while it is closing.
    fn is_live(&self, (shard, epoch): OwnershipKey) -> bool {
        let closing = self.shards.get(&shard).and_then(|ranges| ranges.closing);
        closing == Some(epoch) || self.is_current(shard, epoch)
    }

    /// Ends a run that can never be handed out.
    fn give_up(&mut self, at: &Moment<'_>, run: Leaving, error: String, out: &mut Vec<Effect>) {
        let (source, of) = (Arc::clone(&run.taking.popped.source), run.of());
        let is_had = self.taken.get(of).is_some_and(|known| known.attempt >= source.attempt);
        // Under a past epoch the entry would count for nothing.
        if !self.is_live(run.key()) || run.is_gone || is_had {
            return self.take_back(at, run, (0, false), out);
        }
        let popped = run.taking.popped;
        let mut following = Following::default();
        note_ended(&popped, &mut following);
        let entry = dead(&source, &[popped.job], error, at.now.sched);
        following.over.push(popped);
        self.append(vec![entry], following, out);
    }

    /// Asks for runs back that this owner is not to hand out any more: of an epoch that it has
    /// promised away, or that is another's.
    pub(super) fn withdraw_barred(&mut self, at: &Moment<'_>, out: &mut Vec<Effect>) {
        if self.at_bus.is_empty() {
            return;
        }
        let mut at_bus = std::mem::take(&mut self.at_bus);
        let runs = at_bus.withdraw(|run| {
            let (shard, epoch) = run.key();
            !self.is_current(shard, epoch) || at.lease.is_promised(shard, epoch)
        });
        self.at_bus = at_bus;
        withdraw(runs, out);
    }

    /// Asks for runs back whose jobs do not exist any more.
    pub(super) fn withdraw_gone_jobs(&mut self, out: &mut Vec<Effect>) {
        let gone = &self.gone;
        let runs = self.at_bus.withdraw(|run| gone.contains_key(&run.taking.popped.job));
        withdraw(runs, out);
    }

    /// Asks for runs back that are in the row with this number no more.
    pub(super) fn withdraw_gone_row(
        &mut self,
        row: OfferId,
        members: Option<&Members>,
        out: &mut Vec<Effect>,
    ) {
        let runs = self.at_bus.withdraw(|run| {
            let popped = &run.taking.popped;
            let is_its = popped.source.pending == Some(row) && popped.dispatch.is_none();
            let waits = members.is_some_and(|members| members.contains(popped.job));
            run.is_gone |= is_its && !waits;
            run.is_gone
        });
        withdraw(runs, out);
    }

    /// Asks for the run of an occurrence back that a client has cancelled.
    pub(super) fn withdraw_cancelled(&mut self, of: Occurrence, out: &mut Vec<Effect>) {
        let runs = self.at_bus.withdraw(|run| {
            let is_its = run.of() == of;
            run.is_gone |= is_its;
            is_its
        });
        withdraw(runs, out);
    }

    /// Journals as offered what is at its bus for too long: the dispatch does not wait for the
    /// broker. It is handed out all the same.
    fn offer_what_is_at_bus(&mut self, at: &Moment<'_>, out: &mut Vec<Effect>) {
        if !at.has_room {
            return;
        }
        let (mut offered, mut following) = (Vec::new(), Following::default());
        let mut at_bus = std::mem::take(&mut self.at_bus);
        for run in at_bus.leaving() {
            let is_late = run.since.saturating_add(WAITS_AFTER) <= at.now.boot;
            let dispatch = run.taking.popped.dispatch.as_ref().map(|(dispatch, _)| *dispatch);
            let Some(dispatch) = dispatch.filter(|_| is_late && self.is_live(run.key())) else {
                continue;
            };
            following.settles.push((dispatch, 1));
            offered.push(run.taking.clone());
            following.at_bus.push(run.of());
            following.keys.insert(run.key());
            run.taking.popped.set_offering();
        }
        self.at_bus = at_bus;
        let entry = |(source, terms, jobs): Alike| {
            JournalEntry::Offered(offer(&source, Members::from_sorted(jobs), &terms))
        };
        offered.sort_by_key(|taking| taking.popped.job);
        let entries = alike(offered.iter()).into_iter().map(entry).collect();
        self.append(entries, following, out);
    }
}

fn withdraw(runs: Vec<Handed>, out: &mut Vec<Effect>) {
    if !runs.is_empty() {
        out.push(Effect::Withdraw { runs });
    }
}

/// Jobs that have source and terms in common, ascending.
type Alike = (Arc<Source>, Arc<RunTerms>, Vec<JobId>);

/// Sorts runs by what they have in common. They come in the order of their jobs.
fn alike<'a>(all: impl Iterator<Item = &'a Taking>) -> Vec<Alike> {
    let mut found: Vec<Alike> = Vec::new();
    // Where each source and name is: with a name for each job there are as many as runs.
    let mut places: BTreeMap<(&Source, &str), Vec<usize>> = BTreeMap::new();
    for Taking { popped, terms } in all {
        let its = places.entry((&popped.source, &terms.name)).or_default();
        let is_alike = |place: &usize| {
            found.get(*place).is_some_and(|known| Arc::ptr_eq(&known.1, terms) || known.1 == *terms)
        };
        let place = its.iter().copied().find(is_alike);
        if let Some((_, _, jobs)) = place.and_then(|place| found.get_mut(place)) {
            jobs.push(popped.job);
        } else {
            its.push(found.len());
            found.push((Arc::clone(&popped.source), Arc::clone(terms), vec![popped.job]));
        }
    }
    found
}
