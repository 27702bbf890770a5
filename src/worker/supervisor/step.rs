//! One step of the supervisor: the way of an event to its rules. The task around the supervisor
//! calls [`Supervisor::step`] for one event after the other, and carries out the effects in order.

use super::event::{Effect, Event, Moment};
use super::state::Supervisor;

impl Supervisor {
    /// Takes an event in, and says what is to be done.
    pub(crate) fn step(&mut self, at: &Moment<'_>, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        self.missed.look(at, matches!(event, Event::Tick));
        self.offers.close_late(at.now.sched);
        match event {
            Event::Shards(shards) => self.take_shards(at, &shards, &mut out),
            Event::Loaded(loaded) => self.take_loaded(at, *loaded, &mut out),
            Event::Reload(shards) => self.reload(&shards, &mut out),
            Event::Dispatch(dispatch) => self.take_dispatch(at, *dispatch, &mut out),
            Event::OfferRead { id, offer } => {
                self.take_offer(id, offer.map(|offer| *offer), &mut out);
            }
            Event::RunRead { of, found } => self.take_found(at, of, &found, &mut out),
            Event::JobsGone(jobs) => self.end_offers_of(at, &jobs, &mut out),
            Event::QueueLimit { queue, most } => self.limit_queue(queue, most),
            Event::Claim(claim) => self.claim(at, claim, &mut out),
            Event::Prepared { claim, parts } => self.take_prepared(at, claim, parts, &mut out),
            Event::Appended { id, seq } => self.take_appended(at, id, seq, &mut out),
            Event::Recorded { seq } => self.taken.note_recorded(seq),
            Event::Want { gateway, queue, until } => {
                self.want(at, (gateway, queue, until), &mut out);
            }
            Event::Heartbeat(heartbeat) => self.take_heartbeat(at, heartbeat, &mut out),
            Event::Reported { of, attempt, worker, ends } => {
                self.note_report(at, of, (attempt, &worker), ends, &mut out);
            }
            Event::Bus { shard, queue, up } => self.take_bus(at, (queue, shard), up, &mut out),
            Event::Published { claim, of, outcome } => {
                self.take_published(at, (claim, of), outcome, &mut out);
            }
            Event::Tick => self.tick(at, &mut out),
        }
        self.note_freed();
        self.publish_waiting(at, &mut out);
        self.hint_waiting(at, &mut out);
        out
    }

    /// What time brings: offers to be journaled, runs to be read, silence, cancels to be told
    /// again, hints.
    fn tick(&mut self, at: &Moment<'_>, out: &mut Vec<Effect>) {
        self.offer_what_waits(at, out);
        self.look_at_published(at, out);
        self.look_at_buses(at);
        let unread = self.taken.take_unread();
        if !unread.is_empty() {
            out.push(Effect::ReadRuns(unread));
        }
        self.judge_silence(at, out);
        self.repeat_cancels(at, out);
        self.write_progress(at, out);
        self.forget_repeats(at);
        self.forget_gone(at);
        self.hint_changes(at, out);
        self.taken.drop_idle();
    }
}
