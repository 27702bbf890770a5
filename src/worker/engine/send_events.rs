//! Taking in the reports of senders: results are kept for the journal, and what was not sent goes
//! back to where it came from.

use super::state::Engine;
use crate::model::members::Members;
use crate::model::shard::ShardId;
use crate::worker::ports::{Dispatcher, Lease, StateStore};
use crate::worker::send::{Head, SendEvent, Work};

impl<B: StateStore, H: Dispatcher, L: Lease> Engine<B, H, L> {
    /// Takes in a report. Says whether there is more to do than to record results.
    pub(super) fn on_send_event(&mut self, sent: SendEvent) -> bool {
        match sent {
            SendEvent::Built => self.building = self.building.saturating_sub(1),
            SendEvent::Started(head) => {
                match head.row {
                    Some((id, _)) => self.rows.piece_started(id),
                    None => self.tracker.split(head.key.0, head.due, 2),
                }
                return false;
            }
            SendEvent::Finished { head, records, back: None } => {
                self.results.add_finished(head, records);
                return false;
            }
            SendEvent::Offered { head, members } => {
                self.settle_first_attempts(&head, &members);
                self.results.add_offered(head, members);
                return false;
            }
            SendEvent::Journaled(entries) => {
                for entry in &entries {
                    self.rows.note_journaled(entry);
                }
                return false;
            }
            SendEvent::Finished { head, back: Some(work), .. } => self.requeue(&head, &work),
            SendEvent::Dropped(work) => {
                let (head, members) = (&work.head, work.members());
                if !self.tracker.dropped(head.key.0, head.instants(), &members) {
                    return false;
                }
                self.read_again(head.key.0, &members);
            }
            SendEvent::Recorded { head, members } => {
                self.settle_first_attempts(&head, &members);
                match head.row {
                    Some((id, _)) => self.await_row_read(head.key.0, id),
                    None => self.results.add_finished(head, Vec::new()),
                }
            }
            SendEvent::Disputed(work) => self.resolve_dispute(&work),
        }
        true
    }

    /// Notes that some jobs of a first attempt have a result in the journal or the store.
    fn settle_first_attempts(&mut self, head: &Head, members: &Members) {
        if head.row.is_none() {
            self.tracker.settled(head.key.0, head.instants(), members);
        }
    }

    /// Reads a row again before it is given out: the store has changed it.
    fn await_row_read(&mut self, shard: ShardId, row: u64) {
        self.rows.await_reread(row);
        self.pending_reads.add_rows(shard);
        for key in self.view.ownerships().into_keys().filter(|key| key.0 == shard) {
            // No watermark meanwhile: the row may still be this node's.
            self.awaiting_read.insert(key, self.reads + 1);
        }
    }

    /// Reads an occurrence again that has an end state or another sender by the store. If the store
    /// knows of neither, it fires after that read.
    fn resolve_dispute(&mut self, work: &Work) {
        let head = &work.head;
        if let Some((id, _)) = head.row {
            return self.await_row_read(head.key.0, id);
        }
        self.tracker.withdrawn(head.key.0, head.instants(), &work.members());
        if let Some(key) = self.tracker.ownership_of(head.key.0, head.due) {
            self.load(&[key]);
        }
    }

    /// Gives back what was not sent, to whichever range has its instant now.
    fn requeue(&mut self, head: &Head, work: &Work) {
        let (shard, _) = head.key;
        if let Some((id, _)) = head.row {
            self.rows.piece_finished(id, None);
            return;
        }
        if self.tracker.withdrawn(shard, head.instants(), &work.members()) {
            return self.read_again(shard, &work.members());
        }
        let Some(key) = self.tracker.ownership_of(shard, head.due) else { return };
        if let Some(queue) = self.queue.get_mut(key) {
            for (plan, members) in work.by_plan() {
                queue.put_back(&plan, head.due, head.scheduled, &members);
            }
        }
    }

    /// Reads jobs again: what was left out of the queue because of a piece that was not sent must
    /// be in it.
    fn read_again(&mut self, shard: ShardId, jobs: &Members) {
        self.pending_reads.jobs.extend(jobs.runs());
        self.pending_reads.edited.extend(jobs.iter());
        for key in self.view.ownership_keys(shard) {
            // No watermark meanwhile: it may pass what is missing.
            self.awaiting_read.insert(key, self.reads + 1);
        }
    }
}
