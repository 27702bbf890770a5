//! Rules of offers: occurrences that wait for a worker, and what becomes of them when somebody
//! takes them or nobody does.
//!
//! ```text
//!   Offered (live epoch) ──> pending row OFFERED ──Taken──> run of a worker ──> `runs::phases`
//!                                  └── start timeout ──> skipped: not started
//! ```
//!
//! A worker that has claimed an occurrence has it, whatever became of the owner that handed it
//! out: *Taken* counts from a past epoch, too, as long as the occurrence is open. Where two owners
//! handed it out, that of the live epoch counts (*live claim wins*), and so does a higher attempt.
//! What has an end keeps it.

use super::entry::{Entry, Refusal, cut};
use super::runs::deadline;
use crate::model::attempt::{AttemptRecord, Occurrences, ResultOrigin, SkipReason, Verdict};
use crate::model::event::RunChange;
use crate::model::job::{OFFERED, PARKED, Pending};
use crate::model::members::Members;
use crate::model::offer::{MAX_MESSAGE, MAX_NAME, Offer, RunProgress, Taken};
use crate::model::on_offer::{OnOffer, RECORDING};
use crate::model::run::{Occurrence, Phase, Run, WorkerRun};
use crate::model::run_terms::BusKind;
use crate::model::shard::{ShardId, shard_of};
use crate::model::{JobId, Millis, NodeId};
use crate::store::{pending, runs};

impl Entry<'_, '_> {
    /// Records an offer: its open members wait for a worker in one row. One of a past epoch is
    /// ignored, as a deferral is: the present owner knows the occurrences. So is one of a row that
    /// was parked meanwhile.
    pub(super) fn record_offer(&mut self, node: NodeId, offer: &Offer) -> Result<(), Refusal> {
        if offer.members.is_empty() || !self.is_live(offer.shard, node, offer.epoch)? {
            return Ok(());
        }
        if let Some(id) = offer.pending
            && pending::get(self.tx, id)?.is_some_and(|row| row.next_at == PARKED)
        {
            return Ok(());
        }
        let record = offer.record(Verdict::Postponed { at: OFFERED });
        let runs = self.runs(&record)?;
        let Some(left) = self.leave_rows(&record, &runs)? else { return Ok(()) };
        // An offer that changes its queue has waited since it was made.
        let since = left.on_offer.map_or(self.stamp, |before| before.since);
        let longest = offer.terms.start_timeout.map(|long| long.saturating_add(RECORDING));
        let expires = longest.map(|long| since.saturating_add(long));
        self.add_row(Pending {
            due: offer.due,
            attempt: offer.attempt.max(left.attempt),
            next_at: OFFERED,
            run: offer.run,
            base: left.base,
            forced: left.forced,
            queue: Some(offer.terms.executor),
            on_offer: Some(OnOffer { since, expires, executor: offer.terms.executor }),
            ..Pending::new(offer.project, offer.shard, offer.scheduled, left.members)
        })
    }

    /// Records what was taken: the open members become runs of the worker.
    pub(super) fn record_taken(&mut self, node: NodeId, taken: &Taken) -> Result<(), Refusal> {
        let offer = &taken.offer;
        if offer.members.is_empty() {
            return Ok(());
        }
        let live = self.is_live(offer.shard, node, offer.epoch)?;
        let record = taken.record();
        let (runs, rows) = (self.runs(&record)?, self.rows(&record)?);
        // What was taken out of a row and is in none any more is over.
        let unknown = match offer.pending {
            Some(_) => Members::default(),
            None => self.not_ended(&record)?,
        };
        if offer.terms.bus == BusKind::Http {
            self.keep_record(node, !live, &record)?;
        }
        let mut open = Vec::new();
        for job in offer.members.iter() {
            let own = runs.iter().find(|run| run.occurrence.job == job);
            let row = rows.iter().find(|row| row.members.contains(job));
            let counts = match (own.filter(|own| own.accepted), row) {
                (Some(other), _) => live && other.attempt <= offer.attempt,
                (None, Some(row)) => row.next_at != PARKED && row.attempt <= offer.attempt,
                (None, None) => unknown.contains(job),
            };
            if counts {
                let run = self.taken_run(node, taken, job, own, row);
                self.put_run(&run)?;
                self.run_changed(&run, RunChange::Accepted);
                open.push(job);
            }
        }
        self.leave(&rows, &Members::from_sorted(open))
    }

    /// The run of a member that was taken. If another worker was known to have it, its phase never
    /// goes back: what is being cancelled is not forgotten, and neither is that it has begun.
    fn taken_run(
        &self,
        node: NodeId,
        taken: &Taken,
        job: JobId,
        own: Option<&Run>,
        row: Option<&Pending>,
    ) -> Run {
        let Taken { offer, worker, started, .. } = taken;
        let terms = &offer.terms;
        let said = if taken.phase == Phase::Pending { Phase::Pending } else { Phase::Running };
        let ends = (said == Phase::Running).then_some(terms.run_timeout).flatten();
        let run = Run {
            occurrence: Occurrence { job, scheduled: offer.scheduled, run: offer.run },
            project: offer.project,
            shard: offer.shard,
            due: offer.due,
            attempt: offer.attempt,
            base: row.map(|row| row.base).or(own.map(|own| own.base)).unwrap_or(0),
            node,
            epoch: offer.epoch,
            accepted: true,
            started: *started,
            heard: self.stamp.max(*started),
            deadline: Millis::MAX,
            heartbeat_timeout: terms.heartbeat_timeout,
            ends: ends.map(|long| started.saturating_add(long)),
            retry: terms.retry,
            forced: row.map(|row| row.forced).or(own.map(|own| own.forced)).unwrap_or(false),
            worker: Some(Box::new(WorkerRun {
                phase: said,
                since: *started,
                why: None,
                worker: cut(worker.clone(), MAX_NAME),
                progress: None,
                message: None,
                terms: terms.clone(),
            })),
        };
        let before = own.and_then(|own| Some((own, own.worker.as_deref()?)));
        match before {
            Some((own, kept)) if kept.phase == Phase::Cancelling => {
                let named = if worker.is_empty() { &kept.worker } else { worker };
                let worker = cut(named.clone(), MAX_NAME);
                let kept = WorkerRun { worker, terms: terms.clone(), ..kept.clone() };
                let (deadline, ends) = (own.deadline, own.ends);
                Run { deadline, ends, worker: Some(Box::new(kept)), ..run }
            }
            Some((own, kept)) if own.attempt == offer.attempt && kept.phase > said => {
                Run { node, epoch: offer.epoch, heard: run.heard, ..own.clone() }
            }
            _ => Run { deadline: deadline(&run), ..run },
        }
    }

    /// Records how far runs are, in the words of a node that keeps them.
    pub(super) fn record_progress(
        &mut self,
        node: NodeId,
        progress: &[RunProgress],
    ) -> Result<(), Refusal> {
        for RunProgress { occurrence, attempt, progress, message } in progress {
            let keeps = self.tx.shard(shard_of(occurrence.job))?.is_some_and(|shard| {
                let closing = shard.closing.as_ref().map(|closing| closing.node);
                shard.owner == node || closing == Some(node)
            });
            let run = runs::get(self.tx, *occurrence)?.filter(|run| run.attempt == *attempt);
            let Some(run) = run.filter(|_| keeps) else { continue };
            let Some(kept) = run.worker.clone() else { continue };
            let message = message.clone().map(|message| cut(message, MAX_MESSAGE));
            let progress = progress.map(|percent| percent.min(100));
            let words = message.clone();
            self.run_changed(&run, RunChange::Progress { percent: progress, message: words });
            let kept = WorkerRun { progress, message, ..*kept };
            self.put_run(&Run { worker: Some(Box::new(kept)), ..run })?;
        }
        Ok(())
    }

    /// Ends offers that nobody took in time, at most `limit` occurrences. Returns how many.
    pub(super) fn expire_offers(&mut self, limit: u32) -> Result<u32, Refusal> {
        let mut left = u64::from(limit);
        for row in pending::expired(self.tx, self.stamp, limit)? {
            if left == 0 {
                break;
            }
            // The rest of a large row stays on offer, and its turn comes with the next entry.
            let members = row.members.first(left);
            left -= members.len();
            let shard = self.tx.shard(row.shard)?;
            let (node, epoch) = shard.map_or((0, 0), |shard| (shard.owner, shard.epoch));
            let occurrences = Occurrences {
                project: row.project,
                shard: row.shard,
                epoch,
                due: row.due,
                scheduled: row.scheduled,
                members,
            };
            let record = AttemptRecord {
                attempt: row.attempt,
                pending: Some(row.id),
                run: row.run,
                once: true, // for members that are no one-offs it has no effect
                origin: ResultOrigin::TimedOut,
                ..AttemptRecord::skipped(occurrences, SkipReason::NotStarted, self.stamp)
            };
            let runs = self.runs(&record)?;
            self.keep_record(node, false, &record)?;
            self.ended(&record, &record.members, &runs)?;
        }
        // At most `limit`, which is a `u32`.
        Ok((u64::from(limit) - left) as u32)
    }

    /// Says whether a node holds an epoch of a shard.
    pub(super) fn is_live(
        &mut self,
        shard: ShardId,
        node: NodeId,
        epoch: u64,
    ) -> Result<bool, Refusal> {
        Ok(self.tx.shard(shard)?.is_some_and(|shard| shard.is_live(node, epoch)))
    }
}
