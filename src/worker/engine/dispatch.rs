//! Giving out what is due: takes occurrences from the due queue and rows from the pending rows, as
//! far as the lease lets their ranges fire, and starts a sender for each.
//!
//! The engine's loop calls [`Engine::fire`] whenever there may be something to do. Nothing
//! here waits or reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::state::Engine;
use crate::model::attempt::{AttemptRecord, Occurrences, SkipReason};
use crate::model::job::Pending;
use crate::model::members::Members;
use crate::model::shard::OwnershipKey;
use crate::model::{JobId, Millis};
use crate::worker::ports::{Dispatcher, Lease, StateStore};
use crate::worker::queue::{Fire, Instants, Moment, Plan, Popped, Skip};
use crate::worker::send::{Head, Work};

/// The most works that are read and built at one time.
pub(super) const BUILDERS: usize = 4;

/// Time by which requests are built before they are due, in milliseconds, when the queue has room
/// for it.
const AHEAD_MS: i64 = 100;

/// The least `max_queue` that has room for building ahead.
const AHEAD_QUEUE: usize = 64;

impl<B: StateStore, H: Dispatcher, L: Lease> Engine<B, H, L> {
    /// The latest due instant that each range may fire at this moment.
    pub(super) fn limits(&self) -> BTreeMap<OwnershipKey, Millis> {
        let ownerships = self.view.ownerships();
        let limit = |key: OwnershipKey, ownership| {
            if self.tracker.is_closed(key) {
                return Millis::MIN;
            }
            self.lease.fires_until(key.0, ownership)
        };
        ownerships.iter().map(|(key, ownership)| (*key, limit(*key, ownership))).collect()
    }

    pub(super) fn ahead(&self) -> Millis {
        if self.max_queue >= AHEAD_QUEUE { AHEAD_MS } else { 0 }
    }

    /// Starts what is due, as far as there is room. Rows and planned occurrences take turns.
    pub(super) fn fire(&mut self, limits: &BTreeMap<OwnershipKey, Millis>) {
        let now = self.time.now();
        let limit = |key: OwnershipKey| limits.get(&key).copied().unwrap_or(Millis::MIN);
        self.queue.release(self.caught_up_to);
        while self.has_room && self.building < BUILDERS.min(self.max_queue) {
            self.rows_first = !self.rows_first;
            let row = |engine: &mut Self| {
                let view = Arc::clone(&engine.view);
                let ours =
                    |shard, at| view.owner_of_row(shard, at).is_some_and(|key| at <= limit(key));
                let row = engine.rows.pop(now, ours)?;
                let key = view.owner_of_row(row.shard, row.next_at)?;
                engine.begin_row(key, &row);
                Some(())
            };
            let plan = |engine: &mut Self| {
                let until = now + engine.ahead();
                let (caught_up_to, grace, pauses) =
                    (engine.caught_up_to, engine.grace, &engine.pauses);
                let moment = Moment { until, now, caught_up_to, grace, pauses };
                let (key, popped) = engine.queue.pop(&moment, limit)?;
                engine.begin_popped(key, popped);
                Some(())
            };
            let begun = if self.rows_first {
                row(self).or_else(|| plan(self))
            } else {
                plan(self).or_else(|| row(self))
            };
            if begun.is_none() {
                return;
            }
        }
    }

    fn begin_row(&mut self, key: OwnershipKey, row: &Pending) {
        let head = Head {
            key,
            due: row.due,
            scheduled: row.scheduled,
            run: row.run,
            attempt: row.attempt,
            base: row.base,
            forced: row.forced,
            attempt_at: row.next_at,
            row: Some((row.id, row.project)),
            postponed: row.postponement(),
            plans: Vec::new(),
            ticket: None,
        };
        let jobs = row.members.iter().map(|job| (job, 0)).collect();
        self.building += 1;
        self.sender.begin(Work { head: Arc::new(head), jobs });
    }

    fn begin_popped(&mut self, key: OwnershipKey, popped: Popped) {
        for skip in popped.skipped {
            self.skip(key, skip);
        }
        let mut fire = popped.fire;
        // With jitter the occurrences due at one instant may have been scheduled for several.
        fire.sort_by_key(|fire| fire.scheduled);
        let mut rest = fire.into_iter().peekable();
        while let Some(first) = rest.next() {
            let scheduled = first.scheduled;
            let mut batch = vec![first];
            while let Some(more) = rest.next_if(|fire| fire.scheduled == scheduled) {
                batch.push(more);
            }
            self.begin_instant(key, popped.due, scheduled, batch);
        }
    }

    /// Starts what was scheduled for one instant.
    fn begin_instant(
        &mut self,
        key: OwnershipKey,
        due: Millis,
        scheduled: Millis,
        batch: Vec<Fire>,
    ) {
        let (shard, of) = (key.0, Instants { scheduled, due });
        let mut jobs: Vec<(JobId, u32)> = Vec::new();
        let mut plans: Vec<Arc<Plan>> = Vec::new();
        let mut ticket = None;
        for fire in batch {
            let all = self.tracker.is_checked(key, due).then(|| fire.members.clone());
            let left = self.tracker.untaken(key, of, fire.members);
            if let Some(all) = all.filter(|all| all.len() > left.len()) {
                self.tracker.hold(shard, of, &all.without(&left));
            }
            if plans.last().is_none_or(|last| !Arc::ptr_eq(last, &fire.plan)) {
                plans.push(fire.plan);
            }
            let number = plans.len() as u32 - 1;
            jobs.extend(left.iter().map(|job| (job, number)));
            ticket = ticket.or(fire.ticket);
        }
        if jobs.is_empty() {
            return;
        }
        // An edit can put a job into one instant twice: it is one occurrence.
        jobs.sort_unstable();
        jobs.dedup_by_key(|(job, _)| *job);
        let members = Members::from_sorted(jobs.iter().map(|(job, _)| *job));
        self.tracker.dispatched(shard, of, &members);
        let head = Head {
            key,
            due,
            scheduled,
            attempt: 1,
            attempt_at: due,
            plans,
            ticket,
            ..Head::default()
        };
        self.building += 1;
        self.sender.begin(Work { head: Arc::new(head), jobs });
    }

    /// Records what is too late as skipped.
    fn skip(&mut self, key: OwnershipKey, skip: Skip) {
        let (shard, epoch) = key;
        let Skip { plan, phase, mut since, due, scheduled, members } = skip;
        // Occurrences at the near end that are over already are not skipped once more.
        let job = members.iter().next().unwrap_or_default();
        let of = plan.of(phase, job);
        let mut first = of.prev(since).map_or(since, |found| found.0);
        while since <= due && {
            let near = Instants { scheduled: first, due: since };
            self.tracker.untaken(key, near, members.clone()).is_empty()
        } {
            (first, since) = of.next(since).unwrap_or((Millis::MAX, Millis::MAX));
        }
        if since > due {
            return;
        }
        self.tracker.dispatched_range(shard, since, Instants { scheduled, due }, &members);
        let once = plan.schedule.is_once();
        let occurrences =
            Occurrences { project: plan.project, shard, epoch, due, scheduled, members };
        let record = AttemptRecord {
            since: (!once).then_some(since),
            once,
            ..AttemptRecord::skipped(occurrences, SkipReason::Misfire, self.time.now())
        };
        self.results.add_interval(shard, since, record);
    }
}
