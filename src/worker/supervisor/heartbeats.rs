//! Signs of life. Heartbeats live in memory only: they cause no log entry, no fsync and no row.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::event::{Beat, ClaimId, Effect, Heartbeat, Moment};
use super::offers::Popped;
use super::state::{Following, Hand, Progress, Supervisor};
use super::taken::TakenRun;
use crate::model::attempt::JournalEntry;
use crate::model::claim::MAX_CLAIM;
use crate::model::offer::RunProgress;
use crate::model::run::Occurrence;
use crate::model::shard::shard_of;

/// The numbers of hands that take over what a dead owner handed out; claims have lower ones.
pub(super) const ADOPTIONS: ClaimId = 1 << 63;
/// The least time between two entries about the progress of a run, in milliseconds.
const PROGRESS_EVERY: u64 = 5_000;
/// The most runs whose progress is journaled at a tick: a thousand a second.
const MOST_PROGRESS: usize = 200;

/// Says whether a hand takes over what a dead owner handed out: nobody waits for its answer.
pub(crate) fn is_adoption(claim: ClaimId) -> bool {
    claim & ADOPTIONS != 0
}

impl TakenRun {
    /// Says whether words name this attempt and this worker, as far as they name any.
    fn fits(&self, attempt: u32, worker: &str) -> bool {
        let is_known = !self.worker.is_empty() && !worker.is_empty();
        (attempt == 0 || attempt == self.attempt) && (!is_known || *self.worker == *worker)
    }
}

impl Supervisor {
    /// Takes in a heartbeat. Only an owner answers a run as heard (*heard by the owner*): of others
    /// it says that it knows nothing. A run that is on offer, under the attempt that it would get,
    /// was claimed from an owner that died with the claim: its worker keeps it (*adoption*).
    pub(super) fn take_heartbeat(
        &mut self,
        at: &Moment<'_>,
        heartbeat: Heartbeat,
        out: &mut Vec<Effect>,
    ) {
        let Heartbeat { id, worker, runs } = heartbeat;
        let (mut unknown, mut adopted) = (Vec::new(), BTreeMap::new());
        let now = self.missed.now(at);
        for beat in runs {
            let of = beat.of;
            let is_owner = self.may_answer(at, of);
            if let Some(run) = self.taken.get_mut(of) {
                let fits = run.fits(beat.attempt, &worker);
                if fits {
                    run.heard = now;
                    run.has_spoken = true;
                    let attempt = run.attempt;
                    self.note_progress(attempt, beat);
                }
                if !fits || !is_owner {
                    unknown.push(of);
                }
                continue;
            }
            unknown.push(of);
            // The next heartbeat brings the others.
            if adopted.len() < MAX_CLAIM as usize
                && let Some(popped) = self.adopt(at, &worker, &beat)
            {
                adopted.insert(of, popped);
            }
        }
        if !adopted.is_empty() {
            self.last_adoption += 1;
            let hand = Hand { worker, members: adopted, ..Hand::default() };
            self.prepare(ADOPTIONS | self.last_adoption, hand, out);
        }
        out.push(Effect::Heard { heartbeat: id, unknown });
    }

    /// Says whether nobody else can be the owner of a run: the lease is usable, and the shard is
    /// not promised away. Where another owner may be there already, that one judges the silence of
    /// the worker, who must not go on because this one has heard it.
    fn may_answer(&self, at: &Moment<'_>, of: Occurrence) -> bool {
        let shard = shard_of(of.job);
        let current = self.shards.get(&shard).and_then(|ranges| ranges.current.as_ref());
        at.lease.usable_since().is_some()
            && current.is_some_and(|range| !at.lease.is_promised(shard, range.epoch))
    }

    fn adopt(&mut self, at: &Moment<'_>, worker: &str, beat: &Beat) -> Option<Popped> {
        let shard = shard_of(beat.of.job);
        let (_, group) = self.offers.find(shard, beat.of)?;
        let lane = (shard, group.own);
        let fits = group.source.attempt == beat.attempt && !worker.is_empty();
        if !fits || !self.is_open(at, lane) {
            return None;
        }
        self.offers.remove(shard, beat.of)
    }

    /// Notes that a worker reported on a run: a sign of life, and perhaps its last.
    pub(super) fn note_report(
        &mut self,
        at: &Moment<'_>,
        of: Occurrence,
        (attempt, worker): (u32, &Arc<str>),
        ends: bool,
        out: &mut Vec<Effect>,
    ) {
        self.note_report_at_bus(at, (of, attempt), ends, out);
        let now = self.missed.now(at);
        let Some(run) = self.taken.get_mut(of) else { return };
        if run.fits(attempt, worker) {
            run.heard = now;
            run.has_spoken = true;
            run.said_end |= ends;
        }
    }

    fn note_progress(&mut self, attempt: u32, beat: Beat) {
        let Beat { of, progress: percent, message, .. } = beat;
        if percent.is_none() && message.is_none() {
            return;
        }
        let before = self.progress.get(&of).filter(|before| before.attempt == attempt);
        if before.is_some_and(|old| old.percent == percent && old.message == message) {
            return;
        }
        let written = before.and_then(|before| before.written);
        let now = Progress { attempt, percent, message, written, is_new: true };
        self.progress.insert(of, now);
    }

    /// Journals how far runs are: what changed, seldom, so that another owner can show it.
    pub(super) fn write_progress(&mut self, at: &Moment<'_>, out: &mut Vec<Effect>) {
        if !at.has_room {
            return;
        }
        let now = at.now.boot;
        let is_due = |progress: &Progress| {
            let next = progress.written.map_or(0, |at| at.saturating_add(PROGRESS_EVERY));
            progress.is_new && next <= now
        };
        let due = self.progress.iter_mut().filter(|(_, progress)| is_due(progress));
        let written: Vec<_> = due
            .take(MOST_PROGRESS)
            .map(|(of, progress)| {
                progress.is_new = false;
                progress.written = Some(now);
                RunProgress {
                    occurrence: *of,
                    attempt: progress.attempt,
                    progress: progress.percent,
                    message: progress.message.clone(),
                }
            })
            .collect();
        if !written.is_empty() {
            let entry = JournalEntry::Progress(written);
            self.append(vec![entry], Following::default(), out);
        }
    }
}
