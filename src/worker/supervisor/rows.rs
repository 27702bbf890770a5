//! The rows of offers, as the store has them: each read puts a row in the place of what was known
//! of its members. `load` calls it for all rows of a shard, `step` for those that the change feed
//! names.
//!
//! A row is named with each claim of its members, and most rows have hundreds of them. So a row of
//! which nothing but members went is not put anew: only what is missing leaves its group.

use std::sync::Arc;

use super::event::{Effect, OfferRow, Source};
use super::offers::{Group, Stage};
use super::state::Supervisor;
use super::waiting::Waiting;
use crate::model::JobId;
use crate::model::members::Members;
use crate::model::offer::OfferId;
use crate::model::on_offer::OnOffer;

impl Supervisor {
    /// Takes in the row of an offer that the change feed named.
    pub(super) fn take_offer(
        &mut self,
        id: OfferId,
        offer: Option<OfferRow>,
        out: &mut Vec<Effect>,
    ) {
        let members = offer.as_ref().map(|offer| offer.row.members.clone());
        for hand in self.hands.values_mut().filter(|hand| hand.rows.contains(&id)) {
            hand.members.retain(|of, popped| {
                let is_its = popped.source.pending == Some(id) && popped.dispatch.is_none();
                let waits = || members.as_ref().is_some_and(|members| members.contains(of.job));
                let stays = !is_its || waits();
                if !stays {
                    self.in_hand.remove(popped);
                }
                stays
            });
        }
        self.withdraw_gone_row(id, members.as_ref(), out);
        match offer {
            Some(offer) => self.put_row(offer, out),
            None => drop(self.offers.remove_row(id)),
        }
    }

    /// Puts a row of the store in the place of all that was known of its members.
    pub(super) fn put_row(&mut self, offer: OfferRow, out: &mut Vec<Effect>) {
        let OfferRow { row, asks, once } = offer;
        let ranges = self.shards.get(&row.shard);
        let Some(range) = ranges.and_then(|ranges| ranges.current.as_ref()) else { return };
        let Some(on_offer) = row.on_offer else { return };
        let source = Source {
            project: row.project,
            shard: row.shard,
            epoch: range.epoch,
            due: row.due,
            scheduled: row.scheduled,
            run: row.run,
            attempt: row.attempt,
            pending: Some(row.id),
            queue: on_offer.executor,
            once,
        };
        if self.keep_row(&source, &row.members, (on_offer, asks)) {
            return;
        }
        let mut own = self.offers.remove_row(row.id).unwrap_or(false);
        let jobs = self.untaken(&source, row.members.iter());
        for job in &jobs {
            let of = source.occurrence(*job);
            while let Some(other) = self.offers.remove(source.shard, of) {
                own |= other.own;
                if let Some((dispatch, _)) = other.dispatch {
                    self.settle(dispatch, 1, out);
                }
            }
        }
        self.set_row_at_bus(&source, &row.members, row.members.iter());
        self.grew(source.queue);
        let group = Group::new(Arc::new(source), Waiting::from_sorted(jobs), Stage::Offered);
        let group = group.of(own, asks && !own).waiting_since(on_offer.since);
        self.offers.add(group.starting_by(on_offer.start_by()));
    }

    /// Leaves a row in its group, where nothing has changed since it was put but that members went:
    /// those that wait there leave it. False where the row is to be put anew.
    fn keep_row(
        &mut self,
        source: &Source,
        members: &Members,
        (on_offer, asks): (OnOffer, bool),
    ) -> bool {
        let known = source.pending.and_then(|row| self.offers.of_row(row));
        let known = known.filter(|(_, group)| {
            let facts = (group.since, group.start_by, group.asks);
            *group.source == *source
                && facts == (on_offer.since, on_offer.start_by(), asks && !group.own)
        });
        let Some((id, group)) = known else { return false };
        let (left, others) = group.waiting.compared(members);
        if !self.untaken(source, others.iter().copied()).is_empty() {
            return false;
        }
        self.set_row_at_bus(source, members, others.into_iter());
        for job in &left {
            self.offers.take(id, *job);
        }
        if !left.is_empty() {
            self.changed_queues.insert(source.queue);
        }
        true
    }

    /// Tells runs at their bus that they are in a row, if any of these jobs is there.
    fn set_row_at_bus(
        &mut self,
        source: &Source,
        members: &Members,
        mut jobs: impl Iterator<Item = JobId>,
    ) {
        let is_at_bus = |job| {
            let holding = self.in_hand.get(source.occurrence(job));
            holding.is_some_and(|it| it.is_written && it.attempt == source.attempt)
        };
        if jobs.any(is_at_bus) {
            self.at_bus.set_row(source, members);
        }
    }
}
